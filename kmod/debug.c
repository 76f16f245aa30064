// SPDX-License-Identifier: GPL-2.0-only
/*
 * debug.c - /sys/kernel/debug/gmprt/sessions: who is there, and what has happened
 *
 * A kernel without debugfs has no such file, and needs none. The trace events are
 * made here too.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "debug.h"
#include "session.h"

#define CREATE_TRACE_POINTS
#include "gmprt_trace.h"

static struct dentry *dir;

static int sessions_show(struct seq_file *seq, void *unused)
{
	gmprt_sessions_show(seq);
	return 0;
}

DEFINE_SHOW_ATTRIBUTE(sessions);

void gmprt_debug_init(void)
{
	dir = debugfs_create_dir("gmprt", NULL);
	debugfs_create_file("sessions", 0400, dir, NULL, &sessions_fops);
}

void gmprt_debug_exit(void)
{
	debugfs_remove_recursive(dir);
}
