/* SPDX-License-Identifier: MIT */
/*
 * spin.h - the lock of short sections: one word, one atomic
 *
 * Problem: a channel operation is 15 ns; a futex mutex would double it with
 * the atomic its unlock needs to find sleepers.
 *
 * So: 0 free, 1 held. lock = compare-and-swap (acquire), unlock = a plain
 * release store, which the context switch can also make after it has left the
 * stack (see core/ctx.h). Waiters spin with growing pauses, then sched_yield,
 * then sleep 50 us at a time: the holder may be preempted, or of lower
 * real-time priority.
 *
 * An M that runs goroutines holds one only in state RUNTIME (sched/enter.h):
 * its P can't be taken meanwhile, so a waiter never waits for an M that waits
 * for the waiter's P.
 *
 * The pauses are long on purpose. When two CPUs fight for a word, each
 * transfer of its line costs 60 to 150 ns; a waiter that stays away for a
 * microsecond lets the holder do dozens of operations on a line it owns.
 *
 * Rejected: ticket and MCS locks (fair, so each operation pays the transfer);
 * pthread_mutex (two atomics, and no unlock by the switch).
 */
#ifndef RT_BASE_SPIN_H
#define RT_BASE_SPIN_H

#include "base/atomic.h"

typedef struct {
	uint32_t word;
} rt_spin;

void rt_spin_lock_slow(rt_spin *l);

static __always_inline_ bool rt_spin_trylock(rt_spin *l)
{
	return cas_acq(&l->word, 0, 1);
}

static __always_inline_ void rt_spin_lock(rt_spin *l)
{
	if (unlikely(!rt_spin_trylock(l)))
		rt_spin_lock_slow(l);
}

static __always_inline_ void rt_spin_unlock(rt_spin *l)
{
	store_rel(&l->word, 0); /* pairs with cas_acq in trylock */
}

/*
 * One round of waiting for another CPU: call with *round = 0 first. Spins,
 * then yields the CPU, then sleeps.
 */
void rt_backoff(unsigned int *round);

#endif
