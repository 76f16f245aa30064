/* SPDX-License-Identifier: MIT */
/*
 * epoll.c - the peer "epoll": an echo server that is a plain loop
 *
 * What the kernel alone gives for B10: one thread a worker, each with an epoll
 * instance and a listening socket of its own (SO_REUSEPORT deals connections
 * out), level-triggered, a read and a write for each message, no scheduler.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int port = 7777;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "epoll: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listener(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	must(fd >= 0, "socket");
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	must(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "bind");
	must(listen(fd, 4096) == 0, "listen");
	return fd;
}

static void watch(int ep, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "epoll_ctl");
}

static void accept_all(int ep, int from)
{
	int fd, one = 1;

	while ((fd = accept4(from, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		watch(ep, fd);
	}
}

static void echo(int fd)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0)
		must(write(fd, buf, (size_t)n) == n, "write");
	else if (n == 0 || errno != EAGAIN)
		close(fd);
}

static void *loop(void *arg)
{
	int ep = epoll_create1(0), from = listener();
	struct epoll_event ev[256];

	must(ep >= 0, "epoll_create1");
	watch(ep, from);
	for (;;) {
		int n = epoll_wait(ep, ev, 256, -1);

		for (int i = 0; i < n; i++)
			if (ev[i].data.fd == from)
				accept_all(ep, from);
			else
				echo(ev[i].data.fd);
	}
	return arg;
}

int main(int argc, char **argv)
{
	int workers = argc > 2 ? atoi(argv[2]) : 1;
	const char *p = getenv("PORT");
	struct rlimit files;
	pthread_t t;

	if (argc < 2 || strcmp(argv[1], "B10") != 0) {
		if (argc >= 2)
			printf("epoll %s P=%d n/a only an echo server\n", argv[1], workers);
		return argc < 2 ? 2 : 0;
	}
	if (p)
		port = atoi(p);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 1; i < workers; i++)
		must(pthread_create(&t, NULL, loop, NULL) == 0, "pthread_create");
	loop(NULL);
}
