/* SPDX-License-Identifier: MIT */
/*
 * kport.h - the words that a kernel backend and the run time share
 *
 * A P is one 64-bit word: epoch:32 | owner:24 | state:8. Whoever's
 * compare-and-swap succeeds owns it. The epoch grows each time the P changes
 * hands, so that a stale expectation never matches.
 *
 * Transitions, who may do each, and its order:
 *
 *   from     to       who                             how
 *   DEAD     IDLE     under the scheduler's lock      store
 *   IDLE     RUNNING  who took it off the idle list   cas_acqrel, epoch + 1
 *   RUNNING  IDLE     owner                           cas_acqrel
 *   RUNNING  DEAD     owner, under the lock           cas_acqrel
 *   RUNNING  BLOCKED  owner, block_enter              store_rel   (a)
 *   BLOCKED  RUNNING  the same owner, block_exit      cas_acqrel  (b)
 *   BLOCKED  IDLE     sysmon, who then gives it on    cas_acqrel, epoch + 1 (c)
 *   RUNNING  IDLE     owner in its SIGURG handler     cas_acqrel, epoch + 1 (e)
 *   RUNNING  BLOCKED  sysmon, owner sleeps in USER    cas_acqrel    (f)
 *   BLOCKED  RUNNING  sysmon, it did not; or owner    cas_acqrel
 *   IDLE     DEAD     under the lock                  store
 *   any      REVOKED  the end of a run                cas_seq, epoch + 1 (d)
 *
 * (a) publishes the P's queues to whoever takes it in (c); (b) and (c)
 * exclude each other by the compare. (d) is final but for an owner that was
 * just about to store (a): the end of a run looks again until all words stay
 * REVOKED. Then the next entry of an owner finds a word that is not its own.
 * (e) and (f): sched/preempt.c. After (f) sysmon makes all CPUs pass a barrier
 * and reads the owner's state: in USER it goes on with (c), else it turns the
 * word back. An owner that enters meanwhile turns it back itself.
 *
 * The M's slot says whether its thread touches run-time structures (RUNTIME)
 * or runs a goroutine's own code (USER). It is written by that M alone, with
 * plain stores; see sched/enter.h for what follows from it.
 */
#ifndef RT_CORE_KPORT_H
#define RT_CORE_KPORT_H

#include "base/atomic.h"

enum rt_pstate {
	RT_P_DEAD,
	RT_P_IDLE,
	RT_P_RUNNING,
	RT_P_BLOCKED,
	RT_P_REVOKED,
};

enum rt_mstate {
	RT_M_USER,    /* goroutine code, or blocked in it */
	RT_M_RUNTIME, /* inside the run time: P and queues are in use */
};

/* Owner 0 is "nobody"; slots begin at 1. */
#define RT_OWNER_MAX ((1u << 24) - 1)

static inline uint64_t rt_pword(uint32_t epoch, uint32_t owner, enum rt_pstate state)
{
	return (uint64_t)epoch << 32 | (uint64_t)(owner & RT_OWNER_MAX) << 8 | state;
}

static inline uint32_t rt_pword_epoch(uint64_t w)
{
	return (uint32_t)(w >> 32);
}

static inline uint32_t rt_pword_owner(uint64_t w)
{
	return (uint32_t)(w >> 8) & RT_OWNER_MAX;
}

static inline enum rt_pstate rt_pword_state(uint64_t w)
{
	return (enum rt_pstate)(w & 0xff);
}

/* The same with its owner blocked, or marked as such by sysmon. */
static inline uint64_t rt_pword_blocked(uint64_t w)
{
	return (w & ~(uint64_t)0xff) | RT_P_BLOCKED;
}

/* One a P. */
struct rt_pslot {
	uint64_t word;
} __cacheline;

/* One an M. */
struct rt_mslot {
	uint32_t state; /* enum rt_mstate; that M alone writes */
} __cacheline;

_Static_assert(sizeof(struct rt_pslot) == RT_CACHELINE, "a P slot is a line");
_Static_assert(sizeof(struct rt_mslot) == RT_CACHELINE, "an M slot is a line");

#endif
