/* SPDX-License-Identifier: MIT */
/*
 * fdwait.h - a call on a file: its entry, its wait, its end; and closing
 *
 * A call goes: rt_io_begin(), then a system call that doesn't block, and while
 * that says EAGAIN rt_io_wait() and once more, then rt_io_end(). In between it
 * has a use of the entry (core/fdtab.h), but for the time it waits.
 *
 * System calls are made in state USER: they may fault in the user's memory,
 * and copy megabytes.
 *
 * A call that may block the M after all (a regular file, a pipe that is not
 * O_NONBLOCK) gives its use back first, and is made in brackets. gmprt_close()
 * does not wait for it: it is what read(2) is while another thread closes.
 */
#ifndef RT_SYNC_FDWAIT_H
#define RT_SYNC_FDWAIT_H

#include "core/netpoll.h"

#define RT_IO_TRY INT64_MIN /* a deadline: never waits */

/* rt_io_wait(): epoll won't have it, so it never waits for long. No errno. */
#define RT_IO_FILE (-4096)

struct rt_io {
	int fd;
	uint8_t dirs;         /* RT_FD_IN, RT_FD_OUT or both: what it waits for */
	bool polls;           /* for the dump: gmprt_poll() */
	struct rt_fd *e;      /* NULL: no goroutine's call, which can't wait */
	uint32_t gen, seq;    /* of e; seq: read before each try */
	int64_t deadline;     /* GMPRT_FOREVER, a time, or RT_IO_TRY */
	int64_t pause_ns;     /* try again at the latest after that; 0: no need */
};

/* The kind of file fd is, or -EBADF, -ENOMEM, -ECANCELED (being closed). */
int rt_io_begin(struct rt_io *io, int fd, uint8_t dirs, int64_t deadline);
void rt_io_end(struct rt_io *io);

/* Before a try. */
static inline void rt_io_look(struct rt_io *io)
{
	if (io->e)
		io->seq = load_acq(&io->e->seq); /* pairs with store_rel in edge() */
}

/*
 * Blocks the G until it is worth trying again: 0. Otherwise the call is over,
 * without rt_io_end(): RT_IO_FILE, -EAGAIN (RT_IO_TRY), -ETIMEDOUT,
 * -ECANCELED (closed), -EPERM (no goroutine, or in brackets), -ENOMEM, or what
 * epoll says (-EMFILE, -ENOSPC ...).
 */
int rt_io_wait(struct rt_io *io);

/* The entry was out of date: ask the kernel anew. As rt_io_begin(). */
int rt_io_relearn(struct rt_io *io);

/* Facts found about io's file. */
void rt_io_set_flag(struct rt_io *io, uint8_t flag);
void rt_io_set_kind(struct rt_io *io, enum rt_fd_kind kind);
void rt_io_set_sticky(struct rt_io *io);

static inline uint8_t rt_io_flags(const struct rt_io *io)
{
	return io->e ? load_rlx(&io->e->flags) : 0;
}

/* fd is a new file that the library has made. */
void rt_io_adopt(int fd, enum rt_fd_kind kind, uint8_t flags);

/* Wakes all who wait for fd and closes it. 0 or -errno. Any thread. */
int rt_io_close(int fd);

#endif
