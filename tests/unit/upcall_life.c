/* SPDX-License-Identifier: MIT */
/*
 * The bpf backend: who may register, what an end by any means leaves behind, what
 * a client that writes nonsense can do, and what the backend says when it fails.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/rand.h"
#include "base/sysbpf.h"

#include "unit/upcall_bpf.h"

/* The module's sessions have no keys, are their makers', and outlive what unmaps them
 * as long as threads are registered: tests/kmod/life.c. */
#define BPF_ONLY_TEST(fixture, claim)                                              \
	static void claim##_only(struct __test_metadata *);                        \
	BPF_TEST(fixture, claim)                                                   \
	{                                                                          \
		if (with_module())                                                 \
			SKIP(return, "the module has its own: tests/kmod/life.c"); \
		claim##_only(_metadata);                                           \
	}                                                                          \
	static void claim##_only(struct __test_metadata *_metadata)

/* In a child of fork(), where _exit() would look for leaks. */
static _Noreturn void ends(int status)
{
	syscall(SYS_exit_group, status);
	abort();
}

FIXTURE(life)
{
	int unused;
};

FIXTURE_SETUP(life)
{
	opened(false);
}

FIXTURE_TEARDOWN(life)
{
	if (u.head)
		rt_upcall_close(&u);
}

/* ---- who may register ----------------------------------------------- */

static int call(uint32_t op, uint32_t m, uint64_t key)
{
	struct gmprt_abi_call c = { .op = op, .session = u.session, .m = m, .key = key };

	return rt_bpf_run(u.call_fd, &c, sizeof(c));
}

BPF_TEST(life, a_number_outside_the_session_is_refused)
{
	ASSERT_EQ(rt_upcall_register(&u, 0), -ERANGE);
	ASSERT_EQ(rt_upcall_register(&u, NR_MS), -ERANGE);
	ASSERT_EQ(rt_upcall_register(&u, UINT32_MAX), -ERANGE);
	ASSERT_EQ(rt_upcall_register(&u, NR_MS - 1), 0);
}

BPF_ONLY_TEST(life, without_the_key_nothing_is_done)
{
	ASSERT_EQ(call(GMPRT_OP_REGISTER, 1, u.key + 2), -EPERM);
	ASSERT_EQ(call(GMPRT_OP_REGISTER, 1, 0), -EPERM);
	u.session = 1; /* of which nobody has made anything: its key is 0 */
	ASSERT_EQ(call(GMPRT_OP_REGISTER, 1, 0), -EPERM);
	u.session = UINT32_MAX;
	ASSERT_EQ(call(GMPRT_OP_REGISTER, 1, u.key), -EPERM);
	u.session = 0;
	ASSERT_EQ(call(77, 1, u.key), -EINVAL);
	ASSERT_EQ(m1->kflags, 0);
}

static void *registers_as_1(void *result)
{
	*(int *)result = rt_upcall_register(&u, 1);
	return NULL;
}

BPF_TEST(life, a_number_has_one_thread_and_a_thread_one_number)
{
	pthread_t t;
	int r = 1;

	ASSERT_EQ(rt_upcall_register(&u, 1), 0);
	ASSERT_EQ(rt_upcall_register(&u, 1), -EBUSY);
	ASSERT_EQ(rt_upcall_register(&u, 2), -EBUSY);
	ASSERT_EQ(pthread_create(&t, NULL, registers_as_1, &r), 0);
	ASSERT_EQ(pthread_join(t, NULL), 0);
	ASSERT_EQ(r, -EBUSY);
	ASSERT_EQ(rt_upcall_unregister(&u), 0);
	ASSERT_EQ(rt_upcall_unregister(&u), -EINVAL);
	ASSERT_EQ(pthread_create(&t, NULL, registers_as_1, &r), 0);
	ASSERT_EQ(pthread_join(t, NULL), 0);
	ASSERT_EQ(r, 0);
}

/* The call has no thread's number; whoever calls is meant, nobody else. */
BPF_TEST(life, only_the_calling_thread_is_registered)
{
	struct m m = { 0 };

	p0->hint = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	store_rel(&p0->word, WORD1);
	g_nap(SURELY); /* this thread blocks */
	ASSERT_EQ(word(), WORD1);
	ASSERT_EQ(m1->nr_blocks, 1);
	m_wakes(&m);
	m_ends(&m);
}

/* ---- ends ------------------------------------------------------------ */

static void ends_at_once(struct m *m)
{
	(void)m;
	syscall(SYS_exit, 0);
}

BPF_TEST(life, a_thread_that_ends_leaves_its_p_free_and_its_number)
{
	struct m m = { 0 };

	m_start(&m, ends_at_once); /* with nothing to run */
	UNTIL(load_acq(&m1->kflags) == GMPRT_MF_GONE);
	ASSERT_EQ(word(), FREED);
	ASSERT_EQ(rt_upcall_register(&u, 1), 0);
	ASSERT_EQ(m1->kflags, GMPRT_MF_REGISTERED);
}

BPF_TEST(life, one_that_ends_in_state_runtime_keeps_its_p)
{
	struct m m = { .state = GMPRT_M_RUNTIME };

	m_start(&m, ends_at_once);
	UNTIL(load_acq(&m1->kflags) == GMPRT_MF_GONE);
	ASSERT_EQ(word(), WORD1);
}

/*
 * A child that is M 1 of the session: this process has not registered anyone, so
 * the session becomes the child's. Its memory is not inherited: it is mapped.
 */
static pid_t child_as_m1(void (*does)(void))
{
	pid_t pid = fork();
	int r = 0;

	if (pid)
		return pid;
	u.head = rt_bpf_map(u.space_fd, 0, u.bytes, true, &r);
	G_TRUE(u.head);
	slots();
	G_OK(rt_upcall_register(&u, 1));
	store_rel(&p0->word, WORD1);
	does();
	ends(0);
}

static void waits_for_ever(void)
{
	for (;;)
		pause();
}

BPF_ONLY_TEST(life, sigkill_cleans_up)
{
	pid_t pid = child_as_m1(waits_for_ever);

	UNTIL(load_acq(&p0->nr_kept) > 0);
	ASSERT_EQ(kill(pid, SIGKILL), 0);
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	ASSERT_EQ(m1->kflags, GMPRT_MF_GONE);
	ASSERT_EQ(word(), FREED);
}

static int again; /* pipe that the program which is begun waits on */

static void begins_another_program(void)
{
	dup2(again, 0);
	dup2(open("/dev/null", O_WRONLY), 1);
	execl("/bin/cat", "cat", (char *)NULL);
}

BPF_ONLY_TEST(life, exec_ends_the_registration_and_the_session)
{
	int pipe_fd[2];
	pid_t pid;

	ASSERT_EQ(pipe2(pipe_fd, O_CLOEXEC), 0);
	again = pipe_fd[0];
	pid = child_as_m1(begins_another_program);
	UNTIL(load_acq(&m1->kflags) == GMPRT_MF_GONE);
	ASSERT_EQ(word(), FREED);
	store_rel(&p0->word, WORD1);
	p0->hint = 1;
	ASSERT_EQ(write(pipe_fd[1], "\n", 1), 1); /* it blocks, runs, blocks */
	close(pipe_fd[1]);
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	ASSERT_EQ(word(), WORD1);
	ASSERT_EQ(rt_upcall_register(&u, 2), -EPERM);
}

BPF_TEST(life, a_child_of_fork_is_no_m_and_can_not_become_one)
{
	uint32_t blocks;
	int status;
	pid_t pid;

	ASSERT_EQ(rt_upcall_register(&u, 1), 0);
	p0->hint = 1;
	pid = fork();
	if (!pid) {
		g_nap(2000000);
		ends(rt_upcall_register(&u, 2) == -EPERM ? 0 : 1);
	}
	store_rel(&p0->word, WORD1);
	blocks = m1->nr_blocks;
	ASSERT_EQ(waitpid(pid, &status, 0), pid); /* M 1 blocks here itself */
	ASSERT_EQ(status, 0);
	ASSERT_GT(m1->nr_blocks, blocks);
	ASSERT_EQ(word(), WORD1);
	ASSERT_EQ(m1->nr_blocks - blocks, m1->nr_reclaimed);
}

BPF_TEST(life, a_child_of_fork_writes_into_memory_of_its_own)
{
	int status;
	pid_t pid;

	m1->state = 5;
	pid = fork();
	if (!pid) {
		if (g_readable(m1) || rt_upcall_forked(&u) || m1->state)
			ends(1);
		m1->state = 6;
		ends(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
	ASSERT_EQ(m1->state, 5);
}

BPF_ONLY_TEST(life, after_close_no_p_is_freed)
{
	struct m m = { 0 };
	size_t bytes = u.bytes;
	struct gmprt_abi_head *head;
	int r;

	p0->hint = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	head = rt_bpf_map(u.space_fd, 0, bytes, true, &r);
	ASSERT_NE(head, NULL);
	rt_upcall_close(&u);
	p0 = rt_upcall_p(head, 0);
	ASSERT_EQ(write(m.pipe[1], "x", 1), 1);
	UNTIL(g_load(&m.done));
	m_ends(&m);
	ASSERT_EQ(word(), FREED);
}

/* ---- nonsense ------------------------------------------------------- */

static __u64 *block_word(uint32_t i)
{
	return &((struct gmprt_abi_p *)(void *)u.head + i)->word;
}

BPF_TEST(life, a_number_of_a_p_that_there_is_not_frees_nothing)
{
	static const uint32_t numbers[] = { NR_PS, NR_PS + 1, 1024, 0x7fffffff, 0xffffff00,
					    0xffffffff };

	u.head->hint = 1;
	ASSERT_EQ(rt_upcall_register(&u, 1), 0);
	/* each block begins with such a word, also those that are no P's */
	for (uint32_t i = 1; i < u.head->nr_blocks; i++)
		*block_word(i) = WORD1;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		store_rlx(&m1->p, numbers[i]);
		g_nap(SURELY);
	}
	for (uint32_t i = 1; i < u.head->nr_blocks; i++)
		ASSERT_EQ(*block_word(i), WORD1);
	ASSERT_EQ(m1->nr_blocks, 0);
}

BPF_TEST(life, each_p_of_the_session_can_be_freed)
{
	u.head->hint = 1;
	ASSERT_EQ(rt_upcall_register(&u, 1), 0);
	for (uint32_t p = 0; p < NR_PS; p++) {
		store_rlx(&m1->p, p);
		store_rel(&rt_upcall_p(u.head, p)->word, WORD1);
		g_nap(SURELY);
		ASSERT_EQ(rt_upcall_p(u.head, p)->nr_freed, 1);
		ASSERT_EQ(rt_upcall_p(u.head, p)->word, WORD1);
	}
}

/* May the kernel's side have written the 8 bytes at `at`, of M 1's session? */
static bool kernels(size_t at)
{
	size_t m = (size_t)((char *)m1 - (char *)u.head), p = 0;

	if (at >= m && at < m + sizeof(*m1))
		return at - m >= 16 && at - m < 48;
	for (uint32_t i = 0; i < NR_PS; i++) {
		p = (size_t)((char *)rt_upcall_p(u.head, i) - (char *)u.head);
		if (at >= p && at < p + 40)
			return true;
	}
	return false;
}

static void scribble(uint64_t *at, size_t n, uint64_t *rng)
{
	for (size_t i = 0; i < n; i++)
		at[i] = g_rand(rng);
	if (g_rand(rng) % 2) { /* so that it gets somewhere */
		uint32_t p = g_rand(rng) % NR_PS;

		m1->state = GMPRT_M_USER;
		m1->p = p;
		rt_upcall_p(u.head, p)->word =
			gmprt_abi_word((uint32_t)g_rand(rng), 1, GMPRT_P_RUNNING);
	}
}

BPF_TEST(life, garbage_in_the_memory_hurts_nothing_but_itself)
{
	size_t n = ((size_t)u.head->nr_blocks * GMPRT_ABI_BLOCK) / 8;
	struct gmprt_abi_head head = *u.head;
	uint64_t *mem = (uint64_t *)(void *)u.head, *was = malloc(n * 8), rng = 4711;
	int touched = 0;

	ASSERT_EQ(rt_upcall_register(&u, 1), 0);
	for (int round = 0; round < 300; round++) {
		/* the head is this side's own map; the kernel has its copy */
		scribble(mem + sizeof(head) / 8, n - sizeof(head) / 8, &rng);
		memcpy(was, mem, n * 8);
		g_nap(20000);
		for (size_t i = 0; i < n; i++)
			if (mem[i] != was[i] && !kernels(i * 8))
				G_FAIL("round %d: word %zu changed", round, i);
		touched += memcmp(mem, was, n * 8) != 0;
	}
	ASSERT_GT(touched, 50); /* about half of the rounds */
	memset(mem + sizeof(head) / 8, 0, n * 8 - sizeof(head));
	memset(u.head, 0xff, sizeof(head)); /* it is not read by the kernel's side */
	*u.head = head;
	p0->hint = 1;
	store_rel(&p0->word, WORD1);
	g_nap(SURELY);
	ASSERT_EQ(p0->nr_freed, 1);
	ASSERT_EQ(word(), WORD1);
	free(was);
}

/* ---- waking, showing, sizes ----------------------------------------- */

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

BPF_TEST(life, for_a_p_without_work_nobody_is_woken)
{
	struct m m = { 0 };

	p0->hint = p0->wake = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	ASSERT_FALSE(readable(u.wake_fd, 20));
	m_wakes(&m);
	m_ends(&m);
}

BPF_TEST(life, who_waits_is_woken_if_the_p_asks_for_it)
{
	struct m m = { 0 };

	u.head->work = p0->wake = 1;
	m_start(&m, blocks_in_read);
	ASSERT_TRUE(readable(u.wake_fd, -1));
	ASSERT_EQ(word(), FREED);
	rt_upcall_drain(&u);
	ASSERT_FALSE(readable(u.wake_fd, 0));
	m_wakes(&m);
	m_ends(&m);
}

BPF_TEST(life, a_ring_that_was_full_wakes_again_once_it_is_drained)
{
	u.head->work = p0->wake = 1;
	ASSERT_EQ(rt_upcall_register(&u, 1), 0);
	store_rel(&p0->word, WORD1);
	while (p0->nr_freed < 4200) /* 65536 bytes, 16 each */
		g_nap(1);
	ASSERT_EQ(rt_upcall_unregister(&u), 0);
	rt_upcall_drain(&u);
	ASSERT_FALSE(readable(u.wake_fd, 0));
	ASSERT_EQ(rt_upcall_register(&u, 1), 0);
	while (p0->nr_freed == 4200)
		g_nap(1);
	ASSERT_TRUE(readable(u.wake_fd, 0));
}

BPF_ONLY_TEST(life, the_iterator_says_a_line_for_each_registered_m)
{
	char text[4096], want[64];
	struct m m = { 0 };
	ssize_t n;
	int fd;

	p0->hint = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	fd = rt_bpf_iter(u.show_fd);
	ASSERT_GE(fd, 0);
	n = read(fd, text, sizeof(text) - 1);
	ASSERT_GT(n, 0);
	text[n] = 0;
	snprintf(want, sizeof(want), "session 0 pid %d tid %d", (int)getpid(), m.tid);
	G_TRUE(strstr(text, want));
	G_TRUE(strstr(text, ") M 1 USER P 0 FREED owner 1 epoch 7 blocks 1 freed 1 reclaimed 0 "));
	ASSERT_EQ(strchr(text, '\n'), text + n - 1);
	close(fd);
	m_wakes(&m);
	m_ends(&m);
}

TEST(sizes_up_to_the_bounds_are_taken_and_none_beyond)
{
	struct rt_upcall_shape most = { .nr_ps = GMPRT_ABI_MAX_PS, .nr_ms = GMPRT_ABI_MAX_MS };
	struct rt_upcall_shape bad[] = {
		{ .nr_ps = GMPRT_ABI_MAX_PS + 1, .nr_ms = 2 },
		{ .nr_ps = 1, .nr_ms = GMPRT_ABI_MAX_MS + 1 },
		{ .nr_ps = 1, .nr_ms = 2, .p_stride = GMPRT_ABI_MAX_STRIDE + 1 },
		{ .nr_ps = 0, .nr_ms = 2 },
		{ .nr_ps = 1, .nr_ms = 1 },
	};

	if (!opened(false))
		SKIP(return, "%s", u.why);
	rt_upcall_close(&u);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_EQ(open_as(&bad[i]), -EINVAL);
	ASSERT_EQ(open_as(&most), 0);
	ASSERT_EQ(rt_upcall_register(&u, GMPRT_ABI_MAX_MS), -ERANGE);
	ASSERT_EQ(rt_upcall_register(&u, GMPRT_ABI_MAX_MS - 1), 0);
	ASSERT_EQ(rt_upcall_m(u.head, GMPRT_ABI_MAX_MS - 1)->kflags, GMPRT_MF_REGISTERED);
	rt_upcall_close(&u);
}

TEST(a_slot_a_page_can_be_mapped_where_the_client_likes)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	struct rt_upcall_shape shape = { .nr_ps = 2,
					 .nr_ms = NR_MS,
					 .p_stride = page / GMPRT_ABI_BLOCK };
	struct gmprt_abi_p *p1;
	int r;

	if (!opened(false))
		SKIP(return, "%s", u.why);
	rt_upcall_close(&u);
	ASSERT_EQ(open_as(&shape), 0);
	p1 = rt_bpf_map(u.space_fd, page * 2, page, true, &r);
	ASSERT_NE(p1, NULL);
	p1->hint = 1;
	ASSERT_EQ(rt_upcall_register(&u, 1), 0);
	rt_upcall_m(u.head, 1)->p = 1;
	store_rel(&p1->word, WORD1);
	g_nap(SURELY);
	ASSERT_EQ(p1->nr_freed, 1);
	ASSERT_EQ(rt_upcall_p(u.head, 1)->nr_freed, 1);
	rt_upcall_close(&u);
	rt_bpf_unmap(p1, page);
}

TEST(signals_while_programs_are_loaded_do_no_harm)
{
	struct rt_upcall_shape shape = { .nr_ps = 1, .nr_ms = 2 };

	if (!opened(false))
		SKIP(return, "%s", u.why);
	rt_upcall_close(&u);
	alarms_every(100);
	for (int i = 0; i < 10; i++) {
		if (open_as(&shape))
			G_FAIL("%s", u.why);
		rt_upcall_close(&u);
	}
	alarms_every(0);
}

/* ---- failures ------------------------------------------------------- */

TEST(each_step_of_open_may_fail_and_leaves_nothing)
{
	struct rt_upcall_shape shape = { .nr_ps = 1, .nr_ms = 2 };
	unsigned long sites;
	int fds;

	if (!opened(false)) /* loads libbpf, too */
		SKIP(return, "%s", u.why);
	rt_upcall_close(&u);
	fds = g_count_fds();
	rt_fault_arm(0);
	ASSERT_EQ(open_as(&shape), 0);
	sites = rt_fault_arm(0);
	rt_upcall_close(&u);
	ASSERT_GE(sites, with_module() ? 3 : 5);
	for (unsigned long i = 1; i <= sites; i++) {
		rt_fault_arm(i);
		if (open_as(&shape) == 0) {
			rt_upcall_close(&u); /* a site whose failure is borne */
			continue;
		}
		ASSERT_NE(u.why[0], 0);
		ASSERT_EQ(u.head, NULL);
		ASSERT_EQ(g_count_fds(), fds);
	}
}

static void opens_without_rights(void)
{
	struct rt_upcall_shape shape = { .nr_ps = 1, .nr_ms = 2 };

	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		ends(7);
	if (open_as(&shape) != -EPERM)
		ends(1);
	fprintf(stderr, "%s\n", u.why);
}

TEST(without_rights_it_says_which_are_missing)
{
	struct g_end *end = malloc(sizeof(*end));

	if (with_module() || !opened(false) || getuid())
		SKIP(return, "rights can't be given up: %s", u.why);
	rt_upcall_close(&u);
	g_child(end, opens_without_rights);
	G_EXITS(end, 0);
	G_SAYS(end, "no right to load BPF programs: run as root, or with CAP_BPF");
	free(end);
}

TEST_HARNESS_MAIN
