/* SPDX-License-Identifier: MIT */
/*
 * gtimer.h - timers in tests: made or failed, received or failed
 */
#ifndef TESTS_LIB_GTIMER_H
#define TESTS_LIB_GTIMER_H

#include "lib/gcheck.h"

static inline gmprt_timer *timer_new(int64_t ns)
{
	gmprt_timer *t = gmprt_timer_make(ns);

	G_TRUE(t);
	return t;
}

/* Receives what must come. */
static inline int64_t receive(gmprt_timer *t)
{
	int64_t v = 0;

	G_OK(gmprt_chan_recv(gmprt_timer_chan(t), &v));
	G_GE(g_now(), v);
	return v;
}

static inline void is_empty(gmprt_timer *t)
{
	int64_t v;

	G_EQ(-EAGAIN, gmprt_chan_recv_try(gmprt_timer_chan(t), &v));
}

/* Without a call into the library. */
static inline void compute(int64_t ns)
{
	int64_t end = g_now() + ns;

	while (g_now() < end)
		;
}

#endif
