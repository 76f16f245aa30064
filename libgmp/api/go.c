/* SPDX-License-Identifier: MIT */
/*
 * go.c - starting goroutines, and what a goroutine may ask about itself
 */
#include <gmprt.h>

#include <errno.h>
#include <string.h>

#include "base/bug.h"
#include "base/rcu.h"
#include "base/sys.h"
#include "sched/atfork.h"
#include "sched/block.h"
#include "sched/switch.h"
#include "sched/yield.h"
#include "sync/fork.h"

/* ---- go ----------------------------------------------------------- */

static __always_inline_ void spawn_set(struct rt_spawn *sp, void (*fn)(void *), void *arg,
				       char *name, uint32_t class, uint64_t id)
{
	sp->fn = fn;
	sp->arg = arg;
	sp->name = name;
	sp->class = class;
	store_rel(&sp->id, id); /* pairs with load_acq in rt_spawn_each() */
}

/* From a thread without a P: a descriptor and the global queue. */
static __noinline int go_foreign(void (*fn)(void *), void *arg, char *name, int class)
{
	struct rt_worklist l = { 0 };
	struct rt_sched *s = rt_cur_get();
	struct rt_spawn *sp;
	int r = -ENOMEM;

	if (!s)
		return -EPERM;
	sp = rt_spawn_get_shared(&s->spawns);
	if (sp) {
		spawn_set(sp, fn, arg, name, class ? (uint32_t) class : s->stack_class,
			  fetch_add_rlx(&s->next_id, 1));
		fetch_add_rlx(&s->foreign_created, 1);
		rt_worklist_add(&l, rt_work_spawn(sp));
		rt_grq_put(s, &l);
		rt_wake(s);
		r = 0;
	}
	rt_sched_unref(s);
	return r;
}

static __always_inline_ int go_any(void (*fn)(void *), void *arg, char *name, int class)
{
	struct rt_m *m = rt_enter();
	struct rt_spawn *sp;
	struct rt_p *p;

	if (unlikely(!m))
		return go_foreign(fn, arg, name, class);
	p = m->p;
	sp = rt_spawn_get(&p->s->spawns, &p->spawns);
	if (unlikely(!sp)) {
		rt_leave(m);
		return -ENOMEM;
	}
	spawn_set(sp, fn, arg, name, class ? (uint32_t) class : p->s->stack_class, rt_g_new_id(p));
	count_inc(&p->n.created);
	rt_put_next(p, rt_work_spawn(sp));
	rt_leave(m);
	return 0;
}

GMPRT_API int gmprt_go(void (*fn)(void *), void *arg)
{
	if (unlikely(!fn))
		return -EINVAL;
	return go_any(fn, arg, NULL, 0);
}

static char *name_copy(const char *from)
{
	size_t n = strnlen(from, RT_NAME_BYTES - 1);
	char *name = rt_zalloc(RT_NAME_BYTES);

	if (name)
		memcpy(name, from, n);
	return name;
}

GMPRT_API int gmprt_go_attr(const struct gmprt_attr *attr, void (*fn)(void *), void *arg)
{
	struct gmprt_attr a = { 0 };
	char *name = NULL;
	int class = 0, r;

	if (!fn)
		return -EINVAL;
	if (attr) {
		if (attr->size < sizeof(attr->size) || attr->size > sizeof(a))
			return -EINVAL;
		memcpy(&a, attr, attr->size);
	}
	if (a.stack_size) {
		class = rt_stack_class(a.stack_size);
		if (class < 0)
			return -EINVAL;
	}
	if (a.name) {
		name = name_copy(a.name);
		if (!name)
			return -ENOMEM;
	}
	r = go_any(fn, arg, name, class);
	if (r)
		rt_free(name);
	return r;
}

/* ---- about oneself ------------------------------------------------ */

GMPRT_API void gmprt_yield(void)
{
	rt_yield();
}

static __noinline _Noreturn void exit_on_thread(void)
{
	struct rt_g *orphan = rt_orphan_at(__builtin_frame_address(0));

	if (orphan)
		rt_orphan_end(orphan, "called gmprt_exit()");
	rt_misuse("gmprt_exit: this is no goroutine");
}

GMPRT_API _Noreturn void gmprt_exit(void)
{
	struct rt_m *m = rt_m_self();

	if (!m)
		exit_on_thread();
	if (m->curg->block_depth)
		rt_misuse("gmprt_exit between gmprt_block_enter() and _exit()");
	if (m->curg->frame)
		rt_frame_leave(m);
	rt_g_exit();
}

GMPRT_API __noinline int gmprt_errno(void)
{
	return errno;
}

GMPRT_API uint64_t gmprt_id(void)
{
	struct rt_m *m = rt_m_self();

	return m ? m->curg->id : 0;
}

/* Those that have ended first: one that is begun and ends meanwhile, perhaps on
 * another P, is then counted as existing, never as missing. */
static uint64_t num_goroutine(struct rt_sched *s)
{
	uint32_t nr = load_acq(&s->nr_ps);
	uint64_t n = 0;

	for (uint32_t i = 0; i < nr; i++)
		n -= load_rlx(&s->ps[i].n.ended);
	smp_mb(); /* a goroutine's begin is counted before a queue shows it */
	nr = load_acq(&s->nr_ps);
	for (uint32_t i = 0; i < nr; i++)
		n += load_rlx(&s->ps[i].n.created);
	return n + load_rlx(&s->foreign_created);
}

GMPRT_API long gmprt_num_goroutine(void)
{
	struct rt_m *m = rt_m_self();
	struct rt_sched *s;
	long n;

	if (m)
		return num_goroutine(m->s);
	rt_rcu_read_lock();
	s = load_acq(&rt_cur);
	n = s ? num_goroutine(s) : 0;
	rt_rcu_read_unlock();
	return n;
}

/* ---- threads ------------------------------------------------------ */

/* The G's flags must not be changed while a SIGURG may change them; in
 * brackets none does. */
static struct rt_m *enter_in_brackets_too(void)
{
	struct rt_m *m = rt_enter();

	return m ? m : rt_m_self();
}

GMPRT_API void gmprt_lock_os_thread(void)
{
	struct rt_m *m = enter_in_brackets_too();

	if (!m)
		rt_misuse("gmprt_lock_os_thread: this is no goroutine");
	if (!rt_g_lock_m(m))
		rt_misuse("gmprt_lock_os_thread: nested more than 65,535 deep");
	rt_leave(m);
}

GMPRT_API void gmprt_unlock_os_thread(void)
{
	struct rt_m *m = enter_in_brackets_too();

	if (!m || !rt_g_unlock_m(m))
		rt_misuse("gmprt_unlock_os_thread: not locked");
	rt_leave(m);
}

GMPRT_API void gmprt_block_enter(void)
{
	rt_block_enter();
}

GMPRT_API void gmprt_block_exit(void)
{
	rt_block_exit();
}
