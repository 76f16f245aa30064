/* SPDX-License-Identifier: MIT */
/*
 * poll.c - when the netpoller is asked
 *
 *  - As long as an M idles and a P too, one idle M sleeps in it: the time
 *    keeper (idle.c). Nobody else polls then, events wake that M at once.
 *  - An M that has run out of work asks it without waiting, before it steals.
 *  - A loaded P does so every 61st pick, but not within 50 us of the last time:
 *    a poll costs as much as a few switches. It takes no more than its ring has
 *    room for. What overflows goes to the global queue, of which a loaded P
 *    takes one in 61 picks: some connections would be served again and again
 *    while others wait there.
 *  - sysmon does so when nobody has for 10 ms: all Ps compute.
 *
 * Only one of them at a time polls without waiting; who comes second has
 * nothing to find. Without registered files nobody polls.
 */
#include "sched/poll.h"

#include "base/clock.h"
#include "sched/switch.h"

enum {
	RARELY_US = 50,
	SYSMON_MS = 10, /* Go's */
};

bool rt_poll_is_due(struct rt_sched *s)
{
	return load_acq(&s->np.on) && load_rlx(&s->np.nr_registered) &&
	       !load_rlx(&s->keeper_polls);
}

void rt_poll_spread_g0(struct rt_m *m, struct rt_worklist *ready)
{
	rt_work w;

	if (!ready->n)
		return;
	while ((w = rt_worklist_pop(ready))) {
		store_rlx(&rt_work_to_g(w)->reason, RT_REASON_NONE);
		if (!rt_runq_put(&m->p->q, w))
			rt_put_slow(m->p, w);
	}
	rt_wake_others(m->s);
}

void rt_poll_to_grq_locked(struct rt_sched *s, struct rt_worklist *ready)
{
	for (rt_work w = ready->head; w; w = rt_work_link(w)->next)
		store_rlx(&rt_work_to_g(w)->reason, RT_REASON_NONE);
	rt_grq_put_locked(s, ready);
}

rt_work rt_poll_g0(struct rt_m *m)
{
	struct rt_worklist ready = { 0 };
	rt_work first;

	if (!rt_poll_is_due(m->s))
		return 0;
	rt_netpoll_try(&m->s->np, rt_now_ns(), RT_NETPOLL_MOST, &ready);
	first = rt_worklist_pop(&ready);
	if (!first)
		return 0;
	store_rlx(&rt_work_to_g(first)->reason, RT_REASON_NONE);
	rt_poll_spread_g0(m, &ready);
	return first;
}

void rt_poll_rarely_g0(struct rt_m *m)
{
	struct rt_worklist ready = { 0 };
	int room = (int)rt_runq_room(&m->p->q);
	int64_t now;

	if (!room || !rt_poll_is_due(m->s))
		return;
	now = rt_now_ns();
	if (now - load_rlx(&m->s->np.last_ns) < RARELY_US * RT_NS_PER_US)
		return;
	rt_netpoll_try(&m->s->np, now, room, &ready);
	rt_poll_spread_g0(m, &ready);
}

bool rt_poll_sysmon(struct rt_sched *s, int64_t now)
{
	struct rt_worklist ready = { 0 };

	if (!rt_poll_is_due(s) || now - load_rlx(&s->np.last_ns) < SYSMON_MS * RT_NS_PER_MS)
		return false;
	rt_netpoll_try(&s->np, now, RT_NETPOLL_MOST, &ready);
	if (!ready.n)
		return false;
	rt_lock(s);
	rt_poll_to_grq_locked(s, &ready);
	rt_unlock(s);
	rt_wake(s);
	return true;
}

uint64_t rt_poll_waits(struct rt_sched *s, uint64_t *now)
{
	uint32_t n = load_acq(&s->nr_ps);
	uint64_t waits = 0, wakes = 0;

	for (uint32_t i = 0; i < n; i++) {
		wakes += load_rlx(&s->ps[i].n.io_wakes);
		waits += load_rlx(&s->ps[i].n.io_waits);
	}
	*now = waits > wakes ? waits - wakes : 0;
	return waits;
}
