/* SPDX-License-Identifier: MIT */
/*
 * upcall.h - a session with a kernel's side: its memory, registered threads
 *
 * Mechanism only. The kernel's side frees the P of a registered thread that
 * blocks (abi/gmprt_abi.h); to store states and numbers into the slots, to stand
 * by and to take is its user's.
 *
 * There are two kernel's sides, and three ways to a session:
 *
 *	kmod	the module's device, /dev/gmprt
 *	bpf	the daemon gmpd, which needs no rights of ours; or this process loads
 *		the programs for itself: they are attached for as long as it has
 *		them open
 *
 * In all cases nothing is left when the process is killed.
 *
 * Who may call what: open, close and forked by one thread at a time; register
 * and unregister by any thread, for itself. close() while threads are
 * registered is right: with bpf no P is freed from then on, with kmod until
 * they end or leave in the memory that is nobody's any more.
 */
#ifndef RT_CORE_UPCALL_H
#define RT_CORE_UPCALL_H

#include <stdbool.h>

#include "abi/gmprt_abi.h"
#include "base/compiler.h"

struct rt_upcall_way;

struct rt_upcall_shape {
	const struct rt_upcall_way *way; /* NULL: bpf */
	uint32_t nr_ps;
	uint32_t nr_ms;    /* slots; number 0 is nobody's */
	uint32_t p_stride; /* in blocks; 0: 1 */
	bool no_hold;      /* for tests: as on a kernel that has no such kfunc; no daemon */
};

enum { RT_UPCALL_FDS = 32 };

struct rt_upcall {
	const struct rt_upcall_way *way;
	struct gmprt_abi_head *head; /* the session's memory */
	size_t bytes;
	uint32_t session;
	int space_fd; /* the memory; to map P slots elsewhere too */
	int wake_fd;  /* readable after a P with `wake` set was freed */

	/* bpf: */
	uint64_t key;
	int call_fd; /* the program gmprt_call */
	int show_fd; /* the iterator's link, for rt_bpf_iter(); or -1 */
	int sock_fd; /* to the daemon; closing it ends the session */
	bool from_daemon;
	unsigned long *wake_read;          /* a page */
	const unsigned long *wake_written; /* another */
	struct gmprt_bpf *skel;
	int fds[RT_UPCALL_FDS]; /* of the objects that we have loaded */
	uint32_t nr_fds;

	char why[480];
};

/* 0; or -errno, and u->why says in one line what failed and what to do. Then u
 * need not be closed. After 0 it says, with bpf, why there is no daemon, if there is
 * none. */
int rt_upcall_open(struct rt_upcall *u, const struct rt_upcall_shape *shape) __must_check;
/* The same in two steps: between them no block is seen. */
int rt_upcall_prepare(struct rt_upcall *u, const struct rt_upcall_shape *shape) __must_check;
int rt_upcall_attach(struct rt_upcall *u) __must_check;
void rt_upcall_close(struct rt_upcall *u);

/* The calling thread is M number m (from 1) until it ends, or calls exec or
 * this. 0 or -errno: -ERANGE no such slot, -EBUSY another thread has it, or
 * this thread is registered, -EPERM this is not the process that registered first. */
int rt_upcall_register(struct rt_upcall *u, uint32_t m) __must_check;
int rt_upcall_unregister(struct rt_upcall *u);

/* Before wake_fd is waited for again. */
void rt_upcall_drain(struct rt_upcall *u);

/* In the child of fork(), before it touches a slot: the memory is blank and its
 * own, the session the parent's, whose end it does not put off. u is not to be used
 * or closed there. Async-signal-safe. 0 or -errno. */
int rt_upcall_forked(struct rt_upcall *u) __must_check;

static inline struct gmprt_abi_p *rt_upcall_p(const struct gmprt_abi_head *h, uint32_t p)
{
	return (struct gmprt_abi_p *)(void *)h + h->p_first + (size_t)p * h->p_stride;
}

static inline struct gmprt_abi_m *rt_upcall_m(const struct gmprt_abi_head *h, uint32_t m)
{
	return (struct gmprt_abi_m *)((struct gmprt_abi_p *)(void *)h + h->m_first) + m;
}

#endif
