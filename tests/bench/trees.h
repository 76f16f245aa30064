/* SPDX-License-Identifier: MIT */
/*
 * trees.h - B6, B6j and B7: goroutines that start goroutines
 *
 * Part of bodies.h, which includes it. B6 is Go's skynet, over unbuffered
 * channels; B6j the same tree with a parent that waits for its children, as
 * peers without channels run it. B7 is the least work a child can do, so it
 * is the price of fork and join and nothing else; there is no cut-off below
 * which it would call itself plainly.
 */
#ifndef BENCH_TREES_H
#define BENCH_TREES_H

#ifdef G_FEW
static void b6(void)
{
	not_available("a million threads at a time");
}
#define b6j b6
#define b7  b6
#else

/* --------- B6: skynet, a tree of a million leaves that report over channels */

/* A power of ten, as N= must be. */
#define SKYNET_LEAVES 1000000L

struct sky_arg {
	void *up;
	long num, size;
};

static void sky_start(void (*fn)(void *), void *up, long num, long size)
{
	struct sky_arg *a = (struct sky_arg *)xmalloc(sizeof(*a));

	a->up = up;
	a->num = num;
	a->size = size;
	g_spawn(fn, a);
}

static void sky_children(void (*fn)(void *), void *up, long num, long size)
{
	for (long i = 0; i < 10; i++)
		sky_start(fn, up, num + i * (size / 10), size / 10);
}

static void sky_result(double t, long sum, const char *variant)
{
	long n = size_of_work("N", SKYNET_LEAVES);

	check(sum == n * (n - 1) / 2, "skynet's sum is wrong");
	report(t / 1e6, "ms", variant);
}

static void sky_chan_fn(void *arg)
{
	struct sky_arg a = *(struct sky_arg *)arg;
	g_chan_t *below;
	long sum = 0;

	free(arg);
	if (a.size == 1) {
		g_chan_send((g_chan_t *)a.up, a.num);
		return;
	}
	below = g_chan_new(0);
	sky_children(sky_chan_fn, below, a.num, a.size);
	for (int i = 0; i < 10; i++)
		sum += g_chan_recv(below);
	g_chan_free(below);
	g_chan_send((g_chan_t *)a.up, sum);
}

static void b6(void)
{
	g_chan_t *top = g_chan_new(0);
	double t = now_ns();
	long sum;

	sky_start(sky_chan_fn, top, 0, size_of_work("N", SKYNET_LEAVES));
	sum = g_chan_recv(top);
	sky_result(now_ns() - t, sum, "channels");
}

/* B6j: the same tree; children add into their parent, which waits for ten. */

struct sky_node {
	struct latch latch;
	long sum;
};

static void sky_join_fn(void *arg)
{
	struct sky_arg a = *(struct sky_arg *)arg;
	struct sky_node *up = (struct sky_node *)a.up, *n;
	long sum = a.num;

	free(arg);
	if (a.size > 1) {
		n = (struct sky_node *)xmalloc(sizeof(*n));
		n->sum = 0;
		latch_init(&n->latch, 10);
		sky_children(sky_join_fn, n, a.num, a.size);
		latch_wait(&n->latch);
		sum = n->sum;
		sem_free(n);
	}
	__atomic_fetch_add(&up->sum, sum, __ATOMIC_SEQ_CST);
	latch_done(&up->latch);
}

static void b6j(void)
{
	static struct sky_node top;
	double t = now_ns();

	latch_init(&top.latch, 1);
	sky_start(sky_join_fn, &top, 0, size_of_work("N", SKYNET_LEAVES));
	latch_wait(&top.latch);
	sky_result(now_ns() - t, top.sum, "join");
}

/* ------------------------------------------- B7: fib, a child for each call */

static long fib(long n);

struct fib_arg {
	long n, result;
#ifndef G_HAVE_FORK
	g_sem_t done;
#endif
};

static void fib_fn(void *arg)
{
	struct fib_arg *a = (struct fib_arg *)arg;

	a->result = fib(a->n);
#ifndef G_HAVE_FORK
	g_sem_post(&a->done);
#endif
}

#ifdef G_HAVE_FORK
static long fib(long n)
{
	struct fib_arg a;
	g_fork_t child;
	long b;

	if (n < 2)
		return n;
	a.n = n - 1;
	g_fork(&child, fib_fn, &a);
	b = fib(n - 2);
	g_joinh(&child);
	return a.result + b;
}
#else
static long fib(long n)
{
	struct fib_arg *a;
	long r;

	if (n < 2)
		return n;
	a = (struct fib_arg *)xmalloc(sizeof(*a));
	a->n = n - 1;
	g_sem_init(&a->done, 0);
	g_spawn(fib_fn, a);
	r = fib(n - 2);
	g_sem_wait(&a->done);
	r += a->result;
	sem_free(a);
	return r;
}
#endif

static long fib_plain(long n)
{
	long a = 0, b = 1;

	for (; n > 0; n--) {
		long c = a + b;

		a = b;
		b = c;
	}
	return a;
}

static void b7(void)
{
	long n = size_of_work("FIB", 30), r;
	double t = now_ns();
	char remark[64];

	r = fib(n);
	t = now_ns() - t;
	check(r == fib_plain(n), "fib's result is wrong");
	snprintf(remark, sizeof(remark), "fib(%ld) %.1fns-a-child", n,
		 t / (double)(fib_plain(n + 1) - 1));
	report(t / 1e6, "ms", remark);
}

#endif /* !G_FEW */
#endif /* BENCH_TREES_H */
