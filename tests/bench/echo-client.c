/* SPDX-License-Identifier: MIT */
/*
 * echo-client.c - the load of B10, and its clock
 *
 *	echo-client PORT CONNECTIONS SECONDS
 *
 * Opens the connections to 127.0.0.1:PORT and keeps one message of 64 bytes
 * under way on each: as soon as one has come back it sends the next. One thread
 * and epoll, so that the client is no more than the kernel and the check that
 * each message came back as it was. Prints
 *
 *	REQUESTS-A-SECOND req/s p50=..us p99=..us
 *
 * over the given time, after 0.3 s to warm up. Exit status 1 with a line on
 * stderr if the server is not there within 5 s, closes, or sends back anything
 * else.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	MESSAGE = 64,
	WARM_MS = 300,
	PATIENCE_MS = 5000,
	BUCKETS = 1 << 16, /* of 1 us */
};

struct conn {
	int fd;
	size_t got;
	int64_t sent_ns;
	uint64_t number; /* fills the message */
	unsigned char in[MESSAGE];
};

static long late[BUCKETS];
static long answers;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "echo-client: %s: %s\n", what, why);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int64_t until = now_ns() + PATIENCE_MS * 1000000LL;
	int one = 1, fd;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (;;) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0)
			die("socket", strerror(errno));
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			break;
		if (now_ns() > until)
			die("connect", strerror(errno));
		close(fd);
		usleep(10000);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void fill(unsigned char *to, uint64_t number)
{
	for (size_t i = 0; i < MESSAGE; i += sizeof(number))
		memcpy(to + i, &number, sizeof(number));
}

static void send_next(struct conn *c)
{
	unsigned char out[MESSAGE];

	fill(out, ++c->number);
	c->got = 0;
	c->sent_ns = now_ns();
	if (send(c->fd, out, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
		die("send", strerror(errno));
}

/* All of a message has come: the next one. */
static void answered(struct conn *c)
{
	int64_t us = (now_ns() - c->sent_ns) / 1000;
	unsigned char want[MESSAGE];

	fill(want, c->number);
	if (memcmp(want, c->in, MESSAGE) != 0)
		die("echo", "another message came back");
	late[us < BUCKETS ? us : BUCKETS - 1]++;
	answers++;
	send_next(c);
}

static void readable(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->got, MESSAGE - c->got, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		die("recv", n ? strerror(errno) : "the server has closed");
	c->got += (size_t)n;
	if (c->got == MESSAGE)
		answered(c);
}

static void serve_until(int ep, int64_t end)
{
	struct epoll_event ev[256];

	while (now_ns() < end) {
		int n = epoll_wait(ep, ev, 256, 1000);

		if (n == 0)
			die("epoll_wait", "no answer within a second");
		for (int i = 0; i < n; i++)
			readable(ev[i].data.ptr);
	}
}

static int percentile_us(double p)
{
	long seen = 0;

	for (int us = 0; us < BUCKETS; us++) {
		seen += late[us];
		if ((double)seen >= p * (double)answers)
			return us;
	}
	return BUCKETS;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	struct conn *conns;
	int n, ep = epoll_create1(0);
	int64_t begin;
	double secs;

	if (argc != 4 || (n = atoi(argv[2])) < 1 || (secs = atof(argv[3])) <= 0)
		die("usage", "echo-client PORT CONNECTIONS SECONDS");
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	conns = calloc((size_t)n, sizeof(*conns));
	if (!conns || ep < 0)
		die("start", strerror(errno));
	for (int i = 0; i < n; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &conns[i] };

		conns[i].fd = dial(atoi(argv[1]));
		conns[i].number = (uint64_t)i << 32;
		if (epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &ev))
			die("epoll_ctl", strerror(errno));
	}
	for (int i = 0; i < n; i++)
		send_next(&conns[i]);
	serve_until(ep, now_ns() + WARM_MS * 1000000LL);
	memset(late, 0, sizeof(late));
	answers = 0;
	begin = now_ns();
	serve_until(ep, begin + (int64_t)(secs * 1e9));
	printf("%.0f req/s p50=%dus p99=%dus\n", (double)answers * 1e9 / (double)(now_ns() - begin),
	       percentile_us(0.5), percentile_us(0.99));
	return 0;
}
