/* SPDX-License-Identifier: MIT */
/*
 * upcall_bpf.h - for tests of the backends in the kernel: a session, a thread that
 * plays M 1. It is bpf; with GMPRT_UPCALL=kmod in the environment the module.
 */
#ifndef TESTS_UNIT_UPCALL_BPF_H
#define TESTS_UNIT_UPCALL_BPF_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/sys.h"
#include "core/upcall_way.h"

#include "lib/gkmsg.h"
#include "lib/gtest.h"

#define NR_PS 3
#define NR_MS 8
#define WORD1 gmprt_abi_word(7, 1, GMPRT_P_RUNNING) /* M 1 has it */
#define FREED gmprt_abi_with_state(WORD1, GMPRT_P_FREED)
#define TAKEN gmprt_abi_word(8, 2, GMPRT_P_RUNNING)

/* In ns: who naps for so long is switched out. A shorter time may have passed, in a
 * slow virtual machine, before the kernel comes to that. */
#define SURELY 4000000

static struct rt_upcall u;
static struct gmprt_abi_p *p0;
static struct gmprt_abi_m *m1;
static long sigurgs;

static inline void on_sigurg(int sig)
{
	g_inc(&sigurgs);
}

static inline void slots(void)
{
	p0 = rt_upcall_p(u.head, 0);
	m1 = rt_upcall_m(u.head, 1);
}

static inline void on_cpu(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	G_OK(pthread_setaffinity_np(thread, sizeof(set), &set));
}

static inline void *runs_when_idle(void *arg)
{
	struct sched_param none = { 0 };

	pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
	for (;;)
		sched_yield();
	return arg;
}

/* One CPU, which is never idle: switches from an idle thread may go unseen (see
 * bpf/block.h). */
static inline void never_idle(void)
{
	pthread_t t;

	on_cpu(pthread_self(), sched_getcpu());
	G_OK(pthread_create(&t, NULL, runs_when_idle, NULL));
	G_OK(pthread_detach(t));
}

static inline bool with_module(void)
{
	const char *name = getenv("GMPRT_UPCALL");

	return name && !strcmp(name, "kmod");
}

static inline int open_as(const struct rt_upcall_shape *shape)
{
	struct rt_upcall_shape s = *shape;

	s.way = with_module() ? &rt_upcall_kmod : &rt_upcall_bpf;
	return rt_upcall_open(&u, &s);
}

/* False: skip, u.why says why. */
static inline bool opened_any(const struct rt_upcall_shape *shape)
{
	struct sigaction sa = { .sa_handler = on_sigurg, .sa_flags = SA_RESTART };
	int r = open_as(shape);

	if (r == -EPERM || r == -EACCES || r == -ENOSYS || (r == -ENOENT && with_module()))
		return false;
	if (r)
		G_FAIL("%d: %s", r, u.why);
	sigaction(SIGURG, &sa, NULL);
	slots();
	return true;
}

/* Loaded by this process, even where a daemon runs. */
static inline bool opened_as(const struct rt_upcall_shape *shape)
{
	setenv("GMPRT_GMPD", "/nowhere", 1);
	return opened_any(shape);
}

static inline bool opened(bool no_hold)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS, .no_hold = no_hold };

	if (!opened_as(&shape))
		return false;
	never_idle();
	return true;
}

static inline uint64_t word(void)
{
	return load_acq(&p0->word);
}

#define UNTIL(cond)                   \
	do {                          \
		while (!(cond))       \
			g_nap(50000); \
	} while (0)

/* The harness would run the body although the fixture's setup was skipped. */
#define BPF_TEST(fixture, claim)                            \
	static void claim##_body(struct __test_metadata *); \
	TEST_F(fixture, claim)                              \
	{                                                   \
		if (!u.head)                                \
			SKIP(return, "%s", u.why);          \
		g_kmsg_begin();                             \
		claim##_body(_metadata);                    \
		g_kmsg_end();                               \
	}                                                   \
	static void claim##_body(struct __test_metadata *_metadata)

/* ---- signals ---------------------------------------------------------- */

static inline void nothing(int sig)
{
}

/* 0: no more. */
static inline void alarms_every(suseconds_t us)
{
	struct sigaction sa = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	struct itimerval every = { .it_interval.tv_usec = us, .it_value.tv_usec = us };

	G_OK(sigaction(SIGALRM, &sa, NULL));
	G_OK(setitimer(ITIMER_REAL, &every, NULL));
}

/* ---- an M ----------------------------------------------------------- */

struct m {
	pthread_t thread;
	uint32_t state;
	int pipe[2];
	int tid;
	void (*does)(struct m *m);
	long done, leave;
	uint64_t after; /* the P's word as it came back */
	long signals;
	uint64_t seen_alone;
};

static inline void blocks_in_read(struct m *m)
{
	char c;

	G_EQ(1, read(m->pipe[0], &c, 1));
	m->signals = g_load(&sigurgs);
	store_rel(&m->after, word());
}

static inline void *m_thread(void *arg)
{
	struct m *m = arg;

	G_OK(rt_upcall_register(&u, 1));
	store_rlx(&m1->state, m->state);
	store_rlx(&m1->p, 0);
	store_rel(&p0->word, WORD1);
	store_rel(&m->tid, (int)syscall(SYS_gettid));
	m->does(m);
	g_store(&m->done, 1);
	while (!g_load(&m->leave))
		sched_yield();
	return NULL;
}

static inline void m_start(struct m *m, void (*does)(struct m *))
{
	m->does = does;
	G_OK(pipe(m->pipe));
	G_OK(pthread_create(&m->thread, NULL, m_thread, m));
	UNTIL(load_acq(&m->tid));
}

static inline void m_wakes(struct m *m)
{
	G_EQ(1, write(m->pipe[1], "x", 1));
	UNTIL(g_load(&m->done));
}

static inline void m_ends(struct m *m)
{
	g_store(&m->leave, 1);
	G_OK(pthread_join(m->thread, NULL));
}

#endif
