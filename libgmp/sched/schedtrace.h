/* SPDX-License-Identifier: MIT */
/*
 * schedtrace.h - Go's SCHED line on stderr; see schedtrace.c
 */
#ifndef RT_SCHED_SCHEDTRACE_H
#define RT_SCHED_SCHEDTRACE_H

#include "sched/sched.h"

/* From sysmon: prints if a period has passed. */
void rt_schedtrace(struct rt_sched *s, int64_t now_ns);

#endif
