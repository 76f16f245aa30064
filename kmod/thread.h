/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * thread.h - a registered thread: an M
 *
 * Only the thread itself touches what is in here: in its calls, in the switches away
 * from it and to it, on its way to user mode. So nothing is locked. The exception is
 * the end, when it runs no more.
 */
#ifndef GMPRT_KMOD_THREAD_H
#define GMPRT_KMOD_THREAD_H

#include <linux/irq_work.h>
#include <linux/preempt.h>
#include <linux/task_work.h>
#include <linux/workqueue.h>

#include "session.h"

struct gmprt_thread {
	struct preempt_notifier notifier;
	struct gmprt_session *session; /* a reference */
	struct gmprt_abi_m *slot;
	u32 m;
	bool slept;               /* it blocked in goroutine code, and has not run since */
	bool on_the_way;          /* `way` is queued */
	bool left;                /* not registered any more: `way` frees this */
	u64 alone;                /* its run time as it came back without a P, and not 0; or 0 */
	struct callback_head way; /* runs as it returns to user mode */
	struct irq_work gone;
	struct work_struct end;
};

int gmprt_thread_register(struct gmprt_session *s, u32 m);
int gmprt_thread_unregister(struct gmprt_session *s);
/* The calling thread closes a file of ours, maybe because it calls exec. */
void gmprt_thread_closes(void);
/* When there are none any more: nor is code of theirs run. */
void gmprt_threads_exit(void);
/* Before it runs in user mode again gmprt_thread_returns() is called. */
void gmprt_thread_stop(struct gmprt_thread *t);

#endif
