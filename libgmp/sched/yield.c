/* SPDX-License-Identifier: MIT */
/*
 * yield.c - the others first
 *
 * Into the own queue, not into the global one as in Go: the lock would be most
 * of the cost, and the fairness look serves the global queue all the same.
 *
 * The goroutine is written behind the last entry and the switch stores the new
 * tail once its stack is left, so that no thief runs it before.
 */
#include "sched/yield.h"

#include <sched.h>

#include "sched/switch.h"

/* On g0: whatever the short way could not do. */
static void yield_g0(struct rt_m *m, struct rt_g *g)
{
	if (!rt_runq_put(&m->p->q, rt_work_g(g)))
		rt_put_slow(m->p, rt_work_g(g));
}

/* w: what was picked, or 0 to let g0 look. */
static __noinline void yield_slow(struct rt_m *m, rt_work w)
{
	m->handed = w;
	rt_m_call(yield_g0);
	rt_leave(rt_m_self());
}

/* Nothing here: is there anything elsewhere, or something due? */
static bool alone(struct rt_p *p)
{
	return p->countdown != 0 && !load_rlx(&p->attention) && !load_rlx(&p->s->grq_len) &&
	       !rt_forkq_len(&p->q);
}

static struct rt_g *begin(struct rt_m *m, rt_work w)
{
	struct rt_g *n = rt_work_is_spawn(w) ? rt_g_begin(m->p, rt_work_to_spawn(w)) :
					       rt_work_to_g(w);

	return n && !(n->flags & RT_G_BOUND) ? n : NULL;
}

void rt_yield(void)
{
	struct rt_m *m = rt_enter();
	struct rt_sched *s;
	struct rt_g *g, *n;
	uint32_t tail;
	rt_work w;

	if (unlikely(!m)) {
		sched_yield();
		return;
	}
	g = m->curg;
	s = m->s;
	if (unlikely(g->flags & RT_G_LOCKED)) {
		yield_slow(m, 0); /* its M runs nothing else */
		return;
	}
	w = rt_pick(m->p);
	if (!w && alone(m->p)) {
		rt_leave(m);
		return;
	}
	if (unlikely(!w || !rt_runq_prepare(&m->p->q, rt_work_g(g), &tail))) {
		yield_slow(m, w);
		return;
	}
	n = begin(m, w);
	if (unlikely(!n)) {
		yield_slow(m, w);
		return;
	}
	/* Two want to run here: without the barrier of rt_wake_others(), as
	 * nothing is new; a P that has just become idle is sysmon's to see. */
	if (unlikely(load_rlx(&s->nr_idle_ps) && !load_rlx(&s->nr_spinning)))
		rt_wake(s);
	rt_leave(rt_switch(m, g, n, &m->p->q.tail, tail));
}
