/* SPDX-License-Identifier: MIT */
/*
 * mix.c - proves under random load: everything at the same time, with
 * threads outside, a changing number of Ps, dumps and statistics, keeps the
 * balance of what was sent, posted and started
 */
#include <pthread.h>
#include <stdlib.h>

#include "lib/stress.h"

#define CHANS 4

static gmprt_chan *c[CHANS];
static gmprt_mutex mutex;
static gmprt_sem sem;
static gmprt_once once;
static gmprt_wg wg;
static long loops, stop;
static long sent, received, posted, taken, started, ended, plain, locked, inits;

static void init(void *arg)
{
	(void)arg;
	gmprt_yield();
	g_inc(&inits);
}

static void child(void *arg)
{
	(void)arg;
	g_inc(&ended);
	gmprt_wg_done(&wg);
}

/* Started by threads, which may do so when wg is at 0 and waited for. */
static void strangers_child(void *arg)
{
	(void)arg;
	g_inc(&ended);
}

static void task(void *arg)
{
	gmprt_yield();
	*(long *)arg = 1;
}

static void one_select(uint64_t *rand)
{
	long a = 1, b = 2;
	struct gmprt_case cases[] = {
		{ .op = GMPRT_SEND, .chan = c[g_below(rand, CHANS)], .elem = &a },
		{ .op = GMPRT_RECV, .chan = c[g_below(rand, CHANS)], .elem = &b },
	};
	int k = gmprt_select_dl(cases, 2, g_now() + g_below(rand, 50000));

	if (k == 0)
		g_inc(&sent);
	else if (k == 1)
		g_inc(&received);
	else
		G_EQ(-ETIMEDOUT, k);
}

static void compute(int64_t ns)
{
	int64_t until = g_now() + ns;
	char *p = NULL;

	do {
		free(p);
		p = malloc(1000);
	} while (g_now() < until);
	free(p);
}

static void one_deed(uint64_t *rand)
{
	gmprt_chan *any = c[g_below(rand, CHANS)];
	struct gmprt_task t;
	long v = 1, flag = 0;

	switch (g_below(rand, 14)) {
	case 0:
		if (gmprt_chan_send_dl(any, &v, g_now() + g_below(rand, 50000)) == 0)
			g_inc(&sent);
		break;
	case 1:
		if (gmprt_chan_recv_dl(any, &v, g_now() + g_below(rand, 50000)) == 0)
			g_inc(&received);
		break;
	case 2:
		one_select(rand);
		break;
	case 3:
		gmprt_mutex_lock(&mutex);
		plain++;
		g_inc(&locked);
		gmprt_mutex_unlock(&mutex);
		break;
	case 4:
		gmprt_sem_post(&sem);
		g_inc(&posted);
		break;
	case 5:
		if (gmprt_sem_wait_dl(&sem, g_now() + g_below(rand, 50000)) == 0)
			g_inc(&taken);
		break;
	case 6:
		gmprt_wg_add(&wg, 1);
		g_inc(&started);
		g_go(child, NULL);
		break;
	case 7:
		G_OK(gmprt_fork(&t, task, &flag));
		gmprt_join(&t);
		G_EQ(1, flag);
		break;
	case 8:
		gmprt_block_enter();
		g_nap(g_below(rand, 50000));
		gmprt_block_exit();
		break;
	case 9:
		gmprt_once_do(&once, init, NULL);
		G_EQ(1, g_load(&inits));
		break;
	case 10:
		gmprt_sleep(g_below(rand, 50000));
		break;
	case 11:
		gmprt_lock_os_thread();
		gmprt_yield();
		gmprt_unlock_os_thread();
		break;
	case 12: /* loses its P to those that wait */
		compute(g_below(rand, 100) ? 0 : g_below(rand, 25 * G_MS));
		break;
	case 13: /* the same, asleep, and nobody was told */
		g_nap(g_below(rand, 100) ? 0 : g_below(rand, 25 * G_MS));
		break;
	}
}

static void works(void *n)
{
	uint64_t rand = g_seed + (uintptr_t)n;

	for (long i = 0; i < loops; i++)
		one_deed(&rand);
	gmprt_wg_done(&wg);
}

static void *outside(void *n)
{
	uint64_t rand = g_seed + 5000 + (uintptr_t)n;
	long v = 1;

	while (!g_load(&stop)) {
		gmprt_chan *any = c[g_below(&rand, CHANS)];

		switch (g_below(&rand, 4)) {
		case 0:
			if (gmprt_chan_send_try(any, &v) == 0)
				g_inc(&sent);
			break;
		case 1:
			if (gmprt_chan_recv_try(any, &v) == 0)
				g_inc(&received);
			break;
		case 2:
			gmprt_sem_post(&sem);
			g_inc(&posted);
			break;
		case 3:
			g_inc(&started);
			g_go(strangers_child, NULL);
			break;
		}
		g_nap(g_below(&rand, 100000));
	}
	return NULL;
}

static void meddles(void *arg)
{
	uint64_t rand = g_seed + 9999;

	(void)arg;
	while (!g_load(&stop)) {
		G_GE(g_stats().nr_threads_peak, 1);
		gmprt_maxprocs(1 + (int)g_below(&rand, 8));
		gmprt_sleep(g_below(&rand, 2 * G_MS));
		if (g_below(&rand, 50) == 0)
			free(g_dump());
	}
	g_inc(&ended);
}

static void zero(void)
{
	long *all[] = { &stop,	&sent,	  &received, &posted, &taken,
			&started, &ended, &plain,    &locked, &inits };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		g_store(all[i], 0);
	memset(&once, 0, sizeof(once));
}

G_STRESS(everything_at_once_keeps_its_balance)
{
	uint64_t rand = g_seed;
	long goroutines = 2 + g_below(&rand, 50), left = 0;
	pthread_t t[2];

	zero();
	loops = G_LOOPS(1 + g_below(&rand, 300));
	for (int i = 0; i < CHANS; i++)
		c[i] = gmprt_chan_make(sizeof(long), (size_t)g_below(&rand, 4));
	for (intptr_t i = 0; i < 2; i++)
		G_OK(pthread_create(&t[i], NULL, outside, (void *)i));
	g_go(meddles, NULL);
	gmprt_wg_add(&wg, goroutines);
	for (intptr_t i = 0; i < goroutines; i++)
		g_go(works, (void *)i);
	while (gmprt_wg_wait_dl(&wg, g_now() + 5 * G_MS) == -ETIMEDOUT)
		;
	g_store(&stop, 1);
	gmprt_block_enter();
	for (int i = 0; i < 2; i++)
		G_OK(pthread_join(t[i], NULL));
	gmprt_block_exit();
	gmprt_wg_wait(&wg);
	g_until(&ended, g_load(&started) + 1);

	for (int i = 0; i < CHANS; i++) {
		while (gmprt_chan_recv_try(c[i], NULL) == 0)
			left++;
		gmprt_chan_free(c[i]);
	}
	G_EQ(g_load(&sent), g_load(&received) + left);
	while (gmprt_sem_wait_try(&sem) == 0)
		g_inc(&taken);
	G_EQ(g_load(&posted), g_load(&taken));
	gmprt_mutex_lock(&mutex);
	G_EQ(g_load(&locked), plain);
	gmprt_mutex_unlock(&mutex);
}

TEST_HARNESS_MAIN
