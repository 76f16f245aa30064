/* SPDX-License-Identifier: MIT */
/*
 * tso.h - shared memory as x86 gives it to us, for the models
 *
 * Each process has a store buffer: stores go in at its end, reach memory in
 * order and at any time (process `memory`), and the process itself reads its
 * own latest store. Locked instructions and fences wait until the buffer is
 * empty. This is what TSO is, but for the depth: SB stores at most.
 *
 * Not covered: weaker orders. There the acquire and release of the C code do
 * what TSO does by itself; what rests on a full fence has one.
 *
 * Steps that a model makes as one, `atomic`, lose nothing if others see one of
 * them at most: a store into the own buffer comes with the step before it, for
 * others see it when it reaches memory, which is a step of its own; a fence with
 * the load after it, for the buffer stays empty; looks at local variables with
 * either. An `atomic` that has to wait in its middle is no longer one.
 *
 *   defined before inclusion: NPROC, NVAR, SB (1 to 4)
 *   `me` names the process in all macros
 */
typedef store_buffer {
	byte var[SB];
	byte val[SB];
	byte n
}

byte mem[NVAR];
store_buffer sb[NPROC];

#define HIT(x, i) (sb[me].n > i && sb[me].var[i] == (x))
#if SB == 1
#define RD(x) (HIT(x, 0) -> sb[me].val[0] : mem[x])
#elif SB == 2
#define RD(x) (HIT(x, 1) -> sb[me].val[1] : (HIT(x, 0) -> sb[me].val[0] : mem[x]))
#elif SB == 3
#define RD(x) (HIT(x, 2) -> sb[me].val[2] : (HIT(x, 1) -> sb[me].val[1] : \
	(HIT(x, 0) -> sb[me].val[0] : mem[x])))
#else
#define RD(x) (HIT(x, 3) -> sb[me].val[3] : (HIT(x, 2) -> sb[me].val[2] : \
	(HIT(x, 1) -> sb[me].val[1] : (HIT(x, 0) -> sb[me].val[0] : mem[x]))))
#endif

#define DRAINED (sb[me].n == 0)

inline WR(a_, v_)
{
	atomic {
		sb[me].n < SB ->
		sb[me].var[sb[me].n] = a_;
		sb[me].val[sb[me].n] = v_;
		sb[me].n++
	}
}

inline FENCE()
{
	DRAINED
}

/* Locked instructions. */
inline CAS(r_, a_, o_, v_)
{
	atomic {
		DRAINED ->
		if
		:: mem[a_] == (o_) -> mem[a_] = v_; r_ = 1
		:: else -> r_ = 0
		fi
	}
}

inline XCHG(r_, a_, v_)
{
	atomic { DRAINED -> r_ = mem[a_]; mem[a_] = v_ }
}

inline FADD(r_, a_, d_)
{
	atomic { DRAINED -> r_ = mem[a_]; mem[a_] = mem[a_] + (d_) }
}

/* A mutex or spin lock; its unlock is a plain store. */
inline LOCK(a_)
{
	atomic { DRAINED && mem[a_] == 0 -> mem[a_] = 1 }
}

inline UNLOCK(a_)
{
	WR(a_, 0)
}

/* pthread's unlock is a locked instruction. */
inline UNLOCK_FULL(a_)
{
	atomic { DRAINED -> mem[a_] = 0 }
}

inline flush(p_)
{
	mem[sb[p_].var[0]] = sb[p_].val[0];
	sb[p_].n--;
	k = 0;
	do
	:: k < SB - 1 ->
		sb[p_].var[k] = sb[p_].var[k + 1];
		sb[p_].val[k] = sb[p_].val[k + 1];
		k++
	:: else -> break
	od;
	sb[p_].var[SB - 1] = 0;
	sb[p_].val[SB - 1] = 0
}

active proctype memory()
{
	byte k;
end:
	do
	:: d_step { sb[0].n > 0 -> flush(0); k = 0 }
#if NPROC > 1
	:: d_step { sb[1].n > 0 -> flush(1); k = 0 }
#endif
#if NPROC > 2
	:: d_step { sb[2].n > 0 -> flush(2); k = 0 }
#endif
#if NPROC > 3
	:: d_step { sb[3].n > 0 -> flush(3); k = 0 }
#endif
#if NPROC > 4
	:: d_step { sb[4].n > 0 -> flush(4); k = 0 }
#endif
	od
}
