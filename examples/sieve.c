/* SPDX-License-Identifier: MIT */
/*
 * sieve - the first N primes, by a chain of goroutines: one for each prime,
 * that passes on what its prime does not divide
 *
 *	2, 3, 4... --> [not 2] --> [not 3] --> [not 5] --> the next prime
 *
 * Not a fast sieve. It is Doug McIlroy's example of how far coroutines and
 * channels go, and a hard test of a scheduler: N goroutines, and an unbuffered
 * send for each number that each of them lets through.
 *
 * The chain never ends by itself. It ends with main, which all goroutines do.
 */
#include <stdio.h>
#include <stdlib.h>

#include <gmprt/short.h>

struct filter {
	chan *in, *out;
	int prime;
};

static void *need(void *p)
{
	if (!p) {
		perror("sieve");
		exit(1);
	}
	return p;
}

static void start(void (*fn)(void *), void *arg)
{
	if (go(fn, arg)) {
		fputs("sieve: no memory for a goroutine\n", stderr);
		exit(1);
	}
}

static void count(void *out)
{
	for (int i = 2;; i++)
		chan_send(out, &i);
}

static void filter(void *arg)
{
	struct filter *f = arg;
	int i;

	for (;;) {
		chan_recv(f->in, &i);
		if (i % f->prime)
			chan_send(f->out, &i);
	}
}

static int sieve(int argc, char **argv)
{
	char *end = "";
	long n = argc > 1 ? strtol(argv[1], &end, 10) : 100;
	chan *in;

	if (argc > 2 || *end || n < 1 || n > 100000) {
		fputs("usage: sieve [N]: the first N primes, 1 to 100000, default 100\n", stderr);
		return 2;
	}
	in = need(chan_make(sizeof(int), 0));
	start(count, in);
	while (n--) {
		struct filter *f = need(malloc(sizeof(*f)));

		chan_recv(in, &f->prime);
		printf("%d\n", f->prime);
		f->in = in;
		f->out = in = need(chan_make(sizeof(int), 0));
		start(filter, f);
	}
	return 0;
}

int main(int argc, char **argv)
{
	return gmprt_main(sieve, argc, argv);
}
