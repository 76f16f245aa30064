/* SPDX-License-Identifier: MIT */
/*
 * freed.pml - work that comes to a P which was freed with nothing to run
 *
 * Claim: when nothing moves any more there is no work in the global queue while a
 * P is FREED and nobody was woken for it. (Sysmon, which finds it after a while,
 * is left out.)
 *
 * Covered: free_p() and tell_freed() of bpf/block.h (has_queued and the head's
 * `work`, line 12 of the table, `freed` by exchange, the second look, the wake),
 * rt_grq_put with rt_wake, and rt_p_freed_get_locked. The pair under test is the
 * producer's full barrier between `work` and `freed` against the kernel's between
 * `freed` and `work`.
 *
 * Bounds: two Ps that are freed, two producers of one thing each. Whoever takes a
 * P runs one thing, for ever, after a look whether there is more (stop_spinning in
 * m.c): without that look one of two producers may find `freed` just cleared by
 * the other, and its work would wait.
 *
 * Must fail: -DNO_FENCE (the producer looks at `freed` without a barrier),
 * -DPLAIN_FREED (the kernel stores `freed`), -DNO_LOOK (it does not look again),
 * -DCLEAR_ONLY (who takes a P does not say that there may be more).
 */
#define NPROC 4
#define NVAR  5
#define SB    2
#include "tso.h"

#define WORD(i) (i) /* 1: FREED; 0: RUNNING, or somebody else's */
#define WORK    2
#define LOCKED  3
#define FLAG    4

byte woken;

/* Who has a P takes one thing, if there is one. */
inline run_one()
{
	atomic {
		DRAINED ->
		if
		:: mem[WORK] > 0 -> mem[WORK] = mem[WORK] - 1
		:: else
		fi
	}
}

inline try_p(i_)
{
	if
	:: !got ->
		CAS(got, WORD(i_), 1, 0);
		if
		:: got ->
#ifndef CLEAR_ONLY
			WR(FLAG, 1)
#else
			skip
#endif
		:: else
		fi
	:: else
	fi
}

/* The lock, for puts as for the look at the words, is a locked instruction. */
proctype producer(byte me)
{
	bit got, told;
	byte n;

	atomic { DRAINED && mem[LOCKED] == 0 -> mem[LOCKED] = 1; n = mem[WORK] + 1 }
	WR(WORK, n);
#ifdef NO_FENCE
	UNLOCK(LOCKED);
#else
	UNLOCK_FULL(LOCKED);
#endif
	do
	:: told = RD(FLAG);
		if
		:: told ->
			atomic { DRAINED && mem[LOCKED] == 0 -> mem[LOCKED] = 1 }
			XCHG(told, FLAG, 0);
			if
			:: told ->
				try_p(0);
				try_p(1)
			:: else
			fi;
			UNLOCK_FULL(LOCKED)
		:: else
		fi;
		if
		:: got -> run_one(); got = 0 /* and as it stops spinning it looks again */
		:: else -> break
		fi
	od;
	atomic { DRAINED -> got = 0; told = 0; n = 0 }
}

/* The switch away from the M that holds P me - 2. */
proctype kernel(byte me)
{
	bit got, work;

	work = (RD(WORK) > 0);
	CAS(got, WORD(me - 2), 0, 1);
	if
	:: !work ->
#ifdef PLAIN_FREED
		WR(FLAG, 1);
#else
		XCHG(got, FLAG, 1);
#endif
#ifndef NO_LOOK
		work = (RD(WORK) > 0)
#endif
	:: else
	fi;
	if
	:: work -> /* the ring buffer: sysmon takes what is free */
		atomic { woken++; got = 0; work = 0 }
	:: else
	fi;
	atomic { DRAINED -> got = 0; work = 0 }
}

init {
	atomic {
		run producer(0);
		run producer(1);
		run kernel(2);
		run kernel(3)
	}
	timeout ->
	assert(mem[WORK] == 0 || (mem[WORD(0)] == 0 && mem[WORD(1)] == 0) || woken > 0)
}
