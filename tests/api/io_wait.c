/* SPDX-License-Identifier: MIT */
/*
 * io_wait.c - proves: a wait for a file ends by what is waited for, a deadline,
 * a close or the end of the run, and by nothing else; none is forgotten; and
 * who waits costs nothing
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "lib/gio.h"
#include "lib/gtest.h"

static gmprt_wg wg;
static long done, stop;

/* ---- deadlines ---- */

G_TEST(a_deadline_ends_a_wait_and_not_before)
{
	char byte;
	int sv[2];

	gio_tcp(sv);
	for (int i = 0; i < 20; i++) {
		int64_t dl = g_now() + G_MS;

		G_EQ(-ETIMEDOUT, gmprt_read_dl(sv[0], &byte, 1, dl));
		G_GE(g_now(), dl);
	}
	G_EQ(-ETIMEDOUT, gmprt_read_dl(sv[0], &byte, 1, 0));
	G_EQ(-ETIMEDOUT, gmprt_read_dl(sv[0], &byte, 1, INT64_MIN));
	gio_close(sv);
}

/* Past or not: what is there is read, though nobody may have polled since. */
G_TEST(a_deadline_that_has_passed_still_gets_what_is_there)
{
	char buf[8];
	int sv[2];

	gio_tcp(sv);
	for (int i = 0; i < 20; i++) {
		G_EQ(-ETIMEDOUT, gmprt_read_dl(sv[0], buf, 8, g_now() + G_MS / 10));
		G_EQ(1, gmprt_write(sv[1], "x", 1));
		while (gmprt_poll_try(sv[0], POLLIN) == -EAGAIN)
			; /* until loopback has delivered it */
		G_EQ(1, i % 2 ? gmprt_read_dl(sv[0], buf, 8, 0) : gmprt_read_try(sv[0], buf, 8));
	}
	gio_close(sv);
}

static long nr_read, nr_late;

static void reads_dl(void *arg)
{
	uint64_t rand = (uintptr_t)arg | 1;
	int fd = (int)((uintptr_t)arg >> 8);

	while (!g_load(&stop)) {
		char byte;
		ssize_t r = gmprt_read_dl(fd, &byte, 1, g_now() + (int64_t)(g_rand(&rand) % 40000));

		if (r == -ETIMEDOUT)
			g_inc(&nr_late);
		else if (r == 1)
			g_inc(&nr_read);
		else
			G_EQ(0, r); /* the end */
		if (r == 0)
			break;
	}
	gmprt_wg_done(&wg);
}

G_TEST(deadlines_that_race_with_data_lose_none)
{
	long n = G_LOOPS(2000);
	int sv[2];

	g_store(&stop, 0);
	gio_pair(sv, SOCK_STREAM);
	gmprt_wg_add(&wg, 4);
	for (uintptr_t i = 0; i < 4; i++)
		g_go(reads_dl, (void *)((uintptr_t)sv[0] << 8 | i));
	for (long i = 0; i < n; i++) {
		G_EQ(1, gmprt_write(sv[1], "x", 1));
		if (i % 16 == 0)
			G_OK(gmprt_sleep(G_MS / 50));
		else if (i % 3 == 0)
			gmprt_yield();
	}
	G_OK(shutdown(sv[1], SHUT_WR));
	gmprt_wg_wait(&wg);
	G_EQ(n, g_load(&nr_read));
	gio_close(sv);
}

/* ---- close ---- */

static long result[300];

static void waits_for_close(void *arg)
{
	char byte;
	long i = g_inc(&done) - 1;

	result[i] = gmprt_read((int)(intptr_t)arg, &byte, 1);
	gmprt_wg_done(&wg);
}

G_TEST(close_wakes_all_who_wait)
{
	int n = 100, sv[2];

	for (int type = 0; type < 4; type++) {
		g_store(&done, 0);
		if (type == 0)
			gio_tcp(sv);
		else if (type == 1)
			gio_pair(sv, SOCK_DGRAM);
		else if (type == 2)
			G_OK(pipe2(sv, O_CLOEXEC));
		else
			sv[0] = gio_listen();
		gmprt_wg_add(&wg, n);
		for (int i = 0; i < n; i++)
			g_go_named("waiter", waits_for_close, (void *)(intptr_t)sv[0]);
		if (type < 3)
			g_parked("waiter", n);
		else
			gmprt_wg_wait(&wg); /* nobody waits: an error at once */
		G_OK(gmprt_close(sv[0]));
		gmprt_wg_wait(&wg);
		for (int i = 0; i < n; i++)
			G_EQ(type < 3 ? -ECANCELED : -ENOTCONN, result[i]);
		G_EQ(-EBADF, gmprt_close(sv[0]));
		if (type < 3)
			G_OK(gmprt_close(sv[1]));
	}
}

static long nr_got, nr_canceled;

static void reads_one_or_none(void *arg)
{
	char byte;
	ssize_t r = gmprt_read((int)(intptr_t)arg, &byte, 1);

	if (r == 1)
		g_inc(&nr_got);
	else if (r == -ECANCELED)
		g_inc(&nr_canceled);
	else
		G_EQ(0, r);
	gmprt_wg_done(&wg);
}

/* An event wakes them all, then the number is taken away from them; it means
 * another file at once, of which none of them may take a byte. */
G_TEST(nobody_who_was_woken_touches_the_numbers_next_file)
{
	long n = G_LOOPS(500);
	char buf[8];

	for (int i = 0; i < n; i++) {
		int sv[2], next[2];

		gio_pair(sv, SOCK_STREAM);
		gmprt_wg_add(&wg, 4);
		for (int k = 0; k < 4; k++)
			g_go(reads_one_or_none, (void *)(intptr_t)sv[0]);
		while (g_stats().nr_io_waiting < 4)
			gmprt_yield();
		G_EQ(1, gmprt_write(sv[1], "x", 1));
		for (int k = 0; k < i % 3; k++)
			gmprt_yield();
		G_OK(gmprt_close(sv[0]));
		G_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, next));
		G_EQ(sv[0], next[0]);
		G_EQ(5, gmprt_write(next[1], "hello", 5));
		gmprt_wg_wait(&wg);
		G_EQ(5, gmprt_read(next[0], buf, sizeof(buf)));
		gio_close(next);
		G_OK(gmprt_close(sv[1]));
	}
	G_LE(g_load(&nr_got), n);
	G_EQ(4 * n, g_load(&nr_got) + g_load(&nr_canceled));
}

G_TEST(a_number_serves_one_file_after_the_other)
{
	char buf[8];

	for (int i = 0; i < G_LOOPS(300); i++) {
		int sv[2];

		if (i % 3 == 0)
			gio_tcp(sv);
		else if (i % 3 == 1)
			gio_pair(sv, SOCK_STREAM);
		else
			G_OK(pipe2(sv, O_CLOEXEC));
		if (i % 2)
			G_EQ(-ETIMEDOUT, gmprt_read_dl(sv[0], buf, 8, g_now() + G_MS / 100));
		G_EQ(2, gmprt_write(sv[1], "ab", 2));
		G_EQ(2, gmprt_read(sv[0], buf, 8));
		gio_close(sv);
	}
}

static void *closes_on_a_thread(void *arg)
{
	g_nap(5 * G_MS);
	G_OK(gmprt_close((int)(intptr_t)arg));
	return NULL;
}

G_TEST(an_ordinary_thread_may_close)
{
	pthread_t t;
	int sv[2];

	gio_tcp(sv);
	g_store(&done, 0);
	gmprt_wg_add(&wg, 1);
	G_OK(pthread_create(&t, NULL, closes_on_a_thread, (void *)(intptr_t)sv[0]));
	g_go(waits_for_close, (void *)(intptr_t)sv[0]);
	gmprt_wg_wait(&wg);
	G_TRUE(result[0] == -ECANCELED || result[0] == -EBADF);
	G_OK(pthread_join(t, NULL));
	G_OK(gmprt_close(sv[1]));
}

/* ---- many waiters on one file ---- */

static void takes_one(void *arg)
{
	char byte;

	G_EQ(1, gmprt_read((int)(intptr_t)arg, &byte, 1));
	g_inc(&done);
}

G_TEST(each_byte_wakes_somebody_who_gets_it)
{
	int n = 200, sv[2];

	g_store(&done, 0);
	gio_tcp(sv);
	for (int i = 0; i < n; i++)
		g_go_named("waiter", takes_one, (void *)(intptr_t)sv[0]);
	g_parked("waiter", n);
	for (int i = 0; i < n; i++) {
		G_EQ(1, gmprt_write(sv[1], "x", 1));
		if (i % 10 == 0)
			g_until(&done, i + 1);
	}
	g_until(&done, n);
	gio_close(sv);
}

static void writes_some(void *arg)
{
	static const char much[100000];

	G_EQ(sizeof(much), gmprt_write_all((int)(intptr_t)arg, much, sizeof(much)));
	gmprt_wg_done(&wg);
}

G_TEST(readers_and_writers_wait_for_one_file_at_the_same_time)
{
	char buf[10000];
	int n = 10, sv[2];
	size_t at = 0;

	g_store(&done, 0);
	gio_pair(sv, SOCK_STREAM);
	gmprt_wg_add(&wg, n);
	for (int i = 0; i < n; i++) {
		g_go_named("reader", takes_one, (void *)(intptr_t)sv[0]);
		g_go(writes_some, (void *)(intptr_t)sv[0]);
	}
	g_parked("reader", n);
	while (at < (size_t)n * 100000) {
		ssize_t r = gmprt_read(sv[1], buf, sizeof(buf));

		G_GT(r, 0);
		at += (size_t)r;
	}
	gmprt_wg_wait(&wg);
	G_EQ(0, g_load(&done));
	for (int i = 0; i < n; i++)
		G_EQ(1, gmprt_write(sv[1], "x", 1));
	g_until(&done, n);
	gio_close(sv);
}

/* ---- poll ---- */

G_TEST(poll_says_what_holds_and_waits_for_the_rest)
{
	char byte;
	int sv[2];

	gio_pair(sv, SOCK_STREAM);
	G_EQ(POLLOUT, gmprt_poll(sv[0], POLLIN | POLLOUT));
	G_EQ(-EAGAIN, gmprt_poll_try(sv[0], POLLIN));
	G_EQ(-ETIMEDOUT, gmprt_poll_dl(sv[0], POLLIN, g_now() + G_MS));
	G_EQ(1, gmprt_write(sv[1], "x", 1));
	G_EQ(POLLIN, gmprt_poll(sv[0], POLLIN));
	G_EQ(POLLIN | POLLOUT, gmprt_poll_dl(sv[0], POLLIN | POLLOUT, 0));
	G_EQ(1, read(sv[0], &byte, 1)); /* by others, as it is meant for */
	gio_fill(sv[0]);
	G_EQ(-EAGAIN, gmprt_poll_try(sv[0], POLLIN | POLLOUT));
	G_OK(gmprt_close(sv[1]));
	G_TRUE(gmprt_poll(sv[0], 0) & POLLHUP);
	G_OK(gmprt_close(sv[0]));
}

G_TEST(what_never_comes_for_a_regular_file_is_EINVAL)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	G_GE(fd, 0);
	G_EQ(POLLIN, gmprt_poll(fd, POLLIN));
	G_EQ(-EINVAL, gmprt_poll(fd, 0));
	G_EQ(-EINVAL, gmprt_poll_dl(fd, POLLPRI, g_now() + 100 * G_SEC));
	G_EQ(-EAGAIN, gmprt_poll_try(fd, POLLRDHUP));
	G_OK(gmprt_close(fd));
}

static void polls(void *arg)
{
	long i = g_inc(&done) - 1;

	result[i] = gmprt_poll((int)(intptr_t)arg, i ? POLLIN | POLLOUT : POLLIN);
	gmprt_wg_done(&wg);
}

G_TEST(poll_is_woken_by_either_event_and_by_close)
{
	static char buf[1 << 20];
	int sv[2];

	for (int i = 0; i < 3; i++) {
		g_store(&done, 0);
		gio_pair(sv, SOCK_STREAM);
		gio_fill(sv[0]);
		gmprt_wg_add(&wg, 2);
		g_go_named("poller", polls, (void *)(intptr_t)sv[0]);
		g_parked("poller", 1);
		g_go_named("poller", polls, (void *)(intptr_t)sv[0]);
		g_parked("poller", 2);
		if (i == 0)
			G_EQ(1, gmprt_write(sv[1], "x", 1));
		else if (i == 1)
			while (gmprt_read_try(sv[1], buf, sizeof(buf)) > 0)
				;
		else
			G_OK(gmprt_close(sv[0]));
		if (i == 1) {
			while (g_stats().nr_io_waiting > 1)
				gmprt_yield();
			G_EQ(1, gmprt_write(sv[1], "x", 1));
		}
		gmprt_wg_wait(&wg);
		G_EQ(i == 2 ? -ECANCELED : POLLIN, result[0]);
		G_EQ(i == 2 ? -ECANCELED : i == 1 ? POLLOUT :
						    POLLIN,
		     result[1]);
		if (i < 2)
			G_OK(gmprt_close(sv[0]));
		G_OK(gmprt_close(sv[1]));
	}
}

/* ---- elsewhere than in a goroutine ---- */

static void *tries_on_a_thread(void *arg)
{
	int *sv = arg;
	struct iovec iov = { &(char){ 0 }, 1 };
	char buf[8];

	G_EQ(-EAGAIN, gmprt_read_try(sv[0], buf, 8));
	G_EQ(-EPERM, gmprt_read(sv[0], buf, 8));
	G_EQ(-EPERM, gmprt_read_dl(sv[0], buf, 8, 0));
	G_EQ(5, gmprt_write_try(sv[1], "hello", 5));
	G_EQ(5, gmprt_recvfrom_try(sv[0], buf, 8, MSG_PEEK, NULL, NULL));
	G_EQ(POLLIN, gmprt_poll_try(sv[0], POLLIN));
	G_EQ(5, gmprt_read(sv[0], buf, 8)); /* it need not wait */
	G_EQ(-EPERM, gmprt_poll(sv[0], POLLIN));
	G_EQ(-EAGAIN, gmprt_readv_try(sv[0], &iov, 1));
	G_EQ(1, gmprt_writev_try(sv[1], &iov, 1));
	G_EQ(1, gmprt_readv_try(sv[0], &iov, 1));
	G_EQ(-EPERM, gmprt_dial_tcp("127.0.0.1:1"));
	G_EQ(-EPERM, gmprt_connect(sv[0], NULL, 0));
	return NULL;
}

static void try_them_all(void)
{
	int sv[2], flags;

	gio_tcp_plain(sv, 0);
	tries_on_a_thread(sv);
	gio_close(sv);
	gio_pair(sv, SOCK_STREAM | SOCK_NONBLOCK);
	tries_on_a_thread(sv);
	gio_close(sv);
	for (flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
		char buf[8];

		G_OK(pipe2(sv, O_CLOEXEC | flags));
		G_EQ(-EAGAIN, gmprt_read_try(sv[0], buf, 8));
		G_EQ(-EPERM, gmprt_read(sv[0], buf, 8));
		G_EQ(5, gmprt_write_try(sv[1], "hello", 5));
		G_EQ(5, gmprt_read_try(sv[0], buf, 8));
		gio_fill(sv[1]);
		G_EQ(-EPERM, gmprt_write(sv[1], "x", 1));
		gio_close(sv);
	}
}

TEST(outside_a_run_all_that_need_not_wait_work)
{
	try_them_all();
}

static void *thread_tries(void *unused)
{
	try_them_all();
	return unused;
}

G_TEST(on_an_ordinary_thread_too_while_a_run_is_under_way)
{
	pthread_t t;

	G_OK(pthread_create(&t, NULL, thread_tries, NULL));
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
}

static void *feeds_by_hand(void *arg)
{
	for (int i = 0; i < 300; i++) {
		while (gmprt_write_try((int)(intptr_t)arg, "x", 1) == -EAGAIN)
			sched_yield();
		if (i % 30 == 0)
			g_nap(G_MS);
	}
	return NULL;
}

G_TEST(a_thread_that_writes_wakes_a_goroutine_that_reads)
{
	pthread_t t;
	char byte;
	int sv[2];

	gio_tcp(sv);
	G_OK(pthread_create(&t, NULL, feeds_by_hand, (void *)(intptr_t)sv[1]));
	for (int i = 0; i < 300; i++)
		G_EQ(1, gmprt_read(sv[0], &byte, 1));
	G_OK(pthread_join(t, NULL));
	gio_close(sv);
}

G_TEST(between_brackets_what_would_wait_is_EPERM)
{
	char byte;
	int sv[2];

	gio_pair(sv, SOCK_STREAM);
	gmprt_block_enter();
	G_EQ(-EPERM, gmprt_read(sv[0], &byte, 1));
	G_EQ(1, gmprt_write(sv[1], "x", 1));
	G_EQ(1, gmprt_read(sv[0], &byte, 1));
	G_OK(gmprt_close(sv[0]));
	gmprt_block_exit();
	G_OK(gmprt_close(sv[1]));
}

static void locked_reader(void *arg)
{
	char byte;

	gmprt_lock_os_thread();
	for (int i = 0; i < 50; i++)
		G_EQ(1, gmprt_read((int)(intptr_t)arg, &byte, 1));
	gmprt_unlock_os_thread();
	g_inc(&done);
}

G_TEST(a_goroutine_bound_to_its_thread_waits_and_is_woken)
{
	int sv[2];

	g_store(&done, 0);
	gio_tcp(sv);
	g_go(locked_reader, (void *)(intptr_t)sv[0]);
	for (int i = 0; i < 50; i++) {
		G_EQ(1, gmprt_write(sv[1], "x", 1));
		if (i % 10 == 0)
			G_OK(gmprt_sleep(G_MS));
	}
	g_until(&done, 1);
	gio_close(sv);
}

TEST_HARNESS_MAIN
