/* SPDX-License-Identifier: MIT */
/*
 * m.c - threads: an M's birth, its loop, its end
 *
 * An M is a detached pthread. Its own stack is g0: there it looks for work,
 * sleeps, and runs what must not run on a goroutine's stack (m->call). All of
 * g0 is state RUNTIME.
 *
 * The list of all Ms is an RCU list: sysmon and dumps walk it while threads
 * come and go; a thread that ends waits for those readers before it frees its
 * M (a grace period), which costs nobody else anything.
 *
 * A goroutine that calls pthread_exit(), or is cancelled, takes its thread away
 * from under the run time, with a P. A destructor of thread-specific data finds
 * that and ends the process: it is called whichever way a thread ends.
 *
 * An M ends with its run, with a goroutine that ends locked to it, and when it
 * has idled for long (idle.c). Its slot number, its alternate stack, its memory
 * are free then for the next.
 *
 * No more threads (options.max_threads, or the system refuses one). A P that
 * finds no M idles, what it had to run goes to the global queue, and goroutines
 * wait there for an M to come back: from a system call it finds an idle P at
 * its next call in (block.c, preempt.c), from a goroutine that ended or parked
 * it finds the queue. Ms that can run one goroutine only, because they stand
 * still on it or it is bound to them, are given the idle P by sysmon
 * (rt_preempt_rescue()). sysmon also tries for a thread again, every 1 to 10 ms.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/rand.h"
#include "base/rcu.h"
#include "base/sys.h"
#include "sched/switch.h"

enum { G0_STACK_BYTES = 256 * 1024 };

void (*rt_m_thread_init)(struct rt_m *m);
void (*rt_m_thread_fini)(struct rt_m *m);

void rt_ps_unmap(struct rt_sched *s)
{
	rt_san_root_gone(s->ps, RT_MAXPROCS_LIMIT * sizeof(*s->ps));
	rt_unmap(s->ps, RT_MAXPROCS_LIMIT * sizeof(*s->ps));
}

void rt_sched_unref(struct rt_sched *s)
{
	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (uint32_t i = 0; i < s->nr_ps; i++)
		rt_timers_free(&s->ps[i].timers);
	rt_fdtab_free(&s->np.fds);
	rt_stacks_free(&s->stacks);
	rt_spawn_pool_free(&s->spawns);
	rt_workq_free(&s->grq);
	rt_port_close(&s->port);
	rt_ps_unmap(s);
	rt_unmap(s->free_mids, (s->max_threads + 1) * sizeof(*s->free_mids));
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->dump_lock);
	rt_free(s);
}

/* ---- the loop ----------------------------------------------------- */

/* m spun and found something: others may look now, for there may be more. */
static void stop_spinning(struct rt_m *m)
{
	m->spinning = false;
	/* The last spinner found work: there may be more of it. */
	if (fetch_add_seq(&m->s->nr_spinning, -1) == 1)
		rt_wake_others(m->s);
}

/* No stack for it now: sysmon puts it back into the queue in a while. */
static void starve(struct rt_sched *s, rt_work w)
{
	rt_lock(s);
	rt_worklist_add(&s->starved, w);
	store_rlx(&s->nr_starved, s->starved.n);
	s->nr_starvings++;
	rt_unlock(s);
}

static void run_g(struct rt_m *m, struct rt_g *g)
{
	store_rlx(&m->curg, g);
	rt_san_leave(&m->san, &g->san, 0);
	rt_ctx_switch(&m->g0, &g->ctx, &m->scratch, 0);
	rt_san_arrive(&m->san);
	store_rlx(&m->curg, NULL);
}

/* One thing off the queues, until its successors come back to g0. */
static void run_work(struct rt_m *m, rt_work w)
{
	struct rt_g *g = rt_work_is_spawn(w) ? rt_g_begin(m->p, rt_work_to_spawn(w)) :
					       rt_work_to_g(w);

	if (!g) {
		starve(m->s, w);
		return;
	}
	if ((g->flags & RT_G_BOUND) && g->lock_m != m) {
		rt_locked_start_g0(m, g);
		return;
	}
	run_g(m, g);
	if (m->call) {
		void (*call)(struct rt_m *, struct rt_g *) = m->call;

		m->call = NULL;
		call(m, m->call_g);
	}
}

static __noinline void m_loop(struct rt_m *m)
{
	while (!load_acq(&m->exits)) {
		rt_work w;

		if (m->lock_g && m->handed != rt_work_g(m->lock_g)) {
			RT_BUG_ON(m->handed);
			rt_locked_stop_g0(m);
			continue;
		}
		if (!m->p && !rt_m_stop_g0(m))
			break;
		w = rt_find_g0(m);
		if (!w)
			break;
		if (m->spinning)
			stop_spinning(m);
		run_work(m, w);
	}
}

/* ---- birth and end ------------------------------------------------ */

/* Not by m_fini() (nor in a child of fork(), whose thread is no M). */
static void ended_early(void *unused)
{
	struct rt_m *m = rt_m_self();

	(void)unused;
	if (m && m->curg)
		rt_misuse("goroutine %llu called pthread_exit(), or pthread_cancel() was called on "
			  "its thread: not for goroutines, use gmprt_exit()",
			  (unsigned long long)m->curg->id);
}

static pthread_key_t end_key;
static bool have_end_key;

static void end_key_make(void)
{
	have_end_key = pthread_key_create(&end_key, ended_early) == 0;
}

/* Without a key left (PTHREAD_KEYS_MAX) it goes unnoticed. */
static void end_watch(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, end_key_make);
	if (have_end_key)
		pthread_setspecific(end_key, &end_key);
}

static void delist(struct rt_sched *s, struct rt_m *m)
{
	rt_lock(s);
	cds_list_del_rcu(&m->all);
	s->free_mids[s->nr_free_mids++] = m->id;
	s->nr_ms--;
	rt_unlock(s);
}

static void m_fini(struct rt_m *m)
{
	struct rt_sched *s = m->s;
	struct rt_p *p = m->p ? rt_p_release(m, RT_P_IDLE) : NULL;
	unsigned int round = 0;

	if (m->spinning)
		fetch_add_seq(&s->nr_spinning, -1);
	if (p && !load_acq(&s->stopping))
		rt_p_handoff(s, p);
	rt_port_leave(&s->port); /* before its number is another's */
	rt_m_set_self(NULL);
	rt_lock(s);
	s->nr_ms_live--;
	rt_unlock(s);
	delist(s, m);
	store_rlx(&s->no_thread, false); /* there is room for one */
	if (rt_m_thread_fini)
		rt_m_thread_fini(m);
	/* It may have pushed itself just before the end of the run. */
	while (load_acq(&m->on_held) && !load_acq(&s->sysmon_gone))
		rt_backoff(&round);
	rt_rcu_wait();
	rt_free(m);
	rt_sched_unref(s);
}

/* By the new thread: one that could not be had was never there. */
static void count_in(struct rt_sched *s)
{
	rt_lock(s);
	if (++s->nr_ms_live > s->nr_ms_peak)
		s->nr_ms_peak = s->nr_ms_live;
	rt_unlock(s);
}

static void *m_thread(void *arg)
{
	struct rt_m *m = arg;

	end_watch();
	store_rlx(&m->tid, (int)syscall(SYS_gettid)); /* dumps look */
	m->errno_p = &errno;
	m->eh = rt_eh_of_thread();
	m->has_eh = m->eh != NULL;
	rt_thread_mask_set(&m->s->sigmask); /* whatever our creator blocks */
	m->rng = (uint64_t)m->tid * 0x9E3779B97F4A7C15u | 1;
#if RT_ASAN
	pthread_attr_t attr;
	void *lo;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &lo, &m->san.size);
	pthread_attr_destroy(&attr);
	m->san.lo = lo;
#endif
#if RT_TSAN
	m->san.fiber = __tsan_get_current_fiber();
#endif
	store_rlx(&m->slot->state, RT_M_RUNTIME);
	rt_m_set_self(m);
	if (rt_m_thread_init)
		rt_m_thread_init(m);
	rt_port_join(&m->s->port, m->id);
	count_in(m->s);
	rt_p_acquire(m, m->next_p);
	store_rlx(&m->next_p, NULL);
	m_loop(m);
	m_fini(m);
	return NULL;
}

/* ---- no thread to be had ------------------------------------------ */

static void tell(uint32_t nr_ms, int why)
{
	if (why == -EUSERS)
		rt_log("all %u threads are in use; goroutines wait until one comes back. More: "
		       "options.max_threads",
		       nr_ms);
	else
		rt_log("no thread beyond %u (%s); goroutines wait until one comes back. More: "
		       "ulimit -u, ulimit -v, pids.max of the cgroup",
		       nr_ms, strerror(-why));
}

void rt_m_refused(struct rt_sched *s, struct rt_p *p, bool spinning, int why)
{
	struct rt_worklist l = { 0 };
	uint32_t nr_ms = 0;
	struct rt_m *m;
	bool waits;

	rt_lock(s);
	store_rlx(&s->no_thread, true);
	m = rt_idle_m_start_locked(s, p, spinning); /* one has come back meanwhile */
	if (!m) {
		/* Its queue is nobody's: to where those look who come back, and
		 * sysmon on behalf of Ms that can run one goroutine only. */
		rt_runq_drain(&p->q, &l);
		rt_grq_put_locked(s, &l);
		waits = rt_any_work(s);
		rt_procs_put_locked(s, p);
		if (s->keeper_polls)
			rt_netpoll_kick(&s->np); /* the one thread there is */
		if (spinning)
			fetch_add_seq(&s->nr_spinning, -1);
		if (waits && !s->no_thread_told && !s->stopping)
			nr_ms = s->nr_ms;
		s->no_thread_told |= nr_ms != 0;
	}
	rt_unlock(s);
	if (m)
		rt_m_wake(m);
	if (nr_ms)
		tell(nr_ms, why);
}

/* ---- birth -------------------------------------------------------- */

static uint32_t mid_get_locked(struct rt_sched *s)
{
	if (s->nr_free_mids)
		return s->free_mids[--s->nr_free_mids];
	return s->nr_mids < s->max_threads ? ++s->nr_mids : 0;
}

static int enlist(struct rt_sched *s, struct rt_m *m)
{
	int r = 0;

	rt_lock(s);
	m->id = s->stopping ? 0 : mid_get_locked(s);
	if (!m->id) {
		r = s->stopping ? -EAGAIN : -EUSERS;
	} else {
		m->slot = &s->port.mslots[m->id];
		rt_san_release(&s->all_ms);
		cds_list_add_rcu(&m->all, &s->all_ms);
		s->nr_ms++;
		fetch_add_seq(&s->refs, 1);
	}
	rt_unlock(s);
	return r;
}

int rt_m_new(struct rt_sched *s, struct rt_p *p, bool spinning)
{
	struct rt_m *m;
	int r;

	/* An attempt costs a mapping and a grace period. */
	if (unlikely(load_rlx(&s->no_thread)))
		return -EAGAIN;
	m = rt_zalloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->s = s;
	m->next_p = p;
	m->spinning = spinning;
	r = enlist(s, m);
	if (r) {
		rt_free(m);
		return r;
	}
	r = rt_thread_start(m_thread, m, G0_STACK_BYTES);
	if (r == 0)
		return 0;
	delist(s, m);
	rt_rcu_wait();
	rt_free(m);
	rt_sched_unref(s);
	return r;
}

/* ---- from a goroutine to g0 --------------------------------------- */

void rt_m_call(void (*fn)(struct rt_m *, struct rt_g *))
{
	struct rt_m *m = rt_m_self();
	struct rt_g *g = m->curg;

	m->call = fn;
	m->call_g = g;
	rt_switch(m, g, NULL, &m->scratch, 0);
}

/* The run has ended under this goroutine, which is never resumed. */
static void run_ended_g0(struct rt_m *m, struct rt_g *g)
{
	(void)g;
	store_rel(&m->exits, true);
	cas_acqrel(&m->p->m, m, NULL);
	m->p = NULL;
}

_Noreturn void rt_m_exit_now(struct rt_m *m)
{
	store_rlx(&m->slot->state, RT_M_RUNTIME);
	rt_m_call(run_ended_g0);
	__builtin_unreachable();
}
