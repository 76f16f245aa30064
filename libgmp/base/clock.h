/* SPDX-License-Identifier: MIT */
/*
 * clock.h - CLOCK_MONOTONIC in ns, and the CPU's own counter for differences
 */
#ifndef RT_BASE_CLOCK_H
#define RT_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define RT_NS_PER_SEC 1000000000LL
#define RT_NS_PER_MS  1000000LL
#define RT_NS_PER_US  1000LL

static inline int64_t rt_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * RT_NS_PER_SEC + t.tv_nsec;
}

#endif
