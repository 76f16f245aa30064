/* SPDX-License-Identifier: MIT */
/*
 * once.c - done is set after fn has returned, so who reads it needs no lock
 */
#include <gmprt.h>

#include "base/atomic.h"
#include "base/bug.h"
#include "core/tls.h"

static __noinline void once_slow(gmprt_once *o, void (*fn)(void *), void *arg)
{
	if (!rt_m_self())
		rt_misuse("gmprt_once_do: this is no goroutine");
	gmprt_mutex_lock(&o->mutex);
	if (!load_rlx(&o->done)) {
		fn(arg);
		store_rel(&o->done, 1); /* pairs with load_acq below */
	}
	gmprt_mutex_unlock(&o->mutex);
}

GMPRT_API void gmprt_once_do(gmprt_once *o, void (*fn)(void *), void *arg)
{
	if (unlikely(!load_acq(&o->done)))
		once_slow(o, fn, arg);
}
