/* SPDX-License-Identifier: MIT */
/*
 * The netpoller and its table, without a scheduler: an event wakes who waits in
 * its direction, all of them and each once; one that comes before the wait is
 * not lost; what is known of a file ends with it; a kick reaches who waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
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

/* ---- the table ----------------------------------------------------- */

TEST(an_entry_is_one_for_each_number_and_stays)
{
	struct rt_fd *e[] = { entry(0), entry(1), entry(4095), entry(4096), entry(INT_MAX) };

	for (int i = 0; i < 5; i++)
		for (int k = 0; k < i; k++)
			G_TRUE(e[i] != e[k]);
	G_TRUE(entry(4096) == e[3]);
	G_TRUE(entry(INT_MAX) == e[4]);
	G_TRUE(rt_fd_peek(&np.fds, 4097) == e[3] + 1);
	G_TRUE(!rt_fd_peek(&np.fds, 1 << 20));
	rt_fdtab_free(&np.fds);
	G_TRUE(!rt_fd_peek(&np.fds, 0));
}

TEST(without_memory_there_is_no_entry_but_later_there_is)
{
	for (unsigned long n = 1; n <= 2; n++) {
		rt_fault_arm(n);
		G_TRUE(!rt_fd_find(&np.fds, 7));
	}
	G_TRUE(rt_fd_find(&np.fds, 7));
	rt_fdtab_free(&np.fds);
}

static void *finds(void *arg)
{
	for (int fd = 0; fd < 1 << 20; fd += 512)
		G_TRUE(rt_fd_find(&np.fds, fd));
	return arg;
}

TEST(two_that_make_the_same_page_agree_on_it)
{
	pthread_t t;

	G_OK(pthread_create(&t, NULL, finds, NULL));
	for (int fd = 0; fd < 1 << 20; fd += 512) {
		struct rt_fd *e = rt_fd_find(&np.fds, fd);

		fetch_add_seq(&e->use, 1);
		G_TRUE(rt_fd_find(&np.fds, fd) == e);
		G_EQ(load_seq(&e->use), 1);
	}
	pthread_join(t, NULL);
	rt_fdtab_free(&np.fds);
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
	int sv[2], p[2], tcp[2], null = open("/dev/null", O_RDWR), dir = open("/", O_RDONLY);
	uint8_t flags;

	make_pair(sv);
	make_tcp(tcp);
	G_OK(pipe(p));
	G_EQ(rt_fd_ask(sv[0], &flags), RT_FD_SOCKET);
	G_EQ(flags, RT_FD_UNIX);
	G_EQ(rt_fd_ask(tcp[0], &flags), RT_FD_SOCKET);
	G_EQ(flags, RT_FD_TCP);
	G_EQ(rt_fd_ask(p[0], &flags), RT_FD_OTHER);
	G_EQ(flags, 0);
	G_EQ(rt_fd_ask(null, &flags), RT_FD_OTHER);
	G_EQ(rt_fd_ask(dir, &flags), RT_FD_FILE);
	errno = 99;
	G_EQ(rt_fd_ask(9999, &flags), -EBADF);
	G_EQ(errno, 99);
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

/* ---- time and the kick --------------------------------------------- */

static void waits_until_and_not_less(void)
{
	for (int i = 0; i < 5; i++) {
		struct rt_worklist ready = { 0 };
		int64_t until = rt_now_ns() + (i * 700 + 1) * RT_NS_PER_US;

		while (rt_now_ns() < until)
			rt_netpoll(&np, until, RT_NETPOLL_MOST, &ready);
		G_EQ(ready.n, 0);
	}
}

TEST(a_wait_ends_at_its_time)
{
	struct rt_worklist ready = { 0 };

	begin();
	waits_until_and_not_less();
	rt_epoll_use_ms(); /* as before Linux 5.11 */
	waits_until_and_not_less();
	rt_netpoll(&np, 1, RT_NETPOLL_MOST, &ready); /* long past */
	end();
}

static void *kicks_later(void *arg)
{
	g_nap(20 * RT_NS_PER_MS);
	rt_netpoll_kick(&np);
	return arg;
}

TEST(a_kick_ends_a_wait)
{
	struct rt_worklist ready = { 0 };
	pthread_t t;

	begin();
	for (int i = 0; i < 5; i++) {
		G_OK(pthread_create(&t, NULL, kicks_later, NULL));
		rt_netpoll(&np, INT64_MAX, RT_NETPOLL_MOST, &ready);
		pthread_join(t, NULL);
	}
	G_EQ(ready.n, 0);
	end();
}

TEST(a_kick_before_the_wait_ends_it_and_nobody_else_takes_it)
{
	struct rt_worklist ready = { 0 };

	begin();
	for (int i = 0; i < 3; i++)
		rt_netpoll_kick(&np); /* as good as one */
	for (int i = 0; i < 3; i++) {
		polled();
		rt_netpoll_try(&np, rt_now_ns(), RT_NETPOLL_MOST, &ready);
	}
	rt_netpoll(&np, INT64_MAX, RT_NETPOLL_MOST, &ready);
	/* It is taken back now. */
	rt_netpoll(&np, rt_now_ns() + RT_NS_PER_MS, RT_NETPOLL_MOST, &ready);
	G_EQ(ready.n, 0);
	end();
}

TEST(a_kick_without_a_netpoller_does_nothing)
{
	rt_netpoll_kick(&np);
	G_EQ(np.kicked, 0);
}

TEST(one_polls_at_a_time_without_waiting)
{
	struct rt_worklist ready = { 0 };
	struct rt_fdwait w = { .g = &g[13] };
	int sv[2];

	begin();
	make_pair(sv);
	G_TRUE(waits_now(&w, sv[0], RT_FD_IN));
	G_EQ(write(sv[1], "", 1), 1);
	np.busy = 1;
	rt_netpoll_try(&np, 5, RT_NETPOLL_MOST, &ready);
	G_EQ(ready.n, 0);
	np.busy = 0;
	rt_netpoll_try(&np, 6, RT_NETPOLL_MOST, &ready);
	G_EQ(ready.n, 1);
	G_EQ(np.last_ns, 6);
	G_EQ(np.busy, 0);
	end();
}

static void on_signal(int sig)
{
	(void)sig;
}

static void *signals(void *thread)
{
	for (int i = 0; i < 200; i++) {
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
		g_nap(RT_NS_PER_MS / 20);
	}
	return NULL;
}

TEST(signals_end_no_wait_with_anything_but_nothing)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct rt_worklist ready = { 0 };
	pthread_t self = pthread_self(), t;
	int64_t until;

	G_OK(sigaction(SIGUSR1, &sa, NULL));
	begin();
	until = rt_now_ns() + 30 * RT_NS_PER_MS;
	G_OK(pthread_create(&t, NULL, signals, &self));
	while (rt_now_ns() < until) {
		errno = 99;
		rt_netpoll(&np, until, RT_NETPOLL_MOST, &ready);
		G_EQ(errno, 99);
	}
	pthread_join(t, NULL);
	G_EQ(ready.n, 0);
	end();
}

TEST_HARNESS_MAIN
