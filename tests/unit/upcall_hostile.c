/* SPDX-License-Identifier: MIT */
/*
 * gmpd's limits, and clients that mean it harm
 */
#include <linux/bpf.h>

#include "unit/upcall_daemon.h"

/* ---- limits -------------------------------------------------------- */

DAEMON_TEST(a_user_has_so_many_sessions_and_what_he_keeps_counts)
{
	struct client a, b, c;

	gmpd_kill();
	gmpd_start("--sessions", "2");
	ASSERT_EQ(client_asks(&a, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(client_asks(&b, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(client_asks(&c, NR_PS, NR_MS, 1), -EDQUOT);
	close(a.sock);
	UNTIL(registers(&a, 1) == -EPERM);
	ASSERT_EQ(client_asks(&c, NR_PS, NR_MS, 1), -EDQUOT);
	client_drops_fds(&a);
	UNTIL(client_asks(&c, NR_PS, NR_MS, 1) == 0);
}

/* The memory is then the program's for as long as that is loaded. */
DAEMON_TEST(memory_that_is_bound_to_the_program_counts_too)
{
	union bpf_attr attr = { 0 };
	struct client k;

	gmpd_kill();
	gmpd_start("--sessions", "1");
	ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), 0);
	attr.prog_bind_map.prog_fd = (uint32_t)k.fds[GMPRT_FD_CALL];
	attr.prog_bind_map.map_fd = (uint32_t)k.fds[GMPRT_FD_SPACE];
	if (syscall(SYS_bpf, BPF_PROG_BIND_MAP, &attr, sizeof(attr)))
		SKIP(return, "this kernel does not bind: errno %d", errno);
	client_ends(&k);
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), -EDQUOT);
		client_ends(&k);
		g_nap(5000000);
	}
}

DAEMON_TEST(a_user_has_so_many_bytes)
{
	struct client a, b;

	gmpd_kill();
	gmpd_start("--bytes", "1100000");
	ASSERT_EQ(client_asks(&a, 64, 10001, 16), 0);
	ASSERT_EQ(client_asks(&b, 64, 10001, 16), -EDQUOT);
	ASSERT_EQ(client_asks(&b, 1, 2, 1), 0);
}

/* Who connects is who one is at that moment. */
static int asks_as(uid_t uid, struct client *k)
{
	int r;

	G_OK(setegid(NOBODY));
	G_OK(seteuid(uid));
	r = client_asks(k, NR_PS, NR_MS, 1);
	G_OK(seteuid(0));
	G_OK(setegid(0));
	return r;
}

DAEMON_TEST(all_users_together_have_four_times_as_many)
{
	struct client k;

	gmpd_kill();
	gmpd_start("--bytes", "70000"); /* one session */
	for (uid_t uid = 1; uid <= 4; uid++) {
		ASSERT_EQ(asks_as(uid, &k), 0);
		ASSERT_EQ(asks_as(uid, &k), -EDQUOT);
		G_TRUE(strstr(k.a.why, "user "));
	}
	ASSERT_EQ(asks_as(5, &k), -EDQUOT);
	G_TRUE(strstr(k.a.why, "all users "));
}

DAEMON_TEST(a_shape_out_of_bounds_is_refused)
{
	static const uint32_t shapes[][3] = {
		{ 0, 8, 1 },
		{ 1025, 8, 1 },
		{ 1, 1, 1 },
		{ 1, GMPRT_ABI_MAX_MS + 1, 1 },
		{ 1, 8, 0 },
		{ 1, 8, 257 },
		{ UINT32_MAX, 8, 1 },
		{ 1, UINT32_MAX, 1 },
		{ 1, 8, 1u << 31 },
	};
	struct client k;

	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		ASSERT_EQ(client_asks(&k, shapes[i][0], shapes[i][1], shapes[i][2]), -EINVAL);
		client_ends(&k);
	}
	still_serves();
}

/* ---- hostile ------------------------------------------------------- */

DAEMON_TEST(a_message_of_a_wrong_size_ends_the_connection)
{
	static const size_t sizes[] = { 1, 8, 31, 33, 4096, 60000 };
	static char bytes[60000];
	struct client k;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		client_connect(&k);
		ASSERT_EQ(rt_unix_send(k.sock, bytes, sizes[i]), 0);
		ASSERT_EQ(client_hears(&k), 1);
		client_ends(&k);
	}
	client_connect(&k);
	ASSERT_EQ(rt_unix_send(k.sock, bytes, 32), 0);
	ASSERT_EQ(client_hears(&k), -EPROTO);
	client_ends(&k);
	still_serves();
}

DAEMON_TEST(a_second_question_ends_the_session)
{
	struct client k;

	ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(rt_unix_send(k.sock, &k.a, sizeof(struct gmprt_gmpd_ask)), 0);
	UNTIL(registers(&k, 1) == -EPERM);
	ASSERT_EQ(client_hears(&k), 1);
}

static void send_fd(int sock, int fd)
{
	struct gmprt_gmpd_ask q = { .magic = GMPRT_GMPD_MAGIC };
	struct iovec v = { .iov_base = &q, .iov_len = sizeof(q) };
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	G_EQ(sendmsg(sock, &m, MSG_NOSIGNAL), sizeof(q));
}

DAEMON_TEST(a_descriptor_that_is_sent_is_closed)
{
	struct client k;
	int p[2];
	char c;

	ASSERT_EQ(pipe(p), 0);
	client_connect(&k);
	send_fd(k.sock, p[1]);
	close(p[1]);
	ASSERT_EQ(client_hears(&k), 1);
	ASSERT_EQ(read(p[0], &c, 1), 0);
	still_serves();
}

static void gets_a_session(void)
{
	struct client k;

	G_OK(setresgid(NOBODY, NOBODY, NOBODY));
	G_OK(setresuid(NOBODY, NOBODY, NOBODY));
	G_OK(client_asks(&k, NR_PS, NR_MS, 1));
}

/* Some say nothing, some ask, and none of them reads. */
DAEMON_TEST(a_users_flood_of_connections_keeps_nobody_else_out)
{
	struct gmprt_gmpd_ask q = { .magic = GMPRT_GMPD_MAGIC };
	static struct g_end end;
	int fds[200];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = rt_unix_connect(sock_path, 5000);
		ASSERT_GE(fds[i], 0);
		if (i % 3 == 0)
			(void)!rt_unix_send(fds[i], &q, sizeof(q));
	}
	g_child(&end, gets_a_session);
	G_EXITS(&end, 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	still_serves();
}

DAEMON_TEST(beyond_his_number_of_connections_a_user_is_told_so)
{
	struct client k[30];
	int told = 0;

	for (size_t i = 0; i < ARRAY_SIZE(k); i++)
		client_connect(&k[i]);
	for (size_t i = 24; i < ARRAY_SIZE(k); i++)
		told += client_hears(&k[i]) == -EBUSY;
	ASSERT_EQ(told, 6);
}

DAEMON_TEST(who_does_not_ask_is_not_waited_for)
{
	struct pollfd p = { .events = POLLIN };
	struct client k;

	client_connect(&k);
	p.fd = k.sock;
	ASSERT_EQ(poll(&p, 1, -1), 1); /* after some seconds */
	ASSERT_EQ(client_hears(&k), 1);
	still_serves();
}

TEST_HARNESS_MAIN
