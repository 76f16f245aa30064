/* SPDX-License-Identifier: MIT */
/*
 * fork_join.c - proves: a forked task runs exactly once, whoever runs it, and
 * its join returns after it, in every order and from every goroutine
 */
#include <stdlib.h>

#include "lib/gtest.h"

static long ran;

static void count(void *arg)
{
	(void)arg;
	g_inc(&ran);
}

static void set(void *flag)
{
	*(long *)flag = 1; /* plain: the join orders it */
}

G_TEST(join_returns_after_the_task)
{
	for (int i = 0; i < G_LOOPS(20000); i++) {
		struct gmprt_task t;
		long flag = 0;

		G_OK(gmprt_fork(&t, set, &flag));
		gmprt_join(&t);
		G_EQ(1, flag);
	}
}

static void forks_one(void)
{
	uint64_t before = g_stats().nr_inline_joins;
	struct gmprt_task t;
	long flag = 0;

	for (int i = 0; i < 1000; i++) {
		G_OK(gmprt_fork(&t, set, &flag));
		gmprt_join(&t);
	}
	G_GE(g_stats().nr_inline_joins - before, 900);
	G_GE(g_stats().nr_forks, 1000);
}

TEST(join_runs_an_unstarted_task_itself)
{
	g_run(1, forks_one);
}

struct fib {
	int n;
	long result;
};

static void fib(void *arg)
{
	struct fib *f = arg, a = { f->n - 1, 0 }, b = { f->n - 2, 0 };
	struct gmprt_task t;

	if (f->n < 2) {
		f->result = f->n;
		return;
	}
	G_OK(gmprt_fork(&t, fib, &a));
	fib(&b);
	gmprt_join(&t);
	f->result = a.result + b.result;
}

G_TEST(nested_forks_add_up)
{
	struct fib f = { G_SLOW > 1 ? 15 : 22, 0 };

	fib(&f);
	G_EQ(G_SLOW > 1 ? 610 : 17711, f.result);
}

/* A chain: each task waits for the next. Far more than one stack holds. */
static void chain(void *depth)
{
	volatile char frame[1024];
	struct gmprt_task t;
	intptr_t d = (intptr_t)depth;

	frame[0] = (char)d;
	g_inc(&ran);
	if (d == 0)
		return;
	G_OK(gmprt_fork(&t, chain, (void *)(d - 1)));
	gmprt_join(&t);
	G_EQ((char)d, frame[0]);
}

G_TEST(recursion_may_be_deeper_than_a_stack)
{
	chain((void *)5000);
	G_EQ(5001, g_load(&ran));
}

#define WIDE 3000

G_TEST(more_tasks_than_the_queue_holds_can_be_forked)
{
	struct gmprt_task *t = calloc(WIDE, sizeof(*t));

	for (int round = 0; round < 3; round++) {
		g_store(&ran, 0);
		for (int i = 0; i < WIDE; i++)
			G_OK(gmprt_fork(&t[i], count, NULL));
		for (int i = 0; i < WIDE; i++) {
			/* oldest first, newest first, from the middle */
			int j = round == 0 ? i : round == 1 ? WIDE - 1 - i : (i + WIDE / 2) % WIDE;

			gmprt_join(&t[j]);
			G_GE(g_load(&ran), 1);
		}
		G_EQ(WIDE, g_load(&ran));
	}
	free(t);
}

/* ---- tasks that block ---- */

struct echo {
	gmprt_chan *in, *out;
};

static void echo(void *arg)
{
	struct echo *e = arg;
	int n;

	G_OK(gmprt_chan_recv(e->in, &n));
	G_OK(gmprt_chan_send(e->out, &n));
}

G_TEST(a_task_runs_while_its_parent_blocks)
{
	struct echo e = { g_chan(sizeof(int), 0), g_chan(sizeof(int), 0) };

	for (int i = 0; i < G_LOOPS(2000); i++) {
		struct gmprt_task t;
		int got;

		G_OK(gmprt_fork(&t, echo, &e));
		G_OK(gmprt_chan_send(e.in, &i));
		G_OK(gmprt_chan_recv(e.out, &got));
		G_EQ(i, got);
		gmprt_join(&t);
	}
}

static void blocks_then_counts(void *gate)
{
	if (gate)
		G_EQ(-EPIPE, gmprt_chan_recv(gate, NULL));
	else
		gmprt_sleep(G_MS);
	g_inc(&ran);
}

static void opens(void *gate)
{
	gmprt_sleep(2 * G_MS);
	G_OK(gmprt_chan_close(gate));
}

G_TEST(join_waits_for_tasks_that_block)
{
	for (int round = 0; round < 20; round++) {
		gmprt_chan *gate = g_chan(0, 0);
		struct gmprt_task t[20];

		g_store(&ran, 0);
		for (int i = 0; i < 20; i++)
			G_OK(gmprt_fork(&t[i], blocks_then_counts, i % 2 ? gate : NULL));
		g_go(opens, gate);
		for (int i = 19; i >= 0; i--)
			gmprt_join(&t[i]);
		G_EQ(20, g_load(&ran));
	}
}

/* ---- joined elsewhere ---- */

static void joins(void *arg)
{
	struct gmprt_task **t = arg;

	gmprt_join(*t);
	G_GE(g_load(&ran), 1);
	*t = NULL;
}

G_TEST(another_goroutine_may_join)
{
	for (int i = 0; i < 500; i++) {
		struct gmprt_task child, joiner;
		struct gmprt_task *p = &child;

		g_store(&ran, 0);
		G_OK(gmprt_fork(&child, i % 2 ? count : blocks_then_counts, NULL));
		G_OK(gmprt_fork(&joiner, joins, &p));
		if (i % 3 == 0)
			gmprt_yield();
		gmprt_join(&joiner);
		G_TRUE(p == NULL);
		G_EQ(1, g_load(&ran));
	}
}

G_TEST(join_of_a_task_that_has_ended_returns)
{
	struct gmprt_task t;

	g_store(&ran, 0);
	G_OK(gmprt_fork(&t, count, NULL));
	g_until(&ran, 1);
	gmprt_sleep(G_MS);
	gmprt_join(&t);
}

/* ---- exit ---- */

static void exits(void *arg)
{
	g_inc(&ran);
	if (arg)
		gmprt_sleep(G_MS / 10);
	gmprt_exit();
}

G_TEST(exit_in_a_task_ends_only_the_task)
{
	for (intptr_t i = 0; i < 200; i++) {
		struct gmprt_task t;

		G_OK(gmprt_fork(&t, exits, (void *)(i % 2)));
		if (i % 3 == 0)
			gmprt_yield();
		gmprt_join(&t);
		G_EQ(i + 1, g_load(&ran));
	}
	G_EQ(1, gmprt_id());
}

static void exits_in_nest(void *arg)
{
	struct gmprt_task t;

	G_OK(gmprt_fork(&t, exits, NULL));
	gmprt_join(&t);
	*(long *)arg = 1;
	gmprt_exit();
}

G_TEST(exit_ends_the_innermost_task_only)
{
	for (int i = 0; i < 100; i++) {
		struct gmprt_task t;
		long outer = 0;

		G_OK(gmprt_fork(&t, exits_in_nest, &outer));
		gmprt_join(&t);
		G_EQ(1, outer);
	}
	G_EQ(100, g_load(&ran));
}

TEST(fork_outside_a_goroutine_is_EPERM)
{
	struct gmprt_task t;

	G_EQ(-EPERM, gmprt_fork(&t, count, NULL));
}

TEST_HARNESS_MAIN
