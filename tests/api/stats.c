/* SPDX-License-Identifier: MIT */
/*
 * stats.c - proves: the counters count what their comments say
 */
#include "lib/gtest.h"

static long done;
static gmprt_chan *gate;

static void waits(void *arg)
{
	(void)arg;
	gmprt_chan_recv(gate, NULL);
	g_inc(&done);
}

static void nothing(void *arg)
{
	(void)arg;
}

G_TEST(goroutines_are_counted)
{
	struct gmprt_stats a = g_stats(), b;

	G_EQ(g_procs, a.maxprocs);
	G_EQ(1, a.nr_goroutines);
	G_EQ(1, a.nr_created - a.nr_ended);
	G_GE(a.nr_threads, 1);
	G_GE(a.nr_threads_peak, a.nr_threads);
	gate = g_chan(0, 0);
	for (int i = 0; i < 100; i++)
		g_go_named("waiter", waits, NULL);
	g_parked("waiter", 100);
	b = g_stats();
	G_EQ(101, b.nr_goroutines);
	G_EQ(a.nr_created + 100, b.nr_created);
	G_GE(b.nr_switches, a.nr_switches + 100);
	G_GE(b.nr_stacks, 101);
	G_GE(b.stack_bytes_reserved, 101 * (256 << 10));
	G_OK(gmprt_chan_close(gate));
	while (gmprt_num_goroutine() != 1)
		gmprt_sleep(G_MS / 10);
	b = g_stats();
	G_EQ(a.nr_ended + 100, b.nr_ended);
	G_EQ(1, b.nr_goroutines);
}

G_TEST(forks_are_counted_apart_from_goroutines)
{
	struct gmprt_stats a = g_stats(), b;
	struct gmprt_task t[10];

	for (int i = 0; i < 10; i++)
		G_OK(gmprt_fork(&t[i], nothing, NULL));
	for (int i = 9; i >= 0; i--)
		gmprt_join(&t[i]);
	/* A thief that is about to find nothing has made a goroutine for it. */
	while ((b = g_stats()).nr_created != a.nr_created)
		gmprt_yield();
	G_EQ(a.nr_forks + 10, b.nr_forks);
	G_LE(b.nr_inline_joins - a.nr_inline_joins, 10);
	if (g_procs == 1)
		G_EQ(10, b.nr_inline_joins - a.nr_inline_joins);
}

static void overflows(void)
{
	struct gmprt_stats a = g_stats();

	for (int i = 0; i < 1000; i++)
		g_go(nothing, NULL);
	G_GE(g_stats().nr_overflows - a.nr_overflows, 3);
}

TEST(half_a_full_queue_moves_to_the_global_one)
{
	g_run(1, overflows);
}

static void spins(void *arg)
{
	int64_t end = g_now() + 20 * G_MS;

	(void)arg;
	while (g_now() < end)
		;
	g_inc(&done);
}

static void work_is_shared(void)
{
	struct gmprt_stats a = g_stats(), b;

	for (int i = 0; i < 8; i++)
		g_go(spins, NULL);
	g_until(&done, 8);
	b = g_stats();
	G_GE(b.nr_steals - a.nr_steals, 1);
	G_GE(b.nr_wakeups - a.nr_wakeups, 1);
}

TEST(idle_Ps_are_woken_and_steal)
{
	g_watch("steal", G_TIMEOUT * G_SLOW);
	g_run(4, work_is_shared);
	g_watch_end();
}

static void empty(void)
{
}

TEST(counters_of_the_last_run_stay_readable)
{
	struct gmprt_stats s = { .size = sizeof(s) };

	G_EQ(-ENODATA, gmprt_stats_read(&s));
	g_run(2, empty);
	s = g_stats();
	G_GE(s.nr_created, 1);
}

G_TEST(older_and_newer_programs_are_served)
{
	struct {
		struct gmprt_stats s;
		uint64_t later;
	} big = { .s = { .size = sizeof(big) }, .later = 7 };
	struct gmprt_stats s;

	/* A field this library doesn't know is zeroed. */
	G_OK(gmprt_stats_read(&big.s));
	G_EQ(0, big.later);
	/* A field the program doesn't know is left alone. */
	memset(&s, 0xff, sizeof(s));
	s.size = offsetof(struct gmprt_stats, nr_created);
	G_OK(gmprt_stats_read(&s));
	G_EQ(1, s.nr_goroutines);
	G_EQ(UINT64_MAX, s.nr_created);
	G_EQ(UINT64_MAX, s.nr_stacks);
	s.size = 0;
	G_EQ(-EINVAL, gmprt_stats_read(&s));
	s.size = sizeof(size_t);
	G_EQ(-EINVAL, gmprt_stats_read(&s));
}

TEST_HARNESS_MAIN
