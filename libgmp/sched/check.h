/* SPDX-License-Identifier: MIT */
/*
 * check.h - the scheduler's invariants, checked while `make stress` runs
 *
 * Only in builds with -DRT_POINTS; elsewhere nothing is left of it.
 *
 *  - No G runs on two Ms at once: `on` is taken when its stack is entered and
 *    given back before the store that lets others find it.
 *  - An M that uses a P's queues owns the P's word. (A run that ends revokes
 *    words under their owners; sysmon may mark one BLOCKED for a moment.)
 */
#ifndef RT_SCHED_CHECK_H
#define RT_SCHED_CHECK_H

#include "base/bug.h"
#include "base/point.h"
#include "sched/sched.h"

#ifdef RT_POINTS

static inline void rt_check_arrive(struct rt_g *g)
{
	RT_BUG_ON(xchg_acqrel(&g->on, 1) != 0);
}

static inline void rt_check_leave(struct rt_g *g)
{
	RT_BUG_ON(xchg_acqrel(&g->on, 0) != 1);
}

static inline void rt_check_holds(struct rt_p *p)
{
	uint64_t word = load_acq(&p->slot.word);
	struct rt_m *m = load_rlx(&p->m);

	if (rt_pword_state(word) == RT_P_REVOKED)
		return;
	RT_BUG_ON(!m || rt_pword_owner(word) != m->id);
	RT_BUG_ON(load_rlx(&m->slot->state) != RT_M_RUNTIME);
}

#else

#define rt_check_arrive(g) ((void)(g))
#define rt_check_leave(g)  ((void)(g))
#define rt_check_holds(p)  ((void)(p))

#endif

#endif
