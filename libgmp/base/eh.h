/* SPDX-License-Identifier: MIT */
/*
 * eh.h - the C++ run time's current exceptions, for each goroutine its own
 *
 * Problem: C++ keeps the chain of caught exceptions and the number of uncaught
 * ones by thread (the Itanium ABI's __cxa_eh_globals, two words). A goroutine
 * that blocks inside a catch block, or in a destructor while an exception
 * flies, would leave its chain to the next goroutine on that thread.
 *
 * So a switch takes the two words off the thread and puts them back where the
 * goroutine goes on. Invariant: the words belong to the goroutine that runs;
 * on g0, and at a goroutine's birth, they are zero.
 *
 * Whether there is a C++ run time is asked by a weak symbol when a thread
 * begins. In a program without one a switch pays for one test of a byte in a
 * line that it has at hand anyway.
 *
 * Rejected: __cxa_get_globals() at each switch (a call, and its result is a
 * thread-local address that compilers may keep); a flag "has exceptions" in
 * the G (the two words must be read to know).
 */
#ifndef RT_BASE_EH_H
#define RT_BASE_EH_H

#include "base/compiler.h"

struct rt_eh {
	void *caught;
	unsigned int uncaught;
};

/* Of the calling thread; NULL: no C++ here. */
struct rt_eh *rt_eh_of_thread(void);

/* Moves the thread's words to *to. */
static inline void rt_eh_take(struct rt_eh *thread, struct rt_eh *to)
{
	*to = *thread;
	*thread = (struct rt_eh){ 0 };
}

#endif
