/* SPDX-License-Identifier: MIT */
/*
 * point.c - see point.h
 *
 * Mostly short: a race needs another CPU, which is some 10 ns away, seldom
 * one that has to be woken. Async-signal-safe, and keeps errno.
 */
#include "base/point.h"

#ifdef RT_POINTS

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rand.h"

static __thread uint64_t rng; /* used in this file only, which never switches */
static uint64_t threads;

static uint64_t seed(void)
{
	const char *s = getenv("GMPRT_POINTS");

	return (s ? strtoull(s, NULL, 0) : 1) * 0x9E3779B97F4A7C15u +
	       fetch_add_rlx(&threads, 2) + 1;
}

__noinline void rt_point(void)
{
	int saved = errno;
	uint32_t dice;

	if (!rng)
		rng = seed() | 1;
	dice = rt_rand_below(&rng, 4096);
	if (dice < 2)
		nanosleep(&(struct timespec){ .tv_nsec = rt_rand_below(&rng, 200000) }, NULL);
	else if (dice < 40)
		sched_yield();
	else if (dice < 500)
		for (uint32_t i = rt_rand_below(&rng, 200); i; i--)
			cpu_relax();
	errno = saved;
}

#endif
