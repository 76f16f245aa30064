/* SPDX-License-Identifier: MIT */
/*
 * bug.c - reports and ends
 *
 * The report is written before the dump is tried: the dump walks structures
 * that may be the ones that are broken. A second report while the first is
 * under way (the dump itself failed, or another thread) ends at once.
 */
#include "base/bug.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"

void (*rt_bug_dump)(int fd);

static pid_t reporter; /* the thread that reports; 0: none */

static void write_line(const char *prefix, const char *fmt, va_list ap)
{
	char buf[512];
	int n = snprintf(buf, sizeof(buf), "%s", prefix);
	int m = vsnprintf(buf + n, sizeof(buf) - (size_t)n - 1, fmt, ap);

	n += m < 0 ? 0 : m;
	if (n > (int)sizeof(buf) - 2)
		n = (int)sizeof(buf) - 2;
	buf[n++] = '\n';
	/* Nobody to tell if stderr is closed. */
	if (write(STDERR_FILENO, buf, (size_t)n) < 0)
		return;
}

void rt_log(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line("gmprt: ", fmt, ap);
	va_end(ap);
}

/* True for the first caller. Another thread waits for its end. */
static void report_once(void)
{
	pid_t me = (pid_t)syscall(SYS_gettid);

	if (cas_seq(&reporter, 0, me))
		return;
	if (load_rlx(&reporter) == me)
		abort(); /* the dump failed */
	for (;;)
		pause();
}

static void report(const char *fmt, va_list ap)
{
	report_once();
	write_line("fatal error: ", fmt, ap);
	if (rt_bug_dump)
		rt_bug_dump(STDERR_FILENO);
}

void rt_misuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(fmt, ap);
	va_end(ap);
	abort();
}

void rt_fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(fmt, ap);
	va_end(ap);
	_exit(2);
}

void rt_bug(const char *file, int line, const char *what)
{
	rt_misuse("bug in gmprt: %s:%d: %s", file, line, what);
}

void rt_bug_forked(void)
{
	store_rlx(&reporter, 0);
	rt_bug_dump = NULL;
}
