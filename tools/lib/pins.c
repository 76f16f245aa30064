/* SPDX-License-Identifier: MIT */
/*
 * pins.c - see pins.h
 */
#include "lib/pins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "abi/gmprt_bpf.h"

static int open_pin(const char *dir, const char *name)
{
	char path[256];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return bpf_obj_get(path);
}

uint32_t map_id(int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

/* Programs that another version of gmpctl has loaded may mean other things. */
static bool is_ours(int sessions)
{
	struct bpf_map_info info = { 0 };
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(sessions, &info, &size) == 0 &&
	       info.value_size == sizeof(struct gmprt_session) &&
	       info.max_entries == GMPRT_SESSIONS;
}

static int __attribute__((format(printf, 4, 5)))
say(char *why, size_t size, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return error;
}

static int cannot(char *why, size_t size, const char *dir, int error)
{
	if (error == -ENOENT)
		return say(why, size, error, "%s: no programs are loaded: run 'gmpctl load'", dir);
	if (error == -EACCES || error == -EPERM)
		return say(why, size, error, "%s: no access: run as root", dir);
	return say(why, size, error, "%s: %s", dir, strerror(-error));
}

int pins_open(struct pins *p, const char *dir, char *why, size_t size)
{
	int r;

	*p = (struct pins){ -1, -1, -1, -1, 0 };
	if ((r = p->sessions = open_pin(dir, "gmprt_sessions")) < 0 ||
	    (r = p->spaces = open_pin(dir, "gmprt_spaces")) < 0 ||
	    (r = p->wakes = open_pin(dir, "gmprt_wakes")) < 0 ||
	    (r = p->call = open_pin(dir, "gmprt_call")) < 0) {
		pins_close(p);
		return cannot(why, size, dir, r);
	}
	p->id = map_id(p->sessions);
	if (is_ours(p->sessions))
		return 0;
	pins_close(p);
	return say(why, size, -EPROTO,
		   "%s: loaded by another version: run 'gmpctl unload', then 'gmpctl load'", dir);
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void pins_close(struct pins *p)
{
	close_one(&p->sessions);
	close_one(&p->spaces);
	close_one(&p->wakes);
	close_one(&p->call);
	p->id = 0;
}

bool pins_are(const struct pins *p, const char *dir)
{
	int fd = p->id ? open_pin(dir, "gmprt_sessions") : -1;
	bool same = fd >= 0 && map_id(fd) == p->id;

	close_one(&fd);
	return same;
}

static bool has(const struct btf *btf, const char *kfunc)
{
	return btf__find_by_name_kind(btf, kfunc, BTF_KIND_FUNC) > 0;
}

int kernel_hold(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int kind = GMPRT_HOLD_NONE;

	if (!btf)
		return -ENOENT;
	/* As libgmp/core/upcall_load.c has it. */
	if (has(btf, "bpf_task_work_schedule_resume"))
		kind = GMPRT_HOLD_PLAIN;
	else if (has(btf, "bpf_task_work_schedule_resume_impl"))
		kind = GMPRT_HOLD_IMPL;
	btf__free(btf);
	return kind;
}
