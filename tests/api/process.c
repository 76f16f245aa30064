/* SPDX-License-Identifier: MIT */
/*
 * process.c - proves: fork() from a goroutine, a thread, in brackets and under
 * load; the child runs on without a run, may begin one, and is told when it
 * comes to the goroutine's end; vfork, posix_spawn, system, popen and exec work
 * from goroutines, while they are preempted too
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/gfork.h"

static gmprt_chan *c;
static gmprt_wg wg, forkers;
static long stop, running, done;

/* ---- forking ------------------------------------------------------ */

/* A child that runs fn and ends with status 0. */
static pid_t child_of(void (*fn)(void))
{
	pid_t pid = fork();

	G_GE(pid, 0);
	if (pid == 0) {
		wg = (gmprt_wg){ 0 }; /* of hogs that are not here */
		fn();
		/* Not _exit(), for which leaks are looked for: what threads had
		 * that are not here would look leaked. */
		syscall(SYS_exit_group, 0);
	}
	return pid;
}

/* Its exit status, or 128 and its signal. Waits unannounced. */
static int status_of(pid_t pid)
{
	int status;

	G_EQ(pid, waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void forks(void (*fn)(void))
{
	G_EQ(0, status_of(child_of(fn)));
}

static void hog(void *arg)
{
	char *block[16] = { NULL };
	uint64_t rng = (uintptr_t)arg;

	g_inc(&running);
	while (!g_load(&stop)) {
		size_t i = g_rand(&rng) % 16;

		free(block[i]);
		block[i] = malloc(1 + g_rand(&rng) % 5000);
		memset(block[i], 1, 1);
	}
	for (int i = 0; i < 16; i++)
		free(block[i]);
	gmprt_wg_done(&wg);
}

static void start_hogs(int n)
{
	g_store(&stop, 0);
	g_store(&running, 0);
	gmprt_wg_add(&wg, n);
	for (intptr_t i = 0; i < n; i++)
		g_go(hog, (void *)i);
	g_until(&running, n);
}

static void stop_hogs(void)
{
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

/* ---- the child of a goroutine ------------------------------------- */

static void *sets_7(void *to)
{
	*(int *)to = 7;
	return NULL;
}

static void uses_libc(void)
{
	char *text = NULL;
	int seven = 0;
	pthread_t t;

	G_EQ(0, gmprt_id());
	G_EQ(7, asprintf(&text, "%d-%s", 123, "abc"));
	free(text);
	G_OK(pthread_create(&t, NULL, sets_7, &seven));
	G_OK(pthread_join(t, NULL));
	G_EQ(7, seven);
}

FORK_TEST(a_child_of_a_goroutine_runs_on_as_an_ordinary_thread)
{
	int before = 5;

	forks(uses_libc);
	G_EQ(5, before);
	G_EQ(1, gmprt_id());
	gmprt_yield();
}

static gmprt_chan *made_before;

static void asks_the_library(void)
{
	struct gmprt_case k = { .op = GMPRT_RECV, .chan = made_before };
	gmprt_sem sem = GMPRT_SEM_INIT(0);
	gmprt_mutex mutex = { 0 };
	char *dump = g_dump();
	int n = 3;

	G_TRUE(strstr(dump, "no run is under way"));
	free(dump);
	G_EQ(0, gmprt_id());
	G_EQ(0, gmprt_num_goroutine());
	G_EQ(-EPERM, gmprt_go(hog, NULL));
	G_EQ(-EPERM, gmprt_sleep(1));
	G_EQ(-EPERM, gmprt_maxprocs(2));
	G_EQ(-EPERM, gmprt_chan_recv(made_before, &n));
	G_EQ(-EPERM, gmprt_select(&k, 1));
	G_EQ(-EPERM, gmprt_sem_wait(&sem));
	G_OK(gmprt_chan_send_try(made_before, &n));
	n = 0;
	G_OK(gmprt_chan_recv_try(made_before, &n));
	G_EQ(3, n);
	G_EQ(-EAGAIN, gmprt_select_try(&k, 1));
	gmprt_sem_post(&sem);
	G_OK(gmprt_sem_wait_try(&sem));
	gmprt_mutex_lock(&mutex);
	G_EQ(-EAGAIN, gmprt_mutex_lock_try(&mutex));
	gmprt_mutex_unlock(&mutex);
	gmprt_yield();
	gmprt_block_enter();
	gmprt_block_exit();
}

FORK_TEST(in_the_child_the_library_answers_as_it_does_outside_a_run)
{
	made_before = g_chan(sizeof(int), 1);
	forks(asks_the_library);
}

static void echoes(void *arg)
{
	int n;

	while (gmprt_chan_recv(c, &n) == 0)
		G_OK(gmprt_chan_send(arg, &n));
}

static void whole_run(void)
{
	gmprt_chan *back = g_chan(sizeof(int), 0);
	int got;

	G_EQ(1, gmprt_id());
	c = g_chan(sizeof(int), 0);
	g_go(echoes, back);
	for (int i = 0; i < G_LOOPS(200); i++) {
		G_OK(gmprt_chan_send(c, &i));
		G_OK(gmprt_chan_recv(back, &got));
		G_EQ(i, got);
	}
	G_OK(gmprt_chan_close(c));
	start_hogs(g_procs + 1); /* more than can run unless preempted */
	G_OK(gmprt_sleep(G_MS));
	stop_hogs();
}

static void runs(void)
{
	g_run(g_procs, whole_run);
}

static void runs_twice(void)
{
	runs();
	runs();
}

FORK_TEST(the_child_can_begin_a_run_of_its_own)
{
	forks(runs_twice);
	whole_run();
}

static int pipe_fd[2];

static void reads_one(void *arg)
{
	char b;

	G_EQ(1, gmprt_read(pipe_fd[0], &b, 1));
	g_inc(arg);
}

static void waits_for_a_byte(void)
{
	long *got = g_keep(sizeof(*got));

	g_go_named("reader", reads_one, got);
	g_parked("reader", 1);
	G_EQ(1, write(pipe_fd[1], "x", 1));
	g_until(got, 1);
}

static void reads_and_writes(void)
{
	int fds = g_fds_before_run + 2; /* the pipe's */
	char b;

	G_EQ(fds, g_count_fds());
	G_EQ(-EAGAIN, gmprt_read_try(pipe_fd[0], &b, 1));
	G_EQ(-EPERM, gmprt_read(pipe_fd[0], &b, 1));
	G_EQ(1, gmprt_write(pipe_fd[1], "x", 1));
	G_EQ(1, gmprt_read(pipe_fd[0], &b, 1));
	g_run(g_procs, waits_for_a_byte);
	G_FDS_ARE(fds);
}

FORK_TEST(the_child_has_its_files_and_none_of_the_netpollers)
{
	int fds = g_count_fds();

	G_OK(pipe(pipe_fd));
	waits_for_a_byte();
	G_GT(g_count_fds(), fds + 2);
	forks(reads_and_writes);
	waits_for_a_byte(); /* here all goes on */
}

static void run_that_forks_a_run(void)
{
	whole_run();
	forks(runs);
}

static void runs_that(void)
{
	g_run(g_procs, run_that_forks_a_run);
	uses_libc(); /* on the stack of the old run's goroutine */
}

FORK_TEST(a_run_in_a_child_may_fork_again)
{
	forks(runs_that);
}

static sigset_t mask_before;

static void compares_mask(void)
{
	sigset_t now;

	G_OK(pthread_sigmask(SIG_SETMASK, NULL, &now));
	for (int sig = 1; sig < 64; sig++)
		G_EQ(sigismember(&mask_before, sig), sigismember(&now, sig));
}

G_TEST(fork_leaves_the_signal_mask_as_it_was)
{
	G_OK(pthread_sigmask(SIG_SETMASK, NULL, &mask_before));
	forks(compares_mask);
	compares_mask();
}

static void leaves_brackets(void)
{
	gmprt_block_exit();
	asks_the_library();
	runs();
}

FORK_TEST(fork_works_in_brackets_and_on_a_locked_thread)
{
	made_before = g_chan(sizeof(int), 1);
	gmprt_block_enter();
	forks(leaves_brackets);
	gmprt_block_exit();
	gmprt_lock_os_thread();
	forks(runs);
	gmprt_unlock_os_thread();
}

static void in_place(void *is_child)
{
	pid_t pid = fork();

	G_GE(pid, 0);
	*(bool *)is_child = pid == 0;
	if (pid)
		G_EQ(0, status_of(pid));
}

static void joins(void)
{
	bool is_child = false;
	struct gmprt_task t;

	G_OK(gmprt_fork(&t, in_place, &is_child));
	gmprt_join(&t);
	if (is_child) {
		G_EQ(0, gmprt_id());
		_exit(0);
	}
	G_EQ(1, gmprt_id());
}

TEST(a_task_that_forks_returns_to_its_join_in_the_child_too)
{
	g_run(1, joins);
}

/* ---- the end of a goroutine in the child -------------------------- */

/* True in the child; the parent ends with the child's status. */
static bool is_child(void)
{
	pid_t pid = fork();

	G_GE(pid, 0);
	if (pid)
		_exit(status_of(pid));
	return true;
}

static void main_returns(void)
{
	is_child();
}

static void main_exits(void)
{
	if (is_child())
		gmprt_exit();
}

static void exits(void *arg)
{
	(void)arg;
	main_exits();
}

static void returns(void *arg)
{
	(void)arg;
	is_child();
}

static void goroutine_exits(void)
{
	g_go(exits, NULL);
	gmprt_sleep(3600 * G_SEC);
}

static void goroutine_returns(void)
{
	g_go(returns, NULL);
	gmprt_sleep(3600 * G_SEC);
}

static void task_returns(void)
{
	struct gmprt_task t;

	G_OK(gmprt_fork(&t, returns, NULL));
	gmprt_sleep(3600 * G_SEC);
	gmprt_join(&t);
}

P_TEST(a_goroutine_that_ends_in_the_child_ends_the_child_with_a_line)
{
	static const struct {
		void (*body)(void);
		const char *says;
	} cases[] = {
		{ main_returns, "goroutine 1 returned in a child of fork()" },
		{ main_exits, "goroutine 1 called gmprt_exit() in a child of fork()" },
		{ goroutine_returns, "goroutine 2 returned in a child of fork()" },
		{ goroutine_exits, "goroutine 2 called gmprt_exit() in a child of fork()" },
		{ task_returns, "returned in a child of fork()" },
	};
	struct g_end end;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *newline;

		g_child_run(&end, cases[i].body);
		G_EXITS(&end, 2);
		G_SAYS(&end, cases[i].says);
		newline = strchr(end.text, '\n');
		G_TRUE(newline && newline[1] == '\0');
	}
}

static void *exits_thread(void *arg)
{
	gmprt_exit();
	return arg;
}

static void thread_in_child_exits(void)
{
	pthread_t t;

	if (is_child() && pthread_create(&t, NULL, exits_thread, NULL) == 0)
		pthread_join(t, NULL);
}

TEST(gmprt_exit_on_another_thread_of_the_child_is_misuse)
{
	struct g_end end;

	SKIP_SAN;
	g_child_run(&end, thread_in_child_exits);
	G_EXITS(&end, 128 + SIGABRT);
	G_SAYS(&end, "gmprt_exit: this is no goroutine");
}

static __attribute__((noinline)) int deep(int n)
{
	volatile char room[1024];

	room[0] = (char)n;
	return n == 0 ? 0 : deep(n - 1) + room[0];
}

static void overflows(void)
{
	if (is_child())
		deep(100000);
}

TEST(a_stack_overflow_in_the_child_is_named)
{
	struct g_end end;

#ifdef __SANITIZE_ADDRESS__
	SKIP(return, "AddressSanitizer reports it first");
#endif
	g_child_run(&end, overflows);
	G_EXITS(&end, 2);
	G_SAYS(&end, "stack overflow: goroutine 1 ");
}

/* ---- forks while others work -------------------------------------- */

static void nothing(void)
{
}

static void asks_and_runs(void)
{
	struct gmprt_stats s = { .size = sizeof(s) };
	int r = gmprt_stats_read(&s);

	G_TRUE(r == 0 || r == -ENODATA);
	free(g_dump());
	free(malloc(100000));
	g_run(1, nothing);
}

static void forks_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < G_LOOPS(10); i++)
		forks(asks_and_runs);
	gmprt_wg_done(&forkers);
}

/* Takes its thread with it: the list of Ms changes, grace periods pass. */
static void ends_its_thread(void *arg)
{
	(void)arg;
	gmprt_lock_os_thread();
	gmprt_yield();
}

static void ask(int i)
{
	struct gmprt_stats s = { .size = sizeof(s) };

	(void)!gmprt_stats_read(&s);
	(void)gmprt_num_goroutine();
	if (i % 8 == 0)
		(void)!gmprt_go(ends_its_thread, NULL);
	g_nap(2 * G_MS);
}

static void *asks(void *arg)
{
	for (int i = 0; !g_load(&done); i++)
		ask(i);
	return arg;
}

static void *asks_and_dumps(void *arg)
{
	for (int i = 0; !g_load(&done); i++) {
		ask(i);
		if (i % 64 == 0)
			free(g_dump()); /* grace periods wait for it, and fork() for them */
	}
	return arg;
}

FORK_TEST(goroutines_fork_at_once_while_others_allocate_and_threads_look)
{
	pthread_t t[2];

	start_hogs(2);
	for (int i = 0; i < 2; i++)
		G_OK(pthread_create(&t[i], NULL, asks_and_dumps, NULL));
	gmprt_wg_add(&forkers, 2);
	for (int i = 0; i < 2; i++)
		g_go(forks_often, NULL);
	gmprt_wg_wait(&forkers);
	g_store(&done, 1);
	stop_hogs();
	gmprt_block_enter();
	for (int i = 0; i < 2; i++)
		G_OK(pthread_join(t[i], NULL));
	gmprt_block_exit();
}

static void *thread_forks(void *arg)
{
	G_EQ(0, gmprt_id());
	forks(asks_the_library);
	forks(runs);
	return arg;
}

FORK_TEST(a_thread_forks_while_the_run_goes_on)
{
	pthread_t t;

	made_before = g_chan(sizeof(int), 1);
	start_hogs(g_procs + 1);
	G_OK(pthread_create(&t, NULL, thread_forks, NULL));
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
	stop_hogs();
}

static void leaves_hogs(void)
{
	start_hogs(g_procs);
}

P_TEST(the_thread_that_runs_the_run_may_fork_before_and_after)
{
	SKIP_SAN;
	made_before = g_chan(sizeof(int), 1);
	forks(runs);
	g_run(g_procs, whole_run);
	forks(asks_the_library);
	for (int i = 0; i < 3; i++) {
		g_run(g_procs, leaves_hogs);
		forks(runs); /* some may still compute */
		g_store(&stop, 1);
	}
	g_nap(20 * G_MS);
}

static void *forks_all_the_time(void *arg)
{
	while (!g_load(&done))
		forks(asks_and_runs);
	return arg;
}

P_TEST(threads_fork_while_runs_begin_and_end)
{
	pthread_t t[2];

	SKIP_SAN;
	g_watch("edges", G_TIMEOUT * G_SLOW);
	for (int i = 0; i < 2; i++)
		G_OK(pthread_create(&t[i], NULL, forks_all_the_time, NULL));
	for (int i = 0; i < G_LOOPS(100); i++)
		g_run(g_procs, nothing);
	g_store(&done, 1);
	for (int i = 0; i < 2; i++)
		G_OK(pthread_join(t[i], NULL));
	g_watch_end();
}

/* ---- other ways to a new program ---------------------------------- */

static void spawns(void)
{
	char *const argv[] = { (char *)"sh", (char *)"-c", (char *)"exit 5", NULL };
	char line[32] = "";
	pid_t pid;
	FILE *f;

	G_OK(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ));
	G_EQ(5, status_of(pid));
	G_EQ(7, WEXITSTATUS(system("exit 7")));
	f = popen("echo hello", "r");
	G_TRUE(f && fgets(line, sizeof(line), f));
	G_TRUE(strcmp(line, "hello\n") == 0);
	G_OK(pclose(f));
	pid = vfork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 9", NULL);
		_exit(127);
	}
	G_EQ(9, status_of(pid));
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 11", NULL);
		_exit(127);
	}
	G_EQ(11, status_of(pid));
}

static void spawns_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 4; i++)
		spawns();
	gmprt_wg_done(&forkers);
}

G_TEST(programs_can_be_started_from_goroutines_that_are_preempted)
{
	start_hogs(g_procs + 1);
	gmprt_wg_add(&forkers, 2);
	for (int i = 0; i < 2; i++)
		g_go(spawns_often, NULL);
	gmprt_wg_wait(&forkers);
	stop_hogs();
}

static void sleeps_and_exits(void)
{
	g_nap(100 * G_MS);
}

G_TEST(a_goroutine_that_waits_for_a_child_unannounced_starves_nobody)
{
	int64_t start = g_now();
	pid_t pid[16];

	for (int i = 0; i < 16; i++)
		pid[i] = child_of(sleeps_and_exits);
	start_hogs(g_procs + 1); /* they begin though this goroutine waits */
	for (int i = 0; i < 16; i++)
		G_EQ(0, status_of(pid[i]));
	G_GE(g_now() - start, 100 * G_MS);
	stop_hogs();
}

/* ---- exec --------------------------------------------------------- */

static int nr_kept; /* descriptors that exec leaves open */

static void count_kept(void)
{
	for (int fd = 0; fd < 1024; fd++) {
		int flags = fcntl(fd, F_GETFD);

		nr_kept += flags >= 0 && !(flags & FD_CLOEXEC);
	}
}

static void execs(void)
{
	char n[16];
	pthread_t t;

	G_OK(pthread_create(&t, NULL, asks, NULL));
	start_hogs(g_procs + 1);
	gmprt_sleep(15 * G_MS);
	snprintf(n, sizeof(n), "%d", nr_kept);
	/* ls itself has the folder open. SIGURG must be the default again. */
	execl("/bin/sh", "sh", "-c",
	      "[ $(ls /proc/self/fd | wc -l) -eq $(($1 + 1)) ] || exit 3; kill -URG $$", "sh", n,
	      NULL);
	_exit(127);
}

P_TEST(a_goroutine_may_exec_and_the_new_program_inherits_nothing_of_ours)
{
	struct g_end end;

	count_kept();
	for (int i = 0; i < 4; i++) {
		g_child_run(&end, execs);
		G_EXITS(&end, 0);
	}
}

static void *dumps(void *arg)
{
	while (!g_load(&done))
		free(g_dump());
	return arg;
}

/* Descriptors of files that have a name: what a dump opens. */
static int open_for_exec(void)
{
	char link[32], name[8];
	int n = 0;

	for (int fd = 3; fd < 256; fd++) {
		int flags = fcntl(fd, F_GETFD);

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n += flags >= 0 && !(flags & FD_CLOEXEC) &&
		     readlink(link, name, sizeof(name)) > 0 && name[0] == '/';
	}
	return n;
}

static void watches_descriptors(void)
{
	int often = 0, before = open_for_exec();
	pthread_t t;

	G_OK(pthread_create(&t, NULL, dumps, NULL));
	for (int i = 0; i < 1000; i++) {
		often += open_for_exec() > before;
		usleep(100);
	}
	g_store(&done, 1);
	G_OK(pthread_join(t, NULL));
	/* libdw opens a file before we can mark it: hardly ever seen. */
	G_LE(often, 500);
}

TEST(files_that_a_dump_reads_are_closed_by_exec)
{
	g_run(2, watches_descriptors);
}

TEST_HARNESS_MAIN
