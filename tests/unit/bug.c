/* SPDX-License-Identifier: MIT */
/*
 * The ends of a program: what is written, once, in one piece, and how the
 * process dies, even if the report itself fails.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bug.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

static struct g_end end;

/* ---- rt_log -------------------------------------------------------- */

/* Each write(2) to it is a message of its own. */
static int messages(void)
{
	int fd[2];

	G_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd));
	G_EQ(dup2(fd[1], STDERR_FILENO), STDERR_FILENO);
	close(fd[1]);
	return fd[0];
}

TEST(log_is_one_line_in_one_write)
{
	char buf[1000];
	int fd = messages();

	rt_log("%d stacks of %s", 17, "256 KiB");
	G_EQ(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 28);
	G_OK(memcmp(buf, "gmprt: 17 stacks of 256 KiB\n", 28));
	G_EQ(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), -1);
}

TEST(log_of_a_long_line_is_cut_and_still_ends_the_line)
{
	char text[2000], buf[3000];
	int fd = messages();
	long n;

	for (size_t len = 480; len < sizeof(text) - 1; len += len < 520 ? 1 : 100) {
		memset(text, 'x', len);
		text[len] = '\0';
		rt_log("%s", text);
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		G_GE(n, 480);
		G_LE(n, 512);
		G_TRUE(memchr(buf, '\n', (size_t)n) == buf + n - 1);
		G_TRUE(!memchr(buf, '\0', (size_t)n));
		G_EQ(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), -1);
	}
}

static void log_nowhere(void)
{
	close(STDERR_FILENO);
	rt_log("hello?");
}

TEST(log_with_stderr_closed_goes_on)
{
	g_child(&end, log_nowhere);
	G_EXITS(&end, 0);
}

/* That and nothing else, but what qemu says when a process dies by a signal. */
static void expect_said(const char *text)
{
	size_t n = strlen(text);

	if (strncmp(end.text, text, n) != 0 ||
	    (end.text[n] && strncmp(end.text + n, "qemu: uncaught", 14) != 0))
		G_FAIL("expected \"%s\", not \"%s\"", text, end.text);
}

/* ---- ends ---------------------------------------------------------- */

static void dump(int fd)
{
	G_EQ(fd, STDERR_FILENO);
	G_EQ(write(fd, "the dump\n", 9), 9);
}

static void misuse(void)
{
	rt_bug_dump = dump;
	rt_misuse("send on channel %d", 5);
}

static void fatal(void)
{
	rt_bug_dump = dump;
	rt_fatal("all goroutines %s", "asleep");
}

static void misuse_without_dump(void)
{
	rt_bug_dump = NULL;
	rt_misuse("early");
}

TEST(misuse_is_reported_with_a_dump_and_aborts)
{
	g_child(&end, misuse);
	G_SIGNALED(&end, SIGABRT);
	expect_said("fatal error: send on channel 5\nthe dump\n");
}

TEST(fatal_is_reported_with_a_dump_and_exits_with_2)
{
	g_child(&end, fatal);
	G_EXITS(&end, 2);
	expect_said("fatal error: all goroutines asleep\nthe dump\n");
}

TEST(report_without_a_dumper_is_its_line)
{
	g_child(&end, misuse_without_dump);
	G_SIGNALED(&end, SIGABRT);
	expect_said("fatal error: early\n");
}

static int evaluated;

static void our_bug(void)
{
	rt_bug_dump = NULL;
	RT_BUG_ON(evaluated++ == 1);
	G_EQ(evaluated, 1);
	RT_BUG_ON(evaluated == 1);
	_exit(0);
}

TEST(bug_on_names_file_and_condition_and_evaluates_it_once)
{
	g_child(&end, our_bug);
	G_SIGNALED(&end, SIGABRT);
	G_SAYS(&end, "fatal error: bug in gmprt: ");
	G_SAYS(&end, "bug.c:");
	G_SAYS(&end, ": evaluated == 1\n");
}

static void failing_assert(void)
{
	rt_bug_dump = NULL;
	rt_assert(evaluated++ == 1);
	_exit(evaluated ? 3 : 0);
}

TEST(assert_is_checked_in_debug_builds_and_not_evaluated_in_others)
{
	g_child(&end, failing_assert);
#if defined(RT_DEBUG)
	G_SIGNALED(&end, SIGABRT);
#else
	G_EXITS(&end, 0);
#endif
}

static void broken_dump(int fd)
{
	(void)fd;
	rt_misuse("found while dumping");
}

static void misuse_with_broken_dump(void)
{
	rt_bug_dump = broken_dump;
	rt_fatal("first");
}

TEST(report_within_a_report_aborts_after_the_first_line)
{
	g_child(&end, misuse_with_broken_dump);
	G_SIGNALED(&end, SIGABRT);
	expect_said("fatal error: first\n");
}

static pthread_barrier_t both;

static void slow_dump(int fd)
{
	(void)fd;
	g_nap(100 * G_MS); /* the other report comes meanwhile */
}

static void *report(void *arg)
{
	pthread_barrier_wait(&both);
	rt_fatal("thread %d", *(int *)arg);
}

static void two_reports(void)
{
	int name[2] = { 1, 1 };
	pthread_t t;

	rt_bug_dump = slow_dump;
	pthread_barrier_init(&both, NULL, 2);
	G_OK(pthread_create(&t, NULL, report, &name[0]));
	report(&name[1]);
}

TEST(of_two_threads_that_report_one_is_heard)
{
	for (int i = 0; i < G_LOOPS(5); i++) {
		g_child(&end, two_reports);
		G_EXITS(&end, 2);
		expect_said("fatal error: thread 1\n");
	}
}

TEST_HARNESS_MAIN
