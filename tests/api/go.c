/* SPDX-License-Identifier: MIT */
/*
 * go.c - proves: goroutines get their argument, a number of their own, the
 * stack asked for, run in Go's order, and end alone
 */
#include <stdlib.h>

#include "lib/gtest.h"

#define MANY 1000

static long done;
static uint64_t ids[MANY];

static void store_id(void *slot)
{
	*(uint64_t *)slot = gmprt_id();
	gmprt_yield();
	G_EQ(*(uint64_t *)slot, gmprt_id());
	g_inc(&done);
}

static int cmp_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

G_TEST(each_goroutine_has_a_number_of_its_own)
{
	G_EQ(1, gmprt_id());
	for (int round = 0; round < 2; round++) {
		for (int i = round * MANY / 2; i < (round + 1) * MANY / 2; i++)
			g_go(store_id, &ids[i]);
		g_until(&done, (round + 1) * MANY / 2);
	}
	qsort(ids, MANY, sizeof(ids[0]), cmp_id);
	G_GT(ids[0], 1);
	for (int i = 1; i < MANY; i++)
		G_NE(ids[i - 1], ids[i]);
}

static void wait_at(void *gate)
{
	G_EQ(-EPIPE, gmprt_chan_recv(gate, NULL));
}

G_TEST(the_number_of_goroutines_counts_all_that_exist)
{

	gmprt_chan *gate = g_chan(0, 0);

	G_EQ(1, gmprt_num_goroutine());
	for (int i = 0; i < 10; i++)
		g_go(wait_at, gate);
	G_EQ(11, gmprt_num_goroutine());
	gmprt_chan_close(gate);
	while (gmprt_num_goroutine() != 1)
		gmprt_sleep(G_MS / 10);
}

/* ---- order ---- */

static long order[64];
static long at;

static void note(void *n)
{
	order[g_inc(&at) - 1] = (long)(intptr_t)n;
}

static void newest_runs_next(void)
{
	for (intptr_t i = 1; i <= 4; i++)
		g_go(note, (void *)i);
	gmprt_yield();
	/* The newest in front, the others in the order they came, then main. */
	G_EQ(4, at);
	G_EQ(4, order[0]);
	G_EQ(1, order[1]);
	G_EQ(2, order[2]);
	G_EQ(3, order[3]);
}

TEST(the_new_goroutine_runs_next_and_the_rest_in_order)
{
	g_run(1, newest_runs_next);
}

static long turns[3];

static void takes_turns(void *slot)
{
	long *mine = slot;

	for (int i = 0; i < 1000; i++) {
		g_inc(mine);
		for (int j = 0; j < 3; j++)
			G_LE(g_load(mine) - g_load(&turns[j]), 2);
		gmprt_yield();
	}
	g_inc(&done);
}

static void three_take_turns(void)
{
	for (int i = 0; i < 3; i++)
		g_go(takes_turns, &turns[i]);
	while (g_load(&done) != 3)
		gmprt_yield();
}

TEST(yield_lets_every_other_runnable_one_run)
{
	g_run(1, three_take_turns);
}

G_TEST(yield_returns_when_alone)
{
	for (int i = 0; i < 10000; i++)
		gmprt_yield();
}

/* ---- many ---- */

static gmprt_wg wg;
static long sum;

static void add(void *n)
{
	__atomic_add_fetch(&sum, (long)(intptr_t)n, __ATOMIC_SEQ_CST);
	gmprt_wg_done(&wg);
}

G_TEST(a_hundred_thousand_goroutines_run_once_each)
{
	long n = G_LOOPS(100000);

	gmprt_wg_add(&wg, n);
	for (long i = 1; i <= n; i++)
		g_go(add, (void *)(intptr_t)i);
	gmprt_wg_wait(&wg);
	G_EQ(n * (n + 1) / 2, g_load(&sum));
}

static void tree(void *depth)
{
	intptr_t d = (intptr_t)depth;

	if (d > 0) {
		gmprt_wg_add(&wg, 2);
		g_go(tree, (void *)(d - 1));
		g_go(tree, (void *)(d - 1));
	}
	g_inc(&sum);
	gmprt_wg_done(&wg);
}

G_TEST(goroutines_start_goroutines)
{
	gmprt_wg_add(&wg, 1);
	g_go(tree, (void *)12);
	gmprt_wg_wait(&wg);
	G_EQ((1 << 13) - 1, g_load(&sum));
}

/* ---- exit ---- */

static volatile int never; /* keeps the compiler from seeing an endless recursion */

static __attribute__((noinline)) void deep_exit(int depth)
{
	volatile char frame[512];

	frame[0] = (char)depth;
	if (depth == 0)
		gmprt_exit();
	if (never)
		return;
	deep_exit(depth - 1);
	G_FAIL("gmprt_exit() returned, frame %d", frame[0]);
}

static void exits(void *arg)
{
	(void)arg;
	g_inc(&done);
	deep_exit(20);
}

G_TEST(exit_ends_the_goroutine_from_any_depth)
{
	for (int i = 0; i < 500; i++)
		g_go(exits, NULL);
	g_until(&done, 500);
	while (gmprt_num_goroutine() != 1)
		gmprt_sleep(G_MS / 10);
}

static void goes_on(void *arg)
{
	(void)arg;
	gmprt_sleep(20 * G_MS);
	for (int i = 0; i < 100; i++)
		gmprt_yield();
	_exit(17);
}

static void main_exits(void)
{
	g_go(goes_on, NULL);
	gmprt_exit();
}

P_TEST(exit_of_main_lets_the_others_go_on)
{
	struct g_end end;

	g_child_run(&end, main_exits);
	G_EXITS(&end, 17);
}

/* ---- attributes ---- */

static __attribute__((noinline)) void use_stack(size_t bytes)
{
	volatile char *p = __builtin_alloca(bytes);

	for (size_t i = 0; i < bytes; i += 1024)
		p[i] = (char)i;
	for (size_t i = 0; i < bytes; i += 1024)
		G_EQ((char)i, p[i]);
}

static void uses_stack(void *bytes)
{
	use_stack((size_t)bytes);
	gmprt_yield();
	use_stack((size_t)bytes);
	g_inc(&done);
}

G_TEST(a_goroutine_has_the_stack_it_asked_for)
{
	static const size_t sizes[] = { 0, 64 << 10, 1 << 20, 3000000, 16 << 20 };
	struct gmprt_attr attr = { .size = sizeof(attr) };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t usable = sizes[i] ? sizes[i] : 256 << 10;

		attr.stack_size = sizes[i];
		/* Less a guard, the head of the stack, and the call's own frames. */
		usable -= 32 << 10;
		G_OK(gmprt_go_attr(&attr, uses_stack, (void *)usable));
		G_OK(gmprt_go_attr(&attr, uses_stack, (void *)usable));
	}
	g_until(&done, 2 * ARRAY_SIZE(sizes));
}

static void small(void *arg)
{
	(void)arg;
	gmprt_yield();
	g_inc(&done);
}

G_TEST(the_smallest_stack_works)
{
	struct gmprt_attr attr = { .size = sizeof(attr), .stack_size = 1 };

	for (int i = 0; i < 200; i++)
		G_OK(gmprt_go_attr(&attr, small, NULL));
	g_until(&done, 200);
}

/*
 * Stacks of several sizes, of which none may be begun by one P while the
 * goroutine that ended on it still stands there on another.
 */
static void ends(void *arg)
{
	(void)arg;
	gmprt_wg_done(&wg);
}

static void starts_sizes(void *arg)
{
	static const size_t sizes[] = { 0, 64 << 10, 1 << 20 };
	struct gmprt_attr attr = { .size = sizeof(attr) };

	(void)arg;
	for (int i = 0; i < G_LOOPS(20000); i++) {
		attr.stack_size = sizes[i % 3];
		gmprt_wg_add(&wg, 1);
		G_OK(gmprt_go_attr(&attr, ends, NULL));
		if (i % 8 == 0)
			gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_stack_is_not_used_anew_before_it_is_left)
{
	gmprt_wg_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		g_go(starts_sizes, NULL);
	gmprt_wg_wait(&wg);
}

G_TEST(attributes_are_checked)
{
	struct gmprt_attr attr = { .size = 0 };

	G_EQ(-EINVAL, gmprt_go_attr(&attr, small, NULL));
	attr.size = sizeof(attr) + 8;
	G_EQ(-EINVAL, gmprt_go_attr(&attr, small, NULL));
	attr.size = sizeof(attr);
	attr.stack_size = SIZE_MAX;
	G_EQ(-EINVAL, gmprt_go_attr(&attr, small, NULL));
	attr.stack_size = 0;
	attr.name = "a name that is much longer than thirty-one bytes";
	G_OK(gmprt_go_attr(&attr, small, NULL));
	G_OK(gmprt_go_attr(NULL, small, NULL));
	g_until(&done, 2);
}

TEST_HARNESS_MAIN
