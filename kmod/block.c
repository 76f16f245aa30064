// SPDX-License-Identifier: GPL-2.0-only
/*
 * block.c - see block.h; the rules are those of abi/gmprt_abi.h, (g), (h) and `freed`
 *
 * It runs where the M's own thread can't: in the switch away from it or to it, or on
 * it inside the kernel. So what that thread has stored is seen, and it does nothing
 * meanwhile. Other threads change only the P's word, by compare-and-swap, and so
 * does this. The shared fields are written whole, once: the client may scribble over
 * them, and then only its own counts are wrong.
 *
 * Alone. An M that finds its P gone may run on for a while, which is its own time on
 * a CPU, not the clock's: forty such Ms that share two CPUs are not all stopped for
 * having waited. It begins anew with each block; that none of them goes unnoticed:
 * tests/model/alone.pml. To stop one it is sent a SIGURG on
 * its way to user mode: its handler runs before the goroutine's next instruction.
 * Not earlier: a signal would interrupt the system call that it may still be in.
 * After a page fault it is the same way.
 *
 * Rejected: holding it there, in the kernel, until it is given a P. Its goroutine
 * must be queued somewhere, which the kernel can't do: it would have to wake a
 * thread that does it, and another wake-up ends the wait. The handler does both by
 * itself, or takes an idle P and does not wait at all. And to stop each one that
 * comes back is what costs (see gmprt_abi.h), not how.
 */
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>

#include "block.h"

#include "gmprt_trace.h"

#define ALONE_NS 1000000u

/* A shared field that only this thread's kernel side writes. */
static void count(u32 *field)
{
	WRITE_ONCE(*field, READ_ONCE(*field) + 1);
}

static void count64(u64 *field)
{
	WRITE_ONCE(*field, READ_ONCE(*field) + 1);
}

static struct gmprt_abi_p *p_of(const struct gmprt_thread *t)
{
	return gmprt_p(t->session, READ_ONCE(t->slot->p));
}

static bool in_user(const struct gmprt_thread *t)
{
	return READ_ONCE(t->slot->state) == GMPRT_M_USER;
}

static bool owns(const struct gmprt_thread *t, const struct gmprt_abi_p *p)
{
	return gmprt_abi_owner(READ_ONCE(p->word)) == t->m;
}

/* A full barrier if it is done. */
static bool turn(struct gmprt_abi_p *p, u64 word, u32 state)
{
	return cmpxchg(&p->word, word, gmprt_abi_with_state(word, state)) == word;
}

/* ---- freeing -------------------------------------------------------- */

/* What an M would find on p. */
static bool has_queued(const struct gmprt_abi_p *p)
{
	return READ_ONCE(p->head) != READ_ONCE(p->tail) || READ_ONCE(p->next) ||
	       (s32)(READ_ONCE(p->fork_bottom) - READ_ONCE(p->fork_top)) > 0;
}

/* p has nothing queued. Is it to be freed all the same? */
static bool is_wanted(const struct gmprt_abi_p *p, const struct gmprt_abi_head *h)
{
	return READ_ONCE(p->hint) || READ_ONCE(h->hint);
}

/*
 * p has been freed, and had nothing to run. Has something come just now? Who makes
 * work puts it into a queue, passes a barrier and reads `freed`.
 */
static bool tell_freed(const struct gmprt_abi_p *p, struct gmprt_abi_head *h)
{
	xchg(&h->freed, 1);
	return has_queued(p) || READ_ONCE(h->work);
}

/* Line 12 of the table. */
static void free_p(struct gmprt_thread *t, struct gmprt_abi_p *p, u64 word, bool work)
{
	struct gmprt_abi_head *h = t->session->head;

	if (!turn(p, word, GMPRT_P_FREED))
		return;
	count(&t->slot->nr_freed);
	count64(&p->nr_freed);
	WRITE_ONCE(p->freed_cpu, raw_smp_processor_id());
	if (!work && !READ_ONCE(p->hint))
		work = tell_freed(p, h);
	trace_gmprt_upcall(t->session->number, t->m, READ_ONCE(t->slot->p), work);
	if (work && READ_ONCE(p->wake))
		gmprt_session_wake(t->session);
}

/* In state USER. ends: the thread does not come back. */
static void blocks(struct gmprt_thread *t, bool ends)
{
	struct gmprt_abi_p *p = p_of(t);
	bool work;
	u64 word;

	if (!p)
		return;
	word = READ_ONCE(p->word);
	if (gmprt_abi_owner(word) != t->m || gmprt_abi_state(word) != GMPRT_P_RUNNING)
		return;
	count(&t->slot->nr_blocks);
	work = has_queued(p) || READ_ONCE(t->session->head->work);
	if (work || ends || is_wanted(p, t->session->head))
		free_p(t, p, word, work);
	else
		count64(&p->nr_kept);
}

void gmprt_blocked(struct gmprt_thread *t)
{
	if (!in_user(t))
		return;
	blocks(t, false);
	t->slept = true; /* freed or not: sysmon may take the P now, or has (line 10) */
	if (t->alone)
		WRITE_ONCE(t->slot->alone_ns, 0);
	t->alone = 0;
}

/*
 * In state RUNTIME it was in the midst of changing the queues, and only the end of
 * the run helps.
 */
void gmprt_ends(struct gmprt_thread *t)
{
	if (in_user(t))
		blocks(t, true);
	WRITE_ONCE(t->slot->kflags, GMPRT_MF_GONE);
	trace_gmprt_unregister(t->session->number, t->m, GMPRT_MF_GONE);
}

/* ---- alone ---------------------------------------------------------- */

static bool is_alone(const struct gmprt_thread *t)
{
	const struct gmprt_abi_p *p = p_of(t);

	return p && in_user(t) && !owns(t, p);
}

static void begins_alone(struct gmprt_thread *t)
{
	t->alone = current->se.sum_exec_runtime | 1;
	WRITE_ONCE(t->slot->alone_ns, ktime_get_mono_fast_ns());
	if (READ_ONCE(t->session->head->idle))
		gmprt_thread_stop(t);
}

/*
 * It is preempted. If it has had its time it is stopped when it goes on, where no
 * run queue's lock is held: see gmprt_resumes_alone().
 */
void gmprt_pauses_alone(struct gmprt_thread *t)
{
	WRITE_ONCE(t->slot->alone_ns, 0);
}

void gmprt_resumes_alone(struct gmprt_thread *t)
{
	if (!is_alone(t)) {
		t->alone = 0;
		return;
	}
	WRITE_ONCE(t->slot->alone_ns, ktime_get_mono_fast_ns());
	if (current->se.sum_exec_runtime - t->alone < ALONE_NS)
		return;
	t->alone = current->se.sum_exec_runtime | 1; /* and is asked again */
	gmprt_thread_stop(t);
}

/*
 * Line 14, after any block. In state RUNTIME it has seen FREED itself, or will: it must
 * not change under its hands. It names no P while it needs none.
 */
void gmprt_runs_again(struct gmprt_thread *t)
{
	struct gmprt_abi_p *p = p_of(t);
	u64 word;

	t->slept = false;
	if (!p || !in_user(t))
		return;
	word = READ_ONCE(p->word);
	if (gmprt_abi_owner(word) == t->m && gmprt_abi_state(word) == GMPRT_P_FREED &&
	    turn(p, word, GMPRT_P_RUNNING)) {
		count(&t->slot->nr_reclaimed);
		trace_gmprt_take(t->session->number, t->m, READ_ONCE(t->slot->p));
	} else if (!owns(t, p)) {
		begins_alone(t);
	}
}

/* On the way to user mode. The P may have become its own again. */
void gmprt_return(struct gmprt_thread *t)
{
	if (!is_alone(t))
		return;
	count(&t->slot->nr_signals);
	trace_gmprt_hold(t->session->number, t->m, READ_ONCE(t->slot->p));
	send_sig(SIGURG, current, 1);
}
