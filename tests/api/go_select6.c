/* SPDX-License-Identifier: MIT */
/*
 * go_select6.c - re-expresses what Go's test/chan/select6.go shows:
 * a select that waited last in a channel's queue and was woken by another
 * channel leaves that queue whole: who waits there afterwards is still woken.
 */
#include "lib/gtest.h"

static gmprt_chan *c1, *c2, *c3;
static long woken;

static void first_in_line(void *arg)
{
	(void)arg;
	G_OK(gmprt_chan_recv(c1, NULL));
	g_inc(&woken);
}

static void leaves_and_returns(void *arg)
{
	struct gmprt_case cases[] = {
		{ .op = GMPRT_RECV, .chan = c1 },
		{ .op = GMPRT_RECV, .chan = c2 },
	};

	(void)arg;
	G_EQ(1, gmprt_select(cases, 2));
	G_OK(gmprt_chan_send(c3, NULL));
	G_OK(gmprt_chan_recv(c1, NULL));
	g_inc(&woken);
}

G_TEST(a_select_leaves_the_queues_of_its_other_cases_whole)
{
	for (int i = 0; i < 50; i++) {
		g_store(&woken, 0);
		c1 = g_chan(0, 0);
		c2 = g_chan(0, 0);
		c3 = g_chan(0, 0);
		g_go_named("first", first_in_line, NULL);
		if (i < 10)
			g_parked("first", 1);
		g_go_named("second", leaves_and_returns, NULL);
		if (i < 10)
			g_parked("second", 1);
		G_OK(gmprt_chan_send(c2, NULL));
		G_OK(gmprt_chan_recv(c3, NULL));
		G_OK(gmprt_chan_send(c1, NULL));
		G_OK(gmprt_chan_send(c1, NULL));
		g_until(&woken, 2);
	}
}

TEST_HARNESS_MAIN
