/* SPDX-License-Identifier: MIT */
/*
 * cpus.h - how many CPUs this process may use
 */
#ifndef RT_CORE_CPUS_H
#define RT_CORE_CPUS_H

/* The smallest of the CPUs in the affinity mask and the CPU limit of the
 * process' cgroup and of each ancestor (v1 and v2), rounded up; at least 1. */
int rt_cpus_usable(void);

/* The same; or -errno if something could not be read, for a reason that may
 * pass (-EMFILE): then it is not known now. */
int rt_cpus_usable_now(void);

/* The same with another root instead of "/", for tests. */
int rt_cpus_usable_under(const char *root);

#endif
