/* SPDX-License-Identifier: MIT */
/*
 * preempt.c - proves: a goroutine that computes, allocates, prints or sits in
 * a system call that nobody announced keeps no other from running, with one P
 * too; what it was in the middle of goes on unharmed; a run ends though some
 * compute; a program's own use of SIGURG works
 *
 * TSan delivers signals only where a thread calls into its run time: there a
 * loop without calls can't be stopped, and the hogs call usleep(), which sets
 * errno, and mostly find themselves asleep. What that spoils is skipped there.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/gtest.h"

static long stop, running, rounds;
static gmprt_wg wg;

#ifdef __SANITIZE_THREAD__
#define LET_TSAN_LOOK() usleep(0)
#define SKIP_TSAN       SKIP(return, "ThreadSanitizer delays signals")
#else
#define LET_TSAN_LOOK() ((void)0)
#define SKIP_TSAN       ((void)0)
#endif

static void computes(void *arg)
{
	(void)arg;
	g_inc(&running);
	while (!g_load(&stop))
		LET_TSAN_LOOK();
	gmprt_wg_done(&wg);
}

static void start(void (*fn)(void *), int n)
{
	gmprt_wg_add(&wg, n);
	for (int i = 0; i < n; i++)
		g_go(fn, NULL);
}

static void finish(void)
{
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

G_TEST(goroutines_that_only_compute_starve_nobody)
{
	start(computes, 2 * g_procs);
	g_until(&running, 2 * g_procs); /* each of them has run */
	finish();
	G_GT(g_stats().nr_preempts + g_stats().nr_handoffs, 0);
}

static void counts_up(void *arg)
{
	long *n = arg;

	while (!g_load(&stop)) {
		g_inc(n);
		LET_TSAN_LOOK();
	}
	gmprt_wg_done(&wg);
}

G_TEST(those_that_compute_share_the_time)
{
	long n[16] = { 0 };
	int hogs = 2 * g_procs;

	gmprt_wg_add(&wg, hogs);
	for (int i = 0; i < hogs; i++)
		g_go(counts_up, &n[i]);
	for (int i = 0; i < hogs; i++)
		while (g_load(&n[i]) < 1000)
			gmprt_sleep(G_MS);
	finish();
}

G_TEST(a_run_ends_while_goroutines_compute)
{
	gmprt_wg_add(&wg, g_procs + 2);
	for (int i = 0; i < g_procs + 2; i++)
		g_go(computes, NULL);
	gmprt_sleep(30 * G_MS);
	/* They have lost their run, some of them their P before. */
}

P_TEST(a_run_follows_one_that_left_hogs_behind)
{
	for (int i = 0; i < 3; i++) {
		g_store(&stop, 0);
		g_run(g_procs, body_a_run_ends_while_goroutines_compute);
		g_store(&stop, 1); /* they end at their next call */
	}
	g_nap(20 * G_MS);
}

/* ---- in the middle of something ---- */

static void allocates(void *arg)
{
	uint64_t rng = (uintptr_t)&arg ^ 12345;
	char *block[64] = { NULL };

	g_inc(&running);
	while (!g_load(&stop)) {
		uint64_t r = g_rand(&rng);
		size_t i = r % 64, size = 1 + (r >> 8) % ((r >> 40) % 8 ? 2000 : 300000);

		if (block[i]) {
			G_EQ((char)i, block[i][0]);
			free(block[i]);
		}
		block[i] = malloc(size);
		G_TRUE(block[i]);
		memset(block[i], (int)i, size);
		g_inc(&rounds);
	}
	for (int i = 0; i < 64; i++)
		free(block[i]);
	gmprt_wg_done(&wg);
}

G_TEST(the_heap_stays_sane_when_hogs_are_stopped_inside_malloc)
{
	start(allocates, 2 * g_procs);
	g_until(&running, 2 * g_procs);
	gmprt_sleep(300 * G_MS);
	finish();
	G_GT(rounds, 0);
}

static FILE *out;

static void prints(void *arg)
{
	(void)arg;
	g_inc(&running);
	while (!g_load(&stop)) {
		G_GT(fprintf(out, "%s %d %f\n", "a line", 17, 3.25), 0);
		g_inc(&rounds);
	}
	gmprt_wg_done(&wg);
}

G_TEST(hogs_stopped_with_a_stream_locked_starve_nobody)
{
	out = fopen("/dev/null", "w");
	G_TRUE(out);
	start(prints, 2 * g_procs);
	g_until(&running, 2 * g_procs);
	finish();
	G_OK(fclose(out));
}

static void keeps_errno(void *arg)
{
	errno = ENOTTY;
	g_inc(&running);
	while (!g_load(&stop)) {
		G_EQ(ENOTTY, errno);
	}
	(void)arg;
	gmprt_wg_done(&wg);
}

static void all_keep_errno(void)
{
	start(keeps_errno, 2 * g_procs);
	g_until(&running, 2 * g_procs);
	finish();
}

P_TEST(errno_survives)
{
	SKIP_TSAN;
	g_run(g_procs, all_keep_errno);
}

static void locked_computes(void *arg)
{
	long tid = syscall(SYS_gettid);

	gmprt_lock_os_thread();
	g_inc(&running);
	while (!g_load(&stop))
		LET_TSAN_LOOK();
	G_EQ(tid, syscall(SYS_gettid));
	gmprt_yield();
	G_EQ(tid, syscall(SYS_gettid));
	gmprt_unlock_os_thread();
	(void)arg;
	gmprt_wg_done(&wg);
}

G_TEST(a_locked_goroutine_can_be_preempted_and_keeps_its_thread)
{
	start(locked_computes, 2 * g_procs);
	g_until(&running, 2 * g_procs);
	finish();
}

G_TEST(maxprocs_can_be_changed_while_all_compute)
{
	start(computes, 2 * g_procs);
	for (int i = 0; i < 10; i++) {
		gmprt_maxprocs(1 + i % g_procs);
		gmprt_sleep(5 * G_MS);
	}
	g_until(&running, 2 * g_procs);
	finish();
}

/* ---- system calls that nobody announced ---- */

static int fds[2];
static int poll_result;
static long nr_read;

static void polls(void *arg)
{
	struct pollfd p = { .fd = fds[0], .events = POLLIN };

	(void)arg;
	g_inc(&running);
	/* A SIGURG may come just when it is about to sleep; once it sleeps, none. */
	do
		poll_result = poll(&p, 1, -1);
	while (poll_result < 0 && gmprt_errno() == EINTR);
	gmprt_wg_done(&wg);
}

static void spins(void *arg)
{
	(void)arg;
	while (!g_load(&stop)) {
		g_inc(&rounds);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_sleeping_system_call_loses_its_P)
{
	char c = 'x';

	G_OK(pipe(fds));
	start(polls, 1);
	start(spins, 2 * g_procs);
	g_until(&running, 1);
	gmprt_sleep(100 * G_MS);
	G_EQ(1, write(fds[1], &c, 1));
	while (g_load(&rounds) < 100)
		gmprt_yield();
	finish();
	G_EQ(1, poll_result);
	close(fds[0]);
	close(fds[1]);
}

static void reads_unannounced(void *arg)
{
	char c;

	(void)arg;
	g_inc(&running);
	if (read(fds[0], &c, 1) == 1)
		g_inc(&nr_read);
	gmprt_wg_done(&wg);
}

G_TEST(all_Ms_in_unannounced_reads_leave_their_Ps_to_others)
{
	int n = 2 * g_procs;
	char c[16] = "0123456789abcdef";

	G_OK(pipe(fds));
	start(reads_unannounced, n);
	g_until(&running, n); /* more of them than Ps */
	G_EQ(n, write(fds[1], c, (size_t)n));
	finish();
	G_EQ(n, g_load(&nr_read));
	close(fds[0]);
	close(fds[1]);
}

static void reads_then_computes(void *arg)
{
	char c;

	(void)arg;
	g_inc(&running);
	G_EQ(1, read(fds[0], &c, 1));
	/* Back without a P: it must not go on for long. */
	while (!g_load(&stop))
		LET_TSAN_LOOK();
	gmprt_wg_done(&wg);
}

G_TEST(one_that_comes_back_without_a_P_and_computes_is_stopped)
{
	int n = 2 * g_procs;
	char c[16] = "0123456789abcdef";

	G_OK(pipe(fds));
	start(reads_then_computes, n);
	g_until(&running, n);
	G_EQ(n, write(fds[1], c, (size_t)n));
	for (int i = 0; i < 5; i++)
		gmprt_sleep(10 * G_MS);
	finish();
	close(fds[0]);
	close(fds[1]);
}

/* ---- SIGURG is the program's too ---- */

static long urgent;

static void on_urg(int sig)
{
	(void)sig;
	g_inc(&urgent);
}

static void raises(void)
{
	start(computes, 2 * g_procs);
	g_until(&running, 2 * g_procs);
	G_OK(kill(getpid(), SIGURG));
	g_until(&urgent, 1);
	finish();
}

P_TEST(a_handler_of_SIGURG_set_before_the_run_still_gets_its_own)
{
	SKIP_TSAN;
	signal(SIGURG, on_urg);
	g_run(g_procs, raises);
	G_EQ(1, g_load(&urgent));
}

P_TEST(a_creator_that_blocks_all_signals_does_not_disable_preemption)
{
	sigset_t all;

	sigfillset(&all);
	G_OK(pthread_sigmask(SIG_BLOCK, &all, NULL));
	g_run(g_procs, body_goroutines_that_only_compute_starve_nobody);
}

TEST_HARNESS_MAIN
