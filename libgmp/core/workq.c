/* SPDX-License-Identifier: MIT */
/*
 * workq.c - see workq.h
 */
#include "core/workq.h"

#include <string.h>

#include "base/sys.h"

enum {
	CHAIN_TRY = 64,  /* so many are chained before memory is asked for again */
	CHAIN_TURNS = 4, /* in one of so many gets the chain is not asked first */
};

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

/* b is empty; prev is before it, or NULL. */
static void block_drop(struct rt_workq *q, struct rt_workq_block *prev, struct rt_workq_block *b)
{
	if (prev)
		prev->next = b->next;
	else
		q->first = b->next;
	if (q->last == b)
		q->last = prev;
	if (q->spare)
		rt_free(b);
	else
		q->spare = b;
}

void rt_workq_put(struct rt_workq *q, rt_work w)
{
	q->n++;
	if ((q->last && q->last->tail < RT_WORKQ_BLOCK) ||
	    (q->chain.n % CHAIN_TRY == 0 && block_add(q)))
		q->last->work[q->last->tail++] = w;
	else
		rt_worklist_add(&q->chain, w);
}

void rt_workq_put_soon(struct rt_workq *q, rt_work w)
{
	q->n++;
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
	rt_work w = 0;

	if (!b || q->gets++ % CHAIN_TURNS)
		w = rt_worklist_pop(&q->chain);
	if (w || !b) {
		q->n -= w != 0;
		return w;
	}
	w = b->work[b->head++];
	q->n--;
	if (b->head == b->tail)
		block_drop(q, NULL, b);
	return w;
}

static rt_work chain_get_first(struct rt_worklist *chain, bool (*is)(rt_work))
{
	rt_work w, found = 0;

	for (uint32_t n = chain->n; n; n--) {
		w = rt_worklist_pop(chain);
		if (!found && is(w))
			found = w;
		else
			rt_worklist_add(chain, w);
	}
	return found;
}

static rt_work block_get_first(struct rt_workq_block *b, bool (*is)(rt_work))
{
	for (uint32_t i = b->head; i < b->tail; i++) {
		rt_work w = b->work[i];

		if (!is(w))
			continue;
		b->tail--;
		memmove(&b->work[i], &b->work[i + 1], (b->tail - i) * sizeof(w));
		return w;
	}
	return 0;
}

rt_work rt_workq_get_first(struct rt_workq *q, bool (*is)(rt_work))
{
	struct rt_workq_block *b = q->first, *prev = NULL;
	rt_work w = chain_get_first(&q->chain, is);

	for (; !w && b; prev = b, b = b->next) {
		w = block_get_first(b, is);
		if (w && b->head == b->tail) {
			block_drop(q, prev, b);
			break;
		}
	}
	q->n -= w != 0;
	return w;
}

void rt_workq_free(struct rt_workq *q)
{
	while (q->first)
		block_drop(q, NULL, q->first);
	rt_free(q->spare);
	*q = (struct rt_workq){ 0 };
}
