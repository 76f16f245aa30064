/* SPDX-License-Identifier: MIT */
/*
 * gkmsg.c - /dev/kmsg: one record a read, from where the descriptor stands
 *
 * Others use the machine too: what is said of them at the level of news (a
 * program that crashed, a group without room) is theirs.
 *
 * A virtual machine may be stopped by its host. The kernel then finds its own
 * threads late by as long as that was, and says so; no program in it can be why, and
 * the time that was stolen shows it.
 */
#include "lib/gkmsg.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/gcheck.h"

enum {
	WARNING = 4, /* and below: errors, alerts */
	STOPPED_S = 10,
};

static int fd = -1;
static double stolen_at_begin;

/* Seconds, of all CPUs together. */
static double stolen(void)
{
	FILE *f = fopen("/proc/stat", "re");
	long long ticks = 0;

	if (f && fscanf(f, "cpu %*d %*d %*d %*d %*d %*d %*d %lld", &ticks) != 1)
		ticks = 0;
	if (f)
		fclose(f);
	return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void g_kmsg_begin(void)
{
	stolen_at_begin = stolen();
	if (fd >= 0)
		close(fd);
	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
}

/* "LEVEL,NUMBER,TIME,FLAGS;text"; facility 0, in the bits above, is the kernel. */
static bool warns(const char *record)
{
	return (strtol(record, NULL, 10) & 7) <= WARNING;
}

static bool complains(const char *record)
{
	const char *text = strchr(record, ';');

	if (strtol(record, NULL, 10) >> 3 || !text)
		return false;
	return warns(record) || strcasestr(text, "bpf");
}

/* Says that something was late, and the machine stood still. */
static bool is_the_hosts(const char *record)
{
	double s = stolen() - stolen_at_begin;

	if (s < STOPPED_S || !(strcasestr(record, "lockup") || strcasestr(record, "stall")))
		return false;
	printf("# the host stopped this machine for %.0f s of CPU time: %s", s, record);
	return true;
}

void g_kmsg_end(void)
{
	bool stopped = false;
	char record[8192];
	ssize_t n;

	if (fd < 0)
		return;
	/* EPIPE: records were overwritten before they could be read */
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		record[n > 0 ? n : 0] = '\0';
		if (!complains(record))
			continue;
		if (is_the_hosts(record))
			stopped = true;
		else if (warns(record) || !stopped) /* else: what it tells about that */
			G_FAIL("the kernel's log: %s", record);
	}
	close(fd);
	fd = -1;
}
