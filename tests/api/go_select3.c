/* SPDX-License-Identifier: MIT */
/*
 * go_select3.c - re-expresses what Go's test/chan/select3.go shows:
 * for each simple state of a channel (NULL, closed, with room, with an
 * element, with nobody at the other end) which operations and selects block,
 * which do not, and which fail.
 */
#include "lib/gtest.h"

#define RECV(c, p) ((struct gmprt_case){ .op = GMPRT_RECV, .chan = (c), .elem = (p) })
#define SEND(c, p) ((struct gmprt_case){ .op = GMPRT_SEND, .chan = (c), .elem = (p) })

static gmprt_chan *closed;
static int seven = 7;

static gmprt_chan *with(int room, int elements)
{
	gmprt_chan *c = g_chan(sizeof(int), (size_t)room);

	for (int i = 0; i < elements; i++)
		G_OK(gmprt_chan_send(c, &seven));
	return c;
}

/* ---- must block ---- */

static void send_null(void)
{
	gmprt_chan_send(NULL, &seven);
}

static void recv_null(void)
{
	gmprt_chan_recv(NULL, NULL);
}

static void recv_unready(void)
{
	gmprt_chan_recv(with(0, 0), NULL);
}

static void send_full(void)
{
	gmprt_chan_send(with(1, 1), &seven);
}

static void select_empty(void)
{
	gmprt_select(NULL, 0);
}

static void select_recv_null(void)
{
	gmprt_select(&RECV(NULL, NULL), 1);
}

static void select_send_null(void)
{
	gmprt_select(&SEND(NULL, &seven), 1);
}

static void select_both_null(void)
{
	struct gmprt_case cases[] = { RECV(NULL, NULL), SEND(NULL, &seven) };

	gmprt_select(cases, 2);
}

static void select_unready(void)
{
	gmprt_select(&RECV(with(0, 0), NULL), 1);
}

static void select_itself(void)
{
	gmprt_chan *c = with(0, 0);
	struct gmprt_case cases[] = { SEND(c, &seven), RECV(c, NULL) };

	gmprt_select(cases, 2);
}

static long returned;

static void calls(void *fn)
{
	(*(void (**)(void))fn)();
	g_inc(&returned);
}

G_TEST(what_must_block_blocks)
{
	static void (*fns[])(void) = {
		send_null,	  recv_null,	    recv_unready,     send_full,      select_empty,
		select_recv_null, select_send_null, select_both_null, select_unready, select_itself,
	};

	for (size_t i = 0; i < ARRAY_SIZE(fns); i++)
		g_go_named("blocked", calls, &fns[i]);
	g_parked("blocked", ARRAY_SIZE(fns));
	gmprt_sleep(100 * G_MS);
	g_parked("blocked", ARRAY_SIZE(fns));
	G_EQ(0, g_load(&returned));
}

/* ---- must not: a hang fails the test ---- */

G_TEST(what_must_not_block_does_not)
{
	int v = 1;

	closed = with(0, 0);
	G_OK(gmprt_chan_close(closed));

	G_EQ(-EAGAIN, gmprt_select_try(&SEND(NULL, &seven), 1));
	G_EQ(-EAGAIN, gmprt_select_try(&RECV(NULL, NULL), 1));
	G_EQ(-EAGAIN, gmprt_select_try(NULL, 0));

	G_OK(gmprt_chan_send(with(1, 0), &seven));
	for (int i = 0; i < 10; i++) {
		v = 1;
		G_EQ(-EPIPE, gmprt_chan_recv(closed, &v));
		G_EQ(0, v);
	}
	G_EQ(-EPIPE, gmprt_chan_send(closed, &seven));

	G_EQ(0, gmprt_select_try(&SEND(with(1, 0), &seven), 1));
	G_EQ(0, gmprt_select_try(&RECV(with(1, 1), &v), 1));
	G_EQ(7, v);
}

G_TEST(a_select_on_a_closed_channel_is_the_plain_operation)
{
	struct gmprt_case k;
	int v = 1;

	closed = with(0, 0);
	G_OK(gmprt_chan_close(closed));
	k = RECV(closed, NULL);
	G_EQ(0, gmprt_select(&k, 1));
	G_EQ(-EPIPE, k.result);
	k = RECV(closed, &v);
	G_EQ(0, gmprt_select(&k, 1));
	G_EQ(-EPIPE, k.result);
	G_EQ(0, v);
	k = SEND(closed, &seven);
	G_EQ(0, gmprt_select(&k, 1));
	G_EQ(-EPIPE, k.result);
}

TEST_HARNESS_MAIN
