/* SPDX-License-Identifier: MIT */
/*
 * The calls into the kernel and the allocator: each can be made to fail, once
 * and where the test says, fails with -errno or NULL, and leaves errno alone.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/rand.h"
#include "base/spin.h"
#include "base/sys.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

/* ---- fault sites --------------------------------------------------- */

TEST(fault_fires_once_at_the_nth_site)
{
	for (unsigned long n = 1; n < 6; n++) {
		rt_fault_arm(n);
		for (unsigned long i = 1; i < 10; i++)
			G_EQ(rt_fault(), i == n);
	}
}

TEST(arming_says_how_many_sites_were_passed)
{
	rt_fault_arm(0);
	for (int i = 0; i < 7; i++)
		G_TRUE(!rt_fault());
	G_EQ(rt_fault_arm(3), 7);
	G_TRUE(!rt_fault());
	G_EQ(rt_fault_arm(0), 1);
	for (int i = 0; i < 10; i++)
		G_TRUE(!rt_fault());
}

TEST(a_shortage_lasts_for_as_many_sites_as_it_was_armed_for)
{
	rt_fault_arm_for(3, 4);
	for (int i = 1; i < 12; i++)
		G_EQ(rt_fault(), i >= 3 && i < 7);
	G_EQ(rt_fault_arm(0), 11);
}

static unsigned long fired;

static void *pass_sites(void *arg)
{
	for (int i = 0; i < 20000; i++)
		fetch_add_rlx(&fired, rt_fault());
	return arg;
}

TEST(fault_fires_once_though_threads_race_for_it)
{
	pthread_t t[2];

	rt_fault_arm(20000);
	for (int i = 0; i < 2; i++)
		G_OK(pthread_create(&t[i], NULL, pass_sites, NULL));
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	G_EQ(fired, 1);
	G_EQ(rt_fault_arm(0), 40000);
}

static void *do_nothing(void *arg)
{
	return arg;
}

TEST(every_call_that_may_fail_is_a_site_and_fails_cleanly)
{
	void *at;

	errno = 99;
	rt_fault_arm(1);
	G_TRUE(!rt_map(PAGE));
	rt_fault_arm(1);
	G_TRUE(!rt_zalloc(100));
	rt_fault_arm(1);
	G_TRUE(!rt_alloc(100));
	rt_fault_arm(1);
	G_EQ(rt_thread_start(do_nothing, NULL, 0), -EAGAIN);
	at = rt_map(PAGE);
	rt_fault_arm(1);
	G_EQ(rt_guard_install(at, PAGE), -ENOMEM);
	*(volatile char *)at = 1; /* no guard there */
	rt_unmap(at, PAGE);
	G_EQ(errno, 99);
}

/* ---- futex --------------------------------------------------------- */

static uint32_t word, nr_woken;

TEST(futex_wait_on_another_value_returns_at_once)
{
	errno = 99;
	G_EQ(rt_futex_wait(&word, 1, INT64_MAX), -EAGAIN);
	G_EQ(errno, 99);
}

TEST(futex_deadline_is_absolute)
{
	int64_t deadline = rt_now_ns() + 60 * RT_NS_PER_MS;

	errno = 99;
	g_nap(30 * RT_NS_PER_MS);
	G_EQ(rt_futex_wait(&word, 0, deadline), -ETIMEDOUT);
	G_GE(rt_now_ns(), deadline);
	G_LT(rt_now_ns(), deadline + 2 * RT_NS_PER_SEC);
	G_EQ(errno, 99);
}

TEST(futex_deadline_in_the_past_has_passed)
{
	int64_t t = rt_now_ns();

	G_EQ(rt_futex_wait(&word, 0, t - 1), -ETIMEDOUT);
	G_EQ(rt_futex_wait(&word, 0, 0), -ETIMEDOUT);
	G_EQ(rt_futex_wait(&word, 0, -5), -ETIMEDOUT);
	G_EQ(rt_futex_wait(&word, 0, INT64_MIN), -ETIMEDOUT);
	G_LT(rt_now_ns(), t + RT_NS_PER_SEC);
}

static void *wait_for_wake(void *arg)
{
	G_OK(rt_futex_wait(&word, 0, rt_now_ns() + 20 * RT_NS_PER_SEC));
	fetch_add_seq(&nr_woken, 1);
	return arg;
}

TEST(futex_wake_wakes_as_many_as_it_is_told)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		G_OK(pthread_create(&t[i], NULL, wait_for_wake, NULL));
	errno = 99;
	/* Until all wait, a wake may be one too early and is repeated. */
	while (load_seq(&nr_woken) < 1) {
		rt_futex_wake(&word, 1);
		g_nap(20 * RT_NS_PER_MS);
	}
	G_LE(load_seq(&nr_woken), 2); /* if the naps were too short for one */
	while (load_seq(&nr_woken) < 3) {
		rt_futex_wake(&word, 3);
		g_nap(RT_NS_PER_MS);
	}
	G_EQ(errno, 99);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void *wait_for_signal(void *arg)
{
	store_seq(&nr_woken, 1);
	G_EQ(rt_futex_wait(&word, 0, rt_now_ns() + 20 * RT_NS_PER_SEC), -EINTR);
	store_seq(&nr_woken, 2);
	return arg;
}

TEST(futex_wait_ends_with_EINTR_at_a_signal)
{
	pthread_t t;

	G_OK(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL));
	G_OK(pthread_create(&t, NULL, wait_for_signal, NULL));
	while (load_seq(&nr_woken) < 1)
		g_nap(RT_NS_PER_MS);
	while (load_seq(&nr_woken) < 2) {
		g_nap(10 * RT_NS_PER_MS);
		pthread_kill(t, SIGUSR1);
	}
	pthread_join(t, NULL);
}

/* ---- memory -------------------------------------------------------- */

TEST(mapped_memory_is_zero_and_zero_again_after_discard)
{
	size_t bytes = 4 * PAGE;
	char *at = rt_map(bytes);

	G_TRUE(at);
	errno = 99;
	for (size_t i = 0; i < bytes; i++) {
		G_EQ(at[i], 0);
		at[i] = 'x';
	}
	rt_map_discard(at + PAGE, 2 * PAGE);
	for (size_t i = 0; i < bytes; i++)
		G_EQ(at[i], i / PAGE == 1 || i / PAGE == 2 ? 0 : 'x');
	rt_unmap(at, bytes);
	G_TRUE(!rt_map(SIZE_MAX / 4));
	G_EQ(errno, 99);
}

TEST(what_is_mapped_is_counted_until_it_is_unmapped)
{
	size_t before = rt_mapped_bytes();
	void *a = rt_map(PAGE), *b = rt_map(3 * PAGE);

	G_EQ(rt_mapped_bytes() - before, 4 * PAGE);
	rt_fault_arm(1);
	G_TRUE(!rt_map(PAGE));
	G_EQ(rt_mapped_bytes() - before, 4 * PAGE);
	rt_unmap(a, PAGE);
	G_EQ(rt_mapped_bytes() - before, 3 * PAGE);
	rt_unmap(b, 3 * PAGE);
	G_EQ(rt_mapped_bytes(), before);
}

TEST(guard_without_a_page_to_try_it_on_is_ENOMEM_and_can_be_had_later)
{
	char *at = rt_map(PAGE);

	rt_fault_arm(2); /* 1 is the guard itself */
	G_EQ(rt_guard_install(at, PAGE), -ENOMEM);
	G_TRUE(g_readable(at));
	G_OK(rt_guard_install(at, PAGE));
	G_TRUE(!g_readable(at));
	rt_unmap(at, PAGE);
}

TEST(zalloc_gives_zeroed_lines)
{
	errno = 99;
	for (size_t n = 1; n < 500; n += 7) {
		unsigned char *a = rt_zalloc(n), *b;

		G_TRUE(a);
		G_EQ((uintptr_t)a % RT_CACHELINE, 0);
		for (size_t i = 0; i < n; i++)
			G_EQ(a[i], 0);
		memset(a, 0xff, n);
		b = rt_alloc(n);
		G_TRUE(b);
		G_EQ((uintptr_t)b % RT_CACHELINE, 0);
		memset(b, 0xff, n); /* AddressSanitizer tells if it is shorter */
		for (size_t i = 0; i < n; i++)
			G_EQ(a[i], 0xff);
		rt_free(a);
		rt_free(b);
	}
	rt_free(NULL);
	G_EQ(errno, 99);
}

static void expect_guard(void)
{
	char *at = rt_map(4 * PAGE);

	G_TRUE(at);
	errno = 99;
	G_OK(rt_guard_install(at + PAGE, 2 * PAGE));
	G_EQ(errno, 99);
	G_TRUE(g_readable(at + PAGE - 1));
	G_TRUE(!g_readable(at + PAGE));
	G_TRUE(!g_readable(at + 3 * PAGE - 1));
	G_TRUE(g_readable(at + 3 * PAGE));
	rt_map_discard(at + PAGE, 2 * PAGE); /* doesn't take it away */
	G_TRUE(!g_readable(at + PAGE));
	rt_unmap(at, 4 * PAGE);
}

TEST(guard_covers_its_pages_and_no_more)
{
	expect_guard();
}

TEST(guard_of_older_kernels_covers_its_pages_and_no_more)
{
	rt_guard_use_mappings();
	expect_guard();
	G_TRUE(!rt_guard_is_light());
}

/* ---- files --------------------------------------------------------- */

TEST(file_read_gives_what_is_there_or_what_fits)
{
	char path[] = "/tmp/gmprt-sys-XXXXXX", buf[20];
	int fd = mkstemp(path);

	G_GE(fd, 0);
	G_EQ(write(fd, "0123456789", 10), 10);
	close(fd);
	errno = 99;
	memset(buf, 'x', sizeof(buf));
	G_EQ(rt_file_read(path, buf, sizeof(buf)), 10);
	G_TRUE(!memcmp(buf, "0123456789x", 11));
	memset(buf, 'x', sizeof(buf));
	G_EQ(rt_file_read(path, buf, 4), 4);
	G_TRUE(!memcmp(buf, "0123x", 5));
	rt_fault_arm(1);
	G_EQ(rt_file_read(path, buf, 4), -EMFILE);
	G_EQ(errno, 99);
	unlink(path);
	G_EQ(rt_file_read(path, buf, 4), -ENOENT);
	G_EQ(rt_file_read("/", buf, 4), -EISDIR);
}

/* ---- threads ------------------------------------------------------- */

static sigset_t mask_in_thread;
static uint32_t thread_done;
static void *thread_arg;

static void *look_around(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, &mask_in_thread);
	thread_arg = arg;
	store_seq(&thread_done, 1);
	while (load_seq(&thread_done) == 1)
		g_nap(RT_NS_PER_MS);
	return NULL;
}

TEST(thread_runs_with_its_argument_and_its_creators_mask)
{
	int before = rt_thread_count();
	sigset_t mine, after;

	sigemptyset(&mine);
	sigaddset(&mine, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &mine, NULL);
	G_OK(rt_thread_start(look_around, &word, 64 * 1024));
	while (!load_seq(&thread_done))
		g_nap(RT_NS_PER_MS);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int i = 1; i < 32; i++) {
		G_EQ(sigismember(&mask_in_thread, i), i == SIGUSR2);
		G_EQ(sigismember(&after, i), i == SIGUSR2);
	}
	G_TRUE(thread_arg == &word);
	G_EQ(rt_thread_count(), before + 1);
	store_seq(&thread_done, 2);
	while (rt_thread_count() != before)
		g_nap(RT_NS_PER_MS);
}

TEST(stack_size_too_small_for_the_libc_still_starts)
{
	int before = rt_thread_count();

	G_OK(rt_thread_start(look_around, NULL, 1));
	while (!load_seq(&thread_done))
		g_nap(RT_NS_PER_MS);
	store_seq(&thread_done, 2);
	while (rt_thread_count() != before)
		g_nap(RT_NS_PER_MS);
}

/* All there is on the heap, and no more to come: what is left is of no use. */
static void use_up_memory(void)
{
	struct rlimit r;

	G_OK(getrlimit(RLIMIT_AS, &r));
	r.rlim_cur = 0;
	G_OK(setrlimit(RLIMIT_AS, &r));
	for (size_t n = 1 << 20; n >= 16; n /= 2)
		for (void *volatile p = malloc(n); p;)
			p = malloc(n);
}

static void counts(void)
{
	_exit(rt_thread_count());
}

static void counts_without_memory(void)
{
	use_up_memory();
	counts();
}

TEST(thread_count_needs_no_memory)
{
	static struct g_end end;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	SKIP(return, "a sanitizer needs all the address space there is");
#endif
	g_child(&end, counts);
	if (end.exit != 1)
		SKIP(return, "an emulator runs a thread of its own in each process");
	g_child(&end, counts_without_memory);
	G_EXITS(&end, 1);
}

TEST(thread_count_leaves_errno_alone)
{
	errno = 99;
	G_GE(rt_thread_count(), 1);
	G_EQ(errno, 99);
}

/* ---- membarrier ---------------------------------------------------- */

static struct {
	uint32_t x __cacheline;
	uint32_t y __cacheline;
	uint32_t go __cacheline;
	uint32_t done __cacheline;
	uint32_t saw;
} mb;

#define ROUNDS ((uint32_t)G_LOOPS(6000))

/* The cheap side: its store and load are kept in order by the compiler only. */
static void *cheap_side(void *arg)
{
	uint64_t rand = 1;

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		unsigned int round = 0;

		while (load_acq(&mb.go) != i)
			if (++round > 1000)
				rt_backoff(&round);
		for (uint32_t n = rt_rand_below(&rand, 30); n; n--)
			barrier();
		store_rlx(&mb.x, i);
		barrier();
		mb.saw = load_rlx(&mb.y);
		store_rel(&mb.done, i);
	}
	return arg;
}

TEST(membarrier_orders_the_other_side_which_has_no_fence)
{
	uint64_t rand = 2;
	pthread_t t;

	errno = 99;
	rt_membarrier();
	G_OK(pthread_create(&t, NULL, cheap_side, NULL));
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		unsigned int round = 0;
		uint32_t saw;

		store_rel(&mb.go, i);
		/* So that both sides come to it at the same moment. */
		for (uint32_t n = rt_rand_below(&rand, 300); n; n--)
			barrier();
		store_rlx(&mb.y, i);
		rt_membarrier();
		saw = load_rlx(&mb.x);
		while (load_acq(&mb.done) != i)
			rt_backoff(&round);
		G_TRUE(saw == i || mb.saw == i); /* not both too early */
	}
	pthread_join(t, NULL);
	G_EQ(errno, 99);
}

TEST_HARNESS_MAIN
