/* SPDX-License-Identifier: MIT */
/*
 * stack.h - stacks: address space by the thousand, memory by the touch
 *
 * A stack is a slot of 2^class bytes in an arena (one mapping of many slots,
 * aligned to the slot's size, so that slot and G find each other by masking):
 *
 *	slot                                                  slot + size
 *	| guard | ............ stack, grows down <- | G | colour |
 *
 * Invariants
 *  - The guard is installed before the slot is used the first time and stays
 *    for good: running over the end faults, always (api/overflow.c reports).
 *  - A slot that was never used has no memory. `used` of an arena only grows.
 *  - Arenas stay mapped until the end of the run and are only added, so
 *    rt_stacks_each() needs no lock; a G whose id is 0 is free.
 *
 * Colour: all Gs at the same offset of their pages would fight for the same
 * few sets of the L1 cache, so slot i begins (i mod 16) lines lower.
 *
 * The guard is MADV_GUARD_INSTALL (Linux 6.13): page-table entries, not a
 * mapping, so a million stacks don't hit vm.max_map_count. Before that it is
 * PROT_NONE, which ends at about 32,000 stacks; rt_stack_get() fails then, and
 * goroutines wait for a stack to come free.
 *
 * 16 KiB of guard where the stack is big enough for it: C compilers step over
 * one page with a large array more easily than over four.
 *
 * Free stacks: magazines per P (default class), one depot a class. A chain
 * that lay in the depot for RT_STACK_IDLE_NS gives its memory back; such
 * "cold" slots are kept by address, as their Gs are gone with the page.
 *
 * Where no more can be had, that is believed for RT_STACK_NONE_NS: each attempt is
 * a dozen system calls, and there may be half a million goroutines that ask.
 *
 * Rejected: one mmap a stack (a VMA each, 65,530 at most; 2 us each);
 * growing by copying (C has pointers into stacks); huge pages (turned off: one
 * touch would commit 2 MiB).
 */
#ifndef RT_CORE_STACK_H
#define RT_CORE_STACK_H

#include "core/g.h"
#include "core/magazine.h"

#define RT_STACK_CLASS_MIN 14 /* 16 KiB */
#define RT_STACK_CLASS_MAX 30 /* 1 GiB */
#define RT_STACK_CLASS_DEFAULT 18 /* 256 KiB */
#define RT_STACK_IDLE_NS (1000 * 1000 * 1000LL)
#define RT_STACK_NONE_NS (5 * 1000 * 1000LL)

struct rt_arena {
	struct rt_arena *next;
	char *base;      /* the first slot */
	void *map;       /* what was mapped, with the part lost to alignment */
	size_t map_bytes;
	uint32_t nr;     /* slots */
	uint32_t used;   /* slots ever carved */
};

struct rt_stack_class {
	struct rt_depot depot;
	rt_spin lock;                /* of all below; arenas: read without it */
	struct rt_arena *arenas;     /* newest first */
	struct rt_magazine shared;   /* Gs put back without a P */
	struct rt_g **cold;          /* slots whose memory was given back */
	uint32_t nr_cold, max_cold;
	int64_t none_until_ns;       /* an attempt to map more failed just now */
	bool warned;
};

struct rt_stacks {
	struct rt_stack_class class[RT_STACK_CLASS_MAX + 1];
};

/* The class for a stack of at least `bytes`; -1: over 1 GiB. */
int rt_stack_class(size_t bytes);

static inline size_t rt_stack_bytes(uint32_t class)
{
	return (size_t)1 << class;
}

size_t rt_stack_guard_bytes(uint32_t class);

/* Lowest address g's stack may use, and the address below the guard's start. */
static inline char *rt_g_slot(const struct rt_g *g)
{
	return (char *)((uintptr_t)g & ~(rt_stack_bytes(g->class) - 1));
}

static inline char *rt_g_stack_lo(const struct rt_g *g)
{
	return rt_g_slot(g) + rt_stack_guard_bytes(g->class);
}

/*
 * A dead G with its stack: from m (NULL: none), the depot, cold slots, or a
 * new slot. NULL: no address space, no memory or no mapping left.
 */
struct rt_g *rt_stack_get_slow(struct rt_stacks *st, uint32_t class, struct rt_magazine *m);

static __always_inline_ struct rt_g *rt_stack_get(struct rt_stacks *st, uint32_t class,
						  struct rt_magazine *m)
{
	if (likely(m && m->cur))
		return rt_magazine_get(m, &st->class[class].depot);
	return rt_stack_get_slow(st, class, m);
}

/* g is dead and its stack left, or about to be by the caller, who owns m. */
static __always_inline_ void rt_stack_put(struct rt_stacks *st, struct rt_magazine *m,
					  struct rt_g *g)
{
	rt_magazine_put(m, &st->class[g->class].depot, g);
}

/* Without a magazine (other classes). */
void rt_stack_put_shared(struct rt_stacks *st, struct rt_g *g);

/* Gives back the memory of what has been free for long. From sysmon. True:
 * there is more that may become old. */
bool rt_stacks_scavenge(struct rt_stacks *st, int64_t now_ns);

/* Of dead Gs, from first to last: gives back all but the first page. The
 * caller keeps others off. */
void rt_stack_trim_chain(struct rt_free *chain);

/* fn(g, arg) for each G with a stack that is alive. Any thread. */
void rt_stacks_each(struct rt_stacks *st, void (*fn)(struct rt_g *, void *), void *arg);

void rt_stacks_count(struct rt_stacks *st, uint64_t *nr, uint64_t *reserved_bytes);

/* Nobody uses the stacks any more. */
void rt_stacks_free(struct rt_stacks *st);

#endif
