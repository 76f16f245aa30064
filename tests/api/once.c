/* SPDX-License-Identifier: MIT */
/*
 * once.c - proves: what is done once is done once, and has been done when
 * any of the calls returns
 */
#include "lib/gtest.h"

static gmprt_once once;
static gmprt_wg wg;
static long calls, value;

static void slow_init(void *arg)
{
	g_inc(&calls);
	gmprt_sleep(5 * G_MS);
	value = (long)(intptr_t)arg; /* plain: once orders it */
}

static void uses(void *arg)
{
	gmprt_once_do(&once, slow_init, (void *)42);
	G_EQ(42, value);
	gmprt_wg_done(arg);
}

G_TEST(every_call_returns_after_the_one_that_ran)
{
	gmprt_wg_add(&wg, 50);
	for (int i = 0; i < 50; i++)
		g_go(uses, &wg);
	gmprt_wg_wait(&wg);
	gmprt_once_do(&once, slow_init, (void *)43);
	G_EQ(42, value);
	G_EQ(1, g_load(&calls));
}

static gmprt_once outer, inner;

static void inner_init(void *arg)
{
	(void)arg;
	g_inc(&calls);
}

static void outer_init(void *arg)
{
	gmprt_once_do(&inner, inner_init, arg);
	g_inc(&calls);
}

G_TEST(different_ones_nest)
{
	gmprt_once_do(&outer, outer_init, NULL);
	gmprt_once_do(&inner, inner_init, NULL);
	G_EQ(2, g_load(&calls));
}

static void init_once_more(void)
{
	gmprt_once_do(&once, inner_init, NULL);
}

TEST(what_was_done_is_done_for_threads_too)
{
	g_run(2, init_once_more);
	gmprt_once_do(&once, slow_init, NULL);
	G_EQ(1, g_load(&calls));
}

TEST_HARNESS_MAIN
