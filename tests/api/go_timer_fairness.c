/* SPDX-License-Identifier: MIT */
/*
 * go_timer_fairness.c - re-expresses what Go's runtime/proc_test.go shows by
 * TestTimerFairness and TestTimerFairness2, and time/sleep_test.go by
 * TestAfterFuncStarvation: a timer fires on a P that is never without work,
 * however its goroutines find each other
 */
#include "lib/gtest.h"

static gmprt_wg wg;
static gmprt_chan *c, *stop;

static void sends_for_ever(void *arg)
{
	struct gmprt_case k[] = {
		{ GMPRT_SEND, c, NULL, 0 },
		{ GMPRT_RECV, stop, NULL, 0 },
	};

	(void)arg;
	while (gmprt_select(k, 2) == 0)
		;
	gmprt_wg_done(&wg);
}

/* TestTimerFairness: a receiver and its senders ready each other all the time. */
G_TEST(a_timer_fires_beside_a_channel_that_is_always_ready)
{
	gmprt_timer *t = gmprt_timer_make(20 * G_MS);
	struct gmprt_case k[2];

	c = g_chan(0, 0);
	stop = g_chan(0, 0);
	k[0] = (struct gmprt_case){ GMPRT_RECV, gmprt_timer_chan(t), NULL, 0 };
	k[1] = (struct gmprt_case){ GMPRT_RECV, c, NULL, 0 };
	gmprt_wg_add(&wg, 2);
	g_go(sends_for_ever, NULL);
	g_go(sends_for_ever, NULL);
	while (gmprt_select(k, 2))
		;
	gmprt_chan_close(stop);
	gmprt_wg_wait(&wg);
	gmprt_timer_free(t);
}

static void plays_until_the_time(void *arg)
{
	gmprt_timer *t = gmprt_timer_make(20 * G_MS);
	struct gmprt_case k[] = {
		{ GMPRT_SEND, c, NULL, 0 },
		{ GMPRT_RECV, c, NULL, 0 },
		{ GMPRT_RECV, gmprt_timer_chan(t), NULL, 0 },
	};

	(void)arg;
	do {
		gmprt_block_enter(); /* as Go's does a system call each time */
		gmprt_block_exit();
	} while (gmprt_select(k, 3) < 2);
	gmprt_timer_free(t);
	gmprt_wg_done(&wg);
}

/* TestTimerFairness2: two that hand a token to and fro, each with a timer. */
G_TEST(two_that_keep_each_other_running_both_see_their_timers)
{
	c = g_chan(0, 0);
	gmprt_wg_add(&wg, 2);
	g_go(plays_until_the_time, NULL);
	g_go(plays_until_the_time, NULL);
	gmprt_wg_wait(&wg);
}

static void ready_each_other(void *arg)
{
	(void)arg;
	while (!gmprt_chan_len(stop))
		gmprt_yield();
	gmprt_wg_done(&wg);
}

/* TestAfterFuncStarvation: timers that are due at once, between goroutines that
 * are always runnable. */
G_TEST(timers_of_no_time_do_not_starve)
{
	stop = g_chan(0, 1);
	gmprt_wg_add(&wg, 2 * g_procs);
	for (int i = 0; i < 2 * g_procs; i++)
		g_go(ready_each_other, NULL);
	for (int i = 0; i < 100; i++) {
		gmprt_timer *t = gmprt_timer_make(0);

		G_OK(gmprt_chan_recv(gmprt_timer_chan(t), NULL));
		gmprt_timer_free(t);
	}
	G_OK(gmprt_chan_send(stop, NULL));
	gmprt_wg_wait(&wg);
}

TEST_HARNESS_MAIN
