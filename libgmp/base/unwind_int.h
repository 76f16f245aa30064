/* SPDX-License-Identifier: MIT */
/*
 * unwind_int.h - what the unwind*.c share
 *
 * A session belongs to whoever calls into it (unwind.h says: one at a time).
 * Within it `names` and `unkept` are unwind_name.c's, `dwfl` is opened by
 * unwind_dw.c; all else is unwind.c's.
 */
#ifndef RT_BASE_UNWIND_INT_H
#define RT_BASE_UNWIND_INT_H

#include <dwarf.h>
#include <elfutils/libdwfl.h>

#include "base/unwind.h"

#define RT_FRAME_TEXT_MAX 8192

/* How its owner came to be at a pc. */
enum rt_how {
	RT_PC_CALLED,      /* it is a return address */
	RT_PC_INTERRUPTED, /* by a signal: it is the next instruction */
	RT_PC_PARKED,      /* like RT_PC_CALLED, but for one that has yet to begin */
};

struct rt_unwind_pc {
	uintptr_t pc;
	enum rt_how how;
};

enum rt_whose {
	RT_FRAME_USERS,
	RT_FRAME_PUBLIC, /* in opts.own, and called gmprt_* */
	RT_FRAME_OWN,    /* in opts.own */
};

/* What stands at one pc. */
struct rt_unwind_name {
	struct rt_unwind_pc at;
	enum rt_whose whose;
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
	struct rt_unwind_range own;

	struct rt_unwind_name *names; /* open addressing, linear probing */
	size_t nr_names, nr_slots;
	struct rt_unwind_name unkept; /* the one there was no memory for */

	/* the stack at hand */
	const struct rt_unwind_regs *regs;
	const struct rt_unwind_sink *sink;
	int nr_frames;     /* shown */
	int nr_steps;      /* looked at */
	int nr_tail;       /* of those beyond max_frames, the last few in `tail` */
	bool whole;        /* hide nothing */
	bool elided;       /* gave up with more to come */
	struct rt_unwind_pc public; /* the frame to show once one not ours follows; pc 0: none */
	struct rt_unwind_pc tail[RT_UNWIND_TAIL];
	bool missed;       /* a word the last step needed is not in the copy, */
	uintptr_t miss_at; /* it would be here */
	uintptr_t lo, hi;  /* what is in the copy */
	char why[256];     /* it went no further; "": it did */

	size_t text_len;
	char text[RT_FRAME_TEXT_MAX];
	char note[256];
	char copy[RT_UNWIND_BYTES];
};

/* ---- unwind_dw.c -------------------------------------------------- */

/* clang-format off */
#define RT_DW_FUNCTIONS(X) \
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

/* libdw's functions, once loaded. */
extern struct rt_dw {
	bool loaded;
#define X(name) __typeof__(&name) name;
	RT_DW_FUNCTIONS(X)
#undef X
} rt_dw;

/* Opens u->dwfl; if that can't be had, it is NULL and u->note says why. */
void rt_unwind_dw_open(struct rt_unwind *u, bool no_libdw, const Dwfl_Thread_Callbacks *threads);

/* ---- unwind_own.c ------------------------------------------------- */

/* Empty: not known. */
struct rt_unwind_range rt_unwind_own(void);

/* ---- unwind_name.c ------------------------------------------------ */

/* Adds to u->text, whole or not at all. */
void rt_unwind_add(struct rt_unwind *u, const char *fmt, ...) __printf(2, 3);
/* u->text to the sink. */
void rt_unwind_emit(struct rt_unwind *u);
/* Looked up, or remembered. Valid until the next call. */
const struct rt_unwind_name *rt_unwind_name(struct rt_unwind *u, struct rt_unwind_pc at);
void rt_unwind_names_free(struct rt_unwind *u);

#endif
