/* SPDX-License-Identifier: MIT */
/*
 * wait.h - what all waiting shares: queues of waiters, the deadline
 *
 * A waiter lies on the stack of the goroutine that waits, and on the queue of
 * the thing it waits for; the thing's lock guards both. Who takes it off the
 * queue wakes the goroutine.
 *
 * If more than one event may end the wait (`claim`: a deadline, a select),
 * taking it off the queue is not enough: the taker must also win g's claim
 * word (core/g.h). One that lost is off the queue and forgotten; the goroutine
 * is being woken by somebody else.
 *
 * With a deadline, the park has two things to open at once, the lock and the
 * claim. The lock is released before the switch and the switch arms the claim:
 * until then a taker waits in rt_g_claim() for some instructions.
 */
#ifndef RT_SYNC_WAIT_H
#define RT_SYNC_WAIT_H

#include <errno.h>
#include <gmprt.h>

#include "base/clock.h"
#include "base/spin.h"
#include "sched/switch.h"

struct rt_waiter {
	struct rt_waiter *next, *prev;
	struct rt_g *g;
	bool queued;
	bool claim;
	/* Channels and select. */
	int result;         /* out: 0 or -EPIPE */
	uint32_t index;     /* of the select's case */
	gmprt_chan *chan;
	void *elem;
	int64_t since_ns;   /* mutex */
};

struct rt_waitq {
	struct rt_waiter *first; /* a channel's is peeked at without the lock */
	struct rt_waiter *last;
};

static __always_inline_ void rt_waitq_put(struct rt_waitq *q, struct rt_waiter *w)
{
	w->next = NULL;
	w->prev = q->last;
	if (q->last)
		q->last->next = w;
	else
		store_rel(&q->first, w);
	q->last = w;
	w->queued = true;
}

static __always_inline_ void rt_waitq_put_first(struct rt_waitq *q, struct rt_waiter *w)
{
	w->prev = NULL;
	w->next = q->first;
	if (q->first)
		q->first->prev = w;
	else
		q->last = w;
	store_rlx(&q->first, w);
	w->queued = true;
}

static __always_inline_ void rt_waitq_remove(struct rt_waitq *q, struct rt_waiter *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		store_rlx(&q->first, w->next);
	if (w->next)
		w->next->prev = w->prev;
	else
		q->last = w->prev;
	w->queued = false;
}

/* The longest waiting whose goroutine is the caller's to wake; or NULL. */
static __always_inline_ struct rt_waiter *rt_waitq_take(struct rt_waitq *q)
{
	struct rt_waiter *w;

	while ((w = q->first)) {
		rt_waitq_remove(q, w);
		if (likely(!w->claim) || rt_g_claim(w->g))
			break;
	}
	return w;
}

/*
 * Parks the current goroutine, whose waiters are queued; *word, set to val,
 * unlocks. timed: a deadline has been armed by rt_deadline_arm(). 0, or
 * -ETIMEDOUT: then the waiter may still be queued.
 */
static __always_inline_ int rt_wait(struct rt_m **m, enum rt_reason reason, uint32_t *word,
				    uint32_t val, bool timed)
{
	struct rt_g *g = (*m)->curg;

	if (likely(!timed)) {
		*m = rt_park(*m, reason, word, val);
		return 0;
	}
	store_rel(word, val);
	*m = rt_park(*m, reason, &g->claim, RT_CLAIM_ARMED);
	rt_timer_cancel(&g->timer);
	return g->wake_result;
}

/*
 * For a wait with a deadline, before the waiter is queued: the claim is in
 * setup and the timer runs. 0; -ETIMEDOUT: has passed; -ENOMEM. After 0 the
 * caller must wait, or call rt_deadline_disarm().
 */
int rt_deadline_arm(struct rt_m *m, int64_t deadline);
void rt_deadline_disarm(struct rt_m *m);
/* Arms without a look at the clock. */
int rt_deadline_arm_at(struct rt_m *m, int64_t deadline);

#endif
