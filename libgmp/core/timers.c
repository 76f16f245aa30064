/* SPDX-License-Identifier: MIT */
/*
 * timers.c - see timers.h
 */
#include "core/timers.h"

#include <errno.h>
#include <string.h>

#include "base/sys.h"
#include "core/g.h"

enum { FIRST = 64 };

void rt_timers_init(struct rt_timers *ts)
{
	*ts = (struct rt_timers){ .next_ns = INT64_MAX };
}

void rt_timers_free(struct rt_timers *ts)
{
	rt_free(ts->node);
	rt_timers_init(ts);
}

/* ---- the heap: all under the lock --------------------------------- */

static void place(struct rt_timers *ts, uint32_t i, struct rt_timer_node n)
{
	ts->node[i] = n;
	n.timer->index = i;
}

static void sift_up(struct rt_timers *ts, uint32_t i, struct rt_timer_node n)
{
	while (i) {
		uint32_t parent = (i - 1) / 4;

		if (ts->node[parent].when_ns <= n.when_ns)
			break;
		place(ts, i, ts->node[parent]);
		i = parent;
	}
	place(ts, i, n);
}

static void sift_down(struct rt_timers *ts, uint32_t i, struct rt_timer_node n)
{
	for (;;) {
		uint32_t first = 4 * i + 1, least = first;

		if (first >= ts->nr)
			break;
		for (uint32_t k = first + 1; k < first + 4 && k < ts->nr; k++)
			if (ts->node[k].when_ns < ts->node[least].when_ns)
				least = k;
		if (ts->node[least].when_ns >= n.when_ns)
			break;
		place(ts, i, ts->node[least]);
		i = least;
	}
	place(ts, i, n);
}

static void publish_next(struct rt_timers *ts)
{
	store_rlx(&ts->next_ns, ts->nr ? ts->node[0].when_ns : INT64_MAX);
}

static void take(struct rt_timers *ts, struct rt_timer *t)
{
	uint32_t i = t->index;
	struct rt_timer_node last = ts->node[--ts->nr];

	store_rel(&t->heap, NULL);
	if (last.timer == t)
		return;
	if (i && ts->node[(i - 1) / 4].when_ns > last.when_ns)
		sift_up(ts, i, last);
	else
		sift_down(ts, i, last);
}

static int grow(struct rt_timers *ts)
{
	uint32_t max = ts->max ? ts->max * 2 : FIRST;
	struct rt_timer_node *bigger = rt_zalloc(max * sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	if (ts->nr)
		memcpy(bigger, ts->node, ts->nr * sizeof(*bigger));
	rt_free(ts->node);
	ts->node = bigger;
	ts->max = max;
	return 0;
}

static int add_locked(struct rt_timers *ts, struct rt_timer *t)
{
	if (ts->nr == ts->max) {
		int r = grow(ts);

		if (r)
			return r;
	}
	store_rlx(&t->heap, ts);
	sift_up(ts, ts->nr++, (struct rt_timer_node){ t->when_ns, t });
	return 0;
}

/* ---- the interface ------------------------------------------------ */

int rt_timer_add(struct rt_timers *ts, struct rt_timer *t)
{
	int r;

	rt_spin_lock(&ts->lock);
	r = add_locked(ts, t);
	publish_next(ts);
	rt_spin_unlock(&ts->lock);
	return r;
}

void rt_timer_cancel(struct rt_timer *t)
{
	for (;;) {
		struct rt_timers *ts = load_acq(&t->heap);

		if (!ts)
			return;
		rt_spin_lock(&ts->lock);
		/* It may have fired, or moved to another P's heap, since. */
		if (load_rlx(&t->heap) == ts) {
			take(ts, t);
			publish_next(ts);
			rt_spin_unlock(&ts->lock);
			return;
		}
		rt_spin_unlock(&ts->lock);
	}
}

void rt_timers_expire(struct rt_timers *ts, int64_t now, uint32_t most, struct rt_worklist *ready)
{
	if (rt_timers_next(ts) > now)
		return;
	rt_spin_lock(&ts->lock);
	while (most-- && ts->nr && ts->node[0].when_ns <= now) {
		struct rt_timer *t = ts->node[0].timer;
		struct rt_g *g = t->g;

		/*
		 * Claimed before the timer is let go: once t->heap is NULL a
		 * waiter that something else woke may return and t be gone.
		 */
		int won = rt_g_claim_try(g);

		if (won < 0)
			break; /* it is just parking: at the next look */
		if (won) {
			g->wake_result = -ETIMEDOUT;
			g->wake = NULL;
			rt_worklist_add(ready, rt_work_g(g));
		}
		take(ts, t);
	}
	publish_next(ts);
	rt_spin_unlock(&ts->lock);
}

int rt_timers_move(struct rt_timers *to, struct rt_timers *from)
{
	int r = 0;

	rt_spin_lock(&from->lock);
	while (from->nr && !r) {
		struct rt_timer *t = from->node[from->nr - 1].timer;

		rt_spin_lock(&to->lock);
		r = to->nr == to->max ? grow(to) : 0;
		if (!r) {
			/* In one step for rt_timer_cancel(): never in no heap. */
			from->nr--;
			r = add_locked(to, t);
			publish_next(to);
		}
		rt_spin_unlock(&to->lock);
	}
	publish_next(from);
	rt_spin_unlock(&from->lock);
	return r;
}
