/* SPDX-License-Identifier: MIT */
/*
 * look.c - where a goroutine stands that an M runs
 *
 * Problem: a dump wants the stack of a goroutine that is running now. Its
 * registers are in its thread, which must stand still while the stack is
 * copied, or the copy is of many moments.
 *
 *  - A thread that runs gets the SIGURG of preempt.c. The handler notes the
 *    registers, shows them, and waits until the copy is made, 200 ms at most:
 *    the one who looks may be slow or gone.
 *  - A thread that sleeps in a system call must not get a signal, which would
 *    make some calls fail with EINTR. /proc/self/task/TID/syscall has its stack
 *    pointer and where it goes on; not the frame pointer, which few frames need.
 *  - A thread that is preempted stands still already, with what its handler
 *    noted.
 *
 * The word m->look, and who changes it:
 *
 *   NONE  -> ASKED  who looks                    cas_acqrel
 *   ASKED -> SHOWN  the handler, registers noted cas_acqrel
 *   SHOWN -> NONE   who looks, done; or the handler, tired of waiting
 *   ASKED -> NONE   who looks, tired of waiting  cas_acqrel
 *
 * So whoever finds the word changed knows that the other has given up.
 *
 * Rejected: ptrace (nobody can trace himself); the handler copies its stack (a
 * buffer for each M, or allocation in a handler); reading without stopping
 * (every second frame wrong while the thread computes).
 */
#include "sched/look.h"

#include <errno.h>
#include <signal.h>
#include <ucontext.h>

#include "base/clock.h"
#include "base/sys.h"

enum { NONE,
       ASKED,
       SHOWN };

enum {
	SHOW_MS = 200, /* the handler waits for the copy */
	ASK_MS = 100,  /* who looks waits for the handler */
};

/* ---- the thread that is looked at --------------------------------- */

void rt_look_note_sig(struct rt_m *m, void *ucontext)
{
	const ucontext_t *uc = ucontext;

#if defined(__x86_64__)
	m->regs.pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
	m->regs.sp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
	m->regs.fp = (uintptr_t)uc->uc_mcontext.gregs[REG_RBP];
#elif defined(__aarch64__)
	m->regs.pc = (uintptr_t)uc->uc_mcontext.pc;
	m->regs.sp = (uintptr_t)uc->uc_mcontext.sp;
	m->regs.fp = (uintptr_t)uc->uc_mcontext.regs[29];
	m->regs.lr = (uintptr_t)uc->uc_mcontext.regs[30];
#endif
	m->regs.stack_hi = (uintptr_t)m->curg;
}

void rt_look_show_sig(struct rt_m *m)
{
	int64_t until = rt_now_ns() + SHOW_MS * RT_NS_PER_MS;

	if (!cas_acqrel(&m->look, ASKED, SHOWN))
		return;
	rt_futex_wake(&m->look, 1);
	while (load_acq(&m->look) == SHOWN)
		if (rt_futex_wait(&m->look, SHOWN, until) == -ETIMEDOUT)
			cas_acqrel(&m->look, SHOWN, NONE);
}

/* ---- who looks ---------------------------------------------------- */

/* m->regs are its handler's to write; a copy of many moments is found out by
 * rt_look_away(). */
static __no_tsan __noinline void copy_regs(struct rt_unwind_regs *to, struct rt_m *m)
{
	const volatile struct rt_unwind_regs *v = &m->regs;

	*to = (struct rt_unwind_regs){
		.pc = v->pc, .sp = v->sp, .fp = v->fp, .lr = v->lr, .stack_hi = v->stack_hi
	};
}

static bool is_held(struct rt_m *m)
{
	return load_acq(&m->hold) == RT_HOLD_WAITS;
}

static bool ask(struct rt_m *m)
{
	int64_t until = rt_now_ns() + ASK_MS * RT_NS_PER_MS;

	if (!cas_acqrel(&m->look, NONE, ASKED))
		return false;
	rt_thread_signal(load_rlx(&m->tid), SIGURG);
	while (load_acq(&m->look) == ASKED)
		if (rt_futex_wait(&m->look, ASKED, until) == -ETIMEDOUT &&
		    cas_acqrel(&m->look, ASKED, NONE))
			return false;
	return true;
}

enum rt_looked rt_look_at(struct rt_m *m, struct rt_unwind_regs *regs)
{
	struct rt_g *g = load_rlx(&m->curg);

	if (is_held(m)) {
		copy_regs(regs, m);
		return RT_LOOK_HELD;
	}
	*regs = (struct rt_unwind_regs){ .stack_hi = (uintptr_t)g };
	if (g && rt_thread_syscall(load_rlx(&m->tid), &regs->sp, &regs->pc))
		return RT_LOOK_SLEEPS;
	if (!ask(m))
		return RT_LOOK_NOT;
	copy_regs(regs, m);
	return RT_LOOK_RUNS;
}

bool rt_look_away(struct rt_m *m, enum rt_looked how, const struct rt_unwind_regs *regs)
{
	struct rt_unwind_regs now = { 0 };

	switch (how) {
	case RT_LOOK_RUNS:
		if (!cas_acqrel(&m->look, SHOWN, NONE))
			return false;
		rt_futex_wake(&m->look, 1);
		return true;
	case RT_LOOK_HELD:
		copy_regs(&now, m);
		return is_held(m) && now.sp == regs->sp && now.pc == regs->pc;
	case RT_LOOK_SLEEPS:
		return rt_thread_syscall(load_rlx(&m->tid), &now.sp, &now.pc) &&
		       now.sp == regs->sp &&
		       now.pc == regs->pc;
	default:
		return false;
	}
}
