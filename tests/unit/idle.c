/* SPDX-License-Identifier: MIT */
/*
 * An M that has idled for long ends, and all it had comes back: its place in
 * the list, its slot number, its alternate stack. As many as there are Ps, and
 * one, stay; the one that sleeps for a timer stays as long as it must.
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"
#include "lib/gstorm.h"
#include "lib/gtest.h"
#include "sched/switch.h"

#define STORM 40

static void storm(void)
{
	g_storm(STORM);
}

/* Those that idle for ever, at work, and the time keeper: this sleeps. */
static int few(int procs)
{
	return 2 * procs + 2;
}

static void until_threads(int n)
{
	while (g_stats().nr_threads > n)
		gmprt_sleep(5 * G_MS);
}

/* Goroutines' stacks stay until the end of the run. */
static size_t mapped_but_stacks(void)
{
	return rt_mapped_bytes() - g_stats().stack_bytes_reserved;
}

static void storms_and_calms(void)
{
	struct rt_sched *s = load_seq(&rt_cur);
	size_t mapped, altstack = 64 * 1024;
	uint32_t most;

	storm(); /* descriptors stay too */
	until_threads(few(g_procs));
	most = load_rlx(&s->nr_mids);
	gmprt_sleep(50 * G_MS);
	mapped = mapped_but_stacks() + (size_t)few(g_procs) * altstack;
	for (int i = 0; i < 3; i++) {
		storm();
		until_threads(few(g_procs));
		while (mapped_but_stacks() > mapped) /* the threads come to their end */
			gmprt_sleep(5 * G_MS);
	}
	/* Numbers are used again: each storm needs its own, and some more. */
	G_LE(load_rlx(&s->nr_mids), most + (uint32_t)few(g_procs));
}

P_TEST(what_an_M_had_comes_back_when_it_ends)
{
	rt_m_idle_ns = 50 * G_MS;
	g_watch("storms", G_TIMEOUT * G_SLOW);
	g_run(g_procs, storms_and_calms);
	g_watch_end();
}

static void shrinks(void)
{
	storm();
	until_threads(few(g_procs));
	gmprt_maxprocs(1);
	until_threads(few(1));
}

P_TEST(with_fewer_Ps_fewer_idle_Ms_stay)
{
	rt_m_idle_ns = 50 * G_MS;
	g_watch("shrinks", G_TIMEOUT * G_SLOW);
	g_run(g_procs, shrinks);
	g_watch_end();
}

static void sleeps_long(void)
{
	for (int i = 0; i < 5; i++) {
		int64_t t = g_now();

		storm();
		G_OK(gmprt_sleep(100 * G_MS));
		G_GE(g_now() - t, 100 * G_MS);
	}
}

/* If it were dismissed, nobody would wake up for the timer: the test hangs. */
P_TEST(the_M_that_sleeps_for_a_timer_stays)
{
	rt_m_idle_ns = 0;
	g_watch("sleeps", G_TIMEOUT * G_SLOW);
	g_run(g_procs, sleeps_long);
	g_watch_end();
}

TEST_HARNESS_MAIN
