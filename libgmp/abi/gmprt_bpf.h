/* SPDX-License-Identifier: MIT */
/*
 * gmprt_bpf.h - what the BPF programs share with who loads them
 *
 * Not part of the contract with clients: programs and loader are built together.
 */
#ifndef GMPRT_BPF_H
#define GMPRT_BPF_H

#include <linux/types.h>

#define GMPRT_SESSIONS 64

/* Which kfunc there is; see bpf/compat.h. */
enum gmprt_hold_kind {
	GMPRT_HOLD_NONE,
	GMPRT_HOLD_IMPL,
	GMPRT_HOLD_PLAIN,
};

/* Private: no client can map it. Who makes a session writes it, before giving the
 * key to anyone; the rest is the programs'. uid and pid are for people to read. */
struct gmprt_session {
	__u64 key; /* 0: none */
	__u64 mm;  /* of the first thread that registered; 0: nobody yet */
	__u32 nr_ps, nr_ms;
	__u32 p_first, p_stride, m_first;
	__u32 uid, pid;
	__u32 unused;
};

_Static_assert(sizeof(struct gmprt_session) == 48, "the same for compiler and clang -target bpf");

#endif
