/* SPDX-License-Identifier: MIT */
/*
 * io_load.c - proves: beside goroutines that hog their Ps, under storms of
 * events and signals, and out of fds, I/O goes on; nothing hangs, spins or is
 * lost
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "lib/gio.h"
#include "lib/gtest.h"

static gmprt_wg wg;
static long done, stop;

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
	g_go(gio_echoes, (void *)(intptr_t)sv[1]);
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
	g_go(gio_echoes, (void *)(intptr_t)sv[1]);
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
		g_go(gio_echoes, (void *)(intptr_t)fd);
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
		int before = g_count_fds();

		limit_fds(next_fd() + n, &was);
		r = (int)gmprt_read_dl(p[0], &byte, 1, g_now() + G_MS);
		G_OK(setrlimit(RLIMIT_NOFILE, &was));
		G_EQ(-EMFILE, r);
		G_FDS_ARE(before);
	}
	G_EQ(-ETIMEDOUT, gmprt_read_dl(p[0], &byte, 1, g_now() + G_MS));
	gio_close(p);
}

TEST_HARNESS_MAIN
