/* SPDX-License-Identifier: MIT */
/*
 * io.c - read, write, poll, close
 *
 * Each function here is one way to make one call; what happens when it would
 * block is fdop.c's.
 */
#include <gmprt.h>

#include <errno.h>
#include <poll.h>
#include <sys/uio.h>

#include "api/fdop.h"
#include "base/sysio.h"

/* ---- read and write ----------------------------------------------- */

struct bytes {
	struct rt_fdop op;
	void *buf;
	size_t n;
};

static struct bytes *as_bytes(struct rt_fdop *op)
{
	return container_of(op, struct bytes, op);
}

static ssize_t read_sock(struct rt_fdop *op)
{
	struct bytes *b = as_bytes(op);

	return rt_sys_recvfrom(op->io.fd, b->buf, b->n, MSG_DONTWAIT, NULL, NULL);
}

static ssize_t read_now(struct rt_fdop *op)
{
	struct bytes *b = as_bytes(op);

	return rt_sys_readv_now(op->io.fd, &(struct iovec){ b->buf, b->n }, 1);
}

static ssize_t read_plain(struct rt_fdop *op)
{
	struct bytes *b = as_bytes(op);

	return rt_sys_read(op->io.fd, b->buf, b->n);
}

static ssize_t read_any(int fd, void *buf, size_t n, int64_t deadline)
{
	static const struct rt_fdcall call = { read_sock, read_now, read_plain };
	/* A socket would take a datagram for it. */
	static const struct rt_fdcall nothing = { read_plain, read_now, read_plain };
	struct bytes b = { .buf = buf, .n = n };

	b.op.call = likely(n) ? &call : &nothing;
	b.op.asked = n < RT_IO_MOST ? n : RT_IO_MOST;
	return rt_fdop_run(&b.op, fd, RT_FD_IN, deadline);
}

static ssize_t write_sock(struct rt_fdop *op)
{
	struct bytes *b = as_bytes(op);

	return rt_sys_sendto(op->io.fd, b->buf, b->n, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
}

static ssize_t write_now(struct rt_fdop *op)
{
	struct bytes *b = as_bytes(op);

	return rt_sys_writev_now(op->io.fd, &(struct iovec){ b->buf, b->n }, 1);
}

static ssize_t write_plain(struct rt_fdop *op)
{
	struct bytes *b = as_bytes(op);

	return rt_sys_write(op->io.fd, b->buf, b->n);
}

static ssize_t write_any(int fd, const void *buf, size_t n, int64_t deadline)
{
	static const struct rt_fdcall call = { write_sock, write_now, write_plain };
	struct bytes b = { .buf = rt_fdop_unconst(buf), .n = n };

	b.op.call = &call;
	return rt_fdop_run(&b.op, fd, RT_FD_OUT, deadline);
}

GMPRT_API ssize_t gmprt_read(int fd, void *buf, size_t n)
{
	return read_any(fd, buf, n, GMPRT_FOREVER);
}

GMPRT_API ssize_t gmprt_read_try(int fd, void *buf, size_t n)
{
	return read_any(fd, buf, n, RT_IO_TRY);
}

GMPRT_API ssize_t gmprt_read_dl(int fd, void *buf, size_t n, int64_t deadline)
{
	return read_any(fd, buf, n, rt_fdop_dl(deadline));
}

GMPRT_API ssize_t gmprt_write(int fd, const void *buf, size_t n)
{
	return write_any(fd, buf, n, GMPRT_FOREVER);
}

GMPRT_API ssize_t gmprt_write_try(int fd, const void *buf, size_t n)
{
	return write_any(fd, buf, n, RT_IO_TRY);
}

GMPRT_API ssize_t gmprt_write_dl(int fd, const void *buf, size_t n, int64_t deadline)
{
	return write_any(fd, buf, n, rt_fdop_dl(deadline));
}

GMPRT_API ssize_t gmprt_write_all_dl(int fd, const void *buf, size_t n, int64_t deadline)
{
	const char *at = buf;
	size_t left = n;

	while (left) {
		ssize_t r = write_any(fd, at, left, rt_fdop_dl(deadline));

		if (r <= 0)
			return r ? r : -EIO;
		at += r;
		left -= (size_t)r;
	}
	return (ssize_t)n;
}

GMPRT_API ssize_t gmprt_write_all(int fd, const void *buf, size_t n)
{
	return gmprt_write_all_dl(fd, buf, n, GMPRT_FOREVER);
}

/* ---- readv and writev --------------------------------------------- */

struct pieces {
	struct rt_fdop op;
	const struct iovec *iov;
	int n;
};

static struct pieces *as_pieces(struct rt_fdop *op)
{
	return container_of(op, struct pieces, op);
}

static struct msghdr as_msg(struct rt_fdop *op)
{
	const struct pieces *p = as_pieces(op);

	return (struct msghdr){ .msg_iov = rt_fdop_unconst(p->iov), .msg_iovlen = (size_t)p->n };
}

static ssize_t readv_sock(struct rt_fdop *op)
{
	struct msghdr msg = as_msg(op);

	return rt_sys_recvmsg(op->io.fd, &msg, MSG_DONTWAIT);
}

static ssize_t readv_now(struct rt_fdop *op)
{
	return rt_sys_readv_now(op->io.fd, as_pieces(op)->iov, as_pieces(op)->n);
}

static ssize_t readv_plain(struct rt_fdop *op)
{
	return rt_sys_readv(op->io.fd, as_pieces(op)->iov, as_pieces(op)->n);
}

static ssize_t readv_any(int fd, const struct iovec *iov, int n, int64_t deadline)
{
	static const struct rt_fdcall call = { readv_sock, readv_now, readv_plain };
	static const struct rt_fdcall nothing = { readv_plain, readv_now, readv_plain };
	struct pieces p = { .iov = iov, .n = n };
	size_t total = 0;

	if (!iov && n > 0)
		return -EFAULT;
	for (int i = 0; i < n && total < RT_IO_MOST; i++)
		total += iov[i].iov_len < RT_IO_MOST ? iov[i].iov_len : RT_IO_MOST;
	p.op.call = total ? &call : &nothing; /* of nothing: 0, or -EINVAL */
	p.op.asked = total < RT_IO_MOST ? total : RT_IO_MOST;
	return rt_fdop_run(&p.op, fd, RT_FD_IN, deadline);
}

static ssize_t writev_sock(struct rt_fdop *op)
{
	struct msghdr msg = as_msg(op);

	return rt_sys_sendmsg(op->io.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t writev_now(struct rt_fdop *op)
{
	return rt_sys_writev_now(op->io.fd, as_pieces(op)->iov, as_pieces(op)->n);
}

static ssize_t writev_plain(struct rt_fdop *op)
{
	return rt_sys_writev(op->io.fd, as_pieces(op)->iov, as_pieces(op)->n);
}

static ssize_t writev_any(int fd, const struct iovec *iov, int n, int64_t deadline)
{
	static const struct rt_fdcall call = { writev_sock, writev_now, writev_plain };
	struct pieces p = { .iov = iov, .n = n };

	p.op.call = &call;
	return n < 0 ? -EINVAL : rt_fdop_run(&p.op, fd, RT_FD_OUT, deadline);
}

GMPRT_API ssize_t gmprt_readv(int fd, const struct iovec *iov, int n)
{
	return readv_any(fd, iov, n, GMPRT_FOREVER);
}

GMPRT_API ssize_t gmprt_readv_try(int fd, const struct iovec *iov, int n)
{
	return readv_any(fd, iov, n, RT_IO_TRY);
}

GMPRT_API ssize_t gmprt_readv_dl(int fd, const struct iovec *iov, int n, int64_t deadline)
{
	return readv_any(fd, iov, n, rt_fdop_dl(deadline));
}

GMPRT_API ssize_t gmprt_writev(int fd, const struct iovec *iov, int n)
{
	return writev_any(fd, iov, n, GMPRT_FOREVER);
}

GMPRT_API ssize_t gmprt_writev_try(int fd, const struct iovec *iov, int n)
{
	return writev_any(fd, iov, n, RT_IO_TRY);
}

GMPRT_API ssize_t gmprt_writev_dl(int fd, const struct iovec *iov, int n, int64_t deadline)
{
	return writev_any(fd, iov, n, rt_fdop_dl(deadline));
}

/* ---- poll --------------------------------------------------------- */

static uint8_t dirs_of(short events)
{
	uint8_t dirs = 0;

	if (events & ~(POLLOUT | POLLWRNORM | POLLWRBAND))
		dirs |= RT_FD_IN;
	if (events & (POLLOUT | POLLWRNORM | POLLWRBAND))
		dirs |= RT_FD_OUT;
	return dirs ? dirs : RT_FD_IN | RT_FD_OUT;
}

static int poll_any(int fd, short events, int64_t deadline)
{
	struct rt_io io;
	int r = rt_io_begin(&io, fd, dirs_of(events), deadline);

	if (r < 0)
		return r;
	io.polls = true;
	do {
		rt_io_look(&io);
		r = rt_poll_now(fd, events);
		if (r) {
			rt_io_end(&io);
			return r > 0 && (r & POLLNVAL) ? -EBADF : r;
		}
		r = rt_io_wait(&io);
	} while (r == 0);
	return r == RT_IO_FILE ? -EINVAL : r;
}

GMPRT_API int gmprt_poll(int fd, short events)
{
	return poll_any(fd, events, GMPRT_FOREVER);
}

GMPRT_API int gmprt_poll_try(int fd, short events)
{
	return poll_any(fd, events, RT_IO_TRY);
}

GMPRT_API int gmprt_poll_dl(int fd, short events, int64_t deadline)
{
	return poll_any(fd, events, rt_fdop_dl(deadline));
}

GMPRT_API int gmprt_close(int fd)
{
	return rt_io_close(fd);
}
