/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - proves: when all goroutines are blocked for ever the process
 * says so as Go does, dumps them and exits with status 2; and it does not
 * while anything could still wake one
 */
#include <pthread.h>

#include "lib/gtest.h"

static gmprt_chan *c;
static gmprt_mutex mutex;
static gmprt_sem sem;
static gmprt_wg wg;

static void expect_deadlock(void (*body)(void), const char *reason)
{
	struct g_end end;

	g_child_run(&end, body);
	G_EXITS(&end, 2);
	G_SAYS(&end, "fatal error: all goroutines are asleep - deadlock!");
	G_SAYS(&end, "goroutine 1");
	G_SAYS(&end, reason);
}

static void expect_none(void (*body)(void))
{
	struct g_end end;

	g_child_run(&end, body);
	G_EXITS(&end, 0);
	if (end.text[0])
		G_FAIL("unexpected on stderr: %s", end.text);
}

/* ---- every way to be stuck ---- */

static void stuck_recv(void)
{
	gmprt_chan_recv(g_chan(0, 0), NULL);
}

static void stuck_send(void)
{
	gmprt_chan_send(g_chan(0, 0), NULL);
}

static void stuck_nil(void)
{
	gmprt_chan_recv(NULL, NULL);
}

static void stuck_select(void)
{
	gmprt_select(NULL, 0);
}

static void stuck_mutex(void)
{
	gmprt_mutex_lock(&mutex);
	gmprt_mutex_lock(&mutex);
}

static void stuck_sem(void)
{
	G_OK(gmprt_sem_wait(&sem));
}

static void stuck_wg(void)
{
	gmprt_wg_add(&wg, 1);
	gmprt_wg_wait(&wg);
}

P_TEST(blocked_for_ever_in_any_way_is_reported)
{
	G_SKIP_IF_DEADLOCKS_HIDE;
	expect_deadlock(stuck_recv, "chan receive");
	expect_deadlock(stuck_send, "chan send");
	expect_deadlock(stuck_nil, "chan receive (nil chan)");
	expect_deadlock(stuck_select, "select (no cases)");
	expect_deadlock(stuck_mutex, "mutex lock");
	expect_deadlock(stuck_sem, "semaphore wait");
	expect_deadlock(stuck_wg, "wait group");
}

/* ---- the last one to stop notices ---- */

static void recv_for_ever(void *arg)
{
	gmprt_chan_recv(arg, NULL);
}

static void works_then_stops(void *arg)
{
	for (int i = 0; i < 1000; i++)
		gmprt_yield();
	gmprt_sleep(5 * G_MS);
	gmprt_block_enter();
	g_nap(20 * G_MS);
	gmprt_block_exit();
	gmprt_chan_recv(arg, NULL);
}

static void many_stop(void)
{
	c = g_chan(0, 0);
	for (int i = 0; i < 20; i++)
		g_go_named(i == 7 ? "seventh" : "other",
			   i % 2 ? works_then_stops : recv_for_ever, c);
	gmprt_chan_recv(c, NULL);
}

static void others_end(void *arg)
{
	gmprt_sleep((int64_t)(intptr_t)arg * G_MS);
}

static void only_main_left(void)
{
	for (intptr_t i = 0; i < 20; i++)
		g_go(others_end, (void *)i);
	gmprt_chan_recv(g_chan(0, 0), NULL);
}

static void locked_stuck(void)
{
	gmprt_lock_os_thread();
	gmprt_chan_recv(g_chan(0, 0), NULL);
}

static void main_exits_last(void)
{
	g_go(others_end, (void *)1);
	gmprt_exit();
}

P_TEST(the_last_goroutine_to_stop_is_noticed)
{
	struct g_end end;

	G_SKIP_IF_DEADLOCKS_HIDE;
	expect_deadlock(many_stop, "seventh");
	expect_deadlock(only_main_left, "chan receive");
	expect_deadlock(locked_stuck, "chan receive");
	/* Nobody left at all: Go has another wording for that. */
	g_child_run(&end, main_exits_last);
	G_EXITS(&end, 2);
	G_SAYS(&end, "deadlock!");
}

/* ---- no false alarm ---- */

static void sends_after_sleep(void *arg)
{
	gmprt_sleep(100 * G_MS);
	gmprt_chan_send(arg, NULL);
}

static void while_sleeping(void)
{
	c = g_chan(0, 0);
	g_go(sends_after_sleep, c);
	G_OK(gmprt_chan_recv(c, NULL));
}

static void while_a_deadline_is_ahead(void)
{
	G_EQ(-ETIMEDOUT, gmprt_chan_recv_dl(g_chan(0, 0), NULL, g_now() + 100 * G_MS));
	G_EQ(-ETIMEDOUT, gmprt_sem_wait_dl(&sem, g_now() + 100 * G_MS));
	G_EQ(-ETIMEDOUT, gmprt_select_dl(NULL, 0, g_now() + 100 * G_MS));
}

static void sends_after_block(void *arg)
{
	gmprt_block_enter();
	g_nap(150 * G_MS);
	gmprt_block_exit();
	gmprt_chan_send(arg, NULL);
}

static void while_one_is_blocked_in_the_kernel(void)
{
	c = g_chan(0, 0);
	g_go(sends_after_block, c);
	G_OK(gmprt_chan_recv(c, NULL));
}

static void sends_locked(void *arg)
{
	gmprt_lock_os_thread();
	gmprt_yield();
	g_nap(150 * G_MS); /* computes or blocks, unbracketed */
	gmprt_chan_send(arg, NULL);
	gmprt_unlock_os_thread();
}

static void while_a_locked_one_works(void)
{
	c = g_chan(0, 0);
	g_go(sends_locked, c);
	G_OK(gmprt_chan_recv(c, NULL));
}

static void main_locked(void)
{
	gmprt_lock_os_thread();
	while_sleeping();
	while_one_is_blocked_in_the_kernel();
	gmprt_unlock_os_thread();
}

static void *posts_later(void *arg)
{
	g_nap(200 * G_MS);
	gmprt_sem_post(arg);
	return NULL;
}

static void while_a_thread_will_post(void)
{
	pthread_t t;

	G_OK(pthread_create(&t, NULL, posts_later, &sem));
	G_OK(gmprt_sem_wait(&sem));
	G_OK(pthread_join(t, NULL));
}

P_TEST(no_alarm_while_a_goroutine_sleeps)
{
	expect_none(while_sleeping);
}

P_TEST(no_alarm_while_a_deadline_is_ahead)
{
	expect_none(while_a_deadline_is_ahead);
}

P_TEST(no_alarm_while_one_is_blocked_in_the_kernel)
{
	expect_none(while_one_is_blocked_in_the_kernel);
}

P_TEST(no_alarm_while_a_locked_goroutine_works)
{
	expect_none(while_a_locked_one_works);
	expect_none(main_locked);
}

static gmprt_sem asked, answered;

static void answers_bound(void *unused)
{
	(void)unused;
	gmprt_lock_os_thread();
	for (;;) {
		G_OK(gmprt_sem_wait(&asked));
		gmprt_sem_post(&answered);
	}
}

/* The P that carries the answer may be one that is just taken away. */
static void while_Ps_are_taken_away(void)
{
	g_go(answers_bound, NULL);
	for (int i = 0; i < G_LOOPS(5000); i++) {
		gmprt_maxprocs(g_procs);
		gmprt_sem_post(&asked);
		for (volatile int k = 0; k < i * 7 % 20000; k++)
			;
		gmprt_maxprocs(1);
		G_OK(gmprt_sem_wait(&answered));
	}
}

P_TEST(no_alarm_while_Ps_are_taken_away)
{
	expect_none(while_Ps_are_taken_away);
}

P_TEST(no_alarm_while_an_ordinary_thread_lives_that_will_post)
{
	expect_none(while_a_thread_will_post);
}

TEST_HARNESS_MAIN
