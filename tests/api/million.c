/* SPDX-License-Identifier: MIT */
/*
 * million.c - proves: a million goroutines can be parked at a time, each at
 * the cost of at most 4,300 resident bytes, and can all be woken and ended
 */
#include <unistd.h>

#include "lib/gtest.h"

#define MILLION 1000000L
#define NEEDS_KB (6L << 20)

static gmprt_chan *gate;
static gmprt_wg wg;
static long parked;

static void parks(void *arg)
{
	(void)arg;
	g_inc(&parked);
	gmprt_chan_recv(gate, NULL);
	gmprt_wg_done(&wg);
}

static void a_million(void)
{
	long rss = g_status_kb("VmRSS:"), pte = g_status_kb("VmPTE:");
	long bytes;

	gate = g_chan(0, 0);
	gmprt_wg_add(&wg, MILLION);
	for (long i = 0; i < MILLION; i++) {
		g_go(parks, NULL);
		/* Let them park as they come: what is measured is parked ones. */
		if (i % 1000 == 0)
			gmprt_yield();
	}
	while (g_load(&parked) != MILLION)
		gmprt_sleep(G_MS);
	gmprt_sleep(50 * G_MS);
	G_EQ(MILLION + 1, gmprt_num_goroutine());
	rss = g_status_kb("VmRSS:") - rss;
	pte = g_status_kb("VmPTE:") - pte;
	bytes = rss * 1024 / MILLION;
	printf("# a parked goroutine: %ld resident bytes, and %ld bytes of page tables\n", bytes,
	       pte * 1024 / MILLION);
	fflush(stdout);
	G_LE(bytes, 4300);
	G_OK(gmprt_chan_close(gate));
	gmprt_wg_wait(&wg);
	while (gmprt_num_goroutine() != 1)
		gmprt_sleep(G_MS);
}

static long available_kb(void)
{
	return sysconf(_SC_AVPHYS_PAGES) / 1024 * sysconf(_SC_PAGESIZE);
}

static void with_procs(struct __test_metadata *_metadata, int n)
{
	if (G_SLOW > 1)
		SKIP(return, "a sanitizer or an emulator adds memory of its own");
	if (available_kb() < NEEDS_KB)
		SKIP(return, "needs 6 GB of free memory, there are %ld MB", available_kb() >> 10);
	g_watch("million", 50);
	g_run(n, a_million);
	g_watch_end();
}

FIXTURE(one)
{
	int unused;
};

FIXTURE_SETUP(one)
{
}

FIXTURE_TEARDOWN(one)
{
}

TEST_F_TIMEOUT(one, a_million_parked_goroutines_fit_with_1_P, 60)
{
	with_procs(_metadata, 1);
}

TEST_F_TIMEOUT(one, a_million_parked_goroutines_fit_with_2_Ps, 60)
{
	with_procs(_metadata, 2);
}

TEST_HARNESS_MAIN
