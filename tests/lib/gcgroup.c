/* SPDX-License-Identifier: MIT */
/*
 * gcgroup.c - finds the controller's mount and makes a directory there
 */
#include "lib/gcgroup.h"

#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/gcheck.h"

static bool write_file(const char *dir, const char *file, const char *text)
{
	char path[400];
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "w");
	if (!f)
		return false;
	ok = fputs(text, f) >= 0;
	return fclose(f) == 0 && ok;
}

static bool has_word(const char *dir, const char *file, const char *word)
{
	char path[400], line[1000], *state, *w;
	bool has = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "r");
	if (f && fgets(line, sizeof(line), f))
		for (w = strtok_r(line, " \n", &state); w; w = strtok_r(NULL, " \n", &state))
			has |= !strcmp(w, word);
	if (f)
		fclose(f);
	return has;
}

/* Where the controller is mounted, as the library looks for it too. */
static bool is_mount_of(struct mntent *m, const char *controller)
{
	if (strncmp(m->mnt_dir, "/sys/fs/cgroup", 14) != 0)
		return false;
	if (!strcmp(m->mnt_type, "cgroup2"))
		return !controller || has_word(m->mnt_dir, "cgroup.controllers", controller);
	return controller && !strcmp(m->mnt_type, "cgroup") && hasmntopt(m, controller);
}

static bool find_mount(struct g_cgroup *c, const char *controller)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	bool found = false;

	while (mounts && !found && (m = getmntent(mounts))) {
		if (!is_mount_of(m, controller))
			continue;
		found = true;
		c->v2 = !strcmp(m->mnt_type, "cgroup2");
		snprintf(c->dir, sizeof(c->dir), "%s", m->mnt_dir);
	}
	if (mounts)
		endmntent(mounts);
	if (!found)
		snprintf(c->why, sizeof(c->why), "no cgroup %s \"%s\" below /sys/fs/cgroup",
			 controller ? "controller" : "file system", controller ? controller : "2");
	return found;
}

bool g_cgroup_make(struct g_cgroup *c, const char *controller)
{
	char enable[64], *end;

	if (!find_mount(c, controller))
		return false;
	snprintf(enable, sizeof(enable), "+%s", controller ? controller : "");
	if (c->v2 && controller && !has_word(c->dir, "cgroup.subtree_control", controller) &&
	    !write_file(c->dir, "cgroup.subtree_control", enable)) {
		snprintf(c->why, sizeof(c->why), "%s/cgroup.subtree_control: %s", c->dir,
			 strerror(errno));
		return false;
	}
	end = c->dir + strlen(c->dir);
	snprintf(end, sizeof(c->dir) - (size_t)(end - c->dir), "/gmprt-test-%d", (int)getpid());
	if (mkdir(c->dir, 0755)) {
		snprintf(c->why, sizeof(c->why), "cannot make %s: %s", c->dir, strerror(errno));
		return false;
	}
	return true;
}

void g_cgroup_enter(const struct g_cgroup *c)
{
	g_cgroup_write(c, "cgroup.procs", "0");
}

void g_cgroup_write(const struct g_cgroup *c, const char *file, const char *text)
{
	if (!write_file(c->dir, file, text))
		G_FAIL("%s/%s: cannot write \"%s\": %s", c->dir, file, text, strerror(errno));
}

void g_cgroup_remove(const struct g_cgroup *c)
{
	/* A thread of the process that was in it may not be quite gone. */
	for (int i = 0; i < 1000 && rmdir(c->dir) && errno == EBUSY; i++)
		usleep(10000);
}
