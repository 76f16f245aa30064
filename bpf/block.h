/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * block.h - an M has blocked: its P is freed; it runs again: the P is taken back
 *
 * All of it runs where the M's own thread can't: in the switch away from it or
 * to it, or on it inside the kernel. So what that thread has stored is seen,
 * and it does nothing meanwhile. Other threads change only the P's word, by
 * compare-and-swap, so that is how it is changed here too.
 *
 * Coming back. In the switch to an M whose P was freed the P is taken back, if
 * nobody took it; that costs a compare-and-swap. If somebody did, a callback is
 * left with the thread for the moment before it returns to user mode: there it
 * is sent a SIGURG, whose handler runs before the goroutine's next instruction.
 * Not earlier: a signal would interrupt the system call the M may still be in.
 * Without the kfunc the M's next call into the run time finds out.
 *
 * The switch to an M may go unseen: on one virtual machine (6.18) no tracer was
 * shown the switches from the idle thread of one of the two CPUs. Then the P stays
 * free, for anyone to take; the M's next call takes it back, or the next switch
 * away from it.
 *
 * Waking. Who stands by asleep waits for the session's ring buffer: 12 us from the
 * block to its first instruction on the same CPU, 31 on the other. For a P that
 * blocks often somebody stands by awake.
 *
 * Rejected: leaving the callback when the P is freed, for it to take the P back
 * or send the signal. The kfunc raises an interrupt (irq_work), and the standby
 * had to wait for it: 11.2 us from the block to its first instruction, instead
 * of 1.9 (medians of 3,000, Linux 6.18 in a virtual machine).
 */
#ifndef GMPRT_BPF_BLOCK_H
#define GMPRT_BPF_BLOCK_H

#include "session.h"

/* Set before loading: the name under which this kernel has the kfunc. */
const volatile __u32 gmprt_hold_kind = GMPRT_HOLD_NONE;

/* What an M in this session would find to run; see gmprt_abi.h. */
static __always_inline bool has_work(struct gmprt_abi_p *p, __u32 session)
{
	struct gmprt_block *b;

	if (READ_ONCE(p->head) != READ_ONCE(p->tail) || READ_ONCE(p->next) ||
	    (__s32)(READ_ONCE(p->fork_bottom) - READ_ONCE(p->fork_top)) > 0 || READ_ONCE(p->hint))
		return true;
	b = block_of(session, 0);
	return b && READ_ONCE(b->head.hint);
}

static __always_inline void wake(__u32 session)
{
	void *ring = bpf_map_lookup_elem(&gmprt_wakes, &session);
	void *rec = ring ? bpf_ringbuf_reserve(ring, 8, 0) : NULL;

	if (rec)
		bpf_ringbuf_discard(rec, BPF_RB_FORCE_WAKEUP);
}

/* On the way to user mode. The P may have become its own again. */
static int gmprt_return(struct bpf_map *map, void *key, void *value)
{
	struct task_struct *self = bpf_get_current_task_btf();
	struct gmprt_task *t = task_of(self);
	struct gmprt_session *s = t ? session_of(t) : NULL;
	struct gmprt_abi_m *m = s ? m_slot(s, t->session, t->m) : NULL;
	struct gmprt_abi_p *p = m ? p_slot(s, t->session, READ_ONCE(m->p)) : NULL;

	if (!p || READ_ONCE(m->state) != GMPRT_M_USER ||
	    gmprt_abi_owner(READ_ONCE(p->word)) == t->m)
		return 0;
	m->nr_signals++;
	bpf_send_signal_thread(GMPRT_SIGURG);
	return 0;
}

/* That one is pending already is no failure: it has not run yet. */
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

/*
 * Line 14 of the table: task runs, or is about to, and its P was freed. In state
 * RUNTIME it has seen FREED itself, or will: it must not change under its hands.
 */
static __always_inline void runs_again(struct task_struct *task, struct gmprt_task *t)
{
	struct gmprt_session *s = session_of(t);
	struct gmprt_abi_m *m = s ? m_slot(s, t->session, t->m) : NULL;
	struct gmprt_abi_p *p = m ? p_slot(s, t->session, READ_ONCE(m->p)) : NULL;
	__u64 w;

	t->freed = 0;
	if (!p || READ_ONCE(m->state) != GMPRT_M_USER)
		return;
	w = READ_ONCE(p->word);
	if (gmprt_abi_owner(w) == t->m && gmprt_abi_state(w) == GMPRT_P_FREED &&
	    __sync_val_compare_and_swap(&p->word, w, gmprt_abi_with_state(w, GMPRT_P_RUNNING)) ==
		    w)
		m->nr_reclaimed++;
	else
		hold(task, t);
}

/* Line 12 of the table. ends: the thread does not come back. */
static __always_inline bool free_p(const struct gmprt_session *s, const struct gmprt_task *t,
				   struct gmprt_abi_m *m, bool ends)
{
	struct gmprt_abi_p *p = p_slot(s, t->session, READ_ONCE(m->p));
	__u64 w;

	if (!p)
		return false;
	w = READ_ONCE(p->word);
	if (gmprt_abi_owner(w) != t->m)
		return false;
	if (gmprt_abi_state(w) == GMPRT_P_FREED)
		return true; /* still: the M has run unseen */
	if (gmprt_abi_state(w) != GMPRT_P_RUNNING)
		return false;
	m->nr_blocks++;
	m->blocked_ns = bpf_ktime_get_ns();
	if (!ends && !has_work(p, t->session)) {
		p->nr_kept++;
		return false;
	}
	if (__sync_val_compare_and_swap(&p->word, w, gmprt_abi_with_state(w, GMPRT_P_FREED)) != w)
		return false;
	p->nr_freed++;
	p->freed_ns = m->blocked_ns;
	p->freed_cpu = bpf_get_smp_processor_id();
	m->nr_freed++;
	if (READ_ONCE(p->wake))
		wake(t->session);
	return true;
}

static __always_inline void blocked(struct gmprt_task *t)
{
	struct gmprt_session *s = session_of(t);
	struct gmprt_abi_m *m = s ? m_slot(s, t->session, t->m) : NULL;

	if (m && READ_ONCE(m->state) == GMPRT_M_USER)
		t->freed = free_p(s, t, m, false);
}

#endif
