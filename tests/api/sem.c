/* SPDX-License-Identifier: MIT */
/*
 * sem.c - proves: a semaphore's units are neither lost nor doubled, go to
 * waiters in order, and it may be freed as soon as a wait has returned
 */
#include <pthread.h>
#include <stdlib.h>

#include "lib/gtest.h"

static gmprt_wg wg;
static long done, inside;

TEST(units_are_counted_outside_a_run_too)
{
	gmprt_sem s = GMPRT_SEM_INIT(3);
	gmprt_sem zero = { 0 };

	for (int i = 0; i < 3; i++)
		G_OK(gmprt_sem_wait(&s));
	G_EQ(-EAGAIN, gmprt_sem_wait_try(&s));
	G_EQ(-EPERM, gmprt_sem_wait(&s));
	G_EQ(-EPERM, gmprt_sem_wait_dl(&s, GMPRT_FOREVER));
	gmprt_sem_post(&s);
	G_OK(gmprt_sem_wait_try(&s));
	G_EQ(-EAGAIN, gmprt_sem_wait_try(&zero));
	gmprt_sem_post(&zero);
	gmprt_sem_post(&zero);
	G_OK(gmprt_sem_wait(&zero));
	G_OK(gmprt_sem_wait_try(&zero));
	G_EQ(-EAGAIN, gmprt_sem_wait_try(&zero));
}

static gmprt_sem three = GMPRT_SEM_INIT(3);

static void enters(void *arg)
{
	(void)arg;
	for (int i = 0; i < G_LOOPS(3000); i++) {
		G_OK(gmprt_sem_wait(&three));
		G_LE(g_inc(&inside), 3);
		if (i % 8 == 0)
			gmprt_yield();
		__atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
		gmprt_sem_post(&three);
	}
	gmprt_wg_done(&wg);
}

G_TEST(no_more_than_its_units_are_inside)
{
	gmprt_wg_add(&wg, 10);
	for (int i = 0; i < 10; i++)
		g_go(enters, NULL);
	gmprt_wg_wait(&wg);
	for (int i = 0; i < 3; i++)
		G_OK(gmprt_sem_wait_try(&three));
	G_EQ(-EAGAIN, gmprt_sem_wait_try(&three));
}

/* ---- order ---- */

#define WAITERS 10

static gmprt_sem line;
static long order[WAITERS];
static long at;

static void stands_in_line(void *n)
{
	G_OK(gmprt_sem_wait(&line));
	/* The next one stands in line until main has seen this. */
	order[g_load(&at)] = (long)(intptr_t)n;
	g_inc(&at);
}

G_TEST(posts_go_to_the_one_that_waited_longest)
{
	for (intptr_t i = 0; i < WAITERS; i++) {
		g_go_named("waiter", stands_in_line, (void *)i);
		g_parked("waiter", (int)i + 1);
	}
	for (int i = 0; i < WAITERS; i++) {
		gmprt_sem_post(&line);
		/* The unit is the waiter's now: nobody can snatch it. */
		G_EQ(-EAGAIN, gmprt_sem_wait_try(&line));
		g_until(&at, i + 1);
		G_EQ(i, order[i]);
	}
}

/* ---- deadlines ---- */

G_TEST(a_deadline_ends_a_wait_and_not_before)
{
	gmprt_sem s = { 0 };

	G_EQ(-ETIMEDOUT, gmprt_sem_wait_dl(&s, 0));
	for (int i = 0; i < 10; i++) {
		int64_t dl = g_now() + G_MS;

		G_EQ(-ETIMEDOUT, gmprt_sem_wait_dl(&s, dl));
		G_GE(g_now(), dl);
	}
	gmprt_sem_post(&s);
	G_OK(gmprt_sem_wait_dl(&s, 0));
}

static gmprt_sem raced;
static long taken;

static void waits_dl(void *seed)
{
	uint64_t rand = (uintptr_t)seed;

	for (int i = 0; i < G_LOOPS(2000); i++) {
		int ret = gmprt_sem_wait_dl(&raced, g_now() + (int64_t)(g_rand(&rand) % 30000));

		if (ret == 0)
			g_inc(&taken);
		else
			G_EQ(-ETIMEDOUT, ret);
	}
	gmprt_wg_done(&wg);
}

static void posts(void *n)
{
	for (long i = 0; i < (intptr_t)n; i++) {
		gmprt_sem_post(&raced);
		if (i % 4 == 0)
			gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_timeout_racing_a_post_loses_no_unit)
{
	long posted = 4 * G_LOOPS(1500), left = 0;

	gmprt_wg_add(&wg, 12);
	for (uintptr_t i = 0; i < 8; i++)
		g_go(waits_dl, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		g_go(posts, (void *)(intptr_t)G_LOOPS(1500));
	gmprt_wg_wait(&wg);
	while (gmprt_sem_wait_try(&raced) == 0)
		left++;
	G_EQ(posted, g_load(&taken) + left);
}

/* ---- the waiter frees it ---- */

static void posts_once(void *s)
{
	gmprt_sem_post(s);
	g_inc(&done);
}

G_TEST(the_waiter_may_free_it_at_once)
{
	long n = G_LOOPS(5000);

	for (long i = 0; i < n; i++) {
		gmprt_sem *s = calloc(1, sizeof(*s));

		g_go(posts_once, s);
		if (i % 3 == 0)
			gmprt_yield();
		G_OK(gmprt_sem_wait(s));
		memset(s, 0xdd, sizeof(*s));
		free(s);
	}
	g_until(&done, n);
}

/* The same with the semaphore on a stack that is reused at once. */
static void waits_on_stack(void *arg)
{
	gmprt_sem s = { 0 };

	(void)arg;
	g_go(posts_once, &s);
	G_OK(gmprt_sem_wait(&s));
	gmprt_wg_done(&wg);
}

G_TEST(it_may_lie_on_a_stack_that_ends_with_the_wait)
{
	long n = G_LOOPS(3000);

	gmprt_wg_add(&wg, n);
	for (long i = 0; i < n; i++)
		g_go(waits_on_stack, NULL);
	gmprt_wg_wait(&wg);
	g_until(&done, n);
}

static void *thread_posts(void *s)
{
	for (int i = 0; i < G_LOOPS(5000); i++)
		gmprt_sem_post(s);
	return NULL;
}

G_TEST(ordinary_threads_may_post)
{
	gmprt_sem s = { 0 };
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		G_OK(pthread_create(&t[i], NULL, thread_posts, &s));
	for (int i = 0; i < 2 * G_LOOPS(5000); i++)
		G_OK(gmprt_sem_wait(&s));
	G_EQ(-EAGAIN, gmprt_sem_wait_try(&s));
	for (int i = 0; i < 2; i++)
		G_OK(pthread_join(t[i], NULL));
}

TEST_HARNESS_MAIN
