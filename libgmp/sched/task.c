/* SPDX-License-Identifier: MIT */
/*
 * task.c - a forked task that a P has taken, as a goroutine
 */
#include "sched/task.h"

#include "sched/atfork.h"
#include "sched/switch.h"

void rt_task_run(void *task)
{
	struct rt_task *t = task;
	struct rt_g *g = rt_m_self()->curg;

	g->task = t;
	t->fn(t->arg);
	if (unlikely(!rt_m_self()))
		rt_orphan_end(g, "returned");
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

rt_work rt_forked_take(struct rt_p *p, struct rt_pq *from, bool oldest)
{
	struct gmprt_task *t;
	struct rt_g *g;

	if (!rt_forkq_len(from))
		return 0;
	/* The stack first: a task that was taken could not be put back. */
	g = rt_g_begin_fn(p, rt_task_run, NULL);
	if (!g) {
		/* It stays for its join, which needs none. */
		store_rlx(&p->s->no_stack, true);
		return 0;
	}
	t = oldest ? rt_forkq_steal(from) : rt_forkq_pop_any(from);
	if (!t) {
		rt_g_never_begun(p, g);
		return 0;
	}
	g->arg = t;
	count_inc(&p->n.tasks);
	return rt_work_g(g);
}
