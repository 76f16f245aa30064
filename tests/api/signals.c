/* SPDX-License-Identifier: MIT */
/*
 * signals.c - proves: a program's own signal handlers run on its threads, Ms
 * too, while goroutines use all that blocks, and nothing of that is disturbed;
 * which threads run handlers and on which stack; which system calls preemption
 * leaves alone, and which it can end with EINTR
 *
 * A preempting SIGURG finds a thread inside a system call seldom. So here a
 * thread sends them, a thousand a second, to all others: to the handler they
 * look like its own that come too late.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/gtest.h"

static gmprt_wg wg;
static gmprt_mutex mutex;
static long stop, running, handled, storm_over;
static long plain; /* guarded by mutex */

static void hog(void *arg)
{
	(void)arg;
	g_inc(&running);
	while (!g_load(&stop))
		usleep(0); /* for TSan, which delivers signals at calls only */
	gmprt_wg_done(&wg);
}

static void start(void (*fn)(void *), int n)
{
	gmprt_wg_add(&wg, n);
	for (intptr_t i = 0; i < n; i++)
		g_go(fn, (void *)i);
}

static void count(int sig)
{
	(void)sig;
	g_inc(&handled);
}

static void handle(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	sigemptyset(&sa.sa_mask);
	G_OK(sigaction(sig, &sa, NULL));
}

/* ---- a storm ------------------------------------------------------ */

/* fn(tid) for each thread but the calling one. */
static void each_thread(void (*fn)(int tid, void *arg), void *arg)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;

	G_TRUE(dir);
	while ((e = readdir(dir))) {
		int tid = atoi(e->d_name);

		if (tid && tid != (int)syscall(SYS_gettid))
			fn(tid, arg);
	}
	closedir(dir);
}

static void hit(int tid, void *sig)
{
	syscall(SYS_tgkill, getpid(), tid, *(int *)sig);
}

static void *storms(void *sig)
{
	while (!g_load(&storm_over)) {
		each_thread(hit, sig);
		g_nap(G_MS);
	}
	return NULL;
}

static pthread_t storm_start(int *sig)
{
	sigset_t all, old;
	pthread_t t;

	g_store(&storm_over, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	G_OK(pthread_create(&t, NULL, storms, sig));
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return t;
}

static void storm_end(pthread_t t)
{
	g_store(&storm_over, 1);
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
}

/* ---- all that blocks ---------------------------------------------- */

static gmprt_chan *there, *back;
static gmprt_sem sem;

static void echoes(void *arg)
{
	long v;

	(void)arg;
	while (gmprt_chan_recv(there, &v) == 0)
		G_OK(gmprt_chan_send(back, &v));
	gmprt_wg_done(&wg);
}

static void calls(void *arg)
{
	long v;

	(void)arg;
	for (long i = 0; i < G_LOOPS(100); i++) {
		G_OK(gmprt_chan_send(there, &i));
		G_OK(gmprt_chan_recv(back, &v));
	}
	gmprt_wg_done(&wg);
}

static void locks(void *arg)
{
	(void)arg;
	for (int i = 0; i < G_LOOPS(500); i++) {
		gmprt_mutex_lock(&mutex);
		plain++;
		if (i % 50 == 0)
			gmprt_yield();
		gmprt_mutex_unlock(&mutex);
	}
	gmprt_wg_done(&wg);
}

static void waits_and_sleeps(void *arg)
{
	(void)arg;
	for (int i = 0; i < G_LOOPS(20); i++) {
		int64_t until = g_now() + G_MS;

		G_EQ(-ETIMEDOUT, gmprt_sem_wait_dl(&sem, until));
		G_GE(g_now(), until);
		until += 2 * G_MS;
		G_OK(gmprt_sleep(2 * G_MS));
		G_GE(g_now(), until);
	}
	gmprt_wg_done(&wg);
}

static void blocks(void *arg)
{
	(void)arg;
	for (int i = 0; i < G_LOOPS(20); i++) {
		gmprt_block_enter();
		g_nap(G_MS);
		gmprt_block_exit();
	}
	gmprt_wg_done(&wg);
}

static void all_that_blocks(void)
{
	there = g_chan(sizeof(long), 0);
	back = g_chan(sizeof(long), 0);
	plain = 0;
	start(echoes, 2);
	start(calls, 2);
	start(locks, 4);
	start(waits_and_sleeps, 2);
	start(blocks, 2);
	start(hog, 1);
	while (gmprt_num_goroutine() > 4) /* main, two that echo, the hog */
		G_OK(gmprt_sleep(G_MS));
	G_OK(gmprt_chan_close(there));
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
	G_EQ(4 * G_LOOPS(500), plain);
}

/* A timer of the process, and a signal to each thread; no SA_RESTART. */
G_TEST(everything_goes_on_under_storms_of_signals)
{
	struct itimerval ms = { { 0, 1000 }, { 0, 1000 } }, none = { 0 };
	int sig = SIGUSR1;
	pthread_t t;

	handle(SIGALRM, count, 0);
	handle(SIGUSR1, count, SA_ONSTACK);
	G_OK(setitimer(ITIMER_REAL, &ms, NULL));
	t = storm_start(&sig);
	all_that_blocks();
	storm_end(t);
	G_OK(setitimer(ITIMER_REAL, &none, NULL));
	G_GT(g_load(&handled), 10);
}

P_TEST(runs_begin_and_end_under_a_storm_of_signals)
{
	int sig = SIGUSR1;
	pthread_t t;

	g_watch("storm", G_TIMEOUT * G_SLOW);
	handle(SIGUSR1, count, 0);
	t = storm_start(&sig);
	for (int i = 0; i < 5; i++) {
		g_store(&stop, 0);
		g_run(g_procs, all_that_blocks);
	}
	storm_end(t);
	g_watch_end();
	G_GT(g_load(&handled), 10);
}

/* ---- who runs handlers, and where --------------------------------- */

static sigset_t want;

static void checks_its_mask(void *arg)
{
	sigset_t mask;

	(void)arg;
	G_OK(pthread_sigmask(SIG_SETMASK, NULL, &mask));
	G_EQ(0, sigismember(&mask, SIGURG));
	G_EQ(0, sigismember(&mask, SIGUSR1));
	G_EQ(1, sigismember(&mask, SIGUSR2));
	gmprt_lock_os_thread(); /* its M ends with it: the next one is new */
	gmprt_wg_done(&wg);
}

static void blocks_signals_and_starts(void)
{
	sigset_t all;

	gmprt_lock_os_thread();
	sigfillset(&all);
	G_OK(pthread_sigmask(SIG_SETMASK, &all, &want));
	for (int i = 0; i < 5; i++) {
		start(checks_its_mask, 4);
		gmprt_wg_wait(&wg);
	}
	gmprt_unlock_os_thread();
}

P_TEST(new_Ms_have_the_mask_of_the_thread_that_began_the_run)
{
	sigset_t mine;

	sigemptyset(&mine);
	sigaddset(&mine, SIGUSR2);
	sigaddset(&mine, SIGURG); /* the one exception */
	G_OK(pthread_sigmask(SIG_SETMASK, &mine, NULL));
	g_watch("mask", G_TIMEOUT * G_SLOW);
	g_run(g_procs, blocks_signals_and_starts);
	g_watch_end();
}

static void look_at_mask(int tid, void *nr)
{
	unsigned long long blocked = 0;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "SigBlk: %llx", &blocked);
	if (f)
		fclose(f);
	/* Not a sanitizer's thread, nor the test's watcher: these block faults too. */
	*(int *)nr += (blocked >> (SIGUSR1 - 1) & 1) && !(blocked >> (SIGSEGV - 1) & 1);
}

G_TEST(sysmon_runs_no_handlers_and_is_the_only_such_thread)
{
	int nr = 0;

	start(hog, 2 * g_procs);
	g_until(&running, 2 * g_procs);
	while (nr != 1) { /* an M that sysmon makes begins with its mask */
		gmprt_sleep(G_MS);
		nr = 0;
		each_thread(look_at_mask, &nr);
	}
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

static long handler_at; /* an address */

static void notes_its_place(int sig)
{
	(void)sig;
	/* Not a variable's address: AddressSanitizer has those elsewhere. */
	g_store(&handler_at, (long)(intptr_t)__builtin_frame_address(0));
}

static void big_handler(int sig)
{
	volatile char room[20 * 1024];

	for (size_t i = 0; i < sizeof(room); i += 512)
		room[i] = 1;
	notes_its_place(sig);
}

/* On the same stack: a little below. */
static bool below(const void *here)
{
	long d = (long)(intptr_t)here - g_load(&handler_at);

	return d > 0 && d < 40 * 1024;
}

G_TEST(a_handler_runs_on_the_goroutines_stack_without_SA_ONSTACK)
{
	const void *here = __builtin_frame_address(0);

	handle(SIGUSR1, notes_its_place, 0);
	G_OK(raise(SIGUSR1));
	G_TRUE(below(here));
	handle(SIGUSR1, notes_its_place, SA_ONSTACK);
	G_OK(raise(SIGUSR1));
	G_TRUE(!below(here));
}

static void raises(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++) {
		G_OK(raise(SIGUSR1));
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

G_TEST(with_SA_ONSTACK_a_small_stack_is_enough_for_a_big_handler)
{
	struct gmprt_attr attr = { .size = sizeof(attr), .stack_size = 16 << 10 };

	handle(SIGUSR1, big_handler, SA_ONSTACK);
	gmprt_wg_add(&wg, 8);
	for (int i = 0; i < 8; i++)
		G_OK(gmprt_go_attr(&attr, raises, NULL));
	gmprt_wg_wait(&wg);
}

/* ---- the pattern for programs that live by signals ---------------- */

static void *takes_signals(void *set)
{
	int sig;

	for (int i = 0; i < 20; i++) {
		G_OK(sigwait(set, &sig));
		G_EQ(SIGUSR1, sig);
		gmprt_sem_post(&sem);
	}
	return NULL;
}

static void waits_for_signals(void)
{
	pthread_t t;

	G_OK(pthread_create(&t, NULL, takes_signals, &want));
	start(hog, g_procs);
	for (int i = 0; i < 20; i++) {
		G_OK(kill(getpid(), SIGUSR1));
		G_OK(gmprt_sem_wait(&sem));
	}
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
	G_OK(pthread_join(t, NULL));
}

P_TEST(a_thread_in_sigwait_wakes_goroutines)
{
	sigemptyset(&want);
	sigaddset(&want, SIGUSR1);
	G_OK(pthread_sigmask(SIG_BLOCK, &want, NULL)); /* before the first run: for all Ms */
	g_watch("sigwait", G_TIMEOUT * G_SLOW);
	g_run(g_procs, waits_for_signals);
	g_watch_end();
}

/* ---- EINTR -------------------------------------------------------- */

static int pipe_r[2], pipe_w[2], sock[2], listener, lock_fd[2];
static pthread_mutex_t pm = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pc = PTHREAD_COND_INITIALIZER;
static bool signalled;
static sem_t psem;
static pid_t sleeper;

static void does_read(void)
{
	char c;

	G_EQ(1, read(pipe_r[0], &c, 1));
}

static void does_write(void)
{
	static char bytes[3 * 65536]; /* three times what the pipe holds */

	for (size_t n = 0; n < sizeof(bytes);) {
		ssize_t w = write(pipe_w[1], bytes + n, sizeof(bytes) - n);

		G_GT(w, 0); /* it may be less than was asked, never EINTR */
		n += (size_t)w;
	}
}

static void does_recv(void)
{
	char c;

	G_EQ(1, recv(sock[0], &c, 1, 0));
}

static void does_accept(void)
{
	int fd = accept(listener, NULL, NULL);

	G_GE(fd, 0);
	close(fd);
}

static void does_waitpid(void)
{
	int status;

	G_EQ(sleeper, waitpid(sleeper, &status, 0));
}

static void does_flock(void)
{
	G_OK(flock(lock_fd[1], LOCK_EX));
	G_OK(flock(lock_fd[1], LOCK_UN));
}

static void does_mutex_and_cond(void)
{
	G_OK(pthread_mutex_lock(&pm));
	while (!signalled)
		G_OK(pthread_cond_wait(&pc, &pm));
	G_OK(pthread_mutex_unlock(&pm));
}

static void does_sem_wait(void)
{
	G_OK(sem_wait(&psem));
}

static void (*const restarted[])(void) = {
	does_read,
	does_write,
	does_recv,
	does_accept,
	does_waitpid,
	does_flock,
	does_mutex_and_cond,
	does_sem_wait,
};

static void does(void *i)
{
	g_inc(&running);
	restarted[(intptr_t)i]();
	gmprt_wg_done(&wg);
}

/* Brings all of them to block. */
static void prepare(void)
{
	struct sockaddr_un { /* only to name none */
		sa_family_t family;
	} any = { AF_UNIX };

	G_OK(pipe(pipe_r));
	G_OK(pipe(pipe_w));
	G_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	G_OK(bind(listener, (struct sockaddr *)&any, sizeof(any)));
	G_OK(listen(listener, 5));
	lock_fd[0] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	lock_fd[1] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	G_OK(flock(lock_fd[0], LOCK_EX));
	G_OK(sem_init(&psem, 0, 0));
	G_OK(pthread_mutex_lock(&pm));
	signalled = false;
	sleeper = fork();
	if (sleeper == 0)
		for (;;)
			pause();
}

static void *reads_all(void *arg)
{
	static char bytes[65536];

	while (read(pipe_w[0], bytes, sizeof(bytes)) > 0)
		;
	return arg;
}

static void release(void)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	G_EQ(1, write(pipe_r[1], "x", 1));
	G_EQ(1, send(sock[1], "x", 1, 0));
	G_OK(getsockname(listener, (struct sockaddr *)&name, &len));
	G_OK(connect(fd, (struct sockaddr *)&name, len));
	close(fd);
	G_OK(kill(sleeper, SIGKILL));
	G_OK(flock(lock_fd[0], LOCK_UN));
	signalled = true;
	G_OK(pthread_mutex_unlock(&pm));
	G_OK(pthread_cond_signal(&pc));
	G_OK(sem_post(&psem));
}

/* The main goroutine locks and unlocks pm: on one thread. */
G_TEST(calls_that_SA_RESTART_restarts_see_no_EINTR_from_preemption)
{
	int sig = SIGURG, n = (int)ARRAY_SIZE(restarted);
	pthread_t t, reader;

	gmprt_lock_os_thread();
	prepare();
	start(hog, g_procs);
	start(does, n);
	g_until(&running, g_procs + n);
	t = storm_start(&sig);
	gmprt_sleep(100 * G_MS);
	G_OK(pthread_create(&reader, NULL, reads_all, NULL));
	release();
	gmprt_sleep(20 * G_MS);
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
	storm_end(t);
	close(pipe_w[1]);
	G_OK(pthread_join(reader, NULL));
	gmprt_unlock_os_thread();
}

static const struct timespec long_time = { .tv_sec = 3600 };

static int by_poll(void)
{
	return poll(NULL, 0, -1);
}

static int by_select(void)
{
	return select(0, NULL, NULL, NULL, NULL);
}

static int by_epoll(void)
{
	struct epoll_event e;
	int fd = epoll_create1(EPOLL_CLOEXEC), r = epoll_wait(fd, &e, 1, -1), err = errno;

	close(fd);
	errno = err;
	return r;
}

static int by_nanosleep(void)
{
	return nanosleep(&long_time, NULL);
}

static int by_sem_timedwait(void)
{
	struct timespec end;
	sem_t s;

	G_OK(sem_init(&s, 0, 0));
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 3600;
	return sem_timedwait(&s, &end);
}

static int by_recv_with_a_timeout(void)
{
	struct timeval end = { .tv_sec = 3600 };
	int fds[2], r, err;
	char c;

	G_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	G_OK(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &end, sizeof(end)));
	r = (int)recv(fds[0], &c, 1, 0);
	err = errno;
	close(fds[0]);
	close(fds[1]);
	errno = err;
	return r;
}

static int by_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &long_time);
}

static int (*const ended[])(void) = {
	by_poll,
	by_select,
	by_epoll,
	by_nanosleep,
	by_sem_timedwait,
	by_recv_with_a_timeout,
	by_sigtimedwait,
	pause,
};

static void is_ended(void *i)
{
	errno = 0;
	G_EQ(-1, ended[(intptr_t)i]());
	G_EQ(EINTR, g_errno());
	gmprt_wg_done(&wg);
}

G_TEST(the_calls_that_the_header_names_are_ended_by_a_signal_that_comes_inside)
{
	int sig = SIGURG;
	pthread_t t = storm_start(&sig);

	start(is_ended, (int)ARRAY_SIZE(ended));
	gmprt_wg_wait(&wg);
	storm_end(t);
}

TEST_HARNESS_MAIN
