/* SPDX-License-Identifier: MIT */
/*
 * chan_dl.c - proves: the _try forms never block, the _dl forms end at their
 * deadline and not before, lose no element to a timeout, and leave no waiter
 * behind
 */
#include "lib/gtest.h"

static long done;

G_TEST(try_on_an_unbuffered_channel_needs_a_waiting_partner)
{
	gmprt_chan *c = g_chan(sizeof(int), 0);
	int v = 3;

	G_EQ(-EAGAIN, gmprt_chan_send_try(c, &v));
	G_EQ(-EAGAIN, gmprt_chan_recv_try(c, &v));
	G_EQ(3, v);
}

static void receives_9(void *c)
{
	int v = 0;

	G_OK(gmprt_chan_recv(c, &v));
	G_EQ(9, v);
	g_inc(&done);
}

static void sends_9(void *c)
{
	int v = 9;

	G_OK(gmprt_chan_send(c, &v));
	g_inc(&done);
}

G_TEST(try_meets_a_waiting_partner)
{
	gmprt_chan *c = g_chan(sizeof(int), 0);
	int v = 9;

	g_go_named("partner", receives_9, c);
	g_parked("partner", 1);
	G_OK(gmprt_chan_send_try(c, &v));
	G_EQ(-EAGAIN, gmprt_chan_send_try(c, &v));
	g_until(&done, 1);
	v = 0;
	g_go_named("partner", sends_9, c);
	g_parked("partner", 1);
	G_OK(gmprt_chan_recv_try(c, &v));
	G_EQ(9, v);
	G_EQ(-EAGAIN, gmprt_chan_recv_try(c, &v));
	g_until(&done, 2);
}

G_TEST(a_deadline_in_the_past_is_a_try_that_says_ETIMEDOUT)
{
	gmprt_chan *c = g_chan(sizeof(int), 1);
	static const int64_t past[] = { 0, 1, -1, INT64_MIN };
	int v = 4;

	for (size_t i = 0; i < ARRAY_SIZE(past); i++) {
		G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(c, &v, past[i]));
		v = 4;
		G_OK(gmprt_chan_send_dl(c, &v, past[i]));
		G_EQ(-ETIMEDOUT, gmprt_chan_send_dl(c, &v, past[i]));
		v = 0;
		G_OK(gmprt_chan_recv_dl(c, &v, past[i]));
		G_EQ(4, v);
	}
}

G_TEST(a_deadline_ends_a_wait_and_not_before)
{
	gmprt_chan *c = g_chan(sizeof(int), 0);
	int v = 4;

	for (int i = 0; i < 10; i++) {
		int64_t dl = g_now() + (1 + i % 3) * G_MS, late;

		G_EQ(-ETIMEDOUT, i % 2 ? gmprt_chan_send_dl(c, &v, dl) :
					 gmprt_chan_recv_dl(c, &v, dl));
		late = g_now() - dl;
		G_GE(late, 0);
		G_LT(late, 2 * G_SEC);
	}
	/* The waits that timed out are gone: these find nobody. */
	G_EQ(-EAGAIN, gmprt_chan_send_try(c, &v));
	G_EQ(-EAGAIN, gmprt_chan_recv_try(c, &v));
}

static void sends_later(void *c)
{
	gmprt_sleep(5 * G_MS);
	sends_9(c);
}

static void receives_later(void *c)
{
	gmprt_sleep(5 * G_MS);
	receives_9(c);
}

G_TEST(a_wait_with_a_deadline_ends_early_when_it_can)
{
	gmprt_chan *c = g_chan(sizeof(int), 0);
	int64_t start = g_now();
	int v = 0;

	g_go(sends_later, c);
	G_OK(gmprt_chan_recv_dl(c, &v, start + 60 * G_SEC));
	G_EQ(9, v);
	g_go(receives_later, c);
	G_OK(gmprt_chan_send_dl(c, &v, start + 60 * G_SEC));
	g_go(sends_later, c);
	G_OK(gmprt_chan_recv_dl(c, &v, GMPRT_FOREVER));
	G_LT(g_now() - start, 20 * G_SEC);
	g_until(&done, 3);
}

/*
 * Timeouts race with partners: who was told 0 has exchanged exactly one
 * element, who was told -ETIMEDOUT none.
 */
static gmprt_chan *raced;
static gmprt_wg wg;
static long sent, received, sent_sum, received_sum, timeouts;

static void timed_sender(void *seed)
{
	uint64_t rand = (uintptr_t)seed;

	for (int i = 0; i < G_LOOPS(1000); i++) {
		long v = (long)(g_rand(&rand) % 1000);
		int64_t dl = g_now() + (int64_t)(g_rand(&rand) % 50000);
		int ret = gmprt_chan_send_dl(raced, &v, dl);

		if (ret == 0) {
			g_inc(&sent);
			__atomic_add_fetch(&sent_sum, v, __ATOMIC_SEQ_CST);
		} else {
			G_EQ(-ETIMEDOUT, ret);
			g_inc(&timeouts);
		}
	}
	gmprt_wg_done(&wg);
}

static void timed_receiver(void *seed)
{
	uint64_t rand = (uintptr_t)seed;

	for (int i = 0; i < G_LOOPS(1000); i++) {
		int64_t dl = g_now() + (int64_t)(g_rand(&rand) % 50000);
		long v = -1;
		int ret = gmprt_chan_recv_dl(raced, &v, dl);

		if (ret == 0) {
			g_inc(&received);
			__atomic_add_fetch(&received_sum, v, __ATOMIC_SEQ_CST);
		} else {
			G_EQ(-ETIMEDOUT, ret);
			G_EQ(-1, v);
			g_inc(&timeouts);
		}
	}
	gmprt_wg_done(&wg);
}

G_TEST(no_element_is_lost_or_doubled_by_a_timeout)
{
	raced = g_chan(sizeof(long), 0);
	gmprt_wg_add(&wg, 8);
	for (uintptr_t i = 0; i < 4; i++) {
		g_go(timed_sender, (void *)(i * 2 + 1));
		g_go(timed_receiver, (void *)(i * 2 + 2));
	}
	gmprt_wg_wait(&wg);
	G_EQ(g_load(&sent), g_load(&received));
	G_EQ(g_load(&sent_sum), g_load(&received_sum));
	G_EQ(8 * G_LOOPS(1000), g_load(&sent) + g_load(&received) + g_load(&timeouts));
}

/*
 * A waiter in the middle of the queue times out; the others keep their order.
 * On a busy machine its time may be up before all three stand there: then once
 * more with more time. It stays blocked afterwards, for g_parked() to count it.
 */
static gmprt_chan *gate;
static int64_t patience;
static long order[3];
static long at;

static void waits(void *n)
{
	long v;

	if ((intptr_t)n == 1) {
		G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(raced, &v, g_now() + patience));
		g_inc(&at);
		G_OK(gmprt_chan_recv(gate, &v));
	} else {
		G_OK(gmprt_chan_recv(raced, &v));
		order[v] = (long)(intptr_t)n;
	}
	g_inc(&at);
}

static bool three_stood_there(void)
{
	const long go_on = 0;
	bool in_time;

	g_store(&at, 0);
	for (intptr_t i = 0; i < 3; i++) {
		g_go_named("queued", waits, (void *)i);
		g_parked("queued", (int)i + 1);
	}
	in_time = g_load(&at) == 0;
	g_until(&at, 1);
	for (long i = 0; i < 2; i++)
		G_OK(gmprt_chan_send(raced, &i));
	G_OK(gmprt_chan_send(gate, &go_on));
	g_until(&at, 4);
	G_EQ(0, order[0]);
	G_EQ(2, order[1]);
	return in_time;
}

G_TEST(a_timeout_in_the_middle_keeps_the_queues_order)
{
	raced = g_chan(sizeof(long), 0);
	gate = g_chan(sizeof(long), 0);
	for (patience = 50 * G_MS; !three_stood_there(); patience *= 2)
		;
}

TEST_HARNESS_MAIN
