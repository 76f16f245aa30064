/* SPDX-License-Identifier: MIT */
/*
 * standby.h - an idle M that waits awake for the P of one that blocks
 */
#ifndef RT_SCHED_STANDBY_H
#define RT_SCHED_STANDBY_H

#include "sched/sched.h"

/* For m, on the list of idle Ms: the P that it is to stand by for, or NULL. can: it
 * has nothing else to do, like keeping time. */
struct rt_p *rt_standby_pick_locked(struct rt_m *m, bool can);
/* m has just given p away and will be idle in a moment. */
void rt_standby_announce_locked(struct rt_m *m, struct rt_p *p);

/*
 * Waits awake. True: m holds p now, and is on no list. False: it has been given a
 * notice, or is to go on waiting asleep.
 */
bool rt_stand_by(struct rt_m *m, struct rt_p *p, int64_t until_ns);

/* The kernel has freed a P that had nothing to run; now there is something. NULL:
 * no such P. Else it is IDLE, on no list, and the caller's. */
struct rt_p *rt_p_freed_get_locked(struct rt_sched *s);

/* p is freed, has something to run, and nobody stands by. */
bool rt_standby_is_wanted(struct rt_sched *s, struct rt_p *p);

#endif
