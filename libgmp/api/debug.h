/* SPDX-License-Identifier: MIT */
/*
 * debug.h - what GMPRT_DEBUG asks for
 */
#ifndef RT_API_DEBUG_H
#define RT_API_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

struct rt_debug {
	int64_t schedtrace_ms; /* 0: off */
	bool scheddetail;
	bool upcall;
};

/* Reads the environment. What it does not understand it says in one line each
 * and leaves out: a program must not fail for that. */
void rt_debug_read(struct rt_debug *d);

#endif
