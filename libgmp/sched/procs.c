/* SPDX-License-Identifier: MIT */
/*
 * procs.c - the number of Ps
 *
 * All RT_MAXPROCS_LIMIT P structures are address space from the start; one
 * gets memory when it is first used, and is never freed before the run ends,
 * so thieves and sysmon walk ps[0..nr_ps-1] without a lock.
 *
 * Growing: new Ps become idle ones. Shrinking: `maxprocs` goes down, idle Ps
 * beyond it are retired at once, busy ones are told by their attention word
 * and retire at their M's next look; until then thieves still find their work.
 * No world is stopped. A goroutine that computes on a P beyond the number is
 * preempted as if others waited (preempt.c), so this takes some 10 ms at most.
 *
 * Who sets the number. As long as the program has not (options, environment,
 * gmprt_maxprocs()), it follows what the process may use: sysmon looks once a
 * second, and only while it is up for other reasons, so that an idle program
 * does not wake for it. A number that can't be read now stays as it was.
 *
 * An M whose P was retired under it sleeps as any idle one, and is dismissed
 * like one (m.c).
 */
#include "base/bug.h"
#include "core/cpus.h"
#include "sched/switch.h"

static void p_setup(struct rt_sched *s, struct rt_p *p, uint32_t id)
{
	p->s = s;
	p->id = id;
	p->countdown = RT_FAIR_TICK;
	store_rlx(&p->q.wake, 1); /* nobody stands by */
	rt_timers_init(&p->timers);
}

static void p_revive_locked(struct rt_sched *s, struct rt_p *p)
{
	uint64_t w = load_rlx(&p->slot.word);

	store_rlx(&p->countdown, RT_FAIR_TICK);
	p->retired = false;
	store_rel(&p->slot.word, rt_pword(rt_pword_epoch(w) + 1, 0, RT_P_IDLE));
	rt_p_idle_put_locked(s, p);
}

/* p is held by nobody, or by the caller's M. Its work goes to the others. */
static void p_retire_locked(struct rt_sched *s, struct rt_p *p)
{
	struct rt_worklist l = { 0 };
	uint64_t w = load_rlx(&p->slot.word);

	rt_runq_drain(&p->q, &l);
	rt_grq_put_locked(s, &l);
	/* Forked tasks and what timers cannot be moved stay where thieves
	 * look: steal.c goes over all Ps there ever were. */
	(void)!rt_timers_move(&s->ps[0].timers, &p->timers);
	rt_magazine_flush(&p->gs, &s->stacks.class[s->stack_class].depot);
	rt_magazine_flush(&p->spawns, &s->spawns.depot);
	p->retired = true;
	store_rel(&p->slot.word, rt_pword(rt_pword_epoch(w) + 1, 0, RT_P_DEAD));
}

static void retire_idle_locked(struct rt_sched *s)
{
	struct rt_p **link = &s->idle_ps;

	while (*link) {
		struct rt_p *p = *link;

		if (p->id < s->maxprocs) {
			link = &p->idle_next;
			continue;
		}
		*link = p->idle_next;
		store_rlx(&p->idle, false);
		rt_idle_ps_count_locked(s, s->nr_idle_ps - 1);
		p_retire_locked(s, p);
	}
}

void rt_procs_put_locked(struct rt_sched *s, struct rt_p *p)
{
	if (p->id < s->maxprocs || s->stopping)
		rt_p_idle_put_locked(s, p);
	else
		p_retire_locked(s, p);
}

static void procs_set_locked(struct rt_sched *s, uint32_t n)
{
	while (s->nr_ps < n) {
		p_setup(s, &s->ps[s->nr_ps], s->nr_ps);
		s->ps[s->nr_ps].retired = true;
		store_rel(&s->nr_ps, s->nr_ps + 1); /* pairs with load_acq in steal.c */
	}
	store_seq(&s->maxprocs, n);
	for (uint32_t i = 0; i < n; i++)
		if (s->ps[i].retired)
			p_revive_locked(s, &s->ps[i]);
	retire_idle_locked(s);
	for (uint32_t i = n; i < s->nr_ps; i++)
		if (!s->ps[i].retired)
			fetch_or_seq(&s->ps[i].attention, RT_ATT_RETIRE);
}

/* Those to be told of a new number: Ps for what waits, idle Ms, whose number
 * it bounds. */
static void tell(struct rt_sched *s, uint32_t was, uint32_t n)
{
	if (n < was)
		rt_idle_ms_recount(s);
	if (rt_any_work(s))
		rt_wake(s);
}

static uint32_t at_most_limit(uint32_t n)
{
	return n < RT_MAXPROCS_LIMIT ? n : RT_MAXPROCS_LIMIT;
}

int rt_procs_set(struct rt_sched *s, uint32_t n)
{
	uint32_t was;

	n = at_most_limit(n);
	rt_lock(s);
	was = s->maxprocs;
	store_rlx(&s->procs_given, true);
	procs_set_locked(s, n);
	rt_unlock(s);
	tell(s, was, n);
	return (int)was;
}

void rt_procs_follow(struct rt_sched *s)
{
	uint32_t was, n;
	int usable;

	if (load_rlx(&s->procs_given))
		return;
	usable = rt_cpus_usable_now();
	if (usable < 0)
		return;
	n = at_most_limit((uint32_t)usable);
	rt_lock(s);
	was = s->maxprocs;
	if (s->procs_given || s->stopping)
		n = was;
	if (n != was)
		procs_set_locked(s, n);
	rt_unlock(s);
	if (n != was)
		tell(s, was, n);
}

void rt_procs_retire_g0(struct rt_m *m)
{
	struct rt_sched *s = m->s;

	rt_lock(s);
	if (m->p->id >= s->maxprocs && !s->stopping) {
		struct rt_p *p = m->p;

		if (m->handed) {
			struct rt_worklist l = { 0 };

			rt_worklist_add(&l, m->handed);
			rt_grq_put_locked(s, &l);
			m->handed = 0;
		}
		rt_p_release(m, RT_P_DEAD);
		p_retire_locked(s, p);
	}
	rt_unlock(s);
	if (m->spinning) {
		m->spinning = false;
		fetch_add_seq(&s->nr_spinning, -1);
	}
	rt_wake(s);
}
