/* SPDX-License-Identifier: MIT */
/*
 * preempt.pml - libgmp/sched/preempt.c: an M that loses its P in goroutine code
 *
 * Claim: no two Ms use the P at a time, it is never lost, and an M that waits
 * for it is given it; whoever finds its P taken has been counted as lost.
 *
 * Covered: rt_enter and its slow way (take_back, queue_up, the wait), rt_leave,
 * rt_block_enter and _exit, rt_p_release with its second try, the SIGURG handler (stand_still_sig) at any
 * instruction of goroutine code, sysmon's take (mark, membarrier, look, retake)
 * and queue_held, rt_locked_start_g0. The pair under test: rt_enter's plain
 * store of RUNTIME and load of the word against the mark, membarrier and the
 * load of the state.
 *
 * Bounds: one P. M 1 has it, runs the goroutine, makes CALLS calls, parks in
 * one of them or computes for ever. M 2 stands by. sysmon asks or takes TRIES
 * times. No end of a run: pword.pml has it.
 *
 * Must fail: -DNO_MEMBARRIER, -DNO_LOOK (sysmon does not look at the state),
 * -DRELEASE_ONCE (rt_p_release gives up at a mark), -DNO_TAKE_BACK (the
 * handler takes a mark for a loss), -DNO_OURS (who finds no mark any more takes
 * that for a loss; found by this model).
 */
#ifndef CALLS
#define CALLS 2
#endif
#ifndef TRIES
#define TRIES 2
#endif

#define NPROC 3
#define NVAR  3
#define SB    3
#include "tso.h"

#define WORD   0
#define STATE1 1
#define SLOCK  2

/* The word: epoch:4 | owner:2 | state:2 */
#define PWORD(e, o, s) ((((e) & 15) << 4) | ((o) << 2) | (s))
#define EPOCH(w)    ((w) >> 4)
#define OWNER(w)    (((w) >> 2) & 3)
#define STATE_OF(w) ((w) & 3)
#define IDLE    0
#define RUNNING 1
#define BLOCKED 2
#define MARK(w) (((w) & 252) | BLOCKED)

byte users;   /* Ms that use the P */
bit on_idle;  /* the P is on the idle list; under SLOCK */
bit handed2;  /* M 2 was given the P */
bit granted;  /* M 1 was given it, with its goroutine */
bit queued;   /* M 1's goroutine is in the global queue; under SLOCK */
bit lost;     /* counted in nr_lost; under SLOCK */
bit asked;    /* a SIGURG is under way */
bit pushed;   /* M 1 is on `held` */
bit held_p;   /* with the P */

inline use_p()
{
	atomic { assert(users == 0); users++ }
	users--
}

inline rt_p_acquire()
{
	w = RD(WORD);
	pword = PWORD(EPOCH(w) + 1, me, RUNNING);
	CAS(ok, WORD, w, pword);
	assert(ok)
}

/* ok: it is M 1's again, or still */
inline rt_p_take_back()
{
	do
	:: CAS(ok, WORD, MARK(pword), pword);
		if
		:: ok -> break
		:: else
		fi;
#ifdef NO_OURS
		break;
#endif
		w = RD(WORD);
		if
		:: w == pword -> ok = 1; break
		:: w != pword && w != MARK(pword) -> break
		:: else
		fi
	od
}

inline rt_p_release()
{
	w = pword;
	do
	:: CAS(ok, WORD, w, PWORD(EPOCH(pword), 0, IDLE));
		if
		:: ok -> break
		:: else
		fi;
#ifdef RELEASE_ONCE
		break;
#endif
		w = RD(WORD);
		assert(OWNER(w) == me && EPOCH(w) == EPOCH(pword))
	od
}

proctype m1(byte me)
{
	byte w, pword, n;
	bit ok;

	pword = PWORD(1, 1, RUNNING);
end_user: /* goroutine code, state USER; it may compute for ever */
	if
	:: n < CALLS -> n++
	:: atomic { asked -> asked = 0 }
		goto handler
	fi;
	WR(STATE1, 1); /* rt_enter() */
	w = RD(WORD);
	if
	:: w == pword -> goto in
	:: else
	fi;
	rt_p_take_back();
	if
	:: ok -> goto in
	:: else
	fi;
queue:	LOCK(SLOCK); /* queue_up(), lost_g0() */
	assert(lost);
	lost = 0;
	if
	:: on_idle -> on_idle = 0;
		UNLOCK_FULL(SLOCK);
		rt_p_acquire();
		goto in
	:: else -> queued = 1;
		UNLOCK_FULL(SLOCK)
	fi;
	atomic { granted -> granted = 0 }
	rt_p_acquire();
in:	use_p();
	if
	:: WR(STATE1, 0); goto end_user /* rt_leave() */
	:: WR(WORD, MARK(pword)); /* rt_block_enter() */
		WR(STATE1, 0);
		WR(STATE1, 1); /* rt_block_exit() */
		rt_p_take_back();
		if
		:: ok -> goto in
		:: else -> goto queue
		fi
	:: rt_p_release(); /* it parks, and there is nothing else to run */
		LOCK(SLOCK);
		on_idle = 1;
		UNLOCK_FULL(SLOCK);
		goto end
	fi;

handler: /* stand_still_sig(), in state USER */
	assert(RD(STATE1) == 0);
	CAS(ok, WORD, pword, PWORD(EPOCH(pword) + 1, 0, IDLE));
	if
	:: ok -> held_p = 1; goto push
	:: else
	fi;
#ifndef NO_TAKE_BACK
	rt_p_take_back();
	if
	:: ok -> goto end_user
	:: else
	fi;
#endif
	held_p = 0;
push:	pushed = 1;
	atomic { granted -> granted = 0 }
	rt_p_acquire();
	goto end_user;
end:	FENCE()
}

/* Runs what is queued: hands the P over to M 1. Once, something else. */
proctype m2(byte me)
{
	byte w, pword;
	bit ok, other;

end_idle:
	if
	:: atomic { handed2 -> handed2 = 0 }
	:: on_idle && (queued || !other) -> /* rt_wake() */
		other = !queued;
		LOCK(SLOCK);
		if
		:: on_idle -> on_idle = 0; UNLOCK_FULL(SLOCK)
		:: else -> UNLOCK_FULL(SLOCK); goto end_idle
		fi
	fi;
	rt_p_acquire();
	use_p();
	LOCK(SLOCK);
	if
	:: queued -> queued = 0;
		UNLOCK_FULL(SLOCK);
		rt_p_release(); /* rt_locked_start_g0() */
		LOCK(SLOCK);
		granted = 1
	:: else ->
		rt_p_release(); /* give_up_p() */
		on_idle = 1
	fi;
	UNLOCK_FULL(SLOCK);
	goto end_idle
}

inline rt_p_handoff()
{
	if
	:: handed2 = 1
	:: queued == 0 -> LOCK(SLOCK); on_idle = 1; UNLOCK_FULL(SLOCK)
	fi
}

proctype sysmon(byte me)
{
	byte w, k;
	bit ok, with_p;

end_sysmon:
	do
	:: atomic { pushed -> pushed = 0 } /* queue_held() */
		with_p = held_p;
		LOCK(SLOCK);
		queued = 1;
		if
		:: with_p
		:: else -> assert(lost); lost = 0
		fi;
		UNLOCK_FULL(SLOCK);
		if
		:: with_p -> handed2 = 1 /* rt_p_handoff(): there is work */
		:: else
		fi
	:: k < TRIES && !asked -> k++; asked = 1
	:: k < TRIES -> k++; /* take() */
		w = RD(WORD);
		if
		:: OWNER(w) != 1 -> goto next
		:: OWNER(w) == 1 && STATE_OF(w) == BLOCKED -> goto retake
		:: else
		fi;
		CAS(ok, WORD, w, MARK(w));
		if
		:: !ok -> goto next
		:: else
		fi;
#ifndef NO_MEMBARRIER
		sb[1].n == 0;
#endif
#ifndef NO_LOOK
		if
		:: RD(STATE1) != 0 -> CAS(ok, WORD, MARK(w), w); goto next
		:: else
		fi;
#endif
retake:		LOCK(SLOCK);
		CAS(ok, WORD, MARK(w), PWORD(EPOCH(w) + 1, 0, IDLE));
		if
		:: ok -> lost = 1
		:: else
		fi;
		UNLOCK_FULL(SLOCK);
		if
		:: ok -> rt_p_handoff()
		:: else
		fi;
next:		ok = 0
	od
}

init {
	atomic {
		mem[WORD] = PWORD(1, 1, RUNNING);
		run sysmon(0);
		run m1(1);
		run m2(2)
	}
}
