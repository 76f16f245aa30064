/* SPDX-License-Identifier: MIT */
/*
 * gmpctl - loads, shows and unloads what gmprt has in the kernel; see gmpctl(1)
 */
#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gmpctl/gmpctl.h"
#include "lib/pins.h"

#include <gmprt.h>

const char *argp_program_version = "gmpctl " GMPRT_VERSION;

static const struct command {
	const char *name;
	int (*run)(const struct options *o);
} commands[] = {
	{ "load", cmd_load },
	{ "unload", cmd_unload },
	{ "status", cmd_status },
};

static const char doc[] = "Loads, shows and unloads what gmprt has in the kernel."
			  "\vCommands:\n"
			  "  load     load the BPF programs and pin them, for gmpd's clients\n"
			  "  unload   take them out again\n"
			  "  status   what is loaded, since when, and who uses it\n";

static const struct argp_option options[] = {
	{ "bpf", 'b', NULL, 0, "load: the BPF programs (there is nothing else to load)", 0 },
	{ "json", 'j', NULL, 0, "status: as JSON", 0 },
	{ "pins", 'p', "DIR", 0, "Folder of a BPF file system, by default " PINS_DIR, 0 },
	{ 0 },
};

struct arguments {
	struct options o;
	const struct command *command;
	bool bpf;
};

static const struct command *command_of(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	return NULL;
}

static void check(struct argp_state *state, const struct arguments *a)
{
	if (!a->command)
		argp_error(state, "no command: give load, unload or status");
	if (a->bpf && a->command->run != cmd_load)
		argp_error(state, "--bpf is an option of load");
	if (a->o.json && a->command->run != cmd_status)
		argp_error(state, "--json is an option of status");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'b':
		a->bpf = true;
		return 0;
	case 'j':
		a->o.json = true;
		return 0;
	case 'p':
		a->o.pins = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->command)
			argp_error(state, "%s: one command at a time", arg);
		a->command = command_of(arg);
		if (!a->command)
			argp_error(state, "%s: no such command; there are load, unload, status",
				   arg);
		return 0;
	case ARGP_KEY_END:
		check(state, a);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int complain(const char *fmt, ...)
{
	va_list ap;

	fputs("gmpctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "COMMAND", doc, NULL, NULL, NULL };
	struct arguments a = { .o = { .pins = PINS_DIR } };

	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	return a.command->run(&a.o);
}
