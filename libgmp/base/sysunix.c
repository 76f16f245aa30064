/* SPDX-License-Identifier: MIT */
/*
 * sysunix.c - see sysunix.h
 */
#include "base/sysunix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/sys.h"

enum { MAX_FDS = 8,
       TRIES = 100 }; /* signals may come faster than an answer, and for ever */

/* No call on a socket that has a time limit is restarted after a signal, nor after
 * the process was stopped. */
static bool again(int *tries)
{
	return errno == EINTR && ++*tries < TRIES;
}

static int connect_to(const struct sockaddr_un *to, int timeout_ms)
{
	struct timeval limit = { .tv_sec = timeout_ms / 1000,
				 .tv_usec = timeout_ms % 1000 * 1000 };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), tries = 0, r;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	do
		r = connect(fd, (const struct sockaddr *)to, sizeof(*to));
	while (r && again(&tries));
	if (r == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

int rt_unix_connect(const char *path, int timeout_ms)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int saved = errno, r;

	if (rt_fault())
		return -ENOMEM;
	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	strcpy(to.sun_path, path);
	r = connect_to(&to, timeout_ms);
	errno = saved;
	return r;
}

int rt_unix_send(int fd, const void *message, size_t bytes)
{
	int saved = errno, tries = 0, r;

	if (rt_fault())
		return -ENOMEM;
	do
		r = send(fd, message, bytes, MSG_NOSIGNAL) < 0 ? -errno : 0;
	while (r && again(&tries));
	errno = saved;
	return r;
}

/* What came beyond nr is closed. */
static void take_fds(struct msghdr *m, int *fds, int nr)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (int i = 0, fd; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (i < nr && fds[i] < 0)
				fds[i] = fd;
			else
				close(fd);
		}
	}
}

ssize_t rt_unix_recv(int fd, void *message, size_t bytes, int *fds, int nr_fds)
{
	struct iovec v = { .iov_base = message, .iov_len = bytes };
	char control[CMSG_SPACE(MAX_FDS * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int saved = errno, tries = 0;
	ssize_t r;

	for (int i = 0; i < nr_fds; i++)
		fds[i] = -1;
	if (rt_fault())
		return -ENOMEM;
	do
		r = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (r < 0 && again(&tries));
	if (r < 0)
		r = -errno;
	else
		take_fds(&m, fds, nr_fds);
	errno = saved;
	return r;
}
