/* SPDX-License-Identifier: MIT */
/*
 * A run whose backend goes in its midst: the programs are detached, or a new gmpd
 * ends the session. It must notice, go on by sysmon, and lose nobody.
 */
#include "core/pulse.h"
#include "sched/sched.h"

#include "unit/upcall_daemon.h"

enum { TIMES = 100 / G_SLOW,
       SECONDS = 60 };

static gmprt_wg wg;
static long stop, yields, naps, answers, loops;
static int ping[2], pong[2];

static bool by_bpf(void)
{
	return strcmp(gmprt_upcall_backend(), "bpf") == 0;
}

/* ---- load: none of it is announced ---------------------------------- */

static void yielding(void *arg)
{
	while (!g_load(&stop)) {
		g_inc(&yields);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

static void napping(void *arg)
{
	while (!g_load(&stop)) {
		g_nap(200000);
		g_inc(&naps);
	}
	gmprt_wg_done(&wg);
}

static void computing(void *arg)
{
	while (!g_load(&stop)) {
		int64_t end = g_now() + G_MS;

		while (g_now() < end)
			;
		g_inc(&loops);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

static void answering(void *arg)
{
	char c;

	while (read(ping[0], &c, 1) == 1)
		G_EQ(1, write(pong[1], &c, 1));
	gmprt_wg_done(&wg);
}

static void asking(void *arg)
{
	char c = 0;

	while (!g_load(&stop)) {
		G_EQ(1, write(ping[1], &c, 1));
		G_EQ(1, read(pong[0], &c, 1));
		g_inc(&answers);
	}
	G_OK(close(ping[1]));
	gmprt_wg_done(&wg);
}

static void load_begins(void)
{
	static void (*const all[])(void *) = { yielding, napping, napping,
					       computing, answering, asking };

	G_OK(pipe2(ping, O_CLOEXEC));
	G_OK(pipe2(pong, O_CLOEXEC));
	g_store(&stop, 0);
	gmprt_wg_add(&wg, ARRAY_SIZE(all));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		g_go(all[i], NULL);
}

static void load_ends(void)
{
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
	G_OK(close(ping[0]));
	G_OK(close(pong[0]));
	G_OK(close(pong[1]));
}

/* All kinds come round. */
static void goes_on(void)
{
	const long *const all[] = { &yields, &naps, &answers, &loops };
	long before[ARRAY_SIZE(all)];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		before[i] = g_load(all[i]);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		while (g_load(all[i]) < before[i] + 2)
			g_nap(100000);
}

/* ---- loss ------------------------------------------------------------ */

static void (*takes_it_away)(void);

static void body(void *arg)
{
	struct gmprt_stats t;

	G_TRUE(by_bpf());
	if (!rt_cur->port.up.from_daemon) /* own programs are not lost */
		G_FAIL("%s", rt_cur->port.up.why);
	load_begins();
	goes_on();
	takes_it_away();
	while (by_bpf())
		g_nap(100000);
	goes_on();
	load_ends();
	G_TRUE(!by_bpf());
	while (g_stats().nr_goroutines > 1)
		gmprt_yield(); /* they have said that they end */
	t = g_stats();
	G_EQ(t.nr_created, t.nr_ended + 1);
	G_GT(t.nr_handoffs, 0);
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

#define LOSS_TEST(claim)                                   \
	static void claim##_body(void);                    \
	TEST_F_TIMEOUT(daemon, claim, SECONDS *G_SLOW + 5) \
	{                                                  \
		if (lacks)                                 \
			SKIP(return, "%s", lacks);         \
		g_watch(#claim, SECONDS *G_SLOW);          \
		claim##_body();                            \
		g_watch_end();                             \
	}                                                  \
	static void claim##_body(void)

static void detaches(void)
{
	G_OK(gmpctl("unload"));
}

LOSS_TEST(programs_detached_a_hundred_times_under_load)
{
	takes_it_away = detaches;
	for (int i = 0; i < TIMES; i++) {
		run_with_bpf(procs(i), body);
		G_OK(gmpctl("load"));
	}
}

static long asked;

/* A daemon ends with the thread that has started it: not one of the run's. */
static void *restarts_gmpd(void *arg)
{
	for (;;) {
		while (!g_load(&asked))
			g_nap(100000);
		gmpd_kill();
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
	takes_it_away = starts_anew;
	for (int i = 0; i < TIMES; i++)
		run_with_bpf(procs(i), body);
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
static long taken;

/* Another thread of this process has an M's number. */
static void *takes_a_number(void *arg)
{
	uint32_t m = __atomic_fetch_add(&next_number, 1, __ATOMIC_SEQ_CST);

	G_OK(rt_upcall_bpf_register(&rt_cur->port.up, m));
	g_inc(&taken);
	while (!g_load(&stop))
		g_nap(G_MS);
	return NULL;
}

/* All Ms but the first few are without a slot of their own in the kernel. */
static void with_refused_ms(void *arg)
{
	pthread_t t[8];

	G_TRUE(by_bpf());
	g_store(&stop, 0);
	next_number = load_rlx(&rt_cur->nr_mids) + 1;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		G_OK(pthread_create(&t[i], NULL, takes_a_number, NULL));
	while (g_load(&taken) < (long)ARRAY_SIZE(t))
		gmprt_yield();
	load_begins();
	while (!load_rlx(&rt_cur->port.nr_refused))
		g_nap(G_MS);
	for (int i = 0; i < 10; i++)
		goes_on();
	G_TRUE(by_bpf());
	load_ends();
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
