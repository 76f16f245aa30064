/* SPDX-License-Identifier: MIT */
/*
 * stress.h - tests that repeat a random round until their time is over
 *
 * G_STRESS(claim) { ... } is one round, run as the main goroutine with a
 * random number of Ps. SEED= makes all that is random start from the same
 * number (the interleaving is the machine's, though); TIME= is how many
 * seconds to go on, 2 if not given. The seed is printed. A round must take
 * well under a second when all is well; one that takes a minute is a hang.
 */
#ifndef TESTS_LIB_STRESS_H
#define TESTS_LIB_STRESS_H

#include "lib/gtest.h"

/* This round's number to begin random sequences with. */
extern uint64_t g_seed;

/* Runs rounds until the time is over. */
void g_stress(const char *claim, void (*round)(void));

/* A number from 0 to n - 1. */
static inline long g_below(uint64_t *rand, long n)
{
	return (long)(g_rand(rand) % (uint64_t)n);
}

FIXTURE(stress)
{
	int unused;
};

FIXTURE_SETUP(stress)
{
}

FIXTURE_TEARDOWN(stress)
{
}

/* The harness' limit is out of the way: each round has its own. */
#define G_STRESS(claim)                                 \
	static void round_##claim(void);                \
	TEST_F_TIMEOUT(stress, claim, 1000000)          \
	{                                               \
		g_stress(#claim, round_##claim);        \
	}                                               \
	static void round_##claim(void)

#endif
