/* SPDX-License-Identifier: MIT */
/*
 * upcall_threads.c - proves: with the bpf backend threads that end under their
 * goroutines, in any way, or can't be had leave the others what they need
 */
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "lib/gbpf.h"
#include "lib/gbusy.h"

/* ---- threads --------------------------------------------------------------- */

static gmprt_wg wg;

static void ends_locked(void *arg)
{
	(void)arg;
	gmprt_lock_os_thread();
	g_nap(100000);
	gmprt_wg_done(&wg);
}

EVENT_TEST(threads_that_end_with_their_goroutine_leave_the_others)
{
	g_busy_begin();
	for (int i = 0; i < 10; i++) {
		gmprt_wg_add(&wg, 5);
		for (int k = 0; k < 5; k++)
			g_go(ends_locked, NULL);
		gmprt_wg_wait(&wg);
		g_busy_goes_on();
	}
	G_LE(g_stats().nr_threads, 20 + g_procs);
	g_busy_end();
}

static void ends_its_thread_by_a_call(void *arg)
{
	(void)arg;
	g_nap(100000);
	syscall(SYS_exit, 0);
}

/* Its P is free as a blocked one's; the goroutine is lost by its own doing. */
static void ten_lose_their_threads(void)
{
	g_busy_begin();
	for (int i = 0; i < 10; i++) {
		g_go(ends_its_thread_by_a_call, NULL);
		g_busy_goes_on();
	}
	G_TRUE(have_bpf());
	g_busy_end_but(10);
}

P_TEST(a_thread_that_ends_under_its_goroutine_leaves_its_P)
{
	if (SANITIZED)
		SKIP(return, "a sanitizer is not told of such an end");
	if (!child_runs(ten_lose_their_threads))
		SKIP(return, "no bpf backend here, see the lines above");
}

static void pthread_exits(void *arg)
{
	(void)arg;
	g_nap(100000);
	pthread_exit(NULL);
}

static void one_pthread_exits(void)
{
	g_busy_begin();
	g_busy_goes_on();
	g_go(pthread_exits, NULL);
	for (;;)
		g_busy_goes_on();
}

P_TEST(pthread_exit_in_a_goroutine_aborts_with_a_report)
{
	static struct g_end end;

	if (SANITIZED)
		SKIP(return, "sanitizers take pthread_exit() on another stack for an error");
	child_body = one_pthread_exits;
	g_child(&end, runs_child_body);
	if (end.exit == NO_BPF)
		SKIP(return, "no bpf backend here, see the lines above");
	G_SIGNALED(&end, SIGABRT);
	G_SAYS(&end, "called pthread_exit()");
}

/* ---- threads that are refused ------------------------------------------------ */

enum { FEW = 12,
       MANY = 40 };

static void blocks(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5; i++) {
		g_nap(10 * G_MS);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

static void many_block(void)
{
	gmprt_wg_add(&wg, MANY);
	for (int i = 0; i < MANY; i++)
		g_go(blocks, NULL);
	gmprt_wg_wait(&wg);
}

/* As somebody who has no other process: root is not bound by the limit. */
static void reaches_the_limit(void)
{
	uid_t uid = 1000000000 + (uid_t)getpid();
	struct rlimit few = { FEW, 4000 };

	g_busy_begin();
	G_OK(setrlimit(RLIMIT_NPROC, &few));
	G_OK(setresuid(uid, uid, uid));
	G_OK(prctl(PR_SET_DUMPABLE, 1)); /* LeakSanitizer looks at itself */
	many_block();
	g_busy_goes_on();
	few.rlim_cur = few.rlim_max;
	G_OK(setrlimit(RLIMIT_NPROC, &few));
	many_block();
	G_TRUE(have_bpf());
	G_GT(g_stats().nr_threads_peak, FEW);
	g_busy_end();
}

P_TEST(where_RLIMIT_NPROC_refuses_threads_those_that_are_there_do)
{
	static struct g_end end;

	if (geteuid() != 0)
		SKIP(return, "not root: RLIMIT_NPROC would count the user's other processes");
	child_body = reaches_the_limit;
	g_kmsg_begin();
	g_child(&end, runs_child_body);
	g_kmsg_end();
	if (end.exit == NO_BPF)
		SKIP(return, "no bpf backend here, see the lines above");
	G_EXITS(&end, 0);
	G_SAYS(&end, "ulimit -u");
}

TEST_HARNESS_MAIN
