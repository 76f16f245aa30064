/* SPDX-License-Identifier: MIT */
/*
 * fork.c - fork and join; the task's states are in sched/task.h
 *
 * A join first tries to take its task back: from the bottom of this P's own
 * queue (a fence, no locked instruction), else out of the middle of whatever
 * queue it was pushed to. Then it simply calls the function. Only if some P
 * has begun the task must the join wait.
 *
 * A task run in place has no goroutine of its own, but gmprt_exit() must end
 * only the task. So the join leaves a frame to jump back to; the frames form a
 * chain in the G.
 */
#include <setjmp.h>

#include "base/bug.h"
#include "sched/task.h"
#include "sync/fork.h"
#include "sync/wait.h"

/* The compiler's own setjmp saves three words; libc's saves and mangles eight.
 * clang has none for aarch64. */
#if defined(__clang__) && !defined(__x86_64__)
typedef jmp_buf rt_jmp;
#define rt_setjmp(b)  _setjmp(b)
#define rt_longjmp(b) _longjmp(b, 1)
#else
typedef void *rt_jmp[5];
#define rt_setjmp(b)  __builtin_setjmp(b)
#define rt_longjmp(b) __builtin_longjmp(b, 1)
#endif

struct rt_frame {
	struct rt_frame *up;
	rt_jmp jmp;
	struct rt_eh eh; /* what the joiner had caught */
};

/* A child run in place needs room as on a stack of its own. */
#define STACK_LEFT_MIN ((ptrdiff_t)32 * 1024)

/* ---- fork --------------------------------------------------------- */

/* The queue is full: an ordinary goroutine runs it. */
static __noinline int fork_spawn(struct rt_m *m, struct rt_task *t)
{
	struct rt_p *p = m->p;
	struct rt_spawn *sp = rt_spawn_get(&p->s->spawns, &p->spawns);

	if (!sp)
		return -ENOMEM;
	t->queue = NULL;
	sp->fn = rt_task_run;
	sp->arg = t;
	sp->name = NULL;
	sp->class = p->s->stack_class;
	store_rel(&sp->id, rt_g_new_id(p));
	count_inc(&p->n.created);
	count_inc(&p->n.tasks);
	rt_put_next(p, rt_work_spawn(sp));
	return 0;
}

GMPRT_API int gmprt_fork(struct gmprt_task *task, void (*fn)(void *), void *arg)
{
	struct rt_m *m = rt_enter();
	struct rt_task *t = rt_task(task);
	struct rt_p *p;
	int r = 0;

	if (unlikely(!m))
		return -EPERM;
	p = m->p;
	t->fn = fn;
	t->arg = arg;
	t->queue = &p->q;
	store_rlx(&t->state, 0);
	count_inc(&p->n.forks);
	if (likely(rt_forkq_push(&p->q, task, &t->at))) {
		rt_wake_others(p->s);
	} else {
		r = fork_spawn(m, t);
		if (r)
			*t = (struct rt_task){ 0 };
	}
	rt_leave(m);
	return r;
}

/* ---- join --------------------------------------------------------- */

static __noinline void call_in_frame(struct rt_m *m, void (*fn)(void *), void *arg)
{
	struct rt_g *g = m->curg;
	struct rt_frame frame;

	if (unlikely(m->has_eh))
		frame.eh = *m->eh;
	frame.up = g->frame;
	g->frame = &frame;
	if (rt_setjmp(frame.jmp) == 0)
		fn(arg);
	/* The G is read anew: the M may have changed, the G not. */
	m = rt_m_self();
	if (unlikely(!m))
		return; /* this is a child of fork() */
	g = m->curg;
	g->frame = g->frame->up;
}

_Noreturn void rt_frame_leave(struct rt_m *m)
{
	struct rt_g *g = m->curg;

	if (unlikely(m->has_eh))
		*m->eh = g->frame->eh;
	rt_longjmp(g->frame->jmp);
}

/* On g0: the join has left its stack; now its task may find it. */
static void join_park_g0(struct rt_m *m, struct rt_g *g)
{
	struct rt_task *t = g->wake;

	store_rlx(&g->reason, RT_REASON_JOIN);
	store_rlx(&g->since_ns, load_rlx(&m->s->coarse_ns));
	if (cas_acqrel(&t->state, 0, (uintptr_t)g))
		return; /* the task's end readies g */
	store_rlx(&g->reason, RT_REASON_NONE);
	m->handed = rt_work_g(g);
}

/* The task is somebody else's: until it has ended. */
static __noinline void join_wait(struct rt_m *m, struct rt_task *t)
{
	uintptr_t state = load_acq(&t->state);

	if (state == 0) {
		m->curg->wake = t;
		rt_m_call(join_park_g0);
		m = rt_m_self();
		state = load_acq(&t->state); /* pairs with the exchange at its end */
	}
	/* JOINED, or another join's waiter */
	if (unlikely(state != RT_TASK_DONE))
		rt_misuse("gmprt_join: the task at %p was joined before", (void *)t);
	store_rlx(&t->state, RT_TASK_JOINED);
	rt_leave(m);
}

static __noinline void join_slow(struct rt_m *m, struct rt_task *t, bool mine)
{
	if (unlikely(!t->fn))
		rt_misuse("gmprt_join: the task at %p was never forked", (void *)t);
	if (mine) {
		/* Little stack is left: it gets one of its own. Without
		 * memory for that it has to go on here. */
		if (fork_spawn(m, t)) {
			rt_leave(m);
			call_in_frame(m, t->fn, t->arg);
			return;
		}
	}
	join_wait(m, t);
}

GMPRT_API void gmprt_join(struct gmprt_task *task)
{
	struct rt_m *m = rt_enter();
	struct rt_task *t = rt_task(task);
	struct rt_g *g;
	bool mine;

	if (unlikely(!m))
		rt_misuse("gmprt_join: this is no goroutine");
	g = m->curg;
	mine = t->queue && ((t->queue == &m->p->q && rt_forkq_pop_own(t->queue, task, t->at)) ||
			    rt_forkq_remove(t->queue, task, t->at));
	if (unlikely(!mine || (char *)__builtin_frame_address(0) - rt_g_stack_lo(g) <
				      STACK_LEFT_MIN)) {
		join_slow(m, t, mine);
		return;
	}
	count_inc(&m->p->n.inline_joins);
	store_rlx(&t->state, RT_TASK_JOINED);
	rt_leave(m);
	call_in_frame(m, t->fn, t->arg);
}
