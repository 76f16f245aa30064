/* SPDX-License-Identifier: MIT */
/*
 * runq.c - the seldom paths of the run queue; protocol in runq.h
 */
#include "core/runq.h"

#include "base/bug.h"
#include "base/point.h"

bool rt_runq_spill(struct rt_pq *q, rt_work *out)
{
	uint32_t h = load_acq(&q->head); /* pairs with a thief's cas */
	uint32_t n = RT_RUNQ_SIZE / 2;

	if (q->tail - h != RT_RUNQ_SIZE)
		return false; /* no longer full */
	for (uint32_t i = 0; i < n; i++)
		out[i] = load_rlx(&q->ring[(h + i) % RT_RUNQ_SIZE]);
	rt_point();
	return cas_acqrel(&q->head, h, h + n);
}

void rt_runq_drain(struct rt_pq *q, struct rt_worklist *out)
{
	rt_work w = rt_runq_get_next(q);

	if (w)
		rt_worklist_add(out, w);
	while ((w = rt_runq_get(q)))
		rt_worklist_add(out, w);
}

uint32_t rt_runq_len(const struct rt_pq *q)
{
	/*
	 * Emptiness must not be reported while an entry moves from `next` to
	 * the ring: the owner first puts the new `next`, then the old one into
	 * the ring, so reading the tail again tells whether it did.
	 */
	for (;;) {
		uint32_t h = load_acq(&q->head);
		uint32_t t = load_acq(&q->tail);
		rt_work next = load_acq(&q->next);

		if (t == load_acq(&q->tail))
			return (t - h < RT_RUNQ_SIZE ? t - h : RT_RUNQ_SIZE) + (next != 0);
	}
}

rt_work rt_runq_steal(struct rt_pq *q, struct rt_pq *into)
{
	uint32_t to = into->tail;

	for (;;) {
		uint32_t h = load_acq(&q->head); /* pairs with other thieves' cas */
		uint32_t t = load_acq(&q->tail); /* pairs with the owner's store_rel */
		uint32_t n = t - h;

		n -= n / 2;
		if (n == 0)
			return 0;
		if (n > RT_RUNQ_SIZE / 2)
			continue; /* head and tail are of different moments */
		/* Written behind our own tail: nobody reads them before we
		 * move it, and if the cas fails they are as if never written. */
		for (uint32_t i = 0; i < n; i++)
			store_rlx(&into->ring[(to + i) % RT_RUNQ_SIZE],
				  load_rlx(&q->ring[(h + i) % RT_RUNQ_SIZE]));
		rt_point();
		if (!cas_acqrel(&q->head, h, h + n))
			continue;
		rt_point();
		n--;
		if (n)
			store_rel(&into->tail, to + n); /* pairs with load_acq above */
		return load_rlx(&into->ring[(to + n) % RT_RUNQ_SIZE]);
	}
}

bool rt_runq_steal_next(struct rt_pq *q, rt_work seen)
{
	return cas_acqrel(&q->next, seen, 0);
}
