/* SPDX-License-Identifier: MIT */
/*
 * wait.c - deadlines; see wait.h
 */
#include "sync/wait.h"

__noinline int rt_deadline_arm(struct rt_m *m, struct rt_timer *timer, int64_t deadline)
{
	struct rt_g *g = m->curg;
	int r;

	if (deadline <= rt_now_ns())
		return -ETIMEDOUT;
	*timer = (struct rt_timer){ .when_ns = deadline, .g = g };
	g->wake_result = 0;
	store_rel(&g->claim, RT_CLAIM_SETUP);
	r = rt_timer_add(&m->p->timers, timer);
	if (r) {
		store_rel(&g->claim, RT_CLAIM_CLAIMED);
		return r;
	}
	rt_keeper_check(m->s, deadline);
	return 0;
}

void rt_deadline_disarm(struct rt_m *m, struct rt_timer *timer)
{
	rt_timer_cancel(timer);
	store_rel(&m->curg->claim, RT_CLAIM_CLAIMED);
}
