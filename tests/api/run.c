/* SPDX-License-Identifier: MIT */
/*
 * run.c - proves: gmprt_main() and gmprt_run() start, end, can be repeated,
 * refuse what they must, and take the number of Ps from the options, the
 * environment and the affinity mask, in this order
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "lib/gtest.h"

static void nothing(void)
{
}

static void nothing_arg(void *arg)
{
	(void)arg;
}

/* ---- gmprt_main ---- */

static int add_args(int argc, char **argv)
{
	G_EQ(1, gmprt_id());
	return argc + atoi(argv[1]);
}

TEST(main_returns_what_its_function_returns)
{
	char *argv[] = { "prog", "40", NULL };

	G_EQ(42, gmprt_main(add_args, 2, argv));
	argv[1] = "-1";
	G_EQ(1, gmprt_main(add_args, 2, argv));
}

static int main_again(int argc, char **argv)
{
	(void)argv;
	return argc;
}

G_TEST(a_second_run_from_a_goroutine_is_EPERM)
{
	G_EQ(-EPERM, gmprt_run(NULL, nothing_arg, NULL));
	G_EQ(-EPERM, gmprt_main(main_again, 1, NULL));
}

static void *run_from_thread(void *ret)
{
	*(int *)ret = gmprt_run(NULL, nothing_arg, NULL);
	return NULL;
}

G_TEST(a_second_run_from_another_thread_is_EBUSY)
{
	pthread_t t;
	int ret = 1;

	G_OK(pthread_create(&t, NULL, run_from_thread, &ret));
	gmprt_block_enter();
	pthread_join(t, NULL);
	gmprt_block_exit();
	G_EQ(-EBUSY, ret);
}

/* ---- repetition ---- */

static long ran;

static void count(void *arg)
{
	(void)arg;
	g_inc(&ran);
}

static void yields_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		gmprt_yield();
}

static void waits_for_ever(void *arg)
{
	gmprt_chan_recv(arg, NULL);
	G_FAIL("received from a channel nobody sends to");
}

static gmprt_chan *silent;

static void leaves_others_behind(void)
{
	G_EQ(1, gmprt_id());
	G_EQ(1, gmprt_num_goroutine());
	for (int i = 0; i < 4; i++) {
		g_go(waits_for_ever, silent);
		g_go(yields_for_ever, NULL);
		g_go(count, NULL);
	}
	gmprt_yield();
}

P_TEST(a_run_can_follow_a_run_that_left_goroutines_behind)
{
	for (int i = 0; i < 50; i++) {
		silent = g_chan(0, 0);
		g_run(1 + i % g_procs, leaves_others_behind);
	}
}

static gmprt_chan *other;

static void selects_for_ever(void *arg)
{
	struct gmprt_case k[2] = { { .op = GMPRT_RECV, .chan = arg },
				   { .op = GMPRT_SEND, .chan = other } };

	gmprt_select(k, 2);
	G_FAIL("a select without partners came through");
}

static void frees_other(void)
{
	gmprt_chan_free(other);
}

static void leaves_waiters(void)
{
	g_go_named("waits", waits_for_ever, silent);
	g_go_named("waits", selects_for_ever, silent);
	g_parked("waits", 2);
}

P_TEST(channels_that_goroutines_waited_on_when_the_run_ended_can_be_freed)
{
	for (int i = 0; i < 20; i++) {
		silent = gmprt_chan_make(0, 0);
		other = gmprt_chan_make(0, 0);
		g_run(g_procs, leaves_waiters);
		gmprt_chan_free(silent);
		/* In a run that is not theirs, too. */
		if (i % 2)
			g_run(g_procs, frees_other);
		else
			gmprt_chan_free(other);
	}
}

static void *thread_runs(void *n)
{
	g_run(*(int *)n, nothing);
	return NULL;
}

P_TEST(each_run_may_be_on_another_thread)
{
	for (int i = 0; i < 20; i++) {
		pthread_t t;

		G_OK(pthread_create(&t, NULL, thread_runs, &g_procs));
		G_OK(pthread_join(t, NULL));
	}
}

/* ---- what goes on after main's end ---- */

static long ticks;

static void ticker(void *arg)
{
	(void)arg;
	for (;;) {
		g_inc(&ticks);
		gmprt_yield();
	}
}

static void starts_tickers(void)
{
	for (int i = 0; i < 16; i++)
		g_go(ticker, NULL);
	while (g_load(&ticks) < 100)
		gmprt_yield();
}

P_TEST(no_goroutine_runs_on_after_mains_end)
{
	long then;

	g_run(g_procs, starts_tickers);
	g_nap(50 * G_MS); /* one on another M may still come to its next call */
	then = g_load(&ticks);
	g_nap(100 * G_MS);
	G_EQ(then, g_load(&ticks));
}

/* ---- options ---- */

static int run_with(struct gmprt_options opt)
{
	return gmprt_run(&opt, nothing_arg, NULL);
}

#define OPT(...) ((struct gmprt_options){ .size = sizeof(struct gmprt_options), __VA_ARGS__ })

TEST(options_out_of_range_are_EINVAL)
{
	G_EQ(-EINVAL, run_with((struct gmprt_options){ .size = 0 }));
	G_EQ(-EINVAL, run_with((struct gmprt_options){ .size = 3 }));
	G_EQ(-EINVAL, run_with((struct gmprt_options){ .size = SIZE_MAX }));
	G_EQ(-EINVAL, run_with(OPT(.maxprocs = -1)));
	G_EQ(-EINVAL, run_with(OPT(.stack_size = (size_t)1 << 31)));
	G_EQ(-EINVAL, run_with(OPT(.stack_size = SIZE_MAX)));
	G_EQ(-EINVAL, run_with(OPT(.max_threads = -1)));
	G_EQ(-EINVAL, run_with(OPT(.upcall = "telepathy")));
}

TEST(options_in_range_are_taken)
{
	G_OK(run_with(OPT(.maxprocs = 0)));
	G_OK(run_with(OPT(.maxprocs = 1, .stack_size = 1)));
	G_OK(run_with(OPT(.maxprocs = 3, .stack_size = 100000)));
	G_OK(run_with(OPT(.max_threads = 50)));
	G_OK(run_with(OPT(.upcall = "auto")));
	G_OK(run_with(OPT(.upcall = "sysmon")));
	G_OK(gmprt_run(NULL, nothing_arg, NULL));
}

static void backend_is_sysmon(void *arg)
{
	(void)arg;
	G_TRUE(strcmp(gmprt_upcall_backend(), "sysmon") == 0);
}

TEST(the_backend_that_was_asked_for_is_named)
{
	struct gmprt_options opt = OPT(.upcall = "sysmon");

	G_TRUE(strcmp(gmprt_upcall_backend(), "sysmon") == 0);
	G_OK(gmprt_run(&opt, backend_is_sysmon, NULL));
}

/* ---- number of Ps ---- */

static void store_maxprocs(void *n)
{
	*(int *)n = gmprt_maxprocs(0);
}

static int procs_of_run(int option)
{
	struct gmprt_options opt = OPT(.maxprocs = option);
	int n = -1;

	G_OK(gmprt_run(&opt, store_maxprocs, &n));
	return n;
}

TEST(maxprocs_comes_from_options_then_environment)
{
	unsetenv("GMPRT_MAXPROCS");
	setenv("GOMAXPROCS", "5", 1);
	G_EQ(5, procs_of_run(0));
	setenv("GMPRT_MAXPROCS", "3", 1);
	G_EQ(3, procs_of_run(0));
	G_EQ(7, procs_of_run(7));
}

TEST(maxprocs_is_bounded_by_the_affinity_mask)
{
	cpu_set_t all, one;
	int cpu = 0;

	unsetenv("GMPRT_MAXPROCS");
	unsetenv("GOMAXPROCS");
	G_OK(sched_getaffinity(0, sizeof(all), &all));
	G_LE(gmprt_maxprocs(0), CPU_COUNT(&all));
	G_GE(gmprt_maxprocs(0), 1);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	G_OK(sched_setaffinity(0, sizeof(one), &one));
	G_EQ(1, procs_of_run(0));
}

static void run_with_defaults(void)
{
	int ret = gmprt_run(NULL, nothing_arg, NULL);

	_exit(ret == -EINVAL ? 22 : ret != 0);
}

TEST(a_malformed_environment_is_EINVAL_with_one_line)
{
	static const struct {
		const char *name, *value;
	} bad[] = {
		{ "GMPRT_MAXPROCS", "abc" },
		{ "GMPRT_MAXPROCS", "-1" },
		{ "GMPRT_MAXPROCS", "3x" },
		{ "GMPRT_UPCALL", "telepathy" },
	};
	struct g_end end;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *newline;

		setenv(bad[i].name, bad[i].value, 1);
		g_child(&end, run_with_defaults);
		unsetenv(bad[i].name);
		G_EXITS(&end, 22);
		G_SAYS(&end, bad[i].name);
		G_SAYS(&end, bad[i].value);
		newline = strchr(end.text, '\n');
		G_TRUE(newline && newline[1] == '\0');
	}
}

TEST_HARNESS_MAIN
