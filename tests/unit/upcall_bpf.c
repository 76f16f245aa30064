/* SPDX-License-Identifier: MIT */
/*
 * The bpf backend without the scheduler: when a P is freed, and when it is taken
 * back. Where the kernel or the rights lack something the tests are skipped with
 * the backend's own reason.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "unit/upcall_bpf.h"

/* ---- blocking, with and without the hold ------------------- */

FIXTURE(way)
{
	int unused;
};

FIXTURE_VARIANT(way)
{
	bool no_hold;
};

FIXTURE_VARIANT_ADD(way, hold){ .no_hold = false };
FIXTURE_VARIANT_ADD(way, no_hold){ .no_hold = true };

FIXTURE_SETUP(way)
{
	opened(variant->no_hold);
}

FIXTURE_TEARDOWN(way)
{
	if (u.head)
		rt_upcall_close(&u);
}

BPF_TEST(way, an_m_that_blocks_in_a_read_loses_its_p)
{
	struct m m = { 0 };

	p0->hint = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	ASSERT_EQ(p0->nr_freed, 1);
	ASSERT_EQ(m1->nr_freed, 1);
	m_wakes(&m);
	m_ends(&m);
}

BPF_TEST(way, what_nobody_took_is_its_own_again)
{
	struct m m = { 0 };

	p0->hint = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	m_wakes(&m);
	ASSERT_EQ(m.after, WORD1);
	ASSERT_EQ(m1->nr_reclaimed, 1);
	ASSERT_EQ(m.signals, 0);
	m_ends(&m);
}

BPF_TEST(way, what_was_taken_stays_taken_and_it_is_told_at_once_if_a_p_idles)
{
	struct m m = { 0 };

	p0->hint = u.head->idle = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	ASSERT_TRUE(cas_acqrel(&p0->word, FREED, TAKEN));
	m_wakes(&m);
	ASSERT_EQ(m.after, TAKEN);
	ASSERT_EQ(m.signals, u.head->features & GMPRT_F_HOLD ? 1 : 0);
	ASSERT_GE(m1->nr_signals, m.signals); /* alone still, it is asked again */
	m_ends(&m);
	ASSERT_EQ(word(), TAKEN);
}

/* Blocks, and is alone when it comes back; then does as before. */
static void blocks_twice(struct m *m)
{
	char c;

	blocks_in_read(m);
	while (!g_load(&m->leave))
		;
	G_EQ(1, read(m->pipe[0], &c, 1));
}

BPF_TEST(way, if_none_idles_it_runs_on_alone_and_its_slot_says_since_when)
{
	struct m m = { 0 };

	p0->hint = 1;
	m_start(&m, blocks_twice);
	UNTIL(word() == FREED);
	ASSERT_EQ(m1->alone_ns, 0);
	ASSERT_TRUE(cas_acqrel(&p0->word, FREED, TAKEN));
	ASSERT_EQ(write(m.pipe[1], "x", 1), 1);
	UNTIL(load_acq(&m.after));
	ASSERT_EQ(m.signals, 0);
	g_store(&m.leave, 1); /* it is off its CPU while we are on it */
	UNTIL(rt_thread_sleeps(m.tid));
	ASSERT_EQ(m1->alone_ns, 0);
	ASSERT_EQ(word(), TAKEN);
	m_wakes(&m);
	m_ends(&m);
}

static void computes_until_told(struct m *m)
{
	blocks_in_read(m);
	while (!g_load(&sigurgs) && !g_load(&m->leave))
		store_rel(&m->seen_alone, load_rlx(&m1->alone_ns));
}

BPF_TEST(way, one_that_computes_alone_is_told_once_it_is_preempted)
{
	bool hold = u.head->features & GMPRT_F_HOLD;
	struct m m = { 0 };

	p0->hint = 1;
	m_start(&m, computes_until_told);
	UNTIL(word() == FREED);
	ASSERT_TRUE(cas_acqrel(&p0->word, FREED, TAKEN));
	ASSERT_EQ(write(m.pipe[1], "x", 1), 1);
	UNTIL(load_acq(&m.seen_alone));
	if (hold)
		UNTIL(g_load(&m.done)); /* we preempt it, and others do */
	ASSERT_EQ(m1->nr_signals, hold);
	ASSERT_EQ(m.signals, 0); /* not at once */
	m_ends(&m);
}

BPF_TEST(way, that_it_was_freed_with_nothing_to_run_is_said)
{
	struct m m = { 0 };

	u.head->hint = u.head->work = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	ASSERT_EQ(u.head->freed, 0);
	m_wakes(&m);
	m_ends(&m);
	u.head->work = 0;
	m = (struct m){ 0 };
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	UNTIL(load_acq(&u.head->freed) == 1);
	m_wakes(&m);
	m_ends(&m);
}

BPF_TEST(way, in_state_runtime_it_keeps_its_p)
{
	struct m m = { .state = GMPRT_M_RUNTIME };

	p0->hint = 1;
	m_start(&m, blocks_in_read);
	UNTIL(rt_thread_sleeps(m.tid));
	ASSERT_EQ(word(), WORD1);
	ASSERT_EQ(m1->nr_blocks, 0);
	m_wakes(&m);
	m_ends(&m);
}

BPF_TEST(way, the_p_of_another_is_left_alone)
{
	struct m m = { 0 };

	p0->hint = 1;
	m_start(&m, blocks_in_read);
	UNTIL(word() == FREED);
	m_wakes(&m);
	store_rel(&p0->word, TAKEN);
	m.done = 0;
	m_ends(&m);
	UNTIL(m1->kflags == GMPRT_MF_GONE);
	ASSERT_EQ(word(), TAKEN);
}

static void sleeps_twice(struct m *m)
{
	store_rel(&p0->word, gmprt_abi_word(7, 1, GMPRT_P_BLOCKED));
	g_nap(SURELY);
	m->after = word();
	store_rel(&p0->word, gmprt_abi_word(8, 0, GMPRT_P_REVOKED));
	g_nap(SURELY);
}

BPF_TEST(way, only_a_running_p_is_freed)
{
	struct m m = { 0 };

	p0->hint = 1;
	m_start(&m, sleeps_twice);
	UNTIL(g_load(&m.done));
	ASSERT_EQ(m.after, gmprt_abi_word(7, 1, GMPRT_P_BLOCKED));
	ASSERT_EQ(word(), gmprt_abi_word(8, 0, GMPRT_P_REVOKED));
	ASSERT_EQ(m1->nr_blocks, 0);
	m_ends(&m);
}

/* ---- what is there to run ------------------------------------------- */

BPF_TEST(way, a_p_that_has_nothing_to_run_is_kept)
{
	struct m m = { 0 };

	m_start(&m, blocks_in_read);
	UNTIL(load_acq(&p0->nr_kept) == 1);
	UNTIL(rt_thread_sleeps(m.tid));
	ASSERT_EQ(word(), WORD1);
	m_wakes(&m);
	m_ends(&m);
}

static void nothing_to_run(void)
{
	p0->head = p0->tail = 0xfffffff0;
	p0->fork_top = p0->fork_bottom = 0xfffffff0;
	p0->next = 0;
	p0->hint = u.head->hint = 0;
}

static long cases_failed;

/* One thread for all, so that a case costs a sleep only. */
static void each_case(struct m *m)
{
	(void)m;
	for (int i = 0; i < 7; i++) {
		uint64_t kept = p0->nr_kept, freed = p0->nr_freed;
		uint64_t work = i < 5;

		nothing_to_run();
		switch (i) {
		case 0:
			p0->tail = 3;
			break; /* beyond the wrap */
		case 1:
			p0->next = 1;
			break;
		case 2:
			p0->fork_bottom = 1;
			break;
		case 3:
			p0->hint = 1;
			break;
		case 4:
			u.head->hint = 1;
			break;
		case 5:
			p0->fork_top++;
			break; /* a thief about to step back */
		case 6:
			break;
		}
		g_nap(SURELY);
		if (p0->nr_freed - freed != work || p0->nr_kept - kept != !work) {
			fprintf(stderr, "# case %d: freed %d, kept %d\n", i,
				(int)(p0->nr_freed - freed), (int)(p0->nr_kept - kept));
			g_inc(&cases_failed);
		}
		store_rel(&p0->word, WORD1);
	}
}

BPF_TEST(way, each_queue_and_each_hint_is_something_to_run)
{
	struct m m = { 0 };

	m_start(&m, each_case);
	UNTIL(g_load(&m.done));
	ASSERT_EQ(cases_failed, 0);
	m_ends(&m);
}

/* ---- not blocked ---------------------------------------------------- */

static long preemptions(int tid)
{
	static const char field[] = "nonvoluntary_ctxt_switches:";
	char path[64], text[4096], *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	n = rt_file_read(path, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	at = strstr(text, field);
	return at ? atol(at + sizeof(field) - 1) : -1;
}

static void computes(struct m *m)
{
	for (long n = 0; !g_load(&m->leave); n++)
		if (n % 1000 == 0)
			sched_yield();
}

static void *competes(void *stop)
{
	while (!g_load(stop))
		;
	return NULL;
}

BPF_TEST(way, an_m_that_is_preempted_or_yields_keeps_its_p)
{
	pthread_t other;
	struct m m = { 0 };
	long stop = 0, before;

	p0->hint = 1;
	m_start(&m, computes);
	G_OK(pthread_create(&other, NULL, competes, &stop));
	before = preemptions(m.tid);
	UNTIL(preemptions(m.tid) - before >= 3);
	ASSERT_EQ(word(), WORD1);
	g_store(&stop, 1);
	G_OK(pthread_join(other, NULL));
	m_ends(&m);
}

/* ---- a page fault --------------------------------------------------- */

static char *page;

static void faults(struct m *m)
{
	*(volatile char *)page = 1;
	m->after = word();
	m->signals = g_load(&sigurgs);
}

/* -1: this kernel or user has none. */
static int watched_page(void)
{
	int uf = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (uf < 0)
		return -1;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	G_TRUE(page != MAP_FAILED);
	reg.range.start = (uintptr_t)page;
	reg.range.len = 4096;
	G_OK(ioctl(uf, UFFDIO_API, &api));
	G_OK(ioctl(uf, UFFDIO_REGISTER, &reg));
	return uf;
}

BPF_TEST(way, an_m_that_blocks_in_a_page_fault_loses_its_p)
{
	int uf = watched_page();
	struct uffdio_zeropage zero = { .range = { .start = (uintptr_t)page, .len = 4096 } };
	struct m m = { 0 };

	if (uf < 0)
		SKIP(return, "no userfaultfd here: errno %d", errno);
	p0->hint = u.head->idle = 1;
	m_start(&m, faults);
	UNTIL(word() == FREED);
	ASSERT_TRUE(cas_acqrel(&p0->word, FREED, TAKEN));
	ASSERT_EQ(ioctl(uf, UFFDIO_ZEROPAGE, &zero), 0);
	UNTIL(g_load(&m.done));
	ASSERT_EQ(m.after, TAKEN);
	ASSERT_EQ(m.signals, u.head->features & GMPRT_F_HOLD ? 1 : 0);
	m_ends(&m);
	close(uf);
}

TEST_HARNESS_MAIN
