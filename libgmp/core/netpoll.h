/* SPDX-License-Identifier: MIT */
/*
 * netpoll.h - who waits for which file, and whom an event wakes
 *
 * One epoll instance a run, made when the first goroutine waits: a program
 * without I/O has no fd and no system call of it. Files are registered at
 * their first wait, edge-triggered: an event says that something has changed
 * since the last one, no more. So an event is a hint: it wakes all who wait in
 * its direction, and each of them tries its call again.
 *
 * No event gets lost between a call that would have blocked and the wait.
 * `seq` of the entry counts edges:
 *
 *	the goroutine			who polls
 *	reads seq			takes the event out of epoll
 *	tries: EAGAIN			locks; seq + 1; takes waiters; unlocks
 *	locks; is seq the same?
 *	  yes: queues itself, parks
 *	  no: unlocks, tries again
 *
 * A change before the try is seen by the try; one after it makes an edge, and
 * whoever takes that edge finds either the waiter or changes seq before the
 * goroutine looks at it. (A flag instead of the count would not do: of two
 * goroutines that wait for one socket, one would clear what the other needs.)
 *
 * A read that gets less than it asked for has emptied a TCP socket. It notes
 * that in `empty`, as of the seq it read before the call, and while that holds
 * the next read waits without trying: one system call less for each message. What a
 * short read can't tell is whether more than data has come: an end, an error,
 * urgent data (a read stops before it). These are `sticky`: once an event had
 * them, calls try first again, for ever. An event is made of the state at the
 * time it is taken; if that was before the read, sticky was set together with
 * seq; if after, seq changes. Either way the next read does not wait in vain.
 *
 * A file of others (fdtab.h) is registered anew at each wait, by EPOLL_CTL_MOD,
 * and in the wanted direction only: the kernel then looks at it at once. For a
 * number that came back as another file that fails, and the file is added.
 *
 * The mechanism readies nobody: it returns lists.
 */
#ifndef RT_CORE_NETPOLL_H
#define RT_CORE_NETPOLL_H

#include "core/fdtab.h"
#include "core/work.h"

enum {
	RT_FD_IN = 1,
	RT_FD_OUT = 2,
};

/* One wait; on the waiting goroutine's stack, guarded by the entry's lock. */
struct rt_fdwait {
	struct rt_fdwait *next, *prev;
	struct rt_g *g;
	uint8_t dirs;
	bool queued;
	bool claim; /* a deadline may end it too: whoever wakes must win g's claim */
};

struct rt_netpoll {
	struct rt_fdtab fds;
	uint32_t on;            /* exists; store_rel pairs with load_acq */
	int epfd, kickfd;
	uint32_t nr_registered; /* files; atomic */
	uint32_t busy;          /* somebody polls without waiting */
	uint32_t kicked;
	int64_t last_ns;        /* when somebody polled last */
};

/* Makes the epoll instance. The caller sees to it that one at a time does. */
int rt_netpoll_open(struct rt_netpoll *np) __must_check;
/* Nobody polls or registers any more. */
void rt_netpoll_close(struct rt_netpoll *np);

enum { RT_NETPOLL_MOST = 128 }; /* Go's: half a run queue */

/*
 * Polls, waiting until until_ns (as rt_epoll_wait()), and takes at most `most`
 * events; those that are left keep their turn. Goroutines that are to
 * run are added to *ready with wake_result 0, each with a use of its entry.
 * Who passes until_ns != 0 is the only one to wait at a time.
 */
void rt_netpoll(struct rt_netpoll *np, int64_t until_ns, int most, struct rt_worklist *ready);
/* The same without waiting; not if another M does just that. now_ns: of now. */
void rt_netpoll_try(struct rt_netpoll *np, int64_t now_ns, int most, struct rt_worklist *ready);
/* Who waits in rt_netpoll() returns, or else the next one does at once. */
void rt_netpoll_kick(struct rt_netpoll *np);

/* fd's events in these directions will wake. 0; -EPERM: it can't be waited for;
 * or -errno of epoll_ctl. */
int rt_netpoll_watch_locked(struct rt_netpoll *np, struct rt_fd *e, int fd,
			    uint8_t dirs) __must_check;
void rt_netpoll_unwatch_locked(struct rt_netpoll *np, struct rt_fd *e, int fd);

void rt_fdwait_put_locked(struct rt_fd *e, struct rt_fdwait *w);
void rt_fdwait_remove_locked(struct rt_fd *e, struct rt_fdwait *w);
/* Takes those who wait in one of dirs and are the caller's to wake, with that
 * result. */
void rt_fdwait_take_locked(struct rt_fd *e, uint8_t dirs, int result, struct rt_worklist *ready);

/* Does a read need no try? A hint; `seq` says more, under the lock. */
static inline bool rt_fd_known_empty(const struct rt_fd *e, uint32_t seq)
{
	return load_rlx(&e->empty) == seq + 1 && !load_rlx(&e->sticky);
}

#endif
