/* SPDX-License-Identifier: MIT */
/*
 * Free objects: what was put is got, each once, the last one first; the depot
 * sees whole chains only, and only when a P has had its fill of two.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/rand.h"
#include "core/magazine.h"
#include "kselftest_harness.h"
#include "lib/gcheck.h"

struct object {
	struct rt_free free;
	uint32_t owner; /* not atomic: TSan tells if nothing orders it */
};

#define NR_OBJECTS 1024

static struct object object[NR_OBJECTS];

static int number(void *o)
{
	return o ? (int)((struct object *)o - object) : -1;
}

static void put(struct rt_magazine *m, struct rt_depot *d, int first, int n)
{
	for (int i = first; i < first + n; i++)
		rt_magazine_put(m, d, &object[i]);
}

TEST(empty_magazine_and_depot_give_nothing)
{
	struct rt_magazine m = { 0 };
	struct rt_depot d = { 0 };

	G_TRUE(!rt_magazine_get(&m, &d));
	G_TRUE(!rt_depot_get(&d));
	put(&m, &d, 0, 1);
	G_EQ(number(rt_magazine_get(&m, &d)), 0);
	G_TRUE(!rt_magazine_get(&m, &d));
}

TEST(last_put_is_first_got_through_magazines_and_depot)
{
	struct rt_magazine m = { 0 };
	struct rt_depot d = { 0 };

	put(&m, &d, 0, 128);
	for (int i = 127; i >= 0; i--)
		G_EQ(number(rt_magazine_get(&m, &d)), i);
	G_TRUE(!rt_magazine_get(&m, &d));
}

TEST(flush_leaves_nothing_and_others_get_all_of_it)
{
	for (int n = 0; n <= 128; n += 16) {
		struct rt_magazine m = { 0 }, other = { 0 };
		struct rt_depot d = { 0 };
		bool seen[128] = { false };

		put(&m, &d, 0, n);
		rt_magazine_flush(&m, &d);
		G_TRUE(!m.cur && !m.other);
		for (int i = 0; i < n; i++) {
			int k = number(rt_magazine_get(&other, &d));

			G_TRUE(k >= 0 && k < n && !seen[k]);
			seen[k] = true;
		}
		G_TRUE(!rt_magazine_get(&other, &d));
		/* Short chains, too long counts: nothing is lost of what follows. */
		put(&other, &d, 0, 200);
		for (int i = 0; i < 200; i++)
			G_GE(number(rt_magazine_get(&other, &d)), 0);
		G_TRUE(!rt_magazine_get(&other, &d));
	}
}

TEST(third_full_magazine_goes_to_the_depot_and_comes_back_whole)
{
	struct rt_magazine m = { 0 }, other = { 0 };
	struct rt_depot d = { 0 };

	put(&m, &d, 0, 2 * RT_MAG);
	G_EQ(d.nr_chains, 0);
	put(&m, &d, 2 * RT_MAG, 1);
	G_EQ(d.nr_chains, 1);
	G_EQ(m.nr_cur, 1);
	G_EQ(m.nr_other, RT_MAG);

	/* Another P finds the oldest 64. */
	for (int i = RT_MAG - 1; i >= 0; i--)
		G_EQ(number(rt_magazine_get(&other, &d)), i);
	G_EQ(d.nr_chains, 0);
	G_TRUE(!rt_magazine_get(&other, &d));
	for (int i = 2 * RT_MAG; i >= (int)RT_MAG; i--)
		G_EQ(number(rt_magazine_get(&m, &d)), i);
	G_TRUE(!rt_magazine_get(&m, &d));
}

TEST(gets_and_puts_at_a_border_leave_the_depot_alone)
{
	struct rt_magazine m = { 0 };
	struct rt_depot d = { 0 };

	put(&m, &d, 0, 3 * RT_MAG + 1);
	for (int i = 0; i < 50; i++) {
		uint32_t had = d.nr_chains;

		for (int k = 0; k < 4; k++)
			G_TRUE(rt_magazine_get(&m, &d));
		put(&m, &d, 3 * RT_MAG - 3, 4);
		G_EQ(d.nr_chains, had);
	}
}

TEST(depot_gives_the_chain_it_got_last_and_counts)
{
	struct rt_depot d = { 0 };

	rt_depot_put(&d, &object[0].free);
	rt_depot_put(&d, &object[1].free);
	G_EQ(d.nr_chains, 2);
	G_EQ(number(rt_depot_get(&d)), 1);
	G_EQ(number(rt_depot_get(&d)), 0);
	G_EQ(d.nr_chains, 0);
	G_TRUE(!rt_depot_get(&d));
}

TEST(random_gets_and_puts_lose_and_double_nothing)
{
	struct rt_magazine m[3] = { 0 };
	static bool out[NR_OBJECTS];
	struct rt_depot d = { 0 };
	uint64_t rand = 42;
	int nr_out = NR_OBJECTS, held[NR_OBJECTS];

	for (int i = 0; i < NR_OBJECTS; i++)
		out[held[i] = i] = true;
	for (int step = 0; step < G_LOOPS(300000); step++) {
		struct rt_magazine *p = &m[rt_rand_below(&rand, 3)];
		/* Long tides up and down, so that chains travel. */
		bool get = rt_rand_below(&rand, 8) < (step / 2000 % 2 ? 7u : 1u);

		if (get) {
			int i = number(rt_magazine_get(p, &d));

			if (i < 0)
				continue;
			G_TRUE(!out[i]);
			out[held[nr_out++] = i] = true;
		} else if (nr_out) {
			uint32_t k = rt_rand_below(&rand, (uint32_t)nr_out);
			int i = held[k];

			held[k] = held[--nr_out];
			out[i] = false;
			rt_magazine_put(p, &d, &object[i]);
		}
	}
	for (int k = 0; k < 3; k++)
		for (void *o; (o = rt_magazine_get(&m[k], &d)); nr_out++)
			G_TRUE(!out[number(o)]);
	G_EQ(nr_out, NR_OBJECTS);
}

/* ---- threads ------------------------------------------------------- */

static struct rt_depot shared;

static void *user(void *arg)
{
	uint32_t me = *(uint32_t *)arg;
	struct rt_magazine m = { 0 };
	uint64_t rand = me;
	void *held[NR_OBJECTS];
	int nr = 0;

	put(&m, &shared, (int)(me - 1) * NR_OBJECTS / 2, NR_OBJECTS / 2);
	for (int step = 0; step < G_LOOPS(400000); step++) {
		if (rt_rand_below(&rand, 8) < (step / 1000 % 2 ? 7u : 1u)) {
			struct object *o = rt_magazine_get(&m, &shared);

			if (!o)
				continue;
			G_EQ(o->owner, 0);
			o->owner = me;
			held[nr++] = o;
		} else if (nr) {
			struct object *o = held[--nr];

			G_EQ(o->owner, me);
			o->owner = 0;
			rt_magazine_put(&m, &shared, o);
		}
	}
	return NULL;
}

TEST(two_threads_on_one_depot_never_hold_the_same_object)
{
	uint32_t id[2] = { 1, 2 };
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		G_OK(pthread_create(&t[i], NULL, user, &id[i]));
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

TEST_HARNESS_MAIN
