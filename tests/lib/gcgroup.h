/* SPDX-License-Identifier: MIT */
/*
 * gcgroup.h - a cgroup of a test's own, v1 or v2, where the machine lets it
 * make one
 */
#ifndef TESTS_LIB_GCGROUP_H
#define TESTS_LIB_GCGROUP_H

#include <stdbool.h>

struct g_cgroup {
	char dir[300];
	bool v2;
	char why[400]; /* none could be made: the reason, for a skip */
};

/* A new group with this controller ("cpu", "pids"); NULL: a v2 group, for what
 * every one of these has. False: see why. */
bool g_cgroup_make(struct g_cgroup *c, const char *controller);

/* This process goes in, with all its threads. */
void g_cgroup_enter(const struct g_cgroup *c);

/* Must succeed. */
void g_cgroup_write(const struct g_cgroup *c, const char *file, const char *text);

/* Nobody may be in it any more. */
void g_cgroup_remove(const struct g_cgroup *c);

#endif
