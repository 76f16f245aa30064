/* SPDX-License-Identifier: MIT */
/*
 * timers.h - goroutines that have nothing but a timer, and checks of a heap;
 * for the tests of core/timers.c
 */
#ifndef TESTS_UNIT_TIMERS_H
#define TESTS_UNIT_TIMERS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "base/sys.h"
#include "core/g.h"
#include "core/timers.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

#define MANY 1000

static struct rt_g g[MANY];

static inline uint64_t seeded(void)
{
	const char *seed = getenv("SEED");
	uint64_t rand = (seed ? strtoull(seed, NULL, 0) : (uint64_t)g_now()) | 1;

	printf("# SEED=%llu\n", (unsigned long long)rand);
	return rand;
}

static inline void arm(struct rt_timers *ts, uint32_t i, int64_t when)
{
	g[i].claim = RT_CLAIM_ARMED;
	G_OK(rt_timer_add(ts, &g[i], when));
}

static struct rt_timer *timer_of(struct rt_timer_node n)
{
	return (struct rt_timer *)(n.ref & ~(rt_timer_ref)1);
}

/* The heap's order, its count of dead nodes and its next_ns. */
static inline void check_heap(struct rt_timers *ts)
{
	uint32_t nr_dead = ts->nr;
	int64_t next = INT64_MAX;

	for (uint32_t i = 0; i < ts->nr; i++) {
		struct rt_timer *t = timer_of(ts->node[i]);

		if (i)
			G_LE(ts->node[(i - 1) / 4].when_ns, ts->node[i].when_ns);
		if (t->heap != ts || t->key_ns != ts->node[i].when_ns || !t->when_ns)
			continue;
		G_LE(t->key_ns, t->when_ns);
		next = t->when_ns < next ? t->when_ns : next;
		nr_dead--;
	}
	/* Of nodes with the same key only one is the timer's: count no less. */
	G_LE(nr_dead, ts->nr_dead);
	G_LE(ts->nr_dead, ts->nr);
	G_TRUE(ts->nr_dead <= 64 || ts->nr_dead <= ts->nr / 4 + 1);
	G_LE(rt_timers_next(ts), next);
	G_EQ(rt_timers_next(ts), ts->nr ? ts->node[0].when_ns : INT64_MAX);
	G_TRUE(!ts->node || (uintptr_t)&ts->node[1] % RT_CACHELINE == 0);
}

/* The number of the only one that is due, or -1. */
static int one(struct rt_timers *ts, int64_t now)
{
	rt_timer_ref fired;
	struct rt_g *r;

	if (!rt_timers_expire(ts, now, &fired, 1))
		return -1;
	r = rt_fired_g(fired);
	G_EQ(r->wake_result, -ETIMEDOUT);
	G_TRUE(!r->wake);
	G_EQ(r->claim, RT_CLAIM_CLAIMED);
	G_TRUE(!r->timer.heap);
	G_EQ(r->timer.when_ns, 0);
	return (int)(r - g);
}

/* The same, though dead ones may come first. */
static inline int next_one(struct rt_timers *ts, int64_t now)
{
	int i = -1;

	while (rt_timers_next(ts) <= now && (i = one(ts, now)) < 0)
		;
	return i;
}

#endif
