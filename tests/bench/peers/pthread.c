/* SPDX-License-Identifier: MIT */
/*
 * pthread.c - the peer "pthread": an OS thread for each goroutine
 *
 * What the kernel alone offers, for scale. Threads are dear, so B4 and B5
 * start a hundredth (G_FEW). Workers: one means that all threads share one
 * CPU (the caller pins the process); more than one sets no limit.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PEER "pthread"
#define G_FEW
#define G_NO_IO
#define G_NO_SLEEP

typedef sem_t g_sem_t;
#define g_sem_init(s, n) sem_init(s, 0, n)
#define g_sem_post(s)    sem_post(s)

static inline void g_sem_wait(g_sem_t *s)
{
	while (sem_wait(s) && errno == EINTR)
		;
}

typedef pthread_mutex_t g_mutex_t;
#define g_mutex_init(m)   pthread_mutex_init(m, NULL)
#define g_mutex_lock(m)   pthread_mutex_lock(m)
#define g_mutex_unlock(m) pthread_mutex_unlock(m)

/*
 * A channel in the usual pthread way. Unbuffered: the sender puts its item
 * into the one slot and stays until a receiver has taken it.
 */
typedef struct {
	pthread_mutex_t mutex;
	pthread_cond_t not_empty, not_full, taken;
	size_t cap, slots, len, head;
	unsigned long nr_sent, nr_taken;
	long slot[];
} g_chan_t;

static g_chan_t *g_chan_new(size_t cap)
{
	size_t slots = cap ? cap : 1;
	g_chan_t *c = calloc(1, sizeof(*c) + slots * sizeof(c->slot[0]));

	if (!c)
		abort();
	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->not_empty, NULL);
	pthread_cond_init(&c->not_full, NULL);
	pthread_cond_init(&c->taken, NULL);
	c->cap = cap;
	c->slots = slots;
	return c;
}

static void g_chan_send(g_chan_t *c, long v)
{
	unsigned long mine;

	pthread_mutex_lock(&c->mutex);
	while (c->len == c->slots)
		pthread_cond_wait(&c->not_full, &c->mutex);
	c->slot[(c->head + c->len++) % c->slots] = v;
	mine = ++c->nr_sent;
	pthread_cond_signal(&c->not_empty);
	/* One item at a time: the next sender can't signal before this one. */
	if (!c->cap)
		while (c->nr_taken < mine)
			pthread_cond_wait(&c->taken, &c->mutex);
	pthread_mutex_unlock(&c->mutex);
}

static long g_chan_recv(g_chan_t *c)
{
	long v;

	pthread_mutex_lock(&c->mutex);
	while (!c->len)
		pthread_cond_wait(&c->not_empty, &c->mutex);
	v = c->slot[c->head];
	c->head = (c->head + 1) % c->slots;
	c->len--;
	c->nr_taken++;
	pthread_cond_signal(&c->not_full);
	/* Several senders may wait here for items taken one after another. */
	if (!c->cap)
		pthread_cond_broadcast(&c->taken);
	pthread_mutex_unlock(&c->mutex);
	return v;
}

__attribute__((unused)) static void g_chan_free(g_chan_t *c)
{
	free(c);
}

#define g_yield() sched_yield()

static pthread_attr_t attr;

struct start {
	void (*fn)(void *);
	void *arg;
};

static void *start_fn(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	s.fn(s.arg);
	return NULL;
}

static void g_spawn(void (*fn)(void *), void *arg)
{
	struct start *s = malloc(sizeof(*s));
	pthread_t t;

	if (!s)
		abort();
	s->fn = fn;
	s->arg = arg;
	/* EAGAIN: the limit is reached; others end and make room. */
	while (pthread_create(&t, &attr, start_fn, s))
		usleep(100);
}

#include "../bodies.h"

static g_sem_t for_ever;

static void sleeper_fn(void *arg)
{
	g_sem_wait((g_sem_t *)arg);
}

static void g_run(int P, void (*fn)(void *))
{
	(void)P;
	g_sem_init(&for_ever, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16384 + PTHREAD_STACK_MIN);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* While a process has one thread only, libc leaves atomics out. */
	g_spawn(sleeper_fn, &for_ever);
	fn(NULL);
}
