/* SPDX-License-Identifier: MIT */
/*
 * gmpctl.h - the commands; each returns the exit status
 *
 * 0: done. 1: it can't be done, and one line on stderr says why and what to do.
 * (2: called wrongly, main.c's.)
 */
#ifndef GMPCTL_H
#define GMPCTL_H

#include <stdbool.h>

struct options {
	const char *pins;
	bool json;
};

int cmd_load(const struct options *o);
int cmd_unload(const struct options *o);
int cmd_status(const struct options *o);

/* Says the line; returns 1. */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
