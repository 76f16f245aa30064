/* SPDX-License-Identifier: MIT */
/*
 * upcall_load.c - libbpf: the BPF programs are loaded, attached, unloaded
 *
 * libbpf is loaded at the first use, so that programs neither pay for it at
 * start nor need it installed. bpftool's skeleton calls it by name; the macros
 * below turn these calls into ones through a table.
 *
 * libbpf reports to a function that is one for the process. While we load, it is
 * ours, so that the last line becomes the reason we give; then it is again whose
 * it was. The program that is our host may use the same libbpf.
 *
 * What the kernel lacks is asked of its BTF before loading: a program that is
 * not to be loaded is no failure.
 *
 * Rejected: linking with libbpf (each program would need it, with libelf and
 * zlib, and pay 1 ms at its start, on machines too where nothing can be loaded).
 */
#include "core/upcall_load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifndef RT_WITH_BPF

int rt_upcall_load(struct rt_upcall *u, const struct rt_upcall_shape *shape,
		   const struct gmprt_abi_head *head, uint32_t *features)
{
	(void)shape, (void)head, (void)features;
	snprintf(u->why, sizeof(u->why), "this build lacked clang, bpftool or libbpf-dev");
	return -ENOSYS;
}

int rt_upcall_load_attach(struct rt_upcall *u)
{
	(void)u;
	return -ENOSYS;
}

void rt_upcall_unload(struct rt_upcall *u)
{
	(void)u;
}

void rt_upcall_load_forked(struct rt_upcall *u)
{
	(void)u;
}

#else

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <sys/random.h>
#include <unistd.h>

#include "abi/gmprt_bpf.h"
#include "base/sys.h"
#include "base/sysbpf.h"
#include "base/sysbpf.h"
#include "base/sysio.h"

#define LIBBPF_FUNCTIONS(X)             \
	X(bpf_link__fd)                 \
	X(bpf_map__fd)                  \
	X(bpf_map__set_max_entries)     \
	X(bpf_map_update_elem)          \
	X(bpf_object__attach_skeleton)  \
	X(bpf_object__btf_fd)           \
	X(bpf_object__destroy_skeleton) \
	X(bpf_object__detach_skeleton)  \
	X(bpf_object__load_skeleton)    \
	X(bpf_object__open_skeleton)    \
	X(bpf_program__fd)              \
	X(btf__find_by_name_kind)       \
	X(btf__free)                    \
	X(btf__load_vmlinux_btf)        \
	X(libbpf_set_print)

static struct {
#define X(name) __typeof__(&name) name##_;
	LIBBPF_FUNCTIONS(X)
#undef X
	bool loaded;
} lib;

#define bpf_link__fd                 (lib.bpf_link__fd_)
#define bpf_map__fd                  (lib.bpf_map__fd_)
#define bpf_map__set_max_entries     (lib.bpf_map__set_max_entries_)
#define bpf_map_update_elem          (lib.bpf_map_update_elem_)
#define bpf_object__attach_skeleton  (lib.bpf_object__attach_skeleton_)
#define bpf_object__btf_fd           (lib.bpf_object__btf_fd_)
#define bpf_object__destroy_skeleton (lib.bpf_object__destroy_skeleton_)
#define bpf_object__detach_skeleton  (lib.bpf_object__detach_skeleton_)
#define bpf_object__load_skeleton    (lib.bpf_object__load_skeleton_)
#define bpf_object__open_skeleton    (lib.bpf_object__open_skeleton_)
#define bpf_program__fd              (lib.bpf_program__fd_)
#define btf__find_by_name_kind       (lib.btf__find_by_name_kind_)
#define btf__free                    (lib.btf__free_)
#define btf__load_vmlinux_btf        (lib.btf__load_vmlinux_btf_)
#define libbpf_set_print             (lib.libbpf_set_print_)

#include <gmprt.skel.h>

static int __printf(3, 4) fail(struct rt_upcall *u, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(u->why, sizeof(u->why), fmt, ap);
	va_end(ap);
	return error;
}

/* ---- libbpf -------------------------------------------------------- */

static int load_libbpf(struct rt_upcall *u)
{
	bool fault = rt_fault();
	void *so;

	if (lib.loaded)
		return 0;
	if (rt_program_is_static())
		return fail(u, -ENOSYS, "the program is linked statically: it can't load libbpf");
	so = fault ? NULL : dlopen("libbpf.so.1", RTLD_LAZY | RTLD_LOCAL);
	if (!so)
		return fail(u, -ENOSYS, "%.160s (Debian: apt install libbpf1)",
			    fault ? "no memory" : dlerror());
#define X(name)                                                  \
	lib.name##_ = (__typeof__(lib.name##_))dlsym(so, #name); \
	if (!lib.name##_)                                        \
		return fail(u, -ENOSYS, "libbpf.so.1 is too old: it has no " #name);
	LIBBPF_FUNCTIONS(X)
#undef X
	lib.loaded = true;
	return 0;
}

static char last_line[160];

static int __printf(2, 0) keep_line(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level > LIBBPF_WARN)
		return 0;
	vsnprintf(last_line, sizeof(last_line), fmt, ap);
	last_line[strcspn(last_line, "\n")] = 0;
	return 0;
}

/* libbpf has refused to load or attach. */
static int refused(struct rt_upcall *u, int error, const char *what)
{
	if (error == -EPERM || error == -EACCES)
		return fail(u, error,
			    "no right to %s BPF programs: run as root, or with CAP_BPF and "
			    "CAP_PERFMON",
			    what);
	return fail(u, error, "can't %s the BPF programs: %s (%.140s)", what, strerror(-error),
		    last_line);
}

/* ---- what the kernel has ------------------------------------------- */

static bool has(const struct btf *btf, const char *kfunc)
{
	return btf__find_by_name_kind(btf, kfunc, BTF_KIND_FUNC) > 0;
}

static int ask_kernel(struct rt_upcall *u, uint32_t *hold)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf)
		return fail(u, -ENOSYS, "the kernel shows no BTF in /sys/kernel/btf/vmlinux");
	/* A kernel that has both (7.2) has another _impl than the one that compat.h
	 * declares. */
	if (has(btf, "bpf_task_work_schedule_resume"))
		*hold = GMPRT_HOLD_PLAIN;
	else if (has(btf, "bpf_task_work_schedule_resume_impl"))
		*hold = GMPRT_HOLD_IMPL;
	btf__free(btf);
	return 0;
}

/* ---- loading ------------------------------------------------------- */

static int choose(struct rt_upcall *u, const struct rt_upcall_shape *shape,
		  const struct gmprt_abi_head *head, uint32_t *features)
{
	uint32_t hold = GMPRT_HOLD_NONE;
	int r = shape->no_hold ? 0 : ask_kernel(u, &hold);

	if (r)
		return r;
	bpf_map__set_max_entries(u->skel->maps.gmprt_space, head->nr_blocks);
	bpf_map__set_max_entries(u->skel->maps.gmprt_holds, head->nr_ms);
	u->skel->rodata->gmprt_hold_kind = hold;
	*features = GMPRT_F_WAKE | (hold ? GMPRT_F_HOLD : 0);
	return 0;
}

/* The programs' private copy, before anyone has the key. */
static int make_session(struct rt_upcall *u, const struct gmprt_abi_head *head)
{
	struct gmprt_session s = { .nr_ps = head->nr_ps,
				   .nr_ms = head->nr_ms,
				   .p_first = head->p_first,
				   .p_stride = head->p_stride,
				   .m_first = head->m_first };
	uint32_t nr = 0;

	if (getentropy(&s.key, sizeof(s.key)))
		return fail(u, -errno, "no random numbers: %s", strerror(errno));
	s.key |= 1; /* 0 is none */
	if (bpf_map_update_elem(bpf_map__fd(u->skel->maps.gmprt_sessions), &nr, &s, BPF_ANY))
		return fail(u, -errno, "can't make a session: %s", strerror(errno));
	u->session = nr;
	u->key = s.key;
	return 0;
}

static int load(struct rt_upcall *u, const struct rt_upcall_shape *shape,
		const struct gmprt_abi_head *head, uint32_t *features)
{
	int r;

	last_line[0] = 0;
	u->skel = rt_fault() ? NULL : gmprt_bpf__open();
	if (!u->skel)
		return refused(u, errno ? -errno : -ENOMEM, "open");
	r = choose(u, shape, head, features);
	if (r)
		return r;
	r = gmprt_bpf__load(u->skel);
	if (r)
		return refused(u, r, "load");
	u->call_fd = bpf_program__fd(u->skel->progs.gmprt_call);
	u->space_fd = bpf_map__fd(u->skel->maps.gmprt_space);
	u->wake_fd = bpf_map__fd(u->skel->maps.gmprt_wake);
	return make_session(u, head);
}

int rt_upcall_load(struct rt_upcall *u, const struct rt_upcall_shape *shape,
		   const struct gmprt_abi_head *head, uint32_t *features)
{
	libbpf_print_fn_t before;
	int saved = errno, r;

	/* Most have no rights; they need not wait for libbpf to say so. */
	if (!rt_bpf_may_load())
		return refused(u, -EPERM, "load");
	r = load_libbpf(u);
	if (!r) {
		before = libbpf_set_print(keep_line);
		r = load(u, shape, head, features);
		libbpf_set_print(before);
		if (r)
			rt_upcall_unload(u);
	}
	errno = saved;
	return r;
}

/* ---- attaching ----------------------------------------------------- */

static void note_fd(struct rt_upcall *u, int fd)
{
	if (fd >= 0 && u->nr_fds < RT_UPCALL_FDS)
		u->fds[u->nr_fds++] = fd;
}

/* For a child of fork(), which may not ask libbpf. */
static void note_fds(struct rt_upcall *u)
{
	const struct bpf_object_skeleton *s = u->skel->skeleton;

	note_fd(u, bpf_object__btf_fd(*s->obj));
	for (int i = 0; i < s->map_cnt; i++)
		note_fd(u, bpf_map__fd(*s->maps[i].map));
	for (int i = 0; i < s->prog_cnt; i++) {
		note_fd(u, bpf_program__fd(*s->progs[i].prog));
		if (s->progs[i].link && *s->progs[i].link)
			note_fd(u, bpf_link__fd(*s->progs[i].link));
	}
}

int rt_upcall_load_attach(struct rt_upcall *u)
{
	libbpf_print_fn_t before = libbpf_set_print(keep_line);
	int saved = errno, r = rt_fault() ? -ENOMEM : gmprt_bpf__attach(u->skel);

	libbpf_set_print(before);
	errno = saved;
	if (r)
		return refused(u, r, "attach");
	u->show_fd = bpf_link__fd(u->skel->links.gmprt_ms);
	note_fds(u);
	return 0;
}

/* Detaches first: destroying the skeleton destroys its links, then its maps. */
void rt_upcall_unload(struct rt_upcall *u)
{
	int saved = errno;

	if (u->skel)
		gmprt_bpf__destroy(u->skel);
	u->skel = NULL;
	u->nr_fds = 0;
	errno = saved;
}

void rt_upcall_load_forked(struct rt_upcall *u)
{
	for (uint32_t i = 0; i < u->nr_fds; i++)
		rt_sys_close(u->fds[i]);
	u->nr_fds = 0;
	if (u->skel) /* libbpf has mapped it, which keeps it loaded */
		rt_bpf_unmap(u->skel->rodata, sizeof(*u->skel->rodata));
}

#endif
