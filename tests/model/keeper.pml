/* SPDX-License-Identifier: MIT */
/*
 * keeper.pml - libgmp/sched/idle.c: the time keeper
 *
 * Claim: when nothing moves any more but by the clock, each armed timer has
 * somebody who sleeps at most until it is due, or sysmon is awake and looks at
 * the heap it is in; and a keeper that sleeps is never late for any.
 *
 * Covered: rt_deadline_arm (the heap's next_ns, rt_keeper_check with its fence
 * and its locked part), rt_timer_cancel, rt_m_stop_g0 (becomes the keeper,
 * publishes keeper_until_ns, fence, looks again), stop_ended after a time-out,
 * idle_ms_get_locked taking the keeper for other work, retake and rt_p_handoff
 * of a P whose M stays in brackets. The pair under test: heap's next_ns and
 * keeper_until_ns, store-load on both sides.
 *
 * Two heaps, of P 0 and P 1; times are 1, 2, 3, and 4: for ever. A
 * locked section is one step where it makes one change that is seen without
 * the lock.
 *
 * Bounds: M 0 on P 0 arms a timer (1 or 2) and then computes for ever, or sits in
 * brackets and sysmon takes its P, with work in it or without; M 1 gives P 1 up
 * and sleeps, as the keeper if it may; M 2 is busy on P 2 for ever and may
 * cancel the timer 1 of P 1's heap, behind which 3 comes, or there is no P 2.
 *
 * Must fail: -DNO_FENCE (in rt_keeper_check), -DRAISE (the keeper's second
 * look may replace an earlier time by a later one), -DRUNNING_ONLY (sysmon
 * leaves out the timers of idle Ps).
 */
#define NPROC 4
#define NVAR  4
#define SB    2
#include "tso.h"

#define NEXT(i) (i) /* heap i's next_ns */
#define UNTIL   2   /* keeper_until_ns */
#define SLOCK   3
#define FOREVER 4


byte idle_ps;          /* bit i: P i is on the idle list */
bit keeper;            /* s->keeper is M 1 */
bit on_list;           /* M 1 is on the idle list */
bit notified, given;   /* M 1 was given P `given` */
bit given_work;        /* which has work */
byte sleeps_until = 9; /* 9: does not sleep */
bit p2;                /* P 2 exists, and is busy */
bit blocked;

#define LEAST(a, b) ((a) < (b) -> (a) : (b))

inline SET(a_, v_)
{
	atomic { DRAINED -> mem[a_] = v_ } /* store_seq */
}

/* idle_ms_remove_locked(), rt_m_notify() */
inline start_m1(p_, work_)
{
	d_step { on_list = 0; given = p_; given_work = work_ }
	if
	:: keeper -> keeper = 0; SET(UNTIL, FOREVER)
	:: else
	fi;
	UNLOCK_FULL(SLOCK);
	notified = 1
}

/* M 0: rt_deadline_arm(), then one of two fates. */
proctype arms(byte me)
{
	byte when_;

	if
	:: when_ = 1
	:: when_ = 2
	fi;
	WR(NEXT(0), when_); /* rt_timer_add(): the unlock is a plain store too */
#ifndef NO_FENCE
	FENCE(); /* rt_keeper_check() */
#endif
	if
	:: when_ >= RD(UNTIL) -> skip
	:: else ->
		LOCK(SLOCK);
		if
		:: keeper && (idle_ps & 2) -> idle_ps = idle_ps & 1; start_m1(1, 0)
		:: else -> UNLOCK_FULL(SLOCK)
		fi
	fi;
	if
	:: FENCE() /* computes for ever */
	:: FENCE(); blocked = 1
	fi
}

/* M 1 comes with P 1. */
proctype keeps(byte me)
{
	byte a, b, u;
	bit p = 1;

	do
	:: LOCK(SLOCK);
		idle_ps = idle_ps | (1 << p); /* give_up_p() */
		UNLOCK_FULL(SLOCK);
		LOCK(SLOCK); /* rt_m_stop_g0() */
		on_list = 1;
		u = FOREVER;
		if
		:: !keeper && idle_ps -> /* P 2 is never idle */
			keeper = 1;
			a = RD(NEXT(0));
			b = RD(NEXT(1));
			u = LEAST(a, b);
			SET(UNTIL, u);
			a = RD(NEXT(0));
			b = RD(NEXT(1));
#ifdef RAISE
			u = LEAST(a, b);
#else
			b = LEAST(a, b);
			u = LEAST(u, b);
#endif
			SET(UNTIL, u);
			if
			:: u == FOREVER -> keeper = 0
			:: else
			fi
		:: else
		fi;
		atomic { DRAINED -> mem[SLOCK] = 0; sleeps_until = u; a = 0; b = 0; u = 0 }
end_asleep:	if
		:: atomic { notified -> notified = 0; sleeps_until = 9; p = given }
			if
			:: given_work -> break /* which it runs for ever */
			:: else
			fi
		:: sleeps_until == 1 && mem[NEXT(1)] == 1 -> /* stop_ended(): time is up */
			LOCK(SLOCK);
			if
			:: !on_list -> UNLOCK_FULL(SLOCK); goto end_asleep /* being notified */
			:: else
			fi;
			d_step { on_list = 0; keeper = 0; sleeps_until = 9; p = 1 }
			idle_ps = idle_ps & 1;
			SET(UNTIL, FOREVER);
			UNLOCK_FULL(SLOCK);
			SET(NEXT(1), 3) /* it fires; another one follows in this heap */
		fi
	od
}

/* Sysmon takes P 0 from M 0: retake(), rt_p_handoff(). */
proctype sysmon(byte me)
{
	bit work;

end_waits:
	blocked;
	if
	:: work = 0
	:: work = 1
	fi;
	LOCK(SLOCK);
	if
	:: !work && (p2 || !(idle_ps & 2)) ->
		idle_ps = idle_ps | 1;
		UNLOCK_FULL(SLOCK)
	:: else ->
		/* rt_m_start(); M 1 if it is there, else a new M, which is not
		 * told from it here. */
		if
		:: on_list -> skip
		:: else ->
			UNLOCK_FULL(SLOCK);
			atomic { on_list && mem[SLOCK] == 0 -> mem[SLOCK] = 1 }
		fi;
		start_m1(0, work)
	fi
}

proctype cancels(byte me)
{
	if
	:: p2 && mem[NEXT(1)] == 1 -> SET(NEXT(1), 3) /* another follows */
	:: skip
	fi
}

/* Sysmon sleeps when all Ps idle, else it looks at the heaps in time. */
#ifdef RUNNING_ONLY
#define SYSMON(i) (!(idle_ps & (1 << i)))
#else
#define SYSMON(i) (idle_ps != 3 || p2)
#endif
#define KEPT(i)   (mem[NEXT(i)] == FOREVER || sleeps_until <= mem[NEXT(i)] || SYSMON(i))

init {
	atomic {
		if
		:: p2 = 0
		:: p2 = 1
		fi;
		mem[NEXT(0)] = FOREVER;
		if
		:: mem[NEXT(1)] = 1
		:: mem[NEXT(1)] = FOREVER
		fi;
		mem[UNTIL] = FOREVER;
		run arms(0);
		run keeps(1);
		run sysmon(2);
		run cancels(3)
	}
	timeout ->
	assert(KEPT(0));
	assert(KEPT(1));
	/* sysmon is for the rest: the keeper itself is never late */
	assert(!keeper || (sleeps_until <= mem[NEXT(0)] && sleeps_until <= mem[NEXT(1)]))
}
