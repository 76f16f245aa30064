/* SPDX-License-Identifier: MIT */
/*
 * upcall.pml - libgmp/abi/gmprt_abi.h: a P that the kernel frees
 *
 * Claim: no two Ms use a P at a time, no P is lost, and none is used after the
 * end of a run, whoever of the kernel, standbys, the owner that comes back,
 * sysmon, the end of a thread and the end of the run comes first.
 *
 * Covered, by the numbers of the header's table: 3, 4 and 12 to 16; those with
 * BLOCKED have pword.pml and preempt.pml. free_p() and runs_again() are those of
 * bpf/block.h: they run while their M does not, read the word, then compare and
 * swap it. Whether a P has something to run, and whether the kernel sees an M
 * run again, is a choice here.
 *
 * No store buffers: words are changed by locked instructions only, and an M's
 * state is read by the kernel on the M's own thread. The end of the run reads it
 * elsewhere; that pair is pword.pml's.
 *
 * Bounds: 3 Ms, 2 Ps; M 1 and M 2 hold one, M 3 stands by; together they do STEPS
 * things (a call, a block, a thread's end) and stand by TAKES times; sysmon takes
 * TAKEN times. -DEND=1: the run ends, at any time.
 *
 * Must fail: -DNO_STATE (the kernel does not look at the state), -DANY_STATE_14
 * (nor when it gives a P back), -DANY_OWNER (nor whose P it is), -DSTORE_12,
 * -DSTORE_14, -DSTORE_15 (stores in place of a compare-and-swap), -DKEEP_AT_END (a
 * thread's end frees nothing), -DNO_LOOK (an M does not look at the word when it
 * enters), -DNO_LIST (sysmon does not give on what it took).
 */
#ifndef STEPS
#define STEPS 2
#endif
#ifndef TAKES
#define TAKES 2
#endif
#ifndef END
#define END 0
#endif
#ifndef TAKEN
#define TAKEN 1
#endif

/* The word: epoch:4 | owner:2 | state:3 */
#define PWORD(e, o, s) ((((e) & 15) << 5) | ((o) << 3) | (s))
#define EPOCH(w)    ((w) >> 5)
#define OWNER(w)    (((w) >> 3) & 3)
#define STATE(w)    ((w) & 7)
#define AS(w, s)    (((w) & ~7) | (s))
#define IDLE    1
#define RUNNING 2
#define REVOKED 4
#define FREED   5

short word[2];
short pword[4]; /* what M m believes; [0] unused */
byte slot_p[4]; /* gmprt_abi_m.p */
bit runtime[4]; /* gmprt_abi_m.state */
bit freed[4];   /* in task storage */
bit gone[4];
bit on_idle[2]; /* under the scheduler's lock, as atomic steps */
byte users[2];
bit stopping, over;
byte steps = STEPS, takes = TAKES; /* left, of all Ms */

inline cas(ok_, p_, o_, n_)
{
	atomic {
		if
		:: word[p_] == (o_) -> word[p_] = n_; ok_ = 1
		:: else -> ok_ = 0
		fi
	}
}

/* ---- the table's lines -------------------------------------------- */

/* Of a P that was taken off the list: nobody else changes its word, but 16. */
inline line_3(p_)
{
	w = word[p_];
	assert(STATE(w) == IDLE || STATE(w) == REVOKED);
	ok = 0;
	if
	:: STATE(w) == IDLE -> cas(ok, p_, w, PWORD(EPOCH(w) + 1, me, RUNNING))
	:: else
	fi
}

inline line_4(p_)
{
	cas(ok, p_, pword[me], PWORD(EPOCH(pword[me]), 0, IDLE))
}

inline line_12(p_)
{
#ifdef STORE_12
	word[p_] = AS(w, FREED);
	ok = 1
#else
	cas(ok, p_, w, AS(w, FREED))
#endif
}

inline line_13(p_)
{
	cas(ok, p_, w, PWORD(EPOCH(w) + 1, me, RUNNING))
}

inline line_14(p_)
{
#ifdef STORE_14
	word[p_] = AS(w, RUNNING);
	ok = 1
#else
	cas(ok, p_, w, AS(w, RUNNING))
#endif
}

inline line_15(p_)
{
#ifdef STORE_15
	word[p_] = PWORD(EPOCH(w) + 1, 0, IDLE);
	ok = 1
#else
	cas(ok, p_, w, PWORD(EPOCH(w) + 1, 0, IDLE))
#endif
}

inline line_16(p_)
{
	cas(ok, p_, w, PWORD(EPOCH(w) + 1, 0, REVOKED))
}

/* ---- the kernel, on M me's thread, which does nothing meanwhile ---- */

inline free_p()
{
	atomic {
		w = word[slot_p[me]];
		if
#ifdef ANY_OWNER
		:: STATE(w) == RUNNING -> ok = 1
#else
		:: OWNER(w) == me && STATE(w) == RUNNING -> ok = 1
#endif
		:: OWNER(w) == me && STATE(w) == FREED -> freed[me] = 1; ok = 0
		:: else -> ok = 0
		fi
	}
	if
	:: ok -> line_12(slot_p[me]); freed[me] = ok; ok = 0
	:: else
	fi;
	w = 0
}

#ifdef ANY_STATE_14
#define MAY_14 1
#else
#define MAY_14 !runtime[me]
#endif

inline runs_again()
{
	atomic {
		ok = freed[me];
		freed[me] = 0;
		w = word[slot_p[me]];
		ok = ok && OWNER(w) == me && STATE(w) == FREED && MAY_14
	}
	if
	:: ok -> line_14(slot_p[me]); ok = 0
	:: else
	fi;
	w = 0
}

/* The same at another place, where w and ok are the M's own. */
inline seen_late()
{
	atomic {
		freed[me] = 0;
		ok = OWNER(word[slot_p[me]]) == me && STATE(word[slot_p[me]]) == FREED &&
			MAY_14;
		if
		:: ok -> word[slot_p[me]] = AS(word[slot_p[me]], RUNNING)
		:: else
		fi;
		ok = 0
	}
}

/* ---- an M ---------------------------------------------------------- */

/* In state RUNTIME; it may block there (in malloc, in a page fault). */
inline use_p()
{
	atomic { assert(users[slot_p[me]] == 0 && !over); users[slot_p[me]]++ }
#ifdef NO_STATE
	if
	:: free_p(); runs_again()
	:: skip
	fi;
#endif
	users[slot_p[me]]--
}

proctype m(byte me)
{
	short w;
	byte p;
	bit ok;

	if
	:: pword[me] -> goto user
	:: else -> goto stands_by
	fi;

user:	/* goroutine code; it may compute for ever */
	if
	:: atomic { steps > 0 -> steps-- }
	:: goto end
	fi;
	if
	:: free_p(); /* it blocks, with something to run; then it is woken */
		if
		:: runs_again()
		:: skip /* unseen */
		fi;
		goto user
	:: /* its thread ends */
#ifndef KEEP_AT_END
		free_p();
#endif
		goto over_and_out
	:: skip
	fi;
	runtime[me] = 1; /* rt_enter() */
#ifndef NO_LOOK
	w = word[slot_p[me]];
	if
	:: freed[me] -> seen_late() /* it is preempted here */
	:: skip
	fi;
	atomic {
		if
		:: w == pword[me] -> ok = 1; goto in
		:: w == AS(pword[me], FREED)
		:: else -> w = 0; goto stands_by
		fi
	}
	line_14(slot_p[me]); /* it takes it back itself */
	if
	:: atomic { ok -> w = 0 }
	:: atomic { else -> w = 0; goto stands_by }
	fi;
#endif
in:	ok = 0;
	use_p();
	if
	:: runtime[me] = 0; goto user /* rt_leave() */
	:: line_4(slot_p[me]); /* nothing to run */
		atomic {
			if
			:: ok -> assert(!on_idle[slot_p[me]]); on_idle[slot_p[me]] = 1
			:: else -> assert(STATE(word[slot_p[me]]) == REVOKED)
			fi;
			ok = 0
		}
	fi;

stands_by: /* without a P */
	atomic {
		runtime[me] = 1;
		pword[me] = 0;
		if
		:: takes > 0 && !stopping -> takes--
		:: else -> goto over_and_out
		fi
	}
end_idle:
	if
	:: stopping -> goto over_and_out
	:: atomic { STATE(word[0]) == FREED -> w = word[0]; p = 0 }
		line_13(p)
	:: atomic { STATE(word[1]) == FREED -> w = word[1]; p = 1 }
		line_13(p)
	:: atomic { on_idle[0] -> on_idle[0] = 0; p = 0 }
		line_3(p)
	:: atomic { on_idle[1] -> on_idle[1] = 0; p = 1 }
		line_3(p)
	fi;
	atomic {
		if
		:: ok -> slot_p[me] = p; pword[me] = PWORD(EPOCH(w) + 1, me, RUNNING);
			w = 0; p = 0; goto in
		:: else -> w = 0; p = 0; goto end_idle
		fi
	}

over_and_out:
	atomic { gone[me] = 1; runtime[me] = 0 }
end:	skip
}

proctype sysmon()
{
	short w;
	byte n, p;
	bit ok;

end_sysmon:
	if
	:: stopping || n == TAKEN -> goto end
	:: atomic { STATE(word[0]) == FREED && n < TAKEN -> w = word[0]; p = 0 }
	:: atomic { STATE(word[1]) == FREED && n < TAKEN -> w = word[1]; p = 1 }
	fi;
	line_15(p);
	atomic {
		n++;
#ifndef NO_LIST
		if
		:: ok -> on_idle[p] = 1
		:: else
		fi;
#endif
		ok = 0;
		p = 0;
		w = 0;
		goto end_sysmon
	}
end:	skip
}

#if END
proctype ender()
{
	short w;
	byte p;
	bit ok;

	stopping = 1;
	do
	:: p < 2 ->
		w = word[p];
		line_16(p);
		if
		:: ok -> p++
		:: else
		fi
	:: else -> break
	od;
	!runtime[1];
	!runtime[2];
	!runtime[3];
	over = 1
}
#endif

/* Somebody has it, or can have it. */
#define KNOWN(p) (STATE(word[p]) == REVOKED || STATE(word[p]) == FREED || \
	(STATE(word[p]) == IDLE && on_idle[p]) || (STATE(word[p]) == RUNNING && \
	!gone[OWNER(word[p])] && pword[OWNER(word[p])] == word[p] && \
	slot_p[OWNER(word[p])] == p))

init {
	atomic {
		word[0] = PWORD(1, 1, RUNNING);
		word[1] = PWORD(1, 2, RUNNING);
		pword[1] = word[0];
		pword[2] = word[1];
		slot_p[2] = 1;
		run m(1);
		run m(2);
		run m(3);
		run sysmon()
#if END
		; run ender()
#endif
	}
	timeout ->
	assert(KNOWN(0) && KNOWN(1));
	assert(!over || (STATE(word[0]) == REVOKED && STATE(word[1]) == REVOKED))
}
