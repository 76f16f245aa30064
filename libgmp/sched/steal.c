/* SPDX-License-Identifier: MIT */
/*
 * steal.c - work from other Ps
 *
 * Four rounds over all Ps from a random first one: half of a ring, or the
 * oldest forked task. What was readied to run next on its own P is taken last
 * and only if it has lain there for a moment while its P did nothing else:
 * most of the time its own P is about to run it, with a warm cache.
 */
#include "base/clock.h"
#include "base/rand.h"
#include "sched/switch.h"

enum {
	ROUNDS = 4,
	MOMENT_NS = 3000, /* Go's 3 us */
};

/* Waits a moment; true if p neither switched nor changed its `next`. */
static bool lies_idle(struct rt_p *p, rt_work next)
{
	uint32_t countdown = load_rlx(&p->countdown);
	int64_t until = rt_now_ns() + MOMENT_NS;

	do {
		for (int i = 0; i < 8; i++)
			cpu_relax();
		if (load_rlx(&p->q.next) != next || load_rlx(&p->countdown) != countdown)
			return false;
	} while (rt_now_ns() < until);
	return true;
}

static rt_work steal_next(struct rt_p *from)
{
	rt_work next = load_rlx(&from->q.next);

	if (!next || !lies_idle(from, next) || !rt_runq_steal_next(&from->q, next))
		return 0;
	store_rlx(&from->streak, 0); /* its wake-ups do pay */
	return next;
}

static rt_work steal_from(struct rt_m *m, struct rt_p *from, bool last_round)
{
	rt_work w = rt_runq_steal(&from->q, &m->p->q);

	if (!w)
		w = rt_forked_take(m->p, &from->q, true);
	if (w)
		return w;
	return last_round ? steal_next(from) : 0;
}

rt_work rt_steal_g0(struct rt_m *m)
{
	struct rt_sched *s = m->s;
	uint32_t n = load_acq(&s->nr_ps); /* pairs with rt_procs_set() */

	for (int round = 0; round < ROUNDS; round++) {
		uint32_t i = rt_rand_below(&m->rng, n);

		for (uint32_t k = 0; k < n; k++, i = i + 1 == n ? 0 : i + 1) {
			struct rt_p *from = &s->ps[i];
			rt_work w;

			if (load_rlx(&s->stopping))
				return 0;
			if (from == m->p)
				continue;
			w = steal_from(m, from, round == ROUNDS - 1);
			if (w) {
				count_inc(&m->p->n.steals);
				return w;
			}
		}
	}
	return 0;
}

bool rt_any_work(struct rt_sched *s)
{
	uint32_t n = load_acq(&s->nr_ps);

	if (load_acq(&s->grq_len)) /* before the rings: a spill goes the other way */
		return true;
	for (uint32_t i = 0; i < n; i++)
		if (rt_runq_len(&s->ps[i].q) ||
		    (rt_forkq_len(&s->ps[i].q) && !load_rlx(&s->no_stack)))
			return true;
	return false;
}
