/* SPDX-License-Identifier: MIT */
/*
 * forkq.h - a P's stack of forked tasks (Cilk's THE protocol, with holes)
 *
 * Problem: fork and join in tens of ns. Nearly every join wants the task
 * forked last by the same P, and nobody has stolen it.
 *
 * So: an array with two ends. The owner pushes and pops at the bottom with no
 * locked instruction but one fence in pop; thieves take the oldest (in a
 * recursion the largest piece of work) at the top, one at a time, under a
 * lock. When both want the same last task, the fences make at least one of
 * them see the other, and the lock decides.
 *
 *   owner pop                         thief (holds the lock)
 *   bottom = b                        top = t + 1
 *   fence  (1)                        fence  (2)
 *   top > b ? conflict : slot b mine  t + 1 > bottom ? top = t, none : slot t mine
 *
 * (1) and (2) are the pair: not both can read the other's old value. On a
 * conflict the owner takes the lock and looks again.
 *
 * Holes: a join may want a task from the middle (joined out of order, or by a
 * goroutine that has moved to another P). It takes the lock and turns the slot
 * into 0. Whoever takes a slot therefore takes it by exchange, and goes on to
 * the next if it reads 0. The owner's join of the bottom task needs no
 * exchange: only its joiner may take a task out of the middle, and that is
 * the caller.
 *
 * Invariants: slots[top..bottom-1] hold tasks or holes, never more than 255;
 * `fork_bottom` is written by the owner, `fork_top` under the lock. A task in a slot
 * belongs to nobody; out of it to whoever took it.
 *
 * A queue that is full says so, and gmprt_fork() makes an ordinary goroutine.
 *
 * Rejected: Chase-Lev (a compare-and-swap on top for the last element, and no
 * way to make holes); the LRQ ring itself (first in first out: a recursion
 * unfolds breadth first).
 *
 * Model: tests/model/forkq.pml.
 */
#ifndef RT_CORE_FORKQ_H
#define RT_CORE_FORKQ_H

#include "base/point.h"
#include "core/pq.h"

/* Owner. True, and where it lies in *at (for rt_forkq_remove); false: full. */
static __always_inline_ bool rt_forkq_push(struct rt_pq *q, struct gmprt_task *t, uint32_t *at)
{
	uint32_t b = q->fork_bottom;

	/*
	 * One slot stays free: a thief has moved top before it empties the
	 * slot. Signed: one that is about to step back shows top = bottom + 1.
	 */
	if (unlikely((int32_t)(b - load_acq(&q->fork_top)) >= (int32_t)RT_FORKQ_SIZE - 1))
		return false;
	*at = b;
	store_rel(&q->forked[b % RT_FORKQ_SIZE], t); /* pairs with who takes the slot */
	store_rel(&q->fork_bottom, b + 1); /* pairs with load_acq in steal */
	return true;
}

/* Owner, on conflict: true if slot `at`, the bottom one, is the caller's now. */
bool rt_forkq_pop_slow(struct rt_pq *q, uint32_t at);

/*
 * Owner. Takes t, which was pushed to `at`, if it is the last one. False: it
 * is not there any more, or not last. The slot is compared as well as the
 * place: the scheduler may have popped t, and the place been pushed anew.
 */
static __always_inline_ bool rt_forkq_pop_own(struct rt_pq *q, struct gmprt_task *t,
					      uint32_t at)
{
	if (unlikely(q->fork_bottom != at + 1 || load_rlx(&q->forked[at % RT_FORKQ_SIZE]) != t))
		return false;
	store_rel(&q->fork_bottom, at); /* what lies below stays published */
	smp_mb(); /* (1) */
	if (unlikely((int32_t)(load_rlx(&q->fork_top) - at) > 0))
		return rt_forkq_pop_slow(q, at);
	store_rlx(&q->forked[at % RT_FORKQ_SIZE], NULL);
	return true;
}

/* Owner. The task pushed last of all that are left, or NULL. */
struct gmprt_task *rt_forkq_pop_any(struct rt_pq *q);

/* Anyone who joins t: takes it out of slot `at`. False: it has been taken. */
bool rt_forkq_remove(struct rt_pq *q, struct gmprt_task *t, uint32_t at);

/* Anyone. The oldest task, or NULL. */
struct gmprt_task *rt_forkq_steal(struct rt_pq *q);

/* Anyone. A hint: slots in use, holes counted. */
static inline uint32_t rt_forkq_len(const struct rt_pq *q)
{
	uint32_t t = load_acq(&q->fork_top), n = load_acq(&q->fork_bottom) - t;

	return (int32_t)n > 0 ? n : 0;
}

#endif
