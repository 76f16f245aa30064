/* SPDX-License-Identifier: MIT */
/*
 * stack_overflow.c - proves: a goroutine that uses more than its stack is
 * reported by number, name and size, then with its stack, and the process exits
 * with status 2, soon, whatever state it is in; any other bad access stays the
 * SIGSEGV that it is, with the goroutine named
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

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

/* Most of malloc's time it holds a lock, and it needs more stack than we. */
static __attribute__((noinline)) long recurse_and_allocate(long depth)
{
	char *volatile block = malloc(40);

	block[0] = (char)depth;
	return depth ? recurse_and_allocate(depth - 1) + block[0] : 0;
}

static void allocation_overflows(void)
{
	recurse_and_allocate(100000);
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

/* The report's second half. NULL: it goes another way. */
static const char *trace_of(const struct g_end *end)
{
	const char *line = strchr(end->text, '\n');

	G_TRUE(line);
	return strncmp(line, "\n\ngoroutine ", 12) == 0 ? line + 2 : NULL;
}

static int count(const char *text, const char *word)
{
	int n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

static void expect_trace(const struct g_end *end, const char *head)
{
	const char *trace = trace_of(end), *elided;
	int frames, n;

	if (!trace || strncmp(trace, head, strlen(head)) != 0)
		G_FAIL("expected \"%s\" below the first line: %s", head, end->text);
	if (strstr(trace, "(stacks are short: "))
		return; /* no libdw: the overflowing function, and what frame pointers give */
	elided = strstr(trace, "\n...");
	if (!elided || sscanf(elided, "\n...%d frames elided...\n", &n) != 1)
		G_FAIL("expected some frames to be left out: %s", trace);
	frames = count(trace, "recurse");
	if (frames < 50 || frames > 60 || count(elided, "recurse") < 5)
		G_FAIL("expected the innermost 50 frames and a few: %s", trace);
	if (!strstr(elided, "\noverflows(...)\n"))
		G_FAIL("expected to see who began it: %s", trace);
}

P_TEST(below_the_line_is_the_stacks_inner_and_outer_end)
{
	struct g_end end;

	SKIP_SANITIZED;
	g_child_run(&end, default_stack);
	G_EXITS(&end, 2);
	expect_trace(&end, "goroutine 2 \"glutton\" [running]:\n");
	g_child_run(&end, given_stack);
	G_EXITS(&end, 2);
	expect_trace(&end, "goroutine 2 \"small\" [running]:\n");
	g_child_run(&end, main_overflows);
	G_EXITS(&end, 2);
	expect_trace(&end, "goroutine 1 [running]:\n");
}

P_TEST(an_overflow_within_malloc_is_reported)
{
	struct g_end end;

	SKIP_SANITIZED;
	g_child_run(&end, allocation_overflows);
	G_EXITS(&end, 2);
	G_EQ(0, strncmp(end.text, "fatal error: stack overflow: ", 29));
	G_TRUE(trace_of(&end));
	G_SAYS(&end, "recurse_and_allocate");
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
		G_TRUE(trace_of(&end));
	}
}

/* ---- when the stack can't be shown ---- */

static int pipe_fd[2];

/* A dump that nobody reads hangs for good, and there is one at a time. */
static void hangs_in_a_dump(void *arg)
{
	(void)arg;
	gmprt_block_enter();
	gmprt_dump(pipe_fd[1]);
	gmprt_block_exit();
}

static void overflow_behind_a_dump(void)
{
	char byte = 0;

	G_OK(pipe(pipe_fd));
	G_OK(fcntl(pipe_fd[1], F_SETFL, O_NONBLOCK));
	while (write(pipe_fd[1], &byte, 1) == 1)
		;
	G_OK(fcntl(pipe_fd[1], F_SETFL, 0));
	g_go(hangs_in_a_dump, NULL);
	gmprt_sleep(100 * G_MS);
	g_go_named("glutton", overflows, (void *)100000);
}

static void no_trace(void)
{
	overflow_behind_a_dump();
	waits();
}

static void no_trace_and_exit(void)
{
	overflow_behind_a_dump();
	gmprt_sleep(100 * G_MS);
	exit(0);
}

static void no_trace_and_a_fault(void)
{
	overflow_behind_a_dump();
	gmprt_sleep(100 * G_MS);
	null_access();
}

static void no_trace_and_an_abort(void)
{
	overflow_behind_a_dump();
	gmprt_sleep(100 * G_MS);
	abort();
}

static void no_trace_and_main_returns(void)
{
	overflow_behind_a_dump();
	gmprt_sleep(100 * G_MS);
}

TEST(whatever_happens_meanwhile_the_end_is_status_2_about_a_second_later)
{
	static void (*const how[])(void) = {
		no_trace, no_trace_and_exit, no_trace_and_a_fault, no_trace_and_an_abort,
		no_trace_and_main_returns,
	};
	struct g_end end;

	SKIP_SANITIZED;
	g_procs = 4;
	for (size_t i = 0; i < ARRAY_SIZE(how); i++) {
		int64_t start = g_now();

		g_child_run(&end, how[i]);
		G_EXITS(&end, 2);
		G_EQ(0, strncmp(end.text, "fatal error: stack overflow: goroutine ", 39));
		G_SAYS(&end, "glutton");
		G_SAYS(&end, "\n(the stack can't be shown, or not within a second)\n");
		G_TRUE(!trace_of(&end));
		G_LT(g_now() - start, 10 * G_SEC);
	}
}

P_TEST(another_bad_access_is_still_a_SIGSEGV)
{
	struct g_end end;

	SKIP_SANITIZED;
	g_child_run(&end, null_access);
	G_SIGNALED(&end, SIGSEGV);
	G_TRUE(!strstr(end.text, "stack overflow"));
	G_SAYS(&end, "fatal error: SIGSEGV: goroutine 1 used the address 0x0\n");
	G_SAYS(&end, "null_access");
}

static void writes_to_nowhere(void *arg)
{
	(void)arg;
	null_access();
}

static void another_goroutines_bad_access(void)
{
	g_go_named("careless", writes_to_nowhere, NULL);
	waits();
}

static void sends_it_to_itself(void)
{
	raise(SIGSEGV);
}

static void on_segv(int sig)
{
	(void)sig;
	_exit(7);
}

static void with_a_handler_of_its_own(void)
{
	signal(SIGSEGV, on_segv);
	g_run(1, null_access);
}

P_TEST(a_bad_access_names_its_goroutine_unless_the_program_has_a_handler)
{
	struct g_end end;

	SKIP_SANITIZED;
	g_child_run(&end, another_goroutines_bad_access);
	G_SIGNALED(&end, SIGSEGV);
	G_SAYS(&end, "goroutine 2 \"careless\" used the address 0x0\n");
	G_SAYS(&end, "writes_to_nowhere");
	g_child_run(&end, sends_it_to_itself);
	G_SIGNALED(&end, SIGSEGV);
	G_TRUE(!strstr(end.text, "fatal error"));
	g_child(&end, with_a_handler_of_its_own);
	G_EXITS(&end, 7);
	G_TRUE(!strstr(end.text, "fatal error"));
}

TEST_HARNESS_MAIN
