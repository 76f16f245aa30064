/* SPDX-License-Identifier: MIT */
/*
 * The netpoller without a scheduler: an event wakes who waits in its direction,
 * all of them and each once; one that comes before the wait is not lost; what is
 * known of a file ends with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/sysio.h"
#include "core/g.h"
#include "core/netpoll.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

static struct rt_netpoll np;
static struct rt_g g[64];

static void begin(void)
{
	G_OK(rt_netpoll_open(&np));
}

static void end(void)
{
	rt_netpoll_close(&np);
	rt_fdtab_free(&np.fds);
}

static struct rt_fd *entry(int fd)
{
	struct rt_fd *e = rt_fd_find(&np.fds, fd);

	G_TRUE(e);
	return e;
}

/* As sync/fdwait.c does, up to the park. False: something has happened since. */
static bool waits(struct rt_fdwait *w, int fd, uint8_t dirs, uint32_t seq)
{
	struct rt_fd *e = entry(fd);
	bool parks;

	w->dirs = dirs;
	rt_spin_lock(&e->lock);
	G_OK(rt_netpoll_watch_locked(&np, e, fd, dirs));
	parks = e->seq == seq;
	if (parks)
		rt_fdwait_put_locked(e, w);
	rt_spin_unlock(&e->lock);
	return parks;
}

static bool waits_now(struct rt_fdwait *w, int fd, uint8_t dirs)
{
	return waits(w, fd, dirs, entry(fd)->seq);
}

static struct rt_worklist polled(void)
{
	struct rt_worklist ready = { 0 };

	rt_netpoll(&np, 0, RT_NETPOLL_MOST, &ready);
	return ready;
}

/* The one goroutine that is woken now, or -1. */
static int woken(void)
{
	struct rt_worklist ready = polled();

	G_LE(ready.n, 1);
	return ready.n ? (int)(rt_work_to_g(rt_worklist_pop(&ready)) - g) : -1;
}

static void make_ours(int fd)
{
	struct rt_fd *e = entry(fd);

	rt_spin_lock(&e->lock);
	rt_fd_reset_locked(e, RT_FD_SOCKET, RT_FD_OURS | RT_FD_TCP);
	rt_spin_unlock(&e->lock);
}

static void make_pair(int sv[2])
{
	G_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv));
}

/* Two ends of a TCP connection. */
static void make_tcp(int sv[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	G_OK(bind(l, (struct sockaddr *)&a, len));
	G_OK(listen(l, 1));
	G_OK(getsockname(l, (struct sockaddr *)&a, &len));
	sv[0] = socket(AF_INET, SOCK_STREAM, 0);
	G_OK(connect(sv[0], (struct sockaddr *)&a, len));
	sv[1] = accept(l, NULL, NULL);
	G_GE(sv[1], 0);
	close(l);
}

/* ---- open ---------------------------------------------------------- */

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

TEST(open_fails_cleanly_wherever_it_fails)
{
	int before = next_fd();

	for (unsigned long n = 1; n <= 3; n++) {
		rt_fault_arm(n);
		G_LT(rt_netpoll_open(&np), 0);
		G_TRUE(!np.on);
		G_EQ(next_fd(), before);
	}
	begin();
	G_GE(next_fd(), before + 2);
	end();
	G_EQ(next_fd(), before);
}

TEST(registration_that_fails_leaves_the_file_unregistered)
{
	struct rt_fd *e;
	int sv[2];

	begin();
	make_pair(sv);
	e = entry(sv[0]);
	rt_fault_arm(1);
	G_EQ(rt_netpoll_watch_locked(&np, e, sv[0], RT_FD_IN), -ENOMEM);
	G_EQ(e->flags & RT_FD_REGISTERED, 0);
	G_EQ(np.nr_registered, 0);
	G_OK(rt_netpoll_watch_locked(&np, e, sv[0], RT_FD_IN));
	G_EQ(np.nr_registered, 1);
	rt_netpoll_unwatch_locked(&np, e, sv[0]);
	G_EQ(np.nr_registered, 0);
	end();
}

TEST(a_regular_file_can_not_be_waited_for)
{
	int fd = open("/proc/self/exe", O_RDONLY);

	begin();
	G_EQ(rt_netpoll_watch_locked(&np, entry(fd), fd, RT_FD_IN), -EPERM);
	G_EQ(np.nr_registered, 0);
	end();
}

/* ---- events -------------------------------------------------------- */

TEST(an_event_wakes_who_waits_in_its_direction)
{
	struct rt_fdwait r = { .g = &g[1] }, w = { .g = &g[2] };
	char buf[4096] = "";
	int sv[2];

	begin();
	make_pair(sv);
	while (write(sv[0], buf, sizeof(buf)) > 0)
		;
	G_TRUE(waits_now(&r, sv[0], RT_FD_IN));
	G_TRUE(waits_now(&w, sv[0], RT_FD_OUT));
	G_EQ(woken(), -1);
	g[1].wake_result = 77;
	G_EQ(write(sv[1], "", 1), 1);
	G_EQ(woken(), 1);
	G_EQ(g[1].wake_result, 0);
	G_TRUE(!r.queued && w.queued);
	G_EQ(woken(), -1);
	while (read(sv[1], buf, sizeof(buf)) > 0)
		;
	G_EQ(woken(), 2);
	G_EQ(load_rlx(&entry(sv[0])->use), 2); /* one for each */
	end();
}

TEST(an_event_wakes_all_that_wait_in_the_order_they_came)
{
	struct rt_fdwait w[10];
	struct rt_worklist ready;
	int sv[2];

	begin();
	make_pair(sv);
	for (int i = 0; i < 10; i++) {
		w[i] = (struct rt_fdwait){ .g = &g[i] };
		G_TRUE(waits_now(&w[i], sv[0], RT_FD_IN));
	}
	G_EQ(write(sv[1], "", 1), 1);
	ready = polled();
	G_EQ(ready.n, 10);
	for (int i = 0; i < 10; i++)
		G_TRUE(rt_work_to_g(rt_worklist_pop(&ready)) == &g[i]);
	G_EQ(load_rlx(&entry(sv[0])->use), 10);
	G_TRUE(!entry(sv[0])->first && !entry(sv[0])->last);
	end();
}

TEST(an_end_wakes_both_directions_and_sticks)
{
	struct rt_fdwait r = { .g = &g[1] }, w = { .g = &g[2] };
	char buf[4096] = "";
	int sv[2];

	begin();
	make_pair(sv);
	while (write(sv[0], buf, sizeof(buf)) > 0)
		;
	G_TRUE(waits_now(&r, sv[0], RT_FD_IN));
	G_TRUE(waits_now(&w, sv[0], RT_FD_OUT));
	close(sv[1]);
	G_EQ(polled().n, 2);
	G_TRUE(entry(sv[0])->sticky);
	end();
}

TEST(an_event_before_the_wait_is_not_lost)
{
	struct rt_fdwait w = { .g = &g[3] };
	struct rt_fd *e;
	uint32_t seq;
	int sv[2];

	begin();
	make_pair(sv);
	e = entry(sv[0]);
	G_TRUE(waits_now(&w, sv[0], RT_FD_IN)); /* registered */
	rt_fdwait_remove_locked(e, &w);
	seq = e->seq; /* then it tries: EAGAIN */
	G_EQ(write(sv[1], "", 1), 1);
	G_EQ(woken(), -1); /* somebody polls: nobody waits */
	make_ours(sv[0]);
	G_TRUE(!waits(&w, sv[0], RT_FD_IN, seq));
	end();
}

/* A file of others is looked at anew at each wait. */
TEST(what_was_there_before_the_registration_makes_an_event)
{
	struct rt_fdwait w = { .g = &g[4] };
	int sv[2];

	begin();
	make_pair(sv);
	G_EQ(write(sv[1], "", 1), 1);
	for (int i = 0; i < 3; i++) {
		G_TRUE(waits_now(&w, sv[0], RT_FD_IN));
		G_EQ(woken(), 4);
	}
	end();
}

TEST(a_goroutine_that_something_else_woke_is_left_alone)
{
	struct rt_fdwait a = { .g = &g[5], .claim = true }, b = { .g = &g[6], .claim = true };
	int sv[2];

	begin();
	make_pair(sv);
	g[5].claim = RT_CLAIM_CLAIMED;
	g[6].claim = RT_CLAIM_ARMED;
	G_TRUE(waits_now(&a, sv[0], RT_FD_IN));
	G_TRUE(waits_now(&b, sv[0], RT_FD_IN));
	G_EQ(write(sv[1], "", 1), 1);
	G_EQ(woken(), 6);
	G_TRUE(!a.queued); /* its owner will find that */
	G_EQ(g[6].claim, RT_CLAIM_CLAIMED);
	G_EQ(load_rlx(&entry(sv[0])->use), 1);
	end();
}

TEST(no_more_events_are_taken_than_asked_for)
{
	struct rt_worklist ready = { 0 };
	struct rt_fdwait w[10];
	int sv[10][2];

	begin();
	for (int i = 0; i < 10; i++) {
		make_pair(sv[i]);
		w[i] = (struct rt_fdwait){ .g = &g[i] };
		G_TRUE(waits_now(&w[i], sv[i][0], RT_FD_IN));
		G_EQ(write(sv[i][1], "", 1), 1);
	}
	rt_netpoll(&np, 0, 3, &ready);
	G_EQ(ready.n, 3);
	rt_netpoll(&np, 0, RT_NETPOLL_MOST, &ready);
	G_EQ(ready.n, 10);
	end();
}

/* ---- what is known of a file ends with it -------------------------- */

TEST(an_event_of_the_file_before_is_not_for_the_next_one)
{
	struct rt_fdwait w = { .g = &g[7] };
	struct rt_fd *e;
	int sv[2];

	begin();
	make_pair(sv);
	e = entry(sv[0]);
	G_TRUE(waits_now(&w, sv[0], RT_FD_IN));
	close(sv[1]);
	rt_fd_reset_locked(e, RT_FD_UNKNOWN, 0);
	G_EQ(woken(), -1);
	G_TRUE(!e->sticky);
	G_TRUE(w.queued);
	end();
}

TEST(a_number_that_came_back_is_registered_for_the_new_file)
{
	struct rt_fdwait w = { .g = &g[8] };
	int sv[2], other[2], gen;

	begin();
	make_pair(sv);
	G_TRUE(waits_now(&w, sv[0], RT_FD_IN));
	rt_fdwait_remove_locked(entry(sv[0]), &w);
	gen = (int)entry(sv[0])->gen;
	make_pair(other);
	G_EQ(dup2(other[0], sv[0]), sv[0]); /* closes it, as close(2) would */
	G_TRUE(waits_now(&w, sv[0], RT_FD_IN));
	G_NE(entry(sv[0])->gen, gen);
	G_EQ(np.nr_registered, 1);
	G_EQ(write(other[1], "", 1), 1);
	G_EQ(woken(), 8);
	end();
}

TEST(after_unwatch_a_copy_in_other_hands_makes_no_events)
{
	struct rt_fdwait w = { .g = &g[9] };
	int sv[2], copy;

	begin();
	make_pair(sv);
	G_TRUE(waits_now(&w, sv[0], RT_FD_IN));
	rt_fdwait_remove_locked(entry(sv[0]), &w);
	copy = dup(sv[0]); /* as in a child */
	rt_netpoll_unwatch_locked(&np, entry(sv[0]), sv[0]);
	close(sv[0]);
	G_EQ(write(sv[1], "", 1), 1);
	{
		struct epoll_event ev;

		G_EQ(epoll_wait(np.epfd, &ev, 1, 0), 0);
	}
	close(copy);
	end();
}

TEST(closing_takes_all_waiters_with_its_result)
{
	struct rt_fdwait r = { .g = &g[1] }, w = { .g = &g[2] }, both = { .g = &g[3] };
	struct rt_worklist ready = { 0 };
	int sv[2];

	begin();
	make_pair(sv);
	G_TRUE(waits_now(&r, sv[0], RT_FD_IN));
	w.dirs = RT_FD_OUT;
	both.dirs = RT_FD_IN | RT_FD_OUT;
	rt_fdwait_put_locked(entry(sv[0]), &w);
	rt_fdwait_put_locked(entry(sv[0]), &both);
	rt_fdwait_take_locked(entry(sv[0]), RT_FD_IN | RT_FD_OUT, -ECANCELED, &ready);
	G_EQ(ready.n, 3);
	for (int i = 1; i <= 3; i++)
		G_EQ(g[i].wake_result, -ECANCELED);
	G_EQ(load_rlx(&entry(sv[0])->use), 0);
	end();
}

/* ---- a read that need not be tried --------------------------------- */

/*
 * A peer sends and closes at once. However the two fall between what the reader
 * does, it is not told that the socket is empty once the end has come.
 */
TEST(an_end_after_a_short_read_is_always_seen)
{
	for (int when = 0; when < 4; when++) {
		struct rt_fdwait w = { .g = &g[10] };
		struct rt_fd *e;
		uint32_t seq;
		char buf[64];
		int sv[2];

		begin();
		make_tcp(sv);
		make_ours(sv[0]);
		e = entry(sv[0]);
		G_TRUE(waits_now(&w, sv[0], RT_FD_IN));
		rt_fdwait_remove_locked(e, &w);
		polled(); /* it could be written to */
		G_EQ(write(sv[1], "four", 4), 4);
		if (when == 0)
			close(sv[1]);
		polled();
		if (when == 1)
			close(sv[1]);
		seq = e->seq;
		if (when == 2) {
			close(sv[1]);
			polled();
		}
		G_EQ(recv(sv[0], buf, sizeof(buf), MSG_DONTWAIT), 4);
		store_rlx(&e->empty, seq + 1);
		if (when == 3)
			close(sv[1]);
		/* The end may be reported at any time from here on. */
		for (int i = 0; i < 1000 && rt_fd_known_empty(e, e->seq); i++)
			polled();
		G_TRUE(!rt_fd_known_empty(e, e->seq));
		G_TRUE(e->sticky);
		close(sv[0]);
		end();
	}
}

TEST(an_empty_socket_is_known_to_be_empty_until_something_comes)
{
	struct rt_fdwait w = { .g = &g[11] };
	struct rt_fd *e;
	int sv[2];

	begin();
	make_tcp(sv);
	make_ours(sv[0]);
	e = entry(sv[0]);
	G_TRUE(!rt_fd_known_empty(e, e->seq)); /* nothing was read yet */
	G_TRUE(waits_now(&w, sv[0], RT_FD_IN));
	polled();
	store_rlx(&e->empty, e->seq + 1);
	G_TRUE(rt_fd_known_empty(e, e->seq));
	G_EQ(write(sv[1], "", 1), 1);
	for (int i = 0; i < 1000 && w.queued; i++)
		polled();
	G_TRUE(!rt_fd_known_empty(e, e->seq));
	end();
}

TEST(urgent_data_makes_every_read_a_try)
{
	struct rt_fdwait w = { .g = &g[12] };
	struct rt_fd *e;
	int sv[2];

	begin();
	make_tcp(sv);
	make_ours(sv[0]);
	e = entry(sv[0]);
	G_TRUE(waits_now(&w, sv[0], RT_FD_IN));
	G_EQ(send(sv[1], "x", 1, MSG_OOB), 1);
	for (int i = 0; i < 1000 && w.queued; i++)
		polled();
	G_TRUE(e->sticky);
	store_rlx(&e->empty, e->seq + 1);
	G_TRUE(!rt_fd_known_empty(e, e->seq));
	end();
}

TEST_HARNESS_MAIN
