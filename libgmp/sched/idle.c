/* SPDX-License-Identifier: MIT */
/*
 * idle.c - idle Ps, idle Ms and the one among these that keeps time
 *
 * wake.c says when an idle P is put to work, this file how Ms sleep and what
 * they come back with.
 *
 * Parked Ms are kept LIFO: the one whose cache and stack are warmest wakes,
 * and those that are not needed stay asleep.
 *
 * The time keeper is the one idle M that sleeps only until the next timer (or a
 * little longer, timer.c says when). Whoever sets an earlier timer wakes it
 * (rt_keeper_check): again write, barrier, read on both sides, between the timer
 * heap's next_ns and keeper_until_ns. Model: tests/model/keeper.pml.
 *
 * From the first wait for a file on, the keeper sleeps in the netpoller, timer
 * or no timer: as long as a P idles and an M too, one M is there, and an event
 * is handled at once. Why none goes unnoticed:
 *
 *  - What a goroutine and a poller do to each other is netpoll.h's: an event is
 *    taken out of epoll by somebody who then finds the waiter, or changes the
 *    number the waiter looks at before it parks. So it is enough that somebody
 *    takes it; and epoll keeps it until then.
 *  - A P runs: its M polls before it gives the P up, and every 61st pick; while
 *    it computes, sysmon polls.
 *  - No P runs: the last M to give one up has become the keeper, or has found
 *    one, in rt_m_stop_g0(), under the lock. Ps that become idle in another way
 *    (rt_p_handoff) get an M that finds nothing, if there is no keeper. If no
 *    thread can be had for that, sysmon stays awake and polls (all_idle).
 *  - The netpoller is made while a keeper sleeps in its futex: rt_poll_open()
 *    wakes it, and it comes back into the netpoller. It sets `on` before it
 *    takes the lock; who becomes the keeper reads `on` under the lock.
 *
 * That keeper is left alone: nobody gives it a P or work, a new thread is made
 * rather than that. It alone waits in epoll and it alone takes back a kick
 * (rt_netpoll_kick), so a kick can't reach the wrong one. A kick means: look
 * again at what is shared. It is sent after an earlier timer was set, if work
 * found no thread, and at the end of a run; each time write, then kick. The
 * keeper takes the kick back, then reads.
 *
 * What it comes back with needs a P. If none idles the goroutines go to the
 * global queue: in the same locked section, so that no M can look at the queue
 * and give its P up in between.
 *
 * Go keeps every thread it ever made. Here an M that has idled for 10 s ends,
 * but for as many as there are Ps and one more. Those sleep for ever and the
 * others, which lie on top of the LIFO, until their 10 s are over; so a program
 * that idles wakes up once for each that goes, and then no more.
 */
#include <errno.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/point.h"
#include "base/sys.h"
#include "core/tls.h"
#include "sched/poll.h"
#include "sched/sched.h"
#include "sched/standby.h"

void rt_lock(struct rt_sched *s)
{
	RT_BUG_ON(pthread_mutex_lock(&s->lock));
}

void rt_unlock(struct rt_sched *s)
{
	RT_BUG_ON(pthread_mutex_unlock(&s->lock));
}

/* ---- Ps ----------------------------------------------------------- */

struct rt_p *rt_p_idle_get_locked(struct rt_sched *s)
{
	struct rt_p *p = s->idle_ps;

	if (p) {
		s->idle_ps = p->idle_next;
		store_rlx(&p->idle, false);
		count_inc(&s->nr_idle_gets);
		rt_idle_ps_count_locked(s, s->nr_idle_ps - 1);
		/* No longer all idle: someone must watch. Pairs with the
		 * barrier in sleep_deeply(). */
		if (unlikely(load_seq(&s->sysmon_asleep))) {
			store_rlx(&s->coarse_ns, rt_now_ns());
			rt_sysmon_wake();
		}
	}
	return p;
}

void rt_p_idle_put_locked(struct rt_sched *s, struct rt_p *p)
{
	rt_point();
	p->idle_next = s->idle_ps;
	s->idle_ps = p;
	store_rlx(&p->idle, true);
	rt_idle_ps_count_locked(s, s->nr_idle_ps + 1);
}

void rt_p_acquire(struct rt_m *m, struct rt_p *p)
{
	uint64_t old = load_rlx(&p->slot.word);

	rt_point();
	m->pword = rt_pword(rt_pword_epoch(old) + 1, m->id, RT_P_RUNNING);
	m->p = p;
	store_rlx(&m->slot->p, p->id);
	store_rlx(&p->m, m);
	/* A run that ends revokes words for good; its owner must then find one
	 * that is not its own. */
	if (rt_pword_state(old) == RT_P_REVOKED ||
	    !cas_acqrel(&p->slot.word, old, m->pword))
		m->pword = 0;
}

bool rt_p_take_back(struct rt_m *m)
{
	uint64_t *word = &m->p->slot.word, w = load_acq(word);

	/* Again: sysmon may mark, and turn back, and mark. */
	while (w != m->pword) {
		if (w != rt_pword_blocked(m->pword) && w != rt_pword_freed(m->pword))
			return false;
		if (cas_acqrel(word, w, m->pword))
			return true;
		w = load_acq(word);
	}
	return true;
}

bool rt_p_seize_locked(struct rt_sched *s, struct rt_p *p, uint64_t word, uint32_t by,
		       enum rt_pstate to)
{
	struct rt_m *m = load_rlx(&p->m); /* blocked with it; not in brackets: unaware */
	bool unaware = rt_pword_state(word) == RT_P_FREED;

	if (!cas_acqrel(&p->slot.word, word, rt_pword(rt_pword_epoch(word) + 1, by, to)))
		return false;
	count_inc(&s->nr_lost);
	count_inc(&s->nr_handoffs);
	if (unaware && m && m->id == rt_pword_owner(word)) {
		/* pairs with store_rel in rt_leave(): the owner's part of what
		 * the kernel's barrier has published */
		(void)load_acq(&m->slot->state);
		m->lost = true;
	}
	return true;
}

struct rt_p *rt_p_release(struct rt_m *m, enum rt_pstate to)
{
	struct rt_p *p = m->p;

	uint64_t word = m->pword, free = rt_pword(rt_pword_epoch(word), 0, to);

	m->p = NULL;
	store_rlx(&p->m, NULL);
	/* Fails: revoked; or marked by sysmon, which sees our state and turns
	 * the mark back. */
	while (!cas_acqrel(&p->slot.word, word, free)) {
		word = load_rlx(&p->slot.word);
		if (rt_pword_owner(word) != m->id ||
		    rt_pword_epoch(word) != rt_pword_epoch(m->pword))
			break;
	}
	return p;
}

/* ---- Ms ----------------------------------------------------------- */

/*
 * Waking is two steps. The notice is given under the lock, which an M passes
 * before it frees itself. The futex call comes after the unlock and needs m's
 * address only: should m be gone by then, it wakes nobody.
 */
void rt_m_notice_locked(struct rt_m *m)
{
	store_rel(&m->park, 1); /* pairs with the exchange in rt_m_wait_notice() */
}

void rt_m_wake(struct rt_m *m)
{
	rt_point();
	rt_futex_wake(&m->park, 1);
}

bool rt_m_wait_notice(struct rt_m *m, int64_t deadline)
{
	while (xchg_acqrel(&m->park, 0) == 0)
		if (rt_futex_wait(&m->park, 0, deadline) == -ETIMEDOUT)
			return xchg_acqrel(&m->park, 0) == 1;
	return true;
}

void rt_idle_ms_remove_locked(struct rt_sched *s, struct rt_m *m)
{
	struct rt_m **link = &s->idle_ms;

	while (*link != m)
		link = &(*link)->idle_next;
	*link = m->idle_next;
	m->idle = false;
	store_rlx(&s->nr_idle_ms, s->nr_idle_ms - 1);
	if (s->keeper == m) {
		s->keeper = NULL;
		store_seq(&s->keeper_polls, 0);
		store_seq(&s->keeper_until_ns, RT_FOREVER);
	}
}

void rt_idle_ms_clear_locked(struct rt_sched *s)
{
	while (s->idle_ms)
		rt_idle_ms_remove_locked(s, s->idle_ms);
}

/*
 * An idle M; not the time keeper if there is another, and never one that polls. Nor
 * one that stands by, as long as a thread can be made: it shares the CPU of an M
 * that computes, and would not run before that one's slice is over (2 to 4 ms; a
 * sleeper is put on an idle CPU at once).
 */
static struct rt_m *idle_ms_get_locked(struct rt_sched *s)
{
	bool last = s->nr_ms >= s->max_threads || load_rlx(&s->no_thread);
	struct rt_m *m, *keeper = NULL, *stands = NULL;

	for (m = s->idle_ms; m; m = m->idle_next) {
		if (m == s->keeper)
			keeper = m;
		else if (m->stands)
			stands = m;
		else
			break;
	}
	if (!m && keeper && !s->keeper_polls && !keeper->stands)
		m = keeper;
	if (!m && last)
		m = stands;
	if (!m && last && !s->keeper_polls)
		m = keeper;
	if (m)
		rt_idle_ms_remove_locked(s, m);
	return m;
}

struct rt_m *rt_idle_m_start_locked(struct rt_sched *s, struct rt_p *p, bool spinning)
{
	struct rt_m *m = idle_ms_get_locked(s);

	if (m) {
		store_rlx(&m->next_p, p);
		m->spinning = spinning;
		rt_m_notice_locked(m);
	}
	return m;
}

/* ---- more Ms than are kept ---------------------------------------- */

int64_t rt_m_idle_ns = 10 * RT_NS_PER_SEC;

static uint32_t ms_kept(struct rt_sched *s)
{
	return s->maxprocs + 1;
}

/* m, which is no time keeper, is on the list: how long it sleeps. */
static int64_t idle_until_locked(struct rt_sched *s)
{
	return s->nr_idle_ms > ms_kept(s) ? rt_now_ns() + rt_m_idle_ns : RT_FOREVER;
}

/* m has slept for as long as that. True: it is to end. */
static bool dismiss_locked(struct rt_sched *s, struct rt_m *m)
{
	rt_idle_ms_remove_locked(s, m);
	store_rel(&m->exits, s->nr_idle_ms >= ms_kept(s));
	return m->exits;
}

void rt_idle_ms_recount(struct rt_sched *s)
{
	rt_lock(s);
	while (s->nr_idle_ms > ms_kept(s)) {
		struct rt_m *m = idle_ms_get_locked(s);

		if (!m)
			break; /* the others are awake, and will sleep for 10 s */
		/* Without a P: it goes to sleep again, for 10 s. */
		rt_m_notice_locked(m);
		rt_m_wake(m);
	}
	rt_unlock(s);
}

/* ---- sleep -------------------------------------------------------- */

/*
 * After the wait of an M that was on the idle list. True: it holds a P.
 * Notified: with what the waker left in next_p. Timed out: the time keeper
 * takes an idle P if there is one to run the timers on; another M ends.
 */
static bool stop_ended(struct rt_m *m, bool notified, bool *again)
{
	struct rt_sched *s = m->s;
	struct rt_p *p;

	*again = false;
	if (!notified) {
		rt_lock(s);
		if (m->idle && m != s->keeper) {
			*again = !dismiss_locked(s, m);
			rt_unlock(s);
			return false;
		}
		if (m->idle) {
			p = rt_p_idle_get_locked(s);
			rt_idle_ms_remove_locked(s, m);
			rt_unlock(s);
			if (!p) {
				/* All Ps are busy: theirs to look at timers. */
				*again = true;
				return false;
			}
			rt_p_acquire(m, p);
			return true;
		}
		rt_unlock(s);
		/* Someone has taken us off the list: the notice is coming. */
		rt_m_wait_notice(m, RT_FOREVER);
	}
	if (load_acq(&m->exits))
		return false;
	p = m->next_p;
	store_rlx(&m->next_p, NULL);
	*again = !p;
	if (p)
		rt_p_acquire(m, p);
	return p;
}

/*
 * The same for the keeper that slept in the netpoller, which came back with
 * these goroutines. It takes a P for them, for a timer, or for work for which
 * there was no thread; else it becomes the keeper anew.
 */
static bool poll_ended(struct rt_m *m, struct rt_worklist *ready, bool *again)
{
	struct rt_sched *s = m->s;
	struct rt_p *p = NULL;

	*again = false;
	rt_lock(s);
	if (!m->idle) { /* the end of the run took it off the list */
		rt_unlock(s);
		return false;
	}
	rt_idle_ms_remove_locked(s, m);
	if (ready->n || rt_any_work(s) || rt_next_timer(s) <= rt_now_ns())
		p = rt_p_idle_get_locked(s);
	if (!p)
		rt_poll_to_grq_locked(s, ready);
	rt_unlock(s);
	if (!p) {
		*again = true;
		return false;
	}
	rt_p_acquire(m, p);
	m->handed = rt_worklist_pop(ready);
	if (m->handed)
		store_rlx(&rt_work_to_g(m->handed)->reason, RT_REASON_NONE);
	rt_poll_spread_g0(m, ready);
	return true;
}

bool rt_is_kept_locked(struct rt_sched *s)
{
	return load_acq(&s->np.on) ? s->keeper_polls : s->keeper != NULL;
}

/*
 * m, on the idle list, is the keeper from now on; until when it sleeps.
 *
 * A time is shown and then looked behind, until the look finds nothing earlier.
 * The last look comes after the time that stays: who sets an earlier timer later
 * than it sees that time, not one shown before. And times only go down: who has
 * set a timer in between that was later than what it saw is satisfied.
 */
static int64_t keeper_begin_locked(struct rt_sched *s, struct rt_m *m)
{
	int64_t until, next = rt_next_timer_tidy(s);

	s->keeper = m;
	store_seq(&s->keeper_polls, load_acq(&s->np.on));
	do {
		until = next;
		store_seq(&s->keeper_until_ns, until);
		smp_mb(); /* pairs with rt_keeper_check() */
		next = rt_next_timer(s);
	} while (next < until);
	if (until == RT_FOREVER && !s->keeper_polls)
		s->keeper = NULL;
	return rt_keeper_sleeps_until(s, until);
}

static bool sleep_polling(struct rt_m *m, int64_t until, bool *again)
{
	struct rt_worklist ready = { 0 };

	rt_netpoll(&m->s->np, until, RT_NETPOLL_MOST, &ready);
	return poll_ended(m, &ready, again);
}

bool rt_m_stop_g0(struct rt_m *m)
{
	struct rt_sched *s = m->s;
	bool again, have, asleep, polls, late;
	struct rt_p *by;

	do {
		int64_t until = RT_FOREVER;

		rt_lock(s);
		if (s->stopping || m->exits) {
			rt_unlock(s);
			return false;
		}
		m->idle = true;
		m->idle_next = s->idle_ms;
		s->idle_ms = m;
		store_rlx(&s->nr_idle_ms, s->nr_idle_ms + 1);
		late = s->keeper && rt_next_timer(s) < s->keeper_until_ns;
		if (s->nr_idle_ps && (!rt_is_kept_locked(s) || (late && !s->keeper_polls)))
			until = keeper_begin_locked(s, m);
		if (s->keeper != m)
			until = idle_until_locked(s);
		polls = s->keeper == m && s->keeper_polls;
		by = rt_standby_pick_locked(m, !polls);
		asleep = rt_deadlocked_locked(s);
		rt_unlock(s);
		if (late)
			rt_keeper_check(s, rt_next_timer(s));
		if (asleep)
			rt_deadlock_report(s);
		if (by && rt_stand_by(m, by, until))
			return true;
		if (polls)
			have = sleep_polling(m, until, &again);
		else
			have = stop_ended(m, rt_m_wait_notice(m, until), &again);
	} while (again);
	return have;
}

bool rt_m_wait_g0(struct rt_m *m)
{
	rt_m_wait_notice(m, RT_FOREVER);
	if (load_acq(&m->exits))
		return false;
	rt_p_acquire(m, m->next_p);
	store_rlx(&m->next_p, NULL);
	m->handed = m->next_work;
	m->next_work = 0;
	return true;
}

/* The keeper, off the list with a P in hand: it will look at the timers and
 * sleep again until the right one. NULL: there is none to be woken so. */
static struct rt_m *keeper_take_locked(struct rt_sched *s)
{
	struct rt_m *m = s->keeper;

	if (!m || s->keeper_polls || !s->idle_ps)
		return NULL;
	rt_idle_ms_remove_locked(s, m);
	store_rlx(&m->next_p, rt_p_idle_get_locked(s));
	rt_m_notice_locked(m);
	return m;
}

void rt_keeper_check(struct rt_sched *s, int64_t when)
{
	struct rt_m *m;
	int64_t until;

	rt_point();
	smp_mb(); /* the heap's next_ns before, what follows after */
	rt_point();
	until = load_acq(&s->keeper_until_ns); /* before keeper_polls, as it is written */
	if (!load_rlx(&s->nr_idle_ps) || when >= until)
		return;
	if (load_acq(&s->keeper_polls)) {
		rt_netpoll_kick(&s->np);
		return;
	}
	if (until == RT_FOREVER)
		return;
	rt_lock(s);
	m = keeper_take_locked(s);
	if (s->keeper_polls)
		rt_netpoll_kick(&s->np);
	rt_unlock(s);
	if (m)
		rt_m_wake(m);
}

int rt_poll_open(struct rt_sched *s)
{
	struct rt_m *m = NULL;
	int r = 0;

	if (likely(load_acq(&s->np.on)))
		return 0;
	rt_lock(s);
	if (!s->np.on) {
		r = rt_netpoll_open(&s->np);
		if (r == 0)
			m = keeper_take_locked(s);
	}
	rt_unlock(s);
	if (m)
		rt_m_wake(m);
	else if (r == 0 && load_rlx(&s->nr_idle_ps))
		rt_wake(s); /* it finds nothing and becomes the keeper */
	return r;
}
