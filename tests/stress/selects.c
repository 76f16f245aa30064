/* SPDX-License-Identifier: MIT */
/*
 * selects.c - proves under random load: selects over shared channels, in all
 * forms and with closing channels, run one case each and lose nothing
 */
#include "lib/stress.h"

#define MOST_CHANS 10
#define MOST_CASES 16

static gmprt_chan *c[MOST_CHANS];
static gmprt_wg wg;
static long chans, loops;
static long sent, received, sent_sum, received_sum;

static int one_select(uint64_t *rand, long *values)
{
	struct gmprt_case cases[MOST_CASES];
	size_t n = 1 + (size_t)g_below(rand, MOST_CASES);
	int k;

	for (size_t i = 0; i < n; i++) {
		values[i] = g_below(rand, 1000);
		cases[i].op = g_below(rand, 2) ? GMPRT_SEND : GMPRT_RECV;
		cases[i].chan = g_below(rand, 10) ? c[g_below(rand, chans)] : NULL;
		cases[i].elem = &values[i];
		cases[i].result = 77;
	}
	/* Nobody waits for ever: the last ones would find no partner. */
	if (g_below(rand, 2))
		k = gmprt_select_try(cases, n);
	else
		k = gmprt_select_dl(cases, n, g_now() + g_below(rand, 100000));
	for (size_t i = 0; i < n; i++)
		if ((int)i != k)
			G_EQ(77, cases[i].result);
	if (k < 0)
		return k;
	G_LT(k, n);
	G_TRUE(cases[k].chan);
	if (cases[k].result == -EPIPE)
		return -EPIPE;
	G_OK(cases[k].result);
	if (cases[k].op == GMPRT_SEND) {
		g_inc(&sent);
		__atomic_add_fetch(&sent_sum, values[k], __ATOMIC_SEQ_CST);
	} else {
		g_inc(&received);
		__atomic_add_fetch(&received_sum, values[k], __ATOMIC_SEQ_CST);
	}
	return k;
}

static void storms(void *n)
{
	uint64_t rand = g_seed + (uintptr_t)n;
	long values[MOST_CASES];

	for (long i = 0; i < loops; i++) {
		int k = one_select(&rand, values);

		G_TRUE(k >= 0 || k == -EAGAIN || k == -ETIMEDOUT || k == -EPIPE);
		if (g_below(&rand, 50) == 0)
			gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

static void closes(void *chan)
{
	gmprt_sleep(2 * G_MS);
	G_OK(gmprt_chan_close(chan));
	gmprt_wg_done(&wg);
}

G_STRESS(a_storm_of_selects_keeps_its_balance)
{
	uint64_t rand = g_seed;
	long goroutines = 2 + g_below(&rand, 30), left = 0, left_sum = 0, v;

	chans = 1 + g_below(&rand, MOST_CHANS);
	loops = G_LOOPS(1 + g_below(&rand, 500));
	g_store(&sent, 0);
	g_store(&received, 0);
	g_store(&sent_sum, 0);
	g_store(&received_sum, 0);
	for (long i = 0; i < chans; i++)
		c[i] = gmprt_chan_make(sizeof(long), (size_t)g_below(&rand, 4));
	gmprt_wg_add(&wg, goroutines);
	for (intptr_t i = 0; i < goroutines; i++)
		g_go(storms, (void *)i);
	if (g_below(&rand, 3) == 0) {
		gmprt_wg_add(&wg, 1);
		g_go(closes, c[0]);
	}
	gmprt_wg_wait(&wg);
	for (long i = 0; i < chans; i++) {
		while (gmprt_chan_recv_try(c[i], &v) == 0) {
			left++;
			left_sum += v;
		}
		gmprt_chan_free(c[i]);
	}
	G_EQ(g_load(&sent), g_load(&received) + left);
	G_EQ(g_load(&sent_sum), g_load(&received_sum) + left_sum);
}

TEST_HARNESS_MAIN
