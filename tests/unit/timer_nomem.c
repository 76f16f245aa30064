/* SPDX-License-Identifier: MIT */
/*
 * A timer that can't be had for want of memory is an error of its caller's, and
 * nothing else: the others fire, nothing leaks.
 */
#include "base/sys.h"
#include "lib/gtest.h"

enum { ARMED = 64 }; /* as many as a heap holds at first */

static gmprt_timer *others[ARMED];

static gmprt_timer *timer_new(int64_t ns)
{
	gmprt_timer *t = gmprt_timer_make(ns);

	G_TRUE(t);
	return t;
}

static void free_others(void)
{
	for (int i = 0; i < ARMED; i++) {
		gmprt_timer_free(others[i]);
		others[i] = NULL;
	}
}

/* The timer itself, then the heap. */
static void make_fails(void)
{
	for (unsigned long n = 1; n <= 2; n++) {
		rt_fault_arm(n);
		errno = 0;
		G_TRUE(!gmprt_timer_make(1));
		G_EQ(ENOMEM, errno);
		rt_fault_arm(n);
		G_TRUE(!gmprt_ticker_make(1));
		G_EQ(ENOMEM, errno);
	}
	rt_fault_arm(0);
}

TEST(make_fails_with_ENOMEM_and_leaks_nothing)
{
	g_run(1, make_fails);
}

static void reset_fails(void)
{
	gmprt_timer *t = timer_new(60 * G_SEC);
	int64_t v;

	for (int i = 0; i < ARMED - 1; i++)
		others[i] = timer_new(3600 * G_SEC);
	/* Earlier than its own node: it needs another. */
	rt_fault_arm(1);
	G_EQ(-ENOMEM, gmprt_timer_reset(t, G_MS));
	rt_fault_arm(0);
	G_EQ(0, gmprt_timer_stop(t));
	gmprt_sleep(2 * G_MS);
	G_EQ(-EAGAIN, gmprt_chan_recv_try(gmprt_timer_chan(t), &v));
	G_EQ(0, gmprt_timer_reset(t, G_MS));
	G_OK(gmprt_chan_recv(gmprt_timer_chan(t), &v));
	gmprt_timer_free(t);
	free_others();
}

TEST(reset_that_fails_leaves_it_stopped)
{
	g_run(1, reset_fails);
}

static void deadline_fails(void)
{
	gmprt_chan *c = g_chan(4, 0);
	int v;

	for (int i = 0; i < ARMED; i++)
		others[i] = timer_new(3600 * G_SEC);
	rt_fault_arm(1);
	G_EQ(-ENOMEM, gmprt_chan_recv_dl(c, &v, g_now() + G_SEC));
	rt_fault_arm(1);
	G_EQ(-ENOMEM, gmprt_sleep(G_MS));
	rt_fault_arm(0);
	G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(c, &v, g_now() + G_MS));
	/* Its node is there now. */
	rt_fault_arm(1);
	G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(c, &v, g_now() + G_MS));
	rt_fault_arm(0);
	free_others();
}

TEST(wait_with_a_deadline_fails_with_ENOMEM)
{
	g_run(1, deadline_fails);
}

TEST_HARNESS_MAIN
