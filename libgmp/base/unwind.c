/* SPDX-License-Identifier: MIT */
/*
 * unwind.c - the stack of something that is parked, as text
 *
 * Problem. A goroutine that is parked now may be running a moment later, on
 * a stack that is then unmapped, while we read it. And a C compiler keeps no
 * frame pointers: only the unwind tables tell where the caller is.
 *
 * How. The stack is first copied by the kernel (process_vm_readv on
 * ourselves: an address that isn't there is an error, not a SIGSEGV); then
 * the caller says whether the goroutine has moved meanwhile. If it has not,
 * the copy is what was on the stack, and only the copy is unwound. If the
 * caller is wrong, the worst is a wrong line of text.
 *
 * The tables are read by elfutils' libdwfl, with thread callbacks of our own:
 * it asks for registers and words of memory, and never attaches to anything.
 * It is loaded at the first session, so that programs neither pay for it at
 * start nor need it installed. Without it there is the saved pc, then a chain
 * of frame pointers if there is one, and dladdr's names.
 *
 * Invariants.
 *  - Nothing at an address that came from a goroutine is dereferenced.
 *  - No network: elfutils' standard look-up may ask a debuginfod server by
 *    build ID, so a file that has one is looked up on this machine only.
 *    (Where DEBUGINFOD_URLS is set, libdw loads libdebuginfod; it is never
 *    called.)
 *  - dw, the table of libdw's functions, is the one static variable. It is
 *    written under the caller's lock and never unloaded.
 *
 * Rejected. libunwind's local unwinder and _Unwind_Backtrace dereference the
 * live stack. backtrace_symbols() and dladdr alone don't know static
 * functions. dwfl_linux_proc_attach() ptraces, and nobody can ptrace himself.
 * A CFI interpreter of our own: 600 lines to save a dependency that is
 * optional anyway.
 */
#include "base/unwind.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/sys.h"

#if defined(__x86_64__)
#define RED_ZONE 128 /* a leaf function may use so much below sp */
#else
#define RED_ZONE 0
#endif

#define FRAME_TEXT_MAX 8192
#define INLINED_MAX    32   /* deeper ones are not taken apart */
#define CACHE_MIN      1024 /* slots; a power of two */

/* How its owner came to be at a pc. */
enum how {
	CALLED,      /* it is a return address */
	INTERRUPTED, /* by a signal: it is the next instruction */
	PARKED,      /* like CALLED, but for one that has yet to begin */
};

/* The text for one pc. */
struct name {
	uintptr_t pc;
	enum how how;
	size_t len;
	char *text; /* NULL: free slot */
};

struct rt_unwind {
	pid_t pid;
	bool self;
	ssize_t (*read)(void *arg, uintptr_t addr, void *buf, size_t len);
	void *read_arg;
	int mem_fd; /* /proc/PID/mem, or -1 */
	Dwfl *dwfl; /* NULL: frame pointers only */

	struct name *names; /* open addressing, linear probing */
	size_t nr_names, nr_slots;

	/* the stack at hand */
	const struct rt_unwind_regs *regs;
	const struct rt_unwind_sink *sink;
	int nr_frames;
	bool elided;       /* max_frames was reached */
	bool missed;       /* a word the last step needed is not in the copy, */
	uintptr_t miss_at; /* it would be here */
	uintptr_t lo, hi;  /* what is in the copy */

	size_t text_len;
	char text[FRAME_TEXT_MAX];
	char note[256];
	char copy[RT_UNWIND_BYTES];
};

/* ---- libdw -------------------------------------------------------- */

/* clang-format off */
#define DW_FUNCTIONS(X) \
	X(dwarf_attr) X(dwarf_child) X(dwarf_diename) X(dwarf_filesrc) X(dwarf_formudata) \
	X(dwarf_getsrc_die) X(dwarf_getsrcfiles) X(dwarf_haspc) X(dwarf_lineno) \
	X(dwarf_linesrc) X(dwarf_siblingof) X(dwarf_tag) X(dwfl_addrmodule) \
	X(dwfl_attach_state) X(dwfl_begin) X(dwfl_build_id_find_debuginfo) X(dwfl_end) \
	X(dwfl_errmsg) X(dwfl_errno) X(dwfl_frame_pc) X(dwfl_getmodules) \
	X(dwfl_getthread_frames) X(dwfl_linux_proc_find_elf) X(dwfl_linux_proc_report) \
	X(dwfl_module_addrdie) X(dwfl_module_addrinfo) X(dwfl_module_build_id) \
	X(dwfl_module_info) X(dwfl_module_nextcu) X(dwfl_module_relocate_address) \
	X(dwfl_module_relocations) X(dwfl_report_begin) X(dwfl_report_end) \
	X(dwfl_standard_find_debuginfo) X(dwfl_thread_state_register_pc) \
	X(dwfl_thread_state_registers)
/* clang-format on */

static struct {
	bool loaded;
#define X(name) __typeof__(&name) name;
	DW_FUNCTIONS(X)
#undef X
} dw;

static void __printf(2, 3) note(struct rt_unwind *u, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(u->note, sizeof(u->note), fmt, ap);
	va_end(ap);
}

/* Called for the program itself, then, as it returns 1, for no library. */
static int has_interpreter(struct dl_phdr_info *program, size_t size, void *found)
{
	(void)size;
	for (int i = 0; i < program->dlpi_phnum; i++)
		if (program->dlpi_phdr[i].p_type == PT_INTERP)
			*(bool *)found = true;
	return 1;
}

/* False: u->note says why not. */
static bool dw_load(struct rt_unwind *u, bool no_libdw)
{
	bool dynamic = false, fault = rt_fault();
	const char *why = "not wanted";
	void *lib = NULL;

	if (dw.loaded && !no_libdw)
		return true;
	/* A static program has no room for a library's thread-locals: the
	 * load would succeed, the first call crash. */
	dl_iterate_phdr(has_interpreter, &dynamic);
	if (!dynamic) {
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
	dw.name = (__typeof__(dw.name))dlsym(lib, #name);                             \
	if (!dw.name) {                                                               \
		note(u, "stacks are short: libdw.so.1 is too old: it has no " #name); \
		return false;                                                         \
	}
	DW_FUNCTIONS(X)
#undef X
	dw.loaded = true;
	return true;
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
	return dw.dwfl_linux_proc_find_elf(mod, userdata, name, base, file_name, elf);
}

/* The standard function goes to the network only for files with a build ID. */
static int find_debuginfo(Dwfl_Module *mod, void **userdata, const char *modname, Dwarf_Addr base,
			  const char *file_name, const char *debuglink_file,
			  GElf_Word debuglink_crc, char **debuginfo_file_name)
{
	const unsigned char *bits;
	GElf_Addr vaddr;

	if (dw.dwfl_module_build_id(mod, &bits, &vaddr) > 0)
		return dw.dwfl_build_id_find_debuginfo(mod, userdata, modname, base, file_name,
						       debuglink_file, debuglink_crc,
						       debuginfo_file_name);
	return dw.dwfl_standard_find_debuginfo(mod, userdata, modname, base, file_name,
					       debuglink_file, debuglink_crc, debuginfo_file_name);
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

/* ---- memory ------------------------------------------------------- */

static ssize_t read_proc_mem(struct rt_unwind *u, uintptr_t addr, void *buf, size_t len)
{
	char path[32];
	ssize_t n;

	if (u->mem_fd < 0) {
		snprintf(path, sizeof(path), "/proc/%d/mem", (int)u->pid);
		u->mem_fd = open(path, O_RDONLY | O_CLOEXEC);
		if (u->mem_fd < 0)
			return -errno;
	}
	n = pread(u->mem_fd, buf, len, (off_t)addr);
	return n < 0 ? -errno : n;
}

static ssize_t read_process(void *arg, uintptr_t addr, void *buf, size_t len)
{
	struct rt_unwind *u = arg;
	struct iovec to = { buf, len };
	struct iovec from = { (void *)addr, len };
	ssize_t n;

	if (rt_fault())
		return -EFAULT;
	n = process_vm_readv(u->pid, &to, 1, &from, 1, 0);
	if (n >= 0)
		return n;
	/* Containers' seccomp filters and qemu-user refuse the call. */
	if (errno == EPERM || errno == ENOSYS)
		return read_proc_mem(u, addr, buf, len);
	return -errno;
}

/* Fills the copy with what can be had, which may be nothing. */
static void copy_stack(struct rt_unwind *u)
{
	uintptr_t sp = u->regs->sp, hi = u->regs->stack_hi, lo = sp - RED_ZONE;
	ssize_t n;

	u->lo = u->hi = sp;
	if (sp % sizeof(uintptr_t) || sp >= hi || lo > sp)
		return;
	if (hi - lo > RT_UNWIND_BYTES)
		hi = lo + RT_UNWIND_BYTES;
	n = u->read(u->read_arg, lo, u->copy, hi - lo);
	if (n <= 0 && RED_ZONE > 0) { /* the red zone may reach into the guard */
		lo = sp;
		n = u->read(u->read_arg, lo, u->copy, hi - lo);
	}
	u->lo = lo;
	u->hi = lo + (n > 0 ? (uintptr_t)n : 0);
}

/* Return addresses may be signed there; what isn't signed is not changed.
 * The hint is xpaclri, a nop before ARMv8.3. */
static uintptr_t strip_signature(uintptr_t word)
{
#if defined(__aarch64__)
	register uintptr_t x30 __asm__("x30") = word;

	__asm__("hint #7"
		: "+r"(x30));
	return x30;
#else
	return word;
#endif
}

static bool copy_word(struct rt_unwind *u, uintptr_t addr, uintptr_t *word)
{
	if (addr < u->lo || addr > u->hi || u->hi - addr < sizeof(*word)) {
		u->missed = true;
		u->miss_at = addr;
		return false;
	}
	memcpy(word, u->copy + (addr - u->lo), sizeof(*word));
	*word = strip_signature(*word);
	return true;
}

/* ---- text --------------------------------------------------------- */

/* Appends whole or not at all. */
static void __printf(2, 3) text_add(struct rt_unwind *u, const char *fmt, ...)
{
	size_t room = sizeof(u->text) - u->text_len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(u->text + u->text_len, room, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < room)
		u->text_len += (size_t)n;
}

static void text_emit(struct rt_unwind *u)
{
	if (u->text_len)
		u->sink->text(u->sink->arg, u->text, u->text_len);
	u->text_len = 0;
}

static void text_add_frame(struct rt_unwind *u, const char *func, const char *file, int line)
{
	text_add(u, "%.300s(...)\n\t", func ? func : "?");
	text_add(u, "%.1000s:%d", file, line);
}

/* Slots are never freed before the close: no tombstones. */
static struct name *name_slot(const struct rt_unwind *u, uintptr_t pc, enum how how)
{
	size_t i = (pc + how) * 0x9e3779b97f4a7c15ULL >> 20;
	struct name *slot;

	do
		slot = &u->names[i++ & (u->nr_slots - 1)];
	while (slot->text && (slot->pc != pc || slot->how != how));
	return slot;
}

/* Never more than half full. False: no room. */
static bool names_grow(struct rt_unwind *u)
{
	struct name *old = u->names, *more;
	size_t nr_old = u->nr_slots, nr = nr_old ? 2 * nr_old : CACHE_MIN;

	if (u->nr_names < nr_old / 2)
		return true;
	more = rt_zalloc(nr * sizeof(*more));
	if (!more)
		return false;
	u->names = more;
	u->nr_slots = nr;
	for (size_t i = 0; i < nr_old; i++)
		if (old[i].text)
			*name_slot(u, old[i].pc, old[i].how) = old[i];
	rt_free(old);
	return true;
}

/* Remembers u->text. A pc that can't be remembered is looked up again. */
static void name_keep(struct rt_unwind *u, uintptr_t pc, enum how how)
{
	char *text;

	if (!names_grow(u))
		return;
	text = rt_zalloc(u->text_len);
	if (!text)
		return;
	memcpy(text, u->text, u->text_len);
	*name_slot(u, pc, how) = (struct name){ pc, how, u->text_len, text };
	u->nr_names++;
}

/* ---- a pc's name, by libdw ---------------------------------------- */

/* A line of source, as libdw names it. file NULL: not known. */
struct source {
	const char *file;
	int line;
};

/* NULL: none. clang writes no index from addresses to units. */
static Dwarf_Die *find_unit(Dwfl_Module *mod, Dwarf_Addr pc, Dwarf_Addr *bias)
{
	Dwarf_Die *cu = dw.dwfl_module_addrdie(mod, pc, bias);

	if (cu)
		return cu;
	while ((cu = dw.dwfl_module_nextcu(mod, cu, bias)))
		if (dw.dwarf_haspc(cu, pc - *bias) > 0)
			break;
	return cu;
}

static struct source source_at(Dwarf_Die *cu, Dwarf_Addr pc)
{
	struct source src = { NULL, 0 };
	Dwarf_Line *line = dw.dwarf_getsrc_die(cu, pc);

	if (line && dw.dwarf_lineno(line, &src.line) == 0)
		src.file = dw.dwarf_linesrc(line, NULL, NULL);
	return src;
}

/* Where an inlined function was called from. */
static struct source call_site(Dwarf_Die *cu, Dwarf_Die *inlined)
{
	struct source src = { NULL, 0 };
	Dwarf_Attribute attr;
	Dwarf_Word file, line;
	Dwarf_Files *files;
	size_t nr_files;

	if (!dw.dwarf_formudata(dw.dwarf_attr(inlined, DW_AT_call_file, &attr), &file) &&
	    !dw.dwarf_formudata(dw.dwarf_attr(inlined, DW_AT_call_line, &attr), &line) &&
	    !dw.dwarf_getsrcfiles(cu, &files, &nr_files) && file < nr_files) {
		src.file = dw.dwarf_filesrc(files, file, NULL, NULL);
		src.line = (int)line;
	}
	return src;
}

/*
 * The functions inlined at pc, outermost first. (dwarf_getscopes() would do,
 * but gives up where link-time optimization put a function's original into
 * another unit.)
 */
static int find_inlined(Dwarf_Die *cu, Dwarf_Addr pc, Dwarf_Die *inlined, int max)
{
	Dwarf_Die scope = *cu, die;
	int n = 0;

	while (dw.dwarf_child(&scope, &die) == 0) {
		while (dw.dwarf_haspc(&die, pc) <= 0)
			if (dw.dwarf_siblingof(&die, &die) != 0)
				return n;
		if (dw.dwarf_tag(&die) == DW_TAG_inlined_subroutine) {
			if (n == max)
				return 0;
			inlined[n++] = die;
		}
		scope = die;
	}
	return n;
}

/*
 * Adds the functions that were inlined at pc, innermost first, and moves
 * *src, which is where pc is, to where the outermost of them was called.
 */
static void add_inlined(struct rt_unwind *u, Dwarf_Die *cu, Dwarf_Addr pc, struct source *src)
{
	Dwarf_Die inlined[INLINED_MAX];
	int n = find_inlined(cu, pc, inlined, INLINED_MAX);

	while (n-- > 0) {
		struct source caller = call_site(cu, &inlined[n]);

		if (!caller.file)
			return;
		text_add_frame(u, dw.dwarf_diename(&inlined[n]), src->file, src->line);
		text_add(u, "\n");
		*src = caller;
	}
}

/* The address that addr2line -e FILE wants. */
static Dwarf_Addr file_address(Dwfl_Module *mod, Dwarf_Addr pc)
{
	if (dw.dwfl_module_relocations(mod) > 0)
		dw.dwfl_module_relocate_address(mod, &pc);
	return pc;
}

/* Fills u->text. at: the byte of code that counts, pc or the one before it. */
static void name_by_dw(struct rt_unwind *u, Dwarf_Addr pc, Dwarf_Addr at)
{
	Dwfl_Module *mod = dw.dwfl_addrmodule(u->dwfl, at);
	struct source src = { NULL, 0 };
	const char *func, *file;
	GElf_Off offset = 0;
	Dwarf_Addr bias;
	GElf_Sym sym;
	Dwarf_Die *cu;

	if (!mod) {
		text_add(u, "?(...)\n\t%#lx, in no file\n", (unsigned long)pc);
		return;
	}
	func = dw.dwfl_module_addrinfo(mod, at, &offset, &sym, NULL, NULL, NULL);
	cu = find_unit(mod, at, &bias);
	if (cu)
		src = source_at(cu, at - bias);
	if (src.file) {
		add_inlined(u, cu, at - bias, &src);
		text_add_frame(u, func, src.file, src.line);
	} else {
		file = dw.dwfl_module_info(mod, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
		text_add(u, "%.300s(...)\n\t%.1000s (%#lx)", func ? func : "?", file,
			 (unsigned long)file_address(mod, at));
	}
	if (func)
		text_add(u, " +%#lx", (unsigned long)(offset + (pc - at)));
	text_add(u, "\n");
}

/* ---- a pc's name, by the dynamic loader ---------------------------- */

static bool is_code(const struct rt_unwind *u, uintptr_t pc)
{
	Dl_info info;

	return pc && (!u->self || dladdr((void *)pc, &info));
}

static void name_by_dl(struct rt_unwind *u, uintptr_t pc, uintptr_t at)
{
	struct link_map *map = NULL;
	Dl_info info;

	if (!u->self || !dladdr1((void *)at, &info, (void **)&map, RTLD_DL_LINKMAP)) {
		text_add(u, "?(...)\n\t%#lx\n", (unsigned long)pc);
		return;
	}
	text_add(u, "%.300s(...)\n\t%.1000s (%#lx)", info.dli_sname ? info.dli_sname : "?",
		 info.dli_fname, (unsigned long)(at - (map ? map->l_addr : 0)));
	if (info.dli_sname)
		text_add(u, " +%#lx", (unsigned long)(pc - (uintptr_t)info.dli_saddr));
	text_add(u, "\n");
}

/* ---- frames ------------------------------------------------------- */

/* Is pc the first byte of a function? */
static bool is_entry(const struct rt_unwind *u, uintptr_t pc)
{
	Dwfl_Module *mod;
	GElf_Off offset;
	GElf_Sym sym;
	Dl_info info;

	if (!u->dwfl)
		return u->self && dladdr((void *)pc, &info) && info.dli_saddr == (void *)pc;
	mod = dw.dwfl_addrmodule(u->dwfl, pc);
	return mod && dw.dwfl_module_addrinfo(mod, pc, &offset, &sym, NULL, NULL, NULL) &&
	       offset == 0;
}

/*
 * A return address may belong to the next line, or to the next function if
 * the call never returns: the byte before it counts.
 */
static void name(struct rt_unwind *u, uintptr_t pc, enum how how)
{
	bool exact = how == INTERRUPTED || (how == PARKED && is_entry(u, pc));
	uintptr_t at = pc - !exact;

	if (u->dwfl)
		name_by_dw(u, pc, at);
	else
		name_by_dl(u, pc, at);
}

/* Writes one frame; false: it is one too many. */
static bool frame(struct rt_unwind *u, uintptr_t pc, enum how how)
{
	const struct name *known;

	if (u->nr_frames >= u->sink->max_frames && u->nr_frames > 0) {
		u->elided = true;
		return false;
	}
	u->nr_frames++;
	known = u->names ? name_slot(u, pc, how) : NULL;
	if (known && known->text) {
		u->sink->text(u->sink->arg, known->text, known->len);
		return true;
	}
	name(u, pc, how);
	name_keep(u, pc, how);
	text_emit(u);
	return true;
}

static int on_frame(Dwfl_Frame *state, void *arg)
{
	struct rt_unwind *u = arg;
	bool interrupted;
	Dwarf_Addr pc;
	enum how how;

	u->missed = false;
	if (!dw.dwfl_frame_pc(state, &pc, &interrupted))
		return DWARF_CB_ABORT;
	how = interrupted ? INTERRUPTED : CALLED;
	if (u->nr_frames == 0)
		how = PARKED;
	return frame(u, pc, how) ? DWARF_CB_OK : DWARF_CB_ABORT;
}

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	(void)dwfl;
	if (*thread_arg)
		return 0;
	*thread_arg = arg;
	return 1;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread_arg)
{
	(void)dwfl;
	(void)tid;
	*thread_arg = arg;
	return true;
}

static bool memory_read(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	uintptr_t word;

	(void)dwfl;
	if (!copy_word(arg, addr, &word))
		return false;
	*result = word;
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const struct rt_unwind_regs *r = ((struct rt_unwind *)arg)->regs;
	bool ok;

#if defined(__x86_64__)
	ok = dw.dwfl_thread_state_registers(thread, 6, 2, (Dwarf_Word[]){ r->fp, r->sp });
#elif defined(__aarch64__)
	ok = dw.dwfl_thread_state_registers(thread, 29, 3, (Dwarf_Word[]){ r->fp, r->lr, r->sp });
#else
#error "say which DWARF registers hold fp and sp"
#endif
	dw.dwfl_thread_state_register_pc(thread, r->pc);
	return ok;
}

/* Why the word at miss_at was not there. */
static void add_miss(struct rt_unwind *u)
{
	uintptr_t at = u->miss_at;

	if (at < u->regs->sp || at >= u->regs->stack_hi)
		text_add(u, "(no further: %#lx is not on this stack)\n", (unsigned long)at);
	else if (u->hi - u->lo == RT_UNWIND_BYTES)
		text_add(u, "(no further: deeper than %lu KiB)\n", RT_UNWIND_BYTES >> 10);
	else
		text_add(u, "(no further: %#lx can't be read)\n", (unsigned long)at);
}

/* libdw takes a return address that can't be read for the root's, too. */
static void walk_by_dw(struct rt_unwind *u)
{
	int r;

	dw.dwfl_errno(); /* forget an old error */
	u->missed = false;
	r = dw.dwfl_getthread_frames(u->dwfl, 1, on_frame, u);
	if (!u->nr_frames)
		frame(u, u->regs->pc, PARKED);
	if (u->elided || (r == 0 && !u->missed))
		return;
	if (u->missed)
		add_miss(u);
	else
		text_add(u, "(no further: %.200s)\n", dw.dwfl_errmsg(-1));
	text_emit(u);
}

/* Goes on while the chain looks like one: upwards, aligned, pointing to code. */
static void walk_by_fp(struct rt_unwind *u)
{
	uintptr_t fp = u->regs->fp, floor = u->regs->sp, next, pc;

	frame(u, u->regs->pc, PARKED);
	while (fp >= floor && fp % sizeof(fp) == 0 && copy_word(u, fp, &next) &&
	       copy_word(u, fp + sizeof(fp), &pc) && is_code(u, pc) && frame(u, pc, CALLED)) {
		floor = fp + sizeof(fp);
		fp = next;
	}
}

int rt_unwind_stack(struct rt_unwind *u, const struct rt_unwind_regs *regs,
		    bool (*still)(void *), void *still_arg, const struct rt_unwind_sink *sink)
{
	int saved = errno;

	u->regs = regs;
	u->sink = sink;
	u->nr_frames = 0;
	u->elided = false;
	copy_stack(u);
	if (still && !still(still_arg)) {
		errno = saved;
		return -EAGAIN;
	}
	if (u->dwfl)
		walk_by_dw(u);
	else
		walk_by_fp(u);
	if (u->elided) {
		text_add(u, "(more frames)\n");
		text_emit(u);
	}
	errno = saved;
	return u->nr_frames;
}

/* ---- sessions ----------------------------------------------------- */

static int own_module(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr start,
		      void *arg)
{
	(void)mod;
	(void)name;
	(void)start;
	*userdata = arg;
	return DWARF_CB_OK;
}

/* Leaves u->dwfl NULL and says why in u->note, or doesn't. */
static void dw_open(struct rt_unwind *u, bool no_libdw)
{
	static const Dwfl_Callbacks files = {
		.find_elf = find_elf,
		.find_debuginfo = find_debuginfo,
		.section_address = section_address,
	};
	static const Dwfl_Thread_Callbacks threads = {
		.next_thread = next_thread,
		.get_thread = get_thread,
		.memory_read = memory_read,
		.set_initial_registers = set_registers,
	};
	int r;

	if (!dw_load(u, no_libdw))
		return;
	u->dwfl = rt_fault() ? NULL : dw.dwfl_begin(&files);
	if (!u->dwfl) {
		note(u, "stacks are short: no memory");
		return;
	}
	dw.dwfl_report_begin(u->dwfl);
	r = dw.dwfl_linux_proc_report(u->dwfl, u->pid);
	if (r == 0)
		r = dw.dwfl_report_end(u->dwfl, NULL, NULL);
	if (r == 0)
		dw.dwfl_getmodules(u->dwfl, own_module, u, 0);
	if (r == 0 && dw.dwfl_attach_state(u->dwfl, NULL, u->pid, &threads, u))
		return;
	note(u, "stacks are short: /proc/%d/maps: %.160s", (int)u->pid,
	     r > 0 ? strerror(r) : dw.dwfl_errmsg(-1));
	dw.dwfl_end(u->dwfl);
	u->dwfl = NULL;
}

struct rt_unwind *rt_unwind_open(const struct rt_unwind_opts *opts)
{
	static const struct rt_unwind_opts none;
	int saved = errno;
	struct rt_unwind *u = rt_zalloc(sizeof(*u));

	if (!u)
		return NULL;
	if (!opts)
		opts = &none;
	u->pid = opts->pid ? opts->pid : getpid();
	u->self = u->pid == getpid();
	u->read = opts->read ? opts->read : read_process;
	u->read_arg = opts->read ? opts->read_arg : u;
	u->mem_fd = -1;
	dw_open(u, opts->no_libdw);
	errno = saved;
	return u;
}

const char *rt_unwind_note(const struct rt_unwind *u)
{
	return u->note[0] ? u->note : NULL;
}

void rt_unwind_close(struct rt_unwind *u)
{
	int saved = errno;

	if (!u)
		return;
	if (u->dwfl)
		dw.dwfl_end(u->dwfl);
	if (u->mem_fd >= 0)
		close(u->mem_fd);
	for (size_t i = 0; i < u->nr_slots; i++)
		rt_free(u->names[i].text);
	rt_free(u->names);
	rt_free(u);
	errno = saved;
}
