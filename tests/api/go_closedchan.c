/* SPDX-License-Identifier: MIT */
/*
 * go_closedchan.c - re-expresses what Go's test/closedchan.go shows:
 * a closed channel gives what it holds, then zeros with "closed" for ever,
 * refuses sends and further closes, and all this alike for plain operations,
 * for selects of one case, and for selects of several, blocking or not.
 */
#include "lib/gtest.h"

static gmprt_chan *silent;

/* One send or receive in one of three ways. nb: the try form. */
static int op(int way, bool nb, enum gmprt_op which, gmprt_chan *c, int *v)
{
	struct gmprt_case cases[] = {
		{ .op = which, .chan = c, .elem = v, .result = 1 },
		{ .op = GMPRT_RECV, .chan = silent },
	};
	int k;

	if (way == 0) {
		if (which == GMPRT_SEND)
			return nb ? gmprt_chan_send_try(c, v) : gmprt_chan_send(c, v);
		return nb ? gmprt_chan_recv_try(c, v) : gmprt_chan_recv(c, v);
	}
	k = nb ? gmprt_select_try(cases, (size_t)way) : gmprt_select(cases, (size_t)way);
	if (k < 0)
		return k;
	G_EQ(0, k);
	return cases[0].result;
}

static void check_drained(int way, gmprt_chan *c)
{
	int v;

	for (int i = 0; i < 3; i++) {
		for (int nb = 0; nb < 2; nb++) {
			v = 1;
			G_EQ(-EPIPE, op(way, nb, GMPRT_RECV, c, &v));
			G_EQ(0, v);
		}
	}
	for (int nb = 0; nb < 2; nb++) {
		v = 1;
		G_EQ(-EPIPE, op(way, nb, GMPRT_SEND, c, &v));
		/* What was refused is not there. */
		G_EQ(-EPIPE, op(way, nb, GMPRT_RECV, c, &v));
		G_EQ(0, v);
	}
}

G_TEST(a_closed_channel_is_the_same_for_every_form)
{
	silent = g_chan(sizeof(int), 0);
	for (int way = 0; way < 3; way++) {
		gmprt_chan *unbuffered = g_chan(sizeof(int), 0);

		G_OK(gmprt_chan_close(unbuffered));
		check_drained(way, unbuffered);
		for (int nb = 0; nb < 2; nb++) {
			gmprt_chan *c = g_chan(sizeof(int), 2);
			int v = 1;

			G_OK(gmprt_chan_send(c, &v));
			G_OK(gmprt_chan_close(c));
			v = 0;
			G_OK(op(way, nb, GMPRT_RECV, c, &v));
			G_EQ(1, v);
			check_drained(way, c);
		}
	}
}

G_TEST(closing_nothing_or_twice_is_refused)
{
	gmprt_chan *c = g_chan(sizeof(int), 0);

	G_EQ(-EINVAL, gmprt_chan_close(NULL));
	G_OK(gmprt_chan_close(c));
	G_EQ(-EPIPE, gmprt_chan_close(c));
}

TEST_HARNESS_MAIN
