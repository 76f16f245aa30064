/* SPDX-License-Identifier: MIT */
/*
 * kmod.h - for tests of the module by its own calls: a session, a thread that plays
 * an M, and whether everything is gone afterwards
 *
 * Root's tests: they read /sys/kernel/debug/gmprt/sessions. Where there is no
 * /dev/gmprt they are skipped.
 */
#ifndef TESTS_KMOD_KMOD_H
#define TESTS_KMOD_KMOD_H

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/gmprt_abi.h"
#include "abi/gmprt_kmod.h"

#include "lib/gkmsg.h"
#include "lib/gtest.h"

#define SESSIONS "/sys/kernel/debug/gmprt/sessions"
#define SURELY   4000000 /* ns; who naps for so long is switched out */

enum { NR_PS = 3,
       NR_MS = 8 };

struct session {
	int fd;
	struct gmprt_abi_head *head;
	size_t bytes;
};

/* -errno instead of -1, for a call as it is. */
static inline int told(long r)
{
	return r < 0 ? -errno : (int)r;
}

static inline int dev_open(void)
{
	return open(GMPRT_KMOD_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

static inline int dev_create(int fd, uint32_t nr_ps, uint32_t nr_ms, size_t *bytes)
{
	struct gmprt_kmod_create c = { .size = sizeof(c),
				       .version = GMPRT_ABI_VERSION,
				       .nr_ps = nr_ps,
				       .nr_ms = nr_ms,
				       .p_stride = 1 };
	int r = told(ioctl(fd, GMPRT_KMOD_CREATE, &c));

	if (bytes)
		*bytes = c.bytes;
	return r;
}

static inline int dev_register(int fd, uint32_t m)
{
	struct gmprt_kmod_m arg = { .size = sizeof(arg), .m = m };

	return told(ioctl(fd, GMPRT_KMOD_REGISTER, &arg));
}

static inline int dev_unregister(int fd)
{
	return told(ioctl(fd, GMPRT_KMOD_UNREGISTER, 0));
}

static inline void session_begin_as(struct session *s, uint32_t nr_ps, uint32_t nr_ms)
{
	s->fd = dev_open();
	G_GE(s->fd, 0);
	G_OK(dev_create(s->fd, nr_ps, nr_ms, &s->bytes));
	s->head = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	G_TRUE(s->head != MAP_FAILED);
	s->head->hint = 1;
}

static inline void session_begin(struct session *s)
{
	session_begin_as(s, NR_PS, NR_MS);
}

static inline void session_end(struct session *s)
{
	G_OK(munmap(s->head, s->bytes));
	G_OK(close(s->fd));
}

static inline struct gmprt_abi_p *p_of(const struct session *s, uint32_t p)
{
	return (struct gmprt_abi_p *)(void *)s->head + s->head->p_first + p * s->head->p_stride;
}

static inline struct gmprt_abi_m *m_of(const struct session *s, uint32_t m)
{
	return (struct gmprt_abi_m *)((struct gmprt_abi_p *)(void *)s->head + s->head->m_first) +
	       m;
}

/* The calling thread is M m with P p, in goroutine code. */
static inline void becomes(const struct session *s, uint32_t m, uint32_t p)
{
	G_OK(dev_register(s->fd, m));
	m_of(s, m)->p = p;
	__atomic_store_n(&p_of(s, p)->word, gmprt_abi_word(7, m, GMPRT_P_RUNNING),
			 __ATOMIC_SEQ_CST);
}

static inline uint64_t word_of(const struct session *s, uint32_t p)
{
	return __atomic_load_n(&p_of(s, p)->word, __ATOMIC_SEQ_CST);
}

#define UNTIL(cond)                   \
	do {                          \
		while (!(cond))       \
			g_nap(50000); \
	} while (0)

/* ---- what the module says is there ------------------------------------ */

static inline size_t said(char *text, size_t size)
{
	int fd = open(SESSIONS, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	G_GE(fd, 0);
	n = read(fd, text, size - 1);
	G_GE(n, 0);
	text[n] = 0;
	G_OK(close(fd));
	return (size_t)n;
}

/* Within a while: ends are left to a work queue. */
static inline void expect_nothing_left(void)
{
	static char text[65536];
	int64_t until = g_now() + 20 * G_SEC;

	while (said(text, sizeof(text))) {
		if (g_now() > until)
			G_FAIL("the module still has: %s", text);
		g_nap(G_MS);
	}
}

/* ---- processes --------------------------------------------------------- */

/* In a child: what it says by write() to the parent's pipe, then nothing more. */
static inline pid_t child_that(void (*does)(int to), int *from)
{
	int p[2];
	pid_t pid;

	G_OK(pipe2(p, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		does(p[1]);
		_exit(0);
	}
	close(p[1]);
	*from = p[0];
	return pid;
}

static inline void hears(int from)
{
	char c;

	G_EQ(1, read(from, &c, 1));
}

static inline void tells(int to)
{
	G_EQ(1, write(to, "x", 1));
}

static inline void ends_by_kill(pid_t pid)
{
	int status;

	G_OK(kill(pid, SIGKILL));
	G_EQ(pid, waitpid(pid, &status, 0));
	G_EQ(SIGKILL, status);
}

static inline void ends_well(pid_t pid)
{
	int status;

	G_EQ(pid, waitpid(pid, &status, 0));
	G_EQ(0, status);
}

#define KMOD_TEST_TIMEOUT(claim, seconds)                                    \
	static void claim##_body(struct __test_metadata *);                  \
	TEST_TIMEOUT_(claim, seconds)                                        \
	{                                                                    \
		if (access(GMPRT_KMOD_DEVICE, R_OK | W_OK))                  \
			SKIP(return, GMPRT_KMOD_DEVICE ": errno %d", errno); \
		if (access(SESSIONS, R_OK))                                  \
			SKIP(return, SESSIONS ": errno %d", errno);          \
		g_kmsg_begin();                                              \
		claim##_body(_metadata);                                     \
		expect_nothing_left();                                       \
		g_kmsg_end();                                                \
	}                                                                    \
	static void claim##_body(struct __test_metadata *_metadata)

FIXTURE(kmod)
{
	int unused;
};

FIXTURE_SETUP(kmod)
{
}

FIXTURE_TEARDOWN(kmod)
{
}

#define TEST_TIMEOUT_(claim, seconds) TEST_F_TIMEOUT(kmod, claim, seconds)
#define KMOD_TEST(claim)              KMOD_TEST_TIMEOUT(claim, 60)

#endif
