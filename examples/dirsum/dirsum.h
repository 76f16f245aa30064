/* SPDX-License-Identifier: MIT */
/*
 * dirsum.h - what the parts of dirsum share; main.c tells the story
 */
#ifndef DIRSUM_H
#define DIRSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gmprt.h>

/*
 * errno's address is a constant to the compiler, which may keep it over a call
 * after which the goroutine runs on another thread. So errno is read only in
 * functions marked `noinline` that call nothing of gmprt.
 */
#define noinline __attribute__((noinline))

enum {
	HEX = 64,       /* digits of a digest */
	NAME = HEX + 2, /* where in a line the file's name begins */
};

/* Reasons beside errno's for which a file is not in the list. */
enum {
	ERR_NOT_FILE = 1 << 16, /* something that can't be hashed */
	ERR_SYMLINK,            /* named on the command line */
};

/*
 * A file on its way from the walker to the printer, or a complaint. It belongs
 * to whoever got it last, by gmprt_go() or by the channel: no field has a lock.
 */
struct file {
	struct file *next; /* in the walker's batch */
	uint64_t bytes;    /* read */
	int err;           /* errno, ERR_*, or 0: line is complete */
	size_t len;        /* of line, without its NUL */
	char line[];       /* "<digest>  <path>", as it will be printed */
};

/* main.c: set before the run, then only read. */
struct options {
	char **dirs; /* ends with NULL */
	int procs;
	bool quiet, by_name, forget, progress;
	int64_t start_ns;
};
extern struct options opt;

void die(const char *what) __attribute__((noreturn));
void *need(void *p);
int64_t now_ns(void);

/* file.c */
struct file *file_new(const char *dir, const char *name);
struct file *file_escape(struct file *f);
int path_open(const char *path, int flags);

/* walk.c: finds files, calls sum_go() for each. done: a gmprt_wg to be told. */
struct walked {
	unsigned long nr_files; /* written by the walker, read by the printer */
	long peak_goroutines;   /* of what it saw; valid when it has ended */
};
extern struct walked walked;

void walk(void *done);

/* sum.c: one goroutine for each file. */
void sum_init(void);
void sum_go(struct file *f);
void sum_wait(void);
void sum_exit(void);

/* print.c: collects results until the channel is closed, sorts, prints. */
struct printed {
	size_t nr_files;
	unsigned long nr_failed;
	uint64_t bytes;
	int64_t end_ns; /* when the list was sorted */
	int write_err;  /* errno of stdout, or 0 */
};
extern struct printed printed;

extern gmprt_chan *results; /* of struct file * */
void complain(const char *path, int err);
void print(void *done);

#endif /* DIRSUM_H */
