/* SPDX-License-Identifier: MIT */
/*
 * task.pml - libgmp/sched/task.h, sync/fork.c: a task's end and its join
 *
 * Claim: the join returns exactly once, after the task's function; the joiner
 * is readied at most once and only when its stack has been left; nobody touches
 * the task after its join has returned.
 *
 * Covered: rt_task_ended (xchg to DONE, ready), join_wait (look at the state),
 * join_park_g0 (cas 0 -> waiter after the switch to g0; or goes on). Each step
 * on the state word is an atomic instruction that reads and writes (or a load
 * that only leaves out work), so no store buffers here.
 *
 * Bounds: one task, one join, all interleavings; the same memory is then forked
 * again, REUSE times in all.
 *
 * Must fail: -DEARLY_CAS (the waiter is shown before the stack is left),
 * -DLATE_TOUCH (the end touches the task after the exchange).
 */
#ifndef REUSE
#define REUSE 3
#endif

#define DONE   1
#define WAITER 2
#define JOINED 3

byte state;
bit alive;   /* the task's memory is in use */
bit forked;  /* a P has taken the task and runs it */
bit fn_ran;
bit left;    /* the joiner's stack has been left */
bit ready;   /* the joiner is in a run queue */

active proctype joiner()
{
	byte n;
	bit parked;

	do
	:: n < REUSE ->
		n++;
		atomic { alive = 1; state = 0; fn_ran = 0; forked = 1 }
		/* join_wait() */
		if
		:: state == DONE -> goto joined
		:: state != DONE
		fi;
#ifdef EARLY_CAS
		atomic { parked = (state == 0); if :: parked -> state = WAITER :: else fi }
		left = 1;
#else
		left = 1; /* rt_m_call() */
		atomic { parked = (state == 0); if :: parked -> state = WAITER :: else fi }
#endif
		if
		:: parked -> atomic { ready -> ready = 0 }
		:: else -> assert(state == DONE) /* m->handed */
		fi;
		left = 0;
joined:		assert(fn_ran && !ready && state == DONE);
		state = JOINED;
		alive = 0
	:: else -> break
	od
}

active proctype task()
{
	byte was;

end:	do
	:: atomic { forked -> forked = 0 }
		assert(alive);
		fn_ran = 1;
		atomic { assert(alive); was = state; state = DONE } /* rt_task_ended() */
#ifdef LATE_TOUCH
		assert(alive);
#endif
		if
		:: was -> atomic { assert(was == WAITER && left && !ready); ready = 1 }
		:: else
		fi
	od
}
