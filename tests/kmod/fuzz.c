/* SPDX-License-Identifier: MIT */
/*
 * fuzz.c - proves: whatever calls threads make, in whatever order, with garbage in
 * the shared memory, they get nothing but errors, and all is gone with them
 *
 * SEED and TIME (seconds, 5 if not given) in the environment. Calls are the right
 * ones with one field or more changed, so that they get somewhere.
 */
#include <poll.h>
#include <sys/prctl.h>

#include "base/rand.h"

#include "kmod/kmod.h"

enum { THREADS = 6,
       FILES = 4 };

static long fds[FILES], stop, calls;
static void *areas[FILES];
static const size_t area = 64 * 4096;

static int any_fd(uint64_t *rng)
{
	return (int)g_load(&fds[g_rand(rng) % FILES]);
}

/* A right value mostly. */
static uint32_t around(uint64_t *rng, uint32_t right)
{
	switch (g_rand(rng) % 8) {
	case 0:
		return (uint32_t)g_rand(rng);
	case 1:
		return right + (uint32_t)(g_rand(rng) % 5) - 2;
	case 2:
		return 1u << g_rand(rng) % 32;
	default:
		return right;
	}
}

static void creates(uint64_t *rng)
{
	struct gmprt_kmod_create c = { .size = around(rng, sizeof(c)),
				       .flags = around(rng, 0),
				       .version = around(rng, GMPRT_ABI_VERSION),
				       .nr_ps = around(rng, NR_PS),
				       .nr_ms = around(rng, NR_MS),
				       .p_stride = around(rng, 1) };

	ioctl(any_fd(rng), GMPRT_KMOD_CREATE, &c);
}

static void registers(uint64_t *rng)
{
	struct gmprt_kmod_m m = { .size = around(rng, sizeof(m)),
				  .flags = around(rng, 0),
				  .m = around(rng, (uint32_t)(g_rand(rng) % NR_MS)),
				  .reserved = around(rng, 0) };

	ioctl(any_fd(rng), GMPRT_KMOD_REGISTER, &m);
}

static void calls_anything(uint64_t *rng)
{
	uint64_t arg[8];

	for (size_t i = 0; i < ARRAY_SIZE(arg); i++)
		arg[i] = g_rand(rng) >> g_rand(rng) % 64;
	ioctl(any_fd(rng), around(rng, GMPRT_KMOD_QUERY + (uint32_t)(g_rand(rng) % 5)),
	      g_rand(rng) % 4 ? (uintptr_t)arg : g_rand(rng));
}

/* Mapped elsewhere, then moved into an area: a MAP_FIXED that fails leaves a hole, in
 * which a thread's stack could be when another one maps over it. */
static void maps(uint64_t *rng)
{
	size_t i = g_rand(rng) % FILES, bytes = (1 + g_rand(rng) % 4) * 4096;
	off_t from = around(rng, (uint32_t)(g_rand(rng) % 3)) * (off_t)4096;
	char *at = (char *)areas[i] + (g_rand(rng) % 2 ? 0 : g_rand(rng) % 60 * 4096);
	int fd = (int)g_load(&fds[i]), flags = g_rand(rng) % 8 ? MAP_SHARED : MAP_PRIVATE;
	void *got;

	if (g_rand(rng) % 4 == 0)
		flags = MAP_PRIVATE | MAP_ANONYMOUS;
	got = mmap(NULL, bytes, (int)around(rng, PROT_READ | PROT_WRITE) & 7, flags, fd, from);
	if (got != MAP_FAILED && mremap(got, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at)
		munmap(got, bytes);
}

/* By the kernel: what can't be written is an error and no fault. */
static void scribbles(uint64_t *rng)
{
	uint64_t word = g_rand(rng);
	char *at = (char *)areas[g_rand(rng) % FILES] + g_rand(rng) % (6 * 4096 / 8) * 8;
	int fd;

	if (g_rand(rng) % 2)
		word = gmprt_abi_word((uint32_t)word, (uint32_t)(g_rand(rng) % NR_MS),
				      GMPRT_P_RUNNING);
	fd = (int)syscall(SYS_memfd_create, "x", 0);
	if (fd < 0)
		return;
	(void)!write(fd, &word, sizeof(word));
	lseek(fd, 0, SEEK_SET);
	(void)!read(fd, at, sizeof(word));
	close(fd);
}

/* The session of who holds it still is another one's. */
static void reopens(uint64_t *rng)
{
	long fd = dev_open(), was = __atomic_exchange_n(&fds[g_rand(rng) % FILES], fd,
							__ATOMIC_SEQ_CST);

	if (fd >= 0)
		close((int)was);
}

static void waits(uint64_t *rng)
{
	struct pollfd p = { .fd = any_fd(rng), .events = POLLIN };
	uint64_t n[2];

	poll(&p, 1, (int)(g_rand(rng) % 2));
	(void)!read(p.fd, n, g_rand(rng) % sizeof(n));
}

static void *does_anything(void *seed)
{
	uint64_t rng = (uintptr_t)seed;

	for (long n = g_rand(&rng) % 3000; n && !g_load(&stop); n--) {
		g_inc(&calls);
		switch (g_rand(&rng) % 12) {
		case 0:
			creates(&rng);
			break;
		case 1:
		case 2:
			registers(&rng);
			break;
		case 3:
			dev_unregister(any_fd(&rng));
			break;
		case 4:
			calls_anything(&rng);
			break;
		case 5:
			maps(&rng);
			break;
		case 6:
			reopens(&rng);
			break;
		case 7:
			waits(&rng);
			break;
		case 8:
			g_nap((int64_t)(g_rand(&rng) % 100000));
			break;
		case 9:
			sched_yield();
			break;
		default:
			scribbles(&rng);
		}
	}
	return NULL;
}

static void ignores(int sig)
{
	(void)sig;
}

static uint64_t seed;

/* Threads that come and go, in a process that is killed or ends. */
static void fuzzes(int to)
{
	pthread_t t[THREADS];

	(void)to;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGURG, ignores);
	for (int i = 0; i < FILES; i++) {
		fds[i] = dev_open();
		areas[i] = mmap(NULL, area, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < THREADS; i++)
			G_OK(pthread_create(&t[i], NULL, does_anything, (void *)g_rand(&seed)));
		if (g_rand(&seed) % 8 == 0 && !fork()) {
			does_anything((void *)g_rand(&seed));
			_exit(0);
		}
		for (int i = 0; i < THREADS; i++)
			G_OK(pthread_join(t[i], NULL));
	}
}

static long seconds(void)
{
	const char *text = getenv("TIME");

	return text ? atol(text) : 5;
}

KMOD_TEST_TIMEOUT(random_calls_and_garbage_get_nothing_but_errors, 3600)
{
	const char *given = getenv("SEED");
	int64_t end = g_now() + seconds() * G_SEC;
	long processes = 0;

	seed = given ? strtoull(given, NULL, 0) : (uint64_t)g_now();
	printf("# SEED=%llu TIME=%ld\n", (unsigned long long)seed, seconds());
	for (; g_now() < end; processes++) {
		int from, status;
		pid_t pid;

		g_rand(&seed);
		pid = child_that(fuzzes, &from);
		g_nap((int64_t)(g_rand(&seed) % (2 * G_SEC)));
		if (g_rand(&seed) % 2)
			kill(pid, SIGKILL);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		if (status != 0 && status != SIGKILL)
			G_FAIL("a process ended with status %#x", status);
		close(from);
	}
	printf("# %ld processes\n", processes);
	ASSERT_GT(processes, 0);
}

TEST_HARNESS_MAIN
