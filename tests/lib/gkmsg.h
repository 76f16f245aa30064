/* SPDX-License-Identifier: MIT */
/*
 * gkmsg.h - a test must not make the kernel complain
 */
#ifndef TESTS_LIB_GKMSG_H
#define TESTS_LIB_GKMSG_H

/* From now on. Where the kernel's log may not be read nothing is checked. */
void g_kmsg_begin(void);
/* Ends the test if the kernel has warned since, or has said anything of BPF. */
void g_kmsg_end(void);

#endif
