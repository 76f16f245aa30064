/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - nothing can ever run again
 *
 * True when no P is held or on its way to an M, no work is queued, no timer is
 * armed, nobody waits for a file, no M is on its way back from brackets. Looked
 * at, under the lock, by each M that goes to the idle list or gives its P to it,
 * and by sysmon once a second when all is idle, for what ended otherwise.
 *
 * A thread that is no M may still post a semaphore. Who that thread is can't
 * be known, so any thread of the process beyond ours makes the report wait:
 * sysmon looks again every second.
 *
 * Goroutines that wait for a stack: one comes free when a goroutine ends, and
 * none will. Sysmon has them try again at each of its looks all the same, for
 * somebody may raise the limit (prlimit). So this is the end only after a second
 * and twenty such tries in which no goroutine ran. A try counts when a look finds
 * that all Ps idle again and some are still waiting; while it is under way, a P
 * is held, and the look says nothing.
 */
#include "base/bug.h"
#include "base/clock.h"
#include "base/sys.h"
#include "sched/poll.h"
#include "sched/sched.h"

#define STARVED_NS    RT_NS_PER_SEC
#define STARVED_TRIES 20

/* But for goroutines that wait for a stack. */
static bool all_quiet_locked(struct rt_sched *s)
{
	uint32_t nr = 0;
	uint64_t waiting;

	if (s->stopping || s->nr_idle_ps < s->maxprocs || s->nr_lost || s->grq.n)
		return false;
	for (uint32_t i = 0; i < s->nr_ps; i++) {
		enum rt_pstate state = rt_pword_state(load_rlx(&s->ps[i].slot.word));

		if (state == RT_P_RUNNING || state == RT_P_BLOCKED || state == RT_P_FREED)
			return false;
		nr += !s->ps[i].retired;
	}
	rt_poll_waits(s, &waiting);
	/* Not maxprocs of them: that may have gone below the number of a P that
	 * was handed, with a bound goroutine, to an M that is just waking. */
	return s->nr_idle_ps == nr && !waiting && !rt_any_work(s) &&
	       rt_next_timer_tidy(s) == RT_FOREVER;
}

bool rt_deadlocked_locked(struct rt_sched *s)
{
	return !s->starved.head && !load_rlx(&s->no_stack) && all_quiet_locked(s);
}

/* Is every thread an M, sysmon, or the caller of gmprt_run()? */
static bool all_threads_ours(struct rt_sched *s)
{
	int threads = rt_thread_count(), ours;

	rt_lock(s);
	ours = (int)s->nr_ms + 2;
	rt_unlock(s);
	/* 0: /proc can't say, so somebody may be there. */
	return threads > 0 && threads <= ours;
}

static bool nobody_left(struct rt_sched *s)
{
	uint64_t n = load_rlx(&s->foreign_created);

	for (uint32_t i = 0; i < s->nr_ps; i++)
		n += load_rlx(&s->ps[i].n.created) - load_rlx(&s->ps[i].n.ended);
	return n == 0;
}

void rt_deadlock_report(struct rt_sched *s)
{
	bool deadlocked, nobody, ours = all_threads_ours(s);

	rt_lock(s);
	deadlocked = rt_deadlocked_locked(s);
	nobody = nobody_left(s);
	rt_unlock(s);
	if (!deadlocked || !ours)
		return;
	if (nobody)
		rt_fatal("no goroutines (main called gmprt_exit) - deadlock!");
	rt_fatal("all goroutines are asleep - deadlock!");
}

/* Grows with every goroutine that parks or ends. */
static uint64_t progress(struct rt_sched *s)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < s->nr_ps; i++) {
		struct rt_p *p = &s->ps[i];

		n += load_rlx(&p->rounds) * RT_FAIR_TICK - load_rlx(&p->countdown);
		n += load_rlx(&p->n.ended);
	}
	return n;
}

/* Forked tasks that nobody has joined; no stack for them: else 0. */
static uint32_t starved_tasks(struct rt_sched *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; load_rlx(&s->no_stack) && i < s->nr_ps; i++)
		n += rt_forkq_len(&s->ps[i].q);
	return n;
}

/* How many wait for a stack while all else is quiet; 0: it isn't. */
static uint32_t starved_in_quiet(struct rt_sched *s, uint64_t *ran)
{
	uint32_t n;

	rt_lock(s);
	n = all_quiet_locked(s) ? s->starved.n + starved_tasks(s) : 0;
	*ran = progress(s);
	rt_unlock(s);
	return n;
}

void rt_starved_check(struct rt_sched *s, int64_t now)
{
	struct rt_starving *st = &s->starving;
	uint64_t ran;
	uint32_t n = starved_in_quiet(s, &ran);

	if (ran != st->progress)
		*st = (struct rt_starving){ .progress = ran, .since_ns = now };
	else if (n)
		st->tries++;
	if (!n || st->tries < STARVED_TRIES || now - st->since_ns < STARVED_NS)
		return;
	/* The threads before another look: one may have woken someone and gone. */
	if (!all_threads_ours(s) || !starved_in_quiet(s, &ran) || ran != st->progress)
		return;
	rt_fatal("goroutines wait for a stack and none can come free: %u wait, all others are "
		 "asleep. Raise ulimit -v (or sysctl vm.max_map_count), or give smaller stacks by "
		 "gmprt_options.stack_size or gmprt_attr.stack_size", n);
}
