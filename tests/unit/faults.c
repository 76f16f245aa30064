/* SPDX-License-Identifier: MIT */
/*
 * The n-th call into the kernel or the allocator fails, for every n of a run
 * that does a bit of everything: each time all comes out right, or the caller
 * is told; nobody is lost, nothing is leaked, nothing hangs. The same with
 * shortages that last for many calls, and for a while.
 *
 * To extend it: write a step, a function that runs on the main goroutine and
 * does its work although some call returns -ENOMEM (INSIST repeats it), checks
 * that the work was done, and leaves nothing behind; add it to steps[].
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sys.h"
#include "lib/gio.h"
#include "lib/gtest.h"
#include "sched/sched.h"

/* ---- what a step uses --------------------------------------------- */

static long told; /* errors that came back to callers */
static gmprt_wg wg;
static long done;

/* The call, again and again as long as it returns -ENOMEM. */
#define INSIST(call)                             \
	({                                       \
		int r_;                          \
		while ((r_ = (call)) == -ENOMEM) \
			g_inc(&told);            \
		r_;                              \
	})

static gmprt_chan *chan_make(size_t size, size_t cap)
{
	gmprt_chan *c;

	while (!(c = gmprt_chan_make(size, cap))) {
		G_EQ(ENOMEM, gmprt_errno());
		g_inc(&told);
	}
	return c;
}

static void start(void (*fn)(void *), void *arg, int n)
{
	g_store(&done, 0);
	gmprt_wg_add(&wg, n);
	for (int i = 0; i < n; i++)
		G_OK(INSIST(gmprt_go(fn, arg)));
}

static void is_done(void)
{
	g_inc(&done);
	gmprt_wg_done(&wg);
}

static void finish(int n)
{
	gmprt_wg_wait(&wg);
	G_EQ(n, g_load(&done));
}

/* ---- steps -------------------------------------------------------- */

static void echoes(void *c)
{
	gmprt_chan **chan = c;
	int v;

	while (gmprt_chan_recv(chan[0], &v) == 0)
		G_OK(gmprt_chan_send(chan[1], &v));
	is_done();
}

static void channels(void)
{
	gmprt_chan *c[2] = { chan_make(sizeof(int), 0), chan_make(sizeof(int), 3) };

	start(echoes, c, 2);
	for (int i = 0; i < 20; i++) {
		int v = i;

		G_OK(gmprt_chan_send(c[0], &v));
		G_OK(gmprt_chan_recv(c[1], &v));
		G_EQ(i, v);
	}
	G_OK(gmprt_chan_close(c[0]));
	finish(2);
	for (int i = 0; i < 2; i++)
		gmprt_chan_free(c[i]);
}

#define CASES 40

static void sends_one(void *chan)
{
	long v = 1;

	G_OK(gmprt_chan_send(chan, &v));
	is_done();
}

static void select_with_many_cases(void)
{
	gmprt_chan *c = chan_make(sizeof(long), 0);
	struct gmprt_case k[CASES];
	long v = 0;

	for (int i = 0; i < CASES; i++)
		k[i] = (struct gmprt_case){ GMPRT_RECV, c, &v, 0 };
	start(sends_one, c, 3);
	for (int i = 0; i < 3; i++)
		G_GE(INSIST(gmprt_select(k, CASES)), 0);
	finish(3);
	G_EQ(-ETIMEDOUT, INSIST(gmprt_select_dl(k, CASES, g_now() + 10000)));
	gmprt_chan_free(c);
}

#define TASKS 300 /* more than a queue of tasks holds */

static void task(void *n)
{
	__atomic_add_fetch((long *)n, 1, __ATOMIC_SEQ_CST);
	gmprt_yield();
}

static void fork_and_join(void)
{
	struct gmprt_task t[TASKS];
	long n = 0;

	for (int i = 0; i < TASKS; i++)
		G_OK(INSIST(gmprt_fork(&t[i], task, &n)));
	for (int i = 0; i < TASKS; i++)
		gmprt_join(&t[i]);
	G_EQ(TASKS, n);
}

static void sleeps_a_little(void *arg)
{
	(void)arg;
	G_OK(INSIST(gmprt_sleep(G_MS)));
	is_done();
}

/* More than a heap's first memory holds. */
static void timers(void)
{
	start(sleeps_a_little, NULL, 70);
	finish(70);
}

static void ends_at_once(void *arg)
{
	(void)arg;
	is_done();
}

/* More than one slab of descriptors, a ring and a block of the global queue. */
static void many_goroutines(void)
{
	start(ends_at_once, NULL, 1500);
	finish(1500);
}

static void blocks(void *arg)
{
	(void)arg;
	gmprt_block_enter();
	g_nap(G_MS);
	gmprt_block_exit();
	is_done();
}

static void brackets(void)
{
	start(blocks, NULL, 6);
	finish(6);
}

static void uses_its_stack(void *bytes)
{
	volatile char c[2 * 1024];

	(void)bytes;
	c[0] = 1;
	gmprt_yield();
	G_EQ(1, c[0]);
	is_done();
}

static void stacks_of_other_sizes(void)
{
	static const size_t sizes[] = { 16 * 1024, 1024 * 1024, 0 };

	g_store(&done, 0);
	gmprt_wg_add(&wg, 3);
	for (int i = 0; i < 3; i++) {
		struct gmprt_attr attr = { sizeof(attr), sizes[i], "named" };

		G_OK(INSIST(gmprt_go_attr(&attr, uses_its_stack, NULL)));
	}
	finish(3);
}

static void ends_locked(void *arg)
{
	(void)arg;
	gmprt_lock_os_thread();
	gmprt_yield();
	is_done();
}

static void locked_threads(void)
{
	start(ends_locked, NULL, 3);
	finish(3);
}

static gmprt_mutex mutex;
static gmprt_sem sem;

static void waits(void *arg)
{
	(void)arg;
	G_EQ(-ETIMEDOUT, INSIST(gmprt_sem_wait_dl(&sem, g_now() + 100000)));
	G_OK(INSIST(gmprt_mutex_lock_dl(&mutex, GMPRT_FOREVER)));
	gmprt_mutex_unlock(&mutex);
	is_done();
}

static void waits_with_deadlines(void)
{
	gmprt_mutex_lock(&mutex);
	start(waits, NULL, 5);
	gmprt_yield();
	gmprt_mutex_unlock(&mutex);
	finish(5);
}

static void number_of_Ps(void)
{
	start(sleeps_a_little, NULL, 10);
	G_GE(gmprt_maxprocs(5), 1);
	gmprt_yield();
	G_EQ(5, gmprt_maxprocs(1));
	finish(10);
	G_EQ(1, gmprt_maxprocs(2));
}

static gmprt_timer *timer_make(int64_t ns)
{
	gmprt_timer *t;

	while (!(t = gmprt_timer_make(ns))) {
		G_EQ(ENOMEM, gmprt_errno());
		g_inc(&told);
	}
	return t;
}

static void timers_with_channels(void)
{
	gmprt_timer *t = timer_make(G_MS), *never = timer_make(100 * G_SEC);
	gmprt_ticker *ticker;

	while (!(ticker = gmprt_ticker_make(G_MS / 2))) {
		G_EQ(ENOMEM, gmprt_errno());
		g_inc(&told);
	}
	G_OK(gmprt_chan_recv(gmprt_timer_chan(t), NULL));
	for (int i = 0; i < 3; i++)
		G_OK(gmprt_chan_recv(gmprt_ticker_chan(ticker), NULL));
	G_EQ(0, INSIST(gmprt_timer_reset(t, G_MS / 2)));
	G_OK(gmprt_chan_recv(gmprt_timer_chan(t), NULL));
	G_EQ(1, gmprt_timer_stop(never));
	gmprt_timer_free(t);
	gmprt_timer_free(never);
	gmprt_ticker_free(ticker);
}

/* At the first wait for a file of a run two fds are made. */
#define INSIST_IO(call)                                           \
	({                                                        \
		long r_;                                          \
		while ((r_ = (call)) == -ENOMEM || r_ == -EMFILE) \
			g_inc(&told);                             \
		r_;                                               \
	})

/* How many, until the other end closes. */
static int echo(int fd)
{
	int n = 0;
	char c;

	for (; INSIST_IO(gmprt_read(fd, &c, 1)) == 1; n++)
		G_EQ(1, INSIST_IO(gmprt_write(fd, &c, 1)));
	G_OK(gmprt_close(fd));
	return n;
}

static void echoes_bytes(void *fd)
{
	G_GT(echo(*(int *)fd), 0);
	is_done();
}

static void says_and_hears(int fd)
{
	for (char c = 'a'; c < 'f'; c++) {
		char d = 0;

		G_EQ(1, INSIST_IO(gmprt_write(fd, &c, 1)));
		G_EQ(1, INSIST_IO(gmprt_read(fd, &d, 1)));
		G_EQ(c, d);
	}
	G_EQ(-ETIMEDOUT, INSIST_IO(gmprt_read_dl(fd, &(char){ 0 }, 1, g_now() + 10000)));
	G_OK(gmprt_close(fd));
}

static void files(void)
{
	int sv[2];

	gio_pair(sv, SOCK_STREAM);
	start(echoes_bytes, &sv[1], 1);
	says_and_hears(sv[0]);
	finish(1);
}

/* A dial that failed half way leaves a connection behind that says nothing. */
static void accepts_one(void *listener)
{
	int fd;

	do {
		fd = (int)INSIST_IO(gmprt_accept(*(int *)listener, NULL, NULL));
		G_GE(fd, 0);
	} while (echo(fd) == 0);
	is_done();
}

static void connections(void)
{
	int listener = (int)INSIST_IO(gmprt_listen_tcp("127.0.0.1:0", 0)), fd;
	char at[32];

	G_GE(listener, 0);
	snprintf(at, sizeof(at), "127.0.0.1:%d", gio_port(listener));
	start(accepts_one, &listener, 1);
	fd = (int)INSIST_IO(gmprt_dial_tcp(at));
	G_GE(fd, 0);
	says_and_hears(fd);
	finish(1);
	G_OK(gmprt_close(listener));
}

static const struct step {
	const char *name;
	void (*run)(void);
} steps[] = {
	{ "channels", channels },
	{ "select", select_with_many_cases },
	{ "fork and join", fork_and_join },
	{ "timers", timers },
	{ "many goroutines", many_goroutines },
	{ "brackets", brackets },
	{ "stacks", stacks_of_other_sizes },
	{ "locked threads", locked_threads },
	{ "deadlines", waits_with_deadlines },
	{ "number of Ps", number_of_Ps },
	{ "timers with channels", timers_with_channels },
	{ "files", files },
	{ "connections", connections },
};

/* ---- the program -------------------------------------------------- */

static char where[64]; /* for the report of a hang */

static void run_steps(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		snprintf(where, sizeof(where), "step \"%s\"", steps[i].name);
		steps[i].run();
	}
	while (gmprt_num_goroutine() != 1)
		gmprt_yield();
	snprintf(where, sizeof(where), "end of a run");
}

static void one_run(int procs, int threads)
{
	struct gmprt_options opt = { .size = sizeof(opt),
				     .maxprocs = procs,
				     .max_threads = threads };
	int r;

	snprintf(where, sizeof(where), "start of a run");
	while ((r = gmprt_run(&opt, run_steps, NULL)) != 0) {
		G_TRUE(r == -ENOMEM || r == -EAGAIN);
		g_inc(&told);
	}
}

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	G_TRUE(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Threads end on their own after the run, and give back what they had. */
static void nothing_is_left(int threads, int files, size_t mapped)
{
	snprintf(where, sizeof(where), "end: %d threads, %zu bytes mapped", rt_thread_count(),
		 rt_mapped_bytes());
	while (rt_thread_count() > threads || rt_mapped_bytes() != mapped)
		g_nap(G_MS);
	G_EQ(files, open_files());
}

/* ---- the failures ------------------------------------------------- */

/* Shared with the child: what it was to do, and how many sites it passed. */
struct orders {
	unsigned long nth, count;
	int64_t lift_ns; /* not 0: the shortage ends then, at the latest */
	unsigned long passed;
};

static struct orders *fault;

static void *lifts(void *arg)
{
	g_nap(fault->lift_ns);
	fault->passed += rt_fault_arm(0);
	return arg;
}

static void program(void)
{
	int threads, files = open_files();
	size_t mapped = rt_mapped_bytes();
	pthread_t t;

	rt_m_idle_ns = G_MS; /* threads come and go */
	g_watch(where, 10 * G_SLOW);
	threads = rt_thread_count();
	rt_fault_arm_for(fault->nth, fault->count);
	if (fault->lift_ns)
		G_OK(pthread_create(&t, NULL, lifts, NULL));
	one_run(2, 0);
	one_run(1, 3);
	if (fault->lift_ns)
		G_OK(pthread_join(t, NULL));
	fault->passed += rt_fault_arm(0);
	nothing_is_left(threads, files, mapped);
	g_watch_end();
	/* Nobody is told of what did not happen. */
	if (!fault->lift_ns)
		G_LE(g_load(&told), fault->count);
}

/* False: the program was over before the n-th site. */
static bool survives(unsigned long nth, unsigned long count, int64_t lift_ns)
{
	static struct g_end end;

	fault->nth = nth;
	fault->count = count;
	fault->lift_ns = lift_ns;
	fault->passed = 0;
	g_child(&end, program);
	if (end.exit || end.signal)
		G_FAIL("site %lu and %lu more, lifted after %lld ns: exit status %d, signal %d: %s",
		       nth, count - 1, (long long)lift_ns, end.exit, end.signal, end.text);
	return fault->passed >= nth;
}

FIXTURE(faults)
{
	int unused;
};

FIXTURE_SETUP(faults)
{
	fault = mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	G_TRUE(fault != MAP_FAILED);
}

FIXTURE_TEARDOWN(faults)
{
}

#define SECONDS 280 /* no limit but the runner's */

TEST_F_TIMEOUT(faults, whichever_call_fails_all_is_done_or_the_caller_told, SECONDS)
{
	unsigned long n = 1;

	/* How many there are differs a little from run to run. */
	while (survives(n, 1, 0) || survives(n, 1, 0))
		n++;
	G_GT(n, 100);
	printf("# %lu sites\n", n - 1);
	fflush(stdout);
}

TEST_F_TIMEOUT(faults, shortages_of_many_calls_are_survived, SECONDS)
{
	unsigned long n = 1;

	for (unsigned long count = 2; survives(n, count, 0); n += 11)
		count = count < 200 ? count * 2 : 2;
}

TEST_F_TIMEOUT(faults, with_nothing_to_be_had_for_a_while_all_goes_on_afterwards, SECONDS)
{
	for (unsigned long n = 1; survives(n, 1000000000, 20 * G_MS); n += 23)
		;
}

static void begins(void *arg)
{
	(void)arg;
	g_store(&done, 1);
}

/* The caller may try again, and would have it twice. */
static void fails_or_runs(void)
{
	struct gmprt_options opt = { .size = sizeof(opt), .maxprocs = 2 };

	g_watch("the n-th call of a run fails", 10 * G_SLOW);
	for (unsigned long n = 1; n < 16; n++)
		for (int i = 0; i < 20; i++) {
			g_store(&done, 0);
			rt_fault_arm(n);
			if (gmprt_run(&opt, begins, NULL))
				G_EQ(0, g_load(&done));
			else
				G_EQ(1, g_load(&done));
			rt_fault_arm(0);
		}
	g_watch_end();
}

TEST_F_TIMEOUT(faults, main_has_not_begun_in_a_run_that_fails, SECONDS)
{
	static struct g_end end;

	g_child(&end, fails_or_runs);
	G_EXITS(&end, 0);
}

TEST_HARNESS_MAIN
