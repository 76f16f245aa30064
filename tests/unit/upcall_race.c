/* SPDX-License-Identifier: MIT */
/*
 * The bpf backend and the table of gmprt_abi.h together: four threads play Ms and
 * share two Ps by its lines 3 and 12 to 15, a fifth plays sysmon. They block as
 * they please; the kernel frees, gives back and tells.
 */
#include "base/rand.h"

#include "unit/upcall_bpf.h"

enum { MS = 4,
       PS = 2 };

static long users[PS], stop, got, lost;

/* In state RUNTIME: the P is this M's alone, also while it sleeps. */
static void use(uint32_t p, uint64_t *rng)
{
	if (__atomic_exchange_n(&users[p], 1, __ATOMIC_SEQ_CST))
		G_FAIL("P %u has two users", p);
	if (rt_rand_below(rng, 8) == 0)
		g_nap(1);
	g_store(&users[p], 0);
}

/* Lines 13 and 3. */
static bool take(uint32_t m, uint32_t *p, uint64_t *mine)
{
	for (uint32_t i = 0; i < PS; i++) {
		uint64_t w = load_acq(&rt_upcall_p(u.head, i)->word);
		uint32_t state = gmprt_abi_state(w);

		*mine = gmprt_abi_word(gmprt_abi_epoch(w) + 1, m, GMPRT_P_RUNNING);
		if ((state == GMPRT_P_FREED || state == GMPRT_P_IDLE) &&
		    cas_acqrel(&rt_upcall_p(u.head, i)->word, w, *mine)) {
			*p = i;
			return true;
		}
	}
	return false;
}

/* As rt_enter(); line 14 if it was freed and nobody took it. */
static bool still_mine(struct gmprt_abi_m *slot, uint32_t p, uint64_t mine)
{
	__u64 *word_p = &rt_upcall_p(u.head, p)->word;

	store_rlx(&slot->state, GMPRT_M_RUNTIME);
	barrier();
	return load_rlx(word_p) == mine ||
	       cas_acqrel(word_p, gmprt_abi_with_state(mine, GMPRT_P_FREED), mine);
}

static void *an_m(void *number)
{
	uint32_t m = (uint32_t)(uintptr_t)number, p = 0;
	struct gmprt_abi_m *slot = rt_upcall_m(u.head, m);
	uint64_t mine = 0, rng = m;

	G_OK(rt_upcall_register(&u, m));
	store_rlx(&slot->state, GMPRT_M_RUNTIME);
	while (!g_load(&stop)) {
		if (!mine && !take(m, &p, &mine)) {
			mine = 0;
			sched_yield();
			continue;
		}
		store_rlx(&slot->p, p);
		use(p, &rng);
		store_rel(&slot->state, GMPRT_M_USER);
		for (uint32_t n = rt_rand_below(&rng, 3); n; n--)
			g_nap(rt_rand_below(&rng, 100000));
		if (!still_mine(slot, p, mine)) {
			mine = 0;
			g_inc(&lost);
		}
		g_inc(&got);
	}
	store_rel(&slot->state, GMPRT_M_USER); /* and its end frees what it has */
	return NULL;
}

/* Line 15. */
static void *sysmon(void *arg)
{
	while (!g_load(&stop)) {
		for (uint32_t i = 0; i < PS; i++) {
			__u64 *word_p = &rt_upcall_p(u.head, i)->word, w = load_acq(word_p);

			if (gmprt_abi_state(w) == GMPRT_P_FREED)
				cas_acqrel(word_p, w,
					   gmprt_abi_word(gmprt_abi_epoch(w) + 1, 0, GMPRT_P_IDLE));
		}
		g_nap(300000);
	}
	return arg;
}

TEST(no_p_has_two_users_and_none_is_lost)
{
	struct rt_upcall_shape shape = { .nr_ps = PS, .nr_ms = MS + 1 };
	uint32_t freed = 0, reclaimed = 0;
	pthread_t t[MS + 1];

	if (!opened_as(&shape))
		SKIP(return, "%s", u.why);
	g_kmsg_begin();
	u.head->hint = 1;
	for (uint32_t i = 0; i < PS; i++)
		store_rel(&rt_upcall_p(u.head, i)->word, gmprt_abi_word(1, 0, GMPRT_P_IDLE));
	for (uintptr_t m = 1; m <= MS; m++)
		ASSERT_EQ(pthread_create(&t[m], NULL, an_m, (void *)m), 0);
	ASSERT_EQ(pthread_create(&t[0], NULL, sysmon, NULL), 0);
	while (g_load(&got) < G_LOOPS(10000) || !g_load(&lost))
		g_nap(1000000);
	g_store(&stop, 1);
	for (int i = 0; i <= MS; i++)
		ASSERT_EQ(pthread_join(t[i], NULL), 0);
	for (uint32_t m = 1; m <= MS; m++) {
		UNTIL(load_acq(&rt_upcall_m(u.head, m)->kflags) == GMPRT_MF_GONE);
		freed += rt_upcall_m(u.head, m)->nr_freed;
		reclaimed += rt_upcall_m(u.head, m)->nr_reclaimed;
	}
	for (uint32_t i = 0; i < PS; i++) {
		uint32_t state = gmprt_abi_state(rt_upcall_p(u.head, i)->word);

		ASSERT_TRUE(state == GMPRT_P_FREED || state == GMPRT_P_IDLE);
	}
	ASSERT_GT(freed, reclaimed);
	ASSERT_GT(reclaimed, 0);
	rt_upcall_close(&u);
	g_kmsg_end();
}

TEST_HARNESS_MAIN
