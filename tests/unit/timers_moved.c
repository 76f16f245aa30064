/* SPDX-License-Identifier: MIT */
/*
 * A P's timers agree with a reference model whatever is done to them, move to
 * another P's heap while others cancel and fire them, and survive a heap that
 * can't grow.
 */
#include <pthread.h>

#include "unit/timers.h"

/* ---- moving -------------------------------------------------------- */

TEST(move_takes_what_is_armed_and_cancel_finds_it_there)
{
	struct rt_timers a, b;

	rt_timers_init(&a);
	rt_timers_init(&b);
	for (uint32_t i = 0; i < 500; i++)
		arm(i < 200 ? &a : &b, i, 1 + (int64_t)(i * 7919 % 500));
	rt_timer_cancel(&g[20].timer);
	G_OK(rt_timers_move(&b, &a));
	G_EQ(a.nr, 0);
	G_EQ(b.nr, 499);
	check_heap(&a);
	check_heap(&b);
	rt_timer_cancel(&g[10].timer);
	G_EQ(b.nr_dead, 1);
	G_OK(rt_timers_move(&b, &a)); /* nothing left */
	for (uint32_t i = 0; i < 498; i++) {
		int k = next_one(&b, 500);

		G_TRUE(k >= 0 && k != 10 && k != 20);
	}
	G_EQ(next_one(&b, 500), -1);
	rt_timers_free(&a);
	rt_timers_free(&b);
}

TEST(growth_that_fails_refuses_the_newcomer_only)
{
	struct rt_timers ts;
	uint32_t n = 0;

	rt_timers_init(&ts);
	rt_fault_arm(1);
	G_EQ(rt_timer_add(&ts, &g[0], 1), -ENOMEM);
	check_heap(&ts);
	for (; n < 64; n++)
		arm(&ts, n, 1000 - n);
	rt_fault_arm(1);
	G_EQ(rt_timer_add(&ts, &g[n], 1), -ENOMEM);
	G_TRUE(!g[n].timer.heap);
	G_TRUE(!rt_timer_cancel(&g[n].timer));
	G_EQ(ts.nr, 64);
	check_heap(&ts);
	arm(&ts, n, 1);
	check_heap(&ts);
	for (; n; n--)
		G_EQ(one(&ts, 1000), n);
	rt_timers_free(&ts);
}

TEST(later_deadline_needs_no_memory_and_an_earlier_one_fails_cleanly)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	for (uint32_t n = 0; n < 64; n++)
		arm(&ts, n, 100 + n);
	rt_timer_cancel(&g[0].timer);
	rt_fault_arm(1);
	arm(&ts, 0, 100);
	rt_timer_cancel(&g[0].timer);
	G_EQ(rt_timer_add(&ts, &g[0], 99), -ENOMEM);
	G_TRUE(!rt_timer_cancel(&g[0].timer));
	check_heap(&ts);
	G_EQ(next_one(&ts, 101), 1);
	rt_timers_free(&ts);
}

TEST(move_into_a_heap_without_memory_moves_none)
{
	struct rt_timers a, b;

	rt_timers_init(&a);
	rt_timers_init(&b);
	for (uint32_t i = 0; i < 100; i++)
		arm(i < 60 ? &a : &b, i, i + 1);
	rt_fault_arm(1); /* 40 + 60 go beyond b's 64 */
	G_EQ(rt_timers_move(&b, &a), -ENOMEM);
	G_EQ(a.nr, 60);
	G_EQ(b.nr, 40);
	check_heap(&a);
	check_heap(&b);
	G_OK(rt_timers_move(&b, &a));
	for (int i = 0; i < 100; i++)
		G_EQ(one(&b, 100), i);
	rt_timers_free(&a);
	rt_timers_free(&b);
}

/* ---- against a reference ------------------------------------------- */

#define HEAPS 3

static struct rt_timers heap[HEAPS];

struct reference {
	int64_t when[MANY]; /* 0: not armed */
	uint32_t in[MANY];  /* in which heap */
	int64_t now;
	uint64_t rand;
};

static void ref_arm(struct reference *r, uint32_t i)
{
	G_EQ(rt_timer_cancel(&g[i].timer), r->when[i] != 0);
	r->in[i] = rt_rand_below(&r->rand, 8) ? i % HEAPS : rt_rand_below(&r->rand, HEAPS);
	r->when[i] = r->now + 1 + rt_rand_below(&r->rand, 2000);
	arm(&heap[r->in[i]], i, r->when[i]);
}

static void ref_expire(struct reference *r, uint32_t h)
{
	rt_timer_ref fired[RT_FIRE_MAX];
	int64_t last = 0;

	while (rt_timers_next(&heap[h]) <= r->now) {
		uint32_t most = 1 + rt_rand_below(&r->rand, RT_FIRE_MAX);
		uint32_t n = rt_timers_expire(&heap[h], r->now, fired, most);

		for (uint32_t i = 0; i < n; i++) {
			uint32_t k = (uint32_t)(rt_fired_g(fired[i]) - g);

			G_TRUE(r->when[k]);
			G_EQ(r->in[k], h);
			G_LE(r->when[k], r->now);
			G_LE(last, r->when[k]);
			last = r->when[k];
			r->when[k] = 0;
		}
	}
	for (uint32_t k = 0; k < MANY; k++)
		G_TRUE(r->in[k] != h || !r->when[k] || r->when[k] > r->now);
}

static void ref_tidy(struct reference *r, uint32_t h)
{
	int64_t next = INT64_MAX;

	for (uint32_t k = 0; k < MANY; k++)
		if (r->in[k] == h && r->when[k] && r->when[k] < next)
			next = r->when[k];
	rt_timers_tidy(&heap[h]);
	G_EQ(rt_timers_next(&heap[h]), next);
}

static void ref_move(struct reference *r, uint32_t h)
{
	if (rt_rand_below(&r->rand, 4) == 0)
		rt_fault_arm(1); /* if it must grow it moves none */
	if (rt_timers_move(&heap[0], &heap[h]) == 0)
		for (uint32_t k = 0; k < MANY; k++)
			if (r->in[k] == h)
				r->in[k] = 0;
	rt_fault_arm(0);
}

TEST(any_order_of_operations_agrees_with_a_reference)
{
	struct reference *r = g_keep(sizeof(*r));

	r->rand = seeded();
	for (int h = 0; h < HEAPS; h++)
		rt_timers_init(&heap[h]);
	for (int step = 0; step < G_LOOPS(200000); step++) {
		uint32_t i = rt_rand_below(&r->rand, MANY), h = rt_rand_below(&r->rand, HEAPS);
		uint32_t what = rt_rand_below(&r->rand, 1000);

		if (what < 500) {
			ref_arm(r, i);
		} else if (what < 940) {
			G_EQ(rt_timer_cancel(&g[i].timer), r->when[i] != 0);
			r->when[i] = 0;
		} else if (what < 970) {
			r->now += rt_rand_below(&r->rand, rt_rand_below(&r->rand, 4) ? 100 : 3000);
			ref_expire(r, h);
		} else if (what < 998) {
			ref_tidy(r, h);
		} else if (h) {
			ref_move(r, h);
		}
		if (step % 16 == 0)
			check_heap(&heap[h]);
	}
	for (int h = 0; h < HEAPS; h++)
		rt_timers_free(&heap[h]);
}

/* ---- threads ------------------------------------------------------- */

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
		rt_timer_ref fired[8];
		uint32_t n = rt_timers_expire(&heap[i % 3], 1000, fired, 8);

		while (n)
			fetch_add_seq(&rt_fired_g(fired[--n])->nr_parks, 1);
		rt_timers_tidy(&heap[(i + 1) % 3]);
	}
	return NULL;
}

/*
 * As a waiter does: arms its timer, is woken by something else or by the timer,
 * cancels and waits again. After that nobody may wake it for the time before.
 */
TEST(after_cancel_no_timer_fires_though_it_moves_and_fires)
{
	uint64_t rand = seeded();
	pthread_t t[2];

	for (int i = 0; i < 3; i++)
		rt_timers_init(&heap[i]);
	G_OK(pthread_create(&t[0], NULL, mover, NULL));
	G_OK(pthread_create(&t[1], NULL, expirer, NULL));
	for (int step = 0; step < G_LOOPS(8000); step++) {
		uint32_t woken = 0, due = rt_rand_below(&rand, 256);
		uint32_t n = 1 + rt_rand_below(&rand, 8);

		for (uint32_t i = 0; i < n; i++) {
			g[i].nr_parks = 0;
			arm(&heap[rt_rand_below(&rand, 3)], i, due & 1u << i ? 500 : 2000);
		}
		for (uint32_t i = 0; i < n; i++)
			if (!(i & 1) && rt_g_claim(&g[i]))
				woken |= 1u << i;
		for (uint32_t i = 0; i < n; i++) {
			rt_timer_cancel(&g[i].timer);
			if (step & 1)
				rt_timer_forget(&g[i].timer);
		}
		for (uint32_t i = 0; i < n; i++) {
			uint32_t fired = load_acq(&g[i].claim) == RT_CLAIM_CLAIMED &&
					 !(woken & 1u << i);

			while (load_acq(&g[i].nr_parks) < fired)
				cpu_relax(); /* on its way to the ready list */
			G_EQ(load_acq(&g[i].nr_parks), fired);
			G_TRUE(!fired || (due & 1u << i)); /* else it was the one before */
		}
	}
	store_rel(&over, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 3; i++)
		rt_timers_free(&heap[i]);
}

TEST_HARNESS_MAIN
