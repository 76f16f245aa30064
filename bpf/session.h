/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * session.h - the maps, and how a thread finds its slots
 *
 * Private state decides. What a thread is (session, M number) lies in its task
 * storage, how large a session is in gmprt_sessions; only gmprt_call writes the
 * one and only who loaded the programs the other. The shared space holds words
 * that are compared and swapped, and one number, of a P, that is looked up with
 * the private bound.
 *
 * A session is an index into three maps. It may be used again after its client
 * has gone, so a thread that is registered knows its key too: another key means
 * that its session is over.
 *
 * Each client's space is an array of its own in an array of maps: the kernel
 * bounds-checks each index against that array's real size, and no client can
 * map another's. 5 ns slower than one array for all.
 *
 * Rejected: a hash table by thread ID in place of task storage (twice the time
 * for threads that are not registered, and IDs are used again).
 */
#ifndef GMPRT_BPF_SESSION_H
#define GMPRT_BPF_SESSION_H

#include "abi/gmprt_abi.h"
#include "abi/gmprt_bpf.h"
#include "compat.h"

struct gmprt_block {
	union {
		struct gmprt_abi_head head;
		struct gmprt_abi_p p;
		struct gmprt_abi_m m[4];
	};
};

/* Session 0's space and ring buffer, which a process that loads the programs for
 * itself uses; the loader sets the size. They are not in the tables of the others:
 * that would cost two grace periods at the start of a run (25 ms), and a call in
 * place of a few instructions at each look. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gmprt_block);
} gmprt_space SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} gmprt_wake SEC(".maps");

/* The others', as gmpd makes them. */
struct gmprt_array {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gmprt_block);
};

struct gmprt_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, GMPRT_SESSIONS);
	__type(key, __u32);
	__array(values, struct gmprt_array);
} gmprt_spaces SEC(".maps");

/* Who waits for a session is woken by its ring buffer; it carries nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, GMPRT_SESSIONS);
	__type(key, __u32);
	__array(values, struct gmprt_ring);
} gmprt_wakes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GMPRT_SESSIONS);
	__type(key, __u32);
	__type(value, struct gmprt_session);
} gmprt_sessions SEC(".maps");

/* A registered thread's. */
struct gmprt_task {
	__u64 key; /* 0: not registered, or no more */
	__u32 session;
	__u32 m;
	__u32 slept; /* it blocked in goroutine code, and has not run since */
	__u32 unused;
	__u64 alone; /* its run time as it came back without a P, and not 0; or 0 */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct gmprt_task);
} gmprt_tasks SEC(".maps");

/* One for each M number in use: makes it unique, and holds the task work, which
 * can't lie in task storage. The loader sets the size. */
struct gmprt_mkey {
	__u64 key;
	__u32 session;
	__u32 m;
};

struct gmprt_mval {
	struct bpf_task_work work;
	__u32 tid;
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct gmprt_mkey);
	__type(value, struct gmprt_mval);
} gmprt_holds SEC(".maps");

/* The look at the pointer spares tasks that no program knows the helper's call. */
static __always_inline struct gmprt_task *task_of(struct task_struct *task)
{
	return task->bpf_storage ? bpf_task_storage_get(&gmprt_tasks, task, 0, 0) : NULL;
}

/* A session's shared memory: looked up once, then its blocks, each by a call. */
struct gmprt_space {
	void *map; /* NULL: of session 0, or there is none */
	bool own;  /* of session 0 */
};

static __always_inline struct gmprt_space space_of(__u32 session)
{
	struct gmprt_space s = { .own = !session };

	if (session)
		s.map = bpf_map_lookup_elem(&gmprt_spaces, &session);
	return s;
}

static __always_inline struct gmprt_block *block_of(struct gmprt_space space, __u32 index)
{
	if (space.own)
		return bpf_map_lookup_elem(&gmprt_space, &index);
	return space.map ? bpf_map_lookup_elem(space.map, &index) : NULL;
}

static __always_inline struct gmprt_session *session_of(const struct gmprt_task *t)
{
	__u32 nr = t->session;
	struct gmprt_session *s = bpf_map_lookup_elem(&gmprt_sessions, &nr);

	return s && t->key && s->key == t->key ? s : NULL;
}

static __always_inline struct gmprt_abi_head *head_of(struct gmprt_space space)
{
	struct gmprt_block *b = block_of(space, 0);

	return b ? &b->head : NULL;
}

static __always_inline struct gmprt_abi_m *m_slot(const struct gmprt_session *s,
						  struct gmprt_space space, __u32 m)
{
	struct gmprt_block *b = block_of(space, s->m_first + m / 4);

	return b ? &b->m[m & 3] : NULL;
}

/* p comes from the client's memory. */
static __always_inline struct gmprt_abi_p *p_slot(const struct gmprt_session *s,
						  struct gmprt_space space, __u32 p)
{
	struct gmprt_block *b;

	if (p >= s->nr_ps)
		return NULL;
	b = block_of(space, s->p_first + p * s->p_stride);
	return b ? &b->p : NULL;
}

#endif
