/* SPDX-License-Identifier: MIT */
/*
 * enter.h - the one door into the run time and out of it
 *
 * Rule: run-time structures (the P's queues, spin locks of channels and
 * words) are touched only by an M that holds a P and is in state RUNTIME.
 * Nobody takes a P away from an M in that state; in state USER a backend may,
 * at any instruction.
 *
 * To enter, an M stores RUNTIME into its own slot and then loads its P's word:
 * is it still mine? No atomic is needed against a backend in the kernel, which
 * looks only when this very thread is switched out. Against user-space takers
 * (the end of a run) the taker changes the word first, then makes every CPU
 * pass a barrier (membarrier), then reads the state: either it reads RUNTIME,
 * and waits, or this M's load comes later and sees the change.
 *
 * Threads that hold no P (the program's own, goroutines in brackets, sysmon)
 * take spin locks too, outside of this rule: nobody's P waits for them.
 *
 * rt_enter() is NULL for whoever holds no P: an ordinary thread, or a
 * goroutine inside gmprt_block_enter/exit. Such a caller may still try and
 * wake, through the global queue.
 */
#ifndef RT_SCHED_ENTER_H
#define RT_SCHED_ENTER_H

#include "base/point.h"
#include "core/tls.h"
#include "sched/sched.h"

/* The P has been taken. NULL, or does not return (the run has ended). */
struct rt_m *rt_enter_slow(struct rt_m *m);

static __always_inline_ struct rt_m *rt_enter(void)
{
	struct rt_m *m = rt_m_self();

	if (unlikely(!m))
		return NULL;
	rt_point();
	store_rlx(&m->slot->state, RT_M_RUNTIME);
	barrier();
	rt_point();
	if (unlikely(load_rlx(&m->p->slot.word) != m->pword))
		return rt_enter_slow(m);
	return m;
}

static __always_inline_ void rt_leave(struct rt_m *m)
{
	store_rel(&m->slot->state, RT_M_USER); /* pairs with load_acq of a taker */
}

#endif
