/* SPDX-License-Identifier: MIT */
/*
 * stack.c - arenas, slots and their way back; layout in stack.h
 */
#include "core/stack.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/sys.h"

enum {
	NR_COLOURS = 16,
	ARENA_MIN_SLOTS = 16,
	ARENA_MAX_SLOTS = 16384, /* of the default class: 4 GiB */
};

/* ---- geometry ----------------------------------------------------- */

static size_t page_bytes(void)
{
	static size_t cached;

	if (!load_rlx(&cached))
		store_rlx(&cached, (size_t)sysconf(_SC_PAGESIZE));
	return load_rlx(&cached);
}

int rt_stack_class(size_t bytes)
{
	int class = RT_STACK_CLASS_MIN;

	/* Two pages beside the guard at the least, whatever a page is. */
	if (bytes < 4 * page_bytes())
		bytes = 4 * page_bytes();
	while (class <= RT_STACK_CLASS_MAX && rt_stack_bytes((uint32_t)class) < bytes)
		class++;
	return class <= RT_STACK_CLASS_MAX ? class : -1;
}

size_t rt_stack_guard_bytes(uint32_t class)
{
	size_t page = page_bytes();

	return rt_stack_bytes(class) >= 64 * 1024 && page < 16 * 1024 ? 16 * 1024 : page;
}

static struct rt_g *slot_g(const struct rt_arena *a, uint32_t class, uint32_t i)
{
	char *end = a->base + (size_t)(i + 1) * rt_stack_bytes(class);

	end -= (i % NR_COLOURS) * RT_CACHELINE;
	return (struct rt_g *)(void *)(end - rt_align_up(sizeof(struct rt_g), RT_CACHELINE));
}

/* ---- arenas: under c->lock ---------------------------------------- */

static struct rt_arena *arena_map(uint32_t class, uint32_t nr)
{
	size_t slot = rt_stack_bytes(class), bytes = slot * (nr + 1);
	struct rt_arena *a = rt_zalloc(sizeof(*a));

	if (!a)
		return NULL;
	a->map = rt_map(bytes);
	if (!a->map) {
		rt_free(a);
		return NULL;
	}
	/* One touch must commit one page. EINVAL: a kernel without huge
	 * pages, nothing to turn off. */
	madvise(a->map, bytes, MADV_NOHUGEPAGE);
	a->map_bytes = bytes;
	a->base = (char *)rt_align_up((uintptr_t)a->map, slot);
	a->nr = nr;
	return a;
}

/* Twice as many slots as the last time; fewer if that can't be had. */
static struct rt_arena *arena_add_locked(struct rt_stack_class *c, uint32_t class)
{
	uint32_t nr = c->arenas ? c->arenas->nr * 2 : ARENA_MIN_SLOTS, most = ARENA_MAX_SLOTS;
	struct rt_arena *a = NULL;

	/* Of larger stacks as many as make the same number of bytes. */
	if (class > RT_STACK_CLASS_DEFAULT)
		most >>= class - RT_STACK_CLASS_DEFAULT;
	if (nr > most)
		nr = most ? most : 1;
	while (nr && !(a = arena_map(class, nr)))
		nr /= 2;
	if (a) {
		a->next = c->arenas;
		store_rel(&c->arenas, a); /* pairs with load_acq in each, find */
	}
	return a;
}

static void g_init(struct rt_g *g, uint32_t class)
{
	memset(g, 0, sizeof(*g));
	g->class = class;
	rt_san_stack_new(&g->san, rt_g_stack_lo(g), (size_t)((char *)g - rt_g_stack_lo(g)));
}

static struct rt_g *carve_locked(struct rt_stack_class *c, uint32_t class)
{
	struct rt_arena *a = c->arenas;
	struct rt_g *g;
	int r;

	if (!a || a->used == a->nr)
		a = arena_add_locked(c, class);
	if (!a) {
		if (!c->warned)
			rt_log("no address space for another stack of %zu KiB; goroutines wait for "
			       "one. More: ulimit -v, or a smaller options.stack_size",
			       rt_stack_bytes(class) / 1024);
		c->warned = true;
		return NULL;
	}
	g = slot_g(a, class, a->used);
	r = rt_guard_install(a->base + (size_t)a->used * rt_stack_bytes(class),
			     rt_stack_guard_bytes(class));
	if (r) {
		if (!c->warned && !rt_guard_is_light())
			rt_log("no guard page for another stack (%s); goroutines wait for one. "
			       "More: sysctl vm.max_map_count", strerror(-r));
		c->warned = true;
		return NULL;
	}
	g_init(g, class);
	/* pairs with load_acq in each: g is zeroed before it is looked at */
	store_rel(&a->used, a->used + 1);
	return g;
}

/* ---- get and put -------------------------------------------------- */

static struct rt_g *carve_in_time_locked(struct rt_stack_class *c, uint32_t class)
{
	struct rt_g *g;

	if (unlikely(c->none_until_ns) && rt_now_ns() < c->none_until_ns)
		return NULL;
	g = carve_locked(c, class);
	c->none_until_ns = g ? 0 : rt_now_ns() + RT_STACK_NONE_NS;
	return g;
}

struct rt_g *rt_stack_get_slow(struct rt_stacks *st, uint32_t class, struct rt_magazine *m)
{
	struct rt_stack_class *c = &st->class[class];
	struct rt_g *g = m ? rt_magazine_get(m, &c->depot) : NULL;

	if (g)
		return g;
	rt_spin_lock(&c->lock);
	g = rt_magazine_get(&c->shared, &c->depot);
	if (!g && c->nr_cold) {
		g = c->cold[--c->nr_cold];
		g_init(g, class);
	}
	if (!g)
		g = carve_in_time_locked(c, class);
	rt_spin_unlock(&c->lock);
	return g;
}

void rt_stack_put_shared(struct rt_stacks *st, struct rt_g *g)
{
	struct rt_stack_class *c = &st->class[g->class];

	rt_spin_lock(&c->lock);
	rt_magazine_put(&c->shared, &c->depot, g);
	rt_spin_unlock(&c->lock);
}

/* ---- giving back -------------------------------------------------- */

/* Room for n more cold slots. */
static bool cold_reserve_locked(struct rt_stack_class *c, uint32_t n)
{
	uint32_t want = c->nr_cold + n;
	struct rt_g **bigger;

	if (want <= c->max_cold)
		return true;
	want *= 2;
	bigger = rt_zalloc(want * sizeof(*bigger));
	if (!bigger)
		return false;
	if (c->nr_cold)
		memcpy(bigger, c->cold, c->nr_cold * sizeof(*bigger));
	rt_free(c->cold);
	c->cold = bigger;
	c->max_cold = want;
	return true;
}

static void slot_discard(struct rt_g *g)
{
	char *lo = rt_g_stack_lo(g), *end = rt_g_slot(g) + rt_stack_bytes(g->class);

	rt_timer_forget(&g->timer);
	rt_san_stack_gone(&g->san);
	rt_map_discard(lo, (size_t)(end - lo));
}

/*
 * One idle chain off the depot's old end. A chain's age is in the first G's
 * since_ns: 0 when it came, stamped by the first scavenge that sees it, so
 * putting a chain needs no clock.
 */
static struct rt_free *chain_take_idle(struct rt_depot *d, int64_t now)
{
	struct rt_free **link = &d->chains, *found = NULL;

	rt_spin_lock(&d->lock);
	for (; *link; link = &(*link)->next_chain) {
		struct rt_g *g = (struct rt_g *)(void *)*link;

		if (g->since_ns <= 0) {
			g->since_ns = now;
		} else if (now - g->since_ns > RT_STACK_IDLE_NS) {
			found = *link;
			*link = found->next_chain;
			store_rlx(&d->nr_chains, d->nr_chains - 1);
			break;
		}
	}
	rt_spin_unlock(&d->lock);
	return found;
}

/* False: no memory to remember the slots by; nothing was done. */
static bool chain_discard(struct rt_stack_class *c, struct rt_free *chain)
{
	struct rt_g *gs[RT_MAG];
	uint32_t n = 0;
	bool room;

	rt_spin_lock(&c->lock);
	room = cold_reserve_locked(c, RT_MAG); /* only we add to it */
	rt_spin_unlock(&c->lock);
	if (!room)
		return false;
	while (chain) {
		gs[n] = (struct rt_g *)(void *)chain;
		chain = chain->next;
		slot_discard(gs[n++]);
	}
	rt_spin_lock(&c->lock);
	while (n)
		c->cold[c->nr_cold++] = gs[--n];
	rt_spin_unlock(&c->lock);
	return true;
}

bool rt_stacks_scavenge(struct rt_stacks *st, int64_t now)
{
	bool more = false;

	for (uint32_t k = RT_STACK_CLASS_MIN; k <= RT_STACK_CLASS_MAX; k++) {
		struct rt_stack_class *c = &st->class[k];
		struct rt_free *chain;

		while (load_rlx(&c->depot.nr_chains) &&
		       (chain = chain_take_idle(&c->depot, now))) {
			if (!chain_discard(c, chain)) {
				rt_depot_put(&c->depot, chain);
				break;
			}
		}
		more |= load_rlx(&c->depot.nr_chains) != 0;
	}
	return more;
}

void rt_stack_trim_chain(struct rt_free *chain)
{
	for (; chain; chain = chain->next) {
		struct rt_g *g = (struct rt_g *)(void *)chain;
		char *lo = rt_g_stack_lo(g);
		char *page = (char *)((uintptr_t)g & ~(page_bytes() - 1));

		if (page > lo)
			rt_map_discard(lo, (size_t)(page - lo));
	}
}

/* ---- looking ------------------------------------------------------ */

void rt_stacks_each(struct rt_stacks *st, void (*fn)(struct rt_g *, void *), void *arg)
{
	for (uint32_t k = RT_STACK_CLASS_MIN; k <= RT_STACK_CLASS_MAX; k++) {
		for (struct rt_arena *a = load_acq(&st->class[k].arenas); a; a = a->next) {
			uint32_t used = load_acq(&a->used);

			for (uint32_t i = 0; i < used; i++) {
				struct rt_g *g = slot_g(a, k, i);

				if (load_acq(&g->id))
					fn(g, arg);
			}
		}
	}
}

void rt_stacks_count(struct rt_stacks *st, uint64_t *nr, uint64_t *reserved_bytes)
{
	*nr = *reserved_bytes = 0;
	for (uint32_t k = RT_STACK_CLASS_MIN; k <= RT_STACK_CLASS_MAX; k++) {
		for (struct rt_arena *a = load_acq(&st->class[k].arenas); a; a = a->next) {
			*nr += load_rlx(&a->used);
			*reserved_bytes += a->map_bytes;
		}
	}
}

void rt_stacks_free(struct rt_stacks *st)
{
	for (uint32_t k = RT_STACK_CLASS_MIN; k <= RT_STACK_CLASS_MAX; k++) {
		struct rt_stack_class *c = &st->class[k];

		while (c->arenas) {
			struct rt_arena *a = c->arenas;

			c->arenas = a->next;
#if RT_ASAN || RT_TSAN
			for (uint32_t i = 0; i < a->used; i++)
				if (slot_g(a, k, i)->class) /* not cold */
					rt_san_stack_gone(&slot_g(a, k, i)->san);
#endif
			rt_unmap(a->map, a->map_bytes);
			rt_free(a);
		}
		rt_free(c->cold);
	}
}
