/* SPDX-License-Identifier: MIT */
/*
 * dump.c - proves: gmprt_dump() shows every goroutine with its number, name,
 * state, reason and stack, while others run, from any thread
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "lib/gtest.h"

static gmprt_chan *c;
static gmprt_sem sem;
static gmprt_mutex mutex;
static gmprt_wg wg;
static long stop;

static void in_recv(void *arg)
{
	gmprt_chan_recv(arg, NULL);
}

static void in_send(void *arg)
{
	(void)arg;
	gmprt_chan_send(g_chan(0, 0), NULL);
}

static void in_select(void *arg)
{
	struct gmprt_case k = { .op = GMPRT_RECV, .chan = arg };

	gmprt_select(&k, 1);
}

static void in_sleep(void *arg)
{
	(void)arg;
	gmprt_sleep(3600 * G_SEC);
}

static void in_sem(void *arg)
{
	(void)arg;
	(void)!gmprt_sem_wait(&sem);
}

static void in_mutex(void *arg)
{
	(void)arg;
	gmprt_mutex_lock(&mutex);
}

static void in_wg(void *arg)
{
	(void)arg;
	gmprt_wg_wait(&wg);
}

/* The dump's line that holds the word; fails the test if there is none. */
static char *line_with(const char *dump, const char *word)
{
	const char *at = strstr(dump, word), *start, *end;

	if (!at)
		G_FAIL("expected \"%s\" in: %s", word, dump);
	for (start = at; start > dump && start[-1] != '\n'; start--)
		;
	end = strchr(at, '\n');
	G_TRUE(end);
	return strndup(start, (size_t)(end - start));
}

G_TEST(each_goroutine_is_shown_with_name_and_reason)
{
	static const struct {
		const char *name;
		void (*fn)(void *);
		const char *reason;
	} kinds[] = {
		{ "receiver", in_recv, "chan receive" }, { "sender", in_send, "chan send" },
		{ "selector", in_select, "select" },	 { "dormouse", in_sleep, "sleep" },
		{ "tollgate", in_sem, "semaphore wait" },
		{ "locksmith", in_mutex, "mutex lock" },
		{ "grouper", in_wg, "wait group" },
	};
	char *dump;

	c = g_chan(0, 0);
	gmprt_mutex_lock(&mutex);
	gmprt_wg_add(&wg, 1);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		g_go_named(kinds[i].name, kinds[i].fn, c);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		g_parked(kinds[i].name, 1);
	dump = g_dump();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char *line = line_with(dump, kinds[i].name);
		char id[32];

		if (strncmp(line, "goroutine ", 10) != 0 || !strstr(line, kinds[i].reason))
			G_FAIL("expected \"goroutine ... %s\": %s", kinds[i].reason, line);
		free(line);
		snprintf(id, sizeof(id), "goroutine %zu", i + 2);
		free(line_with(dump, id));
	}
	free(line_with(dump, "goroutine 1 "));
	free(dump);
}

/* One frame for each level; the dump shows at least some of them. */
static __attribute__((noinline)) void nest(int depth)
{
	if (depth == 0)
		gmprt_chan_recv(c, NULL);
	else
		nest(depth - 1);
	__asm__ volatile("" ::: "memory");
}

static void nests(void *arg)
{
	nest((int)(intptr_t)arg);
}

static int lines_after(const char *dump, const char *word)
{
	const char *at = strstr(dump, word);
	int n = 0;

	for (at = strchr(at, '\n'); at && at[1] && strncmp(at + 1, "goroutine ", 10) != 0;
	     at = strchr(at + 1, '\n'))
		n++;
	return n;
}

G_TEST(a_parked_goroutines_stack_is_shown)
{
	char *dump;

	c = g_chan(0, 0);
	g_go_named("shallow", nests, (void *)0);
	g_go_named("deep", nests, (void *)6);
	g_parked("shallow", 1);
	g_parked("deep", 1);
	dump = g_dump();
	G_GE(lines_after(dump, "shallow"), 2);
	G_GE(lines_after(dump, "deep"), lines_after(dump, "shallow") + 5);
	free(dump);
}

static void waits_two_seconds(void)
{
	char *dump, *line;

	c = g_chan(0, 0);
	g_go_named("patient", in_recv, c);
	g_parked("patient", 1);
	gmprt_sleep(2200 * G_MS);
	dump = g_dump();
	line = line_with(dump, "patient");
	if (!strstr(line, " 2 seconds"))
		G_FAIL("expected 2 seconds of waiting: %s", line);
	free(line);
	free(dump);
}

TEST(it_says_how_long_one_has_waited)
{
	g_run(2, waits_two_seconds);
}

/* ---- while others run ---- */

static void restless(void *arg)
{
	(void)arg;
	while (!g_load(&stop)) {
		g_go(in_recv, c);
		gmprt_sleep(10000);
		(void)!gmprt_chan_send_try(c, NULL);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

static void *dumps(void *arg)
{
	for (int i = 0; i < 20; i++) {
		char *dump = g_dump();

		G_TRUE(strstr(dump, "goroutine "));
		free(dump);
	}
	return arg;
}

G_TEST(it_works_while_goroutines_come_and_go_and_from_any_thread)
{
	pthread_t t;

	c = g_chan(0, 0);
	gmprt_wg_add(&wg, 6);
	for (int i = 0; i < 6; i++)
		g_go(restless, NULL);
	G_OK(pthread_create(&t, NULL, dumps, NULL));
	dumps(NULL);
	gmprt_block_enter();
	G_OK(pthread_join(t, NULL));
	gmprt_block_exit();
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
	G_OK(gmprt_chan_close(c));
}

TEST(outside_a_run_it_says_so)
{
	char *dump = g_dump();

	G_GT(strlen(dump), 0);
	G_TRUE(!strstr(dump, "goroutine 1"));
	free(dump);
}

G_TEST(a_file_that_cannot_be_written_is_ignored)
{
	int fd = open("/dev/full", O_WRONLY);

	G_GE(fd, 0);
	gmprt_dump(fd);
	gmprt_dump(-1);
	close(fd);
}

TEST_HARNESS_MAIN
