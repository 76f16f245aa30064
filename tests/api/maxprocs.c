/* SPDX-License-Identifier: MIT */
/*
 * maxprocs.c - proves: the number of Ps can be asked for and changed while
 * goroutines run; unless the program has set it, it follows the CPUs that the
 * process may use, as long as anything runs
 *
 * That no more than that many goroutines run at a time is tests/unit/procs.c's:
 * from outside, one that was preempted looks like one that runs.
 */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/gcgroup.h"
#include "lib/gtest.h"

static gmprt_wg wg;
static long running;

G_TEST(setting_returns_what_was_before)
{
	G_EQ(g_procs, gmprt_maxprocs(0));
	G_EQ(g_procs, gmprt_maxprocs(-5));
	G_EQ(g_procs, gmprt_maxprocs(3));
	G_EQ(3, gmprt_maxprocs(0));
	G_EQ(3, g_stats().maxprocs);
	G_EQ(3, gmprt_maxprocs(100000));
	G_EQ(1024, gmprt_maxprocs(1));
	G_EQ(1, gmprt_maxprocs(g_procs));
	G_EQ(g_procs, gmprt_maxprocs(0));
}

TEST(outside_a_run_it_can_only_be_asked_for)
{
	G_GE(gmprt_maxprocs(0), 1);
	G_EQ(-EPERM, gmprt_maxprocs(2));
}

static void adds(void *n)
{
	for (long i = 0; i < (intptr_t)n; i++) {
		g_inc(&running);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

G_TEST(no_goroutine_is_lost_while_the_number_changes)
{
	uint64_t rand = 5;
	long n = G_LOOPS(3000);

	gmprt_wg_add(&wg, 50);
	for (int i = 0; i < 50; i++)
		g_go(adds, (void *)(intptr_t)n);
	while (gmprt_wg_wait_try(&wg) != 0) {
		gmprt_maxprocs(1 + (int)(g_rand(&rand) % 8));
		gmprt_sleep(G_MS / 5);
	}
	G_EQ(50 * n, g_load(&running));
}

/* ---- the affinity mask -------------------------------------------- */

/* Tests that take seconds, with no number of Ps of their own. */
FIXTURE(machine)
{
	int unused;
};

FIXTURE_SETUP(machine)
{
}

FIXTURE_TEARDOWN(machine)
{
}

static cpu_set_t all, one;

/* Fills both masks; false: there is no smaller mask than this machine's. */
static bool have_two_cpus(void)
{
	unsetenv("GMPRT_MAXPROCS");
	unsetenv("GOMAXPROCS");
	G_OK(sched_getaffinity(0, sizeof(all), &all));
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	return gmprt_maxprocs(0) > 1;
}

/* As taskset -ap does. A thread that is being made inherits from a thread that
 * has been bound before, or is seen by the second round. */
static void bind_process(const cpu_set_t *set)
{
	for (int round = 0; round < 2; round++) {
		DIR *dir = opendir("/proc/self/task");
		struct dirent *e;

		G_TRUE(dir);
		while ((e = readdir(dir)))
			if (e->d_name[0] != '.')
				(void)!sched_setaffinity(atoi(e->d_name), sizeof(*set), set);
		closedir(dir);
	}
}

/* A program that does next to nothing, but something. */
static void until_procs(int n)
{
	while (gmprt_maxprocs(0) != n)
		gmprt_sleep(5 * G_MS);
}

static void stays(int n)
{
	for (int64_t end = g_now() + 1500 * G_MS; g_now() < end;) {
		gmprt_sleep(5 * G_MS);
		G_EQ(n, gmprt_maxprocs(0));
	}
}

static void is_bound_and_set_free(void)
{
	int n = gmprt_maxprocs(0);

	bind_process(&one);
	until_procs(1);
	G_EQ(1, g_stats().maxprocs);
	bind_process(&all);
	until_procs(n);
	/* One thread that is bound is the program's own affair. */
	gmprt_lock_os_thread();
	G_OK(sched_setaffinity(0, sizeof(one), &one));
	stays(n);
	G_OK(sched_setaffinity(0, sizeof(all), &all));
	gmprt_unlock_os_thread();
	/* A number that the program has set is the program's. */
	G_EQ(n, gmprt_maxprocs(n + 1));
	bind_process(&one);
	stays(n + 1);
	bind_process(&all);
}

TEST_F_TIMEOUT(machine, the_number_follows_the_affinity_mask_until_the_program_sets_it, 200)
{
	if (!have_two_cpus())
		SKIP(return, "one CPU, or a limit of one: there is no smaller mask");
	g_watch("affinity", G_TIMEOUT * G_SLOW);
	g_run(0, is_bound_and_set_free);
	g_watch_end();
}

static void options_or_environment_say_3(void)
{
	bind_process(&one);
	stays(3);
	bind_process(&all);
}

TEST_F_TIMEOUT(machine, a_number_from_options_or_environment_stays, 200)
{
	if (!have_two_cpus())
		SKIP(return, "one CPU, or a limit of one: there is no smaller mask");
	g_watch("options", G_TIMEOUT * G_SLOW);
	g_run(3, options_or_environment_say_3);
	setenv("GMPRT_MAXPROCS", "3", 1);
	g_run(0, options_or_environment_say_3);
	g_watch_end();
}

/* ---- the cgroup's limit ------------------------------------------- */

static struct g_cgroup group;

static void limit_to(int cpus)
{
	char text[64];

	if (group.v2) {
		snprintf(text, sizeof(text), cpus ? "%d 100000" : "max 100000", cpus * 100000);
		g_cgroup_write(&group, "cpu.max", text);
	} else {
		snprintf(text, sizeof(text), "%d", cpus ? cpus * 100000 : -1);
		g_cgroup_write(&group, "cpu.cfs_quota_us", text);
	}
}

static void is_limited_and_set_free(void)
{
	int n = gmprt_maxprocs(0);

	limit_to(1);
	until_procs(1);
	limit_to(0);
	until_procs(n);
	limit_to(n + 5); /* no more than there are CPUs */
	stays(n);
}

static void in_the_group(void)
{
	g_cgroup_enter(&group);
	g_run(0, is_limited_and_set_free);
}

TEST_F_TIMEOUT(machine, the_number_follows_the_limit_of_the_cgroup, 200)
{
	static struct g_end end;

	if (!have_two_cpus())
		SKIP(return, "one CPU, or a limit of one: there is no smaller limit");
	if (!g_cgroup_make(&group, "cpu"))
		SKIP(return, "%s", group.why);
	g_child(&end, in_the_group);
	g_cgroup_remove(&group);
	G_EXITS(&end, 0);
}

TEST_HARNESS_MAIN
