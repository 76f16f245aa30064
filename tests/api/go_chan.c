/* SPDX-License-Identifier: MIT */
/*
 * go_chan.c - re-expresses what Go's runtime/chan_test.go shows of channels
 * between goroutines that race: TestNonblockRecvRace, TestNonblockSelectRace,
 * TestNonblockSelectRace2, TestSelfSelect, TestSelectStress, TestSelectFairness,
 * TestPseudoRandomSend, TestMultiConsumer. Each test names its own.
 */
#include <stdlib.h>

#include "lib/gtest.h"

#define RECV(c, p) ((struct gmprt_case){ .op = GMPRT_RECV, .chan = (c), .elem = (p) })
#define SEND(c, p) ((struct gmprt_case){ .op = GMPRT_SEND, .chan = (c), .elem = (p) })

static gmprt_wg wg;
static int zero = 0, one = 1;

static gmprt_chan *chan_of(size_t cap)
{
	gmprt_chan *c = gmprt_chan_make(sizeof(int), cap);

	G_TRUE(c);
	return c;
}

/* ---- TestNonblockRecvRace ---- */

static void finds_it_ready(void *c)
{
	int r = gmprt_chan_recv_try(c, NULL);

	G_TRUE(r == 0 || r == -EPIPE);
	gmprt_wg_done(&wg);
}

G_TEST(one_that_is_full_or_closed_is_always_ready)
{
	for (int i = 0; i < G_LOOPS(10000); i++) {
		gmprt_chan *c = chan_of(1);

		G_OK(gmprt_chan_send(c, &one));
		gmprt_wg_add(&wg, 1);
		g_go(finds_it_ready, c);
		G_OK(gmprt_chan_close(c));
		gmprt_chan_recv(c, NULL);
		gmprt_wg_wait(&wg);
		gmprt_chan_free(c);
	}
}

/* ---- TestNonblockSelectRace, TestNonblockSelectRace2 ---- */

static void finds_one_of_two_ready(void *two)
{
	gmprt_chan **c = two;
	struct gmprt_case cases[] = { RECV(c[0], NULL), RECV(c[1], NULL) };

	G_GE(gmprt_select_try(cases, 2), 0);
	gmprt_wg_done(&wg);
}

/* The second becomes ready before the first ceases to be. */
static void at_no_moment_is_none_ready(bool by_close)
{
	for (int i = 0; i < G_LOOPS(30000); i++) {
		gmprt_chan *c[2] = { chan_of(1), chan_of(1) };
		int r;

		G_OK(gmprt_chan_send(c[0], &one));
		gmprt_wg_add(&wg, 1);
		g_go(finds_one_of_two_ready, c);
		G_OK(by_close ? gmprt_chan_close(c[1]) : gmprt_chan_send(c[1], &one));
		r = gmprt_chan_recv_try(c[0], NULL);
		G_TRUE(r == 0 || r == -EAGAIN);
		gmprt_wg_wait(&wg);
		gmprt_chan_free(c[0]);
		gmprt_chan_free(c[1]);
	}
}

G_TEST(a_select_sees_its_channels_at_one_moment)
{
	at_no_moment_is_none_ready(false);
}

G_TEST(a_select_sees_a_close_and_what_follows_at_one_moment)
{
	at_no_moment_is_none_ready(true);
}

/* ---- TestSelfSelect ---- */

static gmprt_chan *self;

static void sends_and_receives(void *number)
{
	int me = *(int *)number, got;
	struct gmprt_case both[2][2] = { { SEND(self, &me), RECV(self, &got) },
					 { RECV(self, &got), SEND(self, &me) } };

	for (int i = 0; i < G_LOOPS(1000); i++) {
		int order = me == 0 || i % 2 == 0 ? 0 : 1, r = gmprt_select(both[order], 2);

		G_GE(r, 0);
		if (both[order][r].op == GMPRT_RECV && gmprt_chan_cap(self) == 0)
			G_NE(me, got);
	}
	gmprt_wg_done(&wg);
}

G_TEST(selects_that_send_and_receive_meet_each_other_not_themselves)
{
	static const size_t caps[] = { 0, 10 };

	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		self = chan_of(caps[i]);
		gmprt_wg_add(&wg, 2);
		g_go(sends_and_receives, &zero);
		g_go(sends_and_receives, &one);
		gmprt_wg_wait(&wg);
		gmprt_chan_free(self);
	}
}

/* ---- TestSelectStress ---- */

#define WAYS 4

static gmprt_chan *way[WAYS];
static int each;

static void sends_on_one(void *c)
{
	for (int i = 0; i < each; i++)
		G_OK(gmprt_chan_send(c, &zero));
	gmprt_wg_done(&wg);
}

static void receives_on_one(void *c)
{
	for (int i = 0; i < each; i++)
		G_OK(gmprt_chan_recv(c, NULL));
	gmprt_wg_done(&wg);
}

/* Each way as often as the others do; one that is through is NULL then. */
static void selects_on_all(enum gmprt_op op)
{
	struct gmprt_case cases[WAYS];
	int n[WAYS] = { 0 };

	for (int k = 0; k < WAYS; k++)
		cases[k] = (struct gmprt_case){ .op = op, .chan = way[k], .elem = NULL };
	for (int k = 0; op == GMPRT_SEND && k < WAYS; k++)
		cases[k].elem = &zero;
	for (int i = 0; i < WAYS * each; i++) {
		int k = gmprt_select(cases, WAYS);

		G_TRUE(k >= 0 && k < WAYS);
		G_OK(cases[k].result);
		if (++n[k] == each)
			cases[k].chan = NULL;
	}
	gmprt_wg_done(&wg);
}

static void sends_on_all(void *unused)
{
	(void)unused;
	selects_on_all(GMPRT_SEND);
}

static void receives_on_all(void *unused)
{
	(void)unused;
	selects_on_all(GMPRT_RECV);
}

G_TEST(selects_and_plain_operations_on_the_same_channels_all_end)
{
	static const size_t caps[WAYS] = { 0, 0, 2, 3 };

	each = G_LOOPS(20000);
	gmprt_wg_add(&wg, 2 * WAYS + 2);
	for (int k = 0; k < WAYS; k++) {
		way[k] = g_chan(sizeof(int), caps[k]);
		g_go(sends_on_one, way[k]);
		g_go(receives_on_one, way[k]);
	}
	g_go(sends_on_all, NULL);
	g_go(receives_on_all, NULL);
	gmprt_wg_wait(&wg);
}

/* ---- TestSelectFairness ---- */

static gmprt_chan *full[2], *empty[2], *out, *done;

static void forwards(void *unused)
{
	int v;
	struct gmprt_case in[] = { RECV(empty[0], &v), RECV(empty[1], &v), RECV(full[0], &v),
				   RECV(full[1], &v) };
	struct gmprt_case on[] = { SEND(out, &v), RECV(done, NULL) };

	(void)unused;
	do
		G_GE(gmprt_select(in, 4), 2);
	while (gmprt_select(on, 2) == 0);
	gmprt_wg_done(&wg);
}

G_TEST(two_that_are_always_ready_are_chosen_equally_often)
{
	int trials = G_LOOPS(10000), ones = 0, v = -1;

	for (int k = 0; k < 2; k++) {
		empty[k] = g_chan(sizeof(int), 0);
		full[k] = g_chan(sizeof(int), (size_t)trials + 1);
		for (int i = 0; i <= trials; i++)
			G_OK(gmprt_chan_send(full[k], k ? &one : &zero));
	}
	out = g_chan(sizeof(int), 0);
	done = g_chan(0, 0);
	gmprt_wg_add(&wg, 1);
	g_go(forwards, NULL);
	for (int i = 0; i < trials; i++) {
		G_OK(gmprt_chan_recv(out, &v));
		ones += v;
	}
	/* Go's bound: 10 sigma from the half; sigma^2 is trials / 4. */
	G_LT((2 * ones - trials) * (2 * ones - trials), 100 * trials);
	gmprt_chan_close(done);
	gmprt_wg_wait(&wg);
}

/* ---- TestPseudoRandomSend ---- */

#define SENDS 100

static int received[SENDS];

static void receives_with_yields(void *c)
{
	for (int i = 0; i < SENDS; i++) {
		gmprt_yield();
		G_OK(gmprt_chan_recv(c, &received[i]));
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_select_of_two_sends_chooses_by_chance)
{
	static const size_t caps[] = { 0, SENDS };

	for (size_t k = 0; k < ARRAY_SIZE(caps); k++) {
		gmprt_chan *c = chan_of(caps[k]);
		int ones = 0;

		gmprt_wg_add(&wg, 1);
		g_go(receives_with_yields, c);
		for (int i = 0; i < SENDS; i++) {
			struct gmprt_case cases[] = { SEND(c, &one), SEND(c, &zero) };

			G_GE(gmprt_select(cases, 2), 0);
		}
		gmprt_wg_wait(&wg);
		for (int i = 0; i < SENDS; i++)
			ones += received[i];
		G_GT(ones, SENDS / 10);
		G_LT(ones, SENDS - SENDS / 10);
		gmprt_chan_free(c);
	}
}

/* ---- TestMultiConsumer ---- */

#define WORKERS 23

static const int primes[] = { 2, 3, 7, 11, 13, 17, 19, 23, 27, 31 };
static gmprt_chan *work, *results;
static long fed;

static void works(void *number)
{
	int v;

	while (gmprt_chan_recv(work, &v) == 0) {
		/* out of the order of the queue */
		if (primes[(intptr_t)number % 10] == v)
			gmprt_yield();
		G_OK(gmprt_chan_send(results, &v));
	}
	gmprt_wg_done(&wg);
}

static void feeds(void *n)
{
	for (long i = 0; i < (intptr_t)n; i++) {
		fed += primes[i % 10];
		G_OK(gmprt_chan_send(work, &primes[i % 10]));
	}
	gmprt_chan_close(work);
	gmprt_wg_wait(&wg);
	gmprt_chan_close(results);
}

G_TEST(what_many_workers_take_comes_out_once)
{
	long n = G_LOOPS(100000), got = 0, sum = 0;
	int v;

	work = g_chan(sizeof(int), 3 * WORKERS);
	results = g_chan(sizeof(int), 3 * WORKERS);
	gmprt_wg_add(&wg, WORKERS);
	for (intptr_t i = 0; i < WORKERS; i++)
		g_go(works, (void *)i);
	g_go(feeds, (void *)n);
	for (; gmprt_chan_recv(results, &v) == 0; got++)
		sum += v;
	G_EQ(n, got);
	G_EQ(fed, sum);
}

TEST_HARNESS_MAIN
