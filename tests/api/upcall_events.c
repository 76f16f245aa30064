/* SPDX-License-Identifier: MIT */
/*
 * upcall_events.c - proves: with the bpf backend a process that is killed, forked,
 * put to another program, stopped, traced, frozen or moved in the midst of a load
 * goes on if it is to, loses no goroutine, and leaves nothing in the kernel
 */
#include <dirent.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/gbpf.h"
#include "lib/gbusy.h"
#include "lib/gcgroup.h"

/* ---- what a process has open of BPF ------------------------------------ */

enum { MOST = 64 };

struct object {
	char kind; /* of its ID: 'm'ap, 'p'rogram, 'l'ink */
	uint32_t id;
};

static int object_of_fd(const char *fd, struct object *o)
{
	char path[80], line[128];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%.16s", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		/* a link says which program it is of, too: after its own ID */
		if (!n && (sscanf(line, "map_id: %u", &o->id) == 1 ||
			   sscanf(line, "prog_id: %u", &o->id) == 1 ||
			   sscanf(line, "link_id: %u", &o->id) == 1)) {
			o->kind = line[0];
			n = 1;
		}
	}
	if (f)
		fclose(f);
	return n;
}

static int objects(struct object *all)
{
	DIR *d = opendir("/proc/self/fdinfo");
	struct dirent *e;
	int n = 0;

	G_TRUE(d);
	while (n < MOST && (e = readdir(d)))
		n += object_of_fd(e->d_name, &all[n]);
	closedir(d);
	return n;
}

static bool lives(const struct object *o)
{
	int cmd = o->kind == 'm' ? BPF_MAP_GET_FD_BY_ID :
		  o->kind == 'p' ? BPF_PROG_GET_FD_BY_ID :
				   BPF_LINK_GET_FD_BY_ID;
	union bpf_attr attr = { .map_id = o->id }; /* the same place for all */
	int fd = (int)syscall(SYS_bpf, cmd, &attr, sizeof(attr));

	if (fd < 0)
		return errno != ENOENT;
	close(fd);
	return true;
}

/* The kernel frees them a little later. */
static void all_are_gone(const struct object *all, int n)
{
	int64_t until = g_now() + 10 * G_SEC * G_SLOW;

	for (int i = 0; i < n; i++)
		while (lives(&all[i])) {
			if (g_now() > until)
				G_FAIL("%c %u is still there", all[i].kind, all[i].id);
			g_nap(G_MS);
		}
}

/* ---- ends of the process ------------------------------------------------ */

static int told[2], hold[2]; /* what the child has; kept open until it may go on */

static void (*then)(void);

static void tells_what_it_has(void)
{
	struct object all[MOST];
	int n;

	g_busy_begin();
	g_busy_goes_on();
	n = objects(all);
	G_GT(n, 10);
	G_EQ((int)sizeof(*all) * n, write(told[1], all, sizeof(*all) * (size_t)n));
	then();
}

static pid_t child_that_tells(void (*fn)(void))
{
	pid_t pid;

	then = fn;
	child_body = tells_what_it_has;
	G_OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, told));
	G_OK(pipe2(hold, O_CLOEXEC));
	g_kmsg_begin();
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		runs_child_body();
		_exit(0);
	}
	close(told[1]);
	close(hold[0]);
	return pid;
}

/* How many there were; 0: it has no bpf backend. */
static int hear(struct object *all)
{
	ssize_t n = read(told[0], all, sizeof(*all) * MOST);

	G_GE(n, 0);
	return (int)((size_t)n / sizeof(*all));
}

static void ends_by(pid_t pid, int status)
{
	int was;

	G_EQ(pid, waitpid(pid, &was, 0));
	G_EQ(status, was);
	g_kmsg_end();
}

static void busy_for_ever(void)
{
	for (;;)
		g_busy_goes_on();
}

P_TEST(sigkill_leaves_nothing_in_the_kernel)
{
	struct object all[MOST];
	pid_t pid = child_that_tells(busy_for_ever);
	int n = hear(all);

	if (!n)
		SKIP(return, "no bpf backend here, see the line above");
	G_OK(kill(pid, SIGKILL));
	ends_by(pid, SIGKILL);
	all_are_gone(all, n);
}

static void begins_cat(void)
{
	G_EQ(0, dup2(hold[0], 0));
	execl("/bin/cat", "cat", (char *)NULL);
}

P_TEST(exec_from_a_goroutine_leaves_nothing_in_the_kernel)
{
	struct object all[MOST];
	pid_t pid = child_that_tells(begins_cat);
	int n = hear(all);

	if (!n)
		SKIP(return, "no bpf backend here, see the line above");
	all_are_gone(all, n); /* while that program waits */
	close(hold[1]);
	ends_by(pid, 0);
}

/* The child tells that it has nothing by how it ends. */
static void forks_and_dies(void)
{
	struct object none[MOST];
	pid_t pid = fork();
	char c;

	if (pid == 0) {
		int n = objects(none);

		G_EQ(1, write(told[1], n ? "x" : "0", 1));
		_exit((int)read(hold[0], &c, 1));
	}
	G_GT(pid, 0);
	busy_for_ever();
}

P_TEST(programs_go_with_the_parent_though_a_child_of_fork_lives)
{
	struct object all[MOST];
	pid_t pid;
	char c = 0;
	int n;

	if (SANITIZED)
		SKIP(return, "a sanitizer's own locks and threads do not survive fork()");
	pid = child_that_tells(forks_and_dies);
	n = hear(all);
	if (!n)
		SKIP(return, "no bpf backend here, see the line above");
	G_OK(prctl(PR_SET_CHILD_SUBREAPER, 1)); /* not in every emulator */
	G_EQ(1, read(told[0], &c, 1));
	G_EQ('0', c);
	G_OK(kill(pid, SIGKILL));
	ends_by(pid, SIGKILL);
	all_are_gone(all, n);
	G_EQ(0, waitpid(-1, NULL, WNOHANG)); /* the grandchild lives */
	close(hold[1]);
	G_GT(waitpid(-1, NULL, 0), 0);
}

static void has_five_children(void)
{
	pid_t pid[5];
	int status;

	g_busy_begin();
	for (int i = 0; i < 5; i++) {
		g_busy_goes_on();
		pid[i] = fork();
		if (pid[i] == 0) {
			struct object none[MOST];

			G_EQ(0, objects(none));
			g_nap(G_MS);
			G_EQ(-EPERM, gmprt_sleep(1));
			_exit(i + 3);
		}
	}
	for (int i = 0; i < 5; i++) {
		G_EQ(pid[i], waitpid(pid[i], &status, 0)); /* unannounced */
		G_EQ((i + 3) << 8, status);
	}
	g_busy_goes_on();
	G_TRUE(have_bpf());
	g_busy_end();
}

P_TEST(children_of_fork_run_on_in_the_midst_of_a_load)
{
	if (SANITIZED)
		SKIP(return, "a sanitizer's own locks and threads do not survive fork()");
	if (!child_runs(has_five_children))
		SKIP(return, "no bpf backend here, see the lines above");
}

/* ---- what others do to it ------------------------------------------------ */

static void (*meddles)(pid_t with);
static pid_t meddler;
static struct g_cgroup group; /* for the run, not for who meddles */

/* Forked before there are threads; it begins when the run is busy. */
static void meddled_with(void)
{
	G_OK(pipe2(hold, O_CLOEXEC));
	meddler = fork();
	if (meddler == 0) {
		char c;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(hold[1]);
		G_EQ(0, read(hold[0], &c, 1));
		meddles(getppid());
		_exit(0);
	}
	prctl(PR_SET_PTRACER, (unsigned long)meddler);
	if (group.dir[0])
		g_cgroup_enter(&group);
	runs_child_body();
}

static void until_it_is_over(void)
{
	int status;

	g_busy_begin();
	g_busy_goes_on();
	close(hold[1]);
	while (waitpid(meddler, &status, WNOHANG) == 0)
		g_busy_goes_on();
	G_EQ(0, status);
	g_busy_goes_on();
	G_TRUE(have_bpf());
	g_busy_end();
}

/* False: skip. */
static bool goes_on_while(void (*fn)(pid_t with))
{
	static struct g_end end;

	child_body = until_it_is_over;
	meddles = fn;
	g_kmsg_begin();
	g_child(&end, meddled_with);
	g_kmsg_end();
	if (end.exit == NO_BPF)
		return false;
	G_EXITS(&end, 0);
	return true;
}

#define MEDDLER_TEST(claim)                                                       \
	static void claim##_meddler(pid_t with);                                  \
	P_TEST(claim)                                                             \
	{                                                                         \
		if (!goes_on_while(claim##_meddler))                              \
			SKIP(return, "no bpf backend here, see the lines above"); \
	}                                                                         \
	static void claim##_meddler(pid_t with)

MEDDLER_TEST(stopped_and_continued_it_goes_on)
{
	for (int i = 0; i < 10; i++) {
		G_OK(kill(with, SIGSTOP));
		g_nap(i % 2 * 20 * G_MS);
		G_OK(kill(with, SIGCONT));
		g_nap(5 * G_MS);
	}
}

static int threads_of(pid_t pid, pid_t *tids, int most)
{
	char path[64];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	G_TRUE(d);
	while (n < most && (e = readdir(d)))
		if (e->d_name[0] != '.')
			tids[n++] = atoi(e->d_name);
	closedir(d);
	return n;
}

/* As debuggers do: by a signal to stop, or since Linux 3.4 without one. */
static bool attach(pid_t tid, bool seize)
{
	if (seize)
		return ptrace(PTRACE_SEIZE, tid, NULL, NULL) == 0 &&
		       ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0;
	return ptrace(PTRACE_ATTACH, tid, NULL, NULL) == 0;
}

/* Other signals that come first are given back. */
static bool stops(pid_t tid, bool seize)
{
	int status;

	for (;;) {
		if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
			return false;
		if (seize ? status >> 16 == PTRACE_EVENT_STOP : WSTOPSIG(status) == SIGSTOP)
			return true;
		ptrace(PTRACE_CONT, tid, NULL, (void *)(long)WSTOPSIG(status));
	}
}

MEDDLER_TEST(a_debugger_attached_and_detached_it_goes_on)
{
	pid_t tids[256];

	for (int i = 0; i < 5; i++) {
		bool seize = i % 2;
		int n = threads_of(with, tids, 256), m = 0;

		for (int k = 0; k < n; k++) /* one may have ended since */
			if (attach(tids[k], seize) && stops(tids[k], seize))
				tids[m++] = tids[k];
		G_GT(m, 2);
		g_nap(20 * G_MS);
		for (int k = 0; k < m; k++)
			ptrace(PTRACE_DETACH, tids[k], NULL, NULL);
		g_nap(10 * G_MS);
	}
}

static void all_threads_on(pid_t pid, const cpu_set_t *cpus)
{
	pid_t tids[256];
	int n = threads_of(pid, tids, 256);

	for (int i = 0; i < n; i++)
		if (sched_setaffinity(tids[i], sizeof(*cpus), cpus))
			G_EQ(ESRCH, errno);
}

MEDDLER_TEST(moved_to_one_cpu_and_back_it_goes_on)
{
	cpu_set_t before, one;
	int cpu = 0;

	G_OK(sched_getaffinity(0, sizeof(before), &before));
	for (int i = 0; i < 5; i++) {
		do
			cpu = (cpu + 1) % CPU_SETSIZE;
		while (!CPU_ISSET(cpu, &before));
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		all_threads_on(with, &one);
		g_nap(20 * G_MS);
		all_threads_on(with, &before);
		g_nap(10 * G_MS);
	}
}

static void freezes_and_thaws(pid_t with)
{
	const char *file = group.v2 ? "cgroup.freeze" : "freezer.state";

	(void)with;
	for (int i = 0; i < 5; i++) {
		g_cgroup_write(&group, file, group.v2 ? "1" : "FROZEN");
		g_nap(20 * G_MS);
		g_cgroup_write(&group, file, group.v2 ? "0" : "THAWED");
		g_nap(10 * G_MS);
	}
}

static const char *frozen(const char *controller)
{
	bool had;

	if (!g_cgroup_make(&group, controller))
		return group.why;
	had = goes_on_while(freezes_and_thaws);
	g_cgroup_remove(&group);
	return had ? NULL : "no bpf backend here, see the lines above";
}

P_TEST(its_group_frozen_and_thawed_it_goes_on)
{
	const char *why = frozen(NULL);

	if (why)
		SKIP(return, "%s", why);
}

P_TEST(the_same_by_version_1_of_groups)
{
	const char *why = frozen("freezer");

	if (why)
		SKIP(return, "%s", why);
}

TEST_HARNESS_MAIN
