/* SPDX-License-Identifier: MIT */
/*
 * gmpd.h - the daemon's parts
 *
 *	main.c		options, signals
 *	listen.c	the socket
 *	conn.c		who is connected; the loop
 *	session.c	sessions in the kernel; limits
 *
 * One thread. No call of it waits for a client: what would block is the client's
 * loss. All tables have a fixed size.
 */
#ifndef GMPD_H
#define GMPD_H

#include <stdint.h>
#include <sys/types.h>

#include "abi/gmprt_gmpd.h"

struct limits {
	uint32_t sessions; /* of a user, at a time */
	uint64_t bytes;    /* of kernel memory for these */
};

struct config {
	const char *pins, *socket, *group;
	struct limits limits;
};

/* ---- session.c ----------------------------------------------------- */

enum { NO_SESSION = 0 }; /* that number is for who loads for himself */

/* Fills the answer, and fds if answer->error is 0; these are the caller's to send
 * and to close, but for the program's. The session's number. */
uint32_t session_make(const struct config *c, uid_t uid, pid_t pid,
		      const struct gmprt_gmpd_ask *q, struct gmprt_gmpd_answer *a, int *fds);
void session_free(uint32_t nr);
/* A daemon that ended before has left sessions whose clients nobody watches. 0, or
 * -1: another daemon serves these pins. */
int session_start(const struct config *c);

/* ---- listen.c ------------------------------------------------------ */

/* The listening socket, from the environment (LISTEN_FDS) or made; -1: said why. */
int listen_open(const struct config *c);
/* Removes what listen_open() has made. */
void listen_close(const struct config *c);

/* ---- conn.c -------------------------------------------------------- */

/* Until stop_fd is readable. */
void conn_loop(const struct config *c, int listen_fd, int stop_fd);

/* Says the line; returns -1. */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
