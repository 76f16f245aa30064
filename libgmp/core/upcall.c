/* SPDX-License-Identifier: MIT */
/*
 * upcall.c - a session's memory, and its threads
 *
 * The order: the session is made, its memory is mapped and its head filled, the
 * kernel's side is attached. So it never sees a session that is half made; and what
 * close() undoes first is the attachment.
 *
 * Signals wait until the session is made: the kernel gives the check of a program up
 * for one that is pending, no call on a socket with a time limit is restarted, and a
 * profiler's timer sends them faster than either is done.
 *
 * The memory is shared with the kernel, and must not be with a child of fork():
 * the child's first entry into the run time stores a state, which in shared
 * memory would be its parent's. So the child has a hole there (MADV_DONTFORK)
 * until forked() fills it. It closes what it has inherited, too: close-on-exec is
 * too late for a child that goes on.
 */
#include "core/upcall.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/sysbpf.h"
#include "core/upcall_way.h"

static int map_space(struct rt_upcall *u, const struct gmprt_abi_head *head)
{
	int r = 0;

	u->bytes = rt_align_up((size_t)head->nr_blocks * GMPRT_ABI_BLOCK,
			       (size_t)sysconf(_SC_PAGESIZE));
	u->head = rt_bpf_map(u->space_fd, 0, u->bytes, true, &r);
	if (!u->head) {
		snprintf(u->why, sizeof(u->why), "can't map the session's memory: %s",
			 strerror(-r));
		return r;
	}
	*u->head = *head;
	return 0;
}

int rt_upcall_prepare(struct rt_upcall *u, const struct rt_upcall_shape *shape)
{
	struct gmprt_abi_head head = { .magic = GMPRT_ABI_MAGIC,
				       .version = GMPRT_ABI_VERSION,
				       .nr_ps = shape->nr_ps,
				       .nr_ms = shape->nr_ms,
				       .p_stride = shape->p_stride ? shape->p_stride : 1 };
	sigset_t mask;
	int r;

	memset(u, 0, sizeof(*u));
	u->way = shape->way ? shape->way : &rt_upcall_bpf;
	if (!gmprt_abi_shape(&head)) {
		snprintf(u->why, sizeof(u->why), "%u Ps, %u Ms, stride %u: at most %u, %u and %u",
			 shape->nr_ps, shape->nr_ms, head.p_stride, GMPRT_ABI_MAX_PS,
			 GMPRT_ABI_MAX_MS, GMPRT_ABI_MAX_STRIDE);
		return -EINVAL;
	}
	rt_thread_mask_get(&mask);
	rt_thread_mask_all();
	r = u->way->begin(u, shape, &head);
	rt_thread_mask_set(&mask);
	if (r)
		return r;
	head.session = u->session;
	r = map_space(u, &head);
	if (r)
		rt_upcall_close(u);
	return r;
}

int rt_upcall_attach(struct rt_upcall *u)
{
	int r = u->way->attach(u);

	if (r)
		rt_upcall_close(u);
	return r;
}

int rt_upcall_open(struct rt_upcall *u, const struct rt_upcall_shape *shape)
{
	int r = rt_upcall_prepare(u, shape);

	return r ? r : rt_upcall_attach(u);
}

void rt_upcall_close(struct rt_upcall *u)
{
	u->way->detach(u);
	if (u->head)
		rt_bpf_unmap(u->head, u->bytes);
	u->head = NULL;
	u->way->end(u);
}

int rt_upcall_register(struct rt_upcall *u, uint32_t m)
{
	return u->way->call(u, GMPRT_OP_REGISTER, m);
}

int rt_upcall_unregister(struct rt_upcall *u)
{
	return u->way->call(u, GMPRT_OP_UNREGISTER, 0);
}

void rt_upcall_drain(struct rt_upcall *u)
{
	u->way->drain(u);
}

int rt_upcall_forked(struct rt_upcall *u)
{
	u->way->forked(u);
	return rt_bpf_map_blank(u->head, u->bytes);
}
