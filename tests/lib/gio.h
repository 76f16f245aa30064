/* SPDX-License-Identifier: MIT */
/*
 * gio.h - sockets and the like for tests of I/O; every call is checked
 */
#ifndef TESTS_LIB_GIO_H
#define TESTS_LIB_GIO_H

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/gcheck.h"

/* Two ends of a UNIX stream, or of another type. */
static inline void gio_pair(int sv[2], int type)
{
	G_OK(socketpair(AF_UNIX, type, 0, sv));
}

static inline int gio_port(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	G_OK(getsockname(fd, (struct sockaddr *)&a, &len));
	return ntohs(a.sin_port);
}

/* A listener on 127.0.0.1 and a port that the kernel chose. */
static inline int gio_listen(void)
{
	int fd = gmprt_listen_tcp("127.0.0.1:0", 0);

	G_GE(fd, 0);
	return fd;
}

static inline int gio_dial(int port)
{
	char at[32];
	int fd;

	snprintf(at, sizeof(at), "127.0.0.1:%d", port);
	fd = gmprt_dial_tcp(at);
	G_GE(fd, 0);
	return fd;
}

/* Two ends of a TCP connection, both the library's own. */
static inline void gio_tcp(int sv[2])
{
	int l = gio_listen();

	sv[0] = gio_dial(gio_port(l));
	sv[1] = gmprt_accept(l, NULL, NULL);
	G_GE(sv[1], 0);
	G_OK(gmprt_close(l));
}

/* The same by plain system calls, O_NONBLOCK or not. */
static inline void gio_tcp_plain(int sv[2], int flags)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	G_OK(bind(l, (struct sockaddr *)&a, len));
	G_OK(listen(l, 1));
	G_OK(getsockname(l, (struct sockaddr *)&a, &len));
	sv[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	G_OK(connect(sv[0], (struct sockaddr *)&a, len));
	sv[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	G_GE(sv[1], 0);
	close(l);
	G_OK(fcntl(sv[0], F_SETFL, flags));
	G_OK(fcntl(sv[1], F_SETFL, flags));
}

static inline void gio_close(int sv[2])
{
	G_OK(gmprt_close(sv[0]));
	G_OK(gmprt_close(sv[1]));
}

/* Exactly n bytes, or the test ends. */
static inline void gio_read_all(int fd, void *buf, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = gmprt_read(fd, (char *)buf + at, n - at);

		G_GT(r, 0);
		at += (size_t)r;
	}
}

/* Writes until it would block; how much. */
static inline size_t gio_fill(int fd)
{
	static const char zeroes[65536];
	size_t n = 0;

	for (;;) {
		ssize_t r = gmprt_write_try(fd, zeroes, sizeof(zeroes));

		if (r == -EAGAIN)
			return n;
		G_GT(r, 0);
		n += (size_t)r;
	}
}

/* A goroutine that sends back what comes over a connection, until its end. */
static inline void gio_echoes(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[100];
	ssize_t n;

	while ((n = gmprt_read(fd, buf, sizeof(buf))) > 0)
		if (gmprt_write(fd, buf, (size_t)n) < 0)
			break;
	gmprt_close(fd);
}

/* Bytes that say where in a stream they belong. */
static inline void gio_pattern(unsigned char *buf, size_t n, size_t from)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (unsigned char)((from + i) * 2654435761u >> 13);
}

#endif
