/* SPDX-License-Identifier: MIT */
/*
 * pq.h - a P's two queues: goroutines (runq.h) and forked tasks (forkq.h)
 *
 * Both have one line that thieves write and one that only the owner writes. They
 * share these: who looks at a P from outside, be it a thief or the kernel's side
 * at the moment its M blocks, learns from two lines whether it has anything to
 * run; and the owner's puts, of either kind, touch one line of its own.
 *
 * The first three lines lie as the ABI says (abi/gmprt_abi.h, struct
 * gmprt_abi_p from `head` on); sched.h asserts that.
 */
#ifndef RT_CORE_PQ_H
#define RT_CORE_PQ_H

#include "base/atomic.h"
#include "base/spin.h"
#include "core/work.h"

#define RT_RUNQ_SIZE  256u
#define RT_FORKQ_SIZE 256u

struct gmprt_task;

struct rt_pq {
	uint32_t head __cacheline; /* everyone, cas */
	uint32_t fork_top;         /* under fork_lock; the owner reads */
	rt_spin fork_lock;
	/* The owner writes these; thieves read. */
	uint32_t tail __cacheline;
	uint32_t fork_bottom;
	rt_work next;
	/* The kernel's side reads these (gmprt_abi.h). hint is not used: port.c has
	 * the session's set for good. wake: sched/standby.c. */
	uint32_t hint __cacheline;
	uint32_t wake;
	rt_work ring[RT_RUNQ_SIZE] __cacheline;
	struct gmprt_task *forked[RT_FORKQ_SIZE];
};

#endif
