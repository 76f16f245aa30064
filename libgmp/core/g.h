/* SPDX-License-Identifier: MIT */
/*
 * g.h - a goroutine that has a stack
 *
 * It lies at the top of its stack's first page, so that a parked goroutine
 * costs one page and a switch to it one TLB entry. The first line is all that
 * park, ready and switch touch.
 *
 * Memory of a G is type-stable until the end of the run (core/stack.h), so a
 * dump may read it at any time: id != 0 means alive.
 *
 * Who may touch what: everything belongs to the M that runs the G; while the
 * G is parked, to whoever took it off the wait queue; while it is in a run
 * queue, to whoever takes it from there. Exceptions are named below.
 */
#ifndef RT_CORE_G_H
#define RT_CORE_G_H

#include "base/san.h"
#include "core/ctx.h"
#include "core/timers.h"
#include "core/work.h"

/* Why a goroutine waits. Names in g.c, shown by dumps as Go's would be. */
enum rt_reason {
	RT_REASON_NONE, /* does not wait: runs, or is in a run queue */
	RT_REASON_CHAN_SEND,
	RT_REASON_CHAN_RECV,
	RT_REASON_CHAN_NIL_SEND,
	RT_REASON_CHAN_NIL_RECV,
	RT_REASON_SELECT,
	RT_REASON_SELECT_NONE,
	RT_REASON_MUTEX,
	RT_REASON_SEM,
	RT_REASON_WG,
	RT_REASON_JOIN,
	RT_REASON_SLEEP,
	RT_REASON_IO_READ,
	RT_REASON_IO_WRITE,
	RT_REASON_IO_POLL,
	RT_REASON_IO_CLOSE,
	RT_NR_REASONS,
};

const char *rt_reason_name(enum rt_reason r);

enum {
	RT_G_LOCKED = 1,    /* bound to an M: gmprt_lock_os_thread() */
	RT_G_MAIN = 2,      /* its end is the run's end */
	RT_G_BLOCKING = 4,  /* inside gmprt_block_enter/exit */
	RT_G_HELD = 8,      /* its M stands still on it: sched/preempt.c */
	RT_G_BOUND = RT_G_LOCKED | RT_G_HELD, /* runs on lock_m only */
};

/*
 * The claim word, for waits that more than one event may end (select, a
 * deadline). Whoever turns ARMED into CLAIMED wakes the G, the others leave
 * it alone. SETUP: its stack has not been left yet; whoever meets it spins
 * for the few instructions until the switch stores ARMED.
 */
enum rt_claim { RT_CLAIM_ARMED, RT_CLAIM_CLAIMED, RT_CLAIM_SETUP };

#define RT_NAME_BYTES 32

struct rt_m;
struct rt_frame;
struct rt_task;

struct rt_g {
	struct rt_link link;
	struct rt_ctx ctx;
	uint64_t id;        /* any thread reads; 0: free */
	void *wake;         /* set by the waker before it readies: what for */
	uint32_t claim;     /* enum rt_claim, atomic */
	uint32_t nr_parks;  /* births and resumptions; any thread reads */
	uint8_t reason;     /* enum rt_reason; any thread reads */
	uint8_t flags;      /* its M writes, in state RUNTIME or its SIGURG handler */
	uint16_t lock_depth;
	int32_t wake_result;

	/* Second line: what a wait with a deadline and a birth touch besides. */
	int64_t since_ns __cacheline; /* coarse clock at the park; any thread reads */
	struct rt_timer timer; /* of its wait's deadline; the heap's lock */
	void (*fn)(void *);
	void *arg;
	struct rt_m *lock_m; /* the M it is bound to */

	char name[RT_NAME_BYTES]; /* "": none */
	struct rt_frame *frame; /* innermost task run in place, sync/fork.c */
	struct rt_task *task;   /* forked task this G was made for, or NULL */
	uint32_t class;     /* stack class */
	uint32_t block_depth;
#ifdef RT_POINTS
	uint32_t on;        /* sched/check.h */
#endif
	struct rt_san san;
} __cacheline;

_Static_assert(offsetof(struct rt_g, since_ns) == RT_CACHELINE, "the hot part is one line");
_Static_assert(offsetof(struct rt_g, lock_m) < 2 * RT_CACHELINE, "so is the warm part");

/*
 * Turns ARMED into CLAIMED. True: the caller wakes g. Waits for a setup to
 * end; the one who sets up never waits for the caller meanwhile.
 */
bool rt_g_claim(struct rt_g *g);

/* The same without waiting: 1, 0, or -1 while it is set up. */
int rt_g_claim_try(struct rt_g *g);

#endif
