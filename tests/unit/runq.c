/* SPDX-License-Identifier: MIT */
/*
 * The run queue keeps order and loses nothing: entries come out as they went
 * in, through the wrap of its indices too, and with thieves at work each one
 * is run exactly once, with all that was written before it was put.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "base/spin.h"
#include "core/runq.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

struct item {
	struct rt_link link;
	uint32_t payload; /* not atomic: TSan tells if nothing orders it */
	uint32_t taken;
};

static struct item items[1024];

static rt_work work(uint32_t i)
{
	return (rt_work)&items[i];
}

static int number(rt_work w)
{
	return w ? (int)((struct item *)w - items) : -1;
}

static void fill(struct rt_pq *q, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		G_TRUE(rt_runq_put(q, work(first + i)));
}

/* ring entries first, first + 1 .. and then nothing */
static void expect_run(struct rt_pq *q, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		G_EQ(number(rt_runq_get(q)), first + i);
	G_EQ(rt_runq_get(q), 0);
}

static void expect_array(const rt_work *w, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		G_EQ(number(w[i]), first + i);
}

static void expect_list(struct rt_worklist *l, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		G_EQ(number(rt_worklist_pop(l)), first + i);
}

TEST(comes_out_in_the_order_it_went_in)
{
	struct rt_pq q = { 0 };

	G_EQ(rt_runq_get(&q), 0);
	fill(&q, 0, 100);
	expect_run(&q, 0, 100);
	fill(&q, 100, RT_RUNQ_SIZE);
	expect_run(&q, 100, RT_RUNQ_SIZE);
}

TEST(holds_256_and_refuses_the_next)
{
	struct rt_pq q = { 0 };
	uint32_t tail = 77;

	fill(&q, 0, RT_RUNQ_SIZE);
	G_TRUE(!rt_runq_put(&q, work(999)));
	G_TRUE(!rt_runq_prepare(&q, work(999), &tail));
	G_EQ(tail, 77);
	G_EQ(number(rt_runq_get(&q)), 0);
	G_TRUE(rt_runq_put(&q, work(RT_RUNQ_SIZE)));
	expect_run(&q, 1, RT_RUNQ_SIZE);
}

TEST(next_kicks_out_what_was_next_and_leaves_the_ring_alone)
{
	struct rt_pq q = { 0 };

	fill(&q, 10, 2);
	G_EQ(rt_runq_get_next(&q), 0);
	G_EQ(rt_runq_set_next(&q, work(1)), 0);
	G_EQ(number(rt_runq_set_next(&q, work(2))), 1);
	G_EQ(number(rt_runq_get_next(&q)), 2);
	G_EQ(rt_runq_get_next(&q), 0);
	expect_run(&q, 10, 2);
}

TEST(next_is_stolen_only_while_it_is_what_the_thief_saw)
{
	struct rt_pq q = { 0 };

	G_TRUE(!rt_runq_steal_next(&q, work(1)));
	rt_runq_set_next(&q, work(1));
	G_TRUE(!rt_runq_steal_next(&q, work(2)));
	G_TRUE(rt_runq_steal_next(&q, work(1)));
	G_EQ(rt_runq_get_next(&q), 0);
}

TEST(full_ring_spills_its_oldest_half)
{
	struct rt_pq q = { .head = 5, .tail = 5 };
	rt_work out[RT_RUNQ_SIZE / 2 + 1] = { [RT_RUNQ_SIZE / 2] = 77 };

	fill(&q, 0, RT_RUNQ_SIZE);
	G_TRUE(rt_runq_spill(&q, out));
	expect_array(out, 0, RT_RUNQ_SIZE / 2);
	G_EQ(out[RT_RUNQ_SIZE / 2], 77);
	expect_run(&q, RT_RUNQ_SIZE / 2, RT_RUNQ_SIZE / 2);
}

TEST(spill_of_a_ring_that_is_no_longer_full_takes_nothing)
{
	struct rt_pq q = { 0 };
	rt_work out[RT_RUNQ_SIZE / 2];

	fill(&q, 0, RT_RUNQ_SIZE - 1);
	G_TRUE(!rt_runq_spill(&q, out));
	expect_run(&q, 0, RT_RUNQ_SIZE - 1);
}

TEST(room_says_how_many_puts_will_succeed)
{
	struct rt_pq q = { .head = -7u, .tail = -7u };

	G_EQ(rt_runq_room(&q), RT_RUNQ_SIZE);
	rt_runq_set_next(&q, work(0));
	fill(&q, 0, 10);
	G_EQ(rt_runq_room(&q), RT_RUNQ_SIZE - 10);
	fill(&q, 10, RT_RUNQ_SIZE - 10);
	G_EQ(rt_runq_room(&q), 0);
	rt_runq_get(&q);
	G_EQ(rt_runq_room(&q), 1);
}

TEST(indices_wrap_at_2_to_the_32)
{
	struct rt_pq q = { .head = -100u, .tail = -100u }, mine = { .head = -3u, .tail = -3u };
	rt_work out[RT_RUNQ_SIZE / 2];

	fill(&q, 0, RT_RUNQ_SIZE);
	G_EQ(rt_runq_len(&q), RT_RUNQ_SIZE);
	G_TRUE(!rt_runq_put(&q, work(900)));
	G_TRUE(rt_runq_spill(&q, out));
	expect_array(out, 0, RT_RUNQ_SIZE / 2);
	fill(&q, RT_RUNQ_SIZE, 4);
	G_EQ(number(rt_runq_steal(&q, &mine)), 128 + 66 - 1);
	expect_run(&mine, 128, 65);
	expect_run(&q, 128 + 66, 66);
}

TEST(drain_moves_next_first_and_leaves_nothing)
{
	struct rt_pq q = { 0 };
	struct rt_worklist out = { 0 };

	rt_worklist_add(&out, work(500));
	fill(&q, 1, 30);
	rt_runq_set_next(&q, work(0));
	rt_runq_drain(&q, &out);
	G_EQ(out.n, 32);
	G_EQ(number(rt_worklist_pop(&out)), 500);
	expect_list(&out, 0, 31);
	G_EQ(rt_runq_len(&q), 0);
	rt_runq_drain(&q, &out);
	G_EQ(out.n, 0);
}

TEST(len_counts_the_ring_and_next)
{
	struct rt_pq q = { 0 };

	G_EQ(rt_runq_len(&q), 0);
	rt_runq_set_next(&q, work(0));
	G_EQ(rt_runq_len(&q), 1);
	fill(&q, 1, RT_RUNQ_SIZE);
	G_EQ(rt_runq_len(&q), RT_RUNQ_SIZE + 1);
	rt_runq_get_next(&q);
	G_EQ(rt_runq_len(&q), RT_RUNQ_SIZE);
}

TEST(steal_takes_half_rounded_up_whatever_is_there)
{
	for (uint32_t n = 0; n <= RT_RUNQ_SIZE; n++) {
		struct rt_pq q = { 0 }, mine = { 0 };
		uint32_t half = n - n / 2;
		rt_work w;

		fill(&q, 0, n);
		w = rt_runq_steal(&q, &mine);
		G_EQ(number(w), (int)half - 1);
		G_EQ(rt_runq_len(&mine), half ? half - 1 : 0);
		expect_run(&mine, 0, half ? half - 1 : 0);
		expect_run(&q, half, n - half);
	}
}

TEST(steal_leaves_next_alone)
{
	struct rt_pq q = { 0 }, mine = { 0 };

	rt_runq_set_next(&q, work(7));
	G_EQ(rt_runq_steal(&q, &mine), 0);
	fill(&q, 0, 1);
	G_EQ(number(rt_runq_steal(&q, &mine)), 0);
	G_EQ(number(rt_runq_get_next(&q)), 7);
}

TEST(steal_lands_anywhere_in_the_thief_ring)
{
	for (uint32_t at = 0; at < RT_RUNQ_SIZE; at++) {
		struct rt_pq q = { 0 }, mine = { .head = at, .tail = at };

		fill(&q, 0, 200);
		G_EQ(number(rt_runq_steal(&q, &mine)), 99);
		expect_run(&mine, 0, 99);
	}
}

TEST(prepared_entry_is_invisible_until_the_tail_is_stored)
{
	struct rt_pq q = { 0 }, mine = { 0 };
	uint32_t tail;

	fill(&q, 0, 1);
	G_TRUE(rt_runq_prepare(&q, work(1), &tail));
	G_EQ(rt_runq_len(&q), 1);
	G_EQ(number(rt_runq_steal(&q, &mine)), 0);
	G_EQ(rt_runq_steal(&q, &mine), 0);
	G_EQ(rt_runq_get(&q), 0);
	store_rel(&q.tail, tail);
	G_EQ(rt_runq_len(&q), 1);
	G_EQ(number(rt_runq_steal(&q, &mine)), 1);
}

/* ---- threads ------------------------------------------------------- */

#define NR_ITEMS   ((uint32_t)G_LOOPS(1000000))
#define NR_THIEVES 2

static struct {
	struct rt_pq q;
	struct rt_pq mine[NR_THIEVES];
	struct item *item;
	uint32_t nr_taken;
} s;

static void run(rt_work w)
{
	struct item *it = (struct item *)w;

	G_EQ(it->payload, (uint32_t)(it - s.item) * 7);
	G_EQ(fetch_add_rlx(&it->taken, 1), 0);
	fetch_add_rlx(&s.nr_taken, 1);
}

static void *thief(void *arg)
{
	struct rt_pq *mine = arg;
	uint64_t rand = 12345 + (uint64_t)(mine - s.mine);

	while (load_rlx(&s.nr_taken) < NR_ITEMS) {
		/* From the owner mostly, else from the other thief. */
		struct rt_pq *from = rt_rand_below(&rand, 4) ? &s.q : &s.mine[mine == s.mine];
		rt_work w = rt_runq_steal(from, mine), seen;

		if (w)
			run(w);
		for (uint32_t n = rt_rand_below(&rand, 200); n && (w = rt_runq_get(mine)); n--)
			run(w);
		/* `into` must be empty at the next steal; a part of it goes on
		 * while the other thief steals it. */
		while ((w = rt_runq_get(mine)))
			run(w);
		seen = load_acq(&s.q.next);
		if (seen && rt_rand_below(&rand, 2) && rt_runq_steal_next(&s.q, seen))
			run(seen);
	}
	return NULL;
}

static void put(rt_work w)
{
	rt_work spilled[RT_RUNQ_SIZE / 2];

	while (!rt_runq_put(&s.q, w))
		if (rt_runq_spill(&s.q, spilled))
			for (uint32_t i = 0; i < RT_RUNQ_SIZE / 2; i++)
				run(spilled[i]);
}

static void owner(uint64_t rand)
{
	uint32_t made = 0;
	rt_work w;

	while (load_rlx(&s.nr_taken) < NR_ITEMS) {
		uint32_t burst = rt_rand_below(&rand, 16) ? 8 : 2 * RT_RUNQ_SIZE;

		for (uint32_t n = rt_rand_below(&rand, burst); n && made < NR_ITEMS; n--) {
			struct item *it = &s.item[made];

			it->payload = 7 * made++;
			w = (rt_work)it;
			if (rt_rand_below(&rand, 3) == 0)
				w = rt_runq_set_next(&s.q, w);
			if (w)
				put(w);
		}
		for (uint32_t n = rt_rand_below(&rand, burst); n; n--) {
			w = rt_rand_below(&rand, 2) ? rt_runq_get(&s.q) : rt_runq_get_next(&s.q);
			if (w)
				run(w);
		}
	}
}

TEST(with_thieves_each_entry_is_taken_exactly_once)
{
	const char *seed = getenv("SEED");
	uint64_t rand = seed ? strtoull(seed, NULL, 0) : (uint64_t)g_now();
	pthread_t t[NR_THIEVES];

	rand |= 1;
	printf("# SEED=%llu\n", (unsigned long long)rand);
	s.q.head = s.q.tail = -1000u; /* the wrap is part of it */
	s.item = calloc(NR_ITEMS, sizeof(*s.item));
	G_TRUE(s.item);
	for (int i = 0; i < NR_THIEVES; i++)
		G_OK(pthread_create(&t[i], NULL, thief, &s.mine[i]));
	owner(rand);
	for (int i = 0; i < NR_THIEVES; i++)
		pthread_join(t[i], NULL);
	for (uint32_t i = 0; i < NR_ITEMS; i++)
		G_EQ(s.item[i].taken, 1);
	G_EQ(rt_runq_len(&s.q), 0);
	free(s.item);
}

/* At all times there is an entry, now as next, now in the ring. */
static void *mover(void *unused)
{
	(void)unused;
	for (uint32_t i = 0; i < G_LOOPS(300000); i++) {
		G_TRUE(rt_runq_put(&s.q, rt_runq_set_next(&s.q, work(0))));
		G_TRUE(rt_runq_get_next(&s.q));
		rt_runq_set_next(&s.q, work(1));
		G_TRUE(rt_runq_get(&s.q));
	}
	store_rel(&s.nr_taken, 1);
	return NULL;
}

TEST(len_never_says_empty_while_an_entry_moves_from_next_to_the_ring)
{
	pthread_t t;

	s.nr_taken = 0;
	rt_runq_set_next(&s.q, work(0));
	G_OK(pthread_create(&t, NULL, mover, NULL));
	while (!load_acq(&s.nr_taken))
		G_GE(rt_runq_len(&s.q), 1);
	pthread_join(t, NULL);
}

TEST_HARNESS_MAIN
