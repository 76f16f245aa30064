/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - proves: a mutex excludes, is fair enough, can be reused or freed
 * as soon as it is unlocked, and a deadline takes nobody else's turn
 */
#include <stdlib.h>

#include "lib/gtest.h"

static gmprt_mutex mutex;
static gmprt_wg wg;
static long plain; /* guarded by mutex; plain on purpose */
static long done;

static void locks(void *n)
{
	for (long i = 0; i < (intptr_t)n; i++) {
		gmprt_mutex_lock(&mutex);
		plain++;
		if (i % 64 == 0)
			gmprt_yield();
		plain++;
		gmprt_mutex_unlock(&mutex);
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_mutex_excludes)
{
	long n = G_LOOPS(20000);

	gmprt_wg_add(&wg, 8);
	for (int i = 0; i < 8; i++)
		g_go(locks, (void *)(intptr_t)n);
	gmprt_wg_wait(&wg);
	G_EQ(2 * 8 * n, plain);
}

G_TEST(try_fails_only_while_it_is_locked)
{
	G_OK(gmprt_mutex_lock_try(&mutex));
	G_EQ(-EAGAIN, gmprt_mutex_lock_try(&mutex));
	gmprt_mutex_unlock(&mutex);
	G_OK(gmprt_mutex_lock_try(&mutex));
	gmprt_mutex_unlock(&mutex);
	G_OK(gmprt_mutex_lock_dl(&mutex, 0));
	G_EQ(-ETIMEDOUT, gmprt_mutex_lock_dl(&mutex, 0));
	G_EQ(-ETIMEDOUT, gmprt_mutex_lock_dl(&mutex, g_now() + G_MS));
	gmprt_mutex_unlock(&mutex);
}

static void unlocks(void *arg)
{
	(void)arg;
	gmprt_mutex_unlock(&mutex);
	g_inc(&done);
}

G_TEST(another_goroutine_may_unlock)
{
	for (int i = 0; i < 100; i++) {
		gmprt_mutex_lock(&mutex);
		g_go(unlocks, NULL);
		gmprt_mutex_lock(&mutex);
		gmprt_mutex_unlock(&mutex);
	}
	g_until(&done, 100);
}

/* ---- order ---- */

#define WAITERS 8

static long order[WAITERS];
static long at;

static void takes_turn(void *n)
{
	gmprt_mutex_lock(&mutex);
	order[at++] = (long)(intptr_t)n;
	gmprt_mutex_unlock(&mutex);
	g_inc(&done);
}

G_TEST(waiters_that_nobody_overtakes_are_served_in_order)
{
	gmprt_mutex_lock(&mutex);
	for (intptr_t i = 0; i < WAITERS; i++) {
		g_go_named("waiter", takes_turn, (void *)i);
		g_parked("waiter", (int)i + 1);
	}
	gmprt_mutex_unlock(&mutex);
	g_until(&done, WAITERS);
	for (int i = 0; i < WAITERS; i++)
		G_EQ(i, order[i]);
}

/*
 * The worst neighbour: locks again at once, and lets others run only while it
 * holds the mutex.
 */
static long stop;

static void hog(void *arg)
{
	(void)arg;
	while (!g_load(&stop)) {
		gmprt_mutex_lock(&mutex);
		gmprt_yield();
		gmprt_mutex_unlock(&mutex);
	}
	g_inc(&done);
}

G_TEST(a_waiter_does_not_starve_behind_overtakers)
{
	int64_t worst = 0;

	for (int i = 0; i < 3; i++)
		g_go(hog, NULL);
	for (int i = 0; i < 50; i++) {
		int64_t start = g_now();

		gmprt_mutex_lock(&mutex);
		start = g_now() - start;
		gmprt_mutex_unlock(&mutex);
		worst = start > worst ? start : worst;
		gmprt_yield();
	}
	g_store(&stop, 1);
	g_until(&done, 3);
	/* About 1 ms; on a busy machine much more, but not for ever. */
	G_LT(worst, 10 * G_SEC);
}

/* ---- deadlines against unlocks ---- */

static long owned, timeouts;

static void locks_dl(void *seed)
{
	uint64_t rand = (uintptr_t)seed;

	for (int i = 0; i < G_LOOPS(3000); i++) {
		int ret = gmprt_mutex_lock_dl(&mutex, g_now() + (int64_t)(g_rand(&rand) % 20000));

		if (ret == 0) {
			plain++;
			G_EQ(1, g_inc(&owned));
			if (i % 4 == 0)
				gmprt_yield();
			__atomic_sub_fetch(&owned, 1, __ATOMIC_SEQ_CST);
			gmprt_mutex_unlock(&mutex);
		} else {
			G_EQ(-ETIMEDOUT, ret);
			g_inc(&timeouts);
		}
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_timeout_racing_an_unlock_loses_no_wake_up)
{
	gmprt_wg_add(&wg, 12);
	for (uintptr_t i = 0; i < 8; i++)
		g_go(locks_dl, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		g_go(locks, (void *)(intptr_t)G_LOOPS(3000));
	gmprt_wg_wait(&wg);
	G_OK(gmprt_mutex_lock_try(&mutex));
	G_EQ(8 * G_LOOPS(3000) - g_load(&timeouts) + 2 * 4 * G_LOOPS(3000), plain);
}

/*
 * Freed by whoever locked it last: the unlock before must not touch it
 * after it let the next one in.
 */
struct shared {
	gmprt_mutex mutex;
	int left;
};

static void last_frees(void *arg)
{
	struct shared *s = arg;
	int left;

	gmprt_mutex_lock(&s->mutex);
	left = --s->left;
	gmprt_mutex_unlock(&s->mutex);
	if (left == 0) {
		memset(s, 0xdd, sizeof(*s));
		free(s);
		g_inc(&done);
	}
}

G_TEST(the_last_to_lock_may_free)
{
	long n = G_LOOPS(3000);

	for (long i = 0; i < n; i++) {
		struct shared *s = calloc(1, sizeof(*s));

		s->left = 3;
		for (int j = 0; j < 3; j++)
			g_go(last_frees, s);
		if (i % 16 == 0)
			gmprt_yield();
	}
	g_until(&done, n);
}

TEST(lock_and_unlock_work_on_a_thread_when_nobody_holds_it)
{
	gmprt_mutex_lock(&mutex);
	G_EQ(-EAGAIN, gmprt_mutex_lock_try(&mutex));
	G_EQ(-EPERM, gmprt_mutex_lock_dl(&mutex, GMPRT_FOREVER));
	gmprt_mutex_unlock(&mutex);
}

TEST_HARNESS_MAIN
