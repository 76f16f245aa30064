/* SPDX-License-Identifier: MIT */
/*
 * echo.h - B10: an echo server, one goroutine a connection
 *
 * Part of bodies.h, which includes it. The server runs until it is killed and
 * prints nothing: what is measured is what its client gets (echo-client.c), on
 * another CPU if there is one worker. ./run brings the two together.
 *
 * An adapter without sockets says G_NO_IO. Others define
 *
 *   g_listen(port)     a TCP socket that listens on 127.0.0.1
 *   g_accept(fd)       the next connection, with TCP_NODELAY; or below 0
 *   g_read(fd, buf, n), g_write(fd, buf, n)   bytes, or 0 or below: the end
 *   g_close(fd)
 */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

#ifndef G_NO_IO
static void echo_conn(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	long n;

	while ((n = g_read(fd, buf, sizeof(buf))) > 0)
		if (g_write(fd, buf, (size_t)n) != n)
			break;
	g_close(fd);
}
#endif

static void b10(void)
{
#ifndef G_NO_IO
	int listener = g_listen((int)size_of_work("PORT", 7777)), fd;

	check(listener >= 0, "can't listen");
	while ((fd = g_accept(listener)) >= 0)
		g_spawn(echo_conn, (void *)(intptr_t)fd);
	check(0, "can't accept");
#else
	not_available("no sockets");
#endif
}

#endif /* BENCH_ECHO_H */
