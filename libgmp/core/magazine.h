/* SPDX-License-Identifier: MIT */
/*
 * magazine.h - free objects: two magazines a P, a depot for all
 *
 * Problem: what one P allocates another often frees (a goroutine is stolen),
 * so per-P lists drift; a shared list costs a lock an object.
 *
 * So, after Bonwick: a P holds two chains of at most RT_MAG objects; when
 * both are full one goes to the depot, when both are empty one comes from
 * there. A lock in 64 operations at the worst, no chain is ever walked, and
 * the object freed last, still in the cache, is the next to be used.
 *
 * A chain may be shorter than its count says, never longer: one that was
 * flushed comes back as if it were full.
 *
 * The first two words of a free object are ours: link and, in the first of a
 * chain in the depot, the next chain. A rt_magazine belongs to its P's owner;
 * a rt_depot to whoever holds its lock.
 *
 * Rejected: urcu's lfstack for the depot: popping needs its own mutual
 * exclusion (or RCU), and a lock once in 64 does not show in any benchmark.
 */
#ifndef RT_CORE_MAGAZINE_H
#define RT_CORE_MAGAZINE_H

#include "base/spin.h"

#define RT_MAG 64u

struct rt_free {
	struct rt_free *next;
	struct rt_free *next_chain;
};

struct rt_magazine {
	struct rt_free *cur, *other;
	uint32_t nr_cur, nr_other; /* nr_other is 0 or RT_MAG */
};

struct rt_depot {
	rt_spin lock;
	struct rt_free *chains;
	uint32_t nr_chains;
};

void rt_depot_put(struct rt_depot *d, struct rt_free *chain);
/* All that m has, by its owner, for others to take. */
void rt_magazine_flush(struct rt_magazine *m, struct rt_depot *d);
struct rt_free *rt_depot_get(struct rt_depot *d);

static __always_inline_ void *rt_magazine_get(struct rt_magazine *m, struct rt_depot *d)
{
	struct rt_free *o = m->cur;

	if (unlikely(!o)) {
		if (m->other) {
			o = m->other;
			m->other = NULL;
			m->nr_other = 0;
		} else {
			o = rt_depot_get(d);
			if (!o)
				return NULL;
		}
		m->nr_cur = RT_MAG;
	}
	m->cur = o->next;
	m->nr_cur--;
	return o;
}

static __always_inline_ void rt_magazine_put(struct rt_magazine *m, struct rt_depot *d, void *obj)
{
	struct rt_free *o = obj;

	if (unlikely(m->nr_cur == RT_MAG)) {
		if (m->other)
			rt_depot_put(d, m->other);
		m->other = m->cur;
		m->nr_other = RT_MAG;
		m->cur = NULL;
		m->nr_cur = 0;
	}
	o->next = m->cur;
	m->cur = o;
	m->nr_cur++;
}

#endif
