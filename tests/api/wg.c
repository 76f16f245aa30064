/* SPDX-License-Identifier: MIT */
/*
 * wg.c - proves: wait returns when the count is 0 and not before, to all
 * that wait, and the wait group may be reused or freed at that moment
 */
#include <stdlib.h>

#include "lib/gtest.h"

static long done;

static void adds_up(void *w)
{
	g_inc(&done);
	gmprt_wg_done(w);
}

G_TEST(wait_returns_after_the_last_done)
{
	gmprt_wg w = { 0 };

	gmprt_wg_wait(&w); /* 0 from the start */
	G_OK(gmprt_wg_wait_try(&w));
	for (int round = 1; round <= G_LOOPS(500); round++) {
		gmprt_wg_add(&w, 10);
		for (int i = 0; i < 10; i++)
			g_go(adds_up, &w);
		gmprt_wg_wait(&w);
		G_EQ(10 * round, g_load(&done));
	}
}

static void waits(void *w)
{
	gmprt_wg_wait(w);
	g_inc(&done);
}

G_TEST(all_waiters_are_woken)
{
	gmprt_wg w = { 0 };

	gmprt_wg_add(&w, 2);
	for (int i = 0; i < 20; i++)
		g_go_named("waiter", waits, &w);
	g_parked("waiter", 20);
	gmprt_wg_add(&w, -1);
	gmprt_yield();
	G_EQ(0, g_load(&done));
	G_EQ(-EAGAIN, gmprt_wg_wait_try(&w));
	gmprt_wg_done(&w);
	g_until(&done, 20);
}

G_TEST(a_deadline_ends_a_wait_and_not_before)
{
	gmprt_wg w = { 0 };

	gmprt_wg_add(&w, 1);
	G_EQ(-ETIMEDOUT, gmprt_wg_wait_dl(&w, 0));
	for (int i = 0; i < 10; i++) {
		int64_t dl = g_now() + G_MS;

		G_EQ(-ETIMEDOUT, gmprt_wg_wait_dl(&w, dl));
		G_GE(g_now(), dl);
	}
	g_go(adds_up, &w);
	G_OK(gmprt_wg_wait_dl(&w, g_now() + 60 * G_SEC));
	G_OK(gmprt_wg_wait_dl(&w, 0));
}

static void waits_dl(void *w)
{
	int ret = gmprt_wg_wait_dl(w, g_now() + G_MS / 20);

	G_TRUE(ret == 0 || ret == -ETIMEDOUT);
	g_inc(&done);
}

static void dones(void *w)
{
	gmprt_sleep(G_MS / 20);
	gmprt_wg_done(w);
}

G_TEST(timeouts_racing_the_last_done_lose_nobody)
{
	for (int i = 0; i < G_LOOPS(300); i++) {
		gmprt_wg w = { 0 };

		g_store(&done, 0);
		gmprt_wg_add(&w, 1);
		for (int j = 0; j < 4; j++)
			g_go(waits_dl, &w);
		g_go(dones, &w);
		gmprt_wg_wait(&w);
		while (g_load(&done) != 4)
			gmprt_yield();
	}
}

static void done_last(void *w)
{
	gmprt_wg_done(w);
	g_inc(&done);
}

G_TEST(the_waiter_may_free_it_at_once)
{
	long n = G_LOOPS(5000);

	for (long i = 0; i < n; i++) {
		gmprt_wg *w = calloc(1, sizeof(*w));

		gmprt_wg_add(w, 2);
		g_go(done_last, w);
		g_go(done_last, w);
		if (i % 3 == 0)
			gmprt_yield();
		gmprt_wg_wait(w);
		memset(w, 0xdd, sizeof(*w));
		free(w);
	}
	g_until(&done, 2 * n);
}

TEST(it_counts_outside_a_run_too)
{
	gmprt_wg w = { 0 };

	gmprt_wg_wait(&w);
	gmprt_wg_add(&w, 2);
	G_EQ(-EAGAIN, gmprt_wg_wait_try(&w));
	G_EQ(-EPERM, gmprt_wg_wait_dl(&w, GMPRT_FOREVER));
	gmprt_wg_add(&w, -2);
	gmprt_wg_wait(&w);
	gmprt_wg_add(&w, INT32_MAX);
	gmprt_wg_add(&w, -INT32_MAX);
	G_OK(gmprt_wg_wait_try(&w));
}

TEST_HARNESS_MAIN
