/* SPDX-License-Identifier: MIT */
/*
 * hand_over.c - proves: from the call in which an M blocks until a standby has its P
 * it takes hardly longer, in the median, than from waking another thread by futex
 * until that one runs, on the same CPU: what two threads do that know of each other
 *
 * The figures are told. What is asked of them is what an emulator's sense of time
 * allows.
 */
#include <linux/futex.h>
#include <sched.h>

#include "kmod/kmod.h"

enum { TIMES = 2000,
       COLD = 100 };

static struct session s;
static int pipe_fd[2];
static int64_t start, took[TIMES];
static uint32_t turn;
static long at;

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t median(void)
{
	qsort(took + COLD, TIMES - COLD, sizeof(*took), compare);
	return took[COLD + (TIMES - COLD) / 2];
}

static void on_cpu_0(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	G_OK(sched_setaffinity(0, sizeof(set), &set));
}

/* ---- by the module ------------------------------------------------------ */

static void *stands_by(void *arg)
{
	struct gmprt_abi_p *p = p_of(&s, 0);

	on_cpu_0();
	while (g_load(&at) < TIMES) {
		uint64_t w = word_of(&s, 0);
		uint64_t mine = gmprt_abi_word(gmprt_abi_epoch(w) + 1, 2, GMPRT_P_RUNNING);

		if (gmprt_abi_state(w) != GMPRT_P_FREED ||
		    !__sync_bool_compare_and_swap(&p->word, w, mine)) {
			sched_yield();
			continue;
		}
		took[at] = g_now() - start;
		g_inc(&at);
		G_EQ(1, write(pipe_fd[1], "x", 1));
	}
	return arg;
}

static void *blocks(void *arg)
{
	char c;

	on_cpu_0();
	becomes(&s, 1, 0);
	for (long i = 0; i < TIMES; i++) {
		m_of(&s, 1)->state = GMPRT_M_RUNTIME;
		__atomic_store_n(&p_of(&s, 0)->word,
				 gmprt_abi_word((uint32_t)(3 * i), 1, GMPRT_P_RUNNING),
				 __ATOMIC_SEQ_CST);
		__atomic_store_n(&m_of(&s, 1)->state, GMPRT_M_USER, __ATOMIC_SEQ_CST);
		start = g_now();
		G_EQ(1, read(pipe_fd[0], &c, 1));
	}
	return arg;
}

/* ---- by futex ------------------------------------------------------------ */

static void futex(int op, uint32_t value)
{
	syscall(SYS_futex, &turn, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void waits_for(uint32_t value)
{
	uint32_t now;

	while ((now = __atomic_load_n(&turn, __ATOMIC_SEQ_CST)) != value)
		futex(FUTEX_WAIT, now);
}

static void passes_on(uint32_t value)
{
	start = g_now();
	__atomic_store_n(&turn, value, __ATOMIC_SEQ_CST);
	futex(FUTEX_WAKE, 1);
}

static void *second(void *arg)
{
	on_cpu_0();
	for (long i = 0; i < TIMES; i++) {
		waits_for(1);
		took[i] = g_now() - start;
		passes_on(0);
	}
	return arg;
}

static void *first(void *arg)
{
	on_cpu_0();
	for (long i = 0; i < TIMES; i++) {
		passes_on(1);
		waits_for(0);
	}
	return arg;
}

static int64_t both(void *(*one)(void *), void *(*other)(void *))
{
	pthread_t t[2];

	at = 0;
	G_OK(pthread_create(&t[0], NULL, other, NULL));
	G_OK(pthread_create(&t[1], NULL, one, NULL));
	G_OK(pthread_join(t[1], NULL));
	G_OK(pthread_join(t[0], NULL));
	return median();
}

KMOD_TEST_TIMEOUT(a_hand_over_takes_hardly_longer_than_one_by_futex, 120)
{
	int64_t kmod, by_futex;

	signal(SIGURG, SIG_IGN);
	G_OK(pipe(pipe_fd));
	session_begin(&s);
	kmod = both(blocks, stands_by);
	by_futex = both(first, second);
	dprintf(STDOUT_FILENO, "# medians: %lld ns by the module, %lld ns by futex: %.2f\n",
		(long long)kmod, (long long)by_futex, (double)kmod / (double)by_futex);
	ASSERT_LT(kmod * 2, by_futex * 3);
	session_end(&s);
}

TEST_HARNESS_MAIN
