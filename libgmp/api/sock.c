/* SPDX-License-Identifier: MIT */
/*
 * sock.c - what only sockets can do: messages, accept, connect
 */
#include <gmprt.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "api/fdop.h"
#include "base/sysio.h"
#include "core/tls.h"
#include "sched/block.h"

_Static_assert(__builtin_types_compatible_p(socklen_t, gmprt_socklen), "gmprt.h says so");

/* The program's own wish not to wait. */
static int64_t dl_of(int flags, int64_t deadline)
{
	return flags & MSG_DONTWAIT ? RT_IO_TRY : deadline;
}

/* ---- recvfrom and sendto ------------------------------------------ */

struct datagram {
	struct rt_fdop op;
	int flags;
	struct iovec bytes;
	struct sockaddr *from;
	socklen_t *from_len;
	socklen_t to_len;
};

static ssize_t recv_sock(struct rt_fdop *op)
{
	struct datagram *d = container_of(op, struct datagram, op);

	if (d->flags & MSG_OOB)
		rt_io_set_sticky(&op->io); /* reads stop before it from now on */
	return rt_sys_recvfrom(op->io.fd, d->bytes.iov_base, d->bytes.iov_len,
			       d->flags | MSG_DONTWAIT, d->from, d->from_len);
}

static ssize_t recvfrom_any(int fd, struct iovec to, int flags, struct sockaddr *from,
			    socklen_t *from_len, int64_t deadline)
{
	static const struct rt_fdcall call = { .sock = recv_sock };
	struct datagram d = { .bytes = to, .flags = flags, .from = from, .from_len = from_len };

	d.op.call = &call;
	d.op.asked = flags ? 0 : to.iov_len < RT_IO_MOST ? to.iov_len : RT_IO_MOST;
	return rt_fdop_run(&d.op, fd, RT_FD_IN, dl_of(flags, deadline));
}

GMPRT_API ssize_t gmprt_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
				 socklen_t *from_len)
{
	return recvfrom_any(fd, (struct iovec){ buf, n }, flags, from, from_len, GMPRT_FOREVER);
}

GMPRT_API ssize_t gmprt_recvfrom_try(int fd, void *buf, size_t n, int flags,
				     struct sockaddr *from, socklen_t *from_len)
{
	return recvfrom_any(fd, (struct iovec){ buf, n }, flags, from, from_len, RT_IO_TRY);
}

GMPRT_API ssize_t gmprt_recvfrom_dl(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
				    socklen_t *from_len, int64_t deadline)
{
	return recvfrom_any(fd, (struct iovec){ buf, n }, flags, from, from_len,
			    rt_fdop_dl(deadline));
}

static ssize_t send_sock(struct rt_fdop *op)
{
	struct datagram *d = container_of(op, struct datagram, op);

	return rt_sys_sendto(op->io.fd, d->bytes.iov_base, d->bytes.iov_len,
			     d->flags | MSG_DONTWAIT | MSG_NOSIGNAL, op->to, d->to_len);
}

static ssize_t sendto_any(int fd, struct iovec what, int flags, const struct sockaddr *to,
			  socklen_t to_len, int64_t deadline)
{
	static const struct rt_fdcall call = { .sock = send_sock };
	struct datagram d = { .bytes = what, .flags = flags, .to_len = to_len };

	d.op.call = &call;
	d.op.to = to;
	return rt_fdop_run(&d.op, fd, RT_FD_OUT, dl_of(flags, deadline));
}

GMPRT_API ssize_t gmprt_sendto(int fd, const void *buf, size_t n, int flags,
			       const struct sockaddr *to, socklen_t to_len)
{
	return sendto_any(fd, (struct iovec){ rt_fdop_unconst(buf), n }, flags, to, to_len,
			  GMPRT_FOREVER);
}

GMPRT_API ssize_t gmprt_sendto_try(int fd, const void *buf, size_t n, int flags,
				   const struct sockaddr *to, socklen_t to_len)
{
	return sendto_any(fd, (struct iovec){ rt_fdop_unconst(buf), n }, flags, to, to_len,
			  RT_IO_TRY);
}

GMPRT_API ssize_t gmprt_sendto_dl(int fd, const void *buf, size_t n, int flags,
				  const struct sockaddr *to, socklen_t to_len, int64_t deadline)
{
	return sendto_any(fd, (struct iovec){ rt_fdop_unconst(buf), n }, flags, to, to_len,
			  rt_fdop_dl(deadline));
}

/* ---- recvmsg and sendmsg ------------------------------------------ */

struct message {
	struct rt_fdop op;
	struct msghdr *msg;
	int flags;
};

static ssize_t recvmsg_sock(struct rt_fdop *op)
{
	struct message *m = container_of(op, struct message, op);

	if (m->flags & MSG_OOB)
		rt_io_set_sticky(&op->io);
	return rt_sys_recvmsg(op->io.fd, m->msg, m->flags | MSG_DONTWAIT);
}

static ssize_t recvmsg_any(int fd, struct msghdr *msg, int flags, int64_t deadline)
{
	static const struct rt_fdcall call = { .sock = recvmsg_sock };
	struct message m = { .msg = msg, .flags = flags };

	m.op.call = &call;
	return rt_fdop_run(&m.op, fd, RT_FD_IN, dl_of(flags, deadline));
}

GMPRT_API ssize_t gmprt_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return recvmsg_any(fd, msg, flags, GMPRT_FOREVER);
}

GMPRT_API ssize_t gmprt_recvmsg_try(int fd, struct msghdr *msg, int flags)
{
	return recvmsg_any(fd, msg, flags, RT_IO_TRY);
}

GMPRT_API ssize_t gmprt_recvmsg_dl(int fd, struct msghdr *msg, int flags, int64_t deadline)
{
	return recvmsg_any(fd, msg, flags, rt_fdop_dl(deadline));
}

static ssize_t sendmsg_sock(struct rt_fdop *op)
{
	struct message *m = container_of(op, struct message, op);

	return rt_sys_sendmsg(op->io.fd, m->msg, m->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t sendmsg_any(int fd, const struct msghdr *msg, int flags, int64_t deadline)
{
	static const struct rt_fdcall call = { .sock = sendmsg_sock };
	struct message m = { .msg = rt_fdop_unconst(msg), .flags = flags };

	if (!msg)
		return -EFAULT;
	m.op.call = &call;
	m.op.to = msg->msg_name;
	return rt_fdop_run(&m.op, fd, RT_FD_OUT, dl_of(flags, deadline));
}

GMPRT_API ssize_t gmprt_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return sendmsg_any(fd, msg, flags, GMPRT_FOREVER);
}

GMPRT_API ssize_t gmprt_sendmsg_try(int fd, const struct msghdr *msg, int flags)
{
	return sendmsg_any(fd, msg, flags, RT_IO_TRY);
}

GMPRT_API ssize_t gmprt_sendmsg_dl(int fd, const struct msghdr *msg, int flags, int64_t deadline)
{
	return sendmsg_any(fd, msg, flags, rt_fdop_dl(deadline));
}

/* ---- accept ------------------------------------------------------- */

struct acception {
	struct rt_fdop op;
	struct sockaddr *from;
	socklen_t *from_len;
	uint8_t flags; /* of the new file's entry */
};

/* A connection that broke before it was accepted is no error of the listener. */
static int accept_next(struct rt_fdop *op)
{
	struct acception *a = container_of(op, struct acception, op);
	int r;

	do
		r = rt_sys_accept(op->io.fd, a->from, a->from_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (r == -ECONNABORTED);
	return r;
}

/* A listener that is not O_NONBLOCK: is there one? Somebody else may be faster
 * and the call block, so in brackets. */
static int accept_blocking(struct rt_fdop *op)
{
	int r = rt_poll_now(op->io.fd, POLLIN);

	if (r <= 0)
		return r ? r : -EAGAIN;
	rt_io_end(&op->io);
	rt_block_enter();
	r = accept_next(op);
	rt_block_exit();
	return r;
}

static ssize_t accept_sock(struct rt_fdop *op)
{
	uint8_t flags = rt_io_flags(&op->io);

	if (!op->io.e)
		rt_fd_ask(op->io.fd, &flags);
	container_of(op, struct acception, op)->flags = flags & (RT_FD_TCP | RT_FD_UNIX);
	if (!(flags & RT_FD_OURS)) {
		int status = rt_fd_flags(op->io.fd);

		if (status < 0)
			return status;
		if (!(status & O_NONBLOCK))
			return accept_blocking(op);
	}
	return accept_next(op);
}

static int accept_any(int fd, struct sockaddr *from, socklen_t *from_len, int64_t deadline)
{
	static const struct rt_fdcall call = { .sock = accept_sock };
	struct acception a = { .from = from, .from_len = from_len };
	int r;

	a.op.call = &call;
	r = (int)rt_fdop_run(&a.op, fd, RT_FD_IN, deadline);
	if (r < 0)
		return r;
	if (a.flags & RT_FD_TCP)
		(void)!rt_sock_set_opt(r, IPPROTO_TCP, TCP_NODELAY, 1);
	rt_io_adopt(r, RT_FD_SOCKET, a.flags);
	return r;
}

GMPRT_API int gmprt_accept(int fd, struct sockaddr *from, socklen_t *from_len)
{
	return accept_any(fd, from, from_len, GMPRT_FOREVER);
}

GMPRT_API int gmprt_accept_try(int fd, struct sockaddr *from, socklen_t *from_len)
{
	return accept_any(fd, from, from_len, RT_IO_TRY);
}

GMPRT_API int gmprt_accept_dl(int fd, struct sockaddr *from, socklen_t *from_len, int64_t deadline)
{
	return accept_any(fd, from, from_len, rt_fdop_dl(deadline));
}

/* ---- connect ------------------------------------------------------ */

struct connection {
	struct rt_fdop op;
	socklen_t to_len;
	bool began; /* it is under way */
};

/* connect(2) knows no MSG_DONTWAIT. Who connects a socket is its only user, so
 * it is made O_NONBLOCK for the moment of the call. */
static int connect_now(int fd, const struct sockaddr *to, socklen_t to_len)
{
	int status = rt_fd_flags(fd), r;

	if (status < 0)
		return status;
	if (!(status & O_NONBLOCK)) {
		r = rt_fd_set_flags(fd, status | O_NONBLOCK);
		if (r)
			return r;
	}
	r = rt_sys_connect(fd, to, to_len);
	if (!(status & O_NONBLOCK))
		rt_fd_set_flags(fd, status);
	return r;
}

/*
 * Called again after an event it says what has become of the attempt: for a
 * connection under way connect(2) does not begin another one.
 */
static ssize_t connect_sock(struct rt_fdop *op)
{
	struct connection *c = container_of(op, struct connection, op);
	int r = connect_now(op->io.fd, op->to, c->to_len);

	switch (r) {
	case -EINPROGRESS:
	case -EALREADY:
		c->began = true;
		return -EAGAIN;
	case -EISCONN:
		return c->began ? 0 : r;
	case -EAGAIN:
		/* UNIX: the listener's queue is full, and no event says when it
		 * is not. Else there is no local port left, as newer kernels say. */
		return op->to->sa_family == AF_UNIX ? r : -EADDRNOTAVAIL;
	}
	return r;
}

static int connect_any(int fd, const struct sockaddr *to, socklen_t to_len, int64_t deadline)
{
	static const struct rt_fdcall call = { .sock = connect_sock };
	struct connection c = { .to_len = to_len };

	if (!rt_m_self() && deadline != RT_IO_TRY)
		return -EPERM; /* before it has begun anything */
	c.op.call = &call;
	c.op.to = to;
	return (int)rt_fdop_run(&c.op, fd, RT_FD_OUT, deadline);
}

GMPRT_API int gmprt_connect(int fd, const struct sockaddr *to, socklen_t to_len)
{
	return connect_any(fd, to, to_len, GMPRT_FOREVER);
}

GMPRT_API int gmprt_connect_try(int fd, const struct sockaddr *to, socklen_t to_len)
{
	return connect_any(fd, to, to_len, RT_IO_TRY);
}

GMPRT_API int gmprt_connect_dl(int fd, const struct sockaddr *to, socklen_t to_len,
			       int64_t deadline)
{
	return connect_any(fd, to, to_len, rt_fdop_dl(deadline));
}
