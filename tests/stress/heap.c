/* SPDX-License-Identifier: MIT */
/*
 * heap.c - proves under random load: goroutines that are preempted inside
 * malloc, free and printf, whichever locks and caches these have in hand, leave
 * the heap and the streams sane, and starve nobody
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/stress.h"

#define BLOCKS 64

static gmprt_wg wg, freed;
static gmprt_chan *passed_on; /* blocks that another M frees */
static FILE *out;
static long stop, rounds;

struct block {
	size_t size;
	unsigned char tag, bytes[];
};

static struct block *block_make(uint64_t *rand)
{
	size_t size = g_below(rand, 8) ? 1 + (size_t)g_below(rand, 3000) :
					 1 + (size_t)g_below(rand, 300000);
	struct block *b = malloc(sizeof(*b) + size);

	G_TRUE(b);
	b->size = size;
	b->tag = (unsigned char)g_rand(rand);
	memset(b->bytes, b->tag, size);
	return b;
}

static void block_check(const struct block *b)
{
	G_EQ(b->tag, b->bytes[0]);
	G_EQ(b->tag, b->bytes[b->size / 2]);
	G_EQ(b->tag, b->bytes[b->size - 1]);
}

static void block_free(struct block *b)
{
	if (b) {
		block_check(b);
		free(b);
	}
}

/* Never calls the run time but to pass a block on, once in a while. */
static void hogs(void *seed)
{
	uint64_t rand = g_seed + (uintptr_t)seed;
	struct block *have[BLOCKS] = { NULL };

	while (!g_load(&stop)) {
		long i = g_below(&rand, BLOCKS);

		if (have[i] && g_below(&rand, 4) == 0) {
			size_t size = 1 + (size_t)g_below(&rand, 5000);

			block_check(have[i]);
			have[i] = realloc(have[i], sizeof(*have[i]) + size);
			G_TRUE(have[i]);
			have[i]->size = size;
			memset(have[i]->bytes, have[i]->tag, size);
			continue;
		}
		block_free(have[i]);
		have[i] = block_make(&rand);
		if (g_below(&rand, 1000) == 0 && gmprt_chan_send_try(passed_on, &have[i]) == 0)
			have[i] = NULL;
		if (g_below(&rand, 50) == 0)
			G_GT(fprintf(out, "%ld %s %f\n", i, "a line", 3.25), 0);
		g_inc(&rounds);
	}
	for (int i = 0; i < BLOCKS; i++)
		block_free(have[i]);
	gmprt_wg_done(&wg);
}

static void frees(void *arg)
{
	struct block *b;

	(void)arg;
	while (gmprt_chan_recv(passed_on, &b) == 0)
		block_free(b);
	gmprt_wg_done(&freed);
}

G_STRESS(goroutines_stopped_inside_malloc_and_printf_leave_the_heap_sane)
{
	uint64_t rand = g_seed, preempts = g_stats().nr_preempts;
	int n = g_procs + 1 + (int)g_below(&rand, 6);

	g_store(&stop, 0);
	g_store(&rounds, 0);
	out = fopen("/dev/null", "we");
	G_TRUE(out);
	passed_on = g_chan(sizeof(struct block *), 10);
	gmprt_wg_add(&wg, n);
	gmprt_wg_add(&freed, 1);
	g_go(frees, NULL);
	for (intptr_t i = 0; i < n; i++)
		g_go(hogs, (void *)i);
	for (int i = 0; i < 20; i++) /* with one P: only if they are preempted */
		gmprt_sleep(5 * G_MS);
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
	G_OK(gmprt_chan_close(passed_on));
	gmprt_wg_wait(&freed);
	gmprt_chan_free(passed_on);
	G_OK(fclose(out));
	G_GT(rounds, 0);
	if (g_procs == 1)
		G_GT(g_stats().nr_preempts, preempts);
}

TEST_HARNESS_MAIN
