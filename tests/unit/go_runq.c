/* SPDX-License-Identifier: MIT */
/*
 * go_runq.c - re-expresses what Go's runtime/proc_test.go shows of a P's queue:
 * TestSchedLocalQueue, TestSchedLocalQueueSteal, TestSchedLocalQueueEmpty (their
 * bodies are in export_test.go) and TestStealOrder (proc_runtime_test.go)
 *
 * Go's runqput(next) is a set_next whose old value is put, its runqget a
 * get_next or else a get; so they are here.
 */
#include <pthread.h>

#include "base/rand.h"
#include "core/runq.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

struct item {
	struct rt_link link;
	uint32_t seen;
};

static struct item items[RT_RUNQ_SIZE];

static rt_work work(uint32_t i)
{
	return (rt_work)&items[i];
}

static struct item *item(rt_work w)
{
	return (struct item *)w;
}

static void put(struct rt_pq *q, rt_work w, bool next)
{
	if (next)
		w = rt_runq_set_next(q, w);
	if (w)
		G_TRUE(rt_runq_put(q, w));
}

static rt_work get(struct rt_pq *q)
{
	rt_work w = rt_runq_get_next(q);

	return w ? w : rt_runq_get(q);
}

/* ---- TestSchedLocalQueue ---- */

TEST(as_many_come_out_as_went_in_for_every_number_of_them)
{
	struct rt_pq q = { 0 };

	for (uint32_t n = 0; n < RT_RUNQ_SIZE; n++) {
		G_EQ(get(&q), 0);
		for (uint32_t i = 0; i < n; i++)
			put(&q, work(n), false);
		for (uint32_t i = 0; i < n; i++)
			G_EQ(get(&q), work(n));
		G_EQ(get(&q), 0);
	}
}

/* ---- TestSchedLocalQueueSteal ---- */

static uint32_t take_all(struct rt_pq *q)
{
	uint32_t n = 0;

	for (rt_work w; (w = get(q)); n++)
		item(w)->seen++;
	return n;
}

TEST(thief_and_owner_together_get_each_entry_once_and_the_thief_half)
{
	struct rt_pq owner = { 0 }, thief = { 0 };

	for (uint32_t n = 0; n < RT_RUNQ_SIZE; n++) {
		uint32_t stolen;
		rt_work w;

		for (uint32_t i = 0; i < n; i++) {
			items[i].seen = 0;
			put(&owner, work(i), false);
		}
		w = rt_runq_steal(&owner, &thief);
		if (w)
			item(w)->seen++;
		stolen = take_all(&thief) + (w != 0);
		G_GE(stolen, n / 2);
		G_LE(stolen, n / 2 + 1);
		G_EQ(n - stolen, take_all(&owner));
		for (uint32_t i = 0; i < n; i++)
			G_EQ(1, items[i].seen);
	}
}

/* ---- TestSchedLocalQueueEmpty ---- */

#define LOOKS ((uint32_t)G_LOOPS(20000000))

static struct rt_pq shared;
static uint32_t looked;

static void *looker(void *unused)
{
	for (uint32_t i = 0; i < LOOKS; i++)
		G_GE(rt_runq_len(&shared), 1);
	store_seq(&looked, 1);
	return unused;
}

/*
 * One is there; a second comes, as next or into the ring; then one goes, from
 * there or there. Go lets the two threads meet before each look and takes next
 * first, so that the last one never is next; here both go on and on.
 */
TEST(the_queue_never_looks_empty_while_one_comes_and_another_goes)
{
	rt_work spare = work(1);
	uint64_t rand = 12345;
	pthread_t t;

	put(&shared, work(0), false);
	G_OK(pthread_create(&t, NULL, looker, NULL));
	while (!load_seq(&looked)) {
		put(&shared, spare, rt_rand_below(&rand, 2));
		spare = rt_rand_below(&rand, 2) ? rt_runq_get(&shared) : 0;
		if (!spare)
			spare = get(&shared);
		G_TRUE(spare);
	}
	pthread_join(t, NULL);
}

/* ---- TestStealOrder ---- */

/* Go enumerates by a random stride, we by 1 from a random P on: what is left to
 * show is that any P may be the first, and none far more often than others. */
TEST(any_P_may_be_the_first_to_be_stolen_from)
{
	uint64_t rand = 12345;

	for (uint32_t n = 1; n <= 64; n++) {
		uint32_t first[64] = { 0 };

		for (uint32_t i = 0; i < 1000 * n; i++) {
			uint32_t p = rt_rand_below(&rand, n);

			G_LT(p, n);
			first[p]++;
		}
		for (uint32_t p = 0; p < n; p++) {
			G_GT(first[p], 700); /* 9 sigma */
			G_LT(first[p], 1300);
		}
	}
}

TEST_HARNESS_MAIN
