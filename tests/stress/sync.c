/* SPDX-License-Identifier: MIT */
/*
 * sync.c - proves under random load: mutexes exclude, semaphores bound, wait
 * groups wait, with deadlines running out all the time
 */
#include <stdlib.h>

#include "lib/stress.h"

#define MUTEXES 4

static struct {
	gmprt_mutex mutex;
	long plain;  /* guarded by mutex */
	long inside; /* atomic, to see a second owner at once */
} guarded[MUTEXES];

static gmprt_sem sem;
static gmprt_wg wg;
static long units, inside_sem, loops, locked[MUTEXES];

static bool lock(gmprt_mutex *m, uint64_t *rand)
{
	int ret;

	switch (g_below(rand, 4)) {
	case 0:
		ret = gmprt_mutex_lock_try(m);
		G_TRUE(ret == 0 || ret == -EAGAIN);
		return ret == 0;
	case 1:
		ret = gmprt_mutex_lock_dl(m, g_now() + g_below(rand, 30000));
		G_TRUE(ret == 0 || ret == -ETIMEDOUT);
		return ret == 0;
	default:
		gmprt_mutex_lock(m);
		return true;
	}
}

static void use_mutex(int i, uint64_t *rand)
{
	if (!lock(&guarded[i].mutex, rand))
		return;
	G_EQ(1, g_inc(&guarded[i].inside));
	guarded[i].plain++;
	if (g_below(rand, 10) == 0)
		gmprt_yield();
	else if (g_below(rand, 100) == 0)
		gmprt_sleep(g_below(rand, 20000));
	guarded[i].plain++;
	__atomic_sub_fetch(&guarded[i].inside, 1, __ATOMIC_SEQ_CST);
	g_inc(&locked[i]);
	gmprt_mutex_unlock(&guarded[i].mutex);
}

static void use_sem(uint64_t *rand)
{
	int ret = g_below(rand, 2) ? gmprt_sem_wait(&sem) :
				     gmprt_sem_wait_dl(&sem, g_now() + g_below(rand, 30000));

	if (ret) {
		G_EQ(-ETIMEDOUT, ret);
		return;
	}
	G_LE(g_inc(&inside_sem), units);
	if (g_below(rand, 10) == 0)
		gmprt_yield();
	__atomic_sub_fetch(&inside_sem, 1, __ATOMIC_SEQ_CST);
	gmprt_sem_post(&sem);
}

static void dones(void *w)
{
	gmprt_wg_done(w);
}

static void use_wg(uint64_t *rand)
{
	gmprt_wg *w = calloc(1, sizeof(*w));
	long n = 1 + g_below(rand, 4);

	gmprt_wg_add(w, n);
	for (long i = 0; i < n; i++)
		g_go(dones, w);
	while (g_below(rand, 2) && gmprt_wg_wait_dl(w, g_now() + g_below(rand, 20000)))
		;
	gmprt_wg_wait(w);
	memset(w, 0xee, sizeof(*w));
	free(w);
}

static void works(void *n)
{
	uint64_t rand = g_seed + (uintptr_t)n;

	for (long i = 0; i < loops; i++) {
		long what = g_below(&rand, 10);

		if (what < 6)
			use_mutex((int)g_below(&rand, MUTEXES), &rand);
		else if (what < 9)
			use_sem(&rand);
		else
			use_wg(&rand);
	}
	gmprt_wg_done(&wg);
}

G_STRESS(locks_exclude_semaphores_bound_wait_groups_wait)
{
	uint64_t rand = g_seed;
	long goroutines = 2 + g_below(&rand, 40);

	loops = G_LOOPS(1 + g_below(&rand, 1000));
	units = 1 + g_below(&rand, 5);
	memset(&sem, 0, sizeof(sem));
	for (long i = 0; i < units; i++)
		gmprt_sem_post(&sem);
	for (int i = 0; i < MUTEXES; i++) {
		guarded[i].plain = 0;
		g_store(&locked[i], 0);
	}
	gmprt_wg_add(&wg, goroutines);
	for (intptr_t i = 0; i < goroutines; i++)
		g_go(works, (void *)i);
	gmprt_wg_wait(&wg);
	for (int i = 0; i < MUTEXES; i++) {
		G_OK(gmprt_mutex_lock_try(&guarded[i].mutex));
		G_EQ(2 * g_load(&locked[i]), guarded[i].plain);
		gmprt_mutex_unlock(&guarded[i].mutex);
	}
	for (long i = 0; i < units; i++)
		G_OK(gmprt_sem_wait_try(&sem));
	G_EQ(-EAGAIN, gmprt_sem_wait_try(&sem));
}

TEST_HARNESS_MAIN
