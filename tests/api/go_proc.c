/* SPDX-License-Identifier: MIT */
/*
 * go_proc.c - re-expresses what Go's runtime/proc_test.go shows of goroutines
 * that share Ps: progress, parallelism, many of them. Preemption and fairness
 * are in go_preempt.c, spinning threads in go_spin.c, bound ones in
 * go_lockosthread.c. Each test names its own.
 *
 * Not here: what is about Go's garbage collector, stacks that grow, finalizers
 * and execution traces; TestNetpollBreak.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/gtest.h"

static gmprt_chan *c, *ack;
static gmprt_wg wg;
static long stop;

/* ---- TestStopTheWorldDeadlock ---- */

static void perpetuum_mobile(void *unused)
{
	(void)unused;
	if (g_load(&stop)) {
		gmprt_wg_done(&wg);
		return;
	}
	g_go(perpetuum_mobile, NULL);
}

static void sets_maxprocs(void *unused)
{
	(void)unused;
	for (int i = 0; i < G_LOOPS(1000); i++)
		G_GE(gmprt_maxprocs(3), 1);
	gmprt_wg_done(&wg);
}

/* Go's other one collects garbage: what looks at all goroutines here dumps. */
static void dumps(void *null)
{
	for (int i = 0; i < G_LOOPS(100); i++)
		gmprt_dump(*(int *)null);
	gmprt_wg_done(&wg);
}

G_TEST(what_goes_round_all_Ps_ends_beside_a_perpetuum_mobile)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	gmprt_wg_add(&wg, 2);
	g_go(sets_maxprocs, NULL);
	g_go(dumps, &null);
	g_go(perpetuum_mobile, NULL);
	gmprt_wg_wait(&wg);
	gmprt_wg_add(&wg, 1);
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
	close(null);
}

/* ---- TestYieldProgress, TestYieldLockedProgress ---- */

static void polls_and_yields(void *locked)
{
	if (locked)
		gmprt_lock_os_thread();
	while (gmprt_chan_recv_try(c, NULL) == -EAGAIN)
		gmprt_yield();
	G_OK(gmprt_chan_send(ack, NULL));
}

static void a_poller_yields_to_its_sender(bool locked)
{
	c = g_chan(0, 0);
	ack = g_chan(0, 0);
	g_go(polls_and_yields, locked ? &wg : NULL);
	gmprt_sleep(10 * G_MS);
	G_OK(gmprt_chan_send(c, NULL));
	G_OK(gmprt_chan_recv(ack, NULL));
}

G_TEST(one_that_polls_and_yields_lets_its_sender_run)
{
	a_poller_yields_to_its_sender(false);
}

G_TEST(a_bound_one_that_polls_and_yields_lets_its_sender_run)
{
	a_poller_yields_to_its_sender(true);
}

/* ---- TestGoroutineParallelism, TestGoroutineParallelism2 ---- */

static long turn, begun;

static uint64_t nr_stopped(void)
{
	struct gmprt_stats s = g_stats();

	return s.nr_preempts + s.nr_handoffs;
}

static uint64_t before;
static bool undisturbed;

/* They need each other's progress and never call in: each must have a P. (The
 * kernel is told that they only wait, for it may have fewer CPUs than Ps.) */
static void takes_turns(void *arg)
{
	long me = (long)(intptr_t)arg, n = g_procs;

	if (g_inc(&begun) == n)
		before = nr_stopped();
	for (int round = 0; round < 3; round++) {
		while (g_load(&begun) < n || g_load(&turn) != n * round + me)
			sched_yield();
		if (round == 2 && me == n - 1)
			undisturbed = nr_stopped() == before;
		g_inc(&turn);
	}
	gmprt_wg_done(&wg);
}

static void starts_two(void *first)
{
	intptr_t i = (intptr_t)first;

	g_go(takes_turns, (void *)i);
	if (i + 1 < g_procs)
		g_go(takes_turns, (void *)(i + 1));
}

/* Ms that have just had something to do, and are about to park. */
static void meets(void *unused)
{
	(void)unused;
	g_inc(&begun);
	while (g_load(&begun) < g_procs)
		sched_yield();
	gmprt_wg_done(&wg);
}

static void all_meet(void)
{
	g_store(&begun, 0);
	gmprt_wg_add(&wg, g_procs);
	for (int i = 0; i < g_procs; i++)
		g_go(meets, NULL);
	gmprt_wg_wait(&wg);
}

/*
 * One that computes for 10 ms while another waits is stopped here, so a run
 * with too few Ps would end too. But when all have begun and main waits, nobody
 * waits for a P: some try must come to its end with nobody stopped.
 */
static void some_try_is_parallel(bool nested, bool load)
{
	do {
		if (load)
			all_meet();
		g_store(&turn, 0);
		g_store(&begun, 0);
		gmprt_wg_add(&wg, g_procs);
		for (intptr_t i = 0; i < g_procs; i += nested ? 2 : 1)
			g_go(nested ? starts_two : takes_turns, (void *)i);
		gmprt_wg_wait(&wg);
	} while (!undisturbed);
}

G_TEST(as_many_as_there_are_Ps_run_at_the_same_time)
{
	some_try_is_parallel(false, false);
}

G_TEST(so_do_those_that_goroutines_start)
{
	some_try_is_parallel(true, false);
}

G_TEST(so_do_those_started_while_threads_are_about_to_park)
{
	some_try_is_parallel(true, true);
}

/* ---- TestNumGoroutine ---- */

static int shown(void)
{
	char *dump = g_dump();
	int n = 0;

	for (char *at = dump; (at = strstr(at, "goroutine ")); at++)
		n += at == dump || at[-1] == '\n';
	free(dump);
	return n;
}

static void waits(void *unused)
{
	(void)unused;
	gmprt_chan_recv(c, NULL);
}

G_TEST(the_number_of_goroutines_is_what_a_dump_shows)
{
	G_EQ(1, gmprt_num_goroutine());
	G_EQ(1, shown());
	c = g_chan(0, 0);
	for (int i = 0; i < 10; i++)
		g_go_named("waits", waits, NULL);
	g_parked("waits", 10);
	G_EQ(11, gmprt_num_goroutine());
	G_EQ(11, shown());
	G_OK(gmprt_chan_close(c));
	while (gmprt_num_goroutine() != shown() || shown() != 1)
		gmprt_yield();
}

static void starts_the_next(void *left)
{
	intptr_t n = (intptr_t)left;

	if (n)
		g_go(starts_the_next, (void *)(n - 1));
	else
		gmprt_wg_done(&wg);
}

G_TEST(beside_those_that_come_and_go_it_is_never_too_low)
{
	gmprt_wg_add(&wg, 2 * g_procs);
	for (int i = 0; i < 2 * g_procs; i++)
		g_go(starts_the_next, (void *)(intptr_t)G_LOOPS(20000));
	while (gmprt_wg_wait_try(&wg) != 0) {
		for (int i = 0; i < 100; i++)
			G_GE(gmprt_num_goroutine(), 1);
		gmprt_yield();
	}
}

/* ---- TestBigGOMAXPROCS ---- */

static void computes(void *unused)
{
	(void)unused;
	for (volatile int i = 0; i < 20000; i++)
		;
	gmprt_yield();
	gmprt_wg_done(&wg);
}

static void works_on_all(void)
{
	G_EQ(1024, gmprt_maxprocs(0));
	gmprt_wg_add(&wg, 3000);
	for (int i = 0; i < 3000; i++)
		g_go(computes, NULL);
	gmprt_wg_wait(&wg);
}

TEST(a_thousand_Ps_work)
{
	g_watch("a_thousand_Ps_work", G_TIMEOUT * G_SLOW);
	g_run(1024, works_on_all);
	g_watch_end();
}

static int main_with_big_maxprocs(int argc, char **argv)
{
	(void)argv;
	works_on_all();
	return argc;
}

TEST(a_thousand_Ps_may_come_from_the_environment)
{
	char *argv[] = { "test", NULL };

	unsetenv("GMPRT_MAXPROCS");
	setenv("GOMAXPROCS", "1024", 1);
	g_watch("a_thousand_Ps_may_come_from_the_environment", G_TIMEOUT * G_SLOW);
	G_EQ(1, gmprt_main(main_with_big_maxprocs, 1, argv));
	g_watch_end();
}

/* ---- BenchmarkCreateGoroutines, ..Parallel, ..Capture, ..Single ---- */

G_TEST(each_of_a_hundred_thousand_is_started_by_the_one_before)
{
	gmprt_wg_add(&wg, g_procs);
	for (int i = 0; i < g_procs; i++)
		g_go(starts_the_next, (void *)(intptr_t)(G_LOOPS(100000) / g_procs));
	gmprt_wg_wait(&wg);
}

static void checks_what_it_got(void *arg)
{
	G_LT(*(int *)arg, 4);
	gmprt_wg_done(&wg);
}

G_TEST(arguments_on_the_starters_stack_are_there)
{
	for (int i = 0; i < G_LOOPS(10000); i++) {
		int n[4] = { 0, 1, 2, 3 };

		gmprt_wg_add(&wg, 4);
		for (int k = 0; k < 4; k++)
			g_go(checks_what_it_got, &n[k]);
		gmprt_wg_wait(&wg);
	}
}

static void is_done(void *unused)
{
	(void)unused;
	gmprt_wg_done(&wg);
}

G_TEST(one_that_starts_all_others_while_every_P_works)
{
	long n = G_LOOPS(100000);

	all_meet();
	gmprt_wg_add(&wg, n);
	for (long i = 0; i < n; i++)
		g_go(is_done, NULL);
	gmprt_wg_wait(&wg);
}

/* ---- BenchmarkMatmult ---- */

#define SIZE 40

static double a[SIZE][SIZE], b[SIZE][SIZE], product[SIZE][SIZE];

struct part {
	int i0, i1, j0, j1;
	gmprt_wg *done; /* NULL: a plain call */
};

static void multiply(const struct part *p)
{
	for (int i = p->i0; i < p->i1; i++)
		for (int j = p->j0; j < p->j1; j++)
			for (int k = 0; k < SIZE; k++)
				product[i][j] += a[i][k] * b[k][j];
}

/* Halves the longer side; one half to a goroutine, the other goes on here. */
static void divide(void *part)
{
	struct part *p = part, half = *p, rest = *p;
	gmprt_wg done = { 0 };

	if (p->i1 - p->i0 >= 4 || p->j1 - p->j0 >= 4) {
		if (p->i1 - p->i0 >= p->j1 - p->j0)
			half.i1 = rest.i0 = (p->i0 + p->i1) / 2;
		else
			half.j1 = rest.j0 = (p->j0 + p->j1) / 2;
		half.done = &done;
		rest.done = NULL;
		gmprt_wg_add(&done, 1);
		g_go(divide, &half);
		divide(&rest);
		gmprt_wg_wait(&done);
	} else {
		multiply(p);
	}
	if (p->done)
		gmprt_wg_done(p->done);
}

G_TEST(a_product_divided_among_goroutines_is_right)
{
	struct part all = { 0, SIZE, 0, SIZE, NULL };
	double got[SIZE][SIZE];

	for (int i = 0; i < SIZE; i++)
		for (int j = 0; j < SIZE; j++)
			a[i][j] = i + 2 * j, b[i][j] = i - j;
	divide(&all);
	memcpy(got, product, sizeof(got));
	memset(product, 0, sizeof(product));
	multiply(&all);
	G_OK(memcmp(got, product, sizeof(got)));
}

/* ---- sema_test.go: TestSemaHandoff, TestSemaHandoff1, TestSemaHandoff2 ---- */

static gmprt_sem sem;
static gmprt_wg yielders;
static long waiting, first;

static void yields(void *unused)
{
	(void)unused;
	while (!g_load(&stop))
		gmprt_yield();
	gmprt_wg_done(&yielders);
}

static void come_first(long who)
{
	long none = 0;

	__atomic_compare_exchange_n(&first, &none, who, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void waits_for_a_post(void *unused)
{
	(void)unused;
	g_store(&waiting, 1);
	G_OK(gmprt_sem_wait(&sem));
	come_first(1);
	gmprt_wg_done(&wg);
}

/* Go's semaphore can hand its P over as it posts; here that takes a yield. */
static bool the_waiter_runs_first(void)
{
	g_store(&waiting, 0);
	g_store(&first, 0);
	gmprt_wg_add(&wg, 1);
	g_go(waits_for_a_post, NULL);
	while (!g_load(&waiting))
		gmprt_yield();
	for (int i = 0; i < 10; i++)
		gmprt_yield(); /* it comes to its wait */
	gmprt_sem_post(&sem);
	gmprt_yield();
	come_first(2);
	gmprt_wg_wait(&wg);
	return g_load(&first) == 1;
}

G_TEST(after_a_post_and_a_yield_the_waiter_runs_before_those_that_queue)
{
	int n = G_LOOPS(1000), ok = 0;

	gmprt_wg_add(&yielders, g_procs);
	for (int i = 0; i < g_procs; i++)
		g_go(yields, NULL);
	for (int i = 0; i < n; i++)
		ok += the_waiter_runs_first();
	g_store(&stop, 1);
	gmprt_wg_wait(&yielders);
	G_GT(ok, n * 2 / 3); /* Go's bound */
}

TEST_HARNESS_MAIN
