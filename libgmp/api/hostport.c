/* SPDX-License-Identifier: MIT */
/*
 * hostport.c - from "host:port" to addresses
 *
 * Numbers are read here. Only a name goes to getaddrinfo(), in brackets: it
 * may ask servers for seconds, and uses some 30 KiB of stack.
 */
#include "api/hostport.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "base/compiler.h"
#include "sched/block.h"

struct hostport {
	char host[256]; /* "": none was given */
	char port[64];
	bool v6; /* the host stood in brackets */
};

/* ---- text --------------------------------------------------------- */

static bool copy(char *to, size_t size, const char *from, size_t n)
{
	if (n >= size)
		return false;
	memcpy(to, from, n);
	to[n] = '\0';
	return true;
}

/* "host:port", ":port", "[::1]:port" */
static bool split(const char *text, struct hostport *hp)
{
	const char *colon = strrchr(text, ':'), *host = text, *end = colon;

	if (!colon || !colon[1])
		return false;
	if (*text == '[') {
		if (end == text || end[-1] != ']')
			return false;
		host++;
		end--;
		hp->v6 = true;
	} else if (memchr(text, ':', (size_t)(colon - text))) {
		return false; /* an IPv6 address needs brackets */
	}
	return copy(hp->host, sizeof(hp->host), host, (size_t)(end - host)) &&
	       copy(hp->port, sizeof(hp->port), colon + 1, strlen(colon + 1));
}

/* Letters, digits, '-', '_' and '.', which begin with a letter or digit: what the
 * names of hosts and services are made of; else it is a slip. */
static bool is_name(const char *text)
{
	if (!isalnum((unsigned char)*text))
		return false;
	while (isalnum((unsigned char)*text) || (*text && strchr("-_.", *text)))
		text++;
	return !*text;
}

static bool is_host(const struct hostport *hp)
{
	struct in6_addr a;

	if (hp->v6) /* fe80::1%eth0 is the resolver's to understand */
		return strchr(hp->host, '%') || inet_pton(AF_INET6, hp->host, &a) == 1;
	return !*hp->host || is_name(hp->host);
}

/* 0 to 65535; -1: a name; -2: neither a port nor a name. */
static int port_number(const char *text)
{
	int n = 0;

	if (*text < '0' || *text > '9')
		return is_name(text) ? -1 : -2;
	for (; *text >= '0' && *text <= '9' && n <= 65535; text++)
		n = n * 10 + *text - '0';
	return *text || n > 65535 ? -2 : n;
}

/* ---- numbers ------------------------------------------------------ */

static void add(struct rt_addrs *out, const void *a, socklen_t len)
{
	if (out->n == RT_ADDRS_MOST || len > sizeof(out->v[0].a))
		return;
	memcpy(&out->v[out->n].a, a, len);
	out->v[out->n++].len = len;
}

static bool add_v4(struct rt_addrs *out, const char *host, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		return false;
	add(out, &a, sizeof(a));
	return true;
}

static bool add_v6(struct rt_addrs *out, const char *host, int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET6, host, &a.sin6_addr) != 1)
		return false;
	add(out, &a, sizeof(a));
	return true;
}

/* No host: any address, both families by one socket where that works; or this
 * machine. */
static void add_default(struct rt_addrs *out, int port, bool listens)
{
	if (listens) {
		add_v6(out, "::", port);
		add_v4(out, "0.0.0.0", port);
	} else {
		add_v4(out, "127.0.0.1", port);
		add_v6(out, "::1", port);
	}
}

/* ---- names -------------------------------------------------------- */

static int error_of(int eai)
{
	switch (eai) {
	case EAI_SYSTEM:
		return -errno;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_FAIL:
		return -EIO;
	}
	return -ENOENT; /* no such host or service */
}

static __noinline int ask_resolver(const struct hostport *hp, bool listens, struct rt_addrs *out)
{
	struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP }, *list;
	int saved = errno, r;

	want.ai_flags = listens ? AI_PASSIVE : AI_ADDRCONFIG;
	r = getaddrinfo(*hp->host ? hp->host : NULL, hp->port, &want, &list);
	if (r == 0) {
		for (struct addrinfo *ai = list; ai; ai = ai->ai_next)
			add(out, ai->ai_addr, ai->ai_addrlen);
		freeaddrinfo(list);
	}
	r = r ? error_of(r) : out->n ? 0 : -ENOENT;
	errno = saved;
	return r;
}

int rt_hostport(const char *text, bool listens, struct rt_addrs *out)
{
	struct hostport hp = { .v6 = false };
	int port, r;

	out->n = 0;
	if (!text || !split(text, &hp))
		return -EINVAL;
	port = port_number(hp.port);
	if (port == -2)
		return -EINVAL;
	if (port >= 0 && !*hp.host) {
		add_default(out, port, listens);
		return 0;
	}
	if (port >= 0 && !hp.v6 && add_v4(out, hp.host, port))
		return 0;
	if (port >= 0 && hp.v6 && add_v6(out, hp.host, port))
		return 0;
	if (!is_host(&hp))
		return -EINVAL;
	rt_block_enter();
	r = ask_resolver(&hp, listens, out);
	rt_block_exit();
	return r;
}
