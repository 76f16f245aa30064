/* SPDX-License-Identifier: MIT */
/*
 * pulse.h - does the kernel's side still see who blocks? See pulse.c
 *
 * All by one thread, which sleeps between its calls.
 */
#ifndef RT_CORE_PULSE_H
#define RT_CORE_PULSE_H

#include <stdbool.h>

#include "core/upcall.h"

struct rt_pulse {
	struct gmprt_abi_m *m; /* NULL: not begun */
	struct gmprt_abi_p *p;
	uint64_t word;
	uint32_t blocks; /* as they were seen last */
	uint32_t missed; /* looks in a row that found no new one */
};

/* The calling thread registers, with slots that are no other's. 0 or -errno. */
int rt_pulse_begin(struct rt_pulse *u, struct rt_upcall *up, uint32_t m, uint32_t p)
	__must_check;
/* After a sleep, or after none. False: no block is seen any more. */
bool rt_pulse_beats(struct rt_pulse *u);

#endif
