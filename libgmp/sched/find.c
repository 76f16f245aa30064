/* SPDX-License-Identifier: MIT */
/*
 * find.c - an M on its own stack looks for something to run
 *
 * In this order: what is due (the run's end, a timer, the fairness look),
 * its own queues, the global queue, its timers, the netpoller, other Ps; then it
 * gives its P up, looks once more (wake.c says why), and sleeps.
 *
 * Fairness, Go's rules: every 61st pick looks at the global queue first, so
 * that two goroutines that ready each other for ever do not starve it; the
 * same look serves timers, files, and every fourth time the oldest forked task.
 */
#include "base/clock.h"
#include "sched/poll.h"
#include "sched/switch.h"

/* ---- what is due -------------------------------------------------- */

static rt_work fair_look(struct rt_m *m)
{
	struct rt_p *p = m->p;
	rt_work w;

	store_rlx(&p->countdown, RT_FAIR_TICK);
	count_inc(&p->rounds);
	if (rt_timers_next(&p->timers) != RT_FOREVER)
		rt_timers_run_g0(m, rt_now_ns());
	rt_poll_rarely_g0(m);
	w = p->rounds % 4 == 0 ? rt_forked_take(p, &p->q, true) : 0;
	return w ? w : rt_grq_get(m->s, p, 1);
}

/* The slice that `next` inherits is over: it queues behind the others. */
static void next_to_ring(struct rt_p *p)
{
	rt_work w = rt_runq_get_next(&p->q);

	if (w && !rt_runq_put(&p->q, w))
		rt_put_slow(p, w);
}

/* False: m has no P any more. */
static bool attend(struct rt_m *m)
{
	struct rt_p *p = m->p;
	uint32_t what = fetch_and_seq(&p->attention, 0);

	if (what & RT_ATT_TIMER)
		rt_timers_run_g0(m, rt_now_ns());
	if (what & RT_ATT_SLICE)
		next_to_ring(p);
	if (what & RT_ATT_STACKS)
		rt_magazine_flush(&p->gs, &p->s->stacks.class[p->s->stack_class].depot);
	if (p->id >= load_rlx(&m->s->maxprocs)) {
		rt_procs_retire_g0(m);
		return m->p != NULL; /* maxprocs may have grown again */
	}
	return true;
}

/* ---- looking ------------------------------------------------------ */

static rt_work find_local(struct rt_m *m)
{
	struct rt_p *p = m->p;
	rt_work w = rt_runq_get_next(&p->q);

	if (w) {
		store_rlx(&p->streak, load_rlx(&p->streak) + 1);
		return w;
	}
	count_inc(&p->slices);
	w = rt_runq_get(&p->q);
	return w ? w : rt_forked_take(p, &p->q, false);
}

static bool may_spin(struct rt_m *m)
{
	struct rt_sched *s = m->s;

	if (m->spinning)
		return true;
	if (2 * load_rlx(&s->nr_spinning) >= load_rlx(&s->maxprocs) - load_rlx(&s->nr_idle_ps))
		return false;
	m->spinning = true;
	fetch_add_seq(&s->nr_spinning, 1);
	return true;
}

static rt_work find_elsewhere(struct rt_m *m)
{
	struct rt_p *p = m->p;
	rt_work w = rt_grq_get(m->s, p, RT_RUNQ_SIZE);

	if (w)
		return w;
	rt_timers_run_all_g0(m);
	w = rt_runq_get(&p->q);
	if (w)
		return w;
	w = rt_poll_g0(m);
	if (w)
		return w;
	if (load_rlx(&m->s->maxprocs) == 1 && load_rlx(&m->s->nr_ps) == 1)
		return 0;
	return may_spin(m) ? rt_steal_g0(m) : 0;
}

/* Gives the P up. 0: done, m holds none; else work that came up meanwhile. */
static rt_work give_up_p(struct rt_m *m)
{
	struct rt_sched *s = m->s;
	rt_work w = 0;

	rt_lock(s);
	if (!s->stopping && m->p->id < s->maxprocs) {
		w = rt_grq_get_locked(s, m->p, RT_RUNQ_SIZE);
		if (!w)
			rt_p_idle_put_locked(s, rt_p_release(m, RT_P_IDLE));
	}
	rt_unlock(s);
	return w;
}

/* Has work come since we looked, or a timer's time? Then a P again, if there is
 * one. */
static bool look_again(struct rt_m *m, bool was_spinning)
{
	struct rt_sched *s = m->s;
	struct rt_p *p;
	bool work;

	rt_point();
	smp_mb(); /* pairs with rt_wake_others() */
	rt_point();
	/* If this M may not spin while others do, they are the ones to look:
	 * else it would come back for each `next` that is another P's own, and
	 * for each timer that another M is about to fire. */
	if (!was_spinning && load_rlx(&s->nr_spinning))
		return false;
	work = rt_any_work(s);
	if (!work && rt_next_timer(s) > rt_now_ns())
		return false;
	rt_lock(s);
	p = s->stopping ? NULL : rt_p_idle_get_locked(s);
	rt_unlock(s);
	if (!p)
		return false;
	rt_p_acquire(m, p);
	if (was_spinning && work) {
		m->spinning = true;
		fetch_add_seq(&s->nr_spinning, 1);
	}
	return true;
}

rt_work rt_find_g0(struct rt_m *m)
{
	struct rt_sched *s = m->s;

	for (;;) {
		bool was_spinning;
		rt_work w;

		if (load_acq(&s->stopping))
			return 0;
		w = m->handed;
		if (w) {
			m->handed = 0;
			return w;
		}
		if (m->p && load_rlx(&m->p->attention) && !attend(m)) {
			if (!rt_m_stop_g0(m))
				return 0;
			continue;
		}
		if (m->p->countdown == 0) {
			w = fair_look(m);
			if (w)
				return w;
		}
		w = find_local(m);
		if (!w)
			w = find_elsewhere(m);
		if (w)
			return w;
		w = give_up_p(m);
		if (w)
			return w;
		if (m->p)
			continue; /* the run ends, or the P is to retire */
		was_spinning = m->spinning;
		if (was_spinning) {
			m->spinning = false;
			fetch_add_seq(&s->nr_spinning, -1);
		}
		if (!look_again(m, was_spinning) && !rt_m_stop_g0(m))
			return 0;
	}
}
