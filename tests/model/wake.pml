/* SPDX-License-Identifier: MIT */
/*
 * wake.pml - libgmp/sched/wake.c: no wake-up is lost
 *
 * Claim: when nothing moves any more and every M that still runs computes for
 * ever, there is no work in a queue while a P idles and nobody spins. (Sysmon,
 * which would find it after a while, is left out.)
 *
 * Covered: rt_wake_others (put, fence, nr_idle_ps, nr_spinning), rt_wake (the
 * claim of nr_spinning by compare-and-swap, the idle P under the lock, the
 * claim given back under the lock), rt_m_start, rt_grq_put and rt_wake by a
 * thread without a P, rt_find_g0 (local, global, may_spin, steal, give_up_p,
 * nr_spinning - 1, fence, look_again), stop_spinning with its wake-up. The pair
 * under test is the fence of rt_wake_others against the one of look_again.
 *
 * A queue is a count. Left out: `next` and its trusted streak, which sysmon
 * serves (switch.h), and yields.
 *
 * Bounds: two busy Ps whose Ms put one thing each and then compute, or look for
 * work; a third P whose M looks for work, and a thread that may be woken; a
 * foreign thread that makes one.
 *
 * Must fail: -DNO_FENCE (in rt_wake_others), -DNO_LOOK (no look_again),
 * -DLATE_UNCLAIM (rt_wake gives its claim back after the unlock).
 */
#define NPROC 5
#define NVAR  5
#define SB    1
#include "tso.h"

#define Q(i)   (i) /* run queues of P 0 and P 1 */
#define GRQ    2
#define NIDLE  3
#define NSPIN  4
#define MAXPROCS 3

bit parked[4];   /* M is on the idle list, or not made yet */
bit notified[4]; /* M was given a P, and the unit of NSPIN that its waker took */

/* rt_p_idle_get_locked(). A locked section is one step: none makes more than
 * one change that is seen without the lock. */
inline IDLE_GET(r_)
{
	DRAINED ->
	if
	:: mem[NIDLE] > 0 -> mem[NIDLE] = mem[NIDLE] - 1; r_ = 1
	:: else -> r_ = 0
	fi
}

/* rt_m_start(): if none is parked yet, a new thread would be made: that comes
 * to the same. */
inline start_one()
{
	atomic {
		got = 0;
		if
		:: parked[3] -> parked[3] = 0; notified[3] = 1
		:: !parked[3] && parked[2] -> parked[2] = 0; notified[2] = 1
		:: !parked[3] && !parked[2] && parked[1] -> parked[1] = 0; notified[1] = 1
		:: !parked[3] && !parked[2] && !parked[1] && parked[0] ->
			parked[0] = 0; notified[0] = 1
		fi
	}
}

/* rt_wake(): its first load of nr_spinning and the compare-and-swap are one. */
inline rt_wake()
{
	CAS(got, NSPIN, 0, 1);
	if
	:: got ->
#ifdef LATE_UNCLAIM
		atomic { IDLE_GET(got) }
		if
		:: got -> start_one()
		:: else -> FADD(got, NSPIN, -1)
		fi
#else
		atomic {
			IDLE_GET(got);
			if
			:: got
			:: else -> mem[NSPIN] = mem[NSPIN] - 1
			fi
		}
		if
		:: got -> start_one()
		:: else
		fi
#endif
	:: else
	fi;
	got = 0
}

inline rt_wake_others()
{
	atomic {
#ifndef NO_FENCE
		FENCE();
#endif
		got = (RD(NIDLE) > 0)
	}
	if
	:: got ->
		atomic { got = (RD(NSPIN) == 0) }
		if
		:: got -> rt_wake()
		:: else
		fi
	:: else
	fi
}

/* One thing out of queue x, if there is one. */
inline take(x_)
{
	DRAINED ->
	if
	:: mem[x_] > 0 -> mem[x_] = mem[x_] - 1; work = 1
	:: else
	fi
}

/* rt_find_g0() until there is work, or the M is parked and never woken again */
inline find()
{
	do
	:: atomic { /* find_local: P 0 and P 1 have queues; others steal */
			if
			:: me < 2 && has_own -> take(Q(me))
			:: else
			fi;
			if
			:: work -> break
			:: else
			fi
		}
		atomic {
			take(GRQ);
			if
			:: work -> break
			:: else
			fi
		}
		/* may_spin */
		if
		:: !spinning ->
			got = RD(NSPIN);
			atomic { spinning = (2 * got < MAXPROCS - RD(NIDLE)); got = 0 }
			if
			:: spinning -> atomic { FADD(got, NSPIN, 1); got = 0 }
			:: else
			fi
		:: else
		fi;
		if
		:: spinning ->
			atomic {
				take(Q(0));
				if
				:: work -> break
				:: else
				fi
			}
			atomic {
				take(Q(1));
				if
				:: work -> break
				:: else
				fi
			}
		:: else
		fi;
		/* give_up_p */
		atomic {
			take(GRQ);
			if
			:: work -> break
			:: else -> mem[NIDLE] = mem[NIDLE] + 1
			fi;
			has_own = 0;
			was_spinning = spinning;
			spinning = 0
		}
		if
		:: was_spinning -> atomic { FADD(got, NSPIN, -1); got = 0 }
		:: else
		fi;
		/* look_again */
#ifndef NO_LOOK
		atomic { FENCE(); got = (RD(GRQ) > 0) }
		atomic { got = (got || RD(Q(0)) > 0) }
		atomic { got = (got || RD(Q(1)) > 0) }
		if
		:: got -> atomic { IDLE_GET(got) }
		:: else
		fi;
#endif
		if
		:: got ->
			atomic { spinning = was_spinning; was_spinning = 0; got = 0 }
			if
			:: spinning -> atomic { FADD(got, NSPIN, 1); got = 0 }
			:: else
			fi
		:: else ->
			atomic { parked[me] = 1; was_spinning = 0 } /* rt_m_stop_g0 */
end_asleep:		atomic { notified[me] -> notified[me] = 0; spinning = 1 }
		fi
	od;
	work = 0;
	if
	:: spinning -> /* stop_spinning() */
		atomic { spinning = 0; FADD(got, NSPIN, -1) }
		if
		:: got == 1 -> got = 0; rt_wake_others()
		:: else -> got = 0
		fi
	:: else
	fi
}

/*
 * Ms 0 and 1 are busy on their Ps and make work; M 2 looks for work on the
 * third P; M 3 sleeps. What an M finds it runs for ever (the worst case), with
 * -DFINISH also to its end.
 */
proctype m(byte me)
{
	byte got;
	bit work, spinning, was_spinning, has_own;

	if
	:: me < 2 ->
		has_own = 1;
		WR(Q(me), 1);
		rt_wake_others();
		if
		:: goto computes
		:: atomic { take(GRQ) } goto computes /* its fairness look */
#ifdef FINISH
		:: skip
#else
		:: me == 0
#endif
		fi
	:: me == 3 ->
		parked[me] = 1;
end_start:	atomic { notified[me] -> notified[me] = 0; spinning = 1 }
	:: me == 2
	fi;
	do
	:: find();
#ifdef FINISH
		if
		:: goto computes
		:: skip /* it has run to its end */
		fi
#else
		goto computes
#endif
	od;
computes:
	atomic { DRAINED -> got = 0; work = 0; was_spinning = 0; has_own = 0 }
}

/* rt_ready_foreign() */
proctype foreign(byte me)
{
	byte got;

	if
	:: d_step { DRAINED -> mem[GRQ] = mem[GRQ] + 1 }
		rt_wake()
	:: skip /* or never comes */
	fi
}

init {
	atomic {
		run m(0);
		run m(1);
		run m(2);
		run m(3);
		run foreign(4)
	}
	timeout ->
	assert(mem[NSPIN] == 0);
	assert(mem[NIDLE] == 0 || mem[Q(0)] + mem[Q(1)] + mem[GRQ] == 0)
}
