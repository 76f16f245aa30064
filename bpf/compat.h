/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - kernels: the parts of their types that we read, and differences
 *
 * The few fields are declared here and found by CO-RE in the kernel that loads
 * the programs. Rejected: a vmlinux.h made by bpftool from the building
 * machine's kernel. It would tie the build to that kernel (one before 6.18 has
 * no struct bpf_task_work, machines that build packages often show no BTF at
 * all), and makes clang read 130,000 lines for the few fields below.
 *
 * What differs, by the version that brought it:
 *   5.14  "syscall" programs, run by their fd (gmprt_call)
 *   5.18  tp_btf/sched_switch has the state that prev was switched out in: the
 *         oldest kernel these programs load on
 *   6.18  bpf_task_work_schedule_resume(): on the way to user mode; there named
 *         ..._impl with a last argument that the verifier fills in; later
 *         kernels have the name without it for four arguments
 */
#ifndef GMPRT_BPF_COMPAT_H
#define GMPRT_BPF_COMPAT_H

#include <linux/bpf.h>
#include <linux/version.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* BPF_PROG() makes a function whose first parameter few use. */
#pragma clang diagnostic ignored "-Wunused-parameter"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct mm_struct;
struct bpf_local_storage;

struct sched_entity {
	__u64 sum_exec_runtime;
};

struct task_struct {
	struct sched_entity se;
	int pid;
	int tgid;
	struct mm_struct *mm;
	struct bpf_local_storage *bpf_storage;
	char comm[16];
};

struct bpf_map {
	unsigned int id;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

/* The kernel's headers of 6.18 have it too. The verifier knows it by its name. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
struct bpf_task_work {
	__u64 opaque;
} __attribute__((aligned(8)));
#endif

typedef int (*gmprt_work_fn)(struct bpf_map *map, void *key, void *value);

/* Weak: gmprt_hold_kind says which of them is there; the other one's call is
 * dead code that the verifier removes. */
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *tw,
					      void *map__map, gmprt_work_fn fn,
					      void *aux__prog) __ksym __weak;
extern int bpf_task_work_schedule_resume(struct task_struct *task, struct bpf_task_work *tw,
					 void *map__map, gmprt_work_fn fn) __ksym __weak;

#define GMPRT_EPERM  1
#define GMPRT_ENOMEM 12
#define GMPRT_EBUSY  16
#define GMPRT_EINVAL 22
#define GMPRT_ERANGE 34
#define GMPRT_SIGURG 23

/* Memory that others write: exactly one load. */
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))

#endif
