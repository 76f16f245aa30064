/* SPDX-License-Identifier: MIT */
/*
 * keeper.pml - libgmp/sched/idle.c: the time keeper
 *
 * Claim: when nothing moves any more but by the clock, each armed timer has
 * somebody who sleeps at most until it is due, or sysmon is awake and looks at
 * the heap it is in; while a P idles, a keeper is not late for any timer; and
 * once there is a netpoller and no P runs, the keeper sleeps in it.
 *
 * Covered: rt_deadline_arm (the heap's next_ns, rt_keeper_check with its fence,
 * its kick and its locked part), rt_timer_cancel, rt_m_stop_g0 (who becomes the
 * keeper and who replaces one), keeper_begin_locked (a time is shown until a
 * look confirms it), stop_ended and poll_ended, idle_ms_remove_locked,
 * idle_ms_get_locked (a keeper is taken for other work when it is the only one
 * and does not poll), keeper_take_locked, rt_poll_open, give_up_p and look_again,
 * rt_p_handoff with and without work, rt_m_start. The pairs under test,
 * store-load on both sides: a heap's next_ns and keeper_until_ns; a heap's
 * next_ns and nr_idle_ps.
 *
 * Ms 1 and 2 lie down at the same time; M 0, and who is given what a foreign
 * thread readies (FOREIGN), run goroutines on two Ps. A goroutine may cancel a
 * timer, set one, open the netpoller; then it computes for ever, parks, or has
 * its P given away: bound to its M (rt_locked_stop_g0), or in brackets, where
 * sysmon does the same for it. An M whose P was given away stands for the next
 * new thread. Left out: spinning (wake.pml), files.
 *
 * Two heaps, of P 0 and P 1; times are 1, 2, 3, and 4: for ever. The clock moves
 * when a sleeper's time-out comes. A locked section is one step where it makes
 * one change that is seen without the lock. A keeper that sleeps longer on
 * purpose (timer.c) shows what is told here, so it is late by that and no more.
 *
 * Bounds: MS Ms, ARMS timers set, CANCELS cancelled, TICKS time-outs; WORK: a P
 * given away may have work; POLLS: 0 no netpoller, 1 one from the start, 2 one
 * that is opened.
 *
 * Must fail: -DNO_FENCE1 (in rt_keeper_check), -DNO_FENCE2 (in
 * keeper_begin_locked), -DNO_REPLACE (an M that sees an earlier timer leaves the
 * keeper be), -DRAISE (a later time is shown in place of an earlier one),
 * -DONE_LOOK (a time is shown that no look has confirmed; found by this model),
 * -DKEEP_ROLE (the keeper stays it when it is taken off the list),
 * -DANY_KEEPER (rt_p_handoff trusts a keeper without a look at its time; found by
 * this model), -DNO_KICK (an earlier timer does not kick a keeper that polls),
 * -DRUNNING_ONLY (sysmon leaves out the timers of idle Ps).
 */
#ifndef ARMS
#define ARMS 1
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef TICKS
#define TICKS 0
#endif
#ifndef FOREIGN
#define FOREIGN 1
#endif
#ifndef WORK
#define WORK 0
#endif
#ifndef POLLS
#define POLLS 0
#endif
#ifndef MS
#define MS 3
#endif

#define NR    3
#define NPROC 3
#define NVAR  3
#define SB    1
#include "tso.h"

#define NEXT(i) (i) /* heap i's next_ns */
#define UNTIL   2   /* keeper_until_ns */
#define FOREVER 4
#define NOBODY  7
#define AWAKE   9

byte heap[2];           /* bit t: a timer for t */
byte now;
byte ticks = TICKS, arms = ARMS, cancels = CANCELS; /* to come */

bit slock;
byte idle_ps;           /* bit i: P i is on the idle list; nr_idle_ps */
byte keeper = NOBODY;
bit on = POLLS & 1, polls, kick;
bit idle[NR];           /* m->idle */
byte until[NR] = AWAKE; /* what M sleeps until */
bit notified[NR], next_p[NR];
bit goroutine[NR];      /* the P it is given has one to run */
bit gone[NR];           /* waits for ever: the next new thread */
bit came;               /* Ms 1 and 2 are alike: let 1 be the first */

#define LEAST(a, b) ((a) < (b) -> (a) : (b))
#define FIRST(h)    ((h) & 2 -> 1 : ((h) & 4 -> 2 : ((h) & 8 -> 3 : FOREVER)))

/* A change of heap i under its lock, which is free when no store to next_ns is
 * on its way to memory: the unlock follows that one. */
#define PENDING(j, i) (sb[j].n && sb[j].var[0] == NEXT(i))
#define HEAP_FREE(i)  (!PENDING(0, i) && !PENDING(1, i) && !PENDING(2, i))

inline heap_set(i_, h_)
{
	DRAINED && HEAP_FREE(i_) -> heap[i_] = h_;
	WR(NEXT(i_), FIRST(heap[i_]))
}

/* rt_timer_cancel() of the first one there */
inline cancel_first(i_)
{
	a = FIRST(heap[i_]);
	heap_set(i_, heap[i_] & ~(1 << a));
	a = 0
}

inline idle_get(p_)
{
	if
	:: idle_ps & 1 -> p_ = 0
	:: idle_ps & 2 -> p_ = 1
	fi;
	idle_ps = idle_ps & ~(1 << p_)
}

inline idle_ms_remove(x_)
{
	idle[x_] = 0;
#ifndef KEEP_ROLE
	if
	:: keeper == x_ -> keeper = NOBODY; polls = 0; mem[UNTIL] = FOREVER
	:: else
	fi
#endif
}

/* idle_ms_get_locked(): any, for the list's order is no part of the claim. */
#define OTHERS(i) (idle[(i + 1) % NR] || idle[(i + 2) % NR])
#define FIT(i)    (idle[i] && (keeper != i || !(OTHERS(i) || polls)))
#define ANY_FIT   (FIT(0) || FIT(1) || FIT(2))

/* If none is to be had, the M that is about to lie down stands for a new one. */
inline rt_m_start(p_, g_)
{
	atomic {
		!slock && (ANY_FIT || gone[0] || gone[1] || gone[2]) ->
		if
		:: FIT(0) -> x = 0
		:: FIT(1) -> x = 1
		:: FIT(2) -> x = 2
		:: !ANY_FIT && gone[0] -> x = 0
		:: !ANY_FIT && gone[1] -> x = 1
		:: !ANY_FIT && gone[2] -> x = 2
		fi;
		gone[x] = 0;
		idle_ms_remove(x);
		next_p[x] = p_;
		goroutine[x] = g_;
		notified[x] = 1;
		x = 0;
		p_ = 0
	}
}

/* Who has it puts the kick into the word; the keeper alone takes it back. */
inline rt_netpoll_kick()
{
#ifndef NO_KICK
	kick = 1
#else
	skip
#endif
}

/* Locked. */
inline keeper_take()
{
	if
	:: keeper != NOBODY && !polls && idle_ps ->
		x = keeper;
		idle_ms_remove(x);
		idle_get(a);
		next_p[x] = a;
		notified[x] = 1;
		x = 0
	:: else
	fi
}

/* when: u */
inline rt_keeper_check()
{
#ifdef NO_FENCE1
	a = RD(UNTIL);
#else
	atomic { FENCE(); a = RD(UNTIL) }
#endif
	if
	:: u >= a || !idle_ps
	:: else ->
		if
		:: polls -> rt_netpoll_kick()
		:: !polls && a == FOREVER
		:: !polls && a != FOREVER ->
			atomic {
				DRAINED && !slock -> keeper_take();
				if
				:: polls -> rt_netpoll_kick()
				:: else
				fi
			}
		fi
	fi;
	atomic { a = 0; u = 0 }
}

#define KEPT_LOCKED (on -> polls : keeper != NOBODY)

proctype m(byte me)
{
	byte p, a, u, x;

	if
	:: me == 0 -> goto runs
	:: me == 1 -> goto stop
	:: me == 2 -> came -> goto stop
	fi;

runs:	/* a goroutine */
	if
	:: atomic { cancels && heap[0] && DRAINED && HEAP_FREE(0) -> cancels--; cancel_first(0) }
	:: atomic { cancels && heap[1] && DRAINED && HEAP_FREE(1) -> cancels--; cancel_first(1) }
#if POLLS == 2
	:: atomic { DRAINED && !on && !slock -> on = 1; keeper_take(); goto runs }
#endif
	:: skip
	fi;
	if
	:: atomic { arms && !(heap[p] & 2) -> arms--; u = 1; heap_set(p, heap[p] | 2) }
		rt_keeper_check()
	:: atomic { arms && !(heap[p] & 6) -> arms--; u = 2; heap_set(p, heap[p] | 4) }
		rt_keeper_check()
	:: skip
	fi;
	if
	:: FENCE(); goto computes
	:: arms || cancels -> goto runs /* parks; another one runs */
	:: goto looks /* parks, and there is no other */
#if WORK
	:: atomic { !now && DRAINED -> gone[me] = 1 }
		rt_m_start(p, 1);
		goto asleep
#endif
	:: atomic { !now && DRAINED -> gone[me] = 1 }
	fi;

	/* rt_p_handoff(), nothing in p's queues */
	atomic {
		DRAINED && !slock ->
		if
		:: KEPT_LOCKED -> idle_ps = idle_ps | (1 << p); p = 0; goto check
		:: else -> slock = 1; a = RD(NEXT(0))
		fi
	}
	atomic {
		a = LEAST(a, RD(NEXT(1)));
		slock = 0;
		if
		:: a == FOREVER && !on -> idle_ps = idle_ps | (1 << p); p = 0; goto check
		:: else -> a = 0
		fi
	}
	rt_m_start(p, 0);
	goto asleep;
check:
#ifndef ANY_KEEPER
	atomic { FENCE(); a = RD(NEXT(0)) }
	atomic { u = LEAST(a, RD(NEXT(1))); a = 0 }
	rt_keeper_check();
#endif
	atomic { a = 0; goto asleep }

looks:	/* rt_find_g0() */
	if
	:: !now
	:: else ->
		atomic {
			if
			:: RD(NEXT(0)) <= now -> heap_set(0, heap[0] & (14 << now)); goto runs
			:: else
			fi
		}
		atomic {
			if
			:: RD(NEXT(1)) <= now -> heap_set(1, heap[1] & (14 << now)); goto runs
			:: else
			fi
		}
	fi;
	atomic { DRAINED && !slock -> idle_ps = idle_ps | (1 << p); p = 0 } /* give_up_p() */
	atomic { FENCE(); a = RD(NEXT(0)) } /* look_again() */
	atomic {
		a = LEAST(a, RD(NEXT(1)));
		if
		:: a > now -> goto stop
		:: else -> a = 0
		fi
	}
	atomic {
		!slock ->
		if
		:: idle_ps -> idle_get(p); goto looks
		:: else
		fi
	}

stop:	/* rt_m_stop_g0(): a, is somebody late? */
	atomic {
		DRAINED && !slock -> idle[me] = 1; p = 0; a = 0; came = came || me == 1;
		if
		:: keeper != NOBODY -> slock = 1; a = RD(NEXT(0))
		:: keeper == NOBODY && idle_ps -> slock = 1; goto begins
		:: keeper == NOBODY && !idle_ps -> until[me] = FOREVER; goto asleep
		fi
	}
	atomic {
		a = (LEAST(a, RD(NEXT(1))) < mem[UNTIL]);
#ifdef NO_REPLACE
		a = 0;
#endif
		if
		:: idle_ps && (!KEPT_LOCKED || (a && !polls)) -> skip
		:: else -> slock = 0; until[me] = FOREVER; goto late
		fi
	}
begins:	/* keeper_begin_locked(); a stays: who was late before is not any more */
	u = RD(NEXT(0));
	atomic { u = LEAST(u, RD(NEXT(1))); keeper = me; polls = on }
	do
	:: atomic { WR(UNTIL, u); a = u }
#ifdef NO_FENCE2
		u = RD(NEXT(0));
#else
		atomic { FENCE(); u = RD(NEXT(0)) }
#endif
		atomic {
			u = LEAST(u, RD(NEXT(1)));
			if
#ifdef ONE_LOOK
			:: a = LEAST(a, u); WR(UNTIL, a); break
#else
			:: u < a
			:: else ->
#ifdef RAISE
				a = u; WR(UNTIL, a);
#endif
				break
#endif
			fi
		}
	od;
	atomic {
		DRAINED ->
		if
		:: a == FOREVER && !polls -> keeper = NOBODY
		:: else
		fi;
		slock = 0;
		until[me] = a;
		u = 0;
		a = 0;
		goto asleep
	}
late:	if
	:: a ->
		u = RD(NEXT(0));
		atomic { u = LEAST(u, RD(NEXT(1))); a = 0 }
		rt_keeper_check()
	:: else
	fi;
asleep:	skip;
end_asleep:
	if
	:: atomic {
			notified[me] -> notified[me] = 0;
			until[me] = AWAKE;
			p = next_p[me];
			next_p[me] = 0;
			if
			:: goroutine[me] -> goroutine[me] = 0; goto runs
			:: else -> goto looks
			fi
		}
	:: atomic { kick && keeper == me && polls -> kick = 0 }
	:: atomic { ticks && until[me] < FOREVER -> ticks--; now = (now < until[me] -> until[me] : now) }
		if
		:: keeper == me && polls
		:: else ->
			atomic { /* stop_ended() */
				!slock ->
				if
				:: !idle[me] -> goto asleep /* being notified */
				:: else
				fi;
				until[me] = AWAKE;
				a = idle_ps;
				if
				:: a -> idle_get(p)
				:: else
				fi;
				idle_ms_remove(me);
				if
				:: a -> a = 0; goto looks
				:: else -> goto stop
				fi
			}
		fi
	fi;
	atomic { /* poll_ended() */
		!slock -> slock = 1;
		idle_ms_remove(me);
		until[me] = AWAKE;
		a = RD(NEXT(0))
	}
	atomic {
		a = LEAST(a, RD(NEXT(1)));
		slock = 0;
		if
		:: a <= now && idle_ps -> a = 0; idle_get(p); goto looks
		:: else -> a = 0; goto stop
		fi
	}
computes:
	skip
}

/* rt_ready_foreign() */
proctype foreign()
{
	byte p, x;

	if
	:: atomic { !slock && idle_ps -> idle_get(p) }
		rt_m_start(p, 1)
	:: skip /* never comes */
	fi
}

/* Sysmon sleeps when all Ps idle, else it looks at the heaps in time. */
#ifdef RUNNING_ONLY
#define SYSMON(i) (!(idle_ps & (1 << i)))
#else
#define SYSMON(i) (idle_ps != 3)
#endif
#define BY(i, m) (until[m] <= mem[NEXT(i)])
#define KEPT(i)  (mem[NEXT(i)] == FOREVER || BY(i, 0) || BY(i, 1) || BY(i, 2) || SYSMON(i))

init {
	atomic {
		if
		:: heap[1] = 0
		:: heap[1] = 8
#if CANCELS
		:: heap[1] = 8 + 2
		:: heap[1] = 8 + 4
#endif
		fi;
		mem[NEXT(0)] = FOREVER;
		mem[NEXT(1)] = FIRST(heap[1]);
		mem[UNTIL] = FOREVER;
		idle_ps = 2;
		run m(0);
		run m(1);
#if MS > 2
		run m(2);
#endif
#if FOREIGN
		run foreign()
#endif
	}
	timeout ->
	assert(KEPT(0));
	assert(KEPT(1));
	assert(mem[UNTIL] == (keeper == NOBODY -> FOREVER : until[keeper]));
	assert(!idle_ps || keeper == NOBODY || (BY(0, keeper) && BY(1, keeper)));
	assert(!on || idle_ps != 3 || polls)
}
