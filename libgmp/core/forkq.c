/* SPDX-License-Identifier: MIT */
/*
 * forkq.c - the seldom paths of forkq.h
 */
#include "core/forkq.h"

static struct gmprt_task *take_slot(struct rt_pq *q, uint32_t at)
{
	return xchg_acqrel(&q->forked[at % RT_FORKQ_SIZE], NULL);
}

/* The owner has stored bottom = at, and a thief may have gone past. */
bool rt_forkq_pop_slow(struct rt_pq *q, uint32_t at)
{
	bool mine;

	store_rel(&q->fork_bottom, at + 1);
	rt_spin_lock(&q->fork_lock);
	/* No thief is between its two steps now: top is final. */
	mine = (int32_t)(q->fork_top - at) <= 0;
	if (mine) {
		store_rlx(&q->forked[at % RT_FORKQ_SIZE], NULL);
		store_rel(&q->fork_bottom, at);
	}
	rt_spin_unlock(&q->fork_lock);
	return mine;
}

struct gmprt_task *rt_forkq_pop_any(struct rt_pq *q)
{
	struct gmprt_task *t;

	while (q->fork_bottom != load_rlx(&q->fork_top)) {
		uint32_t at = q->fork_bottom - 1;

		store_rel(&q->fork_bottom, at);
		smp_mb(); /* (1) */
		if ((int32_t)(load_rlx(&q->fork_top) - at) > 0) {
			/* A thief has it, or is about to step back: under the
			 * lock it is decided. Bottom = top is empty. */
			store_rel(&q->fork_bottom, at + 1);
			rt_spin_lock(&q->fork_lock);
			if ((int32_t)(q->fork_top - at) > 0) {
				rt_spin_unlock(&q->fork_lock);
				return NULL;
			}
			store_rel(&q->fork_bottom, at);
			t = take_slot(q, at);
			rt_spin_unlock(&q->fork_lock);
		} else {
			t = take_slot(q, at);
		}
		if (t)
			return t;
	}
	return NULL;
}

bool rt_forkq_remove(struct rt_pq *q, struct gmprt_task *t, uint32_t at)
{
	bool mine;

	rt_spin_lock(&q->fork_lock);
	/* The slot holds t only while t is in the queue: a task is forked
	 * again only after its join, which this is. */
	mine = cas_acqrel(&q->forked[at % RT_FORKQ_SIZE], t, NULL);
	rt_spin_unlock(&q->fork_lock);
	return mine;
}

struct gmprt_task *rt_forkq_steal(struct rt_pq *q)
{
	struct gmprt_task *task = NULL;

	if (!rt_forkq_len(q) || !rt_spin_trylock(&q->fork_lock))
		return NULL;
	while (!task) {
		uint32_t t = q->fork_top;

		store_rlx(&q->fork_top, t + 1);
		smp_mb(); /* (2) */
		if ((int32_t)(t + 1 - load_acq(&q->fork_bottom)) > 0) {
			store_rlx(&q->fork_top, t);
			break;
		}
		task = take_slot(q, t);
	}
	rt_spin_unlock(&q->fork_lock);
	return task;
}
