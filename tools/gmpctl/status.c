/* SPDX-License-Identifier: MIT */
/*
 * status.c - gmpctl status: what is loaded, since when, and who uses it
 *
 * Who a session's client is stands in memory that only gmpd writes. Its counters
 * are read from the memory that the client can write: they are as good as it is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <json-c/json.h>

#include "abi/gmprt_abi.h"
#include "abi/gmprt_bpf.h"
#include "gmpctl/gmpctl.h"
#include "lib/pins.h"

struct counters {
	uint32_t ps, ms; /* that are not dead; registered now */
	uint64_t blocks, freed, reclaimed, signals;
};

/* ---- reading ------------------------------------------------------- */

/* Unix time at which the program was loaded; 0: unknown. */
static time_t loaded_at(int prog)
{
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);
	struct timespec boot, now;

	if (bpf_obj_get_info_by_fd(prog, &info, &size) ||
	    clock_gettime(CLOCK_BOOTTIME, &boot) || clock_gettime(CLOCK_REALTIME, &now))
		return 0;
	return now.tv_sec - boot.tv_sec + (time_t)(info.load_time / 1000000000);
}

static void add_slot(struct counters *c, const struct gmprt_abi_m *m)
{
	c->ms += m->kflags == GMPRT_MF_REGISTERED;
	c->blocks += m->nr_blocks;
	c->freed += m->nr_freed;
	c->reclaimed += m->nr_reclaimed;
	c->signals += m->nr_signals;
}

static void count_in(struct counters *c, const struct gmprt_session *s, const char *space)
{
	const struct gmprt_abi_head *h = (const void *)space;
	const struct gmprt_abi_m *m =
		(const void *)(space + s->m_first * (size_t)GMPRT_ABI_BLOCK);
	uint32_t watcher = h->watcher;

	for (uint32_t i = 1; i < s->nr_ms; i++)
		if (i != watcher)
			add_slot(c, &m[i]);
	for (uint32_t i = 0; i < s->nr_ps; i++) {
		size_t at = (s->p_first + (size_t)i * s->p_stride) * GMPRT_ABI_BLOCK;
		uint64_t word = ((const struct gmprt_abi_p *)(const void *)(space + at))->word;

		c->ps += gmprt_abi_state(word) != GMPRT_P_DEAD &&
			 (!watcher || gmprt_abi_owner(word) != watcher);
	}
}

static void count_mapped(struct counters *c, const struct gmprt_session *s, int fd)
{
	size_t bytes = (s->m_first + (s->nr_ms + 3) / 4) * (size_t)GMPRT_ABI_BLOCK;
	char *space = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (space == MAP_FAILED)
		return;
	count_in(c, s, space);
	munmap(space, bytes);
}

static struct counters count(const struct pins *p, uint32_t nr, const struct gmprt_session *s)
{
	struct counters c = { 0 };
	uint32_t id;
	int space;

	if (bpf_map_lookup_elem(p->spaces, &nr, &id))
		return c;
	space = bpf_map_get_fd_by_id(id);
	if (space < 0)
		return c;
	count_mapped(&c, s, space);
	close(space);
	return c;
}

static bool session_at(const struct pins *p, uint32_t nr, struct gmprt_session *s)
{
	return bpf_map_lookup_elem(p->sessions, &nr, s) == 0 && s->key;
}

/* ---- saying -------------------------------------------------------- */

static void text(const struct pins *p, const struct options *o, time_t since, bool hold)
{
	struct gmprt_session s;
	char when[64];
	int n = 0;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime(&since));
	printf("bpf: loaded since %s, pinned in %s, %s hold\n", when, o->pins,
	       hold ? "with" : "without");
	for (uint32_t nr = 0; nr < GMPRT_SESSIONS; nr++) {
		struct counters c;

		if (!session_at(p, nr, &s))
			continue;
		c = count(p, nr, &s);
		if (!n++)
			printf("%7s %8s %8s %5s %5s %12s %12s %12s %12s\n", "session", "pid",
			       "uid", "Ps", "Ms", "blocks", "freed", "reclaimed", "signals");
		printf("%7u %8u %8u %5u %5u %12ju %12ju %12ju %12ju\n", nr, s.pid, s.uid, c.ps,
		       c.ms, (uintmax_t)c.blocks, (uintmax_t)c.freed, (uintmax_t)c.reclaimed,
		       (uintmax_t)c.signals);
	}
	if (!n)
		puts("no sessions");
}

static void add(struct json_object *to, const char *name, uint64_t n)
{
	json_object_object_add(to, name, json_object_new_int64((int64_t)n));
}

static struct json_object *json_session(const struct pins *p, uint32_t nr,
					const struct gmprt_session *s)
{
	struct json_object *j = json_object_new_object();
	struct counters c = count(p, nr, s);

	add(j, "session", nr);
	add(j, "pid", s->pid);
	add(j, "uid", s->uid);
	add(j, "ps", c.ps);
	add(j, "ms", c.ms);
	add(j, "blocks", c.blocks);
	add(j, "freed", c.freed);
	add(j, "reclaimed", c.reclaimed);
	add(j, "signals", c.signals);
	return j;
}

static void json_print(struct json_object *all)
{
	puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY |
							 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(all);
}

static void json(const struct pins *p, const struct options *o, time_t since, bool hold)
{
	struct json_object *all = json_object_new_object(), *list = json_object_new_array();
	struct gmprt_session s;

	json_object_object_add(all, "loaded", json_object_new_boolean(1));
	json_object_object_add(all, "pins", json_object_new_string(o->pins));
	add(all, "since", (uint64_t)since);
	json_object_object_add(all, "hold", json_object_new_boolean(hold));
	for (uint32_t nr = 0; nr < GMPRT_SESSIONS; nr++)
		if (session_at(p, nr, &s))
			json_object_array_add(list, json_session(p, nr, &s));
	json_object_object_add(all, "sessions", list);
	json_print(all);
}

static int not_loaded(const struct options *o, const char *why)
{
	struct json_object *all;

	if (!o->json)
		return complain("%s", why);
	all = json_object_new_object();
	json_object_object_add(all, "loaded", json_object_new_boolean(0));
	json_object_object_add(all, "why", json_object_new_string(why));
	json_print(all);
	return EXIT_FAILURE;
}

int cmd_status(const struct options *o)
{
	struct pins p;
	char why[300];
	time_t since;
	bool hold;

	if (pins_open(&p, o->pins, why, sizeof(why)))
		return not_loaded(o, why);
	since = loaded_at(p.call);
	hold = kernel_hold() > 0;
	if (o->json)
		json(&p, o, since, hold);
	else
		text(&p, o, since, hold);
	pins_close(&p);
	return fflush(stdout) || ferror(stdout) ? complain("stdout: %s", strerror(errno)) : 0;
}
