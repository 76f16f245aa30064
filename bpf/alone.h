/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * alone.h - an M runs again, and its P is somebody else's
 *
 * It may run on for a while: gmprt_abi.h says why and for how long. The while is
 * its own time on a CPU, not the clock's, so that forty such Ms that share two
 * CPUs are not all stopped for having waited. It begins anew with each block. That
 * none of them goes unnoticed: tests/model/alone.pml.
 *
 * To stop one, a callback is left with the thread for the moment before it
 * returns to user mode; there it is sent a SIGURG, whose handler runs before the
 * goroutine's next instruction. Not earlier: a signal would interrupt the system
 * call the M may still be in. Without the kfunc the M's next call into the run
 * time finds out, or sysmon, which sees for how long it has been on its CPU.
 *
 * Rejected: leaving the callback when the P is freed, for it to take the P back
 * or send the signal. The kfunc raises an interrupt (irq_work), and the standby
 * had to wait for it: 11.2 us from the block to its first instruction, instead
 * of 1.9 (medians of 3,000, Linux 6.18 in a virtual machine).
 */
#ifndef GMPRT_BPF_ALONE_H
#define GMPRT_BPF_ALONE_H

#include "session.h"

#define GMPRT_ALONE_NS 1000000u

/* Set before loading: the name under which this kernel has the kfunc. */
const volatile __u32 gmprt_hold_kind = GMPRT_HOLD_NONE;

/* On the way to user mode. The P may have become its own again. */
static int gmprt_return(struct bpf_map *map, void *key, void *value)
{
	struct task_struct *self = bpf_get_current_task_btf();
	struct gmprt_task *t = task_of(self);
	struct gmprt_session *s = t ? session_of(t) : NULL;
	struct gmprt_space space = space_of(t ? t->session : 0);
	struct gmprt_abi_m *m = s ? m_slot(s, space, t->m) : NULL;
	struct gmprt_abi_p *p = m ? p_slot(s, space, READ_ONCE(m->p)) : NULL;

	if (!p || READ_ONCE(m->state) != GMPRT_M_USER ||
	    gmprt_abi_owner(READ_ONCE(p->word)) == t->m)
		return 0;
	m->nr_signals++;
	bpf_send_signal_thread(GMPRT_SIGURG);
	return 0;
}

/* That one is pending already is no failure: it has not run yet. Nor is a real one:
 * who is alone still after another while is asked again. */
static __always_inline void hold(struct task_struct *task, const struct gmprt_task *t)
{
	struct gmprt_mkey k = { .key = t->key, .session = t->session, .m = t->m };
	struct gmprt_mval *v;

	if (gmprt_hold_kind == GMPRT_HOLD_NONE)
		return;
	v = bpf_map_lookup_elem(&gmprt_holds, &k);
	if (!v)
		return;
	if (gmprt_hold_kind == GMPRT_HOLD_IMPL)
		bpf_task_work_schedule_resume_impl(task, &v->work, &gmprt_holds, gmprt_return,
						   NULL);
	else
		bpf_task_work_schedule_resume(task, &v->work, &gmprt_holds, gmprt_return);
}

/* task comes back from a block. */
static __always_inline void begins_alone(struct task_struct *task, struct gmprt_task *t,
					 struct gmprt_space space, struct gmprt_abi_m *m)
{
	struct gmprt_abi_head *h = head_of(space);

	t->alone = task->se.sum_exec_runtime | 1;
	m->alone_ns = bpf_ktime_get_ns();
	if (h && READ_ONCE(h->idle))
		hold(task, t);
}

/* t is alone, or was when it last left its CPU. True: still. */
static __always_inline bool still_alone(struct gmprt_task *t, struct gmprt_abi_m **m)
{
	struct gmprt_session *s = session_of(t);
	struct gmprt_space space = space_of(t ? t->session : 0);
	struct gmprt_abi_p *p;

	*m = s ? m_slot(s, space, t->m) : NULL;
	p = *m ? p_slot(s, space, READ_ONCE((*m)->p)) : NULL;
	return p && READ_ONCE((*m)->state) == GMPRT_M_USER &&
	       gmprt_abi_owner(READ_ONCE(p->word)) != t->m;
}

/* It is preempted. */
static __always_inline void pauses_alone(struct task_struct *task, struct gmprt_task *t)
{
	struct gmprt_abi_m *m;
	bool alone = still_alone(t, &m);

	if (m)
		m->alone_ns = 0;
	if (!alone) {
		t->alone = 0;
	} else if (task->se.sum_exec_runtime - t->alone >= GMPRT_ALONE_NS) {
		t->alone = task->se.sum_exec_runtime | 1;
		hold(task, t);
	}
}

/* It was, and goes on. */
static __always_inline void resumes_alone(struct gmprt_task *t)
{
	struct gmprt_abi_m *m;

	if (still_alone(t, &m)) {
		m->alone_ns = bpf_ktime_get_ns();
		return;
	}
	t->alone = 0;
	if (m)
		m->alone_ns = 0;
}

#endif
