/* SPDX-License-Identifier: MIT */
/*
 * rcu.h - liburcu's "bulletproof" flavour, with its order told to TSan
 *
 * bp, because readers are threads of any kind, which never register. It is
 * used where nothing is hot: the list of Ms, and threads that are no Ms
 * reaching the scheduler. TSan does not see into liburcu, so the one edge that
 * RCU promises, from the end of a reader to the end of the grace period, is
 * told by hand.
 */
#ifndef RT_BASE_RCU_H
#define RT_BASE_RCU_H

#include <urcu-bp.h>

#include "base/san.h"

extern char rt_rcu_tag;

static inline void rt_rcu_read_lock(void)
{
	rcu_read_lock();
}

static inline void rt_rcu_read_unlock(void)
{
	rt_san_release(&rt_rcu_tag);
	rcu_read_unlock();
}

static inline void rt_rcu_wait(void)
{
	synchronize_rcu();
	rt_san_acquire(&rt_rcu_tag);
}

/* Around fork(): in between nobody registers or waits, and the calling thread
 * gets no signals. In the child the readers that are gone are struck off. */
static inline void rt_rcu_before_fork(void)
{
	urcu_bp_before_fork();
}

static inline void rt_rcu_after_fork_parent(void)
{
	urcu_bp_after_fork_parent();
}

static inline void rt_rcu_after_fork_child(void)
{
	urcu_bp_after_fork_child();
}

#endif
