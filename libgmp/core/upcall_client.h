/* SPDX-License-Identifier: MIT */
/*
 * upcall_client.h - a session from the daemon gmpd, for who has no rights
 */
#ifndef RT_CORE_UPCALL_CLIENT_H
#define RT_CORE_UPCALL_CLIENT_H

#include "core/upcall.h"

/* Asks for a session of head's shape; sets session, key, the fds and
 * head->features. 0; or -errno with u->why, and nothing is left open. */
int rt_upcall_client_open(struct rt_upcall *u, struct gmprt_abi_head *head) __must_check;
/* Ends the session, if it is one of the daemon's. In a child of fork() it only
 * gives the child's part of it back. Async-signal-safe. */
void rt_upcall_client_close(struct rt_upcall *u);

#endif
