/* SPDX-License-Identifier: MIT */
/*
 * cpus.c - affinity and cgroup limits
 *
 * /proc/self/cgroup names the group; the limit of any ancestor binds as well,
 * so each directory from the group up to the mount is read. v2 has
 * "quota period" or "max period" in cpu.max, v1 two files in the cpu
 * controller's own hierarchy, quota -1 for none. What can't be read is no
 * limit: inside a container the path may name a directory that is not
 * visible, then only the mount's root is.
 */
#include "core/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

static int affinity_count(void)
{
	/* More CPUs than a cpu_set_t holds: the call fails, ask for more. */
	for (int cpus = CPU_SETSIZE; cpus <= 1 << 20; cpus *= 2) {
		cpu_set_t *set = CPU_ALLOC(cpus);
		size_t size = CPU_ALLOC_SIZE(cpus);
		int n = 0;

		if (set && sched_getaffinity(0, size, set) == 0)
			n = CPU_COUNT_S(size, set);
		CPU_FREE(set);
		if (n > 0)
			return n;
	}
	return 1;
}

/* One line of dir/name into buf; false: can't. */
static int read_line(const char *dir, const char *name, char *buf, int size)
{
	char path[PATH_MAX + 64];
	FILE *f;
	int ok;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return 0;
	f = fopen(path, "re");
	if (!f)
		return 0;
	ok = fgets(buf, size, f) != NULL;
	fclose(f);
	return ok;
}

static int limit(long long quota, long long period)
{
	long long n;

	if (quota <= 0 || period <= 0)
		return INT_MAX;
	n = quota / period + (quota % period != 0);
	return n < INT_MAX ? (int)n : INT_MAX;
}

static int limit_v2(const char *dir)
{
	long long quota, period;
	char line[128];

	if (!read_line(dir, "cpu.max", line, sizeof(line)) ||
	    sscanf(line, "%lld %lld", &quota, &period) != 2)
		return INT_MAX;
	return limit(quota, period);
}

static int limit_v1(const char *dir)
{
	char quota[64], period[64];

	if (!read_line(dir, "cpu.cfs_quota_us", quota, sizeof(quota)) ||
	    !read_line(dir, "cpu.cfs_period_us", period, sizeof(period)))
		return INT_MAX;
	return limit(atoll(quota), atoll(period));
}

/* The least of dir's limit and its parents', up to the first `stop` bytes. */
static int limit_up(char *dir, size_t stop, int (*one)(const char *))
{
	int least = INT_MAX;

	for (;;) {
		int n = one(dir);
		char *slash;

		if (n < least)
			least = n;
		slash = strrchr(dir, '/');
		if (strlen(dir) <= stop || !slash)
			return least;
		*slash = '\0';
	}
}

static int limit_at(const char *root, const char *mount, const char *group,
		    int (*one)(const char *))
{
	char dir[PATH_MAX];
	int n = snprintf(dir, sizeof(dir), "%s%s", root, mount);
	int m = snprintf(dir + n, sizeof(dir) - (size_t)n, "%s", strcmp(group, "/") ? group : "");

	return n + m < (int)sizeof(dir) ? limit_up(dir, (size_t)n, one) : INT_MAX;
}

static int has_controller(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; (p = strstr(p, name)); p += n)
		if ((p == list || p[-1] == ',') && (p[n] == ',' || p[n] == '\0'))
			return 1;
	return 0;
}

/* A line of /proc/self/cgroup: "number:controllers:path". */
static int limit_of_line(const char *root, char *line)
{
	char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
	char mount[160];

	if (!path)
		return INT_MAX;
	*list++ = *path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	if (*list == '\0') {
		int n = limit_at(root, "/sys/fs/cgroup", path, limit_v2);
		int m = limit_at(root, "/sys/fs/cgroup/unified", path, limit_v2);

		return n < m ? n : m;
	}
	if (!has_controller(list, "cpu"))
		return INT_MAX;
	snprintf(mount, sizeof(mount), "/sys/fs/cgroup/%.100s", list);
	return limit_at(root, mount, path, limit_v1);
}

int rt_cpus_usable_under(const char *root)
{
	char line[PATH_MAX + 128], path[PATH_MAX];
	int n = affinity_count();
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		int l = limit_of_line(root, line);

		if (l < n)
			n = l;
	}
	if (f)
		fclose(f);
	return n > 0 ? n : 1;
}

int rt_cpus_usable(void)
{
	return rt_cpus_usable_under("");
}
