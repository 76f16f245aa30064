/* SPDX-License-Identifier: MIT */
/*
 * How many CPUs there are to use: the affinity mask's, or less if the process'
 * cgroup or one above it says so, in v1 and v2; what can't be understood is no
 * limit. The files are made up, and so is the affinity, so that the machine
 * does not matter.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sys.h"
#include "core/cpus.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

/* ---- a made-up machine --------------------------------------------- */

static int nr_cpus = 100; /* 0: the real ones */
static size_t kernel_mask_bytes = 128;

/* In place of libc's. */
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	if (!nr_cpus) {
		CPU_ZERO_S(size, set); /* the kernel writes as much as it has */
		return syscall(SYS_sched_getaffinity, pid, size, set) < 0 ? -1 : 0;
	}
	if (size < kernel_mask_bytes) {
		errno = EINVAL;
		return -1;
	}
	CPU_ZERO_S(size, set);
	/* Not the first ones, nor side by side. */
	for (int i = 0; i < nr_cpus; i++)
		CPU_SET_S((size_t)(8 * kernel_mask_bytes) - 1 - 2 * (size_t)i, size, set);
	return 0;
}

static char root[PATH_MAX / 4];

static void make_root(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(root, sizeof(root), "%s/gmprt-cpus-XXXXXX", tmp ? tmp : "/tmp");
	G_TRUE(mkdtemp(root));
}

static void put(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		G_TRUE(mkdir(full, 0700) == 0 || errno == EEXIST);
	}
	f = fopen(full, "w");
	G_TRUE(f);
	fputs(text, f);
	fclose(f);
}

FIXTURE(machine)
{
	int unused;
};

FIXTURE_SETUP(machine)
{
	make_root();
}

FIXTURE_TEARDOWN(machine)
{
	char cmd[PATH_MAX];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", root);
	G_EQ(system(cmd), 0);
}

#define V2(dir) "/sys/fs/cgroup" dir "/cpu.max"

/* ---- v2 ------------------------------------------------------------ */

TEST_F(machine, without_cgroups_the_affinity_mask_counts)
{
	G_EQ(rt_cpus_usable_under(root), 100);
	nr_cpus = 7;
	G_EQ(rt_cpus_usable_under(root), 7);
}

TEST_F(machine, mask_larger_than_cpu_set_t_is_counted)
{
	kernel_mask_bytes = 1024;
	nr_cpus = 3000;
	G_EQ(rt_cpus_usable_under(root), 3000);
}

TEST_F(machine, mask_that_cant_be_read_means_one)
{
	kernel_mask_bytes = SIZE_MAX;
	G_EQ(rt_cpus_usable_under(root), 1);
}

TEST_F(machine, quota_is_rounded_up)
{
	put("/proc/self/cgroup", "0::/a\n");
	put(V2("/a"), "200000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 2);
	put(V2("/a"), "200001 100000\n");
	G_EQ(rt_cpus_usable_under(root), 3);
	put(V2("/a"), "1000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 1);
}

TEST_F(machine, limit_above_the_affinity_changes_nothing)
{
	put("/proc/self/cgroup", "0::/a\n");
	put(V2("/a"), "10100000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 100);
	put(V2("/a"), "9223372036854775807 1\n");
	G_EQ(rt_cpus_usable_under(root), 100);
}

TEST_F(machine, max_is_no_limit)
{
	put("/proc/self/cgroup", "0::/a\n");
	put(V2("/a"), "max 100000\n");
	G_EQ(rt_cpus_usable_under(root), 100);
}

TEST_F(machine, least_limit_of_a_group_and_its_ancestors_binds)
{
	put("/proc/self/cgroup", "0::/a/b/c\n");
	put(V2("/a/b/c"), "400000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 4);
	put(V2("/a/b"), "max 100000\n");
	G_EQ(rt_cpus_usable_under(root), 4);
	put(V2("/a"), "250000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 3);
	put(V2(""), "200000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 2);
	put("/sys/fs/cpu.max", "100000 100000\n"); /* above the mount */
	G_EQ(rt_cpus_usable_under(root), 2);
}

TEST_F(machine, group_that_is_not_visible_leaves_the_mount_root)
{
	put("/proc/self/cgroup", "0::/docker/0123456789\n");
	put(V2(""), "500000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 5);
}

TEST_F(machine, process_in_the_root_group)
{
	put("/proc/self/cgroup", "0::/\n");
	put(V2(""), "500000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 5);
}

TEST_F(machine, sibling_and_child_groups_dont_bind)
{
	put("/proc/self/cgroup", "0::/a/b\n");
	put(V2("/a/b"), "400000 100000\n");
	put(V2("/a/b2"), "100000 100000\n");
	put(V2("/a/b/c"), "100000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 4);
}

TEST_F(machine, path_may_hold_colons_and_blanks)
{
	put("/proc/self/cgroup", "0::/a:b c/d\n");
	put(V2("/a:b c"), "300000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 3);
}

/* ---- v1 and both --------------------------------------------------- */

#define V1 "/sys/fs/cgroup/cpu,cpuacct"

static void put_v1(const char *group, const char *quota, const char *period)
{
	char path[256];

	snprintf(path, sizeof(path), V1 "%s/cpu.cfs_quota_us", group);
	put(path, quota);
	snprintf(path, sizeof(path), V1 "%s/cpu.cfs_period_us", group);
	put(path, period);
}

TEST_F(machine, v1_quota_of_a_group_and_its_ancestors_binds)
{
	put("/proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/a/b\n1:name=systemd:/x\n");
	put_v1("/a/b", "-1\n", "100000\n");
	G_EQ(rt_cpus_usable_under(root), 100);
	put_v1("/a/b", "350000\n", "100000\n");
	G_EQ(rt_cpus_usable_under(root), 4);
	put_v1("", "60000\n", "30000\n");
	G_EQ(rt_cpus_usable_under(root), 2);
}

TEST_F(machine, v1_cpuset_and_cpuacct_alone_are_not_the_cpu_controller)
{
	put("/proc/self/cgroup", "4:cpuset:/a\n5:cpuacct:/a\n6:xcpu:/a\n");
	for (int i = 0; i < 3; i++) {
		static const char *const name[] = { "cpuset", "cpuacct", "xcpu" };
		char path[256];

		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/a/cpu.cfs_quota_us", name[i]);
		put(path, "100000\n");
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/a/cpu.cfs_period_us", name[i]);
		put(path, "100000\n");
	}
	G_EQ(rt_cpus_usable_under(root), 100);
}

TEST_F(machine, v1_controller_is_found_anywhere_in_its_list)
{
	put("/proc/self/cgroup", "4:cpuset,cpuacct,cpu:/a\n");
	put("/sys/fs/cgroup/cpuset,cpuacct,cpu/a/cpu.cfs_quota_us", "300000\n");
	put("/sys/fs/cgroup/cpuset,cpuacct,cpu/a/cpu.cfs_period_us", "100000\n");
	G_EQ(rt_cpus_usable_under(root), 3);
}

TEST_F(machine, hybrid_reads_v1_and_the_unified_mount)
{
	put("/proc/self/cgroup", "4:cpu,cpuacct:/a\n0::/u\n");
	put_v1("/a", "500000\n", "100000\n");
	put("/sys/fs/cgroup/unified/u/cpu.max", "600000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 5);
	put("/sys/fs/cgroup/unified/u/cpu.max", "200000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 2);
}

/* ---- what is no limit ---------------------------------------------- */

TEST_F(machine, malformed_cpu_max_is_no_limit)
{
	static const char *const bad[] = {
		"", "\n", "100000\n", "100000 \n", "abc def\n", "-1 100000\n", "0 100000\n",
		"100000 0\n", "100000 -5\n", "max\n", " max 5\n", "0x10 0x10\n",
	};

	put("/proc/self/cgroup", "0::/a\n");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		put(V2("/a"), bad[i]);
		if (rt_cpus_usable_under(root) != 100)
			G_FAIL("\"%s\" counts as a limit", bad[i]);
	}
}

TEST_F(machine, malformed_v1_files_are_no_limit)
{
	put("/proc/self/cgroup", "4:cpu,cpuacct:/a\n");
	put_v1("/a", "100000\n", "");
	G_EQ(rt_cpus_usable_under(root), 100);
	put_v1("/a", "", "100000\n");
	G_EQ(rt_cpus_usable_under(root), 100);
	put_v1("/a", "x\n", "y\n");
	G_EQ(rt_cpus_usable_under(root), 100);
	put_v1("/a", "100000\n", "0\n");
	G_EQ(rt_cpus_usable_under(root), 100);
}

TEST_F(machine, malformed_cgroup_lines_are_passed_over)
{
	put("/proc/self/cgroup", "\n\nnonsense\n0:\n:\n::\n4:cpu\n4:cpu:\n0::/a");
	put(V2("/a"), "300000 100000\n");
	G_EQ(rt_cpus_usable_under(root), 3);
	put("/proc/self/cgroup", "");
	G_EQ(rt_cpus_usable_under(root), 100);
}

TEST_F(machine, endless_paths_and_lists_do_no_harm)
{
	static char line[3 * PATH_MAX];

	put(V2(""), "300000 100000\n");
	for (size_t n = PATH_MAX - 300; n < 2 * PATH_MAX; n += 37) {
		memcpy(line, "0::", 3);
		memset(line + 3, '/', n);
		memcpy(line + 3 + n, "\n", 2);
		put("/proc/self/cgroup", line);
		G_GE(rt_cpus_usable_under(root), 3);
	}
	memset(line, 'x', 5000);
	memcpy(line, "4:cpu,", 6);
	memcpy(line + 3000, ":/a\n", 5);
	put("/proc/self/cgroup", line);
	G_EQ(rt_cpus_usable_under(root), 100);
}

/* ---- the machine that is there ------------------------------------- */

TEST(real_answer_is_between_one_and_the_affinity)
{
	cpu_set_t set;

	nr_cpus = 0;
	G_OK(sched_getaffinity(0, sizeof(set), &set));
	G_GE(rt_cpus_usable(), 1);
	G_LE(rt_cpus_usable(), CPU_COUNT(&set));
}

TEST(what_cant_be_read_for_a_passing_reason_is_no_answer)
{
	int n;

	nr_cpus = 0;
	n = rt_cpus_usable_now();
	G_EQ(n, rt_cpus_usable());
	rt_fault_arm(1);
	G_EQ(rt_cpus_usable_now(), -EMFILE);
	rt_fault_arm(1);
	G_GE(rt_cpus_usable(), 1); /* the start needs one */
	G_EQ(n, rt_cpus_usable_now());
}

TEST_HARNESS_MAIN
