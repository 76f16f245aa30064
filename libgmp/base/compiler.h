/* SPDX-License-Identifier: MIT */
/*
 * compiler.h - what the language lacks: hints, attributes, container_of
 */
#ifndef RT_BASE_COMPILER_H
#define RT_BASE_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define __noreturn      __attribute__((noreturn))
#define __noinline      __attribute__((noinline))
#define __cold          __attribute__((cold, noinline))
#define __always_inline_ inline __attribute__((always_inline))
#define __must_check    __attribute__((warn_unused_result))
#define __printf(a, b)  __attribute__((format(printf, a, b)))

/* The unit in which CPUs fight over memory. x86 prefetches lines in pairs,
 * but pairs cost memory and measured no faster here. */
#define RT_CACHELINE 64
#define __cacheline  __attribute__((aligned(RT_CACHELINE)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#ifndef container_of
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#endif

/* The compiler may not move memory accesses across; the CPU may. */
#define barrier() __asm__ volatile("" ::: "memory")

static inline size_t rt_align_up(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

#endif
