/* SPDX-License-Identifier: MIT */
/*
 * cpus.h - how many CPUs this process may use
 */
#ifndef RT_CORE_CPUS_H
#define RT_CORE_CPUS_H

/* The smallest of the CPUs in the affinity mask and the CPU limit of the
 * process' cgroup and of each ancestor (v1 and v2), rounded up; at least 1. */
int rt_cpus_usable(void);

/* The same with another root instead of "/", for tests. */
int rt_cpus_usable_under(const char *root);

#endif
