/* SPDX-License-Identifier: MIT */
/*
 * A dump shows every goroutine whatever runs out while it is made; what it
 * gives up are stacks and the order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmprt.h>

#include "base/sys.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

/* More than a dump has room for without asking for memory. */
#define MANY 900

static gmprt_chan *c;
static long nr_begun;

static void waits(void *arg)
{
	g_inc(&nr_begun);
	gmprt_chan_recv(arg, NULL);
}

/* Counts the heads; *ascending: each has a higher number than the one before. */
static int heads(const char *dump, bool *ascending)
{
	unsigned long long id, last = 0;
	int n = 0;

	*ascending = true;
	for (const char *at = dump; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		/* Not sscanf(), which measures all that follows first. */
		if (strncmp(at, "goroutine ", 10) != 0)
			continue;
		id = strtoull(at + 10, NULL, 10);
		*ascending &= id > last;
		last = id;
		n++;
	}
	return n;
}

static void dumps_with_each_call_failing(void)
{
	int nr_others = 0;
	bool ascending;
	char *dump;

	c = g_chan(0, 0);
	for (int i = 0; i < MANY; i++)
		g_go(waits, c);
	/* All are parked then, and no other thread has anything to do that could
	 * fail in the dump's place. */
	g_until(&nr_begun, MANY);
	gmprt_sleep(20 * G_MS);
	for (unsigned long nth = 1; nth <= 8; nth++) {
		rt_fault_arm(nth);
		dump = g_dump();
		rt_fault_arm(0);
		G_EQ(MANY + 1, heads(dump, &ascending));
		free(dump);
		nr_others += !ascending;
	}
	/* One of the calls was the one for the list. */
	G_EQ(1, nr_others);
}

TEST(whichever_call_fails_all_goroutines_are_shown)
{
	g_run(1, dumps_with_each_call_failing);
}

TEST_HARNESS_MAIN
