/* SPDX-License-Identifier: MIT */
/*
 * blocks.c - proves under random load: with more goroutines in short system
 * calls than there are Ps, Ps change hands without two Ms ever having the
 * same one, and nobody is lost
 */
#include "lib/stress.h"

static gmprt_wg wg;
static long loops, passed, running, too_many;
static gmprt_chan *c;

static void computes(uint64_t *rand)
{
	/* Between two calls we hold a P: no more of us than Ps may be here, but for
	 * those that were preempted here, which happens on a busy machine only. */
	if (g_inc(&running) > g_procs)
		g_inc(&too_many);
	for (volatile long i = g_below(rand, 300); i > 0; i--)
		;
	__atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
}

static void blocks(void *n)
{
	uint64_t rand = g_seed + (uintptr_t)n;
	bool locked = g_below(&rand, 8) == 0;

	if (locked)
		gmprt_lock_os_thread();
	for (long i = 0; i < loops; i++) {
		int mine = (int)g_below(&rand, 100) + 1;

		g_set_errno(mine);
		gmprt_block_enter();
		if (g_below(&rand, 4))
			g_nap(g_below(&rand, 60000));
		gmprt_block_exit();
		G_EQ(mine, g_errno());
		computes(&rand);
		g_inc(&passed);
		if (g_below(&rand, 4) == 0) {
			gmprt_yield();
			computes(&rand);
		}
		if (g_below(&rand, 8) == 0) {
			(void)!gmprt_chan_send_dl(c, &mine, g_now() + 20000);
			computes(&rand);
		}
		if (g_below(&rand, 8) == 0) {
			(void)!gmprt_chan_recv_dl(c, NULL, g_now() + 20000);
			computes(&rand);
		}
	}
	if (locked)
		gmprt_unlock_os_thread();
	gmprt_wg_done(&wg);
}

G_STRESS(Ps_change_hands_and_none_is_had_twice)
{
	uint64_t rand = g_seed, preempts = g_stats().nr_preempts;
	long goroutines = g_procs + 1 + g_below(&rand, 40);

	loops = G_LOOPS(1 + g_below(&rand, 200));
	g_store(&passed, 0);
	g_store(&running, 0);
	g_store(&too_many, 0);
	c = gmprt_chan_make(sizeof(int), (size_t)g_below(&rand, 2));
	gmprt_wg_add(&wg, goroutines);
	for (intptr_t i = 0; i < goroutines; i++)
		g_go(blocks, (void *)i);
	gmprt_wg_wait(&wg);
	G_EQ(goroutines * loops, g_load(&passed));
	G_EQ(goroutines * loops, g_stats().nr_blocks);
	if (g_stats().nr_preempts == preempts)
		G_EQ(0, g_load(&too_many));
	gmprt_chan_free(c);
}

TEST_HARNESS_MAIN
