/* SPDX-License-Identifier: MIT */
/*
 * timers.c - see timers.h
 */
#include "core/timers.h"

#include <errno.h>
#include <string.h>

#include "base/sys.h"
#include "core/g.h"

enum {
	FIRST = 64,       /* nodes */
	DEAD_ALLOWED = 64, /* before a sweep is thought of */
};

/* ---- which timer -------------------------------------------------- */

#define ALARM ((rt_timer_ref)1)

static inline struct rt_timer *to_timer(rt_timer_ref ref)
{
	return (struct rt_timer *)(ref & ~ALARM);
}

struct rt_alarm *rt_fired_alarm(rt_timer_ref ref)
{
	return ref & ALARM ? container_of(to_timer(ref), struct rt_alarm, timer) : NULL;
}

struct rt_g *rt_fired_g(rt_timer_ref ref)
{
	return ref & ALARM ? NULL : container_of(to_timer(ref), struct rt_g, timer);
}

/* ---- the heap: all under the lock --------------------------------- */

static void sift_up(struct rt_timer_node *node, uint32_t i, struct rt_timer_node n)
{
	while (i) {
		uint32_t parent = (i - 1) / 4;

		if (node[parent].when_ns <= n.when_ns)
			break;
		node[i] = node[parent];
		i = parent;
	}
	node[i] = n;
}

/* Of the children from `first` on the earliest. They lie in one cache line. */
static inline uint32_t least_child(const struct rt_timer_node *node, uint32_t nr, uint32_t first)
{
	uint32_t a, b;

	if (likely(first + 3 < nr)) {
		a = first + (node[first + 1].when_ns < node[first].when_ns);
		b = first + 2 + (node[first + 3].when_ns < node[first + 2].when_ns);
		return node[b].when_ns < node[a].when_ns ? b : a;
	}
	for (a = first, b = first + 1; b < nr; b++)
		if (node[b].when_ns < node[a].when_ns)
			a = b;
	return a;
}

static void sift_down(struct rt_timer_node *node, uint32_t nr, uint32_t i, struct rt_timer_node n)
{
	for (uint32_t first; (first = 4 * i + 1) < nr;) {
		uint32_t least = least_child(node, nr, first);

		if (node[least].when_ns >= n.when_ns)
			break;
		node[i] = node[least];
		i = least;
	}
	node[i] = n;
}

static void publish_next(struct rt_timers *ts)
{
	store_rlx(&ts->next_ns, ts->nr ? ts->node[0].when_ns : INT64_MAX);
}

static void push(struct rt_timers *ts, int64_t when, rt_timer_ref ref)
{
	to_timer(ref)->key_ns = when;
	sift_up(ts->node, ts->nr++, (struct rt_timer_node){ when, ref });
}

static struct rt_timer_node pop(struct rt_timers *ts)
{
	struct rt_timer_node top = ts->node[0];

	if (--ts->nr)
		sift_down(ts->node, ts->nr, 0, ts->node[ts->nr]);
	return top;
}

/* ---- nodes and timers --------------------------------------------- */

void rt_alarm_put(struct rt_alarm *a)
{
	if (__atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) == 0)
		a->free(a);
}

static void alarm_get(struct rt_alarm *a)
{
	fetch_add_rlx(&a->refs, 1);
}

static bool is_own(const struct rt_timers *ts, struct rt_timer_node n)
{
	struct rt_timer *t = to_timer(n.ref);

	return load_rlx(&t->heap) == ts && t->key_ns == n.when_ns;
}

/* t has no node any more. */
static void detach(struct rt_timer *t)
{
	t->when_ns = 0;
	store_rel(&t->heap, NULL); /* pairs with load_acq in cancel, add */
}

/*
 * n, which is out of the heap or about to go: true if no armed timer owns it.
 * Then it is forgotten.
 */
static bool bury(struct rt_timers *ts, struct rt_timer_node n)
{
	if (is_own(ts, n)) {
		if (to_timer(n.ref)->when_ns)
			return false;
		detach(to_timer(n.ref));
	}
	ts->nr_dead--;
	if (n.ref & ALARM)
		rt_alarm_put(rt_fired_alarm(n.ref));
	return true;
}

/* ---- size --------------------------------------------------------- */

/* All dead nodes go, and each of the others gets its real key. */
static void sweep(struct rt_timers *ts)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < ts->nr; i++) {
		struct rt_timer_node n = ts->node[i];

		if (!bury(ts, n)) {
			n.when_ns = to_timer(n.ref)->key_ns = to_timer(n.ref)->when_ns;
			ts->node[nr++] = n;
		}
	}
	ts->nr = nr;
	for (uint32_t i = nr / 4 + 1; i-- > 0;)
		if (i < nr)
			sift_down(ts->node, nr, i, ts->node[i]);
	publish_next(ts);
}

static int reserve(struct rt_timers *ts, uint32_t n)
{
	uint32_t max = ts->max ? ts->max : FIRST, pad = RT_CACHELINE / sizeof(*ts->node) - 1;
	struct rt_timer_node *node;
	void *memory;

	if (ts->nr + n <= ts->max)
		return 0;
	while (max < ts->nr + n)
		max *= 2;
	memory = rt_alloc((max + pad) * sizeof(*node));
	if (!memory)
		return -ENOMEM;
	node = (struct rt_timer_node *)memory + pad;
	if (ts->nr)
		memcpy(node, ts->node, ts->nr * sizeof(*node));
	rt_free(ts->memory);
	ts->memory = memory;
	ts->node = node;
	ts->max = max;
	return 0;
}

void rt_timers_init(struct rt_timers *ts)
{
	*ts = (struct rt_timers){ .next_ns = INT64_MAX };
}

void rt_timers_free(struct rt_timers *ts)
{
	rt_spin_lock(&ts->lock);
	for (uint32_t i = 0; i < ts->nr; i++) {
		rt_timer_ref ref = ts->node[i].ref;

		if (load_rlx(&to_timer(ref)->heap) == ts)
			detach(to_timer(ref));
		if (ref & ALARM)
			rt_alarm_put(rt_fired_alarm(ref));
	}
	rt_free(ts->memory);
	ts->memory = NULL;
	ts->node = NULL;
	ts->nr = ts->max = ts->nr_dead = 0;
	publish_next(ts);
	rt_spin_unlock(&ts->lock);
}

/* ---- arming ------------------------------------------------------- */

/* The node that t, which is not armed, has in `old` is left over from now on.
 * Nobody else changes t->heap meanwhile, but to NULL. */
static void leave(struct rt_timers *old, struct rt_timer *t)
{
	rt_spin_lock(&old->lock);
	if (load_rlx(&t->heap) == old)
		detach(t);
	rt_spin_unlock(&old->lock);
}

void rt_timer_forget(struct rt_timer *t)
{
	struct rt_timers *old = load_acq(&t->heap);

	if (old)
		leave(old, t);
}

static int add_locked(struct rt_timers *ts, rt_timer_ref ref, int64_t when)
{
	struct rt_timer *t = to_timer(ref);
	int r;

	if (load_rlx(&t->heap) == ts && t->key_ns <= when) {
		t->when_ns = when;
		ts->nr_dead--;
		return 0;
	}
	r = reserve(ts, 1);
	if (r)
		return r;
	if (ref & ALARM)
		alarm_get(rt_fired_alarm(ref));
	t->when_ns = when;
	store_rlx(&t->heap, ts);
	push(ts, when, ref);
	publish_next(ts);
	return 0;
}

static inline int add(struct rt_timers *ts, rt_timer_ref ref, int64_t when)
{
	struct rt_timers *old = load_acq(&to_timer(ref)->heap);
	int r;

	if (unlikely(old && old != ts))
		leave(old, to_timer(ref));
	rt_spin_lock(&ts->lock);
	r = add_locked(ts, ref, when);
	rt_spin_unlock(&ts->lock);
	return r;
}

int rt_timer_add(struct rt_timers *ts, struct rt_g *g, int64_t when)
{
	return add(ts, (rt_timer_ref)&g->timer, when);
}

int rt_alarm_add(struct rt_timers *ts, struct rt_alarm *a, int64_t when)
{
	return add(ts, (rt_timer_ref)&a->timer | ALARM, when);
}

static void disarm_locked(struct rt_timers *ts, struct rt_timer *t)
{
	t->when_ns = 0;
	if (++ts->nr_dead > DEAD_ALLOWED && ts->nr_dead > ts->nr / 4)
		sweep(ts);
}

/* The heap that t's node is in, locked; NULL: none. */
static struct rt_timers *lock_heap(struct rt_timer *t)
{
	struct rt_timers *ts;

	while ((ts = load_acq(&t->heap))) {
		rt_spin_lock(&ts->lock);
		/* It may have fired, or moved to another P's heap, since. */
		if (likely(load_rlx(&t->heap) == ts))
			return ts;
		rt_spin_unlock(&ts->lock);
	}
	return NULL;
}

bool rt_timer_cancel(struct rt_timer *t)
{
	struct rt_timers *ts = lock_heap(t);
	bool armed;

	if (!ts)
		return false;
	armed = t->when_ns != 0;
	if (armed)
		disarm_locked(ts, t);
	rt_spin_unlock(&ts->lock);
	return armed;
}

void rt_alarm_strand(struct rt_alarm *a)
{
	detach(&a->timer);
	store_rlx(&a->due_ns, 0);
}

/* ---- firing ------------------------------------------------------- */

/* The tick after `when` that is still to come: those missed are left out. */
static int64_t next_tick(int64_t when, int64_t period, int64_t now)
{
	int64_t missed = (now - when) / period;

	when += missed * period;
	return when < INT64_MAX - period ? when + period : INT64_MAX;
}

/* A tick that nobody has fetched yet makes this one a missed one. */
static void note_due(struct rt_alarm *a)
{
	if (!load_rlx(&a->due_ns))
		store_rlx(&a->due_ns, a->timer.when_ns);
}

bool rt_alarm_take(struct rt_alarm *a, int64_t now)
{
	struct rt_timer *t = &a->timer;
	struct rt_timers *ts = lock_heap(t);
	bool due;

	if (!ts)
		return false;
	due = t->when_ns && t->when_ns <= now;
	if (due) {
		note_due(a);
		if (a->period_ns)
			t->when_ns = next_tick(t->when_ns, a->period_ns, now);
		else
			disarm_locked(ts, t);
	}
	rt_spin_unlock(&ts->lock);
	return due;
}

static void alarm_fires(struct rt_timers *ts, rt_timer_ref ref, int64_t now)
{
	struct rt_alarm *a = rt_fired_alarm(ref);
	struct rt_timer *t = &a->timer;

	note_due(a);
	if (a->period_ns) {
		alarm_get(a); /* for the call; the node keeps its own */
		t->when_ns = next_tick(t->when_ns, a->period_ns, now);
		push(ts, t->when_ns, ref);
	} else {
		detach(t); /* the node's reference is the call's now */
	}
}

/* True: the goroutine is the caller's to wake. */
static bool wake_fires(struct rt_timers *ts, rt_timer_ref ref)
{
	struct rt_g *g = rt_fired_g(ref);

	/*
	 * Claimed before the timer is let go: once t->heap is NULL a waiter
	 * that something else woke may be in its next wait.
	 */
	int won = rt_g_claim_try(g);

	if (won < 0) {
		/* It is just parking: at the next look. */
		push(ts, g->timer.when_ns, ref);
		return false;
	}
	if (won) {
		g->wake_result = -ETIMEDOUT;
		g->wake = NULL;
	}
	detach(&g->timer);
	return won;
}

/*
 * due[0], out of the heap like all of due[0..nr-1], was postponed: it goes to its
 * place among the others, or back into the heap. True: still nr of them.
 */
static bool postpone(struct rt_timers *ts, struct rt_timer_node *due, uint32_t nr)
{
	struct rt_timer_node n = due[0];
	uint32_t i = 0;

	n.when_ns = to_timer(n.ref)->when_ns;
	to_timer(n.ref)->key_ns = n.when_ns;
	if (n.when_ns > due[nr - 1].when_ns) {
		push(ts, n.when_ns, n.ref);
		return false;
	}
	for (; due[i + 1].when_ns < n.when_ns; i++)
		due[i] = due[i + 1];
	due[i] = n;
	return true;
}

static bool fires(struct rt_timers *ts, rt_timer_ref ref, int64_t now)
{
	if (!(ref & ALARM))
		return wake_fires(ts, ref);
	alarm_fires(ts, ref, now);
	return true;
}

/*
 * First all nodes are taken out, which touches nothing but nodes; then all
 * timers, and what a waker writes beside a goroutine's, are called into the
 * cache together: one after the other they would be a miss each, of the TLB too.
 */
static uint32_t take_due(struct rt_timers *ts, int64_t now, struct rt_timer_node *due,
			 uint32_t most)
{
	uint32_t nr = 0;

	while (nr < most && ts->nr && ts->node[0].when_ns <= now)
		due[nr++] = pop(ts);
	for (uint32_t i = 0; i < nr; i++) {
		__builtin_prefetch(to_timer(due[i].ref), 1);
		__builtin_prefetch(container_of(to_timer(due[i].ref), struct rt_g, timer), 1);
	}
	return nr;
}

uint32_t rt_timers_expire(struct rt_timers *ts, int64_t now, rt_timer_ref *fired, uint32_t most)
{
	struct rt_timer_node due[RT_FIRE_MAX];
	uint32_t nr, n = 0, i = 0;

	if (rt_timers_next(ts) > now)
		return 0;
	rt_spin_lock(&ts->lock);
	nr = take_due(ts, now, due, most < RT_FIRE_MAX ? most : RT_FIRE_MAX);
	while (i < nr) {
		if (bury(ts, due[i])) {
			i++;
		} else if (unlikely(to_timer(due[i].ref)->when_ns != due[i].when_ns)) {
			i += !postpone(ts, due + i, nr - i);
		} else {
			fired[n] = due[i++].ref;
			n += fires(ts, fired[n], now);
		}
	}
	publish_next(ts);
	rt_spin_unlock(&ts->lock);
	return n;
}

/* ---- looking ------------------------------------------------------ */

void rt_timers_tidy(struct rt_timers *ts)
{
	if (rt_timers_next(ts) == INT64_MAX || !rt_spin_trylock(&ts->lock))
		return;
	while (ts->nr) {
		struct rt_timer_node n = ts->node[0];

		if (is_own(ts, n) && to_timer(n.ref)->when_ns == n.when_ns)
			break;
		pop(ts);
		if (!bury(ts, n))
			push(ts, to_timer(n.ref)->when_ns, n.ref);
	}
	publish_next(ts);
	rt_spin_unlock(&ts->lock);
}

bool rt_timers_dense(struct rt_timers *ts, int64_t gap)
{
	bool dense = false;

	if (!rt_spin_trylock(&ts->lock))
		return false;
	for (uint32_t i = 1; i < 5 && i < ts->nr; i++)
		dense |= ts->node[i].when_ns - ts->node[0].when_ns <= gap;
	rt_spin_unlock(&ts->lock);
	return dense;
}

int rt_timers_move(struct rt_timers *to, struct rt_timers *from)
{
	int r;

	rt_spin_lock(&from->lock);
	rt_spin_lock(&to->lock);
	r = reserve(to, from->nr);
	while (!r && from->nr) {
		struct rt_timer_node n = from->node[--from->nr];

		if (bury(from, n))
			continue;
		/* In one step for rt_timer_cancel(): never in no heap. */
		store_rel(&to_timer(n.ref)->heap, to);
		push(to, to_timer(n.ref)->when_ns, n.ref);
	}
	publish_next(to);
	publish_next(from);
	rt_spin_unlock(&to->lock);
	rt_spin_unlock(&from->lock);
	return r;
}
