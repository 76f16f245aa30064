/* SPDX-License-Identifier: MIT */
/*
 * overflow.c - a goroutine has run over the end of its stack, or used a bad
 * pointer
 *
 * The guard at a stack's end makes the access fault. The handler, on the M's
 * alternate stack, looks whether the address lies in the slot of the
 * goroutine that runs on this M, below its usable part; then it names the
 * goroutine, has its stack shown, and ends the process with status 2. Any
 * other fault goes to whoever handled it before us, with everything as if we
 * had not been there; was there nobody, the goroutine is named and shown just
 * the same, and the signal then ends the process as it would have (a core).
 *
 * The line that names it is written first, by async-signal-safe calls alone.
 * The stack is what a reader wants next, but libdw allocates, takes the dynamic
 * loader's lock and 150 KiB of stack, and the goroutine may have been anywhere:
 * half way through malloc, or in dlopen(). So this thread asks sysmon for it,
 * whose stack is sound and whose malloc is mostly another arena's, and waits, at
 * most a second. Whatever hangs or breaks meanwhile, this thread then ends the
 * process: other faults and abort() stop their threads, exit() and the end of
 * the run wait for us.
 *
 * Rejected. Unwinding right here, on a stack mapped for it: hangs if the
 * goroutine was in malloc, as one that recurses and allocates mostly is.
 * pthread_create() here: allocates. A thread kept ready for it: one more in
 * every program. alarm() as the limit: somebody may have blocked SIGALRM.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "api/api.h"
#include "base/bug.h"
#include "base/clock.h"
#include "base/sys.h"
#include "sched/atfork.h"
#include "sched/switch.h"

enum { ALT_STACK_BYTES = 64 * 1024 };

#define TRACE_NS RT_NS_PER_SEC /* how long the stack's text may take */

static struct sigaction before_segv, before_bus;
static pid_t reporting; /* the process whose overflow is being reported; 0: none */

/* Written before sysmon is asked, read by it. */
static struct {
	struct rt_sched *s;
	struct rt_g *g;
	struct rt_unwind_regs regs;
	uint32_t done; /* futex */
} trace;

/* ---- the report --------------------------------------------------- */

static char *put_str(char *to, const char *end, const char *s)
{
	while (*s && to < end)
		*to++ = *s++;
	return to;
}

static char *put_in_base(char *to, const char *end, uint64_t n, unsigned int base)
{
	char digits[24], *d = digits + sizeof(digits);

	*--d = '\0';
	do
		*--d = "0123456789abcdef"[n % base];
	while (n /= base);
	return put_str(to, end, d);
}

static char *put_num(char *to, const char *end, uint64_t n)
{
	return put_in_base(to, end, n, 10);
}

static char *put_hex(char *to, const char *end, uint64_t n)
{
	return put_in_base(to, end, n, 16);
}

/* What can't be written nobody reads: no reason to stop. */
static void write_sig(const char *text, size_t len)
{
	ssize_t n = write(STDERR_FILENO, text, len);

	(void)n;
}

/* The end is another thread's to make. */
static _Noreturn void halt_sig(int sig)
{
	(void)sig;
	for (;;)
		pause();
}

/* A child forked meanwhile has nobody who reports. */
static bool is_reporting_sig(void)
{
	pid_t who = load_acq(&reporting);

	return who && who == getpid();
}

static void hold_exit(void)
{
	if (is_reporting_sig())
		halt_sig(0);
}

/* On sysmon, which then stays here: without it no run comes to its end, so main
 * can't return with a status of its own. */
static void show_stack(void)
{
	rt_dump_overflow(STDERR_FILENO, trace.s, trace.g, &trace.regs);
	store_rel(&trace.done, 1);
	rt_futex_wake(&trace.done, 1);
	halt_sig(0);
}

static char *put_goroutine(char *p, const char *end, const struct rt_g *g)
{
	p = put_str(p, end, "goroutine ");
	p = put_num(p, end, g->id);
	if (g->name[0]) {
		p = put_str(p, end, " \"");
		p = put_str(p, end, g->name);
		p = put_str(p, end, "\"");
	}
	return p;
}

static void name_overflow_sig(struct rt_g *g)
{
	char line[256], *end = line + sizeof(line) - 1, *p = line;

	p = put_str(p, end, "fatal error: stack overflow: ");
	p = put_goroutine(p, end, g);
	p = put_str(p, end, " ran over its stack of ");
	p = put_num(p, end, rt_stack_bytes(g->class) / 1024);
	p = put_str(p, end, " KiB; give it more with gmprt_attr.stack_size "
			    "or gmprt_options.stack_size");
	*p++ = '\n';
	write_sig(line, (size_t)(p - line));
}

static void name_fault_sig(struct rt_g *g, int sig, const void *at)
{
	char line[256], *end = line + sizeof(line) - 1, *p = line;

	p = put_str(p, end, sig == SIGSEGV ? "fatal error: SIGSEGV: " : "fatal error: SIGBUS: ");
	p = put_goroutine(p, end, g);
	p = put_str(p, end, " used the address 0x");
	p = put_hex(p, end, (uintptr_t)at);
	*p++ = '\n';
	write_sig(line, (size_t)(p - line));
}

static struct rt_unwind_regs regs_sig(struct rt_g *g, const void *ctx)
{
	const mcontext_t *c = &((const ucontext_t *)ctx)->uc_mcontext;

	return (struct rt_unwind_regs)
	{
#if defined(__x86_64__)
		.pc = (uintptr_t)c->gregs[REG_RIP],
		.sp = (uintptr_t)c->gregs[REG_RSP],
		.fp = (uintptr_t)c->gregs[REG_RBP],
#elif defined(__aarch64__)
		.pc = c->pc,
		.sp = c->sp,
		.fp = c->regs[29],
		.lr = c->regs[30],
#endif
		.stack_hi = (uintptr_t)g,
		.stack_lo = (uintptr_t)rt_g_stack_lo(g),
		.interrupted = true,
	};
}

/* Until the end nobody else reports, nor is this thread preempted. */
static void begin_sig(void)
{
	pid_t was = load_rlx(&reporting);
	sigset_t all;

	if (was == getpid() || !cas_seq(&reporting, was, getpid()))
		halt_sig(0); /* another goroutine was first */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
}

/* By sysmon; returns when that is done, or its time over. */
static void have_shown_sig(struct rt_m *m, struct rt_g *g, const void *ctx)
{
	static const char cut[] = "(the stack can't be shown, or not within a second)\n";
	int64_t until = rt_now_ns() + TRACE_NS;

	trace.s = m->s;
	trace.g = g;
	trace.regs = regs_sig(g, ctx);
	rt_sysmon_call_sig(show_stack);
	while (!load_acq(&trace.done) && !load_acq(&m->s->sysmon_gone) && rt_now_ns() < until)
		rt_futex_wait(&trace.done, 0, until);
	if (!load_acq(&trace.done))
		write_sig(cut, strlen(cut));
}

static _Noreturn void overflowed_sig(struct rt_m *m, struct rt_g *g, const void *ctx)
{
	begin_sig();
	name_overflow_sig(g);
	if (m) { /* else in a forked child, which has no sysmon */
		sigaction(SIGABRT, &(struct sigaction){ .sa_handler = halt_sig }, NULL);
		have_shown_sig(m, g, ctx);
	}
	_exit(2);
}

static void faulted_sig(struct rt_m *m, struct rt_g *g, int sig, const void *at, const void *ctx)
{
	begin_sig();
	name_fault_sig(g, sig, at);
	have_shown_sig(m, g, ctx);
}

/* ---- the handler -------------------------------------------------- */

static bool is_default(const struct sigaction *sa)
{
	return !(sa->sa_flags & SA_SIGINFO) && sa->sa_handler == SIG_DFL;
}

static void pass_on(int sig, siginfo_t *info, void *ctx)
{
	struct sigaction *old = sig == SIGSEGV ? &before_segv : &before_bus;

	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(sig, info, ctx);
	} else if (old->sa_handler == SIG_DFL || old->sa_handler == SIG_IGN) {
		/* The instruction faults again and finds the default; there
		 * is none if somebody sent the signal. */
		sigaction(sig, old, NULL);
		if (info->si_code <= 0)
			raise(sig);
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

	if (is_reporting_sig())
		halt_sig(sig);
	if (g && info->si_code > 0 && at >= rt_g_slot(g) && at < rt_g_stack_lo(g))
		overflowed_sig(m, g, ctx);
	if (m && g && info->si_code > 0 && is_default(sig == SIGSEGV ? &before_segv : &before_bus))
		faulted_sig(m, g, sig, at, ctx);
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
	sigaddset(&sa.sa_mask, SIGURG); /* not to be preempted here */
	sigaction(SIGSEGV, &sa, &before_segv);
	sigaction(SIGBUS, &sa, &before_bus);
	atexit(hold_exit);
	rt_m_thread_init = altstack_set;
	rt_m_thread_fini = altstack_drop;
}

void rt_overflow_install(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
}
