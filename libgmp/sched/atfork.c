/* SPDX-License-Identifier: MIT */
/*
 * atfork.c - what is left in the child of fork()
 *
 * Problem: the child has one thread, the one that called fork(). Memory is as
 * it was at that instant: run queues whose Ms are gone, locks whose owners are
 * gone, and a thread-local word that says "I am an M and hold a P".
 *
 * So the child is made a process without a run. Its thread forgets its M; if it
 * was running a goroutine, the code goes on, on the same stack, as an ordinary
 * thread would: every call of the library asks rt_m_self() and finds that it is
 * none. gmprt_run() begins a new run with a new struct rt_sched. The old one is
 * left as it is: nobody looks into it, so it does not matter in which state it
 * was, nor who held its lock. What the library has beside it is static:
 *
 *   rt_cur, running   run.c       set back
 *   the netpoller     run.c       its descriptors are closed here
 *   last_lock         stats.c     held over the fork by the thread that forks
 *   list_lock         port.c      the same; the backend's descriptors are closed
 *   liburcu's         rcu.h       the same, by its own functions; the readers
 *                                 that are gone are struck off
 *   who reports       base/bug.c  set back
 *   SIGQUIT           api/quit.c  set back, by a hook
 *
 * A goroutine whose function returns in the child, or that calls gmprt_exit()
 * there, has nothing to go on with: that ends the child, aloud. Which goroutine
 * it is, is known by the stack the thread stands on.
 *
 * No lock of the scheduler is held over the fork, and fork() needs no P: it
 * works in brackets, from threads that are no Ms, and from an M that has just
 * lost its P. The thread can't be stopped by SIGURG with those locks held:
 * liburcu blocks all signals from before to after. (Should it not do so one
 * day, an M that waits in the handler would keep others from ending Ms and
 * dumps until it is given a P, and nothing worse.)
 *
 * The handlers are installed when the library is loaded, not by the first run:
 * another thread may fork just then, and its child must not believe that a run
 * is being set up.
 *
 * Locks inside objects (a channel's) are not held over the fork: a program that
 * uses in the child what others were using at that instant finds it in any
 * state, as with pthread_mutex_t.
 *
 * Rejected: to go on with the run in the child (the goroutines that were
 * running on other Ms are gone half way through something); to let prepare wait
 * until no M is in the run time (glibc below 2.36 holds a lock of its own
 * meanwhile); to free the old run's memory (the thread stands on it).
 */
#include "sched/atfork.h"

#include <errno.h>
#include <pthread.h>

#include "base/bug.h"
#include "base/rcu.h"
#include "core/tls.h"
#include "sched/sched.h"
#include "sched/stats.h"

static struct rt_g *orphan; /* of this process or of an ancestor; one thread */

static void before(void)
{
	rt_rcu_before_fork(); /* blocks signals */
	rt_stats_lock();
	rt_ports_before_fork();
}

static void in_parent(void)
{
	rt_ports_after_fork_parent();
	rt_stats_unlock();
	rt_rcu_after_fork_parent();
}

static void in_child(void)
{
	struct rt_m *m = rt_m_self();

	rt_ports_after_fork_child();
	if (m) {
		orphan = m->curg;
		rt_san_leak(m);
	}
	rt_m_set_self(NULL);
	rt_stats_unlock();
	rt_bug_forked();
	rt_run_forked(m);
	rt_rcu_after_fork_child();
}

static bool installed;

static __attribute__((constructor)) void install(void)
{
	installed = pthread_atfork(before, in_parent, in_child) == 0;
}

int rt_atfork_install(void)
{
	if (!installed)
		install();
	return installed ? 0 : -ENOMEM;
}

struct rt_g *rt_orphan_at(const void *addr)
{
	const char *at = addr;

	return orphan && at >= rt_g_slot(orphan) && at < (char *)orphan ? orphan : NULL;
}

void rt_orphan_end(const struct rt_g *g, const char *how)
{
	rt_fatal("goroutine %llu %s in a child of fork(), where nothing else runs: end the child "
		 "with _exit(), or call exec",
		 (unsigned long long)g->id, how);
}
