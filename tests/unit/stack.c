/* SPDX-License-Identifier: MIT */
/*
 * Stacks: of the size asked for, found from their G and back, with a guard
 * that no access survives, at addresses that don't collide in the cache; their
 * memory goes back when they lie idle, and where there is none to be had the
 * answer is NULL, not a crash.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sys.h"
#include "core/stack.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

#define DEFAULT RT_STACK_CLASS_DEFAULT
#define PAGE    ((size_t)sysconf(_SC_PAGESIZE))

/* In place of libc's: mappings above a size can't be had. */
static size_t mmap_most = SIZE_MAX;
static long nr_maps;

void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t off)
{
	g_inc(&nr_maps);
	if (bytes > mmap_most) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, at, bytes, prot, flags, fd, off);
}

static struct rt_stacks st;
static struct g_end end;

static struct rt_g *get(uint32_t class)
{
	struct rt_g *g = rt_stack_get(&st, class, NULL);

	G_TRUE(g);
	return g;
}

/* Until it is tried again to map more. */
static void await_the_next_try(void)
{
	g_nap(RT_STACK_NONE_NS + G_MS);
}

static void expect_guard(struct rt_g *g)
{
	G_TRUE(!g_readable(rt_g_slot(g)));
	G_TRUE(!g_readable(rt_g_stack_lo(g) - 1));
	G_TRUE(g_readable(rt_g_stack_lo(g)));
}

/* Pages in memory of a stack of the default class, cold or not. */
static size_t resident(const struct rt_g *g)
{
	size_t bytes = rt_stack_bytes(DEFAULT), guard = rt_stack_guard_bytes(DEFAULT), n = 0;
	char *slot = (char *)((uintptr_t)g & ~(bytes - 1));
	unsigned char there[64];

	G_LE((bytes - guard) / PAGE, sizeof(there));
	G_OK(mincore(slot + guard, bytes - guard, there));
	for (size_t i = 0; i < (bytes - guard) / PAGE; i++)
		n += there[i] & 1;
	return n;
}

/* ---- geometry ------------------------------------------------------ */

TEST(class_is_the_least_power_of_two_that_holds_the_size)
{
	G_EQ(rt_stack_class(0), RT_STACK_CLASS_MIN);
	G_EQ(rt_stack_class(1), RT_STACK_CLASS_MIN);
	for (int k = RT_STACK_CLASS_MIN; k <= RT_STACK_CLASS_MAX; k++) {
		G_EQ(rt_stack_class((size_t)1 << k), k);
		G_EQ(rt_stack_class(((size_t)1 << k) + 1), k < RT_STACK_CLASS_MAX ? k + 1 : -1);
		G_EQ(rt_stack_bytes((uint32_t)k), (size_t)1 << k);
	}
	G_EQ(rt_stack_class(SIZE_MAX), -1);
}

TEST(guard_is_16_KiB_where_the_stack_is_big_enough)
{
	for (uint32_t k = RT_STACK_CLASS_MIN; k <= RT_STACK_CLASS_MAX; k++) {
		size_t guard = rt_stack_guard_bytes(k);

		G_EQ(guard % PAGE, 0);
		G_LE(guard + 2 * PAGE, rt_stack_bytes(k));
		G_GE(guard, k >= 16 ? 16 * 1024 : (long)PAGE);
	}
}

TEST(every_class_gives_stacks_that_are_found_from_their_G)
{
	for (uint32_t k = RT_STACK_CLASS_MIN; k <= RT_STACK_CLASS_MAX; k++) {
		struct rt_g *g[20];
		int n = k > 24 ? 5 : 20; /* over the first arena's end */

		for (int i = 0; i < n; i++) {
			char *slot = rt_g_slot(g[i] = get(k));

			G_EQ(g[i]->class, k);
			G_EQ(g[i]->id, 0);
			G_EQ((uintptr_t)slot % rt_stack_bytes(k), 0);
			G_EQ((uintptr_t)g[i] % RT_CACHELINE, 0);
			/* all of the G in the topmost page */
			G_GE((char *)g[i], slot + rt_stack_bytes(k) - PAGE);
			G_LE((char *)(g[i] + 1), slot + rt_stack_bytes(k));
			for (int j = 0; j < i; j++)
				G_TRUE(rt_g_slot(g[j]) != slot);
		}
		expect_guard(g[0]);
		expect_guard(g[n - 1]);
	}
	rt_stacks_free(&st);
}

TEST(sixteen_neighbours_have_sixteen_colours)
{
	uint32_t seen = 0;

	for (int i = 0; i < 16; i++)
		seen |= 1u << ((uintptr_t)get(DEFAULT) / RT_CACHELINE % 16);
	G_EQ(seen, 0xffff);
	rt_stacks_free(&st);
}

/* ---- the guard ----------------------------------------------------- */

static char *touched;

static void touch(void)
{
	signal(SIGSEGV, SIG_DFL); /* not a sanitizer's report */
	*(volatile char *)touched = 1;
}

TEST(access_below_the_stack_kills_and_the_lowest_byte_does_not)
{
	struct rt_g *g = get(DEFAULT);

	touched = rt_g_stack_lo(g);
	g_child(&end, touch);
	G_EXITS(&end, 0);
	touched = rt_g_stack_lo(g) - 1;
	g_child(&end, touch);
	G_SIGNALED(&end, SIGSEGV);
	touched = rt_g_slot(g);
	g_child(&end, touch);
	G_SIGNALED(&end, SIGSEGV);
	rt_stacks_free(&st);
}

static struct rt_g *victim;

static void at_fault(int sig, siginfo_t *info, void *context)
{
	char *at = info->si_addr;

	(void)sig, (void)context;
	_exit(at >= rt_g_slot(victim) && at < rt_g_stack_lo(victim) ? 42 : 1);
}

static int __noinline recurse(int depth)
{
	volatile char frame[700];

	frame[depth % 700] = (char)depth;
	if (depth > 1 << 20)
		return 0;
	return recurse(depth + 1) + frame[depth % 700];
}

static void overflow(void)
{
	recurse(0);
	_exit(2);
}

static void run_over(void)
{
	static char altstack[64 * 1024];
	struct sigaction act = { .sa_sigaction = at_fault, .sa_flags = SA_ONSTACK | SA_SIGINFO };
	struct rt_ctx c;

	G_OK(sigaltstack(&(stack_t){ .ss_sp = altstack, .ss_size = sizeof(altstack) }, NULL));
	G_OK(sigaction(SIGSEGV, &act, NULL));
	rt_ctx_init(&c, victim, overflow);
	rt_ctx_jump(&c);
}

TEST(endless_recursion_faults_in_its_own_guard)
{
	/* A neighbour below, which must not be what it runs into. */
	get(RT_STACK_CLASS_MIN);
	victim = get(RT_STACK_CLASS_MIN);
	g_child(&end, run_over);
	G_EXITS(&end, 42);
	rt_stacks_free(&st);
}

TEST(guard_of_older_kernels_kills_too)
{
	struct rt_g *g;

	rt_guard_use_mappings();
	g = get(DEFAULT);
	expect_guard(g);
	touched = rt_g_stack_lo(g) - 1;
	g_child(&end, touch);
	G_SIGNALED(&end, SIGSEGV);
	victim = g;
	g_child(&end, run_over);
	G_EXITS(&end, 42);
	rt_stacks_free(&st);
}

static void no_more_guards(void)
{
	rt_guard_use_mappings();
	for (int i = 0; i < 3; i++) {
		rt_fault_arm(1 + 2 * !i); /* an arena is two sites */
		G_TRUE(!rt_stack_get(&st, DEFAULT, NULL));
		await_the_next_try();
	}
	expect_guard(get(DEFAULT));
	rt_stacks_free(&st);
}

TEST(end_of_mappings_is_said_once_with_the_knob_to_turn)
{
	char *first;

	g_child(&end, no_more_guards);
	G_EXITS(&end, 0);
	G_SAYS(&end, "gmprt: no guard page");
	G_SAYS(&end, "vm.max_map_count");
	first = strchr(end.text, '\n');
	G_TRUE(first && !first[1]);
}

/* ---- get and put --------------------------------------------------- */

TEST(stack_put_last_is_the_next_to_be_had)
{
	struct rt_magazine m = { 0 };
	struct rt_g *a = rt_stack_get(&st, DEFAULT, &m), *b = rt_stack_get(&st, DEFAULT, &m);

	G_TRUE(a && b && a != b);
	rt_stack_put(&st, &m, a);
	rt_stack_put(&st, &m, b);
	G_TRUE(rt_stack_get(&st, DEFAULT, &m) == b);
	rt_stack_put_shared(&st, b);
	G_TRUE(rt_stack_get(&st, DEFAULT, NULL) == b);
	G_TRUE(rt_stack_get(&st, DEFAULT, &m) == a);
	rt_stacks_free(&st);
}

TEST(stacks_that_come_and_go_need_no_new_slots)
{
	struct rt_magazine a = { 0 }, b = { 0 };
	uint64_t nr, bytes;

	for (int i = 0; i < 5000; i++)
		rt_stack_put(&st, &b, rt_stack_get(&st, DEFAULT, &a));
	rt_stacks_count(&st, &nr, &bytes);
	G_LE(nr, 3 * RT_MAG);
	rt_stacks_free(&st);
}

static uint64_t ids;

static void see(struct rt_g *g, void *arg)
{
	(void)arg;
	ids += g->id;
}

TEST(each_sees_exactly_the_live_ones_of_all_classes)
{
	struct rt_g *g[60];

	for (int i = 0; i < 60; i++) {
		g[i] = get(14 + 2 * (uint32_t)(i % 3));
		if (i % 2)
			g[i]->id = 1 + (uint64_t)i * i;
	}
	rt_stacks_each(&st, see, NULL);
	for (int i = 1; i < 60; i += 2)
		ids -= 1 + (uint64_t)i * i;
	G_EQ(ids, 0);
	for (int i = 0; i < 60; i++)
		g[i]->id = 0;
	rt_stacks_each(&st, see, NULL);
	G_EQ(ids, 0);
	rt_stacks_free(&st);
}

TEST(count_is_of_slots_used_and_address_space_reserved)
{
	uint64_t nr, bytes;

	rt_stacks_count(&st, &nr, &bytes);
	G_EQ(nr, 0);
	G_EQ(bytes, 0);
	for (int i = 0; i < 17; i++)
		get(DEFAULT);
	rt_stacks_count(&st, &nr, &bytes);
	G_EQ(nr, 17);
	/* 16 and 32 slots and what alignment may cost */
	G_EQ(bytes, (17 + 33) * rt_stack_bytes(DEFAULT));
	rt_stacks_free(&st);
}

/* ---- giving back --------------------------------------------------- */

#define NR (4 * RT_MAG)

static struct rt_g *all[NR];

/* Of NR stacks, used down to the bottom, half end in the depot. */
static void fill_depot(struct rt_magazine *m)
{
	for (uint32_t i = 0; i < NR; i++) {
		all[i] = rt_stack_get(&st, DEFAULT, m);
		G_TRUE(all[i]);
		*rt_g_stack_lo(all[i]) = 'x';
	}
	for (uint32_t i = 0; i < NR; i++) {
		all[i]->since_ns = 0;
		rt_stack_put(&st, m, all[i]);
	}
	G_EQ(st.class[DEFAULT].depot.nr_chains, 2);
}

static void expect_memory(size_t first, size_t rest)
{
	for (uint32_t i = 0; i < NR; i++)
		G_EQ(resident(all[i]), i < NR / 2 ? first : rest);
}

TEST(scavenge_gives_back_what_lay_idle_and_nothing_else)
{
	struct rt_magazine m = { 0 };
	uint64_t nr, bytes;

	fill_depot(&m);
	G_TRUE(rt_stacks_scavenge(&st, 1000)); /* looks at them the first time */
	G_TRUE(rt_stacks_scavenge(&st, 1000 + RT_STACK_IDLE_NS));
	expect_memory(2, 2);
	G_TRUE(!rt_stacks_scavenge(&st, 1001 + RT_STACK_IDLE_NS));
	G_EQ(st.class[DEFAULT].nr_cold, NR / 2);
	expect_memory(0, 2);

	/* All can be used again, and none was lost. */
	for (uint32_t i = 0; i < NR; i++) {
		struct rt_g *g = rt_stack_get(&st, DEFAULT, &m);

		G_TRUE(g);
		G_EQ(g->class, DEFAULT);
		G_EQ(g->id, 0);
		g->id = i + 1;
		if (i % 16 == 0)
			expect_guard(g);
		G_EQ(*rt_g_stack_lo(g), i < NR / 2 ? 'x' : 0);
	}
	rt_stacks_count(&st, &nr, &bytes);
	G_EQ(nr, NR);
	ids = 0;
	rt_stacks_each(&st, see, NULL);
	G_EQ(ids, NR * (NR + 1) / 2);
	rt_stacks_free(&st);
}

TEST(chain_that_was_used_meanwhile_is_young_again)
{
	struct rt_magazine m = { 0 };

	fill_depot(&m);
	rt_stacks_scavenge(&st, 1000);
	for (uint32_t i = 0; i < NR; i++)
		G_TRUE(rt_stack_get(&st, DEFAULT, &m));
	for (uint32_t i = 0; i < NR; i++) {
		all[i]->since_ns = 0; /* as a G's end does */
		rt_stack_put(&st, &m, all[i]);
	}
	G_TRUE(rt_stacks_scavenge(&st, 5000 + RT_STACK_IDLE_NS));
	expect_memory(2, 2);
	rt_stacks_free(&st);
}

TEST(scavenge_without_memory_for_its_list_loses_no_stack)
{
	struct rt_magazine m = { 0 };

	fill_depot(&m);
	rt_stacks_scavenge(&st, 1000);
	rt_fault_arm(1);
	G_TRUE(rt_stacks_scavenge(&st, 1001 + RT_STACK_IDLE_NS));
	G_EQ(rt_fault_arm(0), 1);
	G_EQ(st.class[DEFAULT].depot.nr_chains, 2);
	expect_memory(2, 2);
	G_TRUE(!rt_stacks_scavenge(&st, 1002 + RT_STACK_IDLE_NS));
	G_EQ(st.class[DEFAULT].nr_cold, NR / 2);
	rt_stacks_free(&st);
}

TEST(trim_gives_back_all_but_the_page_of_the_G)
{
	struct rt_magazine m = { 0 };
	struct rt_g *g[10];

	for (int i = 0; i < 10; i++) {
		g[i] = get(DEFAULT);
		memset(rt_g_stack_lo(g[i]), 'x', 5 * PAGE);
		((char *)g[i])[-1] = 'y';
		g[i]->fn = free;
	}
	for (int i = 0; i < 9; i++)
		rt_stack_put(&st, &m, g[i]);
	rt_stack_trim_chain(m.cur);
	rt_stack_trim_chain(NULL);
	for (int i = 0; i < 10; i++) {
		G_EQ(resident(g[i]), i < 9 ? 1 : 6);
		G_EQ(((char *)g[i])[-1], 'y');
		G_TRUE(g[i]->fn == free);
	}
	expect_guard(g[0]);
	rt_stacks_free(&st);
}

/* ---- without memory ------------------------------------------------ */

TEST(at_every_fault_site_there_is_a_smaller_arena_or_NULL)
{
	for (unsigned long nth = 1; nth <= 4; nth++) {
		struct rt_g *g;

		rt_fault_arm(nth);
		g = rt_stack_get(&st, DEFAULT, NULL);
		rt_fault_arm(0);
		/* 1 the arena's descriptor, 2 its mapping, 3 the guard */
		G_EQ(g != NULL, nth != 3);
		G_EQ(st.class[DEFAULT].arenas->nr, nth < 3 ? 8 : 16);
		await_the_next_try();
		for (int i = 0; i < 20; i++)
			expect_guard(get(DEFAULT));
		rt_stacks_free(&st);
		memset(&st, 0, sizeof(st));
	}
}

TEST(arena_shrinks_to_what_address_space_is_left)
{
	mmap_most = 3 * rt_stack_bytes(DEFAULT);
	get(DEFAULT);
	G_EQ(st.class[DEFAULT].arenas->nr, 2);
	mmap_most = 2 * rt_stack_bytes(DEFAULT);
	get(DEFAULT);
	get(DEFAULT);
	G_EQ(st.class[DEFAULT].arenas->nr, 1);
	mmap_most = SIZE_MAX;
	rt_stacks_free(&st);
}

TEST(without_address_space_there_is_NULL_until_a_stack_comes_free)
{
	struct rt_magazine m = { 0 };
	struct rt_g *g;

	mmap_most = 64 * 1024;
	G_TRUE(!rt_stack_get(&st, DEFAULT, &m));
	G_TRUE(!rt_stack_get(&st, RT_STACK_CLASS_MAX, NULL));
	mmap_most = 2 * rt_stack_bytes(DEFAULT);
	await_the_next_try();
	g = rt_stack_get(&st, DEFAULT, &m);
	mmap_most = 64 * 1024;
	G_TRUE(g);
	G_TRUE(!rt_stack_get(&st, DEFAULT, &m));
	rt_stack_put(&st, &m, g);
	G_TRUE(rt_stack_get(&st, DEFAULT, &m) == g);
	mmap_most = SIZE_MAX;
	rt_stacks_free(&st);
}

TEST(that_there_is_no_stack_is_believed_for_a_while_and_no_longer)
{
	struct rt_magazine m = { 0 };

	mmap_most = 64 * 1024;
	nr_maps = 0;
	for (int i = 0; i < 1000; i++)
		G_TRUE(!rt_stack_get(&st, DEFAULT, &m));
	G_GE(nr_maps, 1);
	G_LT(nr_maps, 1000);
	mmap_most = SIZE_MAX;
	await_the_next_try();
	get(DEFAULT);
	rt_stacks_free(&st);
}

TEST_HARNESS_MAIN
