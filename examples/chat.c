/* SPDX-License-Identifier: MIT */
/*
 * chat - a room for everyone who connects; what one types, the others read
 *
 *	chat [HOST:PORT]	default 127.0.0.1:7778
 *
 * Lines; "/nick NAME" and "/who" are commands, "/quit" or closing leaves.
 *
 *	reader --\                     /--> outbox --> writer
 *	reader ----> events --> room -----> outbox --> writer
 *	reader --/                     \--> outbox --> writer
 *
 * The room is one goroutine and owns everything: who is there, what they are
 * called. So there is no lock. Each guest has a reader, that makes events of
 * lines, and a writer, that empties the guest's outbox, a channel of 64 lines.
 * The room never waits for a guest: one whose outbox is full reads too slowly
 * and is thrown out, so that the others are not held up.
 *
 * A line is shared by all outboxes it is in and counts them. A guest's memory
 * goes when reader, writer and room have let go of it.
 */
#include <gmprt.h>

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	LINE_BYTES = 512,
	NAME_BYTES = 32,
	OUTBOX = 64,
};

struct line {
	long users;
	size_t len;
	char text[];
};

struct guest {
	struct guest *next; /* the room's */
	char name[NAME_BYTES];
	bool gone;
	long users;
	int fd;
	gmprt_chan *outbox; /* struct line * */
};

enum what { JOINED,
	    SAID,
	    LEFT };

struct event {
	enum what what;
	struct guest *from;
	char text[LINE_BYTES];
};

static gmprt_chan *events;
static struct guest *guests; /* the room's */

/* ---- memory ------------------------------------------------------- */

static void line_drop(struct line *l)
{
	if (__atomic_sub_fetch(&l->users, 1, __ATOMIC_ACQ_REL) == 0)
		free(l);
}

static void guest_drop(struct guest *g)
{
	struct line *l;

	if (__atomic_sub_fetch(&g->users, 1, __ATOMIC_ACQ_REL))
		return;
	while (gmprt_chan_recv_try(g->outbox, &l) == 0)
		line_drop(l);
	gmprt_chan_free(g->outbox);
	gmprt_close(g->fd);
	free(g);
}

/* ---- the room ----------------------------------------------------- */

/* Its reader finds the end of file, and says so to the room. */
static void throw_out(struct guest *g)
{
	g->gone = true;
	gmprt_chan_close(g->outbox);
	shutdown(g->fd, SHUT_RDWR);
}

static void deliver(struct guest *g, struct line *l)
{
	if (g->gone)
		return;
	__atomic_add_fetch(&l->users, 1, __ATOMIC_RELAXED);
	if (gmprt_chan_send_try(g->outbox, &l) == 0)
		return;
	line_drop(l);
	throw_out(g);
}

static void tell(struct guest *only, struct guest *except, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* To `only`, or to all but `except`; NULL for none. */
static void tell(struct guest *only, struct guest *except, const char *fmt, ...)
{
	char text[LINE_BYTES + NAME_BYTES + 16];
	struct line *l;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l = malloc(sizeof(*l) + (size_t)n);
	if (!l)
		return; /* this line is lost, the chat goes on */
	l->users = 1;
	l->len = (size_t)n;
	memcpy(l->text, text, l->len);
	if (only)
		deliver(only, l);
	else
		for (struct guest *g = guests; g; g = g->next)
			if (g != except)
				deliver(g, l);
	line_drop(l);
}

static bool name_is_free(const char *name)
{
	for (struct guest *g = guests; g; g = g->next)
		if (!strcmp(g->name, name))
			return false;
	return true;
}

static void rename_guest(struct guest *g, const char *name)
{
	bool good = *name && strlen(name) < NAME_BYTES;

	for (const char *c = name; *c; c++)
		good &= isalnum((unsigned char)*c) != 0;
	if (!good || !name_is_free(name)) {
		tell(g, NULL, "* a name is %d letters and digits at most, and nobody else's\n",
		     NAME_BYTES - 1);
		return;
	}
	tell(NULL, NULL, "* %s is now %s\n", g->name, name);
	snprintf(g->name, sizeof(g->name), "%s", name);
}

static void list_guests(struct guest *to)
{
	for (struct guest *g = guests; g; g = g->next)
		tell(to, NULL, "* %s\n", g->name);
}

static void said(struct guest *g, const char *text)
{
	if (!strncmp(text, "/nick ", 6))
		rename_guest(g, text + 6);
	else if (!strcmp(text, "/who"))
		list_guests(g);
	else if (!strcmp(text, "/quit"))
		throw_out(g);
	else if (*text)
		tell(NULL, g, "%s: %s\n", g->name, text);
}

static void left(struct guest *g)
{
	struct guest **link = &guests;

	while (*link != g)
		link = &(*link)->next;
	*link = g->next;
	if (!g->gone)
		throw_out(g);
	tell(NULL, NULL, "* %s left\n", g->name);
	guest_drop(g);
}

static void joined(struct guest *g)
{
	static long number;

	snprintf(g->name, sizeof(g->name), "guest%ld", ++number);
	g->next = guests;
	guests = g;
	tell(g, NULL, "* you are %s; /nick NAME, /who, /quit\n", g->name);
	tell(NULL, g, "* %s joined\n", g->name);
}

static void room(void *arg)
{
	struct event *e;

	(void)arg;
	while (gmprt_chan_recv(events, &e) == 0) {
		if (e->what == JOINED)
			joined(e->from);
		else if (e->what == SAID)
			said(e->from, e->text);
		else
			left(e->from);
		free(e);
	}
}

/* ---- a guest ------------------------------------------------------ */

static void writer(void *arg)
{
	struct guest *g = arg;
	struct line *l;

	/* After an error only lets the lines go, until the room closes. */
	for (bool broken = false; gmprt_chan_recv(g->outbox, &l) == 0; line_drop(l))
		broken = broken || gmprt_write_all(g->fd, l->text, l->len) < 0;
	guest_drop(g);
}

static int event_send(enum what what, struct guest *g, const char *text, size_t len)
{
	struct event *e = malloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->what = what;
	e->from = g;
	memcpy(e->text, text, len);
	e->text[len] = '\0';
	return gmprt_chan_send(events, &e);
}

/* Events of all whole lines in buf[0..n); returns how much is left over. A line
 * that fills the buffer is cut there. */
static size_t lines_send(struct guest *g, char *buf, size_t n)
{
	char *at = buf, *end = buf + n, *nl;

	while ((nl = memchr(at, '\n', (size_t)(end - at))) || end - at == LINE_BYTES - 1) {
		size_t len = nl ? (size_t)(nl - at) : (size_t)(end - at);
		size_t text = len && at[len - 1] == '\r' ? len - 1 : len;

		if (event_send(SAID, g, at, text))
			fputs("chat: no memory: a line is lost\n", stderr);
		at += len + (nl != NULL);
	}
	memmove(buf, at, (size_t)(end - at));
	return (size_t)(end - at);
}

static void reader(void *arg)
{
	struct guest *g = arg;
	char buf[LINE_BYTES];
	size_t have = 0;
	ssize_t n;

	while ((n = gmprt_read(g->fd, buf + have, LINE_BYTES - 1 - have)) > 0)
		have = lines_send(g, buf, have + (size_t)n);
	/* The room must hear of it, however long memory is short. */
	while (event_send(LEFT, g, "", 0) == -ENOMEM)
		if (gmprt_sleep(10000000))
			gmprt_yield();
	guest_drop(g);
}

static int welcome(int fd)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->fd = fd;
	g->users = 3; /* reader, writer, room */
	g->outbox = gmprt_chan_make(sizeof(struct line *), OUTBOX);
	if (!g->outbox) {
		free(g);
		return -ENOMEM;
	}
	if (event_send(JOINED, g, "", 0)) {
		gmprt_chan_free(g->outbox);
		free(g);
		return -ENOMEM;
	}
	/* From here on the room knows the guest: it must hear of its end. */
	if (gmprt_go(writer, g))
		guest_drop(g);
	if (gmprt_go(reader, g))
		reader(g); /* no memory for a goroutine: right here, till it leaves */
	return 0;
}

/* The kernel chooses it when 0 was asked for. */
static int port_of(int fd)
{
	struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &len);
	/* At the same place in IPv4's and IPv6's. */
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static int chat(int argc, char **argv)
{
	const char *at = argc > 1 ? argv[1] : "127.0.0.1:7778";
	int listener, fd;

	if (argc > 2) {
		fputs("usage: chat [HOST:PORT]\n", stderr);
		return 2;
	}
	listener = gmprt_listen_tcp(at, 128);
	events = gmprt_chan_make(sizeof(struct event *), 16);
	if (listener < 0 || !events || gmprt_go(room, NULL)) {
		fprintf(stderr, "chat: can't listen at %s: %s\n", at,
			strerror(listener < 0 ? -listener : ENOMEM));
		return 1;
	}
	printf("chat: listening at %s, port %d\n", at, port_of(listener));
	fflush(stdout);
	for (;;) {
		fd = gmprt_accept(listener, NULL, NULL);
		if (fd >= 0 && welcome(fd))
			gmprt_close(fd);
		else if (fd < 0 && fd != -ECONNABORTED && gmprt_sleep(100000000))
			gmprt_yield(); /* out of fds: until someone leaves */
	}
}

int main(int argc, char **argv)
{
	int r = gmprt_main(chat, argc, argv);

	if (r < 0)
		fprintf(stderr, "chat: the run time can't start: %s\n", strerror(-r));
	return r < 0 ? 1 : r;
}
