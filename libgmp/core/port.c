/* SPDX-License-Identifier: MIT */
/*
 * port.c - see port.h
 *
 * All ports with a backend in the kernel are on a list, not only the run's that is
 * under way: a goroutine that is left in its own code keeps one open. A child of
 * fork() must find each whole or not at all, so its lock is held over the fork.
 * It is not held while programs are loaded, or the daemon is asked: that may take
 * seconds, and dlopen() has locks of its own. A child that is born then may keep
 * programs loaded, until exec or its end, but never attached.
 */
#include "core/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/sys.h"
#include "base/sysbpf.h"
#include "core/upcall_way.h"

const char *const rt_backend_names[RT_NR_BACKENDS] = { "sysmon", "bpf", "kmod" };

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- memory of our own -------------------------------------------- */

static size_t own_bytes(const struct rt_port *port)
{
	return (port->nr_ms + GMPRT_ABI_M_SHIFT * 4) * sizeof(*port->mslots);
}

static int open_own(struct rt_port *port)
{
	port->memory = rt_map(own_bytes(port));
	if (!port->memory)
		return -ENOMEM;
	port->head = port->memory;
	port->mslots = (struct gmprt_abi_m *)port->memory + GMPRT_ABI_M_SHIFT * 4;
	return 0;
}

/* ---- shared with the kernel -------------------------------------- */

static size_t p_offset(const struct rt_port *port, uint32_t i)
{
	const struct gmprt_abi_head *h = port->up.head;

	return (h->p_first + (size_t)i * h->p_stride) * GMPRT_ABI_BLOCK;
}

static int map_ps(struct rt_port *port)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < port->nr_ps; i++)
		r = rt_bpf_map_over(port->up.space_fd, p_offset(port, i),
				    port->ps + i * port->p_bytes, page_bytes());
	if (r)
		snprintf(port->up.why, sizeof(port->up.why),
			 "can't map the slots of %u Ps: errno %d", port->nr_ps, -r);
	return r;
}

/* They are the run's own memory again, or the child's. */
static void blank_ps(struct rt_port *port)
{
	for (uint32_t i = 0; i < port->nr_ps; i++)
		(void)!rt_bpf_map_blank(port->ps + i * port->p_bytes, page_bytes());
}

static int open_shared(struct rt_port *port)
{
	struct rt_upcall_shape shape = { .nr_ms = port->nr_ms + 1, /* and sysmon's */
					 .p_stride = (uint32_t)(page_bytes() / GMPRT_ABI_BLOCK) };
	int r;

	shape.way = port->backend == RT_BACKEND_KMOD ? &rt_upcall_kmod : &rt_upcall_bpf;
	if (port->nr_ps == GMPRT_ABI_MAX_PS)
		port->nr_ps--;
	shape.nr_ps = port->nr_ps + 1;
	r = rt_upcall_prepare(&port->up, &shape);
	if (r)
		return r;
	/* A blocked M's P is always freed. Who stands by looks whether there is
	 * anything to run, and whoever makes work finds it free. */
	port->head = port->up.head;
	port->head->hint = 1;
	port->mslots = rt_upcall_m(port->up.head, 0);
	r = map_ps(port);
	if (r) {
		rt_upcall_close(&port->up);
		blank_ps(port);
	}
	return r;
}

/* ---- fork --------------------------------------------------------- */

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rt_port *all_open; /* list_lock */

static int attach(struct rt_port *port)
{
	int r;

	pthread_mutex_lock(&list_lock);
	r = rt_upcall_attach(&port->up);
	if (r == 0) {
		port->next = all_open;
		all_open = port;
	}
	pthread_mutex_unlock(&list_lock);
	if (r)
		blank_ps(port);
	return r;
}

static void close_shared(struct rt_port *port)
{
	struct rt_port **link = &all_open;

	pthread_mutex_lock(&list_lock);
	while (*link != port)
		link = &(*link)->next;
	*link = port->next;
	rt_upcall_close(&port->up);
	pthread_mutex_unlock(&list_lock);
}

void rt_ports_before_fork(void)
{
	pthread_mutex_lock(&list_lock);
}

void rt_ports_after_fork_parent(void)
{
	pthread_mutex_unlock(&list_lock);
}

static void forked(struct rt_port *port)
{
	(void)!rt_upcall_forked(&port->up);
	blank_ps(port);
}

void rt_ports_after_fork_child(void)
{
	for (struct rt_port *port = all_open; port; port = port->next)
		forked(port);
	all_open = NULL;
	pthread_mutex_unlock(&list_lock);
}

/* ---- the port ----------------------------------------------------- */

int rt_port_open(struct rt_port *port, enum rt_backend backend, uint32_t nr_ms, void *ps,
		 size_t p_bytes, uint32_t nr_ps)
{
	int r;

	*port = (struct rt_port){
		.backend = backend,
		.nr_ms = nr_ms,
		.nr_ps = nr_ps,
		.ps = ps,
		.p_bytes = p_bytes,
	};
	if (backend == RT_BACKEND_SYSMON)
		return open_own(port);
	r = open_shared(port);
	return r ? r : attach(port);
}

void rt_port_close(struct rt_port *port)
{
	if (port->backend != RT_BACKEND_SYSMON)
		close_shared(port);
	else if (port->memory)
		rt_unmap(port->memory, own_bytes(port));
	port->memory = NULL;
	port->head = NULL;
	port->mslots = NULL;
}

/* Told once: where one is refused, many are. */
static void refused(struct rt_port *port, uint32_t m, int error)
{
	if (fetch_add_seq(&port->nr_refused, 1) == 0 && port->tells)
		rt_log("no upcalls for M %u: the kernel's side refuses it: %s; sysmon watches its "
		       "P",
		       m, strerror(-error));
}

void rt_port_join(struct rt_port *port, uint32_t m)
{
	int r = rt_port_in_kernel(port) ? rt_upcall_register(&port->up, m) : 0;

	if (r)
		refused(port, m, r);
}

void rt_port_leave(struct rt_port *port)
{
	if (port->backend != RT_BACKEND_SYSMON)
		(void)!rt_upcall_unregister(&port->up);
}

/* ---- loss --------------------------------------------------------- */

static void lost(struct rt_port *port, const char *why)
{
	store_rlx(&port->lost, true);
	if (port->tells)
		rt_log("upcalls by sysmon from now on; %s: %s", rt_backend_names[port->backend],
		       why);
}

void rt_port_watch_begin(struct rt_port *port)
{
	char why[80];
	int r;

	if (!rt_port_in_kernel(port))
		return;
	r = rt_pulse_begin(&port->pulse, &port->up, port->nr_ms, port->nr_ps);
	if (!r)
		return;
	/* It would never be known when the others are not seen either. */
	snprintf(why, sizeof(why), "sysmon is refused: %s", strerror(-r));
	lost(port, why);
}

void rt_port_watch_end(struct rt_port *port)
{
	if (port->pulse.m)
		rt_port_leave(port);
}

bool rt_port_watch_slow(struct rt_port *port)
{
	if (rt_pulse_beats(&port->pulse))
		return false;
	/* Number 0 is nobody's: a session refuses it as such. */
	if (port->backend == RT_BACKEND_KMOD)
		lost(port, "the module does not see its threads block");
	else if (rt_upcall_register(&port->up, 0) == -EPERM)
		lost(port, "the session is over: gmpd has been started anew");
	else
		lost(port, "the programs have been detached");
	return true;
}
