/* SPDX-License-Identifier: MIT */
/*
 * io_stream.c - proves: streams of bytes arrive whole and in order, an end is
 * always seen, and a peer that is slow, gone or half gone is met with what the
 * kernel says, while other goroutines run
 */
#include <poll.h>
#include <signal.h>
#include <sys/uio.h>

#include "lib/gio.h"
#include "lib/gtest.h"

static gmprt_wg wg;
static long done;

/* ---- there and back ---- */

static void echoes(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[1000];
	ssize_t n;

	while ((n = gmprt_read(fd, buf, sizeof(buf))) > 0)
		G_EQ(n, gmprt_write_all(fd, buf, (size_t)n));
	G_EQ(0, n);
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

static void ping(int fd, int times)
{
	unsigned char out[700], in[700];

	for (int i = 0; i < times; i++) {
		size_t n = 1 + (size_t)i * 37 % sizeof(out);

		gio_pattern(out, n, (size_t)i);
		G_EQ(n, gmprt_write_all(fd, out, n));
		gio_read_all(fd, in, n);
		G_EQ(0, memcmp(in, out, n));
	}
}

static void there_and_back(int sv[2], int times)
{
	gmprt_wg_add(&wg, 1);
	g_go(echoes, (void *)(intptr_t)sv[1]);
	ping(sv[0], times);
	G_OK(gmprt_close(sv[0]));
	gmprt_wg_wait(&wg);
}

G_TEST(tcp_messages_come_back_as_they_were)
{
	int sv[2];

	gio_tcp(sv);
	there_and_back(sv, G_LOOPS(2000));
}

G_TEST(sockets_made_by_others_work_blocking_and_not)
{
	int sv[2];

	gio_tcp_plain(sv, 0);
	there_and_back(sv, G_LOOPS(500));
	gio_tcp_plain(sv, O_NONBLOCK);
	there_and_back(sv, G_LOOPS(500));
	gio_pair(sv, SOCK_STREAM);
	there_and_back(sv, G_LOOPS(500));
	gio_pair(sv, SOCK_STREAM | SOCK_NONBLOCK);
	there_and_back(sv, G_LOOPS(500));
}

G_TEST(flags_of_the_description_stay_as_they_are)
{
	int sv[2], flags;

	gio_pair(sv, SOCK_STREAM);
	flags = fcntl(sv[0], F_GETFL);
	there_and_back((int[]){ sv[0], dup(sv[1]) }, 10);
	G_EQ(flags, fcntl(sv[1], F_GETFL));
	close(sv[1]);
}

static int listener;

static void accepts(void *unused)
{
	int fd;

	(void)unused;
	while ((fd = gmprt_accept(listener, NULL, NULL)) >= 0)
		g_go(echoes, (void *)(intptr_t)fd);
	G_EQ(-ECANCELED, fd);
	g_inc(&done);
}

static void dials_and_pings(void *arg)
{
	int fd = gio_dial((int)(intptr_t)arg);

	ping(fd, 20);
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

G_TEST(a_server_serves_hundreds_at_the_same_time)
{
	int n = 400 / G_SLOW;

	listener = gio_listen();
	g_go(accepts, NULL);
	gmprt_wg_add(&wg, 2 * n);
	for (int i = 0; i < n; i++)
		g_go(dials_and_pings, (void *)(intptr_t)gio_port(listener));
	gmprt_wg_wait(&wg);
	G_OK(gmprt_close(listener));
	g_until(&done, 1);
}

/* ---- backpressure ---- */

#define MUCH (2 << 20)

static void sends_much(void *arg)
{
	int fd = (int)(intptr_t)arg;
	unsigned char *all = malloc(MUCH);

	gio_pattern(all, MUCH, 0);
	G_EQ(MUCH, gmprt_write_all(fd, all, MUCH));
	free(all);
	G_OK(gmprt_close(fd));
	g_inc(&done);
}

static void read_slowly(int fd)
{
	unsigned char in[5000], want[5000];
	size_t at = 0;
	ssize_t n;

	while ((n = gmprt_read(fd, in, sizeof(in))) > 0) {
		gio_pattern(want, (size_t)n, at);
		G_EQ(0, memcmp(in, want, (size_t)n));
		at += (size_t)n;
		if (at / 100000 != (at - (size_t)n) / 100000)
			G_OK(gmprt_sleep(G_MS));
	}
	G_EQ(0, n);
	G_EQ(MUCH, at);
}

static void make_small(int sv[2])
{
	int bytes = 65536;

	for (int i = 0; i < 2; i++) {
		G_OK(setsockopt(sv[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)));
		G_OK(setsockopt(sv[i], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)));
	}
}

G_TEST(a_slow_reader_holds_the_writer_back_and_gets_it_all)
{
	int sv[2];

	for (int i = 0; i < 3; i++) {
		g_store(&done, 0);
		if (i == 0)
			gio_tcp(sv);
		else if (i == 1)
			gio_tcp_plain(sv, 0);
		else
			gio_pair(sv, SOCK_STREAM);
		make_small(sv);
		g_go(sends_much, (void *)(intptr_t)sv[1]);
		G_OK(gmprt_sleep(5 * G_MS));
		G_EQ(0, g_load(&done)); /* it does not fit */
		read_slowly(sv[0]);
		g_until(&done, 1);
		G_OK(gmprt_close(sv[0]));
	}
}

G_TEST(write_takes_what_there_is_room_for)
{
	static char much[1 << 22];
	int sv[2];
	ssize_t n;

	gio_tcp(sv);
	make_small(sv);
	n = gmprt_write(sv[0], much, sizeof(much));
	G_GT(n, 0);
	G_LT(n, sizeof(much));
	G_EQ(-ETIMEDOUT, gmprt_write_all_dl(sv[0], much, sizeof(much), g_now() + 20 * G_MS));
	gio_close(sv);
}

/* ---- pieces ---- */

G_TEST(pieces_are_gathered_and_scattered)
{
	char a[3] = "abc", b[5] = "defgh", c[4], d[4];
	struct iovec out[] = { { a, 3 }, { b, 5 } }, in[] = { { c, 4 }, { d, 4 } };
	int sv[2], p[2];

	gio_tcp(sv);
	G_OK(pipe(p));
	for (int i = 0; i < 3; i++) {
		int from = i < 2 ? sv[1] : p[0], to = i < 2 ? sv[0] : p[1];

		G_EQ(-EAGAIN, gmprt_readv_try(from, in, 2));
		G_EQ(-ETIMEDOUT, gmprt_readv_dl(from, in, 2, g_now() + G_MS));
		G_EQ(8, gmprt_writev(to, out, 2));
		G_EQ(8, gmprt_readv(from, in, 2));
		G_EQ(0, memcmp(c, "abcd", 4) || memcmp(d, "efgh", 4));
		G_EQ(8, gmprt_writev_try(to, out, 2));
		G_EQ(8, gmprt_readv_dl(from, in, 2, GMPRT_FOREVER));
		G_EQ(8, gmprt_writev_dl(to, out, 2, 0));
		G_EQ(8, gmprt_readv_try(from, in, 2));
		G_EQ(0, gmprt_readv(from, NULL, 0));
		G_EQ(-EINVAL, gmprt_readv(from, in, -1));
		G_EQ(-EINVAL, gmprt_writev(to, out, -1));
	}
	gio_close(sv);
	gio_close(p);
}

/* ---- ends ---- */

static void sends_and_closes(void *arg)
{
	int fd = gmprt_accept(listener, NULL, NULL);
	uint64_t rand = (uintptr_t)arg;

	G_GE(fd, 0);
	if (g_rand(&rand) % 2)
		gmprt_yield();
	G_EQ(5, gmprt_write_all(fd, "hello", 5));
	if (g_rand(&rand) % 2)
		gmprt_yield();
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

/* Data and the end may be one event or two, before, between or after the reads.
 * A read that does not try because it knows the socket empty must not miss it. */
static void reads_to_the_end(void *arg)
{
	int fd = gio_dial((int)(intptr_t)arg);
	char buf[64];
	size_t at = 0;
	ssize_t n;

	while ((n = gmprt_read(fd, buf, sizeof(buf))) > 0)
		at += (size_t)n;
	G_EQ(0, n);
	G_EQ(5, at);
	G_EQ(0, gmprt_read(fd, buf, sizeof(buf))); /* and it stays the end */
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

G_TEST_TIMEOUT(a_peer_that_sends_and_closes_at_once_is_read_to_the_end, 60)
{
	listener = gio_listen();
	for (uintptr_t i = 1; i <= (uintptr_t)G_LOOPS(2000); i++) {
		gmprt_wg_add(&wg, 2);
		g_go(sends_and_closes, (void *)i);
		g_go(reads_to_the_end, (void *)(intptr_t)gio_port(listener));
		if (i % 50 == 0)
			gmprt_wg_wait(&wg);
	}
	gmprt_wg_wait(&wg);
	G_OK(gmprt_close(listener));
}

/* The same within one connection: many short messages, the last with the end. */
static void sends_many_and_closes(void *arg)
{
	int fd = (int)(intptr_t)arg;

	for (int i = 0; i < 50; i++) {
		G_EQ(3, gmprt_write_all(fd, "abc", 3));
		if (i % 7 == 0)
			gmprt_yield();
	}
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

G_TEST(an_end_behind_many_short_messages_is_seen)
{
	char buf[100];

	for (int i = 0; i < G_LOOPS(300); i++) {
		size_t at = 0;
		ssize_t n;
		int sv[2];

		gio_tcp(sv);
		gmprt_wg_add(&wg, 1);
		g_go(sends_many_and_closes, (void *)(intptr_t)sv[1]);
		while ((n = gmprt_read(sv[0], buf, sizeof(buf))) > 0)
			at += (size_t)n;
		G_EQ(0, n);
		G_EQ(150, at);
		gmprt_wg_wait(&wg);
		G_OK(gmprt_close(sv[0]));
	}
}

G_TEST(a_half_open_peer_can_still_be_written_to)
{
	char buf[16];
	int sv[2];

	for (int i = 0; i < 2; i++) {
		if (i == 0)
			gio_tcp(sv);
		else
			gio_pair(sv, SOCK_STREAM);
		G_OK(shutdown(sv[1], SHUT_WR));
		G_EQ(0, gmprt_read(sv[0], buf, sizeof(buf)));
		for (int k = 0; k < 10; k++) {
			G_EQ(4, gmprt_write_all(sv[0], "more", 4));
			gio_read_all(sv[1], buf, 4);
			G_EQ(0, gmprt_read(sv[0], buf, sizeof(buf)));
		}
		G_OK(shutdown(sv[0], SHUT_WR));
		G_EQ(0, gmprt_read(sv[1], buf, sizeof(buf)));
		gio_close(sv);
	}
}

static long result;

static void reads_once(void *arg)
{
	char byte;

	g_store(&result, gmprt_read((int)(intptr_t)arg, &byte, 1));
	g_inc(&done);
}

static void writes_much(void *arg)
{
	static char much[1 << 22];

	g_store(&result, gmprt_write_all((int)(intptr_t)arg, much, sizeof(much)));
	g_inc(&done);
}

/* close() with SO_LINGER 0 sends a reset. */
static void reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	G_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	G_OK(gmprt_close(fd));
}

G_TEST(a_reset_ends_the_waits_of_readers_and_writers)
{
	void (*const waits[])(void *) = { reads_once, writes_much };
	const char *const names[] = { "reader", "writer" };
	char byte;
	int sv[2];

	for (int i = 0; i < 2; i++) {
		g_store(&done, 0);
		gio_tcp(sv);
		make_small(sv);
		g_go_named(names[i], waits[i], (void *)(intptr_t)sv[0]);
		g_parked(names[i], 1);
		reset(sv[1]);
		g_until(&done, 1);
		G_TRUE(g_load(&result) == -ECONNRESET || g_load(&result) == -EPIPE);
		G_EQ(0, gmprt_read(sv[0], &byte, 1)); /* the error is told once */
		G_OK(gmprt_close(sv[0]));
	}
}

G_TEST(a_reset_before_the_read_is_told)
{
	char byte;
	int sv[2];

	gio_tcp(sv);
	reset(sv[1]);
	G_EQ(-ECONNRESET, gmprt_read(sv[0], &byte, 1));
	G_OK(gmprt_close(sv[0]));
}

/* SIGPIPE has its default action here: it would end the process. */
G_TEST(writing_to_a_peer_that_has_gone_is_EPIPE_without_a_signal)
{
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int sv[2], r;

	gio_pair(sv, SOCK_STREAM);
	G_OK(gmprt_close(sv[1]));
	G_EQ(-EPIPE, gmprt_write(sv[0], "x", 1));
	G_EQ(-EPIPE, gmprt_write_all(sv[0], "x", 1));
	G_EQ(-EPIPE, gmprt_writev(sv[0], &iov, 1));
	G_EQ(-EPIPE, gmprt_sendmsg(sv[0], &msg, 0));
	G_EQ(-EPIPE, gmprt_sendto(sv[0], "x", 1, 0, NULL, 0));
	G_OK(gmprt_close(sv[0]));
	gio_tcp(sv);
	G_OK(gmprt_close(sv[1]));
	while ((r = (int)gmprt_write(sv[0], "x", 1)) == 1)
		gmprt_yield();
	G_TRUE(r == -EPIPE || r == -ECONNRESET);
	G_OK(gmprt_close(sv[0]));
}

/* ---- what ends a short read besides emptiness ---- */

G_TEST(urgent_data_does_not_hide_what_comes_behind_it)
{
	char buf[64];
	int sv[2];

	for (int i = 0; i < G_LOOPS(50); i++) {
		gio_tcp(sv);
		/* A read first, so that the socket is registered and known. */
		G_EQ(-ETIMEDOUT, gmprt_read_dl(sv[0], buf, sizeof(buf), g_now() + G_MS / 10));
		G_EQ(3, gmprt_write_all(sv[1], "abc", 3));
		G_EQ(1, gmprt_sendto(sv[1], "!", 1, MSG_OOB, NULL, 0));
		G_EQ(3, gmprt_write_all(sv[1], "def", 3));
		gio_read_all(sv[0], buf, 6); /* hangs if the second half is missed */
		G_EQ(0, memcmp(buf, "abcdef", 6));
		gio_close(sv);
	}
}

G_TEST(a_look_takes_nothing_away)
{
	char buf[64];
	int sv[2];

	gio_tcp(sv);
	G_EQ(5, gmprt_write_all(sv[1], "hello", 5));
	for (int i = 0; i < 3; i++)
		G_EQ(5, gmprt_recvfrom(sv[0], buf, sizeof(buf), MSG_PEEK, NULL, NULL));
	G_EQ(5, gmprt_read(sv[0], buf, sizeof(buf)));
	gio_close(sv);
}

G_TEST(reads_of_nothing_return_nothing_at_once)
{
	int sv[2], p[2];

	gio_tcp(sv);
	G_EQ(0, gmprt_read(sv[0], NULL, 0));
	gio_close(sv);
	gio_pair(sv, SOCK_DGRAM);
	G_EQ(1, gmprt_write(sv[0], "x", 1));
	G_EQ(0, gmprt_read(sv[1], NULL, 0)); /* the datagram stays */
	G_EQ(1, gmprt_read_try(sv[1], &(char){ 0 }, 1));
	gio_close(sv);
	G_OK(pipe(p));
	G_EQ(0, gmprt_read(p[0], NULL, 0));
	gio_close(p);
}

TEST_HARNESS_MAIN
