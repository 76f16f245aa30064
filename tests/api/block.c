/* SPDX-License-Identifier: MIT */
/*
 * block.c - proves: between gmprt_block_enter() and gmprt_block_exit() the P
 * works on for others, afterwards the goroutine holds a P again and its errno
 */
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "lib/gtest.h"

static long ticks, done;

static void ticker(void *arg)
{
	(void)arg;
	while (!g_load(&done)) {
		g_inc(&ticks);
		gmprt_yield();
	}
	g_inc(&done);
}

static void one_blocks(void)
{
	uint64_t idle = g_stats().idle_with_work_ns;
	uint64_t blocks = g_stats().nr_blocks;
	long before, after;

	g_go(ticker, NULL);
	while (g_load(&ticks) == 0)
		gmprt_yield();
	before = g_load(&ticks);
	gmprt_block_enter();
	g_nap(200 * G_MS);
	after = g_load(&ticks);
	gmprt_block_exit();
	G_GT(after - before, 1000 / G_SLOW);
	G_GE(g_stats().nr_handoffs, 1);
	G_EQ(blocks + 1, g_stats().nr_blocks);
	/* sysmon may sleep 10 ms when nothing happened lately. */
	G_LT(g_stats().idle_with_work_ns - idle, 60 * G_MS * G_SLOW);
	/* Back on the only P: nobody else runs between two of our calls. (A backend in
	 * the kernel would hand it on in the nap.) */
	for (int i = 0; i < 100 && strcmp(gmprt_upcall_backend(), "sysmon") == 0; i++) {
		before = g_load(&ticks);
		g_nap(1000);
		G_EQ(before, g_load(&ticks));
		gmprt_yield();
	}
	g_store(&done, 1);
	while (g_load(&done) != 2)
		gmprt_yield();
}

TEST(another_goroutine_runs_on_the_only_P_meanwhile)
{
	g_watch("block", G_TIMEOUT * G_SLOW);
	g_run(1, one_blocks);
	g_watch_end();
}

/* ---- many blocked at a time ---- */

static gmprt_wg wg;

static void naps(void *arg)
{
	(void)arg;
	g_set_errno(77);
	gmprt_block_enter();
	g_nap(100 * G_MS);
	gmprt_block_exit();
	G_EQ(77, g_errno());
	gmprt_wg_done(&wg);
}

G_TEST(more_goroutines_than_Ps_block_side_by_side)
{
	int64_t start = g_now();

	gmprt_wg_add(&wg, 32);
	for (int i = 0; i < 32; i++)
		g_go(naps, NULL);
	gmprt_wg_wait(&wg);
	/* One after the other would be 3.2 s for one P, 0.4 s for eight. */
	G_LT(g_now() - start, (g_procs == 1 ? 1500 : 1000) * G_MS * G_SLOW);
	G_GE(g_stats().nr_threads_peak, 10);
	G_EQ(32, g_stats().nr_blocks);
}

/* ---- pairs ---- */

G_TEST(inner_pairs_are_ignored)
{
	for (int i = 0; i < 1000; i++) {
		gmprt_block_enter();
		gmprt_block_enter();
		gmprt_block_enter();
		if (i % 100 == 0)
			g_nap(G_MS);
		gmprt_block_exit();
		gmprt_block_exit();
		if (i % 100 == 50)
			g_nap(G_MS);
		gmprt_block_exit();
		gmprt_yield();
	}
}

G_TEST(a_short_block_keeps_the_P)
{
	uint64_t before = g_stats().nr_handoffs;

	for (int i = 0; i < G_LOOPS(100000); i++) {
		gmprt_block_enter();
		gmprt_block_exit();
	}
	/* Nobody else has work: there is no reason to hand over. */
	G_LT(g_stats().nr_handoffs - before, G_LOOPS(100000) / 100);
}

static void blocks_shortly(void *seed)
{
	uint64_t rand = (uintptr_t)seed;

	for (int i = 0; i < G_LOOPS(300); i++) {
		int was = (int)(g_rand(&rand) % 100) + 1;

		g_set_errno(was);
		gmprt_block_enter();
		g_nap((int64_t)(g_rand(&rand) % 100000));
		gmprt_block_exit();
		G_EQ(was, g_errno());
		g_inc(&ticks);
	}
	gmprt_wg_done(&wg);
}

G_TEST(blocks_of_microseconds_lose_nobody)
{
	gmprt_wg_add(&wg, 16);
	for (uintptr_t i = 1; i <= 16; i++)
		g_go(blocks_shortly, (void *)i);
	gmprt_wg_wait(&wg);
	G_EQ(16 * G_LOOPS(300), g_load(&ticks));
}

/* ---- elsewhere ---- */

static void *on_thread(void *arg)
{
	gmprt_block_enter();
	gmprt_block_exit();
	gmprt_block_exit(); /* nothing to do with goroutines: ignored */
	return arg;
}

G_TEST(on_an_ordinary_thread_brackets_do_nothing)
{
	uint64_t before = g_stats().nr_blocks;
	pthread_t t;

	G_OK(pthread_create(&t, NULL, on_thread, NULL));
	G_OK(pthread_join(t, NULL));
	G_EQ(before, g_stats().nr_blocks);
}

static long runs_over;

/* Until the run that it is of has ended. */
static void main_ends_blocked(void *arg)
{
	gmprt_block_enter();
	g_store(&done, 1);
	while (g_load(&runs_over) <= (long)(intptr_t)arg)
		g_nap(G_MS);
	gmprt_block_exit();
	G_FAIL("went on after main's end");
}

static void leaves_one_blocked(void)
{
	g_go(main_ends_blocked, (void *)(intptr_t)g_load(&runs_over));
	while (!g_load(&done))
		gmprt_yield();
}

P_TEST(a_goroutine_blocked_at_mains_end_never_comes_back)
{
	for (int i = 0; i < 5; i++) {
		g_store(&done, 0);
		g_run(g_procs, leaves_one_blocked);
		g_inc(&runs_over);
		if (i >= 2) /* the first two come out while the next run is on */
			g_nap(200 * G_MS);
	}
}

/* ---- sysmon and the time keeper are there when they are needed ---- */

static int ends[2];

static void writes_a_byte(void *arg)
{
	(void)arg;
	G_EQ(1, write(ends[1], "", 1));
}

/*
 * After a sleep everything was idle, sysmon included. The P that the sleeper
 * took must still be retaken from it when it blocks.
 */
G_TEST(a_P_is_retaken_also_after_all_was_idle)
{
	struct pollfd p = { .events = POLLIN };
	char byte;

	G_OK(pipe(ends));
	p.fd = ends[0];
	gmprt_sleep(100 * G_MS);
	g_go(writes_a_byte, NULL);
	gmprt_block_enter();
	G_EQ(1, poll(&p, 1, 5000));
	G_EQ(1, read(ends[0], &byte, 1));
	gmprt_block_exit();
	close(ends[0]);
	close(ends[1]);
}

static long slept_ms;
static long computes;

static void sleeps_100_ms(void *arg)
{
	int64_t t = g_now();

	(void)arg;
	gmprt_sleep(100 * G_MS);
	g_store(&slept_ms, (g_now() - t) / G_MS);
}

static void computes_for_a_second(void *arg)
{
	int64_t until = g_now() + 1000 * G_MS;

	(void)arg;
	g_store(&computes, 1);
	while (g_now() < until)
		;
	gmprt_wg_done(&wg);
}

/* The sleeper's timer lies on a P that sysmon takes from a blocked M and that
 * then idles, while the only other M computes. */
G_TEST(a_timer_fires_though_its_P_idles_and_all_others_are_busy)
{
	if (g_procs != 2)
		return; /* the constellation needs two Ps */
	g_store(&computes, 0);
	g_store(&slept_ms, 0);
	gmprt_wg_add(&wg, 1);
	g_go(computes_for_a_second, NULL);
	while (!g_load(&computes))
		;
	g_go(sleeps_100_ms, NULL);
	gmprt_yield();
	gmprt_block_enter();
	g_nap(800 * G_MS);
	gmprt_block_exit();
	G_GE(g_load(&slept_ms), 100);
	G_LE(g_load(&slept_ms), 600);
	gmprt_wg_wait(&wg);
}

TEST_HARNESS_MAIN
