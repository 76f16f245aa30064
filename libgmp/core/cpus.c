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
 *
 * sysmon asks again once a second while goroutines run, one of which may stand
 * still inside malloc: so nothing is allocated here, and no stdio is used.
 *
 * The mask is that of the calling thread: of gmprt_run()'s caller first, of
 * sysmon later, which inherits it and runs nobody's code. So it changes when
 * the whole process is bound (taskset -ap, a cpuset), and not when one thread
 * is (taskset -p, a goroutine that binds the thread it is locked to).
 */
#include "core/cpus.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/sys.h"

enum {
	CPUS_MAX = 1 << 16, /* eight times what Linux can be built for */
	GROUPS_BYTES = 16 * 1024,
};

static int affinity_count(void)
{
	unsigned long mask[CPUS_MAX / 8 / sizeof(unsigned long)];
	cpu_set_t *set = (cpu_set_t *)(void *)mask;

	/* Fails if the kernel's mask is longer, and need not clear the rest. */
	for (size_t bytes = sizeof(cpu_set_t); bytes <= sizeof(mask); bytes *= 2) {
		memset(mask, 0, bytes);
		if (sched_getaffinity(0, bytes, set) == 0) {
			int n = CPU_COUNT_S(bytes, set);

			return n > 0 ? n : 1;
		}
	}
	return 1;
}

/* What was asked, and whether all of it could be read. */
struct look {
	const char *root;
	int error;
};

/* Not there, or not ours to see: then it is no limit. Else a reason that may
 * pass, such as a process out of file descriptors. */
static bool for_good(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -EACCES || error == -EPERM ||
	       error == -ENAMETOOLONG || error == -ENODEV;
}

static bool read_text(struct look *look, const char *path, char *buf, size_t size)
{
	ssize_t n = rt_file_read(path, buf, size - 1);

	if (n < 0) {
		if (!for_good((int)n))
			look->error = (int)n;
		return false;
	}
	buf[n] = '\0';
	return true;
}

/* dir/name into buf; false: can't. */
static bool read_in(struct look *look, const char *dir, const char *name, char *buf, size_t size)
{
	char path[PATH_MAX + 64];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return false;
	return read_text(look, path, buf, size);
}

static int limit(long long quota, long long period)
{
	long long n;

	if (quota <= 0 || period <= 0)
		return INT_MAX;
	n = quota / period + (quota % period != 0);
	return n < INT_MAX ? (int)n : INT_MAX;
}

static int limit_v2(struct look *look, const char *dir)
{
	long long quota, period;
	char line[128];

	if (!read_in(look, dir, "cpu.max", line, sizeof(line)) ||
	    sscanf(line, "%lld %lld", &quota, &period) != 2)
		return INT_MAX;
	return limit(quota, period);
}

static int limit_v1(struct look *look, const char *dir)
{
	char quota[64], period[64];

	if (!read_in(look, dir, "cpu.cfs_quota_us", quota, sizeof(quota)) ||
	    !read_in(look, dir, "cpu.cfs_period_us", period, sizeof(period)))
		return INT_MAX;
	return limit(atoll(quota), atoll(period));
}

typedef int limit_fn(struct look *look, const char *dir);

/* The least of dir's limit and its parents', up to the first `stop` bytes. */
static int limit_up(struct look *look, char *dir, size_t stop, limit_fn *one)
{
	int least = INT_MAX;

	for (;;) {
		int n = one(look, dir);
		char *slash;

		if (n < least)
			least = n;
		slash = strrchr(dir, '/');
		if (strlen(dir) <= stop || !slash)
			return least;
		*slash = '\0';
	}
}

static int limit_at(struct look *look, const char *mount, const char *group, limit_fn *one)
{
	char dir[PATH_MAX];
	int n = snprintf(dir, sizeof(dir), "%s%s", look->root, mount);
	int m = snprintf(dir + n, sizeof(dir) - (size_t)n, "%s", strcmp(group, "/") ? group : "");

	return n + m < (int)sizeof(dir) ? limit_up(look, dir, (size_t)n, one) : INT_MAX;
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
static int limit_of_line(struct look *look, char *line)
{
	char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
	char mount[160];

	if (!path)
		return INT_MAX;
	*list++ = *path++ = '\0';
	if (*list == '\0') {
		int n = limit_at(look, "/sys/fs/cgroup", path, limit_v2);
		int m = limit_at(look, "/sys/fs/cgroup/unified", path, limit_v2);

		return n < m ? n : m;
	}
	if (!has_controller(list, "cpu"))
		return INT_MAX;
	snprintf(mount, sizeof(mount), "/sys/fs/cgroup/%.100s", list);
	return limit_at(look, mount, path, limit_v1);
}

static int least_of_all(struct look *look)
{
	char text[GROUPS_BYTES], path[PATH_MAX];
	int n = affinity_count();
	char *line, *next;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", look->root);
	if (!read_text(look, path, text, sizeof(text)))
		return n;
	for (line = text; *line; line = next) {
		size_t end = strcspn(line, "\n");
		int l;

		next = line + end + (line[end] != '\0');
		line[end] = '\0';
		l = limit_of_line(look, line);
		if (l < n)
			n = l;
	}
	return n;
}

int rt_cpus_usable_under(const char *root)
{
	struct look look = { .root = root };

	return least_of_all(&look);
}

int rt_cpus_usable(void)
{
	return rt_cpus_usable_under("");
}

int rt_cpus_usable_now(void)
{
	struct look look = { .root = "" };
	int n = least_of_all(&look);

	return look.error ? look.error : n;
}
