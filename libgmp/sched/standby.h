/* SPDX-License-Identifier: MIT */
/*
 * standby.h - an idle M that waits awake for the P of one that blocks
 */
#ifndef RT_SCHED_STANDBY_H
#define RT_SCHED_STANDBY_H

#include "sched/sched.h"

/* For m, on the list of idle Ms: the P that it is to stand by for, or NULL. */
struct rt_p *rt_standby_pick_locked(struct rt_m *m);

/*
 * Waits awake. True: m holds p now, and is on no list. False: it has been given a
 * notice, or is to go on waiting asleep.
 */
bool rt_stand_by(struct rt_m *m, struct rt_p *p, int64_t until_ns);

#endif
