/* SPDX-License-Identifier: MIT */
/*
 * go_preempt.c - re-expresses what Go's runtime tests show of preemption and
 * fairness: proc_test.go's TestPreemption*, TestAsyncPreempt, TestGCFairness*,
 * TestPingPongHog and TestTimerFairness*, with the programs preempt.go and gc.go
 * of testdata/testprog. Each test names its own.
 *
 * Not here: that a collection may stop the hogs. What goes round all Ps and may
 * wait for them is a change of maxprocs.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/gtest.h"

static gmprt_chan *c, *done;
static gmprt_wg wg;
static long stop, ready, turn;

#ifdef __SANITIZE_THREAD__
/* It delivers signals only where a thread calls into its run time. */
#define LET_TSAN_LOOK() usleep(0)
#else
#define LET_TSAN_LOOK() ((void)0)
#endif

/* ---- TestPreemption ---- */

static void waits_for_its_turn(void *me)
{
	for (int i = 0; i < 5; i++) {
		while (g_load(&turn) != (intptr_t)me)
			LET_TSAN_LOOK();
		g_store(&turn, 1 - (intptr_t)me);
	}
	gmprt_wg_done(&wg);
}

G_TEST(two_that_compute_until_the_other_has_run_both_end)
{
	gmprt_wg_add(&wg, 2);
	g_go(waits_for_its_turn, (void *)0);
	g_go(waits_for_its_turn, (void *)1);
	gmprt_wg_wait(&wg);
}

/* ---- TestPreemptionGC ---- */

static void computes(void *unused)
{
	(void)unused;
	while (!g_load(&stop))
		LET_TSAN_LOOK();
	gmprt_wg_done(&wg);
}

G_TEST(Ps_can_be_taken_away_and_given_while_all_others_compute)
{
	gmprt_wg_add(&wg, g_procs);
	for (int i = 0; i < g_procs; i++)
		g_go(computes, NULL);
	for (int i = 0; i < 10; i++) {
		gmprt_yield();
		gmprt_maxprocs(1 + i % 2 * g_procs);
	}
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

/* ---- TestAsyncPreempt ---- */

static __attribute__((noinline)) void dummy(void)
{
	__asm__ volatile("");
}

static void calls(void *unused)
{
	(void)unused;
	for (;;) {
		g_store(&ready, 1);
		dummy();
		dummy();
		LET_TSAN_LOOK();
	}
}

static long product, ready2;

static void multiplies(void *unused)
{
	(void)unused;
	g_inc(&ready2);
	for (unsigned long i = 0;; i++) {
		__atomic_store_n(&product, (long)(i * i * i * i * i * 12345), __ATOMIC_RELAXED);
		LET_TSAN_LOOK();
	}
}

static void does_nothing_for_ever(void *unused)
{
	(void)unused;
	g_inc(&ready2);
	for (;;)
		LET_TSAN_LOOK();
}

static void three_loops(void)
{
	g_go(calls, NULL);
	g_go(multiplies, NULL);
	g_go(does_nothing_for_ever, NULL);
	while (g_load(&ready) == 0 || g_load(&ready2) < 2)
		gmprt_yield();
	gmprt_maxprocs(3);
	gmprt_maxprocs(1);
}

TEST(loops_that_never_end_share_one_P_with_main)
{
	g_watch("loops", G_TIMEOUT * G_SLOW);
	g_run(1, three_loops);
	g_watch_end();
}

/* ---- TestGCFairness ---- */

static void writes_for_ever(void *fd)
{
	for (;;)
		G_EQ(1, write(*(int *)fd, ".", 1));
}

static void two_writers(void)
{
	static int null;

	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	g_go(writes_for_ever, &null);
	g_go(writes_for_ever, &null);
	gmprt_sleep(10 * G_MS);
}

TEST(short_system_calls_without_end_do_not_keep_main_asleep)
{
	g_watch("writers", G_TIMEOUT * G_SLOW);
	g_run(1, two_writers);
	g_watch_end();
}

/* ---- TestGCFairness2 ---- */

static void allocates(void *count)
{
	while (!g_load(&stop)) {
		free(malloc(1024));
		g_inc(count);
		LET_TSAN_LOOK();
	}
	gmprt_wg_done(&wg);
}

G_TEST(each_of_those_that_allocate_without_end_gets_on)
{
	long count[9] = { 0 };
	int n = g_procs + 1;

	gmprt_wg_add(&wg, n);
	for (int i = 0; i < n; i++)
		g_go(allocates, &count[i]);
	for (int i = 0; i < n; i++)
		while (g_load(&count[i]) == 0)
			gmprt_sleep(G_MS);
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

/* ---- TestPreemptionAfterSyscall ---- */

static int64_t call_ns;

static void calls_again_and_again(void *unused)
{
	(void)unused;
	g_inc(&ready);
	while (!g_load(&stop)) {
		int64_t until = g_now() + call_ns;

		gmprt_block_enter();
		while (g_now() < until)
			;
		gmprt_block_exit();
	}
	gmprt_wg_done(&wg);
}

static void all_begin_beside_those_that_call(int64_t ns)
{
	int n = 16 + 2 * g_procs;

	call_ns = ns;
	gmprt_wg_add(&wg, n);
	for (int i = 0; i < n; i++)
		g_go(calls_again_and_again, NULL);
	g_until(&ready, n);
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

G_TEST(calls_of_nothing_one_after_the_other_starve_nobody)
{
	all_begin_beside_those_that_call(0);
}

G_TEST(calls_of_10_us_one_after_the_other_starve_nobody)
{
	all_begin_beside_those_that_call(10 * 1000);
}

G_TEST(calls_of_100_us_one_after_the_other_starve_nobody)
{
	all_begin_beside_those_that_call(100 * 1000);
}

G_TEST(calls_of_1_ms_one_after_the_other_starve_nobody)
{
	all_begin_beside_those_that_call(G_MS);
}

/* ---- TestPingPongHog, BenchmarkPingPongHog ---- */

struct pair {
	long limit, count;
	gmprt_chan *wake;
};

static void add(long *n)
{
	__atomic_store_n(n, __atomic_load_n(n, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static void counts_then_wakes_the_other(void *arg)
{
	struct pair *p = arg;
	struct gmprt_case cases[] = { { GMPRT_RECV, done, NULL, 0 },
				      { GMPRT_RECV, p->wake, NULL, 0 } };

	while (gmprt_select(cases, 2) == 1) {
		for (long i = 0; i < p->limit; i++)
			add(&p->count);
		gmprt_chan_send(p->wake, NULL);
	}
	gmprt_wg_done(&wg);
}

static void start_pair(struct pair *p, long limit)
{
	p->limit = limit;
	p->wake = g_chan(0, 0);
	gmprt_wg_add(&wg, 2);
	g_go(counts_then_wakes_the_other, p);
	g_go(counts_then_wakes_the_other, p);
}

/* One pair hands over a thousand times more often; that must not matter. Where
 * `next` goes first whatever time has passed, the factor is a thousand. */
static bool alike(const struct pair *p, const struct pair *q)
{
	long m = g_load(&p->count), n = g_load(&q->count);

	return m && n && m / 20 <= n && n / 20 <= m;
}

static void two_pairs(void)
{
	static struct pair hog, light;
	int64_t limit = g_now() + 10 * G_SLOW * G_SEC;

	done = g_chan(0, 0);
	start_pair(&hog, 1000000);
	start_pair(&light, 1000);
	G_OK(gmprt_chan_send(hog.wake, NULL));
	G_OK(gmprt_chan_send(light.wake, NULL));
	do {
		G_LT(g_now(), limit);
		gmprt_sleep(100 * G_MS);
	} while (!alike(&hog, &light));
	gmprt_chan_close(done);
	gmprt_chan_recv(hog.wake, NULL);
	gmprt_chan_recv(light.wake, NULL);
	gmprt_wg_wait(&wg);
}

TEST(pairs_that_wake_each_other_share_one_P_by_time)
{
	g_watch("pairs", G_TIMEOUT * G_SLOW);
	g_run(1, two_pairs);
	g_watch_end();
}

/* The pair of BenchmarkWakeupParallelSyscall: they are in the kernel, in turn,
 * whenever somebody looks, and the one that is there has readied nobody yet. */
static void is_in_the_kernel_then_wakes_the_other(void *arg)
{
	struct pair *p = arg;

	while (gmprt_chan_recv(p->wake, NULL) == 0) {
		gmprt_block_enter();
		g_nap(p->limit);
		gmprt_block_exit();
		gmprt_chan_send(p->wake, NULL);
	}
	gmprt_wg_done(&wg);
}

static void sleeps_beside_a_pair_in_the_kernel(void)
{
	static struct pair p;

	for (int i = 0; i < 100; i++) {
		int64_t start = g_now();

		p.limit = i % 10 * 5000;
		p.wake = g_chan(0, 0);
		gmprt_wg_add(&wg, 2);
		g_go(is_in_the_kernel_then_wakes_the_other, &p);
		g_go(is_in_the_kernel_then_wakes_the_other, &p);
		G_OK(gmprt_chan_send(p.wake, NULL));
		gmprt_sleep(10 * G_MS);
		G_LT(g_now() - start, 2 * G_SLOW * G_SEC);
		gmprt_chan_close(p.wake);
		gmprt_wg_wait(&wg);
	}
}

TEST(a_pair_that_is_in_the_kernel_by_turns_does_not_starve_a_third)
{
	g_watch("kernel", G_TIMEOUT * G_SLOW);
	g_run(1, sleeps_beside_a_pair_in_the_kernel);
	g_watch_end();
}

/* ---- TestTimerFairness ---- */

static void offers(void *unused)
{
	struct gmprt_case cases[] = { { GMPRT_SEND, c, NULL, 0 }, { GMPRT_RECV, done, NULL, 0 } };

	(void)unused;
	while (gmprt_select(cases, 2) == 0)
		;
	gmprt_wg_done(&wg);
}

static void sleeps_20_ms_and_sends(void *timer)
{
	gmprt_sleep(20 * G_MS);
	gmprt_chan_send(timer, NULL);
}

static gmprt_chan *after_20_ms(void)
{
	gmprt_chan *timer = g_chan(0, 1);

	g_go(sleeps_20_ms_and_sends, timer);
	return timer;
}

G_TEST(a_timer_fires_beside_channels_that_are_always_ready)
{
	struct gmprt_case cases[2];

	c = g_chan(0, 0);
	done = g_chan(0, 0);
	gmprt_wg_add(&wg, 2 * g_procs);
	for (int i = 0; i < 2 * g_procs; i++)
		g_go(offers, NULL);
	cases[0] = (struct gmprt_case){ GMPRT_RECV, c, NULL, 0 };
	cases[1] = (struct gmprt_case){ GMPRT_RECV, after_20_ms(), NULL, 0 };
	while (gmprt_select(cases, 2) == 0)
		;
	gmprt_chan_close(done);
	gmprt_wg_wait(&wg);
}

/* ---- TestTimerFairness2 ---- */

static void reads_nothing_sends_and_receives(void *fd)
{
	struct gmprt_case cases[3] = { { GMPRT_SEND, c, NULL, 0 }, { GMPRT_RECV, c, NULL, 0 } };
	char buf[1];

	cases[2] = (struct gmprt_case){ GMPRT_RECV, after_20_ms(), NULL, 0 };
	do
		G_EQ(0, read(*(int *)fd, buf, 0));
	while (gmprt_select(cases, 3) != 2);
	gmprt_chan_send(done, NULL);
}

G_TEST(a_timer_fires_in_one_that_calls_the_kernel_all_the_time)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	c = g_chan(0, 0);
	done = g_chan(0, 0);
	for (int i = 0; i < 2; i++)
		g_go(reads_nothing_sends_and_receives, &null);
	for (int i = 0; i < 2; i++)
		G_OK(gmprt_chan_recv(done, NULL));
	close(null);
}

TEST_HARNESS_MAIN
