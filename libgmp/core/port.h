/* SPDX-License-Identifier: MIT */
/*
 * port.h - the run time's side of a kernel backend
 *
 * The slots of Ms and Ps (abi/gmprt_abi.h) are memory of the run's own, or
 * shared with the kernel's side. In both cases an M's slot is at mslots + its
 * number, and a P's is the first page of its struct rt_p: with a backend in the
 * kernel that page is mapped there (MAP_FIXED), so that the hot path has no
 * pointer to follow and no word to keep twice.
 *
 * Ps from nr_ps on, and Ms without a slot there, are known to sysmon only: the
 * program has raised its number of Ps far beyond the first one.
 *
 * Loss. That the kernel's side has gone is found by sysmon (pulse.c), at one of its
 * next looks. Then the run goes on as without a backend, to its end: one step down,
 * and never up again. Nothing is to be undone for that: a P that is FREED is taken
 * back by its M, or taken by sysmon (lines 14 and 15 of abi/gmprt_abi.h), and
 * sysmon watches all Ps always. So what depends on a backend asks
 * rt_port_in_kernel() each time, and may be told yes a little too long.
 *
 * An M that can't register is watched by sysmon in the same way.
 *
 * M slots begin at page offset 0x900 (GMPRT_ABI_M_SHIFT): a store of RUNTIME at
 * the offset that the P's queue words have in their page made the loads of these
 * wait for it (the processor compares twelve bits first), 0.9 ns of 9.5 a yield.
 */
#ifndef RT_CORE_PORT_H
#define RT_CORE_PORT_H

#include "core/kport.h"
#include "core/pulse.h"
#include "core/upcall.h"

enum rt_backend {
	RT_BACKEND_SYSMON, /* none in the kernel */
	RT_BACKEND_BPF,
	RT_BACKEND_KMOD,
	RT_NR_BACKENDS,
};

extern const char *const rt_backend_names[RT_NR_BACKENDS];

struct rt_port {
	enum rt_backend backend;     /* that it was opened with */
	bool lost;                   /* it has gone since; sysmon writes */
	bool tells;                  /* GMPRT_DEBUG=upcall; its user writes */
	uint32_t nr_refused;         /* Ms that could not register */
	struct gmprt_abi_head *head; /* the session's; without a kernel's side just there */
	struct gmprt_abi_m *mslots;  /* nr_ms of them */
	uint32_t nr_ms, nr_ps;
	char *ps; /* the first P; one every p_bytes */
	size_t p_bytes;
	void *memory;         /* sysmon: of head and slots */
	struct rt_port *next; /* of all that are open with a backend in the kernel */
	struct rt_upcall up;
	struct rt_pulse pulse; /* sysmon's */
};

/* 0; or -errno, and port->up.why says why. ps: an array of pages, zeroed, nr_ps of
 * whose elements of p_bytes begin with a slot. */
int rt_port_open(struct rt_port *port, enum rt_backend backend, uint32_t nr_ms, void *ps,
		 size_t p_bytes, uint32_t nr_ps) __must_check;
/* The memory goes. The Ps' pages are the caller's to unmap, after that. */
void rt_port_close(struct rt_port *port);

/* The calling thread is M number m, from now on until it ends or leaves. If it is
 * refused it goes on without a kernel's help. */
void rt_port_join(struct rt_port *port, uint32_t m);
void rt_port_leave(struct rt_port *port);

/* Around fork(): no port is just being attached or closed. In the child, first of
 * all: what was shared is blank memory there, and what was open is closed. */
void rt_ports_before_fork(void);
void rt_ports_after_fork_parent(void);
void rt_ports_after_fork_child(void);

/* sysmon's thread, before its first look; and at its end. */
void rt_port_watch_begin(struct rt_port *port);
void rt_port_watch_end(struct rt_port *port);
/* Between two of its sleeps. True: the backend has just been lost. */
bool rt_port_watch_slow(struct rt_port *port);

static inline bool rt_port_in_kernel(const struct rt_port *port)
{
	return port->backend != RT_BACKEND_SYSMON && !load_rlx(&port->lost);
}

static inline bool rt_port_watch(struct rt_port *port)
{
	return unlikely(rt_port_in_kernel(port)) && rt_port_watch_slow(port);
}

#endif
