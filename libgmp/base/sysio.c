/* SPDX-License-Identifier: MIT */
/*
 * sysio.c - see sysio.h
 */
#include "base/sysio.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/san.h"
#include "base/sys.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* Linux 5.11 */
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8 /* Linux 4.14 */
#endif

/* Never inlined: its callers may be, into functions that switch, and errno's
 * address must not be theirs. */
static __noinline long call(long nr, long a, long b, long c, long d, long e, long f)
{
	int saved = errno;
	long r;

	do
		r = syscall(nr, a, b, c, d, e, f);
	while (r < 0 && errno == EINTR);
	if (unlikely(r < 0)) {
		r = -errno;
		errno = saved;
	}
	return r;
}

/* The same, told of a signal. */
static __noinline long call_once(long nr, long a, long b, long c, long d, long e, long f)
{
	int saved = errno;
	long r = syscall(nr, a, b, c, d, e, f);

	if (r < 0) {
		r = -errno;
		errno = saved;
	}
	return r;
}

#define P(ptr) ((long)(uintptr_t)(ptr))

/* ---- epoll -------------------------------------------------------- */

int rt_epoll_create(void)
{
	return rt_fault() ? -EMFILE : (int)call(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0, 0);
}

int rt_epoll_ctl(int epfd, int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	return rt_fault() ? -ENOMEM : (int)call(SYS_epoll_ctl, epfd, op, fd, P(&ev), 0, 0);
}

static int no_pwait2; /* 1: the kernel has none */

void rt_epoll_use_ms(void)
{
	store_rlx(&no_pwait2, 1);
}

/* Never early: what is left is rounded up. */
static int wait_ms(int epfd, struct epoll_event *ev, int most, int64_t left)
{
	int64_t ms = left == INT64_MAX ? -1 : (left + RT_NS_PER_MS - 1) / RT_NS_PER_MS;

	if (ms > INT32_MAX)
		ms = INT32_MAX;
	return (int)call_once(SYS_epoll_pwait, epfd, P(ev), most, (long)ms, 0, 0);
}

int rt_epoll_wait(int epfd, struct epoll_event *ev, int most, int64_t until)
{
	int64_t left = until == 0 || until == INT64_MAX ? until : until - rt_now_ns();
	struct timespec ts;
	int n = -ENOSYS;

	if (left < 0)
		left = 0;
	ts.tv_sec = left / RT_NS_PER_SEC;
	ts.tv_nsec = left % RT_NS_PER_SEC;
	/* Without a time to wait the older call is as good, and everywhere. */
	if (left && left != INT64_MAX && !load_rlx(&no_pwait2))
		n = (int)call_once(SYS_epoll_pwait2, epfd, P(ev), most, P(&ts), 0, 0);
	if (n == -ENOSYS) {
		if (left && left != INT64_MAX)
			rt_epoll_use_ms();
		n = wait_ms(epfd, ev, most, left);
	}
	return n > 0 ? n : 0;
}

int rt_eventfd_create(void)
{
	return rt_fault() ? -EMFILE :
			    (int)call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0, 0);
}

/* A full counter is a raised one. */
void rt_eventfd_raise(int fd)
{
	uint64_t one = 1;

	call(SYS_write, fd, P(&one), sizeof(one), 0, 0, 0);
}

void rt_eventfd_drain(int fd)
{
	uint64_t n;

	call(SYS_read, fd, P(&n), sizeof(n), 0, 0, 0);
}

/* ---- devices ------------------------------------------------------- */

int rt_dev_open(const char *path)
{
	return rt_fault() ? -EMFILE :
			    (int)call(SYS_openat, AT_FDCWD, P(path),
				      O_RDWR | O_NONBLOCK | O_CLOEXEC, 0, 0, 0);
}

int rt_dev_call(int fd, unsigned int op, void *arg)
{
	return rt_fault() ? -ENOMEM : (int)call(SYS_ioctl, fd, op, P(arg), 0, 0, 0);
}

/* ---- what an fd is ------------------------------------------------ */

__noinline int rt_fd_mode(int fd)
{
	struct stat st;
	int saved = errno, r;

	r = fstat(fd, &st) ? -errno : (int)st.st_mode;
	errno = saved;
	return r;
}

int rt_fd_flags(int fd)
{
	return (int)call(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
}

int rt_fd_set_flags(int fd, int flags)
{
	return (int)call(SYS_fcntl, fd, F_SETFL, flags, 0, 0, 0);
}

int rt_sock_opt(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);
	long r = call(SYS_getsockopt, fd, level, name, P(&value), P(&len), 0);

	return r < 0 ? (int)r : value;
}

int rt_sock_set_opt(int fd, int level, int name, int value)
{
	return (int)call(SYS_setsockopt, fd, level, name, P(&value), sizeof(value), 0);
}

bool rt_sock_has_ulp(int fd)
{
	char name[32];
	socklen_t len = sizeof(name);

	return call(SYS_getsockopt, fd, IPPROTO_TCP, TCP_ULP, P(name), P(&len), 0) == 0 && len > 0;
}

int rt_poll_now(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	struct timespec zero = { 0, 0 };
	long r = call(SYS_ppoll, P(&p), 1, P(&zero), 0, 0, 0);

	return r < 0 ? (int)r : p.revents;
}

/* ---- transfers ---------------------------------------------------- */

/*
 * What a program wrote before it sent a byte is seen by who received the byte.
 * TSan learns that from libc's wrappers; here it is told, of all fds as of one.
 */
static char io_tag;

static ssize_t received(ssize_t r)
{
	rt_san_acquire(&io_tag);
	return r;
}

#define SENT(sends) (rt_san_release(&io_tag), (sends))

ssize_t rt_sys_read(int fd, void *buf, size_t n)
{
	return received(call(SYS_read, fd, P(buf), (long)n, 0, 0, 0));
}

ssize_t rt_sys_write(int fd, const void *buf, size_t n)
{
	return SENT(call(SYS_write, fd, P(buf), (long)n, 0, 0, 0));
}

ssize_t rt_sys_readv(int fd, const struct iovec *iov, int n)
{
	return received(call(SYS_readv, fd, P(iov), n, 0, 0, 0));
}

ssize_t rt_sys_writev(int fd, const struct iovec *iov, int n)
{
	return SENT(call(SYS_writev, fd, P(iov), n, 0, 0, 0));
}

/* -1 for the offset: at the file's own position, as readv. */
ssize_t rt_sys_readv_now(int fd, const struct iovec *iov, int n)
{
	return received(call(SYS_preadv2, fd, P(iov), n, -1, -1, RWF_NOWAIT));
}

ssize_t rt_sys_writev_now(int fd, const struct iovec *iov, int n)
{
	return SENT(call(SYS_pwritev2, fd, P(iov), n, -1, -1, RWF_NOWAIT));
}

ssize_t rt_sys_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *a, socklen_t *l)
{
	return received(call(SYS_recvfrom, fd, P(buf), (long)n, flags, P(a), P(l)));
}

ssize_t rt_sys_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *a,
		      socklen_t l)
{
	return SENT(call(SYS_sendto, fd, P(buf), (long)n, flags, P(a), (long)l));
}

ssize_t rt_sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return received(call(SYS_recvmsg, fd, P(msg), flags, 0, 0, 0));
}

ssize_t rt_sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return SENT(call(SYS_sendmsg, fd, P(msg), flags, 0, 0, 0));
}

int rt_sys_socket(int family, int type, int protocol)
{
	return (int)call(SYS_socket, family, type, protocol, 0, 0, 0);
}

int rt_sys_bind(int fd, const struct sockaddr *a, socklen_t l)
{
	return (int)call(SYS_bind, fd, P(a), (long)l, 0, 0, 0);
}

int rt_sys_listen(int fd, int backlog)
{
	return (int)call(SYS_listen, fd, backlog, 0, 0, 0, 0);
}

int rt_sys_accept(int fd, struct sockaddr *a, socklen_t *l, int flags)
{
	return (int)call(SYS_accept4, fd, P(a), P(l), flags, 0, 0);
}

int rt_sys_connect(int fd, const struct sockaddr *a, socklen_t l)
{
	return (int)call(SYS_connect, fd, P(a), (long)l, 0, 0, 0);
}

int rt_sys_close(int fd)
{
	int r = (int)call_once(SYS_close, fd, 0, 0, 0, 0, 0);

	return r == -EINTR ? 0 : r;
}
