/* SPDX-License-Identifier: MIT */
/*
 * block.c - brackets around code that may block the M in the kernel
 *
 * Enter marks the P BLOCKED and leaves it where it is; sysmon takes it if the
 * M stays away for long. Exit takes it back by compare-and-swap. So a call that
 * does not block costs a store and one atomic.
 *
 * While the P is BLOCKED it is nobody's: the M touches nothing of it.
 *
 * Time that a P lost ("idle_with_work") is taken only when its queue was not
 * empty at enter, so that the clock is read only then.
 */
#include "sched/block.h"

#include "base/bug.h"
#include "base/clock.h"
#include "sched/switch.h"

void rt_block_enter(void)
{
	struct rt_m *m = rt_m_self();
	struct rt_p *p;
	struct rt_g *g;

	if (!m)
		return;
	g = m->curg;
	if (g->block_depth++)
		return;
	m = rt_enter();
	p = m->p;
	g->flags |= RT_G_BLOCKING;
	count_inc(&p->n.blocks);
	store_rlx(&p->blocked_ns, rt_runq_len(&p->q) ? rt_now_ns() : 0);
	store_rlx(&m->slot->p, GMPRT_ABI_NO_P);
	rt_point();
	/* (a) in gmprt_abi.h: publishes the queues to who takes the P. */
	store_rel(&p->slot.word, rt_pword_blocked(m->pword));
	rt_leave(m);
}

/* On g0: the P has been taken while m was away. */
static void lost_g0(struct rt_m *m, struct rt_g *g)
{
	struct rt_worklist l = { 0 };
	struct rt_sched *s = m->s;
	struct rt_p *p;

	m->p = NULL;
	rt_lock(s);
	m->lost = false;
	count_add(&s->nr_lost, -1);
	p = s->stopping ? NULL : rt_p_idle_get_locked(s);
	if (!p) {
		/* It waits like any other. If it is bound to this M, whoever
		 * picks it hands its P over to us. */
		rt_worklist_add(&l, rt_work_g(g));
		rt_grq_put_locked(s, &l);
	}
	rt_unlock(s);
	if (!p)
		return;
	rt_p_acquire(m, p);
	m->handed = rt_work_g(g);
}

void rt_block_exit(void)
{
	struct rt_m *m = rt_m_self();
	struct rt_p *p;
	struct rt_g *g;

	if (!m)
		return;
	g = m->curg;
	if (g->block_depth == 0)
		rt_misuse("gmprt_block_exit without gmprt_block_enter in goroutine %llu",
			  (unsigned long long)g->id);
	if (--g->block_depth)
		return;
	p = m->p;
	/* Before the flag: else the SIGURG handler took this for plain code. */
	store_rlx(&m->slot->state, RT_M_RUNTIME);
	barrier();
	rt_point();
	g->flags &= (uint8_t)~RT_G_BLOCKING;
	/* (b) in gmprt_abi.h */
	if (likely(cas_acqrel(&p->slot.word, rt_pword_blocked(m->pword), m->pword)) ||
	    rt_p_take_back(m)) {
		if (unlikely(p->blocked_ns))
			count_add(&p->n.idle_with_work_ns, (uint64_t)(rt_now_ns() - p->blocked_ns));
		store_rlx(&m->slot->p, p->id);
		rt_leave(m);
		return;
	}
	if (load_acq(&m->s->stopping))
		rt_m_exit_now(m);
	rt_m_call(lost_g0);
	rt_leave(rt_m_self());
}
