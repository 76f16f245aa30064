/* SPDX-License-Identifier: MIT */
/*
 * poll.h - see poll.c
 */
#ifndef RT_SCHED_POLL_H
#define RT_SCHED_POLL_H

#include "sched/sched.h"

/* An M with a P looks for goroutines whose files are ready: the first, the
 * rest is in its ring; or 0. */
rt_work rt_poll_g0(struct rt_m *m);
/* The same as part of the fairness look, not more often than pays: all of them
 * into the ring. */
void rt_poll_rarely_g0(struct rt_m *m);
/* By sysmon, if nobody has polled for long. True: there were some. */
bool rt_poll_sysmon(struct rt_sched *s, int64_t now_ns);
/* Files are registered, and no M sleeps in the netpoller. */
bool rt_poll_is_due(struct rt_sched *s);

/* What a poll has found into the ring of m's P, or into the global queue. */
void rt_poll_spread_g0(struct rt_m *m, struct rt_worklist *ready);
void rt_poll_to_grq_locked(struct rt_sched *s, struct rt_worklist *ready);

/* Goroutines that wait for a file: ever, and now. */
uint64_t rt_poll_waits(struct rt_sched *s, uint64_t *now);

#endif
