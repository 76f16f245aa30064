/* SPDX-License-Identifier: MIT */
/*
 * go_select5.c - re-expresses what Go's test/chan/select5.go shows:
 * one send or receive that is ready, written in every way, gives the same
 * result. Go's test generates all combinations of: plain or in a select; with
 * a default before or after; beside a send and a receive that are never ready
 * and a send and a receive of a NULL channel; and selects of only such cases,
 * with a default. The same combinations are walked through here, with the
 * ready case at each place among the others.
 */
#include "lib/gtest.h"

enum { DUMMY_SEND = 1, DUMMY_RECV = 2, NULL_SEND = 4, NULL_RECV = 8, ALL = 15 };
enum form { PLAIN, TRY, DEADLINE, FORMS };

static gmprt_chan *c, *dummy;
static int one = 1;

static struct gmprt_case dead_case(int kind)
{
	return (struct gmprt_case){
		.op = kind & (DUMMY_SEND | NULL_SEND) ? GMPRT_SEND : GMPRT_RECV,
		.chan = kind & (DUMMY_SEND | DUMMY_RECV) ? dummy : NULL,
		.elem = kind & (DUMMY_SEND | NULL_SEND) ? &one : NULL,
	};
}

static int run(struct gmprt_case *cases, size_t n, enum form form)
{
	switch (form) {
	case PLAIN:
		return gmprt_select(cases, n);
	case TRY:
		return gmprt_select_try(cases, n);
	default:
		return gmprt_select_dl(cases, n, g_now() + 60 * G_SEC);
	}
}

/* The live case at place `at` among the dead ones of the set. */
static void select_one(struct gmprt_case live, int set, int at, enum form form)
{
	struct gmprt_case cases[5];
	int n = 0;

	for (int kind = 1; kind < ALL; kind <<= 1) {
		if (!(set & kind))
			continue;
		if (n == at)
			cases[n++] = live;
		cases[n++] = dead_case(kind);
	}
	if (n <= at)
		cases[at = n++] = live;
	G_EQ(at, run(cases, (size_t)n, form));
	G_OK(cases[at].result);
}

G_TEST(a_ready_operation_is_the_same_in_every_form)
{
	int n = 1, x;

	c = g_chan(sizeof(int), 1);
	dummy = g_chan(sizeof(int), 0);
	for (int set = 0; set <= ALL; set++) {
		for (int at = 0; at < 5; at++) {
			for (int form = 0; form < FORMS; form++, n++) {
				struct gmprt_case recv = { GMPRT_RECV, c, &x, -1 };
				struct gmprt_case send = { GMPRT_SEND, c, &n, -1 };

				x = 0;
				G_OK(gmprt_chan_send(c, &n));
				select_one(recv, set, at, (enum form)form);
				G_EQ(n, x);
				x = 0;
				select_one(send, set, at, (enum form)form);
				G_OK(gmprt_chan_recv(c, &x));
				G_EQ(n, x);
			}
		}
	}
}

G_TEST(nothing_ready_means_the_default_whatever_stands_there)
{
	dummy = g_chan(sizeof(int), 0);
	for (int set = 0; set <= ALL; set++) {
		struct gmprt_case cases[4];
		size_t n = 0;

		for (int kind = 1; kind < ALL; kind <<= 1)
			if (set & kind)
				cases[n++] = dead_case(kind);
		G_EQ(-EAGAIN, gmprt_select_try(cases, n));
		G_EQ(-ETIMEDOUT, gmprt_select_dl(cases, n, 0));
	}
}

TEST_HARNESS_MAIN
