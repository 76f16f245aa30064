/* SPDX-License-Identifier: MIT */
/*
 * mutex.c - mutual exclusion, two ways of passing it on (Go's two modes)
 *
 * Problem: handing the mutex to the first waiter is fair, but then each pass
 * costs a switch, and while the waiter is on its way nobody works. Letting
 * running goroutines overtake is fast, but a waiter may starve.
 *
 * So: normally unlock just frees it and wakes the first waiter, which competes
 * with whoever runs; if it loses it waits again, at the front. A waiter that
 * has waited for 1 ms gets the mutex handed over instead.
 *
 * The word:
 *   HELD     somebody owns it
 *   WAITERS  the queue is not empty
 *   LOCK     the queue is being changed; nobody else changes the word then
 *   WOKEN    a woken waiter is on its way: unlocks need not wake another
 *   HANDED   HELD for a waiter that has not run since
 *
 *   0 -> HELD                        lock         cas_acq
 *   HELD -> 0                        unlock       cas_rel
 *   w -> w|HELD     !HELD !LOCK      lock         cas_acq (overtakes)
 *   w -> w&~HELD    WOKEN, !LOCK     unlock       cas_rel (one is coming)
 *   w -> w|LOCK     !LOCK            both         cas_acq, then a release store
 *
 * A contender on another P spins first, with long pauses: the holder's
 * critical section is usually shorter than a park, and each look at the word
 * takes its line away from the holder (60 to 150 ns). It does not spin while
 * the mutex has been HANDED over: that waiter may sit in the spinner's own run
 * queue. (Measured with 1000 goroutines on 2 Ps, one CPU taken away for a
 * while: 7 us a pass for the rest of the run.)
 */
#include "base/bug.h"
#include "sync/wait.h"

enum {
	HELD = 1,
	WAITERS = 2,
	LOCK = 4,
	WOKEN = 8,
	HANDED = 16,
};

enum {
	SPIN_ROUNDS = 10,
	STARVING_NS = 1000000,
};

static struct rt_waitq *queue_of(gmprt_mutex *x)
{
	return (struct rt_waitq *)(void *)&x->head;
}

_Static_assert(offsetof(gmprt_mutex, tail) == offsetof(gmprt_mutex, head) + sizeof(void *),
	       "a queue");

/* ---- lock --------------------------------------------------------- */

/* Takes it if it is free, keeping the other bits but `clear`. */
static bool overtake(gmprt_mutex *x, uint32_t clear)
{
	uint32_t w = load_rlx(&x->word);

	return !(w & (HELD | LOCK)) && cas_acq(&x->word, w, (w | HELD) & ~clear);
}

static bool spin(gmprt_mutex *x, struct rt_m *m, uint32_t clear)
{
	unsigned int round = 0;

	if (load_rlx(&m->s->maxprocs) == 1 || (load_rlx(&x->word) & HANDED))
		return overtake(x, clear);
	do {
		if (overtake(x, clear))
			return true;
		rt_backoff(&round);
	} while (round < SPIN_ROUNDS);
	return false;
}

/* With LOCK held: word to be stored when the caller parks or goes on. */
static uint32_t lock_word(gmprt_mutex *x)
{
	unsigned int round = 0;

	for (;;) {
		uint32_t w = load_rlx(&x->word);

		if (!(w & LOCK) && cas_acq(&x->word, w, w | LOCK))
			return w;
		if (w & LOCK)
			rt_backoff(&round);
	}
}

static void timed_out(gmprt_mutex *x, struct rt_waiter *w)
{
	struct rt_waitq *q = queue_of(x);
	uint32_t word = lock_word(x);

	if (w->queued)
		rt_waitq_remove(q, w);
	store_rel(&x->word, q->first ? word : word & ~(uint32_t)WAITERS);
}

/*
 * One wait. 1: owns the mutex; 0: was woken to compete; -ETIMEDOUT.
 * woken: the WOKEN bit is this goroutine's, and is given up by parking.
 */
static int wait_once(gmprt_mutex *x, struct rt_m **m, struct rt_waiter *w, bool woken,
		     bool timed)
{
	struct rt_waitq *q = queue_of(x);
	uint32_t clear = woken ? WOKEN : 0, word = lock_word(x);
	int r;

	if (!(word & HELD)) {
		store_rel(&x->word, (word | HELD) & ~clear);
		return 1;
	}
	if (woken)
		rt_waitq_put_first(q, w);
	else
		rt_waitq_put(q, w);
	r = rt_wait(m, RT_REASON_MUTEX, &x->word, (word | WAITERS) & ~clear, timed);
	if (r) {
		timed_out(x, w);
		return r;
	}
	if (w->result)
		store_rel(&x->word, lock_word(x) & ~(uint32_t)HANDED);
	return w->result;
}

/* Takes the first waiter off to compete: the WOKEN bit is its. LOCK is held. */
static struct rt_g *wake_one(struct rt_waitq *q, uint32_t *word)
{
	struct rt_waiter *w = rt_waitq_take(q);
	struct rt_g *g = w ? w->g : NULL;

	if (w) {
		g->wake_result = 0;
		if (rt_now_ns() - w->since_ns > STARVING_NS) {
			w->result = 1;
			*word |= HELD | HANDED; /* on the waiter's behalf */
		} else {
			*word |= WOKEN;
		}
	}
	if (!q->first)
		*word &= ~(uint32_t)WAITERS;
	return g;
}

/* The WOKEN bit is ours but we give up: the next waiter must not sleep on. */
static void pass_on(gmprt_mutex *x, struct rt_m *m)
{
	uint32_t word = lock_word(x) & ~(uint32_t)WOKEN;
	struct rt_g *g = word & HELD ? NULL : wake_one(queue_of(x), &word);

	store_rel(&x->word, word);
	if (g)
		rt_ready(m, g);
}

/* A deadline is armed anew for each wait; disarmed if the wait did not park. */
static __noinline int lock_slow(gmprt_mutex *x, int64_t deadline)
{
	struct rt_m *m = rt_enter();
	bool woken = false, timed = deadline != GMPRT_FOREVER;
	struct rt_waiter w;
	int r = 0;

	if (!m)
		return -EPERM;
	w.g = m->curg;
	w.since_ns = 0;
	w.claim = timed;
	while (!spin(x, m, woken ? WOKEN : 0)) {
		if (w.since_ns == 0)
			w.since_ns = rt_now_ns();
		if (timed) {
			r = rt_deadline_arm(m, deadline);
			if (r)
				break;
		}
		w.queued = false;
		w.result = 0;
		r = wait_once(x, &m, &w, woken, timed);
		woken = r == 0; /* the bit is ours again only if we were woken */
		if (timed && r == 1)
			rt_deadline_disarm(m);
		if (r)
			break;
	}
	if (r < 0 && woken)
		pass_on(x, m);
	rt_leave(m);
	return r < 0 ? r : 0;
}

GMPRT_API void gmprt_mutex_lock(gmprt_mutex *x)
{
	if (likely(cas_acq(&x->word, 0, HELD)))
		return;
	if (lock_slow(x, GMPRT_FOREVER))
		rt_misuse("gmprt_mutex_lock: must wait, but this is no goroutine");
}

GMPRT_API int gmprt_mutex_lock_try(gmprt_mutex *x)
{
	return cas_acq(&x->word, 0, HELD) || overtake(x, 0) ? 0 : -EAGAIN;
}

GMPRT_API int gmprt_mutex_lock_dl(gmprt_mutex *x, int64_t deadline)
{
	return likely(cas_acq(&x->word, 0, HELD)) ? 0 : lock_slow(x, deadline);
}

/* ---- unlock ------------------------------------------------------- */

/* There are waiters, or the queue is being changed. */
static __noinline void unlock_slow(gmprt_mutex *x)
{
	struct rt_m *m = rt_enter();
	uint32_t word = lock_word(x);
	struct rt_g *g = NULL;

	if (unlikely(!(word & HELD)))
		rt_misuse("gmprt_mutex_unlock: the mutex is not locked");
	word &= ~(uint32_t)(HELD | HANDED);
	if (!(word & WOKEN))
		g = wake_one(queue_of(x), &word);
	store_rel(&x->word, word); /* the last touch: x may be freed now */
	if (g)
		rt_ready(m, g);
	if (m)
		rt_leave(m);
}

GMPRT_API void gmprt_mutex_unlock(gmprt_mutex *x)
{
	uint32_t w = HELD;

	if (likely(__atomic_compare_exchange_n(&x->word, &w, 0, false, __ATOMIC_RELEASE,
					       __ATOMIC_RELAXED)))
		return;
	if ((w & (HELD | LOCK | WOKEN)) == (HELD | WOKEN) &&
	    cas_rel(&x->word, w, w & ~(uint32_t)HELD))
		return;
	unlock_slow(x);
}
