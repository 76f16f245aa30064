#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Programs built the way a user builds them run: against `make install`, found
# by pkg-config, with the shared and the static library, from C and C++, and
# beside GNU MP, whose header and library have almost the same name.

. "$(dirname "$0")/tap.inc"

stage=$work/stage
root=$work/root

install_into() {
	make -s -C "$src" O="$out" CC="$CC" "$@" install
}

pc() {
	PKG_CONFIG_PATH=$root/lib/pkgconfig pkg-config "$@" gmprt
}

cat >"$work/body.h" <<'END'
static void child(void *arg)
{
	int v = 42;

	if (gmprt_chan_send((gmprt_chan *)arg, &v))
		_Exit(3);
}

static int body(int argc, char **argv)
{
	gmprt_chan *c = gmprt_chan_make(sizeof(int), 0);
	int v = 0;

	(void)argc, (void)argv;
	if (!c || gmprt_go(child, c) || gmprt_chan_recv(c, &v))
		return 4;
	gmprt_chan_free(c);
	return v == 42 ? 0 : 5;
}

int main(int argc, char **argv)
{
	return gmprt_main(body, argc, argv);
}
END
{ echo '#include <gmprt.h>'; echo '#include <stdlib.h>'; echo '#include "body.h"'; } >"$work/one.c"
cp "$work/one.c" "$work/one.cc"
sed 's|gmprt.h|gmprt/short.h|' "$work/one.c" >"$work/short.c"
echo '#include <gmprt.h>' >"$work/alone.c"
echo '#include <gmprt/short.h>' >>"$work/alone.c"

strict="-Wall -Wextra -Wpedantic -Werror"

run_shared() {
	LD_LIBRARY_PATH=$root/lib "$@"
}

# Where their packages are missing there are none.
commands() {
	[ -e "$out/bin/gmpctl" ] || return 0
	printf '%s\n' ./usr/bin/gmpctl ./usr/share/man/man1/gmpctl.1 \
		./usr/sbin/gmpd ./usr/share/man/man8/gmpd.8 \
		./usr/lib/systemd/system/gmpd.socket ./usr/lib/systemd/system/gmpd.service
}

files_are_there() {
	install_into DESTDIR="$stage" PREFIX=/usr
	(cd "$stage" && find . ! -type d | sort) >"$work/is"
	{ cat; commands; } <<-END | sort >"$work/should"
	./usr/include/gmprt.h
	./usr/include/gmprt/errno.h
	./usr/include/gmprt/io.h
	./usr/include/gmprt/short.h
	./usr/lib/libgmprt.a
	./usr/lib/libgmprt.so
	./usr/lib/libgmprt.so.0
	./usr/lib/pkgconfig/gmprt.pc
	END
	diff "$work/is" "$work/should"
}

# DESTDIR is where the files lie today, PREFIX where the program will look.
destdir_stays_out() {
	! grep -r "$stage" "$stage/usr/lib/pkgconfig" || return 1
	grep -q '^prefix=/usr$' "$stage/usr/lib/pkgconfig/gmprt.pc"
}

# It looks whether the programs that are named are there.
units() {
	systemd-analyze --man=no verify "$root/lib/systemd/system/gmpd.socket" \
		"$root/lib/systemd/system/gmpd.service" 2>&1 | tee "$work/said"
	! grep "gmpd\." "$work/said"
}

uninstall_removes_all() {
	make -s -C "$src" O="$out" CC="$CC" DESTDIR="$stage" PREFIX=/usr uninstall
	same "$(find "$stage" ! -type d)" ""
	[ ! -e "$stage/usr/include/gmprt" ]
}

shared() {
	# shellcheck disable=SC2046
	$CC -o "$work/shared" "$work/one.c" $(pc --cflags --libs)
	readelf -dW "$work/shared" | grep -q 'NEEDED.*libgmprt.so.0'
	run_shared "$work/shared"
}

static_archive() {
	# shellcheck disable=SC2046
	$CC -o "$work/archive" "$work/one.c" $(pc --static --cflags --libs | sed 's/-lgmprt/-l:libgmprt.a/')
	! readelf -dW "$work/archive" | grep 'NEEDED.*libgmprt' || return 1
	"$work/archive"
}

fully_static() {
	# shellcheck disable=SC2046
	$CC -static -o "$work/static" "$work/one.c" $(pc --static --cflags --libs)
	"$work/static"
}

# The header, gmprt.pc and the Makefile, which says so first, name one version.
one_version() {
	printf '#include <gmprt.h>\nversion GMPRT_VERSION\n' >"$work/version.c"
	# shellcheck disable=SC2046
	same "$($CC -E $(pc --cflags) "$work/version.c" | sed -n 's/^version "\(.*\)"$/\1/p')" "$(pc --modversion)"
	same "$(pc --modversion)" "$(sed -n 's/^VERSION := //p' "$src/Makefile")"
}

cat >"$work/dump.c" <<'END'
#include <gmprt.h>

/* The frames must be there after the calls: no tail calls. */
static void users_function(void *chan)
{
	gmprt_chan_recv((gmprt_chan *)chan, NULL);
	__asm__ volatile("");
}

static int body(int argc, char **argv)
{
	gmprt_chan *c = gmprt_chan_make(0, 0);

	(void)argc, (void)argv;
	if (!c || gmprt_go(users_function, c))
		return 4;
	gmprt_sleep(20000000);
	gmprt_dump(1);
	return 0;
}

int main(int argc, char **argv)
{
	return gmprt_main(body, argc, argv);
}
END

# frames NR: the functions on goroutine NR's stack, as the dump of stdin shows it.
frames() {
	sed -n "/^goroutine $1 /,/^\$/s/^\([a-z_]*\).*(\.\.\.)\$/\1/p" | tr '\n' ' '
}

dump_shows_the_users() {
	"$@" >"$work/dump"
	cat "$work/dump"
	same "$(frames 1 <"$work/dump")" "gmprt_dump body "
	same "$(frames 2 <"$work/dump")" "gmprt_chan_recv users_function "
}

dump_shared() {
	# shellcheck disable=SC2046
	$CC -O1 -o "$work/dump_shared" "$work/dump.c" $(pc --cflags --libs)
	dump_shows_the_users run_shared "$work/dump_shared"
}

dump_archive() {
	# shellcheck disable=SC2046
	$CC -O1 -o "$work/dump_archive" "$work/dump.c" $(pc --static --cflags --libs | sed 's/-lgmprt/-l:libgmprt.a/')
	dump_shows_the_users "$work/dump_archive"
}

# Without debugging information in either.
dump_stripped() {
	strip -g -o "$work/dump_stripped" "$work/dump_archive"
	dump_shows_the_users "$work/dump_stripped"
}

# The first program of README.md, as it stands there, prints what it says.
readme() {
	# shellcheck disable=SC2016 # not a command substitution: three backquotes
	sed -n '/^```c$/,/^```$/p' "$src/README.md" | sed '1d;$d' >"$work/hello.c"
	says=$(sed -n 's|^\./hello *# *||p' "$src/README.md")
	[ -n "$says" ]
	# shellcheck disable=SC2046,SC2086
	$CC $strict -o "$work/hello" "$work/hello.c" $(pc --cflags --libs)
	same "$(run_shared "$work/hello")" "$says"
}

short_names() {
	sed -i 's/"body.h"/"short_body.h"/' "$work/short.c"
	sed 's/gmprt_chan_/chan_/g; s/gmprt_go/go/' "$work/body.h" >"$work/short_body.h"
	# shellcheck disable=SC2046
	$CC -o "$work/short" "$work/short.c" $(pc --cflags --libs)
	run_shared "$work/short"
}

cplusplus() {
	# shellcheck disable=SC2046,SC2086
	$CXX -std=$1 $strict -o "$work/cc" "$work/one.cc" $(pc --cflags --libs)
	run_shared "$work/cc"
}

# Goroutines that block while they handle an exception, on one P, so that each
# finds another's exceptions on its thread unless they were put aside.
cat >"$work/throw.cc" <<'END'
#include <gmprt.h>
#include <exception>
#include <stdexcept>
#include <string>
#include <cstdlib>
#include <cstdio>

static const int n = 100;
static int bad;
static gmprt_wg all;
static gmprt_chan *turns;

static void expect(bool ok, const char *what)
{
	if (!ok) {
		std::printf("# %s\n", what);
		bad = 1;
	}
}

static bool current_is(const std::string &text)
{
	try {
		std::rethrow_exception(std::current_exception());
	} catch (const std::runtime_error &e) {
		return text == e.what();
	}
	return false;
}

struct blocks_when_unwound {
	~blocks_when_unwound()
	{
		gmprt_yield();
		expect(std::uncaught_exception(), "an exception is in flight after a switch");
		gmprt_yield();
	}
};

static void quits(void *)
{
	try {
		throw 1;
	} catch (int) {
		gmprt_exit();
	}
}

static void one(void *arg)
{
	std::string me = "goroutine " + std::to_string((long)arg);
	long in = (long)arg, out;

	expect(!std::current_exception(), "a goroutine begins without an exception");
	expect(!std::uncaught_exception(), "a goroutine begins with none in flight");
	try {
		throw std::runtime_error(me);
	} catch (const std::runtime_error &) {
		for (int i = 0; i < 10; i++) {
			if (gmprt_chan_send(turns, &in) || gmprt_chan_recv(turns, &out))
				std::abort();
			expect(current_is(me), "the exception caught before a block is there after it");
			try {
				blocks_when_unwound b;
				throw;
			} catch (const std::runtime_error &e) {
				gmprt_yield();
				expect(me == e.what(), "throw; in a handler that blocks throws its own");
			}
		}
		if (in % 3 == 0) {
			struct gmprt_task t;

			if (gmprt_fork(&t, quits, NULL))
				std::abort();
			gmprt_join(&t);
			expect(current_is(me), "a child that exits in its handler leaves the joiner's alone");
		}
		if (in % 7 == 0) {
			gmprt_wg_done(&all);
			gmprt_exit(); /* in the middle of a handler */
		}
	}
	expect(!std::current_exception(), "after the handler nothing is caught");
	gmprt_wg_done(&all);
}

static int body(int, char **)
{
	turns = gmprt_chan_make(sizeof(long), 2);
	gmprt_wg_add(&all, n);
	for (long i = 0; i < n; i++)
		if (gmprt_go(one, (void *)i))
			return 2;
	gmprt_wg_wait(&all);
	gmprt_chan_free(turns);
	return bad;
}

int main(int argc, char **argv)
{
	return gmprt_main(body, argc, argv);
}
END

exceptions() {
	# shellcheck disable=SC2046
	$CXX -std=c++11 -O2 -o "$work/throw" "$work/throw.cc" $(pc --cflags --libs)
	run_shared env GMPRT_MAXPROCS="$1" "$work/throw"
	# shellcheck disable=SC2046
	$CXX -std=c++11 -O2 -o "$work/throw" "$work/throw.cc" \
		$(pc --static --cflags --libs | sed 's/-lgmprt/-l:libgmprt.a/')
	GMPRT_MAXPROCS=$1 "$work/throw"
}

stands_alone() {
	# shellcheck disable=SC2046,SC2086
	$CC -std=$1 $strict -fsyntax-only $(pc --cflags) "$work/alone.c"
}

# beside_gmp FIRST SECOND: both headers in this order, both libraries linked.
beside_gmp() {
	cat >"$work/gmp.c" <<-END
	#include <$1>
	#include <$2>
	#include <stdlib.h>
	#define main main_of_body
	#include "body.h"
	#undef main
	int main(int argc, char **argv)
	{
		mpz_t z;

		mpz_init_set_ui(z, 6);
		mpz_mul_ui(z, z, 7);
		return mpz_get_ui(z) == 42 ? main_of_body(argc, argv) : 6;
	}
	END
	# shellcheck disable=SC2046
	$CC -o "$work/gmp" "$work/gmp.c" $(pc --cflags --libs) -lgmp
	readelf -dW "$work/gmp" | grep -q 'NEEDED.*libgmp.so'
	run_shared "$work/gmp"
	# shellcheck disable=SC2046
	$CC -o "$work/gmp" "$work/gmp.c" -lgmp $(pc --static --cflags --libs | sed 's/-lgmprt/-l:libgmprt.a/')
	"$work/gmp"
}

# A user's functions named like our inner ones don't take their place.
own_names_are_free() {
	nm "$out/libgmprt.a" | awk '$2 == "t" && $3 ~ /^rt_[a-z0-9_]*$/ { print $3 }' | sort -u >"$work/inner"
	[ "$(wc -l <"$work/inner")" -gt 0 ]
	{ echo '#include <stdlib.h>'; sed 's/.*/void &(void);\nvoid &(void) { abort(); }/' "$work/inner"; } >"$work/steal.c"
	# shellcheck disable=SC2046
	$CC -o "$work/steal" "$work/one.c" "$work/steal.c" \
		$(pc --static --cflags --libs | sed 's/-lgmprt/-l:libgmprt.a/')
	"$work/steal"
}

t "make install puts its files in place, and no others" files_are_there
t "DESTDIR leaves no trace in what is installed" destdir_stays_out
t "make uninstall leaves nothing" uninstall_removes_all

if ! have pkg-config; then
	skip "a program built with pkg-config runs" "pkg-config is not installed (make deps)"
	finish
fi

t "make install works with PREFIX alone" install_into PREFIX="$root"
claim="systemd finds no fault with the installed units"
if [ ! -e "$out/bin/gmpd" ]; then
	skip "$claim" "gmpd is not built (make deps)"
elif ! have systemd-analyze; then
	skip "$claim" "there is no systemd-analyze"
else
	t "$claim" units
fi
t "a program built with cc \$(pkg-config --cflags --libs gmprt) runs" shared
t "README's first program prints what README says" readme
t "gmprt.h, gmprt.pc and the Makefile name one version" one_version
t "a dump begins with the user's call, with libgmprt.so" dump_shared
t "a dump begins with the user's call, with libgmprt.a" dump_archive
t "a dump begins with the user's call, without debugging information" dump_stripped
t "one linked with libgmprt.a runs" static_archive
t "a fully static one runs" fully_static
t "one written with <gmprt/short.h> runs" short_names
t "both headers stand alone in strict C11" stands_alone c11
t "both headers stand alone in strict C2x" stands_alone c2x
t "a user's functions named like inner ones change nothing" own_names_are_free
if have "$CXX"; then
	t "a strict C++11 program runs" cplusplus c++11
	t "a strict C++20 program runs" cplusplus c++20
	t "C++ exceptions stay with their goroutine over a block" exceptions 1
	t "C++ exceptions stay with their goroutine, 4 Ps" exceptions 4
else
	skip "a strict C++ program runs" "no C++ compiler (make deps)"
fi
if echo '#include <gmp.h>' | $CC -E -xc - >/dev/null 2>&1; then
	t "<gmp.h> before <gmprt.h>, both libraries linked" beside_gmp gmp.h gmprt.h
	t "<gmprt.h> before <gmp.h>, both libraries linked" beside_gmp gmprt.h gmp.h
else
	skip "a program with GNU MP runs" "libgmp-dev is not installed (make deps)"
fi
finish
