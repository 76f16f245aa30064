/* SPDX-License-Identifier: MIT */
/*
 * sysio.h - calls into the kernel about file descriptors
 *
 * As sys.h: each returns -errno and leaves errno alone. They go through
 * syscall(2), for two reasons. libc's wrappers are cancellation points, which
 * costs two locked instructions a call in a process with threads; and they set
 * errno through an address that a compiler may keep over a switch.
 *
 * EINTR is retried here: a signal's handler has run, and nothing else is to be
 * told of it.
 *
 * Fault sites: what makes or changes something that the library owns (epoll,
 * eventfd). Not the transfers: they are hot, and their errors are had from real
 * sockets.
 */
#ifndef RT_BASE_SYSIO_H
#define RT_BASE_SYSIO_H

#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/compiler.h"

/* ---- epoll -------------------------------------------------------- */

int rt_epoll_create(void) __must_check;
/* data is what rt_epoll_wait() gives back with an event. */
int rt_epoll_ctl(int epfd, int op, int fd, uint32_t events, uint64_t data) __must_check;
/*
 * Waits until until_ns (absolute, CLOCK_MONOTONIC; 0: not at all, INT64_MAX:
 * for ever) and returns how many events there are; 0 also after a signal. Where
 * the kernel has no epoll_pwait2 (before Linux 5.11) up to 1 ms longer.
 */
int rt_epoll_wait(int epfd, struct epoll_event *ev, int most, int64_t until_ns);
/* For tests: from now on as on a kernel without epoll_pwait2. */
void rt_epoll_use_ms(void);

/* A counter to interrupt an epoll_wait with. */
int rt_eventfd_create(void) __must_check;
void rt_eventfd_raise(int fd);
void rt_eventfd_drain(int fd);

/* ---- devices ------------------------------------------------------- */

/* For reading and writing, O_NONBLOCK. The fd or -errno. */
int rt_dev_open(const char *path) __must_check;
/* ioctl(2). */
int rt_dev_call(int fd, unsigned int op, void *arg) __must_check;

/* ---- what an fd is ------------------------------------------------ */

/* st_mode, or -errno. */
int rt_fd_mode(int fd);
/* fcntl(2)'s status flags, and setting them. */
int rt_fd_flags(int fd);
int rt_fd_set_flags(int fd, int flags);
/* A socket option of type int; or -errno. */
int rt_sock_opt(int fd, int level, int name);
int rt_sock_set_opt(int fd, int level, int name, int value);
/* Has the socket got a TCP_ULP ("tls")? */
bool rt_sock_has_ulp(int fd);
/* poll(2) without waiting: revents (POLLNVAL too), or -errno. */
int rt_poll_now(int fd, short events);

/* ---- transfers ---------------------------------------------------- */

ssize_t rt_sys_read(int fd, void *buf, size_t n);
ssize_t rt_sys_write(int fd, const void *buf, size_t n);
ssize_t rt_sys_readv(int fd, const struct iovec *iov, int n);
ssize_t rt_sys_writev(int fd, const struct iovec *iov, int n);
/* RWF_NOWAIT; -EOPNOTSUPP: this file or kernel can't. */
ssize_t rt_sys_readv_now(int fd, const struct iovec *iov, int n);
ssize_t rt_sys_writev_now(int fd, const struct iovec *iov, int n);

ssize_t rt_sys_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *a, socklen_t *l);
ssize_t rt_sys_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *a,
		      socklen_t l);
ssize_t rt_sys_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t rt_sys_sendmsg(int fd, const struct msghdr *msg, int flags);

int rt_sys_socket(int family, int type, int protocol);
int rt_sys_bind(int fd, const struct sockaddr *a, socklen_t l);
int rt_sys_listen(int fd, int backlog);
int rt_sys_accept(int fd, struct sockaddr *a, socklen_t *l, int flags);
int rt_sys_connect(int fd, const struct sockaddr *a, socklen_t l);
/* Not retried: Linux has closed it whatever it says. EINTR counts as success. */
int rt_sys_close(int fd);

#endif
