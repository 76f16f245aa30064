/* SPDX-License-Identifier: MIT */
/*
 * ctx.h - leaving one stack for another
 *
 * Problem: a call-preserving switch pushes and pops six registers, fcontext
 * eight; most hold nothing that is still wanted.
 *
 * So the switch is inline assembly that saves three words, stack pointer,
 * frame pointer and where to go on, and names every other register as
 * clobbered: the compiler spills what is alive at that place and no more.
 * Measured on the development machine: 0.4 ns against 7 ns for push and pop.
 *
 * The store. A goroutine that parks must be found by its waker only after its
 * context is saved and its stack left, else two Ms run on one stack. Nearly
 * every park ends in "and now let others see me", which is one 32-bit store:
 * a lock's release, a queue's new tail. The switch makes this store itself,
 * after the stack pointer has changed and before it jumps. So no code runs
 * "on behalf of" the one that left, and no second stack is visited for it.
 * The store is a release; it pairs with the acquire of whoever reads that
 * word (the lock's compare-and-swap, the thief's load of the tail). Those who
 * have nothing to publish pass a word of their own that nobody reads.
 *
 * What is not switched: floating-point control words and the signal mask.
 * They belong to the M (gmprt.h says so).
 *
 * Shadow stacks (CET): `ret` would not find its address after a switch. The
 * library is built without the SHSTK mark (-fcf-protection=none), so that the
 * loader turns shadow stacks off for a program that links it.
 *
 * Unwinding: on both sides of the switch the frame's CFA is at the same
 * offset from that side's stack pointer, so the compiler's own CFI holds. A
 * new stack begins in rt_ctx_entry (entry_*.S), whose CFI says that there is
 * no caller.
 */
#ifndef RT_CORE_CTX_H
#define RT_CORE_CTX_H

#include "base/atomic.h"
#include "base/san.h"

struct rt_ctx {
	void *sp;
	void *pc;
	void *fp;
};

/* First instruction of a new stack: calls the function in ctx.fp. */
extern char rt_ctx_entry[];

/* fn runs on the stack that ends at top (16-aligned), and never returns. */
static inline void rt_ctx_init(struct rt_ctx *c, void *top, void (*fn)(void))
{
	c->sp = top;
	c->pc = rt_ctx_entry;
	c->fp = (void *)fn;
}

#if defined(__AVX512F__)
#define RT_CTX_CLOBBER_AVX512                                                     \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", \
		"xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30",    \
		"xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define RT_CTX_CLOBBER_AVX512
#endif

/*
 * Saves this place in *from, goes on in *to, stores val in *word on the way.
 * Returns when someone switches to *from.
 */
static __always_inline_ void rt_ctx_switch(struct rt_ctx *from, struct rt_ctx *to,
					   uint32_t *word, uint32_t val)
{
	rt_san_release(word);
#if defined(__x86_64__)
	__asm__ volatile(
		"leaq	1f(%%rip), %%rax\n\t"
		"movq	%%rsp, 0(%%rdi)\n\t"
		"movq	%%rax, 8(%%rdi)\n\t"
		"movq	%%rbp, 16(%%rdi)\n\t"
		"movq	0(%%rsi), %%rsp\n\t"
		"movq	8(%%rsi), %%rax\n\t"
		"movq	16(%%rsi), %%rbp\n\t"
		/* Both stacks are settled: let others see. x86 keeps stores
		 * in order, so a plain one is a release. */
		"movl	%%ecx, (%%rdx)\n\t"
		"jmpq	*%%rax\n\t"
		".p2align 4\n"
		"1:\n\t"
		: "+D"(from), "+S"(to), "+d"(word), "+c"(val)
		:
		: "rax", "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
		  "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
		  "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
		  "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",
		  "st(7)" RT_CTX_CLOBBER_AVX512);
#elif defined(__aarch64__)
	register struct rt_ctx *f __asm__("x0") = from;
	register struct rt_ctx *t __asm__("x1") = to;
	register uint32_t *w __asm__("x2") = word;
	register uint32_t v __asm__("w3") = val;

	__asm__ volatile(
		"adr	x10, 1f\n\t"
		"mov	x9, sp\n\t"
		"stp	x9, x10, [x0]\n\t"
		"str	x29, [x0, #16]\n\t"
		"ldp	x9, x10, [x1]\n\t"
		"ldr	x29, [x1, #16]\n\t"
		"mov	sp, x9\n\t"
		"stlr	w3, [x2]\n\t"
		"br	x10\n"
		"1:\n\t"
		: "+r"(f), "+r"(t), "+r"(w), "+r"(v)
		:
		: "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
		  "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
		  "x27", "x28", "x30", "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6",
		  "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
		  "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
		  "v30", "v31");
#else
#error "gmprt: no context switch for this processor; x86-64 and aarch64 have one"
#endif
}

/*
 * Goes on in *to and forgets this place: for a stack that has ended. The
 * caller may already have given the stack away to its own M's free list, so
 * nothing may be pushed here.
 */
static __always_inline_ _Noreturn void rt_ctx_jump(struct rt_ctx *to)
{
#if defined(__x86_64__)
	__asm__ volatile("movq	0(%0), %%rsp\n\t"
			 "movq	8(%0), %%rax\n\t"
			 "movq	16(%0), %%rbp\n\t"
			 "jmpq	*%%rax"
			 :
			 : "S"(to)
			 : "rax", "memory");
#elif defined(__aarch64__)
	__asm__ volatile("ldp	x9, x10, [%0]\n\t"
			 "ldr	x29, [%0, #16]\n\t"
			 "mov	sp, x9\n\t"
			 "br	x10"
			 :
			 : "r"(to)
			 : "x9", "x10", "memory");
#endif
	__builtin_unreachable();
}

#endif
