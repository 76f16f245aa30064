/* SPDX-License-Identifier: MIT */
/*
 * The spin lock lets one in at a time and shows it what the one before wrote;
 * whoever waits long stops burning the CPU.
 */
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/spin.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

static rt_spin lock;
static long counter; /* not atomic: TSan tells if the lock does not order it */
static long inside;

#define ROUNDS G_LOOPS(200000)

static void *count(void *arg)
{
	long by_try = 0;

	(void)arg;
	for (long i = 0; i < ROUNDS; i++) {
		if (i % 4 == 0 && rt_spin_trylock(&lock))
			by_try++;
		else
			rt_spin_lock(&lock);
		G_EQ(__atomic_fetch_add(&inside, 1, __ATOMIC_RELAXED), 0);
		counter++;
		__atomic_fetch_sub(&inside, 1, __ATOMIC_RELAXED);
		rt_spin_unlock(&lock);
	}
	return (void *)by_try;
}

TEST(one_at_a_time_and_no_count_is_lost)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		G_OK(pthread_create(&t[i], NULL, count, NULL));
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	G_EQ(counter, 3 * ROUNDS);
	G_EQ(lock.word, 0);
}

TEST(trylock_of_a_held_lock_fails_at_once)
{
	rt_spin_lock(&lock);
	G_TRUE(!rt_spin_trylock(&lock));
	rt_spin_unlock(&lock);
	G_TRUE(rt_spin_trylock(&lock));
	G_TRUE(!rt_spin_trylock(&lock));
	rt_spin_unlock(&lock);
}

/* The context switch unlocks like this, after it has left the stack. */
TEST(plain_release_store_unlocks)
{
	rt_spin_lock(&lock);
	store_rel(&lock.word, 0);
	G_TRUE(rt_spin_trylock(&lock));
}

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * RT_NS_PER_SEC + t.tv_nsec;
}

static int64_t waited_ns, burnt_ns;

static void *wait_for_it(void *arg)
{
	int64_t t = rt_now_ns(), c = cpu_ns();

	(void)arg;
	rt_spin_lock(&lock);
	waited_ns = rt_now_ns() - t;
	burnt_ns = cpu_ns() - c;
	rt_spin_unlock(&lock);
	return NULL;
}

TEST(waiter_of_a_holder_that_does_not_run_sleeps)
{
	pthread_t t;

	rt_spin_lock(&lock);
	G_OK(pthread_create(&t, NULL, wait_for_it, NULL));
	g_nap(200 * RT_NS_PER_MS);
	rt_spin_unlock(&lock);
	pthread_join(t, NULL);
	G_GE(waited_ns, 100 * RT_NS_PER_MS);
	G_LE(burnt_ns, waited_ns / 2);
}

TEST(backoff_begins_with_pauses_and_ends_with_sleep)
{
	unsigned int round = 0;
	int64_t t, first = INT64_MAX;

	/* The best of many: the machine may be doing something else. */
	for (int i = 0; i < 100; i++) {
		t = rt_now_ns();
		round = 0;
		rt_backoff(&round);
		if (rt_now_ns() - t < first)
			first = rt_now_ns() - t;
	}
	G_EQ(round, 1);
	G_LE(first, 20 * RT_NS_PER_US * G_SLOW);
	round = 1000;
	t = rt_now_ns();
	rt_backoff(&round);
	G_GE(rt_now_ns() - t, 50 * RT_NS_PER_US);
	G_EQ(round, 1001);
	round = UINT32_MAX; /* wraps, and begins anew */
	rt_backoff(&round);
	G_EQ(round, 0);
}

TEST_HARNESS_MAIN
