/* SPDX-License-Identifier: MIT */
/*
 * pulse.c - does the kernel's side still see who blocks?
 *
 * Problem: the programs may be detached in the middle of a run (gmpctl unload), or
 * the session ended (a new gmpd begins with none). Nobody says so: a P is just not
 * freed any more, which looks like Ms that do not block. The client of a daemon has
 * no right to ask the kernel what is attached.
 *
 * So the thread that watches is an M of the session itself, in state USER for ever,
 * with a P that nobody knows: each of its sleeps must be counted in its slot
 * (nr_blocks). It sleeps anyway, every 20 us to 10 ms. Where that number stands
 * still it sleeps a little on purpose and compares with the kernel's own count of
 * its switches: only a sleep that was one and was not counted is a proof.
 *
 * The whole way is seen at each sleep: attached or not, the session and its key,
 * the maps. That costs two compare-and-swaps in the kernel for each.
 *
 * Its P is freed and given back like any other's (lines 12 and 14 of
 * abi/gmprt_abi.h). If the switch to it went unseen (bpf/block.h) the word is
 * still FREED, and the next block would not be counted: it is set back here, which
 * may be a plain store, as nobody else looks for work there.
 *
 * Rejected: waiting for an M that sleeps with its P (goroutines that block for less
 * than a slice never show one, and lose their hand-overs for the rest of the run);
 * asking by gmprt_call (it can be run while nothing is attached).
 */
#include "core/pulse.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/sys.h"

enum {
	MISSES = 2, /* looks without a new block, before it sleeps on purpose */
	PROOFS = 2, /* such sleeps in a row that were not counted */
	NAP_US = 50,
};

int rt_pulse_begin(struct rt_pulse *u, struct rt_upcall *up, uint32_t m, uint32_t p)
{
	int r = rt_upcall_register(up, m);

	if (r)
		return r;
	*u = (struct rt_pulse){ .m = rt_upcall_m(up->head, m),
				.p = rt_upcall_p(up->head, p),
				.word = gmprt_abi_word(1, m, GMPRT_P_RUNNING) };
	u->p->hint = 1;
	store_rlx(&up->head->watcher, m);
	store_rlx(&u->m->state, GMPRT_M_USER);
	store_rlx(&u->m->p, p);
	store_rlx(&u->p->word, u->word);
	return 0;
}

/* Written on this very thread, in its switches: nothing to order. */
static bool counted(struct rt_pulse *u)
{
	uint32_t blocks = load_rlx(&u->m->nr_blocks);
	bool more = blocks != u->blocks;

	u->blocks = blocks;
	if (load_rlx(&u->p->word) != u->word)
		store_rlx(&u->p->word, u->word);
	return more;
}

/* True: slept, for certain, and was not counted. */
static bool sleeps_unseen(struct rt_pulse *u)
{
	uint64_t before = rt_thread_nr_sleeps();
	uint32_t never = 0;

	rt_futex_wait(&never, 0, rt_now_ns() + NAP_US * RT_NS_PER_US);
	return !counted(u) && rt_thread_nr_sleeps() != before;
}

bool rt_pulse_beats(struct rt_pulse *u)
{
	if (counted(u)) {
		u->missed = 0;
		return true;
	}
	if (++u->missed < MISSES)
		return true;
	u->missed = 0;
	for (int i = 0; i < PROOFS; i++)
		if (!sleeps_unseen(u))
			return true;
	return false;
}
