/* SPDX-License-Identifier: MIT */
/*
 * unwind.h - the stack of something that is parked, as text
 *
 * For gmprt_dump(): registers and bounds of a parked goroutine in, lines in
 * the manner of Go's traces out. Nobody is stopped. unwind.c says how.
 *
 * One session serves one dump: it knows the program's mapped files as they
 * were at the open, and remembers what each pc was named.
 *
 * Context, for all functions: any thread, at most one at a time (the caller's
 * lock); NOT async-signal-safe: they allocate, open files and take the dynamic
 * loader's lock. Give them 256 KiB of stack: libdw has arrays of 130 KiB on
 * it. They keep errno.
 */
#ifndef RT_BASE_UNWIND_H
#define RT_BASE_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

/* At most this much of a stack is looked at, from sp upwards. */
#define RT_UNWIND_BYTES (128UL << 10)
#define RT_UNWIND_TAIL 16

struct rt_unwind;

/* Addresses from lo to hi - 1. */
struct rt_unwind_range {
	uintptr_t lo, hi;
};

/* All NULL or 0: this process. */
struct rt_unwind_opts {
	pid_t pid; /* whose files are mapped where; 0: this process */
	/* Copies len bytes at addr, returns how many came, or -errno. Must not
	 * fault whatever addr is. NULL: pid's memory, read by the kernel. */
	ssize_t (*read)(void *arg, uintptr_t addr, void *buf, size_t len);
	void *read_arg;
	bool no_libdw; /* behave as where libdw is not installed */
	struct rt_unwind_range own; /* whose frames are hidden; empty: this library's code */
};

/* What a switch saved, or a signal's frame has. No other register is needed. */
struct rt_unwind_regs {
	uintptr_t pc; /* where it will go on */
	uintptr_t sp;
	uintptr_t fp;       /* rbp, x29 */
	uintptr_t lr;       /* x30; 0 elsewhere */
	uintptr_t stack_hi; /* first address beyond the stack */
	uintptr_t stack_lo; /* nothing below can be read; 0: not known */
	bool interrupted;   /* by a signal: pc has not been executed yet */
};

struct rt_unwind_sink {
	/* Gets one or more whole lines, each with its '\n'. */
	void (*text)(void *arg, const char *text, size_t len);
	void *arg;
	int max_frames; /* functions inlined into a frame are not counted */
	/* So many of the outermost frames are shown too, at most RT_UNWIND_TAIL;
	 * then the whole stack is looked at, which must be standing still. */
	int tail_frames;
};

/* A session; opts may be NULL and is not kept. NULL: no memory. */
struct rt_unwind *rt_unwind_open(const struct rt_unwind_opts *opts) __must_check;
void rt_unwind_close(struct rt_unwind *u); /* NULL: nothing */

/* Why stacks come out short, one line without '\n', or NULL: they don't.
 * Valid until the close. */
const char *rt_unwind_note(const struct rt_unwind *u);

/*
 * Writes the frames of one stack, innermost first:
 *
 *	worker(...)
 *		/home/me/worker.c:120 +0x1a
 *
 * A function that was inlined has no "+0x". Where there is no line
 * information the second line has the file's name and an address in it, for
 * addr2line. A stack that can't be followed to its root ends with a line in
 * parentheses that says why.
 *
 * Of frames in opts.own that follow each other at most one is shown, the
 * outermost whose function is called gmprt_*: what the user called. A stack
 * without any other frame is shown whole.
 *
 * still(still_arg) is asked once, after the stack was copied and before
 * anything is written: "has it stayed parked, since before regs were read?"
 * If not: -EAGAIN, nothing written. NULL: nobody else runs it.
 * Returns the number of frames written, at least 1. Whatever is in regs or
 * on the stack: no crash.
 */
int rt_unwind_stack(struct rt_unwind *u, const struct rt_unwind_regs *regs,
		    bool (*still)(void *), void *still_arg, const struct rt_unwind_sink *sink);

#endif
