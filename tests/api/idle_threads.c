/* SPDX-License-Identifier: MIT */
/*
 * idle_threads.c - proves: the threads that a storm of blocking calls left
 * behind go away, and wake nobody while they wait for that
 */
#include <pthread.h>

#include "lib/gstorm.h"
#include "lib/gtest.h"

#define STORM 200

static gmprt_chan *never;
static long parked;

/* While all goroutines wait; from a thread that the run time knows nothing of. */
static void expect_quiet(void)
{
	const int seconds = 3;
	long before, after;

	g_nap(G_SEC); /* spinning Ms, sysmon, memory to be given back */
	before = g_sleeps();
	g_nap(seconds * G_SEC);
	after = g_sleeps();
	G_LT(after - before, G_IDLE_WAKES * seconds);
}

static void *looks_on(void *arg)
{
	while (!g_load(&parked))
		g_nap(G_MS);
	((void (*)(void))arg)();
	G_OK(gmprt_chan_close(never));
	return NULL;
}

/* The main goroutine waits for a thread that looks on meanwhile. */
static void idle_while(void (*look)(void))
{
	pthread_t t;

	never = gmprt_chan_make(0, 0);
	G_TRUE(never);
	G_OK(pthread_create(&t, NULL, looks_on, (void *)look));
	g_store(&parked, 1);
	G_EQ(-EPIPE, gmprt_chan_recv(never, NULL));
	G_OK(pthread_join(t, NULL));
	gmprt_chan_free(never);
}

/* Tests that take seconds. */
FIXTURE(once)
{
	int unused;
};

FIXTURE_SETUP(once)
{
}

FIXTURE_TEARDOWN(once)
{
}

/* ---- after a storm ------------------------------------------------ */

static void expect_few_threads(void)
{
	/* They do not go at once: the next storm may be near. */
	G_GE(g_stats().nr_threads, STORM);
	while (g_stats().nr_threads > g_procs + 1)
		g_nap(100 * G_MS);
	expect_quiet();
	/* Beside them sysmon, the test's three and a sanitizer's two. */
	while (g_status_kb("Threads:") > g_procs + 1 + 6)
		g_nap(G_MS);
}

static void one_storm(void)
{
	g_storm(STORM);
	idle_while(expect_few_threads);
}

TEST_F_TIMEOUT(once, threads_go_away_after_a_storm_of_blocking_calls, 2 * G_TIMEOUT * G_SLOW)
{
	g_procs = 2;
	g_watch("storm", 2 * G_TIMEOUT * G_SLOW - 5);
	g_run(2, one_storm);
	g_watch_end();
}

TEST_HARNESS_MAIN
