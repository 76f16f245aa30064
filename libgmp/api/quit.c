/* SPDX-License-Identifier: MIT */
/*
 * quit.c - SIGQUIT: every goroutine on stderr, then the end, as in Go
 *
 * The handler may interrupt anything, and a dump allocates, opens files and
 * takes locks. So the handler writes one line and wakes sysmon, which makes the
 * dump and aborts (a core, if the limits allow one). More of them do nothing for
 * PATIENCE_S, for who sends one often sends two (timeout(1) does, to the process
 * and to its group); then one ends a process whose dump hangs.
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
#include "base/clock.h"
#include "sched/sched.h"

enum { PATIENCE_S = 5 };

static void dump_and_abort(void)
{
	gmprt_dump(STDERR_FILENO);
	abort();
}

static int64_t since_ns; /* the first one; 0: none yet */

static void again_sig(int sig)
{
	if (rt_now_ns() - load_rlx(&since_ns) < PATIENCE_S * RT_NS_PER_SEC)
		return;
	signal(sig, SIG_DFL);
	raise(sig); /* comes when this handler has returned */
}

static void on_sigquit(int sig)
{
	static const char line[] = "SIGQUIT: quit\n\n";
	int saved = errno;
	ssize_t n;

	if (cas_seq(&since_ns, 0, rt_now_ns())) {
		n = write(STDERR_FILENO, line, sizeof(line) - 1);
		(void)n;
		rt_sysmon_call_sig(dump_and_abort);
	} else {
		again_sig(sig);
	}
	errno = saved;
}

void rt_quit_arm(void)
{
	struct sigaction sa = { .sa_handler = on_sigquit,
				.sa_flags = SA_ONSTACK | SA_RESTART };
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

	store_rlx(&since_ns, 0); /* in a child of fork(): its parent's */
	if (sigaction(SIGQUIT, NULL, &old) == 0 && !(old.sa_flags & SA_SIGINFO) &&
	    old.sa_handler == on_sigquit)
		signal(SIGQUIT, SIG_DFL);
}
