/* SPDX-License-Identifier: MIT */
/*
 * io_files.c - proves: pipes, FIFOs, terminals, eventfds, timerfds and plain
 * files are read and written without holding up others, whatever O_NONBLOCK
 * says, and stay as they were
 */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>

#include "lib/gio.h"
#include "lib/gtest.h"

static gmprt_wg wg;
static long done, ticks;

/* ---- pipes ---- */

struct copy {
	int from, to;
};

static void copies(void *arg)
{
	struct copy *c = arg;
	char buf[300];
	ssize_t n;

	while ((n = gmprt_read(c->from, buf, sizeof(buf))) > 0)
		G_EQ(n, gmprt_write_all(c->to, buf, (size_t)n));
	G_EQ(0, n);
	G_OK(gmprt_close(c->from));
	G_OK(gmprt_close(c->to));
	gmprt_wg_done(&wg);
}

static void feeds(void *arg)
{
	int fd = (int)(intptr_t)arg;
	unsigned char buf[3000];

	for (size_t at = 0; at < 300000; at += sizeof(buf)) {
		gio_pattern(buf, sizeof(buf), at);
		G_EQ(sizeof(buf), gmprt_write_all(fd, buf, sizeof(buf)));
	}
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

static void through_a_chain(int flags)
{
	unsigned char in[1000], want[1000];
	struct copy c[5];
	int first, p[2];
	size_t at = 0;
	ssize_t n;

	G_OK(pipe2(p, flags));
	first = p[1];
	gmprt_wg_add(&wg, 6);
	for (int i = 0; i < 5; i++) {
		c[i].from = p[0];
		G_OK(pipe2(p, flags));
		c[i].to = p[1];
		g_go(copies, &c[i]);
	}
	g_go(feeds, (void *)(intptr_t)first);
	while ((n = gmprt_read(p[0], in, sizeof(in))) > 0) {
		gio_pattern(want, (size_t)n, at);
		G_EQ(0, memcmp(in, want, (size_t)n));
		at += (size_t)n;
	}
	G_EQ(0, n);
	G_EQ(300000, at);
	gmprt_wg_wait(&wg);
	G_OK(gmprt_close(p[0]));
}

G_TEST(pipes_carry_all_bytes_blocking_and_not)
{
	through_a_chain(O_CLOEXEC);
	through_a_chain(O_CLOEXEC | O_NONBLOCK);
}

static void counts(void *unused)
{
	(void)unused;
	while (!g_load(&done)) {
		g_inc(&ticks);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

/* With one P, too: who waits for a blocking pipe holds up nobody. */
G_TEST(waiting_for_a_blocking_pipe_holds_up_nobody)
{
	int p[2], flags;
	char byte;

	G_OK(pipe2(p, O_CLOEXEC));
	flags = fcntl(p[0], F_GETFL);
	g_store(&done, 0);
	gmprt_wg_add(&wg, 1);
	g_go(counts, NULL);
	G_EQ(-ETIMEDOUT, gmprt_read_dl(p[0], &byte, 1, g_now() + 20 * G_MS));
	G_GT(g_load(&ticks), 0);
	gio_fill(p[1]);
	g_store(&ticks, 0);
	G_EQ(-ETIMEDOUT, gmprt_write_dl(p[1], "x", 1, g_now() + 20 * G_MS));
	G_GT(g_load(&ticks), 0);
	g_store(&done, 1);
	gmprt_wg_wait(&wg);
	G_EQ(flags, fcntl(p[0], F_GETFL)); /* another process may share it */
	gio_close(p);
}

G_TEST(the_other_end_of_a_pipe_ends_it)
{
	char byte;
	int p[2];

	G_OK(pipe2(p, O_CLOEXEC));
	G_EQ(1, gmprt_write(p[1], "x", 1));
	G_OK(gmprt_close(p[1]));
	G_EQ(1, gmprt_read(p[0], &byte, 1));
	G_EQ(0, gmprt_read(p[0], &byte, 1));
	G_OK(gmprt_close(p[0]));
}

static void writes_to_a_broken_pipe(void)
{
	int p[2];

	G_OK(pipe2(p, O_CLOEXEC));
	G_OK(gmprt_close(p[0]));
	G_EQ(-EPIPE, gmprt_write(p[1], "x", 1));
}

P_TEST(a_pipe_without_a_reader_raises_SIGPIPE)
{
	struct g_end end;

	g_child_run(&end, writes_to_a_broken_pipe);
	G_SIGNALED(&end, SIGPIPE);
}

static void ignores_it(void)
{
	signal(SIGPIPE, SIG_IGN);
	g_run(g_procs, writes_to_a_broken_pipe);
}

P_TEST(and_EPIPE_where_that_is_ignored)
{
	struct g_end end;

	g_child(&end, ignores_it);
	G_EXITS(&end, 0);
}

static char fifo[64];

static void opens_and_writes(void *unused)
{
	int fd;

	(void)unused;
	gmprt_block_enter(); /* until the reader is there */
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	gmprt_block_exit();
	for (int i = 0; i < 100; i++)
		G_EQ(5, gmprt_write_all(fd, "12345", 5));
	G_OK(gmprt_close(fd));
	gmprt_wg_done(&wg);
}

/* The kernel's RWF_NOWAIT is not for FIFOs. */
G_TEST(fifos_are_pipes)
{
	char buf[7];
	size_t at = 0;
	ssize_t n;
	int fd;

	snprintf(fifo, sizeof(fifo), "/tmp/gmprt-test-%d-%d", getpid(), g_procs);
	G_OK(mkfifo(fifo, 0600));
	gmprt_wg_add(&wg, 1);
	g_go(opens_and_writes, NULL);
	gmprt_block_enter();
	fd = open(fifo, O_RDONLY | O_CLOEXEC);
	gmprt_block_exit();
	while ((n = gmprt_read(fd, buf, sizeof(buf))) > 0)
		at += (size_t)n;
	G_EQ(0, n);
	G_EQ(500, at);
	gmprt_wg_wait(&wg);
	G_OK(gmprt_close(fd));
	G_OK(unlink(fifo));
}

/* ---- eventfd, timerfd ---- */

static void raises(void *arg)
{
	uint64_t two = 2;

	for (int i = 0; i < 50; i++) {
		G_EQ(8, gmprt_write((int)(intptr_t)arg, &two, 8));
		if (i % 5 == 0)
			G_OK(gmprt_sleep(G_MS / 20));
	}
	gmprt_wg_done(&wg);
}

G_TEST(an_eventfd_counts)
{
	uint64_t n, sum, full = UINT64_MAX - 1;

	for (int flags = 0; flags <= EFD_NONBLOCK; flags += EFD_NONBLOCK) {
		int fd = eventfd(0, EFD_CLOEXEC | flags);

		G_EQ(-EAGAIN, gmprt_read_try(fd, &n, 8));
		gmprt_wg_add(&wg, 1);
		g_go(raises, (void *)(intptr_t)fd);
		for (sum = 0; sum < 100; sum += n)
			G_EQ(8, gmprt_read(fd, &n, 8));
		G_EQ(100, sum);
		gmprt_wg_wait(&wg);
		G_EQ(8, gmprt_write(fd, &full, 8));
		G_EQ(-EAGAIN, gmprt_write_try(fd, &full, 8));
		G_EQ(-ETIMEDOUT, gmprt_write_dl(fd, &full, 8, g_now() + G_MS));
		G_OK(gmprt_close(fd));
	}
}

G_TEST(a_timerfd_ticks)
{
	struct itimerspec t = { .it_value.tv_nsec = G_MS, .it_interval.tv_nsec = G_MS };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t n, sum = 0;
	int64_t begin = g_now();

	G_OK(timerfd_settime(fd, 0, &t, NULL));
	for (int i = 0; i < 5; i++, sum += n)
		G_EQ(8, gmprt_read(fd, &n, 8));
	G_GE(g_now() - begin, (int64_t)sum * G_MS);
	G_OK(gmprt_close(fd));
}

/* ---- terminals ---- */

static void types(void *arg)
{
	int fd = (int)(intptr_t)arg;

	for (int i = 0; i < 20; i++) {
		G_EQ(3, gmprt_write_all(fd, "abc", 3));
		if (i % 3 == 0)
			G_OK(gmprt_sleep(G_MS / 5));
		G_EQ(3, gmprt_write_all(fd, "de\n", 3));
	}
	gmprt_wg_done(&wg);
}

/* Line by line; a read of part of a line leaves the rest for the next. */
G_TEST(a_terminal_gives_lines)
{
	int pt = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), tty, flags;
	struct termios raw;
	char buf[64];

	G_GE(pt, 0);
	G_OK(grantpt(pt));
	G_OK(unlockpt(pt));
	tty = open(ptsname(pt), O_RDWR | O_NOCTTY | O_CLOEXEC);
	G_GE(tty, 0);
	G_OK(tcgetattr(tty, &raw));
	raw.c_lflag &= ~(tcflag_t)ECHO;
	raw.c_oflag &= ~(tcflag_t)OPOST;
	G_OK(tcsetattr(tty, TCSANOW, &raw));
	flags = fcntl(tty, F_GETFL);
	G_EQ(-EAGAIN, gmprt_read_try(tty, buf, sizeof(buf)));
	G_EQ(-ETIMEDOUT, gmprt_read_dl(tty, buf, sizeof(buf), g_now() + G_MS));
	gmprt_wg_add(&wg, 1);
	g_go(types, (void *)(intptr_t)pt);
	for (int i = 0; i < 20; i++) {
		G_EQ(2, gmprt_read(tty, buf, 2));
		G_EQ(4, gmprt_read(tty, buf + 2, 62));
		G_EQ(0, memcmp(buf, "abcde\n", 6));
	}
	gmprt_wg_wait(&wg);
	G_EQ(flags, fcntl(tty, F_GETFL));
	G_EQ(6, gmprt_write_all(tty, "to you", 6));
	gio_read_all(pt, buf, 6);
	G_OK(gmprt_close(tty));
	G_OK(gmprt_close(pt));
}

/* ---- plain files ---- */

G_TEST(plain_files_are_read_and_written_at_their_position)
{
	char path[] = "/tmp/gmprt-test-XXXXXX";
	unsigned char buf[5000], want[5000];
	int fd = mkstemp(path);
	uint64_t before = g_stats().nr_io_waits;

	G_GE(fd, 0);
	G_OK(unlink(path));
	gio_pattern(want, sizeof(want), 0);
	for (int i = 0; i < 20; i++)
		G_EQ(sizeof(want), gmprt_write_all(fd, want, sizeof(want)));
	G_EQ(0, lseek(fd, 0, SEEK_SET));
	for (int i = 0; i < 20; i++) {
		gio_read_all(fd, buf, sizeof(buf));
		G_EQ(0, memcmp(buf, want, sizeof(buf)));
	}
	G_EQ(0, gmprt_read(fd, buf, 1));
	G_EQ(0, gmprt_read_try(fd, buf, 1));
	G_EQ(0, gmprt_read_dl(fd, buf, 1, 0));
	G_EQ(POLLIN | POLLOUT, gmprt_poll(fd, POLLIN | POLLOUT));
	G_EQ(before, g_stats().nr_io_waits);
	G_OK(gmprt_close(fd));
}

G_TEST(what_has_no_poll_is_used_as_it_is)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	char buf[16] = "x";

	G_EQ(0, gmprt_read(null, buf, sizeof(buf)));
	G_EQ(16, gmprt_write(null, buf, sizeof(buf)));
	G_EQ(16, gmprt_read(zero, buf, sizeof(buf)));
	G_EQ(0, buf[0]);
	G_EQ(-EISDIR, gmprt_read(open("/", O_RDONLY | O_CLOEXEC), buf, 1));
	G_OK(gmprt_close(null));
	G_OK(gmprt_close(zero));
}

/* ---- errors ---- */

G_TEST(a_number_that_is_no_file_is_EBADF)
{
	int numbers[] = { -1, -100, 3999, 1 << 28 };
	struct msghdr msg = { 0 };
	char byte = 0;

	for (int i = 0; i < 4; i++) {
		int fd = numbers[i];

		G_EQ(-EBADF, gmprt_read(fd, &byte, 1));
		G_EQ(-EBADF, gmprt_read_try(fd, &byte, 1));
		G_EQ(-EBADF, gmprt_write(fd, &byte, 1));
		G_EQ(-EBADF, gmprt_write_all(fd, &byte, 1));
		G_EQ(-EBADF, gmprt_recvmsg(fd, &msg, 0));
		G_EQ(-EBADF, gmprt_accept(fd, NULL, NULL));
		G_EQ(-EBADF, gmprt_connect(fd, NULL, 0));
		G_EQ(-EBADF, gmprt_poll(fd, POLLIN));
		G_EQ(-EBADF, gmprt_close(fd));
	}
}

G_TEST(bad_memory_is_EFAULT)
{
	int sv[2], p[2];

	gio_pair(sv, SOCK_STREAM);
	G_OK(pipe2(p, O_CLOEXEC));
	G_EQ(1, gmprt_write(sv[0], "x", 1));
	G_EQ(1, gmprt_write(p[1], "x", 1));
	G_EQ(-EFAULT, gmprt_read(sv[1], (void *)8, 1));
	G_EQ(-EFAULT, gmprt_read(p[0], (void *)8, 1));
	gio_close(sv);
	gio_close(p);
}

G_TEST(errno_is_left_alone)
{
	char byte;
	int sv[2];

	gio_pair(sv, SOCK_STREAM);
	g_set_errno(99);
	G_EQ(-EAGAIN, gmprt_read_try(sv[0], &byte, 1));
	G_EQ(-ETIMEDOUT, gmprt_read_dl(sv[0], &byte, 1, g_now() + G_MS));
	G_EQ(-EBADF, gmprt_read(-1, &byte, 1));
	G_EQ(-EINVAL, gmprt_listen_tcp("nonsense", 0));
	G_EQ(99, g_errno());
	gio_close(sv);
	G_EQ(99, g_errno());
}

/* ---- numbers that come back ---- */

static void reads_a_byte(void *arg)
{
	char byte;

	G_EQ(1, gmprt_read((int)(intptr_t)arg, &byte, 1));
	g_inc(&done);
}

/* close(2) instead of gmprt_close() for files of one's own: against the rule,
 * and a library may do so. The next file of that number works all the same. */
G_TEST(a_number_that_came_back_as_another_kind_works)
{
	const int fd = 100;

	for (int i = 0; i < 40; i++) {
		int ends[2];
		char byte;

		if (i % 4 == 0)
			gio_pair(ends, SOCK_STREAM);
		else if (i % 4 == 1)
			G_OK(pipe2(ends, O_CLOEXEC));
		else if (i % 4 == 2)
			gio_tcp_plain(ends, 0);
		else
			G_OK(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
		G_EQ(fd, dup2(ends[0], fd));
		close(ends[0]);
		G_EQ(-ETIMEDOUT, gmprt_read_dl(fd, &byte, 1, g_now() + G_MS / 10));
		g_store(&done, 0);
		g_go_named("reader", reads_a_byte, (void *)(intptr_t)fd);
		g_parked("reader", 1);
		G_EQ(1, gmprt_write(ends[1], "x", 1));
		g_until(&done, 1);
		close(fd);
		G_OK(gmprt_close(ends[1]));
	}
}

G_TEST(a_socket_that_came_back_as_a_file_works)
{
	char byte;
	int sv[2];

	gio_pair(sv, SOCK_STREAM);
	G_EQ(-EAGAIN, gmprt_read_try(sv[0], &byte, 1));
	G_EQ(sv[0], dup2(sv[1], sv[0]));
	close(sv[0]);
	G_EQ(sv[0], open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	G_EQ(1, gmprt_read(sv[0], &byte, 1));
	gio_close(sv);
}

TEST_HARNESS_MAIN
