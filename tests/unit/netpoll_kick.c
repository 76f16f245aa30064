/* SPDX-License-Identifier: MIT */
/*
 * Who waits in the netpoller wakes at its time and not before, at a kick, which
 * nobody else can take, and at a signal with nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sysio.h"
#include "core/g.h"
#include "core/netpoll.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

static struct rt_netpoll np;
static struct rt_g g;

static void begin(void)
{
	G_OK(rt_netpoll_open(&np));
}

static void end(void)
{
	rt_netpoll_close(&np);
	rt_fdtab_free(&np.fds);
}

static void waits_until_and_not_less(void)
{
	for (int i = 0; i < 5; i++) {
		struct rt_worklist ready = { 0 };
		int64_t until = rt_now_ns() + (i * 700 + 1) * RT_NS_PER_US;

		while (rt_now_ns() < until)
			rt_netpoll(&np, until, RT_NETPOLL_MOST, &ready);
		G_EQ(ready.n, 0);
	}
}

TEST(a_wait_ends_at_its_time)
{
	struct rt_worklist ready = { 0 };

	begin();
	waits_until_and_not_less();
	rt_epoll_use_ms(); /* as before Linux 5.11 */
	waits_until_and_not_less();
	rt_netpoll(&np, 1, RT_NETPOLL_MOST, &ready); /* long past */
	end();
}

static void *kicks_later(void *arg)
{
	g_nap(20 * RT_NS_PER_MS);
	rt_netpoll_kick(&np);
	return arg;
}

TEST(a_kick_ends_a_wait)
{
	struct rt_worklist ready = { 0 };
	pthread_t t;

	begin();
	for (int i = 0; i < 5; i++) {
		G_OK(pthread_create(&t, NULL, kicks_later, NULL));
		rt_netpoll(&np, INT64_MAX, RT_NETPOLL_MOST, &ready);
		pthread_join(t, NULL);
	}
	G_EQ(ready.n, 0);
	end();
}

TEST(a_kick_before_the_wait_ends_it_and_nobody_else_takes_it)
{
	struct rt_worklist ready = { 0 };

	begin();
	for (int i = 0; i < 3; i++)
		rt_netpoll_kick(&np); /* as good as one */
	for (int i = 0; i < 3; i++) {
		rt_netpoll(&np, 0, RT_NETPOLL_MOST, &ready);
		rt_netpoll_try(&np, rt_now_ns(), RT_NETPOLL_MOST, &ready);
	}
	rt_netpoll(&np, INT64_MAX, RT_NETPOLL_MOST, &ready);
	/* It is taken back now. */
	rt_netpoll(&np, rt_now_ns() + RT_NS_PER_MS, RT_NETPOLL_MOST, &ready);
	G_EQ(ready.n, 0);
	end();
}

TEST(a_kick_without_a_netpoller_does_nothing)
{
	rt_netpoll_kick(&np);
	G_EQ(np.kicked, 0);
}

TEST(one_polls_at_a_time_without_waiting)
{
	struct rt_worklist ready = { 0 };
	struct rt_fdwait w = { .g = &g, .dirs = RT_FD_IN };
	struct rt_fd *e;
	int sv[2];

	begin();
	G_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	e = rt_fd_find(&np.fds, sv[0]);
	G_OK(rt_netpoll_watch_locked(&np, e, sv[0], RT_FD_IN));
	rt_fdwait_put_locked(e, &w);
	G_EQ(write(sv[1], "", 1), 1);
	np.busy = 1;
	rt_netpoll_try(&np, 5, RT_NETPOLL_MOST, &ready);
	G_EQ(ready.n, 0);
	np.busy = 0;
	rt_netpoll_try(&np, 6, RT_NETPOLL_MOST, &ready);
	G_EQ(ready.n, 1);
	G_EQ(np.last_ns, 6);
	G_EQ(np.busy, 0);
	end();
}

static void on_signal(int sig)
{
	(void)sig;
}

static void *signals(void *thread)
{
	for (int i = 0; i < 200; i++) {
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
		g_nap(RT_NS_PER_MS / 20);
	}
	return NULL;
}

TEST(signals_end_no_wait_with_anything_but_nothing)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct rt_worklist ready = { 0 };
	pthread_t self = pthread_self(), t;
	int64_t until;

	G_OK(sigaction(SIGUSR1, &sa, NULL));
	begin();
	until = rt_now_ns() + 30 * RT_NS_PER_MS;
	G_OK(pthread_create(&t, NULL, signals, &self));
	while (rt_now_ns() < until) {
		errno = 99;
		rt_netpoll(&np, until, RT_NETPOLL_MOST, &ready);
		G_EQ(errno, 99);
	}
	pthread_join(t, NULL);
	G_EQ(ready.n, 0);
	end();
}

TEST_HARNESS_MAIN
