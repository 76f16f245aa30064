/* SPDX-License-Identifier: MIT */
/*
 * nap.pml - libgmp/sched/nap.c: sysmon is woken, whatever it sleeps on
 *
 * Claim: sysmon does not sleep, with no time to wake up at, on a word that has
 * changed since it last read it; and event_fd is not raised once it is closed.
 *
 * Covered: rt_sysmon_wake (the word, raisers, in_epoll, the eventfd or the futex),
 * nap_in_epoll, rt_nap_deep, rt_nap_close after sysmon's end. The pair under test is
 * the word against in_epoll, and raisers against in_epoll.
 *
 * Bounds: two wakers that wake once each; sysmon sleeps SLEEPS times, in epoll or in
 * the futex, and ends; then the fds are closed.
 *
 * Must fail: -DNO_FENCE (sysmon looks at the word without a barrier after in_epoll),
 * -DNO_LOOK (it does not look), -DNO_RAISERS (who closes does not wait for wakers).
 */
#ifndef SLEEPS
#define SLEEPS 2
#endif
#define NPROC 3
#define NVAR  3
#define SB    2
#include "tso.h"

#define WORD     0
#define IN_EPOLL 1
#define RAISERS  2

bit raised, futex_asleep, closed, ended;
byte woken; /* wakes that are over */

proctype waker(byte me)
{
	byte got;
	bit in_epoll;

	FADD(got, WORD, 1);
#ifndef NO_RAISERS
	FADD(got, RAISERS, 1);
#endif
	in_epoll = RD(IN_EPOLL);
	if
	:: in_epoll -> atomic { assert(!closed); raised = 1 }
	:: else -> futex_asleep = 0
	fi;
#ifndef NO_RAISERS
	FADD(got, RAISERS, -1);
#endif
	atomic { got = 0; in_epoll = 0; woken++ }
}

inline sleep_in_epoll()
{
#ifdef NO_FENCE
	WR(IN_EPOLL, 1);
#else
	XCHG(got, IN_EPOLL, 1);
#endif
#ifndef NO_LOOK
	if
	:: RD(WORD) == seen -> raised -> raised = 0
	:: else
	fi;
#else
	raised -> raised = 0;
#endif
	XCHG(got, IN_EPOLL, 0)
}

/* The kernel compares and goes to sleep in one step. */
inline sleep_in_futex()
{
	atomic {
		DRAINED ->
		if
		:: mem[WORD] == seen -> futex_asleep = 1
		:: else
		fi
	};
	!futex_asleep
}

/* It ends after it has been woken for the end, as by the end of a run. */
proctype sysmon(byte me)
{
	byte got, seen, n;

	do
	:: n < SLEEPS && RD(WORD) < 2 ->
		seen = RD(WORD);
		if
		:: seen < 2 ->
			if
			:: sleep_in_epoll()
			:: sleep_in_futex()
			fi
		:: else
		fi;
		n++
	:: else -> break
	od;
	ended = 1;
#ifndef NO_RAISERS
	mem[RAISERS] == 0;
#endif
	atomic { DRAINED -> closed = 1; got = 0; seen = 0; n = 0 }
}

init {
	atomic {
		run waker(0);
		run waker(1);
		run sysmon(2)
	}
	timeout ->
	assert(woken == 2 && closed)
}
