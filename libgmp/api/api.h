/* SPDX-License-Identifier: MIT */
/*
 * api.h - what this layer's files know of each other
 */
#ifndef RT_API_API_H
#define RT_API_API_H

/* Stack overflows are reported from now on (overflow.c). Once a process. */
void rt_overflow_install(void);

/* SIGQUIT dumps from here to there (quit.c). */
void rt_quit_arm(void);
void rt_quit_disarm(void);

#endif
