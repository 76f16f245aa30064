/* SPDX-License-Identifier: MIT */
/*
 * sysunix.h - UNIX sockets with message borders, as in sys.h
 *
 * For a daemon on the same machine that is asked once: these block, up to a limit.
 */
#ifndef RT_BASE_SYSUNIX_H
#define RT_BASE_SYSUNIX_H

#include <sys/types.h>

#include "base/compiler.h"

/* A socket (SOCK_SEQPACKET, close-on-exec) whose calls fail with -EAGAIN after so
 * many milliseconds; or -errno. */
int rt_unix_connect(const char *path, int timeout_ms) __must_check;
/* A whole message: 0 or -errno. */
int rt_unix_send(int fd, const void *message, size_t bytes) __must_check;
/* A message and the descriptors with it, -1 for those that did not come. Its
 * bytes, 0 if the other side has closed; or -errno, and then no descriptor is
 * open. */
ssize_t rt_unix_recv(int fd, void *message, size_t bytes, int *fds, int nr_fds) __must_check;

#endif
