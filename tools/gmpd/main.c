/* SPDX-License-Identifier: MIT */
/*
 * gmpd - gives programs without rights what gmpctl has loaded; see gmpd(8)
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "abi/gmprt_bpf.h"
#include "gmpd/gmpd.h"
#include "lib/pins.h"

#include <gmprt.h>

const char *argp_program_version = "gmpd " GMPRT_VERSION;

static const char doc[] =
	"Gives programs of users without rights sessions with the BPF programs that "
	"'gmpctl load' has loaded.";

enum { KEY_SESSIONS = 256,
       KEY_BYTES };

static const struct argp_option options[] = {
	{ "pins", 'p', "DIR", 0, "Where they are pinned, by default " PINS_DIR, 0 },
	{ "socket", 's', "PATH", 0, "By default " GMPRT_GMPD_SOCKET, 0 },
	{ "group", 'g', "NAME", 0, "Who may connect besides root, by default gmprt", 0 },
	{ "sessions", KEY_SESSIONS, "N", 0, "A user's sessions at a time, by default 16", 0 },
	{ "bytes", KEY_BYTES, "N", 0, "A user's kernel memory, by default 67108864", 0 },
	{ 0 },
};

static uint64_t number(struct argp_state *state, const char *text, uint64_t most)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || end == text || text[0] == '-' || !n || n > most)
		argp_error(state, "%s: not a number from 1 to %ju", text, (uintmax_t)most);
	return n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct config *c = state->input;

	switch (key) {
	case 'p':
		c->pins = arg;
		return 0;
	case 's':
		c->socket = arg;
		return 0;
	case 'g':
		c->group = arg;
		return 0;
	case KEY_SESSIONS:
		c->limits.sessions = (uint32_t)number(state, arg, GMPRT_SESSIONS - 1);
		return 0;
	case KEY_BYTES:
		c->limits.bytes = number(state, arg, 1ULL << 40);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: there are options only", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int complain(const char *fmt, ...)
{
	va_list ap;

	fputs("gmpd: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

static int stop_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, NULL, doc, NULL, NULL, NULL };
	struct config c = { .pins = PINS_DIR,
			    .socket = GMPRT_GMPD_SOCKET,
			    .limits = { .sessions = 16, .bytes = 64 << 20 } };
	int stop, fd;

	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &c);
	if (geteuid() != 0)
		return -complain("makes sessions in the kernel: run it as root");
	stop = stop_signals();
	if (stop < 0)
		return -complain("no descriptor for signals: %s", strerror(errno));
	if (session_start(&c))
		return 1;
	fd = listen_open(&c);
	if (fd < 0)
		return 1;
	conn_loop(&c, fd, stop);
	listen_close(&c);
	return 0;
}
