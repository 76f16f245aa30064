/* SPDX-License-Identifier: MIT */
/*
 * maxprocs.c - proves: the number of Ps can be asked for and changed while
 * goroutines run, and bounds how many run at a time
 */
#include "lib/gtest.h"

static gmprt_wg wg;
static long stop, running, most, switches;

G_TEST(setting_returns_what_was_before)
{
	G_EQ(g_procs, gmprt_maxprocs(0));
	G_EQ(g_procs, gmprt_maxprocs(-5));
	G_EQ(g_procs, gmprt_maxprocs(3));
	G_EQ(3, gmprt_maxprocs(0));
	G_EQ(3, g_stats().maxprocs);
	G_EQ(3, gmprt_maxprocs(100000));
	G_EQ(1024, gmprt_maxprocs(1));
	G_EQ(1, gmprt_maxprocs(g_procs));
	G_EQ(g_procs, gmprt_maxprocs(0));
}

TEST(outside_a_run_it_can_only_be_asked_for)
{
	G_GE(gmprt_maxprocs(0), 1);
	G_EQ(-EPERM, gmprt_maxprocs(2));
}

/*
 * Counts the goroutines between two yields. An M that computes has a P, so
 * never more than the number of Ps are there; a moment after a change the old
 * number may still hold.
 */
static void runs(void *arg)
{
	(void)arg;
	while (!g_load(&stop)) {
		long n = g_inc(&running);
		long m = g_load(&most);

		while (n > m && !__atomic_compare_exchange_n(&most, &m, n, false, __ATOMIC_SEQ_CST,
							     __ATOMIC_SEQ_CST))
			;
		for (volatile int i = 0; i < 300; i++)
			;
		__atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
		g_inc(&switches);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

static void check_bound(int n)
{
	/* All Ps that are too many come by within some rounds of yields. */
	gmprt_sleep(30 * G_MS);
	g_store(&most, 0);
	gmprt_sleep(20 * G_MS);
	G_LE(g_load(&most), n);
	G_GE(g_load(&most), 1);
}

G_TEST(never_more_run_at_a_time_than_there_are_Ps)
{
	static const int sizes[] = { 2, 1, 8, 3, 16, 1, 4 };
	long before;

	gmprt_wg_add(&wg, 20);
	for (int i = 0; i < 20; i++)
		g_go(runs, NULL);
	check_bound(g_procs);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		gmprt_maxprocs(sizes[i]);
		before = g_load(&switches);
		check_bound(sizes[i]);
		G_GT(g_load(&switches), before);
	}
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

static void adds(void *n)
{
	for (long i = 0; i < (intptr_t)n; i++) {
		g_inc(&running);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

G_TEST(no_goroutine_is_lost_while_the_number_changes)
{
	uint64_t rand = 5;
	long n = G_LOOPS(3000);

	gmprt_wg_add(&wg, 50);
	for (int i = 0; i < 50; i++)
		g_go(adds, (void *)(intptr_t)n);
	while (gmprt_wg_wait_try(&wg) != 0) {
		gmprt_maxprocs(1 + (int)(g_rand(&rand) % 8));
		gmprt_sleep(G_MS / 5);
	}
	G_EQ(50 * n, g_load(&running));
}

TEST_HARNESS_MAIN
