/* SPDX-License-Identifier: MIT */
/*
 * bodies.h - the work that is measured, the same for every C and C++ peer
 *
 * A comparison is worth something only if both sides do the same work. So the
 * work is here, once, and a peer is an adapter: a file that maps the names
 * below to its library, includes this file, and defines g_run(). main() is
 * here too. Go's bodies (peers/go/main.go) are written by hand after these
 * and must be changed together with them.
 *
 * What an adapter defines before it includes this file, as functions or
 * macros:
 *
 *   PEER                        its name, a string or a call that returns it
 *   g_sem_t                     g_sem_init(s, n) g_sem_post(s) g_sem_wait(s)
 *   g_mutex_t                   g_mutex_init(m) g_mutex_lock(m) g_mutex_unlock(m)
 *   g_chan_t                    a channel of long: g_chan_t *g_chan_new(cap),
 *                               g_chan_send(c, v), long g_chan_recv(c), g_chan_free(c)
 *   g_yield()
 *   g_spawn(fn, arg)            starts a detached goroutine; does not fail
 *
 * What it may define besides; a benchmark that needs a missing one says n/a:
 *
 *   G_HAVE_FORK                 g_fork_t, g_fork(h, fn, arg), g_joinh(h)
 *   G_HAVE_WG                   g_wg_t (zeroed is ready), g_wg_add(w, n),
 *                               g_wg_done(w), g_wg_wait(w)
 *   G_HAVE_SELECT               int g_select2(c0, c1): receives from one of the
 *                               two, drops the value, returns which (0 or 1)
 *   G_HAVE_BLOCK                g_block_enter() g_block_exit()
 *   G_HAVE_LOCK                 g_lock_thread() g_unlock_thread()
 *   g_sleep_us(us)              sleeps the goroutine; unless it says G_NO_SLEEP
 *   G_SEM_UNSAFE_FREE           a semaphore may not be freed as soon as
 *                               g_sem_wait() returned: it leaks instead
 *   G_HELD_UP                   a goroutine that blocks in the kernel holds the others
 *                               up as long as it does: G1 is n/a
 *   G_FEW                       goroutines are so dear that B4, B5 and U5
 *                               start a hundredth, and B6 and B7 are n/a
 *
 * After the include it defines
 *
 *   static void g_run(int P, void (*fn)(void *));
 *
 * which starts P workers, runs fn(NULL) as a goroutine and returns after it.
 * Other bodies with this interface can stand in for this file, see the
 * --bodies option of ./run; they may also ask for sockets (echo.h) unless the
 * adapter says G_NO_IO.
 *
 * `adapter BENCH P` prints one line, and nothing else on stdout but more
 * figures of the same measurement, called BENCH.what:
 *
 *   PEER BENCH P=n VALUE UNIT [remark]       or
 *   PEER BENCH P=n n/a reason
 *
 * A wrong result (a lost item, a wrong sum) aborts: no figure without the
 * work. The clock starts with the first spawn or message and stops when the
 * last goroutine has reported its end. N=, FIB= in the environment change the
 * size of the work.
 */
#ifndef BENCH_BODIES_H
#define BENCH_BODIES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int bench_procs = 1;
static const char *bench_name;

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void report(double value, const char *unit, const char *remark)
{
	printf("%s %s P=%d %.2f %s %s\n", PEER, bench_name, bench_procs, value, unit, remark);
}

/* A second figure of the same measurement, a row of its own: B9.p99. */
__attribute__((unused)) static void report_more(const char *what, double value, const char *unit)
{
	printf("%s %s.%s P=%d %.2f %s\n", PEER, bench_name, what, bench_procs, value, unit);
}

__attribute__((unused)) static void not_available(const char *reason)
{
	printf("%s %s P=%d n/a %s\n", PEER, bench_name, bench_procs, reason);
}

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s %s: %s\n", PEER, bench_name, what);
	abort();
}

static long size_of_work(const char *name, long deflt)
{
	const char *s = getenv(name);

	return s && *s ? atol(s) : deflt;
}

__attribute__((unused)) static void *xmalloc(size_t n)
{
	void *p = malloc(n);

	check(p != NULL, "out of memory");
	return p;
}

static inline void sem_free(void *p)
{
#ifdef G_SEM_UNSAFE_FREE
	(void)p;
#else
	free(p);
#endif
}

/*
 * Waits for n goroutines. Not the peer's own wait group, so that all peers
 * count their goroutines in the same way: one atomic each, one post in all.
 */
struct latch {
	long left;
	g_sem_t zero;
};

static void latch_init(struct latch *l, long n)
{
	l->left = n;
	g_sem_init(&l->zero, 0);
}

static inline void latch_done(struct latch *l)
{
	if (__atomic_sub_fetch(&l->left, 1, __ATOMIC_ACQ_REL) == 0)
		g_sem_post(&l->zero);
}

static void latch_wait(struct latch *l)
{
	g_sem_wait(&l->zero);
}

static struct latch all;
static long rounds;

static void done_fn(void *arg)
{
	(void)arg;
	latch_done(&all);
}

/* ------------------------------------------------ B1: two goroutines yield */

static void yield_fn(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds; i++)
		g_yield();
	latch_done(&all);
}

static void yield_among(long goroutines, long times)
{
	double t;

	rounds = times;
	latch_init(&all, goroutines);
	t = now_ns();
	for (long i = 0; i < goroutines; i++)
		g_spawn(yield_fn, NULL);
	latch_wait(&all);
	report((now_ns() - t) / ((double)goroutines * (double)times), "ns/switch", "");
}

static void b1(void)
{
	yield_among(2, size_of_work("N", 1000000));
}

/* ------------------------- B2: round trip over two unbuffered channels, B2s */

static g_chan_t *ping, *pong;

static void echo_fn(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds; i++)
		g_chan_send(pong, g_chan_recv(ping));
	latch_done(&all);
}

static void b2(void)
{
	double t;

	rounds = size_of_work("N", 300000);
	ping = g_chan_new(0);
	pong = g_chan_new(0);
	latch_init(&all, 1);
	g_spawn(echo_fn, NULL);
	t = now_ns();
	for (long i = 1; i <= rounds; i++) {
		g_chan_send(ping, i);
		check(g_chan_recv(pong) == i, "another item came back");
	}
	t = now_ns() - t;
	latch_wait(&all);
	report(t / (double)rounds, "ns/roundtrip", "");
}

static g_sem_t sem_ping, sem_pong;

static void sem_echo_fn(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds; i++) {
		g_sem_wait(&sem_ping);
		g_sem_post(&sem_pong);
	}
	latch_done(&all);
}

static void b2s(void)
{
	double t;

	rounds = size_of_work("N", 300000);
	g_sem_init(&sem_ping, 0);
	g_sem_init(&sem_pong, 0);
	latch_init(&all, 1);
	g_spawn(sem_echo_fn, NULL);
	t = now_ns();
	for (long i = 0; i < rounds; i++) {
		g_sem_post(&sem_ping);
		g_sem_wait(&sem_pong);
	}
	t = now_ns() - t;
	latch_wait(&all);
	report(t / (double)rounds, "ns/roundtrip", "");
}

/* ------------------------------- B3: one producer, one consumer, buffer 128 */

static void produce_fn(void *arg)
{
	(void)arg;
	for (long i = 1; i <= rounds; i++)
		g_chan_send(ping, i);
	latch_done(&all);
}

static void b3(void)
{
	double t;

	rounds = size_of_work("N", 2000000);
	ping = g_chan_new(128);
	latch_init(&all, 1);
	t = now_ns();
	g_spawn(produce_fn, NULL);
	for (long i = 1; i <= rounds; i++)
		check(g_chan_recv(ping) == i, "an item is lost or out of order");
	t = now_ns() - t;
	latch_wait(&all);
	report(t / (double)rounds, "ns/item", "");
}

/* --------------------- B4: spawn a million, then wait; B4b: a thousand each */

static void spawn_batches(long batches, long each)
{
	double t = now_ns();
	char remark[64];

	for (long k = 0; k < batches; k++) {
		latch_init(&all, each);
		for (long i = 0; i < each; i++)
			g_spawn(done_fn, NULL);
		latch_wait(&all);
	}
	snprintf(remark, sizeof(remark), "%ld x %ld", batches, each);
	report((now_ns() - t) / ((double)batches * (double)each), "ns/spawn", remark);
}

static long nr_spawn(void)
{
#ifdef G_FEW
	return size_of_work("N", 1000000) / 100;
#else
	return size_of_work("N", 1000000);
#endif
}

static void b4(void)
{
	spawn_batches(1, nr_spawn());
}

static void b4b(void)
{
	long n = nr_spawn();

	spawn_batches(n >= 1000 ? n / 1000 : 1, 1000);
}

/* -------------------------------------------- B5: memory of the parked ones */

static g_sem_t never;
static long nr_up;

static void park_fn(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&nr_up, 1, __ATOMIC_SEQ_CST);
	g_sem_wait(&never);
}

static double resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size, resident = 0;

	check(f && fscanf(f, "%ld %ld", &size, &resident) == 2, "can't read /proc/self/statm");
	fclose(f);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double page_table_bytes(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kb = -1;

	check(f != NULL, "can't read /proc/self/status");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPTE: %ld", &kb) == 1)
			break;
	fclose(f);
	check(kb >= 0, "no VmPTE in /proc/self/status");
	return (double)kb * 1024;
}

static void b5(void)
{
	double rss = resident_bytes(), pt = page_table_bytes();
	double n = (double)nr_spawn(), t = now_ns();
	char remark[128];

	g_sem_init(&never, 0);
	for (long i = 0; i < (long)n; i++)
		g_spawn(park_fn, NULL);
	while (__atomic_load_n(&nr_up, __ATOMIC_RELAXED) < (long)n) {
		g_yield();
		if (bench_procs > 1)
			usleep(1000);
	}
	/* The last to count itself may still be on its way to sleep: one in n. */
	t = now_ns() - t;
	rss = resident_bytes() - rss;
	pt = page_table_bytes() - pt;
	snprintf(remark, sizeof(remark), "n=%.0f page-tables=%.0fB-each create+park=%.0fns-each",
		 n, pt / n, t / n);
	report(rss / n, "bytes/goroutine", remark);
	/* To end a million parked goroutines is not part of the measurement. */
	fflush(stdout);
	_exit(0);
}

/* ------ B8: one channel of 128, 100 producers, 100 consumers; B8u unbuffered */

static void send_fn(void *arg)
{
	(void)arg;
	for (long i = 1; i <= rounds; i++)
		g_chan_send(ping, i);
	latch_done(&all);
}

static long received;

static void recv_fn(void *arg)
{
	long sum = 0;

	(void)arg;
	for (long i = 0; i < rounds; i++)
		sum += g_chan_recv(ping);
	__atomic_fetch_add(&received, sum, __ATOMIC_RELAXED);
	latch_done(&all);
}

static void many_to_many(size_t cap)
{
	double t;

	rounds = size_of_work("N", 10000);
	ping = g_chan_new(cap);
	latch_init(&all, 200);
	t = now_ns();
	for (int i = 0; i < 100; i++) {
		g_spawn(send_fn, NULL);
		g_spawn(recv_fn, NULL);
	}
	latch_wait(&all);
	t = now_ns() - t;
	check(received == 100 * (rounds * (rounds + 1) / 2), "items are lost or doubled");
	report(t / (100.0 * (double)rounds), "ns/item", "");
}

static void b8(void)
{
	many_to_many(128);
}

static void b8u(void)
{
	many_to_many(0);
}

/* --------------------------------------- B11: a thousand on one short mutex */

static g_mutex_t mutex;
static long guarded;

static void lock_fn(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds; i++) {
		g_mutex_lock(&mutex);
		guarded++;
		g_mutex_unlock(&mutex);
	}
	latch_done(&all);
}

static void b11(void)
{
	double t;

	rounds = size_of_work("N", 2000);
	g_mutex_init(&mutex);
	latch_init(&all, 1000);
	t = now_ns();
	for (int i = 0; i < 1000; i++)
		g_spawn(lock_fn, NULL);
	latch_wait(&all);
	t = now_ns() - t;
	check(guarded == 1000 * rounds, "the mutex let two in");
	report(t / (double)guarded, "ns/lock+unlock", "");
}

#include "trees.h"
#include "sleepers.h"
#include "echo.h"
#include "blocks.h"
#include "paths.h"

/* ------------------------------------------------------------------- main() */

static const struct bench {
	const char *name;
	void (*fn)(void);
} benches[] = {
	{ "B1", b1 },
	{ "B2", b2 },
	{ "B2s", b2s },
	{ "B3", b3 },
	{ "B4", b4 },
	{ "B4b", b4b },
	{ "B5", b5 },
	{ "B6", b6 },
	{ "B6j", b6j },
	{ "B7", b7 },
	{ "B8", b8 },
	{ "B8u", b8u },
	{ "B9", b9 },
	{ "B9m", b9m },
	{ "B10", b10 },
	{ "B11", b11 },
	{ "B12", b12 },
	{ "U1", u1_chan },
	{ "U2", u2_mutex },
	{ "U3", u3_sem },
	{ "U4", u4_fork },
	{ "U5", u5_go },
	{ "U6", u6_wg },
	{ "U7", u7_wg_go },
	{ "U8", u8_select },
	{ "U9", u9_block },
	{ "U10", u10_yield },
	{ "U11", u11_locked },
	{ "W1", w1 },
	{ "G1", gap },
	{ "G1r", gap },
	{ "G2", gap },
	{ "G3", gap },
	{ "G3r", gap },
	{ "G4", gap },
	{ "G5", gap },
	{ "G6", gap },
	{ "G7", gap },
	{ "G8", gap },
	{ "G9", gap },
	{ "G10", gap },
};

static const struct bench *chosen;

static void bench_entry(void *arg)
{
	(void)arg;
	chosen->fn();
}

static void g_run(int P, void (*fn)(void *));

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3 || (argc == 3 && (bench_procs = atoi(argv[2])) < 1)) {
		fprintf(stderr, "usage: %s BENCH [WORKERS]\n", argv[0]);
		return 2;
	}
	bench_name = argv[1];
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		if (!strcmp(argv[1], benches[i].name))
			chosen = &benches[i];
	if (!chosen) {
		fprintf(stderr, "%s: no benchmark is called %s\n", argv[0], argv[1]);
		return 2;
	}
	g_run(bench_procs, bench_entry);
	fflush(stdout);
	/* Idle workers of a peer may have no way to be told to end. */
	_exit(0);
}

#endif /* BENCH_BODIES_H */
