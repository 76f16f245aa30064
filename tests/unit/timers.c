/* SPDX-License-Identifier: MIT */
/*
 * A P's timers fire in the order of their deadlines and only when due, can be
 * cancelled and armed anew from wherever they are, and leave no more dead nodes
 * than they may.
 */
#include "unit/timers.h"

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* ---- firing -------------------------------------------------------- */

TEST(random_deadlines_come_out_sorted)
{
	uint64_t rand = seeded();
	struct rt_timers ts;
	int64_t when[MANY], set[MANY];

	rt_timers_init(&ts);
	G_EQ(rt_timers_next(&ts), INT64_MAX);
	for (uint32_t i = 0; i < MANY; i++) {
		set[i] = when[i] = 1 + rt_rand_below(&rand, 700); /* with equal ones */
		arm(&ts, i, when[i]);
		check_heap(&ts);
	}
	qsort(when, MANY, sizeof(*when), by_value);
	for (uint32_t i = 0; i < MANY; i++) {
		int k = one(&ts, 1000);

		G_GE(k, 0);
		G_EQ(set[k], when[i]);
		check_heap(&ts);
	}
	G_EQ(one(&ts, INT64_MAX), -1);
	rt_timers_free(&ts);
}

TEST(nothing_fires_before_its_time_and_all_at_it)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	arm(&ts, 0, 100);
	G_EQ(rt_timers_next(&ts), 100);
	G_EQ(one(&ts, 99), -1);
	G_EQ(one(&ts, 100), 0);
	G_EQ(rt_timers_next(&ts), INT64_MAX);
	rt_timers_free(&ts);
}

TEST(expire_stops_at_its_limit_and_goes_on_at_the_next_call)
{
	rt_timer_ref fired[2 * RT_FIRE_MAX];
	struct rt_timers ts;

	rt_timers_init(&ts);
	for (uint32_t i = 0; i < 300; i++)
		arm(&ts, i, i + 1);
	G_EQ(rt_timers_expire(&ts, 1000, fired, 0), 0);
	G_EQ(rt_timers_expire(&ts, 1000, fired, 7), 7);
	G_EQ(rt_timers_next(&ts), 8);
	G_EQ(rt_timers_expire(&ts, 1000, fired + 7, 2 * RT_FIRE_MAX - 7), RT_FIRE_MAX);
	for (uint32_t i = 0; i < 7 + RT_FIRE_MAX; i++)
		G_TRUE(rt_fired_g(fired[i]) == &g[i]);
	check_heap(&ts);
	rt_timers_free(&ts);
}

TEST(goroutine_that_something_else_woke_is_not_readied_again)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	arm(&ts, 0, 1);
	arm(&ts, 1, 2);
	g[0].claim = RT_CLAIM_CLAIMED;
	g[0].wake_result = 5;
	G_EQ(one(&ts, 1), -1);
	G_TRUE(!g[0].timer.heap);
	G_EQ(g[0].wake_result, 5);
	G_EQ(one(&ts, 2), 1);
	rt_timers_free(&ts);
}

TEST(goroutine_in_setup_is_left_for_the_next_look_and_holds_up_nobody)
{
	rt_timer_ref fired[4];
	struct rt_timers ts;

	rt_timers_init(&ts);
	arm(&ts, 0, 1);
	arm(&ts, 1, 2);
	g[0].claim = RT_CLAIM_SETUP;
	G_EQ(rt_timers_expire(&ts, 10, fired, 4), 1);
	G_TRUE(rt_fired_g(fired[0]) == &g[1]);
	G_TRUE(g[0].timer.heap == &ts);
	G_EQ(rt_timers_next(&ts), 1); /* so that someone looks again */
	check_heap(&ts);
	g[0].claim = RT_CLAIM_ARMED;
	G_EQ(one(&ts, 10), 0);
	rt_timers_free(&ts);
}

/* ---- lazy deletion ------------------------------------------------- */

TEST(cancel_of_what_is_not_armed_does_nothing)
{
	struct rt_timers ts;
	struct rt_timer t = { 0 };

	rt_timers_init(&ts);
	G_TRUE(!rt_timer_cancel(&t));
	arm(&ts, 0, 5);
	G_TRUE(rt_timer_cancel(&g[0].timer));
	G_TRUE(!rt_timer_cancel(&g[0].timer)); /* though its node is there */
	check_heap(&ts);
	G_EQ(one(&ts, 5), -1);
	G_EQ(ts.nr, 0);
	G_TRUE(!g[0].timer.heap);
	rt_timers_free(&ts);
}

TEST(cancel_works_at_every_place_of_heaps_of_every_size)
{
	uint64_t rand = seeded();

	for (uint32_t n = 1; n <= 30; n++)
		for (uint32_t at = 0; at < n; at++) {
			struct rt_timers ts;
			struct rt_timer *t;

			rt_timers_init(&ts);
			for (uint32_t i = 0; i < n; i++)
				arm(&ts, i, 1 + rt_rand_below(&rand, 100));
			t = timer_of(ts.node[at]);
			G_TRUE(rt_timer_cancel(t));
			check_heap(&ts);
			for (uint32_t left = n - 1; left; left--) {
				int k = next_one(&ts, 100);

				G_GE(k, 0);
				G_TRUE(&g[k].timer != t);
			}
			G_EQ(next_one(&ts, 100), -1);
			G_EQ(ts.nr, 0);
			rt_timers_free(&ts);
		}
}

TEST(who_waits_with_later_and_later_deadlines_keeps_one_node)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	arm(&ts, 0, 100);
	for (int64_t when = 200; when < 2000; when++) {
		G_TRUE(rt_timer_cancel(&g[0].timer));
		arm(&ts, 0, when);
	}
	G_EQ(ts.nr, 1);
	G_EQ(ts.nr_dead, 0);
	G_EQ(rt_timers_next(&ts), 100); /* a look in vain, which puts it right */
	G_EQ(one(&ts, 100), -1);
	G_EQ(rt_timers_next(&ts), 1999);
	G_EQ(one(&ts, 1998), -1);
	G_EQ(one(&ts, 1999), 0);
	rt_timers_free(&ts);
}

TEST(earlier_deadline_counts_at_once)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	arm(&ts, 0, 1000);
	for (int64_t when = 900; when > 500; when--) {
		rt_timer_cancel(&g[0].timer);
		arm(&ts, 0, when);
		G_EQ(rt_timers_next(&ts), when);
		check_heap(&ts);
	}
	G_LE(ts.nr, 1 + 64);
	G_EQ(one(&ts, 501), 0);
	G_EQ(next_one(&ts, 2000), -1);
	G_EQ(ts.nr, 0);
	rt_timers_free(&ts);
}

TEST(dead_nodes_are_swept_when_they_are_more_than_a_quarter)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	for (uint32_t i = 0; i < MANY; i++)
		arm(&ts, i, i + 1);
	for (uint32_t i = 10; i < MANY; i++) {
		rt_timer_cancel(&g[i].timer);
		check_heap(&ts);
	}
	G_LE(ts.nr, 10 + 65);
	for (int i = 0; i < 10; i++)
		G_EQ(one(&ts, MANY), i);
	G_EQ(next_one(&ts, MANY), -1);
	rt_timers_free(&ts);
}

TEST(tidy_makes_next_that_of_an_armed_timer)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	rt_timers_tidy(&ts);
	for (uint32_t i = 0; i < 50; i++)
		arm(&ts, i, i + 1);
	for (uint32_t i = 0; i < 40; i++)
		rt_timer_cancel(&g[i].timer);
	arm(&ts, 7, 45); /* its node stands at 8 */
	G_EQ(rt_timers_next(&ts), 1);
	rt_timers_tidy(&ts);
	G_EQ(rt_timers_next(&ts), 41);
	check_heap(&ts);
	for (uint32_t i = 40; i < 50; i++)
		rt_timer_cancel(&g[i].timer);
	rt_timers_tidy(&ts);
	G_EQ(rt_timers_next(&ts), 45);
	rt_timer_cancel(&g[7].timer);
	rt_timers_tidy(&ts);
	G_EQ(rt_timers_next(&ts), INT64_MAX);
	G_EQ(ts.nr, 0);
	G_EQ(ts.nr_dead, 0);
	rt_timers_free(&ts);
}

TEST(timer_armed_in_another_heap_leaves_its_old_node_without_effect)
{
	struct rt_timers a, b;

	rt_timers_init(&a);
	rt_timers_init(&b);
	arm(&a, 0, 10);
	rt_timer_cancel(&g[0].timer);
	arm(&b, 0, 20);
	G_EQ(one(&a, 30), -1);
	G_EQ(a.nr, 0);
	G_EQ(a.nr_dead, 0);
	G_EQ(one(&b, 20), 0);
	arm(&a, 0, 40);
	rt_timer_cancel(&g[0].timer);
	rt_timer_forget(&g[0].timer); /* its memory may be given back now */
	g[0] = (struct rt_g){ 0 };
	G_EQ(one(&a, 50), -1);
	G_EQ(a.nr_dead, 0);
	rt_timers_free(&a);
	rt_timers_free(&b);
}

/* The one node of two with the same key that comes first stands for both. */
TEST(leftover_node_with_the_same_key_fires_once)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	arm(&ts, 0, 100);
	rt_timer_cancel(&g[0].timer);
	arm(&ts, 0, 50);
	G_EQ(one(&ts, 50), 0);
	arm(&ts, 0, 100);
	G_EQ(ts.nr, 2);
	check_heap(&ts);
	G_EQ(one(&ts, 100), 0);
	G_EQ(one(&ts, 100), -1);
	G_EQ(ts.nr, 0);
	G_EQ(ts.nr_dead, 0);
	rt_timers_free(&ts);
}

TEST(dense_means_a_second_one_soon)
{
	struct rt_timers ts;

	rt_timers_init(&ts);
	G_TRUE(!rt_timers_dense(&ts, 100));
	arm(&ts, 0, 1000);
	G_TRUE(!rt_timers_dense(&ts, 100));
	for (uint32_t i = 1; i < 10; i++)
		arm(&ts, i, 1101 + i);
	G_TRUE(!rt_timers_dense(&ts, 100));
	arm(&ts, 10, 1100);
	G_TRUE(rt_timers_dense(&ts, 100));
	rt_timers_free(&ts);
}

/* ---- alarms -------------------------------------------------------- */

static long freed;

static void count_freed(struct rt_alarm *a)
{
	(void)a;
	freed++;
}

static struct rt_alarm alarm_new(int64_t period)
{
	return (struct rt_alarm){ .period_ns = period, .refs = 1, .free = count_freed };
}

/* The time it fired for, or 0. */
static int64_t rings(struct rt_timers *ts, struct rt_alarm *a, int64_t now)
{
	rt_timer_ref fired;
	int64_t due;

	if (!rt_timers_expire(ts, now, &fired, 1))
		return 0;
	G_TRUE(rt_fired_alarm(fired) == a);
	G_TRUE(!rt_fired_g(fired));
	due = a->due_ns;
	a->due_ns = 0;
	rt_alarm_put(a);
	return due;
}

TEST(alarm_fires_once)
{
	struct rt_alarm a = alarm_new(0);
	struct rt_timers ts;

	rt_timers_init(&ts);
	G_OK(rt_alarm_add(&ts, &a, 10));
	G_EQ(a.refs, 2);
	G_EQ(rings(&ts, &a, 9), 0);
	G_EQ(rings(&ts, &a, 12), 10);
	G_EQ(a.refs, 1);
	G_EQ(rings(&ts, &a, 100), 0);
	G_TRUE(!rt_timer_cancel(&a.timer));
	rt_timers_free(&ts);
}

TEST(periodic_alarm_keeps_its_phase_and_skips_what_was_missed)
{
	struct rt_alarm a = alarm_new(10);
	struct rt_timers ts;

	rt_timers_init(&ts);
	G_OK(rt_alarm_add(&ts, &a, 13));
	G_EQ(rings(&ts, &a, 13), 13);
	G_EQ(rings(&ts, &a, 22), 0);
	G_EQ(rings(&ts, &a, 29), 23);
	G_EQ(rings(&ts, &a, 67), 33);
	G_EQ(rings(&ts, &a, 72), 0);
	G_EQ(rings(&ts, &a, 73), 73);
	a.due_ns = 73; /* nobody has fetched it */
	G_EQ(rings(&ts, &a, 83), 73);
	G_EQ(rings(&ts, &a, 93), 93);
	check_heap(&ts);
	G_EQ(a.refs, 2);
	G_TRUE(rt_timer_cancel(&a.timer));
	G_EQ(rings(&ts, &a, 1000), 0);
	G_EQ(a.refs, 1);
	rt_timers_free(&ts);
}

TEST(the_longest_period_does_not_overflow)
{
	struct rt_alarm a = alarm_new(INT64_MAX);
	struct rt_timers ts;

	rt_timers_init(&ts);
	G_OK(rt_alarm_add(&ts, &a, 5));
	G_EQ(rings(&ts, &a, 5), 5);
	G_EQ(rings(&ts, &a, INT64_MAX - 1), 0);
	rt_timers_free(&ts);
}

TEST(alarm_can_be_taken_before_anybody_fired_it)
{
	struct rt_alarm once = alarm_new(0), tick = alarm_new(10);
	struct rt_timers ts;

	rt_timers_init(&ts);
	G_TRUE(!rt_alarm_take(&once, 100));
	G_OK(rt_alarm_add(&ts, &once, 10));
	G_TRUE(!rt_alarm_take(&once, 9));
	G_TRUE(rt_alarm_take(&once, 10));
	G_EQ(once.due_ns, 10);
	once.due_ns = 0;
	G_TRUE(!rt_alarm_take(&once, 10));
	G_EQ(rings(&ts, &once, 10), 0);
	G_OK(rt_alarm_add(&ts, &tick, 20));
	G_TRUE(rt_alarm_take(&tick, 45));
	G_EQ(tick.due_ns, 20);
	tick.due_ns = 0;
	G_TRUE(!rt_alarm_take(&tick, 49));
	G_EQ(rings(&ts, &tick, 49), 0);
	G_EQ(rings(&ts, &tick, 50), 50);
	check_heap(&ts);
	rt_timers_free(&ts);
	G_EQ(tick.refs, 1);
}

TEST(alarm_is_freed_when_the_last_node_has_gone)
{
	struct rt_alarm a[MANY];
	struct rt_timers ts;

	freed = 0;
	rt_timers_init(&ts);
	for (int i = 0; i < MANY; i++) {
		a[i] = alarm_new(0);
		G_OK(rt_alarm_add(&ts, &a[i], 1000000 + i));
		G_TRUE(rt_timer_cancel(&a[i].timer));
		rt_alarm_put(&a[i]);
		G_LE(i + 1 - freed, 65); /* those that wait for a sweep */
	}
	rt_timers_free(&ts);
	G_EQ(freed, MANY);
}

TEST(forgotten_heap_leaves_alarms_that_can_be_set_again)
{
	struct rt_alarm a = alarm_new(0), b = alarm_new(7);
	struct rt_timers ts, other;

	rt_timers_init(&ts);
	rt_timers_init(&other);
	G_OK(rt_alarm_add(&ts, &a, 10));
	G_OK(rt_alarm_add(&ts, &b, 10));
	rt_timer_cancel(&b.timer);
	rt_timers_free(&ts);
	G_TRUE(!a.timer.heap && !b.timer.heap);
	G_EQ(a.refs, 1);
	G_EQ(b.refs, 1);
	G_TRUE(!rt_timer_cancel(&a.timer));
	G_OK(rt_alarm_add(&other, &a, 5));
	G_EQ(rings(&other, &a, 5), 5);
	rt_timers_free(&other);
}

TEST_HARNESS_MAIN
