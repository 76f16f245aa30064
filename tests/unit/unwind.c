/* SPDX-License-Identifier: MIT */
/*
 * Stacks of parked contexts come out as text: names, lines and order; and
 * nothing that is on a stack, or happens to it meanwhile, does harm.
 */
#include <dlfcn.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/rand.h"
#include "unit/unwind_fiber.h"

TEST(a_parked_stack_is_named_from_the_innermost_function_to_the_root)
{
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	ASSERT_EQ(NULL, rt_unwind_note(u))
	{
		TH_LOG("%s", rt_unwind_note(u));
	}
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	for (int i = 0; i < 2; i++) { /* looked up, then remembered */
		EXPECT_EQ(5, unwind(u, &r));
		expect_whole(_metadata);
	}
	rt_unwind_close(u);
}

TEST(one_that_has_not_begun_stands_at_its_first_function)
{
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 0);
	r = fiber_regs(&f);
	EXPECT_EQ(1, unwind(u, &r));
	EXPECT_TRUE(first_is("fiber_root"));
	EXPECT_NE(NULL, strstr(out, " +0\n"))
	{
		TH_LOG("%s", out);
	}
	rt_unwind_close(u);
}

static bool says_no(void *arg)
{
	(void)arg;
	return false;
}

TEST(a_stack_that_moved_meanwhile_is_not_shown)
{
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	out_len = 0;
	EXPECT_EQ(-EAGAIN, rt_unwind_stack(u, &r, says_no, NULL, &sink));
	EXPECT_EQ(0, out_len);
	rt_unwind_close(u);
}

/* ---- one that never stands still ----------------------------------- */

struct mover {
	struct fiber f;
	uint32_t stop;
};

/* Shallow, deep, shallow, ... : the stack's words change at each turn. */
static void *mover_main(void *arg)
{
	struct mover *m = arg;

	for (unsigned int i = 0; !load_acq(&m->stop); i++) {
		fetch_add_seq(&m->f.seq, 1);
		smp_mb();
		m->f.depth = i & 1 ? 3 : 0;
		fiber_run(&m->f);
		fetch_add_seq(&m->f.seq, 1);
		for (int pause = 0; pause < (int)(i % 7) * 500; pause++)
			barrier();
	}
	return NULL;
}

struct glance {
	struct mover *m;
	uint32_t seq;
};

static bool has_stayed(void *arg)
{
	struct glance *g = arg;

	smp_mb(); /* pairs with the mover's */
	return load_acq(&g->m->f.seq) == g->seq;
}

TEST(what_is_shown_of_a_stack_that_keeps_moving_is_whole)
{
	static struct mover m;
	struct rt_unwind *u = rt_unwind_open(NULL);
	int shown[2] = { 0, 0 }, dropped = 0;
	int64_t end = rt_now_ns() + 10 * RT_NS_PER_SEC;
	struct glance g = { .m = &m };
	struct rt_unwind_regs r;
	pthread_t t;

	ASSERT_NE(NULL, u);
	fiber_make(&m.f, 0);
	ASSERT_EQ(0, pthread_create(&t, NULL, mover_main, &m));
	while ((dropped < 50 || shown[0] < 50 || shown[1] < 50) && rt_now_ns() < end) {
		g.seq = load_acq(&m.f.seq);
		if (g.seq & 1 || g.seq == 0)
			continue;
		r = fiber_regs(&m.f);
		out_len = 0;
		out[0] = '\0';
		if (rt_unwind_stack(u, &r, has_stayed, &g, &sink) < 0) {
			dropped++;
			ASSERT_EQ(0, out_len);
			continue;
		}
		ASSERT_TRUE(first_is("park"));
		ASSERT_NE(NULL, strstr(out, "\nfiber_root(...)\n"));
		ASSERT_EQ(NULL, strstr(out, "(no further"));
		shown[strstr(out, "\ndeep(...)\n") != NULL]++;
	}
	store_rel(&m.stop, 1);
	pthread_join(t, NULL);
	TH_LOG("shown %d shallow, %d deep; dropped %d", shown[0], shown[1], dropped);
	EXPECT_LT(0, shown[0]);
	EXPECT_LT(0, shown[1]);
	EXPECT_LT(0, dropped);
	rt_unwind_close(u);
}

/* ---- limits and garbage -------------------------------------------- */

TEST(a_stack_deeper_than_is_looked_at_says_so)
{
	struct rt_unwind_sink many = { .text = out_add, .max_frames = 1000 };
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 200);
	fiber_run(&f);
	r = fiber_regs(&f);
	EXPECT_LT(50, rt_unwind_stack(u, &r, NULL, NULL, &many));
	EXPECT_NE(NULL, strstr(out, "\n(no further: deeper than 128 KiB)\n"));
	rt_unwind_close(u);
}

TEST(max_frames_frames_are_shown_and_the_rest_is_mentioned)
{
	struct rt_unwind_sink few = { .text = out_add, .max_frames = 3 };
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 10);
	fiber_run(&f);
	r = fiber_regs(&f);
	EXPECT_EQ(3, rt_unwind_stack(u, &r, NULL, NULL, &few));
	EXPECT_NE(NULL, strstr(out, "deep(...)\n"));
	EXPECT_NE(NULL, strstr(out, "\n(more frames)\n"));
	rt_unwind_close(u);
}

/* park, deep() 201 times, fiber_main, fiber_root: 204 frames, over 200 KiB. */
TEST(of_a_stack_that_stands_still_the_outermost_frames_can_be_had_too)
{
	struct rt_unwind_sink both = { .text = out_add, .max_frames = 3, .tail_frames = 4 };
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	const char *at = out;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 200);
	fiber_run(&f);
	r = fiber_regs(&f);
	out_len = 0;
	EXPECT_EQ(7, rt_unwind_stack(u, &r, NULL, NULL, &both));
	EXPECT_NEXT(at, "park(...)\n");
	EXPECT_NEXT(at, "\ndeep(...)\n");
	EXPECT_NEXT(at, "\ndeep(...)\n");
	EXPECT_NEXT(at, "\n...197 frames elided...\ndeep(...)\n");
	EXPECT_NEXT(at, "\ndeep(...)\n");
	EXPECT_NEXT(at, "\nfiber_main(...)\n");
	EXPECT_NEXT(at, "\nfiber_root(...)\n");
	EXPECT_EQ(NULL, strstr(at, "(...)\n"));
	rt_unwind_close(u);
}

TEST(nothing_is_elided_if_the_outermost_frames_follow_the_innermost)
{
	struct rt_unwind_sink both = { .text = out_add, .max_frames = 3, .tail_frames = 2 };
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	out_len = 0;
	EXPECT_EQ(5, rt_unwind_stack(u, &r, NULL, NULL, &both));
	expect_whole(_metadata);
	EXPECT_EQ(NULL, strstr(out, "elided"));
	rt_unwind_close(u);
}

/* Where a write hit the guard, sp may be far inside it. */
static ssize_t guard_below(void *lo, uintptr_t addr, void *buf, size_t len)
{
	if (addr < *(uintptr_t *)lo)
		return -EFAULT;
	memcpy(buf, (void *)addr, len);
	return (ssize_t)len;
}

TEST(a_stack_is_read_from_its_guard_upwards)
{
	uintptr_t lo;
	struct rt_unwind_opts opts = { .read = guard_below, .read_arg = &lo };
	struct rt_unwind *u = rt_unwind_open(&opts);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	lo = r.stack_lo = r.sp + sizeof(uintptr_t); /* park's frame is cut */
	EXPECT_EQ(5, unwind(u, &r));
	expect_whole(_metadata);
	rt_unwind_close(u);
}

/* A function that ends with a call that never returns is followed by another. */
__attribute__((used)) static void __noinline first_byte(void)
{
	KEEP_FRAME();
}

TEST(an_interrupted_stack_begins_at_the_very_instruction)
{
	uintptr_t words[16] = { 0 };
	struct rt_unwind *u = rt_unwind_open(NULL);
	struct rt_unwind_regs r = {
		.pc = (uintptr_t)first_byte,
		.sp = (uintptr_t)words,
		.stack_hi = (uintptr_t)&words[16],
		.interrupted = true,
	};

	ASSERT_NE(NULL, u);
	EXPECT_LE(1, unwind(u, &r));
	EXPECT_TRUE(first_is("first_byte"));
	EXPECT_NE(NULL, strstr(out, " +0\n"));
	rt_unwind_close(u);
}

static ssize_t nothing_there(void *arg, uintptr_t addr, void *buf, size_t len)
{
	(void)arg, (void)addr, (void)buf, (void)len;
	return -EFAULT;
}

TEST(without_its_stack_the_parked_function_is_still_named)
{
	struct rt_unwind_opts opts = { .read = nothing_there };
	struct rt_unwind *u = rt_unwind_open(&opts);
	struct rt_unwind_regs r;
	struct fiber f;

	ASSERT_NE(NULL, u);
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	EXPECT_LE(1, unwind(u, &r));
	EXPECT_TRUE(first_is("park"));
	EXPECT_NE(NULL, strstr(out, " can't be read)\n"))
	{
		TH_LOG("%s", out);
	}
	rt_unwind_close(u);
}

/* A word that is likely to lead somewhere bad. */
static uintptr_t bad_word(uint64_t *rng, uintptr_t stack)
{
	uintptr_t r = (uintptr_t)rt_rand(rng) << 32 | rt_rand(rng);

	switch (r % 8) {
	case 0:
		return stack + (r >> 8) % STACK_BYTES;
	case 1:
		return (stack + (r >> 8) % STACK_BYTES) & ~15UL;
	case 2:
		return (uintptr_t)fiber_main + (r >> 8) % 512;
	case 3:
		return (uintptr_t)qsort + (r >> 8) % 4096;
	case 4:
		return (uintptr_t)dlsym(RTLD_DEFAULT, "setjmp") + (r >> 8) % 400;
	case 5:
		return 0;
	case 6:
		return r >> (r & 63);
	default:
		return 0 - (r >> 40);
	}
}

static void throw_garbage(struct __test_metadata *_metadata, struct rt_unwind *u)
{
	uint64_t rng = 1;
	struct fiber f;

	fiber_make(&f, 0);
	for (int i = 0; i < 20000; i++) {
		uintptr_t stack = (uintptr_t)f.stack;
		struct rt_unwind_regs r = {
			.pc = bad_word(&rng, stack),
			.sp = bad_word(&rng, stack),
			.fp = bad_word(&rng, stack),
			.lr = bad_word(&rng, stack),
			.stack_hi = i % 16 ? stack + STACK_BYTES : bad_word(&rng, stack),
		};

		if (i % 4)
			r.sp = stack + STACK_BYTES - 8 * rt_rand_below(&rng, 512);
		for (int w = 0; i % 16 == 0 && w < 512; w++)
			((uintptr_t *)(stack + STACK_BYTES))[-1 - w] = bad_word(&rng, stack);
		ASSERT_LE(1, unwind(u, &r));
		ASSERT_NE(0, out_len);
	}
}

TEST(garbage_registers_on_a_garbage_stack_do_no_harm)
{
	struct rt_unwind *u = rt_unwind_open(NULL);

	ASSERT_NE(NULL, u);
	throw_garbage(_metadata, u);
	rt_unwind_close(u);
}

TEST(garbage_does_no_harm_without_libdw_either)
{
	struct rt_unwind_opts opts = { .no_libdw = true };
	struct rt_unwind *u = rt_unwind_open(&opts);

	ASSERT_NE(NULL, u);
	throw_garbage(_metadata, u);
	rt_unwind_close(u);
}

TEST_HARNESS_MAIN
