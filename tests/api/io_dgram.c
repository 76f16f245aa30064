/* SPDX-License-Identifier: MIT */
/*
 * io_dgram.c - proves: datagrams keep their borders and senders, fds travel,
 * and a full receiver makes senders wait, also where no event says that it has
 * room again
 */
#include <sys/uio.h>

#include "lib/gio.h"
#include "lib/gtest.h"

static gmprt_wg wg;

static int udp(struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*a = (struct sockaddr_in){ .sin_family = AF_INET };
	a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	G_OK(bind(fd, (struct sockaddr *)a, len));
	G_OK(getsockname(fd, (struct sockaddr *)a, &len));
	return fd;
}

/* ---- UDP ---- */

static int server;

static void answers(void *arg)
{
	char buf[100];

	for (long i = 0; i < (intptr_t)arg; i++) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = gmprt_recvfrom(server, buf, sizeof(buf), 0, (struct sockaddr *)&from,
					   &len);

		G_GT(n, 0);
		G_EQ(sizeof(from), len);
		G_EQ(n, gmprt_sendto(server, buf, (size_t)n, 0, (struct sockaddr *)&from, len));
	}
	gmprt_wg_done(&wg);
}

G_TEST(udp_answers_go_to_who_asked)
{
	struct sockaddr_in to, a[4];
	long n = G_LOOPS(100);
	char buf[100];
	int fd[4];

	server = udp(&to);
	gmprt_wg_add(&wg, 1);
	g_go(answers, (void *)(intptr_t)(4 * n));
	for (int i = 0; i < 4; i++)
		fd[i] = udp(&a[i]);
	for (long k = 0; k < n; k++)
		for (int i = 0; i < 4; i++) {
			int len = snprintf(buf, sizeof(buf), "%d %ld", i, k);
			char in[100];

			G_EQ(len, gmprt_sendto(fd[i], buf, (size_t)len, 0, (struct sockaddr *)&to,
					       sizeof(to)));
			G_EQ(len, gmprt_read(fd[i], in, sizeof(in)));
			G_EQ(0, memcmp(in, buf, (size_t)len));
		}
	gmprt_wg_wait(&wg);
	for (int i = 0; i < 4; i++)
		G_OK(gmprt_close(fd[i]));
	G_OK(gmprt_close(server));
}

static long got;

static void takes_some(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[8];

	/* Only a zero ends it: each datagram is one goroutine's. */
	for (;;) {
		G_EQ(1, gmprt_read(fd, buf, sizeof(buf)));
		if (buf[0] == 'z')
			break;
		g_inc(&got);
		if (g_load(&got) % 3 == 0)
			gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

/* One event may stand for several datagrams: no reader may be left asleep while
 * there are some. */
G_TEST(readers_of_one_socket_share_what_comes)
{
	long n = G_LOOPS(3000);
	int sv[2];

	gio_pair(sv, SOCK_DGRAM);
	gmprt_wg_add(&wg, 5);
	for (int i = 0; i < 5; i++)
		g_go(takes_some, (void *)(intptr_t)sv[0]);
	for (long i = 0; i < n; i++) {
		G_EQ(1, gmprt_write(sv[1], "a", 1));
		if (i % 11 == 0)
			gmprt_yield();
	}
	for (int i = 0; i < 5; i++)
		G_EQ(1, gmprt_write(sv[1], "z", 1));
	gmprt_wg_wait(&wg);
	G_EQ(n, g_load(&got));
	gio_close(sv);
}

G_TEST(an_empty_datagram_is_one)
{
	struct sockaddr_in a, b;
	int fd = udp(&a), to = udp(&b);
	char buf[4];

	G_EQ(0, gmprt_sendto(fd, "", 0, 0, (struct sockaddr *)&b, sizeof(b)));
	G_EQ(0, gmprt_read(to, buf, sizeof(buf)));
	G_EQ(-EAGAIN, gmprt_read_try(to, buf, sizeof(buf)));
	G_OK(gmprt_close(fd));
	G_OK(gmprt_close(to));
}

G_TEST(the_wish_not_to_wait_makes_it_a_try)
{
	struct iovec iov = { &(char){ 0 }, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	char byte;
	int sv[2];

	gio_pair(sv, SOCK_STREAM);
	G_EQ(-EAGAIN, gmprt_recvfrom(sv[0], &byte, 1, MSG_DONTWAIT, NULL, NULL));
	G_EQ(-EAGAIN, gmprt_recvmsg(sv[0], &msg, MSG_DONTWAIT));
	gio_fill(sv[0]);
	G_EQ(-EAGAIN, gmprt_sendto(sv[0], "x", 1, MSG_DONTWAIT, NULL, 0));
	G_EQ(-EAGAIN, gmprt_sendmsg(sv[0], &msg, MSG_DONTWAIT));
	gio_close(sv);
}

/* ---- UNIX datagrams ---- */

static int bound(struct sockaddr_un *a, socklen_t *len)
{
	static long nr;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	/* The abstract name space: nothing to clean up. */
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1,
					    "gmprt-test-%d-%ld", getpid(), g_inc(&nr)));
	G_OK(bind(fd, (struct sockaddr *)a, *len));
	return fd;
}

static struct sockaddr_un un_addr;
static socklen_t un_len;
static long sent;

static void floods(void *arg)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (long i = 0; i < (intptr_t)arg; i++) {
		G_EQ(1, gmprt_sendto(fd, "x", 1, 0, (struct sockaddr *)&un_addr, un_len));
		g_inc(&sent);
	}
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

/* Its queue holds 10 or so. An unconnected sender hears nothing of room. */
G_TEST(a_sender_to_a_full_socket_goes_on_when_it_has_room)
{
	int fd = bound(&un_addr, &un_len);
	long n = 60;
	char byte;

	g_store(&sent, 0);
	gmprt_wg_add(&wg, 1);
	g_go(floods, (void *)(intptr_t)n);
	G_OK(gmprt_sleep(10 * G_MS));
	G_LT(g_load(&sent), n);
	for (long i = 0; i < n; i++) {
		G_EQ(1, gmprt_read(fd, &byte, 1));
		if (i % 20 == 0)
			G_OK(gmprt_sleep(G_MS));
	}
	gmprt_wg_wait(&wg);
	G_OK(gmprt_close(fd));
}

static void floods_connected(void *arg)
{
	int fd = (int)(intptr_t)arg;

	for (int i = 0; i < 60; i++)
		G_EQ(1, gmprt_write(fd, "x", 1));
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

G_TEST(a_connected_sender_too)
{
	int fd = bound(&un_addr, &un_len), to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char byte;

	G_OK(gmprt_connect(to, (struct sockaddr *)&un_addr, un_len));
	gmprt_wg_add(&wg, 1);
	g_go(floods_connected, (void *)(intptr_t)to);
	G_OK(gmprt_sleep(2 * G_MS));
	for (int i = 0; i < 60; i++)
		G_EQ(1, gmprt_read(fd, &byte, 1));
	gmprt_wg_wait(&wg);
	G_OK(gmprt_close(fd));
}

G_TEST(waiting_to_send_to_a_full_socket_ends_by_deadline_and_close)
{
	int fd = bound(&un_addr, &un_len), to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;
	int64_t dl;

	while ((r = (int)gmprt_sendto_try(to, "x", 1, 0, (struct sockaddr *)&un_addr, un_len)) == 1)
		;
	G_EQ(-EAGAIN, r);
	dl = g_now() + 30 * G_MS;
	G_EQ(-ETIMEDOUT,
	     gmprt_sendto_dl(to, "x", 1, 0, (struct sockaddr *)&un_addr, un_len, dl));
	G_GE(g_now(), dl);
	g_store(&sent, 0);
	G_OK(gmprt_close(to));
	G_OK(gmprt_close(fd));
}

/* ---- fds travel ---- */

static void send_fd(int over, int fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { "f", 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&msg);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	G_EQ(1, gmprt_sendmsg(over, &msg, 0));
}

static int recv_fd(int over)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd;

	G_EQ(1, gmprt_recvmsg(over, &msg, MSG_CMSG_CLOEXEC));
	G_TRUE(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void uses_what_comes(void *arg)
{
	int over = (int)(intptr_t)arg;

	for (int i = 0; i < 20; i++) {
		int fd = recv_fd(over);

		G_EQ(5, gmprt_write_all(fd, "hello", 5));
		G_OK(gmprt_close(fd));
	}
	gmprt_wg_done(&wg);
}

G_TEST(fds_travel_and_work_where_they_arrive)
{
	int over[2], p[2];
	char buf[8];

	gio_pair(over, SOCK_STREAM);
	gmprt_wg_add(&wg, 1);
	g_go(uses_what_comes, (void *)(intptr_t)over[1]);
	for (int i = 0; i < 20; i++) {
		G_OK(pipe(p));
		send_fd(over[0], p[1]);
		G_OK(gmprt_close(p[1]));
		gio_read_all(p[0], buf, 5);
		G_EQ(0, gmprt_read(p[0], buf, 1));
		G_OK(gmprt_close(p[0]));
	}
	gmprt_wg_wait(&wg);
	gio_close(over);
}

/* A read of a UNIX stream stops behind a byte that carries an fd: that it was
 * short does not mean that nothing is left. */
G_TEST(a_read_that_stopped_behind_an_fd_does_not_hide_the_rest)
{
	char buf[64];
	int over[2];

	gio_pair(over, SOCK_STREAM);
	for (int i = 0; i < G_LOOPS(50); i++) {
		G_EQ(-ETIMEDOUT, gmprt_read_dl(over[1], buf, sizeof(buf), g_now() + G_MS / 10));
		send_fd(over[0], 0);
		G_EQ(3, gmprt_write_all(over[0], "abc", 3));
		G_EQ(1, gmprt_read(over[1], buf, sizeof(buf))); /* the fd is dropped */
		G_EQ(3, gmprt_read(over[1], buf, sizeof(buf)));
	}
	gio_close(over);
}

/* ---- forms ---- */

G_TEST(messages_have_their_deadlines)
{
	struct iovec iov = { &(char[4]){ 0 }, 4 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	char buf[4];
	int sv[2];

	gio_pair(sv, SOCK_SEQPACKET);
	G_EQ(-EAGAIN, gmprt_recvmsg_try(sv[0], &msg, 0));
	G_EQ(-ETIMEDOUT, gmprt_recvmsg_dl(sv[0], &msg, 0, g_now() + G_MS));
	G_EQ(-EAGAIN, gmprt_recvfrom_try(sv[0], buf, 4, 0, NULL, NULL));
	G_EQ(-ETIMEDOUT, gmprt_recvfrom_dl(sv[0], buf, 4, 0, NULL, NULL, g_now() + G_MS));
	G_EQ(4, gmprt_sendmsg_dl(sv[1], &msg, 0, 0));
	G_EQ(4, gmprt_recvmsg_dl(sv[0], &msg, 0, 0));
	G_EQ(4, gmprt_sendmsg_try(sv[1], &msg, 0));
	G_EQ(4, gmprt_recvmsg_try(sv[0], &msg, 0));
	G_EQ(4, gmprt_sendto_dl(sv[1], "1234", 4, 0, NULL, 0, GMPRT_FOREVER));
	G_EQ(4, gmprt_recvfrom_dl(sv[0], buf, 4, 0, NULL, NULL, GMPRT_FOREVER));
	gio_fill(sv[1]);
	G_EQ(-EAGAIN, gmprt_sendmsg_try(sv[1], &msg, 0));
	G_EQ(-ETIMEDOUT, gmprt_sendmsg_dl(sv[1], &msg, 0, g_now() + G_MS));
	G_EQ(-EAGAIN, gmprt_sendto_try(sv[1], "1234", 4, 0, NULL, 0));
	G_EQ(-ETIMEDOUT, gmprt_sendto_dl(sv[1], "1234", 4, 0, NULL, 0, g_now() + G_MS));
	gio_close(sv);
}

G_TEST(messages_are_for_sockets_only)
{
	struct msghdr msg = { 0 };
	char buf[4];
	int p[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	G_OK(pipe(p));
	for (int i = 0; i < 2; i++) {
		int fd = i ? file : p[i];

		G_EQ(-ENOTSOCK, gmprt_recvfrom(fd, buf, 4, 0, NULL, NULL));
		G_EQ(-ENOTSOCK, gmprt_sendto(fd, buf, 4, 0, NULL, 0));
		G_EQ(-ENOTSOCK, gmprt_recvmsg(fd, &msg, 0));
		G_EQ(-ENOTSOCK, gmprt_sendmsg(fd, &msg, 0));
		G_EQ(-ENOTSOCK, gmprt_accept(fd, NULL, NULL));
	}
	gio_close(p);
	G_OK(gmprt_close(file));
}

TEST_HARNESS_MAIN
