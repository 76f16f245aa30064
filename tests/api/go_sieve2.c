/* SPDX-License-Identifier: MIT */
/*
 * go_sieve2.c - re-expresses what Go's test/chan/sieve2.go shows:
 * the sieve of Eratosthenes as a loop of goroutines: odd numbers flow past the
 * merged multiples of the primes found so far, and each prime found starts a
 * new stream of multiples. The loop would lock up if the way back had a bounded
 * buffer, so a goroutine with a growing queue stands in between; it selects
 * between taking one in and handing one out, the latter with a NULL channel
 * while its queue is empty.
 */
#include "lib/gtest.h"

#define MOST 400

static int take(gmprt_chan *c)
{
	int v;

	G_OK(gmprt_chan_recv(c, &v));
	return v;
}

static void give(gmprt_chan *c, int v)
{
	G_OK(gmprt_chan_send(c, &v));
}

static void counts_by_2(void *out)
{
	for (int n = 5;; n += 2)
		give(out, n);
}

/* ---- a stream of multiples of one prime ---- */

struct multiples {
	gmprt_chan *out;
	int prime;
	int head; /* the next one, already received */
};

static void multiplies(void *arg)
{
	struct multiples m = *(struct multiples *)arg;

	for (int n = m.prime * m.prime;; n += 2 * m.prime)
		give(m.out, n);
}

static struct multiples streams[MOST];
static int nr_streams;

static struct multiples *smallest(void)
{
	struct multiples *min = &streams[0];

	for (int i = 1; i < nr_streams; i++)
		if (streams[i].head < min->head)
			min = &streams[i];
	return min;
}

/* ---- the loop ---- */

static gmprt_chan *out, *composites, *to_merger, *queue_in;

/* Takes a new prime when its square is due; merges all streams in order. */
static void merges(void *arg)
{
	int last = 0;

	(void)arg;
	for (;;) {
		struct multiples *s = &streams[nr_streams];
		int square;

		G_LT(nr_streams, MOST);
		s->prime = take(to_merger);
		square = s->prime * s->prime;
		s->out = g_chan(sizeof(int), 10);
		g_go(multiplies, s);
		s->head = take(s->out);
		G_EQ(square, s->head);
		nr_streams++;
		/* All that is due up to the square itself. */
		while (last < square) {
			struct multiples *min = smallest();

			if (min->head != last)
				give(composites, last = min->head);
			min->head = take(min->out);
		}
	}
}

/* A queue without bound between the finder of primes and the merger. */
static void buffers(void *arg)
{
	int *queue = g_keep(MOST * sizeof(*queue));
	size_t first = 0, last = 0;

	(void)arg;
	for (;;) {
		int in = 0;
		struct gmprt_case cases[] = {
			{ .op = GMPRT_RECV, .chan = queue_in, .elem = &in },
			{ .op = GMPRT_SEND,
			  .chan = first == last ? NULL : to_merger,
			  .elem = &queue[first] },
		};

		if (gmprt_select(cases, 2) == 0) {
			G_LT(last, MOST);
			queue[last++] = in;
		} else {
			first++;
		}
	}
}

static void finds(void *arg)
{
	gmprt_chan *odd = g_chan(sizeof(int), 50);
	int n;

	(void)arg;
	g_go(counts_by_2, odd);
	n = take(odd);
	for (;;) {
		int c = take(composites);

		for (; n < c; n = take(odd)) {
			give(queue_in, n);
			give(out, n);
		}
		if (n == c)
			n = take(odd);
	}
}

static bool is_prime(int n)
{
	for (int d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return true;
}

G_TEST(a_loop_of_goroutines_yields_the_primes)
{
	int n = G_SLOW > 1 ? 25 : 250;

	out = g_chan(sizeof(int), 10);
	composites = g_chan(sizeof(int), 50);
	to_merger = g_chan(sizeof(int), 10);
	queue_in = g_chan(sizeof(int), 10);
	give(out, 2);
	give(out, 3);
	give(to_merger, 3);
	g_go(merges, NULL);
	g_go(buffers, NULL);
	g_go(finds, NULL);
	for (int want = 2; n > 0; want++) {
		if (!is_prime(want))
			continue;
		G_EQ(want, take(out));
		n--;
	}
}

TEST_HARNESS_MAIN
