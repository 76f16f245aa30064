/* SPDX-License-Identifier: MIT */
/*
 * spin.c - the slow side of spin.h
 */
#include "base/spin.h"

#include <sched.h>
#include <time.h>

enum {
	SPIN_ROUNDS = 12,  /* pauses of 2, 4 .. 64 cpu_relax, then 64 each */
	YIELD_ROUNDS = 32, /* then the CPU is offered to the holder */
};

void rt_backoff(unsigned int *round)
{
	unsigned int r = (*round)++;

	if (r < SPIN_ROUNDS) {
		for (unsigned int i = 0; i < (2u << (r < 5 ? r : 5)); i++)
			cpu_relax();
	} else if (r < SPIN_ROUNDS + YIELD_ROUNDS) {
		sched_yield();
	} else {
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	}
}

__cold void rt_spin_lock_slow(rt_spin *l)
{
	unsigned int round = 0;

	do
		rt_backoff(&round);
	while (load_rlx(&l->word) || !rt_spin_trylock(l));
}
