/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * life.h - registered threads: how they begin and end
 *
 * A thread registers itself, never another: gmprt_call takes an M's number and
 * no thread's. It must know the session's key, and be of the process (mm) that
 * registered first.
 *
 * It ends with the thread (also by SIGKILL), with exec, or by its own call. The
 * P that a thread takes to its end is freed, whether it has work or not, if it
 * was in state USER; in RUNTIME it was in the midst of changing the queues, and
 * only the end of the run helps.
 *
 * fork needs no program: task storage is not inherited, so a child is not
 * registered, and the mm's comparison keeps it from registering.
 */
#ifndef GMPRT_BPF_LIFE_H
#define GMPRT_BPF_LIFE_H

#include "block.h"

static __always_inline void leave_number(struct gmprt_task *t)
{
	struct gmprt_mkey k = { .key = t->key, .session = t->session, .m = t->m };

	t->key = 0;
	bpf_map_delete_elem(&gmprt_holds, &k);
}

static __always_inline void forget(struct task_struct *task, struct gmprt_task *t)
{
	leave_number(t);
	bpf_task_storage_delete(&gmprt_tasks, task);
}

static __always_inline void ended(struct task_struct *task, bool exec)
{
	struct gmprt_task *t = task_of(task);
	struct gmprt_session *s = t ? session_of(t) : NULL;
	struct gmprt_space space = space_of(t ? t->session : 0);
	struct gmprt_abi_m *m = s ? m_slot(s, space, t->m) : NULL;

	if (m) {
		if (READ_ONCE(m->state) == GMPRT_M_USER)
			free_p(s, t, space, m, true);
		m->kflags = GMPRT_MF_GONE;
	}
	if (s && exec)
		s->mm = ~0ULL; /* nobody's: the address may be used again */
	if (t)
		forget(task, t);
}

/* The session's process is that of the first caller. */
static __always_inline bool is_its_process(struct gmprt_session *s, struct task_struct *self)
{
	__u64 mm = (__u64)self->mm, was = __sync_val_compare_and_swap(&s->mm, 0, mm);

	return !was || was == mm;
}

static __always_inline int do_register(struct gmprt_session *s, struct task_struct *self,
				       const struct gmprt_abi_call *c)
{
	struct gmprt_mkey k = { .key = c->key, .session = c->session, .m = c->m };
	struct gmprt_mval v = { .tid = (__u32)self->pid };
	struct gmprt_abi_m *m;
	struct gmprt_task *t;

	if (!c->m || c->m >= s->nr_ms)
		return -GMPRT_ERANGE;
	m = m_slot(s, space_of(c->session), c->m);
	if (!m)
		return -GMPRT_ERANGE;
	t = bpf_task_storage_get(&gmprt_tasks, self, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		return -GMPRT_ENOMEM;
	if (session_of(t))
		return -GMPRT_EBUSY;
	if (t->key)
		leave_number(t); /* in a session that is over */
	if (bpf_map_update_elem(&gmprt_holds, &k, &v, BPF_NOEXIST))
		return -GMPRT_EBUSY;
	t->session = c->session;
	t->m = c->m;
	t->slept = 0;
	t->alone = 0;
	t->key = c->key;
	m->kflags = GMPRT_MF_REGISTERED;
	return 0;
}

static __always_inline int do_unregister(struct gmprt_session *s, struct task_struct *self)
{
	struct gmprt_task *t = task_of(self);
	struct gmprt_abi_m *m;

	if (!t || session_of(t) != s)
		return -GMPRT_EINVAL;
	m = m_slot(s, space_of(t->session), t->m);
	if (m)
		m->kflags = 0;
	forget(self, t);
	return 0;
}

static __always_inline int call(const struct gmprt_abi_call *c)
{
	struct task_struct *self = bpf_get_current_task_btf();
	__u32 nr = c->session;
	struct gmprt_session *s = bpf_map_lookup_elem(&gmprt_sessions, &nr);

	if (!s || !c->key || s->key != c->key || !is_its_process(s, self))
		return -GMPRT_EPERM;
	switch (c->op) {
	case GMPRT_OP_REGISTER:
		return do_register(s, self, c);
	case GMPRT_OP_UNREGISTER:
		return do_unregister(s, self);
	default:
		return -GMPRT_EINVAL;
	}
}

#endif
