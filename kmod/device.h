/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * device.h - /dev/gmprt
 */
#ifndef GMPRT_KMOD_DEVICE_H
#define GMPRT_KMOD_DEVICE_H

int gmprt_device_init(void);
void gmprt_device_exit(void);

#endif
