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

/* Asleep, this goroutine lets its P make a goroutine of the task. */
static void join_twice(void)
{
	struct gmprt_task t;

	G_OK(gmprt_fork(&t, nothing, NULL));
	gmprt_sleep(G_MS);
	gmprt_join(&t);
	gmprt_join(&t);
}

static void sleeps_long(void *arg)
{
	(void)arg;
	gmprt_sleep(G_SEC / 10);
}

static void joins(void *t)
{
	gmprt_join(t);
}

static void two_join(void)
{
	struct gmprt_task t;

	G_OK(gmprt_fork(&t, sleeps_long, NULL));
	gmprt_sleep(G_MS);
	g_go(joins, &t);
	gmprt_join(&t);
	gmprt_sleep(G_SEC);
}

static void join_unforked(void)
{
	struct gmprt_task t = { 0 };

	gmprt_join(&t);
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
		{ join_twice, "gmprt_join: the task at 0x" },
		{ two_join, "was joined before" },
		{ join_unforked, "was never forked" },
	};
	struct g_end end;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		g_child_run(&end, cases[i].body);
		expect_abort(&end, cases[i].name);
		G_SAYS(&end, "goroutine 1");
	}
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
