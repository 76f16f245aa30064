/* SPDX-License-Identifier: MIT */
/*
 * gmpd and its clients: who gets what, what one client can do to another and to
 * the daemon, and what is left when either ends. Each test has programs of its own
 * pinned, and a daemon with a socket of its own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "abi/gmprt_gmpd.h"
#include "base/sysbpf.h"
#include "base/sysunix.h"

#include "unit/upcall_bpf.h"

#define NOBODY 65534

static char tools[256], pins[64], folder[64], sock_path[80];
static pid_t gmpd;
static int given = -1;    /* a socket for gmpd to listen at */
static const char *lacks; /* why there is no daemon here */

/* ---- programs ------------------------------------------------------ */

/* build/tests/unit/NAME is our path; sanitizers' builds lie one folder deeper. */
static bool find_tools(void)
{
	static const char *const up[] = { "../../bin", "../../../bin" };
	char self[160];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = 0;
	*strrchr(self, '/') = 0;
	for (size_t i = 0; i < ARRAY_SIZE(up); i++) {
		char gmpd_path[300];

		snprintf(tools, sizeof(tools), "%s/%s", self, up[i]);
		snprintf(gmpd_path, sizeof(gmpd_path), "%s/gmpd", tools);
		if (access(gmpd_path, X_OK) == 0)
			return true;
	}
	return false;
}

/* As who activates by socket does. */
static void give_socket(void)
{
	char pid[16];

	if (given < 0)
		return;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	dup2(given, 3);
	fcntl(3, F_SETFD, 0); /* it may have been 3 */
}

static pid_t start(const char *name, const char *const *args)
{
	const char *argv[16] = { name };
	char path[300];
	pid_t pid;
	int n = 1;

	snprintf(path, sizeof(path), "%s/%s", tools, name);
	while (*args)
		argv[n++] = *args++;
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	give_socket();
	execv(path, (char *const *)argv);
	_exit(127);
}

static int gmpctl(const char *command)
{
	const char *const args[] = { command, "--pins", pins, NULL };
	pid_t pid = start("gmpctl", args);
	int status;

	G_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void gmpd_start(const char *option, const char *value)
{
	const char *const args[] = { "--pins", pins, "--socket", sock_path,
				     "--group", "nogroup", option, value,
				     NULL };
	int fd;

	gmpd = start("gmpd", args);
	while ((fd = rt_unix_connect(sock_path, 1000)) < 0) {
		G_EQ(waitpid(gmpd, NULL, WNOHANG), 0);
		g_nap(5000000);
	}
	close(fd);
}

static void gmpd_kill(void)
{
	if (gmpd <= 0)
		return;
	kill(gmpd, SIGKILL);
	waitpid(gmpd, NULL, 0);
	gmpd = 0;
}

/* A test that a G_ check has ended took its teardown along. */
static void remove_leftovers(void)
{
	DIR *d = opendir("/sys/fs/bpf");
	struct dirent *e;
	int pid;

	while (d && (e = readdir(d)))
		if (sscanf(e->d_name, "gmprt-test-%d", &pid) == 1 && kill(pid, 0)) {
			snprintf(pins, sizeof(pins), "/sys/fs/bpf/gmprt-test-%d", pid);
			gmpctl("unload");
		}
	if (d)
		closedir(d);
}

static const char *prepared(void)
{
	if (geteuid() != 0)
		return "not root";
	if (!find_tools())
		return "gmpctl and gmpd are not built (make tools)";
	remove_leftovers();
	snprintf(pins, sizeof(pins), "/sys/fs/bpf/gmprt-test-%d", (int)getpid());
	snprintf(folder, sizeof(folder), "/tmp/gmpd-test-%d", (int)getpid());
	snprintf(sock_path, sizeof(sock_path), "%s/sock", folder);
	if (mkdir(folder, 0755))
		return "no folder in /tmp";
	return gmpctl("load") ? "gmpctl can't load here, see the line above" : NULL;
}

FIXTURE(daemon)
{
	int unused;
};

FIXTURE_SETUP(daemon)
{
	lacks = prepared();
	if (lacks)
		return;
	setenv("GMPRT_GMPD", sock_path, 1);
	gmpd_start(NULL, NULL);
}

FIXTURE_TEARDOWN(daemon)
{
	if (u.head)
		rt_upcall_bpf_close(&u);
	gmpd_kill();
	if (!lacks)
		gmpctl("unload");
	unlink(sock_path);
	rmdir(folder);
}

#define DAEMON_TEST(claim)                                  \
	static void claim##_body(struct __test_metadata *); \
	TEST_F(daemon, claim)                               \
	{                                                   \
		if (lacks)                                  \
			SKIP(return, "%s", lacks);          \
		claim##_body(_metadata);                    \
	}                                                   \
	static void claim##_body(struct __test_metadata *_metadata)

/* ---- a client that does as it likes -------------------------------- */

struct client {
	int sock;
	int fds[GMPRT_NR_FDS];
	struct gmprt_gmpd_answer a;
	struct gmprt_abi_head shape;
};

static void client_connect(struct client *k)
{
	memset(k, 0, sizeof(*k));
	k->sock = rt_unix_connect(sock_path, 5000);
	G_GE(k->sock, 0);
	for (int i = 0; i < GMPRT_NR_FDS; i++)
		k->fds[i] = -1;
}

/* The answer's error, or 1: there was none. */
static int client_hears(struct client *k)
{
	ssize_t n = rt_unix_recv(k->sock, &k->a, sizeof(k->a), k->fds, GMPRT_NR_FDS);

	if (n <= 0)
		return 1;
	G_EQ(n, sizeof(k->a));
	for (int i = 0; i < GMPRT_NR_FDS; i++)
		G_EQ(k->fds[i] >= 0, !k->a.error);
	return k->a.error;
}

static int client_asks(struct client *k, uint32_t nr_ps, uint32_t nr_ms, uint32_t stride)
{
	struct gmprt_gmpd_ask q = { .magic = GMPRT_GMPD_MAGIC,
				    .version = GMPRT_ABI_VERSION,
				    .nr_ps = nr_ps,
				    .nr_ms = nr_ms,
				    .p_stride = stride };

	client_connect(k);
	k->shape = (struct gmprt_abi_head){ .nr_ps = nr_ps, .nr_ms = nr_ms, .p_stride = stride };
	gmprt_abi_shape(&k->shape);
	G_OK(rt_unix_send(k->sock, &q, sizeof(q)));
	return client_hears(k);
}

static void client_drops_fds(struct client *k)
{
	for (int i = 0; i < GMPRT_NR_FDS; i++) {
		if (k->fds[i] >= 0)
			close(k->fds[i]);
		k->fds[i] = -1;
	}
}

static void client_ends(struct client *k)
{
	client_drops_fds(k);
	close(k->sock);
}

static int calls(const struct client *k, uint32_t op, uint32_t session, uint32_t m, uint64_t key)
{
	struct gmprt_abi_call c = { .op = op, .session = session, .m = m, .key = key };

	return rt_bpf_run(k->fds[GMPRT_FD_CALL], &c, sizeof(c));
}

static int registers(const struct client *k, uint32_t m)
{
	return calls(k, GMPRT_OP_REGISTER, k->a.session, m, k->a.key);
}

static int unregisters(const struct client *k)
{
	return calls(k, GMPRT_OP_UNREGISTER, k->a.session, 0, k->a.key);
}

static struct gmprt_abi_p *memory_of(const struct client *k)
{
	int r;
	void *at = rt_bpf_map(k->fds[GMPRT_FD_SPACE], 0,
			      rt_align_up((size_t)k->shape.nr_blocks * GMPRT_ABI_BLOCK, 4096), true,
			      &r);

	G_TRUE(at);
	return at;
}

static void still_serves(void)
{
	struct client k;

	G_OK(client_asks(&k, NR_PS, NR_MS, 1));
	G_OK(registers(&k, 1));
	G_OK(unregisters(&k));
	client_ends(&k);
}

/* ---- as it should be ----------------------------------------------- */

static void opened_by_daemon(void)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS };

	G_TRUE(opened_any(&shape));
	G_TRUE(u.from_daemon);
	G_GT(u.session, 0);
	never_idle();
}

DAEMON_TEST(an_m_of_its_session_that_blocks_loses_its_p)
{
	struct m m = { 0 };

	opened_by_daemon();
	p0->hint = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	m_wakes(&m);
	ASSERT_EQ(m.after, WORD1);
	ASSERT_EQ(m1->nr_reclaimed, 1);
	m_ends(&m);
}

DAEMON_TEST(what_was_taken_is_told_and_who_waits_is_woken)
{
	struct m m = { 0 };
	struct pollfd p = { .events = POLLIN };

	opened_by_daemon();
	p.fd = u.wake_fd;
	p0->hint = p0->wake = 1;
	m_start(&m, blocks_in_read);
	ASSERT_EQ(poll(&p, 1, -1), 1);
	ASSERT_TRUE(cas_acqrel(&p0->word, FREED, TAKEN));
	m_wakes(&m);
	ASSERT_EQ(m.after, TAKEN);
	ASSERT_EQ(m.signals, u.head->features & GMPRT_F_HOLD ? 1 : 0);
	m_ends(&m);
}

/* In a child, which has no right but its group's. */
static void as_nobody(void)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS };

	G_OK(setresgid(NOBODY, NOBODY, NOBODY));
	G_OK(setresuid(NOBODY, NOBODY, NOBODY));
	if (rt_upcall_bpf_open(&u, &shape))
		G_FAIL("%s", u.why);
	G_TRUE(u.from_daemon);
	slots();
	G_OK(rt_upcall_bpf_register(&u, 1));
	p0->hint = 1;
	store_rel(&p0->word, WORD1);
	g_nap(1000000);
	G_EQ(p0->nr_freed, 1);
	G_EQ(m1->nr_blocks, 1);
	rt_upcall_bpf_close(&u);
}

DAEMON_TEST(a_user_without_rights_has_the_same)
{
	static struct g_end end;

	g_child(&end, as_nobody);
	G_EXITS(&end, 0);
}

static void without_a_group(void)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS };

	G_OK(setresgid(NOBODY - 1, NOBODY - 1, NOBODY - 1));
	G_OK(setresuid(NOBODY, NOBODY, NOBODY));
	G_LT(rt_upcall_bpf_open(&u, &shape), 0);
	fprintf(stderr, "%s\n", u.why);
}

DAEMON_TEST(who_is_not_in_the_group_is_told_so)
{
	static struct g_end end;

	g_child(&end, without_a_group);
	G_EXITS(&end, 0);
	G_SAYS(&end, "you are not in its group");
	G_SAYS(&end, "no right to load BPF programs");
}

static int listening(int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", sock_path);
	G_OK(bind(fd, (struct sockaddr *)&at, sizeof(at)));
	G_OK(listen(fd, 5));
	return fd;
}

DAEMON_TEST(a_socket_that_it_is_given_is_served_and_stays)
{
	gmpd_kill();
	unlink(sock_path);
	given = listening(SOCK_SEQPACKET);
	gmpd_start("--socket", "/nowhere/sock");
	still_serves();
	ASSERT_EQ(kill(gmpd, SIGTERM), 0);
	ASSERT_EQ(waitpid(gmpd, NULL, 0), gmpd);
	gmpd = 0;
	ASSERT_EQ(access(sock_path, F_OK), 0);
}

DAEMON_TEST(a_socket_without_message_borders_is_refused)
{
	const char *const args[] = { "--pins", pins, NULL };
	int status;

	gmpd_kill();
	unlink(sock_path);
	given = listening(SOCK_STREAM);
	ASSERT_GT(waitpid(start("gmpd", args), &status, 0), 0);
	ASSERT_EQ(WEXITSTATUS(status), 1);
}

DAEMON_TEST(two_daemons_do_not_serve_the_same_pins)
{
	const char *const args[] = { "--pins", pins, "--socket", "/nowhere/sock", NULL };
	struct client k;
	int status;

	ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), 0);
	ASSERT_GT(waitpid(start("gmpd", args), &status, 0), 0);
	ASSERT_EQ(WEXITSTATUS(status), 1);
	ASSERT_EQ(registers(&k, 1), 0); /* it has ended nobody's session */
}

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* What fails with the daemon is tried by loading, which root may. */
DAEMON_TEST(whatever_fails_on_the_way_leaves_no_descriptor_open)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS };
	int before = descriptors(), by_loading = 0;
	unsigned long n = 0, passed = 1;

	for (; passed > n; n++) {
		rt_fault_arm(n + 1);
		if (rt_upcall_bpf_open(&u, &shape) == 0) {
			by_loading += !u.from_daemon;
			rt_upcall_bpf_close(&u);
		}
		passed = rt_fault_arm(0);
		ASSERT_EQ(descriptors(), before);
	}
	ASSERT_EQ(by_loading, 3); /* connect, send, receive */
}

/* ---- one client and another ---------------------------------------- */

DAEMON_TEST(another_sessions_key_opens_nothing)
{
	struct client a, b;

	ASSERT_EQ(client_asks(&a, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(client_asks(&b, NR_PS, NR_MS, 1), 0);
	ASSERT_NE(a.a.session, b.a.session);
	ASSERT_NE(a.a.key, b.a.key);
	ASSERT_EQ(calls(&a, GMPRT_OP_REGISTER, b.a.session, 1, a.a.key), -EPERM);
	ASSERT_EQ(calls(&a, GMPRT_OP_REGISTER, a.a.session, 1, b.a.key), -EPERM);
	ASSERT_EQ(calls(&a, GMPRT_OP_REGISTER, 0, 1, 0), -EPERM);
	for (uint32_t nr = 0; nr < 70; nr++)
		if (nr != a.a.session && nr != b.a.session)
			ASSERT_EQ(calls(&a, GMPRT_OP_REGISTER, nr, 1, a.a.key), -EPERM);
	ASSERT_EQ(registers(&a, 1), 0);
	ASSERT_EQ(calls(&b, GMPRT_OP_UNREGISTER, b.a.session, 0, b.a.key), -EINVAL);
	ASSERT_EQ(unregisters(&a), 0);
}

DAEMON_TEST(a_number_beyond_this_session_is_refused_though_another_has_it)
{
	struct client small, large;

	ASSERT_EQ(client_asks(&small, 1, 4, 1), 0);
	ASSERT_EQ(client_asks(&large, 8, 100, 1), 0);
	ASSERT_EQ(registers(&small, 4), -ERANGE);
	ASSERT_EQ(registers(&small, 99), -ERANGE);
	ASSERT_EQ(registers(&small, 0), -ERANGE);
	ASSERT_EQ(registers(&large, 99), 0);
}

/* Each block of both begins with a word that M 1 could lose. */
DAEMON_TEST(no_p_of_another_session_is_ever_freed)
{
	struct client a, b;
	struct gmprt_abi_p *at_a, *at_b;
	struct gmprt_abi_m *m;

	ASSERT_EQ(client_asks(&a, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(client_asks(&b, 8, 100, 1), 0);
	at_a = memory_of(&a);
	at_b = memory_of(&b);
	for (uint32_t i = 0; i < b.shape.nr_blocks; i++) {
		at_b[i].word = WORD1;
		at_b[i].hint = 1;
	}
	for (uint32_t i = 1; i <= NR_PS; i++)
		at_a[i].hint = 1;
	m = (struct gmprt_abi_m *)(at_a + a.shape.m_first) + 1;
	ASSERT_EQ(registers(&a, 1), 0);
	for (uint32_t p = 0; p < 200; p++) {
		store_rlx(&m->p, p);
		if (p < NR_PS)
			store_rel(&at_a[1 + p].word, WORD1);
		g_nap(50000);
	}
	ASSERT_EQ(m->nr_blocks, NR_PS);
	for (uint32_t i = 0; i < b.shape.nr_blocks; i++) {
		ASSERT_EQ(at_b[i].word, WORD1);
		ASSERT_EQ(at_b[i].nr_freed, 0);
	}
}

/* ---- ends ---------------------------------------------------------- */

DAEMON_TEST(a_session_ends_with_its_connection)
{
	struct client k;

	ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(registers(&k, 1), 0);
	close(k.sock);
	UNTIL(registers(&k, 2) == -EPERM);
	still_serves();
}

DAEMON_TEST(a_thread_goes_from_session_to_session)
{
	for (int i = 0; i < 100; i++) {
		struct client k;

		while (client_asks(&k, NR_PS, NR_MS, 1) == -EDQUOT)
			client_ends(&k); /* those before are not quite gone */
		ASSERT_EQ(k.a.error, 0);
		while (registers(&k, 1) == -EBUSY)
			g_nap(100000);
		client_ends(&k);
	}
	still_serves();
}

static void dies_with_a_session(void)
{
	struct client k;

	G_OK(client_asks(&k, NR_PS, NR_MS, 1));
	raise(SIGKILL);
}

DAEMON_TEST(sigkill_gives_the_session_back)
{
	static struct g_end end;

	for (int i = 0; i < 40; i++) { /* more than a user may have */
		g_child(&end, dies_with_a_session);
		G_SIGNALED(&end, SIGKILL);
	}
	still_serves();
}

DAEMON_TEST(the_session_outlives_the_daemon_but_not_the_next_one)
{
	struct client k;

	ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), 0);
	gmpd_kill();
	ASSERT_EQ(registers(&k, 1), 0);
	ASSERT_EQ(unregisters(&k), 0);
	gmpd_start(NULL, NULL);
	ASSERT_EQ(registers(&k, 1), -EPERM);
	still_serves();
}

DAEMON_TEST(programs_loaded_anew_are_found)
{
	struct client k, other;

	ASSERT_EQ(client_asks(&k, NR_PS, NR_MS, 1), 0);
	ASSERT_EQ(gmpctl("unload"), 0);
	ASSERT_EQ(client_asks(&other, NR_PS, NR_MS, 1), -ENOENT);
	G_TRUE(strstr(other.a.why, "run 'gmpctl load'"));
	ASSERT_EQ(gmpctl("load"), 0);
	still_serves();
	client_ends(&k); /* of programs that are gone: hurts no one */
	still_serves();
}

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

DAEMON_TEST(a_user_has_so_many_bytes)
{
	struct client a, b;

	gmpd_kill();
	gmpd_start("--bytes", "1100000");
	ASSERT_EQ(client_asks(&a, 64, 10001, 16), 0);
	ASSERT_EQ(client_asks(&b, 64, 10001, 16), -EDQUOT);
	ASSERT_EQ(client_asks(&b, 1, 2, 1), 0);
}

DAEMON_TEST(a_shape_out_of_bounds_is_refused)
{
	static const uint32_t shapes[][3] = {
		{ 0, 8, 1 },
		{ 1025, 8, 1 },
		{ 1, 1, 1 },
		{ 1, 10002, 1 },
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
