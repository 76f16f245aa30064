/* SPDX-License-Identifier: MIT */
/*
 * debug.c - GMPRT_DEBUG=name=number[,name=number...], as GODEBUG; a plain name
 * where there is nothing to say but yes
 */
#include "api/debug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"

#define MS_MAX (24 * 3600 * 1000LL)

/* The number behind "name=" in one item of the list; -1: it is not one. */
static int64_t value_of(const char *item, size_t len)
{
	char text[32], *end;
	long long n;

	if (len == 0 || len >= sizeof(text))
		return -1;
	memcpy(text, item, len);
	text[len] = '\0';
	errno = 0;
	n = strtoll(text, &end, 10);
	return *end || errno || n < 0 || n > MS_MAX ? -1 : n;
}

static void read_item(struct rt_debug *d, const char *item, size_t len)
{
	const char *eq = memchr(item, '=', len);
	size_t name = eq ? (size_t)(eq - item) : len;
	int64_t n = eq ? value_of(eq + 1, len - name - 1) : -1;

	if (name == strlen("schedtrace") && !memcmp(item, "schedtrace", name) && n >= 0)
		d->schedtrace_ms = n;
	else if (name == strlen("scheddetail") && !memcmp(item, "scheddetail", name) && n >= 0)
		d->scheddetail = n != 0;
	else if (name == strlen("upcall") && !memcmp(item, "upcall", name) && (n >= 0 || !eq))
		d->upcall = n != 0;
	else
		rt_log("GMPRT_DEBUG: \"%.*s\" is left out; there are: schedtrace=MILLISECONDS, "
		       "scheddetail=0|1, upcall[=0|1]",
		       (int)len, item);
}

void rt_debug_read(struct rt_debug *d)
{
	const char *item = getenv("GMPRT_DEBUG");
	size_t len;

	*d = (struct rt_debug){ 0 };
	for (; item && *item; item += len + (item[len] == ',')) {
		len = strcspn(item, ",");
		if (len)
			read_item(d, item, len);
	}
}
