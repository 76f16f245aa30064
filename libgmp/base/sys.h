/* SPDX-License-Identifier: MIT */
/*
 * sys.h - every call into the kernel or the allocator, in one place
 *
 * Each returns -errno (or NULL), never sets errno for its caller to read, and
 * passes a fault site first: a test can make the n-th call of a run fail
 * (rt_fault_arm), so that every error path is walked. The sites cost a load
 * and a branch next to a system call.
 *
 * errno is restored where libc's wrapper may set it: it is the goroutine's.
 */
#ifndef RT_BASE_SYS_H
#define RT_BASE_SYS_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

/*
 * Let the n-th site from now fail (1 = the next), once; 0 disarms. Returns
 * how many sites have been passed since the last call. Process-wide.
 */
unsigned long rt_fault_arm(unsigned long nth);
/* The same for `count` sites in a row: what was short stays short for a while. */
unsigned long rt_fault_arm_for(unsigned long nth, unsigned long count);
/* The site: true if this one is to fail. */
bool rt_fault(void);

/* Private futex. Wait: 0, -EAGAIN (the value differs), -EINTR, -ETIMEDOUT.
 * deadline_ns is absolute on CLOCK_MONOTONIC, INT64_MAX for none. Not fault
 * sites: their failure has no meaning the caller could act on. */
int rt_futex_wait(uint32_t *word, uint32_t value, int64_t deadline_ns);
void rt_futex_wake(uint32_t *word, int n);

/* Address space, readable and writable, committed by touch; NULL: none. */
void *rt_map(size_t bytes);
void rt_unmap(void *at, size_t bytes);
/* By rt_map() and not unmapped: a leak test's. */
size_t rt_mapped_bytes(void);
/* A page no access survives. 0 or -errno. */
int rt_guard_install(void *at, size_t bytes);
/* Which kind rt_guard_install uses: true = MADV_GUARD_INSTALL, which splits
 * no mapping; false = PROT_NONE. Known after the first install. */
bool rt_guard_is_light(void);
/* For tests: from now on as on a kernel that has no MADV_GUARD_INSTALL. */
void rt_guard_use_mappings(void);
/* Gives the pages back; they read as zeroes. */
void rt_map_discard(void *at, size_t bytes);

/* Aligned to a cache line; NULL: none. Zeroed or not. Free with rt_free(). */
void *rt_zalloc(size_t bytes) __must_check;
void *rt_alloc(size_t bytes) __must_check;
void rt_free(void *at);

/* A detached thread with its creator's signal mask. 0 or -errno. */
int rt_thread_start(void *(*fn)(void *), void *arg, size_t stack_bytes) __must_check;

/* Sends sig to a thread of this process; one that is gone gets nothing. */
void rt_thread_signal(int tid, int sig);
/* Where a thread of this process that sleeps in a system call will go on, and
 * its stack pointer. False: it does not sleep, or /proc can't say. */
bool rt_thread_syscall(int tid, uintptr_t *sp, uintptr_t *pc);
/* The calling thread's signal mask. */
void rt_thread_mask_get(sigset_t *mask);
void rt_thread_mask_set(const sigset_t *mask);
/* No signal handler runs on the calling thread, but for faults. */
void rt_thread_mask_all(void);
/* Is a thread of this process asleep or stopped in the kernel, rather than
 * running or waiting for a CPU? False if /proc can't say. About 10 us. */
bool rt_thread_sleeps(int tid);

/* File descriptors that this process may have. */
uint64_t rt_fds_allowed(void);

/* How often the calling thread has gone to sleep of its own accord. */
uint64_t rt_thread_nr_sleeps(void);

/* A file's first bytes, as many as fit: how many, or -errno. Allocates nothing. */
ssize_t rt_file_read(const char *path, void *buf, size_t size);

/* All CPUs that run this process pass a full memory barrier. */
void rt_membarrier(void);

/* A static program has no room for a library's thread-locals: dlopen() would
 * succeed, the first call into the library crash. */
bool rt_program_is_static(void);

/* Threads of this process now, a sanitizer's own left out; or 0 if /proc can't
 * say. */
int rt_thread_count(void);

#endif
