/* SPDX-License-Identifier: MIT */
/*
 * ticker.c - proves: a ticker keeps its period and its phase, a slow receiver
 * misses ticks and gets none twice, and after stop and reset none from before
 * comes
 */
#include <pthread.h>

#include "lib/gtest.h"

static gmprt_wg wg;

static gmprt_ticker *ticker_new(int64_t period)
{
	gmprt_ticker *t = gmprt_ticker_make(period);

	G_TRUE(t);
	return t;
}

static int64_t receive(gmprt_ticker *t)
{
	int64_t v = 0;

	G_OK(gmprt_chan_recv(gmprt_ticker_chan(t), &v));
	G_GE(g_now(), v);
	return v;
}

static void is_empty(gmprt_ticker *t)
{
	int64_t v;

	G_EQ(-EAGAIN, gmprt_chan_recv_try(gmprt_ticker_chan(t), &v));
}

static void compute(int64_t ns)
{
	int64_t end = g_now() + ns;

	while (g_now() < end)
		;
}

G_TEST(ticks_are_whole_periods_apart)
{
	int64_t start = g_now(), period = 500000, first, last;
	gmprt_ticker *t = ticker_new(period);

	first = last = receive(t);
	G_GE(first, start + period);
	for (int i = 0; i < 50; i++) {
		int64_t v = receive(t);

		G_GE(v, last + period);
		G_EQ(0, (v - first) % period);
		last = v;
	}
	G_EQ(1, gmprt_ticker_stop(t));
	gmprt_ticker_free(t);
}

/* It gets the first that it missed, and the next one to come. */
G_TEST(a_slow_receiver_misses_ticks_and_the_phase_stays)
{
	int64_t period = G_MS, first, last;
	gmprt_ticker *t = ticker_new(period);

	first = receive(t);
	for (int i = 0; i < 5; i++) {
		int64_t missed;

		gmprt_sleep(20 * period);
		missed = last = receive(t);
		for (int k = 0; k < 3; k++) { /* some M may have one in hand */
			int64_t v = receive(t);

			G_GE(v, last + period);
			last = v;
		}
		G_GE(last, missed + 19 * period);
		G_EQ(0, (last - first) % period);
	}
	gmprt_ticker_free(t);
}

/* The same where nobody but the receiver looks at the time. */
G_TEST(a_receive_finds_the_first_tick_of_those_that_have_passed)
{
	int64_t period = 2 * G_MS;
	gmprt_ticker *t = ticker_new(period);
	int64_t start = g_now(), v;

	compute(4 * period);
	G_OK(gmprt_chan_recv_try(gmprt_ticker_chan(t), &v));
	G_LE(v, start + period);
	gmprt_ticker_free(t);
}

G_TEST(stop_ends_it_and_takes_the_last_tick_back)
{
	gmprt_ticker *t = ticker_new(G_MS);

	gmprt_sleep(5 * G_MS);
	G_EQ(1, gmprt_ticker_stop(t));
	is_empty(t);
	gmprt_sleep(5 * G_MS);
	is_empty(t);
	G_EQ(0, gmprt_ticker_stop(t));
	gmprt_ticker_free(t);
}

G_TEST(reset_sets_another_period_from_now_on)
{
	gmprt_ticker *t = ticker_new(G_MS);
	int64_t start, first;

	gmprt_sleep(5 * G_MS);
	G_EQ(1, gmprt_ticker_reset(t, 60 * G_SEC));
	is_empty(t);
	start = g_now();
	G_EQ(1, gmprt_ticker_reset(t, 7 * G_MS));
	first = receive(t);
	G_GE(first, start + 7 * G_MS);
	G_EQ(0, (receive(t) - first) % (7 * G_MS));
	G_EQ(1, gmprt_ticker_stop(t));
	G_EQ(0, gmprt_ticker_reset(t, G_MS));
	receive(t);
	receive(t);
	gmprt_ticker_free(t);
}

G_TEST(a_period_must_be_positive)
{
	gmprt_ticker *t = ticker_new(60 * G_SEC);

	for (int64_t period = -1; period <= 0; period++) {
		errno = 0;
		G_TRUE(!gmprt_ticker_make(period));
		G_EQ(EINVAL, errno);
		G_EQ(-EINVAL, gmprt_ticker_reset(t, period));
	}
	G_EQ(-EINVAL, gmprt_ticker_reset(t, INT64_MIN));
	G_EQ(1, gmprt_ticker_stop(t)); /* as it was */
	gmprt_ticker_free(t);
}

G_TEST(the_longest_period_does_not_overflow)
{
	gmprt_ticker *t = ticker_new(INT64_MAX);

	gmprt_sleep(G_MS);
	is_empty(t);
	G_EQ(1, gmprt_ticker_stop(t));
	gmprt_ticker_free(t);
}

/* Due at every look; the rest of the program must go on. */
G_TEST(the_shortest_period_starves_nobody)
{
	gmprt_ticker *t = ticker_new(1), *other = ticker_new(G_MS);
	int64_t last = 0;

	for (int i = 0; i < 20; i++) {
		int64_t v = receive(t);

		G_LT(last, v);
		last = v;
		receive(other);
		gmprt_sleep(20000);
	}
	G_EQ(1, gmprt_ticker_stop(t));
	is_empty(t);
	gmprt_ticker_free(t);
	gmprt_ticker_free(other);
}

static gmprt_ticker *shared;
static int64_t seen[200];
static long nr_seen;

static void takes_ticks(void *arg)
{
	(void)arg;
	for (long i; (i = g_inc(&nr_seen) - 1) < (long)ARRAY_SIZE(seen);)
		seen[i] = receive(shared);
	gmprt_wg_done(&wg);
}

G_TEST(no_tick_is_received_twice)
{
	shared = ticker_new(20000);
	gmprt_wg_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		g_go(takes_ticks, NULL);
	gmprt_wg_wait(&wg);
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		for (size_t k = 0; k < i; k++)
			G_NE(seen[i], seen[k]);
	gmprt_ticker_free(shared);
}

static void *ticks_from_outside(void *arg)
{
	gmprt_ticker **t = arg;

	g_nap(10 * G_MS); /* all goroutines sleep by then */
	G_EQ(1, gmprt_ticker_reset(*t, G_MS));
	g_nap(10 * G_MS);
	return NULL;
}

G_TEST(a_thread_that_is_no_goroutine_sets_a_ticker)
{
	gmprt_ticker *t = ticker_new(60 * G_SEC);
	pthread_t thread;

	G_OK(pthread_create(&thread, NULL, ticks_from_outside, &t));
	for (int i = 0; i < 5; i++)
		receive(t);
	G_OK(pthread_join(thread, NULL));
	gmprt_ticker_free(t);
}

/* Of a P that is no more, too. */
G_TEST(a_ticker_goes_on_while_the_number_of_Ps_changes)
{
	gmprt_ticker *t[8];

	for (int i = 0; i < 8; i++)
		t[i] = ticker_new(200000);
	for (int round = 0; round < 20; round++) {
		gmprt_maxprocs(1 + round * 5 % 8);
		for (int i = 0; i < 8; i++)
			receive(t[i]);
	}
	for (int i = 0; i < 8; i++)
		gmprt_ticker_free(t[i]);
}

static void leaves_a_ticker(void *arg)
{
	(void)arg;
	shared = ticker_new(G_MS);
	receive(shared);
}

TEST(the_end_of_a_run_stops_its_tickers)
{
	G_OK(gmprt_run(NULL, leaves_a_ticker, NULL));
	g_nap(5 * G_MS);
	gmprt_ticker_stop(shared); /* 1 if a tick came last of all */
	is_empty(shared);
	G_EQ(-EPERM, gmprt_ticker_reset(shared, 1));
	gmprt_ticker_free(shared);
	gmprt_ticker_free(NULL);
	G_EQ(-EINVAL, gmprt_ticker_stop(NULL));
	G_EQ(-EINVAL, gmprt_ticker_reset(NULL, 1));
}

TEST_HARNESS_MAIN
