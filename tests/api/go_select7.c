/* SPDX-License-Identifier: MIT */
/*
 * go_select7.c - re-expresses what Go's test/chan/select7.go shows:
 * an element may be dropped by whoever receives it: a plain receive, a select
 * of one case, a select of two, each against the same three ways to send.
 */
#include "lib/gtest.h"

static long done;

static void recv_plain(void *c)
{
	G_OK(gmprt_chan_recv(c, NULL));
	g_inc(&done);
}

static void recv_select_1(void *c)
{
	struct gmprt_case k = { .op = GMPRT_RECV, .chan = c };

	G_EQ(0, gmprt_select(&k, 1));
	g_inc(&done);
}

static void recv_select_2(void *c)
{
	struct gmprt_case k[] = {
		{ .op = GMPRT_RECV, .chan = c },
		{ .op = GMPRT_RECV, .chan = g_chan(sizeof(int), 0) },
	};

	G_EQ(0, gmprt_select(k, 2));
	g_inc(&done);
}

static void send_in(gmprt_chan *c, int way)
{
	int one = 1;
	struct gmprt_case k[] = {
		{ .op = GMPRT_SEND, .chan = c, .elem = &one },
		{ .op = GMPRT_SEND, .chan = g_chan(sizeof(int), 0), .elem = &one },
	};

	if (way == 0)
		G_OK(gmprt_chan_send(c, &one));
	else
		G_EQ(0, gmprt_select(k, (size_t)way));
}

G_TEST(a_received_element_may_be_dropped_by_every_form)
{
	static void (*const recv[])(void *) = { recv_plain, recv_select_1, recv_select_2 };
	int n = 0;

	for (int i = 0; i < 3; i++) {
		for (int way = 0; way < 3; way++) {
			for (int parked = 0; parked < 2; parked++) {
				gmprt_chan *c = g_chan(sizeof(int), 0);

				g_go_named("dropper", recv[i], c);
				if (parked)
					g_parked("dropper", 1);
				send_in(c, way);
				g_until(&done, ++n);
			}
		}
	}
}

TEST_HARNESS_MAIN
