/* SPDX-License-Identifier: MIT */
/*
 * timers.h - a P's timers: a 4-ary heap under a short lock, deleted from lazily
 *
 * Problem: most deadlines never come. A server arms one for each read and
 * cancels it some microseconds later; taking it out of the middle of a heap
 * would cost as much as putting it in, and would need an index in each timer
 * that every sift keeps up to date: a miss of the cache for each level.
 *
 * So a heap's node is a key and a reference, sifting reads and writes nodes only,
 * and a timer knows its heap but not its place in it. Cancel marks the timer
 * and leaves the node. A timer that is armed anew while its old node is still
 * in the same heap, for a later time, keeps that node too: it is given its real
 * key when it comes to the top. A waiter with a deadline, again and again, so
 * pays a lock and two stores for it.
 *
 * Invariants, under the heap's lock:
 *  - A node is its timer's own if timer->heap is this heap and timer->key_ns
 *    the node's key. Else it is left over, from before the timer was armed
 *    elsewhere or for an earlier time. (Two nodes with the same key: one is
 *    taken for the timer's own, the other is left over.)
 *  - An armed timer (when_ns not 0) has its own node, and key_ns <= when_ns.
 *  - nr_dead counts the nodes that no armed timer owns. They go when they come
 *    to the top, and all at once when they are more than a quarter.
 *  - `heap` changes from one heap to anything else only under that heap's
 *    lock. So whoever holds the lock and finds its own heap there may look at
 *    the timer, though it is no longer armed, or armed elsewhere by now.
 *
 * That last look is why a timer's memory must outlive its nodes: a goroutine's
 * timer is in its struct rt_g, which stays until the run's end (its page may be
 * given back and read as zeroes, after rt_timer_forget()); an alarm is counted
 * by its nodes.
 *
 * `next_ns` is a time at or before the earliest deadline (INT64_MAX: none), for
 * looking without the lock; written under it. Earlier where a dead node is on
 * top: a look in vain. rt_timers_tidy() makes it right, for who is about to
 * sleep by it.
 *
 * Firing. A goroutine's timer claims it (core/g.h), under the lock: once
 * rt_timer_cancel() has returned, the waiter may go on to its next wait,
 * whichever way the race went. An alarm is a timer that calls a function,
 * without the lock, for it may need another lock. What keeps a stopped one
 * from being heard of is its owner's: it takes due_ns under a lock of its own
 * (sync/timer.c).
 *
 * The mechanism readies nobody: expire returns what has fired.
 *
 * Lock order: sched.lock, a channel's or word's lock, a heap's. Two heaps: only
 * rt_timers_move(), under sched.lock, always into the same one.
 *
 * Rejected: an index in each timer (38 % of the time of 100,000 sleepers went
 * into taking nodes out); a generation in the claim word instead of the lock in
 * cancel (every waker would have to know it); timing wheels (they fire late or
 * turn in vain, and a heap of 100,000 is eight levels deep).
 */
#ifndef RT_CORE_TIMERS_H
#define RT_CORE_TIMERS_H

#include "base/spin.h"
#include "core/work.h"

struct rt_timers;

/* Zeroed: not armed. A struct rt_g's or a struct rt_alarm's. */
struct rt_timer {
	int64_t when_ns;        /* 0: not armed */
	int64_t key_ns;         /* of its node */
	struct rt_timers *heap; /* where its node is; NULL: it has none */
};

/* A timer that calls a function. refs: its owner's, one for each node, one for
 * each call that is coming. */
struct rt_alarm {
	struct rt_timer timer;
	int64_t period_ns; /* 0: once. Changed only while it is not armed */
	int64_t due_ns;    /* it has fired for this time and fire() is coming; atomic */
	uint32_t refs;
	/* Called without a lock, from g0. The goroutine to ready, or NULL. */
	struct rt_g *(*fire)(struct rt_alarm *a);
	void (*free)(struct rt_alarm *a);
};

/* A timer and which kind it is: in an alarm's the lowest bit is set. */
typedef uintptr_t rt_timer_ref;

struct rt_timer_node {
	int64_t when_ns;
	rt_timer_ref ref;
};

struct rt_timers {
	rt_spin lock;
	uint32_t nr, max;
	uint32_t nr_dead;
	int64_t next_ns;
	struct rt_timer_node *node;
	void *memory; /* node[1] begins a cache line in it */
};

/* Most that one rt_timers_expire() fires. */
#define RT_FIRE_MAX 128u

void rt_timers_init(struct rt_timers *ts);

/* Forgets all timers; those that live on can be armed in another heap. */
void rt_timers_free(struct rt_timers *ts);

/*
 * Arms what is not armed, g's timer or an alarm, to fire at when_ns > 0. 0 or
 * -ENOMEM: then it is not armed. One caller at a time for each timer.
 */
int rt_timer_add(struct rt_timers *ts, struct rt_g *g, int64_t when_ns) __must_check;
int rt_alarm_add(struct rt_timers *ts, struct rt_alarm *a, int64_t when_ns) __must_check;

/* Afterwards t does not fire any more. True: it was armed. Any thread that has
 * a reference to the run. */
bool rt_timer_cancel(struct rt_timer *t);

/* The same for a goroutine that is no more: no heap will look at t. */
void rt_timer_forget(struct rt_timer *t);

/* Takes one reference away. */
void rt_alarm_put(struct rt_alarm *a);

/* Its heap belongs to a run that this process does not have: a is in none. */
void rt_alarm_strand(struct rt_alarm *a);

/* If a is due it counts as fired here and now: true, and the time in due_ns. */
bool rt_alarm_take(struct rt_alarm *a, int64_t now_ns);

/*
 * Fires what is due, at most `most` of them and RT_FIRE_MAX, in the order of
 * their times; how many are in `fired`. Goroutines among them were claimed, for
 * the caller to ready, with wake_result -ETIMEDOUT; alarms are for the caller to
 * call.
 */
uint32_t rt_timers_expire(struct rt_timers *ts, int64_t now_ns, rt_timer_ref *fired,
			  uint32_t most);

/* What has fired: one of these, the other is NULL. */
struct rt_alarm *rt_fired_alarm(rt_timer_ref ref);
struct rt_g *rt_fired_g(rt_timer_ref ref);

/* Drops what is dead from the top: next_ns is that of an armed timer then. Does
 * not wait for the lock: whoever has it will look again. */
void rt_timers_tidy(struct rt_timers *ts);

/* Is the second timer due within gap_ns of the first? A guess: it may be dead, and
 * the lock is not waited for. */
bool rt_timers_dense(struct rt_timers *ts, int64_t gap_ns);

/* Moves all of from's to `to`, for a P that is retired. 0; -ENOMEM: none was
 * moved. */
int rt_timers_move(struct rt_timers *to, struct rt_timers *from);

static inline int64_t rt_timers_next(const struct rt_timers *ts)
{
	return load_rlx(&ts->next_ns);
}

#endif
