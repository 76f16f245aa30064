/* SPDX-License-Identifier: MIT */
/*
 * gmprt/errno.h - an errno that is right in goroutine code
 *
 * Opt-in: include it after <errno.h>, which it includes, in files whose
 * functions call what may block. glibc declares the function behind errno
 * __attribute__((const)), so compilers call it once in a function and keep the
 * address; after a block the goroutine may be on another thread, whose errno
 * has another address. Here each use of errno asks anew. It stays an lvalue;
 * goroutine code costs a call for each use, everything else is as before.
 *
 * (Rejected: to do that in <gmprt.h>. Whoever redefines errno behind a
 * program's back owes it a word.)
 */
#ifndef GMPRT_ERRNO_H
#define GMPRT_ERRNO_H

#include <errno.h>

static inline int *gmprt_errno_location(void)
{
	/* Through a pointer that the compiler does not know: that is not const. */
	int *(*location)(void) = __errno_location;

	__asm__ volatile("" : "+r"(location));
	return location();
}

#undef errno
#define errno (*gmprt_errno_location())

#endif
