/* SPDX-License-Identifier: MIT */
/*
 * What queues hold: a pointer that says what it points to, chains that keep
 * order, the global queue's blocks, and the P's word.
 */
#include "base/rand.h"
#include "base/sys.h"
#include "core/g.h"
#include "core/kport.h"
#include "core/spawn.h"
#include "core/workq.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

static struct rt_spawn spawn[4000];

static rt_work work(uint32_t i)
{
	return rt_work_spawn(&spawn[i]);
}

static int number(rt_work w)
{
	return w ? (int)(rt_work_to_spawn(w) - spawn) : -1;
}

TEST(pointer_says_which_kind_it_is)
{
	static struct rt_g g;

	G_TRUE(!rt_work_is_spawn(rt_work_g(&g)));
	G_TRUE(rt_work_is_spawn(work(3)));
	G_TRUE(rt_work_to_g(rt_work_g(&g)) == &g);
	G_TRUE(rt_work_to_spawn(work(3)) == &spawn[3]);
	G_TRUE(rt_work_link(rt_work_g(&g)) == &g.link);
	G_TRUE(rt_work_link(work(3)) == &spawn[3].link);
}

TEST(chain_keeps_order_through_adds_pops_and_splices)
{
	struct rt_worklist a = { 0 }, b = { 0 };

	G_EQ(rt_worklist_pop(&a), 0);
	rt_worklist_splice(&a, &b);
	G_EQ(a.n, 0);
	for (uint32_t i = 0; i < 3; i++)
		rt_worklist_add(&b, work(i));
	rt_worklist_splice(&a, &b); /* into an empty one */
	G_EQ(b.n, 0);
	G_EQ(rt_worklist_pop(&b), 0);
	for (uint32_t i = 3; i < 6; i++)
		rt_worklist_add(&b, work(i));
	rt_worklist_splice(&a, &b);
	rt_worklist_splice(&a, &b); /* nothing */
	rt_worklist_add(&a, work(6));
	G_EQ(a.n, 7);
	for (int i = 0; i < 7; i++)
		G_EQ(number(rt_worklist_pop(&a)), i);
	G_EQ(rt_worklist_pop(&a), 0);
	G_EQ(a.n, 0);
	rt_worklist_add(&a, work(7));
	G_EQ(number(rt_worklist_pop(&a)), 7);
}

/* ---- workq --------------------------------------------------------- */

TEST(workq_keeps_order_over_many_blocks)
{
	struct rt_workq q = { 0 };
	uint32_t in = 0, out = 0;
	uint64_t rand = 7;

	G_EQ(rt_workq_get(&q), 0);
	while (out < 200000) {
		for (uint32_t n = rt_rand_below(&rand, 1500); n && in - out < 4000; n--)
			rt_workq_put(&q, work(in++ % 4000));
		G_EQ(q.n, in - out);
		for (uint32_t n = rt_rand_below(&rand, 1500); n && out < in; n--)
			G_EQ(number(rt_workq_get(&q)), out++ % 4000);
		G_EQ(q.n, in - out);
	}
	while (out < in)
		G_EQ(number(rt_workq_get(&q)), out++ % 4000);
	G_EQ(rt_workq_get(&q), 0);
	G_EQ(q.n, 0);
	rt_workq_free(&q);
}

TEST(workq_takes_lists_and_arrays_in_their_order)
{
	struct rt_worklist l = { 0 };
	struct rt_workq q = { 0 };
	rt_work array[600];

	for (uint32_t i = 0; i < 600; i++) {
		rt_worklist_add(&l, work(i));
		array[i] = work(600 + i);
	}
	rt_workq_put_list(&q, &l);
	G_EQ(l.n, 0);
	rt_workq_put_array(&q, array, 600);
	G_EQ(q.n, 1200);
	for (int i = 0; i < 1200; i++)
		G_EQ(number(rt_workq_get(&q)), i);
	rt_workq_free(&q);
}

TEST(workq_near_empty_does_not_allocate)
{
	struct rt_workq q = { 0 };

	rt_workq_put(&q, work(0));
	rt_workq_get(&q);
	rt_fault_arm(0);
	for (uint32_t i = 0; i < 2000; i++) {
		rt_workq_put(&q, work(i));
		G_EQ(number(rt_workq_get(&q)), i);
	}
	G_EQ(rt_fault_arm(0), 0);
	rt_workq_free(&q);
}

TEST(workq_without_memory_loses_nothing)
{
	for (unsigned long nth = 1; nth <= 8; nth++) {
		static uint8_t seen[4000];
		struct rt_workq q = { 0 };

		memset(seen, 0, sizeof(seen));
		rt_fault_arm(nth);
		for (uint32_t i = 0; i < 4000; i++)
			rt_workq_put(&q, work(i));
		G_EQ(q.chain.n, 64); /* the next one got its block */
		G_EQ(q.n, 4000);
		for (int i = 0; i < 4000; i++) {
			int k = number(rt_workq_get(&q));

			G_GE(k, 0);
			G_EQ(seen[k]++, 0);
		}
		G_EQ(rt_workq_get(&q), 0);
		G_EQ(q.n, 0);
		rt_workq_free(&q);
	}
	rt_fault_arm(0);
}

static rt_work wanted;

static bool is_wanted(rt_work w)
{
	return w == wanted;
}

/* Takes the k-th of n out of the middle; the first `chained` had no block. */
static void expect_first(uint32_t n, uint32_t k, unsigned long fault)
{
	struct rt_workq q = { 0 };
	uint32_t left = n;
	rt_work w;

	rt_fault_arm(fault);
	for (uint32_t i = 0; i < n; i++)
		rt_workq_put(&q, work(i));
	rt_fault_arm(0);
	wanted = work(k);
	G_EQ(number(rt_workq_get_first(&q, is_wanted)), k);
	G_EQ(rt_workq_get_first(&q, is_wanted), 0);
	while ((w = rt_workq_get(&q))) {
		G_NE(number(w), k);
		left--;
	}
	G_EQ(left, 1);
	G_EQ(q.n, 0);
	/* It is whole: work goes in and comes out again. */
	rt_workq_put(&q, work(5));
	G_EQ(number(rt_workq_get(&q)), 5);
	rt_workq_free(&q);
}

TEST(workq_finds_the_first_of_a_kind_wherever_it_is)
{
	static const uint32_t at[] = { 0, 1, 70, 509, 510, 511, 1019, 1020, 1529, 1530 };

	for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
		expect_first(1531, at[i], 0);
		expect_first(1531, at[i], 1);
		expect_first(1531, at[i], 2);
		expect_first(at[i] + 1, at[i], 0);
	}
}

TEST(workq_drops_a_block_in_the_middle_that_is_empty)
{
	struct rt_workq q = { 0 };

	for (uint32_t i = 0; i < 1530; i++)
		rt_workq_put(&q, work(i));
	for (uint32_t i = 510; i < 1020; i++) {
		wanted = work(i);
		G_EQ(number(rt_workq_get_first(&q, is_wanted)), i);
	}
	for (uint32_t i = 0; i < 1530; i = i == 509 ? 1020 : i + 1)
		G_EQ(number(rt_workq_get(&q)), i);
	G_EQ(rt_workq_get(&q), 0);
	rt_workq_free(&q);
}

TEST(workq_does_not_starve_what_was_put_without_memory)
{
	struct rt_workq q = { 0 };
	int gets = 0;

	rt_fault_arm(1);
	rt_workq_put(&q, work(0));
	G_EQ(q.chain.n, 1);
	/* Never empty from now on. */
	for (rt_workq_put(&q, work(1)); gets < 10000; gets++) {
		rt_workq_put(&q, work(2));
		if (number(rt_workq_get(&q)) == 0)
			break;
	}
	G_LT(gets, 10);
	rt_workq_free(&q);
}

TEST(workq_serves_first_what_is_to_go_soon_but_not_for_ever)
{
	struct rt_workq q = { 0 };
	int others = 0;

	for (uint32_t i = 0; i < 100; i++)
		rt_workq_put(&q, work(1));
	for (int i = 0; i < 40; i++) {
		rt_workq_put_soon(&q, work(0)); /* one more each time */
		others += number(rt_workq_get(&q)) == 1;
	}
	G_EQ(others, 10);
	G_EQ(q.n, 100);
	rt_workq_free(&q);
}

TEST(workq_freed_with_work_in_it_leaks_no_block)
{
	struct rt_workq q = { 0 };

	for (uint32_t i = 0; i < 2000; i++)
		rt_workq_put(&q, work(i));
	for (uint32_t i = 0; i < 600; i++)
		rt_workq_get(&q); /* there is a spare */
	G_TRUE(q.spare);
	rt_workq_free(&q);
	G_TRUE(!q.first && !q.spare && !q.n);
}

/* ---- the P's word -------------------------------------------------- */

TEST(P_word_keeps_epoch_owner_and_state_apart)
{
	static const uint32_t epochs[] = { 0, 1, 0x80000000, UINT32_MAX };
	static const uint32_t owners[] = { 0, 1, 0x800000, RT_OWNER_MAX };

	for (size_t e = 0; e < ARRAY_SIZE(epochs); e++)
		for (size_t o = 0; o < ARRAY_SIZE(owners); o++)
			for (int s = RT_P_DEAD; s <= RT_P_REVOKED; s++) {
				uint64_t w = rt_pword(epochs[e], owners[o], (enum rt_pstate)s);

				G_EQ(rt_pword_epoch(w), epochs[e]);
				G_EQ(rt_pword_owner(w), owners[o]);
				G_EQ(rt_pword_state(w), s);
			}
	G_EQ(rt_pword_owner(rt_pword(0, RT_OWNER_MAX + 2, RT_P_IDLE)), 1);
}

TEST_HARNESS_MAIN
