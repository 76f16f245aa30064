/* SPDX-License-Identifier: MIT */
/*
 * gstorm.h - blocking calls that need a thread each, all at the same time
 */
#ifndef TESTS_LIB_GSTORM_H
#define TESTS_LIB_GSTORM_H

#include "lib/gcheck.h"

struct g_storm {
	gmprt_wg wg;
	long size, inside;
};

/* Until all are inside. */
static inline void g_storm_blocks(void *arg)
{
	struct g_storm *s = arg;

	gmprt_block_enter();
	g_inc(&s->inside);
	while (g_load(&s->inside) < s->size)
		g_nap(G_MS);
	gmprt_block_exit();
	gmprt_wg_done(&s->wg);
}

/* n goroutines; returns when all are through. */
static inline void g_storm(long n)
{
	static struct g_storm s; /* one that is just done still touches it */

	s.size = n;
	g_store(&s.inside, 0);
	gmprt_wg_add(&s.wg, n);
	for (long i = 0; i < n; i++)
		g_go(g_storm_blocks, &s);
	gmprt_wg_wait(&s.wg);
	G_GE(g_stats().nr_threads_peak, n);
}

#endif
