/* SPDX-License-Identifier: MIT */
/*
 * timer.c - when timers are looked at, and how many fire at a time
 *
 * Who looks. The M that holds a P looks at that P's timers at each 61st pick, and
 * at all Ps' when its queues are empty. Sysmon sees to those of Ps that run one
 * goroutine for long. While Ps idle, one idle M, the time keeper, sleeps until
 * the first timer of all (idle.c).
 *
 * How many at once. What has fired goes into the ring of the P that looked, and
 * never fills more than half of it: a full ring sends its older half to the
 * global queue, where a P that always has work of its own looks once in 61
 * picks. What stays in the heap keeps its place in the order of deadlines.
 * (100,000 sleepers on a P that can't keep up: half of them were 2 us late,
 * some 0.8 s.) If others fill the ring, a few fire nevertheless.
 *
 * Late on purpose. To wake a thread costs 5 us of CPU time and more; with a
 * timer every 10 us, each for itself, that is most of what the machine does.
 * So where timers are dense the keeper sleeps WINDOW_NS longer and
 * finds many of them due. Dense: the second one comes within GAP_NS of the
 * first. A single goroutine that sleeps for 50 us again and again is not.
 * Nothing but the keeper's own sleep is longer: a P at work fires in time.
 *
 * Whom to wake. An M that had nothing to do and has woken a batch of goroutines
 * runs them one after the other; another P could help. But it takes some 15 us
 * to come, and by then a batch of short ones is done. So after QUICK_TRUST
 * batches in a row that were done within QUICK_NS, this P wakes nobody, until
 * one takes longer; sysmon, while that goes on, looks each millisecond for one
 * that is stuck behind a goroutine that computes.
 */
#include "base/clock.h"
#include "sched/switch.h"

enum {
	LEAST = 8, /* fire however full the ring is */
	GAP_NS = 50000,
	WINDOW_NS = 300000,
	QUICK_NS = 100000,
	QUICK_TRUST = 8,
	QUICK_MOST = 16,
};

static uint32_t how_many(const struct rt_p *p)
{
	uint32_t len = rt_runq_len(&p->q);

	return len + LEAST < RT_FIRE_MAX ? RT_FIRE_MAX - len : LEAST;
}

/* What a goroutine touches first when it is resumed, and its stack below. */
static void prefetch_stack(const struct rt_g *g)
{
	const char *sp = g->ctx.sp;

	__builtin_prefetch(sp, 1);
	__builtin_prefetch(sp - RT_CACHELINE, 1);
	__builtin_prefetch(sp - 2 * RT_CACHELINE, 1);
}

/* Fires p's due timers; those they wake go into m's ring. How many. */
static uint32_t fire(struct rt_m *m, struct rt_p *p, int64_t now)
{
	rt_timer_ref fired[RT_FIRE_MAX];
	uint32_t n = rt_timers_expire(&p->timers, now, fired, how_many(m->p)), nr_woken = 0;

	for (uint32_t i = 0; i < n; i++)
		if (rt_fired_g(fired[i]))
			prefetch_stack(rt_fired_g(fired[i]));
	for (uint32_t i = 0; i < n; i++) {
		struct rt_alarm *a = rt_fired_alarm(fired[i]);
		struct rt_g *g = a ? a->fire(a) : rt_fired_g(fired[i]);

		if (a)
			rt_alarm_put(a);
		if (!g)
			continue;
		nr_woken++;
		store_rlx(&g->reason, RT_REASON_NONE);
		if (!rt_runq_put(&m->p->q, rt_work_g(g)))
			rt_put_slow(m->p, rt_work_g(g));
	}
	return nr_woken;
}

static void wake_for_batch(struct rt_p *p)
{
	if (p->quick < QUICK_TRUST || !p->batch_ns)
		rt_wake_others(p->s);
	else
		store_rlx(&p->s->batch_alone, 1);
}

void rt_timers_run_g0(struct rt_m *m, int64_t now)
{
	if (rt_timers_next(&m->p->timers) <= now && fire(m, m->p, now))
		wake_for_batch(m->p);
}

/* The queues are empty again. */
static void batch_over(struct rt_p *p, int64_t now)
{
	if (!p->batch_ns)
		return;
	if (now - p->batch_ns > QUICK_NS)
		p->quick /= 2;
	else if (p->quick < QUICK_MOST)
		p->quick++;
	p->batch_ns = 0;
}

void rt_timers_run_all_g0(struct rt_m *m)
{
	struct rt_sched *s = m->s;
	uint32_t nr = load_acq(&s->nr_ps), i = m->p->id, n = 0;
	int64_t now;

	if (rt_next_timer(s) == RT_FOREVER)
		return;
	now = rt_now_ns();
	batch_over(m->p, now);
	for (uint32_t k = 0; k < nr && n < RT_FIRE_MAX; k++, i = i + 1 == nr ? 0 : i + 1)
		if (rt_timers_next(&s->ps[i].timers) <= now)
			n += fire(m, &s->ps[i], now);
	if (n < 2)
		return; /* m runs it itself */
	m->p->batch_ns = now;
	wake_for_batch(m->p);
}

int64_t rt_next_timer(struct rt_sched *s)
{
	uint32_t n = load_acq(&s->nr_ps);
	int64_t next = RT_FOREVER;

	for (uint32_t i = 0; i < n; i++)
		if (rt_timers_next(&s->ps[i].timers) < next)
			next = rt_timers_next(&s->ps[i].timers);
	return next;
}

int64_t rt_next_timer_tidy(struct rt_sched *s)
{
	uint32_t n = load_acq(&s->nr_ps);

	for (uint32_t i = 0; i < n; i++)
		rt_timers_tidy(&s->ps[i].timers);
	return rt_next_timer(s);
}

int64_t rt_keeper_sleeps_until(struct rt_sched *s, int64_t first)
{
	uint32_t n = load_acq(&s->nr_ps), soon = 0;

	if (first > RT_FOREVER - WINDOW_NS)
		return first;
	for (uint32_t i = 0; i < n; i++) {
		struct rt_timers *ts = &s->ps[i].timers;

		if (rt_timers_next(ts) - first > GAP_NS)
			continue;
		if (++soon > 1 || rt_timers_dense(ts, GAP_NS))
			return first + WINDOW_NS;
	}
	return first;
}

/* ---- from threads without a P ------------------------------------- */

void rt_timer_set_foreign(struct rt_sched *s, int64_t when)
{
	struct rt_p *p = NULL;

	smp_mb(); /* the heap's next_ns before, what follows after; as in rt_keeper_check() */
	if (load_rlx(&s->keeper_until_ns) != RT_FOREVER) {
		rt_keeper_check(s, when);
		return;
	}
	/* Nobody sleeps by the clock: an M must come and become the keeper. If
	 * no P idles, those that are busy see to it, or sysmon. */
	if (!load_rlx(&s->nr_idle_ps))
		return;
	rt_lock(s);
	if (!s->keeper && !s->stopping)
		p = rt_p_idle_get_locked(s);
	rt_unlock(s);
	if (p)
		rt_m_start(s, p, false);
}
