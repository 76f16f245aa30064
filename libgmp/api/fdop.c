/* SPDX-License-Identifier: MIT */
/*
 * fdop.c - calls on files: the G waits, not the M
 *
 * Three kinds of file, three ways:
 *
 *  - Sockets: MSG_DONTWAIT, whatever O_NONBLOCK says. EAGAIN: wait, try again.
 *  - Pipes, terminals, eventfds and so on have no such flag, but many take
 *    RWF_NOWAIT: the same then. The others, if O_NONBLOCK, are simply called.
 *    If not (a terminal shared with the shell, say), the description is not
 *    changed behind others' backs: poll(2) says whether it is ready, and the
 *    call is made in brackets, for somebody else may be faster.
 *  - Regular files, directories, disks, and what epoll refuses: called in
 *    brackets. sysmon takes the P if that takes long.
 *
 * A call is described by struct rt_fdop: how to make it without blocking, and
 * plainly. The loops here know no more of it.
 *
 * Datagrams to a UNIX socket that is not the connected peer: no event says when
 * its queue has room. These are tried again after a pause.
 */
#include "api/fdop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "base/clock.h"
#include "base/sysio.h"
#include "sched/block.h"

#define PAUSE_NS   (1 * RT_NS_PER_MS)

/* ---- sockets ------------------------------------------------------ */

/* May the next step be to wait? Not for a try, and not if the time is over:
 * an event may have come that nobody has taken yet. */
static bool skips_try(const struct rt_fdop *op)
{
	const struct rt_io *io = &op->io;

	return op->asked && io->e && rt_fd_known_empty(io->e, io->seq) &&
	       (io->deadline == GMPRT_FOREVER || io->deadline > rt_now_ns());
}

/* Registered before seq was read: what comes after the read makes an edge. */
static void note_empty(struct rt_fdop *op, ssize_t r, uint8_t flags)
{
	if (r > 0 && (size_t)r < op->asked &&
	    (flags & (RT_FD_TCP | RT_FD_REGISTERED)) == (RT_FD_TCP | RT_FD_REGISTERED))
		store_rlx(&op->io.e->empty, op->io.seq + 1);
}

static ssize_t on_socket(struct rt_fdop *op)
{
	for (;;) {
		uint8_t flags = rt_io_flags(&op->io);
		ssize_t r = -EAGAIN;

		rt_io_look(&op->io);
		if (!skips_try(op))
			r = op->call->sock(op);
		if (likely(r != -EAGAIN)) {
			note_empty(op, r, flags);
			return r;
		}
		if (unlikely(op->to && !op->io.pause_ns && op->to->sa_family == AF_UNIX))
			op->io.pause_ns = PAUSE_NS;
		r = rt_io_wait(&op->io);
		if (unlikely(r))
			return r;
	}
}

/* ---- other files -------------------------------------------------- */

/* In brackets, without a use: it may take as long as it likes. */
static ssize_t in_brackets(struct rt_fdop *op)
{
	ssize_t r;

	if (!op->call->plain)
		return -ENOTSOCK;
	rt_io_end(&op->io);
	rt_block_enter();
	r = op->call->plain(op);
	rt_block_exit();
	return r;
}

/* One try on a file that knows no RWF_NOWAIT. */
static ssize_t try_plainly(struct rt_fdop *op)
{
	int flags = rt_fd_flags(op->io.fd), r;

	if (flags < 0)
		return flags;
	if (flags & O_NONBLOCK)
		return op->call->plain(op);
	r = rt_poll_now(op->io.fd, op->io.dirs == RT_FD_IN ? POLLIN : POLLOUT);
	if (r <= 0)
		return r ? r : -EAGAIN;
	return in_brackets(op);
}

static ssize_t on_other(struct rt_fdop *op)
{
	uint8_t no_nowait = op->io.dirs == RT_FD_IN ? RT_FD_NO_NOWAIT_IN : RT_FD_NO_NOWAIT_OUT;
	bool plainly = rt_io_flags(&op->io) & no_nowait;

	if (!op->call->plain)
		return -ENOTSOCK;
	for (;;) {
		ssize_t r = -EOPNOTSUPP;

		rt_io_look(&op->io);
		if (!plainly)
			r = op->call->now(op);
		if (r == -EOPNOTSUPP || r == -ENOSYS) {
			if (!plainly)
				rt_io_set_flag(&op->io, no_nowait);
			plainly = true;
			r = try_plainly(op);
		}
		if (r != -EAGAIN)
			return r;
		r = rt_io_wait(&op->io);
		if (r)
			return r;
	}
}

/* ---- all of them -------------------------------------------------- */

static ssize_t on_kind(struct rt_fdop *op, int kind)
{
	return kind == RT_FD_SOCKET ? on_socket(op) :
	       kind == RT_FD_OTHER  ? on_other(op) :
				      in_brackets(op);
}

/* The entry was not right: it says a socket, or that the file can be waited
 * for, and is neither. */
static __noinline ssize_t run_again(struct rt_fdop *op, int kind, ssize_t r)
{
	int fd = op->io.fd;

	if (r == RT_IO_FILE) {
		kind = rt_io_begin(&op->io, fd, op->io.dirs, op->io.deadline);
		if (kind < 0)
			return kind;
		rt_io_set_kind(&op->io, RT_FD_FILE);
		return in_brackets(op);
	}
	kind = rt_io_relearn(&op->io);
	if (kind < 0 || kind == RT_FD_SOCKET)
		return kind < 0 ? kind : r;
	return on_kind(op, kind);
}

ssize_t rt_fdop_run(struct rt_fdop *op, int fd, uint8_t dirs, int64_t deadline)
{
	int kind = rt_io_begin(&op->io, fd, dirs, deadline);
	ssize_t r;

	if (unlikely(kind < 0))
		return kind;
	r = on_kind(op, kind);
	if (unlikely(r == -ENOTSOCK || r == RT_IO_FILE))
		r = run_again(op, kind, r);
	rt_io_end(&op->io);
	return r;
}
