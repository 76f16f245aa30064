/* SPDX-License-Identifier: MIT */
/*
 * sched.h - P, M and the scheduler's own state
 *
 * A map of this layer:
 *
 *	enter.h    the one door into the run time and out of it
 *	switch.h   pick, ready, park: the paths every goroutine takes
 *	ready.c    the seldom sides of these
 *	find.c     an M on its own stack looks for work
 *	steal.c    in other Ps' queues
 *	timer.c    when timers fire
 *	wake.c     idle Ps are put to work: wake, start, hand off
 *	idle.c     idle Ps and Ms, the time keeper
 *	standby.c  an idle M that waits awake
 *	poll.c     when the netpoller is asked
 *	grq.c      the global queue
 *	m.c        threads
 *	gmain.c    birth and death of goroutines
 *	lock.c     goroutines bound to an M
 *	preempt.c  a goroutine that computes for long, or sleeps unannounced
 *	block.c    brackets around blocking calls
 *	look.c     where a running goroutine stands, for dumps
 *	sysmon.c   the thread that watches
 *	nap.c      what it sleeps on
 *	schedtrace.c  Go's SCHED line
 *	deadlock.c nothing can ever run again
 *	procs.c    the number of Ps
 *	run.c      start and end
 *	atfork.c   the child of fork(), which has no run
 *
 * One struct rt_sched lives for one gmprt_run(). It is reference-counted: the
 * caller of gmprt_run() holds one, each M one, so that an M that is still in
 * a goroutine's own code when the run has ended finds it when it comes back.
 *
 * Who may touch what:
 *   rt_p     "owner" = the M that holds the P, in state RUNTIME. Fields are
 *            the owner's unless they say otherwise.
 *   rt_m     its own thread's, unless it says otherwise.
 *   rt_sched `lock` guards what stands below it.
 *
 * Lock order: sched.lock, then a channel's or word's lock, then a timer heap's
 * and depots' (leaves). sched.lock is never taken with a leaf lock held. A
 * timer's function takes a channel's lock, so it runs after the heap's was let
 * go; stop and reset take the heap's with the channel's held.
 */
#ifndef RT_SCHED_SCHED_H
#define RT_SCHED_SCHED_H

#include <pthread.h>
#include <urcu/rculist.h>

#include "base/eh.h"
#include "base/unwind.h"
#include "core/forkq.h"
#include "core/g.h"
#include "core/port.h"
#include "core/netpoll.h"
#include "core/runq.h"
#include "core/spawn.h"
#include "core/stack.h"
#include "core/timers.h"
#include "core/workq.h"

#define RT_MAXPROCS_LIMIT 1024
#define RT_FAIR_TICK      61 /* Go's: a prime, so that no pattern hides from it */
#define RT_STREAK_TRUST   8  /* see rt_wake_for_next() */
#define RT_FOREVER        INT64_MAX

/* Bits others set in rt_p.attention; the owner's next pick goes the long way. */
enum {
	RT_ATT_STOP = 1,    /* the run has ended */
	RT_ATT_RETIRE = 2,  /* maxprocs went below this P's number */
	RT_ATT_TIMER = 4,   /* a timer is due */
	RT_ATT_SLICE = 8,   /* 10 ms are over: `next` must queue like the others */
	RT_ATT_STACKS = 16, /* others need the stacks that lie in its magazine */
};

struct rt_p_stats {
	uint64_t created, ended;     /* goroutines, those of tasks counted */
	uint64_t tasks, tasks_ended; /* of these, those of tasks */
	uint64_t steals, overflows, blocks, forks, inline_joins;
	uint64_t idle_with_work_ns;
	uint64_t io_waits, io_wakes; /* parks for a file, and returns from them */
};

struct rt_p {
	/* What others look at, as the ABI has it (core/kport.h, core/pq.h). */
	struct rt_pslot slot;
	struct rt_pq q;

	/* The hot lines. */
	struct rt_sched *s __cacheline;
	struct rt_m *m; /* the holder; dumps read */
	uint32_t id;
	uint32_t countdown;       /* picks until the fairness look */
	uint32_t streak;          /* own `next` run here in a row; others zero it */
	uint32_t skipped;         /* a wake-up was left to sysmon; sysmon clears */
	uint64_t rounds;          /* fairness looks so far */
	uint64_t slices;          /* time slices begun: picks but of `next` */
	uint64_t id_next, id_end; /* goroutine numbers handed to this P */
	struct rt_magazine gs;    /* dead Gs of the default class, with stacks */
	struct rt_magazine spawns;
	struct rt_p_stats n;

	uint32_t attention __cacheline; /* anyone, atomic or */
	struct rt_timers timers __cacheline;
	int64_t batch_ns;           /* when timers woke several at once; 0: done */
	uint32_t quick;             /* such batches in a row that were done quickly */

	int64_t blocked_ns;     /* since when it is BLOCKED with work; else 0 */
	struct rt_p *idle_next; /* sched.lock: in idle_ps or need_m */
	struct rt_m *standby;   /* sched.lock: waits awake for it; standby.c */
	uint64_t hot_nr;        /* sched.lock, like the next: how often it had been freed */
	int64_t hot_ns;         /* when that was seen to change */
	bool spins;             /* sched.lock: its M is to begin as a spinner */
	bool idle;              /* sched.lock to write: on the idle list */
	bool retired;           /* sched.lock: given up as DEAD */

	/* Sysmon's notes of what it saw last. */
	struct {
		uint64_t blocks, slices, picks;
		uint64_t run_word, run_picks; /* preempt.c, these four */
		int64_t run_ns, stuck_ns;
		int64_t blocked_ns, slice_ns;
		rt_work next;
		bool trimmed;
	} mon;
} __attribute__((aligned(4096))); /* its first page may be shared with the kernel */

_Static_assert(offsetof(struct rt_p, slot.word) == offsetof(struct gmprt_abi_p, word), "");
_Static_assert(offsetof(struct rt_p, q.head) == offsetof(struct gmprt_abi_p, head), "");
_Static_assert(offsetof(struct rt_p, q.fork_top) == offsetof(struct gmprt_abi_p, fork_top), "");
_Static_assert(offsetof(struct rt_p, q.tail) == offsetof(struct gmprt_abi_p, tail), "");
_Static_assert(offsetof(struct rt_p, q.fork_bottom) == offsetof(struct gmprt_abi_p, fork_bottom),
	       "");
_Static_assert(offsetof(struct rt_p, q.next) == offsetof(struct gmprt_abi_p, next), "");
_Static_assert(offsetof(struct rt_p, q.hint) == offsetof(struct gmprt_abi_p, hint), "");
_Static_assert(offsetof(struct rt_p, q.wake) == offsetof(struct gmprt_abi_p, wake), "");

/* What the kernel's side has written of p; zeroes where there is none. */
static inline const struct gmprt_abi_p *rt_p_abi(const struct rt_p *p)
{
	return (const struct gmprt_abi_p *)(const void *)p;
}

/* An M without a P that has a goroutine on it: preempt.c. It writes this. */
enum rt_hold {
	RT_HOLD_NONE,
	RT_HOLD_WAITS,    /* in the handler, until it is given a P */
	RT_HOLD_AT_ENTRY, /* the same at a call into the run time */
	RT_HOLD_LOAN,     /* goes on without one; its goroutine is queued */
};

struct rt_m {
	/* The hot line. */
	struct gmprt_abi_m *slot;
	struct rt_p *p;    /* NULL on the way to sleep */
	uint64_t pword;    /* p's word while we hold it */
	struct rt_g *curg; /* dumps read */
	int *errno_p;      /* this thread's errno */
	struct rt_sched *s;
	rt_work handed;   /* for this M's loop to run at once */
	uint32_t scratch; /* where a switch stores that publishes nothing */
	bool spinning;
	bool has_eh; /* eh is not NULL; the same for all Ms */

	struct rt_ctx g0; /* the thread's own stack, while a G runs */
	struct rt_san san;
	void (*call)(struct rt_m *, struct rt_g *); /* to be run on g0, once */
	struct rt_g *call_g;
	struct rt_eh *eh; /* this thread's C++ exceptions, or NULL */
	uint64_t rng;

	uint32_t park __cacheline; /* 1: a wake-up is pending; futex */
	/* Set by the waker before park = 1, read after it was seen. */
	struct rt_p *next_p;    /* NULL for an M on hold: a loan */
	rt_work next_work;      /* for a bound M: its G */
	struct rt_m *idle_next; /* sched.lock */
	struct rt_p *announced; /* sched.lock: m is about to stand by for it */
	bool idle;              /* sched.lock: on the idle list */
	bool stands;            /* sched.lock: idle, but awake; standby.c */
	bool waits;             /* sched.lock: for its bound G, and holds no P */
	bool exits;             /* told to end: set by the waker before park */
	struct rt_g *lock_g;    /* the G bound to this M */

	/* Preemption. */
	uint32_t hold;       /* enum rt_hold */
	bool asked;          /* sysmon has sent a SIGURG; the handler clears */
	bool on_held;        /* is on sched.held */
	bool lost;           /* sched.lock: its P was taken, it does not know */
	struct rt_p *held_p; /* what it gave up, to sysmon; NULL: had lost it */
	struct rt_m *held_next;
	uint32_t nr_loans;          /* sched.lock */
	uint32_t look;              /* look.c; futex */
	struct rt_unwind_regs regs; /* what the last SIGURG interrupted */

	uint32_t id; /* slot number, from 1 */
	int tid;
	void *altstack;
	/* RCU; sched.lock to change. On a line's start like the list's head, so
	 * that the head, taken for an entry at the end of a walk, is aligned. */
	struct cds_list_head all __cacheline;
};

/* rt_sched.started: sysmon is there, and has what memory it needs; all is. */
enum { RT_SYSMON_READY = 1, RT_SYSMON_LOOKS = 2 };

/* Sysmon's notes of the time since when goroutines wait for a stack. */
struct rt_starving {
	uint64_t progress;
	int64_t since_ns;
	uint32_t tries;
};

struct rt_sched {
	/* Read by all, written seldom. */
	uint32_t maxprocs;
	uint32_t nr_ps; /* most there ever were: ps[0..nr_ps-1] are set up */
	struct rt_p *ps;
	struct rt_port port;
	uint32_t max_threads;
	uint32_t stack_class; /* default */
	uint32_t run;         /* its number: two runs don't share it */
	bool stopping;
	sigset_t sigmask; /* of each new M: gmprt_run()'s caller's, SIGURG open */

	int64_t coarse_ns __cacheline; /* sysmon's clock, for "waits since" */

	/* The wake-up protocol, wake.c. */
	uint32_t nr_spinning __cacheline;
	uint32_t nr_idle_ps;     /* sched.lock to write */
	int64_t keeper_until_ns; /* when the time keeper wakes; RT_FOREVER: none */
	uint32_t keeper_polls;   /* it sleeps in the netpoller; sched.lock to write */

	/* Sysmon. */
	uint32_t sysmon_asleep __cacheline;
	uint32_t sysmon_gone;
	uint32_t batch_alone; /* a batch's wake-up was left to sysmon, which clears */
	pthread_t sysmon_self;
	uint32_t started;                          /* futex: 0, READY, LOOKS */
	struct rt_m *held;                         /* Ms that have just given their P up */
	int64_t thread_try_ns;
	int64_t start_ns, trace_ms, trace_next_ns; /* schedtrace.c; 0: off */
	bool trace_detail;
	struct rt_starving starving;

	struct rt_netpoll np __cacheline;
	struct rt_stacks stacks;
	struct rt_spawn_pool spawns;
	uint64_t next_id;         /* goroutine numbers, handed out by the batch */
	uint64_t foreign_created; /* goroutines begun by threads without a P */

	pthread_mutex_t lock __cacheline;
	struct rt_workq grq;
	uint32_t grq_len;           /* = grq.n; read without the lock */
	struct rt_worklist starved; /* spawns that found no stack */
	uint32_t nr_starved;        /* = starved.n; read without the lock */
	uint64_t nr_starvings;      /* how often that was so */
	uint64_t feed_starvings;    /* sysmon.c: when it last fed some, and how many */
	uint32_t feed;
	struct rt_p *idle_ps; /* LIFO */
	struct rt_p *need_m;  /* wait for sysmon to make them an M */
	struct rt_m *idle_ms; /* LIFO */
	struct rt_m *keeper;  /* the idle M that sleeps until the next timer */
	uint32_t nr_idle_ms;  /* read without the lock where it may be wrong */
	uint32_t nr_ms; /* in all_ms: those that are being made, too */
	uint32_t nr_ms_live, nr_ms_peak; /* threads that are there; the most at a time */
	uint32_t nr_lost;                           /* Ms whose P was taken while they were away */
	uint32_t *free_mids, nr_free_mids, nr_mids; /* slot numbers */
	struct cds_list_head all_ms __cacheline;    /* RCU for readers */
	uint64_t nr_handoffs, nr_wakeups, nr_preempts, nr_loans;
	uint64_t nr_idle_gets; /* idle Ps put to work; read without the lock */
	bool procs_given; /* the program has set the number of Ps */
	bool no_thread;   /* one could not be had, and sysmon has not tried since */
	bool no_thread_told;
	bool no_stack; /* for a forked task; sysmon clears it and tries again */

	pthread_mutex_t dump_lock; /* one dump at a time, each an RCU reader */

	/* The end. */
	uint32_t refs;
	uint32_t done; /* futex: the main goroutine has ended */
};

/* The run that is under way, or NULL; store_rel pairs with load_acq. RCU:
 * threads that are no Ms hold rcu_read_lock() while they use it. */
extern struct rt_sched *rt_cur;

/* The same with a reference, for callers that may take long or make threads;
 * give it back by rt_sched_unref(). NULL: no run. */
struct rt_sched *rt_cur_get(void);

/* The global queue has changed; the kernel's side looks too. */
static inline void rt_grq_counted_locked(struct rt_sched *s)
{
	store_rlx(&s->port.head->work, s->grq.n);
	store_rel(&s->grq_len, s->grq.n);
}

static inline void rt_idle_ps_count_locked(struct rt_sched *s, uint32_t n)
{
	store_rlx(&s->port.head->idle, n);
	store_seq(&s->nr_idle_ps, n);
}

/* ---- wake.c ------------------------------------------------------- */

/* Puts one idle P to work if there is one and no M is spinning. */
void rt_wake(struct rt_sched *s);
/* Runs p on a parked or new M. p is held by nobody. */
void rt_m_start(struct rt_sched *s, struct rt_p *p, bool spinning);
/* Sysmon: makes the Ms that were not to be cloned from who needed them. */
void rt_ms_make(struct rt_sched *s);
/* p's M has gone away: p to an M if it has work, else idle. */
void rt_p_handoff(struct rt_sched *s, struct rt_p *p);

/* ---- idle.c ------------------------------------------------------- */

void rt_lock(struct rt_sched *s);
void rt_unlock(struct rt_sched *s);

struct rt_p *rt_p_idle_get_locked(struct rt_sched *s);
void rt_p_idle_put_locked(struct rt_sched *s, struct rt_p *p);
void rt_p_acquire(struct rt_m *m, struct rt_p *p);
/* m's P is marked BLOCKED, by sysmon or by m itself in brackets. True: it is
 * m's again, or still, as sysmon may have turned its mark back. False: taken. */
bool rt_p_take_back(struct rt_m *m);
/*
 * p is BLOCKED or FREED, and word its word: another M's from now on, or IDLE
 * (by 0). Its M has lost it. False: it has changed meanwhile.
 */
bool rt_p_seize_locked(struct rt_sched *s, struct rt_p *p, uint64_t word, uint32_t by,
		       enum rt_pstate to);
/* The word of a P that m holds becomes IDLE or DEAD; m holds none then. */
struct rt_p *rt_p_release(struct rt_m *m, enum rt_pstate to);

/* Sleeps until the M is given a P (true) or told to end (false). */
bool rt_m_stop_g0(struct rt_m *m);
/* Gives p to an idle M, if there is one; the caller wakes it after unlocking. */
struct rt_m *rt_idle_m_start_locked(struct rt_sched *s, struct rt_p *p, bool spinning);
/* Is there a time keeper, and in the place where it has to be? */
bool rt_is_kept_locked(struct rt_sched *s);
/* m is on the list of idle Ms, and leaves it by itself. */
void rt_idle_ms_remove_locked(struct rt_sched *s, struct rt_m *m);
/* There are fewer Ps: of the idle Ms fewer are kept. */
void rt_idle_ms_recount(struct rt_sched *s);
/* How long an M idles before it ends; a test may change it before a run. */
extern int64_t rt_m_idle_ns;
/* At the end of a run: the list is empty, its Ms are the caller's to wake. */
void rt_idle_ms_clear_locked(struct rt_sched *s);
/* The same for an M that is on no list: one particular waker knows it. */
bool rt_m_wait_g0(struct rt_m *m);
/* Waits for a notice; false: the deadline has passed. Async-signal-safe. */
bool rt_m_wait_notice(struct rt_m *m, int64_t deadline_ns);
void rt_m_notice_locked(struct rt_m *m);
void rt_m_wake(struct rt_m *m);
/* Makes the netpoller if there is none. 0 or -errno. */
int rt_poll_open(struct rt_sched *s);
/* A timer was set for when_ns: the time keeper must not sleep beyond it. */
void rt_keeper_check(struct rt_sched *s, int64_t when_ns);

/* ---- grq.c -------------------------------------------------------- */

void rt_grq_put(struct rt_sched *s, struct rt_worklist *l);
void rt_grq_put_array(struct rt_sched *s, const rt_work *w, uint32_t n);
void rt_grq_put_locked(struct rt_sched *s, struct rt_worklist *l);
/* A fair share for p: one returned, the rest in p's ring. */
rt_work rt_grq_get_locked(struct rt_sched *s, struct rt_p *p, uint32_t most);
rt_work rt_grq_get(struct rt_sched *s, struct rt_p *p, uint32_t most);

/* ---- find.c, steal.c ---------------------------------------------- */

/* Work for m, which holds a P then; 0: m is to end. */
rt_work rt_find_g0(struct rt_m *m);
rt_work rt_steal_g0(struct rt_m *m);
bool rt_any_work(struct rt_sched *s);
/* A forked task out of `from`, as a goroutine begun for p; or 0. oldest: as a
 * thief; else the last one, of p's own queue. */
rt_work rt_forked_take(struct rt_p *p, struct rt_pq *from, bool oldest);

/* ---- timer.c ------------------------------------------------------ */

/* Fires the due timers of m's P and readies there whom they wake. */
void rt_timers_run_g0(struct rt_m *m, int64_t now_ns);
/* The same for all Ps' timers, for an M that has nothing to do. */
void rt_timers_run_all_g0(struct rt_m *m);
/* At or before the first timer of all; RT_FOREVER: there is none. */
int64_t rt_next_timer(struct rt_sched *s);
/* The same, but what was cancelled does not count. */
int64_t rt_next_timer_tidy(struct rt_sched *s);
/* How long the time keeper sleeps for a first timer. sched.lock is held. */
int64_t rt_keeper_sleeps_until(struct rt_sched *s, int64_t first_ns);
/* A thread without a P has put a timer into P 0's heap. */
void rt_timer_set_foreign(struct rt_sched *s, int64_t when_ns);

/* ---- m.c ---------------------------------------------------------- */

/* -EAGAIN, -ENOMEM: there is no thread for p, which is the caller's still. */
int rt_m_new(struct rt_sched *s, struct rt_p *p, bool spinning) __must_check;
/* After that: what p has to run waits for an M that comes back. */
void rt_m_refused(struct rt_sched *s, struct rt_p *p, bool spinning, int why);
/* Switches from the current G to g0, which runs fn(m, g) there. */
void rt_m_call(void (*fn)(struct rt_m *, struct rt_g *));
_Noreturn void rt_m_exit_now(struct rt_m *m);
void rt_sched_unref(struct rt_sched *s);
void rt_ps_unmap(struct rt_sched *s);

/* ---- gmain.c ------------------------------------------------------ */

void rt_g_root(void);
struct rt_g *rt_g_begin(struct rt_p *p, struct rt_spawn *sp);
struct rt_g *rt_g_begin_fn(struct rt_p *p, void (*fn)(void *), void *arg);
/* Takes a G of rt_g_begin_fn() back that nobody has seen. */
void rt_g_never_begun(struct rt_p *p, struct rt_g *g);
_Noreturn void rt_g_exit(void);
uint64_t rt_g_new_id_slow(struct rt_p *p);

static inline uint64_t rt_g_new_id(struct rt_p *p)
{
	return likely(p->id_next != p->id_end) ? p->id_next++ : rt_g_new_id_slow(p);
}

/* ---- lock.c ------------------------------------------------------- */

/* False: nested too deep; not locked. */
bool rt_g_lock_m(struct rt_m *m);
bool rt_g_unlock_m(struct rt_m *m);
/* g is bound to another M: gives it m's P and sleeps. */
void rt_locked_start_g0(struct rt_m *m, struct rt_g *g);
/* m's bound G does not run: gives the P away, sleeps until it does. */
void rt_locked_stop_g0(struct rt_m *m);

/* ---- sysmon.c, deadlock.c ----------------------------------------- */

void *rt_sysmon(void *sched);
/* In the child of fork(): what it was asked for is the parent's. */
void rt_sysmon_forked(void);
/* nap.c; async-signal-safe, like what follows, and harmless without a run. */
void rt_sysmon_wake(void);
/* sysmon calls fn() soon, once: for signal handlers, which may do little. */
void rt_sysmon_call_sig(void (*fn)(void));
bool rt_deadlocked_locked(struct rt_sched *s);
/* Ends the process, unless a thread that is no M may still wake someone. */
void rt_deadlock_report(struct rt_sched *s);
/* For sysmon, before it has those without a stack try again: the same if they
 * have tried for long enough. */
void rt_starved_check(struct rt_sched *s, int64_t now_ns);

/* ---- procs.c ------------------------------------------------------ */

/* The program sets the number; the one before. */
int rt_procs_set(struct rt_sched *s, uint32_t n);
/* sysmon, once a second: unless the program has set it, the number follows what
 * the process may use. */
void rt_procs_follow(struct rt_sched *s);
/* p, which nobody holds, to the idle ones, or away if its number is too high. */
void rt_procs_put_locked(struct rt_sched *s, struct rt_p *p);
/* p's number is beyond maxprocs: empties it, releases it as DEAD. */
void rt_procs_retire_g0(struct rt_m *m);

/* ---- run.c -------------------------------------------------------- */

struct rt_params {
	enum rt_backend backend;
	uint32_t maxprocs;
	bool procs_given; /* by options or environment: it stays */
	uint32_t stack_class;
	uint32_t max_threads;
	int64_t trace_ms;
	bool trace_detail;
	bool upcall_auto;  /* not this backend at any price: the best that can be had */
	bool upcall_tells; /* which backend it is, and when it is lost */
};

/* Runs fn(arg) as the main goroutine; 0 or -errno. */
int rt_run(const struct rt_params *par, void (*fn)(void *), void *arg);
void rt_run_main_ended(struct rt_m *m);
/* Or just beginning or ending. */
bool rt_run_is_under_way(void);
/* In the child of fork(): no run is under way. m: who called it, or NULL. */
void rt_run_forked(struct rt_m *m);

/* Hook for api/: called in the child of fork(). */
extern void (*rt_forked_hook)(void);

/* Hook for api/: called on each new M's thread and at its end. */
extern void (*rt_m_thread_init)(struct rt_m *m);
extern void (*rt_m_thread_fini)(struct rt_m *m);

#endif
