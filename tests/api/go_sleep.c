/* SPDX-License-Identifier: MIT */
/*
 * go_sleep.c - re-expresses what Go's time/sleep_test.go shows of sleeping and
 * of deadlines: TestSleep, TestAfterFuncStarvation, TestAfterQueuing,
 * TestSleepZeroDeadlock, TestOverflowSleep, TestAdjustTimers,
 * TestMultiWakeupTicker. Each test names its own. Where Go has a timer's channel
 * or function, here a goroutine sleeps, or a wait has a deadline.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/gtest.h"

static gmprt_chan *c;
static gmprt_wg wg;
static long stop, signals;

/* ---- TestSleep ---- */

static void on_signal(int sig)
{
	(void)sig;
	g_inc(&signals);
}

static void interrupts(void *unused)
{
	(void)unused;
	for (int i = 0; i < 5; i++) {
		gmprt_sleep(10 * G_MS);
		G_OK(kill(getpid(), SIGUSR1));
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_signal_does_not_shorten_a_sleep)
{
	int64_t start = g_now();

	signal(SIGUSR1, on_signal);
	gmprt_wg_add(&wg, 1);
	g_go(interrupts, NULL);
	G_OK(gmprt_sleep(100 * G_MS));
	G_GE(g_now() - start, 100 * G_MS);
	gmprt_wg_wait(&wg);
	G_GT(g_load(&signals), 0);
}

/* ---- TestAfterFuncStarvation ---- */

static void sends_until_stopped(void *unused)
{
	(void)unused;
	while (!g_load(&stop))
		G_OK(gmprt_chan_send(c, NULL));
	gmprt_chan_close(c);
	gmprt_wg_done(&wg);
}

static void receives_all(void *unused)
{
	(void)unused;
	while (gmprt_chan_recv(c, NULL) == 0)
		;
	gmprt_wg_done(&wg);
}

static void stops_in_1_us(void *unused)
{
	(void)unused;
	gmprt_sleep(1000);
	g_store(&stop, 1);
}

/* One of the pair is always runnable. */
G_TEST(a_sleeper_wakes_beside_two_that_wake_each_other_without_end)
{
	for (int i = 0; i < 20; i++) {
		g_store(&stop, 0);
		c = g_chan(0, 1);
		gmprt_wg_add(&wg, 2);
		g_go(sends_until_stopped, NULL);
		g_go(receives_all, NULL);
		g_go(stops_in_1_us, NULL);
		gmprt_wg_wait(&wg);
	}
}

/* ---- TestAfterQueuing ---- */

static const int slots[] = { 5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0 };
static int64_t unit, begin;

static void sleeps_its_slot(void *slot)
{
	gmprt_sleep(*(int *)slot * unit);
	G_GE(g_now() - begin, *(int *)slot * unit);
	G_OK(gmprt_chan_send(c, slot));
}

static bool they_wake_in_order(void)
{
	int slot, last = 0;
	bool in_order = true;

	begin = g_now();
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		g_go(sleeps_its_slot, (void *)&slots[i]);
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
		G_OK(gmprt_chan_recv(c, &slot));
		in_order &= slot >= last;
		last = slot;
	}
	return in_order;
}

/* With several Ps a thread that was woken first may run later: so Go's test
 * tries again with longer times, and so does this. */
G_TEST(sleepers_wake_in_the_order_of_their_times)
{
	c = g_chan(sizeof(int), ARRAY_SIZE(slots));
	unit = 5 * G_MS;
	while (!they_wake_in_order()) {
		unit *= 2;
		G_LT(unit, 2 * G_SEC);
	}
}

/* ---- TestSleepZeroDeadlock ---- */

static void changes_maxprocs(void *unused)
{
	(void)unused;
	for (int i = 0; i < 100; i++)
		gmprt_maxprocs(1 + i % 2 * (g_procs - 1));
	gmprt_maxprocs(g_procs);
	gmprt_wg_done(&wg);
}

G_TEST(sleeping_for_nothing_comes_back)
{
	gmprt_wg_add(&wg, 1);
	g_go(changes_maxprocs, NULL);
	for (int i = 0; i < 100; i++) {
		gmprt_chan *one = gmprt_chan_make(0, 1);

		G_OK(gmprt_sleep(0));
		G_OK(gmprt_chan_send(one, NULL));
		G_OK(gmprt_chan_recv(one, NULL));
		gmprt_chan_free(one);
	}
	gmprt_wg_wait(&wg);
}

/* ---- TestOverflowSleep ---- */

static void sleeps_for_ever(void *unused)
{
	(void)unused;
	gmprt_sleep(INT64_MAX);
	G_FAIL("the longest sleep came back");
}

G_TEST(the_longest_and_the_negative_sleep_are_what_they_say)
{
	g_go(sleeps_for_ever, NULL);
	c = g_chan(0, 0);
	G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(c, NULL, g_now() + 25 * G_MS));
	G_EQ(-ETIMEDOUT, gmprt_select_dl(NULL, 0, g_now() + 25 * G_MS));
	G_OK(gmprt_sleep(INT64_MIN));
	G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(c, NULL, INT64_MIN));
}

/* ---- TestAdjustTimers ---- */

#define WAITERS 100

static gmprt_sem sems[WAITERS], nobodys;

/* Short deadlines that pass, and long ones that another ends. */
static void short_and_long_waits(void *number)
{
	intptr_t me = (intptr_t)number;
	uint64_t rand = (uint64_t)me;

	for (int i = 0; i < 10; i++) {
		int64_t minutes = 60 * (int64_t)(1 + g_rand(&rand) % 3);

		G_EQ(-ETIMEDOUT, gmprt_sem_wait_dl(&nobodys, g_now() + 1000));
		G_OK(gmprt_sem_wait_dl(&sems[me], g_now() + minutes * G_SEC));
	}
	gmprt_wg_done(&wg);
}

G_TEST(long_deadlines_that_are_called_off_do_not_hold_up_short_ones)
{
	uint64_t rand = 1;

	gmprt_wg_add(&wg, WAITERS);
	for (intptr_t i = 0; i < WAITERS; i++)
		g_go(short_and_long_waits, (void *)i);
	for (int n = 0; n < 10; n++) {
		int first = (int)(g_rand(&rand) % WAITERS);

		gmprt_sleep(2 * G_MS);
		for (int i = 0; i < WAITERS; i++)
			gmprt_sem_post(&sems[(first + i) % WAITERS]);
	}
	gmprt_wg_wait(&wg);
}

/* ---- TestMultiWakeupTicker ---- */

static void ticks(void *unused)
{
	(void)unused;
	while (!g_load(&stop)) {
		(void)!gmprt_chan_send_try(c, NULL);
		gmprt_sleep(1000);
	}
	gmprt_wg_done(&wg);
}

static void waits_for_ticks(void *unused)
{
	(void)unused;
	for (int i = 0; i < G_LOOPS(1000); i++) {
		struct gmprt_case tick = { .op = GMPRT_RECV, .chan = c };
		int r = gmprt_select_dl(&tick, 1, g_now() + G_MS / 10);

		G_TRUE(r == 0 || r == -ETIMEDOUT);
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_tick_and_a_deadline_may_wake_at_the_same_moment)
{
	c = g_chan(0, 1);
	gmprt_wg_add(&wg, g_procs + 1);
	g_go(ticks, NULL);
	for (int i = 0; i < g_procs; i++)
		g_go(waits_for_ticks, NULL);
	while (gmprt_num_goroutine() > 2)
		gmprt_sleep(G_MS);
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

TEST_HARNESS_MAIN
