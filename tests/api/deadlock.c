/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - proves: when all goroutines are blocked for ever the process
 * says so as Go does, dumps them and exits with status 2; and it does not
 * while anything could still wake one
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

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

static void main_exits_alone(void)
{
	gmprt_exit();
}

static void main_exits_before_one_that_waits(void)
{
	g_go(recv_for_ever, g_chan(0, 0));
	gmprt_exit();
}

P_TEST(the_last_goroutine_to_stop_is_noticed)
{
	G_SKIP_IF_DEADLOCKS_HIDE;
	expect_deadlock(many_stop, "seventh");
	expect_deadlock(only_main_left, "chan receive");
	expect_deadlock(locked_stuck, "chan receive");
}

static void expect_nobody(void (*body)(void))
{
	struct g_end end;

	g_child_run(&end, body);
	G_EXITS(&end, 2);
	G_SAYS(&end, "fatal error: no goroutines (main called gmprt_exit) - deadlock!\n");
	G_TRUE(!strstr(end.text, "asleep"));
}

P_TEST(that_nobody_is_left_after_mains_exit_is_said_in_other_words)
{
	struct g_end end;

	G_SKIP_IF_DEADLOCKS_HIDE;
	expect_nobody(main_exits_last);
	expect_nobody(main_exits_alone);
	g_child_run(&end, main_exits_before_one_that_waits);
	G_EXITS(&end, 2);
	G_SAYS(&end, "fatal error: all goroutines are asleep - deadlock!");
	G_SAYS(&end, "goroutine 2 [chan receive");
}

/* ---- nobody has a stack ---- */

#define BIG (64L << 20)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_SANITIZED SKIP(return, "a sanitizer needs all the address space there is")
#else
#define SKIP_SANITIZED do { } while (0)
#endif

/* The address space grows by at most `more` bytes from now on. */
static void limit_space(long more)
{
	struct rlimit r;

	gmprt_sleep(20 * G_MS); /* the run's threads have begun */
	G_OK(getrlimit(RLIMIT_AS, &r));
	r.rlim_cur = (rlim_t)(g_status_kb("VmSize:") * 1024 + more);
	G_OK(setrlimit(RLIMIT_AS, &r));
}

static void go_big(void (*fn)(void *), void *arg)
{
	struct gmprt_attr attr = { .size = sizeof(attr), .stack_size = BIG, .name = "big" };

	G_OK(gmprt_go_attr(&attr, fn, arg));
}

static void starved(void)
{
	c = g_chan(0, 0);
	limit_space(1 << 20);
	for (int i = 0; i < 3; i++)
		go_big(recv_for_ever, c);
	gmprt_chan_recv(c, NULL);
}

static void starved_without_main(void)
{
	limit_space(0);
	go_big(recv_for_ever, g_chan(0, 0));
	gmprt_exit();
}

/* Some have one, and keep it. */
static void some_starved(void)
{
	c = g_chan(0, 0);
	limit_space(20 * BIG);
	for (int i = 0; i < 100; i++)
		go_big(recv_for_ever, c);
	gmprt_chan_recv(c, NULL);
}

static void starved_while_locked(void)
{
	gmprt_lock_os_thread();
	starved();
}

/* These take seconds: with each number of Ps another way. */
#define ONE_OF(ways) ((ways)[__builtin_ctz((unsigned int)g_procs) % ARRAY_SIZE(ways)])

P_TEST(that_no_stack_can_come_free_is_said_with_the_way_out)
{
	static void (*const ways[])(void) = {
		starved, starved_without_main, some_starved, starved_while_locked,
	};
	struct g_end end;

	G_SKIP_IF_DEADLOCKS_HIDE;
	SKIP_SANITIZED;
	g_child_run(&end, ONE_OF(ways));
	G_EXITS(&end, 2);
	G_SAYS(&end, "\nfatal error: goroutines wait for a stack and none can come free: ");
	G_SAYS(&end, "ulimit -v");
	G_SAYS(&end, "stack_size");
	G_SAYS(&end, "\ngoroutine 2 ");
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

/* As expect_none(), but for the line that says that some wait. */
static void expect_stacks(void (*body)(void))
{
	struct g_end end;

	g_child_run(&end, body);
	G_EXITS(&end, 0);
	G_SAYS(&end, "goroutines wait for one");
	G_TRUE(!strstr(end.text, "fatal error"));
}

static void done(void *arg)
{
	(void)arg;
	gmprt_wg_done(&wg);
}

/* Those that come by a stack hold it until they are released. */
static void holds(void *arg)
{
	gmprt_chan_recv(arg, NULL);
	gmprt_wg_done(&wg);
}

static void releases_after_sleep(void *arg)
{
	gmprt_sleep(1500 * G_MS);
	gmprt_chan_close(arg);
}

static void releases_after_block(void *arg)
{
	gmprt_block_enter();
	g_nap(1500 * G_MS);
	gmprt_block_exit();
	gmprt_chan_close(arg);
}

static void releases_after_work(void *arg)
{
	g_nap(1500 * G_MS);
	gmprt_chan_close(arg);
}

static void some_hold_the_stacks(void (*release)(void *))
{
	c = g_chan(0, 0);
	gmprt_wg_add(&wg, 100);
	limit_space(20 * BIG);
	for (int i = 0; i < 100; i++)
		go_big(holds, c);
	gmprt_sleep(50 * G_MS);
	g_go(release, c);
	gmprt_wg_wait(&wg);
}

static void until_one_has_slept(void)
{
	some_hold_the_stacks(releases_after_sleep);
}

static void until_one_was_blocked(void)
{
	some_hold_the_stacks(releases_after_block);
}

static void until_one_has_worked(void)
{
	some_hold_the_stacks(releases_after_work);
}

/* By another process, for a thread of this one would put off the report. */
static void raise_limit(void)
{
	pid_t parent = getpid();
	struct rlimit r;

	G_OK(getrlimit(RLIMIT_AS, &r));
	r.rlim_cur = r.rlim_max;
	if (fork() == 0)
		_exit(prlimit(parent, RLIMIT_AS, &r, NULL) != 0);
}

static void the_limit_is_raised(void)
{
	gmprt_wg_add(&wg, 3);
	limit_space(1 << 20);
	for (int i = 0; i < 3; i++)
		go_big(done, NULL);
	gmprt_sleep(100 * G_MS);
	raise_limit();
	gmprt_wg_wait(&wg);
}

P_TEST(no_alarm_while_stacks_will_come_free)
{
	static void (*const ways[])(void) = {
		until_one_has_worked, until_one_was_blocked, until_one_has_slept,
	};

	G_SKIP_IF_DEADLOCKS_HIDE; /* which sets no limit either */
	SKIP_SANITIZED;
	expect_stacks(ONE_OF(ways));
}

P_TEST(no_alarm_if_the_limit_is_raised_in_time)
{
	G_SKIP_IF_DEADLOCKS_HIDE;
	SKIP_SANITIZED;
	expect_stacks(the_limit_is_raised);
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
