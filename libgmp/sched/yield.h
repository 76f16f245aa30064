/* SPDX-License-Identifier: MIT */
/*
 * yield.h - see yield.c
 */
#ifndef RT_SCHED_YIELD_H
#define RT_SCHED_YIELD_H

/* gmprt_yield() in gmprt.h. */
void rt_yield(void);

#endif
