/* SPDX-License-Identifier: MIT */
/*
 * lock.c - goroutines bound to an M
 *
 * m->lock_g and g->lock_m point at each other while the binding lasts. An M
 * with a bound G runs nothing else: when the G parks, the M gives its P away
 * and sleeps; when another M picks the G from a queue, it hands its P to this
 * M (one futex wake) and goes to sleep. Model: tests/model/lock.pml.
 */
#include "base/bug.h"
#include "sched/switch.h"

bool rt_g_lock_m(struct rt_m *m)
{
	struct rt_g *g = m->curg;

	if (g->lock_depth == UINT16_MAX)
		return false;
	if (g->lock_depth++ == 0) {
		g->lock_m = m;
		m->lock_g = g;
		g->flags |= RT_G_LOCKED;
	}
	return true;
}

bool rt_g_unlock_m(struct rt_m *m)
{
	struct rt_g *g = m->curg;

	if (g->lock_depth == 0)
		return false;
	if (--g->lock_depth == 0) {
		g->flags &= (uint8_t)~RT_G_LOCKED;
		m->lock_g = NULL;
		g->lock_m = NULL;
	}
	return true;
}

void rt_locked_start_g0(struct rt_m *m, struct rt_g *g)
{
	struct rt_m *to = g->lock_m;
	struct rt_p *p = rt_p_release(m, RT_P_IDLE);

	if (m->spinning) {
		m->spinning = false;
		fetch_add_seq(&m->s->nr_spinning, -1);
	}
	rt_lock(m->s);
	if (m->s->stopping) { /* `to` may be gone already */
		rt_unlock(m->s);
		return;
	}
	store_rlx(&to->next_work, rt_work_g(g));
	store_rlx(&to->next_p, p);
	rt_m_notice_locked(to);
	rt_unlock(m->s);
	rt_m_wake(to);
}

void rt_locked_stop_g0(struct rt_m *m)
{
	if (m->p)
		rt_p_handoff(m->s, rt_p_release(m, RT_P_IDLE));
	rt_m_wait_g0(m);
}
