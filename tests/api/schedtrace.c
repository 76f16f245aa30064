/* SPDX-License-Identifier: MIT */
/*
 * schedtrace.c - proves: GMPRT_DEBUG=schedtrace=N prints Go's SCHED line once
 * in N ms, also while nothing runs, and scheddetail=1 each P, M and G; a reader
 * of Go's line reads it; what GMPRT_DEBUG does not know is said and left out
 *
 * The reader below knows the line as Go's runtime writes it: fields in Go's
 * order, one run queue length a P in brackets, one tick a P after them.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/gtest.h"

struct line {
	long ms, gomaxprocs, idleprocs, threads, spinning, needspinning, idlethreads, runqueue;
	int nr_queues, nr_ticks;
};

/* Numbers between "[" and "]"; -1: it is not such a list. */
static int list(const char **at)
{
	int n = 0;
	char *end;

	if (*(*at)++ != '[')
		return -1;
	for (;;) {
		while (**at == ' ')
			(*at)++;
		if (**at == ']') {
			(*at)++;
			return n;
		}
		if (!isdigit((unsigned char)**at))
			return -1;
		strtol(*at, &end, 10);
		*at = end;
		n++;
	}
}

/* True: a line of Go's; *at is behind it. */
static bool read_line(const char **at, struct line *l)
{
	int n = 0;

	if (sscanf(*at,
		   "SCHED %ldms: gomaxprocs=%ld idleprocs=%ld threads=%ld spinningthreads=%ld "
		   "needspinning=%ld idlethreads=%ld runqueue=%ld %n",
		   &l->ms, &l->gomaxprocs, &l->idleprocs, &l->threads, &l->spinning,
		   &l->needspinning, &l->idlethreads, &l->runqueue, &n) != 8 ||
	    n == 0)
		return false;
	*at += n;
	l->nr_queues = list(at);
	if (strncmp(*at, " schedticks=", 12))
		return false;
	*at += 12;
	l->nr_ticks = list(at);
	return *(*at)++ == '\n';
}

static void spin(void *arg)
{
	for (int64_t until = g_now() + 50 * G_MS; g_now() < until;)
		;
	gmprt_wg_done(arg);
}

static void works_and_sleeps(void)
{
	gmprt_wg wg = { 0 };

	gmprt_wg_add(&wg, 4);
	for (int i = 0; i < 4; i++)
		g_go(spin, &wg);
	gmprt_wg_wait(&wg);
	gmprt_sleep(150 * G_MS);
}

static struct g_end end;

P_TEST(Gos_line_comes_once_a_period_busy_or_idle)
{
	struct line l = { 0 }, last = { 0 };
	const char *at;
	int n = 0;

	setenv("GMPRT_DEBUG", "schedtrace=20", 1);
	g_child_run(&end, works_and_sleeps);
	G_EXITS(&end, 0);
	for (at = end.text; *at; n++) {
		G_TRUE(read_line(&at, &l));
		G_EQ(g_procs, l.gomaxprocs);
		G_EQ(g_procs, l.nr_queues);
		G_EQ(g_procs, l.nr_ticks);
		G_LE(l.idleprocs, l.gomaxprocs);
		G_GE(l.threads, 1);
		if (n)
			G_GE(l.ms, last.ms + 19);
		last = l;
	}
	G_GE(n, 5);
	G_GT(last.ms, 100);
}

static void waits(void *arg)
{
	gmprt_chan_recv(arg, NULL);
}

static void is_looked_at(void)
{
	gmprt_chan *c = g_chan(0, 0);

	g_go_named("waits", waits, c);
	g_parked("waits", 1);
	gmprt_lock_os_thread();
	gmprt_sleep(60 * G_MS);
}

P_TEST(detail_adds_each_P_M_and_G)
{
	char last_p[32];

	setenv("GMPRT_DEBUG", "scheddetail=1,schedtrace=20", 1);
	g_child_run(&end, is_looked_at);
	G_EXITS(&end, 0);
	G_SAYS(&end, " gcwaiting=");
	snprintf(last_p, sizeof(last_p), "\n  P%d: status=", g_procs - 1);
	G_SAYS(&end, last_p);
	G_SAYS(&end, "\n  M1: p=");
	G_SAYS(&end, " lockedg=1\n");
	G_SAYS(&end, "\n  G1: status=4(sleep) m=nil lockedm=");
	G_SAYS(&end, ": status=4(chan receive) m=nil lockedm=nil\n");
}

static void nothing(void)
{
}

P_TEST(what_GMPRT_DEBUG_does_not_know_is_said_and_left_out)
{
	setenv("GMPRT_DEBUG", "gctrace=1,schedtrace=soon,,scheddetail=0", 1);
	g_child_run(&end, nothing);
	G_EXITS(&end, 0);
	G_SAYS(&end, "gmprt: GMPRT_DEBUG: \"gctrace=1\" is left out");
	G_SAYS(&end, "gmprt: GMPRT_DEBUG: \"schedtrace=soon\" is left out");
	G_TRUE(!strstr(end.text, "scheddetail=0\" is"));
	G_TRUE(!strstr(end.text, "SCHED"));
}

TEST_HARNESS_MAIN
