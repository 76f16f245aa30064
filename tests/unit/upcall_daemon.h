/* SPDX-License-Identifier: MIT */
/*
 * upcall_daemon.h - for tests of gmpd: the daemon, with programs of its own pinned
 * and a socket of its own, and a client that does as it likes
 */
#ifndef TESTS_UNIT_UPCALL_DAEMON_H
#define TESTS_UNIT_UPCALL_DAEMON_H

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
static inline bool find_tools(void)
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
static inline void give_socket(void)
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

static inline pid_t start(const char *name, const char *const *args)
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

static inline int gmpctl(const char *command)
{
	const char *const args[] = { command, "--pins", pins, NULL };
	pid_t pid = start("gmpctl", args);
	int status;

	G_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static inline void gmpd_start(const char *option, const char *value)
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

static inline void gmpd_kill(void)
{
	if (gmpd <= 0)
		return;
	kill(gmpd, SIGKILL);
	waitpid(gmpd, NULL, 0);
	gmpd = 0;
}

/* A test that a G_ check has ended took its teardown along. */
static inline void remove_leftovers(void)
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

static inline const char *prepared(void)
{
#ifndef RT_WITH_BPF /* also where an emulator would have to know bpf(2) */
	return "this build is without the bpf backend";
#endif
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
		rt_upcall_close(&u);
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
		g_kmsg_begin();                             \
		claim##_body(_metadata);                    \
		g_kmsg_end();                               \
	}                                                   \
	static void claim##_body(struct __test_metadata *_metadata)

/* ---- a client that does as it likes -------------------------------- */

struct client {
	int sock;
	int fds[GMPRT_NR_FDS];
	struct gmprt_gmpd_answer a;
	struct gmprt_abi_head shape;
};

static inline void client_connect(struct client *k)
{
	memset(k, 0, sizeof(*k));
	k->sock = rt_unix_connect(sock_path, 5000);
	G_GE(k->sock, 0);
	for (int i = 0; i < GMPRT_NR_FDS; i++)
		k->fds[i] = -1;
}

/* The answer's error, or 1: there was none. */
static inline int client_hears(struct client *k)
{
	ssize_t n = rt_unix_recv(k->sock, &k->a, sizeof(k->a), k->fds, GMPRT_NR_FDS);

	if (n <= 0)
		return 1;
	G_EQ(n, sizeof(k->a));
	for (int i = 0; i < GMPRT_NR_FDS; i++)
		G_EQ(k->fds[i] >= 0, !k->a.error);
	return k->a.error;
}

static inline int client_asks(struct client *k, uint32_t nr_ps, uint32_t nr_ms, uint32_t stride)
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

static inline void client_drops_fds(struct client *k)
{
	for (int i = 0; i < GMPRT_NR_FDS; i++) {
		if (k->fds[i] >= 0)
			close(k->fds[i]);
		k->fds[i] = -1;
	}
}

static inline void client_ends(struct client *k)
{
	client_drops_fds(k);
	close(k->sock);
}

/* The kernel frees the memory of one that is over a while later: as long as that
 * takes, it counts. */
static inline void client_gets(struct client *k)
{
	int r;

	while ((r = client_asks(k, NR_PS, NR_MS, 1)) == -EDQUOT) {
		client_ends(k);
		g_nap(1000000);
	}
	G_EQ(0, r);
}

static inline int calls(const struct client *k, uint32_t op, uint32_t session, uint32_t m,
			uint64_t key)
{
	struct gmprt_abi_call c = { .op = op, .session = session, .m = m, .key = key };

	return rt_bpf_run(k->fds[GMPRT_FD_CALL], &c, sizeof(c));
}

static inline int registers(const struct client *k, uint32_t m)
{
	return calls(k, GMPRT_OP_REGISTER, k->a.session, m, k->a.key);
}

static inline int unregisters(const struct client *k)
{
	return calls(k, GMPRT_OP_UNREGISTER, k->a.session, 0, k->a.key);
}

static inline struct gmprt_abi_p *memory_of(const struct client *k)
{
	int r;
	void *at = rt_bpf_map(k->fds[GMPRT_FD_SPACE], 0,
			      rt_align_up((size_t)k->shape.nr_blocks * GMPRT_ABI_BLOCK, 4096), true,
			      &r);

	G_TRUE(at);
	return at;
}

static inline void still_serves(void)
{
	struct client k;

	client_gets(&k);
	G_OK(registers(&k, 1));
	G_OK(unregisters(&k));
	client_ends(&k);
}

#endif
