/* SPDX-License-Identifier: MIT */
/*
 * go_zerosize.c - re-expresses what Go's test/chan/zerosize.go shows:
 * channels of elements without size can be made, buffered or not; that they
 * also count and hand over is added here.
 */
#include "lib/gtest.h"

static void sends(void *c)
{
	for (int i = 0; i < 100; i++)
		G_OK(gmprt_chan_send(c, NULL));
	G_OK(gmprt_chan_close(c));
}

G_TEST(elements_may_have_no_size)
{
	static const size_t caps[] = { 0, 1, 1000000 };

	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		gmprt_chan *c = g_chan(0, caps[i]);
		int n = 0;

		G_EQ(caps[i], gmprt_chan_cap(c));
		g_go(sends, c);
		while (gmprt_chan_recv(c, NULL) == 0)
			n++;
		G_EQ(100, n);
	}
}

TEST_HARNESS_MAIN
