/* SPDX-License-Identifier: MIT */
/*
 * Frames of the library's own are left out of a stack, but for the function
 * that the user called. What is "own" here is a section with this file's
 * functions OWN in it.
 */
#include "unit/unwind_fiber.h"

#define OWN __noinline __attribute__((section("own_code")))

extern const char __start_own_code[], __stop_own_code[];

static struct rt_unwind_opts opts(void)
{
	return (struct rt_unwind_opts){
		.own = { (uintptr_t)__start_own_code, (uintptr_t)__stop_own_code },
	};
}

/* ---- a library ----------------------------------------------------- */

static OWN void own_park(struct fiber *f)
{
#if defined(__SANITIZE_THREAD__)
	__tsan_switch_to_fiber(f->san_back, 0);
#endif
	SWITCH(&f->own, &f->back);
	KEEP_FRAME();
}

static OWN void own_inner(struct fiber *f)
{
	own_park(f);
	KEEP_FRAME();
}

static int line_wait, line_work, line_calls;

static __always_inline_ void own_inlined(struct fiber *f)
{
	own_inner(f);
	KEEP_FRAME();
}

OWN void gmprt_test_wait(struct fiber *f);
OWN void gmprt_test_wait(struct fiber *f)
{
	line_wait = __LINE__ + 1;
	own_inlined(f);
	KEEP_FRAME();
}

OWN void gmprt_test_wait_twice(struct fiber *f);
OWN void gmprt_test_wait_twice(struct fiber *f)
{
	own_inner(f);
	gmprt_test_wait(f);
	KEEP_FRAME();
}

static OWN void own_calls_back(struct fiber *f, void (*fn)(struct fiber *))
{
	fn(f);
	KEEP_FRAME();
}

OWN void gmprt_test_do(struct fiber *f, void (*fn)(struct fiber *));
OWN void gmprt_test_do(struct fiber *f, void (*fn)(struct fiber *))
{
	own_calls_back(f, fn);
	KEEP_FRAME();
}

/* ---- its user ------------------------------------------------------ */

static void __noinline waits(struct fiber *f)
{
	line_calls = __LINE__ + 1;
	gmprt_test_wait(f);
	KEEP_FRAME();
}

static void __noinline waits_twice(struct fiber *f)
{
	gmprt_test_wait_twice(f);
	KEEP_FRAME();
}

static void __noinline calls_inner(struct fiber *f)
{
	own_inner(f);
	KEEP_FRAME();
}

static void __noinline is_called_back(struct fiber *f)
{
	line_work = __LINE__ + 1;
	gmprt_test_do(f, waits);
	KEEP_FRAME();
}

static int unwind_body(const struct rt_unwind_opts *o, void (*body)(struct fiber *), int turns)
{
	struct rt_unwind *u = rt_unwind_open(o);
	struct rt_unwind_regs r;
	struct fiber f;
	int n = 0;

	if (!u)
		abort();
	fiber_make(&f, 0);
	f.body = body;
	for (int i = 0; i < turns; i++) {
		fiber_run(&f);
		r = fiber_regs(&f);
		n = unwind(u, &r);
	}
	rt_unwind_close(u);
	return n;
}

static bool shows(const char *func)
{
	char frame[64];

	snprintf(frame, sizeof(frame), "%s(...)\n", func);
	return strstr(out, frame) != NULL;
}

/* ---- tests --------------------------------------------------------- */

TEST(a_stack_begins_with_the_public_function_that_was_called)
{
	struct rt_unwind_opts o = opts();
	const char *at = out;

	EXPECT_EQ(4, unwind_body(&o, waits, 1));
	EXPECT_TRUE(first_is("gmprt_test_wait"));
	EXPECT_NEXT(at, "unwind_own.c:%d +0x", line_wait);
	EXPECT_NEXT(at, "\nwaits(...)\n");
	EXPECT_NEXT(at, "unwind_own.c:%d +0x", line_calls);
	EXPECT_NEXT(at, "\nfiber_main(...)\n");
	EXPECT_FALSE(shows("own_park") || shows("own_inner") || shows("own_inlined"))
	{
		TH_LOG("%s", out);
	}
}

TEST(of_public_functions_that_call_each_other_the_outermost_is_shown)
{
	struct rt_unwind_opts o = opts();

	EXPECT_EQ(4, unwind_body(&o, waits_twice, 1));
	EXPECT_TRUE(first_is("gmprt_test_wait_twice"));
	/* In its second wait. */
	EXPECT_EQ(4, unwind_body(&o, waits_twice, 2));
	EXPECT_TRUE(first_is("gmprt_test_wait_twice"));
	EXPECT_FALSE(shows("gmprt_test_wait"));
}

TEST(without_a_public_function_a_stack_begins_with_the_users_code)
{
	struct rt_unwind_opts o = opts();

	EXPECT_EQ(3, unwind_body(&o, calls_inner, 1));
	EXPECT_TRUE(first_is("calls_inner"));
}

TEST(own_frames_between_users_are_left_out_too)
{
	struct rt_unwind_opts o = opts();
	const char *at = out;

	EXPECT_EQ(6, unwind_body(&o, is_called_back, 1));
	EXPECT_NEXT(at, "gmprt_test_wait(...)\n");
	EXPECT_NEXT(at, "\nwaits(...)\n");
	EXPECT_NEXT(at, "\ngmprt_test_do(...)\n");
	EXPECT_NEXT(at, "\nis_called_back(...)\n");
	EXPECT_NEXT(at, "unwind_own.c:%d +0x", line_work);
	EXPECT_FALSE(shows("own_calls_back"));
}

static ssize_t nothing_there(void *arg, uintptr_t addr, void *buf, size_t len)
{
	(void)arg, (void)addr, (void)buf, (void)len;
	return -EFAULT;
}

TEST(a_stack_of_which_nothing_else_is_known_is_shown_whole)
{
	struct rt_unwind_opts o = opts();

	o.read = nothing_there;
	EXPECT_EQ(1, unwind_body(&o, waits, 1));
	EXPECT_TRUE(first_is("own_park"));
	EXPECT_NE(NULL, strstr(out, "(no further: "));
}

TEST(where_no_code_is_known_as_own_all_frames_are_shown)
{
	const char *at = out;

	/* A test's objects are linked one by one: no libgmprt.so, no marks. */
	EXPECT_EQ(6, unwind_body(NULL, waits, 1));
	EXPECT_NEXT(at, "own_park(...)\n");
	EXPECT_NEXT(at, "\nown_inner(...)\n");
	EXPECT_NEXT(at, "\nown_inlined(...)\n");
	EXPECT_NEXT(at, "\ngmprt_test_wait(...)\n");
	EXPECT_NEXT(at, "\nwaits(...)\n");
}

TEST(a_stack_without_own_frames_is_shown_as_it_is)
{
	struct rt_unwind_opts o = opts();

	EXPECT_EQ(5, unwind_body(&o, NULL, 1));
	expect_whole(_metadata);
}

TEST_HARNESS_MAIN
