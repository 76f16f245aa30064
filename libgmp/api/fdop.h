/* SPDX-License-Identifier: MIT */
/*
 * fdop.h - see fdop.c
 */
#ifndef RT_API_FDOP_H
#define RT_API_FDOP_H

#include <gmprt.h>
#include <limits.h>

#include "sync/fdwait.h"

struct rt_fdop;

/* How a call is made. */
struct rt_fdcall {
	ssize_t (*sock)(struct rt_fdop *); /* on a socket; never blocks */
	ssize_t (*now)(struct rt_fdop *);  /* with RWF_NOWAIT; NULL: only for sockets */
	ssize_t (*plain)(struct rt_fdop *);
};

/* One call on a file; the first member of what has its arguments. */
struct rt_fdop {
	struct rt_io io;
	const struct rt_fdcall *call;
	size_t asked;              /* a TCP socket is empty after less; 0: can't say */
	const struct sockaddr *to; /* or NULL */
};

/* More than that the kernel does not transfer in one call. */
#define RT_IO_MOST ((size_t)INT_MAX & ~(size_t)4095)

/* A user's deadline, which may not be mistaken for RT_IO_TRY. */
static inline int64_t rt_fdop_dl(int64_t deadline)
{
	return deadline > RT_IO_TRY ? deadline : 0;
}

/* The compiler does not know that a buffer to be sent is only read. */
static inline void *rt_fdop_unconst(const void *p)
{
	return (void *)(uintptr_t)p;
}

/* Makes the call, blocking the G while it would block, until deadline. */
ssize_t rt_fdop_run(struct rt_fdop *op, int fd, uint8_t dirs, int64_t deadline);

#endif
