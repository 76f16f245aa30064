/* SPDX-License-Identifier: MIT */
/*
 * timer_where.c - proves: timers work from any thread, between brackets, while Ps
 * come and go, over the end of a run and in the child of fork()
 */
#include <pthread.h>

#include "lib/gtest.h"
#include "lib/gtimer.h"

static gmprt_wg wg;
static gmprt_timer *shared;
static gmprt_timer *left[3];
static long received, done;

static void receives_all(void *arg)
{
	struct gmprt_case k[] = {
		{ GMPRT_RECV, gmprt_timer_chan(shared), NULL, 0 },
		{ GMPRT_RECV, arg, NULL, 0 },
	};

	while (gmprt_select(k, 2) == 0)
		g_inc(&received);
	gmprt_wg_done(&wg);
}

static void resets(void *arg)
{
	uint64_t rand = (uintptr_t)arg;

	while (!g_load(&done)) {
		G_GE(gmprt_timer_reset(shared, (int64_t)(g_rand(&rand) % 3000)), 0);
		if (g_rand(&rand) % 3 == 0)
			G_GE(gmprt_timer_stop(shared), 0);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

/* ---- other threads, brackets, Ps that go --------------------------- */

static void *uses_a_timer(void *t)
{
	/* All goroutines sleep, and no timer is set but this. */
	g_nap(20 * G_MS);
	G_EQ(0, gmprt_timer_reset(t, 2 * G_MS));
	return NULL;
}

G_TEST(a_thread_that_is_no_goroutine_sets_a_timer_for_sleepers)
{
	gmprt_timer *t = timer_new(60 * G_SEC);
	pthread_t thread;

	G_EQ(1, gmprt_timer_stop(t));
	G_OK(pthread_create(&thread, NULL, uses_a_timer, t));
	receive(t);
	G_OK(pthread_join(thread, NULL));
	gmprt_timer_free(t);
}

static void *resets_from_outside(void *arg)
{
	uint64_t rand = (uintptr_t)arg;

	while (!g_load(&done)) {
		gmprt_timer *own = timer_new((int64_t)(g_rand(&rand) % 20000));
		int64_t v;

		G_GE(gmprt_timer_reset(shared, (int64_t)(g_rand(&rand) % 20000)), 0);
		if (g_rand(&rand) % 4 == 0)
			G_GE(gmprt_timer_stop(shared), 0);
		(void)!gmprt_chan_recv_try(gmprt_timer_chan(own), &v);
		gmprt_timer_free(own);
	}
	return NULL;
}

G_TEST(threads_and_goroutines_use_timers_together)
{
	gmprt_chan *end = g_chan(0, 0);
	pthread_t thread[2];

	shared = timer_new(0);
	gmprt_wg_add(&wg, 3);
	g_go(receives_all, end);
	for (uintptr_t i = 0; i < 2; i++) {
		G_OK(pthread_create(&thread[i], NULL, resets_from_outside, (void *)(i + 1)));
		g_go(resets, (void *)(i + 3));
	}
	gmprt_sleep(50 * G_MS);
	g_store(&done, 1);
	for (int i = 0; i < 2; i++)
		G_OK(pthread_join(thread[i], NULL));
	gmprt_chan_close(end);
	gmprt_wg_wait(&wg);
	gmprt_timer_free(shared);
}

G_TEST(timers_work_between_brackets)
{
	gmprt_timer *t;
	int64_t v;

	gmprt_block_enter();
	t = timer_new(60 * G_SEC);
	G_EQ(1, gmprt_timer_reset(t, 0));
	compute(G_MS);
	G_OK(gmprt_chan_recv_try(gmprt_timer_chan(t), &v));
	G_EQ(0, gmprt_timer_reset(t, G_MS));
	gmprt_block_exit();
	receive(t);
	gmprt_timer_free(t);
}

static void sets_and_waits(void *arg)
{
	gmprt_timer *t = timer_new((int64_t)(uintptr_t)arg * 50000);

	receive(t);
	gmprt_timer_free(t);
	gmprt_wg_done(&wg);
}

G_TEST(timers_of_a_P_that_goes_fire_on_another)
{
	for (int round = 0; round < 5; round++) {
		gmprt_wg_add(&wg, 200);
		for (uintptr_t i = 0; i < 200; i++)
			g_go(sets_and_waits, (void *)i);
		gmprt_maxprocs(round % 2 ? 8 : 1);
		gmprt_wg_wait(&wg);
	}
}

/* ---- over the end of a run ----------------------------------------- */

static void leaves_timers(void *arg)
{
	(void)arg;
	left[0] = timer_new(60 * G_SEC);
	left[1] = timer_new(0);
	left[2] = timer_new(60 * G_SEC);
	gmprt_sleep(G_MS);
}

static void uses_what_is_left(void *arg)
{
	(void)arg;
	G_EQ(0, gmprt_timer_reset(left[0], G_MS));
	receive(left[0]);
	G_EQ(0, gmprt_timer_stop(left[0]));
	gmprt_timer_free(left[0]);
}

TEST(the_end_of_a_run_stops_its_timers)
{
	G_TRUE(!gmprt_timer_make(1));
	G_EQ(EPERM, errno);
	G_OK(gmprt_run(NULL, leaves_timers, NULL));
	for (int i = 0; i < 3; i++) {
		G_EQ(i == 1, gmprt_timer_stop(left[i])); /* 1 has fired */
		is_empty(left[i]);
		G_EQ(-EPERM, gmprt_timer_reset(left[i], 1));
	}
	G_OK(gmprt_run(NULL, uses_what_is_left, NULL));
	gmprt_timer_free(left[1]);
	gmprt_timer_free(left[2]);
}

static void computes(void *arg)
{
	(void)arg;
	g_inc(&received);
	while (!g_load(&done))
		;
	g_inc(&received);
}

static void leaves_a_timer_and_one_who_computes(void *arg)
{
	(void)arg;
	shared = timer_new(60 * G_SEC);
	g_go(computes, NULL);
	g_until(&received, 1);
}

/* Its M keeps the run's memory, but nobody the timers in it. */
TEST(a_timer_can_be_freed_though_a_goroutine_goes_on_after_the_end)
{
	struct gmprt_options opt = { .size = sizeof(opt), .maxprocs = 2 };

	g_watch("end", G_TIMEOUT * G_SLOW);
	G_OK(gmprt_run(&opt, leaves_a_timer_and_one_who_computes, NULL));
	G_EQ(0, gmprt_timer_stop(shared));
	gmprt_timer_free(shared);
	G_EQ(1, g_load(&received));
	g_store(&done, 1);
	while (g_load(&received) < 2)
		g_nap(G_MS);
	g_watch_end();
}

static void *stops_over_the_end(void *arg)
{
	(void)arg;
	while (!g_load(&done))
		if (gmprt_timer_reset(shared, 1000) == -EPERM)
			G_EQ(0, gmprt_timer_stop(shared));
	return NULL;
}

static void makes_the_shared_one(void *arg)
{
	(void)arg;
	if (!shared)
		shared = timer_new(G_SEC);
	gmprt_sleep(G_MS);
}

P_TEST(a_run_may_end_while_threads_use_its_timers)
{
	struct gmprt_options opt = { .size = sizeof(opt), .maxprocs = variant->n };
	pthread_t thread;

	G_OK(gmprt_run(&opt, makes_the_shared_one, NULL));
	G_OK(pthread_create(&thread, NULL, stops_over_the_end, NULL));
	for (int i = 0; i < G_LOOPS(60); i++)
		G_OK(gmprt_run(&opt, makes_the_shared_one, NULL));
	g_store(&done, 1);
	G_OK(pthread_join(thread, NULL));
	gmprt_timer_free(shared);
}

TEST_HARNESS_MAIN
