/* SPDX-License-Identifier: MIT */
/*
 * upcall_load.h - libbpf: the BPF programs are loaded, attached, unloaded
 */
#ifndef RT_CORE_UPCALL_LOAD_H
#define RT_CORE_UPCALL_LOAD_H

#include "core/upcall.h"

/* Loads for a session of nr_blocks; sets skel, session, key, the fds and what
 * features the programs have. 0 or -errno with u->why. */
int rt_upcall_load(struct rt_upcall *u, const struct rt_upcall_shape *shape,
		   const struct gmprt_abi_head *head, uint32_t *features) __must_check;
/* The last step: from now on blocks are seen. 0 or -errno with u->why. */
int rt_upcall_load_attach(struct rt_upcall *u) __must_check;
void rt_upcall_unload(struct rt_upcall *u);
/* In the child of fork(): closes what is the parent's. Async-signal-safe. */
void rt_upcall_load_forked(struct rt_upcall *u);

#endif
