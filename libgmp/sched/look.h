/* SPDX-License-Identifier: MIT */
/*
 * look.h - where a goroutine stands that an M runs; see look.c
 */
#ifndef RT_SCHED_LOOK_H
#define RT_SCHED_LOOK_H

#include "sched/sched.h"

/* How m was found. */
enum rt_looked {
	RT_LOOK_NOT,    /* not at all: no registers */
	RT_LOOK_RUNS,   /* its thread stands still until rt_look_away() */
	RT_LOOK_SLEEPS, /* in a system call */
	RT_LOOK_HELD,   /* preempted, waits for a P */
};

/*
 * The registers of the goroutine on m. Between this and rt_look_away() allocate
 * nothing and take no lock: the thread that stands still may hold it. Not for
 * the calling thread's own M; one caller at a time; m is kept by RCU.
 */
enum rt_looked rt_look_at(struct rt_m *m, struct rt_unwind_regs *regs);

/* Lets m go on. True: it has been where regs say all the while. */
bool rt_look_away(struct rt_m *m, enum rt_looked how, const struct rt_unwind_regs *regs);

/* In SIGURG's handler, of what the signal has interrupted. */
void rt_look_note_sig(struct rt_m *m, void *ucontext);
void rt_look_show_sig(struct rt_m *m);

#endif
