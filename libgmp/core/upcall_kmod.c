/* SPDX-License-Identifier: MIT */
/*
 * upcall_kmod.c - the kmod backend: a session with the module gmprt.ko
 *
 * The device is the session: its memory is mapped from it, threads register by it,
 * and it is readable when somebody is to be woken. Nothing is to be attached; the
 * kernel's side sees a thread from its registration on.
 *
 * The module compares the process (mm) itself, so no secret is needed, and can't be
 * unloaded while the device is open: this backend is not lost in the middle of a run.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "abi/gmprt_kmod.h"
#include "base/sysio.h"
#include "core/upcall_way.h"

static int no_device(struct rt_upcall *u, int error)
{
	const char *hint = error == -ENOENT || error == -ENXIO ?
				   "the module is not loaded (modprobe gmprt)" :
			   error == -EACCES ? "you are not in its group" :
					      strerror(-error);

	snprintf(u->why, sizeof(u->why), GMPRT_KMOD_DEVICE ": %s", hint);
	return error;
}

static int no_session(struct rt_upcall *u, int error)
{
	const char *hint = error == -EMFILE ?
				   "too many sessions (its parameter max_sessions_per_user)" :
			   error == -EDQUOT ? "too much memory (its parameter max_mb_per_user)" :
			   error == -ENFILE ? "too many sessions (its parameter max_sessions)" :
			   error == -EINVAL || error == -E2BIG || error == -ENOTTY ?
					      "it is of another version than this library" :
					      strerror(-error);

	snprintf(u->why, sizeof(u->why), "the module makes no session: %s", hint);
	return error;
}

static int begin(struct rt_upcall *u, const struct rt_upcall_shape *shape,
		 struct gmprt_abi_head *head)
{
	struct gmprt_kmod_create c = { .size = sizeof(c),
				       .version = GMPRT_ABI_VERSION,
				       .nr_ps = head->nr_ps,
				       .nr_ms = head->nr_ms,
				       .p_stride = head->p_stride };
	int fd = rt_dev_open(GMPRT_KMOD_DEVICE), r;

	(void)shape;
	if (fd < 0)
		return no_device(u, fd);
	r = rt_dev_call(fd, GMPRT_KMOD_CREATE, &c);
	if (r) {
		rt_sys_close(fd);
		return no_session(u, r);
	}
	u->session = c.session;
	head->features = c.features;
	u->space_fd = u->wake_fd = fd;
	return 0;
}

static int attach(struct rt_upcall *u)
{
	(void)u;
	return 0;
}

static int call(struct rt_upcall *u, uint32_t op, uint32_t m)
{
	struct gmprt_kmod_m arg = { .size = sizeof(arg), .m = m };

	if (op == GMPRT_OP_REGISTER)
		return rt_dev_call(u->space_fd, GMPRT_KMOD_REGISTER, &arg);
	return rt_dev_call(u->space_fd, GMPRT_KMOD_UNREGISTER, NULL);
}

static void drain(struct rt_upcall *u)
{
	uint64_t n;

	(void)!rt_sys_read(u->wake_fd, &n, sizeof(n));
}

static void detach(struct rt_upcall *u)
{
	(void)u;
}

static void end(struct rt_upcall *u)
{
	rt_sys_close(u->space_fd);
}

const struct rt_upcall_way rt_upcall_kmod = {
	.name = "kmod",
	.begin = begin,
	.attach = attach,
	.call = call,
	.drain = drain,
	.detach = detach,
	.end = end,
	.forked = end,
};
