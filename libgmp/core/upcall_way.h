/* SPDX-License-Identifier: MIT */
/*
 * upcall_way.h - a way to a session and to speak with its kernel's side
 */
#ifndef RT_CORE_UPCALL_WAY_H
#define RT_CORE_UPCALL_WAY_H

#include "core/upcall.h"

struct rt_upcall_way {
	const char *name;
	/* Has a session of head's shape made; sets session, space_fd, wake_fd and
	 * head->features. 0; or -errno with u->why, and nothing is left open. */
	int (*begin)(struct rt_upcall *u, const struct rt_upcall_shape *shape,
		     struct gmprt_abi_head *head);
	/* The last step: from now on blocks are seen. 0 or -errno with u->why. */
	int (*attach)(struct rt_upcall *u);
	/* enum gmprt_abi_op, for the calling thread. */
	int (*call)(struct rt_upcall *u, uint32_t op, uint32_t m);
	void (*drain)(struct rt_upcall *u);
	/* First what sees blocks goes, then the memory is unmapped, then the rest. */
	void (*detach)(struct rt_upcall *u);
	void (*end)(struct rt_upcall *u);
	/* In a child of fork(): closes what it has inherited. Async-signal-safe. */
	void (*forked)(struct rt_upcall *u);
};

extern const struct rt_upcall_way rt_upcall_bpf, rt_upcall_kmod;

#endif
