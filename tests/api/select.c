/* SPDX-License-Identifier: MIT */
/*
 * select.c - proves: select runs exactly one case, any ready one with the
 * same probability, and leaves the others as they were
 */
#include "lib/gtest.h"

#define RECV(c, p) ((struct gmprt_case){ .op = GMPRT_RECV, .chan = (c), .elem = (p) })
#define SEND(c, p) ((struct gmprt_case){ .op = GMPRT_SEND, .chan = (c), .elem = (p) })

static long done;

/*
 * Chi-square of k equally likely outcomes. The limit is far out (about 1 in
 * 10 million for each k used here), so that a failure means a skewed choice.
 */
static void check_uniform(const long *hits, int k, long n, double limit)
{
	double expected = (double)n / k, chi2 = 0;

	for (int i = 0; i < k; i++)
		chi2 += ((double)hits[i] - expected) * ((double)hits[i] - expected) / expected;
	if (chi2 > limit)
		G_FAIL("choice is skewed: chi-square %.1f > %.1f; hits %ld %ld %ld ...", chi2,
		       limit,
		       hits[0], hits[1], k > 2 ? hits[2] : 0L);
}

G_TEST(the_choice_among_ready_cases_is_uniform)
{
	struct gmprt_case cases[6];
	long hits[6] = { 0 }, n = G_LOOPS(40000);
	int v = 1;

	/* Cases 1 and 4 are never ready; the others always. */
	for (int i = 0; i < 6; i++) {
		gmprt_chan *c = g_chan(sizeof(int), 2);

		if (i != 1 && i != 4)
			G_OK(gmprt_chan_send(c, &v));
		cases[i] = RECV(c, &v);
	}
	for (long i = 0; i < n; i++) {
		int k = gmprt_select(cases, 6);

		G_TRUE(k >= 0 && k < 6 && k != 1 && k != 4);
		G_OK(cases[k].result);
		hits[k]++;
		G_OK(gmprt_chan_send(cases[k].chan, &v));
	}
	hits[1] = hits[3];
	hits[3] = hits[5];
	check_uniform(hits, 4, n, 35); /* 3 degrees of freedom */
}

G_TEST(the_choice_between_two_is_uniform_for_try_too)
{
	gmprt_chan *a = g_chan(0, 1), *b = g_chan(0, 1);
	long hits[2] = { 0 }, n = G_LOOPS(40000);

	G_OK(gmprt_chan_send(a, NULL));
	for (long i = 0; i < n; i++) {
		struct gmprt_case cases[] = { RECV(a, NULL), SEND(b, NULL) };
		int k = gmprt_select_try(cases, 2);

		G_TRUE(k == 0 || k == 1);
		hits[k]++;
		if (k == 0)
			G_OK(gmprt_chan_send(a, NULL));
		else
			G_OK(gmprt_chan_recv(b, NULL));
	}
	check_uniform(hits, 2, n, 29); /* 1 degree of freedom */
}

/* ---- nothing to choose ---- */

static void no_cases(void *arg)
{
	(void)arg;
	gmprt_select(NULL, 0);
	G_FAIL("an empty select returned");
}

static void nil_cases(void *arg)
{
	struct gmprt_case cases[] = { RECV(NULL, NULL), SEND(NULL, NULL) };

	(void)arg;
	gmprt_select(cases, 2);
	G_FAIL("a select of NULL channels returned");
}

G_TEST(without_a_possible_case_select_blocks_for_ever)
{
	struct gmprt_case nil[] = { RECV(NULL, NULL), SEND(NULL, NULL) };
	int64_t dl;

	g_go_named("never", no_cases, NULL);
	g_go_named("never", nil_cases, NULL);
	g_parked("never", 2);
	G_EQ(-EAGAIN, gmprt_select_try(NULL, 0));
	G_EQ(-EAGAIN, gmprt_select_try(nil, 2));
	G_EQ(-ETIMEDOUT, gmprt_select_dl(nil, 2, 0));
	dl = g_now() + 5 * G_MS;
	G_EQ(-ETIMEDOUT, gmprt_select_dl(nil, 2, dl));
	G_GE(g_now(), dl);
	dl = g_now() + 5 * G_MS;
	G_EQ(-ETIMEDOUT, gmprt_select_dl(NULL, 0, dl));
	G_GE(g_now(), dl);
	g_parked("never", 2);
}

G_TEST(bad_arguments_are_EINVAL)
{
	static struct gmprt_case many[65536];
	struct gmprt_case bad = RECV(g_chan(0, 1), NULL);

	bad.op = (enum gmprt_op)7;
	G_EQ(-EINVAL, gmprt_select(&bad, 1));
	G_EQ(-EINVAL, gmprt_select_try(&bad, 1));
	G_EQ(-EINVAL, gmprt_select_dl(&bad, 1, 0));
	G_EQ(-EINVAL, gmprt_select(many, 65536));
	G_EQ(-EINVAL, gmprt_select_try(many, SIZE_MAX));
}

G_TEST(select_takes_65535_cases)
{
	static struct gmprt_case many[65535];
	gmprt_chan *c = g_chan(sizeof(int), 1);
	int v = 5, got = 0;

	for (int i = 0; i < 65535; i++)
		many[i] = RECV(i % 2 ? NULL : g_chan(sizeof(int), 0), NULL);
	G_EQ(-EAGAIN, gmprt_select_try(many, 65535));
	many[40000] = RECV(c, &got);
	G_OK(gmprt_chan_send(c, &v));
	G_EQ(40000, gmprt_select(many, 65535));
	G_EQ(5, got);
	/* This one waits on all of them. */
	G_EQ(-ETIMEDOUT, gmprt_select_dl(many, 65535, g_now() + 10 * G_MS));
	G_EQ(-EAGAIN, gmprt_chan_send_try(many[100].chan, &v));
}

/* ---- the same channel more than once ---- */

static void sends_3(void *c)
{
	for (int i = 0; i < 3; i++)
		G_OK(gmprt_chan_send(c, &i));
	g_inc(&done);
}

G_TEST(a_channel_may_stand_in_several_cases)
{
	for (int round = 0; round < 50; round++) {
		gmprt_chan *c = g_chan(sizeof(int), 0);

		g_store(&done, 0);
		g_go(sends_3, c);
		for (int i = 0; i < 3; i++) {
			int v[3] = { -1, -1, -1 };
			struct gmprt_case cases[] = {
				RECV(c, &v[0]),
				RECV(c, &v[1]),
				RECV(c, &v[2]),
			};
			int k = gmprt_select(cases, 3);

			G_TRUE(k >= 0 && k < 3);
			for (int j = 0; j < 3; j++)
				G_EQ(j == k ? i : -1, v[j]);
		}
		g_until(&done, 1);
		/* None of the cases that lost is still in the queue. */
		G_EQ(-EAGAIN, gmprt_chan_send_try(c, &round));
	}
}

static void both_ways(void *c)
{
	int out = (int)gmprt_id(), in = -1;
	struct gmprt_case cases[] = { SEND(c, &out), RECV(c, &in) };
	int k = gmprt_select(cases, 2);

	G_TRUE(k == 0 || k == 1);
	G_OK(cases[k].result);
	if (k == 1)
		G_NE(out, in);
	g_inc(&done);
}

G_TEST(send_and_receive_of_one_channel_never_meet_themselves)
{
	gmprt_chan *c = g_chan(sizeof(int), 0);

	for (int round = 1; round <= 50; round++) {
		g_go_named("both", both_ways, c);
		if (round <= 3) {
			g_parked("both", 1);
			G_EQ(2 * round - 2, g_load(&done));
		}
		g_go_named("both", both_ways, c);
		g_until(&done, 2 * round);
	}
}

G_TEST(send_and_receive_of_one_buffered_channel_both_work)
{
	gmprt_chan *c = g_chan(sizeof(int), 1);
	int balance = 0;

	for (int i = 0; i < 1000; i++) {
		int out = i, in = -1;
		struct gmprt_case cases[] = { SEND(c, &out), RECV(c, &in) };
		int k = gmprt_select(cases, 2);

		/* Full or empty, exactly one of both can run. */
		G_EQ(balance, k);
		balance ^= 1;
		G_EQ(balance, gmprt_chan_len(c));
		if (k == 1)
			G_EQ(i - 1, in);
	}
}

/* ---- closed channels ---- */

G_TEST(a_closed_channel_is_always_ready)
{
	gmprt_chan *closed = g_chan(sizeof(int), 0), *silent = g_chan(sizeof(int), 0);
	int v = 7;
	struct gmprt_case cases[] = { RECV(silent, NULL), RECV(closed, &v), RECV(NULL, NULL) };

	G_OK(gmprt_chan_close(closed));
	G_EQ(1, gmprt_select(cases, 3));
	G_EQ(-EPIPE, cases[1].result);
	G_EQ(0, v);
	cases[1].result = 1;
	G_EQ(1, gmprt_select_try(cases, 3));
	G_EQ(-EPIPE, cases[1].result);
	cases[1] = SEND(closed, &v);
	G_EQ(1, gmprt_select(cases, 3));
	G_EQ(-EPIPE, cases[1].result);
	G_EQ(1, gmprt_select_dl(cases, 3, 0));
	G_EQ(-EPIPE, cases[1].result);
}

/* ---- waiting ---- */

static gmprt_chan *one, *two;

static void waits_on_both(void *arg)
{
	int v = -1;
	struct gmprt_case cases[] = { RECV(one, &v), RECV(two, &v) };
	int k = gmprt_select(cases, 2);

	(void)arg;
	G_OK(cases[k].result);
	G_EQ(k + 1, v);
	g_inc(&done);
}

G_TEST(a_waiting_select_is_woken_by_any_of_its_channels)
{
	one = g_chan(sizeof(int), 0);
	two = g_chan(sizeof(int), 0);
	for (int i = 0; i < 40; i++) {
		int v = i % 2 + 1;

		g_go_named("both", waits_on_both, NULL);
		if (i < 10)
			g_parked("both", 1);
		G_OK(gmprt_chan_send(v == 1 ? one : two, &v));
		g_until(&done, i + 1);
		G_EQ(-EAGAIN, gmprt_chan_send_try(one, &v));
		G_EQ(-EAGAIN, gmprt_chan_send_try(two, &v));
	}
}

G_TEST(each_element_goes_to_another_waiting_select)
{
	one = g_chan(sizeof(int), 0);
	two = g_chan(sizeof(int), 0);
	for (int i = 0; i < 6; i++) {
		g_go_named("both", waits_on_both, NULL);
		g_parked("both", i + 1);
	}
	for (int i = 0; i < 6; i++) {
		int v = i % 2 + 1;

		G_OK(gmprt_chan_send_try(v == 1 ? one : two, &v));
	}
	g_until(&done, 6);
}

G_TEST(a_deadline_ends_a_waiting_select_and_not_before)
{
	gmprt_chan *c = g_chan(sizeof(int), 0), *full = g_chan(sizeof(int), 1);
	int v = 1;

	G_OK(gmprt_chan_send(full, &v));
	for (int i = 0; i < 10; i++) {
		struct gmprt_case cases[] = { RECV(c, &v), SEND(full, &v), SEND(c, &v) };
		int64_t dl = g_now() + 2 * G_MS;

		G_EQ(-ETIMEDOUT, gmprt_select_dl(cases, 3, dl));
		G_GE(g_now(), dl);
		G_EQ(-ETIMEDOUT, gmprt_select_dl(cases, 3, dl));
	}
	G_EQ(-EAGAIN, gmprt_chan_send_try(c, &v));
	G_EQ(-EAGAIN, gmprt_chan_recv_try(c, &v));
	G_OK(gmprt_chan_recv_try(full, &v));
	G_EQ(-EAGAIN, gmprt_chan_recv_try(full, &v));
}

/* Two selects that name two channels in opposite order must not lock up. */
static gmprt_wg wg;

static void crosses(void *flip)
{
	for (int i = 0; i < G_LOOPS(5000); i++) {
		int out = i, in = -1;
		gmprt_chan *a = flip ? two : one, *b = flip ? one : two;
		struct gmprt_case cases[] = { SEND(a, &out), RECV(b, &in) };
		/* Whoever is last finds no partner: a deadline ends that. */
		int k = gmprt_select_dl(cases, 2, g_now() + G_MS);

		if (k == 1)
			G_TRUE(in >= 0);
		else
			G_TRUE(k == 0 || k == -ETIMEDOUT);
	}
	gmprt_wg_done(&wg);
}

G_TEST(selects_in_opposite_order_do_not_lock_up)
{
	one = g_chan(sizeof(int), 0);
	two = g_chan(sizeof(int), 0);
	gmprt_wg_add(&wg, 4);
	for (intptr_t i = 0; i < 4; i++)
		g_go(crosses, (void *)(i % 2));
	gmprt_wg_wait(&wg);
}

TEST(a_select_that_would_block_outside_a_goroutine_is_EPERM)
{
	gmprt_chan *c = g_chan(sizeof(int), 1);
	int v = 3;
	struct gmprt_case cases[] = { RECV(c, &v) };

	G_EQ(-EPERM, gmprt_select(cases, 1));
	G_EQ(-EAGAIN, gmprt_select_try(cases, 1));
	G_OK(gmprt_chan_send_try(c, &v));
	v = 0;
	G_EQ(0, gmprt_select_try(cases, 1));
	G_EQ(3, v);
}

TEST_HARNESS_MAIN
