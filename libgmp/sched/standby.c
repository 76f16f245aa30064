/* SPDX-License-Identifier: MIT */
/*
 * standby.c - an idle M that waits awake for the P of one that blocks
 *
 * Problem: with a backend in the kernel a blocked M's P is free within a
 * microsecond (line 12 of abi/gmprt_abi.h). To wake somebody to take it costs 10
 * to 30 us. So where Ps are freed again and again, an idle M does not sleep: it
 * shares the CPU of the M that blocks next, and yields it. While that one computes,
 * this costs next to nothing: a yield puts its caller last. When it blocks, the
 * kernel switches here, to a loop that finds the word FREED and takes it.
 *
 * It is an idle M like others, on the list of these (idle.c): whoever needs one
 * gives it a P or a notice, which it finds in its loop. So no thread is made for
 * want of one that stands by.
 *
 * Hot or cold. One M stands by for each P that was freed in the last HOT_NS; it
 * goes cold (sleeps, as any other) when that time is over, or when it is alone on
 * its CPU: there a yield comes back at once, and it would spin for nothing. It is
 * bound to the CPU on which the P was freed last, else the kernel's balancer would
 * move it to an idle one.
 *
 * To take is only worth it if there is something to run. A P that is FREED with
 * nothing to do is left to its M, which takes it back for a compare-and-swap.
 *
 * Who may touch what: p->standby and the idle list are sched.lock's. A P is taken
 * under that lock, so that its M, which finds out at its next entry or in its
 * SIGURG handler, finds itself marked as lost.
 */
#include "sched/standby.h"

#include <sched.h>

#include "base/clock.h"
#include "sched/switch.h"

enum {
	HOT_NS = 5000000, /* after the last time that the P was freed */
	ALONE_NS = 1500,  /* a yield that takes less has found nobody else */
	ALONE_MOST = 200, /* so many of them in a row: alone on this CPU */
};

static int64_t freed_ns(const struct rt_p *p)
{
	return (int64_t)load_rlx(&rt_p_abi(p)->freed_ns);
}

/* ---- which P ------------------------------------------------------ */

static struct rt_p *pick_locked(struct rt_sched *s, int64_t now)
{
	for (uint32_t i = 0; i < s->nr_ps && i < s->port.nr_ps; i++) {
		struct rt_p *p = &s->ps[i];

		if (!p->retired && !p->standby && now - freed_ns(p) < HOT_NS)
			return p;
	}
	return NULL;
}

struct rt_p *rt_standby_pick_locked(struct rt_m *m)
{
	struct rt_sched *s = m->s;
	struct rt_p *p;

	if (likely(!rt_port_in_kernel(&s->port)) || s->stopping)
		return NULL;
	p = pick_locked(s, rt_now_ns());
	if (p)
		p->standby = m;
	return p;
}

/* ---- where -------------------------------------------------------- */

static void bind_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set); /* fails: elsewhere, soon cold */
}

/* ---- taking ------------------------------------------------------- */

static bool has_work(struct rt_sched *s, struct rt_p *p)
{
	return rt_runq_len(&p->q) || rt_forkq_len(&p->q) || load_rlx(&s->grq_len) ||
	       (rt_timers_next(&p->timers) != RT_FOREVER &&
		rt_timers_next(&p->timers) <= rt_now_ns());
}

static bool take(struct rt_m *m, struct rt_p *p, uint64_t word)
{
	struct rt_sched *s = m->s;
	bool taken;

	rt_lock(s);
	/* Not idle: somebody has just given m another P. */
	taken = m->idle && !s->stopping && rt_p_seize_locked(s, p, word, m->id, RT_P_RUNNING);
	if (taken) {
		rt_idle_ms_remove_locked(s, m);
		p->standby = NULL;
	}
	rt_unlock(s);
	if (!taken)
		return false;
	m->p = p;
	m->pword = rt_pword(rt_pword_epoch(word) + 1, m->id, RT_P_RUNNING);
	store_rlx(&m->slot->p, p->id);
	store_rlx(&p->m, m);
	return true;
}

/* False: it is to go cold, or has a notice. */
static bool wait_hot(struct rt_m *m, struct rt_p *p, int64_t until)
{
	struct rt_sched *s = m->s;
	unsigned int alone = 0;
	int64_t before = rt_now_ns(), now;

	for (;;) {
		uint64_t word = load_acq(&p->slot.word);

		if (rt_pword_state(word) == RT_P_FREED && has_work(s, p) && take(m, p, word))
			return true;
		if (load_acq(&m->park) || load_acq(&m->exits) || load_rlx(&s->stopping))
			return false;
		sched_yield();
		now = rt_now_ns();
		alone = now - before < ALONE_NS ? alone + 1 : 0;
		before = now;
		if (alone > ALONE_MOST || now - freed_ns(p) > HOT_NS || now > until)
			return false;
	}
}

bool rt_stand_by(struct rt_m *m, struct rt_p *p, int64_t until)
{
	cpu_set_t before;
	bool took, bound = sched_getaffinity(0, sizeof(before), &before) == 0;

	if (bound)
		bind_to((int)load_rlx(&rt_p_abi(p)->freed_cpu));
	took = wait_hot(m, p, until);
	if (bound)
		sched_setaffinity(0, sizeof(before), &before);
	if (took)
		return true;
	rt_lock(m->s);
	p->standby = NULL;
	rt_unlock(m->s);
	return false;
}
