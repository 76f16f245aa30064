/* SPDX-License-Identifier: MIT */
/*
 * io_many.c - proves: 10,000 TCP connections at the same time, a goroutine at
 * each end, all get what they were sent; they need few threads, and nothing is
 * left of them afterwards
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include "lib/gio.h"
#include "lib/gtest.h"

/* Sanitizers: a tenth. */
#define MANY (10000 / (G_SLOW > 1 ? 10 : 1))

static gmprt_wg wg, all_connected, half_done;
static gmprt_chan *go_on;
static long served, at_once, most;
static int port, listener;

static void serves(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[64];
	ssize_t n;
	long now = g_inc(&at_once);

	for (long m = g_load(&most); now > m;)
		if (__atomic_compare_exchange_n(&most, &m, now, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			break;
	while ((n = gmprt_read(fd, buf, sizeof(buf))) > 0)
		G_EQ(n, gmprt_write_all(fd, buf, (size_t)n));
	G_EQ(0, n);
	G_OK(gmprt_close(fd));
	__atomic_sub_fetch(&at_once, 1, __ATOMIC_SEQ_CST);
	g_inc(&served);
}

static void accepts(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = gmprt_accept(listener, NULL, NULL)) >= 0)
		g_go(serves, (void *)(intptr_t)fd);
	G_EQ(-ECANCELED, fd);
	gmprt_wg_done(&wg);
}

static void pings(int fd, long i, int times)
{
	char msg[64], back[64];

	for (int k = 0; k < times; k++) {
		int n = snprintf(msg, sizeof(msg), "%ld says %d", i, k);

		G_EQ(n, gmprt_write_all(fd, msg, (size_t)n));
		gio_read_all(fd, back, (size_t)n);
		G_EQ(0, memcmp(msg, back, (size_t)n));
	}
}

/* ---- the clients, a process of their own: half of the fds are enough ---- */

/* The odd ones talk while the even ones are silent, then the other way. */
static void connects(void *arg)
{
	long i = (intptr_t)arg;
	int fd = gio_dial(port);

	pings(fd, i, 1);
	gmprt_wg_done(&all_connected);
	gmprt_wg_wait(&all_connected);
	if (i % 2) {
		pings(fd, i, 5);
		gmprt_wg_done(&half_done);
	} else {
		G_EQ(-EPIPE, gmprt_chan_recv(go_on, NULL));
		pings(fd, i, 5);
	}
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

static void clients(void)
{
	go_on = g_chan(0, 0);
	gmprt_wg_add(&wg, MANY);
	gmprt_wg_add(&all_connected, MANY);
	gmprt_wg_add(&half_done, MANY / 2);
	for (intptr_t i = 0; i < MANY; i++)
		g_go(connects, (void *)i);
	gmprt_wg_wait(&half_done);
	G_OK(gmprt_chan_close(go_on));
	gmprt_wg_wait(&wg);
	/* The kernel has those who call socket() wait while it enlarges the table of
	 * fds, 20 ms each time. A backend in the kernel sees them all block. */
	G_LT(g_stats().nr_threads_peak, strcmp(gmprt_upcall_backend(), "sysmon") ? 2000 : 50);
}

static pid_t clients_start(void)
{
	pid_t pid = fork();

	G_GE(pid, 0);
	if (pid == 0) {
		g_run(2, clients);
		exit(0);
	}
	return pid;
}

/* ---- the server --------------------------------------------------- */

static pid_t pid;

static void server(void)
{
	int status;

	gmprt_wg_add(&wg, 1);
	g_go(accepts, NULL);
	gmprt_block_enter();
	G_EQ(pid, waitpid(pid, &status, 0));
	gmprt_block_exit();
	G_EQ(0, status);
	g_until(&served, MANY);
	G_EQ(MANY, g_load(&most));
	G_OK(gmprt_close(listener));
	gmprt_wg_wait(&wg);
	while (g_stats().nr_io_waiting)
		gmprt_sleep(G_MS);
	/* Goroutines waited, not threads. */
	G_LT(g_stats().nr_threads_peak, 50);
}

FIXTURE(many)
{
	struct rlimit was;
};

FIXTURE_SETUP(many)
{
	G_OK(getrlimit(RLIMIT_NOFILE, &self->was));
}

FIXTURE_TEARDOWN(many)
{
}

TEST_F_TIMEOUT(many, ten_thousand_connections_at_the_same_time, G_TIMEOUT *G_SLOW)
{
	struct rlimit all = { self->was.rlim_max, self->was.rlim_max };
	int before;

	if (self->was.rlim_max < MANY + 100)
		SKIP(return, "%d fds are needed, ulimit -Hn is %lu", MANY + 100,
			   (unsigned long)self->was.rlim_max);
	G_OK(setrlimit(RLIMIT_NOFILE, &all));
	before = g_count_fds();
	listener = gmprt_listen_tcp("127.0.0.1:0", 4096);
	G_GE(listener, 0);
	port = gio_port(listener);
	pid = clients_start();
	g_watch("many", G_TIMEOUT * G_SLOW - 5);
	g_run(2, server);
	g_watch_end();
	G_FDS_ARE(before);
}

TEST_HARNESS_MAIN
