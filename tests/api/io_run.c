/* SPDX-License-Identifier: MIT */
/*
 * io_run.c - proves: runs begin and end with goroutines in I/O and leave no fd
 * behind, in a child neither; a program that waits for files is not deadlocked,
 * and is asleep; timers and other threads' work reach it there
 */
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "lib/gfork.h"
#include "lib/gio.h"

static gmprt_wg wg;
static long done;
static int ends[2];

/* ---- the end of a run ---- */

static void waits_for_ever(void *arg)
{
	char byte;

	(void)!gmprt_read((int)(intptr_t)arg, &byte, 1);
	G_FAIL("went on after main's end");
}

static void waits_with_deadline(void *arg)
{
	char byte;

	(void)!gmprt_read_dl((int)(intptr_t)arg, &byte, 1, g_now() + 3600 * G_SEC);
	G_FAIL("went on after main's end");
}

static void leaves_them_waiting(void)
{
	int l = gio_listen();

	for (int i = 0; i < 20; i++) {
		g_go_named("waiter", i % 2 ? waits_for_ever : waits_with_deadline,
			   (void *)(intptr_t)ends[0]);
		g_go_named("waiter", waits_for_ever, (void *)(intptr_t)ends[1]);
	}
	g_parked("waiter", 40);
	G_OK(gmprt_close(l));
}

P_TEST(a_run_ends_while_goroutines_wait_and_the_next_one_works)
{
	int before;

	gio_pair(ends, SOCK_STREAM);
	before = g_count_fds();
	for (int i = 0; i < 5; i++) {
		g_run(g_procs, leaves_them_waiting);
		G_FDS_ARE(before); /* epoll's too are gone */
	}
	/* What came for them meanwhile is still there. */
	G_EQ(1, write(ends[1], "x", 1));
	G_EQ(1, gmprt_read_try(ends[0], &(char){ 0 }, 1));
	close(ends[0]);
	close(ends[1]);
}

static void pings_for_ever(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[100];

	while (gmprt_write(fd, "ping", 4) > 0 && gmprt_read(fd, buf, sizeof(buf)) > 0)
		g_inc(&done);
}

static void ends_amid_traffic(void)
{
	for (int i = 0; i < 10; i++) {
		int sv[2];

		gio_tcp(sv);
		g_go(gio_echoes, (void *)(intptr_t)sv[0]);
		g_go(pings_for_ever, (void *)(intptr_t)sv[1]);
	}
	g_store(&done, 0);
	while (g_load(&done) < 100)
		gmprt_yield();
}

P_TEST(a_run_ends_amid_traffic)
{
	for (int i = 0; i < 20; i++) {
		g_run(g_procs, ends_amid_traffic);
		for (int fd = 3; fd < 100; fd++)
			close(fd); /* the connections; nobody else has any */
	}
}

static void no_io(void)
{
	int before = g_count_fds();
	char byte;
	int p[2];

	G_OK(gmprt_sleep(G_MS));
	/* What need not wait needs no netpoller. */
	G_OK(pipe2(p, O_CLOEXEC));
	G_EQ(1, gmprt_write(p[1], "x", 1));
	G_EQ(1, gmprt_read(p[0], &byte, 1));
	gio_close(p);
	G_FDS_ARE(before);
}

P_TEST(a_program_that_never_waits_has_no_fd_of_ours)
{
	g_run(g_procs, no_io);
}

/* ---- fork ---- */

static void sleeps_on_a_socket(void *arg)
{
	char byte;

	G_EQ(1, gmprt_read((int)(intptr_t)arg, &byte, 1));
	gmprt_wg_done(&wg);
}

static void waits_in_the_child(void)
{
	char buf[8];
	int sv[2];

	gio_tcp(sv);
	G_EQ(-ETIMEDOUT, gmprt_read_dl(sv[0], buf, 8, g_now() + G_MS));
	G_EQ(1, gmprt_write(sv[1], "x", 1));
	G_EQ(1, gmprt_read(sv[0], buf, 8));
	gio_close(sv);
}

static void child_of(int fd)
{
	char byte;

	G_EQ(g_fds_before_run + 2, g_count_fds()); /* epoll's are the parent's alone: sv is left */
	G_EQ(-EPERM, gmprt_read(fd, &byte, 1));
	G_EQ(-EAGAIN, gmprt_read_try(fd, &byte, 1));
	G_OK(gmprt_close(fd));
	g_run(g_procs, waits_in_the_child);
	_exit(0);
}

/* The child has copies of all fds: what it does to them is not the parent's. */
FORK_TEST(a_child_of_fork_has_its_own_files_and_may_begin_a_run)
{
	int sv[2], status = -1;
	char byte;
	pid_t pid;

	gio_tcp(sv);
	gmprt_wg_add(&wg, 1);
	g_go_named("waiter", sleeps_on_a_socket, (void *)(intptr_t)sv[0]);
	g_parked("waiter", 1);
	pid = fork();
	if (pid == 0)
		child_of(sv[0]);
	gmprt_block_enter();
	G_EQ(pid, waitpid(pid, &status, 0));
	gmprt_block_exit();
	G_EQ(0, status);
	G_EQ(-EAGAIN, gmprt_read_try(sv[1], &byte, 1));
	G_EQ(1, gmprt_write(sv[1], "x", 1));
	gmprt_wg_wait(&wg);
	gio_close(sv);
}

/* ---- is it deadlocked? ---- */

static void waits_for_a_child(void)
{
	char byte;
	int p[2];

	G_OK(pipe2(p, O_CLOEXEC));
	if (fork() == 0) {
		g_nap(1500 * G_MS); /* longer than sysmon's look once a second */
		_exit(write(p[1], "x", 1) == 1 ? 0 : 1);
	}
	G_OK(gmprt_close(p[1]));
	G_EQ(1, gmprt_read(p[0], &byte, 1));
}

P_TEST(who_waits_for_a_file_is_not_deadlocked)
{
	struct g_end end;

	if (g_procs > 2)
		return; /* it takes its time */
	g_child_run(&end, waits_for_a_child);
	G_EXITS(&end, 0);
}

static void waits_for_nothing(void)
{
	gmprt_chan *c = g_chan(1, 0);
	char byte;
	int p[2];

	G_OK(pipe2(p, O_CLOEXEC));
	G_EQ(-ETIMEDOUT, gmprt_read_dl(p[0], &byte, 1, g_now() + G_MS));
	(void)!gmprt_chan_recv(c, &byte); /* nobody waits for the pipe any more */
}

P_TEST(who_has_waited_for_one_may_be)
{
	struct g_end end;

	g_child_run(&end, waits_for_nothing);
	G_EXITS(&end, 2);
	G_SAYS(&end, "all goroutines are asleep - deadlock!");
}

/* ---- asleep ---- */

static long switches(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_nvcsw + r.ru_nivcsw;
}

#ifdef __SANITIZE_THREAD__
#define TSAN_WAKES 40 /* its own thread's, in a second */
#else
#define TSAN_WAKES 0
#endif

/* Goroutines wait, nothing happens: threads wake a few times at most. */
G_TEST(a_program_that_waits_for_files_sleeps)
{
	long before;
	int sv[2];

	gio_tcp(sv);
	gmprt_wg_add(&wg, 50);
	for (int i = 0; i < 50; i++)
		g_go_named("waiter", sleeps_on_a_socket, (void *)(intptr_t)sv[0]);
	g_parked("waiter", 50);
	G_OK(gmprt_sleep(300 * G_MS)); /* sysmon is asleep by now */
	before = switches();
	G_OK(gmprt_sleep(1000 * G_MS));
	G_LE(switches() - before, 15 + TSAN_WAKES);
	for (int i = 0; i < 50; i++)
		G_EQ(1, gmprt_write(sv[1], "x", 1));
	gmprt_wg_wait(&wg);
	gio_close(sv);
}

/* ---- timers and files together ---- */

static long slept;

static void sleeps_shortly(void *unused)
{
	(void)unused;
	for (int i = 0; i < 30; i++) {
		int64_t t = g_now();

		G_OK(gmprt_sleep(G_MS));
		G_GE(g_now() - t, G_MS);
		g_inc(&slept);
	}
	gmprt_wg_done(&wg);
}

/* The keeper sleeps in the netpoller until the next timer, and is told of
 * earlier ones, by goroutines and by ordinary threads' work. */
G_TEST(timers_fire_while_an_M_sleeps_in_the_netpoller)
{
	char byte;
	int sv[2];

	gio_tcp(sv);
	g_store(&slept, 0);
	gmprt_wg_add(&wg, 3);
	for (int i = 0; i < 3; i++)
		g_go(sleeps_shortly, NULL);
	G_EQ(-ETIMEDOUT, gmprt_read_dl(sv[0], &byte, 1, g_now() + 20 * G_MS));
	gmprt_wg_wait(&wg);
	G_EQ(90, g_load(&slept));
	gio_close(sv);
}

static gmprt_sem posted;

static void *posts(void *unused)
{
	for (int i = 0; i < 100; i++) {
		g_nap(G_MS / 5);
		gmprt_sem_post(&posted);
	}
	return unused;
}

G_TEST(an_ordinary_threads_wake_ups_arrive_while_all_sleep)
{
	pthread_t t;
	int sv[2];

	gio_tcp(sv);
	gmprt_wg_add(&wg, 1);
	g_go_named("waiter", sleeps_on_a_socket, (void *)(intptr_t)sv[0]);
	g_parked("waiter", 1);
	G_OK(pthread_create(&t, NULL, posts, NULL));
	for (int i = 0; i < 100; i++)
		G_OK(gmprt_sem_wait(&posted));
	G_OK(pthread_join(t, NULL));
	G_EQ(1, gmprt_write(sv[1], "x", 1));
	gmprt_wg_wait(&wg);
	gio_close(sv);
}

static void one_thread_alone(void *unused)
{
	pthread_t t;
	int sv[2];

	(void)unused;
	gio_tcp(sv);
	gmprt_wg_add(&wg, 1);
	g_go_named("waiter", sleeps_on_a_socket, (void *)(intptr_t)sv[0]);
	g_parked("waiter", 1);
	G_OK(pthread_create(&t, NULL, posts, NULL));
	for (int i = 0; i < 100; i++)
		G_OK(gmprt_sem_wait(&posted));
	G_EQ(1, gmprt_write(sv[1], "x", 1));
	gmprt_wg_wait(&wg);
	gio_close(sv);
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
}

/* The only M there may be sleeps in the netpoller: work must wake it there. */
P_TEST(with_one_thread_allowed_it_is_fetched_out_of_the_netpoller)
{
	struct gmprt_options opt = { .size = sizeof(opt), .maxprocs = g_procs, .max_threads = 1 };

	g_watch("one thread", G_TIMEOUT * G_SLOW);
	G_OK(gmprt_run(&opt, one_thread_alone, NULL));
	g_watch_end();
}

/* ---- shown ---- */

static void stays(void *arg)
{
	char byte;

	(void)!gmprt_read((int)(intptr_t)arg, &byte, 1);
}

static void stays_polling(void *arg)
{
	(void)!gmprt_poll((int)(intptr_t)arg, POLLPRI);
}

static void stays_writing(void *arg)
{
	(void)!gmprt_write((int)(intptr_t)arg, "x", 1);
}

G_TEST(dumps_and_counters_show_who_waits_for_files)
{
	uint64_t before = g_stats().nr_io_waits;
	char *dump;
	int sv[2];

	gio_pair(sv, SOCK_STREAM);
	gio_fill(sv[0]);
	g_go_named("reader", stays, (void *)(intptr_t)sv[0]);
	g_go_named("poller", stays_polling, (void *)(intptr_t)sv[0]);
	g_go_named("writer", stays_writing, (void *)(intptr_t)sv[0]);
	g_parked("reader", 1);
	g_parked("poller", 1);
	g_parked("writer", 1);
	G_EQ(before + 3, g_stats().nr_io_waits);
	G_EQ(3, g_stats().nr_io_waiting);
	dump = g_dump();
	G_TRUE(strstr(dump, "\"reader\" [IO wait (read)"));
	G_TRUE(strstr(dump, "\"poller\" [IO wait (poll)"));
	G_TRUE(strstr(dump, "\"writer\" [IO wait (write)"));
	free(dump);
	gio_close(sv);
	while (g_stats().nr_io_waiting)
		gmprt_yield();
}

TEST_HARNESS_MAIN
