/* SPDX-License-Identifier: MIT */
/*
 * load.c - gmpctl load, unload
 *
 * Making the folder is what two that load at a time compete for; who fails after
 * that removes what it made, so that there is all or nothing. Links go first:
 * without them no program runs.
 *
 * gmprt_holds must have room for every registered thread of every session. Where
 * the kernel has the kfunc that needs it, it is new enough for a hash table that
 * allocates as it grows; elsewhere only the numbers' uniqueness hangs on it, and
 * it is made smaller.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "abi/gmprt_abi.h"
#include "abi/gmprt_bpf.h"
#include "gmpctl/gmpctl.h"
#include "lib/pins.h"

#include <gmprt.skel.h>

enum { FEW_HOLDS = 16384 };

#define BPF_FS 0xcafe4a11

static const char *const names[] = {
	"gmprt_switch", "gmprt_exit", "gmprt_exec", "gmprt_ms",         /* links */
	"gmprt_call",                                                   /* program */
	"gmprt_sessions", "gmprt_spaces", "gmprt_wakes", "gmprt_holds", /* maps */
};

enum { NR_NAMES = sizeof(names) / sizeof(*names) };

static char last_line[160];

static int __attribute__((format(printf, 2, 0)))
keep_line(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level > LIBBPF_WARN)
		return 0;
	vsnprintf(last_line, sizeof(last_line), fmt, ap);
	last_line[strcspn(last_line, "\n")] = 0;
	return 0;
}

static int refused(const char *what, int error)
{
	if (error == -EPERM || error == -EACCES)
		return complain("no right to %s BPF programs: run as root", what);
	return complain("can't %s the BPF programs: %s (%s)", what, strerror(-error), last_line);
}

static const char *path_of(const struct options *o, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%.200s/%s", o->pins, name);
	return path;
}

/* ---- unload -------------------------------------------------------- */

/* How many of the names were there; or -errno of one that stays. */
static int remove_pins(const struct options *o)
{
	int n = 0, r = 0;

	for (int i = 0; i < NR_NAMES; i++) {
		if (unlink(path_of(o, names[i])) == 0)
			n++;
		else if (errno != ENOENT)
			r = -errno;
	}
	return r ? r : n;
}

int cmd_unload(const struct options *o)
{
	int n = remove_pins(o);

	if (n < 0)
		return complain("%s: %s%s", o->pins, strerror(-n),
				n == -EACCES || n == -EPERM ? ": run as root" : "");
	if (rmdir(o->pins) == 0)
		return 0;
	if (errno == ENOENT)
		return complain("%s: nothing is loaded", o->pins);
	return complain("%s: %s", o->pins,
			errno == ENOTEMPTY ? "there is something of somebody else's: remove it" :
					     strerror(errno));
}

/* ---- load ---------------------------------------------------------- */

static int make_folder(const struct options *o)
{
	char parent[256];
	struct statfs fs;
	char *slash;

	snprintf(parent, sizeof(parent), "%s", o->pins);
	slash = strrchr(parent, '/');
	if (strlen(o->pins) > 200 || !slash || slash == parent)
		return complain("--pins %s: give an absolute path of at most 200 bytes", o->pins);
	*slash = 0;
	if (statfs(parent, &fs))
		return complain("%s: %s", parent, strerror(errno));
	if ((unsigned long)fs.f_type != BPF_FS)
		return complain("%s is no BPF file system: mount -t bpf bpf /sys/fs/bpf", parent);
	if (mkdir(o->pins, 0700) == 0)
		return 0;
	if (errno == EEXIST)
		return complain("%s: loaded already; 'gmpctl unload' takes it out", o->pins);
	return complain("%s: %s%s", o->pins, strerror(errno),
			errno == EACCES || errno == EPERM ? ": run as root" : "");
}

static int pin_all(const struct gmprt_bpf *b, const struct options *o)
{
	const int fds[NR_NAMES] = {
		bpf_link__fd(b->links.gmprt_switch),
		bpf_link__fd(b->links.gmprt_exit),
		bpf_link__fd(b->links.gmprt_exec),
		bpf_link__fd(b->links.gmprt_ms),
		bpf_program__fd(b->progs.gmprt_call),
		bpf_map__fd(b->maps.gmprt_sessions),
		bpf_map__fd(b->maps.gmprt_spaces),
		bpf_map__fd(b->maps.gmprt_wakes),
		bpf_map__fd(b->maps.gmprt_holds),
	};

	for (int i = 0; i < NR_NAMES; i++)
		if (bpf_obj_pin(fds[i], path_of(o, names[i])))
			return complain("%s/%s: %s", o->pins, names[i], strerror(errno));
	return 0;
}

static int size_up(struct gmprt_bpf *b)
{
	int hold = kernel_hold();

	if (hold < 0)
		return complain("the kernel shows no BTF in /sys/kernel/btf/vmlinux: "
				"take one with CONFIG_DEBUG_INFO_BTF=y");
	b->rodata->gmprt_hold_kind = (__u32)hold;
	bpf_map__set_max_entries(b->maps.gmprt_holds,
				 hold ? GMPRT_SESSIONS * GMPRT_ABI_MAX_MS : FEW_HOLDS);
	if (hold)
		bpf_map__set_map_flags(b->maps.gmprt_holds, BPF_F_NO_PREALLOC);
	return 0;
}

static int load(struct gmprt_bpf *b, const struct options *o)
{
	int r;

	if (size_up(b))
		return 1;
	r = gmprt_bpf__load(b);
	if (r)
		return refused("load", r);
	r = gmprt_bpf__attach(b);
	if (r)
		return refused("attach", r);
	return pin_all(b, o);
}

int cmd_load(const struct options *o)
{
	struct gmprt_bpf *b;
	int r;

	libbpf_set_print(keep_line);
	if (make_folder(o))
		return 1;
	b = gmprt_bpf__open();
	r = b ? load(b, o) : refused("open", -errno);
	if (b)
		gmprt_bpf__destroy(b);
	if (r) {
		remove_pins(o);
		rmdir(o->pins);
	}
	return r;
}
