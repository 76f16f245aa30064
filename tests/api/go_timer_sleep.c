/* SPDX-License-Identifier: MIT */
/*
 * go_timer_sleep.c - re-expresses what Go's time/sleep_test.go shows, each test
 * the one named above it; where Go's has a function called (AfterFunc), a
 * goroutine waits on the timer here
 */
#include "lib/gtest.h"

static gmprt_wg wg;
static long fired;

static gmprt_timer *timer_new(int64_t ns)
{
	gmprt_timer *t = gmprt_timer_make(ns);

	G_TRUE(t);
	return t;
}

static bool has_fired(gmprt_timer *t)
{
	return gmprt_chan_recv_try(gmprt_timer_chan(t), NULL) == 0;
}

static void wait_for(gmprt_timer *t)
{
	G_OK(gmprt_chan_recv(gmprt_timer_chan(t), NULL));
}

/* TestAfter, TestAfterTick: ten in sequence, none is short. */
G_TEST(after_is_never_early)
{
	for (int i = 0; i < 10; i++) {
		int64_t start = g_now(), v;
		gmprt_timer *t = timer_new(3 * G_MS);

		G_OK(gmprt_chan_recv(gmprt_timer_chan(t), &v));
		G_GE(v, start + 3 * G_MS);
		G_GE(g_now(), v);
		gmprt_timer_free(t);
	}
}

/* TestAfterStop: of three the middle one is stopped; stopping says if it was in
 * time. */
G_TEST(after_stop_the_others_still_fire)
{
	gmprt_timer *first = timer_new(5 * G_MS), *second = timer_new(60 * G_SEC),
		    *third = timer_new(10 * G_MS);

	G_EQ(1, gmprt_timer_stop(second));
	wait_for(first);
	wait_for(third);
	G_TRUE(!has_fired(second));
	G_EQ(0, gmprt_timer_stop(first));
	G_EQ(0, gmprt_timer_stop(second));
	gmprt_timer_free(first);
	gmprt_timer_free(second);
	gmprt_timer_free(third);
}

/* TestAfterQueuing: set in any order they come in the order of their times. */
#define SLOTS 13

static const int slots[SLOTS] = { 5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0 };
static int order[SLOTS];
static int64_t begin;

static void notes_its_slot(void *arg)
{
	gmprt_timer *t = timer_new(begin + (slots[(intptr_t)arg] * 10 + 20) * G_MS - g_now());

	wait_for(t);
	order[g_inc(&fired) - 1] = slots[(intptr_t)arg];
	gmprt_timer_free(t);
}

static void after_queuing(void)
{
	begin = g_now();
	for (intptr_t i = 0; i < SLOTS; i++)
		g_go(notes_its_slot, (void *)i);
	g_until(&fired, SLOTS);
	for (int i = 1; i < SLOTS; i++)
		G_LE(order[i - 1], order[i]);
}

TEST(after_comes_in_the_order_of_the_times)
{
	g_watch("after", G_TIMEOUT * G_SLOW);
	/* One P: nothing can come between waking and noting. */
	g_run(1, after_queuing);
	g_watch_end();
}

/* TestTimerStopStress */
G_TEST(a_hundred_stopped_at_once_never_fire)
{
	gmprt_timer *t[100];

	for (int i = 0; i < 100; i++)
		t[i] = timer_new(20 * G_MS + i * 10000);
	for (int i = 0; i < 100; i++)
		if (gmprt_timer_stop(t[i]))
			fired++; /* not yet: then it never will */
	G_GT(fired, 0);
	gmprt_sleep(30 * G_MS);
	for (int i = 0; i < 100; i++) {
		G_TRUE(!has_fired(t[i]));
		gmprt_timer_free(t[i]);
	}
}

/* TestSleepZeroDeadlock: a sleep of nothing leaves the goroutine as it was. */
G_TEST(a_sleep_of_nothing_then_a_channel)
{
	for (int i = 0; i < 100; i++) {
		gmprt_chan *c = gmprt_chan_make(0, 1);

		G_OK(gmprt_sleep(0));
		G_OK(gmprt_chan_send(c, NULL));
		G_OK(gmprt_chan_recv(c, NULL));
		gmprt_chan_free(c);
	}
}

/* TestReset, NewTimer's half */
G_TEST(reset_puts_it_off_and_says_whether_it_was_set)
{
	gmprt_timer *t = timer_new(60 * G_SEC);
	int64_t start = g_now();

	G_EQ(1, gmprt_timer_reset(t, 20 * G_MS));
	wait_for(t);
	G_GE(g_now() - start, 20 * G_MS);
	G_TRUE(!has_fired(t));
	G_EQ(0, gmprt_timer_reset(t, 5 * G_MS));
	wait_for(t);
	gmprt_timer_free(t);
}

static void sleeps_for_ever(void *arg)
{
	(void)arg;
	gmprt_sleep(INT64_MAX);
	G_FAIL("a sleep of 292 years is over");
}

/* TestOverflowSleep */
G_TEST(the_longest_sleep_is_no_short_one_and_a_negative_one_is)
{
	gmprt_timer *big = timer_new(INT64_MAX), *soon = timer_new(5 * G_MS),
		    *past = timer_new(INT64_MIN);

	g_go_named("sleeper", sleeps_for_ever, NULL);
	wait_for(soon);
	wait_for(past);
	g_parked("sleeper", 1);
	G_TRUE(!has_fired(big));
	G_EQ(1, gmprt_timer_stop(big));
	gmprt_timer_free(big);
	gmprt_timer_free(soon);
	gmprt_timer_free(past);
}

/* TestZeroTimer */
G_TEST(a_timer_of_no_time_fires_each_time)
{
	gmprt_timer *t = timer_new(0);

	for (int i = 0; i < G_LOOPS(5000); i++) {
		wait_for(t);
		G_EQ(0, gmprt_timer_reset(t, 0));
	}
	wait_for(t);
	gmprt_timer_free(t);
}

/* TestTimerModifiedEarlier: from an hour to the past, over and over. */
G_TEST(a_timer_moved_into_the_past_fires)
{
	for (int i = 0; i < G_LOOPS(300); i++) {
		gmprt_timer *t = timer_new(3600 * G_SEC);

		for (int k = 0; k < 10; k++) {
			gmprt_timer_stop(t);
			G_EQ(0, gmprt_timer_reset(t, -1));
		}
		wait_for(t);
		gmprt_timer_free(t);
	}
}

/* TestAdjustTimers: stopped, put off, brought forward, left alone. */
G_TEST(timers_changed_at_random_fire_when_they_were_set_to_last)
{
	enum { N = 100 };
	gmprt_timer *t[N];
	int64_t due[N] = { 0 };
	uint64_t rand = 7;
	int left = 0;

	for (int i = 0; i < N; i++) {
		due[i] = g_now() + (10 + (int64_t)(g_rand(&rand) % 20)) * G_MS;
		t[i] = timer_new(due[i] - g_now());
	}
	for (int i = 0; i < N; i++) {
		int64_t ns = (5 + (int64_t)(g_rand(&rand) % 60)) * G_MS;

		switch (g_rand(&rand) % 3) {
		case 0:
			gmprt_timer_stop(t[i]);
			due[i] = 0;
			break;
		case 1:
			due[i] = g_now() + ns;
			G_GE(gmprt_timer_reset(t[i], ns), 0);
			break;
		default:
			break;
		}
		left += due[i] != 0;
	}
	for (int i = 0; i < N; i++) {
		if (due[i]) {
			wait_for(t[i]);
			/* What was not reset was set a moment after due[] was. */
			G_GE(g_now(), due[i]);
			left--;
		}
		G_EQ(0, gmprt_timer_stop(t[i]));
		G_TRUE(!has_fired(t[i]));
		gmprt_timer_free(t[i]);
	}
	G_EQ(0, left);
}

/* TestStopResult, TestResetResult: 1 means that nothing comes, 0 that it came. */
static void checks_results(void *arg)
{
	uint64_t rand = (uintptr_t)arg;

	for (int i = 0; i < G_LOOPS(400); i++) {
		gmprt_timer *t = timer_new((int64_t)(g_rand(&rand) % 3000));
		bool was_received, use_reset = i & 1;
		int r;

		if (g_rand(&rand) % 2)
			gmprt_yield();
		was_received = has_fired(t);
		r = use_reset ? gmprt_timer_reset(t, 3600 * G_SEC) : gmprt_timer_stop(t);
		G_EQ(!was_received, r);
		G_TRUE(!has_fired(t));
		G_EQ(use_reset, gmprt_timer_stop(t));
		gmprt_timer_free(t);
	}
	gmprt_wg_done(&wg);
}

G_TEST(stop_and_reset_say_whether_it_was_received)
{
	gmprt_wg_add(&wg, 8);
	for (uintptr_t i = 1; i <= 8; i++)
		g_go(checks_results, (void *)i);
	gmprt_wg_wait(&wg);
}

/* TestMultiWakeupTimer: several wait, each reset wakes one of them. */
static void waits_on(void *t)
{
	wait_for(t);
	g_inc(&fired);
}

G_TEST(each_reset_wakes_one_waiter)
{
	gmprt_timer *t = timer_new(3600 * G_SEC);

	for (int i = 0; i < 3; i++)
		g_go_named("waiter", waits_on, t);
	g_parked("waiter", 3);
	for (int i = 1; i <= 3; i++) {
		G_EQ(i == 1, gmprt_timer_reset(t, 1));
		g_until(&fired, i);
		g_parked("waiter", 3 - i);
	}
	gmprt_timer_free(t);
}

TEST_HARNESS_MAIN
