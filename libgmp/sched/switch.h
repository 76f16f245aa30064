/* SPDX-License-Identifier: MIT */
/*
 * switch.h - pick, ready, park: the paths every goroutine takes
 *
 * Problem: Go goes from a goroutine to the scheduler's stack and from there to
 * the next goroutine. Two switches, where most of the time one look into the
 * P's own queue would do.
 *
 * So the goroutine that parks picks its successor itself and switches to it
 * directly. Only when there is none to be had at once, or something out of the
 * ordinary is due, does it go to the M's own stack (g0), where find.c looks
 * on. The publication that must come after the stack is left is the one store
 * the switch makes (core/ctx.h).
 *
 * All of this is inlined into the callers on purpose: after a switch the CPU's
 * return-address predictor holds the other stack's callers, so every return
 * between here and the user's code would be mispredicted (4 ns each).
 */
#ifndef RT_SCHED_SWITCH_H
#define RT_SCHED_SWITCH_H

#include "sched/check.h"
#include "sched/enter.h"

/* ---- wake-ups ----------------------------------------------------- */

/*
 * Something has been put into m's P's queue that another P could run: an idle one,
 * or one that the kernel has freed. The fence is the store-load barrier of the
 * protocol in wake.c, and of the one in gmprt_abi.h.
 */
static __always_inline_ void rt_wake_others(struct rt_sched *s)
{
	if (load_rlx(&s->maxprocs) == 1)
		return;
	rt_point();
	smp_mb(); /* pairs with the one in look_again() */
	rt_point();
	if (unlikely((load_acq(&s->nr_idle_ps) || load_rlx(&s->port.head->freed)) &&
		     !load_rlx(&s->nr_spinning)))
		rt_wake(s);
}

/*
 * The same after `next` alone was set. Two goroutines that hand a value to
 * and fro each ready the other and then block: a P woken for `next` comes too
 * late every time, and costs the waker a futex call and the fence. So when
 * this P has lately run its `next` itself RT_STREAK_TRUST times in a row, the
 * wake-up is left out; sysmon, once it has seen
 * that, looks every 250 us for a `next` that was not run after all, wakes a P
 * for it, and the streak begins anew.
 */
static __always_inline_ void rt_wake_for_next(struct rt_p *p)
{
	struct rt_sched *s = p->s;

	if (load_rlx(&s->maxprocs) == 1)
		return;
	if (likely(load_rlx(&p->streak) >= RT_STREAK_TRUST)) {
		if (unlikely(!load_rlx(&p->skipped)))
			store_rlx(&p->skipped, 1);
		return;
	}
	rt_wake_others(s);
}

/* ---- ready -------------------------------------------------------- */

/* The ring is full: half of it and w go to the global queue. */
void rt_put_slow(struct rt_p *p, rt_work w);

/* w will run next on m's P; what would have been next queues. */
static __always_inline_ void rt_put_next(struct rt_p *p, rt_work w)
{
	rt_work old = rt_runq_set_next(&p->q, w);

	rt_check_holds(p);
	rt_point();
	if (likely(!old)) {
		rt_wake_for_next(p);
		return;
	}
	if (unlikely(!rt_runq_put(&p->q, old)))
		rt_put_slow(p, old);
	rt_wake_others(p->s);
}

/* From a thread that holds no P: through the global queue. */
void rt_ready_foreign(struct rt_g *g);

/* g, parked and taken off whatever it waited on, shall run. m: NULL for a
 * caller without a P. g is not the caller's any more. */
static __always_inline_ void rt_ready(struct rt_m *m, struct rt_g *g)
{
	store_rlx(&g->reason, RT_REASON_NONE);
	if (unlikely(!m))
		rt_ready_foreign(g);
	else
		rt_put_next(m->p, rt_work_g(g));
}

/* ---- pick --------------------------------------------------------- */

/* What p runs next, or 0: go the long way (nothing here, or something due). */
static __always_inline_ rt_work rt_pick(struct rt_p *p)
{
	rt_work w;
	uint32_t left = p->countdown - 1;

	rt_check_holds(p);
	store_rlx(&p->countdown, left);
	if (unlikely(left == 0 || load_rlx(&p->attention)))
		return 0;
	w = rt_runq_get_next(&p->q);
	if (w) {
		store_rlx(&p->streak, load_rlx(&p->streak) + 1);
		return w;
	}
	count_inc(&p->slices);
	return rt_runq_get(&p->q);
}

/*
 * w is not a plain goroutine: begins a spawn; leaves what only g0 can do to
 * m->handed. The G to switch to, or NULL: g0.
 */
struct rt_g *rt_next_slow(struct rt_m *m, rt_work w);

static __always_inline_ struct rt_g *rt_next(struct rt_m *m)
{
	rt_work w = rt_pick(m->p);

	if (likely(w && !rt_work_is_spawn(w))) {
		struct rt_g *g = rt_work_to_g(w);

		if (likely(!(g->flags & RT_G_BOUND)))
			return g;
	}
	return rt_next_slow(m, w);
}

/* ---- park --------------------------------------------------------- */

/*
 * Leaves the current goroutine g for n, or for g0 if n is NULL, and stores
 * val in *word once the stack is left. Returns when g is run again, with the M
 * that runs it then, in state RUNTIME.
 */
static __always_inline_ struct rt_m *rt_switch(struct rt_m *m, struct rt_g *g, struct rt_g *n,
					       uint32_t *word, uint32_t val)
{
	int err = *m->errno_p;
	struct rt_eh eh;

	if (unlikely(m->has_eh))
		rt_eh_take(m->eh, &eh);
	rt_check_leave(g);
	rt_point();
	store_rlx(&m->curg, n);
	rt_san_leave(&g->san, n ? &n->san : &m->san, 0);
	rt_ctx_switch(&g->ctx, n ? &n->ctx : &m->g0, word, val);
	/* First of all: a dump that copied this stack must see that it moves. */
	store_rlx(&g->nr_parks, g->nr_parks + 1);
	rt_san_arrive(&g->san);
	rt_check_arrive(g);
	m = rt_m_self();
	*m->errno_p = err;
	if (unlikely(m->has_eh))
		*m->eh = eh;
	return m;
}

/*
 * Parks the current goroutine. It must be findable by its waker already,
 * behind a lock or claim that the store of val in *word opens. The reason is
 * what dumps show.
 */
static __always_inline_ struct rt_m *rt_park(struct rt_m *m, enum rt_reason reason,
					     uint32_t *word, uint32_t val)
{
	struct rt_g *g = m->curg;

	store_rlx(&g->reason, reason);
	store_rlx(&g->since_ns, load_rlx(&m->s->coarse_ns));
	return rt_switch(m, g, unlikely(g->flags & RT_G_LOCKED) ? NULL : rt_next(m), word, val);
}

#endif
