/* SPDX-License-Identifier: MIT */
/*
 * io_run.c - proves: runs begin and end with goroutines in I/O and leave no fd
 * behind; under storms, hogs and exhaustion nothing hangs, spins or is lost; a
 * program that waits for files is not deadlocked, and is asleep
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "lib/gio.h"
#include "lib/gtest.h"

static gmprt_wg wg;
static long done, stop;
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
	before = gio_count_fds();
	for (int i = 0; i < 5; i++) {
		g_run(g_procs, leaves_them_waiting);
		G_EQ(before, gio_count_fds()); /* epoll's too are gone */
	}
	/* What came for them meanwhile is still there. */
	G_EQ(1, write(ends[1], "x", 1));
	G_EQ(1, gmprt_read_try(ends[0], &(char){ 0 }, 1));
	close(ends[0]);
	close(ends[1]);
}

static void echoes(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[100];
	ssize_t n;

	while ((n = gmprt_read(fd, buf, sizeof(buf))) > 0)
		if (gmprt_write(fd, buf, (size_t)n) < 0)
			break;
	gmprt_close(fd);
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
		g_go(echoes, (void *)(intptr_t)sv[0]);
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
	int before = gio_count_fds();
	char byte;
	int p[2];

	G_OK(gmprt_sleep(G_MS));
	/* What need not wait needs no netpoller. */
	G_OK(pipe2(p, O_CLOEXEC));
	G_EQ(1, gmprt_write(p[1], "x", 1));
	G_EQ(1, gmprt_read(p[0], &byte, 1));
	gio_close(p);
	G_EQ(before, gio_count_fds());
}

P_TEST(a_program_that_never_waits_has_no_fd_of_ours)
{
	g_run(g_procs, no_io);
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

static void sleeps_on_a_socket(void *arg)
{
	char byte;

	G_EQ(1, gmprt_read((int)(intptr_t)arg, &byte, 1));
	gmprt_wg_done(&wg);
}

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

/* ---- hogs ---- */

static void yields(void *unused)
{
	(void)unused;
	while (!g_load(&stop))
		gmprt_yield();
	gmprt_wg_done(&wg);
}

G_TEST(goroutines_that_yield_for_ever_do_not_starve_those_that_wait_for_files)
{
	char buf[8];
	int sv[2];

	g_store(&stop, 0);
	gio_tcp(sv);
	gmprt_wg_add(&wg, 2 * g_procs);
	for (int i = 0; i < 2 * g_procs; i++)
		g_go(yields, NULL);
	g_go(echoes, (void *)(intptr_t)sv[1]);
	for (int i = 0; i < 200; i++) {
		G_EQ(4, gmprt_write(sv[0], "ping", 4));
		G_EQ(4, gmprt_read(sv[0], buf, sizeof(buf)));
	}
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
	G_OK(gmprt_close(sv[0]));
}

static void computes(void *unused)
{
	(void)unused;
	while (!g_load(&stop))
		;
	gmprt_wg_done(&wg);
}

G_TEST(goroutines_that_compute_do_not_either)
{
	char buf[8];
	int sv[2];

	g_store(&stop, 0);
	gio_tcp(sv);
	gmprt_wg_add(&wg, g_procs);
	for (int i = 0; i < g_procs; i++)
		g_go(computes, NULL);
	g_go(echoes, (void *)(intptr_t)sv[1]);
	for (int i = 0; i < 5; i++) {
		G_EQ(4, gmprt_write(sv[0], "ping", 4));
		G_EQ(4, gmprt_read(sv[0], buf, sizeof(buf)));
	}
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
	G_OK(gmprt_close(sv[0]));
}

/* ---- storms ---- */

/* Readers that mostly find nothing, writers that mostly find no room. */
static void reads_one_by_one(void *arg)
{
	char byte;

	while (gmprt_read((int)(intptr_t)arg, &byte, 1) == 1)
		g_inc(&done);
	gmprt_wg_done(&wg);
}

static void writes_one_by_one(void *arg)
{
	for (int i = 0; i < G_LOOPS(500); i++)
		G_EQ(1, gmprt_write((int)(intptr_t)arg, "x", 1));
	gmprt_wg_done(&wg);
}

static void storm(void)
{
	int bytes = 4096, sv[2], n = 20;

	g_store(&done, 0);
	gio_pair(sv, SOCK_STREAM);
	G_OK(setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)));
	gmprt_wg_add(&wg, n);
	for (int i = 0; i < n; i++)
		g_go(writes_one_by_one, (void *)(intptr_t)sv[1]);
	for (int i = 0; i < n; i++)
		g_go(reads_one_by_one, (void *)(intptr_t)sv[0]);
	gmprt_wg_wait(&wg);
	gmprt_wg_add(&wg, n);
	G_OK(shutdown(sv[1], SHUT_WR));
	gmprt_wg_wait(&wg);
	G_EQ(n * G_LOOPS(500), g_load(&done));
	gio_close(sv);
}

G_TEST(many_that_find_nothing_most_of_the_time_lose_nothing)
{
	storm();
}

static void on_signal(int sig)
{
	(void)sig;
}

static void *sends_signals(void *arg)
{
	(void)arg;
	while (!g_load(&stop)) {
		kill(getpid(), SIGUSR1);
		g_nap(G_MS / 50);
	}
	return NULL;
}

/* Without SA_RESTART: each call that blocks may be interrupted. */
G_TEST(a_storm_of_signals_is_nobodys_error)
{
	struct sigaction sa = { .sa_handler = on_signal };
	pthread_t t;
	char byte;
	int sv[2];

	G_OK(sigaction(SIGUSR1, &sa, NULL));
	g_store(&stop, 0);
	G_OK(pthread_create(&t, NULL, sends_signals, NULL));
	storm();
	gio_tcp(sv);
	for (int i = 0; i < 20; i++) {
		int64_t dl = g_now() + G_MS;

		G_EQ(-ETIMEDOUT, gmprt_read_dl(sv[0], &byte, 1, dl));
		G_GE(g_now(), dl);
	}
	gio_close(sv);
	g_store(&stop, 1);
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
}

/* ---- out of fds ---- */

static int listener;
static long nr_failed;

static void accepts_with_patience(void *unused)
{
	int64_t pause = G_MS;
	int fd;

	(void)unused;
	while ((fd = gmprt_accept(listener, NULL, NULL)) != -ECANCELED) {
		if (fd < 0) {
			G_EQ(-EMFILE, fd);
			g_inc(&nr_failed);
			G_OK(gmprt_sleep(pause));
			pause *= 2;
			continue;
		}
		pause = G_MS;
		g_go(echoes, (void *)(intptr_t)fd);
	}
	gmprt_wg_done(&wg);
}

static void limit_fds(rlim_t n, struct rlimit *was)
{
	struct rlimit few;

	G_OK(getrlimit(RLIMIT_NOFILE, was));
	few = *was;
	few.rlim_cur = n;
	G_OK(setrlimit(RLIMIT_NOFILE, &few));
}

static rlim_t next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return (rlim_t)fd;
}

G_TEST(a_server_out_of_fds_goes_on_when_there_are_some)
{
	struct rlimit was;
	char buf[8];
	int fd[40];

	listener = gio_listen();
	for (int i = 0; i < 40; i++)
		fd[i] = gio_dial(gio_port(listener));
	limit_fds(next_fd() + 20, &was);
	gmprt_wg_add(&wg, 1);
	g_go(accepts_with_patience, NULL);
	while (g_load(&nr_failed) < 3)
		G_OK(gmprt_sleep(G_MS));
	G_LE(g_load(&nr_failed), 10); /* it pauses, and longer each time */
	for (int i = 0; i < 10; i++) {
		G_EQ(4, gmprt_write(fd[i], "ping", 4));
		G_EQ(4, gmprt_read(fd[i], buf, sizeof(buf)));
	}
	G_OK(setrlimit(RLIMIT_NOFILE, &was));
	for (int i = 0; i < 40; i++) {
		G_EQ(4, gmprt_write(fd[i], "ping", 4));
		G_EQ(4, gmprt_read(fd[i], buf, sizeof(buf)));
		G_OK(gmprt_close(fd[i]));
	}
	G_OK(gmprt_close(listener));
	gmprt_wg_wait(&wg);
}

/* The first wait of a run needs two fds. */
G_TEST(without_an_fd_for_epoll_the_wait_fails_and_later_works)
{
	struct rlimit was;
	char byte;
	int p[2], r;

	G_OK(pipe2(p, O_CLOEXEC));
	for (rlim_t n = 0; n < 2; n++) {
		int before = gio_count_fds();

		limit_fds(next_fd() + n, &was);
		r = (int)gmprt_read_dl(p[0], &byte, 1, g_now() + G_MS);
		G_OK(setrlimit(RLIMIT_NOFILE, &was));
		G_EQ(-EMFILE, r);
		G_EQ(before, gio_count_fds());
	}
	G_EQ(-ETIMEDOUT, gmprt_read_dl(p[0], &byte, 1, g_now() + G_MS));
	gio_close(p);
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
