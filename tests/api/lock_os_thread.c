/* SPDX-License-Identifier: MIT */
/*
 * lock_os_thread.c - proves: a locked goroutine stays on its OS thread, alone
 * there, until as many unlocks; one that ends locked takes the thread along
 */
#include <sys/syscall.h>

#include "lib/gtest.h"

static gmprt_wg wg;
static gmprt_chan *ping;
static long done, locked_tid, stop;

static long tid(void)
{
	return syscall(SYS_gettid);
}

static void echo(void *arg)
{
	int v;

	(void)arg;
	while (gmprt_chan_recv(ping, &v) == 0) {
		G_NE(g_load(&locked_tid), tid());
		G_OK(gmprt_chan_send(ping, &v));
	}
	gmprt_wg_done(&wg);
}

static void strangers(void *arg)
{
	(void)arg;
	while (!g_load(&stop)) {
		G_NE(g_load(&locked_tid), tid());
		gmprt_yield();
		if (g_load(&done) % 4 == 0)
			gmprt_sleep(10000);
	}
	gmprt_wg_done(&wg);
}

G_TEST(a_locked_goroutine_has_its_thread_for_itself)
{
	ping = g_chan(sizeof(int), 0);
	gmprt_lock_os_thread();
	g_store(&locked_tid, tid());
	gmprt_wg_add(&wg, 9);
	g_go(echo, NULL);
	for (int i = 0; i < 8; i++)
		g_go(strangers, NULL);
	for (int i = 0; i < G_LOOPS(1000); i++) {
		int v = i;

		G_OK(gmprt_chan_send(ping, &v));
		G_EQ(g_load(&locked_tid), tid());
		G_OK(gmprt_chan_recv(ping, &v));
		G_EQ(g_load(&locked_tid), tid());
		G_EQ(i, v);
		if (i % 10 == 0)
			gmprt_sleep(20000);
		if (i % 10 == 5)
			gmprt_yield();
		if (i % 50 == 7) {
			gmprt_block_enter();
			g_nap(50000);
			gmprt_block_exit();
		}
		G_EQ(g_load(&locked_tid), tid());
		g_inc(&done);
	}
	g_store(&locked_tid, 0);
	gmprt_unlock_os_thread();
	g_store(&stop, 1);
	gmprt_chan_close(ping);
	gmprt_wg_wait(&wg);
}

G_TEST(locks_nest)
{
	long mine;

	gmprt_lock_os_thread();
	gmprt_lock_os_thread();
	gmprt_lock_os_thread();
	mine = tid();
	gmprt_unlock_os_thread();
	gmprt_sleep(G_MS);
	G_EQ(mine, tid());
	gmprt_unlock_os_thread();
	g_store(&locked_tid, mine);
	gmprt_wg_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		g_go(strangers, NULL);
	for (int i = 0; i < 100; i++) {
		gmprt_sleep(50000);
		G_EQ(mine, tid());
	}
	g_store(&locked_tid, 0);
	gmprt_unlock_os_thread();
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

static void stays(void *arg)
{
	long mine;

	(void)arg;
	gmprt_lock_os_thread();
	mine = tid();
	for (int i = 0; i < 50; i++) {
		if (i % 5 == 0)
			gmprt_sleep(20000);
		else
			gmprt_yield();
		G_EQ(mine, tid());
	}
	gmprt_unlock_os_thread();
	gmprt_wg_done(&wg);
}

G_TEST(more_goroutines_than_Ps_may_be_locked)
{
	gmprt_wg_add(&wg, 20);
	for (int i = 0; i < 20; i++)
		g_go(stays, NULL);
	gmprt_wg_wait(&wg);
}

static void ends_locked(void *slot)
{
	gmprt_lock_os_thread();
	gmprt_yield();
	__atomic_store_n((long *)slot, tid(), __ATOMIC_SEQ_CST);
}

static bool thread_exists(long t)
{
	return syscall(SYS_tgkill, getpid(), t, 0) == 0;
}

G_TEST(a_goroutine_that_ends_locked_takes_its_thread_along)
{
	for (int i = 0; i < 5; i++) {
		int64_t limit = g_now() + 10 * G_SEC;
		long t = 0;

		g_go(ends_locked, &t);
		while (!__atomic_load_n(&t, __ATOMIC_SEQ_CST))
			gmprt_sleep(G_MS / 10);
		if (t == getpid()) /* the thread that called gmprt_run() can't end */
			continue;
		while (thread_exists(t)) {
			G_LT(g_now(), limit);
			gmprt_sleep(G_MS);
		}
	}
	gmprt_sleep(G_MS);
}

static void exits_locked(void *arg)
{
	(void)arg;
	gmprt_lock_os_thread();
	g_inc(&done);
	gmprt_exit();
}

G_TEST(exit_of_a_locked_goroutine_leaves_the_P_working)
{
	for (int i = 0; i < 20; i++)
		g_go(exits_locked, NULL);
	g_until(&done, 20);
	for (int i = 0; i < 100; i++)
		gmprt_sleep(10000);
}

/*
 * The last Ps to idle are given away by bound goroutines, one of which has a
 * timer, while the thread that keeps the time sleeps for longer: it has to
 * learn of the timer all the same.
 */
static gmprt_sem rounds[8];
static long arrived, leave_ns;

static void sleeps_for_an_hour(void *arg)
{
	(void)arg;
	gmprt_sleep(3600 * G_SEC);
}

static void takes_a_thread(void *arg)
{
	(void)arg;
	gmprt_block_enter();
	g_nap(20 * G_MS);
	gmprt_block_exit();
	gmprt_wg_done(&wg);
}

static void computes_bound(void *round)
{
	gmprt_lock_os_thread();
	for (;;) {
		gmprt_sem_wait(round);
		g_inc(&arrived);
		while (g_now() < g_load(&leave_ns))
			;
	}
}

G_TEST(a_bound_sleeper_wakes_in_time_when_all_Ps_have_been_given_away)
{
	gmprt_lock_os_thread();
	g_go(sleeps_for_an_hour, NULL);
	for (int i = 1; i < g_procs; i++)
		g_go(computes_bound, &rounds[i]);
	gmprt_wg_add(&wg, g_procs + 2);
	for (int i = 0; i < g_procs + 2; i++)
		g_go(takes_a_thread, NULL);
	gmprt_wg_wait(&wg);
	for (int i = 0; i < 4; i++) {
		int64_t then = g_now();

		g_store(&arrived, 0);
		g_store(&leave_ns, then + 20 * G_MS);
		for (int k = 1; k < g_procs; k++)
			gmprt_sem_post(&rounds[k]);
		while (g_load(&arrived) < g_procs - 1 && g_now() < then + 10 * G_MS)
			;
		G_OK(gmprt_sleep(40 * G_MS));
		G_LT(g_now() - then, 10 * G_SEC);
	}
}

TEST_HARNESS_MAIN
