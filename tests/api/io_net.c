/* SPDX-License-Identifier: MIT */
/*
 * io_net.c - proves: listening, dialling, accepting and connecting work by
 * number and by name, blocking and not, and fail with one error that says why
 */
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "lib/gio.h"
#include "lib/gtest.h"

static gmprt_wg wg;

/* ---- what the fds are like ---- */

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	G_OK(getsockopt(fd, level, name, &value, &len));
	return value;
}

static void expect_ours(int fd)
{
	G_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK);
	G_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

G_TEST(fds_made_here_are_nonblocking_close_on_exec_and_without_delay)
{
	int l = gio_listen(), d = gio_dial(gio_port(l)), a = gmprt_accept(l, NULL, NULL);

	expect_ours(l);
	expect_ours(d);
	expect_ours(a);
	G_NE(0, option(d, IPPROTO_TCP, TCP_NODELAY));
	G_NE(0, option(a, IPPROTO_TCP, TCP_NODELAY));
	G_NE(0, option(l, SOL_SOCKET, SO_REUSEADDR));
	G_OK(gmprt_close(l));
	G_OK(gmprt_close(d));
	G_OK(gmprt_close(a));
}

G_TEST(accept_tells_who_it_was)
{
	int l = gio_listen(), d = gio_dial(gio_port(l)), a;
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof(from);

	a = gmprt_accept(l, (struct sockaddr *)&from, &len);
	G_GE(a, 0);
	G_EQ(sizeof(from), len);
	G_EQ(gio_port(d), ntohs(from.sin_port));
	G_OK(gmprt_close(l));
	G_OK(gmprt_close(d));
	G_OK(gmprt_close(a));
}

/* ---- accept ---- */

static void dials(void *arg)
{
	int fd = gio_dial((int)(intptr_t)arg);

	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

static long accepted;

static void accepts_some(void *arg)
{
	int fd;

	while ((fd = gmprt_accept((int)(intptr_t)arg, NULL, NULL)) >= 0) {
		g_inc(&accepted);
		G_OK(gmprt_close(fd));
	}
	G_EQ(-ECANCELED, fd);
	gmprt_wg_done(&wg);
}

G_TEST(several_may_accept_from_one_listener)
{
	int l = gio_listen(), n = 300 / G_SLOW;

	gmprt_wg_add(&wg, n);
	for (int i = 0; i < 8; i++)
		g_go_named("acceptor", accepts_some, (void *)(intptr_t)l);
	for (int i = 0; i < n; i++)
		g_go(dials, (void *)(intptr_t)gio_port(l));
	gmprt_wg_wait(&wg);
	while (g_load(&accepted) < n)
		G_OK(gmprt_sleep(G_MS));
	gmprt_wg_add(&wg, 8);
	g_parked("acceptor", 8);
	G_OK(gmprt_close(l));
	gmprt_wg_wait(&wg);
	G_EQ(n, g_load(&accepted));
}

static int plain_listener(int type)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | type, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	G_OK(bind(l, (struct sockaddr *)&a, sizeof(a)));
	G_OK(listen(l, 100));
	return l;
}

G_TEST(a_listener_of_others_may_be_blocking)
{
	for (int type = 0; type <= SOCK_NONBLOCK; type += SOCK_NONBLOCK) {
		int l = plain_listener(type), flags = fcntl(l, F_GETFL), fd;

		G_EQ(-EAGAIN, gmprt_accept_try(l, NULL, NULL));
		G_EQ(-ETIMEDOUT, gmprt_accept_dl(l, NULL, NULL, g_now() + G_MS));
		gmprt_wg_add(&wg, 10);
		for (int i = 0; i < 10; i++)
			g_go(dials, (void *)(intptr_t)gio_port(l));
		for (int i = 0; i < 10; i++) {
			fd = i % 2 ? gmprt_accept(l, NULL, NULL) :
				     gmprt_accept_dl(l, NULL, NULL, GMPRT_FOREVER);
			G_GE(fd, 0);
			expect_ours(fd);
			G_OK(gmprt_close(fd));
		}
		gmprt_wg_wait(&wg);
		G_EQ(flags, fcntl(l, F_GETFL));
		G_OK(gmprt_close(l));
	}
}

G_TEST(accept_without_a_connection_tries_and_times_out)
{
	int l = gio_listen(), d, fd;

	G_EQ(-EAGAIN, gmprt_accept_try(l, NULL, NULL));
	G_EQ(-ETIMEDOUT, gmprt_accept_dl(l, NULL, NULL, g_now() + G_MS));
	d = gio_dial(gio_port(l));
	G_EQ(POLLIN, gmprt_poll(l, POLLIN));
	fd = gmprt_accept_try(l, NULL, NULL);
	G_GE(fd, 0);
	G_OK(gmprt_close(fd));
	G_OK(gmprt_close(d));
	G_OK(gmprt_close(l));
}

/* ---- connect ---- */

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

G_TEST(connect_leaves_blocking_as_it_was)
{
	int l = gio_listen();
	struct sockaddr_in a = loopback(gio_port(l));

	for (int type = 0; type <= SOCK_NONBLOCK; type += SOCK_NONBLOCK) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | type, 0);
		int flags = fcntl(fd, F_GETFL);

		G_OK(gmprt_connect(fd, (struct sockaddr *)&a, sizeof(a)));
		G_EQ(flags, fcntl(fd, F_GETFL));
		G_EQ(-EISCONN, gmprt_connect(fd, (struct sockaddr *)&a, sizeof(a)));
		G_OK(gmprt_close(fd));
	}
	G_OK(gmprt_close(l));
}

/* A port that nobody listens on. */
static int dead_port(void)
{
	int l = gio_listen(), port = gio_port(l);

	G_OK(gmprt_close(l));
	return port;
}

G_TEST(a_port_without_a_listener_is_ECONNREFUSED)
{
	struct sockaddr_in a = loopback(dead_port());
	char at[32];

	for (int i = 0; i < 3; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		G_EQ(-ECONNREFUSED, gmprt_connect(fd, (struct sockaddr *)&a, sizeof(a)));
		G_OK(gmprt_close(fd));
	}
	snprintf(at, sizeof(at), "127.0.0.1:%d", ntohs(a.sin_port));
	G_EQ(-ECONNREFUSED, gmprt_dial_tcp(at));
	snprintf(at, sizeof(at), ":%d", ntohs(a.sin_port));
	G_LT(gmprt_dial_tcp(at), 0); /* both families; the second may not exist */
}

G_TEST(a_connection_begun_by_a_try_is_finished_by_another)
{
	int l = gio_listen(), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
	struct sockaddr_in a = loopback(gio_port(l));

	while ((r = gmprt_connect_try(fd, (struct sockaddr *)&a, sizeof(a))) == -EAGAIN)
		G_GT(gmprt_poll(fd, POLLOUT), 0);
	G_EQ(0, r);
	G_OK(gmprt_close(fd));
	G_OK(gmprt_close(l));
}

/* The listener's queue is full: the kernel answers no SYN, the attempt hangs. */
G_TEST(a_connection_that_hangs_ends_by_deadline_and_close)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd[10], r = 0, n = 0;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	G_OK(bind(l, (struct sockaddr *)&a, sizeof(a)));
	G_OK(listen(l, 0));
	a = loopback(gio_port(l));
	while (r == 0 && n < 10) {
		fd[n] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		r = gmprt_connect_dl(fd[n++], (struct sockaddr *)&a, sizeof(a),
				     g_now() + 50 * G_MS);
	}
	G_EQ(-ETIMEDOUT, r);
	while (n)
		G_OK(gmprt_close(fd[--n]));
	G_OK(gmprt_close(l));
}

static struct sockaddr_un un_addr;
static socklen_t un_len;

static void connects_unix(void *unused)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unused;
	G_OK(gmprt_connect(fd, (struct sockaddr *)&un_addr, un_len));
	G_EQ(1, gmprt_write(fd, "x", 1));
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

/* A full queue of a UNIX listener is EAGAIN, and no event says when it isn't. */
G_TEST(connecting_to_a_busy_unix_listener_waits_for_its_turn)
{
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), n = 20;
	char byte;

	un_addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	un_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			     (size_t)snprintf(un_addr.sun_path + 1, 90, "gmprt-net-%d-%d",
					      getpid(), g_procs));
	G_OK(bind(l, (struct sockaddr *)&un_addr, un_len));
	G_OK(listen(l, 1));
	gmprt_wg_add(&wg, n);
	for (int i = 0; i < n; i++)
		g_go(connects_unix, NULL);
	G_OK(gmprt_sleep(3 * G_MS));
	for (int i = 0; i < n; i++) {
		int fd = gmprt_accept(l, NULL, NULL);

		G_GE(fd, 0);
		gio_read_all(fd, &byte, 1);
		G_OK(gmprt_close(fd));
	}
	gmprt_wg_wait(&wg);
	G_OK(gmprt_close(l));
}

G_TEST(udp_sockets_connect_at_once)
{
	struct sockaddr_in a = loopback(9);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	G_OK(gmprt_connect(fd, (struct sockaddr *)&a, sizeof(a)));
	G_OK(gmprt_close(fd));
}

/* ---- by name ---- */

static void meet(const char *listen_at, const char *dial_host)
{
	int l = gmprt_listen_tcp(listen_at, 5), d, a;
	struct sockaddr_storage s;
	socklen_t len = sizeof(s);
	char at[100];

	G_GE(l, 0);
	G_OK(getsockname(l, (struct sockaddr *)&s, &len));
	/* The port is at the same place in both families. */
	snprintf(at, sizeof(at), "%s:%d", dial_host, ntohs(((struct sockaddr_in *)&s)->sin_port));
	d = gmprt_dial_tcp_dl(at, g_now() + 20 * G_SEC);
	G_GE(d, 0);
	a = gmprt_accept(l, NULL, NULL);
	G_GE(a, 0);
	G_EQ(2, gmprt_write(d, "hi", 2));
	gio_read_all(a, at, 2);
	G_OK(gmprt_close(l));
	G_OK(gmprt_close(d));
	G_OK(gmprt_close(a));
}

static bool has_v6(void)
{
	int fd = gmprt_listen_tcp("[::1]:0", 0);

	if (fd < 0)
		return false;
	G_OK(gmprt_close(fd));
	return true;
}

/* Not without /etc/hosts, as in a bare root. */
static bool knows_localhost(void)
{
	struct addrinfo *list;

	if (getaddrinfo("localhost", NULL, NULL, &list))
		return false;
	freeaddrinfo(list);
	return true;
}

G_TEST(addresses_are_written_as_in_Go)
{
	meet("127.0.0.1:0", "127.0.0.1");
	meet(":0", "127.0.0.1");
	meet(":0", "");
	if (knows_localhost()) {
		meet("localhost:0", "localhost");
		meet("0.0.0.0:0", "localhost");
	}
	if (has_v6()) {
		meet("[::1]:0", "[::1]");
		meet(":0", "[::1]");
		meet("[::]:0", "127.0.0.1");
	}
}

TEST(listening_needs_no_run)
{
	int l = gmprt_listen_tcp("127.0.0.1:0", 0);

	G_GE(l, 0);
	G_EQ(-EAGAIN, gmprt_accept_try(l, NULL, NULL));
	G_EQ(-EPERM, gmprt_accept(l, NULL, NULL));
	G_OK(gmprt_close(l));
	G_EQ(-EPERM, gmprt_dial_tcp("127.0.0.1:80"));
}

G_TEST(nonsense_is_EINVAL)
{
	const char *const bad[] = { "", "127.0.0.1", "127.0.0.1:", "::1:80", "[::1]", "[::1:80",
				    "127.0.0.1:65536", "127.0.0.1:8x", "127.0.0.1:99999999999",
				    "127.0.0.1: 0", "127.0.0.1:+0", ":-1", " :0", ":0 ", "*:0",
				    "[127.0.0.1]:0", "[x]:0", "a b:0", "x]:80" };
	char host[400];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) - 1; i++) {
		G_EQ(-EINVAL, gmprt_listen_tcp(bad[i], 0));
		G_EQ(-EINVAL, gmprt_dial_tcp(bad[i]));
	}
	memset(host, 'a', sizeof(host));
	memcpy(host + sizeof(host) - 4, ":80", 4);
	G_EQ(-EINVAL, gmprt_dial_tcp(host));
	G_EQ(-EINVAL, gmprt_dial_tcp(NULL));
}

G_TEST(unknown_services_and_taken_ports_say_so)
{
	int l = gio_listen();
	char at[32];

	G_EQ(-ENOENT, gmprt_listen_tcp("127.0.0.1:no-such-service", 0));
	snprintf(at, sizeof(at), "127.0.0.1:%d", gio_port(l));
	G_EQ(-EADDRINUSE, gmprt_listen_tcp(at, 0));
	G_EQ(-EADDRNOTAVAIL, gmprt_listen_tcp("192.0.2.1:0", 0));
	G_OK(gmprt_close(l));
	/* Closed is closed: the port is free at once. */
	l = gmprt_listen_tcp(at, 0);
	G_GE(l, 0);
	G_OK(gmprt_close(l));
}

static void accepts_once(void *arg)
{
	int fd = gmprt_accept((int)(intptr_t)arg, NULL, NULL);

	if (fd >= 0)
		G_OK(gmprt_close(fd));
	else
		G_EQ(-ECANCELED, fd);
	gmprt_wg_done(&wg);
}

static void dials_perhaps(void *arg)
{
	struct sockaddr_in a = loopback((int)(intptr_t)arg);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* The listener may be gone before or while it connects. */
	(void)!gmprt_connect_dl(fd, (struct sockaddr *)&a, sizeof(a), g_now() + 20 * G_SEC);
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

/* An acceptor on another P may be in the middle of its call. */
G_TEST(a_port_is_free_when_close_has_returned_though_others_accept)
{
	char at[32] = "127.0.0.1:0";

	for (int i = 0; i < G_LOOPS(300); i++) {
		int l = gmprt_listen_tcp(at, 0);

		G_GE(l, 0);
		snprintf(at, sizeof(at), "127.0.0.1:%d", gio_port(l));
		gmprt_wg_add(&wg, 3);
		for (int k = 0; k < 2; k++)
			g_go(accepts_once, (void *)(intptr_t)l);
		while (g_stats().nr_io_waiting < 2)
			gmprt_yield();
		g_go(dials_perhaps, (void *)(intptr_t)gio_port(l));
		for (int k = 0; k < i % 4; k++)
			gmprt_yield();
		G_OK(gmprt_close(l));
		l = gmprt_listen_tcp(at, 0);
		G_GE(l, 0);
		G_OK(gmprt_close(l));
		gmprt_wg_wait(&wg);
	}
}

TEST_HARNESS_MAIN
