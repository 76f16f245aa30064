/* SPDX-License-Identifier: MIT */
/*
 * gtest.c - the parts of gtest.h that need no harness
 *
 * Nothing here takes a lock of the C library while a goroutine could be
 * switched: a test may run with the library's worst bug.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/gcheck.h"

int g_procs = 1;

static long failing;
static long finished;

static struct {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool stop;
	int seconds;
	int procs;
	const char *what;
} watch = { .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

/* ------------------------------------------------------------------ */

void g_fail(const char *file, int line, const char *fmt, ...)
{
	char buf[1024];
	va_list ap;
	int n, m;

	if (__atomic_exchange_n(&failing, 1, __ATOMIC_SEQ_CST))
		for (;;)
			pause();

	n = snprintf(buf, sizeof(buf), "# %s:%d: procs %d, goroutine %llu: ", file, line, g_procs,
		     (unsigned long long)gmprt_id());
	va_start(ap, fmt);
	m = vsnprintf(buf + n, sizeof(buf) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n = m < 0 ? n : n + m;
	if (n > (int)sizeof(buf) - 2)
		n = (int)sizeof(buf) - 2;
	buf[n++] = '\n';
	if (write(STDERR_FILENO, buf, (size_t)n) < 0)
		_exit(1);
	_exit(1);
}

static void *watcher(void *unused)
{
	struct timespec end;

	(void)unused;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += watch.seconds;
	pthread_mutex_lock(&watch.mutex);
	while (!watch.stop)
		if (pthread_cond_timedwait(&watch.cond, &watch.mutex, &end) == ETIMEDOUT)
			break;
	if (watch.stop) {
		pthread_mutex_unlock(&watch.mutex);
		return NULL;
	}
	dprintf(STDERR_FILENO, "# %s: procs %d: hangs after %d s\n", watch.what, watch.procs,
		watch.seconds);
	gmprt_dump(STDERR_FILENO);
	/* The harness made this process the leader of a group: its children too. */
	if (getpgrp() == getpid())
		kill(0, SIGKILL);
	_exit(1);
}

void g_watch(const char *what, int seconds)
{
	sigset_t all, old;

	watch.what = what;
	watch.seconds = seconds;
	watch.procs = g_procs;
	watch.stop = false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	G_OK(pthread_create(&watch.thread, NULL, watcher, NULL));
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void g_watch_end(void)
{
	pthread_mutex_lock(&watch.mutex);
	watch.stop = true;
	pthread_cond_signal(&watch.cond);
	pthread_mutex_unlock(&watch.mutex);
	pthread_join(watch.thread, NULL);
}

static void main_goroutine(void *body)
{
	(*(void (**)(void))body)();
	g_store(&finished, 1);
}

int g_fds_before_run;

int g_count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

int g_await_fds(int n)
{
	int64_t end = g_now() + 5 * G_SEC;

	while (g_count_fds() != n && g_now() < end)
		g_nap(G_MS);
	return g_count_fds();
}

void g_run(int n, void (*body)(void))
{
	struct gmprt_options opt = { .size = sizeof(opt), .maxprocs = n };

	g_procs = n;
	g_fds_before_run = g_count_fds();
	g_store(&finished, 0);
	G_OK(gmprt_run(&opt, main_goroutine, &body));
	G_EQ(1, g_load(&finished));
}

/* ------------------------------------------------------------------ */

int64_t g_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * G_SEC + t.tv_nsec;
}

bool g_readable(const void *at)
{
	int fd[2];
	long r;

	G_OK(pipe(fd));
	r = syscall(SYS_write, fd[1], at, 1);
	close(fd[0]);
	close(fd[1]);
	return r == 1;
}

void g_nap(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / G_SEC, .tv_nsec = ns % G_SEC };

	/* Unlike nanosleep() it leaves errno alone: preemption may end it early. */
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

void g_go(void (*fn)(void *), void *arg)
{
	G_OK(gmprt_go(fn, arg));
}

void g_go_named(const char *name, void (*fn)(void *), void *arg)
{
	struct gmprt_attr attr = { .size = sizeof(attr), .name = name };

	G_OK(gmprt_go_attr(&attr, fn, arg));
}

/* All that g_keep() gave out, only so that it stays reachable. */
struct kept {
	struct kept *next;
};

static struct kept *kept;

void *g_keep(size_t size)
{
	struct kept *k = calloc(1, sizeof(*k) + size);

	G_TRUE(k);
	k->next = __atomic_load_n(&kept, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&kept, &k->next, k, true, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED))
		;
	return k + 1;
}

gmprt_chan *g_chan(size_t elem_size, size_t cap)
{
	gmprt_chan **c = g_keep(sizeof(*c));

	*c = gmprt_chan_make(elem_size, cap);
	G_TRUE(*c);
	return *c;
}

void g_until(const long *counter, long n)
{
	while (g_load(counter) != n)
		gmprt_sleep(G_MS / 10);
}

__attribute__((noinline)) int g_errno(void)
{
	__asm__ volatile("" ::: "memory");
	return errno;
}

__attribute__((noinline)) void g_set_errno(int e)
{
	__asm__ volatile("" ::: "memory");
	errno = e;
}

/* Lines "goroutine N ..." of the dump that have the word and a state of rest. */
static int count_blocked(const char *dump, const char *name)
{
	size_t len = strlen(name);
	int n = 0;

	for (const char *line = dump; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t end = strcspn(line, "\n");
		const char *at;

		if (strncmp(line, "goroutine ", 10) != 0)
			continue;
		if (memmem(line, end, "running", 7) || memmem(line, end, "runnable", 8))
			continue;
		at = memmem(line, end, name, len);
		if (at && !isalnum(at[-1]) && !isalnum(at[len]))
			n++;
	}
	return n;
}

void g_parked(const char *name, int n)
{
	for (;;) {
		char *dump = g_dump();
		int found = count_blocked(dump, name);

		free(dump);
		if (found == n)
			return;
		gmprt_sleep(G_MS / 2);
	}
}

uint64_t g_rand(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* -1: no such file (a thread that has ended), or no such field. */
static long status_field(const char *path, const char *field)
{
	FILE *f = fopen(path, "re");
	char line[256];
	long n = -1;

	if (!f)
		return -1;
	while (n < 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, field, strlen(field)) == 0)
			n = strtol(line + strlen(field), NULL, 10);
	fclose(f);
	return n;
}

long g_status_kb(const char *field)
{
	return status_field("/proc/self/status", field);
}

long g_sleeps(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;
	long sum = 0;

	G_TRUE(dir);
	while ((e = readdir(dir))) {
		char path[300];
		long n;

		if (!isdigit(e->d_name[0]) || atol(e->d_name) == syscall(SYS_gettid))
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		n = status_field(path, "voluntary_ctxt_switches:");
		sum += n > 0 ? n : 0;
	}
	closedir(dir);
	return sum;
}

char *g_dump(void)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);
	off_t n;
	char *s;

	G_GE(fd, 0);
	gmprt_dump(fd);
	n = lseek(fd, 0, SEEK_END);
	s = malloc((size_t)n + 1);
	G_TRUE(s);
	G_EQ(n, pread(fd, s, (size_t)n, 0));
	s[n] = '\0';
	close(fd);
	return s;
}

struct gmprt_stats g_stats(void)
{
	struct gmprt_stats s = { .size = sizeof(s) };

	G_OK(gmprt_stats_read(&s));
	return s;
}
