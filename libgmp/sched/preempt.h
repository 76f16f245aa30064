/* SPDX-License-Identifier: MIT */
/*
 * preempt.h - an M that loses its P while it runs a goroutine; see preempt.c
 */
#ifndef RT_SCHED_PREEMPT_H
#define RT_SCHED_PREEMPT_H

#include "base/clock.h"
#include "sched/sched.h"

/* An M may run on its CPU for so long without a P before sysmon asks it to stop. */
#define RT_ALONE_NS (2 * RT_NS_PER_MS)

/* Once a process: the handler of SIGURG. */
void rt_preempt_install(void);

/* sysmon's part. Looks at a P that is held. True: the goroutine that runs, or is
 * in brackets, there has had its slice and another waits: look again soon. */
bool rt_preempt_watch(struct rt_sched *s, struct rt_p *p, int64_t now_ns);
/* Looks at a P that is not held: is it on its way for too long? */
void rt_preempt_watch_way(struct rt_sched *s, struct rt_p *p, int64_t now_ns);
/* Queues the goroutines of Ms that wait in the handler. True: there were any. */
bool rt_preempt_take_held(struct rt_sched *s);
/* Looks after Ms that went on without their P. */
void rt_preempt_watch_lost(struct rt_sched *s, int64_t now_ns);
/* No thread can be had: gives an idle P to an M that sleeps and can run one
 * goroutine only, its own. */
void rt_preempt_rescue(struct rt_sched *s);

/* m has lost its P and is at a call into the run time: waits until it has one
 * again. False: the run has ended. */
bool rt_preempt_regain(struct rt_m *m);

/* At the end of a run: those that wait for a P go on without. */
void rt_preempt_release_all(struct rt_sched *s);

#endif
