/* SPDX-License-Identifier: MIT */
/*
 * grq.c - the global run queue
 *
 * Blocks of pointers (core/workq.h) under the scheduler's lock. It is visited
 * once in 128 puts of a P that overflows and once in 61 picks; `grq_len` is
 * read without the lock to see whether a visit is worth it.
 *
 * Rejected: urcu's wfcqueue. Enqueueing is wait-free, but it chains through
 * the work itself (see workq.h), our producers come with 129 in hand and
 * consumers take a batch, each one lock; and the check "empty, so give up the
 * P" must be one step with that, which needs the lock anyway.
 */
#include "sched/sched.h"

void rt_grq_put_locked(struct rt_sched *s, struct rt_worklist *l)
{
	rt_workq_put_list(&s->grq, l);
	rt_grq_counted_locked(s);
}

void rt_grq_put(struct rt_sched *s, struct rt_worklist *l)
{
	rt_lock(s);
	rt_grq_put_locked(s, l);
	rt_unlock(s);
}

void rt_grq_put_array(struct rt_sched *s, const rt_work *w, uint32_t n)
{
	rt_lock(s);
	rt_workq_put_array(&s->grq, w, n);
	rt_grq_counted_locked(s);
	rt_unlock(s);
}

rt_work rt_grq_get_locked(struct rt_sched *s, struct rt_p *p, uint32_t most)
{
	uint32_t n = s->grq.n / s->maxprocs + 1, room = rt_runq_room(&p->q);
	rt_work first;

	if (n > RT_RUNQ_SIZE / 2)
		n = RT_RUNQ_SIZE / 2;
	if (n > most)
		n = most;
	if (n > room + 1)
		n = room + 1;
	first = rt_workq_get(&s->grq);
	for (rt_work w; n > 1 && (w = rt_workq_get(&s->grq)); n--)
		(void)rt_runq_put(&p->q, w); /* there is room: only the owner puts */
	rt_grq_counted_locked(s);
	return first;
}

rt_work rt_grq_get(struct rt_sched *s, struct rt_p *p, uint32_t most)
{
	rt_work w;

	if (!load_rlx(&s->grq_len))
		return 0;
	rt_lock(s);
	w = rt_grq_get_locked(s, p, most);
	rt_unlock(s);
	return w;
}
