/* SPDX-License-Identifier: MIT */
/*
 * listen.c - the socket: made here, or given by who started the daemon
 *
 * The group's right is the file's mode, set before anyone can connect: the file is
 * made with mode 0600, gets its group, then its mode, and only then is listened to.
 *
 * A file that lies there is removed only if nobody answers at it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gmpd/gmpd.h"

enum { FIRST_GIVEN = 3,
       BACKLOG = 64 };

#define DEFAULT_GROUP "gmprt"

static bool made, made_folder;

/* ---- given --------------------------------------------------------- */

static bool is_given(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");

	return pid && n && atol(pid) == (long)getpid() && atoi(n) >= 1;
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) ? -1 : value;
}

static int given(void)
{
	if (option(FIRST_GIVEN, SO_DOMAIN) != AF_UNIX ||
	    option(FIRST_GIVEN, SO_TYPE) != SOCK_SEQPACKET ||
	    option(FIRST_GIVEN, SO_ACCEPTCONN) != 1)
		return complain("LISTEN_FDS: descriptor 3 is no listening SOCK_SEQPACKET socket: "
				"use ListenSequentialPacket=");
	fcntl(FIRST_GIVEN, F_SETFD, FD_CLOEXEC);
	fcntl(FIRST_GIVEN, F_SETFL, O_NONBLOCK);
	return FIRST_GIVEN;
}

/* ---- made ---------------------------------------------------------- */

/* Of the socket, into dir; false: it is in the root or the current one. */
static bool folder_of(const char *socket_path, char *dir, size_t size)
{
	char *slash;

	snprintf(dir, size, "%s", socket_path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return false;
	*slash = 0;
	return true;
}

static void make_folder(const char *socket_path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];

	/* bind() says what is wrong with it */
	made_folder = folder_of(socket_path, dir, sizeof(dir)) && mkdir(dir, 0755) == 0;
}

static bool somebody_answers(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes = connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 ||
		   (errno != ECONNREFUSED && errno != ENOENT);

	close(fd);
	return yes;
}

static int give_to_group(const struct config *c)
{
	const char *name = c->group ? c->group : DEFAULT_GROUP;
	const struct group *g = getgrnam(name);

	if (!g && c->group)
		return complain("--group %s: no such group", name);
	if (!g) {
		complain("there is no group %s: only root can connect (groupadd --system %s, "
			 "or --group)",
			 name, name);
		return 0;
	}
	if (chown(c->socket, (uid_t)-1, g->gr_gid) || chmod(c->socket, 0660))
		return complain("%s: %s", c->socket, strerror(errno));
	return 0;
}

static int bind_to(int fd, const struct config *c)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	mode_t mask;
	int r;

	if (strlen(c->socket) >= sizeof(at.sun_path))
		return complain("%s: a socket's path has at most %zu bytes", c->socket,
				sizeof(at.sun_path) - 1);
	strcpy(at.sun_path, c->socket);
	make_folder(c->socket);
	if (somebody_answers(&at))
		return complain("%s: another daemon is there", c->socket);
	unlink(c->socket);
	mask = umask(0177);
	r = bind(fd, (const struct sockaddr *)&at, sizeof(at));
	umask(mask);
	if (r)
		return complain("%s: %s", c->socket, strerror(errno));
	made = true;
	return give_to_group(c);
}

int listen_open(const struct config *c)
{
	int fd;

	if (is_given())
		return given();
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return complain("no socket: %s", strerror(errno));
	if (bind_to(fd, c) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	listen_close(c);
	close(fd);
	return -1;
}

void listen_close(const struct config *c)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];

	if (made)
		unlink(c->socket);
	if (made_folder && folder_of(c->socket, dir, sizeof(dir)))
		rmdir(dir);
}
