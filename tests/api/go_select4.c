/* SPDX-License-Identifier: MIT */
/*
 * go_select4.c - re-expresses what Go's test/chan/select4.go shows:
 * a case that does not run has no effect: where its element would go is not
 * touched. Go's test sees to it that the address is not even computed; here an
 * address that may not be written stands for that.
 */
#include <sys/mman.h>

#include "lib/gtest.h"

G_TEST(the_case_that_does_not_run_touches_nothing)
{
	void *forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	gmprt_chan *ready = g_chan(sizeof(int), 1), *silent = g_chan(sizeof(int), 0);

	G_TRUE(forbidden != MAP_FAILED);
	for (int i = 0; i < 100; i++) {
		int v = 42;
		struct gmprt_case cases[] = {
			{ .op = GMPRT_RECV, .chan = silent, .elem = forbidden },
			{ .op = GMPRT_RECV, .chan = ready, .elem = &v },
			{ .op = GMPRT_SEND, .chan = silent, .elem = forbidden },
		};

		G_OK(gmprt_chan_send(ready, &v));
		v = 0;
		G_EQ(1, gmprt_select(cases, 3));
		G_EQ(42, v);
	}
}

TEST_HARNESS_MAIN
