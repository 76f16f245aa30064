/* SPDX-License-Identifier: MIT */
/*
 * gkmsg.c - /dev/kmsg: one record a read, from where the descriptor stands
 *
 * Others use the machine too: what is said of them at the level of news (a
 * program that crashed, a group without room) is theirs.
 */
#include "lib/gkmsg.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/gcheck.h"

enum { WARNING = 4 }; /* and below: errors, alerts */

static int fd = -1;

void g_kmsg_begin(void)
{
	if (fd >= 0)
		close(fd);
	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
}

/* "LEVEL,NUMBER,TIME,FLAGS;text"; facility 0, in the bits above, is the kernel. */
static bool complains(const char *record)
{
	long prefix = strtol(record, NULL, 10);
	const char *text = strchr(record, ';');

	if (prefix >> 3 || !text)
		return false;
	return (prefix & 7) <= WARNING || strcasestr(text, "bpf");
}

void g_kmsg_end(void)
{
	char record[8192];
	ssize_t n;

	if (fd < 0)
		return;
	/* EPIPE: records were overwritten before they could be read */
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		record[n > 0 ? n : 0] = '\0';
		if (complains(record))
			G_FAIL("the kernel's log: %s", record);
	}
	close(fd);
	fd = -1;
}
