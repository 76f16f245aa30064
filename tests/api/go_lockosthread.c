/* SPDX-License-Identifier: MIT */
/*
 * go_lockosthread.c - re-expresses what Go's runtime tests show of goroutines
 * bound to a thread: proc_test.go's TestLockOSThread*, TestYieldLocked,
 * TestBlockLocked and TestGetgThreadSwitch, with the programs of lockosthread.go
 * in testdata/testprog and testdata/testprogcgo. Each test names its own.
 *
 * Not here: Go binds its main goroutine to the process' first thread before
 * main() by way of init(). The thread that calls gmprt_run() runs no goroutine.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/gtest.h"

static gmprt_chan *c;
static gmprt_wg wg;
static long thread, ready, stop;

static long tid(void)
{
	return syscall(SYS_gettid);
}

static bool exists(long t)
{
	return syscall(SYS_tgkill, getpid(), t, 0) == 0;
}

static void wait_for_end_of(long t)
{
	int64_t limit = g_now() + 10 * G_SLOW * G_SEC;

	while (exists(t)) {
		G_LT(g_now(), limit);
		gmprt_sleep(G_MS);
	}
}

/* ---- TestLockOSThreadNesting ---- */

static void locks_two_unlocks(void *n)
{
	gmprt_lock_os_thread();
	gmprt_lock_os_thread();
	for (intptr_t i = 0; i < (intptr_t)n; i++)
		gmprt_unlock_os_thread();
	g_store(&thread, tid());
	g_store(&ready, 1);
}

static void says_where_it_runs(void *slot)
{
	g_store(slot, tid());
	gmprt_wg_done(&wg);
}

G_TEST(after_two_locks_one_unlock_leaves_it_bound)
{
	for (int i = 0; i < 10; i++) {
		g_store(&ready, 0);
		g_go(locks_two_unlocks, (void *)1);
		g_until(&ready, 1);
		wait_for_end_of(g_load(&thread));
	}
}

/* Where it ran others do afterwards; now and then it is preempted just then. */
G_TEST(after_two_locks_two_unlocks_give_the_thread_back)
{
	long where = 0;

	do {
		g_store(&ready, 0);
		gmprt_wg_add(&wg, 1);
		g_go(says_where_it_runs, &where);
		g_go(locks_two_unlocks, (void *)2);
		g_until(&ready, 1);
		gmprt_wg_wait(&wg);
	} while (g_load(&where) != g_load(&thread));
}

/* ---- TestLockOSThreadExit: LockOSThreadMain, LockOSThreadAlt ---- */

static void ends_bound(void *unused)
{
	(void)unused;
	gmprt_lock_os_thread();
	g_store(&thread, tid());
	gmprt_chan_send(c, NULL);
}

G_TEST(main_goes_on_elsewhere_when_a_bound_one_ends)
{
	c = g_chan(0, 1);
	for (int i = 0; i < 10; i++) {
		g_go(ends_bound, NULL);
		G_OK(gmprt_chan_recv(c, NULL));
		gmprt_sleep(G_MS);
		G_NE(g_load(&thread), tid());
	}
}

static pthread_key_t key;
static long destroyed;

static void destructor(void *unused)
{
	(void)unused;
	g_inc(&destroyed);
}

static void ends_bound_with_a_destructor(void *arg)
{
	gmprt_lock_os_thread();
	G_OK(pthread_setspecific(key, &key));
	ends_bound(arg);
}

G_TEST(a_bound_main_lets_others_end_their_threads)
{
	long mine;

	c = g_chan(0, 1);
	G_OK(pthread_key_create(&key, destructor));
	gmprt_lock_os_thread();
	mine = tid();
	g_go(ends_bound_with_a_destructor, NULL);
	G_OK(gmprt_chan_recv(c, NULL));
	G_NE(g_load(&thread), mine);
	gmprt_unlock_os_thread();
	while (exists(g_load(&thread))) {
		G_NE(g_load(&thread), tid());
		gmprt_sleep(G_MS);
	}
	G_EQ(1, g_load(&destroyed));
}

/* ---- TestLockOSThreadAvoidsStatePropagation ---- */

/* Something a thread has for itself and its clones inherit. */
struct state {
	bool (*change)(void); /* false: this system does not let us */
	bool (*clean)(void);
};

static bool name_change(void)
{
	return prctl(PR_SET_NAME, "changed") == 0;
}

static bool name_clean(void)
{
	char name[16];

	G_OK(prctl(PR_GET_NAME, name));
	return strcmp(name, "changed") != 0;
}

static cpu_set_t all_cpus;

static bool affinity_change(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	for (int i = 0; CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &all_cpus))
			CPU_SET(i, &one);
	return CPU_COUNT(&all_cpus) > 1 && sched_setaffinity(0, sizeof(one), &one) == 0;
}

static bool affinity_clean(void)
{
	cpu_set_t now;

	G_OK(sched_getaffinity(0, sizeof(now), &now));
	return CPU_EQUAL(&now, &all_cpus);
}

static bool mask_change(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return pthread_sigmask(SIG_BLOCK, &set, NULL) == 0;
}

static bool mask_clean(void)
{
	sigset_t now;

	G_OK(pthread_sigmask(SIG_BLOCK, NULL, &now));
	return !sigismember(&now, SIGUSR1);
}

static int nice_at_first;

static bool nice_change(void)
{
	return setpriority(PRIO_PROCESS, 0, nice_at_first + 3) == 0;
}

static bool nice_clean(void)
{
	return getpriority(PRIO_PROCESS, 0) == nice_at_first;
}

static bool folder_change(void)
{
	return unshare(CLONE_FS) == 0 && chdir("/proc") == 0;
}

static bool folder_clean(void)
{
	char path[100];

	G_TRUE(getcwd(path, sizeof(path)));
	return strcmp(path, "/") == 0;
}

static const struct state name = { name_change, name_clean };
static const struct state affinity = { affinity_change, affinity_clean };
static const struct state mask = { mask_change, mask_clean };
static const struct state niceness = { nice_change, nice_clean };
static const struct state folder = { folder_change, folder_clean };

static const struct state *state;
static gmprt_sem arrived, go_on;
static bool unchanged;

/* It has a thread for itself until all others have theirs. */
static void looks_bound(void *unused)
{
	(void)unused;
	gmprt_lock_os_thread();
	G_TRUE(state->clean());
	gmprt_sem_post(&arrived);
	G_OK(gmprt_sem_wait(&go_on));
	G_TRUE(state->clean());
	gmprt_unlock_os_thread();
	gmprt_wg_done(&wg);
}

static void looks(void *unused)
{
	(void)unused;
	G_TRUE(state->clean());
	gmprt_wg_done(&wg);
}

static void starts_some(void)
{
	gmprt_wg_add(&wg, 2);
	g_go(looks_bound, NULL);
	g_go(looks, NULL);
}

/* Gives its P away in every manner, each time with work and no thread for it. */
static void changes_its_thread(void *unused)
{
	(void)unused;
	gmprt_lock_os_thread();
	starts_some();
	unchanged = !state->change();
	gmprt_yield();
	starts_some();
	gmprt_sleep(G_MS / 10);
	starts_some();
	gmprt_block_enter();
	starts_some(); /* without a P */
	g_nap(G_MS);
	gmprt_block_exit();
	starts_some();
	gmprt_wg_done(&wg); /* and ends, bound */
}

static void remember_state(void)
{
	G_OK(chdir("/"));
	G_OK(sched_getaffinity(0, sizeof(all_cpus), &all_cpus));
	nice_at_first = getpriority(PRIO_PROCESS, 0);
}

static void let_go_on(int n)
{
	for (int i = 0; i < n; i++)
		G_OK(gmprt_sem_wait(&arrived));
	for (int i = 0; i < n; i++)
		gmprt_sem_post(&go_on);
	gmprt_wg_wait(&wg);
	G_TRUE(state->clean());
}

static void one_changes_its_thread(void)
{
	remember_state();
	for (int round = 0; round < 4; round++) {
		gmprt_wg_add(&wg, 1);
		g_go(changes_its_thread, NULL);
		let_go_on(5);
	}
}

/* One of the program's own: what it has is no pattern for Ms either. */
static void *changed_thread(void *unused)
{
	unchanged = !state->change();
	g_nap(5 * G_MS); /* main waits then, and the only thread is its own */
	for (int i = 0; i < 3; i++)
		starts_some();
	return unused;
}

static void a_changed_thread_starts_goroutines(void)
{
	pthread_t t;

	remember_state();
	gmprt_lock_os_thread();
	gmprt_wg_add(&wg, 1);
	G_OK(pthread_create(&t, NULL, changed_thread, NULL));
	for (int i = 0; i < 3; i++)
		G_OK(gmprt_sem_wait(&arrived));
	gmprt_wg_done(&wg);
	for (int i = 0; i < 3; i++)
		gmprt_sem_post(&go_on);
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
	gmprt_wg_wait(&wg);
}

#define NOBODY_INHERITS(what)                                                        \
	do {                                                                         \
		state = &(what);                                                     \
		g_watch(#what, G_TIMEOUT *G_SLOW);                                   \
		g_run(g_procs, one_changes_its_thread);                              \
		g_run(g_procs, a_changed_thread_starts_goroutines);                  \
		g_watch_end();                                                       \
		if (unchanged)                                                       \
			SKIP(return, #what " can't be changed for one thread here"); \
	} while (0)

P_TEST(nobody_inherits_a_changed_name)
{
	NOBODY_INHERITS(name);
}

P_TEST(nobody_inherits_a_changed_affinity)
{
	NOBODY_INHERITS(affinity);
}

P_TEST(nobody_inherits_a_changed_signal_mask)
{
	NOBODY_INHERITS(mask);
}

P_TEST(nobody_inherits_a_changed_niceness)
{
	NOBODY_INHERITS(niceness);
}

P_TEST(nobody_inherits_a_folder_of_its_own)
{
	NOBODY_INHERITS(folder);
}

/* ---- TestLockOSThreadTemplateThreadRace ---- */

static int64_t start_ns;

static void nothing(void *unused)
{
	(void)unused;
}

/* Here nobody stops the world: what goes round all Ps and Ms does. */
static void goes_round(void *unused)
{
	(void)unused;
	while (!g_load(&stop)) {
		G_GE(gmprt_maxprocs(g_procs), 1);
		G_GE(g_stats().nr_threads, 1);
		G_GE(gmprt_num_goroutine(), 1);
	}
	gmprt_wg_done(&wg);
}

static void binds_at_the_start(void *unused)
{
	(void)unused;
	while (g_now() < start_ns)
		;
	g_go(nothing, NULL);
	gmprt_lock_os_thread();
	gmprt_yield();
	gmprt_wg_done(&wg);
}

G_TEST(two_may_bind_and_hand_off_at_the_same_moment)
{
	for (int i = 0; i < G_LOOPS(40); i++) {
		g_store(&stop, 0);
		gmprt_wg_add(&wg, 1);
		g_go(goes_round, NULL);
		start_ns = g_now() + G_MS;
		gmprt_wg_add(&wg, 2);
		g_go(binds_at_the_start, NULL);
		g_go(binds_at_the_start, NULL);
		while (gmprt_num_goroutine() > 2)
			gmprt_sleep(G_MS / 10);
		g_store(&stop, 1);
		gmprt_wg_wait(&wg);
	}
}

/* ---- TestLockOSThreadVgetrandom ---- */

#define AT_A_TIME (G_SLOW > 1 ? 20 : 100)

static gmprt_sem room;

static void draws_and_ends_bound(void *unused)
{
	unsigned char byte;

	(void)unused;
	gmprt_lock_os_thread();
	G_EQ(1, getrandom(&byte, 1, 0));
	for (volatile int i = 0; i < 20000; i++)
		;
	gmprt_sem_post(&room);
}

G_TEST(a_thousand_threads_that_drew_random_numbers_end)
{
	for (int i = 0; i < AT_A_TIME; i++)
		gmprt_sem_post(&room);
	for (int i = 0; i < G_LOOPS(1000); i++) {
		G_OK(gmprt_sem_wait(&room));
		g_go(draws_and_ends_bound, NULL);
	}
	for (int i = 0; i < AT_A_TIME; i++)
		G_OK(gmprt_sem_wait(&room));
}

/* ---- TestYieldLocked, TestBlockLocked ---- */

static void yields_and_sleeps_bound(void *unused)
{
	long mine;

	(void)unused;
	gmprt_lock_os_thread();
	mine = tid();
	for (int i = 0; i < 10; i++) {
		gmprt_yield();
		gmprt_sleep(G_MS);
		G_EQ(mine, tid());
	}
	gmprt_chan_send(c, NULL);
	/* It stays bound on purpose. */
}

G_TEST(a_bound_one_yields_and_sleeps)
{
	c = g_chan(0, 0);
	g_go(yields_and_sleeps_bound, NULL);
	G_OK(gmprt_chan_recv(c, NULL));
}

static void sends_bound(void *unused)
{
	(void)unused;
	gmprt_lock_os_thread();
	for (int i = 0; i < 10; i++)
		G_OK(gmprt_chan_send(c, NULL));
	gmprt_unlock_os_thread();
}

G_TEST(a_bound_one_sends)
{
	c = g_chan(0, 0);
	g_go(sends_bound, NULL);
	for (int i = 0; i < 10; i++)
		G_OK(gmprt_chan_recv(c, NULL));
}

/* ---- TestGetgThreadSwitch ---- */

static void sends_then_takes_the_thread(void *unused)
{
	(void)unused;
	G_OK(gmprt_chan_send(c, NULL));
	gmprt_lock_os_thread(); /* and ends: the thread is gone */
}

G_TEST(one_that_loses_its_thread_while_it_waits_is_still_itself)
{
	uint64_t me = gmprt_id();

	c = g_chan(0, 0);
	for (int i = 0; i < 20; i++) {
		g_go(sends_then_takes_the_thread, NULL);
		G_OK(gmprt_chan_recv(c, NULL));
		G_EQ(me, gmprt_id());
		if (i % 2) /* after another way through the code too */
			gmprt_yield();
		G_EQ(me, gmprt_id());
	}
}

TEST_HARNESS_MAIN
