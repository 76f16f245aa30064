/* SPDX-License-Identifier: MIT */
/*
 * gbusy.h - goroutines that compute, yield, and block in calls nobody announced
 */
#ifndef TESTS_LIB_GBUSY_H
#define TESTS_LIB_GBUSY_H

#include <fcntl.h>
#include <unistd.h>

#include "lib/gcheck.h"

struct g_busy {
	gmprt_wg wg;
	long stop, yields, naps, answers, loops;
	int ping[2], pong[2];
};

static struct g_busy g_busy;

static inline void g_busy_yields(void *arg)
{
	(void)arg;
	while (!g_load(&g_busy.stop)) {
		g_inc(&g_busy.yields);
		gmprt_yield();
	}
	gmprt_wg_done(&g_busy.wg);
}

static inline void g_busy_naps(void *arg)
{
	(void)arg;
	while (!g_load(&g_busy.stop)) {
		g_nap(200000);
		g_inc(&g_busy.naps);
	}
	gmprt_wg_done(&g_busy.wg);
}

static inline void g_busy_computes(void *arg)
{
	(void)arg;
	while (!g_load(&g_busy.stop)) {
		int64_t end = g_now() + G_MS;

		while (g_now() < end)
			;
		g_inc(&g_busy.loops);
		gmprt_yield();
	}
	gmprt_wg_done(&g_busy.wg);
}

static inline void g_busy_answers(void *arg)
{
	char c;

	(void)arg;
	while (read(g_busy.ping[0], &c, 1) == 1)
		G_EQ(1, write(g_busy.pong[1], &c, 1));
	gmprt_wg_done(&g_busy.wg);
}

static inline void g_busy_asks(void *arg)
{
	char c = 0;

	(void)arg;
	while (!g_load(&g_busy.stop)) {
		G_EQ(1, write(g_busy.ping[1], &c, 1));
		G_EQ(1, read(g_busy.pong[0], &c, 1));
		g_inc(&g_busy.answers);
	}
	G_OK(close(g_busy.ping[1]));
	gmprt_wg_done(&g_busy.wg);
}

/* From the main goroutine. */
static inline void g_busy_begin(void)
{
	static void (*const all[])(void *) = { g_busy_yields, g_busy_naps, g_busy_naps,
					       g_busy_computes, g_busy_answers, g_busy_asks };
	const int n = sizeof(all) / sizeof(*all);

	G_OK(pipe2(g_busy.ping, O_CLOEXEC));
	G_OK(pipe2(g_busy.pong, O_CLOEXEC));
	g_store(&g_busy.stop, 0);
	gmprt_wg_add(&g_busy.wg, n);
	for (int i = 0; i < n; i++)
		g_go(all[i], NULL);
}

/* Returns when all kinds have come round. */
static inline void g_busy_goes_on(void)
{
	const long *const all[] = { &g_busy.yields, &g_busy.naps, &g_busy.answers, &g_busy.loops };
	enum { N = sizeof(all) / sizeof(*all) };
	long before[N];

	for (int i = 0; i < N; i++)
		before[i] = g_load(all[i]);
	for (int i = 0; i < N; i++)
		while (g_load(all[i]) < before[i] + 2)
			g_nap(100000);
}

/* Nobody is missing, but for those that the test has lost itself. */
static inline void g_busy_end_but(uint64_t nr_lost)
{
	struct gmprt_stats t;

	g_store(&g_busy.stop, 1);
	gmprt_wg_wait(&g_busy.wg);
	G_OK(close(g_busy.ping[0]));
	G_OK(close(g_busy.pong[0]));
	G_OK(close(g_busy.pong[1]));
	while (g_stats().nr_goroutines > 1 + nr_lost)
		gmprt_yield(); /* they have said that they end */
	t = g_stats();
	G_EQ(t.nr_created, t.nr_ended + 1 + nr_lost);
}

static inline void g_busy_end(void)
{
	g_busy_end_but(0);
}

#endif
