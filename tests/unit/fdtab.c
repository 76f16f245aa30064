/* SPDX-License-Identifier: MIT */
/*
 * The table of files: an entry for each number, made once and staying; calls
 * under way are counted, and the last of a file that is being closed says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "core/fdtab.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

static struct rt_fdtab fds;

static struct rt_fd *entry(int fd)
{
	struct rt_fd *e = rt_fd_find(&fds, fd);

	G_TRUE(e);
	return e;
}

TEST(an_entry_is_one_for_each_number_and_stays)
{
	struct rt_fd *e[] = { entry(0), entry(1), entry(4095), entry(4096), entry(INT_MAX) };

	for (int i = 0; i < 5; i++)
		for (int k = 0; k < i; k++)
			G_TRUE(e[i] != e[k]);
	G_TRUE(entry(4096) == e[3]);
	G_TRUE(entry(INT_MAX) == e[4]);
	G_TRUE(rt_fd_peek(&fds, 4097) == e[3] + 1);
	G_TRUE(!rt_fd_peek(&fds, 1 << 20));
	rt_fdtab_free(&fds);
	G_TRUE(!rt_fd_peek(&fds, 0));
}

TEST(without_memory_there_is_no_entry_but_later_there_is)
{
	for (unsigned long n = 1; n <= 2; n++) {
		rt_fault_arm(n);
		G_TRUE(!rt_fd_find(&fds, 7));
	}
	G_TRUE(rt_fd_find(&fds, 7));
	rt_fdtab_free(&fds);
}

static void *finds(void *arg)
{
	for (int fd = 0; fd < 1 << 20; fd += 512)
		G_TRUE(rt_fd_find(&fds, fd));
	return arg;
}

TEST(two_that_make_the_same_page_agree_on_it)
{
	pthread_t t;

	G_OK(pthread_create(&t, NULL, finds, NULL));
	for (int fd = 0; fd < 1 << 20; fd += 512) {
		struct rt_fd *e = rt_fd_find(&fds, fd);

		fetch_add_seq(&e->use, 1);
		G_TRUE(rt_fd_find(&fds, fd) == e);
		G_EQ(load_seq(&e->use), 1);
	}
	pthread_join(t, NULL);
	rt_fdtab_free(&fds);
}

TEST(the_last_call_of_a_file_being_closed_says_so)
{
	struct rt_fd e = { 0 };

	G_TRUE(rt_fd_get(&e));
	G_TRUE(rt_fd_get(&e));
	G_TRUE(!rt_fd_put(&e));
	fetch_or_seq(&e.use, RT_FD_CLOSING);
	G_TRUE(!rt_fd_get(&e)); /* too late, and it is counted */
	G_TRUE(!rt_fd_put(&e));
	G_TRUE(rt_fd_put(&e));
}

TEST(the_kernel_says_what_a_file_is)
{
	int null = open("/dev/null", O_RDWR), dir = open("/", O_RDONLY), p[2], sv[2];
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	uint8_t flags;

	G_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	G_OK(pipe(p));
	G_EQ(rt_fd_ask(sv[0], &flags), RT_FD_SOCKET);
	G_EQ(flags, RT_FD_UNIX);
	G_EQ(rt_fd_ask(tcp, &flags), RT_FD_SOCKET);
	G_EQ(flags, RT_FD_TCP);
	G_EQ(rt_fd_ask(udp, &flags), RT_FD_SOCKET);
	G_EQ(flags, 0);
	G_EQ(rt_fd_ask(p[0], &flags), RT_FD_OTHER);
	G_EQ(flags, 0);
	G_EQ(rt_fd_ask(null, &flags), RT_FD_OTHER);
	G_EQ(rt_fd_ask(dir, &flags), RT_FD_FILE);
	errno = 99;
	G_EQ(rt_fd_ask(9999, &flags), -EBADF);
	G_EQ(errno, 99);
}

TEST_HARNESS_MAIN
