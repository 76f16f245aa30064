/* SPDX-License-Identifier: MIT */
/*
 * The clock goes forward at the kernel's pace; random numbers spread evenly
 * enough to choose victims by.
 */
#include <time.h>

#include "base/clock.h"
#include "base/rand.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

TEST(clock_never_goes_back)
{
	int64_t last = rt_now_ns();

	for (int i = 0; i < 100000; i++) {
		int64_t now = rt_now_ns();

		G_GE(now, last);
		last = now;
	}
}

TEST(clock_is_the_monotonic_one_in_ns)
{
	struct timespec before, after;
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC, &before);
	now = rt_now_ns();
	clock_gettime(CLOCK_MONOTONIC, &after);
	G_GE(now, before.tv_sec * 1000000000LL + before.tv_nsec);
	G_LE(now, after.tv_sec * 1000000000LL + after.tv_nsec);
}

TEST(units_agree)
{
	G_EQ(RT_NS_PER_SEC, 1000 * RT_NS_PER_MS);
	G_EQ(RT_NS_PER_MS, 1000 * RT_NS_PER_US);
	G_EQ(RT_NS_PER_US, 1000);
}

TEST(numbers_below_n_are_below_n_and_all_occur)
{
	uint64_t rand = 1;

	for (uint32_t n = 1; n <= 33; n++) {
		uint64_t seen = 0;

		for (int i = 0; i < 2000; i++) {
			uint32_t r = rt_rand_below(&rand, n);

			G_LT(r, n);
			seen |= 1ull << r;
		}
		G_EQ(seen, (1ull << n) - 1);
	}
	for (int i = 0; i < 1000; i++)
		G_LT(rt_rand_below(&rand, UINT32_MAX), UINT32_MAX);
}

/* 6 standard deviations of a binomial each: a good generator never gets there. */
TEST(numbers_and_their_bits_are_roughly_uniform)
{
	enum { N = 64000, BUCKETS = 16 };
	uint32_t bucket[BUCKETS] = { 0 }, pair[BUCKETS] = { 0 }, bit[32] = { 0 };
	uint64_t rand = 1;
	uint32_t last = 0;

	for (int i = 0; i < 64; i++)
		rt_rand(&rand); /* a poor seed shows for a few rounds */
	for (int i = 0; i < N; i++) {
		uint32_t r = rt_rand(&rand);

		bucket[((uint64_t)r * BUCKETS) >> 32]++;
		pair[(r >> 30) << 2 | last >> 30]++;
		for (int b = 0; b < 32; b++)
			bit[b] += r >> b & 1;
		last = r;
	}
	for (int i = 0; i < BUCKETS; i++) {
		G_LE(labs((long)bucket[i] - N / BUCKETS), 370);
		G_LE(labs((long)pair[i] - N / BUCKETS), 370);
	}
	for (int b = 0; b < 32; b++)
		G_LE(labs((long)bit[b] - N / 2), 760);
}

TEST(state_does_not_become_zero_or_come_back_soon)
{
	uint64_t rand = 1, first;

	rt_rand(&rand);
	first = rand;
	for (int i = 0; i < 200000; i++) {
		rt_rand(&rand);
		G_NE(rand, 0);
		G_NE(rand, first);
	}
}

TEST(two_states_give_two_sequences)
{
	uint64_t a = 1, b = 2;
	int same = 0;

	for (int i = 0; i < 1000; i++)
		same += rt_rand(&a) % 64 == rt_rand(&b) % 64;
	G_LE(same, 60); /* 16 by chance */
}

TEST_HARNESS_MAIN
