/* SPDX-License-Identifier: MIT */
/*
 * upcall_client.c - the daemon is asked for a session
 *
 * The connection stays open for as long as the session is to live, and nothing is
 * read from it any more: that the daemon ends does not end the session, which is
 * the kernel's.
 *
 * The daemon is believed; where its socket lies only root may make one. The
 * environment can name another, but not for a program that runs with more rights
 * than who started it.
 */
#include "core/upcall_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/gmprt_gmpd.h"
#include "base/sysio.h"
#include "base/sysunix.h"

enum { PATIENCE_MS = 2000 };

static const char *socket_path(void)
{
	const char *path = secure_getenv("GMPRT_GMPD");

	return path && path[0] ? path : GMPRT_GMPD_SOCKET;
}

/* What a failed connect() means here. */
static int no_daemon(struct rt_upcall *u, const char *path, int error)
{
	const char *hint = error == -ENOENT || error == -ECONNREFUSED ? "gmpd is not running" :
			   error == -EACCES                           ? "you are not in its group" :
									strerror(-error);

	snprintf(u->why, sizeof(u->why), "%.100s: %s", path, hint);
	return error;
}

static int bad_answer(struct rt_upcall *u, ssize_t got)
{
	if (got == 0 || got == -ECONNRESET)
		snprintf(u->why, sizeof(u->why), "gmpd closed the connection");
	else if (got < 0)
		snprintf(u->why, sizeof(u->why), "gmpd does not answer: %s", strerror((int)-got));
	else
		snprintf(u->why, sizeof(u->why), "gmpd is of another version than this library");
	return got < 0 ? (int)got : -EPROTO;
}

static void close_fds(const int *fds)
{
	for (int i = 0; i < GMPRT_NR_FDS; i++)
		if (fds[i] >= 0)
			rt_sys_close(fds[i]);
}

static int answered(struct rt_upcall *u, const struct gmprt_gmpd_answer *a, ssize_t got,
		    const int *fds)
{
	if (got != (ssize_t)sizeof(*a) || a->magic != GMPRT_GMPD_MAGIC)
		return bad_answer(u, got);
	if (a->error) {
		snprintf(u->why, sizeof(u->why), "%.*s", (int)sizeof(a->why), a->why);
		return a->error < 0 ? a->error : -EPROTO;
	}
	for (int i = 0; i < GMPRT_NR_FDS; i++)
		if (fds[i] < 0) {
			snprintf(u->why, sizeof(u->why),
				 "no room for gmpd's descriptors: raise ulimit -n");
			return -EMFILE;
		}
	return 0;
}

static int ask(struct rt_upcall *u, struct gmprt_abi_head *head, int sock)
{
	struct gmprt_gmpd_ask q = { .magic = GMPRT_GMPD_MAGIC,
				    .version = GMPRT_ABI_VERSION,
				    .nr_ps = head->nr_ps,
				    .nr_ms = head->nr_ms,
				    .p_stride = head->p_stride };
	struct gmprt_gmpd_answer a;
	int fds[GMPRT_NR_FDS] = { -1, -1, -1 }, r = rt_unix_send(sock, &q, sizeof(q));

	if (r)
		return bad_answer(u, r);
	r = answered(u, &a, rt_unix_recv(sock, &a, sizeof(a), fds, GMPRT_NR_FDS), fds);
	if (r) {
		close_fds(fds);
		return r;
	}
	u->session = a.session;
	u->key = a.key;
	u->call_fd = fds[GMPRT_FD_CALL];
	u->space_fd = fds[GMPRT_FD_SPACE];
	u->wake_fd = fds[GMPRT_FD_WAKE];
	head->features = a.features;
	return 0;
}

int rt_upcall_client_open(struct rt_upcall *u, struct gmprt_abi_head *head)
{
	const char *path = socket_path();
	int sock = rt_unix_connect(path, PATIENCE_MS), r;

	if (sock < 0)
		return no_daemon(u, path, sock);
	r = ask(u, head, sock);
	if (r) {
		rt_sys_close(sock);
		return r;
	}
	u->from_daemon = true;
	u->sock_fd = sock;
	u->show_fd = -1;
	return 0;
}

void rt_upcall_client_close(struct rt_upcall *u)
{
	if (!u->from_daemon)
		return;
	rt_sys_close(u->sock_fd);
	rt_sys_close(u->wake_fd);
	rt_sys_close(u->space_fd);
	rt_sys_close(u->call_fd);
	u->from_daemon = false;
}
