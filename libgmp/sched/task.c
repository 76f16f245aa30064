/* SPDX-License-Identifier: MIT */
/*
 * task.c - a forked task that a P has taken, as a goroutine
 */
#include "sched/task.h"

#include "base/bug.h"
#include "sched/switch.h"

void rt_task_run(void *task)
{
	struct rt_task *t = task;

	rt_m_self()->curg->task = t;
	t->fn(t->arg);
	rt_task_ended(t);
}

void rt_task_ended(struct rt_task *t)
{
	struct rt_m *m = rt_enter();
	/* t may be gone after this. */
	uintptr_t waiter = xchg_acqrel(&t->state, RT_TASK_DONE);

	if (m)
		count_inc(&m->p->n.tasks_ended);
	if (waiter)
		rt_ready(m, (struct rt_g *)waiter);
	if (m)
		rt_leave(m);
}

rt_work rt_forked_to_work(struct rt_p *p, struct gmprt_task *task)
{
	struct rt_g *g = rt_g_begin_fn(p, rt_task_run, task);
	struct rt_task *t = rt_task(task);

	if (g) {
		count_inc(&p->n.tasks);
		return rt_work_g(g);
	}
	/* No stack to be had. Into p's own queue, where its join may still
	 * run it in place, or p again. Never full: p's was empty, or the task
	 * was in it. */
	t->queue = &p->fq;
	RT_BUG_ON(!rt_forkq_push(&p->fq, task, &t->at));
	return 0;
}
