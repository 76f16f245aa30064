/* SPDX-License-Identifier: MIT */
/*
 * spawn.h - a goroutine that has not begun: one cache line, no stack
 *
 * Problem: a program that spawns a million goroutines which run one after
 * another must not commit a million stacks.
 *
 * So gmprt_go() makes only this: what to run, and who it is. When it is
 * picked, the M gives it a stack (often the one that the goroutine before it
 * left, still warm) and the descriptor is free again.
 *
 * Descriptors come from slabs that live until the end of the run and are only
 * added to, so that a dump can walk them at any time without a lock: id != 0
 * means in use, and is written last at birth and first at death. A reader may
 * see a mixture of two lives of one descriptor; never anything else's memory.
 */
#ifndef RT_CORE_SPAWN_H
#define RT_CORE_SPAWN_H

#include "core/magazine.h"
#include "core/work.h"

struct rt_spawn {
	struct rt_link link;
	void *next_chain_; /* magazine.h's, while free */
	uint64_t id;       /* 0: free */
	void (*fn)(void *);
	void *arg;
	char *name;        /* owned, RT_NAME_BYTES; NULL: none */
	uint32_t class;    /* stack class, core/stack.h */
} __cacheline;

_Static_assert(sizeof(struct rt_spawn) == 64, "one line, or a million spawns cost two");

struct rt_slab {
	struct rt_slab *next;
	struct rt_spawn spawns[1023];
} __cacheline;

struct rt_spawn_pool {
	struct rt_depot depot;
	rt_spin lock;          /* of what follows */
	struct rt_slab *slabs; /* read by dumps without the lock */
	uint32_t nr_carved;    /* of the newest slab */
	struct rt_magazine shared; /* for threads without a P */
};

/* From m, the depot, or a slab. NULL: out of memory. */
struct rt_spawn *rt_spawn_get_slow(struct rt_spawn_pool *pool, struct rt_magazine *m);

static __always_inline_ struct rt_spawn *rt_spawn_get(struct rt_spawn_pool *pool,
						      struct rt_magazine *m)
{
	if (likely(m->cur))
		return rt_magazine_get(m, &pool->depot);
	return rt_spawn_get_slow(pool, m);
}

static __always_inline_ void rt_spawn_put(struct rt_spawn_pool *pool, struct rt_magazine *m,
					  struct rt_spawn *s)
{
	store_rlx(&s->id, 0);
	rt_magazine_put(m, &pool->depot, s);
}

/* For a thread that holds no P. */
struct rt_spawn *rt_spawn_get_shared(struct rt_spawn_pool *pool);

/* Calls fn for each descriptor in use. Any thread; see the file's top. */
void rt_spawn_each(struct rt_spawn_pool *pool, void (*fn)(struct rt_spawn *, void *), void *arg);

/* Nobody uses the pool any more. */
void rt_spawn_pool_free(struct rt_spawn_pool *pool);

#endif
