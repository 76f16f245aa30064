/* SPDX-License-Identifier: MIT */
/*
 * tls.h - which M am I
 *
 * Problem: a goroutine may change threads inside a call, and compilers think
 * that nobody can: they compute a thread-local variable's address once a
 * function and reuse it (and glibc declares __errno_location const). After a
 * switch such an address is another thread's.
 *
 * So the library has one thread-local word, it is defined in assembly
 * (entry_*.S) and read by a volatile asm, which runs each time it is written
 * and is not moved over the asm of the switch. Nothing to cache, at any -O and
 * with LTO; and two instructions where a noinline accessor would be a call.
 * errno is reached through the M (rt_m.errno_p), never by name, in any
 * function that switches.
 */
#ifndef RT_CORE_TLS_H
#define RT_CORE_TLS_H

#include "base/compiler.h"

struct rt_m;

/* NULL on a thread that is not an M. */
static __always_inline_ struct rt_m *rt_m_self(void)
{
	struct rt_m *m;

#if defined(__x86_64__)
	__asm__ volatile("movq	rt_tls_m@gottpoff(%%rip), %0\n\t"
			 "movq	%%fs:(%0), %0"
			 : "=r"(m));
#elif defined(__aarch64__)
	char *tp;

	__asm__ volatile("adrp	%0, :gottprel:rt_tls_m\n\t"
			 "ldr	%0, [%0, :gottprel_lo12:rt_tls_m]\n\t"
			 "mrs	%1, tpidr_el0\n\t"
			 "ldr	%0, [%0, %1]"
			 : "=&r"(m), "=&r"(tp));
#endif
	return m;
}

static inline void rt_m_set_self(struct rt_m *m)
{
	void *off;

#if defined(__x86_64__)
	__asm__ volatile("movq	rt_tls_m@gottpoff(%%rip), %0\n\t"
			 "movq	%1, %%fs:(%0)"
			 : "=&r"(off)
			 : "r"(m)
			 : "memory");
#elif defined(__aarch64__)
	char *tp;

	__asm__ volatile("adrp	%0, :gottprel:rt_tls_m\n\t"
			 "ldr	%0, [%0, :gottprel_lo12:rt_tls_m]\n\t"
			 "mrs	%1, tpidr_el0\n\t"
			 "str	%2, [%0, %1]"
			 : "=&r"(off), "=&r"(tp)
			 : "r"(m)
			 : "memory");
#endif
}

#endif
