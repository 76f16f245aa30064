/* SPDX-License-Identifier: MIT */
/*
 * sysbpf.c - calls into the kernel about BPF objects
 *
 * linux/bpf.h of old distributions calls the command BPF_PROG_TEST_RUN; its
 * number is the same.
 */
#include "base/sysbpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sys.h"

static bool has_cap(const struct __user_cap_data_struct *caps, int cap)
{
	return caps[cap / 32].effective & 1u << cap % 32;
}

bool rt_bpf_may_load(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &head, caps))
		return false;
	return has_cap(caps, CAP_SYS_ADMIN) ||
	       (has_cap(caps, CAP_BPF) && has_cap(caps, CAP_PERFMON));
}

int rt_bpf_run(int prog_fd, const void *arg, size_t bytes)
{
	union bpf_attr attr = { .test = { .prog_fd = (uint32_t)prog_fd,
					  .ctx_in = (uintptr_t)arg,
					  .ctx_size_in = (uint32_t)bytes } };
	int saved = errno, r;

	if (rt_fault())
		return -ENOMEM;
	r = syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)) ? -errno :
								       (int)attr.test.retval;
	errno = saved;
	return r;
}

int rt_bpf_iter(int link_fd)
{
	union bpf_attr attr = { .iter_create = { .link_fd = (uint32_t)link_fd } };
	int saved = errno, r;

	if (rt_fault())
		return -ENOMEM;
	r = (int)syscall(SYS_bpf, BPF_ITER_CREATE, &attr, sizeof(attr));
	if (r < 0)
		r = -errno;
	errno = saved;
	return r;
}

void *rt_bpf_map(int fd, size_t from, size_t bytes, bool writable, int *error)
{
	int saved = errno;
	void *at = MAP_FAILED;

	*error = -ENOMEM;
	if (!rt_fault()) {
		at = mmap(NULL, bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd,
			  (off_t)from);
		*error = -errno;
	}
	if (at != MAP_FAILED)
		madvise(at, bytes, MADV_DONTFORK);
	errno = saved;
	return at == MAP_FAILED ? NULL : at;
}

int rt_bpf_map_over(int fd, size_t from, void *at, size_t bytes)
{
	int saved = errno, r = -ENOMEM;
	void *got = MAP_FAILED;

	if (!rt_fault()) {
		got = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			   (off_t)from);
		r = got == at ? 0 : -errno;
	}
	if (r == 0)
		madvise(at, bytes, MADV_DONTFORK);
	errno = saved;
	/* cppcheck-suppress memleak */
	return r;
}

void rt_bpf_unmap(void *at, size_t bytes)
{
	int saved = errno;

	munmap(at, bytes);
	errno = saved;
}

int rt_bpf_map_blank(void *at, size_t bytes)
{
	int saved = errno, r;
	void *got = mmap(at, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	r = got == at ? 0 : -errno;
	errno = saved;
	/* cppcheck-suppress memleak */
	return r;
}
