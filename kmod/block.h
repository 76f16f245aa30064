/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * block.h - an M has blocked: its P is freed; it runs again: the P is taken back
 *
 * All by the M's own thread.
 */
#ifndef GMPRT_KMOD_BLOCK_H
#define GMPRT_KMOD_BLOCK_H

#include "thread.h"

/* In the switch away from it: nothing may wake, sleep, allocate or lock. */
void gmprt_blocked(struct gmprt_thread *t);
void gmprt_pauses_alone(struct gmprt_thread *t);
void gmprt_ends(struct gmprt_thread *t); /* for good */

/* In the switch to it. */
void gmprt_runs_again(struct gmprt_thread *t);
void gmprt_resumes_alone(struct gmprt_thread *t);

/* It was stopped on its way to user mode. */
void gmprt_return(struct gmprt_thread *t);

#endif
