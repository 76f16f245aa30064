/* SPDX-License-Identifier: MIT */
/*
 * upcall_bpf.c - a session's memory, and its threads
 *
 * A session is the daemon's, if one runs; otherwise we load the programs, if we
 * have the rights. Where neither works the reason names both ways.
 *
 * The order of loading: programs are loaded (the maps are there then), the memory is
 * mapped and its head filled, the programs are attached. So no program sees a
 * session that is half made; and what close() undoes first is the attachment.
 *
 * Signals wait until programs are loaded, or the daemon has answered: the kernel
 * gives the check of a program up for one that is pending, no call on a socket with
 * a time limit is restarted, and a profiler's timer sends them faster than either is
 * done.
 *
 * The memory is shared with the kernel, and must not be with a child of fork():
 * the child's first entry into the run time stores a state, which in shared
 * memory would be its parent's. So the child has a hole there (MADV_DONTFORK)
 * until forked() fills it. It closes what it has inherited, too: close-on-exec is
 * too late for a child that goes on, and programs are attached for as long as
 * anyone has them open. Not by libbpf, which frees memory; its objects stay.
 */
#include "core/upcall_bpf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/sys.h"
#include "base/sysbpf.h"
#include "core/upcall_client.h"
#include "core/upcall_load.h"

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int no_memory(struct rt_upcall_bpf *u, const char *what, int error)
{
	snprintf(u->why, sizeof(u->why), "can't map the %s: %s", what, strerror(-error));
	return error;
}

/* The ring buffer: a page that we write, then one that the kernel writes. */
static int map_wake(struct rt_upcall_bpf *u)
{
	size_t page = page_size();
	int r = 0;

	u->wake_read = rt_bpf_map(u->wake_fd, 0, page, true, &r);
	if (!u->wake_read)
		return no_memory(u, "ring buffer", r);
	u->wake_written = rt_bpf_map(u->wake_fd, page, page, false, &r);
	return u->wake_written ? 0 : no_memory(u, "ring buffer", r);
}

static int map_space(struct rt_upcall_bpf *u, const struct gmprt_abi_head *head)
{
	int r = 0;

	u->bytes = rt_align_up((size_t)head->nr_blocks * GMPRT_ABI_BLOCK, page_size());
	u->head = rt_bpf_map(u->space_fd, 0, u->bytes, true, &r);
	if (!u->head)
		return no_memory(u, "session's memory", r);
	*u->head = *head;
	return 0;
}

/* The daemon's session, or one of our own. */
static int begin(struct rt_upcall_bpf *u, const struct rt_upcall_shape *shape,
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

int rt_upcall_bpf_prepare(struct rt_upcall_bpf *u, const struct rt_upcall_shape *shape)
{
	struct gmprt_abi_head head = { .magic = GMPRT_ABI_MAGIC,
				       .version = GMPRT_ABI_VERSION,
				       .nr_ps = shape->nr_ps,
				       .nr_ms = shape->nr_ms,
				       .p_stride = shape->p_stride ? shape->p_stride : 1 };
	sigset_t mask;
	int r;

	memset(u, 0, sizeof(*u));
	if (!gmprt_abi_shape(&head)) {
		snprintf(u->why, sizeof(u->why), "%u Ps, %u Ms, stride %u: at most %u, %u and %u",
			 shape->nr_ps, shape->nr_ms, head.p_stride, GMPRT_ABI_MAX_PS,
			 GMPRT_ABI_MAX_MS, GMPRT_ABI_MAX_STRIDE);
		return -EINVAL;
	}
	rt_thread_mask_get(&mask);
	rt_thread_mask_all();
	r = begin(u, shape, &head);
	rt_thread_mask_set(&mask);
	if (r)
		return r;
	head.session = u->session;
	r = map_space(u, &head);
	if (!r)
		r = map_wake(u);
	if (r)
		rt_upcall_bpf_close(u);
	return r;
}

int rt_upcall_bpf_attach(struct rt_upcall_bpf *u)
{
	int r = u->from_daemon ? 0 : rt_upcall_attach(u);

	if (r)
		rt_upcall_bpf_close(u);
	return r;
}

int rt_upcall_bpf_open(struct rt_upcall_bpf *u, const struct rt_upcall_shape *shape)
{
	int r = rt_upcall_bpf_prepare(u, shape);

	return r ? r : rt_upcall_bpf_attach(u);
}

void rt_upcall_bpf_close(struct rt_upcall_bpf *u)
{
	size_t page = page_size();

	rt_upcall_unload(u);
	if (u->wake_written)
		rt_bpf_unmap((void *)u->wake_written, page);
	if (u->wake_read)
		rt_bpf_unmap(u->wake_read, page);
	if (u->head)
		rt_bpf_unmap(u->head, u->bytes);
	u->wake_written = u->wake_read = NULL;
	u->head = NULL;
	rt_upcall_client_close(u);
}

static int call(struct rt_upcall_bpf *u, uint32_t op, uint32_t m)
{
	struct gmprt_abi_call c = { .op = op, .session = u->session, .m = m, .key = u->key };

	return rt_bpf_run(u->call_fd, &c, sizeof(c));
}

int rt_upcall_bpf_register(struct rt_upcall_bpf *u, uint32_t m)
{
	return call(u, GMPRT_OP_REGISTER, m);
}

int rt_upcall_bpf_unregister(struct rt_upcall_bpf *u)
{
	return call(u, GMPRT_OP_UNREGISTER, 0);
}

void rt_upcall_bpf_drain(struct rt_upcall_bpf *u)
{
	/* pairs with the kernel's: what was written before is seen after */
	store_rel(u->wake_read, load_acq(u->wake_written));
}

int rt_upcall_bpf_forked(struct rt_upcall_bpf *u)
{
	rt_upcall_client_close(u);
	rt_upcall_load_forked(u);
	return rt_bpf_map_blank(u->head, u->bytes);
}
