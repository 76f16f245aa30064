/* SPDX-License-Identifier: MIT */
/*
 * sysmon.c - the thread that watches
 *
 * It holds no P and runs no goroutine. It looks every 20 us while it finds
 * things to do; after 50 looks in vain (1 ms) it doubles the pause each time,
 * up to 10 ms: Go's numbers. When all Ps have idled for 10 ms it sleeps until
 * one is put to work. Not at once: a program that works a little every 200 us
 * would pay for a wake-up of this thread each time.
 *
 * What it does: takes Ps from Ms that have sat in brackets for longer than one
 * look; ends the slice of a pair of goroutines that ready each other for 10 ms
 * while others queue; wakes a P for a `next` that its own P did not run
 * (switch.h); sees to timers that are due on busy Ps, and to files; brings spawns that found
 * no stack back; keeps the coarse clock; gives idle stacks' memory back; finds
 * the deadlock that a departing thread of the program's own has left behind;
 * makes the Ms that must not be clones of the thread that needs them (wake.c);
 * runs errands for signal handlers, which may not do much themselves; finds that a
 * backend in the kernel has gone (core/pulse.c); once a second, if it is up, lets
 * the number of Ps follow the CPUs (procs.c).
 *
 * The program's signal handlers don't run here: one that takes long would stop
 * preemption and late timers.
 *
 * It reads Ps without a lock: everything it reads is one word, and what it
 * decides is decided again by a compare-and-swap or under the lock.
 */
#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "base/rcu.h"
#include "base/sys.h"
#include "sched/nap.h"
#include "sched/poll.h"
#include "sched/preempt.h"
#include "sched/schedtrace.h"
#include "sched/standby.h"
#include "sched/switch.h"

enum {
	PAUSE_MIN_US = 20,
	PAUSE_SKIP_US = 250,   /* while wake-ups are left to us */
	PAUSE_BATCH_US = 1000, /* the same for timers; and while others see to them */
	PAUSE_MAX_US = 10000,
	LOOKS_IN_VAIN = 50,
	SLICE_MS = 10,
	HELD_MS = 10, /* Go's: an idle-queued P may stay with its M so long */
	FEED_MIN = 16,
	FEED_MAX = 1024,
	TRY_MS = 1, /* between attempts at a thread that was refused */
};

static void (*errand)(void); /* NULL: none; set before sysmon is woken */

/* ---- one P -------------------------------------------------------- */

/* True: it was blocked for more than one look and has been taken. Its slice is
 * `over`: one look is enough, for a goroutine that blocks for some us again and
 * again is found in another block each time. */
static bool retake(struct rt_sched *s, struct rt_p *p, int64_t now, bool over)
{
	uint64_t word = load_acq(&p->slot.word), blocks = load_rlx(&p->n.blocks);
	int64_t since;

	if (rt_pword_state(word) == RT_P_FREED)
		blocks = ~load_rlx(&rt_p_abi(p)->nr_freed); /* no number of brackets */
	else if (rt_pword_state(word) != RT_P_BLOCKED)
		return false;
	if (p->mon.blocks != blocks) {
		p->mon.blocks = blocks;
		p->mon.blocked_ns = now;
		if (!over)
			return false;
	}
	/* Nothing to run on it, and others are free for what may come. */
	if (!rt_runq_len(&p->q) && !rt_forkq_len(&p->q) && !load_rlx(&s->grq_len) &&
	    load_rlx(&s->nr_idle_ps) + load_rlx(&s->nr_spinning) > 0 &&
	    now - p->mon.blocked_ns < HELD_MS * RT_NS_PER_MS)
		return false;
	/* From brackets; who blocks unannounced stamps no time. */
	since = rt_pword_state(word) == RT_P_BLOCKED ? load_rlx(&p->blocked_ns) : 0;
	rt_lock(s);
	/* (c) in gmprt_abi.h, and line 15 */
	if (s->stopping || !rt_p_seize_locked(s, p, word, 0, RT_P_IDLE)) {
		rt_unlock(s);
		return false;
	}
	rt_unlock(s);
	rt_point();
	store_rlx(&p->m, NULL);
	if (since)
		count_add(&p->n.idle_with_work_ns, (uint64_t)(rt_now_ns() - since));
	rt_p_handoff(s, p);
	return true;
}

/* 10 ms without a new slice, though something waits in the ring. Just now
 * there may be no `next`, and the one that runs may be in brackets. */
static void watch_slice(struct rt_p *p, int64_t now)
{
	uint64_t slices = load_rlx(&p->slices);
	bool next = load_rlx(&p->q.next);

	if (p->mon.slices != slices) {
		p->mon.slices = slices;
		p->mon.slice_ns = now;
	} else if (now - p->mon.slice_ns > SLICE_MS * RT_NS_PER_MS && rt_runq_len(&p->q) > next) {
		fetch_or_seq(&p->attention, RT_ATT_SLICE);
		p->mon.slice_ns = now;
	}
}

/* A wake-up for `next` was left out. True: keep looking closely. */
static bool watch_next(struct rt_sched *s, struct rt_p *p)
{
	rt_work next = load_rlx(&p->q.next);
	uint64_t picks = load_rlx(&p->rounds) * RT_FAIR_TICK - load_rlx(&p->countdown);

	if (!load_rlx(&p->skipped))
		return false;
	if (!next || next != p->mon.next || picks != p->mon.picks) {
		p->mon.next = next;
		p->mon.picks = picks;
		if (!next)
			store_rlx(&p->skipped, 0);
		return true;
	}
	store_rlx(&p->streak, 0);
	store_rlx(&p->skipped, 0);
	if (load_rlx(&s->nr_idle_ps))
		rt_wake(s);
	return true;
}

static void watch_timers(struct rt_sched *s, struct rt_p *p, int64_t now)
{
	if (rt_timers_next(&p->timers) > now)
		return;
	fetch_or_seq(&p->attention, RT_ATT_TIMER);
	if (load_rlx(&s->nr_idle_ps))
		rt_wake(s); /* it looks at all Ps' timers */
}

/* ---- housekeeping ------------------------------------------------- */

/*
 * No stack for a spawn or a task: but free ones may lie in the magazines of
 * other Ps. Those that idle have them taken, the others are asked.
 */
static void gather_stacks_locked(struct rt_sched *s)
{
	struct rt_depot *d = &s->stacks.class[s->stack_class].depot;

	for (struct rt_p *p = s->idle_ps; p; p = p->idle_next)
		rt_magazine_flush(&p->gs, d);
	for (uint32_t i = 0; i < s->nr_ps; i++)
		if (rt_pword_state(load_rlx(&s->ps[i].slot.word)) == RT_P_RUNNING)
			fetch_or_seq(&s->ps[i].attention, RT_ATT_STACKS);
}

/*
 * Spawns that found no stack try again: a few, as each that fails costs system
 * calls; more each time none of the last ones came back. True: they did not.
 */
static bool feed_starved(struct rt_sched *s, int64_t now)
{
	struct rt_worklist l = { 0 };
	bool fed_well;

	if (load_rlx(&s->nr_starved) || load_rlx(&s->no_stack))
		rt_starved_check(s, now);
	if (!load_rlx(&s->nr_starved))
		return false;
	rt_lock(s);
	gather_stacks_locked(s);
	fed_well = s->nr_starvings == s->feed_starvings;
	s->feed = fed_well && s->feed < FEED_MAX ? s->feed * 2 : FEED_MIN;
	s->feed_starvings = s->nr_starvings;
	for (uint32_t n = s->feed; n && s->starved.head; n--)
		rt_worklist_add(&l, rt_worklist_pop(&s->starved));
	store_rlx(&s->nr_starved, s->starved.n);
	rt_grq_put_locked(s, &l);
	rt_unlock(s);
	rt_wake(s);
	return fed_well;
}

/*
 * Work, or a due timer, an idle P and nobody spinning: a thread could not be
 * had, or a stack for a forked task.
 */
static void try_again(struct rt_sched *s, int64_t now)
{
	bool no_stack = load_rlx(&s->no_stack);

	if (no_stack) {
		rt_lock(s);
		gather_stacks_locked(s);
		rt_unlock(s);
		store_rlx(&s->no_stack, false);
	}
	if (!load_rlx(&s->nr_idle_ps) || load_rlx(&s->nr_spinning))
		return;
	if (!no_stack && !rt_any_work(s) && !(load_rlx(&s->no_thread) && rt_next_timer(s) <= now))
		return;
	if (load_rlx(&s->no_thread) && now - s->thread_try_ns > TRY_MS * RT_NS_PER_MS) {
		s->thread_try_ns = now;
		store_rlx(&s->no_thread, false);
	}
	rt_wake(s);
	if (load_rlx(&s->no_thread))
		rt_preempt_rescue(s);
}

/* An idle P's cached stacks keep one page each. */
static void trim_idle_locked(struct rt_sched *s)
{
	for (struct rt_p *p = s->idle_ps; p; p = p->idle_next) {
		if (p->mon.trimmed)
			continue;
		p->mon.trimmed = true;
		rt_stack_trim_chain(p->gs.cur);
		rt_stack_trim_chain(p->gs.other);
	}
}

/* Is a timer armed that no M sleeps for, as there is none? */
static bool timer_without_keeper(struct rt_sched *s)
{
	return load_rlx(&s->no_thread) && load_rlx(&s->keeper_until_ns) == RT_FOREVER &&
	       rt_next_timer(s) != RT_FOREVER;
}

static bool all_idle(struct rt_sched *s)
{
	/* pairs with store_seq in rt_p_idle_put_locked(): what came before */
	return load_acq(&s->nr_idle_ps) >= load_rlx(&s->maxprocs) && !rt_any_work(s) &&
	       !load_rlx(&s->nr_starved) && !load_rlx(&s->held) && !load_rlx(&s->need_m) &&
	       !load_rlx(&s->no_stack) && !timer_without_keeper(s) && !rt_poll_is_due(s);
}

/*
 * Nothing runs: sleeps until a P is put to work. Looks once a second as long
 * as there is memory to give back, or nobody could ever wake a goroutine but
 * some thread of the program's own, which may end.
 */
static void sleep_deeply(struct rt_sched *s)
{
	for (;;) {
		uint32_t word = rt_nap_word();
		int64_t until = RT_FOREVER;
		bool asleep;

		store_seq(&s->sysmon_asleep, 1);
		smp_mb(); /* pairs with rt_p_idle_get_locked() */
		if (!all_idle(s) || load_rlx(&s->stopping) || load_acq(&errand))
			break;
		rt_lock(s);
		asleep = rt_deadlocked_locked(s);
		rt_unlock(s);
		if (rt_stacks_scavenge(&s->stacks, rt_now_ns()) || asleep)
			until = rt_now_ns() + RT_NS_PER_SEC;
		if (s->trace_ms && s->trace_next_ns < until)
			until = s->trace_next_ns;
		if (rt_nap_deep(word, until))
			break;
		if (s->trace_ms)
			rt_schedtrace(s, rt_now_ns());
		if (asleep)
			rt_deadlock_report(s);
		rt_lock(s);
		trim_idle_locked(s);
		rt_unlock(s);
	}
	store_seq(&s->sysmon_asleep, 0);
}

/*
 * Not later than the next timer, which a busy P may not look at in time; but in
 * least_us at the soonest: Ps that work in small pieces see to theirs.
 */
static int64_t for_timers(struct rt_sched *s, int64_t now, int64_t until, int64_t least_us)
{
	int64_t timer = rt_next_timer(s), soonest = now + least_us * RT_NS_PER_US;

	if (timer <= now || timer >= until || soonest >= until)
		return until;
	return timer > soonest ? timer : soonest;
}

/*
 * Nothing runs at this moment. *idle_gets: Ps put to work until the last one. Not a
 * deep sleep as long as that grows: a P put to work meanwhile may be freed, and
 * only rt_nap() hears of that. True: it was.
 */
static bool rest(struct rt_sched *s, uint32_t word, int64_t now, uint64_t *idle_gets)
{
	int64_t us = load_rlx(&s->batch_alone) ? PAUSE_BATCH_US : PAUSE_MAX_US;
	uint64_t gets = load_rlx(&s->nr_idle_gets);

	if (gets == *idle_gets) {
		sleep_deeply(s);
		return false;
	}
	*idle_gets = gets;
	store_rlx(&s->batch_alone, 0);
	return rt_nap(s, word, for_timers(s, now, now + us * RT_NS_PER_US, PAUSE_BATCH_US));
}

void rt_sysmon_call_sig(void (*fn)(void))
{
	store_rel(&errand, fn); /* pairs with the load_acq in run_errand() */
	rt_sysmon_wake();
}

void rt_sysmon_forked(void)
{
	store_rlx(&errand, NULL);
}

static void run_errand(void)
{
	void (*fn)(void) = load_acq(&errand);

	if (likely(!fn))
		return;
	store_rlx(&errand, NULL);
	fn();
}

/* ---- the loop ----------------------------------------------------- */

/*
 * Looks at all Ps; true if there was something to do. freed: the kernel says that
 * one is free, has work, and nobody stands by for it.
 */
static bool look(struct rt_sched *s, int64_t now, bool freed, bool *closely)
{
	uint32_t n = load_acq(&s->nr_ps);
	bool busy = rt_preempt_take_held(s);

	*closely = false;
	for (uint32_t i = 0; i < n; i++) {
		struct rt_p *p = &s->ps[i];
		bool over = rt_preempt_watch(s, p, now);

		*closely |= over;
		busy |= retake(s, p, now, over || (freed && rt_standby_is_wanted(s, p)));
		watch_timers(s, p, now); /* an idle P's too: its keeper may be busy */
		rt_preempt_watch_way(s, p, now);
		watch_slice(p, now);
		if (rt_pword_state(load_rlx(&p->slot.word)) != RT_P_RUNNING)
			continue;
		p->mon.trimmed = false;
		*closely |= watch_next(s, p);
	}
	busy |= rt_poll_sysmon(s, now);
	busy |= feed_starved(s, now);
	try_again(s, now);
	return busy;
}

/* How often it looks for Ms that run without a P. */
static int64_t lost_pause_ns(struct rt_sched *s)
{
	return rt_port_in_kernel(&s->port) ? RT_ALONE_NS : SLICE_MS * RT_NS_PER_MS;
}

/* Is an M without its P, or may be before the next look? *handoffs: at the last one. */
static bool some_are_lost(struct rt_sched *s, uint64_t *handoffs)
{
	uint64_t n = load_rlx(&s->nr_handoffs);
	bool more = n != *handoffs && rt_port_in_kernel(&s->port);

	*handoffs = n;
	return more || load_rlx(&s->nr_lost);
}

static int64_t pause_until(struct rt_sched *s, int64_t now, int64_t pause_us, bool closely,
			   bool lost)
{
	bool kept = load_rlx(&s->keeper_until_ns) != RT_FOREVER;

	if (closely && pause_us > PAUSE_SKIP_US)
		pause_us = PAUSE_SKIP_US;
	if (lost && pause_us > lost_pause_ns(s) / RT_NS_PER_US)
		pause_us = lost_pause_ns(s) / RT_NS_PER_US;
	/* A keeper may be put to other work before the timer's time has come. */
	return for_timers(s, now, now + pause_us * RT_NS_PER_US,
			  kept ? PAUSE_BATCH_US : PAUSE_SKIP_US);
}

void *rt_sysmon(void *sched)
{
	struct rt_sched *s = sched;
	int64_t pause_us = PAUSE_MIN_US, second_ns = rt_now_ns(), lost_ns = 0;
	uint64_t idle_gets = 0, handoffs = 0;
	bool freed = false, lost;
	int in_vain = 0;

	store_rlx(&s->sysmon_self, pthread_self());
	rt_thread_mask_all();
	/* We read when memory is out, too, and a thread's first read allocates:
	 * it is over before main begins and perhaps sets limits. */
	rt_rcu_read_lock();
	rt_rcu_read_unlock();
	rt_port_watch_begin(&s->port);
	store_rel(&s->started, RT_SYSMON_READY);
	rt_futex_wake(&s->started, 1);
	while (load_acq(&s->started) != RT_SYSMON_LOOKS)
		rt_futex_wait(&s->started, RT_SYSMON_READY, RT_FOREVER);
	while (!load_acq(&s->stopping)) {
		uint32_t word = rt_nap_word();
		int64_t now = rt_now_ns();
		bool closely;

		store_rlx(&s->coarse_ns, now);
		run_errand();
		rt_ms_make(s);
		if (rt_port_watch(&s->port)) {
			in_vain = 0; /* what was the kernel's work is ours now */
			pause_us = PAUSE_MIN_US;
		}
		if (unlikely(s->trace_ms))
			rt_schedtrace(s, now);
		if (now - second_ns > RT_NS_PER_SEC) {
			second_ns = now;
			rt_stacks_scavenge(&s->stacks, now);
			rt_procs_follow(s);
		}
		if (all_idle(s)) {
			freed = rest(s, word, now, &idle_gets);
			in_vain = 0;
			pause_us = PAUSE_MIN_US;
			continue;
		}
		in_vain = look(s, now, freed, &closely) ? 0 : in_vain + 1;
		freed = false;
		if (in_vain == 0)
			pause_us = PAUSE_MIN_US;
		else if (in_vain > LOOKS_IN_VAIN && pause_us < PAUSE_MAX_US)
			pause_us = pause_us * 2 < PAUSE_MAX_US ? pause_us * 2 : PAUSE_MAX_US;
		if (now - lost_ns > lost_pause_ns(s)) {
			lost_ns = now;
			rt_preempt_watch_lost(s, now);
		}
		lost = some_are_lost(s, &handoffs);
		freed = rt_nap(s, word, pause_until(s, now, pause_us, closely, lost));
	}
	rt_preempt_take_held(s); /* their Ms wait for that before they end */
	run_errand();
	rt_port_watch_end(&s->port);
	store_seq(&s->sysmon_gone, 1);
	rt_futex_wake(&s->sysmon_gone, 1);
	rt_sched_unref(s);
	return NULL;
}
