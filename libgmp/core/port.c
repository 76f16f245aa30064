/* SPDX-License-Identifier: MIT */
/*
 * port.c - see port.h
 */
#include "core/port.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/sysbpf.h"

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

/* ---- shared with BPF programs ------------------------------------- */

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

static int open_bpf(struct rt_port *port)
{
	struct rt_upcall_shape shape = { .nr_ps = port->nr_ps,
					 .nr_ms = port->nr_ms,
					 .p_stride = (uint32_t)(page_bytes() / GMPRT_ABI_BLOCK) };
	int r = rt_upcall_bpf_open(&port->up, &shape);

	if (r)
		return r;
	/* A blocked M's P is always freed. Who stands by looks whether there is
	 * anything to run, and whoever makes work finds it free. */
	port->head = port->up.head;
	port->head->hint = 1;
	port->mslots = rt_upcall_m(port->up.head, 0);
	r = map_ps(port);
	if (r)
		rt_upcall_bpf_close(&port->up);
	return r;
}

/* ---- the port ----------------------------------------------------- */

int rt_port_open(struct rt_port *port, enum rt_backend backend, uint32_t nr_ms, void *ps,
		 size_t p_bytes, uint32_t nr_ps)
{
	*port = (struct rt_port){
		.backend = backend,
		.nr_ms = nr_ms,
		.nr_ps = nr_ps,
		.ps = ps,
		.p_bytes = p_bytes,
	};
	return backend == RT_BACKEND_BPF ? open_bpf(port) : open_own(port);
}

void rt_port_close(struct rt_port *port)
{
	if (port->backend == RT_BACKEND_BPF)
		rt_upcall_bpf_close(&port->up);
	else if (port->memory)
		rt_unmap(port->memory, own_bytes(port));
	port->memory = NULL;
	port->head = NULL;
	port->mslots = NULL;
}

bool rt_port_join(struct rt_port *port, uint32_t m)
{
	return port->backend == RT_BACKEND_BPF && rt_upcall_bpf_register(&port->up, m) == 0;
}

void rt_port_leave(struct rt_port *port)
{
	if (port->backend == RT_BACKEND_BPF)
		(void)!rt_upcall_bpf_unregister(&port->up);
}

void rt_port_forked(struct rt_port *port)
{
	if (port->backend != RT_BACKEND_BPF)
		return;
	(void)!rt_upcall_bpf_forked(&port->up);
	for (uint32_t i = 0; i < port->nr_ps; i++)
		(void)!rt_bpf_map_blank(port->ps + i * port->p_bytes, page_bytes());
}
