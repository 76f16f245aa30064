/* SPDX-License-Identifier: MIT */
/*
 * gmprt_abi.h - what the run time shares with the kernel's side
 *
 * Compiled as it is by the library, by the BPF programs and by the kernel
 * module: fixed-size types only, no function of any C library.
 *
 * A session is one process (one mm) and one piece of memory that it shares with
 * the kernel's side, made of blocks of 256 bytes:
 *
 *	block 0		head: what the rest looks like; hint and features
 *	p_first...	P slots, one block each, p_stride blocks apart
 *	m_first...	M slots, 64 bytes each, four to a block
 *
 * p_stride is the client's: with a page's worth of blocks it can map each slot
 * into its own structures. All blocks are cache-line aligned, and no line is
 * written by two sides that run on different CPUs at a time, but for the P's
 * word.
 *
 * Trust. The kernel's side takes its bounds from a copy that the client can't
 * write; from the shared memory it reads a P's number (compared with that
 * bound), the words below, and nothing else. It writes by compare-and-swap to
 * P words, and to its own fields of the slots. So whatever the client writes
 * here can hurt only the client.
 *
 * The P word: epoch:32 | owner:24 | state:8. Owner is an M's number, 0 nobody.
 * Whoever's compare-and-swap succeeds owns the P. The epoch grows whenever the P
 * changes hands, so that a stale expectation never matches. An M is in state
 * RUNTIME while it touches run-time structures; it alone writes that.
 *
 *    from     to       who                               how
 *  1 DEAD     IDLE     scheduler, under its lock         store
 *  2 IDLE     DEAD     the same                          store
 *  3 IDLE     RUNNING  who took it off the idle list     cas_acqrel, epoch + 1
 *  4 RUNNING  IDLE     owner in RUNTIME                  cas_acqrel
 *  5 RUNNING  DEAD     owner in RUNTIME, under the lock  cas_acqrel
 *  6 RUNNING  BLOCKED  owner in RUNTIME, block_enter     store_rel           (a)
 *  7 BLOCKED  RUNNING  the same owner, block_exit        cas_acqrel          (b)
 *  8 BLOCKED  IDLE     sysmon, who then gives it on      cas_acqrel, epoch+1 (c)
 *  9 RUNNING  IDLE     owner in USER, SIGURG's handler   cas_acqrel, epoch+1 (e)
 * 10 RUNNING  BLOCKED  sysmon, owner sleeps in USER      cas_acqrel          (f)
 * 11 BLOCKED  RUNNING  sysmon, it did not; or the owner  cas_acqrel
 * 12 RUNNING  FREED    kernel, on the owner's thread     cas_seq             (g)
 * 13 FREED    RUNNING  a standby                         cas_acqrel, epoch + 1
 * 14 FREED    RUNNING  kernel, switching to the owner;   cas_seq             (h)
 *                      or the owner at its next entry    cas_acqrel
 * 15 FREED    IDLE     who makes work; or sysmon         cas_acqrel, epoch + 1
 * 16 any      REVOKED  the end of a run                  cas_seq, epoch + 1  (d)
 *
 * (a) publishes the P's queues to whoever takes it in (c); (b) and (c)
 * exclude each other by the compare. (d) is final but for an owner that was
 * just about to store (a): the end of a run looks again until all words stay
 * REVOKED. Then the next entry of an owner finds a word that is not its own.
 * (e) and (f): sched/preempt.c. After (f) sysmon makes all CPUs pass a barrier
 * and reads the owner's state: in USER it goes on with (c), else it turns the
 * word back. An owner that enters meanwhile turns it back itself.
 * (g) happens when the owner, registered and in state USER, is switched out
 * because it blocked, and the P has something to run, or a hint says that it is to
 * be freed all the same; or when its thread ends.
 * The kernel looks only while this very thread is in the kernel, so program
 * order makes it see the state, and the owner that enters afterwards see the
 * word. That (g) is a full barrier publishes the queues to 13 and 15. (h) gives the
 * very same word back that the owner remembers: nobody was in between, else the
 * epoch had grown.
 *
 * Model: tests/model/upcall.pml has lines 3, 4 and 12 to 16 by these numbers,
 * pword.pml and preempt.pml have the others, freed.pml the word `freed`.
 *
 * "Something to run" costs the run time no more than it does anyway: the kernel
 * compares the P's queue words where they lie, never as an index (a wrong
 * answer makes a hand-over too many or too few), and a word for the rest.
 *
 * Work that comes to a P after it was freed with nothing to run. Two sides write,
 * pass a full barrier, and read; so one of them sees the other's:
 *
 *	who makes work			the kernel
 *	puts it into a queue		(g); freed = 1
 *	smp_mb				cas, xchg
 *	reads freed: takes such a P	reads the queues again: wakes
 *
 * An M that comes back without its P ("alone") is not stopped at once: most soon
 * block again, or call the run time, which queues them. It is sent a SIGURG at
 * once if a P idles, which it can have; else when it has run for 1 ms and is then
 * preempted; and user space, which reads alone_ns, sends one to who is not. (64
 * goroutines that nap 200 us and compute 50, on 2 CPUs: 14,000 rounds a second if
 * each is stopped as it comes back, 34,000 so, 38,000 by a thread each.)
 *
 * Versions. A client asks for GMPRT_ABI_VERSION and is refused if the kernel's
 * side has another one. Reserved fields are zero until a later version with the
 * same number gives them a meaning, which it shows by a feature bit.
 *
 * Rejected: one fixed struct with the largest sizes (1,024 Ps by 10,000 Ms are
 * 900 KB of kernel memory for each client); a count of runnable goroutines kept
 * beside the queues (two more stores in each put and get); counters of the
 * session (a line that all CPUs write: user space adds up the slots').
 */
#ifndef GMPRT_ABI_H
#define GMPRT_ABI_H

#include <linux/types.h>

#define GMPRT_ABI_MAGIC   0x54524d47u /* "GMRT" */
#define GMPRT_ABI_VERSION 1u

#define GMPRT_ABI_LINE  64u
#define GMPRT_ABI_BLOCK 256u

#define GMPRT_ABI_MAX_PS     1024u
#define GMPRT_ABI_MAX_MS     10002u /* slots: 10,000 Ms, who watches, and nobody's number 0 */
#define GMPRT_ABI_MAX_STRIDE 256u   /* blocks: 64 KiB, the largest page */
#define GMPRT_ABI_M_SHIFT    9u     /* blocks */

/* gmprt_abi_m.p of an M in state USER that the kernel's side is to leave alone: in
 * block_enter's brackets, or standing still in SIGURG's handler. */
#define GMPRT_ABI_NO_P (~0u)

enum gmprt_abi_pstate {
	GMPRT_P_DEAD,
	GMPRT_P_IDLE,
	GMPRT_P_RUNNING,
	GMPRT_P_BLOCKED,
	GMPRT_P_REVOKED,
	GMPRT_P_FREED,
};

enum gmprt_abi_mstate {
	GMPRT_M_USER,    /* goroutine code, or blocked in it */
	GMPRT_M_RUNTIME, /* inside the run time: P and queues are in use */
};

/* gmprt_abi_head.features: what the kernel's side can do here. */
enum gmprt_abi_feature {
	GMPRT_F_HOLD = 1, /* an M that runs on without a P is sent a SIGURG */
	GMPRT_F_WAKE = 2, /* gmprt_abi_p.wake has an effect */
};

/* gmprt_abi_m.kflags */
enum gmprt_abi_mflag {
	GMPRT_MF_REGISTERED = 1,
	GMPRT_MF_GONE = 2, /* its thread has ended, or begun another program */
};

/* Written by who makes the session, before anyone registers; the client reads. */
struct gmprt_abi_head {
	__u32 magic;
	__u32 version;
	__u32 session; /* its number, for gmprt_abi_call */
	__u32 features;
	__u32 nr_ps;
	__u32 nr_ms; /* slots, with number 0 */
	__u32 p_first, p_stride, m_first;
	__u32 nr_blocks;
	__u32 reserved0[6];

	/* The client's, plain stores. */
	__u32 hint; /* not 0: a P is freed also if it has nothing to run now */
	__u32 work; /* not 0: any P would find something (the global queue) */
	__u32 idle; /* not 0: a P is to be had for an M that comes back without */
	__u32 watcher; /* an M's number: it only watches; not to be shown or counted */
	__u32 reserved1[12];

	/* The kernel's: 1 after it has freed a P that had nothing to run. Who then
	 * makes work looks for that P, and sets this to 0 before. */
	__u32 freed;
	__u32 reserved2[31];
} __attribute__((aligned(256)));

struct gmprt_abi_p {
	__u64 word;
	/* The kernel's counts; written on the owner's thread. */
	__u64 nr_freed;
	__u64 nr_kept;   /* its owner blocked, but it had nothing to run */
	__u32 freed_cpu; /* last time: that is the CPU for a standby */
	__u32 reserved0[9];

	/* The client's, as its queues need them; 64 bytes that thieves write... */
	__u32 head __attribute__((aligned(64)));
	__u32 fork_top;
	__u32 thieves[14];
	/* ...and 64 that the owner writes. Something to run is: head != tail,
	 * next != 0, fork_bottom after fork_top, or the head's `work`. */
	__u32 tail __attribute__((aligned(64)));
	__u32 fork_bottom;
	__u64 next;
	__u32 owners[12];

	/* As the head's, for this P; but the head's `freed` is not set for it. */
	__u32 hint __attribute__((aligned(64)));
	/* Not 0: after (g), if there is something to run, the kernel wakes who
	 * waits for the session. */
	__u32 wake;
	__u32 reserved1[14];
} __attribute__((aligned(256)));

struct gmprt_abi_m {
	/* Its thread's, plain stores. */
	__u32 state; /* enum gmprt_abi_mstate */
	__u32 p;     /* the P it holds, or NO_P */
	__u32 reserved0[2];
	/* The kernel's, written on its thread. */
	__u32 kflags;
	__u32 nr_blocks;    /* blocked in state USER, with a P: shows that the
			     * kernel's side is there */
	__u32 nr_freed;     /* and lost its P */
	__u32 nr_reclaimed; /* and was given it back: (h) */
	__u32 nr_signals;   /* ran without a P for too long and was sent a SIGURG */
	__u32 reserved1;
	__u64 alone_ns; /* on its CPU in state USER without a P, since then
			 * (CLOCK_MONOTONIC); 0: not */
	__u64 reserved2[2];
} __attribute__((aligned(64)));

/* A client's call: the argument of the BPF program gmprt_call, of the module's
 * ioctl. It always means the calling thread. Returns 0 or -errno. */
struct gmprt_abi_call {
	__u32 op;
	__u32 session;
	__u32 m;
	__u32 reserved;
	__u64 key; /* the session's secret; the first call binds it to an mm */
};

enum gmprt_abi_op {
	GMPRT_OP_REGISTER = 1, /* -EPERM, -ERANGE (m), -EBUSY (m or the thread is taken) */
	GMPRT_OP_UNREGISTER = 2,
};

#define GMPRT_ABI_OWNER_MAX ((1u << 24) - 1)

static inline __u64 gmprt_abi_word(__u32 epoch, __u32 owner, __u32 state)
{
	return (__u64)epoch << 32 | (__u64)(owner & GMPRT_ABI_OWNER_MAX) << 8 | state;
}

static inline __u32 gmprt_abi_epoch(__u64 w)
{
	return (__u32)(w >> 32);
}

static inline __u32 gmprt_abi_owner(__u64 w)
{
	return (__u32)(w >> 8) & GMPRT_ABI_OWNER_MAX;
}

static inline __u32 gmprt_abi_state(__u64 w)
{
	return (__u32)(w & 0xff);
}

/* The same owner and epoch in another state. */
static inline __u64 gmprt_abi_with_state(__u64 w, __u32 state)
{
	return (w & ~(__u64)0xff) | state;
}

/*
 * Fills the sizes from nr_ps, nr_ms and p_stride. How many blocks that makes; 0:
 * one of the three is out of its bounds. P slots begin at a multiple of the
 * stride, so that a stride of a page means a slot at a page's begin; M slots then
 * begin at another offset in a page than the queues' words have: processors that
 * compare twelve bits of an address first take a store there for one to these.
 */
static inline __u32 gmprt_abi_shape(struct gmprt_abi_head *h)
{
	if (!h->nr_ps || h->nr_ps > GMPRT_ABI_MAX_PS || h->nr_ms < 2 ||
	    h->nr_ms > GMPRT_ABI_MAX_MS || !h->p_stride || h->p_stride > GMPRT_ABI_MAX_STRIDE)
		return 0;
	h->p_first = h->p_stride;
	h->m_first = h->p_first + h->nr_ps * h->p_stride;
	if (h->p_stride > GMPRT_ABI_M_SHIFT)
		h->m_first += GMPRT_ABI_M_SHIFT;
	h->nr_blocks = h->m_first + (h->nr_ms + 3) / 4;
	return h->nr_blocks;
}

#define GMPRT_ABI_AT(type, member, offset)                                  \
	_Static_assert(__builtin_offsetof(struct type, member) == (offset), \
		       #type "." #member " has moved")

GMPRT_ABI_AT(gmprt_abi_head, magic, 0);
GMPRT_ABI_AT(gmprt_abi_head, version, 4);
GMPRT_ABI_AT(gmprt_abi_head, session, 8);
GMPRT_ABI_AT(gmprt_abi_head, features, 12);
GMPRT_ABI_AT(gmprt_abi_head, nr_ps, 16);
GMPRT_ABI_AT(gmprt_abi_head, nr_ms, 20);
GMPRT_ABI_AT(gmprt_abi_head, p_first, 24);
GMPRT_ABI_AT(gmprt_abi_head, p_stride, 28);
GMPRT_ABI_AT(gmprt_abi_head, m_first, 32);
GMPRT_ABI_AT(gmprt_abi_head, nr_blocks, 36);
GMPRT_ABI_AT(gmprt_abi_head, hint, 64);
GMPRT_ABI_AT(gmprt_abi_head, work, 68);
GMPRT_ABI_AT(gmprt_abi_head, idle, 72);
GMPRT_ABI_AT(gmprt_abi_head, watcher, 76);
GMPRT_ABI_AT(gmprt_abi_head, freed, 128);
_Static_assert(sizeof(struct gmprt_abi_head) == GMPRT_ABI_BLOCK, "the head is a block");

GMPRT_ABI_AT(gmprt_abi_p, word, 0);
GMPRT_ABI_AT(gmprt_abi_p, nr_freed, 8);
GMPRT_ABI_AT(gmprt_abi_p, nr_kept, 16);
GMPRT_ABI_AT(gmprt_abi_p, freed_cpu, 24);
GMPRT_ABI_AT(gmprt_abi_p, head, 64);
GMPRT_ABI_AT(gmprt_abi_p, fork_top, 68);
GMPRT_ABI_AT(gmprt_abi_p, thieves, 72);
GMPRT_ABI_AT(gmprt_abi_p, tail, 128);
GMPRT_ABI_AT(gmprt_abi_p, fork_bottom, 132);
GMPRT_ABI_AT(gmprt_abi_p, next, 136);
GMPRT_ABI_AT(gmprt_abi_p, owners, 144);
GMPRT_ABI_AT(gmprt_abi_p, hint, 192);
GMPRT_ABI_AT(gmprt_abi_p, wake, 196);
_Static_assert(sizeof(struct gmprt_abi_p) == GMPRT_ABI_BLOCK, "a P slot is a block");

GMPRT_ABI_AT(gmprt_abi_m, state, 0);
GMPRT_ABI_AT(gmprt_abi_m, p, 4);
GMPRT_ABI_AT(gmprt_abi_m, kflags, 16);
GMPRT_ABI_AT(gmprt_abi_m, nr_blocks, 20);
GMPRT_ABI_AT(gmprt_abi_m, nr_freed, 24);
GMPRT_ABI_AT(gmprt_abi_m, nr_reclaimed, 28);
GMPRT_ABI_AT(gmprt_abi_m, nr_signals, 32);
GMPRT_ABI_AT(gmprt_abi_m, alone_ns, 40);
_Static_assert(sizeof(struct gmprt_abi_m) == GMPRT_ABI_LINE, "an M slot is a line");

GMPRT_ABI_AT(gmprt_abi_call, op, 0);
GMPRT_ABI_AT(gmprt_abi_call, session, 4);
GMPRT_ABI_AT(gmprt_abi_call, m, 8);
GMPRT_ABI_AT(gmprt_abi_call, key, 16);
_Static_assert(sizeof(struct gmprt_abi_call) == 24, "a call has 24 bytes");

#endif
