// SPDX-License-Identifier: GPL-2.0-only
/*
 * thread.c - registered threads: how they begin, are seen, and end
 *
 * A thread registers itself, never another: the call names an M and no thread. It
 * ends in one of three ways.
 *
 *	unregistered	by its own call
 *	exec		the notifier stays, in another program. The device is closed
 *			then; where that is not so, the next switch to it finds another
 *			mm and leaves a callback that takes it off (a notifier must not
 *			be taken off by itself)
 *	thread's end	the last switch away from it, in state TASK_DEAD; also after
 *			SIGKILL. Nobody walks its notifiers after this one
 *
 * Its memory. In the first two cases the callback may still be queued; then it is the
 * callback that frees. In the last switch nothing may sleep or wake: irq_work, which
 * runs on this CPU, so not before the switch is over; and as irq_work is not done
 * with its own memory when it calls us, a work item after that.
 *
 * The module. A thread has a reference to its session, which has one to the module.
 * The callback that gives back the last one still has some instructions to run: if
 * there was one ever, the module's exit waits for all tasks to have passed a
 * voluntary switch. That may take a second.
 *
 * fork needs nothing: notifiers are not inherited.
 */
#include <linux/mm_types.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "block.h"
#include "compat.h"
#include "thread.h"

#include "gmprt_trace.h"

#define PATIENCE_MS 200

/* ---- the end ------------------------------------------------------ */

/* It is registered no more, and nothing of it is queued. */
static void release(struct gmprt_thread *t)
{
	struct gmprt_session *s = t->session;

	atomic_dec(&s->nr_threads);
	clear_bit_unlock(t->m, s->taken);
	smp_mb__after_atomic(); /* pairs with wait_event's: the bit, then who waits */
	wake_up(&s->numbers);
	kfree(t);
	gmprt_session_put(s);
}

static void end(struct work_struct *work)
{
	struct gmprt_thread *t = container_of(work, struct gmprt_thread, end);

	irq_work_sync(&t->gone);
	release(t);
}

static void gone(struct irq_work *work)
{
	queue_work(gmprt_wq, &container_of(work, struct gmprt_thread, gone)->end);
}

/* By the thread itself. kflags is what is left to be read. */
static void leave(struct gmprt_thread *t, u32 kflags)
{
	preempt_disable();
	preempt_notifier_unregister(&t->notifier);
	preempt_enable();
	WRITE_ONCE(t->slot->kflags, kflags);
	trace_gmprt_unregister(t->session->number, t->m, kflags);
	t->left = true;
	if (!t->on_the_way)
		release(t);
}

/* ---- on the way to user mode -------------------------------------- */

/* mm is NULL from the middle of the thread's end on. */
static bool is_other_program(const struct gmprt_thread *t)
{
	return unlikely(current->mm != t->session->mm && current->mm);
}

static bool callback_released; /* one of these may not have returned yet */

static void returns(struct callback_head *way)
{
	struct gmprt_thread *t = container_of(way, struct gmprt_thread, way);

	t->on_the_way = false;
	if (t->left || is_other_program(t))
		WRITE_ONCE(callback_released, true);
	if (t->left)
		release(t);
	else if (is_other_program(t))
		leave(t, GMPRT_MF_GONE);
	else if (!(current->flags & PF_EXITING))
		gmprt_return(t);
}

/* It is refused where the thread ends: it does not return. */
void gmprt_thread_stop(struct gmprt_thread *t)
{
	if (!t->on_the_way)
		t->on_the_way = !task_work_add(current, &t->way, TWA_RESUME);
}

/* ---- switches ------------------------------------------------------ */

/* The run queue's lock is held, interrupts are off. */
static void sched_out(struct preempt_notifier *notifier, struct task_struct *next)
{
	struct gmprt_thread *t = container_of(notifier, struct gmprt_thread, notifier);

	if (unlikely(READ_ONCE(current->__state) == TASK_DEAD)) {
		gmprt_ends(t);
		irq_work_queue(&t->gone);
	} else if (is_other_program(t)) {
		return;
	} else if (gmprt_blocks(current)) {
		gmprt_blocked(t);
	} else if (t->alone) {
		gmprt_pauses_alone(t);
	}
}

/* No lock is held, preemption is off. */
static void sched_in(struct preempt_notifier *notifier, int cpu)
{
	struct gmprt_thread *t = container_of(notifier, struct gmprt_thread, notifier);

	if (is_other_program(t))
		gmprt_thread_stop(t);
	else if (t->slept)
		gmprt_runs_again(t);
	else if (t->alone)
		gmprt_resumes_alone(t);
}

static struct preempt_ops ops = { .sched_in = sched_in, .sched_out = sched_out };

/* ---- the beginning ------------------------------------------------- */

/*
 * The calling thread's registration; or NULL. Nobody else changes its list, but
 * other modules may have notifiers there.
 */
static struct gmprt_thread *registration(void)
{
	struct preempt_notifier *n;

	hlist_for_each_entry(n, &current->preempt_notifiers, link)
		if (n->ops == &ops)
			return container_of(n, struct gmprt_thread, notifier);
	return NULL;
}

static void begin(struct gmprt_thread *t)
{
	kref_get(&t->session->ref);
	atomic_inc(&t->session->nr_threads);
	init_task_work(&t->way, returns);
	init_irq_work(&t->gone, gone);
	INIT_WORK(&t->end, end);
	preempt_notifier_init(&t->notifier, &ops);
	WRITE_ONCE(t->slot->kflags, GMPRT_MF_REGISTERED);
	trace_gmprt_register(t->session->number, t->m, current->pid);
	preempt_disable();
	preempt_notifier_register(&t->notifier);
	preempt_enable();
}

/*
 * Of a thread that ends the number comes free in its last switch, some time after
 * pthread_join() has returned: who wants it again waits for that. 0 or -errno.
 */
static int take_number(struct gmprt_session *s, u32 m)
{
	long r = wait_event_killable_timeout(s->numbers, !test_and_set_bit_lock(m, s->taken),
					     msecs_to_jiffies(PATIENCE_MS));

	if (r > 0)
		return 0;
	return r ? -EINTR : -EBUSY;
}

int gmprt_thread_register(struct gmprt_session *s, u32 m)
{
	struct gmprt_thread *t = registration();
	int r;

	if (!m || m >= s->nr_ms)
		return -ERANGE;
	m = array_index_nospec(m, s->nr_ms);
	if (t && !is_other_program(t))
		return -EBUSY;
	if (t) /* from before an exec, and not switched since */
		leave(t, GMPRT_MF_GONE);
	r = take_number(s, m);
	if (r)
		return r;
	t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t) {
		clear_bit_unlock(m, s->taken);
		return -ENOMEM;
	}
	t->session = s;
	t->slot = &s->ms[m];
	t->m = m;
	begin(t);
	return 0;
}

void gmprt_thread_closes(void)
{
	struct gmprt_thread *t = registration();

	/* By exec, before or after it has got its mm. */
	if (t && (current->in_execve || is_other_program(t)))
		leave(t, GMPRT_MF_GONE);
}

void gmprt_threads_exit(void)
{
	if (READ_ONCE(callback_released))
		synchronize_rcu_tasks();
}

int gmprt_thread_unregister(struct gmprt_session *s)
{
	struct gmprt_thread *t = registration();

	if (!t || t->session != s)
		return -EINVAL;
	leave(t, 0);
	return 0;
}
