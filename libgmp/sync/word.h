/* SPDX-License-Identifier: MIT */
/*
 * word.h - objects that are one word, with a lock bit in it
 *
 * Semaphore and wait group keep count, flags and a lock bit in one word, and
 * waiters in a queue beside it. Two kinds of change:
 *
 *  - without the lock bit set and without waiters to care for: one
 *    compare-and-swap from old to new (the fast paths);
 *  - otherwise: set the lock bit by compare-and-swap, work on the queue, store
 *    the new word without the bit. Nobody else writes the word meanwhile,
 *    because both kinds demand that the bit is clear.
 *
 * The last store is the last touch of the object: the next owner may free it
 * as soon as it sees it. So nothing may follow but waking goroutines whose
 * waiters are off the queue.
 */
#ifndef RT_SYNC_WORD_H
#define RT_SYNC_WORD_H

#include "sync/wait.h"

#define RT_WORD_LOCK    1u
#define RT_WORD_WAITERS 2u

/* Sets the lock bit; returns the word as it was, without it. State RUNTIME,
 * or a thread without a P. */
static inline uint32_t rt_word_lock(uint32_t *word)
{
	unsigned int round = 0;

	for (;;) {
		uint32_t w = load_rlx(word);

		if (!(w & RT_WORD_LOCK) && cas_acq(word, w, w | RT_WORD_LOCK))
			return w;
		if (w & RT_WORD_LOCK)
			rt_backoff(&round);
	}
}

/* The object's two queue pointers as a queue. */
#define rt_word_queue(obj) ((struct rt_waitq *)(void *)&(obj)->head)

#endif
