/* SPDX-License-Identifier: MIT */
/*
 * eh.c - see eh.h
 */
#include "base/eh.h"

/* The C++ ABI's; its struct begins with ours. */
extern void *__cxa_get_globals(void) __attribute__((weak));

struct rt_eh *rt_eh_of_thread(void)
{
	return __cxa_get_globals ? __cxa_get_globals() : NULL;
}
