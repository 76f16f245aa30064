/* SPDX-License-Identifier: MIT */
/*
 * conn.c - who is connected, and what they may do
 *
 * A connection asks within five seconds, is answered once, and then must be silent;
 * whatever else it does ends it. What it may cost:
 *
 *   descriptors sent to us	are never received: the kernel closes them, since we
 *				give recvmsg() no room for them
 *   messages of a wrong size	end it; a message is never put together from parts
 *   an answer that does not fit	ends it; nothing is kept to be sent later
 *   connections		have a limit in all and one for each user; beyond it
 *				they are told so and closed
 *
 * Each round takes one new connection and looks once at each of the others, so
 * that nobody is kept waiting by another's flood.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "abi/gmprt_abi.h"
#include "gmpd/gmpd.h"

enum {
	MAX_CONNS = 160,
	SPARE_CONNS = 8, /* a user's beyond his sessions: asking, or to be told no */
	PATIENCE_S = 5,
};

struct conn {
	int fd; /* 0: none, which is never a client's */
	uid_t uid;
	pid_t pid;
	uint32_t session;
	time_t until; /* for who has not asked yet */
};

static struct conn conns[MAX_CONNS];

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void end(struct conn *k)
{
	session_free(k->session);
	close(k->fd);
	*k = (struct conn){ 0 };
}

/* ---- answering ----------------------------------------------------- */

static bool send_answer(int fd, const struct gmprt_gmpd_answer *a, const int *fds)
{
	struct iovec v = { .iov_base = (void *)a, .iov_len = sizeof(*a) };
	char control[CMSG_SPACE(GMPRT_NR_FDS * sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct cmsghdr *h;

	if (!a->error) {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(GMPRT_NR_FDS * sizeof(int));
		memcpy(CMSG_DATA(h), fds, GMPRT_NR_FDS * sizeof(int));
	}
	return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof(*a);
}

static bool answer(const struct config *c, struct conn *k, const struct gmprt_gmpd_ask *q)
{
	struct gmprt_gmpd_answer a = { .magic = GMPRT_GMPD_MAGIC, .version = GMPRT_ABI_VERSION };
	int fds[GMPRT_NR_FDS] = { -1, -1, -1 };
	bool sent;

	k->session = session_make(c, k->uid, k->pid, q, &a, fds);
	sent = send_answer(k->fd, &a, fds);
	if (!a.error) {
		close(fds[GMPRT_FD_SPACE]);
		close(fds[GMPRT_FD_WAKE]);
	}
	return sent && !a.error;
}

/* False: it is over. */
static bool serve(const struct config *c, struct conn *k)
{
	struct gmprt_gmpd_ask q;
	struct iovec v = { .iov_base = &q, .iov_len = sizeof(q) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	ssize_t n = recvmsg(k->fd, &m, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n != (ssize_t)sizeof(q) || m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || k->session)
		return false;
	return answer(c, k, &q);
}

/* ---- new ones ------------------------------------------------------ */

static struct conn *room_for(const struct config *c, uid_t uid)
{
	struct conn *room = NULL;
	uint32_t n = 0;

	for (struct conn *k = conns; k < conns + MAX_CONNS; k++) {
		if (!k->fd)
			room = k;
		else
			n += k->uid == uid;
	}
	return n < c->limits.sessions + SPARE_CONNS ? room : NULL;
}

static void turn_away(int fd)
{
	struct gmprt_gmpd_answer a = { .magic = GMPRT_GMPD_MAGIC,
				       .version = GMPRT_ABI_VERSION,
				       .error = -EBUSY };

	snprintf(a.why, sizeof(a.why), "too many connections at a time");
	send_answer(fd, &a, NULL);
	close(fd);
}

static void take_one(const struct config *c, int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred who;
	socklen_t size = sizeof(who);
	struct conn *k;

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size)) {
		close(fd);
		return;
	}
	k = room_for(c, who.uid);
	if (!k) {
		turn_away(fd);
		return;
	}
	*k = (struct conn){ .fd = fd,
			    .uid = who.uid,
			    .pid = who.pid,
			    .until = now() + PATIENCE_S };
}

/* ---- the loop ------------------------------------------------------ */

static nfds_t watch(struct pollfd *p, struct conn **who, bool *asking)
{
	nfds_t n = 0;

	*asking = false;
	for (struct conn *k = conns; k < conns + MAX_CONNS; k++) {
		if (!k->fd)
			continue;
		*asking = *asking || !k->session;
		who[n] = k;
		p[n++] = (struct pollfd){ .fd = k->fd, .events = POLLIN };
	}
	return n;
}

static void look(const struct config *c, const struct pollfd *p, struct conn *const *who, nfds_t n)
{
	time_t t = now();

	for (nfds_t i = 0; i < n; i++) {
		struct conn *k = who[i];

		if (p[i].revents ? !serve(c, k) : !k->session && k->until < t)
			end(k);
	}
}

void conn_loop(const struct config *c, int listen_fd, int stop_fd)
{
	struct pollfd p[2 + MAX_CONNS];
	struct conn *who[MAX_CONNS];
	bool asking;

	for (;;) {
		nfds_t n = watch(p + 2, who, &asking);

		p[0] = (struct pollfd){ .fd = stop_fd, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = listen_fd, .events = POLLIN };
		if (poll(p, n + 2, asking ? 1000 : -1) < 0)
			continue;
		if (p[0].revents)
			return;
		look(c, p + 2, who, n);
		if (p[1].revents)
			take_one(c, listen_fd);
	}
}
