/* SPDX-License-Identifier: MIT */
/*
 * netpoll.c - see netpoll.h
 */
#include "core/netpoll.h"

#include <errno.h>

#include "base/sysio.h"
#include "core/g.h"

#ifndef EPOLLRDHUP
#define EPOLLRDHUP 0x2000
#endif

enum { AHEAD = 4 };

#define KICK    UINT64_MAX
#define EV_IN   ((uint32_t)(EPOLLIN | EPOLLPRI | EPOLLRDHUP))
#define EV_OUT  ((uint32_t)EPOLLOUT)
#define EV_ENDS ((uint32_t)(EPOLLERR | EPOLLHUP))
#define EV_STAY (EV_ENDS | (uint32_t)(EPOLLPRI | EPOLLRDHUP))

/* ---- its life ----------------------------------------------------- */

/*
 * The kick is level-triggered, and only the one that waits takes it back: so it
 * can't be taken by somebody who polls in passing.
 */
int rt_netpoll_open(struct rt_netpoll *np)
{
	int ep = rt_epoll_create(), kick, r;

	if (ep < 0)
		return ep;
	kick = rt_eventfd_create();
	if (kick < 0) {
		rt_sys_close(ep);
		return kick;
	}
	r = rt_epoll_ctl(ep, EPOLL_CTL_ADD, kick, EPOLLIN, KICK);
	if (r) {
		rt_sys_close(kick);
		rt_sys_close(ep);
		return r;
	}
	np->epfd = ep;
	np->kickfd = kick;
	store_seq(&np->on, 1);
	return 0;
}

void rt_netpoll_close(struct rt_netpoll *np)
{
	if (!np->on)
		return;
	store_seq(&np->on, 0);
	rt_sys_close(np->kickfd);
	rt_sys_close(np->epfd);
}

/* ---- waiters ------------------------------------------------------ */

void rt_fdwait_put_locked(struct rt_fd *e, struct rt_fdwait *w)
{
	w->next = NULL;
	w->prev = e->last;
	if (e->last)
		e->last->next = w;
	else
		e->first = w;
	e->last = w;
	w->queued = true;
}

void rt_fdwait_remove_locked(struct rt_fd *e, struct rt_fdwait *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		e->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		e->last = w->prev;
	w->queued = false;
}

void rt_fdwait_take_locked(struct rt_fd *e, uint8_t dirs, int result, struct rt_worklist *ready)
{
	struct rt_fdwait *w, *next;

	for (w = e->first; w; w = next) {
		struct rt_g *g = w->g;

		next = w->next;
		if (!(w->dirs & dirs))
			continue;
		rt_fdwait_remove_locked(e, w);
		/* From the claim on w may be gone: its deadline has passed. */
		if (w->claim && !rt_g_claim(g))
			continue;
		g->wake_result = result;
		rt_worklist_add(ready, rt_work_g(g));
	}
}

/* ---- registration ------------------------------------------------- */

static uint32_t events_of(const struct rt_fd *e, uint8_t dirs)
{
	if (e->flags & RT_FD_OURS)
		dirs = RT_FD_IN | RT_FD_OUT;
	for (const struct rt_fdwait *w = e->first; w; w = w->next)
		dirs |= w->dirs;
	return (uint32_t)EPOLLET | (dirs & RT_FD_IN ? EV_IN : 0) | (dirs & RT_FD_OUT ? EV_OUT : 0);
}

static int ctl(struct rt_netpoll *np, const struct rt_fd *e, int fd, int op, uint32_t events)
{
	return rt_epoll_ctl(np->epfd, op, fd, events, (uint64_t)e->gen << 32 | (uint32_t)fd);
}

int rt_netpoll_watch_locked(struct rt_netpoll *np, struct rt_fd *e, int fd, uint8_t dirs)
{
	uint8_t known = e->flags & RT_FD_REGISTERED;
	uint32_t events;
	int r;

	if (known && (e->flags & RT_FD_OURS))
		return 0;
	events = events_of(e, dirs);
	r = ctl(np, e, fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, events);
	if (r == -ENOENT) { /* another file by now */
		store_rlx(&e->gen, e->gen + 1);
		r = ctl(np, e, fd, EPOLL_CTL_ADD, events);
	} else if (r == -EEXIST) {
		r = ctl(np, e, fd, EPOLL_CTL_MOD, events);
	}
	if (r == 0 && !known) {
		store_rlx(&e->flags, e->flags | RT_FD_REGISTERED);
		fetch_add_seq(&np->nr_registered, 1);
	}
	return r;
}

void rt_netpoll_unwatch_locked(struct rt_netpoll *np, struct rt_fd *e, int fd)
{
	if (!(e->flags & RT_FD_REGISTERED))
		return;
	/* close(2) does it too, but for a file that a child has inherited. It may
	 * be gone already. */
	(void)!ctl(np, e, fd, EPOLL_CTL_DEL, 0);
	store_rlx(&e->flags, e->flags & (uint8_t)~RT_FD_REGISTERED);
	fetch_add_seq(&np->nr_registered, -1);
}

/* ---- polling ------------------------------------------------------ */

static void edge(struct rt_netpoll *np, uint64_t data, uint32_t events, struct rt_worklist *ready)
{
	struct rt_fd *e = rt_fd_peek(&np->fds, (int)(uint32_t)data);
	uint32_t before = ready->n;
	uint8_t dirs = 0;

	if (events & (EV_IN | EV_ENDS))
		dirs |= RT_FD_IN;
	if (events & (EV_OUT | EV_ENDS))
		dirs |= RT_FD_OUT;
	rt_spin_lock(&e->lock);
	if (e->gen == data >> 32) { /* else it is about the file before */
		if (events & EV_STAY)
			store_rlx(&e->sticky, 1);
		store_rel(&e->seq, e->seq + 1);
		rt_fdwait_take_locked(e, dirs, 0, ready);
		if (ready->n != before)
			fetch_add_seq(&e->use, ready->n - before);
	}
	rt_spin_unlock(&e->lock);
}

static void take_kick(struct rt_netpoll *np)
{
	rt_eventfd_drain(np->kickfd);
	/* After the drain: who finds `kicked` set and leaves the kick out has
	 * made its change before; the one that waited looks at all of it now. */
	xchg_seq(&np->kicked, 0);
}

/* Entries of many connections are not in the cache. */
static void warm(struct rt_netpoll *np, uint64_t data)
{
	if (data != KICK)
		__builtin_prefetch(rt_fd_peek(&np->fds, (int)(uint32_t)data), 1);
}

void rt_netpoll(struct rt_netpoll *np, int64_t until, int most, struct rt_worklist *ready)
{
	struct epoll_event ev[RT_NETPOLL_MOST];
	int n = rt_epoll_wait(np->epfd, ev, most < RT_NETPOLL_MOST ? most : RT_NETPOLL_MOST,
			      until);

	for (int i = 0; i < n; i++) {
		if (i + AHEAD < n)
			warm(np, ev[i + AHEAD].data.u64);
		if (ev[i].data.u64 != KICK)
			edge(np, ev[i].data.u64, ev[i].events, ready);
		else if (until)
			take_kick(np);
	}
}

void rt_netpoll_try(struct rt_netpoll *np, int64_t now, int most, struct rt_worklist *ready)
{
	if (load_rlx(&np->busy) || !cas_acq(&np->busy, 0, 1))
		return;
	store_rlx(&np->last_ns, now);
	rt_netpoll(np, 0, most, ready);
	store_rel(&np->busy, 0);
}

void rt_netpoll_kick(struct rt_netpoll *np)
{
	if (load_acq(&np->on) && !xchg_seq(&np->kicked, 1))
		rt_eventfd_raise(np->kickfd);
}
