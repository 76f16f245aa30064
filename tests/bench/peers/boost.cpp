/* SPDX-License-Identifier: MIT */
/*
 * boost.cpp - the peer "boost": Boost.Fiber
 *
 * One worker: its default scheduler, round robin, N:1. Several: its
 * work_stealing algorithm, one thread each, with workers that sleep when they
 * find nothing. Nobody wakes such a worker to steal, so with P=2 it often runs
 * as one worker and one sleeper, and beats those that share; SUSPEND=0 in the
 * environment makes the workers spin, and share. Stacks are fixedsize_stack of
 * 16 KiB (STACK= changes it): its default of 128 KiB would spend the time
 * in mmap().
 *
 * It has no semaphore; one is made of its mutex and condition variable, which
 * are what a user of it has. It leaks, because notify_one() may still touch
 * it when the waiter is gone.
 */
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>
#include <boost/fiber/all.hpp>
#include <boost/fiber/algo/work_stealing.hpp>

#ifndef BENCH_BODIES
#define BENCH_BODIES "../bodies.h"
#endif
#ifndef BENCH_SKYNET_JOIN
#define G_SKYNET_CHAN
#endif

#define PEER "boost"
#define G_NO_IO
#define G_SEM_UNSAFE_FREE
#define G_HELD_UP

namespace fibers = boost::fibers;

struct boost_sem {
	fibers::mutex mutex;
	fibers::condition_variable nonzero;
	long n;
};

typedef struct {
	boost_sem *p;
} g_sem_t;

static void g_sem_init(g_sem_t *s, long n)
{
	s->p = new boost_sem;
	s->p->n = n;
}

static void g_sem_post(g_sem_t *s)
{
	boost_sem *p = s->p;
	std::lock_guard<fibers::mutex> lock(p->mutex);

	p->n++;
	p->nonzero.notify_one();
}

static void g_sem_wait(g_sem_t *s)
{
	boost_sem *p = s->p;
	std::unique_lock<fibers::mutex> lock(p->mutex);

	while (p->n == 0)
		p->nonzero.wait(lock);
	p->n--;
}

typedef struct {
	fibers::mutex *p;
} g_mutex_t;
#define g_mutex_init(m)   ((m)->p = new fibers::mutex)
#define g_mutex_lock(m)   (m)->p->lock()
#define g_mutex_unlock(m) (m)->p->unlock()

struct g_chan_t {
	fibers::unbuffered_channel<long> *unbuffered;
	fibers::buffered_channel<long> *buffered;
};

/* Its buffered channel wants a power of two, 2 at least, and holds one less. */
static g_chan_t *g_chan_new(size_t cap)
{
	g_chan_t *c = new g_chan_t();

	if (cap)
		c->buffered = new fibers::buffered_channel<long>(cap < 2 ? 2 : cap);
	else
		c->unbuffered = new fibers::unbuffered_channel<long>;
	return c;
}

static inline void g_chan_send(g_chan_t *c, long v)
{
	fibers::channel_op_status r = c->unbuffered ? c->unbuffered->push(v) : c->buffered->push(v);

	if (r != fibers::channel_op_status::success)
		abort();
}

static inline long g_chan_recv(g_chan_t *c)
{
	long v = 0;
	fibers::channel_op_status r = c->unbuffered ? c->unbuffered->pop(v) : c->buffered->pop(v);

	if (r != fibers::channel_op_status::success)
		abort();
	return v;
}

/*
 * Leaks: push() looks at its channel again when it resumes, which may be long
 * after its item was received, and nothing tells a receiver when that was.
 */
__attribute__((unused)) static inline void g_chan_free(g_chan_t *c)
{
	(void)c;
}

#define g_yield() boost::this_fiber::yield()

static size_t stack_size = 16384;

static fibers::fiber start(void (*fn)(void *), void *arg)
{
	return fibers::fiber(boost::fibers::launch::post, std::allocator_arg,
			     fibers::fixedsize_stack(stack_size), [fn, arg] { fn(arg); });
}

static void g_spawn(void (*fn)(void *), void *arg)
{
	start(fn, arg).detach();
}

#define G_HAVE_FORK
typedef fibers::fiber g_fork_t;

static inline void g_fork(g_fork_t *h, void (*fn)(void *), void *arg)
{
	*h = start(fn, arg);
}

static inline void g_joinh(g_fork_t *h)
{
	h->join();
}

__attribute__((unused)) static void g_sleep_us(long us)
{
	boost::this_fiber::sleep_for(std::chrono::microseconds(us));
}

#include BENCH_BODIES

static long number_from_env(const char *name, long deflt)
{
	const char *s = getenv(name);

	return s && *s ? atol(s) : deflt;
}

/* A worker serves others' fibers for as long as its own one waits here. */
static void worker(int P, bool suspend)
{
	static fibers::mutex mutex;
	static fibers::condition_variable_any never;

	fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(P, suspend);
	std::unique_lock<fibers::mutex> lock(mutex);
	never.wait(lock);
}

static void g_run(int P, void (*fn)(void *))
{
	bool suspend = number_from_env("SUSPEND", 1) != 0;

	stack_size = number_from_env("STACK", 16384);
	/* work_stealing's constructor waits until all P threads are there. */
	for (int i = 1; i < P; i++)
		std::thread(worker, P, suspend).detach();
	if (P > 1)
		fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(P, suspend);
	fn(NULL);
}
