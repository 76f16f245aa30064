/* SPDX-License-Identifier: MIT */
/*
 * sysbpf.h - calls into the kernel about BPF objects, as in sys.h
 *
 * By bpf(2) itself, not by libbpf: a process that was given the file
 * descriptors needs neither libbpf nor a capability for these.
 */
#ifndef RT_BASE_SYSBPF_H
#define RT_BASE_SYSBPF_H

#include <stdbool.h>

#include "base/compiler.h"

/* Has this process the capabilities to load tracing programs? (In a user namespace
 * it may, and be refused all the same.) */
bool rt_bpf_may_load(void);
/* Runs a "syscall" program on the calling thread with a copy of arg. What the
 * program returns, or -errno if it did not run. */
int rt_bpf_run(int prog_fd, const void *arg, size_t bytes) __must_check;
/* What an iterator says, from its link: a file to read, or -errno. */
int rt_bpf_iter(int link_fd) __must_check;
/*
 * Maps an object's memory, shared with the kernel and not with a child of
 * fork(), from byte `from` on. NULL: no, and *error is -errno.
 */
void *rt_bpf_map(int fd, size_t from, size_t bytes, bool writable, int *error) __must_check;
/* The same over what is mapped at `at`, whole pages. 0 or -errno. */
int rt_bpf_map_over(int fd, size_t from, void *at, size_t bytes) __must_check;
void rt_bpf_unmap(void *at, size_t bytes);
/* In that child: zeroes at the same address. 0 or -errno. */
int rt_bpf_map_blank(void *at, size_t bytes) __must_check;

#endif
