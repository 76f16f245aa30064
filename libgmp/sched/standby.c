/* SPDX-License-Identifier: MIT */
/*
 * standby.c - an idle M that waits awake for the P of one that blocks
 *
 * Problem: with a backend in the kernel a blocked M's P is free within a
 * microsecond (line 12 of abi/gmprt_abi.h). To wake somebody to take it costs 10
 * to 50 us. So where Ps are freed again and again, an idle M does not sleep: it
 * shares the CPU of the M that blocks next, and yields it. While that one computes,
 * this costs next to nothing: a yield puts its caller last. When it blocks, the
 * kernel switches here, to a loop that finds the word FREED and takes it.
 *
 * It is an idle M like others, on the list of these (idle.c), but the last one to be
 * chosen when another P needs an M; a P or a notice it finds in its loop.
 *
 * Hot or cold. One M stands by for each P that was freed in the last HOT_NS. It
 * goes cold (sleeps, as any other) when that time is over, or when it is alone on
 * its CPU: there a yield comes back at once, and it would spin for nothing. A P for
 * which nobody stands by has `wake` set: if it is freed with work, the kernel wakes
 * sysmon, which hands it on. The first block after a quiet time pays for that.
 *
 * Where. It runs on the CPU on which the P was freed last. Where another CPU idles,
 * the kernel's balancer moves it there after a while, or its M: found elsewhere and
 * alone, it hops back. It does not stay bound.
 *
 *	Rejected: bound while it stands by, free again as it has taken the P (2.4
 *	us for each of the two calls: 7.0 us, not 2.1, from a block to the next
 *	goroutine), or left bound while it runs goroutines, to be unbound by sysmon
 *	later (a child process or a thread made in that while inherits one CPU for
 *	good, and nobody would find out why). Bound together with its P's M: the same.
 *
 * To take is only worth it if there is something to run. A P that is FREED with
 * nothing to do is left to its M, which takes it back for a compare-and-swap; or
 * goes to who makes work meanwhile (rt_p_freed_get_locked).
 *
 * Who may touch what: p->standby and the idle list are sched.lock's, p's `wake` is
 * written under it. A P is taken under that lock, so that its M, which finds out at
 * its next entry or in its SIGURG handler, finds itself marked as lost.
 */
#include "sched/standby.h"

#include <sched.h>

#include "base/clock.h"
#include "sched/switch.h"

enum {
	HOT_NS = 5000000, /* after the P was freed */
	ALONE_NS = 1500,  /* a yield that takes less has found nobody else */
	ALONE_HOP = 10,   /* so many of them in a row: is this the right CPU? */
	ALONE_MOST = 200, /* so many: alone here */
	MOST_HOPS = 8,    /* from one waking to the next sleep */
};

static uint64_t nr_freed(const struct rt_p *p)
{
	return load_rlx(&rt_p_abi(p)->nr_freed);
}

/* ---- which P ------------------------------------------------------ */

/* Has p been freed lately? The first one who asks after a while believes so. */
static bool is_freed_often_locked(struct rt_p *p, int64_t now)
{
	uint64_t nr = nr_freed(p);

	if (p->hot_nr != nr) {
		p->hot_nr = nr;
		p->hot_ns = now;
	}
	return now - p->hot_ns < HOT_NS;
}

static struct rt_p *pick_locked(struct rt_sched *s, int64_t now)
{
	for (uint32_t i = 0; i < s->nr_ps && i < s->port.nr_ps; i++) {
		struct rt_p *p = &s->ps[i];

		if (!p->retired && !p->idle && !p->standby && is_freed_often_locked(p, now))
			return p;
	}
	return NULL;
}

/* m: NULL, nobody stands by for p any more. */
static void set_locked(struct rt_p *p, struct rt_m *m)
{
	if (p->standby)
		p->standby->stands = false;
	if (m)
		m->stands = true;
	p->standby = m;
	store_rlx(&p->q.wake, m == NULL);
}

void rt_standby_announce_locked(struct rt_m *m, struct rt_p *p)
{
	/* Not if it goes to wait for a goroutine bound to it. */
	if (likely(!rt_port_in_kernel(&m->s->port)) || p->standby || m->lock_g)
		return;
	m->announced = p;
	store_rlx(&p->q.wake, 0);
}

struct rt_p *rt_standby_pick_locked(struct rt_m *m, bool can)
{
	struct rt_sched *s = m->s;
	struct rt_p *p = m->announced;

	if (likely(!rt_port_in_kernel(&s->port)))
		return NULL;
	m->announced = NULL;
	if (p && p->standby)
		p = NULL;
	if (!can || s->stopping) {
		if (p)
			set_locked(p, NULL);
		return NULL;
	}
	if (!p)
		p = pick_locked(s, rt_now_ns());
	if (p)
		set_locked(p, m);
	return p;
}

/* ---- freed with nothing to run ------------------------------------ */

struct rt_p *rt_p_freed_get_locked(struct rt_sched *s)
{
	uint32_t *freed = &s->port.head->freed;

	if (!load_rlx(freed) || !xchg_acqrel(freed, 0))
		return NULL;
	smp_mb(); /* freed, then the words; pairs with the kernel's cas */
	for (uint32_t i = 0; i < s->nr_ps && i < s->port.nr_ps; i++) {
		struct rt_p *p = &s->ps[i];
		uint64_t word = load_acq(&p->slot.word);

		if (rt_pword_state(word) != RT_P_FREED ||
		    !rt_p_seize_locked(s, p, word, 0, RT_P_IDLE))
			continue;
		store_rlx(&p->m, NULL);
		store_rlx(freed, 1); /* there may be more */
		return p;
	}
	return NULL;
}

/* ---- where -------------------------------------------------------- */

/* To the CPU of p's M; false: this is it, or it can't go there. */
static bool hop(struct rt_p *p)
{
	int cpu = (int)load_rlx(&rt_p_abi(p)->freed_cpu);
	cpu_set_t may, there, now;

	if (sched_getcpu() == cpu || sched_getaffinity(0, sizeof(may), &may) ||
	    !CPU_ISSET(cpu, &may))
		return false;
	CPU_ZERO(&there);
	CPU_SET(cpu, &there);
	if (sched_setaffinity(0, sizeof(there), &there))
		return false;
	/* Somebody may have given the process other CPUs just now. */
	if (sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_EQUAL(&now, &there))
		sched_setaffinity(0, sizeof(may), &may);
	return true;
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
		set_locked(p, NULL);
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

bool rt_standby_is_wanted(struct rt_sched *s, struct rt_p *p)
{
	return rt_pword_state(load_acq(&p->slot.word)) == RT_P_FREED && load_rlx(&p->q.wake) &&
	       has_work(s, p);
}

/* False: it is to go cold, or has a notice. */
static bool wait_hot(struct rt_m *m, struct rt_p *p, int64_t until)
{
	struct rt_sched *s = m->s;
	unsigned int alone = 0, hops = 0;
	int64_t before = rt_now_ns(), hot = before, now;
	uint64_t nr = nr_freed(p);

	for (;;) {
		uint64_t word = load_acq(&p->slot.word);

		if (rt_pword_state(word) == RT_P_FREED && has_work(s, p) && take(m, p, word))
			return true;
		if (load_acq(&m->park) || load_acq(&m->exits) || load_rlx(&s->stopping))
			return false;
		now = rt_now_ns();
		alone = now - before < ALONE_NS ? alone + 1 : 0;
		before = now;
		if (alone == ALONE_HOP && hops < MOST_HOPS && hop(p))
			hops++;
		if (nr_freed(p) != nr) {
			nr = nr_freed(p);
			hot = now;
		}
		if (alone > ALONE_MOST || now - hot > HOT_NS || now > until)
			return false;
		sched_yield();
	}
}

bool rt_stand_by(struct rt_m *m, struct rt_p *p, int64_t until)
{
	if (wait_hot(m, p, until))
		return true;
	rt_lock(m->s);
	set_locked(p, NULL);
	rt_unlock(m->s);
	return false;
}
