/* SPDX-License-Identifier: MIT */
/*
 * gmprt.h - goroutines, channels and Go's scheduler, for C
 *
 * Words. A *G* is a goroutine: a function with a stack of its own. An *M* is
 * an OS thread. A *P* is the right to run goroutines; there are GOMAXPROCS of
 * them, and an M must hold one to run a G. "Blocks the G" means that other
 * goroutines go on on the same M; "blocks the M" that the OS thread sleeps.
 *
 * Conventions, which hold wherever a function's comment says nothing else:
 *
 *  - 0 or a count is success, a negative value is -errno. errno itself is
 *    never set by a function that returns -errno.
 *  - errno belongs to the goroutine: it survives a block and a change of M.
 *    BUT libc lets compilers keep its address within a function, and after a
 *    call that may block the goroutine may be on another thread. In
 *	errno = 0;
 *	gmprt_sleep(ns);
 *	if (open(path, O_RDONLY) < 0 && errno != ENOENT)
 *    the last line may read another thread's. In a function that calls what
 *    may block, read it by gmprt_errno(); or include <gmprt/errno.h>, after
 *    which `errno` itself is right everywhere.
 *  - Times are int64_t nanoseconds. A deadline is absolute on
 *    CLOCK_MONOTONIC, gmprt_now() and more; GMPRT_FOREVER never comes.
 *  - A blocking call has three forms: plain, `_try` (never blocks, -EAGAIN)
 *    and `_dl` (with a deadline; -ETIMEDOUT, or -ENOMEM where memory for
 *    the deadline is not to be had).
 *  - Blocking calls are for goroutines: elsewhere they return -EPERM, or,
 *    where they return nothing, abort with a report. `_try` forms and
 *    wake-ups (post, unlock, close, done, gmprt_go) may be called from any
 *    thread, but not from a signal handler.
 *  - Misuse (unlocking what is not locked, a negative wait group) aborts the
 *    process with one line and a dump of all goroutines. The environment's
 *    failures (memory, threads, limits) never do: they come back as -errno,
 *    or goroutines wait until they are over, and one line on stderr says so.
 *  - A goroutine that computes, or sits in a system call, for 10 ms while others
 *    wait loses its P: its thread stands still (by SIGURG, which interrupts a
 *    system call only if it began that very moment) until it has one again.
 *    Whatever it was in the middle of, malloc or printf, goes on unharmed. So
 *    as many threads exist as goroutines are in the middle of computing; where
 *    no more can be had (max_threads, ulimit -u) all others wait for them.
 *  - Between two calls into this header a goroutine stays on its M. Over a
 *    call that may block it may change M: keep no pointer to a thread-local
 *    variable over one, and set no floating-point mode (rounding, masks) that
 *    must outlive one.
 *
 * Limits of this version:
 *
 *  - C++: an exception must be caught by the goroutine that threw it (one that
 *    leaves a goroutine's function ends the process). A goroutine may block
 *    inside a catch block, unless the C++ run time came into the program by
 *    dlopen() after the run had begun.
 *  - pthread_exit() and pthread_cancel() are not for goroutines: the process
 *    aborts with a report. Nor is a pthread_cleanup_push() that is open over a
 *    call that may block, or a pthread mutex that is held over one.
 *  - A function whose frame is larger than the guard below a stack (16 KiB) can
 *    step over it unnoticed, unless it is compiled with
 *    -fstack-clash-protection (pkg-config's flags for gmprt have it).
 *
 * fork() may be called by a goroutine, or any thread. The child has that one
 * thread and no run: the goroutine's code goes on as on an ordinary thread, with
 * what the library says there (-EPERM where it would block). It may call exec,
 * or gmprt_run(). A goroutine whose function returns in the child, or that calls
 * gmprt_exit() there, ends it: a line on stderr, exit status 2. What other
 * goroutines or threads were using at that moment (a locked mutex, a channel)
 * must not be used in the child. In a signal handler use _Fork() instead, and
 * nothing of this header after it. exec, vfork, posix_spawn, system and popen
 * are as in any process; what the run time has open is close-on-exec.
 *
 * Signals. A handler runs on any thread that does not block the signal, so also
 * on an M, and there on the stack of a goroutine, whatever that has left; with
 * SA_ONSTACK on 64 KiB of the M's own. It may call nothing of this header, and
 * must not leave by longjmp(). An M begins with the signal mask of the thread
 * that called gmprt_run(), but with SIGURG open; a mask set by a goroutine is
 * its M's from then on. SIGURG is the run time's: a handler set before the first
 * run still gets those that others send; after one is set later nothing is
 * preempted any more, nor is a thread on which a goroutine has blocked it.
 * To wait for signals, or a child: block them before gmprt_run(), then gmprt_read()
 * a signalfd, or gmprt_poll() a pidfd (examples/supervise.c).
 *
 * EINTR. Preemption sends SIGURG (SA_RESTART) to threads that run, not to one
 * that sleeps in a system call; but it may come just as one begins. Then what
 * SA_RESTART restarts goes on (read, write, accept, waitpid, flock, sem_wait,
 * pthread locks ...; a long write may be cut short), and what it does not may
 * fail with EINTR: poll, select, epoll_wait, nanosleep, usleep, sleep, pause,
 * sigsuspend, sigwaitinfo, sigtimedwait, sem_timedwait, semop, msgsnd, msgrcv,
 * io_getevents, and socket calls with SO_RCVTIMEO or SO_SNDTIMEO. Call these
 * again. No call of this header returns -EINTR.
 *
 * What ends the process:
 *
 *  - misuse: a line, a dump, SIGABRT;
 *  - SIGQUIT, if it had its default action when the run began and no thread
 *    blocks it: every goroutine on stderr, SIGABRT. A second one does nothing
 *    for 5 s, then it ends the process at once;
 *  - SIGSEGV and SIGBUS in a goroutine, if they had their default action before
 *    the first run: a line that names it, its stack, then the signal;
 *  - all goroutines blocked for ever while no thread but the run time's exists:
 *    "fatal error: all goroutines are asleep - deadlock!", a dump, exit status
 *    2. The line says so if none is left at all ("no goroutines (main called
 *    gmprt_exit) - deadlock!"), or if some wait for a stack that can't come
 *    free;
 *  - a stack overflow: a line that names the goroutine, then its stack if that
 *    can be had within a second, exit status 2. Handlers for SIGSEGV and SIGBUS
 *    that were there before the first run get all other faults.
 *
 * Environment: GMPRT_MAXPROCS (then GOMAXPROCS) number of Ps; GMPRT_UPCALL
 * backend, see gmprt_upcall_backend(); GMPRT_DEBUG, a list with commas:
 * schedtrace=MS prints Go's SCHED line on stderr every MS milliseconds, with
 * scheddetail=1 each P, M and G too; upcall says which backend a run uses, why
 * not the others, and when it is lost.
 */
#ifndef GMPRT_H
#define GMPRT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GMPRT_NORETURN   __attribute__((noreturn))
#define GMPRT_MUST_CHECK __attribute__((warn_unused_result))
#define GMPRT_API        __attribute__((visibility("default")))

/* The version of this header. */
#define GMPRT_VERSION "0.1.0"

/* A deadline that never comes. As it is: gmprt_now() + GMPRT_FOREVER overflows. */
#define GMPRT_FOREVER INT64_MAX

/* ------------------------------------------------------------------ */
/* Run time                                                           */
/* ------------------------------------------------------------------ */

/*
 * Everything a run can be told. Set .size = sizeof(struct gmprt_options),
 * leave the rest 0 or NULL for the default.
 */
struct gmprt_options {
	size_t size;        /* sizeof(struct gmprt_options) */
	int maxprocs;       /* Ps, at most 1,024; default as
			     * gmprt_maxprocs() says */
	size_t stack_size;  /* bytes of address space a goroutine's stack
			     * gets; default 256 KiB, rounded up to a power
			     * of two from 16 KiB to 1 GiB */
	int max_threads;    /* most Ms at a time; default 10,000. There, and
			     * where the system refuses a thread,
			     * goroutines wait for an M to come back from
			     * what it is blocked in */
	const char *upcall; /* backend: "sysmon"; "bpf" (Linux 5.18, and root,
			     * CAP_BPF and CAP_PERFMON, or the daemon gmpd);
			     * "kmod" (the module gmprt and the right to open
			     * /dev/gmprt); what can't be had is the one
			     * before it, and a line says why; or "auto", the
			     * last of them that can be had; default: the
			     * environment's GMPRT_UPCALL, else "auto" */
};

/*
 * Runs fn(argc, argv) as the main goroutine, with default options.
 *
 * Returns fn's result when fn returns, or -errno if the run time could not
 * start (-ENOMEM, -EAGAIN: no thread, -EBUSY: a run is under way already,
 * -EPERM: called from a goroutine, -EINVAL: fn is NULL, or an environment
 * variable is malformed; the reason is then printed on stderr in one line).
 * Call from an ordinary thread with 64 KiB of stack left; blocks it. The other
 * goroutines do not live on after fn: see gmprt_run().
 */
GMPRT_API int gmprt_main(int (*fn)(int argc, char **argv), int argc, char **argv);

/*
 * Starts the run time, runs fn(arg) as the main goroutine and returns 0 when
 * fn has returned. opt may be NULL and is not kept.
 *
 * The goroutines that are left then are ended where they stand: parked and
 * runnable ones never run again, their stacks are freed without unwinding;
 * one that computes or sits in a blocking system call on another M goes on
 * only up to its next call into this library, and its thread ends there.
 * gmprt_run() does not wait for those; let them finish first (a wait group)
 * where they use what the caller frees.
 *
 * May be called again after it returned. Errors: as gmprt_main(), and
 * -EINVAL for options that are out of range or of an unknown size.
 * What goroutines waited on when the run ended (a channel, a semaphore) must
 * not be used any more; gmprt_chan_free() frees such a channel.
 *
 * Call from an ordinary thread; it sleeps until then.
 */
GMPRT_API int gmprt_run(const struct gmprt_options *opt, void (*fn)(void *), void *arg)
	GMPRT_MUST_CHECK;

/*
 * Sets the number of Ps if n > 0 (at most 1,024; more is cut to that) and
 * returns the number before. n <= 0 only asks.
 *
 * The number at the start: options.maxprocs, else GMPRT_MAXPROCS, else
 * GOMAXPROCS, else the smallest of the CPUs in the affinity mask and the CPU
 * limits of the process' cgroup and each of its ancestors (rounded up). This
 * last number is looked up again once a second while goroutines run, and
 * followed, until it is set here. The mask that counts is not one thread's but
 * the process' (taskset -ap, a cpuset): that of the run time's own thread,
 * which inherits it from gmprt_run()'s caller.
 * Shrinking takes effect for a P when its M next enters the run time, or after
 * 10 ms of computing.
 * Asking works from any thread (outside a run: the default, or -EINVAL if the
 * environment's number is malformed); setting from a goroutine only, elsewhere
 * -EPERM. Blocks nothing.
 */
GMPRT_API int gmprt_maxprocs(int n);

/*
 * The backend that tells the run time of blocked Ms: "sysmon", which looks every
 * 20 us to 10 ms, or one in the kernel, which tells it at once: "bpf", programs,
 * or "kmod", a module. Where the programs go in the middle of a run (gmpctl
 * unload, another gmpd) sysmon finds that within some of its looks: then it is
 * "sysmon", until the end of that run. A constant string; outside a run "sysmon".
 * Any thread.
 *
 * With "bpf" and "kmod" a goroutine that comes back from a call that blocked may run without
 * a P for some milliseconds, beside those that hold one, before it waits for its
 * turn: so with one P, too, two of them can run at the same time.
 */
GMPRT_API const char *gmprt_upcall_backend(void);

/* ------------------------------------------------------------------ */
/* Goroutines                                                         */
/* ------------------------------------------------------------------ */

/* What a goroutine can be given. Set .size = sizeof(struct gmprt_attr). */
struct gmprt_attr {
	size_t size;
	size_t stack_size; /* bytes; 0: the run's default. Rounded as there */
	const char *name;  /* copied, at most 31 bytes; shown by gmprt_dump() */
};

/*
 * Starts a goroutine that runs fn(arg) and then ends. The new goroutine runs
 * next on this P, like Go's.
 *
 * Any thread while a run is under way. 0; -ENOMEM; -EINVAL: fn is NULL;
 * -EPERM: no run is under way. arg is handed over as it is; nothing is freed.
 * Blocks nothing. No stack is allocated before the goroutine first runs: if
 * that fails, the goroutine waits for a stack, it is not lost.
 */
GMPRT_API int gmprt_go(void (*fn)(void *), void *arg) GMPRT_MUST_CHECK;

/* The same with a name or a stack size; attr may be NULL. Also -EINVAL. */
GMPRT_API int gmprt_go_attr(const struct gmprt_attr *attr, void (*fn)(void *), void *arg)
	GMPRT_MUST_CHECK;

/*
 * Lets the other runnable goroutines of this P run first. From an ordinary
 * thread: sched_yield().
 */
GMPRT_API void gmprt_yield(void);

/*
 * Ends this goroutine. No destructors run and nothing is unwound; for the
 * main goroutine it does not end the run (as runtime.Goexit in Go): the
 * others go on. In a task that gmprt_join() runs in place it ends the task.
 * Aborts when called from an ordinary thread.
 */
GMPRT_API GMPRT_NORETURN void gmprt_exit(void);

/*
 * errno of the calling goroutine or thread, read anew. For functions that use
 * errno on both sides of a call that may block: there the plain name may mean
 * the M before. Setting errno in a function that does not block is safe.
 */
GMPRT_API int gmprt_errno(void);

/*
 * This goroutine's number, from 1 (main), never used again within a run; 0
 * on an ordinary thread. A task run in place by gmprt_join() has the
 * joiner's number.
 */
GMPRT_API uint64_t gmprt_id(void);

/*
 * Goroutines that exist now, started or not. A sum over Ps without a lock:
 * exact when nothing else creates or ends goroutines meanwhile; else never less
 * than those that existed all the time. Any thread.
 */
GMPRT_API long gmprt_num_goroutine(void);

/*
 * Binds this goroutine to its M until as many unlocks have been called: no
 * other goroutine runs on this OS thread meanwhile, and this one on no other.
 * For libraries that keep state in thread-local variables. A goroutine that
 * ends locked takes its OS thread with it, and no other thread of the run time
 * is ever cloned from it: what it changed there (affinity, signal mask,
 * namespaces) nobody inherits. Goroutines only, else it aborts; an unlock too
 * many aborts, as does a 65,536th lock.
 */
GMPRT_API void gmprt_lock_os_thread(void);
GMPRT_API void gmprt_unlock_os_thread(void);

/*
 * The time now, ns on CLOCK_MONOTONIC: deadlines count from it, as in
 * gmprt_chan_recv_dl(c, &v, gmprt_now() + 50000000). Any thread, any time,
 * signal handlers too. Keeps errno. Blocks nothing.
 */
GMPRT_API int64_t gmprt_now(void);

/*
 * Blocks the G for ns nanoseconds or a little longer (ns <= 0: yields).
 * 0; -EPERM: not a goroutine; -ENOMEM.
 */
GMPRT_API int gmprt_sleep(int64_t ns);

/*
 * Brackets around code that may block the M in the kernel: a plain read() of
 * a file, a library that talks to a server. While the M is inside, its P may
 * be taken and given to another M, so that other goroutines go on; if it was,
 * exit waits (blocking the G) until there is a P again.
 *
 * Between the brackets call nothing that blocks the G: it returns -EPERM, or
 * aborts where it returns nothing. They do not nest:
 * inner pairs are counted and ignored. They keep errno. On an ordinary
 * thread they do nothing. Only the sysmon backend needs them; elsewhere they
 * cost a few ns. exit without enter aborts.
 */
GMPRT_API void gmprt_block_enter(void);
GMPRT_API void gmprt_block_exit(void);

/* ------------------------------------------------------------------ */
/* Fork and join                                                      */
/* ------------------------------------------------------------------ */

/*
 * A child that will be joined. The caller's storage, for example on its
 * stack; it must stay until gmprt_join() has returned. Fields are private.
 */
struct gmprt_task {
	void (*fn)(void *);
	void *arg;
	uint64_t opaque[5];
};

/*
 * Offers fn(arg) to be run by any P. Tens of ns: nothing is allocated.
 * Goroutines only. 0; -EPERM elsewhere; -ENOMEM only when more than the
 * run time's own queue of 255 tasks a P is full and memory is out: then the
 * task was not taken and must not be joined.
 */
GMPRT_API int gmprt_fork(struct gmprt_task *t, void (*fn)(void *), void *arg)
	GMPRT_MUST_CHECK;

/*
 * Returns when t's function has returned. If no P has begun it, the joiner
 * runs it right here, on its own stack, as a plain call (unless little stack
 * is left; then it is run like any other and the G blocks). Each forked task
 * must be joined exactly once, in any order, by any goroutine. A second join
 * aborts if another P ran the task; else it waits for ever. A join of a zeroed
 * task, or of one whose fork failed, aborts.
 * Goroutines only; aborts elsewhere.
 */
GMPRT_API void gmprt_join(struct gmprt_task *t);

/* ------------------------------------------------------------------ */
/* Channels and select                                                */
/* ------------------------------------------------------------------ */

/* A queue of elements of one size, with Go's meaning in every point. */
typedef struct gmprt_chan gmprt_chan;

/*
 * A channel for elements of elem_size bytes (0 is allowed, at most 64 KiB)
 * that buffers cap of them (0: unbuffered). NULL with errno ENOMEM or EINVAL
 * on failure. Any thread, also outside a run. Free with gmprt_chan_free().
 */
GMPRT_API gmprt_chan *gmprt_chan_make(size_t elem_size, size_t cap) GMPRT_MUST_CHECK;

/*
 * Frees c and what it buffers. No one may use c any more: if goroutines wait
 * on it, the process aborts with a report. NULL is allowed. Any thread.
 */
GMPRT_API void gmprt_chan_free(gmprt_chan *c);

/*
 * Sends a copy of *elem: to the receiver that has waited longest, else into
 * the buffer, else blocks the G. elem may be NULL where elem_size is 0.
 * 0; -EPIPE: c is closed, or was while this waited (Go panics here);
 * -EPERM: would block and is not a goroutine; _try: -EAGAIN;
 * _dl: -ETIMEDOUT. c == NULL blocks for ever (Go's nil channel; _try:
 * -EAGAIN, _dl: until the deadline).
 */
GMPRT_API int gmprt_chan_send(gmprt_chan *c, const void *elem);
GMPRT_API int gmprt_chan_send_try(gmprt_chan *c, const void *elem) GMPRT_MUST_CHECK;
GMPRT_API int gmprt_chan_send_dl(gmprt_chan *c, const void *elem, int64_t deadline)
	GMPRT_MUST_CHECK;

/*
 * Receives the oldest element into *elem (NULL: drops it). Blocks the G
 * while there is none. 0; -EPIPE: closed and drained, *elem zeroed; the rest
 * as for send.
 */
GMPRT_API int gmprt_chan_recv(gmprt_chan *c, void *elem);
GMPRT_API int gmprt_chan_recv_try(gmprt_chan *c, void *elem) GMPRT_MUST_CHECK;
GMPRT_API int gmprt_chan_recv_dl(gmprt_chan *c, void *elem, int64_t deadline)
	GMPRT_MUST_CHECK;

/*
 * Closes c: what is buffered can still be received, then receivers get
 * -EPIPE at once; all that wait now are woken. 0; -EPIPE: was closed already;
 * -EINVAL: NULL. Any thread. Blocks nothing.
 */
GMPRT_API int gmprt_chan_close(gmprt_chan *c);

/* Elements buffered now; room for how many. 0 for NULL. Any thread. */
GMPRT_API size_t gmprt_chan_len(const gmprt_chan *c);
GMPRT_API size_t gmprt_chan_cap(const gmprt_chan *c);

enum gmprt_op { GMPRT_SEND,
		GMPRT_RECV };

/* One case of a select. */
struct gmprt_case {
	enum gmprt_op op;
	gmprt_chan *chan; /* NULL: never ready */
	void *elem;       /* sent from or received into, as above */
	int result;       /* out, of the case that ran: 0 or -EPIPE */
};

/*
 * Waits until one of n cases can run, runs it and returns its index; if
 * several can, one of them with equal probability. The same channel may stand
 * in several cases. n == 0 blocks for ever. At most 65,535 cases.
 * Blocks the G. -EINVAL: n or an op out of range; -EPERM: would block and is
 * not a goroutine; -ENOMEM; _try: -EAGAIN: none ready; _dl: -ETIMEDOUT.
 */
GMPRT_API int gmprt_select(struct gmprt_case *cases, size_t n);
GMPRT_API int gmprt_select_try(struct gmprt_case *cases, size_t n) GMPRT_MUST_CHECK;
GMPRT_API int gmprt_select_dl(struct gmprt_case *cases, size_t n, int64_t deadline)
	GMPRT_MUST_CHECK;

/* ------------------------------------------------------------------ */
/* Time                                                               */
/* ------------------------------------------------------------------ */

/*
 * A channel that receives the time when it has come, once or again and again;
 * to be waited on beside others in a select. The value is an int64_t: the ns on
 * CLOCK_MONOTONIC for which it was set.
 *
 * The channel behaves as one without a buffer: once stop or reset has returned,
 * nothing can be received any more that was sent before (Go since 1.23), and
 * gmprt_chan_len() is 0. A receive, _try and select too, finds the time if it
 * has passed. The channel is the timer's: receive from it; to send to it, to
 * close or to free it is misuse.
 *
 * Precision: a little late, never early; some 50 us on an idle machine, and up
 * to 0.3 ms more where timers and sleeps end every 50 us or more often, for
 * then they are served many at a time.
 *
 * Any thread may call, while a run is under way (-EPERM else); the functions
 * block nothing. The run's end stops all timers, and so does fork() in the child;
 * they can be set again in the next run, unless goroutines waited on them: then
 * they can only be freed.
 */
typedef struct gmprt_timer gmprt_timer;
typedef struct gmprt_ticker gmprt_ticker;

/*
 * A timer that sends once, ns from now (ns <= 0: at once). NULL with errno
 * ENOMEM or EPERM on failure. Free with gmprt_timer_free().
 */
GMPRT_API gmprt_timer *gmprt_timer_make(int64_t ns) GMPRT_MUST_CHECK;

/* Where it sends to; the same until the timer is freed. */
GMPRT_API gmprt_chan *gmprt_timer_chan(gmprt_timer *t);

/*
 * From here on it sends nothing. 1: it was pending, or nobody had received what
 * it sent; 0: it was stopped, or somebody had; -EINVAL: NULL. Nothing need be
 * taken out of the channel afterwards. A goroutine that waits on the channel goes
 * on waiting. Outside a run too.
 */
GMPRT_API int gmprt_timer_stop(gmprt_timer *t);

/* Stops it and sets it to send ns from now. As stop; -EPERM; -ENOMEM: then it is
 * stopped. */
GMPRT_API int gmprt_timer_reset(gmprt_timer *t, int64_t ns) GMPRT_MUST_CHECK;

/*
 * Stops and frees it, with its channel, which nobody may use any more: if
 * goroutines wait on it, the process aborts with a report. NULL is allowed.
 * Outside a run too.
 */
GMPRT_API void gmprt_timer_free(gmprt_timer *t);

/*
 * A ticker sends every period_ns, first one period from now. It keeps its
 * phase; ticks that nobody receives before the next one is due are lost. NULL
 * with errno EINVAL (period_ns <= 0), ENOMEM or EPERM on failure.
 */
GMPRT_API gmprt_ticker *gmprt_ticker_make(int64_t period_ns) GMPRT_MUST_CHECK;
GMPRT_API gmprt_chan *gmprt_ticker_chan(gmprt_ticker *t);
GMPRT_API int gmprt_ticker_stop(gmprt_ticker *t);
/* Sets another period, of which the first begins now. Also -EINVAL: period_ns
 * is not positive; then nothing has changed. */
GMPRT_API int gmprt_ticker_reset(gmprt_ticker *t, int64_t period_ns) GMPRT_MUST_CHECK;
GMPRT_API void gmprt_ticker_free(gmprt_ticker *t);

/* ------------------------------------------------------------------ */
/* Synchronization                                                    */
/* ------------------------------------------------------------------ */

/*
 * All of these are ready to use when zeroed (static data, calloc, = { 0 }),
 * need no destructor, and may lie on a goroutine's stack. They must not be
 * copied or moved while in use. Fields are private.
 */

/*
 * Mutual exclusion between goroutines. Not recursive, owned by nobody: any
 * goroutine may unlock. Waiters queue in FIFO order; a running goroutine may
 * overtake them, but none waits longer than about 1 ms behind overtakers.
 */
typedef struct {
	uint32_t word;
	uint32_t aux;
	void *head, *tail;
} gmprt_mutex;

/* Locks m. Blocks the G. On an ordinary thread it aborts if it must wait. */
GMPRT_API void gmprt_mutex_lock(gmprt_mutex *m);
/* 0; -EAGAIN: is locked. Any thread. */
GMPRT_API int gmprt_mutex_lock_try(gmprt_mutex *m) GMPRT_MUST_CHECK;
/* 0; -ETIMEDOUT; -EPERM: would block and is not a goroutine. */
GMPRT_API int gmprt_mutex_lock_dl(gmprt_mutex *m, int64_t deadline) GMPRT_MUST_CHECK;
/* Unlocks m; aborts if it was not locked. Any thread. Blocks nothing. */
GMPRT_API void gmprt_mutex_unlock(gmprt_mutex *m);

/*
 * Counting semaphore. FIFO: a post goes to the goroutine that has waited
 * longest. At most 2^30-1 units; a post beyond that aborts. A waiter may free
 * it as soon as its wait has returned, even while the post returns.
 */
typedef struct {
	uint32_t word;
	uint32_t aux;
	void *head, *tail;
} gmprt_sem;

/* A semaphore that holds n units: gmprt_sem s = GMPRT_SEM_INIT(3); */
#define GMPRT_SEM_INIT(n)                         \
	{                                         \
		(uint32_t)(n) << 2, 0, NULL, NULL \
	}

/* Takes a unit; blocks the G while there is none. 0; -EPERM; -EAGAIN
 * (_try); -ETIMEDOUT (_dl). */
GMPRT_API int gmprt_sem_wait(gmprt_sem *s);
GMPRT_API int gmprt_sem_wait_try(gmprt_sem *s) GMPRT_MUST_CHECK;
GMPRT_API int gmprt_sem_wait_dl(gmprt_sem *s, int64_t deadline) GMPRT_MUST_CHECK;
/* Gives a unit back. Any thread. Blocks nothing. */
GMPRT_API void gmprt_sem_post(gmprt_sem *s);

/*
 * Wait group: counts things that are under way. May be reused or freed as
 * soon as wait returned. Add what you will wait for before you wait.
 */
typedef struct {
	uint64_t word;
	void *head, *tail;
} gmprt_wg;

/* Adds n (may be negative). A count below 0 or above 2^31-1 aborts. Any
 * thread. */
GMPRT_API void gmprt_wg_add(gmprt_wg *w, long n);
/* gmprt_wg_add(w, -1) */
GMPRT_API void gmprt_wg_done(gmprt_wg *w);
/* Blocks the G until the count is 0. Aborts on an ordinary thread if it must
 * wait. */
GMPRT_API void gmprt_wg_wait(gmprt_wg *w);
/* 0; -EAGAIN: the count is not 0 (any thread). */
GMPRT_API int gmprt_wg_wait_try(gmprt_wg *w) GMPRT_MUST_CHECK;
/* 0; -ETIMEDOUT; -EPERM. */
GMPRT_API int gmprt_wg_wait_dl(gmprt_wg *w, int64_t deadline) GMPRT_MUST_CHECK;

/* Something to be done once. */
typedef struct {
	uint32_t done;
	gmprt_mutex mutex;
} gmprt_once;

/*
 * Runs fn(arg) if it is the first call for o. When it returns, fn has
 * returned, whoever ran it. Blocks the G while another runs it. fn must not
 * call gmprt_once_do() on the same o, which deadlocks, and must return (not
 * gmprt_exit()). Goroutines only, unless it was done before; elsewhere it
 * aborts.
 */
GMPRT_API void gmprt_once_do(gmprt_once *o, void (*fn)(void *), void *arg);

/* ------------------------------------------------------------------ */
/* Looking inside                                                     */
/* ------------------------------------------------------------------ */

/*
 * Writes every goroutine to fd as text, in the order of their numbers: id,
 * name, state, why it waits and for how long, stack. A stack begins with the
 * function of this header that was called; what lies below in the run time is
 * left out. Stops nobody: a goroutine that begins or moves meanwhile is shown
 * without its stack. Any thread, any time; outside a run it says so. Write
 * errors are ignored. Blocks the M for as long as fd takes it.
 */
GMPRT_API void gmprt_dump(int fd);

/*
 * Counters of the current run, or of the last one. Set .size before the
 * call; fields beyond it are left out, fields this library does not know are
 * zeroed. Sums without a lock: each is right, they need not fit each other
 * to the last unit.
 */
struct gmprt_stats {
	size_t size;
	int maxprocs;                  /* Ps now */
	int nr_threads;                /* Ms now */
	int nr_threads_peak;           /* most Ms at a time */
	int nr_idle_threads;           /* Ms parked now */
	uint64_t nr_goroutines;        /* existing now */
	uint64_t nr_created;           /* goroutines ever, without forked tasks */
	uint64_t nr_ended;             /* of these */
	uint64_t nr_switches;          /* times a P began or resumed a goroutine */
	uint64_t nr_steals;            /* times a P took work from another P */
	uint64_t nr_overflows;         /* halves of a run queue moved to the GRQ */
	uint64_t nr_wakeups;           /* times an idle P was put to work */
	uint64_t nr_blocks;            /* brackets entered, inner pairs left out */
	uint64_t nr_handoffs;          /* Ps that changed hands since their M
					* was blocked */
	uint64_t idle_with_work_ns;    /* P time lost: its M blocked, its own
					* queue not empty, nobody had taken it */
	uint64_t nr_forks;             /* gmprt_fork() calls */
	uint64_t nr_inline_joins;      /* of those, run in place by their join */
	uint64_t stack_bytes_reserved; /* address space */
	uint64_t nr_stacks;            /* stacks in use or cached */
	uint64_t nr_io_waits;          /* times a goroutine waited for a file */
	uint64_t nr_io_waiting;        /* goroutines that do now */
	uint64_t nr_preempts;          /* times a goroutine that had computed
					* for 10 ms had to wait */
};

/* 0; -EINVAL: size is less than that of the first two fields; -ENODATA:
 * nothing has run yet. Any thread. */
GMPRT_API int gmprt_stats_read(struct gmprt_stats *s) GMPRT_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#include <gmprt/io.h>

#endif /* GMPRT_H */
