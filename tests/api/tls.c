/* SPDX-License-Identifier: MIT */
/*
 * tls.c - proves: after a switch nothing uses the thread-local storage of the
 * M before it: neither the library (which goroutine this is, errno, which M),
 * nor a program that keeps gmprt.h's rule and takes addresses anew
 *
 * What it finds depends on how it and the library are compiled: -O3, and LTO
 * with the static library, which lets the compiler look through every call.
 *
 * The program's side: `errno` and `&thread_local` may be computed once and
 * kept in a register over a call that switches, for compilers hold both for
 * constant in a thread. So the accessors are not inlined. The value of a
 * thread-local variable is read relative to the thread's register each time on
 * x86-64; there that is checked inlined.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/gtest.h"

#define MS 512

static _Thread_local long my_tid;      /* set once by each thread, on its first visit */
static _Thread_local long visits;

static gmprt_wg wg;
static gmprt_chan *c;
static long moved;

static __attribute__((noinline)) long *addr_of_tid(void)
{
	__asm__ volatile("" ::: "memory");
	return &my_tid;
}

static __attribute__((noinline)) int *addr_of_errno(void)
{
	__asm__ volatile("" ::: "memory");
	return &errno;
}

/* What each thread said its addresses are; a slot a thread. */
static struct {
	long tid;
	long *tls;
	int *err;
} seen[MS];

static int slot_of(long tid)
{
	for (int i = (int)(tid % MS);; i = (i + 1) % MS) {
		long was = 0;

		if (__atomic_compare_exchange_n(&seen[i].tid, &was, tid, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST) ||
		    was == tid)
			return i;
	}
}

/* Between two switches: all that is thread-local must be this thread's. */
static inline __attribute__((always_inline)) void check_here(uint64_t id, long *last)
{
	long tid = syscall(SYS_gettid);
	int i = slot_of(tid);

	/* Noinline addresses: the same for each visit to the thread. */
	if (!__atomic_load_n(&seen[i].tls, __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&seen[i].err, addr_of_errno(), __ATOMIC_SEQ_CST);
		__atomic_store_n(&seen[i].tls, addr_of_tid(), __ATOMIC_SEQ_CST);
		*addr_of_tid() = tid;
	}
	G_EQ(__atomic_load_n(&seen[i].tls, __ATOMIC_SEQ_CST), addr_of_tid());
	G_EQ(__atomic_load_n(&seen[i].err, __ATOMIC_SEQ_CST), addr_of_errno());
#if defined(__x86_64__)
	/* Inlined value, relative to the thread's register; on aarch64 gcc
	 * keeps that register's value over calls as well. */
	G_EQ(tid, my_tid);
#endif
	visits++;
	/* The library's own thread-local pointers. */
	G_EQ(id, gmprt_id());
	if (*last && *last != tid)
		g_inc(&moved);
	*last = tid;
}

static void wanders(void *seed)
{
	uint64_t rand = (uintptr_t)seed, id = gmprt_id();
	struct gmprt_case k = { .op = GMPRT_RECV, .chan = c };
	long last = 0, v = 0;

	for (int i = 0; i < G_LOOPS(3000); i++) {
		int mine = (int)(uintptr_t)seed * 10000 + i % 10000;

		*addr_of_errno() = mine;
		check_here(id, &last);
		switch (g_rand(&rand) % 6) {
		case 0:
			gmprt_yield();
			break;
		case 1:
			(void)!gmprt_chan_send_dl(c, &v, g_now() + 50000);
			break;
		case 2:
			(void)!gmprt_chan_recv_dl(c, NULL, g_now() + 50000);
			break;
		case 3:
			(void)!gmprt_select_dl(&k, 1, g_now() + 20000);
			break;
		case 4:
			gmprt_block_enter();
			g_nap(20000);
			gmprt_block_exit();
			break;
		case 5:
			gmprt_sleep(10000);
			break;
		}
		check_here(id, &last);
		G_EQ(mine, *addr_of_errno());
	}
	gmprt_wg_done(&wg);
}

G_TEST(nothing_thread_local_outlives_a_switch)
{
	c = g_chan(sizeof(long), 0);
	gmprt_wg_add(&wg, 16);
	for (uintptr_t i = 1; i <= 16; i++)
		g_go(wanders, (void *)i);
	gmprt_wg_wait(&wg);
	/* Or the test has shown nothing. */
	if (g_procs > 1)
		G_GT(g_load(&moved), 50);
}

TEST_HARNESS_MAIN
