/* SPDX-License-Identifier: MIT */
/*
 * waiter.h - a queue of waiters, of which number 0 has a deadline
 *
 * What libgmp/sync/wait.h, core/g.c and core/timers.c do, for sem.pml,
 * mutex.pml and wg.pml: the queue (guarded by the object's lock), the claim word, the
 * timer under its heap's lock, park and ready.
 */
#ifndef NR
#define NR 2 /* waiters */
#endif
#define ARMED   0
#define CLAIMED 1
#define SETUP   2
#define NOBODY  7

byte q[NR] = NOBODY; /* first to last */
byte qn;
bit freed;           /* the object's memory */
bit queued[NR], live[NR]; /* the waiter's memory is in use */
bit left[NR];        /* its stack was left */
bit readied[NR];
byte claim0 = CLAIMED;
bit heap_lock, in_heap; /* waiter 0's timer */
bit timed_out;       /* waiter 0's wake_result */

/* rt_deadline_arm(); rt_timer_cancel(); rt_deadline_disarm() */
inline deadline_arm()
{
	atomic { timed_out = 0; claim0 = SETUP }
	atomic { !heap_lock -> in_heap = 1 }
}

inline timer_cancel()
{
	atomic { !heap_lock -> in_heap = 0 }
}

inline deadline_disarm()
{
	timer_cancel();
	claim0 = CLAIMED
}

inline queue_put(i_)
{
	d_step { live[i_] = 1; queued[i_] = 1; q[qn] = i_; qn++ }
}

inline queue_remove(i_)
{
	d_step {
		assert(live[i_] && queued[i_]);
		queued[i_] = 0;
		if
		:: q[0] == i_ ->
			q[0] = q[1];
#if NR > 2
			q[1] = q[2];
			q[2] = NOBODY
#else
			q[1] = NOBODY
#endif
#if NR > 2
		:: q[2] == i_ -> q[2] = NOBODY
		:: q[1] == i_ -> q[1] = q[2]; q[2] = NOBODY
#else
		:: q[1] == i_ -> q[1] = NOBODY
#endif
		fi;
		qn--
	}
}

/* The switch: context saved, then the claim opened. */
inline park_armed()
{
#ifdef NO_SETUP
	claim0 = ARMED;
	left[0] = 1
#else
	left[0] = 1;
	claim0 = ARMED
#endif
}

inline park(i_)
{
	skip;
end_parked:
	readied[i_];
	d_step { readied[i_] = 0; left[i_] = 0 }
}

/* rt_ready() by whoever is entitled to; result: waiter 0's wake_result */
inline READY(x_, result_)
{
	atomic {
		assert(left[x_] && !readied[x_]);
		readied[x_] = 1;
		if
		:: x_ == 0 -> timed_out = result_
		:: else
		fi
	}
}

/* rt_waitq_take(), object locked: won and x, or none */
inline waitq_take()
{
	won = 0;
	do
	:: qn == 0 || won -> break
	:: qn > 0 && !won ->
		atomic { x = q[0]; queue_remove(x) }
		if
		:: x != 0 -> won = 1
		:: else -> /* rt_g_claim() waits for a setup to end */
			if
			:: atomic { claim0 == ARMED -> claim0 = CLAIMED; won = 1 }
			:: claim0 == CLAIMED
			fi
		fi
	od
}

/* rt_timers_expire(): the time comes whenever the checker likes. */
proctype timer()
{
	bit won;

end_armed: do
	:: atomic { in_heap && !heap_lock -> heap_lock = 1 }
		if
		:: claim0 == SETUP -> heap_lock = 0 /* at the next look */
		:: else ->
			atomic { won = (claim0 == ARMED); claim0 = CLAIMED }
			atomic { in_heap = 0; heap_lock = 0 }
			if
			:: won -> READY(0, 1)
			:: else
			fi
		fi
	od
}
