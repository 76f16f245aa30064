/* SPDX-License-Identifier: MIT */
/*
 * net.c - TCP by name: listen and dial
 *
 * Each address is tried in turn; the last one's error is returned.
 */
#include <gmprt.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "api/hostport.h"
#include "base/sysio.h"
#include "core/tls.h"
#include "sync/fdwait.h"

static int socket_for(const struct sockaddr *a)
{
	return rt_sys_socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			     IPPROTO_TCP);
}

/* ---- listen ------------------------------------------------------- */

static int listen_on(int fd, const struct sockaddr *a, socklen_t len, int backlog)
{
	int r;

	(void)!rt_sock_set_opt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (a->sa_family == AF_INET6)
		(void)!rt_sock_set_opt(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	r = rt_sys_bind(fd, a, len);
	return r ? r : rt_sys_listen(fd, backlog > 0 ? backlog : SOMAXCONN);
}

static int listen_one(const struct sockaddr *a, socklen_t len, int backlog)
{
	int fd = socket_for(a), r;

	if (fd < 0)
		return fd;
	r = listen_on(fd, a, len, backlog);
	if (r) {
		rt_sys_close(fd);
		return r;
	}
	rt_io_adopt(fd, RT_FD_SOCKET, RT_FD_TCP);
	return fd;
}

GMPRT_API int gmprt_listen_tcp(const char *hostport, int backlog)
{
	struct rt_addrs addrs;
	int r = rt_hostport(hostport, true, &addrs);

	for (int i = 0; r >= 0 && i < addrs.n; i++) {
		r = listen_one((const struct sockaddr *)&addrs.v[i].a, addrs.v[i].len, backlog);
		if (r >= 0)
			return r;
		if (i + 1 < addrs.n)
			r = 0; /* the next may do */
	}
	return r;
}

/* ---- dial --------------------------------------------------------- */

static int dial_one(const struct sockaddr *a, socklen_t len, int64_t deadline)
{
	int fd = socket_for(a), r;

	if (fd < 0)
		return fd;
	rt_io_adopt(fd, RT_FD_SOCKET, RT_FD_TCP);
	(void)!rt_sock_set_opt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	r = gmprt_connect_dl(fd, a, len, deadline);
	if (r == 0)
		return fd;
	(void)!gmprt_close(fd);
	return r;
}

GMPRT_API int gmprt_dial_tcp_dl(const char *hostport, int64_t deadline)
{
	struct rt_addrs addrs;
	int r;

	if (!rt_m_self())
		return -EPERM;
	r = rt_hostport(hostport, false, &addrs);
	for (int i = 0; r >= 0 && i < addrs.n; i++) {
		r = dial_one((const struct sockaddr *)&addrs.v[i].a, addrs.v[i].len, deadline);
		if (r >= 0)
			return r;
		if (i + 1 < addrs.n)
			r = 0; /* the next may do */
	}
	return r;
}

GMPRT_API int gmprt_dial_tcp(const char *hostport)
{
	return gmprt_dial_tcp_dl(hostport, GMPRT_FOREVER);
}
