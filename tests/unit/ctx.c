/* SPDX-License-Identifier: MIT */
/*
 * The switch: each side goes on where it was, with its stack and its values;
 * the store it makes is seen by others only when the stack has been left; and
 * unwinders find the new stack's root and stop.
 */
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sys.h"
#include "core/ctx.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

#define STACK_BYTES (256u << 10)

/* ---- stacks to switch between, sanitizers told --------------------- */

struct side {
	struct rt_ctx ctx;
	struct rt_san san;
	char *lo;
};

static struct side co, thread[2];
static uint32_t unread; /* the switch's word when nobody looks */

static void side_of_thread(struct side *s)
{
#if RT_ASAN
	pthread_attr_t attr;
	void *lo;

	G_OK(pthread_getattr_np(pthread_self(), &attr));
	G_OK(pthread_attr_getstack(&attr, &lo, &s->san.size));
	pthread_attr_destroy(&attr);
	s->san.lo = lo;
#endif
#if RT_TSAN
	s->san.fiber = __tsan_get_current_fiber();
#endif
	s->lo = NULL;
}

#define ABOVE ((size_t)512)

static char *side_top(struct side *s)
{
	return s->lo + STACK_BYTES - ABOVE;
}

static void side_of_new_stack(struct side *s, void (*fn)(void))
{
	s->lo = rt_map(STACK_BYTES);
	G_TRUE(s->lo);
	rt_san_stack_new(&s->san, s->lo, STACK_BYTES);
	/* What an unwinder that goes too far would take for return addresses. */
	for (size_t i = ABOVE; i; i -= sizeof(fn))
		memcpy(s->lo + STACK_BYTES - i, &fn, sizeof(fn));
	rt_ctx_init(&s->ctx, side_top(s), fn);
}

static void side_gone(struct side *s)
{
	rt_san_stack_gone(&s->san);
	rt_unmap(s->lo, STACK_BYTES);
}

static __always_inline_ void swap(struct side *from, struct side *to, uint32_t *word, uint32_t val)
{
	rt_san_leave(&from->san, &to->san, 0);
	rt_ctx_switch(&from->ctx, &to->ctx, word, val);
	rt_san_arrive(&from->san);
}

static void start(void (*fn)(void))
{
	side_of_thread(&thread[0]);
	side_of_new_stack(&co, fn);
	swap(&thread[0], &co, &unread, 0);
}

static __always_inline_ void to_co(void)
{
	swap(&thread[0], &co, &unread, 0);
}

static __always_inline_ void to_thread(void)
{
	swap(&co, &thread[0], &unread, 0);
}

/* ---- there and back ------------------------------------------------ */

static int steps;

static void count_steps(void)
{
	char mine[1000];

	rt_san_arrive(&co.san);
	memset(mine, 'c', sizeof(mine));
	for (;;) {
		steps++;
		to_thread();
		for (size_t i = 0; i < sizeof(mine); i++)
			G_EQ(mine[i], 'c');
	}
}

TEST(each_side_goes_on_where_it_was_with_its_stack)
{
	char mine[1000];

	memset(mine, 't', sizeof(mine));
	start(count_steps);
	for (int i = 1; i < 1000; i++) {
		G_EQ(steps, i);
		to_co();
	}
	for (size_t i = 0; i < sizeof(mine); i++)
		G_EQ(mine[i], 't');
	side_gone(&co);
}

/* All registers that hold values, with what the other side never had. */
#if defined(__x86_64__)
#define TRASH()                                                                         \
	__asm__ volatile("movq $-7, %%rbx\n\tmovq $-7, %%r12\n\tmovq $-7, %%r13\n\t"    \
			 "movq $-7, %%r14\n\tmovq $-7, %%r15\n\tmovq $-7, %%rcx\n\t"    \
			 "movq $-7, %%r8\n\tmovq $-7, %%r9\n\tmovq $-7, %%r10\n\t"      \
			 "movq $-7, %%r11\n\t"                                          \
			 "pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm1, %%xmm1\n\t"         \
			 "pcmpeqd %%xmm6, %%xmm6\n\tpcmpeqd %%xmm8, %%xmm8\n\t"         \
			 "pcmpeqd %%xmm15, %%xmm15"                                     \
			 :                                                              \
			 :                                                              \
			 : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", \
			   "r15", "xmm0", "xmm1", "xmm6", "xmm8", "xmm15", "cc")
#else
#define TRASH()                                                                     \
	__asm__ volatile("mov x19, #-7\n\tmov x20, #-7\n\tmov x21, #-7\n\t"         \
			 "mov x22, #-7\n\tmov x23, #-7\n\tmov x24, #-7\n\t"         \
			 "mov x25, #-7\n\tmov x26, #-7\n\tmov x27, #-7\n\t"         \
			 "mov x28, #-7\n\tmovi v8.2d, #-1\n\tmovi v9.2d, #-1\n\t"   \
			 "movi v10.2d, #-1\n\tmovi v11.2d, #-1\n\tmovi v15.2d, #-1" \
			 :                                                          \
			 :                                                          \
			 : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",  \
			   "x27", "x28", "v8", "v9", "v10", "v11", "v15")
#endif

static void trash_registers(void)
{
	rt_san_arrive(&co.san);
	for (;;) {
		TRASH();
		to_thread();
	}
}

static volatile long source[16] = { 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3 };

static void __noinline values_live_over_a_switch(void)
{
	long a = source[0], b = source[1], c = source[2], d = source[3], e = source[4];
	long f = source[5], g = source[6], h = source[7], i = source[8], j = source[9];
	double p = (double)source[10], q = (double)source[11], r = (double)source[12];
	double s = (double)source[13], t = (double)source[14], u = (double)source[15];

	for (int n = 0; n < 3; n++) {
		to_co();
		G_EQ(a * 1 + b * 2 + c * 4 + d * 8 + e * 16, 3 + 2 + 16 + 8 + 80);
		G_EQ(f * 1 + g * 2 + h * 4 + i * 8 + j * 16, 9 + 4 + 24 + 40 + 48);
		G_TRUE(p * 1 + q * 2 + r * 4 == 5 + 16 + 36);
		G_TRUE(s * 1 + t * 2 + u * 4 == 7 + 18 + 12);
	}
}

TEST(values_survive_whatever_the_other_side_does_to_registers)
{
	start(trash_registers);
	for (int i = 0; i < 100; i++)
		values_live_over_a_switch();
	side_gone(&co);
}

static void set_errno(void)
{
	rt_san_arrive(&co.san);
	G_EQ(g_errno(), 17);
	g_set_errno(99);
	for (;;)
		to_thread();
}

TEST(errno_is_the_thread_s_and_not_touched)
{
	g_set_errno(17);
	start(set_errno);
	G_EQ(g_errno(), 99);
	side_gone(&co);
}

/* ---- ends ---------------------------------------------------------- */

static void end_at_once(void)
{
	char mine[1000];

	rt_san_arrive(&co.san);
	memset(mine, 'c', sizeof(mine));
	__asm__ volatile("" ::"r"(mine)
			 : "memory");
	steps++;
	rt_san_leave(&co.san, &thread[0].san, 1);
	rt_ctx_jump(&thread[0].ctx);
}

TEST(jump_leaves_for_good_and_the_stack_serves_again)
{
	start(end_at_once);
	for (int i = 1; i < 1000; i++) {
		G_EQ(steps, i);
		rt_san_stack_reuse(&co.san);
		rt_ctx_init(&co.ctx, side_top(&co), end_at_once);
		to_co();
	}
	side_gone(&co);
}

static void return_from_entry(void)
{
	rt_san_arrive(&co.san);
}

static void start_what_returns(void)
{
	signal(SIGILL, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
	start(return_from_entry);
}

TEST(function_that_returns_dies_at_once)
{
	static struct g_end end;

	g_child(&end, start_what_returns);
#if defined(__x86_64__)
	G_SIGNALED(&end, SIGILL);
#else
	G_SIGNALED(&end, SIGTRAP);
#endif
}

/* ---- the root ------------------------------------------------------ */

static uintptr_t entry_fp;
static void *frames[64];
static int nr_frames;

static bool in_root(void *pc)
{
	return (char *)pc > rt_ctx_entry && (char *)pc <= rt_ctx_entry + 32;
}

static void look_at_frame(void)
{
	void **fp = __builtin_frame_address(0);

	rt_san_arrive(&co.san);
	entry_fp = (uintptr_t)fp;
	G_TRUE(!fp[0]); /* walkers of frame pointers stop */
	G_TRUE(in_root(fp[1]));
	to_thread();
}

TEST(stack_is_aligned_at_entry_and_its_frame_chain_ends)
{
	start(look_at_frame);
	G_EQ(entry_fp % 16, 0);
	G_LT(entry_fp, (uintptr_t)side_top(&co));
	G_GE(entry_fp, (uintptr_t)side_top(&co) - 512);
	side_gone(&co);
}

static void __noinline trace(int depth)
{
	if (depth)
		trace(depth - 1);
	else
		nr_frames = backtrace(frames, 64);
	__asm__ volatile("");
}

static void trace_from_new_stack(void)
{
	rt_san_arrive(&co.san);
	trace(5);
	to_thread();
	trace(9); /* and after it has been parked */
	to_thread();
}

TEST(backtrace_ends_at_the_root_with_no_garbage_behind_it)
{
	start(trace_from_new_stack);
	for (int depth = 5; depth <= 9; depth += 4) {
		G_GE(nr_frames, depth + 3);
		G_LE(nr_frames, depth + 4); /* a sanitizer's backtrace() is a frame more */
		G_TRUE(in_root(frames[nr_frames - 1]));
		for (int i = 0; i < nr_frames - 1; i++)
			G_TRUE(!in_root(frames[i]));
		if (depth == 5)
			to_co();
	}
	side_gone(&co);
}

/* ---- the store ----------------------------------------------------- */

static uint32_t word;

static void store_on_the_way(void)
{
	rt_san_arrive(&co.san);
	G_EQ(load_acq(&word), 1);
	for (;;) {
		uint32_t next = load_acq(&word) + 1;

		swap(&co, &thread[0], &word, next);
	}
}

TEST(arrival_sees_the_word_stored_and_only_that_word)
{
	uint32_t *w = &word;
	static uint32_t around[3];

	side_of_thread(&thread[0]);
	side_of_new_stack(&co, store_on_the_way);
	swap(&thread[0], &co, w, 1);
	for (uint32_t i = 2; i < 100; i++) {
		G_EQ(load_acq(w), i);
		to_co();
	}
	swap(&thread[0], &co, &around[1], 0x80000001);
	G_EQ(load_acq(&around[1]), 0x80000001);
	G_EQ(around[0] | around[2], 0); /* 32 bits of it */
	side_gone(&co);
}

/*
 * One stack, two threads: each goes to it as soon as the word says that the
 * other has left. Were the word stored too early, two would be on it at once.
 */
#define HANDOVERS ((uint32_t)G_LOOPS(200000))

static uint32_t turn __cacheline;
static uint32_t hops; /* not atomic: TSan tells if the store does not order it */
static int rider;

static void ride(void)
{
	uint32_t seen[64];

	rt_san_arrive(&co.san);
	for (uint32_t i = 0;; i++) {
		int back = rider;

		G_EQ(hops, i);
		hops++;
		for (uint32_t k = 0; k < 64; k++) {
			if (i)
				G_EQ(seen[k], i - 1 + k);
			seen[k] = i + k;
		}
		swap(&co, &thread[back], &turn, (uint32_t)!back);
	}
}

static void *hand_over(void *arg)
{
	struct side *me = arg;
	int i = (int)(me - thread);

	side_of_thread(me);
	for (uint32_t n = 0; n < HANDOVERS; n++) {
		for (uint32_t spins = 0; load_acq(&turn) != (uint32_t)i; spins++) {
			cpu_relax();
			if (spins > 1000)
				sched_yield();
		}
		rider = i;
		swap(me, &co, &unread, 0);
	}
	return NULL;
}

TEST(store_is_seen_only_after_the_stack_was_left)
{
	pthread_t t[2];

	side_of_new_stack(&co, ride);
	for (int i = 0; i < 2; i++)
		G_OK(pthread_create(&t[i], NULL, hand_over, &thread[i]));
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	G_EQ(hops, 2 * HANDOVERS);
	side_gone(&co);
}

TEST_HARNESS_MAIN
