/* SPDX-License-Identifier: MIT */
/*
 * sem.c - counting semaphore: count << 2 | waiters | lock
 *
 * Invariant: while goroutines wait the count is 0; a post hands its unit to
 * the first waiter without counting it, so nobody can snatch it.
 */
#include "base/bug.h"
#include "sync/word.h"

#define UNIT 4u

_Static_assert(offsetof(gmprt_sem, tail) == offsetof(gmprt_sem, head) + sizeof(void *), "a queue");

/* ---- wait --------------------------------------------------------- */

static __always_inline_ bool take(gmprt_sem *s)
{
	uint32_t w = load_rlx(&s->word);

	while (w >= UNIT && !(w & RT_WORD_LOCK)) {
		if (likely(__atomic_compare_exchange_n(&s->word, &w, w - UNIT, false,
						       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
			return true;
	}
	return false;
}

/* The timer was first. If a post took the waiter off meanwhile it gave the
 * unit to the next. */
static void timed_out(gmprt_sem *s, struct rt_waiter *w)
{
	struct rt_waitq *q = rt_word_queue(s);
	uint32_t word = rt_word_lock(&s->word);

	if (w->queued)
		rt_waitq_remove(q, w);
	store_rel(&s->word, q->first ? word : word & ~RT_WORD_WAITERS);
}

static __noinline int wait_slow(gmprt_sem *s, int64_t deadline)
{
	struct rt_m *m = rt_enter();
	bool timed = deadline != GMPRT_FOREVER;
	struct rt_waiter w;
	uint32_t word;
	int r = 0;

	if (!m)
		return -EPERM;
	if (unlikely(timed)) {
		r = rt_deadline_arm(m, deadline);
		if (r) {
			rt_leave(m);
			return r;
		}
	}
	word = rt_word_lock(&s->word);
	if (word >= UNIT) {
		store_rel(&s->word, word - UNIT);
		if (timed)
			rt_deadline_disarm(m);
		rt_leave(m);
		return 0;
	}
	w.g = m->curg;
	w.claim = timed;
	rt_waitq_put(rt_word_queue(s), &w);
	r = rt_wait(&m, RT_REASON_SEM, &s->word, RT_WORD_WAITERS, timed);
	if (unlikely(r))
		timed_out(s, &w);
	rt_leave(m);
	return r;
}

GMPRT_API int gmprt_sem_wait(gmprt_sem *s)
{
	return likely(take(s)) ? 0 : wait_slow(s, GMPRT_FOREVER);
}

GMPRT_API int gmprt_sem_wait_try(gmprt_sem *s)
{
	return take(s) ? 0 : -EAGAIN;
}

GMPRT_API int gmprt_sem_wait_dl(gmprt_sem *s, int64_t deadline)
{
	return take(s) ? 0 : wait_slow(s, deadline);
}

/* ---- post --------------------------------------------------------- */

static __noinline void post_slow(gmprt_sem *s)
{
	struct rt_m *m = rt_enter();
	struct rt_waitq *q = rt_word_queue(s);
	uint32_t word = rt_word_lock(&s->word);
	struct rt_waiter *w = rt_waitq_take(q);

	if (likely(w)) {
		struct rt_g *g = w->g;

		store_rel(&s->word, q->first ? RT_WORD_WAITERS : 0);
		g->wake_result = 0;
		rt_ready(m, g);
	} else {
		/* None, or all of them had timed out. */
		word = (word & ~RT_WORD_WAITERS) + UNIT;
		store_rel(&s->word, word);
		if (unlikely(word < UNIT))
			rt_misuse("gmprt_sem_post: more than 2^30-1 units");
	}
	if (m)
		rt_leave(m);
}

GMPRT_API void gmprt_sem_post(gmprt_sem *s)
{
	uint32_t w = load_rlx(&s->word);

	while (likely(!(w & (RT_WORD_LOCK | RT_WORD_WAITERS)))) {
		if (unlikely(w + UNIT < w))
			rt_misuse("gmprt_sem_post: more than 2^30-1 units");
		if (likely(__atomic_compare_exchange_n(&s->word, &w, w + UNIT, false,
						       __ATOMIC_RELEASE, __ATOMIC_RELAXED)))
			return;
	}
	post_slow(s);
}
