/* SPDX-License-Identifier: MIT */
/*
 * pword.pml - libgmp/core/kport.h and its users: who owns a P
 *
 * Claim: no two Ms use a P at a time; an M in state RUNTIME that found its word
 * in place owns its P; once gmprt_run() has returned nobody uses any P.
 *
 * Covered: rt_enter (store RUNTIME, plain load of the word), rt_leave,
 * rt_block_enter (the plain store, (a)), rt_block_exit (b), retake by sysmon
 * (c), rt_p_handoff, rt_p_acquire, lost_g0, the end of a run: stopping, revoke
 * (d), membarrier, the wait for Ms in state RUNTIME (sched_stop). The pair under
 * test: rt_enter's store and load against revoke, membarrier and the load of
 * the state. membarrier() drains all store buffers.
 *
 * The revocation is repeated until every word is found REVOKED after all Ms
 * have been seen in USER: rt_block_enter()'s plain store of BLOCKED may
 * overwrite one.
 *
 * Bounds: one P, M 1 that owns it and goes in and out and through brackets
 * CALLS times, M 2 that sysmon hands the P to and that runs a goroutine which
 * makes CALLS - M2_DONE calls.
 *
 * Must fail: -DNO_MEMBARRIER, -DREVOKE_ONCE, -DSAME_EPOCH (retake leaves the
 * owner in the word).
 */
#ifndef CALLS
#define CALLS 1
#endif
#ifndef M2_DONE
#define M2_DONE CALLS /* calls that M 2 does not make */
#endif

#define NPROC 4
#define NVAR  5
#define SB    3
#include "tso.h"

#define WORD     0
#define STATE(m) (m) /* 1, 2: 1 is RUNTIME */
#define STOPPING 3
#define SLOCK    4

/* The word: epoch:4 | owner:2 | state:2 */
#define PWORD(e, o, s) ((((e) & 15) << 4) | ((o) << 2) | (s))
#define EPOCH(w)   ((w) >> 4)
#define IDLE    0
#define RUNNING 1
#define BLOCKED 2
#define REVOKED 3
#define STATE_OF(w) ((w) & 3)

byte users;      /* Ms that use the P */
bit over;        /* gmprt_run() has returned */
bit on_idle;     /* the P is on the idle list */
bit handed[3];   /* M was given the P */
bit gone[3];     /* M has ended */
bit sysmon_gone;

/* Uses what the P owns, for two steps. */
inline use_p()
{
	atomic { assert(users == 0 && !over); users++ }
	users--
}

inline rt_p_acquire()
{
	w = RD(WORD);
	pword = PWORD(EPOCH(w) + 1, me, RUNNING);
	if
	:: STATE_OF(w) == REVOKED -> ok = 0
	:: else -> CAS(ok, WORD, w, pword)
	fi;
	mine = ok
}

proctype m(byte me)
{
	byte w, pword, n;
	bit ok, mine, held;

	if
	:: me == 1 -> pword = PWORD(1, 1, RUNNING); goto user
	:: else -> n = M2_DONE; goto asleep
	fi;

	/* Goroutine code, in state USER, until it calls. */
user:	if
	:: n == CALLS -> goto computes
	:: n < CALLS -> n++
	fi;
	WR(STATE(me), 1); /* rt_enter() */
	w = RD(WORD);
	if
	:: w != pword -> goto out /* rt_enter_slow(): it is not in brackets */
	:: else
	fi;
	use_p();
	if
	:: WR(STATE(me), 0); goto user /* rt_leave() */
	:: WR(WORD, PWORD(EPOCH(pword), me, BLOCKED)); /* rt_block_enter() */
		WR(STATE(me), 0)
	fi;
	/* In brackets. A call may still come: it finds BLOCKED, or another's. */
	if
	:: WR(STATE(me), 1);
		w = RD(WORD);
		assert(w != pword);
		WR(STATE(me), 0)
	:: skip
	fi;
	WR(STATE(me), 1); /* rt_block_exit() */
	CAS(ok, WORD, PWORD(EPOCH(pword), me, BLOCKED), pword);
	if
	:: ok -> use_p(); WR(STATE(me), 0); goto user
	:: else
	fi;
	if
	:: RD(STOPPING) -> goto out
	:: else
	fi;
	/* lost_g0(), then as for every M */
asleep:
	/* RUNTIME since it was made */
	WR(STATE(me), 1);
	LOCK(SLOCK);
	if
	:: RD(STOPPING) -> UNLOCK_FULL(SLOCK); goto out
	:: else
	fi;
	held = on_idle;
	on_idle = 0;
	UNLOCK_FULL(SLOCK);
	if
	:: !held ->
		if
		:: atomic { handed[me] -> handed[me] = 0 }
		:: RD(STOPPING) -> goto out /* wake_parked() */
		fi
	:: else
	fi;
	rt_p_acquire();
	if
	:: !mine || RD(STOPPING) -> goto out /* rt_find_g0() */
	:: else
	fi;
	use_p();
	if
	:: WR(STATE(me), 0); goto user /* runs a goroutine */
	:: n < CALLS -> /* nothing to run: rt_p_release() under the lock */
		n++;
		LOCK(SLOCK);
		if
		:: RD(STOPPING) -> UNLOCK_FULL(SLOCK); goto out
		:: else
		fi;
		CAS(ok, WORD, pword, PWORD(EPOCH(pword), 0, IDLE));
		on_idle = 1;
		UNLOCK_FULL(SLOCK);
		goto asleep
	fi;
computes:
	WR(STATE(me), 0);
	goto end;
out:	FENCE();
	gone[me] = 1;
end:	FENCE()
}

proctype sysmon(byte me)
{
	byte w;
	bit ok;

	do
	:: RD(STOPPING) -> break
	:: STATE_OF(RD(WORD)) == BLOCKED ->
		w = RD(WORD); /* retake() */
		if
		:: STATE_OF(w) != BLOCKED -> goto next
		:: else
		fi;
		LOCK(SLOCK);
		if
		:: RD(STOPPING) -> UNLOCK_FULL(SLOCK); break
		:: else
		fi;
#ifdef SAME_EPOCH
		CAS(ok, WORD, w, (w & 252) | RUNNING);
#else
		CAS(ok, WORD, w, PWORD(EPOCH(w) + 1, 0, IDLE));
#endif
		if
		:: ok ->
			use_p();
			if
			:: on_idle = 1 /* rt_p_handoff() */
			:: handed[2] = 1
			fi
		:: else
		fi;
		UNLOCK_FULL(SLOCK);
next:		ok = 0
	od;
	sysmon_gone = 1
}

#define QUIET(i) (gone[i] || mem[STATE(i)] == 0)

/* sched_stop() */
proctype ender(byte me)
{
	byte w;
	bit ok;

	LOCK(SLOCK);
	atomic { DRAINED -> mem[STOPPING] = 1 }
	UNLOCK_FULL(SLOCK);
	do
	:: w = RD(WORD);
		CAS(ok, WORD, w, PWORD(EPOCH(w) + 1, 0, REVOKED));
		if
		:: ok -> ok = 0
		:: else -> goto again
		fi;
#ifndef NO_MEMBARRIER
		/* each store buffer, one after the other */
		sb[0].n == 0;
		sb[1].n == 0;
		sb[2].n == 0;
#endif
		sysmon_gone;
		QUIET(1);
		QUIET(2);
#ifdef REVOKE_ONCE
		break;
#else
		if
		:: STATE_OF(RD(WORD)) == REVOKED -> break
		:: else
		fi;
#endif
again:		w = 0
	od;
	over = 1
}

init {
	atomic {
		mem[WORD] = PWORD(1, 1, RUNNING);
		run ender(0);
		run m(1);
		run m(2);
		run sysmon(3)
	}
}
