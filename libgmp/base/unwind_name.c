/* SPDX-License-Identifier: MIT */
/*
 * unwind_name.c - what stands at a pc: function, file and line, as text
 *
 * By libdw with the functions that were inlined there; without libdw by the
 * dynamic loader, which knows exported functions only. A look-up takes
 * microseconds to milliseconds and a thousand goroutines wait at the same few
 * places, so a session remembers each pc's text, until its close.
 *
 * A pc is a number here: it is looked up in tables, never dereferenced.
 *
 * Rejected. backtrace_symbols() and dladdr alone don't know static functions.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/sys.h"
#include "base/unwind_int.h"

#define INLINED_MAX 32   /* deeper ones are not taken apart */
#define CACHE_MIN   1024 /* slots; a power of two */

/* ---- text --------------------------------------------------------- */

void rt_unwind_add(struct rt_unwind *u, const char *fmt, ...)
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

void rt_unwind_emit(struct rt_unwind *u)
{
	if (u->text_len)
		u->sink->text(u->sink->arg, u->text, u->text_len);
	u->text_len = 0;
}

/* Without what compilers append to the names of a function's parts: ".cold". */
static void text_add_frame(struct rt_unwind *u, const char *func, const char *file, int line)
{
	size_t len = func ? strcspn(func, ".") : 0;

	rt_unwind_add(u, "%.*s(...)\n\t", len ? (int)(len < 300 ? len : 300) : 1,
		      len ? func : "?");
	rt_unwind_add(u, "%.1000s:%d", file, line);
}

/* ---- what was looked up before ------------------------------------- */

/* Slots are never freed before the close: no tombstones. */
static struct rt_unwind_name *name_slot(const struct rt_unwind *u, struct rt_unwind_pc at)
{
	size_t i = (at.pc + at.how) * 0x9e3779b97f4a7c15ULL >> 20;
	struct rt_unwind_name *slot;

	do
		slot = &u->names[i++ & (u->nr_slots - 1)];
	while (slot->text && (slot->at.pc != at.pc || slot->at.how != at.how));
	return slot;
}

/* Never more than half full. False: no room. */
static bool names_grow(struct rt_unwind *u)
{
	struct rt_unwind_name *old = u->names, *more;
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
			*name_slot(u, old[i].at) = old[i];
	rt_free(old);
	return true;
}

/* A copy of n for ever; n itself if there is no room: looked up again then. */
static const struct rt_unwind_name *name_keep(struct rt_unwind *u, struct rt_unwind_name *n)
{
	struct rt_unwind_name *slot;
	char *text;

	if (!names_grow(u))
		return n;
	text = rt_zalloc(n->len);
	if (!text)
		return n;
	memcpy(text, n->text, n->len);
	slot = name_slot(u, n->at);
	*slot = *n;
	slot->text = text;
	u->nr_names++;
	return slot;
}

void rt_unwind_names_free(struct rt_unwind *u)
{
	for (size_t i = 0; i < u->nr_slots; i++)
		rt_free(u->names[i].text);
	rt_free(u->names);
}

/* ---- a pc's name, by libdw ---------------------------------------- */

static enum rt_whose whose_frame(const struct rt_unwind *u, uintptr_t at, const char *func)
{
	if (at < u->own.lo || at >= u->own.hi)
		return RT_FRAME_USERS;
	return func && strncmp(func, "gmprt_", 6) == 0 ? RT_FRAME_PUBLIC : RT_FRAME_OWN;
}

/* A line of source, as libdw names it. file NULL: not known. */
struct source {
	const char *file;
	int line;
};

/* NULL: none. clang writes no index from addresses to units. */
static Dwarf_Die *find_unit(Dwfl_Module *mod, Dwarf_Addr pc, Dwarf_Addr *bias)
{
	Dwarf_Die *cu = rt_dw.dwfl_module_addrdie(mod, pc, bias);

	if (cu)
		return cu;
	while ((cu = rt_dw.dwfl_module_nextcu(mod, cu, bias)))
		if (rt_dw.dwarf_haspc(cu, pc - *bias) > 0)
			break;
	return cu;
}

static struct source source_at(Dwarf_Die *cu, Dwarf_Addr pc)
{
	struct source src = { NULL, 0 };
	Dwarf_Line *line = rt_dw.dwarf_getsrc_die(cu, pc);

	if (line && rt_dw.dwarf_lineno(line, &src.line) == 0)
		src.file = rt_dw.dwarf_linesrc(line, NULL, NULL);
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

	if (!rt_dw.dwarf_formudata(rt_dw.dwarf_attr(inlined, DW_AT_call_file, &attr), &file) &&
	    !rt_dw.dwarf_formudata(rt_dw.dwarf_attr(inlined, DW_AT_call_line, &attr), &line) &&
	    !rt_dw.dwarf_getsrcfiles(cu, &files, &nr_files) && file < nr_files) {
		src.file = rt_dw.dwarf_filesrc(files, file, NULL, NULL);
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

	while (rt_dw.dwarf_child(&scope, &die) == 0) {
		while (rt_dw.dwarf_haspc(&die, pc) <= 0)
			if (rt_dw.dwarf_siblingof(&die, &die) != 0)
				return n;
		if (rt_dw.dwarf_tag(&die) == DW_TAG_inlined_subroutine) {
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
static void add_inlined(struct rt_unwind *u, Dwarf_Die *cu, Dwarf_Addr pc, struct source *src,
			bool show)
{
	Dwarf_Die inlined[INLINED_MAX];
	int n = find_inlined(cu, pc, inlined, INLINED_MAX);

	while (n-- > 0) {
		struct source caller = call_site(cu, &inlined[n]);

		if (!caller.file)
			return;
		if (show) {
			text_add_frame(u, rt_dw.dwarf_diename(&inlined[n]), src->file, src->line);
			rt_unwind_add(u, "\n");
		}
		*src = caller;
	}
}

/* The address that addr2line -e FILE wants. */
static Dwarf_Addr file_address(Dwfl_Module *mod, Dwarf_Addr pc)
{
	if (rt_dw.dwfl_module_relocations(mod) > 0)
		rt_dw.dwfl_module_relocate_address(mod, &pc);
	return pc;
}

/* Fills u->text. at: the byte of code that counts, pc or the one before it. */
static enum rt_whose name_by_dw(struct rt_unwind *u, Dwarf_Addr pc, Dwarf_Addr at)
{
	Dwfl_Module *mod = rt_dw.dwfl_addrmodule(u->dwfl, at);
	struct source src = { NULL, 0 };
	const char *func, *file;
	GElf_Off offset = 0;
	enum rt_whose whose;
	Dwarf_Addr bias;
	GElf_Sym sym;
	Dwarf_Die *cu;

	if (!mod) {
		rt_unwind_add(u, "?(...)\n\t%#lx, in no file\n", (unsigned long)pc);
		return RT_FRAME_USERS;
	}
	func = rt_dw.dwfl_module_addrinfo(mod, at, &offset, &sym, NULL, NULL, NULL);
	whose = whose_frame(u, at, func);
	cu = find_unit(mod, at, &bias);
	if (cu)
		src = source_at(cu, at - bias);
	if (src.file) {
		add_inlined(u, cu, at - bias, &src, whose != RT_FRAME_PUBLIC);
		text_add_frame(u, func, src.file, src.line);
	} else {
		file = rt_dw.dwfl_module_info(mod, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
		rt_unwind_add(u, "%.300s(...)\n\t%.1000s (%#lx)", func ? func : "?", file,
			      (unsigned long)file_address(mod, at));
	}
	if (func)
		rt_unwind_add(u, " +%#lx", (unsigned long)(offset + (pc - at)));
	rt_unwind_add(u, "\n");
	return whose;
}

/* ---- a pc's name, by the dynamic loader ---------------------------- */

static enum rt_whose name_by_dl(struct rt_unwind *u, uintptr_t pc, uintptr_t at)
{
	struct link_map *map = NULL;
	Dl_info info;

	if (!u->self || !dladdr1((void *)at, &info, (void **)&map, RTLD_DL_LINKMAP)) {
		rt_unwind_add(u, "?(...)\n\t%#lx\n", (unsigned long)pc);
		return whose_frame(u, at, NULL);
	}
	rt_unwind_add(u, "%.300s(...)\n\t%.1000s (%#lx)", info.dli_sname ? info.dli_sname : "?",
		      info.dli_fname, (unsigned long)(at - (map ? map->l_addr : 0)));
	if (info.dli_sname)
		rt_unwind_add(u, " +%#lx", (unsigned long)(pc - (uintptr_t)info.dli_saddr));
	rt_unwind_add(u, "\n");
	return whose_frame(u, at, info.dli_sname);
}

/* ---- either way ---------------------------------------------------- */

/* Is pc the first byte of a function? */
static bool is_entry(const struct rt_unwind *u, uintptr_t pc)
{
	Dwfl_Module *mod;
	GElf_Off offset;
	GElf_Sym sym;
	Dl_info info;

	if (!u->dwfl)
		return u->self && dladdr((void *)pc, &info) && info.dli_saddr == (void *)pc;
	mod = rt_dw.dwfl_addrmodule(u->dwfl, pc);
	return mod && rt_dw.dwfl_module_addrinfo(mod, pc, &offset, &sym, NULL, NULL, NULL) &&
	       offset == 0;
}

/*
 * A return address may belong to the next line, or to the next function if
 * the call never returns: the byte before it counts.
 */
static enum rt_whose name(struct rt_unwind *u, uintptr_t pc, enum rt_how how)
{
	bool exact = how == RT_PC_INTERRUPTED || (how == RT_PC_PARKED && is_entry(u, pc));
	uintptr_t at = pc - !exact;

	return u->dwfl ? name_by_dw(u, pc, at) : name_by_dl(u, pc, at);
}

const struct rt_unwind_name *rt_unwind_name(struct rt_unwind *u, struct rt_unwind_pc at)
{
	struct rt_unwind_name *n = u->names ? name_slot(u, at) : NULL;

	if (n && n->text)
		return n;
	n = &u->unkept;
	u->text_len = 0;
	n->at = at;
	n->whose = name(u, at.pc, at.how);
	n->len = u->text_len;
	n->text = u->text;
	u->text_len = 0;
	return name_keep(u, n);
}
