/* SPDX-License-Identifier: MIT */
/*
 * "Which M am I" is a word a thread: none at first, each thread its own. What
 * compilers may do to it over switches is tests/api/tls.c's claim.
 */
#include <pthread.h>

#include "core/tls.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

static pthread_barrier_t step;

static struct rt_m *fake(int i)
{
	static char m[4];

	return (struct rt_m *)&m[i];
}

TEST(thread_that_is_no_M_has_none)
{
	G_TRUE(!rt_m_self());
}

static void *other(void *arg)
{
	G_TRUE(!rt_m_self()); /* not its creator's */
	rt_m_set_self(fake(2));
	pthread_barrier_wait(&step);
	pthread_barrier_wait(&step);
	G_TRUE(rt_m_self() == fake(2));
	return arg;
}

TEST(each_thread_has_its_own)
{
	pthread_t t;

	rt_m_set_self(fake(1));
	G_TRUE(rt_m_self() == fake(1));
	pthread_barrier_init(&step, NULL, 2);
	G_OK(pthread_create(&t, NULL, other, NULL));
	pthread_barrier_wait(&step);
	G_TRUE(rt_m_self() == fake(1));
	rt_m_set_self(fake(3));
	pthread_barrier_wait(&step);
	pthread_join(t, NULL);
	G_TRUE(rt_m_self() == fake(3));
	rt_m_set_self(NULL);
	G_TRUE(!rt_m_self());
}

TEST_HARNESS_MAIN
