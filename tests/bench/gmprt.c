/* SPDX-License-Identifier: MIT */
/*
 * gmprt.c - this library as a peer of the benchmarks
 *
 * Thin on purpose: each name is one call of the public header, and what a
 * user would have to check is checked here too.
 *
 * Built with -DBENCH_BODIES='"file"' it runs other bodies of the same
 * interface. Bodies that know only one skynet take it from G_SKYNET_CHAN:
 * over channels, as Go's peer does, unless BENCH_SKYNET_JOIN is defined.
 *
 * Environment: STACK= bytes of stack per goroutine; STATS=1 prints the run
 * time's counters on stderr when the benchmark has ended; PEER= the name in what
 * it prints. With a backend in GMPRT_UPCALL= that can't be had each result is n/a.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <gmprt.h>

#ifndef BENCH_BODIES
#define BENCH_BODIES "bodies.h"
#endif
#ifndef BENCH_SKYNET_JOIN
#define G_SKYNET_CHAN
#endif

/* Its name in this run: ./run measures it with several backends. */
static const char *peer_name(void)
{
	const char *name = getenv("PEER");

	return name && *name ? name : "gmprt";
}

#define PEER peer_name()

static void must(int err, const char *what)
{
	if (__builtin_expect(!err, 1))
		return;
	fprintf(stderr, "gmprt: %s: %s\n", what, strerror(-err));
	abort();
}

typedef gmprt_sem g_sem_t;
#define g_sem_init(s, n) (*(s) = (gmprt_sem)GMPRT_SEM_INIT(n))
#define g_sem_post(s)    gmprt_sem_post(s)
#define g_sem_wait(s)    must(gmprt_sem_wait(s), "gmprt_sem_wait")

typedef gmprt_mutex g_mutex_t;
#define g_mutex_init(m)   (*(m) = (gmprt_mutex){ 0 })
#define g_mutex_lock(m)   gmprt_mutex_lock(m)
#define g_mutex_unlock(m) gmprt_mutex_unlock(m)

typedef gmprt_chan g_chan_t;
#define g_chan_free(c) gmprt_chan_free(c)

static g_chan_t *g_chan_new(size_t cap)
{
	g_chan_t *c = gmprt_chan_make(sizeof(long), cap);

	if (!c) {
		perror("gmprt: gmprt_chan_make");
		abort();
	}
	return c;
}

static inline void g_chan_send(g_chan_t *c, long v)
{
	must(gmprt_chan_send(c, &v), "gmprt_chan_send");
}

static inline long g_chan_recv(g_chan_t *c)
{
	long v;

	must(gmprt_chan_recv(c, &v), "gmprt_chan_recv");
	return v;
}

#define g_yield()        gmprt_yield()
#define g_spawn(fn, arg) must(gmprt_go(fn, arg), "gmprt_go")
#define g_sleep_us(us)   must(gmprt_sleep(INT64_C(1000) * (us)), "gmprt_sleep")

#define G_HAVE_FORK
typedef struct gmprt_task g_fork_t;
#define g_fork(h, fn, arg) must(gmprt_fork(h, fn, arg), "gmprt_fork")
#define g_joinh(h)         gmprt_join(h)

#define G_HAVE_WG
typedef gmprt_wg g_wg_t;
#define g_wg_add(w, n) gmprt_wg_add(w, n)
#define g_wg_done(w)   gmprt_wg_done(w)
#define g_wg_wait(w)   gmprt_wg_wait(w)

#define G_HAVE_SELECT
__attribute__((unused)) static inline int g_select2(g_chan_t *c0, g_chan_t *c1)
{
	struct gmprt_case cases[2] = {
		{ .op = GMPRT_RECV, .chan = c0 },
		{ .op = GMPRT_RECV, .chan = c1 },
	};
	int k = gmprt_select(cases, 2);

	must(k < 0 ? k : cases[k].result, "gmprt_select");
	return k;
}

#define G_HAVE_LOCK
#define g_lock_thread()   gmprt_lock_os_thread()
#define g_unlock_thread() gmprt_unlock_os_thread()

#define G_HAVE_BLOCK
#define g_block_enter() gmprt_block_enter()
#define g_block_exit()  gmprt_block_exit()

#define g_read(fd, buf, n)  gmprt_read(fd, buf, n)
#define g_write(fd, buf, n) gmprt_write(fd, buf, n)
#define g_close(fd)         gmprt_close(fd)
#define g_accept(fd)        gmprt_accept(fd, NULL, NULL)

__attribute__((unused)) static int g_listen(int port)
{
	char at[32];

	snprintf(at, sizeof(at), "127.0.0.1:%d", port);
	return gmprt_listen_tcp(at, 4096);
}

#include BENCH_BODIES

static void print_stats(void)
{
	struct gmprt_stats s = { .size = sizeof(s) };

	must(gmprt_stats_read(&s), "gmprt_stats_read");
	fprintf(stderr,
		"switches %llu created %llu ended %llu steals %llu overflows %llu wakeups %llu "
		"forks %llu inline %llu threads %d (peak %d) stacks %llu\n",
		(unsigned long long)s.nr_switches, (unsigned long long)s.nr_created,
		(unsigned long long)s.nr_ended, (unsigned long long)s.nr_steals,
		(unsigned long long)s.nr_overflows, (unsigned long long)s.nr_wakeups,
		(unsigned long long)s.nr_forks, (unsigned long long)s.nr_inline_joins, s.nr_threads,
		s.nr_threads_peak, (unsigned long long)s.nr_stacks);
}

static void no_backend(void)
{
#ifdef BENCH_BODIES_H
	not_available("no such backend here");
#else
	exit(1);
#endif
}

static void run_if_had(void *fn)
{
	const char *asked = getenv("GMPRT_UPCALL"), *got = gmprt_upcall_backend();

	if (asked && *asked && strcmp(asked, "auto") != 0 && strcmp(asked, got) != 0)
		no_backend();
	else
		((void (*)(void *))fn)(NULL);
}

static void g_run(int P, void (*fn)(void *))
{
	const char *stack = getenv("STACK"), *stats = getenv("STATS");
	struct gmprt_options opt = {
		.size = sizeof(opt),
		.maxprocs = P,
		.stack_size = stack ? strtoul(stack, NULL, 0) : 0,
	};

	must(gmprt_run(&opt, run_if_had, (void *)fn), "gmprt_run");
	if (stats && *stats == '1')
		print_stats();
}
