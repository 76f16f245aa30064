/* SPDX-License-Identifier: MIT */
/*
 * forks.c - proves under random load: in trees of forked tasks that block,
 * yield, exit and are joined in random order, each task runs exactly once
 * before its join returns
 */
#include "lib/stress.h"

#define WIDEST 6

struct node {
	uint64_t rand;
	int depth;
	long result; /* tasks in this subtree, this one included */
};

static long ran, limit;

static void pause_somehow(uint64_t *rand)
{
	switch (g_below(rand, 40)) {
	case 0:
		gmprt_yield();
		break;
	case 1:
		gmprt_sleep(g_below(rand, 30000));
		break;
	case 2:
		gmprt_block_enter();
		g_nap(g_below(rand, 30000));
		gmprt_block_exit();
		break;
	}
}

static void tree(void *arg)
{
	struct node *n = arg, child[WIDEST];
	struct gmprt_task t[WIDEST];
	int order[WIDEST], width = 0;

	n->result = 1;
	pause_somehow(&n->rand);
	if (n->depth > 0 && g_inc(&ran) < limit)
		width = (int)g_below(&n->rand, WIDEST + 1);
	for (int i = 0; i < width; i++) {
		int j = (int)g_below(&n->rand, i + 1);

		child[i] = (struct node){ g_rand(&n->rand), n->depth - 1, -1000000 };
		G_OK(gmprt_fork(&t[i], tree, &child[i]));
		order[i] = order[j];
		order[j] = i;
	}
	pause_somehow(&n->rand);
	for (int i = 0; i < width; i++) {
		gmprt_join(&t[order[i]]);
		n->result += child[order[i]].result;
		G_GT(child[order[i]].result, 0);
	}
	if (g_below(&n->rand, 20) == 0)
		gmprt_exit(); /* of the task: the join must return all the same */
}

static long done_tasks;

static void counted(void *arg)
{
	(void)arg;
	g_inc(&done_tasks);
}

G_STRESS(every_task_of_a_random_tree_runs_once_before_its_join)
{
	uint64_t rand = g_seed;
	struct gmprt_task t, many[300];
	struct node root = { g_seed, 2 + (int)g_below(&rand, 8), 0 };
	uint64_t forks = g_stats().nr_forks;
	long width = g_below(&rand, 300);

	g_store(&ran, 0);
	limit = G_LOOPS(20000);
	G_OK(gmprt_fork(&t, tree, &root));
	gmprt_join(&t);
	/* Each fork is one task, and each task counted itself once. */
	G_EQ(g_stats().nr_forks - forks, root.result);

	g_store(&done_tasks, 0);
	for (long i = 0; i < width; i++)
		G_OK(gmprt_fork(&many[i], counted, NULL));
	for (long i = width - 1; i >= 0; i--) {
		pause_somehow(&rand);
		gmprt_join(&many[i]);
	}
	G_EQ(width, g_load(&done_tasks));
}

TEST_HARNESS_MAIN
