/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * session.h - a session: one process, and memory that it shares with us
 *
 * Private state decides. How many Ps and Ms there are and where they lie is known
 * from here, not from the head that the client can write; of the shared memory the
 * kernel reads words to compare, and one number, of a P, that is looked up with
 * the private bound.
 *
 * No lock is taken in a switch. What a thread is lies in its own struct
 * gmprt_thread, which only that thread touches; a P changes hands by
 * compare-and-swap; who waits is woken by irq_work.
 */
#ifndef GMPRT_KMOD_SESSION_H
#define GMPRT_KMOD_SESSION_H

#include <linux/atomic.h>
#include <linux/irq_work.h>
#include <linux/kref.h>
#include <linux/nospec.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "abi/gmprt_abi.h"
#include "abi/gmprt_kmod.h"

struct mm_struct;
struct seq_file;
struct vm_area_struct;

#define GMPRT_FEATURES (GMPRT_F_HOLD | GMPRT_F_WAKE)

struct gmprt_session {
	struct kref ref;             /* the file's, and one for each thread */
	struct mm_struct *mm;        /* a reference; compared, never looked into */
	struct gmprt_abi_head *head; /* the shared memory */
	struct gmprt_abi_m *ms;      /* in it */
	size_t bytes;
	u32 nr_ps, nr_ms, p_first, p_stride; /* the bounds: never read from the head */
	u32 number;
	kuid_t uid;
	pid_t pid;
	unsigned long *taken;      /* M numbers that threads have; atomic bits */
	wait_queue_head_t numbers; /* one is free again */
	atomic_t nr_threads;

	atomic_t nr_wakes; /* since the last read */
	wait_queue_head_t wait;
	struct irq_work wake;

	struct list_head all; /* the lock of session.c */
	struct work_struct end;
};

int gmprt_sessions_init(void);
void gmprt_sessions_exit(void);
unsigned int gmprt_sessions_most(void);

struct gmprt_session *gmprt_session_new(const struct gmprt_kmod_create *c);
int gmprt_session_map(struct gmprt_session *s, struct vm_area_struct *vma);
/* Not in a switch. The last one leaves the rest to a work queue. */
void gmprt_session_put(struct gmprt_session *s);
/* From any context. */
void gmprt_session_wake(struct gmprt_session *s);

/* A line for each session and each thread. */
void gmprt_sessions_show(struct seq_file *seq);

/* For what must sleep, and be over before the module goes. */
extern struct workqueue_struct *gmprt_wq;

/* p comes from the client's memory. NULL: there is no such P. */
static inline struct gmprt_abi_p *gmprt_p(const struct gmprt_session *s, u32 p)
{
	if (p >= s->nr_ps)
		return NULL;
	p = array_index_nospec(p, s->nr_ps);
	return (struct gmprt_abi_p *)s->head + s->p_first + (size_t)p * s->p_stride;
}

#endif
