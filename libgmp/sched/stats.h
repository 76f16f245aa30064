/* SPDX-License-Identifier: MIT */
/*
 * stats.h - see stats.c
 */
#ifndef RT_SCHED_STATS_H
#define RT_SCHED_STATS_H

#include <gmprt.h>
#include <stdbool.h>

struct rt_sched;

/* All of *t but size. The caller keeps s alive. */
void rt_stats_sum(struct rt_sched *s, struct gmprt_stats *t);
/* At the end of a run, and what was kept then (false: no run has ended). */
void rt_stats_keep(struct rt_sched *s);
bool rt_stats_last(struct gmprt_stats *t);
/* Around fork(): nobody else is at what was kept. */
void rt_stats_lock(void);
void rt_stats_unlock(void);

#endif
