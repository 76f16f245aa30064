/* SPDX-License-Identifier: MIT */
/*
 * task.h - what struct gmprt_task holds, and its states
 *
 * A task lies in the memory of whoever forked it and may vanish as soon as its
 * join has returned. It is in a fork queue (or in a spawn, when the queue was
 * full), or taken from there by exactly one: the join, or a P that gives it a
 * goroutine of its own. In the second case `state` decides between the task's
 * end and its join:
 *
 *   0      -> DONE      the task has ended, nobody waits       xchg_acqrel
 *   0      -> waiter    the join parks: its G's address        cas_acqrel
 *   waiter -> DONE      the task has ended and readies it      xchg_acqrel
 *   DONE   -> JOINED    the join returns                       store
 *   0      -> JOINED    the join runs the task in place        store
 *
 * The exchange is the task's last touch of this memory. The join parks on g0,
 * after its context is saved, so the waiter can be readied at once.
 *
 * JOINED is there to catch who joins twice. fn is NULL in a task that was never
 * forked.
 */
#ifndef RT_SCHED_TASK_H
#define RT_SCHED_TASK_H

#include <gmprt.h>

#include "sched/sched.h"

#define RT_TASK_DONE   ((uintptr_t)1)
#define RT_TASK_JOINED ((uintptr_t)2)

struct rt_task {
	void (*fn)(void *);
	void *arg;
	struct rt_pq *queue; /* where it was pushed; NULL: a goroutine was made */
	uint32_t at;            /* and its place there */
	uintptr_t state;
};

_Static_assert(sizeof(struct rt_task) <= sizeof(struct gmprt_task), "it must fit");
_Static_assert(offsetof(struct rt_task, arg) == offsetof(struct gmprt_task, arg), "same head");

static inline struct rt_task *rt_task(struct gmprt_task *t)
{
	return (struct rt_task *)(void *)t;
}

/* The function of a task's own goroutine: runs it and tells its join. */
void rt_task_run(void *task);
/* The task on this goroutine is over. */
void rt_task_ended(struct rt_task *t);

#endif
