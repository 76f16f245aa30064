/* SPDX-License-Identifier: MIT */
/*
 * wait.c - deadlines; see wait.h
 */
#include "sync/wait.h"

int rt_deadline_arm_at(struct rt_m *m, int64_t deadline)
{
	struct rt_g *g = m->curg;
	int r;

	g->wake_result = 0;
	store_rel(&g->claim, RT_CLAIM_SETUP);
	r = rt_timer_add(&m->p->timers, g, deadline);
	if (r) {
		store_rel(&g->claim, RT_CLAIM_CLAIMED);
		return r;
	}
	rt_keeper_check(m->s, deadline);
	return 0;
}

__noinline int rt_deadline_arm(struct rt_m *m, int64_t deadline)
{
	return deadline <= rt_now_ns() ? -ETIMEDOUT : rt_deadline_arm_at(m, deadline);
}

void rt_deadline_disarm(struct rt_m *m)
{
	struct rt_g *g = m->curg;

	rt_timer_cancel(&g->timer);
	store_rel(&g->claim, RT_CLAIM_CLAIMED);
}
