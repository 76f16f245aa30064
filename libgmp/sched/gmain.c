/* SPDX-License-Identifier: MIT */
/*
 * gmain.c - birth and death of goroutines
 *
 * A goroutine that ends looks for its successor itself. If that is one that
 * has not begun, it is begun right here, on the same stack, in the loop of
 * rt_g_root(): no switch, no free list, a stack that is warm. Otherwise the
 * stack goes to the P's magazine while we still stand on it. That is safe:
 * only this M takes from this magazine, and the next thing it does is to jump
 * to another stack. (A stack of another size goes to a list of all Ms; it must
 * be left first.)
 *
 * gmprt_exit() ends on g0 instead: the frames between it and the root were
 * never unwound, and a new life must not begin below them.
 */
#include <string.h>

#include "base/bug.h"
#include "base/sys.h"
#include "sched/atfork.h"
#include "sched/switch.h"
#include "sched/task.h"

enum { ID_BATCH = 256 };

uint64_t rt_g_new_id_slow(struct rt_p *p)
{
	p->id_next = fetch_add_rlx(&p->s->next_id, ID_BATCH);
	p->id_end = p->id_next + ID_BATCH;
	return p->id_next++;
}

/* ---- birth -------------------------------------------------------- */

static __always_inline_ void g_set(struct rt_g *g, uint64_t id, void (*fn)(void *), void *arg)
{
	g->fn = fn;
	g->arg = arg;
	g->reason = RT_REASON_NONE;
	g->flags = id == 1 ? RT_G_MAIN : 0;
	g->lock_depth = 0;
	g->block_depth = 0;
	g->claim = RT_CLAIM_CLAIMED;
	g->frame = NULL;
	g->task = NULL;
	g->lock_m = NULL;
	store_rlx(&g->nr_parks, g->nr_parks + 1);
	store_rel(&g->id, id); /* pairs with load_acq in rt_stacks_each() */
}

static __noinline void take_name(struct rt_g *g, struct rt_spawn *sp)
{
	memcpy(g->name, sp->name, RT_NAME_BYTES);
	rt_free(sp->name);
	sp->name = NULL;
}

static __always_inline_ void g_set_spawn(struct rt_p *p, struct rt_g *g, struct rt_spawn *sp)
{
	if (unlikely(sp->name))
		take_name(g, sp);
	else
		g->name[0] = '\0';
	g_set(g, sp->id, sp->fn, sp->arg);
	rt_spawn_put(&p->s->spawns, &p->spawns, sp);
}

static struct rt_g *g_get(struct rt_p *p, uint32_t class)
{
	struct rt_sched *s = p->s;
	struct rt_g *g = rt_stack_get(&s->stacks, class, class == s->stack_class ? &p->gs : NULL);

	if (likely(g)) {
		rt_san_stack_reuse(&g->san);
		rt_ctx_init(&g->ctx, g, rt_g_root);
	}
	return g;
}

struct rt_g *rt_g_begin(struct rt_p *p, struct rt_spawn *sp)
{
	struct rt_g *g = g_get(p, sp->class);

	if (g)
		g_set_spawn(p, g, sp);
	return g;
}

struct rt_g *rt_g_begin_fn(struct rt_p *p, void (*fn)(void *), void *arg)
{
	struct rt_g *g = g_get(p, p->s->stack_class);

	if (g) {
		g->name[0] = '\0';
		g_set(g, rt_g_new_id(p), fn, arg);
		count_inc(&p->n.created);
	}
	return g;
}

/* ---- death -------------------------------------------------------- */

void rt_g_never_begun(struct rt_p *p, struct rt_g *g)
{
	store_rlx(&g->id, 0);
	count_add(&p->n.created, -1);
	rt_stack_put(&p->s->stacks, &p->gs, g);
}

/* What every end has in common. */
static __always_inline_ void g_end(struct rt_p *p, struct rt_g *g)
{
	store_rlx(&g->id, 0);
	count_inc(&p->n.ended);
}

/* A stack of the default size, into p's magazine. */
static void g_put(struct rt_p *p, struct rt_g *g)
{
	g->since_ns = 0; /* stack.c's, while free */
	rt_stack_put(&p->s->stacks, &p->gs, g);
}

/* On g0: g was left for good, by gmprt_exit(), bound to its M, as main, or with
 * a stack of its own size, which goes back to where any M may take it. */
static void g_end_g0(struct rt_m *m, struct rt_g *g)
{
	bool main = g->flags & RT_G_MAIN;

	if (g->lock_depth) {
		/* Its thread may be in any state: it ends with the goroutine. */
		m->lock_g = NULL;
		store_rel(&m->exits, true);
	}
	g_end(m->p, g);
	rt_san_stack_gone(&g->san);
	rt_san_stack_new(&g->san, rt_g_stack_lo(g), (size_t)((char *)g - rt_g_stack_lo(g)));
	if (g->class == m->s->stack_class)
		g_put(m->p, g);
	else
		rt_stack_put_shared(&m->s->stacks, g);
	if (main)
		rt_run_main_ended(m);
}

_Noreturn void rt_g_exit(void)
{
	struct rt_m *m = rt_enter();

	if (m->curg->task)
		rt_task_ended(m->curg->task);
	m = rt_enter();
	/* Main that exits by gmprt_exit() leaves the others running. */
	m->curg->flags &= (uint8_t)~RT_G_MAIN;
	rt_m_call(g_end_g0);
	__builtin_unreachable();
}

/*
 * fn has returned. True: g is someone new and its fn shall be called. Does not
 * return otherwise.
 */
static __always_inline_ bool g_next_life(struct rt_m *m, struct rt_g *g)
{
	struct rt_p *p = m->p;
	struct rt_g *n;
	rt_work w;

	if (unlikely(g->flags & (RT_G_MAIN | RT_G_LOCKED) || g->class != p->s->stack_class))
		rt_m_call(g_end_g0);
	g_end(p, g);
	w = rt_pick(p);
	if (likely(rt_work_is_spawn(w))) {
		struct rt_spawn *sp = rt_work_to_spawn(w);

		if (likely(sp->class == g->class)) {
			g_set_spawn(p, g, sp);
			return true;
		}
	}
	rt_check_leave(g);
	g_put(p, g);
	if (w && !rt_work_is_spawn(w) && !(rt_work_to_g(w)->flags & RT_G_BOUND))
		n = rt_work_to_g(w);
	else
		n = rt_next_slow(m, w);
	store_rlx(&m->curg, n);
	rt_san_leave(&g->san, n ? &n->san : &m->san, 1);
	rt_ctx_jump(n ? &n->ctx : &m->g0);
}

/* fn has returned where there is no P. */
static __cold __noinline _Noreturn void g_ended_outside(const struct rt_g *g)
{
	if (!rt_m_self())
		rt_orphan_end(g, "returned");
	rt_misuse("goroutine %llu ended between gmprt_block_enter() and _exit()",
		  (unsigned long long)g->id);
}

__noinline void rt_g_root(void)
{
	struct rt_m *m = rt_m_self();
	struct rt_g *g = m->curg;

	rt_san_arrive(&g->san);
	rt_check_arrive(g);
	do {
		*m->errno_p = 0;
		rt_leave(m);
		g->fn(g->arg);
		m = rt_enter();
		if (unlikely(!m))
			g_ended_outside(g);
	} while (g_next_life(m, g));
}
