/* SPDX-License-Identifier: MIT */
/*
 * go_doubleselect.c - re-expresses what Go's test/chan/doubleselect.go shows:
 * exactly one case of a select runs. A sender offers each number on four
 * channels at a time; four forwarders merge them; no number may arrive twice,
 * and here, where nothing else ends the stream, none may be missing.
 */
#include <stdlib.h>

#include "lib/gtest.h"

#define WAYS 4

static gmprt_chan *in[WAYS], *out;
static long n, forwarders;

static void sender(void *arg)
{
	(void)arg;
	for (long i = 0; i < n; i++) {
		struct gmprt_case cases[WAYS];
		int k;

		for (int j = 0; j < WAYS; j++)
			cases[j] = (struct gmprt_case){ GMPRT_SEND, in[j], &i, -1 };
		k = gmprt_select(cases, WAYS);
		G_TRUE(k >= 0 && k < WAYS);
		G_OK(cases[k].result);
	}
	for (int j = 0; j < WAYS; j++)
		G_OK(gmprt_chan_close(in[j]));
}

static void forwarder(void *from)
{
	long v;

	while (gmprt_chan_recv(from, &v) == 0)
		G_OK(gmprt_chan_send(out, &v));
	if (__atomic_sub_fetch(&forwarders, 1, __ATOMIC_SEQ_CST) == 0)
		G_OK(gmprt_chan_close(out));
}

G_TEST(exactly_one_case_of_a_select_runs)
{
	char *seen;
	long v, count = 0;

	n = G_LOOPS(50000);
	seen = calloc((size_t)n, 1);
	g_store(&forwarders, WAYS);
	out = g_chan(sizeof(long), 0);
	for (int j = 0; j < WAYS; j++) {
		in[j] = g_chan(sizeof(long), 0);
		g_go(forwarder, in[j]);
	}
	g_go(sender, NULL);
	while (gmprt_chan_recv(out, &v) == 0) {
		G_TRUE(v >= 0 && v < n);
		G_EQ(0, seen[v]);
		seen[v] = 1;
		count++;
	}
	G_EQ(n, count);
	free(seen);
}

TEST_HARNESS_MAIN
