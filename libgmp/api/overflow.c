/* SPDX-License-Identifier: MIT */
/*
 * overflow.c - a goroutine has run over the end of its stack
 *
 * The guard at a stack's end makes the access fault. The handler, on the M's
 * alternate stack, looks whether the address lies in the slot of the
 * goroutine that runs on this M, below its usable part; then it names the
 * goroutine and ends the process with status 2. Any other fault goes to
 * whoever handled it before us, with everything as if we had not been there.
 *
 * Only async-signal-safe calls here: no dump, the heap may be in any state.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/api.h"
#include "base/bug.h"
#include "base/sys.h"
#include "sched/atfork.h"
#include "sched/switch.h"

enum { ALT_STACK_BYTES = 64 * 1024 };

static struct sigaction before_segv, before_bus;

/* ---- the report --------------------------------------------------- */

static char *put_str(char *to, const char *end, const char *s)
{
	while (*s && to < end)
		*to++ = *s++;
	return to;
}

static char *put_num(char *to, const char *end, uint64_t n)
{
	char digits[24], *d = digits + sizeof(digits);

	*--d = '\0';
	do
		*--d = (char)('0' + n % 10);
	while (n /= 10);
	return put_str(to, end, d);
}

static _Noreturn void report_sig(struct rt_g *g)
{
	char line[256], *end = line + sizeof(line) - 1, *p = line;

	p = put_str(p, end, "fatal error: stack overflow: goroutine ");
	p = put_num(p, end, g->id);
	if (g->name[0]) {
		p = put_str(p, end, " \"");
		p = put_str(p, end, g->name);
		p = put_str(p, end, "\"");
	}
	p = put_str(p, end, " ran over its stack of ");
	p = put_num(p, end, rt_stack_bytes(g->class) / 1024);
	p = put_str(p, end, " KiB; give it more with gmprt_attr.stack_size "
			    "or gmprt_options.stack_size");
	*p++ = '\n';
	/* Nothing to do if nobody reads it. */
	if (write(STDERR_FILENO, line, (size_t)(p - line)) < 0)
		_exit(2);
	_exit(2);
}

/* ---- the handler -------------------------------------------------- */

static void pass_on(int sig, siginfo_t *info, void *ctx)
{
	struct sigaction *old = sig == SIGSEGV ? &before_segv : &before_bus;

	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(sig, info, ctx);
	} else if (old->sa_handler == SIG_DFL || old->sa_handler == SIG_IGN) {
		/* The instruction faults again and finds the default. */
		sigaction(sig, old, NULL);
	} else {
		old->sa_handler(sig);
	}
}

static void on_fault(int sig, siginfo_t *info, void *ctx)
{
	struct rt_m *m = rt_m_self();
	const char *at = info->si_addr;
	struct rt_g *g = m ? m->curg : rt_orphan_at(at);
	int saved = errno;

	if (g && info->si_code > 0 && at >= rt_g_slot(g) && at < rt_g_stack_lo(g))
		report_sig(g);
	pass_on(sig, info, ctx);
	errno = saved;
}

/* ---- setting up --------------------------------------------------- */

/* Each M: the handler can't run on the stack that has overflowed. A thread
 * that has an alternate stack already (a sanitizer's) keeps it. */
static void altstack_set(struct rt_m *m)
{
	stack_t st, old;

	if (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE))
		return;
	m->altstack = rt_map(ALT_STACK_BYTES);
	if (!m->altstack)
		return; /* an overflow then ends with a plain SIGSEGV */
	st = (stack_t){ .ss_sp = m->altstack, .ss_size = ALT_STACK_BYTES };
	sigaltstack(&st, NULL);
}

static void altstack_drop(struct rt_m *m)
{
	if (!m->altstack)
		return;
	sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
	rt_unmap(m->altstack, ALT_STACK_BYTES);
}

static void install(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGSEGV, &sa, &before_segv);
	sigaction(SIGBUS, &sa, &before_bus);
	rt_m_thread_init = altstack_set;
	rt_m_thread_fini = altstack_drop;
}

void rt_overflow_install(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
}
