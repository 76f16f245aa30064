/* SPDX-License-Identifier: MIT */
/*
 * A P's stack of forked tasks: last in first out for its owner, first in first
 * out for thieves, out of the middle for a join; and whoever wants a task at
 * the same time, exactly one of them gets it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "core/forkq.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

/* The queue knows tasks by address only. */
struct item {
	uint32_t at;
	uint32_t payload; /* not atomic: TSan tells if nothing orders it */
	uint32_t taken;
};

static struct item items[1024];

static struct gmprt_task *task(struct item *it)
{
	return (struct gmprt_task *)(void *)it;
}

static int number(struct gmprt_task *t)
{
	return t ? (int)((struct item *)(void *)t - items) : -1;
}

static void push(struct rt_pq *q, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		G_TRUE(rt_forkq_push(q, task(&items[i]), &items[i].at));
}

static bool pop_own(struct rt_pq *q, uint32_t i)
{
	return rt_forkq_pop_own(q, task(&items[i]), items[i].at);
}

static bool take_out(struct rt_pq *q, uint32_t i)
{
	return rt_forkq_remove(q, task(&items[i]), items[i].at);
}

TEST(owner_gets_the_last_first)
{
	struct rt_pq q = { 0 };

	push(&q, 0, 20);
	for (int i = 19; i >= 10; i--)
		G_TRUE(pop_own(&q, (uint32_t)i));
	for (int i = 9; i >= 0; i--)
		G_EQ(number(rt_forkq_pop_any(&q)), i);
	G_EQ(number(rt_forkq_pop_any(&q)), -1);
	G_EQ(rt_forkq_len(&q), 0);
}

TEST(thieves_get_the_first_first)
{
	struct rt_pq q = { 0 };

	G_EQ(number(rt_forkq_steal(&q)), -1);
	push(&q, 0, 20);
	for (int i = 0; i < 20; i++)
		G_EQ(number(rt_forkq_steal(&q)), i);
	G_EQ(number(rt_forkq_steal(&q)), -1);
	G_EQ(number(rt_forkq_pop_any(&q)), -1);
	push(&q, 20, 1);
	G_TRUE(pop_own(&q, 20));
}

TEST(thief_that_finds_the_queue_locked_goes_away)
{
	struct rt_pq q = { 0 };

	push(&q, 0, 1);
	rt_spin_lock(&q.fork_lock);
	G_EQ(number(rt_forkq_steal(&q)), -1);
	rt_spin_unlock(&q.fork_lock);
	G_EQ(number(rt_forkq_steal(&q)), 0);
}

/* One slot stays free, see rt_forkq_push(). */
#define FULL (RT_FORKQ_SIZE - 1)

TEST(holds_255_and_refuses_the_next)
{
	struct rt_pq q = { 0 };
	uint32_t at = 77;

	push(&q, 0, FULL);
	G_TRUE(!rt_forkq_push(&q, task(&items[999]), &at));
	G_EQ(at, 77);
	G_EQ(rt_forkq_len(&q), FULL);
	G_EQ(number(rt_forkq_steal(&q)), 0);
	push(&q, FULL, 1);
	G_TRUE(!rt_forkq_push(&q, task(&items[999]), &at));
	for (int i = FULL; i > 0; i--)
		G_EQ(number(rt_forkq_pop_any(&q)), i);
}

TEST(thief_about_to_step_back_does_not_make_the_queue_look_full)
{
	struct rt_pq q = { .fork_top = 6, .fork_bottom = 5 };

	push(&q, 0, 1);
	q.fork_top = 5; /* it has stepped back */
	G_TRUE(pop_own(&q, 0));
	q = (struct rt_pq){ .fork_top = 0, .fork_bottom = -1u };
	push(&q, 0, 1);
}

TEST(join_takes_a_task_out_of_the_middle_once)
{
	struct rt_pq q = { 0 };

	push(&q, 0, 3);
	G_TRUE(take_out(&q, 1));
	G_TRUE(!take_out(&q, 1));
	G_TRUE(!pop_own(&q, 1));
	G_EQ(number(rt_forkq_pop_any(&q)), 2);
	G_EQ(number(rt_forkq_pop_any(&q)), 0);
	G_EQ(number(rt_forkq_pop_any(&q)), -1);
}

TEST(owner_and_thief_go_past_holes)
{
	struct rt_pq q = { 0 };

	push(&q, 0, 10);
	for (uint32_t i = 0; i < 10; i++)
		if (i != 4 && i != 5)
			G_TRUE(take_out(&q, i));
	G_EQ(rt_forkq_len(&q), 10); /* holes are counted */
	G_EQ(number(rt_forkq_steal(&q)), 4);
	G_EQ(number(rt_forkq_pop_any(&q)), 5);
	G_EQ(number(rt_forkq_steal(&q)), -1);
	push(&q, 10, 2);
	G_TRUE(take_out(&q, 10));
	G_TRUE(take_out(&q, 11));
	G_EQ(number(rt_forkq_steal(&q)), -1); /* nothing but holes */
	G_EQ(number(rt_forkq_pop_any(&q)), -1);
	G_EQ(rt_forkq_len(&q), 0);
}

TEST(pop_own_refuses_another_task_in_the_same_place)
{
	struct rt_pq q = { 0 };

	push(&q, 0, 2);
	G_EQ(number(rt_forkq_pop_any(&q)), 1);
	push(&q, 2, 1);
	G_EQ(items[2].at, items[1].at);
	G_TRUE(!pop_own(&q, 1));
	G_TRUE(!take_out(&q, 1));
	G_TRUE(pop_own(&q, 2));
	G_TRUE(pop_own(&q, 0));
}

TEST(pop_own_refuses_what_is_not_last)
{
	struct rt_pq q = { 0 };

	push(&q, 0, 2);
	G_TRUE(!pop_own(&q, 0));
	G_TRUE(pop_own(&q, 1));
	G_TRUE(pop_own(&q, 0));
	G_TRUE(!pop_own(&q, 0));
}

TEST(pop_own_of_a_stolen_task_fails_and_leaves_the_queue_usable)
{
	struct rt_pq q = { 0 };

	push(&q, 0, 1);
	G_EQ(number(rt_forkq_steal(&q)), 0);
	G_TRUE(!pop_own(&q, 0));
	G_EQ(rt_forkq_len(&q), 0);
	push(&q, 1, 2);
	G_EQ(number(rt_forkq_steal(&q)), 1);
	G_TRUE(pop_own(&q, 2));
}

/* The thief has stepped over the last task, and steps back or not. */
TEST(pop_slow_gives_the_task_to_whom_top_says)
{
	struct rt_pq q = { 0 };

	push(&q, 0, 1);
	q.fork_bottom = 0; /* as pop_own leaves it */
	G_TRUE(rt_forkq_pop_slow(&q, 0));
	G_EQ(rt_forkq_len(&q), 0);
	G_EQ(q.fork_bottom, 0);

	push(&q, 0, 1);
	G_EQ(number(rt_forkq_steal(&q)), 0);
	q.fork_bottom = 0;
	G_TRUE(!rt_forkq_pop_slow(&q, 0));
	G_EQ(q.fork_bottom, q.fork_top);
}

TEST(indices_wrap_at_2_to_the_32)
{
	struct rt_pq q = { .fork_top = -3u, .fork_bottom = -3u };

	push(&q, 0, FULL);
	G_TRUE(!rt_forkq_push(&q, task(&items[999]), &(uint32_t){ 0 }));
	for (int i = 0; i < 100; i++)
		G_EQ(number(rt_forkq_steal(&q)), i);
	G_TRUE(take_out(&q, 110));
	for (int i = FULL - 1; i >= 100; i--)
		if (i % 2)
			G_TRUE(pop_own(&q, (uint32_t)i));
		else if (i == 110)
			G_EQ(number(rt_forkq_pop_any(&q)), --i); /* past the hole */
		else
			G_EQ(number(rt_forkq_pop_any(&q)), i);
	G_EQ(number(rt_forkq_pop_any(&q)), -1);

	q.fork_top = q.fork_bottom = -1u;
	push(&q, 0, 1);
	G_EQ(items[0].at, -1u);
	G_TRUE(pop_own(&q, 0));
	push(&q, 0, 2);
	G_EQ(number(rt_forkq_steal(&q)), 0);
	G_EQ(number(rt_forkq_pop_any(&q)), 1);
	G_EQ(number(rt_forkq_pop_any(&q)), -1);
}

/* ---- threads ------------------------------------------------------- */

#define NR_ITEMS ((uint32_t)G_LOOPS(400000))

static struct {
	struct rt_pq q;
	struct item *item;
	uint32_t given __cacheline; /* 1 + the item the joiner shall take */
	uint32_t over;
} s;

static void ran(struct gmprt_task *t)
{
	struct item *it = (struct item *)(void *)t;

	G_EQ(it->payload, (uint32_t)(it - s.item) * 7);
	G_EQ(fetch_add_rlx(&it->taken, 1), 0);
}

static void *thief(void *unused)
{
	(void)unused;
	while (!load_acq(&s.over)) {
		struct gmprt_task *t = rt_forkq_steal(&s.q);

		if (t)
			ran(t);
	}
	return NULL;
}

/* A goroutine that forked here and joins on another P. */
static void *joiner(void *unused)
{
	(void)unused;
	while (!load_acq(&s.over)) {
		uint32_t i = load_acq(&s.given);

		if (!i)
			continue;
		if (rt_forkq_remove(&s.q, task(&s.item[i - 1]), s.item[i - 1].at))
			ran(task(&s.item[i - 1]));
		store_rel(&s.given, 0);
	}
	return NULL;
}

static void join(uint32_t i)
{
	struct item *it = &s.item[i];

	if (rt_forkq_pop_own(&s.q, task(it), it->at) || rt_forkq_remove(&s.q, task(it), it->at))
		ran(task(it));
}

static void owner(uint64_t rand)
{
	uint32_t open[RT_FORKQ_SIZE], nr_open = 0, made = 0;

	while (made < NR_ITEMS || nr_open) {
		uint32_t what = rt_rand_below(&rand, 16);
		/* Few at a time mostly: it is the last task they all fight
		 * for. Else full: there thieves meet the owner's push. */
		uint32_t forks = made / 2048 % 4 == 3 ? 12 : 7;
		struct gmprt_task *t;

		if (what < forks && made < NR_ITEMS && nr_open < RT_FORKQ_SIZE) {
			struct item *it = &s.item[made];

			it->payload = 7 * made;
			if (rt_forkq_push(&s.q, task(it), &it->at))
				open[nr_open++] = made++;
		} else if (what < 14 && nr_open) {
			join(open[--nr_open]);
		} else if (what == 14 && nr_open) {
			uint32_t k = rt_rand_below(&rand, nr_open), i = open[k];

			if (load_acq(&s.given))
				continue;
			open[k] = open[--nr_open];
			store_rel(&s.given, i + 1);
		} else if (what == 15 && (t = rt_forkq_pop_any(&s.q))) {
			ran(t);
		}
	}
	while (load_acq(&s.given))
		;
}

TEST(with_thieves_and_joins_from_elsewhere_each_task_is_taken_exactly_once)
{
	const char *seed = getenv("SEED");
	uint64_t rand = seed ? strtoull(seed, NULL, 0) : (uint64_t)g_now();
	struct gmprt_task *left;
	pthread_t t[2];

	rand |= 1;
	printf("# SEED=%llu\n", (unsigned long long)rand);
	s.q.fork_top = s.q.fork_bottom = -1000u; /* the wrap is part of it */
	s.item = calloc(NR_ITEMS, sizeof(*s.item));
	G_TRUE(s.item);
	G_OK(pthread_create(&t[0], NULL, thief, NULL));
	G_OK(pthread_create(&t[1], NULL, joiner, NULL));
	owner(rand);
	while ((left = rt_forkq_pop_any(&s.q)))
		ran(left);
	store_rel(&s.over, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (uint32_t i = 0; i < NR_ITEMS; i++)
		G_EQ(s.item[i].taken, 1);
	free(s.item);
}

/* One task, wanted by both all the time: the fences alone decide. */
static void *rival(void *unused)
{
	(void)unused;
	while (!load_acq(&s.over)) {
		struct gmprt_task *t = rt_forkq_steal(&s.q);

		if (t)
			fetch_add_rlx(&((struct item *)(void *)t)->taken, 1);
	}
	return NULL;
}

TEST(last_task_goes_to_the_owner_or_the_thief_and_not_to_both)
{
	pthread_t t;

	G_OK(pthread_create(&t, NULL, rival, NULL));
	for (uint32_t i = 0; i < G_LOOPS(800000); i++) {
		struct item *it = &items[i % 64];

		store_rlx(&it->taken, 0);
		G_TRUE(rt_forkq_push(&s.q, task(it), &it->at));
		for (uint32_t n = i % 128; n; n--)
			barrier();
		if (rt_forkq_pop_own(&s.q, task(it), it->at))
			fetch_add_rlx(&it->taken, 1);
		for (unsigned int round = 0; !load_rlx(&it->taken);)
			rt_backoff(&round); /* the thief has it, or nobody will */
		G_EQ(load_rlx(&it->taken), 1);
		/* And nothing is left that another could take. */
		G_EQ(number(rt_forkq_pop_any(&s.q)), -1);
		G_EQ(load_rlx(&it->taken), 1);
	}
	store_rel(&s.over, 1);
	pthread_join(t, NULL);
}

TEST_HARNESS_MAIN
