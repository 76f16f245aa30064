/* SPDX-License-Identifier: MIT */
/*
 * life.c - proves: however a thread, a process or a session ends, the module keeps
 * nothing of it, and can be unloaded exactly when nobody uses it
 */
#include <sys/ptrace.h>

#include "kmod/kmod.h"

static struct session s;
static int never[2]; /* a pipe into which nobody writes */

static void blocks_for_ever(void)
{
	char c;

	(void)!read(never[0], &c, 1);
}

static void computes_for_ever(void)
{
	for (volatile int i = 0;; i++)
		;
}

static void naps_for_ever(void)
{
	for (;;)
		g_nap(1000);
}

/* ---- SIGKILL ------------------------------------------------------------ */

struct way {
	void (*does)(void);
	uint32_t state;
	bool idle, alone;
};

static const struct way ways[] = {
	{ .does = blocks_for_ever },
	{ .does = blocks_for_ever, .state = GMPRT_M_RUNTIME },
	{ .does = computes_for_ever },
	{ .does = computes_for_ever, .state = GMPRT_M_RUNTIME },
	{ .does = computes_for_ever, .alone = true },
	{ .does = naps_for_ever },
	{ .does = naps_for_ever, .alone = true },
	{ .does = naps_for_ever, .alone = true, .idle = true }, /* a SIGURG each time */
};

static const struct way *way;
static long ready;

static void *an_m(void *number)
{
	uint32_t m = (uint32_t)(uintptr_t)number, p = m % NR_PS;

	becomes(&s, m, p);
	m_of(&s, m)->state = way->state;
	if (way->alone)
		__atomic_store_n(&p_of(&s, p)->word, gmprt_abi_word(9, 99, GMPRT_P_RUNNING),
				 __ATOMIC_SEQ_CST);
	g_inc(&ready);
	way->does();
	return NULL;
}

static void ignores(int sig)
{
	(void)sig;
}

static void has_ms(int to)
{
	pthread_t t;

	signal(SIGURG, ignores);
	G_OK(pipe(never));
	session_begin(&s);
	s.head->idle = way->idle;
	for (uintptr_t m = 1; m < NR_MS; m++)
		G_OK(pthread_create(&t, NULL, an_m, (void *)m));
	UNTIL(g_load(&ready) == NR_MS - 1);
	g_nap(SURELY);
	tells(to);
	blocks_for_ever();
}

KMOD_TEST(sigkill_in_each_state_leaves_nothing)
{
	int from;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		pid_t pid;

		way = &ways[i];
		pid = child_that(has_ms, &from);
		hears(from);
		ends_by_kill(pid);
		expect_nothing_left();
		close(from);
	}
}

static int said_times(const char *what)
{
	static char text[65536];
	int n = 0;

	said(text, sizeof(text));
	for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
		n++;
	return n;
}

KMOD_TEST(two_processes_end_each_for_itself)
{
	int from[2];
	pid_t pid[2];

	way = &ways[5];
	for (int i = 0; i < 2; i++) {
		pid[i] = child_that(has_ms, &from[i]);
		hears(from[i]);
	}
	ASSERT_EQ(said_times(" 7 threads\n"), 2);
	ends_by_kill(pid[0]);
	UNTIL(said_times(" 7 threads\n") == 1 && said_times(" threads\n") == 1);
	ends_by_kill(pid[1]);
	close(from[0]);
	close(from[1]);
}

/* ---- exit of a thread ---------------------------------------------------- */

static void ends(void)
{
}

static void naps_and_ends(void)
{
	g_nap(SURELY);
}

static const struct way exits[] = {
	{ .does = ends },
	{ .does = ends, .state = GMPRT_M_RUNTIME },
	{ .does = ends, .alone = true },
	{ .does = naps_and_ends },
	{ .does = naps_and_ends, .state = GMPRT_M_RUNTIME },
	{ .does = naps_and_ends, .alone = true },
	{ .does = naps_and_ends, .alone = true, .idle = true },
};

KMOD_TEST(a_thread_that_ends_in_any_state_is_marked_and_its_number_free)
{
	signal(SIGURG, ignores);
	session_begin(&s);
	for (size_t i = 0; i < ARRAY_SIZE(exits); i++) {
		pthread_t t;
		uint64_t w;

		way = &exits[i];
		s.head->idle = way->idle;
		ASSERT_EQ(pthread_create(&t, NULL, an_m, (void *)(uintptr_t)1), 0);
		ASSERT_EQ(pthread_join(t, NULL), 0);
		UNTIL(m_of(&s, 1)->kflags == GMPRT_MF_GONE);
		w = word_of(&s, 1);
		ASSERT_EQ(gmprt_abi_state(w),
			  way->alone || way->state ? GMPRT_P_RUNNING : GMPRT_P_FREED);
		ASSERT_EQ(gmprt_abi_owner(w), way->alone ? 99 : 1);
	}
	session_end(&s);
}

static long leave;

static void stays(void)
{
	while (!g_load(&leave))
		g_nap(SURELY);
}

KMOD_TEST(closed_and_unmapped_a_session_lives_for_its_threads_only)
{
	static const struct way stayer = { .does = stays };
	pthread_t t;

	way = &stayer;
	session_begin(&s);
	ASSERT_EQ(pthread_create(&t, NULL, an_m, (void *)(uintptr_t)1), 0);
	UNTIL(g_load(&ready));
	session_end(&s);
	for (int i = 0; i < 20; i++)
		g_nap(SURELY);
	ASSERT_EQ(said_times(" 1 threads\n"), 1);
	g_store(&leave, 1);
	ASSERT_EQ(pthread_join(t, NULL), 0);
}

/* ---- exec ---------------------------------------------------------------- */

static void begins_cat(int to)
{
	session_begin(&s);
	becomes(&s, 1, 0);
	G_OK(pipe(never));
	G_EQ(0, dup2(never[0], 0));
	G_EQ(1, dup2(to, 1));
	execl("/bin/cat", "cat", "/proc/self/comm", "-", (char *)NULL);
}

KMOD_TEST(exec_ends_the_registration_while_the_new_program_goes_on)
{
	int from;
	pid_t pid = child_that(begins_cat, &from);

	hears(from); /* the new program's own name */
	expect_nothing_left();
	ASSERT_EQ(kill(pid, 0), 0);
	ends_by_kill(pid);
	close(from);
}

static void registers_again(int to)
{
	char c = 0;

	/* Is it the new program? Then what is left of the old one goes. */
	session_begin(&s);
	becomes(&s, 1, 0);
	G_OK(dev_unregister(s.fd));
	G_EQ(-EINVAL, dev_unregister(s.fd));
	becomes(&s, 1, 0);
	g_nap(SURELY);
	G_EQ(1, m_of(&s, 1)->nr_freed);
	G_EQ(1, write(to, &c, 1));
}

KMOD_TEST(who_has_left_may_register_again)
{
	int from;
	pid_t pid = child_that(registers_again, &from);

	hears(from);
	ends_well(pid);
	close(from);
}

/* ---- stopped, traced ------------------------------------------------------ */

static void counts(int to)
{
	session_begin(&s);
	becomes(&s, 1, 0);
	for (;;) {
		g_nap(SURELY);
		(void)!write(to, "x", 1);
	}
}

static void goes_on(int from)
{
	char c[4096];

	(void)!read(from, c, sizeof(c));
	for (int i = 0; i < 3; i++)
		hears(from);
}

KMOD_TEST(an_m_stops_goes_on_and_is_traced_as_any_thread)
{
	int from, status;
	pid_t pid = child_that(counts, &from);

	for (int i = 0; i < 5; i++) {
		goes_on(from);
		ASSERT_EQ(kill(pid, SIGSTOP), 0);
		ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
		ASSERT_TRUE(WIFSTOPPED(status));
		ASSERT_EQ(kill(pid, SIGCONT), 0);
		goes_on(from);
		ASSERT_EQ(ptrace(PTRACE_ATTACH, pid, NULL, NULL), 0);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT_EQ(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
	}
	goes_on(from);
	ends_by_kill(pid);
	close(from);
}

/* ---- many ----------------------------------------------------------------- */

enum { MANY = 4096 };

static void *one_of_many(void *number)
{
	becomes(&s, (uint32_t)(uintptr_t)number, 0);
	g_inc(&ready);
	blocks_for_ever();
	return NULL;
}

static void has_many(int to)
{
	pthread_attr_t small;
	pthread_t t;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 * 1024);
	G_OK(pipe(never));
	session_begin_as(&s, 1, MANY + 1);
	for (uintptr_t m = 1; m <= MANY; m++) {
		int r = pthread_create(&t, &small, one_of_many, (void *)m);

		if (r == EAGAIN)
			_exit(77);
		G_OK(r);
	}
	UNTIL(g_load(&ready) == MANY);
	tells(to);
	blocks_for_ever();
}

KMOD_TEST_TIMEOUT(four_thousand_ms_are_gone_with_their_process, 240)
{
	int from, status;
	pid_t pid = child_that(has_many, &from);
	char c;

	if (read(from, &c, 1) != 1) {
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		if (status == 77 << 8)
			SKIP(return, "no room for %d threads here", MANY);
		ASSERT_EQ(status, 0);
	}
	ends_by_kill(pid);
	close(from);
}

/* ---- memory ---------------------------------------------------------------- */

static long vmalloc_of(const char *group)
{
	char path[300], text[8192], *at;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/memory.stat", group);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	G_GE(fd, 0);
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	close(fd);
	at = strstr(text, "\nvmalloc ");
	return at ? atol(at + 9) : -1;
}

#define GROUP "/sys/fs/cgroup/gmprt-kmod-test"

static bool write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return done;
}

static void has_a_large_session(int to)
{
	G_TRUE(write_to(GROUP "/cgroup.procs", "0"));
	session_begin_as(&s, 1, GMPRT_ABI_MAX_MS);
	tells(to);
	blocks_for_ever();
}

KMOD_TEST(a_sessions_memory_is_its_cgroups)
{
	long before;
	pid_t pid;
	int from;

	write_to("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	rmdir(GROUP);
	if (mkdir(GROUP, 0700) || access(GROUP "/memory.stat", R_OK)) {
		rmdir(GROUP);
		SKIP(return, "no cgroup with memory accounting can be made here");
	}
	before = vmalloc_of(GROUP);
	G_OK(pipe(never));
	pid = child_that(has_a_large_session, &from);
	hears(from);
	if (before >= 0)
		UNTIL(vmalloc_of(GROUP) - before >= (long)GMPRT_ABI_MAX_MS * 64);
	ends_by_kill(pid);
	expect_nothing_left();
	UNTIL(rmdir(GROUP) == 0);
	close(from);
}

/* ---- what can be seen ------------------------------------------------------ */

#define TRACING "/sys/kernel/tracing"

KMOD_TEST(each_trace_event_is_told)
{
	static const char *const events[] = { "gmprt_register", "gmprt_upcall", "gmprt_take",
					      "gmprt_unregister" };
	static char text[65536];
	ssize_t n;
	int fd;

	if (!write_to(TRACING "/events/gmprt/enable", "1"))
		SKIP(return, TRACING ": errno %d", errno);
	session_begin(&s);
	becomes(&s, 1, 0);
	g_nap(SURELY);
	ASSERT_EQ(dev_unregister(s.fd), 0);
	session_end(&s);
	fd = open(TRACING "/trace", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(fd, 0);
	for (size_t at = 0; (n = read(fd, text + at, sizeof(text) - 1 - at)) > 0; at += (size_t)n)
		text[at + (size_t)n] = 0;
	close(fd);
	ASSERT_TRUE(write_to(TRACING "/events/gmprt/enable", "0"));
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (!strstr(text, events[i]))
			G_FAIL("no %s in: %s", events[i], text);
}

TEST_HARNESS_MAIN
