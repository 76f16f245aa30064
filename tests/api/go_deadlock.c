/* SPDX-License-Identifier: MIT */
/*
 * go_deadlock.c - re-expresses what Go's runtime/crash_test.go shows with the
 * programs of testdata/testprog/deadlock.go: SimpleDeadlock, LockedDeadlock,
 * LockedDeadlock2, GoexitDeadlock, GoexitExit, GoNil, MainGoroutineID,
 * NoHelperGoroutines; and that nothing is reported too early
 *
 * Not here: InitDeadlock (before gmprt_run() nobody can be deadlocked), panics,
 * ThreadExhaustion (our threads' limit makes goroutines wait), NetpollDeadlock.
 * Where main called gmprt_exit() and nobody is left Go has another wording.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/gtest.h"

static struct g_end end;
static gmprt_chan *c;

static int shown(void)
{
	int n = 0;

	for (const char *at = end.text; (at = strstr(at, "\ngoroutine ")); at++)
		n++;
	return n;
}

/* The report comes first, with nothing before but what the program `said`. */
static void expect_report(const char *said, const char *report, void (*body)(void),
			  int goroutines)
{
	g_child_run(&end, body);
	G_EXITS(&end, 2);
	if (strncmp(end.text, said, strlen(said)) != 0 ||
	    strncmp(end.text + strlen(said), report, strlen(report)) != 0)
		G_FAIL("expected \"%s%s\" first: %s", said, report, end.text);
	G_EQ(goroutines, shown());
}

static void expect_deadlock_after(const char *said, void (*body)(void), int goroutines)
{
	expect_report(said, "fatal error: all goroutines are asleep - deadlock!\n", body,
		      goroutines);
}

static void expect_deadlock(void (*body)(void), int goroutines)
{
	expect_deadlock_after("", body, goroutines);
}

/* Go's words: "no goroutines (main called runtime.Goexit) - deadlock!" */
static void expect_nobody_left(void (*body)(void))
{
	expect_report("", "fatal error: no goroutines (main called gmprt_exit) - deadlock!\n",
		      body, 0);
}

static void says(const char *what)
{
	G_EQ(strlen(what), write(STDERR_FILENO, what, strlen(what)));
}

/* ---- SimpleDeadlock ---- */

static void simple(void)
{
	gmprt_select(NULL, 0);
}

P_TEST(a_select_without_cases_is_a_deadlock)
{
	G_SKIP_IF_DEADLOCKS_HIDE;
	expect_deadlock(simple, 1);
	G_SAYS(&end, "\ngoroutine 1 [select (no cases)]:\n");
}

/* ---- LockedDeadlock, LockedDeadlock2 ---- */

static void bound_main(void)
{
	gmprt_lock_os_thread();
	gmprt_select(NULL, 0);
}

static void waits_bound(void *unused)
{
	(void)unused;
	gmprt_lock_os_thread();
	gmprt_select(NULL, 0);
}

static void bound_other(void)
{
	g_go(waits_bound, NULL);
	gmprt_sleep(G_MS);
	gmprt_select(NULL, 0);
}

static void all_bound(void)
{
	for (int i = 0; i < 5; i++)
		g_go(waits_bound, NULL);
	bound_main();
}

P_TEST(bound_goroutines_deadlock_like_others)
{
	G_SKIP_IF_DEADLOCKS_HIDE;
	expect_deadlock(bound_main, 1);
	expect_deadlock(bound_other, 2);
	expect_deadlock(all_bound, 6);
}

/* ---- GoexitDeadlock, GoexitExit ---- */

static void counts_to_10(void *unused)
{
	for (volatile int i = 0; i < 10; i++)
		;
	(void)unused;
}

static void sleeps_1_ms(void *unused)
{
	(void)unused;
	gmprt_sleep(G_MS);
}

static void main_exits(void)
{
	g_go(counts_to_10, NULL);
	g_go(counts_to_10, NULL);
	gmprt_exit();
}

static void main_exits_before_a_sleeper(void)
{
	g_go(sleeps_1_ms, NULL);
	gmprt_exit();
}

static void bound_main_exits(void)
{
	g_go(sleeps_1_ms, NULL);
	gmprt_lock_os_thread();
	gmprt_exit();
}

P_TEST(main_that_exits_and_leaves_nobody_is_a_deadlock)
{
	G_SKIP_IF_DEADLOCKS_HIDE;
	expect_nobody_left(main_exits);
	expect_nobody_left(main_exits_before_a_sleeper);
	expect_nobody_left(bound_main_exits);
}

/* ---- GoNil, MainGoroutineID, NoHelperGoroutines ---- */

static void starts_nothing(void)
{
	G_EQ(-EINVAL, gmprt_go(NULL, NULL));
	gmprt_select(NULL, 0);
}

P_TEST(a_goroutine_without_a_function_is_refused_and_wakes_nobody)
{
	G_SKIP_IF_DEADLOCKS_HIDE;
	expect_deadlock(starts_nothing, 1);
}

static void misuse(void)
{
	gmprt_unlock_os_thread();
}

P_TEST(main_is_goroutine_1_and_the_only_one)
{
	g_child_run(&end, misuse);
	G_SIGNALED(&end, SIGABRT);
	G_SAYS(&end, "\ngoroutine 1 [running]:\n");
	G_EQ(1, shown());
}

/* ---- not before the last one that could wake another waits too ---- */

static void comes_back(void *unused)
{
	gmprt_block_enter();
	g_nap(100 * G_MS);
	gmprt_block_exit();
	says("back\n");
	(void)unused;
}

static void one_in_brackets(void)
{
	c = g_chan(0, 0);
	g_go(comes_back, NULL);
	gmprt_chan_recv(c, NULL);
}

static void comes_back_bound(void *unused)
{
	gmprt_lock_os_thread();
	comes_back(unused);
	gmprt_chan_recv(c, NULL);
}

static void a_bound_one_in_brackets(void)
{
	c = g_chan(0, 0);
	g_go(comes_back_bound, NULL);
	gmprt_chan_recv(c, NULL);
}

static void comes_back_unannounced(void *unused)
{
	g_nap(100 * G_MS);
	says("back\n");
	(void)unused;
}

static void one_in_the_kernel(void)
{
	c = g_chan(0, 0);
	g_go(comes_back_unannounced, NULL);
	gmprt_chan_recv(c, NULL);
}

static void sleeps_then_says(void *unused)
{
	gmprt_sleep(100 * G_MS);
	says("back\n");
	(void)unused;
}

static void one_asleep(void)
{
	c = g_chan(0, 0);
	g_go(sleeps_then_says, NULL);
	gmprt_chan_recv(c, NULL);
}

static void a_deadline_ahead(void)
{
	c = g_chan(0, 0);
	gmprt_lock_os_thread();
	g_go(waits_bound, NULL);
	G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(c, NULL, g_now() + 100 * G_MS));
	says("back\n");
	gmprt_chan_recv(c, NULL);
}

P_TEST(no_deadlock_before_one_in_the_kernel_is_back)
{
	G_SKIP_IF_DEADLOCKS_HIDE;
	expect_deadlock_after("back\n", one_in_brackets, 1);
	expect_deadlock_after("back\n", a_bound_one_in_brackets, 2);
	expect_deadlock_after("back\n", one_in_the_kernel, 1);
}

P_TEST(no_deadlock_before_the_last_timer)
{
	G_SKIP_IF_DEADLOCKS_HIDE;
	expect_deadlock_after("back\n", one_asleep, 1);
	expect_deadlock_after("back\n", a_deadline_ahead, 2);
}

/* Longer than the second after which all is looked at once more. */
static void die_in_1500_ms(void)
{
	struct itimerval t = { .it_value = { .tv_sec = 1, .tv_usec = 500000 } };

	G_OK(setitimer(ITIMER_REAL, &t, NULL));
}

static void sleeps_an_hour(void *unused)
{
	(void)unused;
	gmprt_sleep(3600 * G_SEC);
}

static void an_hour_ahead(void)
{
	die_in_1500_ms();
	g_go(sleeps_an_hour, NULL);
	g_go(waits_bound, NULL);
	bound_main();
}

static void an_hour_in_brackets(void)
{
	die_in_1500_ms();
	g_go(waits_bound, NULL);
	gmprt_block_enter();
	g_nap(3600 * G_SEC);
}

TEST(no_deadlock_while_an_hour_is_ahead)
{
	g_procs = 2;
	g_child_run(&end, an_hour_ahead);
	G_SIGNALED(&end, SIGALRM);
	G_EQ('\0', end.text[0]);
	g_child_run(&end, an_hour_in_brackets);
	G_SIGNALED(&end, SIGALRM);
	G_EQ('\0', end.text[0]);
}

TEST_HARNESS_MAIN
