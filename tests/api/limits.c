/* SPDX-License-Identifier: MIT */
/*
 * limits.c - proves: where no more threads, address space or memory are to be
 * had, goroutines wait, nothing crashes and nothing is lost; one line says
 * which limit it is and what to do; when it is lifted, all is as before
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/gcgroup.h"
#include "lib/gtest.h"

static gmprt_wg wg;
static long counted, inside, stop;
static int fds[2];

static void with_threads(int procs, int threads, void (*fn)(void *))
{
	struct gmprt_options opt = { .size = sizeof(opt),
				     .maxprocs = procs,
				     .max_threads = threads };

	g_procs = procs;
	G_OK(gmprt_run(&opt, fn, NULL));
}

static void counts(void *arg)
{
	(void)arg;
	g_inc(&counted);
	gmprt_wg_done(&wg);
}

static void naps(void *arg)
{
	(void)arg;
	gmprt_block_enter();
	g_nap(2 * G_MS);
	gmprt_block_exit();
	counts(NULL);
}

/* Starts as many of n as there is memory for. */
static int start_some(void (*fn)(void *), int n)
{
	int i, r = 0;

	gmprt_wg_add(&wg, n);
	for (i = 0; i < n && (r = gmprt_go(fn, NULL)) == 0; i++)
		;
	G_TRUE(r == 0 || r == -ENOMEM);
	gmprt_wg_add(&wg, i - n);
	return i;
}

static void start(void (*fn)(void *), int n)
{
	gmprt_wg_add(&wg, n);
	for (int i = 0; i < n; i++)
		g_go(fn, NULL);
}

static int lines_with(const char *text, const char *word)
{
	int n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

/* ---- options.max_threads ------------------------------------------ */

static void blocks(void *arg)
{
	(void)arg;
	gmprt_block_enter();
	g_inc(&inside);
	while (!g_load(&stop))
		g_nap(G_MS);
	gmprt_block_exit();
	counts(NULL);
}

/* stderr is a file of this child's own. */
static void until_it_is_said(void)
{
	while (lseek(STDERR_FILENO, 0, SEEK_END) <= 0)
		g_nap(G_MS);
}

static void *stops_when_it_is_said(void *arg)
{
	while (g_load(&inside) < 4)
		g_nap(G_MS);
	until_it_is_said();
	g_nap(5 * G_MS); /* for a second line, and a fifth */
	G_EQ(4, g_load(&inside));
	g_store(&stop, 1);
	return arg;
}

static void many_block(void *arg)
{
	pthread_t t;

	start(naps, 100);
	gmprt_wg_wait(&wg);
	G_EQ(100, g_load(&counted));
	G_OK(pthread_create(&t, NULL, stops_when_it_is_said, NULL));
	start(blocks, 20);
	gmprt_wg_wait(&wg);
	G_EQ(120, g_load(&counted));
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
	G_LE(g_stats().nr_threads_peak, 4);
	(void)arg;
}

static void four_threads(void)
{
	with_threads(g_procs, 4, many_block);
}

P_TEST(at_the_thread_limit_goroutines_queue_and_one_line_says_so)
{
	static struct g_end end;

	g_child(&end, four_threads);
	G_EXITS(&end, 0);
	G_EQ(1, lines_with(end.text, "gmprt:"));
	G_SAYS(&end, "gmprt: all 4 threads are in use; goroutines wait until one comes back. "
		     "More: options.max_threads\n");
}

static void reads_unannounced(void *arg)
{
	char c;

	(void)arg;
	g_inc(&inside);
	G_EQ(1, read(fds[0], &c, 1));
	gmprt_wg_done(&wg);
}

static void reads_in_brackets(void *arg)
{
	gmprt_block_enter();
	reads_unannounced(arg);
	gmprt_block_exit();
}

static void *lets_them_go(void *arg)
{
	while (g_load(&inside) < 3)
		g_nap(G_MS);
	g_nap(30 * G_MS); /* all three are in the kernel now, most likely */
	for (int i = 0; i < 3; i++) {
		G_EQ(1, write(fds[1], "x", 1));
		/* One M is back, the others are not. */
		while (g_load(&counted) < 20)
			g_nap(G_MS);
	}
	return arg;
}

static void all_are_away(void (*reads)(void *))
{
	pthread_t t;

	G_OK(pipe(fds));
	G_OK(pthread_create(&t, NULL, lets_them_go, NULL));
	start(reads, 2);
	while (g_load(&inside) < 2)
		gmprt_yield();
	start(counts, 20);
	gmprt_wg_add(&wg, 1);
	reads(NULL); /* the third of three threads */
	gmprt_wg_wait(&wg);
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
	G_LE(g_stats().nr_threads_peak, 3);
	close(fds[0]);
	close(fds[1]);
}

static void all_away_unannounced(void *arg)
{
	(void)arg;
	all_are_away(reads_unannounced);
}

P_TEST(with_all_threads_in_unannounced_calls_the_first_that_is_back_runs_the_others)
{
	g_watch("unannounced", G_TIMEOUT * G_SLOW);
	with_threads(g_procs, 3, all_away_unannounced);
	g_watch_end();
}

static void all_away_in_brackets(void *arg)
{
	(void)arg;
	all_are_away(reads_in_brackets);
}

P_TEST(with_all_threads_in_brackets_the_first_that_is_back_runs_the_others)
{
	g_watch("brackets", G_TIMEOUT * G_SLOW);
	with_threads(g_procs, 3, all_away_in_brackets);
	g_watch_end();
}

static long turns[3];

static void computes(void *n)
{
	while (!g_load(&stop)) {
		g_inc(n);
		usleep(0); /* where ThreadSanitizer looks for signals */
	}
	gmprt_wg_done(&wg);
}

static void *waits_for_turns(void *arg)
{
	for (int i = 0; i < 3; i++)
		for (long n = g_load(&turns[i]); g_load(&turns[i]) < n + 100;)
			g_nap(G_MS);
	g_store(&stop, 1);
	return arg;
}

/* All threads there may be have a goroutine on them, most stand still. */
static void hogs_on_all_threads(void *arg)
{
	pthread_t t;

	gmprt_wg_add(&wg, 3);
	for (int i = 0; i < 3; i++)
		g_go(computes, &turns[i]);
	G_OK(pthread_create(&t, NULL, waits_for_turns, NULL));
	gmprt_wg_wait(&wg);
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
	(void)arg;
}

P_TEST(goroutines_that_compute_on_all_threads_share_the_Ps)
{
	g_watch("hogs", G_TIMEOUT * G_SLOW);
	with_threads(g_procs, 3, hogs_on_all_threads);
	g_watch_end();
}

static void locked_alone(void *arg)
{
	(void)arg;
	gmprt_lock_os_thread();
	for (int i = 0; i < 10; i++) {
		G_OK(gmprt_sleep(G_MS));
		gmprt_yield();
	}
	gmprt_unlock_os_thread();
	start(counts, 10);
	gmprt_wg_wait(&wg);
}

P_TEST(a_locked_goroutine_sleeps_and_wakes_on_the_only_thread)
{
	g_watch("locked", G_TIMEOUT * G_SLOW);
	with_threads(g_procs, 1, locked_alone);
	g_watch_end();
}

/* ---- threads that the system refuses ------------------------------ */

#define FEW 9 /* threads at the limit */
/* Threads that run no goroutines: main, sysmon, the test's own, a sanitizer's two. */
#ifdef __SANITIZE_THREAD__
#define OTHERS 5
#else
#define OTHERS 3
#endif

static void (*lift)(void);

static void *lifts_it(void *arg)
{
	while (g_load(&inside) < FEW - OTHERS)
		g_nap(G_MS);
	until_it_is_said();
	lift();
	while (g_load(&inside) < 2 * FEW)
		g_nap(G_MS);
	g_store(&stop, 1);
	return arg;
}

static void few_then_many(void *arg)
{
	pthread_t t;

	G_OK(pthread_create(&t, NULL, lifts_it, NULL));
	start(naps, 100);
	gmprt_wg_wait(&wg);
	G_LE(g_stats().nr_threads_peak, FEW - OTHERS);
	start(blocks, 2 * FEW); /* needs a thread for each */
	gmprt_wg_wait(&wg);
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
	(void)arg;
}

static void set_nproc(rlim_t n)
{
	struct rlimit r;

	G_OK(getrlimit(RLIMIT_NPROC, &r));
	r.rlim_cur = n < r.rlim_max ? n : r.rlim_max;
	G_OK(setrlimit(RLIMIT_NPROC, &r));
}

static void lift_nproc(void)
{
	set_nproc(4000);
}

/* As somebody who has no other process: root is not bound by the limit. */
static void as_nobody_else(void)
{
	uid_t uid = 1000000000 + (uid_t)getpid();

	lift = lift_nproc;
	setenv("GMPRT_UPCALL", "auto", 1); /* another may need rights, and says so */
	G_OK(setrlimit(RLIMIT_NPROC, &(struct rlimit){ FEW, 4000 }));
	G_OK(setresgid(uid, uid, uid));
	G_OK(setresuid(uid, uid, uid));
	G_OK(prctl(PR_SET_DUMPABLE, 1)); /* LeakSanitizer looks at itself */
	with_threads(4, 0, few_then_many);
	set_nproc(4000);
}

TEST(where_RLIMIT_NPROC_refuses_threads_those_that_are_there_do_and_one_line_says_so)
{
	static struct g_end end;

	if (geteuid() != 0)
		SKIP(return, "not root: RLIMIT_NPROC would count the user's other processes");
	g_child(&end, as_nobody_else);
	G_EXITS(&end, 0);
	G_EQ(1, lines_with(end.text, "gmprt:"));
	G_SAYS(&end, "ulimit -u");
}

static struct g_cgroup group;

static void lift_pids(void)
{
	g_cgroup_write(&group, "pids.max", "max");
}

static void in_the_group(void)
{
	char few[16];

	lift = lift_pids;
	snprintf(few, sizeof(few), "%d", FEW);
	g_cgroup_enter(&group);
	g_cgroup_write(&group, "pids.max", few);
	with_threads(4, 0, few_then_many);
}

TEST(where_a_pids_cgroup_refuses_threads_those_that_are_there_do_and_one_line_says_so)
{
	static struct g_end end;

	if (!g_cgroup_make(&group, "pids"))
		SKIP(return, "%s", group.why);
	g_child(&end, in_the_group);
	g_cgroup_remove(&group);
	G_EXITS(&end, 0);
	G_EQ(1, lines_with(end.text, "gmprt:"));
	G_SAYS(&end, "pids.max");
}

/* ---- address space ------------------------------------------------ */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_SANITIZED SKIP(return, "a sanitizer's own memory is beyond any limit")
#else
#define SKIP_SANITIZED ((void)0)
#endif

static void allow_more(rlim_t bytes)
{
	struct rlimit r;

	G_OK(getrlimit(RLIMIT_AS, &r));
	r.rlim_cur = bytes ? (rlim_t)g_status_kb("VmSize:") * 1024 + bytes : r.rlim_max;
	G_OK(setrlimit(RLIMIT_AS, &r));
}

static gmprt_chan *gate;

static void waits_at_the_gate(void *arg)
{
	(void)arg;
	g_inc(&inside);
	G_EQ(-EPIPE, gmprt_chan_recv(gate, NULL));
	counts(NULL);
}

static void nobody_is_left(void)
{
	while (gmprt_num_goroutine() != 1)
		gmprt_yield();
}

static void until_ENOMEM(void)
{
	long n;

	gate = g_chan(0, 0);
	allow_more(8 * 1024 * 1024);
	n = start_some(waits_at_the_gate, 1000000);
	G_LT(n, 1000000);
	G_GT(n, 500);
	G_OK(gmprt_chan_close(gate));
	gmprt_wg_wait(&wg);
	G_EQ(n, g_load(&counted));
	nobody_is_left();
	/* What they had is there for others, limit or not. */
	start(counts, 1000);
	gmprt_wg_wait(&wg);
	allow_more(0);
	start(counts, 100000);
	gmprt_wg_wait(&wg);
	G_EQ(n + 101000, g_load(&counted));
	nobody_is_left();
}

P_TEST(go_without_address_space_is_ENOMEM_and_those_that_were_started_run)
{
	static struct g_end end;

	SKIP_SANITIZED;
	g_child_run(&end, until_ENOMEM);
	G_EXITS(&end, 0);
}

static void more_than_there_are_stacks(void)
{
	long all, n;

	gate = g_chan(0, 0);
	allow_more(64 * 1024 * 1024); /* 256 stacks at the most */
	all = start_some(waits_at_the_gate, 2000);
	do {
		n = g_load(&inside);
		gmprt_sleep(50 * G_MS);
	} while (n != g_load(&inside) || n == 0);
	G_LT(n, 300);
	G_GT(all, n);
	G_OK(gmprt_chan_close(gate));
	gmprt_wg_wait(&wg);
	G_EQ(all, g_load(&counted));
	nobody_is_left();
}

P_TEST(goroutines_that_find_no_stack_wait_for_one_and_one_line_says_so)
{
	static struct g_end end;

	SKIP_SANITIZED;
	g_child_run(&end, more_than_there_are_stacks);
	G_EXITS(&end, 0);
	G_EQ(1, lines_with(end.text, "no address space for another stack"));
}

static void stacks_then_more_space(void)
{
	int n;

	gate = g_chan(0, 0);
	allow_more(64 * 1024 * 1024);
	n = start_some(waits_at_the_gate, 1000);
	gmprt_sleep(20 * G_MS);
	allow_more(0);
	while (g_load(&inside) < n)
		gmprt_sleep(G_MS);
	G_OK(gmprt_chan_close(gate));
	gmprt_wg_wait(&wg);
}

P_TEST(goroutines_that_found_no_stack_get_one_when_there_is_space)
{
	static struct g_end end;

	SKIP_SANITIZED;
	g_child_run(&end, stacks_then_more_space);
	G_EXITS(&end, 0);
}

static void forks_without_stacks(void)
{
	struct gmprt_task t[100];

	gate = g_chan(0, 0);
	allow_more(16 * 1024 * 1024);
	(void)start_some(waits_at_the_gate, 500);
	gmprt_sleep(50 * G_MS);
	gmprt_wg_add(&wg, 100);
	for (int i = 0; i < 100; i++)
		G_OK(gmprt_fork(&t[i], counts, NULL));
	gmprt_sleep(50 * G_MS); /* they can't be begun */
	for (int i = 0; i < 100; i++)
		gmprt_join(&t[i]);
	G_GE(g_load(&counted), 100);
	G_OK(gmprt_chan_close(gate));
	gmprt_wg_wait(&wg);
}

P_TEST(a_forked_task_needs_no_stack_if_its_join_runs_it)
{
	static struct g_end end;

	SKIP_SANITIZED;
	g_child_run(&end, forks_without_stacks);
	G_EXITS(&end, 0);
}

TEST_HARNESS_MAIN
