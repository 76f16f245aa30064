/* SPDX-License-Identifier: MIT */
/*
 * maxprocs.c - proves: the number of Ps can be asked for and changed while
 * goroutines run, and bounds how many run at a time
 */
#include "lib/gtest.h"

static gmprt_wg wg;
static long running, most;

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
 * Counts the goroutines between two yields. An M that computes there has a P,
 * so never more than the number of Ps are there, but for two cases: an M that
 * the kernel kept off its CPU since before the last change still has a P too
 * many, once; and who lost its P in there (by a preemption, say) stands there
 * until it gets another.
 */
static void runs(void *rounds)
{
	for (intptr_t i = (intptr_t)rounds; i > 0; i--) {
		long n = g_inc(&running);
		long m = g_load(&most);

		while (n > m && !__atomic_compare_exchange_n(&most, &m, n, false, __ATOMIC_SEQ_CST,
							     __ATOMIC_SEQ_CST))
			;
		for (volatile int k = 0; k < 300; k++)
			;
		__atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

static long most_of_20(void)
{
	g_store(&most, 0);
	gmprt_wg_add(&wg, 20);
	for (int i = 0; i < 20; i++)
		g_go(runs, (void *)(intptr_t)G_LOOPS(1000));
	gmprt_wg_wait(&wg);
	return g_load(&most);
}

static uint64_t lost_ps(void)
{
	struct gmprt_stats s = g_stats();

	return s.nr_preempts + s.nr_handoffs;
}

/* Until it was kept five times; rounds in which Ps were lost say nothing. */
static void check_bound(int was, int n)
{
	int kept = 0, late = 0;

	while (kept < 5) {
		uint64_t lost = lost_ps();
		long seen = most_of_20();

		if (seen <= n)
			kept++;
		else if (lost_ps() == lost && ++late > was - n)
			G_FAIL("%ld ran at a time with %d Ps, %d before", seen, n, was);
	}
}

G_TEST(never_more_run_at_a_time_than_there_are_Ps)
{
	static const int sizes[] = { 2, 1, 8, 3, 16, 1, 4 };
	int was = g_procs;

	check_bound(was, was);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		gmprt_maxprocs(sizes[i]);
		check_bound(was, sizes[i]);
		was = sizes[i];
	}
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
