/* SPDX-License-Identifier: MIT */
/*
 * workq.c - see workq.h
 */
#include "core/workq.h"

#include "base/sys.h"

/* An empty block at the end, or false. */
static bool block_add(struct rt_workq *q)
{
	struct rt_workq_block *b = q->spare;

	if (b)
		q->spare = NULL;
	else
		b = rt_alloc(sizeof(*b));
	if (!b)
		return false;
	b->next = NULL;
	b->head = b->tail = 0;
	if (q->last)
		q->last->next = b;
	else
		q->first = b;
	q->last = b;
	return true;
}

static void block_drop_first(struct rt_workq *q)
{
	struct rt_workq_block *b = q->first;

	q->first = b->next;
	if (!q->first)
		q->last = NULL;
	if (q->spare)
		rt_free(b);
	else
		q->spare = b;
}

void rt_workq_put(struct rt_workq *q, rt_work w)
{
	q->n++;
	if ((q->last && q->last->tail < RT_WORKQ_BLOCK) || block_add(q))
		q->last->work[q->last->tail++] = w;
	else
		rt_worklist_add(&q->chain, w);
}

void rt_workq_put_sig(struct rt_workq *q, rt_work w)
{
	q->n++;
	if ((q->last && q->last->tail < RT_WORKQ_BLOCK) || (q->spare && block_add(q)))
		q->last->work[q->last->tail++] = w;
	else
		rt_worklist_add(&q->chain, w);
}

void rt_workq_put_list(struct rt_workq *q, struct rt_worklist *l)
{
	rt_work w;

	while ((w = rt_worklist_pop(l)))
		rt_workq_put(q, w);
}

void rt_workq_put_array(struct rt_workq *q, const rt_work *w, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		rt_workq_put(q, w[i]);
}

rt_work rt_workq_get(struct rt_workq *q)
{
	struct rt_workq_block *b = q->first;
	rt_work w = rt_worklist_pop(&q->chain);

	/* The chain first, or a queue that is never empty would starve it. */
	if (w || !b) {
		q->n -= w != 0;
		return w;
	}
	w = b->work[b->head++];
	q->n--;
	if (b->head == b->tail)
		block_drop_first(q);
	return w;
}

void rt_workq_free(struct rt_workq *q)
{
	while (q->first)
		block_drop_first(q);
	rt_free(q->spare);
	*q = (struct rt_workq){ 0 };
}
