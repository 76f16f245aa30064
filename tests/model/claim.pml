/* SPDX-License-Identifier: MIT */
/*
 * claim.pml - libgmp/sync/{wait.h,select.c,chan.c}, core/{g.c,timers.c}
 *
 * Claim: a goroutine that waits in a select on two channels, with a deadline or
 * without, is woken exactly once, never before its stack was left, and never
 * left behind; nobody touches its waiters or fires its deadline after it has
 * gone on; what a waker does in one select never hits the next.
 *
 * Covered: wait_for_one (SETUP, both waiters queued under both locks, the
 * switch's store of ARMED), rt_waitq_take with rt_g_claim (waits for a setup),
 * tell, rt_timers_expire (claim_try, leaves a setup alone, the timer is let go
 * of after the claim), rt_timer_cancel (heap looked at, then under its lock; the
 * node it leaves there is dead, which is what in_heap says), unqueue_all under
 * each lock. The words are changed by atomic instructions and
 * by stores that release; no store buffers.
 *
 * Bounds: ROUNDS selects one after the other on the same stack; each
 * with a deadline or without; on each channel a waker that sends twice.
 *
 * Must fail: -DNO_SETUP (armed before the stack is left), -DUNLOCKED_LOOK (the
 * select looks at `queued` without the lock), -DEARLY_LETGO (expire lets the
 * timer go before it claims), -DNO_CLAIM (a taker wakes without the claim).
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif

#define ARMED   0
#define CLAIMED 1
#define SETUP   2
#define TIMER   2 /* as a winner; 0 and 1: the channels */

bit locked[2], queued[2];
bit live;          /* waiters are on the stack still, the deadline is armed */
byte claim = CLAIMED;
bit left, ready, heap_lock, in_heap;
byte wake;         /* g->wake, wake_result */
byte sent[2], had; /* handed to the select; received by it */

inline lock(c_)
{
	atomic { !locked[c_] -> locked[c_] = 1 }
}

inline rt_ready(by_)
{
	atomic { assert(left && !ready); ready = 1 }
}

proctype sleeper()
{
	byte n, i;
	bit dl;

	do
	:: n < ROUNDS ->
		n++;
		live = 1;
		if
		:: dl = 0
		:: dl = 1
		fi;
		claim = SETUP;
		if
		:: dl -> atomic { !heap_lock -> in_heap = 1 } /* rt_timer_add() */
		:: else
		fi;
		lock(0);
		lock(1);
		d_step { queued[0] = 1; queued[1] = 1 }
#ifdef NO_SETUP
		claim = ARMED;
#endif
		locked[0] = 0;
		locked[1] = 0;
		left = 1;
#ifndef NO_SETUP
		claim = ARMED;
#endif
		skip;
end_asleep:	ready;
		atomic { ready = 0; left = 0 }
		if /* rt_timer_cancel() */
		:: dl && in_heap -> atomic { !heap_lock -> in_heap = 0 }
		:: else
		fi;
		i = 0;
		do /* unqueue_all() */
		:: i < 2 ->
#ifdef UNLOCKED_LOOK
			if
			:: !queued[i] -> goto next
			:: else
			fi;
#endif
			lock(i);
			queued[i] = 0;
			locked[i] = 0;
next:			i++
		:: else -> break
		od;
		atomic {
			assert(claim == CLAIMED);
			if
			:: wake < TIMER -> had++
			:: else
			fi;
			i = 0;
			live = 0
		}
	:: else -> break
	od
}

/* A sender: finds the waiter, or goes away. */
proctype waker(byte c)
{
	byte n;
	bit won;

	do
	:: n < 2 ->
		n++;
		if
		:: queued[c] /* else it would use the channel's ring */
		:: skip
		fi;
		lock(c);
		if
		:: queued[c] -> queued[c] = 0; /* rt_waitq_take() */
			assert(live);
#ifdef NO_CLAIM
			won = 1;
#else
			if
			:: atomic { claim == ARMED -> claim = CLAIMED; won = 1 }
			:: claim == CLAIMED -> won = 0
			fi;
#endif
			if
			:: won -> assert(live); wake = c; sent[c]++ /* elem, tell() */
			:: else
			fi
		:: else -> won = 0
		fi;
		locked[c] = 0;
		if
		:: won -> rt_ready(c); won = 0
		:: else
		fi
	:: else -> break
	od
}

/* rt_timers_expire() */
proctype timer()
{
	byte c;

end:	do
	:: atomic { in_heap && !heap_lock -> heap_lock = 1 }
		if
		:: !in_heap -> heap_lock = 0
		:: else ->
			assert(live);
#ifdef EARLY_LETGO
			in_heap = 0;
			assert(live);
#endif
			c = claim; /* rt_g_claim_try() */
			if
			:: c == SETUP -> heap_lock = 0
			:: c == CLAIMED -> assert(live); in_heap = 0; heap_lock = 0
			:: c == ARMED ->
				atomic { c = claim; if :: c == ARMED -> claim = CLAIMED :: else fi }
				if
				:: c == ARMED -> wake = TIMER
				:: else
				fi;
				assert(live);
				in_heap = 0;
				heap_lock = 0;
				if
				:: c == ARMED -> rt_ready(TIMER)
				:: else
				fi
			fi
		fi;
		c = 0
	od
}

init {
	atomic {
		run sleeper();
		run waker(0);
		run waker(1);
		run timer()
	}
	timeout ->
	/* each one handed over was received, and who sleeps still was not met */
	assert(had == sent[0] + sent[1]);
	assert(!live || (queued[0] && queued[1] && claim == ARMED && !in_heap))
}
