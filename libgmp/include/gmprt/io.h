/* SPDX-License-Identifier: MIT */
/*
 * gmprt/io.h - input and output: part of <gmprt.h>, which includes it
 *
 * The calls are libc's of the same names, but where libc's would block the M
 * these block the G. fd may be a socket, pipe, FIFO, terminal, eventfd, timerfd
 * or whatever else epoll takes; O_NONBLOCK may be set on it or not, and stays as
 * it is.
 *
 * Regular files and disks: the kernel has no "would block" for them. The call
 * is made between gmprt_block_enter() and _exit(): it blocks the M, a deadline
 * does not end it, and _try is as the plain form. So it is with another file
 * that is not O_NONBLOCK, is ready, and is emptied by another process just
 * before the call.
 *
 * CLOSE WITH gmprt_close() WHAT WAS USED HERE. It wakes who waits, and lets go
 * of what the run time knows of the number. With close(2) alone those who wait
 * do so for ever; and if the number was made by gmprt_accept(), _listen_tcp()
 * or _dial_tcp() and comes back as a file of another kind, a wait for that one
 * may never end. dup2() onto a number that was used here closes it, too; so
 * gmprt_close() it first. closefrom() and close_range() also close the run
 * time's own files, after which no wait works: before an exec only.
 *
 * Several goroutines may use one fd at the same time. All that wait for it are
 * woken by an event and try again; who comes too late goes on waiting.
 *
 * Errors, beside those of the libc calls: -ECANCELED: closed by gmprt_close()
 * while this call was under way. -EPERM: would block and is not a goroutine,
 * or is between gmprt_block_enter() and _exit(). _try: -EAGAIN. _dl:
 * -ETIMEDOUT. -ENOMEM. At the first wait of a run also -EMFILE, -ENFILE (two
 * fds are needed, for epoll and an eventfd), at that of an fd -ENOSPC
 * (fs.epoll.max_user_watches). -EINTR is never returned, -EAGAIN by _try only.
 *
 * Signals: writing to a socket whose peer has gone is -EPIPE without a SIGPIPE.
 * A pipe without a reader raises SIGPIPE as always.
 *
 * _try forms from an ordinary thread may also use an fd that goroutines use.
 * Whoever closes an fd while an ordinary thread is in a call on it has the race
 * that close(2) has.
 *
 * For struct sockaddr and the like include <sys/socket.h> and <sys/uio.h>. This
 * header does not: the names there (send, bind, accept) are many a program's
 * own.
 */
#ifndef GMPRT_IO_H
#define GMPRT_IO_H

#include <gmprt.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sockaddr;
struct msghdr;
struct iovec;
typedef unsigned int gmprt_socklen; /* socklen_t is the same type */

/*
 * Up to n bytes, at least one; 0: end of file (or n is 0). A call with a
 * deadline that has passed tries once.
 */
GMPRT_API ssize_t gmprt_read(int fd, void *buf, size_t n) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_read_try(int fd, void *buf, size_t n) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_read_dl(int fd, void *buf, size_t n, int64_t deadline) GMPRT_MUST_CHECK;

/* Writes what there is room for, at least one byte and perhaps less than n;
 * returns how much. */
GMPRT_API ssize_t gmprt_write(int fd, const void *buf, size_t n) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_write_try(int fd, const void *buf, size_t n) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_write_dl(int fd, const void *buf, size_t n, int64_t deadline)
	GMPRT_MUST_CHECK;

/*
 * Writes all n bytes, waiting as often as it must, and returns n. An error
 * does not tell how much had been written before it. Two of these on one fd at
 * the same time mix their bytes. There is no _try form: see gmprt_write_try().
 */
GMPRT_API ssize_t gmprt_write_all(int fd, const void *buf, size_t n) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_write_all_dl(int fd, const void *buf, size_t n, int64_t deadline)
	GMPRT_MUST_CHECK;

/* The same from and to n pieces of memory. */
GMPRT_API ssize_t gmprt_readv(int fd, const struct iovec *iov, int n) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_readv_try(int fd, const struct iovec *iov, int n) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_readv_dl(int fd, const struct iovec *iov, int n, int64_t deadline)
	GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_writev(int fd, const struct iovec *iov, int n) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_writev_try(int fd, const struct iovec *iov, int n) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_writev_dl(int fd, const struct iovec *iov, int n, int64_t deadline)
	GMPRT_MUST_CHECK;

/*
 * Sockets only, else -ENOTSOCK. flags as for libc, but: MSG_DONTWAIT makes the
 * call a _try; MSG_NOSIGNAL is always there; MSG_WAITALL waits for the first
 * byte only.
 */
GMPRT_API ssize_t gmprt_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
				 gmprt_socklen *from_len) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_recvfrom_try(int fd, void *buf, size_t n, int flags,
				     struct sockaddr *from, gmprt_socklen *from_len)
	GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_recvfrom_dl(int fd, void *buf, size_t n, int flags, struct sockaddr *from,
				    gmprt_socklen *from_len, int64_t deadline) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_sendto(int fd, const void *buf, size_t n, int flags,
			       const struct sockaddr *to, gmprt_socklen to_len) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_sendto_try(int fd, const void *buf, size_t n, int flags,
				   const struct sockaddr *to, gmprt_socklen to_len)
	GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_sendto_dl(int fd, const void *buf, size_t n, int flags,
				  const struct sockaddr *to, gmprt_socklen to_len, int64_t deadline)
	GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_recvmsg(int fd, struct msghdr *msg, int flags) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_recvmsg_try(int fd, struct msghdr *msg, int flags) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_recvmsg_dl(int fd, struct msghdr *msg, int flags, int64_t deadline)
	GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_sendmsg(int fd, const struct msghdr *msg, int flags) GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_sendmsg_try(int fd, const struct msghdr *msg, int flags)
	GMPRT_MUST_CHECK;
GMPRT_API ssize_t gmprt_sendmsg_dl(int fd, const struct msghdr *msg, int flags, int64_t deadline)
	GMPRT_MUST_CHECK;

/*
 * The next connection of a listening socket: its fd, O_NONBLOCK and
 * close-on-exec, with TCP_NODELAY if it is TCP. from and from_len as for
 * accept(2); NULL is allowed. The fd is the caller's to close.
 *
 * -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM: no fd or memory for it now; it stays in
 * the listener's queue. Sleep a while before the next call: it would fail at
 * once.
 */
GMPRT_API int gmprt_accept(int fd, struct sockaddr *from, gmprt_socklen *from_len) GMPRT_MUST_CHECK;
GMPRT_API int gmprt_accept_try(int fd, struct sockaddr *from, gmprt_socklen *from_len)
	GMPRT_MUST_CHECK;
GMPRT_API int gmprt_accept_dl(int fd, struct sockaddr *from, gmprt_socklen *from_len,
			      int64_t deadline) GMPRT_MUST_CHECK;

/*
 * Connects a socket, as connect(2). 0 or -errno; after -ETIMEDOUT and
 * -ECANCELED the attempt may still go on: close the socket. If it is not
 * O_NONBLOCK, it is for the moment in which the attempt begins.
 *
 * _try begins: 0: connected; -EAGAIN: under way. Then call it again after
 * gmprt_poll(fd, POLLOUT) for the result.
 */
GMPRT_API int gmprt_connect(int fd, const struct sockaddr *to, gmprt_socklen to_len)
	GMPRT_MUST_CHECK;
GMPRT_API int gmprt_connect_try(int fd, const struct sockaddr *to, gmprt_socklen to_len)
	GMPRT_MUST_CHECK;
GMPRT_API int gmprt_connect_dl(int fd, const struct sockaddr *to, gmprt_socklen to_len,
			       int64_t deadline) GMPRT_MUST_CHECK;

/*
 * Waits until one of events (POLLIN, POLLOUT, POLLPRI, POLLRDHUP) holds for fd,
 * and returns those that do, with POLLERR and POLLHUP; > 0. For fds that another
 * library reads and writes, and may close by close(2): a number that has come
 * back as another file is no problem here, unless it was made by gmprt_accept(),
 * _listen_tcp() or _dial_tcp(). -EBADF; -EINVAL: fd is a regular file or a
 * folder, for which none of events ever comes.
 */
GMPRT_API int gmprt_poll(int fd, short events) GMPRT_MUST_CHECK;
GMPRT_API int gmprt_poll_try(int fd, short events) GMPRT_MUST_CHECK;
GMPRT_API int gmprt_poll_dl(int fd, short events, int64_t deadline) GMPRT_MUST_CHECK;

/*
 * Closes fd. Goroutines that wait for it return -ECANCELED. Calls of other
 * goroutines that have just been woken are waited for, which may block the G
 * for some microseconds; so none of them meets the number's next owner. Calls
 * that sit in the kernel (a regular file, see above) are not waited for.
 * 0; -EBADF: no such fd, or another goroutine closes it; what close(2) says.
 * Any thread; on an ordinary one it may spin where a goroutine would block.
 * Without a run it is close(2).
 */
GMPRT_API int gmprt_close(int fd);

/*
 * hostport: "host:port", ":port", "1.2.3.4:port", "[::1]:port". The port may
 * be a service's name.
 *
 * A socket that listens on it: O_NONBLOCK, close-on-exec, SO_REUSEADDR. ":port"
 * is any address, of IPv6 and IPv4 where there is both. Port 0: the kernel
 * chooses, see getsockname(2). backlog <= 0: SOMAXCONN. Any thread.
 *
 * A socket connected to it: the same with TCP_NODELAY. ":port" is this machine.
 * All addresses of a name are tried in turn. Goroutines only.
 *
 * The fd, the caller's to close; or the last address' error, or -EINVAL:
 * malformed; -ENOENT: no such host or service; -EAGAIN: the name server does
 * not answer; -EIO: it failed; -EPERM (dial): not a goroutine. A name (a number
 * does not) is looked up by getaddrinfo() between gmprt_block_enter() and
 * _exit(): that wants 64 KiB of stack, and no deadline ends it.
 */
GMPRT_API int gmprt_listen_tcp(const char *hostport, int backlog) GMPRT_MUST_CHECK;
GMPRT_API int gmprt_dial_tcp(const char *hostport) GMPRT_MUST_CHECK;
GMPRT_API int gmprt_dial_tcp_dl(const char *hostport, int64_t deadline) GMPRT_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif /* GMPRT_IO_H */
