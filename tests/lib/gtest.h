/* SPDX-License-Identifier: MIT */
/*
 * gtest.h - tests whose body is a goroutine, on top of kselftest_harness.h
 *
 * G_TEST(claim) { ... } runs its body as the main goroutine of a run of its
 * own, four times: with 1, 2, 4 and 8 Ps (g_procs says which). P_TEST() does
 * the same with the body on the ordinary thread that is about to start a run.
 * The harness' TEST() stays for what needs no such repetition.
 *
 * The harness can't be used from goroutines: its ASSERT macros longjmp() to
 * a frame of the thread that began the test, and its EXPECT macros write to
 * `_metadata` without a lock. A goroutine may be on another stack and another
 * thread. So the G_ checks below end the *process*: the harness forks one for
 * each test, the first failure prints one line and calls _exit(1), any other
 * that fails meanwhile waits for that. No check is only noted: a test that
 * goes on after a failure reports its consequences.
 *
 * A test that hangs is ended by a watching thread that dumps all goroutines
 * first; the harness' own alarm is set a little later, for the case that the
 * dump hangs too. That thread is no M and touches nothing before its time.
 *
 * Rejected: recording the failure and unwinding the test. Goroutines parked
 * on what the test's frame owns would outlive it.
 */
#ifndef TESTS_LIB_GTEST_H
#define TESTS_LIB_GTEST_H

#include "kselftest_harness.h"

#include "lib/gcheck.h"

/* The harness' TEST() makes a function with a parameter that it never uses. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

/* ------------------------------------------------------------------ */
/* Tests                                                              */
/* ------------------------------------------------------------------ */

FIXTURE(procs)
{
	int unused;
};

FIXTURE_VARIANT(procs)
{
	int n;
};

FIXTURE_VARIANT_ADD(procs, 1) { .n = 1 };
FIXTURE_VARIANT_ADD(procs, 2) { .n = 2 };
FIXTURE_VARIANT_ADD(procs, 4) { .n = 4 };
FIXTURE_VARIANT_ADD(procs, 8) { .n = 8 };

FIXTURE_SETUP(procs)
{
	g_procs = variant->n;
}

FIXTURE_TEARDOWN(procs)
{
}

#define G_TEST(claim) G_TEST_TIMEOUT(claim, G_TIMEOUT)

#define G_TEST_TIMEOUT(claim, seconds)                                  \
	static void body_##claim(void);                                 \
	TEST_F_TIMEOUT(procs, claim, (seconds) * G_SLOW + 5)            \
	{                                                               \
		g_watch(#claim, (seconds) * G_SLOW);                    \
		g_run(g_procs, body_##claim);                           \
		g_watch_end();                                          \
	}                                                               \
	static void body_##claim(void)

#define P_TEST(claim) TEST_F_TIMEOUT(procs, claim, G_TIMEOUT * G_SLOW + 5)

#endif
