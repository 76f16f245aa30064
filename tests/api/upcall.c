/* SPDX-License-Identifier: MIT */
/*
 * upcall.c - proves: with the bpf backend a goroutine that blocks in a system call
 * nobody announced gives its P up at once, gets one again, and nobody is lost;
 * where the backend can't be had the run goes on with the next one and says why
 */
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/gbpf.h"

static gmprt_wg wg;
static long stop, done;
static int ping[2], pong[2];

/* ---- handing over -------------------------------------------------- */

/* Plain system calls on blocking pipes: the run time is told of neither. */
static void answers(void *arg)
{
	char c;

	(void)arg;
	while (read(ping[0], &c, 1) == 1)
		G_EQ(1, write(pong[1], &c, 1));
	gmprt_wg_done(&wg);
}

static void computes(void *arg)
{
	(void)arg;
	while (!g_load(&stop)) {
		g_inc(&done);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

/* By sysmon each of these blocks would cost 10 ms and more: 400 are 4 s. */
BPF_TEST(blocked_goroutines_give_their_Ps_up_at_once)
{
	uint64_t before = g_stats().nr_handoffs;
	int64_t start;
	char c = 0;

	g_store(&stop, 0);
	G_OK(pipe2(ping, O_CLOEXEC));
	G_OK(pipe2(pong, O_CLOEXEC));
	gmprt_wg_add(&wg, 1 + g_procs);
	for (int i = 0; i < g_procs; i++)
		g_go(computes, NULL);
	g_go(answers, NULL);
	start = g_now();
	for (int i = 0; i < 200; i++) {
		G_EQ(1, write(ping[1], &c, 1));
		G_EQ(1, read(pong[0], &c, 1));
	}
	G_LT(g_now() - start, 4 * G_SEC * G_SLOW);
	G_GT(g_stats().nr_handoffs, before);
	g_store(&stop, 1);
	G_OK(close(ping[1]));
	gmprt_wg_wait(&wg);
	G_OK(close(ping[0]));
	G_OK(close(pong[0]));
	G_OK(close(pong[1]));
}

/* ---- many ----------------------------------------------------------- */

static void naps(void *seed)
{
	uint64_t rand = (uintptr_t)seed;

	for (int i = 0; i < G_LOOPS(100); i++) {
		g_nap((int64_t)(g_rand(&rand) % 300000));
		for (volatile long k = (long)(g_rand(&rand) % 20000); k > 0; k--)
			;
		if (g_rand(&rand) % 4 == 0)
			gmprt_yield();
		g_inc(&done);
	}
	gmprt_wg_done(&wg);
}

BPF_TEST(many_that_nap_unannounced_all_come_to_their_end)
{
	const int n = 40;

	g_store(&done, 0);
	gmprt_wg_add(&wg, n);
	for (uintptr_t i = 0; i < (uintptr_t)n; i++)
		g_go(naps, (void *)i);
	gmprt_wg_wait(&wg);
	G_EQ(n * G_LOOPS(100), g_load(&done));
	G_LE(g_stats().nr_threads_peak, 2 * n);
}

/* Each of its naps frees the P, and it takes it back: another block at each look. */
static void naps_and_naps(void *arg)
{
	(void)arg;
	while (!g_load(&stop))
		g_nap(200000);
	gmprt_wg_done(&wg);
}

/* For so long that nobody stands by awake any more. */
static void computes_6_ms(void *arg)
{
	(void)arg;
	while (!g_load(&stop)) {
		int64_t end = g_now() + 6 * G_MS;

		while (g_now() < end)
			;
		g_inc(&done);
		gmprt_yield();
	}
	gmprt_wg_done(&wg);
}

BPF_TEST(who_naps_again_and_again_has_a_slice_like_others)
{
	int64_t start = g_now();

	g_store(&stop, 0);
	g_store(&done, 0);
	gmprt_wg_add(&wg, 4 + g_procs);
	for (int i = 0; i < 3 + g_procs; i++)
		g_go(naps_and_naps, NULL);
	g_go(computes_6_ms, NULL);
	while (g_load(&done) < 30)
		gmprt_yield();
	G_LT(g_now() - start, 10 * G_SEC * G_SLOW);
	g_store(&stop, 1);
	gmprt_wg_wait(&wg);
}

/* ---- processes -------------------------------------------------------- */

static void in_the_childs_run(void *arg)
{
	(void)arg;
	G_OK(gmprt_sleep(G_MS));
}

static void child(void)
{
	G_EQ(-EPERM, gmprt_sleep(1)); /* no run here */
	G_OK(gmprt_run(NULL, in_the_childs_run, NULL));
	_exit(7);
}

BPF_TEST(a_child_of_fork_goes_on_and_may_begin_a_run)
{
	int status;
	pid_t pid;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	skipped = "a sanitizer's own locks and threads do not survive fork()";
	return;
#endif
	pid = fork();
	if (pid == 0)
		child();
	G_EQ(pid, waitpid(pid, &status, 0)); /* unannounced */
	G_EQ(7 << 8, status);
}

/* ---- the name ---------------------------------------------------------- */

static void is_sysmon(void)
{
	G_EQ(0, strcmp("sysmon", gmprt_upcall_backend()));
}

static void with_the_default(void)
{
	if (!skipped)
		G_TRUE(have_bpf());
	else
		is_sysmon();
}

TEST(without_being_asked_it_is_the_best_that_can_be_had)
{
	static const char *const asks[] = { NULL, "", "auto" };

	run_with_bpf(1, gmprt_yield); /* sets skipped */
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		if (asks[i])
			setenv("GMPRT_UPCALL", asks[i], 1);
		else
			unsetenv("GMPRT_UPCALL");
		g_run(1, with_the_default);
		G_EQ(0, strcmp("sysmon", gmprt_upcall_backend()));
	}
}

static void give_up_rights(void)
{
	setenv("GMPRT_GMPD", "/nowhere", 1);
	G_OK(setgroups(0, NULL));
	G_OK(setresgid(65534, 65534, 65534));
	G_OK(setresuid(65534, 65534, 65534));
}

static void without_rights(void)
{
	give_up_rights();
	run_with_bpf(1, is_sysmon);
}

static void auto_without_rights(void)
{
	setenv("GMPRT_UPCALL", "auto", 1);
	give_up_rights();
	g_run(1, is_sysmon);
}

static void auto_with_few_fds(void)
{
	struct rlimit few = { .rlim_cur = 100, .rlim_max = 100 };

	setenv("GMPRT_UPCALL", "auto", 1);
	setenv("GMPRT_DEBUG", "upcall", 1);
	G_OK(setrlimit(RLIMIT_NOFILE, &few));
	g_run(1, is_sysmon);
}

TEST(auto_with_few_file_descriptors_leaves_them_to_the_program)
{
	static struct g_end end;

	if (access("/dev/gmprt", R_OK | W_OK) == 0)
		SKIP(return, "the module needs one descriptor only");
	g_child(&end, auto_with_few_fds);
	G_EXITS(&end, 0);
	G_SAYS(&end, "upcalls by sysmon; bpf: fewer than 256 file descriptors");
}

TEST(auto_without_the_rights_is_sysmon_and_says_nothing)
{
	static struct g_end end;

	if (geteuid() != 0)
		SKIP(return, "not root: other tests show it");
	g_child(&end, auto_without_rights);
	G_EXITS(&end, 0);
	G_EQ('\0', end.text[0]);
}

TEST(without_the_rights_it_is_sysmon_and_one_line_says_why)
{
	static struct g_end end;

	if (geteuid() != 0)
		SKIP(return, "not root: then it says so anyway");
	g_child(&end, without_rights);
	G_EXITS(&end, 0);
	G_SAYS(&end, "gmprt: upcalls by sysmon; bpf: ");
}

/* ---- GMPRT_DEBUG=upcall ------------------------------------------------- */

static const char *debug;

static void by_sysmon(void)
{
	setenv("GMPRT_DEBUG", debug, 1);
	setenv("GMPRT_UPCALL", "sysmon", 1);
	g_run(1, is_sysmon);
}

TEST(a_line_says_which_backend_it_is_if_that_is_asked_for)
{
	static const char *const asks[] = { "upcall", "upcall=1", "scheddetail=0,upcall" };
	static struct g_end end;

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		debug = asks[i];
		g_child(&end, by_sysmon);
		G_EXITS(&end, 0);
		G_EQ(end.text, strstr(end.text, "gmprt: upcalls by sysmon; bpf: "));
		G_EQ('\n', end.text[strlen(end.text) - 1]);
		G_EQ(strchr(end.text, '\n'), strrchr(end.text, '\n'));
	}
}

TEST(it_says_nothing_otherwise)
{
	static const char *const asks[] = { "", "upcall=0", "upcall,upcall=0" };
	static struct g_end end;

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		debug = asks[i];
		g_child(&end, by_sysmon);
		G_EXITS(&end, 0);
		G_EQ('\0', end.text[0]);
	}
	debug = "upcall=no";
	g_child(&end, by_sysmon);
	G_SAYS(&end, "gmprt: GMPRT_DEBUG: \"upcall=no\" is left out");
}

static void said_by_bpf(void)
{
	setenv("GMPRT_DEBUG", "upcall", 1);
	setenv("GMPRT_GMPD", "/nowhere", 1);
	in_kernel = "bpf";
	run_with_bpf(2, gmprt_yield);
	if (skipped)
		_exit(NO_BPF);
}

TEST(with_own_programs_it_says_so_and_why_not_by_gmpd)
{
	static struct g_end end;

	g_child(&end, said_by_bpf);
	if (end.exit == NO_BPF)
		SKIP(return, "no bpf backend here");
	G_EXITS(&end, 0);
	G_SAYS(&end, "upcalls by bpf (own programs, not by gmpd: /nowhere: gmpd is not running)");
}

TEST_HARNESS_MAIN
