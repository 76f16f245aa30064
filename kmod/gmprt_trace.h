/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * gmprt_trace.h - trace events: gmprt:gmprt_upcall and so on
 *
 * For trace-cmd, perf, bpftrace and tp_btf programs; without one they cost nothing.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM gmprt

#if !defined(GMPRT_KMOD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define GMPRT_KMOD_TRACE_H

#include <linux/tracepoint.h>

/* These macros are none that it understands. */
/* clang-format off */

/* M m has blocked, and its P is free. work: it has something to run. */
TRACE_EVENT(gmprt_upcall,
	    TP_PROTO(u32 session, u32 m, u32 p, bool work),
	    TP_ARGS(session, m, p, work),
	    TP_STRUCT__entry(__field(u32, session)
			     __field(u32, m)
			     __field(u32, p)
			     __field(bool, work)),
	    TP_fast_assign(__entry->session = session;
			   __entry->m = m;
			   __entry->p = p;
			   __entry->work = work;),
	    TP_printk("session=%u m=%u p=%u work=%d", __entry->session, __entry->m, __entry->p,
		      __entry->work));

DECLARE_EVENT_CLASS(gmprt_m,
		    TP_PROTO(u32 session, u32 m, u32 value),
		    TP_ARGS(session, m, value),
		    TP_STRUCT__entry(__field(u32, session)
				     __field(u32, m)
				     __field(u32, value)),
		    TP_fast_assign(__entry->session = session;
				   __entry->m = m;
				   __entry->value = value;),
		    TP_printk("session=%u m=%u value=%u", __entry->session, __entry->m,
			      __entry->value));

/* M m runs again, and its P, which value is, was still free. */
DEFINE_EVENT(gmprt_m, gmprt_take, TP_PROTO(u32 session, u32 m, u32 value),
	     TP_ARGS(session, m, value));

/* M m is without its P, which value is, and is stopped before it runs on in user mode. */
DEFINE_EVENT(gmprt_m, gmprt_hold, TP_PROTO(u32 session, u32 m, u32 value),
	     TP_ARGS(session, m, value));

/* value: the thread. */
DEFINE_EVENT(gmprt_m, gmprt_register, TP_PROTO(u32 session, u32 m, u32 value),
	     TP_ARGS(session, m, value));

/* value: 2, its thread has ended, or begun another program. */
DEFINE_EVENT(gmprt_m, gmprt_unregister, TP_PROTO(u32 session, u32 m, u32 value),
	     TP_ARGS(session, m, value));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE gmprt_trace
#include <trace/define_trace.h>
