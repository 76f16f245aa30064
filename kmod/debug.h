/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * debug.h - /sys/kernel/debug/gmprt
 */
#ifndef GMPRT_KMOD_DEBUG_H
#define GMPRT_KMOD_DEBUG_H

void gmprt_debug_init(void);
void gmprt_debug_exit(void);

#endif
