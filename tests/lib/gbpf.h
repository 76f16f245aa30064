/* SPDX-License-Identifier: MIT */
/*
 * gbpf.h - tests of runs with a backend in the kernel, where this machine and user
 * have it. It is bpf; with GMPRT_UPCALL=kmod in the environment the module.
 */
#ifndef TESTS_LIB_GBPF_H
#define TESTS_LIB_GBPF_H

#include "lib/gkmsg.h"
#include "lib/gtest.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const char *skipped;
static const char *in_kernel = "bpf"; /* the backend */

__attribute__((constructor)) static inline void choose_backend(void)
{
	const char *name = getenv("GMPRT_UPCALL");

	if (name && !strcmp(name, "kmod"))
		in_kernel = "kmod";
}

static inline bool have_bpf(void)
{
	return strcmp(gmprt_upcall_backend(), in_kernel) == 0;
}

static inline void run_bpf_body(void *body)
{
	skipped = have_bpf() ? NULL : "no such backend here, see the line above";
	if (!skipped)
		((void (*)(void))body)();
}

/* Sets skipped, if body was not run. */
static inline void run_with_bpf(int procs, void (*body)(void))
{
	struct gmprt_options opt = { .size = sizeof(opt), .maxprocs = procs, .upcall = in_kernel };

	G_OK(gmprt_run(&opt, run_bpf_body, (void *)body));
}

/* Its body is the main goroutine, with each number of Ps. */
#define BPF_TEST(claim)                              \
	static void body_##claim(void);              \
	P_TEST(claim)                                \
	{                                            \
		g_kmsg_begin();                      \
		g_watch(#claim, G_TIMEOUT *G_SLOW);  \
		run_with_bpf(g_procs, body_##claim); \
		g_watch_end();                       \
		g_kmsg_end();                        \
		if (skipped)                         \
			SKIP(return, "%s", skipped); \
	}                                            \
	static void body_##claim(void)

/* ---- children whose main goroutine is body ---------------------------- */

enum { NO_BPF = 77 };

static void (*child_body)(void);

static inline void runs_child_body(void)
{
	run_with_bpf(g_procs, child_body);
	if (skipped)
		_exit(NO_BPF);
}

/* True: it has come to its end, and well. False: skip. */
static inline bool child_runs(void (*body)(void))
{
	static struct g_end end;

	child_body = body;
	g_kmsg_begin();
	g_child(&end, runs_child_body);
	g_kmsg_end();
	if (end.exit == NO_BPF)
		return false;
	G_EXITS(&end, 0);
	return true;
}

#define EVENT_TEST(claim)                                                          \
	static void body_##claim(void);                                            \
	P_TEST(claim)                                                              \
	{                                                                          \
		if (!child_runs(body_##claim))                                     \
			SKIP(return, "no such backend here, see the lines above"); \
	}                                                                          \
	static void body_##claim(void)

#endif
