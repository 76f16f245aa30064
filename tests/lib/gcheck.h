/* SPDX-License-Identifier: MIT */
/*
 * gcheck.h - checks and helpers for tests, usable from any goroutine and any
 * thread; the part of gtest.h that needs no harness (which can be included
 * in one file of a program only, for it defines functions)
 */
#ifndef TESTS_LIB_GCHECK_H
#define TESTS_LIB_GCHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <gmprt.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#define G_TIMEOUT 25 /* seconds, times G_SLOW */

/* Sanitizers and emulators are slower; time limits grow by this factor. (The build
 * for virtual machines gives it: there the emulator is around the kernel.) */
#ifdef G_SLOW
#elif defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || defined(__aarch64__)
#define G_SLOW 4
#else
#define G_SLOW 1
#endif

/* Iterations of a loop that checks more the longer it runs. */
#define G_LOOPS(n) ((n) / (G_SLOW * G_SLOW) > 0 ? (n) / (G_SLOW * G_SLOW) : 1)

/* Ps of the run that goes on or comes next; set for each test. */
extern int g_procs;

/* Runs body as the main goroutine with n Ps and checks that it came to its end. */
void g_run(int n, void (*body)(void));

/* Ends the process with a dump if it has not come to g_watch_end() in time. */
void g_watch(const char *what, int seconds);
void g_watch_end(void);

/* ------------------------------------------------------------------ */
/* Checks: from any goroutine, any thread                             */
/* ------------------------------------------------------------------ */

/* Prints "file:line: ..." and ends the test. */
_Noreturn void g_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define G_FAIL(...) g_fail(__FILE__, __LINE__, __VA_ARGS__)

/* Values are compared and printed as intmax_t: sizes and pointers fit too. */
#define G_CMP(a, op, b)                                                         \
	do {                                                                    \
		intmax_t g_a = (intmax_t)(a), g_b = (intmax_t)(b);              \
		if (!(g_a op g_b))                                              \
			G_FAIL("expected %s (%jd) %s %s (%jd)", #a, g_a, #op,   \
			       #b, g_b);                                        \
	} while (0)

#define G_EQ(a, b) G_CMP(a, ==, b)
#define G_NE(a, b) G_CMP(a, !=, b)
#define G_LT(a, b) G_CMP(a, <, b)
#define G_LE(a, b) G_CMP(a, <=, b)
#define G_GT(a, b) G_CMP(a, >, b)
#define G_GE(a, b) G_CMP(a, >=, b)

#define G_TRUE(cond)                                            \
	do {                                                    \
		if (!(cond))                                    \
			G_FAIL("expected %s", #cond);           \
	} while (0)

#define G_OK(call) G_EQ(0, call)

/* ------------------------------------------------------------------ */
/* What most tests need                                               */
/* ------------------------------------------------------------------ */

#define G_MS 1000000LL
#define G_SEC 1000000000LL

int64_t g_now(void); /* CLOCK_MONOTONIC, ns */

/* Sleeps on an ordinary thread, or blocks the M. */
void g_nap(int64_t ns);
/* Can the byte at `at` be read? The kernel tries, and does not die of it. */
bool g_readable(const void *at);

/* gmprt_go() that must succeed; g_go_named() with a name for g_parked(). */
void g_go(void (*fn)(void *), void *arg);
void g_go_named(const char *name, void (*fn)(void *), void *arg);

/*
 * Zeroed memory and a channel that stay reachable until the process ends, so
 * that a test may end with goroutines that hold them and leak nothing.
 */
void *g_keep(size_t size);
gmprt_chan *g_chan(size_t elem_size, size_t cap);

/* Lets others run until n goroutines called `name` are blocked. */
void g_parked(const char *name, int n);

/* Lets others run until *counter is n. */
void g_until(const long *counter, long n);

static inline long g_load(const long *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static inline long g_inc(long *p)
{
	return __atomic_add_fetch(p, 1, __ATOMIC_SEQ_CST);
}

static inline void g_store(long *p, long v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

/*
 * errno, but never through an address from before a switch: the C library
 * declares __errno_location() const, so compilers keep its result over calls.
 */
int g_errno(void);
void g_set_errno(int e);

/* A random number; the state is the caller's and must not be shared. */
uint64_t g_rand(uint64_t *state);

/* A field of /proc/self/status, such as "VmRSS:", in kB; -1: not there. */
long g_status_kb(const char *field);

/* Times that threads of this process, but the caller's, went to sleep of their
 * own accord. One that has ended takes its count along. */
long g_sleeps(void);
/* An idle program's are fewer in a second. TSan's own thread wakes, too. */
#ifdef __SANITIZE_THREAD__
#define G_IDLE_WAKES (5 + 35)
#else
#define G_IDLE_WAKES 5
#endif

/* File descriptors that are open. */
int g_count_fds(void);
/* The same as g_run() began: in a run a backend and the netpoller have their own. */
extern int g_fds_before_run;
/* There are so many, or soon will be: an M that is still in a goroutine's code at
 * the end of a run closes the backend's. */
#define G_FDS_ARE(n) G_EQ(n, g_await_fds(n))
int g_await_fds(int n);

/* gmprt_dump() as a string: malloc'ed, never NULL. */
char *g_dump(void);

/* gmprt_stats_read() that must succeed. */
struct gmprt_stats g_stats(void);

/* ------------------------------------------------------------------ */
/* Ends that are expected                                             */
/* ------------------------------------------------------------------ */

struct g_end {
	int exit;        /* exit status, or -1 */
	int signal;      /* signal that ended it, or 0 */
	char text[65536]; /* what it wrote to stderr, cut to this */
};

/*
 * Runs fn() in a child process, on its ordinary thread, and says how it
 * ended: with status 0 if fn returned. After G_TIMEOUT seconds SIGALRM ends
 * it. Only from a thread outside a run, with no other thread there.
 */
void g_child(struct g_end *end, void (*fn)(void));

/* fn as the main goroutine of a run with g_procs Ps. */
void g_child_run(struct g_end *end, void (*fn)(void));

/*
 * The library counts threads to know whether one that is not its own might
 * still wake a goroutine. An emulator's thread in each process hides every
 * deadlock from it.
 */
bool g_deadlocks_hide(void);

#define G_SKIP_IF_DEADLOCKS_HIDE                                                              \
	do {                                                                                  \
		if (g_deadlocks_hide())                                                       \
			SKIP(return, "an emulator runs a thread of its own in each process"); \
	} while (0)

#define G_EXITS(end, status)                                                            \
	do {                                                                            \
		if ((end)->exit != (status))                                            \
			G_FAIL("expected exit status %d, not %d, signal %d: %s",        \
			       status, (end)->exit, (end)->signal, (end)->text);        \
	} while (0)

#define G_SIGNALED(end, sig)                                                            \
	do {                                                                            \
		if ((end)->signal != (sig))                                             \
			G_FAIL("expected signal %d, not %d, exit status %d: %s", sig,   \
			       (end)->signal, (end)->exit, (end)->text);                \
	} while (0)

#define G_SAYS(end, words)                                                              \
	do {                                                                            \
		if (!strstr((end)->text, words))                                        \
			G_FAIL("expected \"%s\" on stderr, not: %s", words,             \
			       (end)->text);                                            \
	} while (0)

#endif
