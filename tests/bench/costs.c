/* SPDX-License-Identifier: MIT */
/*
 * costs.c - what the bpf backend costs those who do not block
 *
 *	costs [REPS]
 *
 * C1 to C3, a system call that does not block, ns: getpid; read() of a byte of
 * /dev/zero; clock_gettime() past the vDSO. C4, ns of a fixed computation: a
 * goroutine that is never off the CPU. Each on four ways,
 *
 *	plain		in a C thread, with no run under way
 *	attached	in a C thread, while a run with the bpf backend idles
 *	sysmon, bpf	in a goroutine, P=1, with that backend
 *
 * C5, ns for a switch between two processes that have nothing to do with us (they
 * pass a byte to and fro through pipes, on one CPU): plain, and attached. With two
 * CPUs this process stays on the other one meanwhile.
 *
 * A few ns of a hundred are looked for, on a machine whose speed wanders by more:
 * so the ways take turns every few ms, in one process, by the same function at the
 * same address, and what counts is the median of all turns and how it differs.
 * A run (gmprt_run) begins and ends with each turn; that is not in its time. A
 * second thread sleeps all the time: read() is cheaper in a process that has one.
 *
 * Prints `WAY BENCH P=1 VALUE UNIT` for each turn, as bodies.h says, and n/a for
 * the ways that bpf can't be had for.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <gmprt.h>

enum {
	CALLS = 1000,         /* a sample of C1 to C3; a turn is the median of */
	SAMPLES = 51,         /* so many: 5 to 15 ms in all */
	STEPS = 75000000,     /* a turn of C4: some 80 ms */
	ROUND_TRIPS = 100,    /* a sample of C5, likewise */
	SETTLE_NS = 20000000, /* then nobody stands by awake, and all threads have begun */
};

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "costs: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void report(const char *way, const char *bench, double value, const char *unit)
{
	printf("%s %s P=1 %.3f %s\n", way, bench, value, unit);
}

/* ------------------------------------------------------------- the work */

static int zero_fd;
static volatile uint64_t sink;

static __attribute__((noinline)) void do_getpid(void)
{
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getpid);
}

static __attribute__((noinline)) void do_read(void)
{
	char c;

	for (int i = 0; i < CALLS; i++)
		must(read(zero_fd, &c, 1) == 1, "/dev/zero");
}

static __attribute__((noinline)) void do_clock(void)
{
	struct timespec t;

	for (int i = 0; i < CALLS; i++)
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
}

static __attribute__((noinline)) void do_compute(void)
{
	uint64_t x = 88172645463325252u;

	for (int i = 0; i < STEPS; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	sink = x;
}

static const struct cost {
	const char *bench;
	void (*work)(void);
	int samples;
	double per;
	const char *unit;
} costs[] = {
	{ "C1", do_getpid, SAMPLES, CALLS, "ns/call" },
	{ "C2", do_read, SAMPLES, CALLS, "ns/call" },
	{ "C3", do_clock, SAMPLES, CALLS, "ns/call" },
	{ "C4", do_compute, 1, STEPS / 1000, "ns/1000-steps" },
};

enum { NR_COSTS = sizeof(costs) / sizeof(costs[0]) };

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *ns, int n)
{
	qsort(ns, (size_t)n, sizeof(*ns), by_size);
	return ns[n / 2];
}

static double one_cost(const struct cost *c)
{
	double ns[SAMPLES];

	for (int i = 0; i < c->samples; i++) {
		double t = now_ns();

		c->work();
		ns[i] = (now_ns() - t) / c->per;
	}
	return median(ns, c->samples);
}

static void measure(const char *way)
{
	double settled = now_ns() + SETTLE_NS;

	while (now_ns() < settled)
		;
	for (int i = 0; i < NR_COSTS; i++)
		report(way, costs[i].bench, one_cost(&costs[i]), costs[i].unit);
}

/* ------------------------------------------------------------- a run */

static const char *run_backend;
static void (*run_fn)(void);
static int had;

static void in_run(void *arg)
{
	(void)arg;
	had = strcmp(gmprt_upcall_backend(), run_backend) == 0;
	if (had)
		run_fn();
}

/* False: this backend can't be had. */
static int with_run(const char *backend, void (*fn)(void))
{
	struct gmprt_options opt = { .size = sizeof(opt), .maxprocs = 1, .upcall = backend };

	run_backend = backend;
	run_fn = fn;
	errno = -gmprt_run(&opt, in_run, NULL);
	must(!errno, "gmprt_run");
	return had;
}

static void goroutine_measures(void)
{
	measure(run_backend);
}

/* ----------------------------------- a C thread, while the run is idle */

static gmprt_sem thread_done;
static void (*thread_fn)(void);

static void *thread_main(void *arg)
{
	struct timespec t = { .tv_nsec = SETTLE_NS };

	nanosleep(&t, NULL);
	thread_fn();
	gmprt_sem_post(&thread_done);
	return arg;
}

static void while_idle(void)
{
	pthread_t t;

	must(!pthread_create(&t, NULL, thread_main, NULL), "pthread_create");
	must(!gmprt_sem_wait(&thread_done), "gmprt_sem_wait");
	pthread_join(t, NULL);
}

static void thread_measures(void)
{
	measure("attached");
}

/* -------------------------------------------- C5: two other processes */

static cpu_set_t pair_cpu, our_cpus;
static int pair_ask, pair_answer; /* our ends */

static void echo(int in, int out)
{
	char c;

	while (read(in, &c, 1) == 1)
		must(write(out, &c, 1) == 1, "the pair's pipe");
	_exit(0);
}

static double round_trips(int in, int out)
{
	double t = now_ns();
	char c = 0;

	for (int i = 0; i < ROUND_TRIPS; i++)
		must(write(out, &c, 1) == 1 && read(in, &c, 1) == 1, "the pair's pipe");
	return (now_ns() - t) / (2.0 * ROUND_TRIPS);
}

static double one_switch(int in, int out)
{
	double ns[SAMPLES];

	for (int i = 0; i < SAMPLES; i++)
		ns[i] = round_trips(in, out);
	return median(ns, SAMPLES);
}

/* Asked by a byte, answers with the ns of a switch. Ends when we do. */
static void pair_main(int ask, int answer)
{
	int to[2], from[2];
	char c;

	sched_setaffinity(0, sizeof(pair_cpu), &pair_cpu);
	must(!pipe(to) && !pipe(from), "pipe");
	if (fork() == 0) {
		close(to[1]);
		close(from[0]);
		close(ask);
		echo(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	while (read(ask, &c, 1) == 1) {
		double ns = one_switch(from[0], to[1]);

		must(write(answer, &ns, sizeof(ns)) == sizeof(ns), "the pair's answer");
	}
	_exit(0);
}

static void pair_start(void)
{
	int ask[2], answer[2];

	must(!pipe2(ask, O_CLOEXEC) && !pipe2(answer, O_CLOEXEC), "pipe");
	if (fork() == 0) {
		close(ask[1]);
		close(answer[0]);
		pair_main(ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	pair_ask = ask[1];
	pair_answer = answer[0];
}

/* The pair's CPU is the first one that we may use; ours are the others. */
static void choose_cpus(void)
{
	int cpu = 0;

	must(!sched_getaffinity(0, sizeof(our_cpus), &our_cpus), "sched_getaffinity");
	while (!CPU_ISSET(cpu, &our_cpus))
		cpu++;
	CPU_ZERO(&pair_cpu);
	CPU_SET(cpu, &pair_cpu);
	if (CPU_COUNT(&our_cpus) > 1)
		CPU_CLR(cpu, &our_cpus);
}

static void pair_measures(const char *way)
{
	double ns;

	must(write(pair_ask, "", 1) == 1, "the pair is gone");
	must(read(pair_answer, &ns, sizeof(ns)) == sizeof(ns), "the pair is gone");
	report(way, "C5", ns, "ns/switch");
}

static void pair_attached(void)
{
	pair_measures("attached");
}

/* ------------------------------------------------------------------- main() */

static void *sleep_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void run_on(const cpu_set_t *set)
{
	must(!sched_setaffinity(0, sizeof(*set), set), "sched_setaffinity");
}

static void not_available(const char *way, const char *bench)
{
	printf("%s %s P=1 n/a the bpf backend can't be had here\n", way, bench);
}

/* Without bpf: what is left. */
static void say_without_bpf(void)
{
	for (int i = 0; i < NR_COSTS; i++) {
		not_available("attached", costs[i].bench);
		not_available("bpf", costs[i].bench);
	}
	not_available("attached", "C5");
}

/* True: the programs could be attached. */
static int one_turn(const cpu_set_t *all)
{
	int attached;

	run_on(&pair_cpu);
	measure("plain");
	with_run("sysmon", goroutine_measures);
	attached = with_run("bpf", goroutine_measures);
	thread_fn = thread_measures;
	if (attached)
		with_run("bpf", while_idle);
	run_on(&our_cpus);
	pair_measures("plain");
	thread_fn = pair_attached;
	if (attached)
		with_run("bpf", while_idle);
	run_on(all);
	return attached;
}

int main(int argc, char **argv)
{
	int reps = argc > 1 ? atoi(argv[1]) : 30;
	cpu_set_t all;
	pthread_t second;

	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	must(zero_fd >= 0, "/dev/zero");
	must(!sched_getaffinity(0, sizeof(all), &all), "sched_getaffinity");
	choose_cpus();
	pair_start();
	must(!pthread_create(&second, NULL, sleep_for_ever, NULL), "pthread_create");
	for (int i = 0; i < reps; i++)
		if (!one_turn(&all)) {
			say_without_bpf();
			break;
		}
	return 0;
}
