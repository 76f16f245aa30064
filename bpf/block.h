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
 * nobody took it; that costs a compare-and-swap. If somebody did: alone.h.
 *
 * The switch to an M may go unseen: on one virtual machine (6.18) no tracer was
 * shown the switches from the idle thread of one of the two CPUs. Then the P stays
 * free, for anyone to take; the M's next call takes it back, or the next switch
 * away from it.
 *
 * No time is taken: the clock's call is 0.1 of the 2.1 us from a block to the next
 * goroutine. Who wants to know whether a P is freed often looks at its count.
 *
 * Waking. Who stands by asleep waits for the session's ring buffer: 12 us from the
 * block to its first instruction on the same CPU, 31 on the other. For a P that
 * blocks often somebody stands by awake.
 */
#ifndef GMPRT_BPF_BLOCK_H
#define GMPRT_BPF_BLOCK_H

#include "alone.h"

/* What an M would find on p; see gmprt_abi.h. */
static __always_inline bool has_queued(const struct gmprt_abi_p *p)
{
	return READ_ONCE(p->head) != READ_ONCE(p->tail) || READ_ONCE(p->next) ||
	       (__s32)(READ_ONCE(p->fork_bottom) - READ_ONCE(p->fork_top)) > 0;
}

static __always_inline void wake(__u32 session)
{
	void *ring = session ? bpf_map_lookup_elem(&gmprt_wakes, &session) : &gmprt_wake;
	void *rec = ring ? bpf_ringbuf_reserve(ring, 8, 0) : NULL;

	if (rec)
		bpf_ringbuf_discard(rec, BPF_RB_FORCE_WAKEUP);
}

/*
 * Line 14 of the table: task runs, or is about to, after a block. In state RUNTIME it
 * has seen FREED itself, or will: it must not change under its hands. It names no P
 * while it needs none.
 */
static __always_inline void runs_again(struct task_struct *task, struct gmprt_task *t)
{
	struct gmprt_session *s = session_of(t);
	struct gmprt_space space = space_of(t ? t->session : 0);
	struct gmprt_abi_m *m = s ? m_slot(s, space, t->m) : NULL;
	struct gmprt_abi_p *p = m ? p_slot(s, space, READ_ONCE(m->p)) : NULL;
	__u64 w;

	t->slept = 0;
	if (!p || READ_ONCE(m->state) != GMPRT_M_USER)
		return;
	w = READ_ONCE(p->word);
	if (gmprt_abi_owner(w) == t->m && gmprt_abi_state(w) == GMPRT_P_FREED &&
	    __sync_val_compare_and_swap(&p->word, w, gmprt_abi_with_state(w, GMPRT_P_RUNNING)) ==
		    w)
		m->nr_reclaimed++;
	else if (gmprt_abi_owner(READ_ONCE(p->word)) != t->m)
		begins_alone(task, t, space, m);
}

/* p has nothing queued. Is it to be freed all the same? *work: others have. */
static __always_inline bool is_wanted(const struct gmprt_abi_p *p, struct gmprt_space space,
				      bool *work)
{
	struct gmprt_abi_head *h = head_of(space);

	*work = h && READ_ONCE(h->work);
	return *work || READ_ONCE(p->hint) || (h && READ_ONCE(h->hint));
}

/* p has been freed, and had nothing to run. Has something come just now? */
static __always_inline bool tell_freed(const struct gmprt_abi_p *p, struct gmprt_space space)
{
	struct gmprt_abi_head *h = head_of(space);

	if (!h)
		return false;
	__sync_lock_test_and_set(&h->freed, 1);
	return has_queued(p) || READ_ONCE(h->work);
}

/* Line 12 of the table. ends: the thread does not come back. */
static __always_inline void free_p(const struct gmprt_session *s, const struct gmprt_task *t,
				   struct gmprt_space space, struct gmprt_abi_m *m, bool ends)
{
	struct gmprt_abi_p *p = p_slot(s, space, READ_ONCE(m->p));
	bool work = p && has_queued(p);
	__u64 w;

	if (!p)
		return;
	w = READ_ONCE(p->word); /* may be FREED, still: the M has run unseen */
	if (gmprt_abi_owner(w) != t->m || gmprt_abi_state(w) != GMPRT_P_RUNNING)
		return;
	m->nr_blocks++;
	if (!work && !is_wanted(p, space, &work) && !ends) {
		p->nr_kept++;
		return;
	}
	if (__sync_val_compare_and_swap(&p->word, w, gmprt_abi_with_state(w, GMPRT_P_FREED)) != w)
		return;
	m->nr_freed++;
	p->nr_freed++;
	p->freed_cpu = bpf_get_smp_processor_id();
	if (!work && !READ_ONCE(p->hint))
		work = tell_freed(p, space);
	if (work && READ_ONCE(p->wake))
		wake(t->session);
}

static __always_inline void blocked(struct gmprt_task *t)
{
	struct gmprt_session *s = session_of(t);
	struct gmprt_space space = space_of(t ? t->session : 0);
	struct gmprt_abi_m *m = s ? m_slot(s, space, t->m) : NULL;

	if (!m || READ_ONCE(m->state) != GMPRT_M_USER)
		return;
	free_p(s, t, space, m, false);
	t->slept = 1; /* whether freed or not: sysmon may take the P now, or has (line 10) */
	if (t->alone)
		m->alone_ns = 0;
	t->alone = 0;
}

#endif
