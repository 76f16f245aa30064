/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - what differs between kernels, by the version that brought it
 *
 *   6.3   vm_flags_set() and _clear(); before, the field was written
 *   6.12  a task that blocks may stay on the run queue for a while, to be taken off
 *         later (se.sched_delayed); task_is_runnable() knows
 *   7.2   a task that blocks on a mutex may stay there to lend its turn to the
 *         mutex's owner (proxy execution); is_blocked says that it blocks
 *
 * Older than 6.1 is not tried.
 */
#ifndef GMPRT_KMOD_COMPAT_H
#define GMPRT_KMOD_COMPAT_H

#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "gmprt needs Linux 6.1 or later"
#endif

/*
 * Is current being switched out because it blocks, and not because another thread is
 * to have its CPU? Asked in its switch, with the run queue's lock held.
 *
 * Not by __state: who is preempted between setting that and schedule() has not
 * blocked yet, and may never do; on -rt that is hundreds in a minute.
 */
static inline bool gmprt_blocks(const struct task_struct *t)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
	return t->is_blocked || !task_is_runnable((struct task_struct *)t);
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	return !task_is_runnable((struct task_struct *)t);
#else
	return !t->on_rq;
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_mod(struct vm_area_struct *vma, vm_flags_t set, vm_flags_t clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#endif

#endif
