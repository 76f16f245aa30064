/* SPDX-License-Identifier: MIT */
/*
 * stress.c - seed, time and rounds of stress.h
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/gcheck.h"

#define ROUND_SECONDS 60
#define ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))

uint64_t g_seed;

void g_stress(const char *claim, void (*round)(void));

static uint64_t from_env(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);
	char *end;
	uint64_t v;

	if (!s || !*s)
		return otherwise;
	errno = 0;
	v = strtoull(s, &end, 0);
	if (errno || *end)
		G_FAIL("%s=%s is not a number", name, s);
	return v;
}

void g_stress(const char *claim, void (*round)(void))
{
	static const int procs[] = { 1, 2, 4, 8 };
	uint64_t seed = from_env("SEED", (uint64_t)g_now() % 1000000000);
	uint64_t rand = seed;
	size_t k;
	int64_t end = g_now() + (int64_t)from_env("TIME", 2) * G_SEC;
	long rounds[ARRAY_LEN(procs)] = { 0 };

	printf("# SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	do {
		g_seed = g_rand(&rand);
		k = g_rand(&rand) % ARRAY_LEN(procs);
		g_procs = procs[k];
		g_watch(claim, ROUND_SECONDS * G_SLOW);
		g_run(g_procs, round);
		g_watch_end();
		rounds[k]++;
	} while (g_now() < end);
	printf("# rounds:");
	for (k = 0; k < ARRAY_LEN(procs); k++)
		printf(" P=%d %ld", procs[k], rounds[k]);
	printf("\n");
	fflush(stdout);
}
