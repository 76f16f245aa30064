/* SPDX-License-Identifier: MIT */
/*
 * sleep.c - proves: sleepers wake in the order of their times, never early,
 * and about when they should; and which time that is
 */
#include "lib/gtest.h"

static gmprt_wg wg;
static long done;

static void check_sleep(int64_t ns)
{
	int64_t start = g_now();

	G_OK(gmprt_sleep(ns));
	G_GE(g_now() - start, ns);
	G_LT(g_now() - start, ns + 2 * G_SEC);
}

G_TEST(a_sleep_is_never_short)
{
	for (int i = 0; i < 50; i++)
		check_sleep(i * i * 1000);
	check_sleep(100 * G_MS);
}

static void check_now(void)
{
	for (int i = 0; i < 100; i++) {
		int64_t before = g_now(), now = gmprt_now();

		G_GE(now, before);
		G_LE(now, g_now());
	}
}

TEST(the_time_is_CLOCK_MONOTONICs_outside_a_run_too)
{
	check_now();
	g_run(2, check_now);
	check_now();
}

G_TEST(a_deadline_counts_from_now)
{
	gmprt_chan *c = gmprt_chan_make(0, 0);
	int64_t start = g_now();

	G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(c, NULL, gmprt_now()));
	G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(c, NULL, gmprt_now() + 20 * G_MS));
	G_GE(g_now() - start, 20 * G_MS);
	gmprt_chan_free(c);
}

G_TEST(a_sleep_of_nothing_yields)
{
	G_OK(gmprt_sleep(0));
	G_OK(gmprt_sleep(-1));
	G_OK(gmprt_sleep(INT64_MIN));
}

G_TEST(a_sleep_is_about_as_long_as_asked)
{
	int64_t best = INT64_MAX;

	/* The best of some: the machine may be busy, but not each time. */
	for (int i = 0; i < 20; i++) {
		int64_t start = g_now();

		G_OK(gmprt_sleep(2 * G_MS));
		start = g_now() - start - 2 * G_MS;
		best = start < best ? start : best;
	}
	G_LT(best, G_MS * G_SLOW);
}

/*
 * Sleepers a clear distance apart wake in order, in whichever order they
 * began.
 */
#define SLEEPERS 20

static long order[SLEEPERS];
static long at;
static int64_t start;

static void sleeps_until(void *n)
{
	int64_t wait = start + (20 + 10 * (int64_t)(intptr_t)n) * G_MS * G_SLOW - g_now();

	G_OK(gmprt_sleep(wait));
	order[g_inc(&at) - 1] = (long)(intptr_t)n;
}

static void sleepers_in_order(void)
{
	start = g_now();
	for (intptr_t i = 0; i < SLEEPERS; i++)
		g_go(sleeps_until, (void *)(i * 7 % SLEEPERS));
	g_until(&at, SLEEPERS);
	for (int i = 0; i < SLEEPERS; i++)
		G_EQ(i, order[i]);
}

TEST(sleepers_wake_in_the_order_of_their_times)
{
	g_watch("sleepers", G_TIMEOUT * G_SLOW);
	/* One P: nothing can come between waking and noting. */
	g_run(1, sleepers_in_order);
	g_watch_end();
}

static void sleeps_at_random(void *seed)
{
	uint64_t rand = (uintptr_t)seed;

	for (int i = 0; i < 10; i++) {
		int64_t ns = (int64_t)(g_rand(&rand) % (3 * G_MS)), then = g_now();

		G_OK(gmprt_sleep(ns));
		G_GE(g_now() - then, ns);
	}
	gmprt_wg_done(&wg);
}

G_TEST(thousands_may_sleep_at_a_time)
{
	int n = (int)G_LOOPS(3000);

	gmprt_wg_add(&wg, n);
	for (uintptr_t i = 1; i <= (uintptr_t)n; i++)
		g_go(sleeps_at_random, (void *)i);
	gmprt_wg_wait(&wg);
}

static void computes(void *arg)
{
	(void)arg;
	while (!g_load(&done))
		gmprt_yield();
}

G_TEST(sleepers_wake_while_others_keep_every_P_busy)
{
	int64_t then = g_now();

	for (int i = 0; i < 2 * g_procs; i++)
		g_go(computes, NULL);
	for (int i = 0; i < 20; i++)
		check_sleep(G_MS);
	G_LT(g_now() - then, 10 * G_SEC);
	g_store(&done, 1);
}

static void sleeps_for_ever(void *arg)
{
	(void)arg;
	gmprt_sleep(INT64_MAX);
	G_FAIL("a sleep of 292 years is over");
}

G_TEST(the_longest_sleep_does_not_overflow)
{
	g_go_named("sleeper", sleeps_for_ever, NULL);
	g_parked("sleeper", 1);
	G_OK(gmprt_sleep(10 * G_MS));
	g_parked("sleeper", 1);
}

TEST(sleep_outside_a_goroutine_is_EPERM)
{
	G_EQ(-EPERM, gmprt_sleep(1));
}

TEST_HARNESS_MAIN
