/* SPDX-License-Identifier: MIT */
/*
 * go_fifo.c - re-expresses what Go's test/chan/fifo.go shows:
 * channels are queues. Buffered: what goes in comes out in order. Unbuffered:
 * with the receivers made to take turns by a chain of tokens, each gets the
 * value that is its own.
 */
#include "lib/gtest.h"

#define N 10

G_TEST(a_buffered_channel_is_a_queue)
{
	gmprt_chan *c = g_chan(sizeof(int), N);
	int v;

	for (int i = 0; i < N; i++)
		G_OK(gmprt_chan_send(c, &i));
	for (int i = 0; i < N; i++) {
		G_OK(gmprt_chan_recv(c, &v));
		G_EQ(i, v);
	}
}

struct link {
	gmprt_chan *values, *turn, *next_turn;
	int mine;
};

static void waits_for_its_turn(void *arg)
{
	struct link *l = arg;
	int v = -1;

	G_OK(gmprt_chan_recv(l->turn, NULL));
	G_OK(gmprt_chan_recv(l->values, &v));
	G_EQ(l->mine, v);
	G_OK(gmprt_chan_send(l->next_turn, NULL));
}

G_TEST(an_unbuffered_channel_is_a_queue)
{
	gmprt_chan *values = g_chan(sizeof(int), 0), *turn[N + 1];
	struct link links[N];

	for (int i = 0; i <= N; i++)
		turn[i] = g_chan(0, 0);
	for (int i = 0; i < N; i++) {
		links[i] = (struct link){ values, turn[i], turn[i + 1], i };
		g_go(waits_for_its_turn, &links[i]);
	}
	G_OK(gmprt_chan_send(turn[0], NULL));
	for (int i = 0; i < N; i++)
		G_OK(gmprt_chan_send(values, &i));
	G_OK(gmprt_chan_recv(turn[N], NULL));
}

TEST_HARNESS_MAIN
