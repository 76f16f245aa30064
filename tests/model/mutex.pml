/* SPDX-License-Identifier: MIT */
/*
 * mutex.pml - libgmp/sync/mutex.c: HELD, WAITERS, LOCK, WOKEN, HANDED
 *
 * Claim: one holder at a time; who must wait is woken in the end, whatever
 * deadlines pass; the mutex may be freed by its last user as soon as that one
 * has it and nobody else will come: no unlock touches it then.
 *
 * Covered: lock's and unlock's fast paths, overtake (with the WOKEN bit given
 * up), wait_once (queue's end or, once woken, its front), wake_one in both ways
 * (compete with WOKEN, or HELD and HANDED on the waiter's behalf; which of
 * them is the checker's choice), unlock's short way when WOKEN is set,
 * unlock_slow, timed_out, pass_on, the deadline armed anew for each wait.
 * waiter.h says how parks and timers are done. All steps on the word are atomic instructions or
 * the store that releases LOCK: no store buffers.
 *
 * Bounds: three goroutines, the first with a deadline; each locks and unlocks
 * once, the second one LOCKS times.
 *
 * Must fail: -DNO_PASS_ON (one that was woken gives up in silence),
 * -DLATE_TOUCH (unlock looks at the word after it has released it), -DKEEP_WOKEN
 * (a woken waiter that waits again keeps the bit).
 */
#ifndef LOCKS
#define LOCKS 2
#endif
#define LOCKS_OF(i) ((i) == 1 -> LOCKS : 1)

#define HELD    1
#define WAITERS 2
#define LOCK    4
#define WOKEN   8
#define HANDED  16

#define NR 3
#include "waiter.h"

byte word;
byte holders, done;
bit handed[NR]; /* w->result: HELD is the waiter's */

#define TOUCH assert(!freed)

inline lock_word(w_)
{
	atomic { !(word & LOCK) -> TOUCH; w_ = word; word = word | LOCK }
}

inline overtake()
{
	atomic {
		TOUCH;
		got = !(word & (HELD | LOCK));
		if
		:: got -> word = (word | HELD) & ~clear
		:: else
		fi
	}
}

/* won and x: somebody to ready. w is the word to store. */
inline wake_one()
{
	waitq_take();
	if
	:: won ->
		if
		:: handed[x] = 1; w = w | HELD | HANDED
		:: handed[x] = 0; w = w | WOKEN
		fi
	:: else
	fi;
	if
	:: qn == 0 -> w = w & ~WAITERS
	:: else
	fi
}

inline release_word()
{
	atomic { TOUCH; word = w }
#ifdef LATE_TOUCH
	TOUCH;
#endif
	if
	:: won -> READY(x, 0)
	:: else
	fi
}

inline put_waiter()
{
	if
	:: !woken || qn == 0 -> queue_put(i)
	:: else -> /* rt_waitq_put_first() */
		d_step {
			live[i] = 1; queued[i] = 1;
			q[2] = q[1]; q[1] = q[0]; q[0] = i; qn++
		}
	fi
}

proctype user(byte i)
{
	byte w, x, clear, n;
	bit got, woken, won, r;

again:	if /* gmprt_mutex_lock() */
	:: atomic { word == 0 -> TOUCH; word = HELD; goto holds }
	:: word != 0
	fi;
	do
	:: overtake();
		if
		:: got -> goto holds
		:: else
		fi;
		if
		:: i == 0 ->
			if
			:: deadline_arm()
			:: goto gives_up /* it has passed */
			fi
		:: else
		fi;
		handed[i] = 0;
		lock_word(w); /* wait_once() */
		if
		:: !(w & HELD) ->
			atomic { TOUCH; word = (w | HELD) & ~clear }
			if
			:: i == 0 -> deadline_disarm()
			:: else
			fi;
			goto holds
		:: else
		fi;
		put_waiter();
		if
		:: i == 0 ->
			atomic { TOUCH; word = (w | WAITERS) & ~clear }
			park_armed()
		:: else ->
			left[i] = 1;
			atomic { TOUCH; word = (w | WAITERS) & ~clear }
		fi;
		clear = 0;
		woken = 0;
		readied[i];
		d_step { readied[i] = 0; left[i] = 0; r = 0 }
		if
		:: i == 0 -> timer_cancel(); r = timed_out
		:: else
		fi;
		if
		:: r ->
			lock_word(w); /* timed_out() */
			if
			:: queued[i] -> queue_remove(i)
			:: else
			fi;
			atomic { TOUCH; word = (qn -> w : w & ~WAITERS) }
			live[i] = 0;
			goto gives_up
		:: else
		fi;
		live[i] = 0;
		if
		:: handed[i] ->
			handed[i] = 0;
			lock_word(w);
			atomic { TOUCH; word = w & ~HANDED }
			goto holds
		:: else ->
			woken = 1;
#ifndef KEEP_WOKEN
			clear = WOKEN
#endif
		fi
	od;

holds:	atomic { holders++; assert(holders == 1) }
	atomic { w = 0; x = 0; clear = 0; got = 0; woken = 0; won = 0; n++; holders-- }
	if
	:: atomic { done == NR - 1 && n == LOCKS_OF(i) -> freed = 1; goto end } /* nobody else will come */
	:: else
	fi;
	/* gmprt_mutex_unlock(); as a last user it may go before it is through */
	if
	:: n == LOCKS_OF(i) -> done++
	:: else
	fi;
	if
	:: atomic { word == HELD -> TOUCH; word = 0; goto out }
	:: atomic { (word & (HELD | LOCK | WOKEN)) == (HELD | WOKEN) ->
			TOUCH; word = word & ~HELD; goto out }
	:: word != HELD
	fi;
	lock_word(w);
	assert(w & HELD);
	assert(!(w & HANDED)); /* the holder has run, so it has cleared this */
	w = w & ~(HELD | HANDED);
	won = 0;
	if
	:: !(w & WOKEN) -> wake_one()
	:: else
	fi;
	release_word();
out:	if
	:: n < LOCKS_OF(i) -> goto again
	:: else -> goto end
	fi;

gives_up:
	atomic { w = 0; got = 0; clear = 0 }
#ifndef NO_PASS_ON
	if
	:: woken ->
		lock_word(w);
		w = w & ~WOKEN;
		won = 0;
		if
		:: !(w & HELD) -> wake_one()
		:: else
		fi;
		release_word()
	:: else
	fi;
#endif
	done++;
end:	skip
}

init {
	atomic {
		run user(0);
		run user(1);
		run user(2);
		run timer()
	}
}
