/* SPDX-License-Identifier: MIT */
/*
 * block.h - see block.c
 */
#ifndef RT_SCHED_BLOCK_H
#define RT_SCHED_BLOCK_H

/* Contracts: gmprt_block_enter(), gmprt_block_exit() in gmprt.h. */
void rt_block_enter(void);
void rt_block_exit(void);

#endif
