/* SPDX-License-Identifier: MIT */
/*
 * paths.h - U1 to U11: the price of one operation when nobody is in the way
 *
 * Part of bodies.h, which includes it. The B figures are what a program sees;
 * these say where it comes from. One goroutine does the operation over and
 * over, so caches are warm and no lock is ever contended: the result is the
 * length of the fast path, atomics included.
 */
#ifndef BENCH_PATHS_H
#define BENCH_PATHS_H

/* The clock, started and stopped around `n` runs of what is measured. */
static double path_t0;
static long path_n;

static long path_start(long deflt)
{
	path_n = size_of_work("N", deflt);
	path_t0 = now_ns();
	return path_n;
}

static void path_stop(const char *unit)
{
	report((now_ns() - path_t0) / (double)path_n, unit, "");
}

static void u1_chan(void)
{
	g_chan_t *c = g_chan_new(16);

	for (long i = path_start(5000000); i > 0; i--) {
		g_chan_send(c, i);
		check(g_chan_recv(c) == i, "another item came back");
	}
	path_stop("ns/send+recv");
}

static void u2_mutex(void)
{
	g_mutex_init(&mutex);
	for (long i = path_start(5000000); i > 0; i--) {
		g_mutex_lock(&mutex);
		g_mutex_unlock(&mutex);
	}
	path_stop("ns/lock+unlock");
}

static void u3_sem(void)
{
	g_sem_init(&sem_ping, 0);
	for (long i = path_start(5000000); i > 0; i--) {
		g_sem_post(&sem_ping);
		g_sem_wait(&sem_ping);
	}
	path_stop("ns/post+wait");
}

#ifdef G_HAVE_FORK
static void count_fn(void *arg)
{
	++*(long *)arg;
}
#endif

static void u4_fork(void)
{
#ifdef G_HAVE_FORK
	long count = 0;

	for (long i = path_start(2000000); i > 0; i--) {
		g_fork_t child;

		g_fork(&child, count_fn, &count);
		g_joinh(&child);
	}
	path_stop("ns/fork+join");
	check(count == path_n, "a child did not run");
#else
	not_available("no fork and join");
#endif
}

static void u5_go(void)
{
	long n = nr_spawn();

	latch_init(&all, n);
	for (long i = path_start(n); i > 0; i--) {
		g_spawn(done_fn, NULL);
		g_yield();
	}
	latch_wait(&all);
	path_stop("ns/go+yield");
}

#ifdef G_HAVE_WG
static g_wg_t group;

static void wg_fn(void *arg)
{
	(void)arg;
	g_wg_done(&group);
}
#endif

static void u6_wg(void)
{
#ifdef G_HAVE_WG
	for (long i = path_start(5000000); i > 0; i--) {
		g_wg_add(&group, 1);
		g_wg_done(&group);
		g_wg_wait(&group);
	}
	path_stop("ns/add+done+wait");
#else
	not_available("no wait group");
#endif
}

static void u7_wg_go(void)
{
#ifdef G_HAVE_WG
	for (long i = path_start(1000000); i > 0; i--) {
		g_wg_add(&group, 1);
		g_spawn(wg_fn, NULL);
		g_wg_wait(&group);
	}
	path_stop("ns/go+wait");
#else
	not_available("no wait group");
#endif
}

static void u8_select(void)
{
#ifdef G_HAVE_SELECT
	g_chan_t *c[2] = { g_chan_new(1), g_chan_new(1) };
	long chose[2] = { 0, 0 };

	g_chan_send(c[0], 0);
	g_chan_send(c[1], 0);
	for (long i = path_start(2000000); i > 0; i--) {
		int k = g_select2(c[0], c[1]);

		chose[k]++;
		g_chan_send(c[k], 0);
	}
	path_stop("ns/select+send");
	check(path_n < 1000 || (chose[0] > path_n / 4 && chose[1] > path_n / 4),
	      "select is not uniform");
#else
	not_available("no select");
#endif
}

static void u9_block(void)
{
#ifdef G_HAVE_BLOCK
	for (long i = path_start(5000000); i > 0; i--) {
		g_block_enter();
		g_block_exit();
	}
	path_stop("ns/enter+exit");
#else
	not_available("no brackets around blocking code");
#endif
}

static void u10_yield(void)
{
	yield_among(1000, size_of_work("N", 2000));
}

/*
 * From a goroutine bound to its thread to an ordinary one and back: two threads
 * take turns, as in the line `futex` of floor.c, which is its measure.
 */
#ifdef G_HAVE_LOCK
static g_chan_t *there, *back;

static void u11_peer(void *n)
{
	for (long i = *(long *)n; i > 0; i--)
		g_chan_send(back, g_chan_recv(there));
}
#endif

static void u11_locked(void)
{
#ifdef G_HAVE_LOCK
	there = g_chan_new(0);
	back = g_chan_new(0);
	path_n = size_of_work("N", 200000);
	g_lock_thread();
	g_spawn(u11_peer, &path_n);
	for (long i = path_start(200000); i > 0; i--) {
		g_chan_send(there, i);
		check(g_chan_recv(back) == i, "another item came back");
	}
	path_stop("ns/round trip");
	g_unlock_thread();
#else
	not_available("no goroutine is bound to a thread");
#endif
}

#endif /* BENCH_PATHS_H */
