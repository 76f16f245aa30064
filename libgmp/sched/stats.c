/* SPDX-License-Identifier: MIT */
/*
 * stats.c - counters of a run, summed over its Ps
 *
 * Each counter has one writer (a P's owner, or who holds the lock), so reading
 * them is reading words. The sums of the last run are kept when it ends.
 */
#include "sched/stats.h"

#include <string.h>

#include "sched/sched.h"

static struct gmprt_stats last;
static bool have_last;

static void add_p(struct gmprt_stats *t, const struct rt_p *p)
{
	uint32_t countdown = load_rlx(&p->countdown);

	t->nr_created += load_rlx(&p->n.created) - load_rlx(&p->n.tasks);
	t->nr_ended += load_rlx(&p->n.ended) - load_rlx(&p->n.tasks_ended);
	t->nr_steals += load_rlx(&p->n.steals);
	t->nr_overflows += load_rlx(&p->n.overflows);
	t->nr_blocks += load_rlx(&p->n.blocks);
	t->nr_forks += load_rlx(&p->n.forks);
	t->nr_inline_joins += load_rlx(&p->n.inline_joins);
	t->idle_with_work_ns += load_rlx(&p->n.idle_with_work_ns);
	t->nr_switches += load_rlx(&p->rounds) * RT_FAIR_TICK + (RT_FAIR_TICK - countdown);
}

void rt_stats_sum(struct rt_sched *s, struct gmprt_stats *t)
{
	uint32_t n = load_acq(&s->nr_ps);

	memset(t, 0, sizeof(*t));
	for (uint32_t i = 0; i < n; i++)
		add_p(t, &s->ps[i]);
	t->nr_created += load_rlx(&s->foreign_created);
	t->nr_goroutines = t->nr_created > t->nr_ended ? t->nr_created - t->nr_ended : 0;
	rt_stacks_count(&s->stacks, &t->nr_stacks, &t->stack_bytes_reserved);
	rt_lock(s);
	t->maxprocs = (int)s->maxprocs;
	t->nr_threads = (int)s->nr_ms;
	t->nr_threads_peak = (int)s->nr_ms_peak;
	t->nr_idle_threads = (int)s->nr_idle_ms;
	t->nr_handoffs = s->nr_handoffs;
	t->nr_wakeups = s->nr_wakeups;
	rt_unlock(s);
}

void rt_stats_keep(struct rt_sched *s)
{
	rt_stats_sum(s, &last);
	have_last = true;
}

bool rt_stats_last(struct gmprt_stats *t)
{
	if (have_last)
		*t = last;
	return have_last;
}
