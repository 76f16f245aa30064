/* SPDX-License-Identifier: MIT */
/*
 * fork.h - for gmprt_exit(): the task that is run in place
 */
#ifndef RT_SYNC_FORK_H
#define RT_SYNC_FORK_H

struct rt_m;

/* m runs a G with a frame: ends the innermost task that a join runs in place. */
_Noreturn void rt_frame_leave(struct rt_m *m);

#endif
