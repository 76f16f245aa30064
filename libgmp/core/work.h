/* SPDX-License-Identifier: MIT */
/*
 * work.h - what a run queue holds
 *
 * Two kinds of thing can be run: a goroutine that has a stack (struct rt_g,
 * core/g.h), and one that has not begun and owns none yet (struct rt_spawn,
 * core/spawn.h). Queues hold a pointer whose lowest bit tells which. Both
 * begin with a link, so that queues chain them without knowing.
 */
#ifndef RT_CORE_WORK_H
#define RT_CORE_WORK_H

#include <stdbool.h>
#include <stdint.h>

struct rt_g;
struct rt_spawn;

typedef uintptr_t rt_work; /* 0: none */

/* First member of both kinds. Whoever has the thing off all queues, or holds
 * the lock of the list it is on, may use it. */
struct rt_link {
	rt_work next;
};

#define RT_WORK_SPAWN ((rt_work)1)

static inline rt_work rt_work_g(struct rt_g *g)
{
	return (rt_work)g;
}

static inline rt_work rt_work_spawn(struct rt_spawn *s)
{
	return (rt_work)s | RT_WORK_SPAWN;
}

static inline bool rt_work_is_spawn(rt_work w)
{
	return w & RT_WORK_SPAWN;
}

static inline struct rt_g *rt_work_to_g(rt_work w)
{
	return (struct rt_g *)w;
}

static inline struct rt_spawn *rt_work_to_spawn(rt_work w)
{
	return (struct rt_spawn *)(w & ~RT_WORK_SPAWN);
}

static inline struct rt_link *rt_work_link(rt_work w)
{
	return (struct rt_link *)(w & ~RT_WORK_SPAWN);
}

/* A chain of work, first to last; not shared. */
struct rt_worklist {
	rt_work head, tail;
	uint32_t n;
};

static inline void rt_worklist_add(struct rt_worklist *l, rt_work w)
{
	rt_work_link(w)->next = 0;
	if (l->head)
		rt_work_link(l->tail)->next = w;
	else
		l->head = w;
	l->tail = w;
	l->n++;
}

static inline rt_work rt_worklist_pop(struct rt_worklist *l)
{
	rt_work w = l->head;

	if (w) {
		l->head = rt_work_link(w)->next;
		l->n--;
	}
	return w;
}

/* Moves all of b behind a; b is empty then. */
static inline void rt_worklist_splice(struct rt_worklist *a, struct rt_worklist *b)
{
	if (!b->head)
		return;
	if (a->head)
		rt_work_link(a->tail)->next = b->head;
	else
		a->head = b->head;
	a->tail = b->tail;
	a->n += b->n;
	*b = (struct rt_worklist){ 0 };
}

#endif
