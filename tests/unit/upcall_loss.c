/* SPDX-License-Identifier: MIT */
/*
 * A run whose backend goes in its midst: the programs are detached, or a new gmpd
 * ends the session. It must notice, go on by sysmon, and lose nobody.
 */
#include "core/pulse.h"
#include "sched/sched.h"

#include "lib/gbusy.h"
#include "unit/upcall_daemon.h"

enum { TIMES = 100 / G_SLOW,
       LEAST = TIMES / 10, /* where others have the machine for themselves */
       ENOUGH = 15,        /* seconds */
       SECONDS = 60 };

static bool by_bpf(void)
{
	return strcmp(gmprt_upcall_backend(), "bpf") == 0;
}

/* ---- loss ------------------------------------------------------------ */

static void (*takes_it_away)(void);

static void body(void *arg)
{
	G_TRUE(by_bpf());
	if (!rt_cur->port.up.from_daemon) /* own programs are not lost */
		G_FAIL("%s", rt_cur->port.up.why);
	g_busy_begin();
	g_busy_goes_on();
	takes_it_away();
	while (by_bpf())
		g_nap(100000);
	g_busy_goes_on();
	g_busy_end();
	G_TRUE(!by_bpf());
	G_GT(g_stats().nr_handoffs, 0);
}

static void run_with_bpf(int procs, void (*fn)(void *))
{
	struct gmprt_options opt = { .size = sizeof(opt), .maxprocs = procs, .upcall = "bpf" };

	G_OK(gmprt_run(&opt, fn, NULL));
}

/* One P for some: there each one waits for all the others. */
static int procs(int i)
{
	return i % 50 ? 2 + i % 3 : 1;
}

/* Another time? */
static bool again(int i)
{
	static int64_t end;
	bool more;

	if (i == 0)
		end = g_now() + ENOUGH * G_SLOW * G_SEC;
	more = i < LEAST || (i < TIMES && g_now() < end);
	if (!more)
		dprintf(STDOUT_FILENO, "# %d times\n", i);
	return more;
}

#define LOSS_TEST(claim)                                   \
	static void claim##_body(void);                    \
	TEST_F_TIMEOUT(daemon, claim, SECONDS *G_SLOW + 5) \
	{                                                  \
		if (lacks)                                 \
			SKIP(return, "%s", lacks);         \
		g_kmsg_begin();                            \
		claim##_body();                            \
		g_kmsg_end();                              \
	}                                                  \
	static void claim##_body(void)

static void detaches(void)
{
	G_OK(gmpctl("unload"));
}

LOSS_TEST(programs_detached_a_hundred_times_under_load)
{
	g_watch(__func__, SECONDS * G_SLOW);
	takes_it_away = detaches;
	for (int i = 0; again(i); i++) {
		run_with_bpf(procs(i), body);
		G_OK(gmpctl("load"));
	}
	g_watch_end();
}

static long asked;

/* A daemon ends with the thread that has started it: not one of the run's. */
static void *restarts_gmpd(void *arg)
{
	for (;;) {
		while (!g_load(&asked))
			g_nap(100000);
		gmpd_kill();
		G_TRUE(by_bpf()); /* the kernel needs no daemon */
		gmpd_start(NULL, NULL);
		g_store(&asked, 0);
	}
	return arg;
}

static void starts_anew(void)
{
	static pthread_t t;

	if (!t)
		G_OK(pthread_create(&t, NULL, restarts_gmpd, NULL));
	g_store(&asked, 1);
	while (g_load(&asked))
		g_nap(100000);
}

LOSS_TEST(the_daemon_killed_and_started_a_hundred_times_under_load)
{
	g_watch(__func__, SECONDS * G_SLOW);
	takes_it_away = starts_anew;
	for (int i = 0; again(i); i++)
		run_with_bpf(procs(i), body);
	g_watch_end();
}

/* ---- what is said ------------------------------------------------------ */

static void (*said_body)(void *);

/* A daemon ends with who has started it. */
static void says(void)
{
	gmpd_start(NULL, NULL);
	setenv("GMPRT_DEBUG", "upcall", 1);
	run_with_bpf(2, said_body);
}

LOSS_TEST(a_line_says_why_it_was_lost)
{
	static struct g_end end;

	gmpd_kill();
	said_body = body;
	takes_it_away = starts_anew;
	g_child(&end, says);
	G_EXITS(&end, 0);
	G_SAYS(&end, "gmprt: upcalls by bpf (gmpd's session ");
	G_SAYS(&end, "gmprt: upcalls by sysmon from now on; bpf: the session is over: gmpd has ");
	takes_it_away = detaches;
	g_child(&end, says);
	G_EXITS(&end, 0);
	G_SAYS(&end, "gmprt: upcalls by sysmon from now on; bpf: the programs have been detached");
	G_OK(gmpctl("load"));
}

/* ---- Ms that are refused ------------------------------------------------ */

static uint32_t next_number;
static long taken, leave;

/* Another thread of this process has an M's number. */
static void *takes_a_number(void *arg)
{
	uint32_t m = __atomic_fetch_add(&next_number, 1, __ATOMIC_SEQ_CST);

	G_OK(rt_upcall_register(&rt_cur->port.up, m));
	g_inc(&taken);
	while (!g_load(&leave))
		g_nap(G_MS);
	return NULL;
}

/* All Ms but the first few are without a slot of their own in the kernel. */
static void with_refused_ms(void *arg)
{
	pthread_t t[8];

	G_TRUE(by_bpf());
	next_number = load_rlx(&rt_cur->nr_mids) + 1;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		G_OK(pthread_create(&t[i], NULL, takes_a_number, NULL));
	while (g_load(&taken) < (long)ARRAY_SIZE(t))
		gmprt_yield();
	g_busy_begin();
	while (!load_rlx(&rt_cur->port.nr_refused))
		g_nap(G_MS);
	for (int i = 0; i < 10; i++)
		g_busy_goes_on();
	G_TRUE(by_bpf());
	g_busy_end();
	g_store(&leave, 1);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		G_OK(pthread_join(t[i], NULL));
}

LOSS_TEST(ms_that_are_refused_are_watched_by_sysmon_and_a_line_says_so)
{
	static struct g_end end;

	gmpd_kill();
	said_body = with_refused_ms;
	g_child(&end, says);
	G_EXITS(&end, 0);
	G_SAYS(&end, "the kernel's side refuses it: Device or resource busy; sysmon watches");
}

/* ---- the pulse ----------------------------------------------------------- */

static void opened_by_daemon(void)
{
	struct rt_upcall_shape shape = { .nr_ps = NR_PS, .nr_ms = NR_MS };

	G_TRUE(opened_any(&shape));
}

static void expect_looks(struct rt_pulse *p, int n, bool sleeps)
{
	for (int i = 0; i < n; i++) {
		if (sleeps)
			g_nap(20000);
		G_TRUE(rt_pulse_beats(p));
	}
}

LOSS_TEST(who_looks_without_having_slept_is_not_misled)
{
	struct rt_pulse p;

	opened_by_daemon();
	G_OK(rt_pulse_begin(&p, &u, NR_MS - 1, NR_PS - 1));
	expect_looks(&p, 1000, false);
	expect_looks(&p, 1000, true);
	detaches();
	expect_looks(&p, 2, false); /* one finds what was counted before */
	G_TRUE(!rt_pulse_beats(&p));
	G_OK(gmpctl("load"));
}

/* As where the switch to it was not seen: nobody has given its P back. */
LOSS_TEST(a_word_that_is_still_free_is_no_silence)
{
	struct rt_pulse p;

	opened_by_daemon();
	G_OK(rt_pulse_begin(&p, &u, NR_MS - 1, NR_PS - 1));
	for (int i = 0; i < 100; i++) {
		store_rlx(&p.p->word, gmprt_abi_with_state(p.word, GMPRT_P_FREED));
		expect_looks(&p, 1, true);
	}
}

TEST_HARNESS_MAIN
