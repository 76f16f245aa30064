/* SPDX-License-Identifier: MIT */
/*
 * wake.c - idle Ps are put to work: who wakes whom, and why no wake-up is lost
 *
 * Problem: when work appears, an idle P should run it; but waking a thread
 * costs microseconds, and waking one for each of a thousand new goroutines
 * costs milliseconds.
 *
 * Three approaches that would work badly (Go's proc.go has the same list):
 * a central queue with all state (no scaling); handing the new goroutine and
 * the P directly to a woken thread (the creator's cache is lost, threads
 * thrash); waking a thread whenever something is readied while a P idles
 * (threads wake to find nothing).
 *
 * So: an M without work spins for a while, looking into all queues, before it
 * sleeps. Who makes work wakes an M only if a P idles and *nobody* spins; a
 * spinning M that finds work wakes the next one (so P by P the load spreads,
 * one wake-up at a time). At most half as many Ms spin as are busy.
 *
 * What could be lost is work put just as the last spinner gives up. Both sides
 * write, pass a full barrier, and read:
 *
 *	producer			the last spinner
 *	put work into its queue		nr_idle_ps + 1; nr_spinning - 1
 *	smp_mb (rt_wake_others)		smp_mb (look_again)
 *	reads nr_idle_ps, nr_spinning	reads all queues again
 *
 * So at least one of them sees the other's write: the producer wakes an M, or
 * the spinner takes a P again. Model: tests/model/wake.pml.
 *
 * A new thread inherits its creator's affinity, scheduling class, signal mask,
 * name, namespaces. So none is cloned from a thread that a goroutine has
 * bound, perhaps just to change these, nor from one of the program's own. A P
 * that is put to work there and finds no parked M waits in `need_m` for
 * sysmon, a child of the thread that called gmprt_run(), to make its M. (Go
 * keeps a template thread for that. Rejected: sysmon makes all Ms, which costs
 * a start a hop that it seldom needs.)
 */
#include <pthread.h>

#include "core/tls.h"
#include "sched/sched.h"
#include "sched/standby.h"

/* ---- putting a P to work ------------------------------------------ */

/* May a thread be cloned from the calling one? An M that `exits` has been bound
 * to the end. */
static bool may_clone(struct rt_sched *s)
{
	const struct rt_m *m = rt_m_self();

	if (m)
		return !m->lock_g && !load_rlx(&m->exits);
	return pthread_equal(pthread_self(), load_rlx(&s->sysmon_self));
}

static void leave_to_sysmon_locked(struct rt_sched *s, struct rt_p *p, bool spinning)
{
	p->spins = spinning;
	p->idle_next = s->need_m;
	store_rlx(&s->need_m, p);
}

static void to_new_m(struct rt_sched *s, struct rt_p *p, bool spinning)
{
	int r = rt_m_new(s, p, spinning);

	if (unlikely(r))
		rt_m_refused(s, p, spinning, r);
}

void rt_m_start(struct rt_sched *s, struct rt_p *p, bool spinning)
{
	bool clone = may_clone(s);
	struct rt_m *m;

	rt_lock(s);
	s->nr_wakeups++;
	m = rt_idle_m_start_locked(s, p, spinning);
	if (!m && !clone)
		leave_to_sysmon_locked(s, p, spinning);
	rt_unlock(s);
	if (m)
		rt_m_wake(m);
	else if (clone)
		to_new_m(s, p, spinning);
	else
		rt_sysmon_wake();
}

/* False: nothing was left to sysmon. */
static bool make_one(struct rt_sched *s)
{
	struct rt_m *m = NULL;
	struct rt_p *p;

	rt_lock(s);
	p = s->need_m;
	if (p) {
		store_rlx(&s->need_m, p->idle_next);
		m = rt_idle_m_start_locked(s, p, p->spins);
	}
	rt_unlock(s);
	if (m)
		rt_m_wake(m);
	else if (p)
		to_new_m(s, p, p->spins);
	return p != NULL;
}

void rt_ms_make(struct rt_sched *s)
{
	while (load_rlx(&s->need_m) && make_one(s))
		;
}

__cold void rt_wake(struct rt_sched *s)
{
	struct rt_p *p;

	/* No thread to be had: sysmon tries again now and then, not everyone
	 * who makes work. */
	if (unlikely(load_rlx(&s->no_thread)) && !load_rlx(&s->nr_idle_ms))
		return;
	if (load_seq(&s->nr_spinning) || !cas_seq(&s->nr_spinning, 0, 1))
		return;
	rt_lock(s);
	p = s->stopping ? NULL : rt_p_idle_get_locked(s);
	if (!p && !s->stopping)
		p = rt_p_freed_get_locked(s);
	/* Before the unlock: a P that becomes idle after it must not be left
	 * unwoken because of a spinner that never was. */
	if (!p)
		fetch_add_seq(&s->nr_spinning, -1);
	rt_unlock(s);
	if (p)
		rt_m_start(s, p, true);
}

void rt_p_handoff(struct rt_sched *s, struct rt_p *p)
{
	bool asleep;

	rt_lock(s);
	if (!s->stopping && !rt_runq_len(&p->q) && !rt_forkq_len(&p->q) && !s->grq.n &&
	    p->id < s->maxprocs) {
		/* Nothing to run. But timers, of which its own may be one,
		 * and files need a keeper: an M that finds nothing becomes it. */
		if (rt_is_kept_locked(s) ||
		    (rt_next_timer(s) == RT_FOREVER && !load_acq(&s->np.on))) {
			rt_p_idle_put_locked(s, p);
			asleep = rt_deadlocked_locked(s);
			rt_unlock(s);
			if (asleep)
				rt_deadlock_report(s);
			smp_mb(); /* pairs with rt_wake_others() */
			if (rt_any_work(s))
				rt_wake(s);
			/* Whoever set a timer while no P idled has left it at that. */
			rt_keeper_check(s, rt_next_timer(s));
			return;
		}
	}
	rt_unlock(s);
	rt_m_start(s, p, false);
}
