/* SPDX-License-Identifier: MIT */
/*
 * go_select2.c - re-expresses what Go's test/chan/select2.go shows:
 * selects use no memory that they do not give back: after a warm-up, 100,000
 * more of them, each waiting on a channel that never comes too, leave the
 * process no larger.
 */
#include <malloc.h>

#include "lib/gtest.h"

static gmprt_chan *c, *dummy;
static long n;

static void sender(void *arg)
{
	(void)arg;
	for (long i = 0; i < n; i++)
		G_OK(gmprt_chan_send(c, &i));
}

static void receive_all(void)
{
	long v;

	g_go(sender, NULL);
	for (long i = 0; i < n; i++) {
		struct gmprt_case cases[] = {
			{ .op = GMPRT_RECV, .chan = c, .elem = &v },
			{ .op = GMPRT_RECV, .chan = dummy, .elem = &v },
		};

		G_EQ(0, gmprt_select(cases, 2));
		G_EQ(i, v);
	}
}

G_TEST(selects_leave_no_memory_behind)
{
	struct mallinfo2 before, after;
	long rss;

	n = G_LOOPS(100000);
	c = g_chan(sizeof(long), 0);
	dummy = g_chan(sizeof(long), 0);
	receive_all();
	rss = g_status_kb("VmRSS:");
	before = mallinfo2();
	receive_all();
	after = mallinfo2();
	G_LE(after.uordblks, before.uordblks + 110000);
	/* 100,000 selects that lost one word each would be 800 kB. */
	if (G_SLOW == 1)
		G_LE(g_status_kb("VmRSS:"), rss + 700);
}

TEST_HARNESS_MAIN
