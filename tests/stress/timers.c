/* SPDX-License-Identifier: MIT */
/*
 * timers.c - goroutines sleep, wait with deadlines, set, stop and free timers
 * and tickers, while the number of Ps changes. No sleep is short, each timer that
 * was set is received or stopped, and nothing comes after stop.
 */
#include "lib/stress.h"

static gmprt_wg wg;
static gmprt_sem sem;
static gmprt_timer *common;

static void sleeps(uint64_t *rand)
{
	int64_t ns = g_below(rand, 300000), then = g_now();

	G_OK(gmprt_sleep(ns));
	G_GE(g_now() - then, ns);
}

static void waits_with_a_deadline(uint64_t *rand)
{
	int64_t deadline = g_now() + g_below(rand, 200000);
	int r = gmprt_sem_wait_dl(&sem, deadline);

	if (r == 0) {
		gmprt_sem_post(&sem);
	} else {
		G_EQ(-ETIMEDOUT, r);
		G_GE(g_now(), deadline);
	}
}

static void holds_the_semaphore(uint64_t *rand)
{
	gmprt_sem_wait(&sem);
	if (g_below(rand, 4) == 0)
		sleeps(rand);
	gmprt_sem_post(&sem);
}

static void uses_a_timer(uint64_t *rand)
{
	int64_t start = g_now(), ns = g_below(rand, 200000), v;
	gmprt_timer *t = gmprt_timer_make(ns);

	G_TRUE(t);
	for (long i = g_below(rand, 4); i > 0; i--) {
		start = g_now();
		G_EQ(1, gmprt_timer_reset(t, ns));
		if (g_below(rand, 3) == 0)
			sleeps(rand);
	}
	if (g_below(rand, 2)) {
		G_OK(gmprt_chan_recv(gmprt_timer_chan(t), &v));
		G_TRUE(v >= start + ns && v <= g_now());
		G_EQ(0, gmprt_timer_stop(t));
	} else {
		G_EQ(1, gmprt_timer_stop(t));
	}
	G_EQ(-EAGAIN, gmprt_chan_recv_try(gmprt_timer_chan(t), &v));
	gmprt_timer_free(t);
}

static void uses_a_ticker(uint64_t *rand)
{
	int64_t period = 1 + g_below(rand, 100000), first, last, v;
	gmprt_ticker *t = gmprt_ticker_make(period);

	G_TRUE(t);
	G_OK(gmprt_chan_recv(gmprt_ticker_chan(t), &first));
	last = first;
	for (long i = g_below(rand, 5); i > 0; i--) {
		if (g_below(rand, 3) == 0)
			sleeps(rand);
		G_OK(gmprt_chan_recv(gmprt_ticker_chan(t), &v));
		G_GE(v, last + period);
		G_EQ(0, (v - first) % period);
		last = v;
	}
	gmprt_ticker_free(t);
}

static void uses_the_common_one(uint64_t *rand)
{
	if (g_below(rand, 2))
		G_GE(gmprt_timer_reset(common, g_below(rand, 50000)), 0);
	else
		(void)!gmprt_chan_recv_dl(gmprt_timer_chan(common), NULL,
					  g_now() + g_below(rand, 50000));
}

static void does_all(void *arg)
{
	static void (*const what[])(uint64_t *) = {
		sleeps,       waits_with_a_deadline, holds_the_semaphore,
		uses_a_timer, uses_a_ticker,	     uses_the_common_one,
	};
	uint64_t rand = g_seed + (uintptr_t)arg;

	for (int i = 0; i < 30; i++)
		what[g_below(&rand, (long)ARRAY_SIZE(what))](&rand);
	gmprt_wg_done(&wg);
}

G_STRESS(timers_and_deadlines_while_Ps_come_and_go)
{
	uint64_t rand = g_seed;
	long n = 1 + g_below(&rand, 100);

	sem = (gmprt_sem)GMPRT_SEM_INIT(1);
	common = gmprt_timer_make(0);
	G_TRUE(common);
	gmprt_wg_add(&wg, n);
	for (long i = 1; i <= n; i++)
		g_go(does_all, (void *)i);
	for (long i = g_below(&rand, 6); i > 0; i--) {
		gmprt_maxprocs(1 + (int)g_below(&rand, 8));
		sleeps(&rand);
	}
	gmprt_wg_wait(&wg);
	gmprt_timer_free(common);
}

TEST_HARNESS_MAIN
