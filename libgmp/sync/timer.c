/* SPDX-License-Identifier: MIT */
/*
 * timer.c - timers and tickers: a channel that receives the time
 *
 * Both are an alarm (core/timers.h) with a channel of one slot. When the
 * alarm's time has come, somebody on some P takes it out of its heap, which
 * leaves that time in due_ns, and calls ring(), which sends it on. Go's
 * meaning since 1.23, which is that of an unbuffered channel:
 *
 *  - After stop or reset has returned, nothing from before can be received.
 *    Both hold the channel's lock, under which they cancel the alarm, clear
 *    due_ns and empty the slot. A ring() that is still on its way finds due_ns
 *    0 under that lock and sends nothing.
 *  - A receive finds the time that has passed, whether or not somebody has got
 *    to the alarm yet: it looks itself (rt_timer_chan_poll) before it blocks.
 *  - A slow receiver misses ticks: the slot is full, and ring()'s send would
 *    block. The heap counts on from the time that was set, so the phase stays.
 *
 * Under the channel's lock: the slot, and the alarm's period. due_ns is set
 * under the heap's lock and taken, by an exchange, under the channel's.
 *
 * Lock order: the channel's lock, then the heap's. A heap's lock is never held
 * when ring() is called. Rejected: the other order, sending under the heap's
 * lock; to stop a timer one would have to let go of the channel to take the
 * heap, and whoever fires in between has a stale value.
 *
 * Memory: the owner's reference goes at free, those of nodes in a heap when
 * they leave it, that of a ring() when it has returned. So free may come from
 * any thread, at any time.
 *
 * Threads without a P put their timers into P 0's heap. They hold a reference
 * to the run while they look at a heap, for it is the run's memory. An alarm that
 * is in a heap belongs to the run that is under way, because a run empties its
 * heaps before it ends; but in the child of fork() (sched/atfork.c) it may be in
 * one of its parent's run, that nobody must look at: `run` tells them apart.
 */
#include "base/bug.h"
#include "base/sys.h"
#include "sync/chan.h"

struct chime {
	struct rt_alarm alarm;
	uint32_t run;    /* rt_sched.run that it was set in last */
	gmprt_chan chan; /* the slot follows */
};

_Static_assert(sizeof(gmprt_chan) % _Alignof(gmprt_chan) == 0, "the slot is chan.buf[]");

static struct chime *chime_of(gmprt_chan *c)
{
	return container_of(c, struct chime, chan);
}

/* ---- firing ------------------------------------------------------- */

static int64_t take_due(struct chime *ch)
{
	return load_rlx(&ch->alarm.due_ns) ? xchg_acqrel(&ch->alarm.due_ns, 0) : 0;
}

static struct rt_g *ring(struct rt_alarm *a)
{
	struct chime *ch = container_of(a, struct chime, alarm);
	struct rt_g *peer = NULL;
	int64_t when;

	rt_spin_lock(&ch->chan.lock);
	when = take_due(ch);
	if (!when || rt_chan_put_locked(&ch->chan, &when, &peer) != RT_CHAN_DIRECT)
		peer = NULL;
	rt_spin_unlock(&ch->chan.lock);
	return peer;
}

/* An M in its RUNTIME keeps its run from ending; others hold a reference. */
static void alarm_take(struct chime *ch)
{
	struct rt_m *m = rt_m_self();
	bool in_m = m && load_rlx(&m->slot->state) == RT_M_RUNTIME;
	struct rt_sched *s = in_m ? m->s : rt_cur_get();

	if (s && s->run == ch->run)
		rt_alarm_take(&ch->alarm, rt_now_ns());
	if (s && !in_m)
		rt_sched_unref(s);
}

bool rt_timer_chan_poll_locked(gmprt_chan *c)
{
	struct chime *ch = chime_of(c);
	int64_t when;

	if (c->recvq.first)
		return false; /* theirs: they came first */
	when = take_due(ch);
	if (!when) {
		alarm_take(ch);
		when = take_due(ch);
	}
	if (!when)
		return false;
	memcpy(rt_chan_slot(c, c->head), &when, sizeof(when));
	store_rlx(&c->len, 1);
	return true;
}

/* ---- in and out --------------------------------------------------- */

/* Where the caller stands: s is m's run, or one it has a reference to. */
struct place {
	struct rt_m *m;
	struct rt_sched *s; /* NULL: no run */
};

/* Locks ch. Its alarm is in no heap then but one of at.s. */
static struct place enter(struct chime *ch)
{
	struct place at = { .m = rt_enter() };
	unsigned int round = 0;

	for (;;) {
		at.s = at.m ? at.m->s : rt_cur_get();
		rt_spin_lock(&ch->chan.lock);
		if (!load_acq(&ch->alarm.timer.heap) || (at.s && at.s->run == ch->run))
			return at;
		if (at.s || !rt_run_is_under_way()) { /* after fork() */
			rt_alarm_strand(&ch->alarm);
			return at;
		}
		/* The run is just ending and has yet to empty its heaps. */
		rt_spin_unlock(&ch->chan.lock);
		rt_backoff(&round);
	}
}

static void leave(struct place at, struct chime *ch)
{
	rt_spin_unlock(&ch->chan.lock);
	if (at.m)
		rt_leave(at.m);
	else if (at.s)
		rt_sched_unref(at.s);
}

/* True: it was pending, or what it had sent was not received yet. */
static bool stop_locked(struct chime *ch)
{
	bool pending = rt_timer_cancel(&ch->alarm.timer);

	pending |= take_due(ch) != 0;
	pending |= ch->chan.len != 0;
	store_rlx(&ch->chan.len, 0);
	return pending;
}

/* 0; -EPERM: no run; -ENOMEM. */
static int start_locked(struct place at, struct chime *ch, int64_t ns, int64_t period)
{
	int64_t now = rt_now_ns(), when;
	int r;

	if (!at.s)
		return -EPERM;
	when = ns <= 0 ? now : ns < INT64_MAX - now ? now + ns : INT64_MAX;
	ch->alarm.period_ns = period;
	ch->run = at.s->run;
	r = rt_alarm_add(at.m ? &at.m->p->timers : &at.s->ps[0].timers, &ch->alarm, when);
	if (r)
		return r;
	if (at.m)
		rt_keeper_check(at.s, when);
	else
		rt_timer_set_foreign(at.s, when);
	return 0;
}

/* ---- timers and tickers ------------------------------------------- */

static void chime_free(struct rt_alarm *a)
{
	rt_free(container_of(a, struct chime, alarm));
}

static void *chime_make(int64_t ns, int64_t period)
{
	struct chime *ch = rt_zalloc(sizeof(*ch) + sizeof(int64_t));
	struct place at;
	int r;

	if (!ch) {
		errno = ENOMEM;
		return NULL;
	}
	ch->alarm.refs = 1;
	ch->alarm.fire = ring;
	ch->alarm.free = chime_free;
	ch->chan.elem_size = sizeof(int64_t);
	ch->chan.cap = 1;
	ch->chan.timer = ch->chan.closed = true;
	at = enter(ch);
	r = start_locked(at, ch, ns, period);
	leave(at, ch);
	if (!r)
		return ch;
	rt_alarm_put(&ch->alarm);
	errno = -r;
	return NULL;
}

static int chime_stop(struct chime *ch)
{
	struct place at;
	bool pending;

	if (!ch)
		return -EINVAL;
	at = enter(ch);
	pending = stop_locked(ch);
	leave(at, ch);
	return pending;
}

static int chime_reset(struct chime *ch, int64_t ns, int64_t period)
{
	struct place at;
	bool pending;
	int r;

	if (!ch)
		return -EINVAL;
	at = enter(ch);
	pending = stop_locked(ch);
	r = start_locked(at, ch, ns, period);
	leave(at, ch);
	return r ? r : pending;
}

static void chime_drop(struct chime *ch, const char *who)
{
	if (!ch)
		return;
	chime_stop(ch);
	if (rt_chan_has_waiters(&ch->chan))
		rt_misuse("%s(%p): goroutines wait on its channel", who, (void *)ch);
	rt_alarm_put(&ch->alarm);
}

/* ---- the interface ------------------------------------------------ */

/* Users' two types are this one. */
static struct chime *to_chime(void *t)
{
	return t;
}

GMPRT_API gmprt_timer *gmprt_timer_make(int64_t ns)
{
	return chime_make(ns, 0);
}

GMPRT_API gmprt_chan *gmprt_timer_chan(gmprt_timer *t)
{
	return t ? &to_chime(t)->chan : NULL;
}

GMPRT_API int gmprt_timer_stop(gmprt_timer *t)
{
	return chime_stop(to_chime(t));
}

GMPRT_API int gmprt_timer_reset(gmprt_timer *t, int64_t ns)
{
	return chime_reset(to_chime(t), ns, 0);
}

GMPRT_API void gmprt_timer_free(gmprt_timer *t)
{
	chime_drop(to_chime(t), "gmprt_timer_free");
}

GMPRT_API gmprt_ticker *gmprt_ticker_make(int64_t period)
{
	if (period > 0)
		return chime_make(period, period);
	errno = EINVAL;
	return NULL;
}

GMPRT_API gmprt_chan *gmprt_ticker_chan(gmprt_ticker *t)
{
	return t ? &to_chime(t)->chan : NULL;
}

GMPRT_API int gmprt_ticker_stop(gmprt_ticker *t)
{
	return chime_stop(to_chime(t));
}

GMPRT_API int gmprt_ticker_reset(gmprt_ticker *t, int64_t period)
{
	return period > 0 ? chime_reset(to_chime(t), period, period) : -EINVAL;
}

GMPRT_API void gmprt_ticker_free(gmprt_ticker *t)
{
	chime_drop(to_chime(t), "gmprt_ticker_free");
}
