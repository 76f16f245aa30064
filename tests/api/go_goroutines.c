/* SPDX-License-Identifier: MIT */
/*
 * go_goroutines.c - re-expresses what Go's test/chan/goroutines.go shows:
 * 10,000 goroutines in a chain, each passing on to its left what it gets from
 * its right, all end when a value has gone all the way.
 */
#include "lib/gtest.h"

/* ThreadSanitizer knows at most 8,128 threads, goroutines among them. */
#define N (G_SLOW > 1 ? 2000 : 10000)

static gmprt_chan *links[10001];

static void passes_on(void *n)
{
	intptr_t i = (intptr_t)n;
	int v;

	G_OK(gmprt_chan_recv(links[i + 1], &v));
	v++;
	G_OK(gmprt_chan_send(links[i], &v));
}

static void starts(void *last)
{
	int v = 1;

	G_OK(gmprt_chan_send(last, &v));
}

G_TEST(a_value_passes_through_a_chain_of_goroutines)
{
	int v = 0;

	for (int i = 0; i <= N; i++)
		links[i] = g_chan(sizeof(int), 0);
	for (intptr_t i = 0; i < N; i++)
		g_go(passes_on, (void *)i);
	g_go(starts, links[N]);
	G_OK(gmprt_chan_recv(links[0], &v));
	G_EQ(N + 1, v);
	while (gmprt_num_goroutine() != 1)
		gmprt_sleep(G_MS / 10);
}

TEST_HARNESS_MAIN
