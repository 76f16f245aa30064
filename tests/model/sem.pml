/* SPDX-License-Identifier: MIT */
/*
 * sem.pml - libgmp/sync/sem.c, word.h, wait.h: semaphore with deadlines
 *
 * Claim: as many waits succeed as units were posted, none is lost and none is
 * made up; who must wait is readied once, after its stack was left; a waiter's
 * memory is not touched after its wait has returned; the semaphore may be freed
 * as soon as the last wait has returned: no post touches it then.
 *
 * Covered: take (cas), the lock bit (cas, released by a store), wait_slow with
 * rt_deadline_arm and _disarm, rt_wait with the claim word (SETUP, ARMED by the
 * switch, CLAIMED), the timer's claim_try under the heap's lock, rt_timer_cancel,
 * timed_out, post's fast path and post_slow with rt_waitq_take. All steps on
 * shared words are atomic instructions or stores that release a lock, and
 * nothing is read after such a store that must not be old: no store buffers.
 *
 * Bounds: two waiters, the first with a deadline, one wait each; two posters,
 * each of which posts once, or the second never does.
 *
 * Must fail: -DNO_SETUP (armed before the stack is left), -DLATE_STORE (post
 * readies before it releases the word), -DKEEP_UNIT (a post whose waiter had
 * timed out drops its unit).
 */
#define LOCKBIT 1
#define WAITERS 2
#define UNIT    4

#include "waiter.h"

byte word;
byte posts;         /* posts that were begun, or will be */
byte got, returned; /* units had; waits that have returned */

#define TOUCH assert(!freed)

inline word_lock(w_)
{
	atomic { !(word & LOCKBIT) -> TOUCH; w_ = word; word = word | LOCKBIT }
}

/* gmprt_sem_wait(), waiter 0: gmprt_sem_wait_dl() */
proctype waits(byte i)
{
	byte w;
	bit r;

	if
	:: atomic { word >= UNIT && !(word & LOCKBIT) -> TOUCH; word = word - UNIT }
		goto had
	:: word < UNIT || (word & LOCKBIT)
	fi;
	if
	:: i == 0 -> deadline_arm()
	:: else
	fi;
	word_lock(w);
	if
	:: w >= UNIT ->
		atomic { TOUCH; word = w - UNIT }
		if
		:: i == 0 -> deadline_disarm()
		:: else
		fi;
		goto had
	:: else
	fi;
	queue_put(i);
	if
	:: i == 0 ->
		atomic { TOUCH; word = WAITERS }
		park_armed()
	:: else ->
		left[i] = 1;
		atomic { TOUCH; word = WAITERS }
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
had:	got++;
out:	atomic { live[i] = 0; returned++ }
}

/* gmprt_sem_post() */
proctype post()
{
	byte w, x;
	bit won;

	if
	:: atomic { !(word & (LOCKBIT | WAITERS)) -> TOUCH; word = word + UNIT; goto out }
	:: word & (LOCKBIT | WAITERS)
	fi;
	word_lock(w);
	waitq_take();
	if
	:: won ->
#ifdef LATE_STORE
		READY(x, 0);
		atomic { TOUCH; word = (qn -> WAITERS : 0) }
#else
		atomic { TOUCH; word = (qn -> WAITERS : 0) }
		READY(x, 0)
#endif
	:: else ->
#ifdef KEEP_UNIT
		atomic { TOUCH; word = w & ~(WAITERS | LOCKBIT) }
#else
		atomic { TOUCH; word = (w & ~WAITERS) + UNIT }
#endif
	fi;
out:	skip
}

init {
	atomic {
		run waits(0);
		run waits(1);
		run timer();
		run post();
		posts = 1;
		if
		:: run post(); posts = 2
		:: skip
		fi
	}
	if
	:: returned == 2 && got == posts -> freed = 1 /* the last user may */
	:: timeout
	fi;
	timeout ->
	assert(got + word / UNIT == posts);
	assert(returned == 2 || word == WAITERS)
}
