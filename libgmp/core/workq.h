/* SPDX-License-Identifier: MIT */
/*
 * workq.h - a first-in first-out queue of work: blocks of pointers
 *
 * Problem: the global queue as a chain through what it holds. Taking 128 of a
 * million goroutines spawned long ago then means 128 cache misses, each
 * waiting for the one before (measured: 110 ns each, a fifth of the skynet
 * benchmark).
 *
 * So it holds pointers in blocks of 510. Putting and taking copies words and
 * touches no goroutine; their misses come later, and the run queue prefetches.
 *
 * A block that can't be had is no reason to lose work: then it is chained
 * after all, and order suffers until the chain is empty. Every 64th asks for a
 * block again: where there is none, malloc() takes microseconds to say so.
 *
 * The chain is served first, three times of four: a queue that is never empty must
 * not starve it, nor it the queue. So it is also the place for work that is not to
 * wait long (rt_workq_put_soon).
 *
 * No lock of its own: the owner's lock guards it.
 */
#ifndef RT_CORE_WORKQ_H
#define RT_CORE_WORKQ_H

#include "core/work.h"

#define RT_WORKQ_BLOCK 510u

struct rt_workq_block {
	struct rt_workq_block *next;
	uint32_t head, tail; /* entries are work[head..tail-1] */
	rt_work work[RT_WORKQ_BLOCK];
};

struct rt_workq {
	struct rt_workq_block *first, *last;
	struct rt_workq_block *spare; /* one, so that a queue near empty doesn't allocate */
	struct rt_worklist chain;     /* when memory was out, or that is to go soon */
	uint32_t n;                   /* all entries */
	uint32_t gets;
};

void rt_workq_put(struct rt_workq *q, rt_work w);
/* Ahead of most others; async-signal-safe too. */
void rt_workq_put_soon(struct rt_workq *q, rt_work w);
void rt_workq_put_list(struct rt_workq *q, struct rt_worklist *l);
void rt_workq_put_array(struct rt_workq *q, const rt_work *w, uint32_t n);
/* The oldest, or one that is to go soon; or 0. */
rt_work rt_workq_get(struct rt_workq *q);
/* The oldest that is() is true of, or 0; allocates nothing. */
rt_work rt_workq_get_first(struct rt_workq *q, bool (*is)(rt_work));
void rt_workq_free(struct rt_workq *q);

#endif
