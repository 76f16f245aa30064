/* SPDX-License-Identifier: MIT */
/*
 * wg.pml - libgmp/sync/wg.c, wait.h: wait group with deadlines
 *
 * Claim: a wait that ends well ends after the count was 0, and when it is 0 for
 * good none waits any more; who must wait is readied once, after its stack was
 * left; the group may be freed as soon as the last wait has returned, though
 * the last gmprt_wg_done() is still under way; no count is lost.
 *
 * Covered: add's and done's compare-and-swap, the lock bit, wake_all() with its
 * second look at the count, wait_slow() with the deadline, timed_out(). The
 * claim word and the timer are waiter.h's. All steps on shared words are atomic
 * instructions or stores that release a lock: no store buffers.
 *
 * Bounds: two waiters, the first with a deadline; one goroutine has a count, a
 * second one adds its own if it finds the count above 0, at any time.
 *
 * Must fail: -DLATE_STORE (wakes before the last touch), -DNO_RECOUNT (no second
 * look at the count under the lock), -DBLIND (add's swap ignores the lock bit),
 * -DNO_SETUP (armed before the stack is left).
 */
#define LOCKBIT 1
#define WAITERS 2
#define ONE     4

#include "waiter.h"

byte word = ONE;
byte returned, in_time;
bit zero; /* the count has been 0 */

#define TOUCH assert(!freed)
#define COUNT(w_) (w_ / ONE)

inline word_lock(w_)
{
	atomic { !(word & LOCKBIT) -> TOUCH; w_ = word; word = word | LOCKBIT }
}

/* Under the lock: the count becomes 0, or has grown meanwhile. */
inline wake_all()
{
	word_lock(w);
#ifndef NO_RECOUNT
	if
	:: COUNT(w) != 1 -> atomic { TOUCH; word = w }; goto again
	:: else
	fi;
#endif
	zero = 1;
#ifdef LATE_STORE
	do
	:: qn -> waitq_take();
		if
		:: won -> READY(x, 0)
		:: else
		fi
	:: else -> break
	od;
	atomic { TOUCH; word = 0 }
#else
	taken = 0;
	do
	:: qn -> waitq_take();
		if
		:: won -> taken = taken | (1 << x)
		:: else
		fi
	:: else -> break
	od;
	atomic { TOUCH; word = 0 }
	if
	:: taken & 1 -> READY(0, 0)
	:: else
	fi;
	if
	:: taken & 2 -> READY(1, 0)
	:: else
	fi
#endif
}

#ifdef BLIND
#define FREE 1
#else
#define FREE !(word & LOCKBIT)
#endif

/* gmprt_wg_done(); adds: not before it has added its own */
proctype done(bit adds)
{
	byte w, x, taken;
	bit won;

	if
	:: adds ->
		if
		:: atomic { FREE && COUNT(word) > 0 -> TOUCH; word = word + ONE }
		:: atomic { COUNT(word) == 0 -> goto out }
		fi
	:: else
	fi;
again:	atomic { FREE -> TOUCH; w = word }
	if
	:: COUNT(w) == 1 && (w & WAITERS) -> wake_all()
	:: else ->
		if
		:: atomic { word == w -> TOUCH; word = word - ONE;
			zero = zero || COUNT(word) == 0 }
		:: word != w -> goto again
		fi
	fi;
out:	skip
}

/* gmprt_wg_wait(), waiter 0: gmprt_wg_wait_dl() */
proctype waits(byte i)
{
	byte w;
	bit r;

	if
	:: atomic { COUNT(word) == 0 -> TOUCH } goto had
	:: COUNT(word) != 0
	fi;
	if
	:: i == 0 -> deadline_arm()
	:: else
	fi;
	word_lock(w);
	if
	:: COUNT(w) == 0 ->
		atomic { TOUCH; word = w }
		if
		:: i == 0 -> deadline_disarm()
		:: else
		fi;
		goto had
	:: else
	fi;
	queue_put(i);
	/* The unlock is a store to the half with the flags. */
	if
	:: i == 0 ->
		atomic { TOUCH; word = COUNT(word) * ONE + WAITERS }
		park_armed()
	:: else ->
		left[i] = 1;
		atomic { TOUCH; word = COUNT(word) * ONE + WAITERS }
	fi;
	park(i);
	r = 0;
	if
	:: i == 0 -> timer_cancel(); r = timed_out
	:: else
	fi;
	if
	:: !r -> goto had
	:: else
	fi;
	word_lock(w); /* timed_out() */
	if
	:: queued[i] -> queue_remove(i)
	:: else
	fi;
	atomic { TOUCH; word = (qn -> w : w & ~WAITERS) }
	goto out;
had:	assert(zero);
	in_time++;
out:	atomic { live[i] = 0; returned++; freed = (returned == 2 && zero) }
}

init {
	atomic {
		run waits(0);
		run waits(1);
		run timer();
		run done(0);
		run done(1)
	}
	timeout ->
	assert(word == 0 && zero && returned == 2)
}
