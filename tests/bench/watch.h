/* SPDX-License-Identifier: MIT */
/*
 * watch.h - what watch.bpf.c counts and watch.c prints
 */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H

#include <linux/types.h>

enum {
	WATCH_MAX_PS = 16,
	WATCH_MAX_CPUS = 64,
	WATCH_MAX_MS = 1024,
	WATCH_LONG_US = 1000,
	WATCH_BUCKETS = 24, /* by powers of two, of us: 0, 1, 2 to 3, 4 to 7, ... */
};

struct watch_counts {
	__u64 switches; /* from or to a registered M */
	__u64 blocks;   /* in goroutine code */
	__u64 kept;     /* and its P was still its own */
	__u64 twice;    /* two Ps with one owner */
	__u64 many;     /* more Ps running than there may be */
	__u64 torn;     /* words that changed while we read them: not compared */
	__u64 most;     /* Ms on CPUs in goroutine code with a P, at a time */
	__u64 over;     /* intervals without a P in goroutine code */
	__u64 longest_ns;
	__u64 unseen; /* runs on a CPU that we have not seen it come to */
	/* Of `over` those of WATCH_LONG_US and more: where the switch to the M was
	 * unseen; where the kernel's side sent no SIGURG meanwhile; where it did. */
	__u64 long_unseen, long_unasked, long_asked;
	__u64 over_us[WATCH_BUCKETS];
};

#endif
