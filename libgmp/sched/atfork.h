/* SPDX-License-Identifier: MIT */
/*
 * atfork.h - the child of fork(); see atfork.c
 */
#ifndef RT_SCHED_ATFORK_H
#define RT_SCHED_ATFORK_H

#include "base/compiler.h"

struct rt_g;

/* For what there was no memory for when the library was loaded. 0 or -ENOMEM;
 * the caller is the only one. */
int rt_atfork_install(void) __must_check;

/* In a child: the goroutine whose code its thread runs, if addr lies in that
 * one's stack. Else NULL. */
struct rt_g *rt_orphan_at(const void *addr);
/* In a child: the goroutine g is over ("returned", ...), and nothing follows. */
_Noreturn void rt_orphan_end(const struct rt_g *g, const char *how);

#endif
