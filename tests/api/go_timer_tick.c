/* SPDX-License-Identifier: MIT */
/*
 * go_timer_tick.c - re-expresses what Go's time/tick_test.go shows, each test
 * the one named above it
 */
#include "lib/gtest.h"

static gmprt_wg wg;

static gmprt_ticker *ticker_new(int64_t period)
{
	gmprt_ticker *t = gmprt_ticker_make(period);

	G_TRUE(t);
	return t;
}

static void wait_for(gmprt_ticker *t)
{
	G_OK(gmprt_chan_recv(gmprt_ticker_chan(t), NULL));
}

/* TestTicker: ten ticks take ten periods; reset to twice as long, ten of those. */
G_TEST(ten_ticks_take_ten_periods)
{
	int64_t period = 2 * G_MS, start = g_now();
	gmprt_ticker *t = ticker_new(period);

	for (int i = 0; i < 10; i++)
		wait_for(t);
	G_GE(g_now() - start, 10 * period);
	start = g_now();
	G_EQ(1, gmprt_ticker_reset(t, 2 * period));
	for (int i = 0; i < 10; i++)
		wait_for(t);
	G_GE(g_now() - start, 20 * period);
	gmprt_ticker_stop(t);
	gmprt_sleep(3 * period);
	G_EQ(-EAGAIN, gmprt_chan_recv_try(gmprt_ticker_chan(t), NULL));
	gmprt_ticker_free(t);
}

/* TestTeardown */
G_TEST(tickers_come_and_go)
{
	for (int i = 0; i < 3; i++) {
		gmprt_ticker *t = ticker_new(2 * G_MS);

		wait_for(t);
		gmprt_ticker_stop(t);
		gmprt_ticker_free(t);
	}
}

/* TestNewTickerLtZeroDuration, TestTickerResetLtZeroDuration: Go panics. */
G_TEST(a_period_of_nothing_is_refused)
{
	gmprt_ticker *t = ticker_new(1);

	G_TRUE(!gmprt_ticker_make(-1));
	G_TRUE(!gmprt_ticker_make(0));
	G_EQ(-EINVAL, gmprt_ticker_reset(t, 0));
	gmprt_ticker_free(t);
}

/* TestLongAdjustTimers: many timers are stopped on all Ps while others are set;
 * one that is set meanwhile is not kept waiting for long. */
static long over;

static void sets_and_stops(void *arg)
{
	gmprt_timer *t[50];

	(void)arg;
	while (!g_load(&over)) {
		for (int i = 0; i < 50; i++) {
			t[i] = gmprt_timer_make((60 - i) * G_SEC);
			G_TRUE(t[i]);
		}
		for (int i = 0; i < 50; i++)
			gmprt_timer_free(t[i]);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_timer_fires_among_many_that_are_set_and_stopped)
{
	gmprt_wg_add(&wg, 2 * g_procs);
	for (int i = 0; i < 2 * g_procs; i++)
		g_go(sets_and_stops, NULL);
	for (int i = 0; i < 10; i++) {
		gmprt_timer *t = gmprt_timer_make(G_MS);

		G_OK(gmprt_chan_recv(gmprt_timer_chan(t), NULL));
		gmprt_timer_free(t);
	}
	g_store(&over, 1);
	gmprt_wg_wait(&wg);
}

/* TestAfterTimes, TestTickTimes: what comes late says when it was due. */
G_TEST(the_value_is_the_time_it_was_due)
{
	int64_t start = g_now(), v;
	gmprt_timer *timer = gmprt_timer_make(5 * G_MS);
	gmprt_ticker *ticker = ticker_new(5 * G_MS);
	int64_t set = g_now();

	gmprt_sleep(30 * G_MS);
	G_OK(gmprt_chan_recv(gmprt_timer_chan(timer), &v));
	G_TRUE(v >= start + 5 * G_MS && v <= set + 5 * G_MS);
	G_OK(gmprt_chan_recv(gmprt_ticker_chan(ticker), &v));
	G_TRUE(v >= start + 5 * G_MS && v <= set + 5 * G_MS);
	gmprt_timer_free(timer);
	gmprt_ticker_free(ticker);
}

/* ---- TestChan: timer and ticker, synchronous as since Go 1.23 ------- */

union either {
	gmprt_timer *timer;
	gmprt_ticker *ticker;
};

static bool ticks;

static gmprt_chan *chan_of(union either e)
{
	return ticks ? gmprt_ticker_chan(e.ticker) : gmprt_timer_chan(e.timer);
}

static int reset(union either e, int64_t ns)
{
	return ticks ? gmprt_ticker_reset(e.ticker, ns) : gmprt_timer_reset(e.timer, ns);
}

static int stop(union either e)
{
	return ticks ? gmprt_ticker_stop(e.ticker) : gmprt_timer_stop(e.timer);
}

static void no_tick(union either e)
{
	G_EQ(-EAGAIN, gmprt_chan_recv_try(chan_of(e), NULL));
	G_EQ(0, gmprt_chan_len(chan_of(e)));
}

static void tick(union either e)
{
	G_EQ(0, gmprt_chan_len(chan_of(e)));
	G_OK(gmprt_chan_recv_try(chan_of(e), NULL));
	G_EQ(0, gmprt_chan_len(chan_of(e)));
}

static void receives(void *c)
{
	G_OK(gmprt_chan_recv(c, NULL));
	gmprt_wg_done(&wg);
}

static void check_channel(union either e)
{
	const int64_t sched = 5 * G_MS, hour = 3600 * G_SEC;

	G_EQ(0, gmprt_chan_cap(chan_of(e)));
	no_tick(e);
	/* Set for later, then earlier. */
	G_EQ(1, reset(e, 2 * hour));
	no_tick(e);
	G_EQ(1, reset(e, 2 * sched));
	gmprt_sleep(3 * sched);
	tick(e);
	/* A stale one is gone after reset... */
	G_GE(reset(e, sched), 0);
	gmprt_sleep(2 * sched);
	G_EQ(1, reset(e, hour));
	no_tick(e);
	/* ... and after stop. */
	G_EQ(1, reset(e, sched));
	gmprt_sleep(2 * sched);
	G_EQ(1, stop(e));
	no_tick(e);
	gmprt_sleep(2 * sched);
	no_tick(e);
	/* A goroutine that waits is woken by what is set after it came. */
	gmprt_wg_add(&wg, 1);
	g_go_named("waits", receives, chan_of(e));
	g_parked("waits", 1);
	G_EQ(0, reset(e, sched));
	gmprt_wg_wait(&wg);
	/* Stopped while one waits: it waits on, for the next reset. */
	G_EQ(ticks, reset(e, hour));
	gmprt_wg_add(&wg, 1);
	g_go_named("waits", receives, chan_of(e));
	g_parked("waits", 1);
	G_EQ(1, stop(e));
	g_parked("waits", 1);
	G_EQ(0, reset(e, 1));
	gmprt_wg_wait(&wg);
	stop(e);
	no_tick(e);
}

G_TEST(a_timers_channel_is_synchronous)
{
	union either e = { .timer = gmprt_timer_make(3600 * G_SEC) };

	check_channel(e);
	gmprt_timer_free(e.timer);
}

G_TEST(a_tickers_channel_is_synchronous)
{
	union either e = { .ticker = ticker_new(3600 * G_SEC) };

	ticks = true;
	check_channel(e);
	gmprt_ticker_free(e.ticker);
}

TEST_HARNESS_MAIN
