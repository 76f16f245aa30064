/* SPDX-License-Identifier: MIT */
/*
 * sleep.c - a wait that only its deadline ends, and what deadlines count from
 */
#include "sync/wait.h"

GMPRT_API int64_t gmprt_now(void)
{
	return rt_now_ns();
}

GMPRT_API int gmprt_sleep(int64_t ns)
{
	struct rt_m *m;
	int64_t now;
	int r;

	if (ns <= 0) {
		gmprt_yield();
		return rt_m_self() ? 0 : -EPERM;
	}
	m = rt_enter();
	if (!m)
		return -EPERM;
	now = rt_now_ns();
	r = rt_deadline_arm_at(m, ns < INT64_MAX - now ? now + ns : INT64_MAX - 1);
	if (r == 0)
		rt_wait(&m, RT_REASON_SLEEP, &m->scratch, 0, true);
	rt_leave(m);
	return r;
}
