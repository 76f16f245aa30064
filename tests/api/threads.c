/* SPDX-License-Identifier: MIT */
/*
 * threads.c - proves: ordinary threads may start goroutines, wake them and
 * use the try forms, while the run is busy, idle, beginning or ending
 */
#include <pthread.h>
#include <sched.h>

#include "lib/gtest.h"

#define THREADS 4

static gmprt_chan *c;
static gmprt_wg wg;
static gmprt_sem sem;
static gmprt_mutex mutex;
static long ran, stop, plain;

static void start_threads(pthread_t *t, void *(*fn)(void *))
{
	for (intptr_t i = 0; i < THREADS; i++)
		G_OK(pthread_create(&t[i], NULL, fn, (void *)i));
}

static void join_threads(pthread_t *t)
{
	gmprt_block_enter();
	for (int i = 0; i < THREADS; i++)
		G_OK(pthread_join(t[i], NULL));
	gmprt_block_exit();
}

/* ---- gmprt_go ---- */

static void count(void *arg)
{
	(void)arg;
	G_NE(0, gmprt_id());
	g_inc(&ran);
	gmprt_wg_done(&wg);
}

static void *starts_goroutines(void *arg)
{
	for (int i = 0; i < G_LOOPS(3000); i++) {
		gmprt_wg_add(&wg, 1);
		g_go(count, NULL);
		if (i % 500 == 0)
			g_nap(G_MS); /* let the Ps fall asleep */
	}
	G_EQ(0, gmprt_id());
	return arg;
}

G_TEST(threads_start_goroutines)
{
	pthread_t t[THREADS];

	start_threads(t, starts_goroutines);
	join_threads(t);
	gmprt_wg_wait(&wg);
	G_EQ(THREADS * G_LOOPS(3000), g_load(&ran));
}

/* ---- channels ---- */

static void *sends_by_try(void *first)
{
	for (long i = 0; i < G_LOOPS(3000); i++) {
		long v = (long)(intptr_t)first * G_LOOPS(3000) + i;
		int ret;

		while ((ret = gmprt_chan_send_try(c, &v)) == -EAGAIN)
			sched_yield();
		G_OK(ret);
	}
	return NULL;
}

static void receives_all(size_t cap)
{
	long n = THREADS * G_LOOPS(3000), sum = 0, v;
	pthread_t t[THREADS];

	c = g_chan(sizeof(long), cap);
	start_threads(t, sends_by_try);
	for (long i = 0; i < n; i++) {
		G_OK(gmprt_chan_recv(c, &v));
		sum += v;
	}
	G_EQ(n * (n - 1) / 2, sum);
	join_threads(t);
}

G_TEST(threads_send_by_try)
{
	receives_all(8);
	receives_all(0);
}

static void *receives_by_try(void *arg)
{
	long v;

	for (;;) {
		int ret = gmprt_chan_recv_try(c, &v);

		if (ret == -EPIPE)
			return arg;
		if (ret == 0)
			g_inc(&ran);
		else
			G_EQ(-EAGAIN, ret);
	}
}

G_TEST(threads_receive_by_try)
{
	pthread_t t[THREADS];

	c = g_chan(sizeof(long), 0);
	start_threads(t, receives_by_try);
	for (long i = 0; i < G_LOOPS(3000); i++)
		G_OK(gmprt_chan_send(c, &i));
	G_OK(gmprt_chan_close(c));
	join_threads(t);
	G_EQ(G_LOOPS(3000), g_load(&ran));
}

static void *blocking_forms(void *arg)
{
	struct gmprt_case k = { .op = GMPRT_RECV, .chan = c };

	G_EQ(-EPERM, gmprt_chan_send(c, &plain));
	G_EQ(-EPERM, gmprt_chan_recv(c, NULL));
	G_EQ(-EPERM, gmprt_chan_recv_dl(c, NULL, g_now() + G_MS));
	G_EQ(-EPERM, gmprt_select(&k, 1));
	G_EQ(-EAGAIN, gmprt_select_try(&k, 1));
	G_EQ(-EPERM, gmprt_sem_wait(&sem));
	G_EQ(-EPERM, gmprt_sleep(1));
	G_EQ(-EPERM, gmprt_maxprocs(2));
	G_EQ(g_procs, gmprt_maxprocs(0));
	return arg;
}

G_TEST(blocking_forms_on_threads_are_EPERM)
{
	pthread_t t[THREADS];

	c = g_chan(sizeof(long), 0);
	start_threads(t, blocking_forms);
	join_threads(t);
}

/* ---- wake-ups ---- */

static void *wakes(void *arg)
{
	for (int i = 0; i < G_LOOPS(3000); i++) {
		gmprt_sem_post(&sem);
		gmprt_wg_done(&wg);
		if (gmprt_mutex_lock_try(&mutex) == 0) {
			plain++;
			gmprt_mutex_unlock(&mutex);
		}
	}
	return arg;
}

G_TEST(threads_wake_goroutines)
{
	long n = THREADS * G_LOOPS(3000);
	pthread_t t[THREADS];

	gmprt_wg_add(&wg, n);
	start_threads(t, wakes);
	for (int i = 0; i < n; i++) {
		G_OK(gmprt_sem_wait(&sem));
		gmprt_mutex_lock(&mutex);
		plain++;
		gmprt_mutex_unlock(&mutex);
	}
	gmprt_wg_wait(&wg);
	join_threads(t);
	G_GE(plain, n);
}

static void *closes_later(void *arg)
{
	g_nap(20 * G_MS);
	G_OK(gmprt_chan_close(c));
	return arg;
}

G_TEST(a_thread_wakes_a_run_that_is_all_asleep)
{
	for (int i = 0; i < 5; i++) {
		pthread_t t;

		c = g_chan(0, 0);
		G_OK(pthread_create(&t, NULL, closes_later, NULL));
		G_EQ(-EPIPE, gmprt_chan_recv(c, NULL));
		G_OK(pthread_join(t, NULL));
	}
}

/* ---- looking on ---- */

static void *looks(void *arg)
{
	uint64_t created = 0, ended = 0;

	while (!g_load(&stop)) {
		struct gmprt_stats s = g_stats();

		/* Each word of these has one writer: none goes back. */
		G_GE(s.nr_created, created);
		G_GE(s.nr_ended, ended);
		G_EQ(g_procs, s.maxprocs);
		G_EQ(g_procs, gmprt_maxprocs(0));
		G_GE(gmprt_num_goroutine(), 0);
		g_nap(G_MS / 10);
		created = s.nr_created;
		ended = s.nr_ended;
	}
	return arg;
}

static void *dumps(void *arg)
{
	char *dump = g_dump();

	G_TRUE(strstr(dump, "goroutine 1 "));
	free(dump);
	return arg;
}

static void adds(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++) {
		gmprt_mutex_lock(&mutex);
		plain++;
		gmprt_mutex_unlock(&mutex);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

G_TEST(threads_look_and_dump_while_goroutines_work)
{
	pthread_t t[THREADS], d[THREADS];
	int n = G_LOOPS(50);

	start_threads(t, looks);
	start_threads(d, dumps);
	gmprt_wg_add(&wg, n);
	for (int i = 0; i < n; i++)
		g_go(adds, NULL);
	gmprt_wg_wait(&wg);
	G_EQ(50 * n, plain);
	join_threads(d);
	g_store(&stop, 1);
	join_threads(t);
}

/* ---- at the edges of a run ---- */

static void add_one(void *arg)
{
	(void)arg;
	g_inc(&ran);
}

static void *always_starts(void *arg)
{
	while (!g_load(&stop)) {
		int ret = gmprt_go(add_one, NULL);

		G_TRUE(ret == 0 || ret == -EPERM);
		(void)gmprt_num_goroutine();
	}
	return arg;
}

static void short_run(void)
{
	for (int i = 0; i < 20; i++)
		gmprt_yield();
}

P_TEST(threads_may_start_goroutines_while_runs_begin_and_end)
{
	pthread_t t[THREADS];

	g_watch("edges", G_TIMEOUT * G_SLOW);
	start_threads(t, always_starts);
	for (int i = 0; i < 20; i++)
		g_run(g_procs, short_run);
	g_store(&stop, 1);
	for (int i = 0; i < THREADS; i++)
		G_OK(pthread_join(t[i], NULL));
	g_watch_end();
}

/* Whatever any thread may call, on things of its own and on common ones that
 * no goroutine waits for: these would be gone with the run. */
static void *does_everything(void *arg)
{
	struct gmprt_attr attr = { .size = sizeof(attr), .name = "foreign", .stack_size = 65536 };
	struct gmprt_stats s = { .size = sizeof(s) };

	for (int i = 0; !g_load(&stop); i++) {
		gmprt_chan *own = gmprt_chan_make(sizeof(int), 1);
		int ret = gmprt_go_attr(&attr, add_one, NULL), v = i;

		G_TRUE(ret == 0 || ret == -EPERM);
		G_OK(gmprt_chan_send_try(own, &v));
		G_OK(gmprt_chan_recv_try(own, &v));
		G_EQ(i, v);
		G_OK(gmprt_chan_close(own));
		gmprt_chan_free(own);
		ret = gmprt_chan_send_try(c, &v);
		G_TRUE(ret == 0 || ret == -EAGAIN);
		gmprt_sem_post(&sem);
		G_OK(gmprt_sem_wait_try(&sem));
		gmprt_wg_add(&wg, 1);
		gmprt_wg_done(&wg);
		if (gmprt_mutex_lock_try(&mutex) == 0)
			gmprt_mutex_unlock(&mutex);
		ret = gmprt_stats_read(&s);
		G_TRUE(ret == 0 || ret == -ENODATA);
		G_GE(gmprt_maxprocs(0), 1);
		gmprt_yield();
		if (i % 64 == 0)
			free(g_dump());
	}
	return arg;
}

static void tries_too(void)
{
	int v;

	for (int i = 0; i < 50; i++) {
		(void)!gmprt_chan_recv_try(c, &v);
		if (gmprt_mutex_lock_try(&mutex) == 0)
			gmprt_mutex_unlock(&mutex);
		gmprt_yield();
	}
}

P_TEST(threads_may_call_what_any_thread_may_while_runs_begin_and_end)
{
	pthread_t t[THREADS];

	g_watch("everything", G_TIMEOUT * G_SLOW);
	c = g_chan(sizeof(int), 16);
	start_threads(t, does_everything);
	for (int i = 0; i < 20; i++)
		g_run(g_procs, tries_too);
	g_store(&stop, 1);
	for (int i = 0; i < THREADS; i++)
		G_OK(pthread_join(t[i], NULL));
	g_watch_end();
}

TEST_HARNESS_MAIN
