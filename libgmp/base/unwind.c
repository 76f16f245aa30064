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
 * Without libdw there is the saved pc, then a chain of frame pointers if there
 * is one, and dladdr's names. unwind_dw.c loads libdw, unwind_name.c says what
 * stands at a pc.
 *
 * Invariant. Nothing at an address that came from a goroutine is dereferenced.
 *
 * Rejected. libunwind's local unwinder and _Unwind_Backtrace dereference the
 * live stack. dwfl_linux_proc_attach() ptraces, and nobody can ptrace himself.
 * A CFI interpreter of our own: 600 lines to save a dependency that is
 * optional anyway.
 */
#include "base/unwind.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/unwind_int.h"

#if defined(__x86_64__)
#define RED_ZONE 128 /* a leaf function may use so much below sp */
#else
#define RED_ZONE 0
#endif

enum {
	SLIDE_BELOW = 4096,      /* more than a frame saves of its caller's */
	STEPS_MAX = 1000,        /* frames looked at, hidden ones too */
	TAIL_STEPS_MAX = 250000, /* the same where the outermost are wanted: 0.3 s */
};

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

/* Fills the copy from lo on; false: nothing can be read there. */
static bool copy_from(struct rt_unwind *u, uintptr_t lo)
{
	uintptr_t hi = u->regs->stack_hi;
	ssize_t n;

	if (hi - lo > RT_UNWIND_BYTES)
		hi = lo + RT_UNWIND_BYTES;
	n = u->read(u->read_arg, lo, u->copy, hi - lo);
	u->lo = lo;
	u->hi = lo + (n > 0 ? (uintptr_t)n : 0);
	return n > 0;
}

/* Fills the copy with what can be had, which may be nothing. */
static void copy_stack(struct rt_unwind *u)
{
	uintptr_t sp = u->regs->sp, hi = u->regs->stack_hi, lo = sp - RED_ZONE;

	u->lo = u->hi = sp;
	if (sp % sizeof(uintptr_t) || sp >= hi || lo > sp)
		return;
	if (lo < u->regs->stack_lo)
		lo = u->regs->stack_lo;
	/* The red zone may reach into the guard. */
	if (lo < hi && !copy_from(u, lo) && lo < sp)
		copy_from(u, sp);
}

/* The copy ends below addr: moves it there. A frame's words are asked for from
 * its end downwards, so what lies a little below is wanted too. */
static bool copy_slide(struct rt_unwind *u, uintptr_t addr)
{
	uintptr_t lo = addr - SLIDE_BELOW;

	if (!u->sink->tail_frames || addr < u->hi || addr >= u->regs->stack_hi)
		return false;
	return copy_from(u, lo > u->lo ? lo : u->lo);
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

static bool in_copy(const struct rt_unwind *u, uintptr_t addr, size_t len)
{
	return addr >= u->lo && addr <= u->hi && u->hi - addr >= len;
}

static bool copy_word(struct rt_unwind *u, uintptr_t addr, uintptr_t *word)
{
	if (!in_copy(u, addr, sizeof(*word)) &&
	    !(copy_slide(u, addr) && in_copy(u, addr, sizeof(*word)))) {
		u->missed = true;
		u->miss_at = addr;
		return false;
	}
	memcpy(word, u->copy + (addr - u->lo), sizeof(*word));
	*word = strip_signature(*word);
	return true;
}

/* ---- frames ------------------------------------------------------- */

static void put(struct rt_unwind *u, struct rt_unwind_pc at)
{
	const struct rt_unwind_name *name = rt_unwind_name(u, at);

	u->nr_frames++;
	u->sink->text(u->sink->arg, name->text, name->len);
}

/* Shows one frame, now or at the end; false: it is one too many. */
static bool show(struct rt_unwind *u, struct rt_unwind_pc at)
{
	if (u->nr_frames < u->sink->max_frames || u->nr_frames == 0)
		put(u, at);
	else if (u->sink->tail_frames)
		u->tail[u->nr_tail++ % RT_UNWIND_TAIL] = at;
	else
		u->elided = true;
	return !u->elided;
}

/* The frame of ours that was held back; as show(). */
static bool show_public(struct rt_unwind *u)
{
	struct rt_unwind_pc at = u->public;

	u->public.pc = 0;
	return !at.pc || show(u, at);
}

/* The next frame, innermost first; false: no more are wanted. */
static bool frame(struct rt_unwind *u, uintptr_t pc, enum rt_how how)
{
	struct rt_unwind_pc at = { pc, how };
	enum rt_whose whose;

	if (u->nr_steps++ == (u->sink->tail_frames ? TAIL_STEPS_MAX : STEPS_MAX)) {
		u->elided = true; /* garbage may make a stack endless */
		return false;
	}
	whose = u->whole ? RT_FRAME_USERS : rt_unwind_name(u, at)->whose;
	if (whose == RT_FRAME_USERS)
		return show_public(u) && show(u, at);
	if (whose == RT_FRAME_PUBLIC)
		u->public = at;
	return true;
}

/* The first of all frames. */
static enum rt_how first_how(const struct rt_unwind *u)
{
	return u->regs->interrupted ? RT_PC_INTERRUPTED : RT_PC_PARKED;
}

static int on_frame(Dwfl_Frame *state, void *arg)
{
	struct rt_unwind *u = arg;
	bool interrupted;
	Dwarf_Addr pc;
	enum rt_how how;

	u->missed = false;
	if (!rt_dw.dwfl_frame_pc(state, &pc, &interrupted))
		return DWARF_CB_ABORT;
	how = interrupted ? RT_PC_INTERRUPTED : RT_PC_CALLED;
	if (u->nr_steps == 0)
		how = first_how(u);
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
	ok = rt_dw.dwfl_thread_state_registers(thread, 6, 2, (Dwarf_Word[]){ r->fp, r->sp });
#elif defined(__aarch64__)
	ok = rt_dw.dwfl_thread_state_registers(thread, 29, 3,
					       (Dwarf_Word[]){ r->fp, r->lr, r->sp });
#else
#error "say which DWARF registers hold fp and sp"
#endif
	rt_dw.dwfl_thread_state_register_pc(thread, r->pc);
	return ok;
}

static void __printf(2, 3) no_further(struct rt_unwind *u, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(u->why, sizeof(u->why), fmt, ap);
	va_end(ap);
}

/* Why the word at miss_at was not there. */
static void say_miss(struct rt_unwind *u)
{
	uintptr_t at = u->miss_at;

	if (at < u->regs->sp || at >= u->regs->stack_hi)
		no_further(u, "%#lx is not on this stack", (unsigned long)at);
	else if (u->hi - u->lo == RT_UNWIND_BYTES)
		no_further(u, "deeper than %lu KiB", RT_UNWIND_BYTES >> 10);
	else
		no_further(u, "%#lx can't be read", (unsigned long)at);
}

/* libdw takes a return address that can't be read for the root's, too. */
static void walk_by_dw(struct rt_unwind *u)
{
	int r;

	rt_dw.dwfl_errno(); /* forget an old error */
	u->missed = false;
	r = rt_dw.dwfl_getthread_frames(u->dwfl, 1, on_frame, u);
	if (!u->nr_steps)
		frame(u, u->regs->pc, first_how(u));
	if (u->elided || (r == 0 && !u->missed))
		return;
	if (u->missed)
		say_miss(u);
	else
		no_further(u, "%.200s", rt_dw.dwfl_errmsg(-1));
}

static bool is_code(const struct rt_unwind *u, uintptr_t pc)
{
	Dl_info info;

	return pc && (!u->self || dladdr((void *)pc, &info));
}

/* Goes on while the chain looks like one: upwards, aligned, pointing to code. */
static void walk_by_fp(struct rt_unwind *u)
{
	uintptr_t fp = u->regs->fp, floor = u->regs->sp, next, pc;

	frame(u, u->regs->pc, first_how(u));
	while (fp >= floor && fp % sizeof(fp) == 0 && copy_word(u, fp, &next) &&
	       copy_word(u, fp + sizeof(fp), &pc) && is_code(u, pc) && frame(u, pc, RT_PC_CALLED)) {
		floor = fp + sizeof(fp);
		fp = next;
	}
}

static void walk(struct rt_unwind *u, bool whole)
{
	u->whole = whole;
	u->nr_frames = u->nr_steps = u->nr_tail = 0;
	u->elided = false;
	u->public.pc = 0;
	u->why[0] = '\0';
	if (u->dwfl)
		walk_by_dw(u);
	else
		walk_by_fp(u);
	if (!u->elided)
		show_public(u);
}

/* What is to be said below the frames. */
static void put_end(struct rt_unwind *u)
{
	int n = u->nr_tail, first = n - u->sink->tail_frames;

	if (first > 0 && !u->elided)
		rt_unwind_add(u, "...%d frames elided...\n", first);
	rt_unwind_emit(u);
	for (int i = first > 0 ? first : 0; i < n && !u->elided; i++)
		put(u, u->tail[i % RT_UNWIND_TAIL]);
	if (u->elided)
		rt_unwind_add(u, "(more frames)\n");
	if (u->why[0])
		rt_unwind_add(u, "(no further: %s)\n", u->why);
	rt_unwind_emit(u);
}

int rt_unwind_stack(struct rt_unwind *u, const struct rt_unwind_regs *regs,
		    bool (*still)(void *), void *still_arg, const struct rt_unwind_sink *sink)
{
	int saved = errno;

	u->regs = regs;
	u->sink = sink;
	copy_stack(u);
	if (still && !still(still_arg)) {
		errno = saved;
		return -EAGAIN;
	}
	walk(u, false);
	if (u->nr_frames == 0)
		walk(u, true);
	put_end(u);
	errno = saved;
	return u->nr_frames;
}

/* ---- sessions ----------------------------------------------------- */

struct rt_unwind *rt_unwind_open(const struct rt_unwind_opts *opts)
{
	static const Dwfl_Thread_Callbacks threads = {
		.next_thread = next_thread,
		.get_thread = get_thread,
		.memory_read = memory_read,
		.set_initial_registers = set_registers,
	};
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
	u->own = opts->own;
	if (u->self && !u->own.hi)
		u->own = rt_unwind_own();
	rt_unwind_dw_open(u, opts->no_libdw, &threads);
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
		rt_dw.dwfl_end(u->dwfl);
	if (u->mem_fd >= 0)
		close(u->mem_fd);
	rt_unwind_names_free(u);
	rt_free(u);
	errno = saved;
}
