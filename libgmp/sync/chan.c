/* SPDX-License-Identifier: MIT */
/*
 * chan.c - channels
 *
 * A lock, a ring, a queue of receivers and one of senders.
 *
 * Invariants, under the lock:
 *  - Receivers wait only while the ring is empty and nobody sends; senders
 *    only while it is full and nobody receives. So at most one of the queues
 *    is not empty, except for waiters of one select on both sides.
 *  - Closed: no waiters at all.
 *
 * Three-party moves. A receiver of a full ring with a sender waiting takes the
 * oldest element, puts the sender's in the slot that became free and readies
 * the sender: order is kept and nobody runs in vain. A sender that finds a
 * receiver waiting copies straight into the receiver's memory, which lies on a
 * parked stack or the heap.
 *
 * What an operation costs when nobody waits: one locked instruction (the
 * lock), one line for the channel's head and one for the slot. With a partner
 * waiting: the same, the partner's waiter and G, and one store to the run
 * queue.
 *
 * Rejected: a lock-free ring (Go tried; select over several channels needs
 * locks anyway, and the lock is one of two atomics at best); keeping closed in
 * the lock word (saves nothing measurable).
 */
#include <stdlib.h>

#include "base/bug.h"
#include "base/rcu.h"
#include "base/sys.h"
#include "sync/chan.h"

#define ELEM_SIZE_MAX 65536

/* ---- making and freeing ------------------------------------------- */

GMPRT_API gmprt_chan *gmprt_chan_make(size_t elem_size, size_t cap)
{
	gmprt_chan *c;
	size_t bytes;

	if (elem_size > ELEM_SIZE_MAX || cap > UINT32_MAX / 2) {
		errno = EINVAL;
		return NULL;
	}
	bytes = elem_size * cap;
	c = rt_alloc(sizeof(*c) + bytes);
	if (!c) {
		errno = ENOMEM;
		return NULL;
	}
	memset(c, 0, sizeof(*c));
	c->elem_size = (uint32_t)elem_size;
	c->cap = (uint32_t)cap;
	return c;
}

/* Those who waited when an earlier run ended are gone; their waiters are still
 * queued, and nobody may look at them. */
bool rt_chan_has_waiters(gmprt_chan *c)
{
	struct rt_sched *s;
	bool has;

	if (!load_acq(&c->recvq.first) && !load_acq(&c->sendq.first))
		return false;
	rt_rcu_read_lock();
	s = load_acq(&rt_cur);
	has = s && s->run == c->run;
	rt_rcu_read_unlock();
	return has;
}

GMPRT_API void gmprt_chan_free(gmprt_chan *c)
{
	if (!c)
		return;
	if (unlikely(c->timer))
		rt_misuse("gmprt_chan_free(%p): it is a timer's, gmprt_timer_free() or "
			  "gmprt_ticker_free() frees it", (void *)c);
	if (unlikely(rt_chan_has_waiters(c)))
		rt_misuse("gmprt_chan_free(%p): goroutines wait on it", (void *)c);
	rt_free(c);
}

/* A timer's is unbuffered for all that its users can tell. */
GMPRT_API size_t gmprt_chan_len(const gmprt_chan *c)
{
	return c && !c->timer ? load_rlx(&c->len) : 0;
}

GMPRT_API size_t gmprt_chan_cap(const gmprt_chan *c)
{
	return c && !c->timer ? c->cap : 0;
}

/* ---- under the lock ----------------------------------------------- */

/* A waiter's goroutine is told that its case ran. */
static __always_inline_ struct rt_g *tell(struct rt_waiter *w, int result)
{
	struct rt_g *g = w->g;

	w->result = result;
	g->wake = w;
	g->wake_result = 0;
	return g;
}

static __always_inline_ enum rt_chan_did put_locked(gmprt_chan *c, const void *elem,
						    struct rt_g **peer)
{
	struct rt_waiter *w;

	if (c->recvq.first && (w = rt_waitq_take(&c->recvq))) {
		if (w->elem)
			rt_elem_copy(c, w->elem, elem);
		*peer = tell(w, 0);
		return RT_CHAN_DIRECT;
	}
	if (c->len < c->cap) {
		rt_elem_copy(c, rt_chan_slot(c, rt_chan_wrap(c, c->head + c->len)), elem);
		store_rlx(&c->len, c->len + 1);
		return RT_CHAN_DONE;
	}
	return RT_CHAN_BLOCKS;
}

static __always_inline_ enum rt_chan_did send_locked(gmprt_chan *c, const void *elem,
						     struct rt_g **peer)
{
	return unlikely(c->closed) ? RT_CHAN_CLOSED : put_locked(c, elem, peer);
}

static __always_inline_ enum rt_chan_did recv_locked(gmprt_chan *c, void *elem,
						     struct rt_g **peer)
{
	struct rt_waiter *w = NULL;
	void *slot;

	if (c->len == 0) {
		if (c->sendq.first && (w = rt_waitq_take(&c->sendq))) {
			if (elem)
				rt_elem_copy(c, elem, w->elem);
			*peer = tell(w, 0);
			return RT_CHAN_DIRECT;
		}
		if (likely(!c->closed))
			return RT_CHAN_BLOCKS;
		if (!c->timer) {
			if (elem)
				memset(elem, 0, c->elem_size);
			return RT_CHAN_CLOSED;
		}
		if (!rt_timer_chan_poll_locked(c))
			return RT_CHAN_BLOCKS;
	}
	slot = rt_chan_slot(c, c->head);
	if (elem)
		rt_elem_copy(c, elem, slot);
	c->head = rt_chan_wrap(c, c->head + 1);
	if (c->sendq.first && (w = rt_waitq_take(&c->sendq))) {
		/* The ring was full: the slot just freed is the last one. */
		rt_elem_copy(c, slot, w->elem);
		*peer = tell(w, 0);
		return RT_CHAN_DIRECT;
	}
	store_rlx(&c->len, c->len - 1);
	return RT_CHAN_DONE;
}

enum rt_chan_did rt_chan_put_locked(gmprt_chan *c, const void *elem, struct rt_g **peer)
{
	return put_locked(c, elem, peer);
}

enum rt_chan_did rt_chan_send_locked(gmprt_chan *c, const void *elem, struct rt_g **peer)
{
	return send_locked(c, elem, peer);
}

enum rt_chan_did rt_chan_recv_locked(gmprt_chan *c, void *elem, struct rt_g **peer)
{
	return recv_locked(c, elem, peer);
}

__cold int rt_chan_closed_to_send(gmprt_chan *c)
{
	if (c->timer)
		rt_misuse("send to channel %p: it is a timer's, which sends itself", (void *)c);
	return -EPIPE;
}

/* ---- blocking ----------------------------------------------------- */

static void unqueue(gmprt_chan *c, struct rt_waitq *q, struct rt_waiter *w)
{
	rt_spin_lock(&c->lock);
	if (w->queued)
		rt_waitq_remove(q, w);
	rt_spin_unlock(&c->lock);
}

/* Under c->lock, which is released: waits in q. In m's RUNTIME, left at the
 * end. */
static __always_inline_ int wait_in(gmprt_chan *c, struct rt_m *m, struct rt_waitq *q, void *elem,
				    enum rt_reason reason, bool timed)
{
	struct rt_waiter w;
	int r;

	w.g = m->curg;
	w.claim = timed;
	w.elem = elem;
	c->run = m->s->run;
	rt_waitq_put(q, &w);
	r = rt_wait(&m, reason, &c->lock.word, 0, timed);
	if (unlikely(r))
		unqueue(c, q, &w);
	else
		r = w.result;
	rt_leave(m);
	return r;
}

/* Nobody will ever come: until the deadline. */
static __noinline int wait_nil(enum rt_reason reason, int64_t deadline)
{
	struct rt_m *m = rt_enter();
	int r = 0;

	if (!m)
		return -EPERM;
	if (deadline != GMPRT_FOREVER)
		r = rt_deadline_arm(m, deadline);
	if (r == 0)
		r = rt_wait(&m, reason, &m->scratch, 0, deadline != GMPRT_FOREVER);
	rt_leave(m);
	return r;
}

/*
 * The long way: with a deadline, or without a P. `send` is a constant where
 * this is called.
 */
static __noinline int op_slow(gmprt_chan *c, void *elem, bool send, int64_t deadline)
{
	struct rt_m *m = rt_enter();
	enum rt_chan_did did;
	struct rt_g *peer = NULL;
	bool armed = false;
	int r = 0;

	/* Armed first: the timer needs memory, and after the lock is taken
	 * nothing may fail. A deadline that has passed still tries. */
	if (m && deadline > 0 && deadline != GMPRT_FOREVER) {
		r = rt_deadline_arm(m, deadline);
		armed = r == 0;
	}
	rt_spin_lock(&c->lock);
	did = send ? rt_chan_send_locked(c, elem, &peer) : rt_chan_recv_locked(c, elem, &peer);
	if (did == RT_CHAN_BLOCKS && m && (armed || deadline == GMPRT_FOREVER))
		return wait_in(c, m, send ? &c->sendq : &c->recvq, elem,
			       send ? RT_REASON_CHAN_SEND : RT_REASON_CHAN_RECV,
			       armed);
	rt_spin_unlock(&c->lock);
	if (armed)
		rt_deadline_disarm(m);
	if (did == RT_CHAN_DIRECT)
		rt_ready(m, peer);
	if (m)
		rt_leave(m);
	switch (did) {
	case RT_CHAN_DONE:
	case RT_CHAN_DIRECT:
		return 0;
	case RT_CHAN_CLOSED:
		return send ? rt_chan_closed_to_send(c) : -EPIPE;
	default:
		if (deadline == RT_CHAN_TRY)
			return -EAGAIN;
		return !m ? -EPERM : r ? r : -ETIMEDOUT;
	}
}

/* ---- the interface ------------------------------------------------ */

GMPRT_API int gmprt_chan_send(gmprt_chan *c, const void *elem)
{
	struct rt_g *peer;
	struct rt_m *m;

	if (unlikely(!c))
		return wait_nil(RT_REASON_CHAN_NIL_SEND, GMPRT_FOREVER);
	m = rt_enter();
	if (unlikely(!m))
		return op_slow(c, (void *)(uintptr_t)elem, true, GMPRT_FOREVER);
	rt_spin_lock(&c->lock);
	switch (send_locked(c, elem, &peer)) {
	case RT_CHAN_BLOCKS:
		return wait_in(c, m, &c->sendq, (void *)(uintptr_t)elem, RT_REASON_CHAN_SEND,
			       false);
	case RT_CHAN_DIRECT:
		rt_spin_unlock(&c->lock);
		rt_ready(m, peer);
		rt_leave(m);
		return 0;
	case RT_CHAN_DONE:
		rt_spin_unlock(&c->lock);
		rt_leave(m);
		return 0;
	default:
		rt_spin_unlock(&c->lock);
		rt_leave(m);
		return rt_chan_closed_to_send(c);
	}
}

GMPRT_API int gmprt_chan_recv(gmprt_chan *c, void *elem)
{
	struct rt_g *peer;
	struct rt_m *m;

	if (unlikely(!c))
		return wait_nil(RT_REASON_CHAN_NIL_RECV, GMPRT_FOREVER);
	m = rt_enter();
	if (unlikely(!m))
		return op_slow(c, elem, false, GMPRT_FOREVER);
	rt_spin_lock(&c->lock);
	switch (recv_locked(c, elem, &peer)) {
	case RT_CHAN_BLOCKS:
		return wait_in(c, m, &c->recvq, elem, RT_REASON_CHAN_RECV, false);
	case RT_CHAN_DIRECT:
		rt_spin_unlock(&c->lock);
		rt_ready(m, peer);
		rt_leave(m);
		return 0;
	case RT_CHAN_DONE:
		rt_spin_unlock(&c->lock);
		rt_leave(m);
		return 0;
	default:
		rt_spin_unlock(&c->lock);
		rt_leave(m);
		return -EPIPE;
	}
}

GMPRT_API int gmprt_chan_send_dl(gmprt_chan *c, const void *elem, int64_t deadline)
{
	if (!c)
		return wait_nil(RT_REASON_CHAN_NIL_SEND, deadline);
	return op_slow(c, (void *)(uintptr_t)elem, true, deadline > 0 ? deadline : 1);
}

GMPRT_API int gmprt_chan_recv_dl(gmprt_chan *c, void *elem, int64_t deadline)
{
	if (!c)
		return wait_nil(RT_REASON_CHAN_NIL_RECV, deadline);
	return op_slow(c, elem, false, deadline > 0 ? deadline : 1);
}

GMPRT_API int gmprt_chan_send_try(gmprt_chan *c, const void *elem)
{
	/* Without the lock where it would block anyway: a loop of tries must
	 * not fight with those who work. Either order of events is right. */
	if (!c || (!load_rlx(&c->closed) && load_rlx(&c->len) >= c->cap &&
		   !load_rlx(&c->recvq.first)))
		return -EAGAIN;
	return op_slow(c, (void *)(uintptr_t)elem, true, RT_CHAN_TRY);
}

GMPRT_API int gmprt_chan_recv_try(gmprt_chan *c, void *elem)
{
	/* closed is read last: a channel seen open after it was seen empty was
	 * open and empty at one moment. */
	if (!c || (load_acq(&c->len) == 0 && !load_acq(&c->sendq.first) &&
		   !load_acq(&c->closed)))
		return -EAGAIN;
	return op_slow(c, elem, false, RT_CHAN_TRY);
}

GMPRT_API int gmprt_chan_close(gmprt_chan *c)
{
	struct rt_waitq all = { 0 };
	struct rt_waiter *w;
	struct rt_m *m;

	if (!c)
		return -EINVAL;
	m = rt_enter();
	rt_spin_lock(&c->lock);
	if (c->closed) {
		rt_spin_unlock(&c->lock);
		if (m)
			rt_leave(m);
		if (c->timer)
			rt_misuse("gmprt_chan_close(%p): it is a timer's", (void *)c);
		return -EPIPE;
	}
	store_rel(&c->closed, true);
	while ((w = rt_waitq_take(&c->recvq))) {
		if (w->elem)
			memset(w->elem, 0, c->elem_size);
		rt_waitq_put(&all, w);
	}
	while ((w = rt_waitq_take(&c->sendq)))
		rt_waitq_put(&all, w);
	/* No longer on a queue of c: a select must not look for them there. */
	for (w = all.first; w; w = w->next)
		w->queued = false;
	rt_spin_unlock(&c->lock);
	while ((w = all.first)) {
		all.first = w->next; /* w is gone once its goroutine runs */
		rt_ready(m, tell(w, -EPIPE));
	}
	if (m)
		rt_leave(m);
	return 0;
}
