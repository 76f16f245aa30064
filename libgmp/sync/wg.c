/* SPDX-License-Identifier: MIT */
/*
 * wg.c - wait group: count in the upper half, flags in the lower
 *
 * Who brings the count to 0 takes all waiters off, clears the word, which is
 * its last touch of the group, and wakes them.
 */
#include "base/bug.h"
#include "sync/word.h"

#define COUNT(word) ((int64_t)(word) >> 32)
#define FLAGS(word) ((uint32_t)(word))

_Static_assert(offsetof(gmprt_wg, tail) == offsetof(gmprt_wg, head) + sizeof(void *), "a queue");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the flags are the word's first half");

/* The half with the flags, which a park's store unlocks. */
static uint32_t *flags_of(gmprt_wg *g)
{
	return (uint32_t *)(void *)&g->word;
}

static uint64_t word_lock(gmprt_wg *g)
{
	unsigned int round = 0;

	for (;;) {
		uint64_t w = load_rlx(&g->word);

		if (!(w & RT_WORD_LOCK) && cas_acq(&g->word, w, w | RT_WORD_LOCK))
			return w;
		if (w & RT_WORD_LOCK)
			rt_backoff(&round);
	}
}

/* The count becomes 0 and there are waiters. */
static __noinline void wake_all(gmprt_wg *g, long n)
{
	struct rt_m *m = rt_enter();
	struct rt_waitq ready = { 0 }, *q = rt_word_queue(g);
	uint64_t w = word_lock(g);
	struct rt_waiter *x;

	if (COUNT(w) + n != 0) { /* no longer */
		store_rel(&g->word, w);
		if (m)
			rt_leave(m);
		gmprt_wg_add(g, n);
		return;
	}
	while ((x = rt_waitq_take(q)))
		rt_waitq_put(&ready, x);
	store_rel(&g->word, 0);
	while ((x = ready.first)) {
		struct rt_g *woken = x->g;

		ready.first = x->next; /* x is gone once woken runs */
		woken->wake_result = 0;
		rt_ready(m, woken);
	}
	if (m)
		rt_leave(m);
}

GMPRT_API void gmprt_wg_add(gmprt_wg *g, long n)
{
	uint64_t w = load_rlx(&g->word);
	unsigned int round = 0;

	for (;;) {
		int64_t count = COUNT(w) + n;

		if (unlikely(w & RT_WORD_LOCK)) {
			rt_backoff(&round);
			w = load_rlx(&g->word);
			continue;
		}
		if (unlikely(count < 0 || count > INT32_MAX))
			rt_misuse("gmprt_wg_add(%ld): the count would be %lld", n,
				  (long long)count);
		if (unlikely(count == 0 && (w & RT_WORD_WAITERS))) {
			wake_all(g, n);
			return;
		}
		if (likely(__atomic_compare_exchange_n(&g->word, &w,
						       (uint64_t)count << 32 | FLAGS(w), false,
						       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)))
			return;
	}
}

GMPRT_API void gmprt_wg_done(gmprt_wg *g)
{
	gmprt_wg_add(g, -1);
}

static void timed_out(gmprt_wg *g, struct rt_waiter *w)
{
	struct rt_waitq *q = rt_word_queue(g);
	uint64_t word = word_lock(g);

	if (w->queued)
		rt_waitq_remove(q, w);
	store_rel(&g->word, q->first ? word : word & ~(uint64_t)RT_WORD_WAITERS);
}

static __noinline int wait_slow(gmprt_wg *g, int64_t deadline)
{
	struct rt_m *m = rt_enter();
	bool timed = deadline != GMPRT_FOREVER;
	struct rt_waiter w;
	uint64_t word;
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
	word = word_lock(g);
	if (COUNT(word) == 0) {
		store_rel(&g->word, word);
		if (timed)
			rt_deadline_disarm(m);
		rt_leave(m);
		return 0;
	}
	w.g = m->curg;
	w.claim = timed;
	rt_waitq_put(rt_word_queue(g), &w);
	r = rt_wait(&m, RT_REASON_WG, flags_of(g), RT_WORD_WAITERS, timed);
	if (unlikely(r))
		timed_out(g, &w);
	rt_leave(m);
	return r;
}

/* Count 0, and no one is at work on the word. The latter matters: who brought
 * it to 0 may still be about to clear the flags. */
static bool is_zero(gmprt_wg *g)
{
	uint64_t w = load_acq(&g->word); /* pairs with the last done */

	return COUNT(w) == 0 && !(w & RT_WORD_LOCK);
}

GMPRT_API void gmprt_wg_wait(gmprt_wg *g)
{
	if (is_zero(g))
		return;
	if (wait_slow(g, GMPRT_FOREVER))
		rt_misuse("gmprt_wg_wait: must wait, but this is no goroutine");
}

GMPRT_API int gmprt_wg_wait_try(gmprt_wg *g)
{
	return is_zero(g) ? 0 : -EAGAIN;
}

GMPRT_API int gmprt_wg_wait_dl(gmprt_wg *g, int64_t deadline)
{
	return is_zero(g) ? 0 : wait_slow(g, deadline);
}
