/* SPDX-License-Identifier: MIT */
/*
 * preempt.c - the M is preempted, not the G
 *
 * Problem: a goroutine that computes for long must give its P up. Go stops the
 * goroutine anywhere and runs another one on its thread. C code may be in the
 * middle of malloc, of printf, with a libc lock held or a per-thread cache half
 * updated: another goroutine on the same thread would break them.
 *
 * So the thread stands still, with its goroutine on it, and its P goes to
 * another M. In the run queues that goroutine is one bound to its M
 * (RT_G_HELD), the mechanism of gmprt_lock_os_thread(): whoever picks it
 * hands its P over to that M and wakes it.
 *
 * How sysmon takes a P, after a slice of 10 ms and if something waits for it:
 *
 *  - The thread runs, or could: SIGURG. The handler runs on that very
 *    thread, so its state can't change under it. In state USER it turns the
 *    P's word to IDLE, pushes its M on the list `held`, wakes sysmon and sleeps
 *    until it is given a P; in state RUNTIME it does nothing, and sysmon asks
 *    again. sysmon queues the goroutine and hands the P on: the handler itself
 *    only makes a compare-and-swap, a push, and futex calls.
 *  - The thread sleeps in a system call nobody announced: no signal, which
 *    would make some calls fail with EINTR. sysmon turns the word to BLOCKED
 *    itself, as the goroutine would have done by gmprt_block_enter(), has all
 *    CPUs pass a barrier, and looks: if the M is in state USER, its next entry
 *    sees the word (enter.h); else it may have entered unaware, and the word is
 *    turned back. Then the P is retaken as from brackets.
 *
 * An M that has lost its P this way ("lost") finds out at its next call into
 * the run time and waits there; if it computes first, it gets a SIGURG too. Its
 * goroutine is queued ahead of most others: who comes back from a block has a thread
 * tied up for as long as it waits, and behind 10,000 goroutines that is long.
 *
 * With a backend in the kernel an M whose P was taken as it blocked runs on alone
 * when it comes back, for up to RT_ALONE_NS: gmprt_abi.h says why, bpf/alone.h how.
 * Then the kernel sends the SIGURG, or sysmon does, which sees how long it has been
 * on its CPU. The hop over sysmon would be paid a thousand times a second. So if
 * sched.lock is free at that moment the handler takes an idle P, or queues its
 * goroutine, by itself. It may: it only tries the lock, allocates nothing under
 * it, no other SIGURG stops it meanwhile, and in state USER this thread has not
 * taken it before. (64 goroutines that nap 200 us: a half more rounds.)
 *
 * Who may hold what. An M can stand still at any instruction of state USER. So
 * code of ours that takes a lock is in state RUNTIME, without exception: else
 * the M that must hand a P to the sleeper would wait for its lock. libc's locks
 * can't be helped: a sleeper may hold malloc's, and an M in state RUNTIME, or
 * sysmon, need it. An M blocked in state RUNTIME, with its P, for 10 ms shows
 * that, a P that is on its way from one M to the next for 50 ms (a new thread
 * takes memory), a sysmon that is silent for 50 ms; then a sleeper goes on
 * without a P (counted: nr_loans) until it is asked again.
 *
 * Rejected: the handler hands the P over itself (it may not wait for the lock, and
 * to reserve an M for each signal that may come too late costs more than the
 * 5 us of sysmon's hop, once in 10 ms); a timer a thread (a system call for
 * each hand-over); waiting in the handler for "a safe place" (C has none).
 */
#include "sched/preempt.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/sys.h"
#include "sched/look.h"
#include "sched/switch.h"

enum {
	SLICE_MS = 10,
	SILENT_MS = 50, /* sysmon, before a sleeper helps itself; a P on its way */
	STUCK_MS = 10,  /* an M blocked in state RUNTIME */
};

static struct sigaction before_us; /* SIGURG's handler before the first run */

/* ---- the thread that stands still --------------------------------- */

/*
 * Waits until m, whose goroutine is queued or about to be, is given a P (true).
 * False: the run has ended, or m is to go on without (a loan).
 */
static bool wait_for_p(struct rt_m *m)
{
	struct rt_sched *s = m->s;
	struct rt_p *p;

	for (;;) {
		bool told;

		/* pairs with rt_preempt_release_all(): hold, then stopping */
		if (load_seq(&s->stopping))
			return false;
		told = rt_m_wait_notice(m, rt_now_ns() + SILENT_MS * RT_NS_PER_MS);
		if (load_acq(&s->stopping))
			return false;
		if (told) {
			/* At once: after the notice of a loan someone may be
			 * about to give it one. next_work is its own G. */
			p = xchg_acqrel(&m->next_p, NULL);
			if (p)
				rt_p_acquire(m, p);
			return p != NULL;
		}
		/* sysmon is silent: it may wait for a lock this thread holds. */
		if (rt_now_ns() - load_rlx(&s->coarse_ns) > SILENT_MS * RT_NS_PER_MS &&
		    !load_rlx(&s->sysmon_asleep))
			return false;
	}
}

static void bind(struct rt_m *m, struct rt_g *g)
{
	g->flags |= RT_G_HELD;
	g->lock_m = m;
	store_seq(&m->hold, RT_HOLD_WAITS);
}

static void unbind(struct rt_m *m, struct rt_g *g)
{
	g->flags &= (uint8_t)~RT_G_HELD;
	if (!(g->flags & RT_G_LOCKED))
		g->lock_m = NULL;
	store_rel(&m->hold, RT_HOLD_NONE);
}

/* For sysmon to queue m's goroutine. Its own few lines, not liburcu's lfstack:
 * the push must be known to be async-signal-safe, and to TSan. */
static void push_held_sig(struct rt_m *m, struct rt_p *p)
{
	struct rt_sched *s = m->s;

	m->held_p = p;
	store_rlx(&m->on_held, true);
	do
		m->held_next = load_rlx(&s->held);
	while (!cas_rel(&s->held, m->held_next, m)); /* pairs with take_held's xchg */
	rt_sysmon_wake();
}

/*
 * m has lost its P. Where the lock is free right now it need not wait for sysmon:
 * 1: it has an idle P; 0: its goroutine is queued; -1: neither.
 */
static int help_itself_sig(struct rt_m *m, struct rt_g *g)
{
	struct rt_sched *s = m->s;
	struct rt_p *p;

	if (pthread_mutex_trylock(&s->lock))
		return -1;
	if (s->stopping) {
		rt_unlock(s);
		return -1;
	}
	m->lost = false;
	count_add(&s->nr_lost, -1);
	p = rt_p_idle_get_locked(s);
	if (!p) {
		bind(m, g);
		rt_workq_put_soon(&s->grq, rt_work_g(g));
		rt_grq_counted_locked(s);
	}
	rt_unlock(s);
	if (p)
		rt_p_acquire(m, p);
	return p != NULL;
}

/* In goroutine code, with sysmon's request: gives the P up and waits for one. */
static void stand_still_sig(struct rt_m *m)
{
	struct rt_g *g = m->curg;
	struct rt_p *p = m->p;
	int helped = -1;

	if (load_rlx(&m->slot->state) != RT_M_USER || g->flags & RT_G_BLOCKING ||
	    load_acq(&m->s->stopping))
		return;
	if (m->hold == RT_HOLD_NONE) {
		if (cas_acqrel(&p->slot.word, m->pword,
			       rt_pword(rt_pword_epoch(m->pword) + 1, 0, RT_P_IDLE)))
			; /* (e) in gmprt_abi.h */
		else if (rt_p_take_back(m))
			return; /* sysmon is about to take it: it would not now */
		else
			p = NULL; /* lost before */
		rt_point();
		if (!p && rt_port_in_kernel(&m->s->port))
			helped = help_itself_sig(m, g);
		if (helped == 1)
			return;
		if (helped < 0) {
			bind(m, g);
			push_held_sig(m, p);
		}
	} else {
		store_seq(&m->hold, RT_HOLD_WAITS); /* its loan is over; it may get another */
	}
	store_rlx(&m->slot->p, GMPRT_ABI_NO_P);
	if (wait_for_p(m)) {
		unbind(m, g);
		return;
	}
	m->pword = 0; /* nobody's: the next entry finds out */
	store_rel(&m->hold, RT_HOLD_LOAN);
	fetch_add_seq(&m->s->nr_loans, 1); /* sysmon watches from the first one on */
}

/* m comes back from a block, and its P went to somebody else. */
static bool kernel_asks_sig(struct rt_m *m, const siginfo_t *info)
{
	return info->si_code == SI_KERNEL && m->hold == RT_HOLD_NONE &&
	       load_rlx(&m->slot->state) == RT_M_USER &&
	       load_acq(&m->p->slot.word) != m->pword;
}

static void pass_on(int sig, siginfo_t *info, void *ctx)
{
	if (before_us.sa_flags & SA_SIGINFO)
		before_us.sa_sigaction(sig, info, ctx);
	else if (before_us.sa_handler != SIG_DFL && before_us.sa_handler != SIG_IGN)
		before_us.sa_handler(sig);
}

static void on_sigurg(int sig, siginfo_t *info, void *ctx)
{
	struct rt_m *m = rt_m_self();
	int saved = errno;

	if (m && m->curg) {
		rt_look_note_sig(m, ctx);
		rt_look_show_sig(m);
	}
	if (m && m->curg && (xchg_acqrel(&m->asked, false) || kernel_asks_sig(m, info)))
		stand_still_sig(m);
	else if (info->si_code == SI_KERNEL && m && m->s->port.backend != RT_BACKEND_SYSMON)
		; /* the kernel's, for a P that has become m's again since */
	else if (!(info->si_code == SI_TKILL && info->si_pid == getpid()))
		pass_on(sig, info, ctx); /* not ours, nor one of ours that came late */
	errno = saved;
}

static void install(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigurg,
				.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGURG, &sa, &before_us);
}

void rt_preempt_install(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
}

/* ---- at a call into the run time ---------------------------------- */

/* Lost, and nobody knows that m wants to go on: an idle P, or the queue. */
static bool queue_up(struct rt_m *m)
{
	struct rt_sched *s = m->s;
	struct rt_g *g = m->curg;
	struct rt_p *p;

	rt_lock(s);
	m->lost = false;
	count_add(&s->nr_lost, -1);
	p = s->stopping ? NULL : rt_p_idle_get_locked(s);
	if (!p) {
		bind(m, g);
		rt_workq_put_soon(&s->grq, rt_work_g(g));
		rt_grq_counted_locked(s);
	}
	rt_unlock(s);
	if (p)
		rt_p_acquire(m, p);
	else
		rt_wake(s); /* a P may be free, whose M blocks */
	return p != NULL;
}

bool rt_preempt_regain(struct rt_m *m)
{
	if (m->hold == RT_HOLD_NONE && (rt_p_take_back(m) || queue_up(m)))
		return true;
	store_seq(&m->hold, RT_HOLD_AT_ENTRY);
	while (!wait_for_p(m))
		if (load_acq(&m->s->stopping))
			return false;
	unbind(m, m->curg);
	return true;
}

/* ---- sysmon: those that wait -------------------------------------- */

static void queue_held(struct rt_sched *s, struct rt_m *m)
{
	struct rt_p *p = m->held_p;
	bool stopping;

	rt_lock(s);
	stopping = s->stopping;
	if (!stopping) {
		if (p) {
			rt_workq_put(&s->grq, rt_work_g(m->curg));
			count_inc(&s->nr_preempts);
		} else {
			rt_workq_put_soon(&s->grq, rt_work_g(m->curg));
			m->lost = false;
			count_add(&s->nr_lost, -1);
		}
		rt_grq_counted_locked(s);
	}
	rt_unlock(s);
	store_rel(&m->on_held, false); /* m may end from now on */
	if (stopping)
		return;
	if (p) {
		store_rlx(&p->m, NULL);
		rt_p_handoff(s, p);
	} else {
		rt_wake(s);
	}
}

bool rt_preempt_take_held(struct rt_sched *s)
{
	struct rt_m *m, *next;

	if (!load_rlx(&s->held))
		return false;
	for (m = xchg_acqrel(&s->held, NULL); m; m = next) {
		next = m->held_next;
		queue_held(s, m);
	}
	return true;
}

/* Someone who waits goes on without a P: it may hold a lock others need. Of
 * several the one that had the fewest loans. */
static void lend(struct rt_sched *s)
{
	struct rt_m *m, *to = NULL;

	rt_lock(s);
	cds_list_for_each_entry(m, &s->all_ms, all)
		if (load_acq(&m->hold) == RT_HOLD_WAITS && !load_rlx(&m->next_p) &&
		    !load_rlx(&m->park) && (!to || m->nr_loans < to->nr_loans))
			to = m;
	if (to) {
		to->nr_loans++;
		rt_m_notice_locked(to);
	}
	rt_unlock(s);
	if (to)
		rt_m_wake(to);
}

/* ---- sysmon: no thread is to be had ------------------------------- */

/* Does an M stand still on its goroutine? *locked: one that sleeps until the
 * goroutine it is bound to is picked; or NULL. */
static bool any_waits_locked(struct rt_sched *s, struct rt_m **locked)
{
	bool held = false;
	struct rt_m *m;

	*locked = NULL;
	cds_list_for_each_entry(m, &s->all_ms, all) {
		held |= load_acq(&m->hold) != RT_HOLD_NONE && !load_rlx(&m->next_p);
		if (m->waits)
			*locked = m;
	}
	return held || *locked;
}

/* It runs on its own M only. */
static bool is_bound(rt_work w)
{
	return !rt_work_is_spawn(w) && rt_work_to_g(w)->flags & RT_G_BOUND;
}

void rt_preempt_rescue(struct rt_sched *s)
{
	struct rt_m *m = NULL;
	rt_work w = 0;

	rt_lock(s);
	if (s->idle_ps && !s->stopping && any_waits_locked(s, &m)) {
		w = rt_workq_get_first(&s->grq, is_bound);
		rt_grq_counted_locked(s);
		if (w)
			m = rt_work_to_g(w)->lock_m;
		else if (rt_next_timer(s) > rt_now_ns())
			m = NULL; /* a due one it would fire: lock.c */
	}
	if (m) {
		m->waits = false;
		store_rlx(&m->next_work, w);
		store_rlx(&m->next_p, rt_p_idle_get_locked(s));
		rt_m_notice_locked(m);
	}
	rt_unlock(s);
	if (m)
		rt_m_wake(m);
}

void rt_preempt_release_all(struct rt_sched *s)
{
	struct rt_m *m;

	smp_mb(); /* stopping, then hold; pairs with bind() and wait_for_p() */
	rt_lock(s);
	cds_list_for_each_entry(m, &s->all_ms, all) {
		uint32_t hold = load_acq(&m->hold);

		if (hold == RT_HOLD_WAITS || hold == RT_HOLD_AT_ENTRY) {
			rt_m_notice_locked(m);
			rt_m_wake(m);
		}
	}
	rt_unlock(s);
}

/* ---- sysmon: asking and taking ------------------------------------ */

static void ask(struct rt_m *m)
{
	store_rel(&m->asked, true);
	rt_thread_signal(m->tid, SIGURG);
}

/* m sleeps in the kernel, in goroutine code; word is its P's. True: p is the
 * caller's to hand on. */
static bool take(struct rt_sched *s, struct rt_p *p, struct rt_m *m, uint64_t word)
{
	uint64_t blocked = rt_pword_blocked(word);

	if (!cas_acqrel(&p->slot.word, word, blocked)) /* (f) in gmprt_abi.h */
		return false;
	rt_point();
	rt_membarrier(); /* pairs with the store-load in rt_enter() */
	if (load_acq(&m->slot->state) != RT_M_USER) {
		cas_acqrel(&p->slot.word, blocked, word);
		return false;
	}
	rt_lock(s);
	if (s->stopping || !cas_acqrel(&p->slot.word, blocked,
				       rt_pword(rt_pword_epoch(word) + 1, 0, RT_P_IDLE))) {
		rt_unlock(s);
		return false;
	}
	count_inc(&s->nr_lost);
	count_inc(&s->nr_handoffs);
	m->lost = true;
	rt_unlock(s);
	rt_point();
	store_rlx(&p->m, NULL);
	/* Awake again while we did that: nobody else would stop it. */
	if (!rt_thread_sleeps(m->tid))
		ask(m);
	return true;
}

/* Would anything run on p if its M stood aside? Where a P idles, it would run
 * there anyway. */
static bool someone_waits(struct rt_sched *s, struct rt_p *p, int64_t now)
{
	if (p->id >= load_rlx(&s->maxprocs))
		return true;
	if (load_rlx(&s->nr_idle_ps))
		return false;
	return rt_runq_len(&p->q) || rt_forkq_len(&p->q) || load_rlx(&s->grq_len) ||
	       rt_timers_next(&p->timers) <= now;
}

/* p has run the same goroutine for a slice. RCU keeps m. True: taken,
 * and the caller hands p on. */
static bool press(struct rt_sched *s, struct rt_p *p, struct rt_m *m, uint64_t word, int64_t now)
{
	if (!rt_thread_sleeps(m->tid)) {
		ask(m);
	} else if (load_acq(&m->slot->state) == RT_M_USER) {
		return take(s, p, m, word);
	} else if (now - p->mon.stuck_ns > STUCK_MS * RT_NS_PER_MS) {
		if (p->mon.stuck_ns)
			lend(s);
		p->mon.stuck_ns = now;
	}
	return false;
}

bool rt_preempt_watch(struct rt_sched *s, struct rt_p *p, int64_t now)
{
	uint64_t word = load_acq(&p->slot.word), holder = word & ~(uint64_t)0xff;
	uint64_t picks = load_rlx(&p->rounds) * RT_FAIR_TICK - load_rlx(&p->countdown);
	enum rt_pstate state = rt_pword_state(word);
	bool taken = false;
	struct rt_m *m;

	if (state != RT_P_RUNNING && state != RT_P_BLOCKED && state != RT_P_FREED)
		return false;
	if (p->mon.run_word != holder || p->mon.run_picks != picks) {
		p->mon.run_word = holder;
		p->mon.run_picks = picks;
		p->mon.run_ns = now;
		p->mon.stuck_ns = 0;
		return false;
	}
	if (now - p->mon.run_ns < SLICE_MS * RT_NS_PER_MS || !someone_waits(s, p, now))
		return false;
	if (state != RT_P_RUNNING)
		return true; /* it need not be asked */
	rt_rcu_read_lock();
	m = load_acq(&p->m);
	if (m && rt_pword_owner(word) == m->id)
		taken = press(s, p, m, word, now);
	rt_rcu_read_unlock();
	/* No longer a reader: where no thread can be made, an M is freed. */
	if (taken)
		rt_p_handoff(s, p);
	return true;
}

void rt_preempt_watch_way(struct rt_sched *s, struct rt_p *p, int64_t now)
{
	uint64_t word = load_acq(&p->slot.word);

	if (rt_pword_state(word) != RT_P_IDLE || load_rlx(&p->idle))
		return;
	if (p->mon.run_word != word) {
		p->mon.run_word = word;
		p->mon.run_ns = now;
	} else if (now - p->mon.run_ns > SILENT_MS * RT_NS_PER_MS) {
		p->mon.run_ns = now;
		lend(s);
	}
}

/* m is on a CPU in goroutine code, and has no P. */
static bool runs_alone(struct rt_sched *s, const struct rt_m *m, int64_t now)
{
	uint64_t since = load_rlx(&m->slot->alone_ns);

	if (!rt_port_in_kernel(&s->port) || !m->lost ||
	    load_rlx(&m->slot->kflags) != GMPRT_MF_REGISTERED)
		return !rt_thread_sleeps(m->tid);
	/* The kernel stops it if another thread wants its CPU. */
	return since && now - (int64_t)since > RT_ALONE_NS;
}

void rt_preempt_watch_lost(struct rt_sched *s, int64_t now)
{
	struct rt_m *m;

	if (!load_rlx(&s->nr_lost) && !load_rlx(&s->nr_loans))
		return;
	rt_lock(s);
	cds_list_for_each_entry(m, &s->all_ms, all) {
		if (!m->lost && load_acq(&m->hold) != RT_HOLD_LOAN)
			continue;
		/* next_p: it was given a P, which nobody else watches now. */
		if (load_rlx(&m->next_p) || runs_alone(s, m, now))
			ask(m);
	}
	rt_unlock(s);
}
