/* SPDX-License-Identifier: MIT */
/*
 * echo - sends back what it receives; a goroutine for each connection
 *
 *	echo [HOST:PORT]	default 127.0.0.1:7777
 *
 * Each goroutine is the plainest loop there is, read and write. What happens
 * below it: a read with nothing there parks the goroutine, its M goes on with
 * another connection, and the netpoller brings it back.
 *
 * Try it: nc 127.0.0.1 7777. It ends by ^C.
 */
#include <gmprt.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define MS 1000000LL

static void serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[16384];
	ssize_t n;

	/* 0: the peer has closed. An error: it is gone, nobody to tell. */
	while ((n = gmprt_read(fd, buf, sizeof(buf))) > 0)
		if (gmprt_write_all(fd, buf, (size_t)n) < 0)
			break;
	gmprt_close(fd);
}

/* Out of fds or memory: those that are connected go on, and when one has ended
 * there is room again. Waits a little longer each time. */
static void back_off(int err, int64_t *pause_ms)
{
	*pause_ms = *pause_ms == 0 ? 5 : *pause_ms < 500 ? *pause_ms * 2 :
							   1000;
	fprintf(stderr, "echo: accept: %s; waiting for %lld ms\n", strerror(err),
		(long long)*pause_ms);
	if (gmprt_sleep(*pause_ms * MS))
		fprintf(stderr, "echo: no memory for a timer\n");
}

/* The kernel chooses it when 0 was asked for. */
static int port_of(int fd)
{
	struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &len);
	/* At the same place in IPv4's and IPv6's. */
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static int echo(int argc, char **argv)
{
	const char *at = argc > 1 ? argv[1] : "127.0.0.1:7777";
	int listener = argc > 2 ? -EINVAL : gmprt_listen_tcp(at, 1024);
	int64_t pause_ms = 0;

	if (argc > 2) {
		fputs("usage: echo [HOST:PORT]\n", stderr);
		return 2;
	}
	if (listener < 0) {
		fprintf(stderr, "echo: can't listen at %s: %s\n", at, strerror(-listener));
		return 1;
	}
	printf("echo: listening at %s, port %d\n", at, port_of(listener));
	fflush(stdout);
	for (;;) {
		int fd = gmprt_accept(listener, NULL, NULL);

		if (fd >= 0) {
			pause_ms = 0;
			if (gmprt_go(serve, (void *)(intptr_t)fd))
				gmprt_close(fd); /* no memory for it now */
		} else if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
			back_off(-fd, &pause_ms);
		} else if (fd != -ECONNABORTED) {
			fprintf(stderr, "echo: accept: %s\n", strerror(-fd));
			return 1;
		}
	}
}

int main(int argc, char **argv)
{
	int r = gmprt_main(echo, argc, argv);

	if (r < 0)
		fprintf(stderr, "echo: the run time can't start: %s\n", strerror(-r));
	return r < 0 ? 1 : r;
}
