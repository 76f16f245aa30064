/* SPDX-License-Identifier: MIT */
/*
 * select.c - one of several channel operations
 *
 * One pass of locking: the channels are locked in the order of their
 * addresses (so that two selects can't wait for each other), the cases are
 * tried in a random order under all the locks, and the first that can run,
 * runs. If none can, a waiter is queued for each case and the locks are
 * released; the goroutine's claim word decides which waker wins (core/g.h).
 * The winner leaves its waiter in g->wake. Afterwards the other waiters are
 * taken off their queues, one lock at a time.
 *
 * Fair: each order of the cases is as likely as any other, so of the ready
 * ones each is the first with equal probability. The waiters are queued in that
 * order too: a channel may stand in several cases, and its first waiter wins.
 *
 * Small selects live on the stack, larger ones on the heap; the memory is had
 * before a lock is taken.
 */
#include "base/bug.h"
#include "base/rand.h"
#include "base/sys.h"
#include "sync/chan.h"

enum {
	ON_STACK = 8,
	CASES_MAX = 65535,
};

struct selection {
	struct gmprt_case *cases;
	uint32_t n;
	uint32_t *try_order;  /* of cases with a channel: random */
	uint32_t *lock_order; /* the same by address */
	uint32_t nr;          /* in both */
	struct rt_waiter *waiters;
};

/* ---- order -------------------------------------------------------- */

static bool before(const struct selection *s, uint32_t a, uint32_t b)
{
	return (uintptr_t)s->cases[a].chan < (uintptr_t)s->cases[b].chan;
}

static void sift(const struct selection *s, uint32_t *v, uint32_t i, uint32_t n)
{
	for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
		uint32_t t = v[i];

		if (child + 1 < n && before(s, v[child], v[child + 1]))
			child++;
		if (!before(s, t, v[child]))
			return;
		v[i] = v[child];
		v[child] = t;
	}
}

/* Heap sort: no recursion, no memory, n log n for 65,535 cases. */
static void sort_by_address(const struct selection *s, uint32_t *v, uint32_t n)
{
	for (uint32_t i = n / 2; i-- > 0;)
		sift(s, v, i, n);
	while (n > 1) {
		uint32_t t = v[--n];

		v[n] = v[0];
		v[0] = t;
		sift(s, v, 0, n);
	}
}

/* The cases that have a channel, shuffled and sorted. -EINVAL: a bad op. */
static int order(struct selection *s, uint64_t *rng)
{
	s->nr = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t j;

		if (s->cases[i].op != GMPRT_SEND && s->cases[i].op != GMPRT_RECV)
			return -EINVAL;
		if (!s->cases[i].chan)
			continue;
		j = rt_rand_below(rng, s->nr + 1);
		s->try_order[s->nr] = s->try_order[j];
		s->try_order[j] = i;
		s->lock_order[s->nr++] = i;
	}
	sort_by_address(s, s->lock_order, s->nr);
	return 0;
}

/* ---- locks -------------------------------------------------------- */

static void lock_all(struct selection *s)
{
	gmprt_chan *last = NULL;

	for (uint32_t i = 0; i < s->nr; i++) {
		gmprt_chan *c = s->cases[s->lock_order[i]].chan;

		if (c != last)
			rt_spin_lock(&c->lock);
		last = c;
	}
}

static void unlock_all(struct selection *s)
{
	gmprt_chan *last = NULL;

	for (uint32_t i = 0; i < s->nr; i++) {
		gmprt_chan *c = s->cases[s->lock_order[i]].chan;

		if (c != last)
			rt_spin_unlock(&c->lock);
		last = c;
	}
}

/* ---- trying ------------------------------------------------------- */

static struct rt_waitq *queue_of(const struct gmprt_case *k)
{
	return k->op == GMPRT_SEND ? &k->chan->sendq : &k->chan->recvq;
}

/* All locked: runs the first case that can run. Its index, or -EAGAIN. */
static int try_locked(struct selection *s, struct rt_g **peer)
{
	for (uint32_t i = 0; i < s->nr; i++) {
		struct gmprt_case *k = &s->cases[s->try_order[i]];
		enum rt_chan_did did = k->op == GMPRT_SEND ?
					       rt_chan_send_locked(k->chan, k->elem, peer) :
					       rt_chan_recv_locked(k->chan, k->elem, peer);

		if (did == RT_CHAN_BLOCKS)
			continue;
		k->result = 0;
		if (did == RT_CHAN_CLOSED)
			k->result = k->op == GMPRT_SEND ? rt_chan_closed_to_send(k->chan) : -EPIPE;
		return (int)s->try_order[i];
	}
	return -EAGAIN;
}

/* ---- waiting ------------------------------------------------------ */

static void queue_all(struct selection *s, struct rt_g *g, uint32_t run)
{
	for (uint32_t i = 0; i < s->nr; i++) {
		uint32_t k = s->try_order[i];
		struct rt_waiter *w = &s->waiters[i];

		w->g = g;
		w->claim = true;
		w->index = k;
		w->elem = s->cases[k].elem;
		w->chan = s->cases[k].chan;
		w->chan->run = run;
		rt_waitq_put(queue_of(&s->cases[k]), w);
	}
}

static void unqueue_all(struct selection *s)
{
	for (uint32_t i = 0; i < s->nr; i++) {
		struct rt_waiter *w = &s->waiters[i];

		rt_spin_lock(&w->chan->lock);
		if (w->queued)
			rt_waitq_remove(queue_of(&s->cases[w->index]), w);
		rt_spin_unlock(&w->chan->lock);
	}
}

/* All locked; unlocks. Index, or -ETIMEDOUT. */
static int wait_for_one(struct selection *s, struct rt_m **m, bool timed)
{
	struct rt_g *g = (*m)->curg;
	struct rt_waiter *won;

	if (!timed) { /* else armed by the deadline, in setup already */
		store_rel(&g->claim, RT_CLAIM_SETUP);
		g->wake_result = 0;
	}
	queue_all(s, g, (*m)->s->run);
	unlock_all(s);
	*m = rt_park(*m, RT_REASON_SELECT, &g->claim, RT_CLAIM_ARMED);
	if (timed)
		rt_timer_cancel(&g->timer);
	unqueue_all(s);
	if (g->wake_result)
		return g->wake_result;
	won = g->wake;
	s->cases[won->index].result = won->result;
	return (int)won->index;
}

/* Nothing can ever be ready. */
static int wait_for_none(struct rt_m **m, bool timed)
{
	return rt_wait(m, RT_REASON_SELECT_NONE, &(*m)->scratch, 0, timed);
}

static int run(struct selection *s, int64_t deadline)
{
	struct rt_m *m = rt_enter();
	struct rt_g *peer = NULL;
	bool timed = false;
	int r = 0, armed = 0;

	if (m && deadline != RT_CHAN_TRY && deadline != GMPRT_FOREVER) {
		armed = rt_deadline_arm(m, deadline);
		timed = armed == 0;
	}
	lock_all(s);
	r = try_locked(s, &peer);
	if (r == -EAGAIN && m && deadline != RT_CHAN_TRY && armed == 0) {
		r = s->nr ? wait_for_one(s, &m, timed) : wait_for_none(&m, timed);
	} else {
		unlock_all(s);
		if (timed)
			rt_deadline_disarm(m);
		if (peer)
			rt_ready(m, peer);
		if (r == -EAGAIN && deadline != RT_CHAN_TRY)
			r = m ? armed : -EPERM;
	}
	if (m)
		rt_leave(m);
	return r;
}

/* ---- the interface ------------------------------------------------ */

static uint64_t *rng_of(uint64_t *own)
{
	struct rt_m *m = rt_m_self();

	if (m)
		return &m->rng; /* this M's until the next park */
	*own = (uint64_t)rt_now_ns() | 1;
	return own;
}

static __always_inline_ int select_any(struct gmprt_case *cases, size_t n, int64_t deadline)
{
	uint32_t small_order[2 * ON_STACK];
	struct rt_waiter small_waiters[ON_STACK];
	struct selection s = {
		.cases = cases,
		.n = (uint32_t)n,
		.waiters = small_waiters,
		.try_order = small_order,
	};
	void *heap = NULL;
	uint64_t own;
	int r;

	if (unlikely(n > CASES_MAX))
		return -EINVAL;
	if (unlikely(n > ON_STACK)) {
		heap = rt_zalloc(n * (sizeof(struct rt_waiter) + 2 * sizeof(uint32_t)));
		if (!heap)
			return -ENOMEM;
		s.waiters = heap;
		s.try_order = (uint32_t *)(void *)(s.waiters + n);
	}
	s.lock_order = s.try_order + n;
	r = order(&s, rng_of(&own));
	if (likely(r == 0))
		r = run(&s, deadline);
	rt_free(heap);
	return r;
}

GMPRT_API int gmprt_select(struct gmprt_case *cases, size_t n)
{
	return select_any(cases, n, GMPRT_FOREVER);
}

GMPRT_API int gmprt_select_try(struct gmprt_case *cases, size_t n)
{
	return select_any(cases, n, RT_CHAN_TRY);
}

GMPRT_API int gmprt_select_dl(struct gmprt_case *cases, size_t n, int64_t deadline)
{
	return select_any(cases, n, deadline > 0 ? deadline : 1);
}
