/* SPDX-License-Identifier: MIT */
/*
 * unwind_dw.c - elfutils' libdw: loading it, telling it which files to read
 *
 * It is loaded at the first session, so that programs neither pay for it at
 * start nor need it installed.
 *
 * Invariants.
 *  - No network: elfutils' standard look-up may ask a debuginfod server by
 *    build ID, so a file that has one is looked up on this machine only.
 *    (Where DEBUGINFOD_URLS is set, libdw loads libdebuginfod; it is never
 *    called.)
 *  - rt_dw, the table of libdw's functions, is the one static variable. It is
 *    written under the caller's lock and never unloaded.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/sys.h"
#include "base/unwind_int.h"

struct rt_dw rt_dw;

static void __printf(2, 3) note(struct rt_unwind *u, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(u->note, sizeof(u->note), fmt, ap);
	va_end(ap);
}

/* ---- loading ------------------------------------------------------- */

/* False: u->note says why not. */
static bool dw_load(struct rt_unwind *u, bool no_libdw)
{
	bool fault = rt_fault();
	const char *why = "not wanted";
	void *lib = NULL;

	if (rt_dw.loaded && !no_libdw)
		return true;
	if (rt_program_is_static()) {
		note(u, "stacks are short: the program is linked statically");
		return false;
	}
	if (!no_libdw) {
		lib = fault ? NULL : dlopen("libdw.so.1", RTLD_LAZY | RTLD_LOCAL);
		why = fault ? "no memory" : dlerror();
	}
	if (!lib) {
		note(u, "stacks are short: %.160s (Debian: apt install libdw1)", why);
		return false;
	}
#define X(name)                                                                       \
	rt_dw.name = (__typeof__(rt_dw.name))dlsym(lib, #name);                       \
	if (!rt_dw.name) {                                                            \
		note(u, "stacks are short: libdw.so.1 is too old: it has no " #name); \
		return false;                                                         \
	}
	RT_DW_FUNCTIONS(X)
#undef X
	store_rel(&rt_dw.loaded, true); /* last, for the child of a fork() too */
	return true;
}

/* ---- files --------------------------------------------------------- */

/* libdw opens files without O_CLOEXEC, and keeps them open during a dump: a
 * program that another thread starts meanwhile must not inherit them. */
static int close_on_exec(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* Of a program that was rebuilt while it runs the old file is still there. */
static int find_elf(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elf)
{
	const struct rt_unwind *u = *userdata;
	const char *space = strrchr(name, ' ');
	char exe[32], target[4096];
	ssize_t n = 0;
	int fd = -1;

	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)u->pid);
	if (space && strcmp(space, " (deleted)") == 0)
		n = readlink(exe, target, sizeof(target));
	if (n > 0 && (size_t)n == strlen(name) && memcmp(target, name, (size_t)n) == 0)
		fd = open(exe, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		*file_name = strdup(exe);
		return fd;
	}
	return close_on_exec(
		rt_dw.dwfl_linux_proc_find_elf(mod, userdata, name, base, file_name, elf));
}

/* The standard function goes to the network only for files with a build ID. */
static int find_debuginfo(Dwfl_Module *mod, void **userdata, const char *modname, Dwarf_Addr base,
			  const char *file_name, const char *debuglink_file,
			  GElf_Word debuglink_crc, char **debuginfo_file_name)
{
	const unsigned char *bits;
	GElf_Addr vaddr;
	int fd;

	if (rt_dw.dwfl_module_build_id(mod, &bits, &vaddr) > 0)
		fd = rt_dw.dwfl_build_id_find_debuginfo(mod, userdata, modname, base, file_name,
							debuglink_file, debuglink_crc,
							debuginfo_file_name);
	else
		fd = rt_dw.dwfl_standard_find_debuginfo(mod, userdata, modname, base, file_name,
							debuglink_file, debuglink_crc,
							debuginfo_file_name);
	return close_on_exec(fd);
}

/* Asked for relocatable files only, and nobody runs one of those. */
static int section_address(Dwfl_Module *mod, void **userdata, const char *modname, Dwarf_Addr base,
			   const char *section, GElf_Word index, const GElf_Shdr *shdr,
			   Dwarf_Addr *addr)
{
	(void)mod, (void)userdata, (void)modname, (void)base;
	(void)section, (void)index, (void)shdr, (void)addr;
	return -1;
}

static int own_module(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr start,
		      void *arg)
{
	(void)mod;
	(void)name;
	(void)start;
	*userdata = arg;
	return DWARF_CB_OK;
}

void rt_unwind_dw_open(struct rt_unwind *u, bool no_libdw, const Dwfl_Thread_Callbacks *threads)
{
	static const Dwfl_Callbacks files = {
		.find_elf = find_elf,
		.find_debuginfo = find_debuginfo,
		.section_address = section_address,
	};
	int r;

	if (!dw_load(u, no_libdw))
		return;
	u->dwfl = rt_fault() ? NULL : rt_dw.dwfl_begin(&files);
	if (!u->dwfl) {
		note(u, "stacks are short: no memory");
		return;
	}
	rt_dw.dwfl_report_begin(u->dwfl);
	r = rt_dw.dwfl_linux_proc_report(u->dwfl, u->pid);
	if (r == 0)
		r = rt_dw.dwfl_report_end(u->dwfl, NULL, NULL);
	if (r == 0)
		rt_dw.dwfl_getmodules(u->dwfl, own_module, u, 0);
	if (r == 0 && rt_dw.dwfl_attach_state(u->dwfl, NULL, u->pid, threads, u))
		return;
	note(u, "stacks are short: /proc/%d/maps: %.160s", (int)u->pid,
	     r > 0 ? strerror(r) : rt_dw.dwfl_errmsg(-1));
	rt_dw.dwfl_end(u->dwfl);
	u->dwfl = NULL;
}
