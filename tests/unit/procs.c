/* SPDX-License-Identifier: MIT */
/*
 * The number of Ps changes at random, from 1 to 8, under a mix of work: hogs,
 * system calls announced or not, sleeps, channels, tasks, locked goroutines.
 * All the time no two Ms hold one P, no M holds two, no more are held than
 * there may be, and in the end everybody has done their work.
 *
 * `make stress` runs this one too, for longer (SEED=, TIME=).
 */
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"
#include "core/cpus.h"
#include "lib/stress.h"
#include "sched/switch.h"

#define MOST 8

static uint32_t bound;        /* Ps that may be held now */
static uint32_t holder[MOST]; /* the M that looked at this P, or 0 */
static long stop, looks, plain;
static gmprt_wg wg;
static gmprt_chan *chan;
static gmprt_mutex mutex;

/* ---- what an M sees of its own P ---------------------------------- */

/* In state RUNTIME nobody takes the P. So whoever else is here has another. */
static void look(void)
{
	struct rt_m *m = rt_enter();
	uint32_t id = m->p->id, most = load_seq(&bound);

	if (id >= MOST || xchg_seq(&holder[id], m->id) != 0)
		G_FAIL("P %u is held by two Ms", id);
	for (volatile int i = 0; i < 200; i++)
		;
	/* It only shrinks after such a P is gone. */
	if (id >= most && id >= load_seq(&bound))
		G_FAIL("P %u is held, though there are %u", id, most);
	store_seq(&holder[id], 0);
	rt_leave(m);
	g_inc(&looks);
}

/* ---- what an onlooker sees of all Ps ------------------------------ */

static bool is_held(uint64_t word)
{
	return rt_pword_state(word) == RT_P_RUNNING;
}

/* A word that is the same before and after was the same between: its epoch
 * grows each time the P changes hands. */
static void no_M_holds_two(struct rt_sched *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t w = load_seq(&s->ps[i].slot.word);

		for (uint32_t k = i + 1; k < n && is_held(w); k++) {
			uint64_t v = load_seq(&s->ps[k].slot.word);

			if (is_held(v) && rt_pword_owner(v) == rt_pword_owner(w) &&
			    load_seq(&s->ps[i].slot.word) == w)
				G_FAIL("M %u holds P %u and P %u", rt_pword_owner(w), i, k);
		}
	}
}

static void *watches(void *sched)
{
	struct rt_sched *s = sched;

	while (!g_load(&stop)) {
		no_M_holds_two(s, load_acq(&s->nr_ps));
		usleep(100);
	}
	return NULL;
}

/* ---- the work ----------------------------------------------------- */

static void computes(uint64_t *rand)
{
	int64_t until = g_now() + g_below(rand, 15 * G_MS);

	while (g_now() < until)
		;
}

static void task(void *n)
{
	look();
	__atomic_add_fetch((long *)n, 1, __ATOMIC_SEQ_CST);
}

static void forks(void)
{
	struct gmprt_task t[3];
	long n = 0;

	for (int i = 0; i < 3; i++)
		G_OK(gmprt_fork(&t[i], task, &n));
	for (int i = 0; i < 3; i++)
		gmprt_join(&t[i]);
	G_EQ(3, n);
}

static void deed(uint64_t *rand)
{
	long v = 1;

	switch (g_below(rand, 9)) {
	case 0:
		computes(rand);
		break;
	case 1: /* a system call that nobody announced */
		usleep((useconds_t)g_below(rand, 12000));
		break;
	case 2:
		gmprt_block_enter();
		usleep((useconds_t)g_below(rand, 2000));
		gmprt_block_exit();
		break;
	case 3:
		gmprt_sleep(g_below(rand, G_MS));
		break;
	case 4:
		forks();
		break;
	case 5:
		gmprt_lock_os_thread();
		gmprt_yield();
		look();
		gmprt_unlock_os_thread();
		break;
	case 6:
		gmprt_mutex_lock(&mutex);
		plain++;
		gmprt_mutex_unlock(&mutex);
		break;
	case 7:
		(void)!gmprt_chan_send_dl(chan, &v, g_now() + g_below(rand, G_MS));
		break;
	case 8:
		(void)!gmprt_chan_recv_dl(chan, &v, g_now() + g_below(rand, G_MS));
		break;
	}
}

static void works(void *seed)
{
	uint64_t rand = (uintptr_t)seed;

	for (int i = 0; i < 20; i++) {
		deed(&rand);
		look();
		if (g_below(&rand, 3) == 0)
			gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

/* ---- the change --------------------------------------------------- */

static bool are_retired(struct rt_sched *s, uint32_t from)
{
	bool all = true;
	struct rt_m *m = rt_enter();

	rt_lock(s);
	for (uint32_t i = from; i < s->nr_ps; i++)
		all &= s->ps[i].retired;
	rt_unlock(s);
	rt_leave(m);
	return all;
}

static void change(uint64_t *rand)
{
	struct rt_sched *s = load_seq(&rt_cur);
	uint32_t was = load_seq(&bound), n = 1 + (uint32_t)g_below(rand, MOST);

	if (n > was)
		store_seq(&bound, n);
	G_EQ(was, gmprt_maxprocs((int)n));
	G_EQ(n, gmprt_maxprocs(0));
	if (n >= was)
		return;
	/* Also from hogs and from sleepers in the kernel: the run would hang. */
	while (!are_retired(s, n))
		gmprt_sleep(G_MS / 10);
	store_seq(&bound, n);
}

G_STRESS(no_P_is_held_twice_and_none_beyond_the_number_while_it_changes)
{
	uint64_t rand = g_seed;
	long n = 4 + g_below(&rand, 40);
	pthread_t watcher;

	store_seq(&bound, (uint32_t)g_procs);
	g_store(&stop, 0);
	chan = gmprt_chan_make(sizeof(long), 1);
	G_OK(pthread_create(&watcher, NULL, watches, load_seq(&rt_cur)));
	gmprt_wg_add(&wg, n);
	for (long i = 0; i < n; i++)
		g_go(works, (void *)(uintptr_t)g_rand(&rand));
	while (gmprt_wg_wait_dl(&wg, g_now() + g_below(&rand, 20 * G_MS)) == -ETIMEDOUT)
		change(&rand);
	g_store(&stop, 1);
	G_OK(pthread_join(watcher, NULL));
	gmprt_chan_free(chan);
	G_GE(g_load(&looks), 20 * n);
	g_store(&looks, 0);
	while (gmprt_num_goroutine() > 1) /* they are just ending */
		gmprt_sleep(G_MS / 10);
}

/* ---- the rules of following --------------------------------------- */

static void follows(void)
{
	struct rt_sched *s = load_seq(&rt_cur);
	int usable = rt_cpus_usable_now();
	struct rt_m *m = rt_enter();

	G_TRUE(!s->procs_given);
	rt_procs_set(s, 7);
	s->procs_given = false; /* as if the machine had been larger */
	rt_procs_follow(s);
	rt_leave(m);
	G_EQ(usable, gmprt_maxprocs(0));
}

TEST(the_number_follows_the_CPUs_while_the_program_has_not_set_it)
{
	unsetenv("GMPRT_MAXPROCS");
	unsetenv("GOMAXPROCS");
	g_run(0, follows);
}

static void stays(void)
{
	struct rt_m *m = rt_enter();

	rt_procs_follow(m->s);
	rt_leave(m);
	G_EQ(5, gmprt_maxprocs(0));
}

TEST(a_number_from_options_or_environment_stays)
{
	g_run(5, stays);
	setenv("GOMAXPROCS", "5", 1);
	g_run(0, stays);
	setenv("GMPRT_MAXPROCS", "5", 1);
	setenv("GOMAXPROCS", "", 1);
	g_run(0, stays);
}

static void sets_5(void)
{
	G_GE(gmprt_maxprocs(5), 1);
	stays();
}

TEST(a_number_set_by_a_goroutine_stays)
{
	unsetenv("GMPRT_MAXPROCS");
	unsetenv("GOMAXPROCS");
	g_run(0, sets_5);
}

static void cant_read(void)
{
	struct rt_sched *s = load_seq(&rt_cur);
	struct rt_m *m = rt_enter();

	rt_procs_set(s, 7);
	s->procs_given = false;
	rt_fault_arm_for(1, 1000);
	rt_procs_follow(s);
	rt_fault_arm(0);
	s->procs_given = true;
	rt_leave(m);
	G_EQ(7, gmprt_maxprocs(0));
}

TEST(a_number_that_cant_be_read_now_stays_as_it_was)
{
	g_run(0, cant_read);
}

TEST_HARNESS_MAIN
