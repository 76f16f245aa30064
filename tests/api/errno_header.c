/* SPDX-License-Identifier: MIT */
/*
 * errno_header.c - proves: with <gmprt/errno.h>, errno is right over blocks and
 * changes of M in one function, as the compiler inlines it
 */
#include <fcntl.h>
#include <unistd.h>

#include <gmprt/errno.h>

#include "lib/gtest.h"

static gmprt_wg wg;
static long wrong, moves;

/* As a user writes it. */
static void opens_after_sleep(void *seed)
{
	uint64_t rand = (uintptr_t)seed;
	pid_t tid = gettid();

	for (int i = 0; i < G_LOOPS(500); i++) {
		errno = 0;
		G_OK(gmprt_sleep((int64_t)(g_rand(&rand) % 50000)));
		if (errno != 0)
			g_inc(&wrong);
		if (open("/nowhere/at all", O_RDONLY) >= 0 || errno != ENOENT)
			g_inc(&wrong);
		gmprt_yield();
		if (errno != ENOENT)
			g_inc(&wrong);
		if (gettid() != tid)
			g_inc(&moves);
		tid = gettid();
	}
	gmprt_wg_done(&wg);
}

G_TEST(each_use_asks_anew)
{
	for (int round = 0; round < 10; round++) {
		gmprt_wg_add(&wg, 8);
		for (uintptr_t i = 0; i < 8; i++)
			g_go(opens_after_sleep, (void *)i);
		gmprt_wg_wait(&wg);
		if (g_procs == 1 || g_load(&moves))
			break;
	}
	G_EQ(0, g_load(&wrong));
	if (g_procs > 1)
		G_GT(g_load(&moves), 0);
}

TEST_HARNESS_MAIN
