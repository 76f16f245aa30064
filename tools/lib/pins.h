/* SPDX-License-Identifier: MIT */
/*
 * pins.h - the BPF programs as gmpctl pins them and gmpd finds them
 *
 * A folder of a BPF file system, root's. gmpctl makes it and is the only one who
 * writes there.
 */
#ifndef TOOLS_LIB_PINS_H
#define TOOLS_LIB_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PINS_DIR "/sys/fs/bpf/gmprt"

struct pins {
	int sessions, spaces, wakes; /* maps; see bpf/session.h */
	int call;                    /* the program that clients run */
	uint32_t id;                 /* of the map of sessions: others, when loaded anew */
};

/* 0; -ENOENT: nothing is loaded; or another -errno. why: one line with the way out. */
int pins_open(struct pins *p, const char *dir, char *why, size_t size);
void pins_close(struct pins *p);
/* Is `dir`'s map of sessions still the one that was opened? */
bool pins_are(const struct pins *p, const char *dir);

/* A map's ID, 0 if there is none. */
uint32_t map_id(int fd);
/* enum gmprt_hold_kind: the kfunc that this kernel has. -errno: it shows no BTF. */
int kernel_hold(void);

#endif
