/* SPDX-License-Identifier: MIT */
/*
 * chan.c - proves: a channel hands each element to one receiver, in order,
 * unbuffered and buffered, for elements of every size, FIFO among waiters of
 * both sides
 */
#include <stdlib.h>

#include "lib/gtest.h"

#define WAITERS 12

static long done;

/* ---- making ---- */

TEST(make_checks_its_sizes)
{
	gmprt_chan *c = gmprt_chan_make(65536, 3);

	G_TRUE(c);
	G_EQ(3, gmprt_chan_cap(c));
	G_EQ(0, gmprt_chan_len(c));
	gmprt_chan_free(c);
	errno = 0;
	G_TRUE(!gmprt_chan_make(65537, 0));
	G_EQ(EINVAL, errno);
	errno = 0;
	c = gmprt_chan_make(65536, SIZE_MAX / 2);
	G_TRUE(!c);
	G_TRUE(errno == EINVAL || errno == ENOMEM);
	errno = 0;
	c = gmprt_chan_make(8, SIZE_MAX / 16);
	G_TRUE(!c);
	G_TRUE(errno == EINVAL || errno == ENOMEM);
	gmprt_chan_free(NULL);
	G_EQ(0, gmprt_chan_len(NULL));
	G_EQ(0, gmprt_chan_cap(NULL));
}

/* ---- order of elements ---- */

struct stream {
	gmprt_chan *c;
	long n;
};

/* Works on a copy: main goes on when it has the last element. */
static void sends(void *arg)
{
	struct stream s = *(struct stream *)arg;

	for (long i = 0; i < s.n; i++)
		G_OK(gmprt_chan_send(s.c, &i));
}

G_TEST(elements_arrive_in_the_order_sent)
{
	static const size_t caps[] = { 0, 1, 2, 7, 64, 1000 };

	for (size_t k = 0; k < ARRAY_SIZE(caps); k++) {
		struct stream s = { g_chan(sizeof(long), caps[k]), G_LOOPS(20000) };

		g_go(sends, &s);
		for (long i = 0; i < s.n; i++) {
			long got = -1;

			G_OK(gmprt_chan_recv(s.c, &got));
			G_EQ(i, got);
		}
		G_EQ(0, gmprt_chan_len(s.c));
	}
}

/* ---- len and cap ---- */

G_TEST(len_counts_what_is_buffered)
{
	gmprt_chan *c = g_chan(sizeof(int), 5);
	int v;

	for (int lap = 0; lap < 7; lap++) {
		for (int i = 0; i < 5; i++) {
			G_EQ(i, gmprt_chan_len(c));
			G_OK(gmprt_chan_send(c, &i));
		}
		G_EQ(5, gmprt_chan_len(c));
		G_EQ(-EAGAIN, gmprt_chan_send_try(c, &lap));
		for (int i = 0; i < 5; i++) {
			G_OK(gmprt_chan_recv(c, &v));
			G_EQ(i, v);
		}
		G_EQ(-EAGAIN, gmprt_chan_recv_try(c, &v));
		/* Another start in the ring each lap. */
		G_OK(gmprt_chan_send(c, &lap));
		G_OK(gmprt_chan_recv(c, NULL));
	}
	G_EQ(5, gmprt_chan_cap(c));
	G_EQ(0, gmprt_chan_cap(g_chan(4, 0)));
}

/* ---- sizes of elements ---- */

static void sends_pattern(void *arg)
{
	struct stream *s = arg; /* n: the element's size */
	unsigned char *e = malloc((size_t)s->n + 1);

	for (int i = 0; i < 20; i++) {
		for (long j = 0; j < s->n; j++)
			e[j] = (unsigned char)(i * 31 + j);
		G_OK(gmprt_chan_send(s->c, e));
		/* It was a copy: what we write now is seen by nobody. */
		memset(e, 0xee, (size_t)s->n);
	}
	free(e);
	g_inc(&done);
}

static void check_size(size_t size, size_t cap)
{
	struct stream s = { g_chan(size, cap), (long)size };
	unsigned char *e = malloc(size + 2);

	g_store(&done, 0);
	g_go(sends_pattern, &s);
	for (int i = 0; i < 20; i++) {
		e[size] = 0x5a;
		if (i % 5 == 0)
			gmprt_yield();
		G_OK(gmprt_chan_recv(s.c, e));
		G_EQ(0x5a, e[size]);
		for (size_t j = 0; j < size; j++)
			G_EQ((unsigned char)((size_t)i * 31 + j), e[j]);
	}
	g_until(&done, 1);
	free(e);
}

G_TEST(elements_of_every_size_are_copied_whole)
{
	static const size_t sizes[] = { 0,  1,  2,  3,   4,   5,   7,    8,    9,     12,   15,
					16, 17, 24, 31,  32,  33,  63,   64,   65,    100,  127,
					128, 255, 256, 1000, 4096, 5000, 65535, 65536 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		check_size(sizes[i], 0);
		check_size(sizes[i], 1);
		check_size(sizes[i], 7);
	}
}

G_TEST(an_element_may_be_dropped)
{
	gmprt_chan *c = g_chan(sizeof(long), 0);
	struct stream s = { c, 3 };
	long v = -1;

	g_go(sends, &s);
	G_OK(gmprt_chan_recv(c, NULL));
	G_OK(gmprt_chan_recv(c, &v));
	G_EQ(1, v);
	G_OK(gmprt_chan_recv(c, NULL));
}

/* ---- FIFO among waiters ---- */

static gmprt_chan *fifo;
static long got[WAITERS];

static void receives_one(void *slot)
{
	long v = -1;

	G_OK(gmprt_chan_recv(fifo, &v));
	g_store(slot, v);
	g_inc(&done);
}

G_TEST(the_receiver_that_waited_longest_gets_the_next_element)
{
	fifo = g_chan(sizeof(long), g_procs % 2);
	for (int i = 0; i < WAITERS; i++) {
		g_go_named("receiver", receives_one, &got[i]);
		g_parked("receiver", i + 1);
	}
	for (long i = 0; i < WAITERS; i++)
		G_OK(gmprt_chan_send(fifo, &i));
	g_until(&done, WAITERS);
	for (int i = 0; i < WAITERS; i++)
		G_EQ(i, got[i]);
}

static void sends_one(void *v)
{
	long e = (long)(intptr_t)v;

	G_OK(gmprt_chan_send(fifo, &e));
	g_inc(&done);
}

static void senders_in_line(size_t cap)
{
	long v;

	g_store(&done, 0);
	fifo = g_chan(sizeof(long), cap);
	for (size_t i = 0; i < cap; i++) {
		v = -(long)(cap - i);
		G_OK(gmprt_chan_send(fifo, &v));
	}
	for (intptr_t i = 0; i < WAITERS; i++) {
		g_go_named("sender", sends_one, (void *)i);
		g_parked("sender", (int)i + 1);
	}
	G_EQ(cap, gmprt_chan_len(fifo));
	for (long i = -(long)cap; i < WAITERS; i++) {
		G_OK(gmprt_chan_recv(fifo, &v));
		G_EQ(i, v);
	}
	g_until(&done, WAITERS);
}

G_TEST(the_sender_that_waited_longest_sends_next)
{
	senders_in_line(0);
	senders_in_line(3);
}

/* ---- hand-off ---- */

static void takes(void *slot)
{
	long v;

	G_OK(gmprt_chan_recv(fifo, &v));
	g_store(slot, v);
	g_inc(&done);
}

G_TEST(a_waiting_receiver_is_handed_the_element_past_the_buffer)
{
	for (int i = 0; i < 20; i++) {
		long first = -1, v;

		g_store(&done, 0);
		fifo = g_chan(sizeof(long), 4);
		g_go_named("taker", takes, &first);
		g_parked("taker", 1);
		v = 7;
		G_OK(gmprt_chan_send(fifo, &v));
		/* It is the taker's now, whether it has run since or not. */
		G_EQ(0, gmprt_chan_len(fifo));
		G_EQ(-EAGAIN, gmprt_chan_recv_try(fifo, &v));
		g_until(&done, 1);
		G_EQ(7, g_load(&first));
	}
}

/* ---- many to many ---- */

#define SIDES 8

static gmprt_wg wg;
static long per_sender;
static long sum;

static void many_sends(void *first)
{
	for (long i = 0; i < per_sender; i++) {
		long v = (long)(intptr_t)first * per_sender + i;

		G_OK(gmprt_chan_send(fifo, &v));
	}
	gmprt_wg_done(&wg);
}

static void many_receives(void *arg)
{
	long last[SIDES];
	long v;

	(void)arg;
	for (int i = 0; i < SIDES; i++)
		last[i] = -1;
	while (gmprt_chan_recv(fifo, &v) == 0) {
		long from = v / per_sender;

		/* One sender's elements are seen in order by each receiver. */
		G_GT(v, last[from]);
		last[from] = v;
		__atomic_add_fetch(&sum, v, __ATOMIC_SEQ_CST);
		g_inc(&done);
	}
	gmprt_wg_done(&wg);
}

static void many_to_many(size_t cap)
{
	long n;

	per_sender = G_LOOPS(3000);
	n = per_sender * SIDES;
	g_store(&done, 0);
	g_store(&sum, 0);
	fifo = g_chan(sizeof(long), cap);
	gmprt_wg_add(&wg, SIDES);
	for (intptr_t i = 0; i < SIDES; i++) {
		g_go(many_sends, (void *)i);
		g_go(many_receives, NULL);
	}
	gmprt_wg_wait(&wg);
	gmprt_wg_add(&wg, SIDES);
	G_OK(gmprt_chan_close(fifo));
	gmprt_wg_wait(&wg);
	G_EQ(n, g_load(&done));
	G_EQ(n * (n - 1) / 2, g_load(&sum));
}

G_TEST(each_element_is_received_exactly_once)
{
	many_to_many(0);
	many_to_many(1);
	many_to_many(10);
}

TEST_HARNESS_MAIN
