/* SPDX-License-Identifier: MIT */
/*
 * unwind_fiber.h - what the tests of base/unwind.h unwind, and what comes out
 *
 * A fiber is parked by a switch of the tests' own, which saves as little as
 * the goroutines': sp, fp and where to go on. The functions that it is parked
 * in are here, so this file's name and its lines are what must come out.
 */
#ifndef TESTS_UNIT_UNWIND_FIBER_H
#define TESTS_UNIT_UNWIND_FIBER_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/unwind.h"
#include "kselftest_harness.h"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#define STACK_BYTES (256 << 10)
/* The frame must be there after the call: no tail call. */
#define KEEP_FRAME() __asm__ volatile("")

/* ---- something to park --------------------------------------------- */

struct saved {
	uintptr_t sp, fp, pc;
};

struct fiber {
	struct saved own; /* first: a fiber that begins finds itself by it */
	struct saved back;
	char *stack;
	void (*body)(struct fiber *f); /* NULL: deep() or worker() */
	int depth;
	uint32_t seq;         /* even: parked */
	void *san, *san_back; /* what the thread sanitizer calls them */
};

#if defined(__x86_64__)
#define SWITCH(from, to)                                                                 \
	do {                                                                             \
		struct saved *from_ = (from), *to_ = (to);                               \
		__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"                             \
				 "movq %%rsp, 0(%%rdi)\n\t"                              \
				 "movq %%rbp, 8(%%rdi)\n\t"                              \
				 "movq %%rax, 16(%%rdi)\n\t"                             \
				 "movq 0(%%rsi), %%rsp\n\t"                              \
				 "movq 8(%%rsi), %%rbp\n\t"                              \
				 "jmpq *16(%%rsi)\n"                                     \
				 "1:"                                                    \
				 : "+D"(from_), "+S"(to_)                                \
				 :                                                       \
				 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", \
				   "r12", "r13", "r14", "r15", "memory", "cc");          \
	} while (0)
#else
#define SWITCH(from, to)                                                                  \
	do {                                                                              \
		register struct saved *from_ __asm__("x0") = (from);                      \
		register struct saved *to_ __asm__("x1") = (to);                          \
		__asm__ volatile("adr x9, 1f\n\t"                                         \
				 "mov x10, sp\n\t"                                        \
				 "stp x10, x29, [x0]\n\t"                                 \
				 "str x9, [x0, #16]\n\t"                                  \
				 "ldp x10, x29, [x1]\n\t"                                 \
				 "ldr x9, [x1, #16]\n\t"                                  \
				 "mov sp, x10\n\t"                                        \
				 "br x9\n"                                                \
				 "1:"                                                     \
				 : "+r"(from_), "+r"(to_)                                 \
				 :                                                        \
				 : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", \
				   "x11", "x12", "x13", "x14", "x15", "x16", "x17",       \
				   "x18", "x19", "x20", "x21", "x22", "x23", "x24",       \
				   "x25", "x26", "x27", "x28", "x30", "v8", "v9", "v10",  \
				   "v11", "v12", "v13", "v14", "v15", "memory", "cc");    \
	} while (0)
#endif

static int line_park, line_inlined, line_middle, line_worker;

static void __noinline park(struct fiber *f)
{
#if defined(__SANITIZE_THREAD__)
	__tsan_switch_to_fiber(f->san_back, 0);
#endif
	line_park = __LINE__ + 1;
	SWITCH(&f->own, &f->back);
	KEEP_FRAME();
}

static inline __attribute__((always_inline)) void inlined_step(struct fiber *f)
{
	line_inlined = __LINE__ + 1;
	park(f);
	KEEP_FRAME();
}

void __noinline middle_global(struct fiber *f);
void __noinline middle_global(struct fiber *f)
{
	line_middle = __LINE__ + 1;
	inlined_step(f);
	KEEP_FRAME();
}

static void __noinline worker(struct fiber *f)
{
	line_worker = __LINE__ + 1;
	middle_global(f);
	KEEP_FRAME();
}

static void __noinline deep(struct fiber *f, int depth)
{
	char frame[1000];

	__asm__ volatile(""
			 :
			 : "r"(frame)
			 : "memory");
	if (depth > 0)
		deep(f, depth - 1);
	else
		park(f);
	KEEP_FRAME();
}

__attribute__((used)) static void fiber_main(struct fiber *f)
{
	for (;;) {
		if (f->body)
			f->body(f);
		else if (f->depth > 0)
			deep(f, f->depth);
		else
			worker(f);
	}
}

/* Nobody called it, and its unwind table says so. */
void fiber_root(void);
#if defined(__x86_64__)
__asm__(".text\n.type fiber_root, @function\nfiber_root:\n"
	".cfi_startproc\n.cfi_undefined rip\n"
	"movq %rsi, %rdi\ncall fiber_main\nud2\n"
	".cfi_endproc\n.size fiber_root, . - fiber_root\n");
#else
__asm__(".text\n.type fiber_root, %function\nfiber_root:\n"
	".cfi_startproc\n.cfi_undefined x30\n"
	"mov x0, x1\nbl fiber_main\nbrk #1\n"
	".cfi_endproc\n.size fiber_root, . - fiber_root\n");
#endif

static void fiber_make(struct fiber *f, int depth)
{
	memset(f, 0, sizeof(*f));
	f->depth = depth;
	f->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	if (f->stack == MAP_FAILED)
		abort();
	f->own.sp = (uintptr_t)f->stack + STACK_BYTES;
	f->own.pc = (uintptr_t)fiber_root;
#if defined(__SANITIZE_THREAD__)
	f->san = __tsan_create_fiber(0);
#endif
}

static void __noinline fiber_run(struct fiber *f)
{
#if defined(__SANITIZE_THREAD__)
	f->san_back = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(f->san, 0);
#endif
	SWITCH(&f->back, &f->own);
}

/* Like a dump's: the fiber may be running, what is read a mixture. */
static struct rt_unwind_regs fiber_regs(const struct fiber *f)
{
	return (struct rt_unwind_regs){
		.pc = load_rlx(&f->own.pc),
		.sp = load_rlx(&f->own.sp),
		.fp = load_rlx(&f->own.fp),
		.stack_hi = (uintptr_t)f->stack + STACK_BYTES,
	};
}

/* ---- what comes out ------------------------------------------------ */

static char out[64 << 10];
static size_t out_len;

static void out_add(void *arg, const char *text, size_t len)
{
	(void)arg;
	if (out_len + len >= sizeof(out))
		abort();
	memcpy(out + out_len, text, len);
	out_len += len;
	out[out_len] = '\0';
}

static const struct rt_unwind_sink sink = { .text = out_add, .max_frames = 100 };

static int unwind(struct rt_unwind *u, const struct rt_unwind_regs *r)
{
	out_len = 0;
	out[0] = '\0';
	return rt_unwind_stack(u, r, NULL, NULL, &sink);
}

static bool first_is(const char *func)
{
	size_t n = strlen(func);

	return strncmp(out, func, n) == 0 && strncmp(out + n, "(...)\n", 6) == 0;
}

static char wanted[256];

/* Finds a text behind *at and moves *at behind it. */
static bool __printf(2, 3) next(const char **at, const char *fmt, ...)
{
	const char *hit;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(wanted, sizeof(wanted), fmt, ap);
	va_end(ap);
	hit = strstr(*at, wanted);
	if (hit)
		*at = hit + strlen(wanted);
	return hit != NULL;
}

#define EXPECT_NEXT(at, ...)                                                              \
	EXPECT_TRUE(next(&(at), __VA_ARGS__))                                             \
	{                                                                                 \
		TH_LOG("no \"%s\" after %d bytes of:\n%s", wanted, (int)((at)-out), out); \
	}

/* Names, lines and order of what fiber_make(f, 0) and fiber_run(f) park. */
static void expect_whole(struct __test_metadata *_metadata)
{
	const char *at = out;

	EXPECT_NEXT(at, "park(...)\n");
	EXPECT_NEXT(at, "unwind_fiber.h:%d +0x", line_park);
	EXPECT_NEXT(at, "\ninlined_step(...)\n");
	EXPECT_NEXT(at, "unwind_fiber.h:%d\n", line_inlined);
	EXPECT_NEXT(at, "middle_global(...)\n");
	EXPECT_NEXT(at, "unwind_fiber.h:%d +0x", line_middle);
	EXPECT_NEXT(at, "\nworker(...)\n");
	EXPECT_NEXT(at, "unwind_fiber.h:%d +0x", line_worker);
	EXPECT_NEXT(at, "\nfiber_main(...)\n");
	EXPECT_NEXT(at, "\nfiber_root(...)\n");
	EXPECT_EQ(NULL, strstr(out, "(no further"))
	{
		TH_LOG("not to the root:\n%s", out);
	}
}

#endif
