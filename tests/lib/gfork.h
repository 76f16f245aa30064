/* SPDX-License-Identifier: MIT */
/*
 * gfork.h - tests whose child of fork() goes on for a while
 */
#ifndef TESTS_LIB_GFORK_H
#define TESTS_LIB_GFORK_H

#include "lib/gtest.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SKIP_SAN SKIP(return, "a sanitizer's own locks and threads do not survive fork()")
#else
#define SKIP_SAN ((void)0)
#endif

/* A G_TEST whose child goes on for a while. */
#define FORK_TEST(claim)                      \
	static void body_##claim(void);       \
	P_TEST(claim)                         \
	{                                     \
		SKIP_SAN;                     \
		g_watch(#claim, G_TIMEOUT);   \
		g_run(g_procs, body_##claim); \
		g_watch_end();                \
	}                                     \
	static void body_##claim(void)

#endif
