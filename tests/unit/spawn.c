/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of goroutines that have not begun: each is a line of its own,
 * freed ones come back, a dump sees exactly those in use at any time, and
 * without memory there is none, until there is memory again.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/sys.h"
#include "core/spawn.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

#define SLAB ARRAY_SIZE(((struct rt_slab *)0)->spawns)

static uint64_t sum, nr_seen;

static void see(struct rt_spawn *s, void *arg)
{
	(void)arg;
	sum += s->id;
	nr_seen++;
}

static void expect_seen(struct rt_spawn_pool *pool, uint64_t nr, uint64_t ids)
{
	sum = nr_seen = 0;
	rt_spawn_each(pool, see, NULL);
	G_EQ(nr_seen, nr);
	G_EQ(sum, ids);
}

static int slabs(struct rt_spawn_pool *pool)
{
	int n = 0;

	for (struct rt_slab *s = pool->slabs; s; s = s->next)
		n++;
	return n;
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

TEST(each_descriptor_is_a_cache_line_of_its_own)
{
	struct rt_spawn_pool pool = { 0 };
	static struct rt_spawn *s[3 * SLAB];
	struct rt_magazine m = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		s[i] = rt_spawn_get(&pool, &m);
		G_TRUE(s[i]);
		G_EQ((uintptr_t)s[i] % RT_CACHELINE, 0);
		G_EQ(s[i]->id, 0);
		s[i]->id = i + 1;
	}
	qsort(s, ARRAY_SIZE(s), sizeof(*s), by_address);
	for (size_t i = 1; i < ARRAY_SIZE(s); i++)
		G_GE((char *)s[i] - (char *)s[i - 1], RT_CACHELINE);
	G_EQ(slabs(&pool), 4); /* whole magazines are carved */
	rt_spawn_pool_free(&pool);
}

TEST(freed_descriptor_is_the_next_to_be_had)
{
	struct rt_spawn_pool pool = { 0 };
	struct rt_magazine m = { 0 };
	struct rt_spawn *s = rt_spawn_get(&pool, &m);

	s->id = 5;
	rt_spawn_put(&pool, &m, s);
	G_EQ(s->id, 0);
	G_TRUE(rt_spawn_get(&pool, &m) == s);
	rt_spawn_pool_free(&pool);
}

TEST(spawns_that_come_and_go_need_one_slab)
{
	struct rt_spawn_pool pool = { 0 };
	struct rt_magazine a = { 0 }, b = { 0 };

	/* Made on one P, begun on another. */
	for (int i = 0; i < 20000; i++) {
		struct rt_spawn *s = rt_spawn_get(&pool, &a);

		G_TRUE(s);
		rt_spawn_put(&pool, &b, s);
	}
	G_EQ(slabs(&pool), 1);
	rt_spawn_pool_free(&pool);
}

TEST(each_sees_exactly_those_in_use)
{
	struct rt_spawn_pool pool = { 0 };
	static struct rt_spawn *s[2 * SLAB];
	struct rt_magazine m = { 0 };
	uint64_t ids = 0;

	expect_seen(&pool, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		s[i] = rt_spawn_get(&pool, &m);
		s[i]->id = i + 1;
		ids += i + 1;
	}
	expect_seen(&pool, ARRAY_SIZE(s), ids);
	for (size_t i = 0; i < ARRAY_SIZE(s); i += 2) {
		ids -= s[i]->id;
		rt_spawn_put(&pool, &m, s[i]);
	}
	expect_seen(&pool, ARRAY_SIZE(s) / 2, ids);
	for (size_t i = 1; i < ARRAY_SIZE(s); i += 2)
		rt_spawn_put(&pool, &m, s[i]);
	expect_seen(&pool, 0, 0);
	rt_spawn_pool_free(&pool);
}

TEST(threads_without_a_P_share_a_magazine)
{
	struct rt_spawn_pool pool = { 0 };
	struct rt_magazine m = { 0 };
	struct rt_spawn *a = rt_spawn_get_shared(&pool), *b = rt_spawn_get_shared(&pool);

	G_TRUE(a && b && a != b);
	a->id = 1;
	b->id = 2;
	expect_seen(&pool, 2, 3);
	rt_spawn_put(&pool, &m, a);
	expect_seen(&pool, 1, 2);
	rt_spawn_pool_free(&pool);
}

TEST(without_memory_there_is_none_and_later_there_is)
{
	struct rt_spawn_pool pool = { 0 };
	struct rt_magazine m = { 0 };

	rt_fault_arm(1);
	G_TRUE(!rt_spawn_get(&pool, &m));
	rt_fault_arm(1);
	G_TRUE(!rt_spawn_get_shared(&pool));
	G_EQ(slabs(&pool), 0);

	/* The second slab fails in the middle of a refill: what the first had
	 * left is handed out all the same. */
	rt_fault_arm(2);
	for (size_t i = 0; i < SLAB; i++)
		G_TRUE(rt_spawn_get(&pool, &m));
	G_EQ(rt_fault_arm(0), 2);
	G_EQ(slabs(&pool), 1);
	rt_fault_arm(1);
	G_TRUE(!rt_spawn_get(&pool, &m));
	G_TRUE(rt_spawn_get(&pool, &m));
	G_EQ(slabs(&pool), 2);
	rt_fault_arm(0);
	rt_spawn_pool_free(&pool);
}

TEST(names_of_spawns_that_never_began_are_freed_with_the_pool)
{
	struct rt_spawn_pool pool = { 0 };
	struct rt_magazine m = { 0 };
	struct rt_spawn *s = rt_spawn_get(&pool, &m), *none = rt_spawn_get(&pool, &m);

	none->id = 1;
	s->id = 2;
	s->name = rt_zalloc(32); /* LeakSanitizer tells */
	G_TRUE(s->name);
	rt_spawn_pool_free(&pool);
	G_TRUE(!pool.slabs);
}

/* ---- threads ------------------------------------------------------- */

static struct rt_spawn_pool live;
static uint32_t over;

static void *churn(void *arg)
{
	struct rt_magazine m = { 0 };
	struct rt_spawn *s[100];

	(void)arg;
	for (int round = 0; round < G_LOOPS(8000); round++) {
		for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
			s[i] = round % 16 ? rt_spawn_get(&live, &m) : rt_spawn_get_shared(&live);
			G_TRUE(s[i]);
			G_EQ(load_rlx(&s[i]->id), 0);
			store_rel(&s[i]->id, 1 + i);
		}
		for (size_t i = 0; i < ARRAY_SIZE(s); i++)
			rt_spawn_put(&live, &m, s[i]);
	}
	fetch_add_seq(&over, 1);
	return NULL;
}

static void look(struct rt_spawn *s, void *arg)
{
	(void)arg;
	G_LE(load_rlx(&s->id), 100);
	nr_seen++;
}

TEST(dump_may_look_while_two_threads_spawn)
{
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		G_OK(pthread_create(&t[i], NULL, churn, NULL));
	while (load_acq(&over) < 2) {
		nr_seen = 0;
		rt_spawn_each(&live, look, NULL);
		/* 2 x 100 in use, and what changes hands during the look */
		G_LE(nr_seen, (uint64_t)slabs(&live) * SLAB);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	expect_seen(&live, 0, 0);
	rt_spawn_pool_free(&live);
}

TEST_HARNESS_MAIN
