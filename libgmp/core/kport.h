/* SPDX-License-Identifier: MIT */
/*
 * kport.h - the words that a kernel backend and the run time share
 *
 * A P is one 64-bit word: epoch:32 | owner:24 | state:8. Its states, and the
 * table of transitions with its notes (a) to (h), are those of the ABI:
 * abi/gmprt_abi.h. Nothing is FREED where no backend in the kernel is attached.
 *
 * The M's slot says whether its thread touches run-time structures (RUNTIME)
 * or runs a goroutine's own code (USER). It is written by that M alone, with
 * plain stores; see sched/enter.h for what follows from it.
 */
#ifndef RT_CORE_KPORT_H
#define RT_CORE_KPORT_H

#include "abi/gmprt_abi.h"
#include "base/atomic.h"

enum rt_pstate {
	RT_P_DEAD = GMPRT_P_DEAD,
	RT_P_IDLE = GMPRT_P_IDLE,
	RT_P_RUNNING = GMPRT_P_RUNNING,
	RT_P_BLOCKED = GMPRT_P_BLOCKED,
	RT_P_REVOKED = GMPRT_P_REVOKED,
	RT_P_FREED = GMPRT_P_FREED,
};

enum rt_mstate {
	RT_M_USER = GMPRT_M_USER,
	RT_M_RUNTIME = GMPRT_M_RUNTIME,
};

/* Owner 0 is "nobody"; slots begin at 1. */
#define RT_OWNER_MAX GMPRT_ABI_OWNER_MAX

static inline uint64_t rt_pword(uint32_t epoch, uint32_t owner, enum rt_pstate state)
{
	return gmprt_abi_word(epoch, owner, state);
}

static inline uint32_t rt_pword_epoch(uint64_t w)
{
	return gmprt_abi_epoch(w);
}

static inline uint32_t rt_pword_owner(uint64_t w)
{
	return gmprt_abi_owner(w);
}

static inline enum rt_pstate rt_pword_state(uint64_t w)
{
	return (enum rt_pstate)gmprt_abi_state(w);
}

/* The same with its owner blocked, or marked as such by sysmon. */
static inline uint64_t rt_pword_blocked(uint64_t w)
{
	return gmprt_abi_with_state(w, RT_P_BLOCKED);
}

/* The same, freed by the kernel. */
static inline uint64_t rt_pword_freed(uint64_t w)
{
	return gmprt_abi_with_state(w, RT_P_FREED);
}

/* One a P. */
struct rt_pslot {
	uint64_t word;
} __cacheline;

_Static_assert(RT_CACHELINE == GMPRT_ABI_LINE, "the ABI's slots are of our lines");
_Static_assert(sizeof(struct rt_pslot) == RT_CACHELINE, "a P slot is a line");

#endif
