/* SPDX-License-Identifier: MIT */
/*
 * api.h - what this layer's files know of each other
 */
#ifndef RT_API_API_H
#define RT_API_API_H

#include "base/unwind.h"
#include "sched/sched.h"

/* Stack overflows are reported from now on (overflow.c). Once a process. */
void rt_overflow_install(void);

/* SIGQUIT dumps from here to there (quit.c). */
void rt_quit_arm(void);
void rt_quit_disarm(void);

/* gmprt_dump() for the library's own reports: on the reporter's stack it is not
 * taken for what the user called (dump.c). */
void rt_dump_report(int fd);

/* g's stack, which has overflowed and stands still, as text to fd: the inner end
 * and the outer one (dump.c). Once a process. */
void rt_dump_overflow(int fd, struct rt_sched *s, struct rt_g *g,
		      const struct rt_unwind_regs *regs);

#endif
