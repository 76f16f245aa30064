/* SPDX-License-Identifier: MIT */
/*
 * stats.c - counters of a run, summed over its Ps
 *
 * Each counter has one writer (a P's owner, or who holds the lock), so reading
 * them is reading words. The sums of the last run are kept when it ends.
 */
#include "sched/stats.h"

#include <string.h>

#include "sched/poll.h"
#include "sched/sched.h"

static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gmprt_stats last; /* last_lock */
static bool have_last;          /* last_lock */

/* Words of different moments: a difference may come out negative. */
static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void add_p(struct gmprt_stats *t, const struct rt_p *p, uint64_t *tasks,
		  uint64_t *tasks_ended)
{
	uint32_t countdown = load_rlx(&p->countdown);

	t->nr_created += load_rlx(&p->n.created);
	t->nr_ended += load_rlx(&p->n.ended);
	*tasks += load_rlx(&p->n.tasks);
	*tasks_ended += load_rlx(&p->n.tasks_ended);
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
	uint64_t tasks = 0, tasks_ended = 0;

	memset(t, 0, sizeof(*t));
	for (uint32_t i = 0; i < n; i++)
		add_p(t, &s->ps[i], &tasks, &tasks_ended);
	t->nr_created = minus(t->nr_created + load_rlx(&s->foreign_created), tasks);
	t->nr_ended = minus(t->nr_ended, tasks_ended);
	t->nr_goroutines = minus(t->nr_created, t->nr_ended);
	rt_stacks_count(&s->stacks, &t->nr_stacks, &t->stack_bytes_reserved);
	t->nr_io_waits = rt_poll_waits(s, &t->nr_io_waiting);
	rt_lock(s);
	t->maxprocs = (int)s->maxprocs;
	t->nr_threads = (int)s->nr_ms_live;
	t->nr_threads_peak = (int)s->nr_ms_peak;
	t->nr_idle_threads = (int)s->nr_idle_ms;
	t->nr_handoffs = s->nr_handoffs;
	t->nr_wakeups = s->nr_wakeups;
	t->nr_preempts = s->nr_preempts;
	rt_unlock(s);
}

void rt_stats_lock(void)
{
	pthread_mutex_lock(&last_lock);
}

void rt_stats_unlock(void)
{
	pthread_mutex_unlock(&last_lock);
}

void rt_stats_keep(struct rt_sched *s)
{
	struct gmprt_stats t;

	rt_stats_sum(s, &t);
	rt_stats_lock();
	last = t;
	have_last = true;
	rt_stats_unlock();
}

bool rt_stats_last(struct gmprt_stats *t)
{
	bool have;

	rt_stats_lock();
	have = have_last;
	if (have)
		*t = last;
	rt_stats_unlock();
	return have;
}
