/* SPDX-License-Identifier: MIT */
/*
 * quit.c - SIGQUIT: every goroutine on stderr, then the end, as in Go
 *
 * The handler may interrupt anything, and a dump allocates, opens files and
 * takes locks. So the handler writes one line and wakes sysmon, which makes the
 * dump and aborts (a core, if the limits allow one). SIGQUIT is back to its
 * default by then: a second one ends a process whose dump hangs.
 *
 * Only a program that has left SIGQUIT at its default gets this; it is put back
 * when the run has ended.
 */
#include <gmprt.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/api.h"
#include "sched/sched.h"

static void dump_and_abort(void)
{
	gmprt_dump(STDERR_FILENO);
	abort();
}

static void on_sigquit(int sig)
{
	static const char line[] = "SIGQUIT: quit\n\n";
	int saved = errno;
	ssize_t n = write(STDERR_FILENO, line, sizeof(line) - 1);

	(void)sig, (void)n;
	rt_sysmon_call_sig(dump_and_abort);
	errno = saved;
}

void rt_quit_arm(void)
{
	struct sigaction sa = { .sa_handler = on_sigquit,
				.sa_flags = SA_ONSTACK | SA_RESTART | SA_RESETHAND };
	struct sigaction old;

	/* Preempted in this handler, the thread would show its stack, not the goroutine's. */
	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGURG);
	if (sigaction(SIGQUIT, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
	    old.sa_handler == SIG_DFL)
		sigaction(SIGQUIT, &sa, NULL);
}

void rt_quit_disarm(void)
{
	struct sigaction old;

	if (sigaction(SIGQUIT, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
	    old.sa_handler == on_sigquit)
		signal(SIGQUIT, SIG_DFL);
}
