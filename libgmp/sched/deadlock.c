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
 */
#include "base/bug.h"
#include "base/sys.h"
#include "sched/poll.h"
#include "sched/sched.h"

bool rt_deadlocked_locked(struct rt_sched *s)
{
	uint32_t nr = 0;
	uint64_t waiting;

	if (s->stopping || s->nr_idle_ps < s->maxprocs || s->nr_lost || s->grq.n ||
	    s->starved.head)
		return false;
	for (uint32_t i = 0; i < s->nr_ps; i++) {
		enum rt_pstate state = rt_pword_state(load_rlx(&s->ps[i].slot.word));

		if (state == RT_P_RUNNING || state == RT_P_BLOCKED)
			return false;
		nr += !s->ps[i].retired;
	}
	rt_poll_waits(s, &waiting);
	/* Not maxprocs of them: that may have gone below the number of a P that
	 * was handed, with a bound goroutine, to an M that is just waking. */
	return s->nr_idle_ps == nr && !waiting && !rt_any_work(s) &&
	       rt_next_timer(s) == RT_FOREVER;
}

void rt_deadlock_report(struct rt_sched *s)
{
	int threads = rt_thread_count(), ours;
	bool deadlocked;

	rt_lock(s);
	deadlocked = rt_deadlocked_locked(s);
	/* sysmon, and the caller of gmprt_run() */
	ours = (int)s->nr_ms + 2;
	rt_unlock(s);
	/* 0: /proc can't say, so somebody may be there. */
	if (deadlocked && threads > 0 && threads <= ours)
		rt_fatal("all goroutines are asleep - deadlock!");
}
