/* SPDX-License-Identifier: MIT */
/*
 * point.h - places where a delay may show a race
 *
 * A lock-free protocol goes wrong between two of its steps. `make stress`
 * builds the library with -DRT_POINTS: then rt_point(), written between such
 * steps, waits now and then for a random time, spinning, giving the CPU away,
 * or asleep. Elsewhere it is nothing.
 *
 * GMPRT_POINTS=seed gives the random numbers' start; the interleaving is still
 * the machine's.
 */
#ifndef RT_BASE_POINT_H
#define RT_BASE_POINT_H

#ifdef RT_POINTS
void rt_point(void);
#else
#define rt_point() ((void)0)
#endif

#endif
