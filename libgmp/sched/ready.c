/* SPDX-License-Identifier: MIT */
/*
 * ready.c - the seldom sides of switch.h and enter.h
 */

#include "base/bug.h"
#include "base/rcu.h"
#include "sched/preempt.h"
#include "sched/switch.h"

__cold struct rt_m *rt_enter_slow(struct rt_m *m)
{
	struct rt_sched *s = m->s;

	(void)load_acq(&m->p->slot.word); /* the word before `stopping` */
	if (load_acq(&s->stopping))
		rt_m_exit_now(m);
	/* In brackets the P's word says BLOCKED, or is another M's already. */
	if (m->curg->flags & RT_G_BLOCKING) {
		rt_leave(m);
		return NULL;
	}
	if (!rt_preempt_regain(m))
		rt_m_exit_now(m);
	return m;
}

void rt_put_slow(struct rt_p *p, rt_work w)
{
	rt_work half[RT_RUNQ_SIZE / 2 + 1];

	while (!rt_runq_spill(&p->q, half))
		if (rt_runq_put(&p->q, w))
			return; /* thieves made room */
	half[RT_RUNQ_SIZE / 2] = w;
	count_inc(&p->n.overflows);
	rt_grq_put_array(p->s, half, ARRAY_SIZE(half));
}

void rt_ready_foreign(struct rt_g *g)
{
	struct rt_worklist l = { 0 };
	struct rt_sched *s;

	s = rt_cur_get();
	if (!s)
		return; /* the run has ended and g with it */
	rt_worklist_add(&l, rt_work_g(g));
	rt_grq_put(s, &l);
	rt_wake(s);
	rt_sched_unref(s);
}

__noinline struct rt_g *rt_next_slow(struct rt_m *m, rt_work w)
{
	struct rt_g *g;

	if (w && rt_work_is_spawn(w)) {
		g = rt_g_begin(m->p, rt_work_to_spawn(w));
		if (g)
			return g;
	}
	m->handed = w; /* bound to another M, without a stack, or nothing */
	return NULL;
}
