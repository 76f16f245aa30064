/* SPDX-License-Identifier: MIT */
/*
 * idle.c - proves: a program that has nothing to do sleeps: its threads wake
 * less than five times a second
 */
#include <pthread.h>

#include "lib/gtest.h"

static gmprt_wg wg;
static gmprt_chan *never;
static long nr_switches;

static int64_t begin;

static void *measures(void *end)
{
	long before;

	g_nap(begin - g_now());
	before = g_sleeps();
	g_nap(G_SEC);
	nr_switches = g_sleeps() - before;
	gmprt_chan_close(end);
	return NULL;
}

/*
 * Measures a second from `at` on. All goroutines wait meanwhile, for a thread
 * that is none. False: not idle.
 */
static bool is_idle(int64_t at)
{
	gmprt_chan *end = g_chan(0, 0);
	pthread_t thread;

	begin = g_now() + 100 * G_MS; /* what was going on comes to rest */
	begin = at > begin ? at : begin;
	G_OK(pthread_create(&thread, NULL, measures, end));
	G_EQ(-EPIPE, gmprt_chan_recv(end, NULL));
	G_OK(pthread_join(thread, NULL));
	return nr_switches < G_IDLE_WAKES;
}

/* On a busy machine what was going on may take longer to come to rest: three
 * attempts. */
static void check_idle(bool (*attempt)(void))
{
	for (int i = 0; i < 3; i++)
		if (attempt())
			return;
	G_LT(nr_switches, G_IDLE_WAKES);
}

static void parks(void *arg)
{
	(void)arg;
	gmprt_chan_recv(never, NULL);
}

static bool with_parked(void)
{
	return is_idle(0);
}

static void parked(void)
{
	never = g_chan(0, 0);
	for (int i = 0; i < 100; i++)
		g_go_named("parked", parks, NULL);
	g_parked("parked", 100);
	check_idle(with_parked);
}

TEST(with_parked_goroutines)
{
	g_run(2, parked);
}

static int64_t start;

/* The deadlines lie in the second that is measured; but nobody is there then. */
static void waits_with_a_deadline(void *i)
{
	int64_t deadline = start + G_SEC + (int64_t)(intptr_t)i * G_MS;

	(void)!gmprt_chan_recv_dl(never, NULL, deadline);
	gmprt_wg_done(&wg);
}

static bool with_deadlines(void)
{
	never = g_chan(0, 0);
	start = g_now();
	gmprt_wg_add(&wg, 1000);
	for (intptr_t i = 0; i < 1000; i++)
		g_go(waits_with_a_deadline, (void *)i);
	gmprt_sleep(50 * G_MS);
	gmprt_chan_close(never);
	gmprt_wg_wait(&wg);
	return is_idle(start + G_SEC);
}

G_TEST(with_a_thousand_deadlines_that_were_cancelled)
{
	check_idle(with_deadlines);
}

static bool with_stopped(void)
{
	gmprt_timer *t[200];
	gmprt_ticker *ticker = gmprt_ticker_make(G_MS);
	bool idle;

	G_TRUE(ticker);
	for (int i = 0; i < 200; i++) {
		t[i] = gmprt_timer_make((100 + i * 10) * G_MS);
		G_TRUE(t[i]);
	}
	G_OK(gmprt_chan_recv(gmprt_ticker_chan(ticker), NULL));
	gmprt_ticker_stop(ticker);
	for (int i = 0; i < 200; i++)
		gmprt_timer_stop(t[i]);
	idle = is_idle(0);
	for (int i = 0; i < 200; i++)
		gmprt_timer_free(t[i]);
	gmprt_ticker_free(ticker);
	return idle;
}

static void stopped(void)
{
	check_idle(with_stopped);
}

TEST(with_timers_that_were_stopped)
{
	g_run(2, stopped);
}

TEST_HARNESS_MAIN
