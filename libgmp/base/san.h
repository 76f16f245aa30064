/* SPDX-License-Identifier: MIT */
/*
 * san.h - what the sanitizers must be told about stacks that switch
 *
 * AddressSanitizer keeps a fake stack a thread and must hear where the real
 * one is; ThreadSanitizer keeps a clock and a shadow call stack a fiber;
 * LeakSanitizer must look for pointers on stacks that are parked. In other
 * builds all of it compiles to nothing.
 */
#ifndef RT_BASE_SAN_H
#define RT_BASE_SAN_H

#include "base/compiler.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#define RT_ASAN 1
#else
#define RT_ASAN 0
#endif

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define RT_TSAN 1
#else
#define RT_TSAN 0
#endif

/* A reader of words that their writers do not announce. */
#define __no_tsan __attribute__((no_sanitize("thread")))

/* One for each stack a thread can run on, goroutines' and its own. */
struct rt_san {
#if RT_ASAN
	void *fake;             /* ASan's, while the stack is left */
	const void *lo;         /* the stack's lowest byte */
	size_t size;
#endif
#if RT_TSAN
	void *fiber;
#endif
	char unused_[0];
};

/* Before the switch, still on from's stack. dead: from never runs again. */
static __always_inline_ void rt_san_leave(struct rt_san *from, struct rt_san *to, int dead)
{
	(void)from, (void)to, (void)dead;
#if RT_ASAN
	__sanitizer_start_switch_fiber(dead ? NULL : &from->fake, to->lo, to->size);
#endif
#if RT_TSAN
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
}

/* After the switch, on self's stack. */
static __always_inline_ void rt_san_arrive(struct rt_san *self)
{
	(void)self;
#if RT_ASAN
	__sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
#endif
}

/* A new stack of `size` bytes from lo, or one about to be used anew. */
static inline void rt_san_stack_new(struct rt_san *s, void *lo, size_t size)
{
	(void)s, (void)lo, (void)size;
#if RT_ASAN
	s->fake = NULL;
	s->lo = lo;
	s->size = size;
	__lsan_register_root_region(lo, size);
#endif
#if RT_TSAN
	s->fiber = __tsan_create_fiber(0);
#endif
}

static inline void rt_san_stack_reuse(struct rt_san *s)
{
	(void)s;
#if RT_ASAN
	s->fake = NULL;
	__asan_unpoison_memory_region(s->lo, s->size);
#endif
}

static inline void rt_san_stack_gone(struct rt_san *s)
{
	(void)s;
#if RT_ASAN
	__asan_unpoison_memory_region(s->lo, s->size);
	__lsan_unregister_root_region(s->lo, s->size);
#endif
#if RT_TSAN
	__tsan_destroy_fiber(s->fiber);
#endif
}

/* Mapped memory in which LSan must look for pointers. */
static inline void rt_san_root(void *at, size_t bytes)
{
	(void)at, (void)bytes;
#if RT_ASAN
	__lsan_register_root_region(at, bytes);
#endif
}

static inline void rt_san_root_gone(void *at, size_t bytes)
{
	(void)at, (void)bytes;
#if RT_ASAN
	__lsan_unregister_root_region(at, bytes);
#endif
}

/* Heap memory that nobody will free, with all it points at. */
static inline void rt_san_leak(const void *at)
{
	(void)at;
#if RT_ASAN
	__lsan_ignore_object(at);
#endif
}

/* A store that the switch makes in assembly is a release on that word; so is a
 * publication by liburcu's macros, which older versions hide from TSan. */
static __always_inline_ void rt_san_release(void *word)
{
	(void)word;
#if RT_TSAN
	__tsan_release(word);
#endif
}

static __always_inline_ void rt_san_acquire(void *word)
{
	(void)word;
#if RT_TSAN
	__tsan_acquire(word);
#endif
}

#endif
