/* SPDX-License-Identifier: MIT */
/*
 * The claim: of all events that may wake a goroutine one does, and none before
 * it has left its stack. And each wait has a name for dumps.
 */
#include <pthread.h>

#include "base/spin.h"
#include "core/g.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

TEST(armed_is_claimed_once)
{
	struct rt_g g = { .claim = RT_CLAIM_ARMED };

	G_TRUE(rt_g_claim(&g));
	G_EQ(g.claim, RT_CLAIM_CLAIMED);
	G_TRUE(!rt_g_claim(&g));
	G_EQ(rt_g_claim_try(&g), 0);
	g.claim = RT_CLAIM_ARMED;
	G_EQ(rt_g_claim_try(&g), 1);
	G_EQ(rt_g_claim_try(&g), 0);
}

TEST(setup_can_not_be_claimed_yet)
{
	struct rt_g g = { .claim = RT_CLAIM_SETUP };

	G_EQ(rt_g_claim_try(&g), -1);
	G_EQ(g.claim, RT_CLAIM_SETUP);
}

/* ---- threads ------------------------------------------------------- */

#define ROUNDS ((uint32_t)G_LOOPS(20000))

static struct {
	struct rt_g g;
	uint32_t round __cacheline;
	uint32_t done __cacheline;
	uint32_t won;
	uint32_t left; /* not atomic: TSan tells if the claim does not order it */
} s;

static void wake(uint32_t round)
{
	if (rt_g_claim(&s.g)) {
		G_EQ(s.left, round);
		fetch_add_rlx(&s.won, 1);
	}
}

static void wait_until(uint32_t *word, uint32_t value)
{
	for (unsigned int n = 0; load_acq(word) != value;)
		rt_backoff(&n);
}

static void *waker(void *arg)
{
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		wait_until(&s.round, i);
		wake(i);
		store_rel(&s.done, i);
	}
	return arg;
}

TEST(claim_waits_for_setup_and_one_of_two_wakers_wins)
{
	pthread_t t;

	G_OK(pthread_create(&t, NULL, waker, NULL));
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		store_rlx(&s.g.claim, RT_CLAIM_SETUP);
		store_rel(&s.round, i);
		for (uint32_t n = i % 64; n; n--)
			cpu_relax();
		s.left = i;
		store_rel(&s.g.claim, RT_CLAIM_ARMED); /* as the switch does */
		wake(i);
		wait_until(&s.done, i);
		G_EQ(load_rlx(&s.won), i);
	}
	pthread_join(t, NULL);
}

/* ---- names --------------------------------------------------------- */

TEST(each_reason_has_a_name_of_its_own)
{
	for (unsigned int i = 0; i < RT_NR_REASONS; i++) {
		G_TRUE(rt_reason_name(i) && *rt_reason_name(i));
		for (unsigned int k = 0; k < i; k++)
			G_TRUE(strcmp(rt_reason_name(i), rt_reason_name(k)) != 0);
	}
	G_OK(strcmp(rt_reason_name(RT_NR_REASONS), "?"));
	G_OK(strcmp(rt_reason_name((enum rt_reason)255), "?"));
}

TEST_HARNESS_MAIN
