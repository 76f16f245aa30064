/* SPDX-License-Identifier: MIT */
/*
 * hello - the first program: three goroutines, a channel, a select that gives up
 *
 *	cc hello.c $(pkg-config --cflags --libs gmprt) -o hello && ./hello
 */
#include <stdio.h>
#include <time.h>

#include <gmprt.h>

#define MS INT64_C(1000000)

static gmprt_chan *names;

static void early(void *name)
{
	gmprt_chan_send(names, &name); /* waits until main takes it */
}

static void late(void *name)
{
	gmprt_sleep(60000 * MS); /* other goroutines run meanwhile */
	gmprt_chan_send(names, &name);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static int hello(int argc, char **argv)
{
	const char *name;
	struct gmprt_case arrival = { GMPRT_RECV, names, &name, 0 };

	(void)argc;
	(void)argv;
	if (gmprt_go(early, "Ken") || gmprt_go(early, "Rob") || gmprt_go(late, "Robert"))
		return 1;
	while (gmprt_select_dl(&arrival, 1, now_ns() + 100 * MS) == 0)
		printf("hello, %s\n", name);
	printf("nobody came for 100 ms\n");
	return 0; /* and so ends the goroutine that still sleeps */
}

int main(int argc, char **argv)
{
	names = gmprt_chan_make(sizeof(char *), 0);
	return names ? gmprt_main(hello, argc, argv) : 1;
}
