/* SPDX-License-Identifier: MIT */
/*
 * go_sieve1.c - re-expresses what Go's test/chan/sieve1.go shows:
 * a chain of filters, one goroutine for each prime found, each passing on what
 * its prime does not divide. The chain grows while numbers flow through it.
 */
#include "lib/gtest.h"

static gmprt_chan *primes;

static void counts_from_2(void *out)
{
	for (int i = 2;; i++)
		G_OK(gmprt_chan_send(out, &i));
}

struct filter {
	gmprt_chan *in, *out;
	int prime;
};

static void filters(void *arg)
{
	struct filter f = *(struct filter *)arg;
	int v;

	for (;;) {
		G_OK(gmprt_chan_recv(f.in, &v));
		if (v % f.prime)
			G_OK(gmprt_chan_send(f.out, &v));
	}
}

static struct filter stages[200];

static void sieves(void *arg)
{
	gmprt_chan *in = g_chan(sizeof(int), 0);

	(void)arg;
	g_go(counts_from_2, in);
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		struct filter *f = &stages[i];

		f->in = in;
		f->out = g_chan(sizeof(int), 0);
		G_OK(gmprt_chan_recv(in, &f->prime));
		G_OK(gmprt_chan_send(primes, &f->prime));
		g_go(filters, f);
		in = f->out;
	}
}

static bool is_prime(int n)
{
	for (int d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return true;
}

G_TEST(a_chain_of_filters_yields_the_primes)
{
	int n = G_SLOW > 1 ? 25 : 150;

	primes = g_chan(sizeof(int), 0);
	g_go(sieves, NULL);
	for (int want = 2; n > 0; want++) {
		int got;

		if (!is_prime(want))
			continue;
		G_OK(gmprt_chan_recv(primes, &got));
		G_EQ(want, got);
		n--;
	}
}

TEST_HARNESS_MAIN
