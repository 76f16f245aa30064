/* SPDX-License-Identifier: MIT */
/*
 * forkq.pml - libgmp/core/forkq.[ch]: fork and join's queue of tasks
 *
 * Claim: each task pushed is taken exactly once, by pop_own, pop_any, steal or
 * remove; a pop returns the task it was asked for; nothing is left behind.
 *
 * Covered, line by line and with store buffers: push (with its look at top),
 * pop_own and its slow side, pop_any, steal with holes, remove by a joiner on
 * another P. The pair under test: the fences (1) and (2), store-load on both
 * sides; also bottom rel/acq, the slots' exchange, the lock's acquire and
 * plain release.
 *
 * Bounds: TASKS pushes in any mixture with OPS pops, STEALS steals, one remove,
 * a ring of 4 whose indices (mod 16, compared as signed) begin at 14, so that
 * both the slots and the indices wrap.
 *
 * Must fail: -DNO_FENCE1, -DNO_FENCE2; -DFULL_RING with -DTASKS=5 (a push into
 * the last free slot, which a thief that has moved top on may not have read).
 */
#ifndef TASKS
#define TASKS 4
#endif
#ifndef STEALS
#define STEALS 1
#endif
#ifndef OPS
#define OPS 2
#endif

#define NPROC 3
#define NVAR  7
#define SB    3
#include "tso.h"

#define TOP     0
#define BOTTOM  1
#define SPIN    2
#define SLOT(i) (3 + ((i) & 3))

/* (int32_t)(a - b) > 0, as the C code has it, in 4 bits */
#define AFTER(a, b) ((((a) - (b)) & 15) > 0 && (((a) - (b)) & 15) < 8)
#define START 14

byte taken[TASKS + 1]; /* [0] unused */
byte at_of[TASKS + 1];
bit joined[TASKS + 1]; /* each task has one join */
byte pushed;
byte finished;

inline TAKE(t_)
{
	d_step { assert(t_ != 0 && taken[t_] == 0); taken[t_]++ }
}

/* rt_forkq_push(); full: an ordinary goroutine runs it. */
inline push()
{
	atomic {
		b = RD(BOTTOM);
		t = RD(TOP);
		pushed_now = pushed + 1;
		at_of[pushed_now] = b;
		if
#ifdef FULL_RING
		:: ((b - t) & 15) >= 4 && ((b - t) & 15) < 8 -> TAKE(pushed_now)
		:: else ->
#else
		/* signed: a thief about to step back shows top = bottom + 1, which is not full */
		:: ((b - t) & 15) >= 3 && ((b - t) & 15) < 8 -> TAKE(pushed_now)
		:: else ->
#endif
			WR(SLOT(b), pushed_now);
			WR(BOTTOM, (b + 1) & 15)
		fi;
		pushed = pushed_now;
		b = 0; t = 0; pushed_now = 0
	}
}

/* rt_forkq_pop_own(x, at_of[x]) */
inline pop_own()
{
	atomic {
		b = RD(BOTTOM);
		got = RD(SLOT(at_of[x]));
		more = (b == ((at_of[x] + 1) & 15) && got == x);
		b = 0;
		got = 0;
		if
		:: more -> WR(BOTTOM, at_of[x])
		:: else
		fi
	}
	if
	:: more ->
		atomic {
#ifndef NO_FENCE1
			FENCE();
#endif
			t = RD(TOP);
			more = AFTER(t, at_of[x]);
			t = 0;
			if
			:: !more -> TAKE(x); WR(SLOT(at_of[x]), 0)
			:: else -> WR(BOTTOM, (at_of[x] + 1) & 15)
			fi
		}
	:: else
	fi;
	if
	:: more ->
		atomic {
			LOCK(SPIN);
			t = RD(TOP);
			if
			:: !AFTER(t, at_of[x]) ->
				TAKE(x);
				WR(SLOT(at_of[x]), 0);
				WR(BOTTOM, at_of[x])
			:: else
			fi;
			UNLOCK(SPIN);
			t = 0;
			more = 0
		}
	:: else
	fi
}

/* rt_forkq_pop_any() */
inline pop_any()
{
	do
	:: atomic {
			got = 0;
			b = RD(BOTTOM);
			t = RD(TOP);
			if
			:: b == t -> b = 0; t = 0; break
			:: else -> b = (b - 1) & 15; WR(BOTTOM, b)
			fi
		}
		atomic {
#ifndef NO_FENCE1
			FENCE();
#endif
			t = RD(TOP);
			more = AFTER(t, b);
			t = 0;
			if
			:: more -> WR(BOTTOM, (b + 1) & 15)
			:: else
			fi
		}
		if
		:: more ->
			more = 0;
			atomic {
				LOCK(SPIN);
				t = RD(TOP);
				if
				:: AFTER(t, b) -> UNLOCK(SPIN); b = 0; t = 0; break
				:: else -> WR(BOTTOM, b); t = 0
				fi
			}
			atomic { XCHG(got, SLOT(b), 0); UNLOCK(SPIN) }
		:: else -> XCHG(got, SLOT(b), 0)
		fi;
		atomic {
			b = 0;
			if
			:: got -> TAKE(got); break
			:: else
			fi
		}
	od
}

proctype owner()
{
	byte me = 0, b, t, got, pushed_now, ops, x;
	bit more;

	do
	:: pushed < TASKS -> push()
	:: ops < OPS && pushed > 0 -> ops++; pop_any()
	:: atomic {
			ops < OPS && pushed > 0 && (!joined[pushed] || (pushed > 1 && !joined[pushed - 1])) ->
			if
			:: !joined[pushed] -> x = pushed
			:: pushed > 1 && !joined[pushed - 1] -> x = pushed - 1
			fi;
			ops++;
			joined[x] = 1
		}
		pop_own()
	:: pushed == TASKS -> break
	od;
	/* The others are done: what is left is here and is the owner's. */
	finished >= 2 -> FENCE();
	do
	:: pop_any();
		if
		:: got == 0 -> break
		:: else
		fi
	od;
	x = 1;
	do
	:: x <= TASKS -> assert(taken[x] == 1); x++
	:: else -> break
	od
}

/* rt_forkq_steal(), STEALS times */
proctype thief()
{
	byte me = 1, t, b, got, i;

	do
	:: i < STEALS ->
		i++;
		t = RD(TOP);
		atomic {
			b = RD(BOTTOM);
			got = AFTER(b, t);
			t = 0;
			b = 0;
			if
			:: !got -> goto next
			:: else
			fi
		}
		atomic {
			CAS(got, SPIN, 0, 1);
			if
			:: !got -> goto next
			:: else -> got = 0; t = RD(TOP); WR(TOP, (t + 1) & 15)
			fi
		}
		do
		:: atomic {
#ifndef NO_FENCE2
				FENCE();
#endif
				b = RD(BOTTOM);
				if
				:: AFTER((t + 1) & 15, b) -> WR(TOP, t); UNLOCK(SPIN); goto next
				:: else -> b = 0
				fi
			}
			atomic {
				XCHG(got, SLOT(t), 0);
				if
				:: got -> TAKE(got); UNLOCK(SPIN); goto next
				:: else -> t = RD(TOP); WR(TOP, (t + 1) & 15)
				fi
			}
		od;
next:		atomic { got = 0; t = 0; b = 0 }
	:: else -> break
	od;
	atomic { FENCE(); finished++ }
}

/* rt_forkq_remove() by a task's join that has moved to another P */
proctype joiner()
{
	byte me = 2, got, x;

	if
	:: atomic { pushed > 0 && !joined[1] -> x = 1; joined[1] = 1 }
	:: atomic { pushed > 1 && !joined[2] -> x = 2; joined[2] = 1 }
	:: pushed == TASKS -> goto done
	fi;
	LOCK(SPIN);
	atomic {
		CAS(got, SLOT(at_of[x]), x, 0);
		if
		:: got -> TAKE(x)
		:: else
		fi;
		UNLOCK(SPIN)
	}
done:	atomic { FENCE(); finished++ }
}

init {
	atomic {
		mem[TOP] = START;
		mem[BOTTOM] = START;
		run owner();
		run thief();
		run joiner()
	}
}
