/* SPDX-License-Identifier: MIT */
/*
 * stack_overflow.c - proves: a goroutine that uses more than its stack is
 * reported by number, name and size, and the process exits with status 2; any
 * other bad access stays the SIGSEGV that it is
 */
#include <signal.h>

#include "lib/gtest.h"

static __attribute__((noinline)) long recurse(long depth)
{
	volatile char frame[512];

	frame[0] = (char)depth;
	if (depth == 0)
		return frame[0];
	return recurse(depth - 1) + frame[0];
}

static void overflows(void *arg)
{
	recurse((long)(intptr_t)arg);
	G_FAIL("512 bytes times %ld fitted the stack", (long)(intptr_t)arg);
}

static void waits(void)
{
	gmprt_sleep(20 * G_SEC);
}

static void default_stack(void)
{
	g_go_named("glutton", overflows, (void *)100000);
	waits();
}

static void given_stack(void)
{
	struct gmprt_attr attr = { .size = sizeof(attr), .stack_size = 64 << 10, .name = "small" };

	G_OK(gmprt_go_attr(&attr, overflows, (void *)200));
	waits();
}

static void main_overflows(void)
{
	overflows((void *)100000);
}

static void locked_overflows(void)
{
	gmprt_lock_os_thread();
	overflows((void *)100000);
}

static void task_overflows(void)
{
	struct gmprt_task t;

	G_OK(gmprt_fork(&t, overflows, (void *)100000));
	gmprt_join(&t);
}

/* Blocked with no P at all: the report must not need one. */
static void overflows_in_brackets(void)
{
	gmprt_block_enter();
	g_nap(30 * G_MS);
	recurse(100000);
	gmprt_block_exit();
}

static int *volatile nowhere; /* NULL, but the compiler can't know */

static void null_access(void)
{
	*nowhere = 1;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_SANITIZED SKIP(return, "the sanitizer has its own SIGSEGV handler and stack check")
#else
#define SKIP_SANITIZED do { } while (0)
#endif

P_TEST(an_overflow_is_reported_with_number_name_and_size)
{
	struct g_end end;

	SKIP_SANITIZED;
	g_child_run(&end, default_stack);
	G_EXITS(&end, 2);
	G_SAYS(&end, "goroutine 2");
	G_SAYS(&end, "stack overflow");
	G_SAYS(&end, "glutton");
	G_SAYS(&end, "256");
	g_child_run(&end, given_stack);
	G_EXITS(&end, 2);
	G_SAYS(&end, "stack overflow");
	G_SAYS(&end, "small");
	G_SAYS(&end, "64");
}

P_TEST(an_overflow_is_reported_wherever_it_happens)
{
	static void (*const where[])(void) = {
		main_overflows, locked_overflows, task_overflows, overflows_in_brackets,
	};
	struct g_end end;

	SKIP_SANITIZED;
	for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
		g_child_run(&end, where[i]);
		G_EXITS(&end, 2);
		G_SAYS(&end, "stack overflow");
	}
}

P_TEST(another_bad_access_is_still_a_SIGSEGV)
{
	struct g_end end;

	SKIP_SANITIZED;
	g_child_run(&end, null_access);
	G_SIGNALED(&end, SIGSEGV);
	G_TRUE(!strstr(end.text, "stack overflow"));
}

TEST_HARNESS_MAIN
