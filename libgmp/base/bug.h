/* SPDX-License-Identifier: MIT */
/*
 * bug.h - the three ways to end: misuse, our own bug, nothing left to do
 *
 * The environment's failures never come here; they are -errno.
 */
#ifndef RT_BASE_BUG_H
#define RT_BASE_BUG_H

#include "base/compiler.h"

/* "fatal error: ..." and a dump, then abort(): the caller broke a contract. */
__noreturn __cold void rt_misuse(const char *fmt, ...) __printf(1, 2);

/* The same, then exit status 2, as Go: the program can't go on. */
__noreturn __cold void rt_fatal(const char *fmt, ...) __printf(1, 2);

__noreturn __cold void rt_bug(const char *file, int line, const char *what);

/* Always checked: what corrupts memory if it goes on. */
#define RT_BUG_ON(cond)                                             \
	do {                                                        \
		if (unlikely(cond))                                 \
			rt_bug(__FILE__, __LINE__, #cond);          \
	} while (0)

/* Checked in debug builds (-DRT_DEBUG, sanitizers). */
#if defined(RT_DEBUG)
#define rt_assert(cond) RT_BUG_ON(!(cond))
#else
#define rt_assert(cond) ((void)sizeof(!(cond)))
#endif

/* One line "gmprt: ..." on stderr, by one write(2). */
__cold void rt_log(const char *fmt, ...) __printf(1, 2);

/* In the child of fork(): there is no run to dump, and who reported is gone. */
void rt_bug_forked(void);

/*
 * Set by api/ before a run: dumps all goroutines to a file descriptor. A hook,
 * because this layer must not know goroutines.
 */
extern void (*rt_bug_dump)(int fd);

#endif
