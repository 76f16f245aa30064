/* SPDX-License-Identifier: MIT */
/*
 * upcall_load.c - proves: hot standbys cost next to nothing where nothing blocks, do
 * not move about who computes, and take nobody's share; threads stay bounded when
 * many block for microseconds; work finds a P whose M blocked before it came, and a P freed
 * just after all of them idled finds an M
 *
 * Other tests run meanwhile. So an M's share is compared with what a plain thread
 * gets at the same time, and how often it is moved is only known of a second in
 * which the other CPUs idled.
 */
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/gbpf.h"
#include "lib/gbusy.h"

static int64_t cpu_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * G_SEC + t.tv_nsec;
}

#define PROCESS CLOCK_PROCESS_CPUTIME_ID
#define THREAD  CLOCK_THREAD_CPUTIME_ID

/* Blocks for a moment, often: somebody stands by awake. */
static void warm_up(void)
{
	memset(&g_busy, 0, sizeof(g_busy));
	gmprt_wg_add(&g_busy.wg, 4);
	for (int i = 0; i < 4; i++)
		g_go(i % 2 ? g_busy_naps : g_busy_yields, NULL);
	while (g_load(&g_busy.naps) < 200)
		gmprt_yield();
	g_store(&g_busy.stop, 1);
	gmprt_wg_wait(&g_busy.wg);
}

/* ---- where nothing blocks ------------------------------------------ */

BPF_TEST(an_idle_program_takes_no_CPU_after_many_blocks_either)
{
	int64_t used;

	warm_up();
	G_OK(gmprt_sleep(100 * G_MS));
	used = cpu_ns(PROCESS);
	G_OK(gmprt_sleep(G_SEC));
	G_LT(cpu_ns(PROCESS) - used, 5 * G_MS * G_SLOW);
}

/* Of this thread; -1: the kernel does not tell. */
static long migrations(void)
{
	FILE *f = fopen("/proc/thread-self/sched", "r");
	char line[200];
	long n = -1;

	while (f && n < 0 && fgets(line, sizeof(line), f))
		(void)!sscanf(line, "se.nr_migrations : %ld", &n);
	if (f)
		fclose(f);
	return n;
}

/* Of all CPUs together, since the machine started. */
static int64_t idle_ns(void)
{
	FILE *f = fopen("/proc/stat", "r");
	long long user, nice, sys, idle = 0;

	if (!f || fscanf(f, "cpu %lld %lld %lld %lld", &user, &nice, &sys, &idle) != 4)
		G_FAIL("no idle time in /proc/stat");
	fclose(f);
	return idle * (G_SEC / sysconf(_SC_CLK_TCK));
}

struct second {
	int64_t cpu, others; /* of its thread, and of all others of the process */
	int64_t idle;
	long moved;
};

/* By the clock; as a goroutine it stays on its thread. */
static void computes_1_s(struct second *s)
{
	int64_t end = g_now() + G_SEC, all = cpu_ns(PROCESS);

	s->idle = idle_ns();
	s->moved = migrations();
	s->cpu = cpu_ns(THREAD);
	while (g_now() < end)
		;
	s->cpu = cpu_ns(THREAD) - s->cpu;
	s->others = cpu_ns(PROCESS) - all - s->cpu;
	s->moved = migrations() - s->moved;
	s->idle = idle_ns() - s->idle;
}

BPF_TEST(beside_one_who_computes_nobody_spins)
{
	struct second m;

	warm_up();
	computes_1_s(&m);
	G_LT(m.others, 20 * G_MS * G_SLOW);
}

BPF_TEST(who_computes_is_not_moved_about)
{
	int64_t others = (sysconf(_SC_NPROCESSORS_ONLN) - 1) * G_SEC;
	struct second m;

	for (int i = 0; i < 3; i++) {
		warm_up();
		computes_1_s(&m);
		if (m.moved < 2)
			return;
		if (m.idle > others - G_SEC / 20)
			G_FAIL("moved %ld times in a second", m.moved);
	}
	skipped = m.moved < 0 ? "/proc/thread-self/sched does not count migrations" :
				"the machine was busy: three seconds in which it was moved";
}

/* ---- shares --------------------------------------------------------- */

static pid_t busy_process(void)
{
	pid_t pid = fork();

	G_GE(pid, 0);
	if (pid == 0) {
		alarm(30);
		for (;;)
			;
	}
	return pid;
}

/* A goroutine that computes, and naps now and then, so that somebody stands by. */
static void share(struct second *s, void (*naps)(void))
{
	int64_t end = g_now() + G_SEC;

	s->cpu = cpu_ns(THREAD);
	while (g_now() < end) {
		int64_t slice = g_now() + G_MS;

		while (g_now() < slice)
			;
		naps();
	}
	s->cpu = cpu_ns(THREAD) - s->cpu;
}

static void naps_a_little(void)
{
	g_nap(1000);
}

static void *shares_on_a_thread(void *s)
{
	share(s, naps_a_little);
	return NULL;
}

/* With two CPUs one of the two shares one with the other process. */
BPF_TEST(beside_another_busy_process_it_gets_its_share)
{
	pid_t pid = busy_process();
	struct second m, plain;
	pthread_t t;
	int status;

	warm_up();
	G_OK(pthread_create(&t, NULL, shares_on_a_thread, &plain));
	share(&m, naps_a_little);
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
	G_OK(kill(pid, SIGKILL));
	G_EQ(pid, waitpid(pid, &status, 0));
	G_GT(m.cpu, plain.cpu / 2);
}

/* ---- storms --------------------------------------------------------- */

static void naps_1_us(void *arg)
{
	(void)arg;
	while (!g_load(&g_busy.stop)) {
		g_nap(1000);
		g_inc(&g_busy.naps);
	}
	gmprt_wg_done(&g_busy.wg);
}

BPF_TEST(in_a_storm_of_short_naps_there_are_as_many_threads_as_who_nap)
{
	const int n = 100;

	memset(&g_busy, 0, sizeof(g_busy));
	gmprt_wg_add(&g_busy.wg, n);
	for (int i = 0; i < n; i++)
		g_go(naps_1_us, NULL);
	G_OK(gmprt_sleep(G_SEC));
	g_store(&g_busy.stop, 1);
	gmprt_wg_wait(&g_busy.wg);
	G_GT(g_load(&g_busy.naps), 1000 / G_SLOW);
	G_LE(g_stats().nr_threads_peak, n + 2 * g_procs + 4);
}

/* ---- work that comes after the block ---------------------------------- */

static long began;

static void begins(void *arg)
{
	(void)arg;
	g_store(&began, 1);
}

static void waits_for_a_byte(void *arg)
{
	char c;

	(void)arg;
	G_EQ(1, read(g_busy.ping[0], &c, 1));
	gmprt_wg_done(&g_busy.wg);
}

/* How long until a goroutine runs, made by one who does not stop computing. */
static int64_t until_it_begins(void)
{
	int64_t start = g_now();

	g_store(&began, 0);
	g_go(begins, NULL);
	g_go(begins, NULL); /* `next` alone would wake nobody: switch.h */
	while (!g_load(&began) && g_now() < start + G_SEC)
		;
	return g_now() - start;
}

/* By sysmon's second look it would be up to 10 ms. */
BPF_TEST(work_finds_the_P_of_one_that_blocked_before_it_came)
{
	enum { TIMES = 20 };
	int in_time = 0;

	if (g_procs == 1) {
		skipped = "there is one P, and its M is the one that makes the work";
		return;
	}
	memset(&g_busy, 0, sizeof(g_busy));
	G_OK(pipe2(g_busy.ping, O_CLOEXEC));
	for (int i = 0; i < TIMES; i++) {
		gmprt_wg_add(&g_busy.wg, g_procs - 1);
		for (int k = 1; k < g_procs; k++)
			g_go(waits_for_a_byte, NULL);
		gmprt_sleep(2 * G_MS); /* they all block */
		in_time += until_it_begins() < 5 * G_MS;
		for (int k = 1; k < g_procs; k++)
			G_EQ(1, write(g_busy.ping[1], "x", 1));
		gmprt_wg_wait(&g_busy.wg);
	}
	G_GE(in_time, TIMES / 2);
	G_OK(close(g_busy.ping[0]));
	G_OK(close(g_busy.ping[1]));
}

/* A thread of the program's own: asked, it answers after 2 ms. */
static void *answers_late(void *arg)
{
	char c;

	(void)arg;
	while (read(g_busy.ping[0], &c, 1) == 1) {
		g_nap(2 * G_MS);
		G_EQ(1, write(g_busy.pong[1], &c, 1));
	}
	return NULL;
}

/* The thread that hands over is about to rest for 10 ms then. */
static void all_idle_for_2_ms(void)
{
	char c = 0;

	G_EQ(1, write(g_busy.ping[1], &c, 1));
	G_EQ(1, gmprt_read(g_busy.pong[0], &c, 1));
}

BPF_TEST(a_P_freed_just_after_all_idled_is_taken)
{
	enum { TIMES = 20 };
	pthread_t thread;
	int taken = 0;

	memset(&g_busy, 0, sizeof(g_busy));
	G_OK(pipe2(g_busy.ping, O_CLOEXEC));
	G_OK(pipe2(g_busy.pong, O_CLOEXEC));
	G_OK(pthread_create(&thread, NULL, answers_late, NULL));
	for (int i = 0; i < TIMES; i++) {
		all_idle_for_2_ms();
		g_store(&began, 0);
		g_go(begins, NULL);
		g_nap(5 * G_MS);
		taken += g_load(&began) > 0;
		while (!g_load(&began))
			gmprt_yield();
	}
	G_GT(taken, TIMES / 2);      /* every second one, if it rests deaf */
	G_OK(close(g_busy.ping[1])); /* it ends */
	G_OK(pthread_join(thread, NULL));
	G_OK(close(g_busy.ping[0]));
	for (int k = 0; k < 2; k++)
		G_OK(close(g_busy.pong[k]));
}

TEST_HARNESS_MAIN
