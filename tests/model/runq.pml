/* SPDX-License-Identifier: MIT */
/*
 * runq.pml - libgmp/core/runq.[ch]: the ring and the slot to run next
 *
 * Claim: each thing put is taken exactly once, by the owner, a thief or the
 * spill to the global queue; and nobody runs a goroutine whose context is not
 * saved yet.
 *
 * Covered, with store buffers: put, set_next with the put of what it displaced,
 * get, get_next, spill, the yield (rt_runq_prepare(), the switch's stores of
 * the context and then of the tail), steal of half with the check for a head
 * and tail of different moments, steal_next. Pairs: tail rel/acq, head cas/acq,
 * next store_rel or xchg / cas. Nothing here rests on a store-load barrier.
 *
 * Bounds: a ring of 4 (half: 2) whose indices are mod 16 and begin at 14, so
 * that slots and indices wrap; PUTS things, FILLED of them at the start; one
 * yield and OPS gets in between; two thieves that steal once each, one of them
 * also `next`. With so few puts no index comes round to the same value, as none
 * does in 2^32.
 *
 * Must fail: -DEARLY_TAIL (a yield that shows the tail before the context is
 * saved), -DPLAIN_HEAD (the owner's get without compare-and-swap).
 */
#ifndef PUTS
#define PUTS 5
#endif
#ifndef FILLED
#define FILLED 3 /* of them are in the ring at the start: 0 to 3 */
#endif
#ifndef OPS
#define OPS 0
#endif

#define NPROC 3
#define NVAR  8
#define SB    3
#include "tso.h"

#define HEAD    0
#define TAIL    1
#define NEXT    2
#define RING(i) (3 + ((i) & 3))
#define SAVED   7 /* the context of the goroutine that yields */
#define START   14

byte taken[PUTS + 2]; /* [0] unused; the last is the goroutine that yields */
#define YIELDER (PUTS + 1)
byte finished;

/* w runs now, or is the taker's to run. */
inline TAKE(w_)
{
	atomic {
		assert(w_ != 0 && taken[w_] == 0);
		taken[w_]++;
		assert(w_ != YIELDER || RD(SAVED));
	}
}

/* rt_runq_prepare(): ok, and w is written behind the last entry, at t */
inline prepare(w_)
{
	t = RD(TAIL);
	h = RD(HEAD);
	ok = ((t - h) & 15) < 4;
	if
	:: ok -> WR(RING(t), w_)
	:: else
	fi
}

/* rt_runq_put(), rt_put_slow() with rt_runq_spill() */
inline put(w_)
{
	do
	:: atomic {
			prepare(w_);
			if
			:: ok -> WR(TAIL, (t + 1) & 15); break
			:: else
			fi
		}
		atomic {
			h = RD(HEAD);
			ok = ((t - h) & 15) == 4;
			a = RD(RING(h)); /* own stores */
			b = RD(RING(h + 1))
		}
		if
		:: ok ->
			atomic {
				CAS(ok, HEAD, h, (h + 2) & 15);
				if
				:: ok -> TAKE(a); TAKE(b); TAKE(w_); break
				:: else
				fi
			}
		:: else
		fi
	od;
	atomic { a = 0; b = 0; h = 0; t = 0; ok = 0 }
}

/* rt_put_next() */
inline put_next(w_)
{
	atomic {
		old = RD(NEXT);
		if
		:: old == 0 -> WR(NEXT, w_)
		:: else
		fi
	}
	if
	:: old ->
		XCHG(old, NEXT, w_);
		if
		:: old -> put(old); old = 0
		:: else
		fi
	:: else
	fi
}

/* rt_runq_get_next(), rt_runq_get(): old, or 0 */
inline get()
{
	old = RD(NEXT);
	if
	:: old ->
		atomic {
			XCHG(old, NEXT, 0);
			if
			:: old -> TAKE(old)
			:: else
			fi
		}
	:: else
	fi;
	do
	:: old -> break
	:: else ->
		atomic {
			h = RD(HEAD);
			t = RD(TAIL);
			a = RD(RING(h));
			if
			:: h == t -> break
			:: else
			fi
		}
		atomic {
#ifdef PLAIN_HEAD
			WR(HEAD, (h + 1) & 15);
			ok = 1;
#else
			CAS(ok, HEAD, h, (h + 1) & 15);
#endif
			if
			:: ok -> old = a; TAKE(old)
			:: else
			fi
		}
	od;
	atomic { h = 0; t = 0; a = 0; ok = 0 }
}

proctype owner()
{
	byte me = 0, n = FILLED, ops, t, h, a, b, old;
	bit ok, yielded;

	do
	:: n < PUTS -> n++; put(n)
	:: n < PUTS -> n++; put_next(n)
	:: ops < OPS -> ops++; get(); old = 0
	:: !yielded -> /* rt_yield() of YIELDER, for what get() finds */
		yielded = 1;
		get();
		if
		:: old ->
			atomic {
				old = 0;
				prepare(YIELDER);
#ifdef EARLY_TAIL
				if
				:: ok -> WR(TAIL, (t + 1) & 15)
				:: else
				fi;
				WR(SAVED, 1);
#else
				WR(SAVED, 1);
				if
				:: ok -> WR(TAIL, (t + 1) & 15)
				:: else
				fi;
#endif
				h = 0;
				t = 0
			}
			if
			:: ok -> ok = 0
			:: else -> put(YIELDER) /* on g0 */
			fi
		:: else -> taken[YIELDER] = 1 /* goes on */
		fi
	:: n == PUTS -> break
	od;
	finished == 2 -> FENCE();
	do
	:: get();
		if
		:: old -> old = 0
		:: else -> break
		fi
	od;
	n = 1;
	do
	:: n <= PUTS -> assert(taken[n] == 1); n++
	:: else -> break
	od;
	assert(!yielded || taken[YIELDER] == 1)
}

/* rt_runq_steal(): half, rounded up; rt_runq_steal_next() */
proctype thief(byte me)
{
	byte h, t, n, a, b;
	bit ok;

	do
	:: h = RD(HEAD);
		atomic {
			t = RD(TAIL);
			n = (t - h) & 15;
			n = n - n / 2;
			t = 0
		}
		if
		:: n == 0 -> break
		:: n > 2 -> /* of different moments */
		:: n == 1 || n == 2 ->
			a = RD(RING(h));
			if
			:: n == 2 -> b = RD(RING(h + 1))
			:: else
			fi;
			atomic {
				CAS(ok, HEAD, h, (h + n) & 15);
				if
				:: ok ->
					TAKE(a);
					if
					:: n == 2 -> TAKE(b)
					:: else
					fi;
					break
				:: else
				fi
			}
		fi
	od;
	atomic { h = 0; t = 0; n = 0; b = 0; a = 0; ok = 0 }
	if
	:: me == 1 ->
		a = RD(NEXT);
		if
		:: a ->
			atomic {
				CAS(ok, NEXT, a, 0);
				if
				:: ok -> TAKE(a)
				:: else
				fi
			}
		:: else
		fi
	:: else
	fi;
	atomic { a = 0; ok = 0; finished++ }
}

init {
	atomic {
		mem[HEAD] = START;
		mem[TAIL] = (START + FILLED) & 15;
		if
		:: FILLED > 0 -> mem[RING(START)] = 1
		:: else
		fi;
		if
		:: FILLED > 1 -> mem[RING(START + 1)] = 2
		:: else
		fi;
		if
		:: FILLED > 2 -> mem[RING(START + 2)] = 3
		:: else
		fi;
		run owner();
		run thief(1);
		run thief(2)
	}
}
