/* SPDX-License-Identifier: MIT */
/*
 * A P's timers fire in the order of their deadlines and only when due, can be
 * cancelled and moved from wherever they are, and survive a heap that can't
 * grow.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "base/sys.h"
#include "core/g.h"
#include "core/timers.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

#define MANY 1000

static struct rt_g g[MANY];
static struct rt_timer timer[MANY];

static uint64_t seeded(void)
{
	const char *seed = getenv("SEED");
	uint64_t rand = (seed ? strtoull(seed, NULL, 0) : (uint64_t)g_now()) | 1;

	printf("# SEED=%llu\n", (unsigned long long)rand);
	return rand;
}

static void arm(struct rt_timers *ts, uint32_t i, int64_t when)
{
	g[i].claim = RT_CLAIM_ARMED;
	timer[i] = (struct rt_timer){ .when_ns = when, .g = &g[i] };
	G_OK(rt_timer_add(ts, &timer[i]));
}

static void check_heap(struct rt_timers *ts)
{
	for (uint32_t i = 0; i < ts->nr; i++) {
		G_EQ(ts->node[i].timer->index, i);
		G_TRUE(ts->node[i].timer->heap == ts);
		G_EQ(ts->node[i].when_ns, ts->node[i].timer->when_ns);
		if (i)
			G_LE(ts->node[(i - 1) / 4].when_ns, ts->node[i].when_ns);
	}
	G_EQ(rt_timers_next(ts), ts->nr ? ts->node[0].when_ns : INT64_MAX);
}

/* The number of the only one that is due, or -1. */
static int one(struct rt_timers *ts, int64_t now)
{
	struct rt_worklist ready = { 0 };
	struct rt_g *r;

	rt_timers_expire(ts, now, 1, &ready);
	G_LE(ready.n, 1);
	r = rt_work_to_g(rt_worklist_pop(&ready));
	if (!r)
		return -1;
	G_EQ(r->wake_result, -ETIMEDOUT);
	G_TRUE(!r->wake);
	G_EQ(r->claim, RT_CLAIM_CLAIMED);
	G_TRUE(!timer[r - g].heap);
	return (int)(r - g);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

TEST(random_deadlines_come_out_sorted)
{
	uint64_t rand = seeded();
	struct rt_timers ts;
	int64_t when[MANY];

	rt_timers_init(&ts);
	G_EQ(rt_timers_next(&ts), INT64_MAX);
	for (uint32_t i = 0; i < MANY; i++) {
		when[i] = rt_rand_below(&rand, 700); /* with equal ones */
		arm(&ts, i, when[i]);
		check_heap(&ts);
	}
	qsort(when, MANY, sizeof(*when), by_value);
	for (uint32_t i = 0; i < MANY; i++) {
		int k = one(&ts, 1000);

		G_GE(k, 0);
		G_EQ(timer[k].when_ns, when[i]);
		check_heap(&ts);
	}
	G_EQ(one(&ts, INT64_MAX), -1);
	rt_timers_free(&ts);
}

TEST(adds_cancels_and_expiries_in_any_order_agree_with_a_reference)
{
	uint64_t rand = seeded();
	static bool in[MANY];
	struct rt_timers ts;
	int64_t now = 0;
	uint32_t nr = 0;

	rt_timers_init(&ts);
	for (int step = 0; step < G_LOOPS(40000); step++) {
		uint32_t i = rt_rand_below(&rand, MANY), what = rt_rand_below(&rand, 10);

		if (what < 6 && !in[i]) {
			arm(&ts, i, now + rt_rand_below(&rand, 2000) - 10);
			in[i] = true;
			nr++;
		} else if (what < 8) {
			rt_timer_cancel(&timer[i]); /* also of what is in no heap */
			nr -= in[i];
			in[i] = false;
			G_TRUE(!timer[i].heap);
		} else {
			now += rt_rand_below(&rand, 20);
			for (int k; (k = one(&ts, now)) >= 0; nr--) {
				G_TRUE(in[k]);
				G_LE(timer[k].when_ns, now);
				in[k] = false;
			}
			for (uint32_t k = 0; k < MANY; k++)
				G_TRUE(!in[k] || timer[k].when_ns > now);
		}
		G_EQ(ts.nr, nr);
		if (step % 16 == 0)
			check_heap(&ts);
	}
	rt_timers_free(&ts);
}

TEST(cancel_works_at_every_place_of_heaps_of_every_size)
{
	uint64_t rand = seeded();

	for (uint32_t n = 1; n <= 30; n++)
		for (uint32_t at = 0; at < n; at++) {
			struct rt_timers ts;
			struct rt_timer *t;

			rt_timers_init(&ts);
			for (uint32_t i = 0; i < n; i++)
				arm(&ts, i, rt_rand_below(&rand, 100));
			t = ts.node[at].timer;
			rt_timer_cancel(t);
			G_TRUE(!t->heap);
			G_EQ(ts.nr, n - 1);
			check_heap(&ts);
			for (uint32_t left = n - 1; left; left--)
				G_TRUE(&timer[one(&ts, 100)] != t);
			rt_timers_free(&ts);
		}
}

/* Whoever takes the last leaf's place may belong above the hole. */
TEST(cancel_may_move_a_leaf_up)
{
	static const int64_t when[] = { 0, 10, 1, 1, 1, 20, 20, 20, 20, 2 };
	struct rt_timers ts;

	rt_timers_init(&ts);
	for (uint32_t i = 0; i < ARRAY_SIZE(when); i++)
		arm(&ts, i, when[i]);
	rt_timer_cancel(&timer[5]);
	check_heap(&ts);
	G_EQ(timer[9].index, 1);
	G_EQ(timer[1].index, 5);
	rt_timers_free(&ts);
}

TEST(cancel_of_what_is_in_no_heap_does_nothing)
{
	struct rt_timer t = { .when_ns = 1 };

	rt_timer_cancel(&t);
	G_TRUE(!t.heap);
}

TEST(nothing_fires_before_its_time_and_all_at_it)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	arm(&ts, 0, 100);
	G_EQ(rt_timers_next(&ts), 100);
	G_EQ(one(&ts, 99), -1);
	G_EQ(one(&ts, 100), 0);
	G_EQ(rt_timers_next(&ts), INT64_MAX);
	rt_timers_free(&ts);
}

TEST(expire_stops_at_its_limit_and_goes_on_at_the_next_call)
{
	struct rt_worklist ready = { 0 };
	struct rt_timers ts;

	rt_timers_init(&ts);
	for (uint32_t i = 0; i < 10; i++)
		arm(&ts, i, i);
	rt_timers_expire(&ts, 100, 0, &ready);
	G_EQ(ready.n, 0);
	rt_timers_expire(&ts, 100, 7, &ready);
	G_EQ(ready.n, 7);
	G_EQ(rt_timers_next(&ts), 7);
	rt_timers_expire(&ts, 100, 7, &ready);
	G_EQ(ready.n, 10);
	for (uint32_t i = 0; i < 10; i++)
		G_TRUE(rt_work_to_g(rt_worklist_pop(&ready)) == &g[i]);
	rt_timers_free(&ts);
}

TEST(goroutine_that_something_else_woke_is_not_readied_again)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	arm(&ts, 0, 1);
	arm(&ts, 1, 2);
	g[0].claim = RT_CLAIM_CLAIMED;
	g[0].wake_result = 5;
	G_EQ(one(&ts, 1), -1);
	G_TRUE(!timer[0].heap);
	G_EQ(g[0].wake_result, 5);
	G_EQ(one(&ts, 2), 1);
	rt_timers_free(&ts);
}

TEST(goroutine_in_setup_is_left_for_the_next_look)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	arm(&ts, 0, 1);
	g[0].claim = RT_CLAIM_SETUP;
	G_EQ(one(&ts, 10), -1);
	G_TRUE(timer[0].heap == &ts);
	G_EQ(rt_timers_next(&ts), 1); /* so that someone looks again */
	check_heap(&ts);
	g[0].claim = RT_CLAIM_ARMED;
	G_EQ(one(&ts, 10), 0);
	rt_timers_free(&ts);
}

TEST(move_takes_all_and_cancel_finds_them_there)
{
	struct rt_timers a, b;

	rt_timers_init(&a);
	rt_timers_init(&b);
	for (uint32_t i = 0; i < 500; i++)
		arm(i < 200 ? &a : &b, i, (int64_t)(i * 7919 % 500));
	G_OK(rt_timers_move(&b, &a));
	G_EQ(a.nr, 0);
	G_EQ(b.nr, 500);
	check_heap(&a);
	check_heap(&b);
	rt_timer_cancel(&timer[10]);
	G_EQ(b.nr, 499);
	G_OK(rt_timers_move(&b, &a)); /* nothing left */
	for (uint32_t i = 0; i < 499; i++)
		G_NE(one(&b, 500), 10);
	rt_timers_free(&a);
	rt_timers_free(&b);
}

TEST(growth_that_fails_refuses_the_newcomer_only)
{
	struct rt_timers ts;
	uint32_t n = 0;

	rt_timers_init(&ts);
	timer[0] = (struct rt_timer){ .when_ns = 1, .g = &g[0] };
	rt_fault_arm(1);
	G_EQ(rt_timer_add(&ts, &timer[0]), -ENOMEM);
	check_heap(&ts);
	for (; n < 64; n++)
		arm(&ts, n, 1000 - n);
	rt_fault_arm(1);
	timer[n] = (struct rt_timer){ .when_ns = 1, .g = &g[n] };
	G_EQ(rt_timer_add(&ts, &timer[n]), -ENOMEM);
	G_TRUE(!timer[n].heap);
	rt_timer_cancel(&timer[n]);
	G_EQ(ts.nr, 64);
	check_heap(&ts);
	arm(&ts, n, 1);
	check_heap(&ts);
	for (; n; n--)
		G_EQ(one(&ts, 1000), n);
	rt_timers_free(&ts);
}

TEST(move_that_fails_leaves_each_timer_in_one_heap)
{
	struct rt_timers a, b;

	rt_timers_init(&a);
	rt_timers_init(&b);
	for (uint32_t i = 0; i < 100; i++)
		arm(i < 60 ? &a : &b, i, i);
	rt_fault_arm(1); /* 40 + 60 go beyond b's 64 */
	G_EQ(rt_timers_move(&b, &a), -ENOMEM);
	G_EQ(a.nr + b.nr, 100);
	G_EQ(b.nr, 64);
	check_heap(&a);
	check_heap(&b);
	G_OK(rt_timers_move(&b, &a));
	for (int i = 0; i < 100; i++)
		G_EQ(one(&b, 100), i);
	rt_timers_free(&a);
	rt_timers_free(&b);
}

TEST(move_into_a_heap_without_memory_moves_none)
{
	struct rt_timers a, b;

	rt_timers_init(&a);
	rt_timers_init(&b);
	arm(&a, 0, 3);
	rt_fault_arm(1);
	G_EQ(rt_timers_move(&b, &a), -ENOMEM);
	G_EQ(rt_timers_next(&b), INT64_MAX);
	G_EQ(rt_timers_next(&a), 3);
	G_EQ(one(&a, 3), 0);
	rt_timers_free(&a);
	rt_timers_free(&b);
}

/* ---- threads ------------------------------------------------------- */

static struct rt_timers heap[3];
static uint32_t over;

/* Retires Ps round and round: a heap's timers go on to the next one. */
static void *mover(void *unused)
{
	(void)unused;
	for (uint32_t i = 0; !load_acq(&over); i++)
		G_OK(rt_timers_move(&heap[(i + 1) % 3], &heap[i % 3]));
	return NULL;
}

static void *expirer(void *unused)
{
	(void)unused;
	for (uint32_t i = 0; !load_acq(&over); i++) {
		struct rt_worklist ready = { 0 };

		rt_timers_expire(&heap[i % 3], 1000, 8, &ready);
		for (struct rt_g *r; (r = rt_work_to_g(rt_worklist_pop(&ready)));)
			fetch_add_seq(&r->nr_parks, 1);
	}
	return NULL;
}

/*
 * As a waiter does: arms a timer on its stack, is woken by something else or
 * by the timer, cancels and returns. After that nobody may touch the timer.
 */
TEST(after_cancel_nobody_touches_the_timer_though_it_moves_and_fires)
{
	uint64_t rand = seeded();
	pthread_t t[2];

	for (int i = 0; i < 3; i++)
		rt_timers_init(&heap[i]);
	G_OK(pthread_create(&t[0], NULL, mover, NULL));
	G_OK(pthread_create(&t[1], NULL, expirer, NULL));
	for (int step = 0; step < G_LOOPS(8000); step++) {
		uint32_t woken = 0;

		for (uint32_t i = 0; i < 8; i++) {
			g[i].nr_parks = 0;
			arm(&heap[rt_rand_below(&rand, 3)], i,
			    rt_rand_below(&rand, 2) ? 500 : 2000);
		}
		for (uint32_t i = 0; i < 8; i++)
			if (!(i & 1) && rt_g_claim(&g[i]))
				woken |= 1u << i;
		for (uint32_t i = 0; i < 8; i++) {
			rt_timer_cancel(&timer[i]);
			G_TRUE(!load_rlx(&timer[i].heap));
			timer[i].g = NULL; /* who comes late falls over it */
		}
		for (uint32_t i = 0; i < 8; i++) {
			uint32_t fired = load_acq(&g[i].claim) == RT_CLAIM_CLAIMED &&
					 !(woken & 1u << i);

			while (load_acq(&g[i].nr_parks) < fired)
				cpu_relax(); /* on its way to the ready list */
			G_EQ(load_acq(&g[i].nr_parks), fired);
		}
	}
	store_rel(&over, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 3; i++)
		rt_timers_free(&heap[i]);
}

TEST_HARNESS_MAIN
