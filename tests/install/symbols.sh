#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What leaves the library: the functions of the header, and nothing else.

. "$(dirname "$0")/tap.inc"

so=$out/libgmprt.so.0
a=$out/libgmprt.a

# The names that <gmprt.h> declares with GMPRT_API, with what it includes, sorted.
header_names() {
	sed 's|/\*.*\*/||' "$src/libgmp/include/gmprt.h" "$src/libgmp/include/gmprt/io.h" |
		tr '\n' ' ' | tr ';{}' '\n\n\n' |
		sed -n '/GMPRT_API /{/#define GMPRT_API/!s/^.*GMPRT_API [^(]*[ *]\(gmprt_[a-z0-9_]*\)(.*$/\1/p}' |
		sort -u
}

so_names() {
	nm -D --defined-only "$so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u
}

a_names() {
	nm -g --defined-only "$a" | awk 'NF == 3 { print $3 }' | sort -u
}

header_is_read() {
	[ "$(header_names | wc -l)" -ge 10 ] || { header_names; return 1; }
}

exports_the_header() {
	header_names >"$work/header"
	"$1" >"$work/lib"
	diff "$work/header" "$work/lib"
}

one_version() {
	same "$(nm -D --defined-only "$so" | sed -n 's/.*@@*//p' | sort -u | grep -v '^GMPRT_0$')" ""
	nm -D --defined-only "$so" | grep -q '@@GMPRT_0'
}

soname() {
	same "$(readelf -dW "$so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')" libgmprt.so.0
}

# CET's shadow stack, arm64's guarded control stack: the stack switch would be
# killed by them, so no object may promise to work with them.
no_promise() {
	for f in "$so" "$a"; do
		! readelf -nW "$f" | grep -E 'SHSTK|GCS' || return 1
	done
}

stack_not_executable() {
	readelf -lW "$so" | grep GNU_STACK | grep -q ' RW ' || return 1
	readelf -SW "$a" | grep 'GNU-stack' >"$work/marks"
	! grep ' X ' "$work/marks"
}

no_text_relocations() {
	! readelf -dW "$so" | grep TEXTREL
}

t "the header's functions are found by this test" header_is_read
t "libgmprt.so.0 exports the header's functions and nothing else" exports_the_header so_names
t "libgmprt.a exports the header's functions and nothing else" exports_the_header a_names
t "every exported symbol has version GMPRT_0" one_version
t "the soname is libgmprt.so.0" soname
t "no object says it works with shadow stacks" no_promise
t "no object asks for an executable stack" stack_not_executable
t "libgmprt.so.0 has no text relocations" no_text_relocations
finish
