/* SPDX-License-Identifier: MIT */
/*
 * runq.h - a P's run queue: a ring of 256 and one slot to run next
 *
 * Problem: the owner puts and takes all the time and should pay next to
 * nothing; thieves come seldom, take half, and pay.
 *
 * Invariants
 *  - Only the owner (the M that holds the P, in state RUNTIME) puts: it alone
 *    writes `tail`, ring slots, and a value other than 0 into `next`.
 *  - Everyone takes from the head, by compare-and-swap on `head`.
 *  - Entries are ring[head..tail-1], indices mod 2^32, never more than 256.
 *  - `next` is what the owner will run first: set to a thing by the owner,
 *    set to 0 by whoever takes it (xchg or compare-and-swap).
 *
 * Words, their transitions and pairs:
 *
 *   tail  t -> t+1    owner    store_rel; pairs with thieves' load_acq: who
 *                              sees the tail sees the slots behind it
 *   head  h -> h+1    owner    cas_acqrel; its release pairs with the owner's
 *   head  h -> h+n    thief    load_acq before it reuses a slot: a slot is
 *                              overwritten only after it has been read
 *   next  0 -> w      owner    store_rel: nobody else changes a 0
 *   next  w -> w'     owner    xchg: a thief may have taken w
 *   next  w -> 0      any      cas / xchg_acqrel, pairs with the owner's release
 *
 * Why a full ring's half goes to the global queue: so that a P that makes
 * work faster than it runs it pays for the lock once in 128 times. Why the
 * oldest half: those have waited longest, and the global queue is where any P
 * looks next.
 *
 * The put with a delayed tail. A goroutine that yields puts itself into its
 * own queue, but a thief must not run it before its context is saved. So the
 * slot is written first and the store of the tail is left to the switch
 * (core/ctx.h): rt_runq_prepare() gives the value to store.
 *
 * Rejected: a Chase-Lev deque (last in first out starves); a block queue
 * without atomics for the owner (thieves then steal blocks, not half);
 * unlocked reservation of several entries by the owner (they are stuck behind
 * a goroutine that computes while other Ps idle).
 *
 * Model: tests/model/runq.pml.
 */
#ifndef RT_CORE_RUNQ_H
#define RT_CORE_RUNQ_H

#include "base/atomic.h"
#include "base/point.h"
#include "core/pq.h"

/* Owner. The oldest entry of the ring, or 0. */
static __always_inline_ rt_work rt_runq_get(struct rt_pq *q)
{
	uint32_t t = q->tail;

	for (;;) {
		uint32_t h = load_acq(&q->head); /* pairs with a thief's cas */
		rt_work w;

		if (h == t)
			return 0;
		w = load_rlx(&q->ring[h % RT_RUNQ_SIZE]);
		rt_point();
		if (likely(cas_acqrel(&q->head, h, h + 1))) {
			/* What runs after this one was perhaps last touched long
			 * ago. Beyond the tail it is something old: harmless. */
			__builtin_prefetch((void *)(load_rlx(&q->ring[(h + 2) % RT_RUNQ_SIZE]) &
						    ~RT_WORK_SPAWN));
			return w;
		}
	}
}

/* Owner. The n-th entry of the ring, or 0. It may be taken by a thief at any
 * time; memory of Gs and spawns stays readable all the same. */
static inline rt_work rt_runq_peek(struct rt_pq *q, uint32_t n)
{
	uint32_t h = load_rlx(&q->head);

	return q->tail - h > n ? load_rlx(&q->ring[(h + n) % RT_RUNQ_SIZE]) : 0;
}

/* Owner. Takes `next`, or 0. */
static __always_inline_ rt_work rt_runq_get_next(struct rt_pq *q)
{
	if (!load_rlx(&q->next))
		return 0;
	return xchg_acqrel(&q->next, 0);
}

/* Owner. Writes w behind the last entry without showing it: the caller stores
 * the returned value in q->tail with release order. False: the ring is full. */
static __always_inline_ bool rt_runq_prepare(struct rt_pq *q, rt_work w, uint32_t *tail)
{
	uint32_t t = q->tail;

	/* pairs with the thieves' cas: what left the ring was read */
	if (unlikely(t - load_acq(&q->head) >= RT_RUNQ_SIZE))
		return false;
	store_rlx(&q->ring[t % RT_RUNQ_SIZE], w);
	*tail = t + 1;
	return true;
}

/* Owner. How many puts will succeed at the least. */
static inline uint32_t rt_runq_room(struct rt_pq *q)
{
	return RT_RUNQ_SIZE - (q->tail - load_acq(&q->head)); /* pairs with thieves' cas */
}

/* Owner. Puts w last. False: full, see rt_runq_spill(). */
static __always_inline_ bool rt_runq_put(struct rt_pq *q, rt_work w)
{
	uint32_t t;

	if (unlikely(!rt_runq_prepare(q, w, &t)))
		return false;
	store_rel(&q->tail, t); /* pairs with load_acq in steal */
	return true;
}

/* Owner. Makes w the next to run; returns what was, or 0. */
static __always_inline_ rt_work rt_runq_set_next(struct rt_pq *q, rt_work w)
{
	if (likely(!load_rlx(&q->next))) {
		store_rel(&q->next, w); /* pairs with xchg in get and steal */
		return 0;
	}
	return xchg_acqrel(&q->next, w);
}

/* Owner, ring full. Takes the oldest half out, RT_RUNQ_SIZE / 2 entries. False
 * if thieves made room meanwhile: put again. */
bool rt_runq_spill(struct rt_pq *q, rt_work *out);

/* Owner. Moves everything, next first, to the end of *out. */
void rt_runq_drain(struct rt_pq *q, struct rt_worklist *out);

/* Anyone. A hint that may be old as soon as it is returned: entries, with
 * `next` counted. */
uint32_t rt_runq_len(const struct rt_pq *q);

/*
 * A thief, owner of `into` (whose ring is empty), takes half of q's ring,
 * rounded up: all but the last of them go into `into`, the last is returned;
 * 0: nothing there. Does not touch q->next.
 */
rt_work rt_runq_steal(struct rt_pq *q, struct rt_pq *into);

/* A thief takes q->next if it still is `seen`. */
bool rt_runq_steal_next(struct rt_pq *q, rt_work seen);

#endif
