/* SPDX-License-Identifier: MIT */
/*
 * go_spin.c - re-expresses how Go bounds the threads that look for work without
 * finding it: BenchmarkWakeupParallelSpinning and ..Syscall in
 * runtime/proc_test.go, watched through the SCHED line, and the rule of
 * proc.go's findRunnable that at most half as many threads spin as Ps are busy
 *
 * The line is printed by sysmon every 1 ms and takes no lock: its figures may
 * be of different moments, and threads that begin to spin at the same moment
 * may both have found room. So one line proves nothing, most of them count. What
 * looking costs is measured in CPU time, which other programs do not change.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "lib/gtest.h"

static gmprt_chan *ping, *pong;
static gmprt_wg wg;
static long stop, delay_ns;

/* ---- what the lines say ---- */

struct seen {
	int lines;
	int above; /* more than half of the busy Ps spin, and one more */
	int quiet; /* most in a row with all Ps idle and nobody spinning */
};

static struct seen read_lines(const char *text)
{
	struct seen s = { 0, 0, 0 };
	int row = 0;

	for (const char *at = text; (at = strstr(at, "SCHED ")); at++) {
		int procs, idle, spinning;

		if (sscanf(at,
			   "SCHED %*dms: gomaxprocs=%d idleprocs=%d threads=%*d spinningthreads=%d",
			   &procs, &idle, &spinning) != 3)
			continue;
		s.lines++;
		s.above += 2 * spinning > procs - idle + 1;
		row = spinning || idle < procs ? 0 : row + 1;
		if (row > s.quiet)
			s.quiet = row;
	}
	return s;
}

static struct g_end end;

static struct seen watch(void (*body)(void))
{
	setenv("GMPRT_DEBUG", "schedtrace=1", 1);
	g_child_run(&end, body);
	G_EXITS(&end, 0);
	return read_lines(end.text);
}

/* ---- short wake-ups ---- */

static void spin(int64_t ns)
{
	for (int64_t until = g_now() + ns; g_now() < until;)
		;
}

static void in_kernel(int64_t ns)
{
	gmprt_block_enter();
	g_nap(ns);
	gmprt_block_exit();
}

static void (*passes)(int64_t ns) = spin;

/* Go's protocol: the receiver passes the delay, the sender a little more, so
 * that the receiver mostly waits by then. */
static void sends_then_receives(void *unused)
{
	(void)unused;
	while (!g_load(&stop)) {
		passes(delay_ns + 5000);
		G_OK(gmprt_chan_send(ping, NULL));
		passes(delay_ns);
		G_OK(gmprt_chan_recv(pong, NULL));
	}
	gmprt_chan_close(ping);
	gmprt_wg_done(&wg);
}

static void receives_then_sends(void *unused)
{
	(void)unused;
	for (;;) {
		passes(delay_ns);
		if (gmprt_chan_recv(ping, NULL) != 0)
			break;
		passes(delay_ns + 5000);
		G_OK(gmprt_chan_send(pong, NULL));
	}
	gmprt_wg_done(&wg);
}

static void one_pair(int64_t delay, int64_t how_long)
{
	ping = g_chan(0, 0);
	pong = g_chan(0, 0);
	delay_ns = delay;
	g_store(&stop, 0);
	gmprt_wg_add(&wg, 2);
	g_go(sends_then_receives, NULL);
	g_go(receives_then_sends, NULL);
	gmprt_sleep(how_long);
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

static void wakes_in_all_delays(void)
{
	static const int us[] = { 0, 1, 2, 5, 10, 20, 50, 100 };

	for (size_t i = 0; i < ARRAY_SIZE(us); i++)
		one_pair(us[i] * 1000, 10 * G_MS);
	gmprt_sleep(300 * G_MS);
}

/* As many as there are Ps compute for a moment, then all wait. */
static gmprt_sem go_on, done;

static void computes_when_told(void *unused)
{
	(void)unused;
	while (gmprt_sem_wait(&go_on) == 0 && !g_load(&stop)) {
		spin(20000);
		gmprt_sem_post(&done);
	}
	gmprt_wg_done(&wg);
}

static void post_to_all(void)
{
	for (int i = 0; i < g_procs; i++)
		gmprt_sem_post(&go_on);
}

static void wakes_in_bursts(void)
{
	int64_t until = g_now() + 100 * G_MS;

	gmprt_wg_add(&wg, g_procs);
	for (int i = 0; i < g_procs; i++)
		g_go(computes_when_told, NULL);
	while (g_now() < until) {
		post_to_all();
		for (int i = 0; i < g_procs; i++)
			G_OK(gmprt_sem_wait(&done));
	}
	g_store(&stop, 1);
	post_to_all();
	gmprt_wg_wait(&wg);
	gmprt_sleep(300 * G_MS);
}

static void expect_few_spinners(void (*body)(void))
{
	struct seen s = watch(body);

	G_GE(s.lines, 10);
	G_LE(s.above, s.lines / 4);
	G_GE(s.quiet, 3);
}

P_TEST(few_spin_while_two_that_compute_wake_each_other_and_none_afterwards)
{
	expect_few_spinners(wakes_in_all_delays);
}

P_TEST(few_spin_while_two_that_call_the_kernel_wake_each_other_and_none_afterwards)
{
	passes = in_kernel;
	expect_few_spinners(wakes_in_all_delays);
}

P_TEST(few_spin_when_all_Ps_run_out_of_work_at_once_and_none_afterwards)
{
	expect_few_spinners(wakes_in_bursts);
}

/* ---- what it costs ---- */

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * G_SEC + t.tv_nsec;
}

G_TEST(a_wake_up_costs_less_than_1_ms_of_looking_for_more)
{
	int64_t before;

	one_pair(0, 10 * G_MS); /* the threads are there */
	before = cpu_ns();
	for (int i = 0; i < 50; i++)
		gmprt_sleep(10 * G_MS);
	G_LT(cpu_ns() - before, 50 * G_MS * G_SLOW);
}

TEST_HARNESS_MAIN
