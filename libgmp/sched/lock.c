/* SPDX-License-Identifier: MIT */
/*
 * lock.c - goroutines bound to an M
 *
 * m->lock_g and g->lock_m point at each other while the binding lasts. An M
 * with a bound G runs nothing else: when the G parks, the M gives its P away
 * and sleeps; when another M picks the G from a queue, it hands its P to this
 * M (one futex wake) and goes to sleep. Model: tests/model/lock.pml.
 *
 * With no thread to be had (m.c) nobody may be there to pick the G, nor to
 * fire the timer it sleeps for. sysmon then hands an idle P to the M that
 * waits: with its G, or, when a timer is due, alone.
 */
#include "base/bug.h"
#include "sched/standby.h"
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
	to->waits = false;
	store_rlx(&to->next_work, rt_work_g(g));
	store_rlx(&to->next_p, p);
	rt_standby_announce_locked(m, p);
	rt_m_notice_locked(to);
	rt_unlock(m->s);
	rt_m_wake(to);
}

void rt_locked_stop_g0(struct rt_m *m)
{
	struct rt_sched *s = m->s;

	if (m->p) {
		/* No other M is to be had: this one serves the timers of a P
		 * that it may not use. */
		if (unlikely(load_rlx(&s->no_thread)))
			rt_timers_run_all_g0(m);
		rt_p_handoff(s, rt_p_release(m, RT_P_IDLE));
	}
	rt_lock(s);
	m->waits = !m->next_p;
	rt_unlock(s);
	rt_m_wait_g0(m);
}
