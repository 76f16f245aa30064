/* SPDX-License-Identifier: MIT */
/*
 * dump.c - proves: gmprt_dump() shows every goroutine with its number, name,
 * state, reason and stack, in the order of the numbers, while others run, from
 * any thread; and of the library's own frames only the function that was called
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "lib/gtest.h"

/* The frame must be there after the call: no tail call. */
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

static gmprt_chan *c;
static gmprt_sem sem;
static gmprt_mutex mutex;
static gmprt_wg wg;
static long stop;

static void in_recv(void *arg)
{
	gmprt_chan_recv(arg, NULL);
	KEEP_FRAME();
}

static void in_send(void *arg)
{
	(void)arg;
	gmprt_chan_send(g_chan(0, 0), NULL);
	KEEP_FRAME();
}

static void in_select(void *arg)
{
	struct gmprt_case k = { .op = GMPRT_RECV, .chan = arg };

	gmprt_select(&k, 1);
	KEEP_FRAME();
}

static void in_sleep(void *arg)
{
	(void)arg;
	gmprt_sleep(3600 * G_SEC);
	KEEP_FRAME();
}

static void in_sem(void *arg)
{
	(void)arg;
	(void)!gmprt_sem_wait(&sem);
	KEEP_FRAME();
}

static void in_mutex(void *arg)
{
	(void)arg;
	gmprt_mutex_lock(&mutex);
	KEEP_FRAME();
}

static void in_wg(void *arg)
{
	(void)arg;
	gmprt_wg_wait(&wg);
	KEEP_FRAME();
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
	KEEP_FRAME();
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

/* ---- whose frames ---- */

/* The line below the one with the word, then the one below its place, ... */
static char *frame_of(const char *dump, const char *word, int nth)
{
	const char *at = strstr(dump, word);

	for (int i = 0; at && i < 1 + 2 * nth; i++) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		G_FAIL("expected frame %d of \"%s\" in: %s", nth, word, dump);
	return strndup(at, strcspn(at, "\n"));
}

static bool is_frame(const char *dump, const char *word, int nth, const char *func)
{
	char *line = frame_of(dump, word, nth);
	size_t n = strlen(func);
	bool is = strncmp(line, func, n) == 0 && strcmp(line + n, "(...)") == 0;

	free(line);
	return is;
}

/*
 * The stack below the word begins with `user`, or with `called`, by it. True:
 * the latter. A compiler may make a jump of a last call: then the function called
 * has no frame.
 */
static bool begins_with(const char *dump, const char *word, const char *called, const char *user)
{
	bool has = is_frame(dump, word, 0, called);

	if (!is_frame(dump, word, has, user))
		G_FAIL("expected %s, %s as the first frames of \"%s\": %s", called, user, word,
		       dump);
	return has;
}

/* Objects linked one by one, as with LTO, don't know which code is theirs. */
static bool is_the_shared_library(void)
{
	Dl_info info;

	return dladdr((void *)(intptr_t)gmprt_dump, &info) && strstr(info.dli_fname, "libgmprt.so");
}

#define SKIP_UNLESS_SHARED                                                      \
	do {                                                                    \
		if (!is_the_shared_library())                                   \
			SKIP(return, "the test is not linked with libgmprt.so"); \
	} while (0)

static void calls_back(void *arg)
{
	gmprt_chan_recv(arg, NULL);
	KEEP_FRAME();
}

static void in_once(void *arg)
{
	static gmprt_once once;

	gmprt_once_do(&once, calls_back, arg);
	KEEP_FRAME();
}

static void shows_user_frames(void)
{
	static const struct {
		const char *name;
		void (*fn)(void *);
		const char *called, *user;
	} kinds[] = {
		{ "receiver", in_recv, "gmprt_chan_recv", "in_recv" },
		{ "sender", in_send, "gmprt_chan_send", "in_send" },
		{ "selector", in_select, "gmprt_select", "in_select" },
		{ "dormouse", in_sleep, "gmprt_sleep", "in_sleep" },
		{ "tollgate", in_sem, "gmprt_sem_wait", "in_sem" },
		{ "locksmith", in_mutex, "gmprt_mutex_lock", "in_mutex" },
		{ "grouper", in_wg, "gmprt_wg_wait", "in_wg" },
		{ "callback", in_once, "gmprt_chan_recv", "calls_back" },
	};
	int nr_called = 0;
	char *dump;

	c = g_chan(0, 0);
	gmprt_mutex_lock(&mutex);
	gmprt_wg_add(&wg, 1);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		g_go_named(kinds[i].name, kinds[i].fn, c);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		g_parked(kinds[i].name, 1);
	dump = g_dump();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		nr_called += begins_with(dump, kinds[i].name, kinds[i].called, kinds[i].user);
	G_GE(nr_called, 3);
	G_TRUE(begins_with(dump, "goroutine 1 ", "gmprt_dump", "g_dump"));
	if (strstr(dump, "\nrt_") || strstr(dump, "\ncall_main") || strstr(dump, "\nwait_"))
		G_FAIL("expected none of the library's own frames: %s", dump);
	free(dump);
}

P_TEST(a_stack_begins_with_the_function_called_and_has_no_inner_ones)
{
	SKIP_UNLESS_SHARED;
	g_run(g_procs, shows_user_frames);
}

static void misuses(void)
{
	gmprt_block_exit();
	KEEP_FRAME();
}

P_TEST(the_stack_of_a_misuse_begins_with_the_function_misused)
{
	struct g_end end;

	SKIP_UNLESS_SHARED;
	g_child_run(&end, misuses);
	G_SIGNALED(&end, SIGABRT);
	begins_with(end.text, "goroutine 1 ", "gmprt_block_exit", "misuses");
}

/* ---- in which order ---- */

/* Are there n heads of goroutines, each with a higher number? */
static void expect_ascending(const char *dump, long n)
{
	unsigned long long id, last = 0;
	long found = 0;

	for (const char *at = dump; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		/* Not sscanf(), which measures all that follows first. */
		if (strncmp(at, "goroutine ", 10) != 0)
			continue;
		id = strtoull(at + 10, NULL, 10);
		if (id <= last)
			G_FAIL("goroutine %llu is shown after %llu", id, last);
		if (found++ == 0)
			G_EQ(1, id);
		last = id;
	}
	G_EQ(n, found);
}

/* Of several sizes, so in several arenas; some not begun; some ended, so that
 * their stacks are others' now. */
static void ends(void *arg)
{
	(void)arg;
	gmprt_wg_done(&wg);
}

static void mixture(long n)
{
	struct gmprt_attr attr = { .size = sizeof(attr) };

	for (long i = 0; i < n; i++) {
		attr.stack_size = (size_t)(16 << 10) << (i % 3);
		gmprt_wg_add(&wg, 1);
		g_go(ends, NULL);
		G_OK(gmprt_go_attr(&attr, in_recv, c));
		if (i % 64 == 0)
			gmprt_yield();
	}
	gmprt_wg_wait(&wg);
	while (gmprt_num_goroutine() != 1 + n)
		gmprt_yield();
	/* Of these not all will have begun. */
	for (long i = 0; i < 20; i++)
		g_go(in_recv, c);
}

G_TEST(goroutines_come_in_the_order_of_their_numbers)
{
	char *dump;

	c = g_chan(0, 0);
	mixture(100);
	dump = g_dump();
	expect_ascending(dump, 121);
	free(dump);
}

G_TEST(so_do_many_of_them)
{
	char *dump;

	c = g_chan(0, 0);
	mixture(G_LOOPS(5000));
	dump = g_dump();
	expect_ascending(dump, G_LOOPS(5000) + 21);
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

/* Few of them where each takes long: TSan's record of calls is full after some
 * ten thousand goroutines on one stack. */
static void *dumps(void *arg)
{
	for (int i = 0; i < 20 / G_SLOW; i++) {
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
