/* SPDX-License-Identifier: MIT */
/*
 * timer.c - proves: a timer sends once and never early; after stop and reset
 * nothing from before can be received, and what they return says so; it may be
 * freed at any time
 */
#include "lib/gtest.h"
#include "lib/gtimer.h"

static gmprt_wg wg;

/* ---- sending ------------------------------------------------------- */

G_TEST(a_timer_sends_the_time_it_was_set_for_once)
{
	for (int i = 0; i < 20; i++) {
		int64_t start = g_now(), ns = i * i * 20000;
		gmprt_timer *t = timer_new(ns);

		G_GE(receive(t), start + ns);
		is_empty(t);
		G_EQ(0, gmprt_timer_stop(t));
		gmprt_timer_free(t);
	}
}

G_TEST(a_time_that_has_passed_is_sent_at_once)
{
	static const int64_t ns[] = { 0, -1, INT64_MIN };

	for (int i = 0; i < 3; i++) {
		int64_t start = g_now();
		gmprt_timer *t = timer_new(ns[i]);

		G_GE(receive(t), start);
		G_EQ(0, gmprt_timer_reset(t, ns[i]));
		G_GE(receive(t), start);
		gmprt_timer_free(t);
	}
}

G_TEST(the_longest_time_does_not_overflow)
{
	gmprt_timer *t = timer_new(INT64_MAX);

	gmprt_sleep(5 * G_MS);
	is_empty(t);
	G_EQ(1, gmprt_timer_reset(t, INT64_MAX - 1));
	gmprt_sleep(5 * G_MS);
	is_empty(t);
	G_EQ(1, gmprt_timer_stop(t));
	gmprt_timer_free(t);
}

G_TEST(its_channel_looks_unbuffered)
{
	gmprt_timer *t = timer_new(0);

	G_EQ(0, gmprt_chan_cap(gmprt_timer_chan(t)));
	gmprt_sleep(G_MS);
	G_EQ(0, gmprt_chan_len(gmprt_timer_chan(t)));
	receive(t);
	gmprt_timer_free(t);
}

/* The one P computes, and nobody else looks at its timers. */
G_TEST(a_receive_finds_the_time_that_has_passed)
{
	gmprt_timer *t = timer_new(G_MS);
	struct gmprt_case k = { GMPRT_RECV, gmprt_timer_chan(t), NULL, -1 };
	int64_t v;

	compute(2 * G_MS);
	G_OK(gmprt_chan_recv_try(gmprt_timer_chan(t), &v));
	is_empty(t);
	G_EQ(0, gmprt_timer_reset(t, G_MS));
	compute(2 * G_MS);
	G_EQ(0, gmprt_select_try(&k, 1));
	G_EQ(0, k.result);
	G_EQ(-EAGAIN, gmprt_select_try(&k, 1));
	G_EQ(0, gmprt_timer_reset(t, G_MS));
	compute(2 * G_MS);
	G_OK(gmprt_chan_recv_dl(gmprt_timer_chan(t), &v, 1));
	gmprt_timer_free(t);
}

G_TEST(select_waits_for_a_timer_beside_others)
{
	gmprt_timer *soon = timer_new(2 * G_MS), *late = timer_new(60 * G_SEC);
	gmprt_chan *never = g_chan(4, 0);
	int64_t v = 0, start = g_now();
	struct gmprt_case k[] = {
		{ GMPRT_RECV, never, NULL, 0 },
		{ GMPRT_RECV, gmprt_timer_chan(late), &v, 0 },
		{ GMPRT_RECV, gmprt_timer_chan(soon), &v, 0 },
	};

	G_EQ(2, gmprt_select(k, 3));
	G_LE(v, g_now());
	G_LT(g_now() - start, 30 * G_SEC);
	G_EQ(-ETIMEDOUT, gmprt_select_dl(k, 3, g_now() + G_MS));
	gmprt_timer_free(soon);
	gmprt_timer_free(late);
}

/* ---- stop and reset ------------------------------------------------ */

G_TEST(stop_before_its_time_is_1_and_nothing_comes)
{
	gmprt_timer *t = timer_new(10 * G_MS);

	G_EQ(1, gmprt_timer_stop(t));
	G_EQ(0, gmprt_timer_stop(t));
	gmprt_sleep(20 * G_MS);
	is_empty(t);
	G_EQ(0, gmprt_timer_stop(t));
	gmprt_timer_free(t);
}

G_TEST(stop_of_what_nobody_received_is_1_and_takes_it_back)
{
	gmprt_timer *t = timer_new(G_MS);

	gmprt_sleep(5 * G_MS);
	G_EQ(1, gmprt_timer_stop(t));
	is_empty(t);
	G_EQ(0, gmprt_timer_stop(t));
	gmprt_timer_free(t);
}

G_TEST(reset_takes_back_what_nobody_received)
{
	gmprt_timer *t = timer_new(G_MS);
	int64_t start;

	gmprt_sleep(5 * G_MS);
	G_EQ(1, gmprt_timer_reset(t, 60 * G_SEC));
	is_empty(t);
	start = g_now();
	G_EQ(1, gmprt_timer_reset(t, 5 * G_MS));
	G_GE(receive(t), start + 5 * G_MS);
	is_empty(t);
	G_EQ(0, gmprt_timer_reset(t, 0));
	receive(t);
	gmprt_timer_free(t);
}

G_TEST(reset_moves_the_time_to_and_fro)
{
	gmprt_timer *t = timer_new(60 * G_SEC);
	int64_t start = g_now();

	for (int i = 0; i < 500; i++) {
		G_EQ(1, gmprt_timer_reset(t, (60 + i % 7) * G_SEC));
		G_EQ(1, gmprt_timer_reset(t, (500 - i) * G_SEC));
	}
	G_EQ(1, gmprt_timer_reset(t, G_MS));
	receive(t);
	G_LT(g_now() - start, 30 * G_SEC);
	gmprt_timer_free(t);
}

static void receives_one(void *t)
{
	receive(t);
	gmprt_wg_done(&wg);
}

G_TEST(a_waiting_receiver_outlasts_stop_and_gets_the_next_time)
{
	gmprt_timer *t = timer_new(60 * G_SEC);

	gmprt_wg_add(&wg, 1);
	g_go_named("receiver", receives_one, t);
	g_parked("receiver", 1);
	G_EQ(1, gmprt_timer_stop(t));
	g_parked("receiver", 1);
	G_EQ(0, gmprt_timer_reset(t, G_MS));
	gmprt_wg_wait(&wg);
	G_EQ(0, gmprt_timer_stop(t));
	gmprt_timer_free(t);
}

G_TEST(the_receiver_may_reset_it)
{
	gmprt_timer *t = timer_new(0);
	int64_t last = 0;

	for (int i = 0; i < G_LOOPS(200); i++) {
		int64_t v = receive(t);

		G_LT(last, v);
		last = v;
		G_EQ(0, gmprt_timer_reset(t, 20000));
	}
	gmprt_timer_free(t);
}

/* ---- what stop and reset return, under race ------------------------ */

static gmprt_timer *shared;
static long received, done;

static void receives_all(void *arg)
{
	struct gmprt_case k[] = {
		{ GMPRT_RECV, gmprt_timer_chan(shared), NULL, 0 },
		{ GMPRT_RECV, arg, NULL, 0 },
	};

	while (gmprt_select(k, 2) == 0)
		g_inc(&received);
	gmprt_wg_done(&wg);
}

/*
 * Each time it is set ends in exactly one way: it is received, or the next stop
 * or reset returns 1.
 */
G_TEST(each_time_is_either_received_or_stopped)
{
	gmprt_chan *end = g_chan(0, 0);
	uint64_t rand = (uint64_t)g_procs;
	long set = 1, stopped = 0, n = G_LOOPS(3000);

	shared = timer_new(0);
	gmprt_wg_add(&wg, 2);
	g_go(receives_all, end);
	g_go(receives_all, end);
	for (long i = 0; i < n; i++) {
		int64_t ns = (int64_t)(g_rand(&rand) % 40000);
		int r;

		if (g_rand(&rand) % 4 == 0) {
			r = gmprt_timer_stop(shared);
		} else {
			r = gmprt_timer_reset(shared, ns);
			set++;
		}
		G_TRUE(r == 0 || r == 1);
		stopped += r;
		if (g_rand(&rand) % 8 == 0)
			gmprt_sleep((int64_t)(g_rand(&rand) % 30000));
	}
	stopped += gmprt_timer_stop(shared);
	gmprt_chan_close(end);
	gmprt_wg_wait(&wg);
	G_EQ(set, stopped + g_load(&received));
	gmprt_timer_free(shared);
}

/* Its P computes, so another's M fires it, just when it is stopped. */
G_TEST(nothing_comes_after_stop_whoever_was_firing_it)
{
	gmprt_timer *t = timer_new(0);
	uint64_t rand = (uint64_t)g_procs;

	for (int i = 0; i < G_LOOPS(4000); i++) {
		G_GE(gmprt_timer_reset(t, (int64_t)(g_rand(&rand) % 50000)), 0);
		compute((int64_t)(g_rand(&rand) % 100000));
		gmprt_timer_stop(t);
		for (int k = 0; k < 20; k++)
			is_empty(t);
	}
	gmprt_timer_free(t);
}

static void resets(void *arg)
{
	uint64_t rand = (uintptr_t)arg;

	while (!g_load(&done)) {
		G_GE(gmprt_timer_reset(shared, (int64_t)(g_rand(&rand) % 3000)), 0);
		if (g_rand(&rand) % 3 == 0)
			G_GE(gmprt_timer_stop(shared), 0);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

G_TEST(many_may_reset_and_stop_one_timer)
{
	shared = timer_new(0);
	gmprt_wg_add(&wg, 4);
	for (uintptr_t i = 1; i <= 4; i++)
		g_go(resets, (void *)i);
	gmprt_sleep(50 * G_MS);
	g_store(&done, 1);
	gmprt_wg_wait(&wg);
	gmprt_timer_stop(shared);
	is_empty(shared);
	gmprt_timer_free(shared);
}

/* ---- freeing ------------------------------------------------------- */

static void makes_and_frees(void *arg)
{
	uint64_t rand = (uintptr_t)arg;

	for (int i = 0; i < G_LOOPS(3000); i++) {
		gmprt_timer *t = timer_new((int64_t)(g_rand(&rand) % 20000));

		if (g_rand(&rand) % 4 == 0)
			gmprt_yield();
		if (g_rand(&rand) % 4 == 0)
			receive(t);
		gmprt_timer_free(t);
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_timer_may_be_freed_while_others_fire_it)
{
	gmprt_wg_add(&wg, 8);
	for (uintptr_t i = 1; i <= 8; i++)
		g_go(makes_and_frees, (void *)i);
	gmprt_wg_wait(&wg);
	gmprt_timer_free(NULL);
}

static void frees_with_a_waiter(void *arg)
{
	gmprt_timer *t = timer_new(60 * G_SEC);

	(void)arg;
	g_go_named("receiver", receives_one, t);
	g_parked("receiver", 1);
	gmprt_timer_free(t);
}

static void run_that_misuses(void)
{
	G_OK(gmprt_run(NULL, frees_with_a_waiter, NULL));
}

TEST(free_with_a_waiting_goroutine_aborts)
{
	static struct g_end end;

	g_child(&end, run_that_misuses);
	G_SIGNALED(&end, SIGABRT);
	G_SAYS(&end, "gmprt_timer_free(");
	G_SAYS(&end, "goroutines wait on its channel");
}

static gmprt_timer *forever_timer;

static void sends_to_it(void)
{
	forever_timer = timer_new(60 * G_SEC);
	(void)!gmprt_chan_send_try(gmprt_timer_chan(forever_timer), &(int64_t){ 1 });
}

static void selects_to_it(void)
{
	struct gmprt_case k = { .op = GMPRT_SEND, .elem = &(int64_t){ 1 } };

	forever_timer = timer_new(60 * G_SEC);
	k.chan = gmprt_timer_chan(forever_timer);
	(void)!gmprt_select(&k, 1);
}

static void closes_it(void)
{
	forever_timer = timer_new(60 * G_SEC);
	(void)!gmprt_chan_close(gmprt_timer_chan(forever_timer));
}

static void frees_it(void)
{
	forever_timer = timer_new(60 * G_SEC);
	gmprt_chan_free(gmprt_timer_chan(forever_timer));
}

TEST(to_send_to_its_channel_close_or_free_it_aborts)
{
	static void (*const misuse[])(void) = { sends_to_it, selects_to_it, closes_it, frees_it };
	static struct g_end end;

	for (size_t i = 0; i < ARRAY_SIZE(misuse); i++) {
		g_child_run(&end, misuse[i]);
		G_SIGNALED(&end, SIGABRT);
		G_SAYS(&end, "timer's");
	}
}

TEST(null_is_EINVAL)
{
	G_TRUE(!gmprt_timer_chan(NULL));
	G_TRUE(!gmprt_ticker_chan(NULL));
	G_EQ(-EINVAL, gmprt_timer_stop(NULL));
	G_EQ(-EINVAL, gmprt_timer_reset(NULL, 1));
}

TEST_HARNESS_MAIN
