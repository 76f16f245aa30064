/* SPDX-License-Identifier: MIT */
/*
 * errno.c - proves: errno belongs to the goroutine, over switches, blocks
 * and changes of M; functions that return -errno leave it alone
 */
#include "lib/gtest.h"

static gmprt_wg wg;
static gmprt_mutex mutex;
static gmprt_sem sem = GMPRT_SEM_INIT(1);
static gmprt_chan *c, *silent;

/* One of everything that may switch. */
static void block_somehow(unsigned how)
{
	long v = 1;

	switch (how % 8) {
	case 0:
		gmprt_yield();
		break;
	case 1:
		G_OK(gmprt_sleep(10000));
		break;
	case 2:
		gmprt_block_enter();
		g_nap(1000);
		gmprt_block_exit();
		break;
	case 3:
		gmprt_mutex_lock(&mutex);
		gmprt_yield();
		gmprt_mutex_unlock(&mutex);
		break;
	case 4:
		G_OK(gmprt_sem_wait(&sem));
		gmprt_sem_post(&sem);
		break;
	case 5:
		G_OK(gmprt_chan_send(c, &v));
		G_OK(gmprt_chan_recv(c, &v));
		break;
	case 6:
		G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(NULL, NULL, g_now()));
		break;
	case 7: {
		struct gmprt_case k = { .op = GMPRT_SEND, .chan = c, .elem = &v };

		if (gmprt_select_dl(&k, 1, g_now() + 10000) == 0)
			G_OK(gmprt_chan_recv(c, NULL));
		break;
	}
	}
}

static void keeps_errno(void *seed)
{
	uint64_t rand = (uintptr_t)seed;
	int mine = 1000 + (int)(uintptr_t)seed;

	G_EQ(0, g_errno()); /* as on a new thread: not what another left behind */
	for (int i = 0; i < G_LOOPS(1000); i++) {
		g_set_errno(mine);
		block_somehow((unsigned)g_rand(&rand));
		G_EQ(mine, g_errno());
	}
	gmprt_wg_done(&wg);
}

G_TEST(errno_survives_every_kind_of_block)
{
	c = g_chan(sizeof(long), 16);
	silent = g_chan(sizeof(long), 0);
	gmprt_wg_add(&wg, 12);
	for (uintptr_t i = 1; i <= 12; i++)
		g_go(keeps_errno, (void *)i);
	gmprt_wg_wait(&wg);
}

G_TEST(failures_come_back_and_leave_errno_alone)
{
	gmprt_chan *full = g_chan(0, 1);
	struct gmprt_case k = { .op = GMPRT_SEND, .chan = full };

	G_OK(gmprt_chan_send(full, NULL));
	g_set_errno(123);
	G_EQ(-EAGAIN, gmprt_chan_send_try(full, NULL));
	G_EQ(-ETIMEDOUT, gmprt_chan_send_dl(full, NULL, g_now() + 100000));
	G_EQ(-EAGAIN, gmprt_select_try(&k, 1));
	G_EQ(-ETIMEDOUT, gmprt_select_dl(&k, 1, g_now() + 100000));
	G_EQ(-EPERM, gmprt_run(NULL, keeps_errno, NULL));
	G_OK(gmprt_sleep(100000));
	G_EQ(123, g_errno());
}

static void fails_in_task(void *arg)
{
	(void)arg;
	g_set_errno(9);
}

G_TEST(a_task_run_in_place_shares_the_joiners_errno_or_keeps_it)
{
	struct gmprt_task t;

	g_set_errno(5);
	G_OK(gmprt_fork(&t, fails_in_task, NULL));
	gmprt_join(&t);
	/* In place it is a plain call; elsewhere it had an errno of its own. */
	G_TRUE(g_errno() == 9 || g_errno() == 5);
}

TEST_HARNESS_MAIN
