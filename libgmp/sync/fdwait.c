/* SPDX-License-Identifier: MIT */
/*
 * fdwait.c - see fdwait.h
 *
 * The wait itself is netpoll.h's protocol, the deadline wait.h's.
 *
 * Closing: the entry is marked, so that no call begins and none parks; who
 * waits is woken with -ECANCELED and does not touch the number again; calls
 * under way, and those that an event has just woken, are waited for: they hold
 * a use. Then the entry is made new, and only then close(2) gives the number
 * away.
 */
#include "sync/fdwait.h"

#include <errno.h>

#include "base/sysio.h"
#include "sched/block.h"
#include "sched/poll.h"
#include "sync/wait.h"

enum {
	PAUSE_MOST_MS = 16,
	WARM_LINES = 8,
};

/* ---- entries ------------------------------------------------------ */

/* State RUNTIME for an M with a P; others take the lock as they are. */
static struct rt_m *lock_entry(struct rt_fd *e)
{
	struct rt_m *m = rt_enter();

	rt_spin_lock(&e->lock);
	return m;
}

static void unlock_entry(struct rt_fd *e, struct rt_m *m)
{
	rt_spin_unlock(&e->lock);
	if (m)
		rt_leave(m);
}

static __noinline int learn(struct rt_io *io)
{
	uint8_t flags;
	int kind = rt_fd_ask(io->fd, &flags);
	struct rt_m *m;

	if (kind < 0 || !io->e)
		return kind;
	m = lock_entry(io->e);
	if (!io->e->kind) {
		flags |= io->e->flags & (RT_FD_OURS | RT_FD_REGISTERED);
		store_rlx(&io->e->flags, flags);
		store_rlx(&io->e->kind, (uint8_t)kind);
	}
	unlock_entry(io->e, m);
	return kind;
}

void rt_io_set_flag(struct rt_io *io, uint8_t flag)
{
	struct rt_m *m;

	if (!io->e)
		return;
	m = lock_entry(io->e);
	store_rlx(&io->e->flags, io->e->flags | flag);
	unlock_entry(io->e, m);
}

void rt_io_set_kind(struct rt_io *io, enum rt_fd_kind kind)
{
	struct rt_m *m;

	if (!io->e)
		return;
	m = lock_entry(io->e);
	store_rlx(&io->e->flags, io->e->flags & RT_FD_REGISTERED);
	store_rlx(&io->e->kind, (uint8_t)kind);
	unlock_entry(io->e, m);
}

void rt_io_set_sticky(struct rt_io *io)
{
	if (io->e)
		store_rlx(&io->e->sticky, 1);
}

/* ---- begin and end ------------------------------------------------ */

int rt_io_begin(struct rt_io *io, int fd, uint8_t dirs, int64_t deadline)
{
	struct rt_m *m = rt_m_self();
	int kind;

	*io = (struct rt_io){ .fd = fd, .dirs = dirs, .deadline = deadline };
	if (unlikely(fd < 0))
		return -EBADF;
	if (unlikely(!m))
		return learn(io);
	io->e = rt_fd_find(&m->s->np.fds, fd);
	if (unlikely(!io->e))
		return -ENOMEM;
	if (unlikely(!rt_fd_get(io->e))) {
		rt_io_end(io);
		return -ECANCELED;
	}
	io->gen = load_rlx(&io->e->gen);
	kind = load_rlx(&io->e->kind);
	if (likely(kind))
		return kind;
	kind = learn(io);
	if (kind < 0)
		rt_io_end(io);
	return kind;
}

int rt_io_relearn(struct rt_io *io)
{
	int kind;

	rt_io_set_kind(io, RT_FD_UNKNOWN);
	kind = learn(io);
	if (kind < 0)
		rt_io_end(io);
	return kind;
}

static __cold void wake_closer(struct rt_fd *e)
{
	struct rt_m *m = lock_entry(e);
	struct rt_g *g = e->closer;

	e->closer = NULL;
	rt_spin_unlock(&e->lock);
	if (g)
		rt_ready(m, g);
	if (m)
		rt_leave(m);
}

void rt_io_end(struct rt_io *io)
{
	struct rt_fd *e = io->e;

	io->e = NULL;
	if (e && rt_fd_put(e))
		wake_closer(e);
}

/* ---- waiting ------------------------------------------------------ */

enum { TRY_AGAIN, PARK };

static enum rt_reason reason_of(const struct rt_io *io)
{
	if (io->polls)
		return RT_REASON_IO_POLL;
	return io->dirs == RT_FD_IN ? RT_REASON_IO_READ : RT_REASON_IO_WRITE;
}

static int prepare_locked(struct rt_io *io, struct rt_sched *s)
{
	struct rt_fd *e = io->e;
	int r;

	if (load_rlx(&e->use) & RT_FD_CLOSING)
		return -ECANCELED;
	r = rt_netpoll_watch_locked(&s->np, e, io->fd, io->dirs);
	if (r)
		return r == -EPERM ? RT_IO_FILE : r;
	io->gen = e->gen;
	return e->seq == io->seq ? PARK : TRY_AGAIN;
}

/* Everything up to the park. PARK: the entry is locked, the timer runs. */
static int prepare(struct rt_io *io, struct rt_m *m, bool timed, int64_t until)
{
	/* A registered file says that there is a netpoller. */
	int r = load_rlx(&io->e->flags) & RT_FD_REGISTERED ? 0 : rt_poll_open(m->s);

	if (r == 0 && timed)
		r = rt_deadline_arm(m, until);
	if (r)
		return r;
	rt_spin_lock(&io->e->lock);
	r = prepare_locked(io, m->s);
	if (r == PARK)
		return r;
	rt_spin_unlock(&io->e->lock);
	if (timed)
		rt_deadline_disarm(m);
	return r;
}

static void unqueue(struct rt_fd *e, struct rt_fdwait *w)
{
	rt_spin_lock(&e->lock);
	if (w->queued)
		rt_fdwait_remove_locked(e, w);
	rt_spin_unlock(&e->lock);
}

/*
 * A server's goroutines run once for each message, and the kernel's work for the
 * others has pushed them out of the cache meanwhile. So the stack of the one
 * after the next is fetched now: it comes while the next one runs.
 */
static void warm_stacks(struct rt_p *p)
{
	rt_work w = rt_runq_peek(&p->q, 1);

	if (w && !rt_work_is_spawn(w)) {
		const char *sp = load_rlx(&rt_work_to_g(w)->ctx.sp);

		for (int i = 0; i < WARM_LINES; i++)
			__builtin_prefetch(sp + i * RT_CACHELINE, 1);
	}
}

/* In m's RUNTIME, left at the end. As rt_io_wait(). */
static int wait_in(struct rt_io *io, struct rt_m *m, int64_t until)
{
	bool timed = until != GMPRT_FOREVER;
	struct rt_fd *e = io->e;
	struct rt_fdwait w;
	int r = prepare(io, m, timed, until);

	if (r != PARK) {
		rt_leave(m);
		if (r != TRY_AGAIN)
			rt_io_end(io);
		return r;
	}
	w.g = m->curg;
	w.dirs = io->dirs;
	w.claim = timed;
	rt_fdwait_put_locked(e, &w);
	/* Not the last one of a file that is being closed: that begins under
	 * the lock, and finds the waiter instead. */
	fetch_add_seq(&e->use, -1);
	count_inc(&m->p->n.io_waits);
	warm_stacks(m->p);
	rt_wait(&m, reason_of(io), &e->lock.word, 0, timed);
	count_inc(&m->p->n.io_wakes);
	r = m->curg->wake_result;
	if (unlikely(r)) {
		unqueue(e, &w);
		io->e = NULL;
	}
	rt_leave(m);
	return r;
}

/* After a pause, which gives no use: is it the same file still? */
static int regain(struct rt_io *io, struct rt_fd *e)
{
	io->e = e;
	if (rt_fd_get(e) && load_rlx(&e->gen) == io->gen)
		return 0;
	rt_io_end(io);
	return -ECANCELED;
}

static int64_t wait_until(struct rt_io *io)
{
	int64_t pause = io->pause_ns, until;

	if (!pause)
		return io->deadline;
	if (pause < PAUSE_MOST_MS * RT_NS_PER_MS)
		io->pause_ns = 2 * pause;
	until = rt_now_ns() + pause;
	return until < io->deadline ? until : io->deadline;
}

int rt_io_wait(struct rt_io *io)
{
	struct rt_fd *e = io->e;
	struct rt_m *m = e && io->deadline != RT_IO_TRY ? rt_enter() : NULL;
	int64_t until;
	int r;

	if (!m) {
		rt_io_end(io);
		return io->deadline == RT_IO_TRY ? -EAGAIN : -EPERM;
	}
	until = wait_until(io);
	r = wait_in(io, m, until);
	return r == -ETIMEDOUT && until != io->deadline ? regain(io, e) : r;
}

/* ---- new files ---------------------------------------------------- */

/* Wakes all of a list from take_locked(). */
static void ready_all(struct rt_m *m, struct rt_worklist *l)
{
	rt_work w;

	while ((w = rt_worklist_pop(l)))
		rt_ready(m, rt_work_to_g(w));
}

/* The calling M's scheduler, or with a reference the one there is; or NULL. */
static struct rt_sched *sched_get(struct rt_m *m)
{
	return m ? m->s : rt_cur_get();
}

static void sched_put(struct rt_m *m, struct rt_sched *s)
{
	if (!m && s)
		rt_sched_unref(s);
}

/* Whoever waits here waits for a file that was closed by close(2). */
static void adopt_locked(struct rt_netpoll *np, struct rt_fd *e, enum rt_fd_kind kind,
			 uint8_t flags, struct rt_worklist *left)
{
	if (e->flags & RT_FD_REGISTERED)
		fetch_add_seq(&np->nr_registered, -1);
	rt_fdwait_take_locked(e, RT_FD_IN | RT_FD_OUT, -ECANCELED, left);
	rt_fd_reset_locked(e, kind, flags | RT_FD_OURS);
}

void rt_io_adopt(int fd, enum rt_fd_kind kind, uint8_t flags)
{
	struct rt_worklist left = { 0 };
	struct rt_m *m = rt_enter();
	struct rt_sched *s = sched_get(m);
	struct rt_fd *e = s ? rt_fd_find(&s->np.fds, fd) : NULL;

	if (e) {
		rt_spin_lock(&e->lock);
		adopt_locked(&s->np, e, kind, flags, &left);
		rt_spin_unlock(&e->lock);
		ready_all(m, &left);
	}
	sched_put(m, s);
	if (m)
		rt_leave(m);
}

/* ---- closing ------------------------------------------------------ */

/* 0, or -EBADF: somebody closes it already. */
static int close_begin(struct rt_netpoll *np, struct rt_fd *e, int fd, struct rt_worklist *woken)
{
	int r = -EBADF;

	rt_spin_lock(&e->lock);
	if (!(fetch_or_seq(&e->use, RT_FD_CLOSING) & RT_FD_CLOSING)) {
		rt_netpoll_unwatch_locked(np, e, fd);
		rt_fdwait_take_locked(e, RT_FD_IN | RT_FD_OUT, -ECANCELED, woken);
		r = 0;
	}
	rt_spin_unlock(&e->lock);
	return r;
}

/* Returns the M that the caller runs on then, in state RUNTIME; NULL as m. */
static struct rt_m *wait_unused(struct rt_sched *s, struct rt_fd *e, struct rt_m *m)
{
	unsigned int round = 0;

	for (;;) {
		rt_spin_lock(&e->lock);
		/* At the end of a run those that were just woken never run. */
		if (load_acq(&e->use) == RT_FD_CLOSING || load_acq(&s->stopping)) {
			rt_spin_unlock(&e->lock);
			return m;
		}
		if (m) {
			e->closer = m->curg;
			m = rt_park(m, RT_REASON_IO_CLOSE, &e->lock.word, 0);
		} else {
			rt_spin_unlock(&e->lock);
			rt_backoff(&round);
		}
	}
}

static struct rt_m *close_end(struct rt_sched *s, struct rt_fd *e, struct rt_m *m)
{
	m = wait_unused(s, e, m);
	rt_spin_lock(&e->lock);
	rt_fd_reset_locked(e, RT_FD_UNKNOWN, 0);
	/* release: pairs with rt_fd_get() */
	fetch_and_seq(&e->use, ~RT_FD_CLOSING);
	rt_spin_unlock(&e->lock);
	return m;
}

int rt_io_close(int fd)
{
	struct rt_worklist woken = { 0 };
	struct rt_m *m = rt_enter();
	struct rt_sched *s = sched_get(m);
	struct rt_fd *e = s && fd >= 0 ? rt_fd_peek(&s->np.fds, fd) : NULL;
	int r = 0;

	if (e) {
		r = close_begin(&s->np, e, fd, &woken);
		ready_all(m, &woken);
		if (r == 0)
			m = close_end(s, e, m);
	}
	sched_put(m, s);
	if (m)
		rt_leave(m);
	if (r)
		return r;
	rt_block_enter(); /* it may linger, or flush */
	r = rt_sys_close(fd);
	rt_block_exit();
	return r;
}
