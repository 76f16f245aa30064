/* SPDX-License-Identifier: MIT */
/*
 * blocks.h - B12, W1, and G1 to G10: goroutines that block in the kernel
 *
 * Part of bodies.h, which includes it. The run time is told of none of these calls:
 * they are libc's or the kernel's own, or no call at all (a page fault).
 *
 * B12: 64 goroutines, each naps 200 us and computes for a fixed count of steps,
 * about 50 us; the remark says what that count took alone. Rounds a second. MS=
 * the time.
 *
 * W1 is no comparison but a load: 64 goroutines that nap, read pipes, compute, take
 * a mutex and yield, at random.
 *
 * G1 to G10, the gap: with one P a goroutine blocks while another, which only
 * yields and looks at the clock, is in the run queue all the time. The gap is from
 * just before the call until that one's first instruction, the median in the
 * benchmark's row, .p99 and .max in rows of their own. If nobody takes the P away
 * it is as long as the block. A call that came back before it can have blocked is
 * not counted; if none blocked the row says n/a. G1r and G3r: nobody has blocked
 * for 20 ms before.
 *
 * Who ends the block: in G1 the other goroutine, by writing the byte; elsewhere
 * time, the disk, or a process of its own (gap-helper.c), 1 ms after the begin, of
 * which it is told; the name server of G7 after 5 ms. It takes another CPU than a
 * pinned peer's if there is one, and so is never what the peer's CPU does next.
 *
 * Environment: HELPER= the path of gap-helper, DIR= a folder for files, on a disk.
 * G5, G7, G8 and G10 need the one, G6 and G9 the other.
 */
#ifndef BENCH_BLOCKS_H
#define BENCH_BLOCKS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void raw_nanosleep(long ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	syscall(SYS_nanosleep, &t, NULL);
}

/* -------------------------------------- B12: 64 goroutines nap and compute */

enum {
	NAPPERS = 64,
	NAP_NS = 200000,
	STEPS = 46000, /* some 50 us: each waits for the one before, 4 cycles */
};

static double naps_end;
static long nr_rounds;

static __attribute__((noinline)) uint64_t compute(long steps)
{
	uint64_t x = 88172645463325252u;

	for (long i = 0; i < steps; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	return x;
}

static double unit_ns(long steps)
{
	double best = 1e18;

	for (int i = 0; i < 20; i++) {
		double t = now_ns();

		check(compute(steps) != 0, "wrong result");
		t = now_ns() - t;
		if (t < best)
			best = t;
	}
	return best;
}

static void nap_fn(void *arg)
{
	long n = 0;

	(void)arg;
	while (now_ns() < naps_end) {
		raw_nanosleep(NAP_NS);
		check(compute(STEPS) != 0, "wrong result");
		n++;
	}
	__atomic_fetch_add(&nr_rounds, n, __ATOMIC_RELAXED);
	latch_done(&all);
}

static void b12(void)
{
	double unit = unit_ns(STEPS), t, cpu;
	char remark[96];

	latch_init(&all, NAPPERS);
	cpu = cpu_ns();
	t = now_ns();
	naps_end = t + 1e6 * (double)size_of_work("MS", 1500);
	for (int i = 0; i < NAPPERS; i++)
		g_spawn(nap_fn, NULL);
	latch_wait(&all);
	t = now_ns() - t;
	cpu = cpu_ns() - cpu;
	snprintf(remark, sizeof(remark), "unit=%.1fus cpu/wall=%.2f", unit / 1e3, cpu / t);
	report((double)nr_rounds / t * 1e9, "rounds/s", remark);
}

/* ------------------------ W1: a stress, under which watch.c looks at each switch */

enum { PAIRS = 32 };

static int pair_pipe[PAIRS][2];
static g_mutex_t stress_mutex;
static long stress_rounds;

static uint64_t next_random(uint64_t x)
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^ x << 17;
}

/* Mostly up to 50 us; now and then two time slices, with no call to anyone. */
static void stress_round(uint64_t x)
{
	long steps = x % 1024 ? (long)(x >> 40) % STEPS + 1 : 400L * STEPS;

	check(compute(steps) != 0, "wrong result");
	g_mutex_lock(&stress_mutex);
	stress_rounds++;
	g_mutex_unlock(&stress_mutex);
	if (x % 8 == 0)
		g_yield();
}

/* Writes a byte a round, and sleeps or not before it. */
static void stress_writer(void *arg)
{
	int *fd = (int *)arg;
	uint64_t x = (uint64_t)(fd - pair_pipe[0] + 1) * 0x9E3779B97F4A7C15u;

	while (now_ns() < naps_end) {
		x = next_random(x);
		if (x % 4)
			raw_nanosleep((long)(x >> 8) % (2 * NAP_NS) + 1);
		check(write(fd[1], "", 1) == 1, "can't write into the pipe");
		stress_round(x);
	}
	close(fd[1]);
	latch_done(&all);
}

static void stress_reader(void *arg)
{
	int *fd = (int *)arg;
	uint64_t x = (uint64_t)(fd - pair_pipe[0] + 2) * 0x9E3779B97F4A7C15u;
	char c;

	while (read(fd[0], &c, 1) == 1) {
		x = next_random(x);
		stress_round(x);
	}
	close(fd[0]);
	latch_done(&all);
}

static void w1(void)
{
	double t = now_ns();

#ifdef G_HELD_UP
	not_available("a reader would wait for a writer that its block holds up");
	return;
#endif
	naps_end = t + 1e6 * (double)size_of_work("MS", 1500);
	g_mutex_init(&stress_mutex);
	latch_init(&all, 2 * PAIRS);
	for (int i = 0; i < PAIRS; i++) {
		check(!pipe2(pair_pipe[i], O_CLOEXEC), "no pipe");
		g_spawn(stress_writer, pair_pipe[i]);
		g_spawn(stress_reader, pair_pipe[i]);
	}
	latch_wait(&all);
	report((double)stress_rounds / (now_ns() - t) * 1e9, "rounds/s", "");
}

/* ------------------------------------------------------------- the helper */

static int helper_in = -1, helper_out = -1; /* our ends */

/* False: there is none, which has been reported. fd: one that it needs, as its 3. */
static int helper_start(const char *what, const char *path, int fd)
{
	posix_spawn_file_actions_t a;
	const char *helper = getenv("HELPER");
	char *argv[] = { (char *)"gap-helper", (char *)what, (char *)path, NULL };
	int to[2], from[2], err;
	pid_t pid;

	if (!helper) {
		not_available("HELPER= the path of gap-helper is not set");
		return 0;
	}
	check(!pipe2(to, O_CLOEXEC) && !pipe2(from, O_CLOEXEC), "no pipe");
	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, to[0], 0);
	posix_spawn_file_actions_adddup2(&a, from[1], 1);
	if (fd >= 0)
		posix_spawn_file_actions_adddup2(&a, fd, 3);
	err = posix_spawn(&pid, helper, &a, NULL, argv, environ);
	check(!err, "can't start gap-helper");
	posix_spawn_file_actions_destroy(&a);
	close(to[0]);
	close(from[1]);
	helper_out = to[1];
	helper_in = from[0];
	return 1;
}

static void tell_helper(void)
{
	char c = 0;

	check(write(helper_out, &c, 1) == 1, "gap-helper is gone");
}

static void hear_helper(void)
{
	char c;

	check(read(helper_in, &c, 1) == 1, "gap-helper has ended");
}

/* A file of this process in DIR, with this many pages. Its name is removed by drop_file(). */
static char file_name[512];
static size_t page_size;

static int make_file(const char *what, int pages)
{
	const char *dir = getenv("DIR");
	char *page;
	int fd;

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	snprintf(file_name, sizeof(file_name), "%s/%s.%d", dir ? dir : ".", what, (int)getpid());
	fd = open(file_name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd >= 0, "can't make a file in DIR");
	page = (char *)xmalloc(page_size);
	memset(page, 1, page_size);
	for (int i = 0; i < pages; i++)
		check(write(fd, page, page_size) == (ssize_t)page_size, "can't write");
	free(page);
	check(!fsync(fd), "fsync");
	return fd;
}

static void drop_file(void)
{
	if (file_name[0])
		unlink(file_name);
}

/* --------------------------------------------- the ways to block, G1 to G10 */

static int gap_fd = -1; /* what the block is about */

/* G1: a pipe */
static int wake_fd = -1; /* the other goroutine writes here when it has seen the block */

static int pipe_begin(void)
{
	int fd[2];

	check(!pipe2(fd, O_CLOEXEC), "no pipe");
	gap_fd = fd[0];
	wake_fd = fd[1];
	return 1;
}

static void pipe_block(void)
{
	char c;

	check(read(gap_fd, &c, 1) == 1, "no byte in the pipe");
}

/* G2 to G4: sleep */
static void nap_1ms(void)
{
	raw_nanosleep(1000000);
}

static void nap_5ms(void)
{
	raw_nanosleep(5000000);
}

static void nap_50ms(void)
{
	raw_nanosleep(50000000);
}

/* G5: the helper holds the lock */
static int flock_begin(void)
{
	gap_fd = make_file("gap-lock", 0);
	return helper_start("flock", file_name, -1);
}

static void flock_arm(void)
{
	hear_helper(); /* it has the lock */
	tell_helper();
}

static void flock_block(void)
{
	while (flock(gap_fd, LOCK_EX))
		check(errno == EINTR, "flock");
}

static int flock_after(void)
{
	flock(gap_fd, LOCK_UN);
	tell_helper(); /* its turn */
	return 1;
}

/* G6: a page to the disk */
static int fsync_begin(void)
{
	gap_fd = make_file("gap-sync", 1);
	return 1;
}

static void fsync_arm(void)
{
	char c[512] = { 1 };

	check(pwrite(gap_fd, c, sizeof(c), 0) == sizeof(c), "can't write");
}

static void fsync_block(void)
{
	check(!fsync(gap_fd), "fsync");
}

/* G7: a name server that answers late. Each thread has a resolver of its own. */
static int dns_port;

static int dns_begin(void)
{
	char line[16] = "";

	if (!helper_start("dns", "", -1))
		return 0;
	for (size_t i = 0; i < sizeof(line) - 1 && !strchr(line, '\n'); i++)
		check(read(helper_in, line + i, 1) == 1, "gap-helper has no port");
	dns_port = atoi(line);
	return 1;
}

static __attribute__((noinline)) int asks_us(void)
{
	return _res.nscount == 1 && _res.nsaddr_list[0].sin_port == htons((uint16_t)dns_port);
}

static __attribute__((noinline)) void ask_us(void)
{
	check(!res_init(), "res_init");
	_res.nscount = 1;
	memset(&_res.nsaddr_list[0], 0, sizeof(_res.nsaddr_list[0]));
	_res.nsaddr_list[0].sin_family = AF_INET;
	_res.nsaddr_list[0].sin_port = htons((uint16_t)dns_port);
	_res.nsaddr_list[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static void dns_block(void)
{
	struct addrinfo hints, *found = NULL;
	int err;

	if (!asks_us()) /* the goroutine is on another thread now */
		ask_us();
	memset(&hints, 0, sizeof(hints));
	hints.ai_family = AF_INET;
	hints.ai_socktype = SOCK_STREAM;
	err = getaddrinfo("late.gap.test.", "80", &hints, &found);
	check(!err, err ? gai_strerror(err) : "");
	freeaddrinfo(found);
}

/* G8: the helper changes the word and wakes */
static int *futex_word;

static int futex_begin(void)
{
	void *p;

	gap_fd = make_file("gap-word", 1);
	p = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, gap_fd, 0);
	check(p != MAP_FAILED, "mmap");
	futex_word = (int *)p;
	return helper_start("futex", file_name, -1);
}

static void futex_arm(void)
{
	__atomic_store_n(futex_word, 0, __ATOMIC_SEQ_CST);
	tell_helper();
}

static void futex_block(void)
{
	while (!__atomic_load_n(futex_word, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, futex_word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

/* G9: a page that only the disk has */
enum { FAULT_PAGES = 256 };

static volatile char *fault_mem;
static long fault_next, faults_before;

static long major_faults(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_majflt;
}

static int fault_begin(void)
{
	void *p;

	gap_fd = make_file("gap-pages", FAULT_PAGES);
	p = mmap(NULL, FAULT_PAGES * page_size, PROT_READ, MAP_SHARED, gap_fd, 0);
	check(p != MAP_FAILED, "mmap");
	check(!madvise(p, FAULT_PAGES * page_size, MADV_RANDOM), "madvise");
	fault_mem = (volatile char *)p;
	return 1;
}

static void fault_arm(void)
{
	size_t at = (size_t)(++fault_next % FAULT_PAGES) * page_size;

	check(!madvise((char *)fault_mem + at, page_size, MADV_DONTNEED), "madvise");
	check(!posix_fadvise(gap_fd, (off_t)at, (off_t)page_size, POSIX_FADV_DONTNEED), "fadvise");
	faults_before = major_faults();
}

static void fault_block(void)
{
	check(fault_mem[(size_t)(fault_next % FAULT_PAGES) * page_size] == 1, "another byte");
}

static int fault_after(void)
{
	return major_faults() > faults_before;
}

/* G10: the helper brings the page */
static int uffd_begin(void)
{
	struct uffdio_api api;
	struct uffdio_register reg;
	int fd = (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY | O_NONBLOCK);
	void *p;

	if (fd < 0) {
		not_available("no userfaultfd in this kernel, or not permitted");
		return 0;
	}
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	memset(&api, 0, sizeof(api));
	api.api = UFFD_API;
	check(!ioctl(fd, UFFDIO_API, &api), "UFFDIO_API");
	p = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(p != MAP_FAILED, "mmap");
	memset(&reg, 0, sizeof(reg));
	reg.range.start = (uintptr_t)p;
	reg.range.len = page_size;
	reg.mode = UFFDIO_REGISTER_MODE_MISSING;
	check(!ioctl(fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER");
	fault_mem = (volatile char *)p;
	return helper_start("uffd", "", fd);
}

static void uffd_arm(void)
{
	check(!madvise((char *)fault_mem, page_size, MADV_DONTNEED), "madvise");
}

static void uffd_block(void)
{
	check(fault_mem[0] == 0, "another byte");
}

/* ----------------------------------------------------- measuring the gap */

struct gap_way {
	const char *bench;
	const char *call;
	long repeats;
	double at_least_ns; /* else it has not blocked */
	int (*begin)(void); /* 0: has said why not */
	void (*arm)(void);
	void (*block)(void);
	int (*after)(void); /* did it block? */
	long quiet_us;      /* before each */
};

static const struct gap_way gap_ways[] = {
	{ "G1", "read", 2000, 2000, pipe_begin, NULL, pipe_block, NULL, 0 },
	{ "G1r", "read", 50, 2000, pipe_begin, NULL, pipe_block, NULL, 20000 },
	{ "G2", "nanosleep", 300, 900000, NULL, NULL, nap_1ms, NULL, 0 },
	{ "G3", "nanosleep", 100, 4900000, NULL, NULL, nap_5ms, NULL, 0 },
	{ "G3r", "nanosleep", 50, 4900000, NULL, NULL, nap_5ms, NULL, 20000 },
	{ "G4", "nanosleep", 30, 49000000, NULL, NULL, nap_50ms, NULL, 0 },
	{ "G5", "flock", 300, 200000, flock_begin, flock_arm, flock_block, flock_after, 0 },
	{ "G6", "fsync", 200, 20000, fsync_begin, fsync_arm, fsync_block, NULL, 0 },
	{ "G7", "getaddrinfo", 100, 1000000, dns_begin, NULL, dns_block, NULL, 0 },
	{ "G8", "futex", 300, 200000, futex_begin, futex_arm, futex_block, NULL, 0 },
	{ "G9", "load", 500, 5000, fault_begin, fault_arm, fault_block, fault_after, 0 },
	{ "G10", "load", 300, 200000, uffd_begin, uffd_arm, uffd_block, NULL, 0 },
};

static int64_t gap_from; /* not 0: since then the other goroutine has not run */
static double gap_ns;
static int gap_over;

static void stamp_fn(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&gap_over, __ATOMIC_RELAXED)) {
		int64_t from = __atomic_load_n(&gap_from, __ATOMIC_ACQUIRE);

		if (from) {
			gap_ns = now_ns() - (double)from;
			__atomic_store_n(&gap_from, 0, __ATOMIC_RELEASE);
			if (wake_fd >= 0)
				check(write(wake_fd, "", 1) == 1, "can't write into the pipe");
		}
		g_yield();
	}
	latch_done(&all);
}

static void both_run(long us)
{
	double end = now_ns() + 1e3 * (double)us;

	do /* at the end the other one is in the queue again */
		g_yield();
	while (now_ns() < end);
}

/* One block; how long it lasted, or 0: it was none. */
static double gap_once(const struct gap_way *w)
{
	double t;

	if (w->arm)
		w->arm();
	both_run(w->quiet_us);
	t = now_ns();
	__atomic_store_n(&gap_from, (int64_t)t, __ATOMIC_RELEASE);
	w->block();
	t = now_ns() - t;
	while (__atomic_load_n(&gap_from, __ATOMIC_ACQUIRE))
		g_yield();
	if (w->after && !w->after())
		return 0;
	return t < w->at_least_ns ? 0 : t;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void gap_report(const struct gap_way *w, double *gap, double *block, long n, long of)
{
	char remark[128];

	if (!n) {
		not_available("here this call does not block");
		return;
	}
	qsort(gap, (size_t)n, sizeof(*gap), by_size);
	qsort(block, (size_t)n, sizeof(*block), by_size);
	snprintf(remark, sizeof(remark), "%s blocked %ld of %ld block-p50=%.0fus", w->call, n, of,
		 block[n / 2] / 1e3);
	report(gap[n / 2] / 1e3, "us", remark);
	report_more("p99", gap[n * 99 / 100] / 1e3, "us");
	report_more("max", gap[n - 1] / 1e3, "us");
}

static void gap_measure(const struct gap_way *w)
{
	long of = size_of_work("N", w->repeats), n = 0;
	double *gap = (double *)xmalloc((size_t)of * sizeof(*gap));
	double *block = (double *)xmalloc((size_t)of * sizeof(*block));

	latch_init(&all, 1);
	g_spawn(stamp_fn, NULL);
	for (long i = 0; i < of; i++) {
		block[n] = gap_once(w);
		gap[n] = gap_ns;
		n += block[n] > 0;
	}
	__atomic_store_n(&gap_over, 1, __ATOMIC_RELAXED);
	latch_wait(&all);
	gap_report(w, gap, block, n, of);
	free(gap);
	free(block);
}

static void gap(void)
{
	const struct gap_way *w = gap_ways;

	while (strcmp(w->bench, bench_name) != 0)
		w++;
#ifdef G_HELD_UP
	if (w->begin == pipe_begin) {
		not_available("the other goroutine would have to end the block");
		return;
	}
#endif
	if (!w->begin || w->begin())
		gap_measure(w);
	drop_file();
}

#endif /* BENCH_BLOCKS_H */
