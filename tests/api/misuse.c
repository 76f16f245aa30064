/* SPDX-License-Identifier: MIT */
/*
 * misuse.c - proves: misuse aborts with one line that says what was wrong,
 * and a dump; calls that need a goroutine or a run say -EPERM elsewhere
 */
#include <pthread.h>

#include "lib/gtest.h"

static gmprt_mutex mutex;
static gmprt_sem sem;
static gmprt_wg wg;
static gmprt_once once;

static void nothing(void *arg)
{
	(void)arg;
}

static void expect_abort(struct g_end *end, const char *name)
{
	G_SIGNALED(end, SIGABRT);
	if (strncmp(end->text, "fatal error: ", 13) != 0)
		G_FAIL("%s: expected the report first: %s", name, end->text);
	G_SAYS(end, name);
}

/* ---- from goroutines ---- */

static void unlock_unlocked(void)
{
	gmprt_mutex_unlock(&mutex);
}

static void negative_wg(void)
{
	gmprt_wg_add(&wg, 1);
	gmprt_wg_done(&wg);
	gmprt_wg_done(&wg);
}

static void huge_wg(void)
{
	gmprt_wg_add(&wg, INT32_MAX);
	gmprt_wg_add(&wg, 1);
}

static void huge_sem(void)
{
	gmprt_sem full = GMPRT_SEM_INIT((1 << 30) - 1);

	gmprt_sem_post(&full);
}

static void unlock_thread_too_often(void)
{
	gmprt_lock_os_thread();
	gmprt_unlock_os_thread();
	gmprt_unlock_os_thread();
}

/* Go's panic "LockOSThread nesting overflow". */
static void lock_thread_too_often(void)
{
	for (int i = 0; i < 65536; i++)
		gmprt_lock_os_thread();
}

static void block_exit_alone(void)
{
	gmprt_block_exit();
}

static struct gmprt_task joined_twice;

/* With one P the first join runs it in place. */
static void join_twice(void)
{
	G_OK(gmprt_fork(&joined_twice, nothing, NULL));
	gmprt_join(&joined_twice);
	gmprt_join(&joined_twice);
}

static void join_twice_what_others_ran(void)
{
	G_OK(gmprt_fork(&joined_twice, nothing, NULL));
	gmprt_sleep(20 * G_MS);
	gmprt_join(&joined_twice);
	gmprt_join(&joined_twice);
}

P_TEST(misuse_in_a_goroutine_aborts_with_a_report_and_a_dump)
{
	static const struct {
		void (*body)(void);
		const char *name;
	} cases[] = {
		{ unlock_unlocked, "gmprt_mutex_unlock" },
		{ negative_wg, "gmprt_wg_add" },
		{ huge_wg, "gmprt_wg_add" },
		{ huge_sem, "gmprt_sem_post" },
		{ unlock_thread_too_often, "gmprt_unlock_os_thread" },
		{ lock_thread_too_often, "gmprt_lock_os_thread" },
		{ block_exit_alone, "gmprt_block_exit" },
		{ join_twice, "gmprt_join" },
		{ join_twice_what_others_ran, "gmprt_join" },
	};
	struct g_end end;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		g_child_run(&end, cases[i].body);
		expect_abort(&end, cases[i].name);
		G_SAYS(&end, "goroutine 1");
	}
}

static void ends_its_thread(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

static void pthread_exits(void)
{
	g_go(ends_its_thread, NULL);
	gmprt_sleep(3600 * G_SEC);
}

static void is_cancelled(void)
{
	G_OK(pthread_cancel(pthread_self()));
	pthread_testcancel();
}

P_TEST(a_goroutine_that_ends_its_thread_aborts_with_a_report)
{
	struct g_end end;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	SKIP(return, "sanitizers take pthread_exit() on another stack for an error of their own");
#endif
	g_child_run(&end, pthread_exits);
	expect_abort(&end, "goroutine 2 called pthread_exit()");
	g_child_run(&end, is_cancelled);
	expect_abort(&end, "goroutine 1 called pthread_exit(), or pthread_cancel()");
}

/* ---- from ordinary threads ---- */

static void exit_on_thread(void)
{
	gmprt_exit();
}

static void lock_thread_on_thread(void)
{
	gmprt_lock_os_thread();
}

static void mutex_wait_on_thread(void)
{
	gmprt_mutex_lock(&mutex);
	gmprt_mutex_lock(&mutex);
}

static void wg_wait_on_thread(void)
{
	gmprt_wg_add(&wg, 1);
	gmprt_wg_wait(&wg);
}

static void once_on_thread(void)
{
	gmprt_once_do(&once, nothing, NULL);
}

static void join_on_thread(void)
{
	struct gmprt_task t = { .fn = nothing };

	gmprt_join(&t);
}

TEST(misuse_on_an_ordinary_thread_aborts_with_a_report)
{
	static const struct {
		void (*fn)(void);
		const char *name;
	} cases[] = {
		{ exit_on_thread, "gmprt_exit" },
		{ lock_thread_on_thread, "gmprt_lock_os_thread" },
		{ mutex_wait_on_thread, "gmprt_mutex_lock" },
		{ wg_wait_on_thread, "gmprt_wg_wait" },
		{ once_on_thread, "gmprt_once_do" },
		{ join_on_thread, "gmprt_join" },
	};
	struct g_end end;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		g_child(&end, cases[i].fn);
		expect_abort(&end, cases[i].name);
	}
}

TEST(calls_outside_a_run_say_EPERM_or_nothing)
{
	gmprt_chan *c = gmprt_chan_make(0, 0);
	struct gmprt_attr attr = { .size = sizeof(attr), .name = "x" };
	struct gmprt_stats s = { .size = sizeof(s) };
	struct gmprt_task t;

	G_EQ(-EPERM, gmprt_go(nothing, NULL));
	G_EQ(-EPERM, gmprt_go_attr(&attr, nothing, NULL));
	G_EQ(-EPERM, gmprt_fork(&t, nothing, NULL));
	G_EQ(-EPERM, gmprt_chan_send(c, NULL));
	G_EQ(-EPERM, gmprt_chan_recv(c, NULL));
	G_EQ(-EPERM, gmprt_chan_send_dl(c, NULL, GMPRT_FOREVER));
	G_EQ(-EPERM, gmprt_chan_recv_dl(c, NULL, GMPRT_FOREVER));
	G_EQ(-EPERM, gmprt_sleep(1));
	G_EQ(-EPERM, gmprt_sem_wait(&sem));
	G_EQ(0, gmprt_id());
	G_EQ(0, gmprt_num_goroutine());
	G_EQ(-ENODATA, gmprt_stats_read(&s));
	gmprt_yield();
	gmprt_block_enter();
	gmprt_block_exit();
	gmprt_chan_free(c);
}

TEST_HARNESS_MAIN
