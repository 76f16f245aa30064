/* SPDX-License-Identifier: MIT */
/*
 * hostport.h - see hostport.c
 */
#ifndef RT_API_HOSTPORT_H
#define RT_API_HOSTPORT_H

#include <stdbool.h>
#include <sys/socket.h>

enum { RT_ADDRS_MOST = 16 };

struct rt_addrs {
	int n;
	struct {
		struct sockaddr_storage a;
		socklen_t len;
	} v[RT_ADDRS_MOST];
};

/* The TCP addresses of "host:port", to listen on or to dial. 0, or -errno as
 * gmprt.h says. May block the M, in brackets. */
int rt_hostport(const char *text, bool listens, struct rt_addrs *out);

#endif
