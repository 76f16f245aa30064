/* SPDX-License-Identifier: MIT */
/*
 * nap.h - what sysmon sleeps on
 */
#ifndef RT_SCHED_NAP_H
#define RT_SCHED_NAP_H

#include "sched/sched.h"

/* Before sysmon begins, after it has ended, in the child of fork(). */
void rt_nap_open(struct rt_sched *s);
void rt_nap_close(void);
void rt_nap_forked(void);

/* Read before looking for what there is to do. */
uint32_t rt_nap_word(void);
/* Sleeps while the word is that, until rt_sysmon_wake() or a time. True: the
 * kernel has freed a P for which nobody stands by. */
bool rt_nap(struct rt_sched *s, uint32_t word, int64_t until);
/* The same where no P is held. False: the time has come. */
bool rt_nap_deep(uint32_t word, int64_t until);

#endif
