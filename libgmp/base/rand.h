/* SPDX-License-Identifier: MIT */
/*
 * rand.h - cheap random numbers for victims and cases (Marsaglia's xorshift)
 *
 * Not for secrets. A state is one word with one user, never 0.
 */
#ifndef RT_BASE_RAND_H
#define RT_BASE_RAND_H

#include <stdint.h>

static inline uint32_t rt_rand(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return (uint32_t)(x >> 32);
}

/* Uniform in 0..n-1 (to within n / 2^32). */
static inline uint32_t rt_rand_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)(((uint64_t)rt_rand(state) * n) >> 32);
}

#endif
