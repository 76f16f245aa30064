/* SPDX-License-Identifier: MIT */
/*
 * spawns.c - proves under random load: goroutines that start goroutines,
 * yield, sleep, exit, and use stacks of several sizes all run once and end;
 * none is left over, no stack is another's
 */
#include "lib/stress.h"

static gmprt_wg wg;
static long started, ended, budget;

static __attribute__((noinline)) void use_stack(uint64_t *rand, size_t bytes)
{
	volatile uint64_t *p = __builtin_alloca(bytes);
	uint64_t mark = g_rand(rand);

	for (size_t i = 0; i < bytes / sizeof(*p); i += 64)
		p[i] = mark + i;
	if (g_below(rand, 4) == 0)
		gmprt_sleep(g_below(rand, 50000));
	else
		gmprt_yield();
	for (size_t i = 0; i < bytes / sizeof(*p); i += 64)
		G_EQ(mark + i, p[i]);
}

static void lives(void *seed);

static void spawn(uint64_t *rand)
{
	static const size_t sizes[] = { 0, 0, 0, 0, 64 << 10, 1 << 20 };
	struct gmprt_attr attr = { .size = sizeof(attr), .name = "spawned" };

	if (__atomic_sub_fetch(&budget, 1, __ATOMIC_SEQ_CST) < 0)
		return;
	gmprt_wg_add(&wg, 1);
	g_inc(&started);
	attr.stack_size = sizes[g_below(rand, ARRAY_SIZE(sizes))];
	if (g_below(rand, 2))
		g_go(lives, (void *)(uintptr_t)g_rand(rand));
	else
		G_OK(gmprt_go_attr(&attr, lives, (void *)(uintptr_t)g_rand(rand)));
}

static void lives(void *seed)
{
	uint64_t rand = (uintptr_t)seed, id = gmprt_id();

	for (long i = g_below(&rand, 4); i > 0; i--) {
		spawn(&rand);
		switch (g_below(&rand, 8)) {
		case 0:
			gmprt_yield();
			break;
		case 1:
			gmprt_sleep(g_below(&rand, 100000));
			break;
		case 2:
			use_stack(&rand, 64 + (size_t)g_below(&rand, 20000));
			break;
		}
		G_EQ(id, gmprt_id());
	}
	g_inc(&ended);
	gmprt_wg_done(&wg);
	if (g_below(&rand, 3) == 0)
		gmprt_exit();
}

G_STRESS(every_goroutine_started_runs_once_and_ends)
{
	uint64_t rand = g_seed;

	g_store(&started, 0);
	g_store(&ended, 0);
	g_store(&budget, G_LOOPS(1 + g_below(&rand, 30000)));
	while (g_load(&budget) > 0)
		spawn(&rand);
	gmprt_wg_wait(&wg);
	G_EQ(g_load(&started), g_load(&ended));
	while (gmprt_num_goroutine() != 1)
		gmprt_sleep(G_MS / 10);
	G_EQ(g_load(&started) + 1, g_stats().nr_created);
	G_EQ(g_load(&started), g_stats().nr_ended);
}

/* The run ends while everything is under way: nothing may crash. */
static void never_ends(void *seed)
{
	uint64_t rand = (uintptr_t)seed;

	for (;;) {
		if (g_below(&rand, 10) == 0)
			g_go(never_ends, (void *)(uintptr_t)g_rand(&rand));
		switch (g_below(&rand, 5)) {
		case 0:
			gmprt_yield();
			break;
		case 1:
			gmprt_sleep(g_below(&rand, 100000));
			break;
		case 2:
			gmprt_block_enter();
			g_nap(g_below(&rand, 50000));
			gmprt_block_exit();
			break;
		case 3:
			if (gmprt_num_goroutine() > 500)
				gmprt_exit();
			break;
		}
	}
}

G_STRESS(a_run_may_end_with_everything_under_way)
{
	uint64_t rand = g_seed;

	for (long i = 1 + g_below(&rand, 50); i > 0; i--)
		g_go(never_ends, (void *)(uintptr_t)g_rand(&rand));
	gmprt_sleep(g_below(&rand, 5 * G_MS));
}

TEST_HARNESS_MAIN
