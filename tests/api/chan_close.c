/* SPDX-License-Identifier: MIT */
/*
 * chan_close.c - proves: what closing and freeing a channel mean to those
 * who use it now, later, or wait on it; and what a NULL channel means
 */
#include "lib/gtest.h"

static long done;

G_TEST(what_is_buffered_is_still_received_after_close)
{
	gmprt_chan *c = g_chan(sizeof(int), 4);

	for (int i = 1; i <= 3; i++)
		G_OK(gmprt_chan_send(c, &i));
	G_OK(gmprt_chan_close(c));
	G_EQ(3, gmprt_chan_len(c));
	for (int i = 1; i <= 5; i++) {
		int v = -1;

		G_EQ(i <= 3 ? 0 : -EPIPE, gmprt_chan_recv(c, &v));
		G_EQ(i <= 3 ? i : 0, v);
	}
	G_EQ(-EPIPE, gmprt_chan_recv(c, NULL));
}

G_TEST(a_drained_closed_channel_gives_EPIPE_and_zero_in_every_form)
{
	gmprt_chan *c = g_chan(100, 2);
	char v[101];

	G_OK(gmprt_chan_close(c));
	for (int form = 0; form < 3; form++) {
		memset(v, 0xaa, sizeof(v));
		G_EQ(-EPIPE, form == 0 ? gmprt_chan_recv(c, v) :
			     form == 1 ? gmprt_chan_recv_try(c, v) :
					 gmprt_chan_recv_dl(c, v, 0));
		for (int i = 0; i < 100; i++)
			G_EQ(0, v[i]);
		G_EQ((char)0xaa, v[100]);
	}
}

G_TEST(sending_on_a_closed_channel_is_EPIPE_in_every_form)
{
	gmprt_chan *c = g_chan(sizeof(int), 2);
	int v = 1;

	G_OK(gmprt_chan_send(c, &v));
	G_OK(gmprt_chan_close(c));
	G_EQ(-EPIPE, gmprt_chan_send(c, &v));
	G_EQ(-EPIPE, gmprt_chan_send_try(c, &v));
	G_EQ(-EPIPE, gmprt_chan_send_dl(c, &v, 0));
	G_EQ(-EPIPE, gmprt_chan_send_dl(c, &v, GMPRT_FOREVER));
	G_EQ(1, gmprt_chan_len(c));
}

G_TEST(the_second_close_is_EPIPE_and_of_NULL_EINVAL)
{
	gmprt_chan *c = g_chan(0, 0);

	G_OK(gmprt_chan_close(c));
	G_EQ(-EPIPE, gmprt_chan_close(c));
	G_EQ(-EPIPE, gmprt_chan_close(c));
	G_EQ(-EINVAL, gmprt_chan_close(NULL));
}

static void recv_expects_close(void *c)
{
	long v = -1;

	G_EQ(-EPIPE, gmprt_chan_recv(c, &v));
	G_EQ(0, v);
	g_inc(&done);
}

static void select_expects_close(void *c)
{
	long v = -1;
	struct gmprt_case cases[] = {
		{ .op = GMPRT_RECV, .chan = g_chan(sizeof(long), 0) },
		{ .op = GMPRT_RECV, .chan = c, .elem = &v },
	};

	G_EQ(1, gmprt_select(cases, 2));
	G_EQ(-EPIPE, cases[1].result);
	G_EQ(0, v);
	g_inc(&done);
}

static void send_expects_close(void *c)
{
	long v = 1;

	G_EQ(-EPIPE, gmprt_chan_send(c, &v));
	g_inc(&done);
}

static void select_send_expects_close(void *c)
{
	long v = 1;
	struct gmprt_case cases[] = {
		{ .op = GMPRT_SEND, .chan = c, .elem = &v },
		{ .op = GMPRT_SEND, .chan = NULL, .elem = &v },
	};

	G_EQ(0, gmprt_select(cases, 2));
	G_EQ(-EPIPE, cases[0].result);
	g_inc(&done);
}

G_TEST(close_wakes_all_receivers)
{
	for (int round = 0; round < 5; round++) {
		gmprt_chan *c = g_chan(sizeof(long), (size_t)round % 2);

		g_store(&done, 0);
		for (int i = 0; i < 10; i++) {
			g_go_named("closee", recv_expects_close, c);
			g_go_named("closee", select_expects_close, c);
		}
		if (round < 3)
			g_parked("closee", 20);
		G_OK(gmprt_chan_close(c));
		g_until(&done, 20);
	}
}

G_TEST(close_wakes_all_senders)
{
	for (int round = 0; round < 5; round++) {
		gmprt_chan *c = g_chan(sizeof(long), 0);

		g_store(&done, 0);
		for (int i = 0; i < 10; i++) {
			g_go_named("closee", send_expects_close, c);
			g_go_named("closee", select_send_expects_close, c);
		}
		if (round < 3)
			g_parked("closee", 20);
		G_OK(gmprt_chan_close(c));
		g_until(&done, 20);
	}
}

G_TEST(senders_woken_by_close_leave_the_buffer_alone)
{
	gmprt_chan *c = g_chan(sizeof(long), 1);
	long v = 5;

	G_OK(gmprt_chan_send(c, &v));
	g_go_named("closee", send_expects_close, c);
	g_parked("closee", 1);
	G_OK(gmprt_chan_close(c));
	g_until(&done, 1);
	G_OK(gmprt_chan_recv(c, &v));
	G_EQ(5, v);
	G_EQ(-EPIPE, gmprt_chan_recv(c, &v));
}

/* ---- NULL ---- */

static void null_send(void *arg)
{
	(void)arg;
	gmprt_chan_send(NULL, NULL);
	G_FAIL("a send to NULL returned");
}

static void null_recv(void *arg)
{
	(void)arg;
	gmprt_chan_recv(NULL, NULL);
	G_FAIL("a receive from NULL returned");
}

G_TEST(a_NULL_channel_blocks_for_ever)
{
	int64_t start = g_now();

	g_go_named("never", null_send, NULL);
	g_go_named("never", null_recv, NULL);
	g_parked("never", 2);
	G_EQ(-EAGAIN, gmprt_chan_send_try(NULL, NULL));
	G_EQ(-EAGAIN, gmprt_chan_recv_try(NULL, NULL));
	G_EQ(-ETIMEDOUT, gmprt_chan_send_dl(NULL, NULL, start + 10 * G_MS));
	G_GE(g_now(), start + 10 * G_MS);
	G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(NULL, NULL, start + 20 * G_MS));
	G_GE(g_now(), start + 20 * G_MS);
	g_parked("never", 2);
}

/* ---- free ---- */

static gmprt_chan *waited;

static void free_with_waiter(void)
{
	waited = gmprt_chan_make(sizeof(long), 0);
	g_go_named("waiter", recv_expects_close, waited);
	g_parked("waiter", 1);
	gmprt_chan_free(waited);
}

static void free_with_select_waiter(void)
{
	waited = gmprt_chan_make(sizeof(long), 0);
	g_go_named("waiter", select_send_expects_close, waited);
	g_parked("waiter", 1);
	gmprt_chan_free(waited);
}

P_TEST(freeing_a_channel_with_waiters_aborts_with_a_report)
{
	struct g_end end;

	g_child_run(&end, free_with_waiter);
	G_SIGNALED(&end, SIGABRT);
	G_SAYS(&end, "fatal error: ");
	G_SAYS(&end, "gmprt_chan_free");
	G_SAYS(&end, "goroutine 1");
	g_child_run(&end, free_with_select_waiter);
	G_SIGNALED(&end, SIGABRT);
	G_SAYS(&end, "gmprt_chan_free");
}

G_TEST(channels_can_be_made_and_freed_again_and_again)
{
	for (int i = 0; i < G_LOOPS(20000); i++) {
		gmprt_chan *c = gmprt_chan_make((size_t)i % 40, (size_t)i % 7);
		char v[40] = { 0 };

		G_TRUE(c);
		if (i % 7)
			G_OK(gmprt_chan_send(c, v));
		gmprt_chan_free(c);
	}
}

TEST_HARNESS_MAIN
