/* SPDX-License-Identifier: MIT */
/*
 * gmprt_kmod.h - the calls of /dev/gmprt, the kernel module's device
 *
 * An open file is a session (gmprt_abi.h), from GMPRT_KMOD_CREATE on:
 *
 *	fd = open("/dev/gmprt", O_RDWR | O_CLOEXEC)
 *	ioctl(fd, GMPRT_KMOD_QUERY, &query)	optional
 *	ioctl(fd, GMPRT_KMOD_CREATE, &create)	once; for this process (mm) only
 *	mmap(fd, MAP_SHARED)			the session's memory, whole or in parts
 *	ioctl(fd, GMPRT_KMOD_REGISTER, &m)	each M, for its own thread
 *	ioctl(fd, GMPRT_KMOD_UNREGISTER)
 *	poll(fd, POLLIN), read(fd, &u64)	who waits for a P with `wake`: how often
 *						there was one since the last read
 *
 * The session lives until the file is closed, nothing of it is mapped and no thread
 * is registered any more. A child of fork(), or who was sent the descriptor, is
 * refused everything but GMPRT_KMOD_QUERY: -EPERM.
 *
 * Versions. Each struct begins with its size, as its user knows it. A smaller one
 * gets zeroes for the fields that it lacks; of a larger one the fields that the
 * module does not know must be zero, else -E2BIG. Flags and reserved fields that
 * have no meaning yet must be zero, else -EINVAL.
 */
#ifndef GMPRT_KMOD_H
#define GMPRT_KMOD_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define GMPRT_KMOD_DEVICE "/dev/gmprt"

#define GMPRT_KMOD_QUERY      _IO('G', 0xe0)
#define GMPRT_KMOD_CREATE     _IO('G', 0xe1)
#define GMPRT_KMOD_REGISTER   _IO('G', 0xe2)
#define GMPRT_KMOD_UNREGISTER _IO('G', 0xe3)

/* Anyone who may open the device may ask. */
struct gmprt_kmod_query {
	__u32 size;
	__u32 flags; /* 0 */
	/* The module's answer: */
	__u32 version;  /* GMPRT_ABI_VERSION */
	__u32 features; /* enum gmprt_abi_feature */
	__u32 max_ps, max_ms, max_stride;
	__u32 max_sessions; /* of a user */
};

/* -EINVAL (version, flags, shape), -EBUSY (this file has a session), -EMFILE (the
 * user has max_sessions), -EDQUOT (or too much memory), -ENFILE (so have all users),
 * -ENOMEM. */
struct gmprt_kmod_create {
	__u32 size;
	__u32 flags;   /* 0 */
	__u32 version; /* GMPRT_ABI_VERSION */
	__u32 nr_ps, nr_ms, p_stride;
	/* The module's answer: */
	__u32 session;
	__u32 features;
	__u64 bytes; /* to map */
};

/* -EINVAL (flags, reserved), -ENXIO (no session yet), -EPERM, -ERANGE (m), -EBUSY (m
 * is taken, or the thread is registered), -ENOMEM. */
struct gmprt_kmod_m {
	__u32 size;
	__u32 flags; /* 0 */
	__u32 m;     /* from 1 */
	__u32 reserved;
};

_Static_assert(sizeof(struct gmprt_kmod_query) == 32, "a question has 32 bytes");
_Static_assert(sizeof(struct gmprt_kmod_create) == 40, "a shape has 40 bytes");
_Static_assert(sizeof(struct gmprt_kmod_m) == 16, "an M has 16 bytes");

#endif
