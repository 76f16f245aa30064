/* SPDX-License-Identifier: MIT */
/*
 * run.c - the run time's front door: options, environment, defaults
 */
#include <gmprt.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/debug.h"
#include "base/bug.h"
#include "base/rcu.h"
#include "core/cpus.h"
#include "sched/preempt.h"
#include "sched/stats.h"
#include "sched/switch.h"

enum { MAX_THREADS_DEFAULT = 10000 };

/* ---- settings ----------------------------------------------------- */

/* A number of Ps from the environment: n, 0 if unset, -EINVAL if malformed. */
static int env_procs(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long n;

	if (!text || !*text)
		return 0;
	errno = 0;
	n = strtol(text, &end, 10);
	if (*end || errno || n < 1 || n > RT_MAXPROCS_LIMIT) {
		rt_log("%s=%s: not a number of Ps; give one from 1 to %d, or unset it", name, text,
		       RT_MAXPROCS_LIMIT);
		return -EINVAL;
	}
	return (int)n;
}

static int given_by_env(void)
{
	int n = env_procs("GMPRT_MAXPROCS");

	return n ? n : env_procs("GOMAXPROCS");
}

static int default_procs(void)
{
	int n = given_by_env();

	if (n == 0)
		n = rt_cpus_usable();
	return n < RT_MAXPROCS_LIMIT ? n : RT_MAXPROCS_LIMIT;
}

/* 0 or -EINVAL. */
static int backend_read(const char *name, struct rt_params *par)
{
	const char *where = "options.upcall";

	if (!name) {
		where = "GMPRT_UPCALL";
		name = getenv(where);
	}
	par->backend = RT_BACKEND_KMOD;
	par->upcall_auto = !name || !*name || !strcmp(name, "auto");
	if (par->upcall_auto)
		return 0;
	for (size_t i = 0; i < RT_NR_BACKENDS; i++)
		if (!strcmp(name, rt_backend_names[i])) {
			par->backend = (enum rt_backend)i;
			return 0;
		}
	rt_log("%s: no backend \"%s\" in this build; there are: auto, sysmon, bpf, kmod", where,
	       name);
	return -EINVAL;
}

static int options_read(const struct gmprt_options *opt, struct gmprt_options *o)
{
	memset(o, 0, sizeof(*o));
	if (!opt)
		return 0;
	if (opt->size < sizeof(opt->size) || opt->size > sizeof(*o)) {
		rt_log("options.size is %zu; set it to sizeof(struct gmprt_options), %zu here",
		       opt->size, sizeof(*o));
		return -EINVAL;
	}
	memcpy(o, opt, opt->size);
	if (o->maxprocs < 0 || o->maxprocs > RT_MAXPROCS_LIMIT) {
		rt_log("options.maxprocs is %d: give 1 to %d, or 0 for the default", o->maxprocs,
		       RT_MAXPROCS_LIMIT);
		return -EINVAL;
	}
	if (o->max_threads < 0) {
		rt_log("options.max_threads is %d: not below 0", o->max_threads);
		return -EINVAL;
	}
	return 0;
}

static int params_make(const struct gmprt_options *opt, struct rt_params *par)
{
	struct gmprt_options o;
	struct rt_debug debug;
	int procs, class, r = options_read(opt, &o);

	if (r == 0)
		r = backend_read(o.upcall, par);
	if (r < 0)
		return r;
	procs = o.maxprocs ? o.maxprocs : given_by_env();
	if (procs < 0)
		return procs;
	par->procs_given = procs > 0;
	if (procs == 0)
		procs = rt_cpus_usable();
	class = o.stack_size ? rt_stack_class(o.stack_size) : RT_STACK_CLASS_DEFAULT;
	if (class < 0) {
		rt_log("options.stack_size is %zu bytes: at most 1 GiB", o.stack_size);
		return -EINVAL;
	}
	par->maxprocs = procs < RT_MAXPROCS_LIMIT ? (uint32_t)procs : RT_MAXPROCS_LIMIT;
	par->stack_class = (uint32_t) class;
	par->max_threads = o.max_threads ? (uint32_t)o.max_threads : MAX_THREADS_DEFAULT;
	if (par->max_threads > RT_OWNER_MAX)
		par->max_threads = RT_OWNER_MAX;
	rt_debug_read(&debug);
	par->trace_ms = debug.schedtrace_ms;
	par->trace_detail = debug.scheddetail;
	par->upcall_tells = debug.upcall;
	return 0;
}

/* ---- run ---------------------------------------------------------- */

GMPRT_API int gmprt_run(const struct gmprt_options *opt, void (*fn)(void *), void *arg)
{
	struct rt_params par;
	int r;

	if (!fn)
		return -EINVAL;
	if (rt_m_self())
		return -EPERM;
	r = params_make(opt, &par);
	if (r)
		return r;
	rt_bug_dump = rt_dump_report;
	rt_forked_hook = rt_quit_disarm;
	rt_overflow_install();
	rt_preempt_install();
	rt_quit_arm();
	r = rt_run(&par, fn, arg);
	if (r != -EBUSY) /* it is the run's that is under way */
		rt_quit_disarm();
	return r;
}

struct main_call {
	int (*fn)(int argc, char **argv);
	int argc;
	char **argv;
	int result;
};

static void call_main(void *arg)
{
	struct main_call *c = arg;

	c->result = c->fn(c->argc, c->argv);
}

GMPRT_API int gmprt_main(int (*fn)(int argc, char **argv), int argc, char **argv)
{
	struct main_call c = { fn, argc, argv, 0 };
	int r = fn ? gmprt_run(NULL, call_main, &c) : -EINVAL;

	return r ? r : c.result;
}

/* ---- looking and setting ------------------------------------------ */

GMPRT_API int gmprt_maxprocs(int n)
{
	struct rt_m *m = rt_m_self();
	struct rt_sched *s;
	int was;

	if (n > 0) {
		if (!m)
			return -EPERM;
		m = rt_enter();
		if (!m)
			return -EPERM;
		was = rt_procs_set(m->s, (uint32_t)n);
		rt_leave(m);
		return was;
	}
	if (m)
		return (int)load_rlx(&m->s->maxprocs);
	rt_rcu_read_lock();
	s = load_acq(&rt_cur);
	was = s ? (int)load_rlx(&s->maxprocs) : 0;
	rt_rcu_read_unlock();
	return was ? was : default_procs();
}

GMPRT_API const char *gmprt_upcall_backend(void)
{
	struct rt_sched *s = rt_cur_get();
	enum rt_backend b = s && rt_port_in_kernel(&s->port) ? s->port.backend : RT_BACKEND_SYSMON;

	if (s)
		rt_sched_unref(s);
	return rt_backend_names[b];
}

/* False: nothing has run yet. */
static bool stats_get(struct gmprt_stats *t)
{
	struct rt_m *m = rt_enter(); /* not to be preempted with the lock held */
	struct rt_sched *s = rt_cur_get();

	if (s) {
		rt_stats_sum(s, t);
		rt_sched_unref(s);
	}
	if (m)
		rt_leave(m);
	return s || rt_stats_last(t);
}

GMPRT_API int gmprt_stats_read(struct gmprt_stats *out)
{
	struct gmprt_stats t;
	size_t size = out->size;

	if (size < offsetof(struct gmprt_stats, nr_threads))
		return -EINVAL;
	if (!stats_get(&t))
		return -ENODATA;
	t.size = size;
	memset(out, 0, size);
	memcpy(out, &t, size < sizeof(t) ? size : sizeof(t));
	out->size = size;
	return 0;
}
