/* SPDX-License-Identifier: MIT */
/*
 * sigquit.c - proves: SIGQUIT writes every goroutine to stderr, with its stack
 * also if it runs, is preempted or sits in a system call, and aborts; a dump of
 * a live program disturbs none of these; a program's own handler is left alone
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/gtest.h"

#ifdef __SANITIZE_THREAD__
#define SKIP_TSAN SKIP(return, "ThreadSanitizer delays signals")
#else
#define SKIP_TSAN ((void)0)
#endif

static struct g_end end;
static long running, stop;

/* TSan delivers signals only in calls; a thread is then asleep there. */
static __attribute__((noinline)) void turns_round(void)
{
	g_inc(&running);
	while (!g_load(&stop))
#ifdef __SANITIZE_THREAD__
		usleep(0);
#else
		;
#endif
}

static void computes(void *arg)
{
	(void)arg;
	turns_round();
	g_inc(&running); /* no tail call: the frame stays */
}

static __attribute__((noinline)) int waits_in_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, -1);
}

static int fds[2];

static void polls(void *arg)
{
	G_EQ(1, waits_in_poll(fds[0]));
	gmprt_wg_done(arg);
}

static void parks(void *arg)
{
	gmprt_chan_recv(arg, NULL);
	g_inc(&running);
}

/* ---- the end of a process ---- */

static void quits_busy(void)
{
	g_go_named("parks", parks, g_chan(0, 0));
	g_parked("parks", 1);
	for (int i = 0; i < g_procs; i++)
		g_go(computes, NULL);
	g_until(&running, g_procs);
	kill(getpid(), SIGQUIT);
	for (;;)
		gmprt_yield();
}

P_TEST(SIGQUIT_shows_parked_and_running_goroutines_and_aborts)
{
	SKIP_TSAN;
	g_child_run(&end, quits_busy);
	G_SIGNALED(&end, SIGABRT);
	G_SAYS(&end, "SIGQUIT: quit\n");
	G_SAYS(&end, "\"parks\" [chan receive]:\n");
	G_SAYS(&end, "parks(...)");
	G_SAYS(&end, "goroutine 1 ");
#ifndef __aarch64__ /* qemu-user shows other registers at a signal */
	G_SAYS(&end, "turns_round(...)");
	G_SAYS(&end, "computes(...)");
#endif
}

static void quits_twice(void)
{
	kill(getpid(), SIGQUIT);
	kill(getpid(), SIGQUIT);
	quits_busy();
}

P_TEST(more_than_one_SIGQUIT_makes_one_dump)
{
	SKIP_TSAN;
	g_child_run(&end, quits_twice);
	G_SIGNALED(&end, SIGABRT);
	G_SAYS(&end, "goroutine 1 ");
	G_TRUE(!strstr(strstr(end.text, "SIGQUIT: quit\n") + 1, "SIGQUIT: quit\n"));
}

static void *kills_when_asleep(void *arg)
{
	g_nap(100 * G_MS);
	kill(getpid(), SIGQUIT);
	return arg;
}

static void quits_asleep(void)
{
	pthread_t t;

	G_OK(pthread_create(&t, NULL, kills_when_asleep, NULL));
	gmprt_sleep(3600 * G_SEC);
}

P_TEST(SIGQUIT_works_while_nothing_runs)
{
	SKIP_TSAN;
	g_child_run(&end, quits_asleep);
	G_SIGNALED(&end, SIGABRT);
	G_SAYS(&end, "goroutine 1 [sleep]:\n");
}

static void allocates(void *arg)
{
	(void)arg;
	for (;;) {
		char *p = malloc(100000 + (size_t)rand() % 1000);

		p[0] = 'x';
		g_inc(&running);
		free(p);
	}
}

static void quits_in_malloc(void)
{
	for (int i = 0; i < 2 * g_procs; i++)
		g_go(allocates, NULL);
	while (g_load(&running) < 1000)
		gmprt_yield();
	kill(getpid(), SIGQUIT);
	for (;;)
		gmprt_yield();
}

P_TEST(SIGQUIT_works_while_others_are_inside_malloc)
{
	SKIP_TSAN;
	g_child_run(&end, quits_in_malloc);
	G_SIGNALED(&end, SIGABRT);
	G_SAYS(&end, "allocates(...)");
}

static void nothing(void)
{
}

static void quits_after_the_run(void)
{
	g_run(g_procs, nothing);
	kill(getpid(), SIGQUIT);
}

P_TEST(after_the_run_SIGQUIT_has_its_default_again)
{
	SKIP_TSAN;
	g_child(&end, quits_after_the_run);
	G_SIGNALED(&end, SIGQUIT);
}

static long own;

static void never_runs(void *arg)
{
	G_FAIL("a second run began: %p", arg);
}

static void *is_refused(void *arg)
{
	G_EQ(-EBUSY, gmprt_run(NULL, never_runs, NULL));
	return arg;
}

G_TEST(a_second_run_that_is_refused_does_not_disarm_SIGQUIT)
{
	struct sigaction sa;
	pthread_t t;

	G_OK(pthread_create(&t, NULL, is_refused, NULL));
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
	G_OK(sigaction(SIGQUIT, NULL, &sa));
	G_TRUE(sa.sa_handler != SIG_DFL);
}

static void own_handler(int sig)
{
	(void)sig;
	g_inc(&own);
}

static void raises_own(void)
{
	kill(getpid(), SIGQUIT);
	g_until(&own, 1);
}

P_TEST(a_programs_own_handler_is_left_alone)
{
	SKIP_TSAN;
	signal(SIGQUIT, own_handler);
	g_run(g_procs, raises_own);
	G_EQ(1, g_load(&own));
}

/* ---- a dump of a live program ---- */

G_TEST(a_dump_shows_goroutines_that_run_and_disturbs_no_system_call)
{
	gmprt_wg wg = { 0 };

	G_OK(pipe(fds));
	gmprt_wg_add(&wg, 1);
	g_go_named("polls", polls, &wg);
	for (int i = 0; i < g_procs; i++)
		g_go(computes, NULL);
	g_until(&running, g_procs);
	for (int i = 0; i < 3; i++) {
		char *text = g_dump();

#ifndef __aarch64__
		G_TRUE(i < 2 || strstr(text, "waits_in_poll(...)"));
#endif
		free(text);
		gmprt_yield();
	}
	g_store(&stop, 1);
	G_EQ(1, write(fds[1], "", 1));
	gmprt_wg_wait(&wg); /* poll() has not failed with EINTR */
	g_until(&running, 2 * g_procs);
}

TEST_HARNESS_MAIN
