/* SPDX-License-Identifier: MIT */
/*
 * go_select.c - re-expresses what Go's test/chan/select.go shows:
 * a select without blocking sends to each of two channels with room once, then
 * finds neither ready; a channel set to NULL drops out of the choice.
 */
#include "lib/gtest.h"

/* Sends distinct bits until nothing is ready; the number of sends. */
static int send_bits(gmprt_chan *a, gmprt_chan *b, unsigned *bit)
{
	int sent = 0;

	for (;;) {
		struct gmprt_case cases[] = {
			{ .op = GMPRT_SEND, .chan = a, .elem = bit },
			{ .op = GMPRT_SEND, .chan = b, .elem = bit },
		};
		int k = gmprt_select_try(cases, 2);

		if (k == -EAGAIN)
			return sent;
		G_OK(cases[k].result);
		if (k == 0)
			a = NULL;
		else
			b = NULL;
		sent++;
		*bit <<= 1;
	}
}

G_TEST(each_channel_with_room_is_sent_to_once)
{
	for (int i = 0; i < 100; i++) {
		gmprt_chan *a = g_chan(sizeof(unsigned), 1), *b = g_chan(sizeof(unsigned), 1);
		unsigned bit = 1, va = 0, vb = 0;

		G_EQ(2, send_bits(a, b, &bit));
		G_OK(gmprt_chan_recv(a, &va));
		G_OK(gmprt_chan_recv(b, &vb));
		G_EQ(3, va | vb);
		G_EQ(0, va & vb);
		G_EQ(1, send_bits(a, NULL, &bit));
		G_OK(gmprt_chan_recv(a, &va));
		G_EQ(4, va);
	}
}

TEST_HARNESS_MAIN
