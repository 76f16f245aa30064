/* SPDX-License-Identifier: MIT */
/*
 * upcall_bpf.c - the bpf backend: a session with BPF programs
 *
 * It is the daemon's, if one runs; otherwise we load the programs, if we have the
 * rights. Where neither works the reason names both ways.
 *
 * Programs are loaded, so that the maps are there, long before they are attached. They
 * are attached for as long as anyone has them open: so a child of fork() closes them,
 * and not by libbpf, which frees memory; its objects stay.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/sysbpf.h"
#include "core/upcall_client.h"
#include "core/upcall_load.h"
#include "core/upcall_way.h"

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* The ring buffer: a page that we write, then one that the kernel writes. */
static int map_wake(struct rt_upcall *u)
{
	size_t page = page_size();
	int r = 0;

	u->wake_read = rt_bpf_map(u->wake_fd, 0, page, true, &r);
	if (u->wake_read)
		u->wake_written = rt_bpf_map(u->wake_fd, page, page, false, &r);
	if (u->wake_written)
		return 0;
	snprintf(u->why, sizeof(u->why), "can't map the ring buffer: %s", strerror(-r));
	return r;
}

/* The daemon's session, or one of our own. */
static int have_session(struct rt_upcall *u, const struct rt_upcall_shape *shape,
			struct gmprt_abi_head *head)
{
	char daemon[sizeof(u->why)] = "";
	size_t n;
	int r;

	if (!shape->no_hold) {
		if (rt_upcall_client_open(u, head) == 0)
			return 0;
		memcpy(daemon, u->why, sizeof(daemon));
	}
	u->why[0] = 0;
	r = rt_upcall_load(u, shape, head, &head->features);
	n = strlen(u->why);
	if (daemon[0])
		snprintf(u->why + n, sizeof(u->why) - n, "%sby gmpd: %s", r ? "; or " : "not ",
			 daemon);
	return r;
}

static void end(struct rt_upcall *u)
{
	size_t page = page_size();

	if (u->wake_written)
		rt_bpf_unmap((void *)u->wake_written, page);
	if (u->wake_read)
		rt_bpf_unmap(u->wake_read, page);
	u->wake_written = u->wake_read = NULL;
	rt_upcall_client_close(u);
}

static int begin(struct rt_upcall *u, const struct rt_upcall_shape *shape,
		 struct gmprt_abi_head *head)
{
	int r = have_session(u, shape, head);

	if (r)
		return r;
	r = map_wake(u);
	if (r) {
		rt_upcall_unload(u);
		end(u);
	}
	return r;
}

static int attach(struct rt_upcall *u)
{
	return u->from_daemon ? 0 : rt_upcall_load_attach(u);
}

static int call(struct rt_upcall *u, uint32_t op, uint32_t m)
{
	struct gmprt_abi_call c = { .op = op, .session = u->session, .m = m, .key = u->key };

	return rt_bpf_run(u->call_fd, &c, sizeof(c));
}

static void drain(struct rt_upcall *u)
{
	/* pairs with the kernel's: what was written before is seen after */
	store_rel(u->wake_read, load_acq(u->wake_written));
}

static void forked(struct rt_upcall *u)
{
	rt_upcall_client_close(u);
	rt_upcall_load_forked(u);
}

const struct rt_upcall_way rt_upcall_bpf = {
	.name = "bpf",
	.begin = begin,
	.attach = attach,
	.call = call,
	.drain = drain,
	.detach = rt_upcall_unload,
	.end = end,
	.forked = forked,
};
