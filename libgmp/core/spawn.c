/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - slabs of descriptors; see spawn.h
 */
#include "core/spawn.h"

#include "base/sys.h"

/* Under pool->lock. */
static struct rt_spawn *carve_locked(struct rt_spawn_pool *pool)
{
	struct rt_slab *slab = pool->slabs;

	if (!slab || pool->nr_carved == ARRAY_SIZE(slab->spawns)) {
		slab = rt_map(sizeof(*slab));
		if (!slab)
			return NULL;
		slab->next = pool->slabs;
		pool->nr_carved = 0;
		store_rel(&pool->slabs, slab); /* pairs with load_acq in each */
	}
	return &slab->spawns[pool->nr_carved++];
}

/* Under pool->lock. Into an empty magazine, one chain's worth. */
static struct rt_spawn *refill_locked(struct rt_spawn_pool *pool, struct rt_magazine *m)
{
	for (uint32_t i = 0; i < RT_MAG; i++) {
		struct rt_spawn *s = carve_locked(pool);

		if (!s)
			break;
		rt_magazine_put(m, &pool->depot, s);
	}
	return m->cur ? rt_magazine_get(m, &pool->depot) : NULL;
}

struct rt_spawn *rt_spawn_get_slow(struct rt_spawn_pool *pool, struct rt_magazine *m)
{
	struct rt_spawn *s = rt_magazine_get(m, &pool->depot);

	if (s)
		return s;
	rt_spin_lock(&pool->lock);
	s = refill_locked(pool, m);
	rt_spin_unlock(&pool->lock);
	return s;
}

struct rt_spawn *rt_spawn_get_shared(struct rt_spawn_pool *pool)
{
	struct rt_spawn *s;

	rt_spin_lock(&pool->lock);
	s = rt_magazine_get(&pool->shared, &pool->depot);
	if (!s)
		s = refill_locked(pool, &pool->shared);
	rt_spin_unlock(&pool->lock);
	return s;
}

void rt_spawn_each(struct rt_spawn_pool *pool, void (*fn)(struct rt_spawn *, void *), void *arg)
{
	/* Descriptors beyond nr_carved read as id 0. */
	for (struct rt_slab *slab = load_acq(&pool->slabs); slab; slab = slab->next)
		for (size_t i = 0; i < ARRAY_SIZE(slab->spawns); i++)
			if (load_acq(&slab->spawns[i].id))
				fn(&slab->spawns[i], arg);
}

void rt_spawn_pool_free(struct rt_spawn_pool *pool)
{
	while (pool->slabs) {
		struct rt_slab *slab = pool->slabs;

		pool->slabs = slab->next;
		for (size_t i = 0; i < ARRAY_SIZE(slab->spawns); i++)
			if (slab->spawns[i].id)
				rt_free(slab->spawns[i].name);
		rt_unmap(slab, sizeof(*slab));
	}
}
