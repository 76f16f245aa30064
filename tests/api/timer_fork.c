/* SPDX-License-Identifier: MIT */
/*
 * timer_fork.c - proves: in a child of fork() timers are stopped, and belong to
 * the run it begins; in the parent they go on
 */
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/gfork.h"
#include "lib/gtimer.h"

static gmprt_timer *left[3];

static void uses_one(void *arg)
{
	(void)arg;
	G_EQ(0, gmprt_timer_reset(left[0], G_MS));
	receive(left[0]);
	G_EQ(0, gmprt_timer_stop(left[0]));
	gmprt_timer_free(left[0]);
}

static void uses_its_parents(void)
{
	for (int i = 0; i < 3; i++) {
		G_EQ(0, gmprt_timer_stop(left[i]));
		is_empty(left[i]);
		G_EQ(-EPERM, gmprt_timer_reset(left[i], 1));
	}
	G_OK(gmprt_run(NULL, uses_one, NULL));
	gmprt_timer_free(left[1]);
	gmprt_timer_free(left[2]);
}

FORK_TEST(in_a_child_of_fork_they_are_stopped_and_in_the_parent_they_go_on)
{
	int status;
	pid_t pid;

	for (int i = 0; i < 3; i++)
		left[i] = timer_new(i == 1 ? 60 * G_SEC : 100 * G_MS);
	pid = fork();
	G_GE(pid, 0);
	if (pid == 0) {
		uses_its_parents();
		/* Not _exit(), for which leaks are looked for. */
		syscall(SYS_exit_group, 0);
	}
	gmprt_block_enter();
	G_EQ(pid, waitpid(pid, &status, 0));
	gmprt_block_exit();
	G_EQ(0, status);
	receive(left[0]);
	for (int i = 0; i < 3; i++)
		gmprt_timer_free(left[i]);
}

TEST_HARNESS_MAIN
