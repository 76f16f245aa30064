/* SPDX-License-Identifier: MIT */
/*
 * timers.h - a P's timers: a 4-ary heap under a short lock
 *
 * Four children a node: half the levels of a binary heap, and the children of
 * a node lie in two cache lines with their keys (the deadline is kept beside
 * the pointer, so sifting doesn't visit timers).
 *
 * A timer belongs to whoever waits on it and usually lies on its stack. It is
 * in at most one heap; `heap` and `index` are guarded by that heap's lock. It
 * fires by calling fire() under the lock: this is what makes it safe for the
 * waiter to leave as soon as rt_timer_cancel() has returned, whichever way
 * the race went.
 *
 * `next_ns` is the earliest deadline, for looking without the lock (INT64_MAX:
 * none); written under the lock.
 *
 * The mechanism readies nobody: fire() says whether the timer's G was claimed
 * and expire returns the claimed ones as a list.
 */
#ifndef RT_CORE_TIMERS_H
#define RT_CORE_TIMERS_H

#include "base/spin.h"
#include "core/work.h"

struct rt_timers;

struct rt_timer {
	int64_t when_ns;
	struct rt_timers *heap; /* NULL: fired, cancelled or never added */
	uint32_t index;
	struct rt_g *g;
};

struct rt_timer_node {
	int64_t when_ns;
	struct rt_timer *timer;
};

struct rt_timers {
	rt_spin lock;
	uint32_t nr, max;
	int64_t next_ns;
	struct rt_timer_node *node;
};

void rt_timers_init(struct rt_timers *ts);
void rt_timers_free(struct rt_timers *ts);

/* Arms t, whose when_ns and g are set. 0 or -ENOMEM. */
int rt_timer_add(struct rt_timers *ts, struct rt_timer *t) __must_check;

/* Afterwards t does not fire any more. Any M may call for any heap. */
void rt_timer_cancel(struct rt_timer *t);

/* Takes all that are due, at most `most`, and claims their Gs (rt_g_claim).
 * The claimed ones go to *ready, with wake_result -ETIMEDOUT. */
void rt_timers_expire(struct rt_timers *ts, int64_t now_ns, uint32_t most,
		      struct rt_worklist *ready);

/* Moves all of from's to `to`, for a P that is retired. 0 or -ENOMEM (then
 * from has what could not be moved). Locks from, then to: the caller sees to it
 * that nobody moves the other way (sched.lock). */
int rt_timers_move(struct rt_timers *to, struct rt_timers *from);

static inline int64_t rt_timers_next(const struct rt_timers *ts)
{
	return load_rlx(&ts->next_ns);
}

#endif
