/* SPDX-License-Identifier: MIT */
/*
 * gmprt_gmpd.h - what a client and the daemon gmpd say to each other
 *
 * A UNIX socket with message borders (SOCK_SEQPACKET): so a message is whole or it
 * is none, and each has one size. A connection is a session: one question, one
 * answer, which brings the descriptors along; then nobody says a word, and the
 * session ends with the connection, however the client ends. No process ID is
 * trusted, so it is no matter when one is used again.
 */
#ifndef GMPRT_GMPD_H
#define GMPRT_GMPD_H

#include <linux/types.h>

#define GMPRT_GMPD_SOCKET "/run/gmprt/gmpd.sock"
#define GMPRT_GMPD_MAGIC  0x44504d47u /* "GMPD" */

struct gmprt_gmpd_ask {
	__u32 magic;
	__u32 version; /* GMPRT_ABI_VERSION */
	__u32 nr_ps, nr_ms, p_stride;
	__u32 reserved[3]; /* 0 */
};

/* Which descriptors come with an answer, in this order. */
enum gmprt_gmpd_fd {
	GMPRT_FD_CALL,  /* the program gmprt_call */
	GMPRT_FD_SPACE, /* the session's memory */
	GMPRT_FD_WAKE,  /* its ring buffer */
	GMPRT_NR_FDS,
};

struct gmprt_gmpd_answer {
	__u32 magic;
	__u32 version;
	__s32 error; /* 0; or -errno, no descriptors, and why says why */
	__u32 session;
	__u64 key;
	__u32 features; /* enum gmprt_abi_feature */
	__u32 reserved;
	char why[160];
};

_Static_assert(sizeof(struct gmprt_gmpd_ask) == 32, "a question has 32 bytes");
_Static_assert(sizeof(struct gmprt_gmpd_answer) == 192, "an answer has 192 bytes");

#endif
