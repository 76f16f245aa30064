/* SPDX-License-Identifier: MIT */
/*
 * magazine.c - the depot's side of magazine.h
 */
#include "core/magazine.h"

void rt_depot_put(struct rt_depot *d, struct rt_free *chain)
{
	rt_spin_lock(&d->lock);
	chain->next_chain = d->chains;
	d->chains = chain;
	store_rlx(&d->nr_chains, d->nr_chains + 1);
	rt_spin_unlock(&d->lock);
}

void rt_magazine_flush(struct rt_magazine *m, struct rt_depot *d)
{
	if (m->cur)
		rt_depot_put(d, m->cur);
	if (m->other)
		rt_depot_put(d, m->other);
	*m = (struct rt_magazine){ 0 };
}

struct rt_free *rt_depot_get(struct rt_depot *d)
{
	struct rt_free *chain;

	if (!load_rlx(&d->nr_chains))
		return NULL;
	rt_spin_lock(&d->lock);
	chain = d->chains;
	if (chain) {
		d->chains = chain->next_chain;
		store_rlx(&d->nr_chains, d->nr_chains - 1);
	}
	rt_spin_unlock(&d->lock);
	return chain;
}
