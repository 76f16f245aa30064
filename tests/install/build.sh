#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The Makefile rebuilds what a change asks for and nothing else. Shown on a
# copy of it with a library of three files.

. "$(dirname "$0")/tap.inc"

tree=$work/tree

mkdir -p "$tree/libgmp/base" "$tree/libgmp/core" "$tree/libgmp/api" "$tree/libgmp/include" "$tree/examples"
cp -r "$src/Makefile" "$src/tools" "$tree"
cp "$src/libgmp/gmprt.map" "$src/libgmp/gmprt.ld" "$src/libgmp/gmprt.pc.in" "$tree/libgmp"
cd "$tree" || exit 1
echo 'int gmprt_maxprocs(int n);' >libgmp/include/gmprt.h
echo 'int rt_one(void);' >libgmp/base/one.h
printf '#include "base/one.h"\nint rt_one(void) { return 1; }\n' >libgmp/base/one.c
printf 'int rt_two(void);\nint rt_two(void) { return 2; }\n' >libgmp/core/two.c
printf '#include <gmprt.h>\n#include "base/one.h"\n__attribute__((visibility("default"))) int gmprt_maxprocs(int n) { return n + rt_one(); }\n' >libgmp/api/run.c
printf '#include <gmprt.h>\nint main(void) { return gmprt_maxprocs(1) != 2; }\n' >examples/hello.c

# built ARGUMENTS...: what this make compiles or links, as sorted names.
built() {
	make CC="$CC" V=0 "$@" lib examples | sed -n 's/^  \(CC\|AS\|LD\|LD -r\|AR\) *//p' | sort | tr '\n' ' '
}

later() {
	sleep 0.02
}

first_build() {
	make CC="$CC" lib examples
	build/examples/hello
	[ -e build/libgmprt.so.0 ] && [ -e build/libgmprt.a ]
}

nothing_twice() {
	same "$(built)" ""
}

after_header() {
	later
	touch libgmp/base/one.h
	same "$(built)" "api/run.o base/one.o examples/hello gmprt.o libgmprt.a libgmprt.so.0 "
	nothing_twice
}

after_flags() {
	same "$(built CFLAGS=-DX)" "$(rm -rf other; built CFLAGS=-DX O=other)"
	same "$(built CFLAGS=-DX)" ""
	built >/dev/null
	nothing_twice
}

after_removal() {
	nm build/libgmprt-internal.a 2>/dev/null | grep rt_two || nm build/gmprt.o | grep rt_two
	mv libgmp/core/two.c "$work"
	built >"$work/after"
	! nm build/gmprt.o | grep rt_two || return 1
	! nm build/libgmprt.so.0 | grep rt_two || return 1
	mv "$work/two.c" libgmp/core
	built >/dev/null
}

header_removed() {
	later
	sed -i '/one.h/d' libgmp/base/one.c
	sed -i 's/"base\/one.h"/"base\/uno.h"/' libgmp/api/run.c
	sed -i 's/^int/int rt_one(void);\nint/' libgmp/base/one.c
	mv libgmp/base/one.h libgmp/base/uno.h
	make CC="$CC" lib
}

other_folder() {
	make CC="$CC" O="$work/elsewhere" lib examples
	"$work/elsewhere/examples/hello"
}

clean_own() {
	make CC="$CC" clean
	[ ! -e build ]
	make CC="$CC" clean
}

clean_spares_others() {
	mkdir -p "$work/mine"
	echo dear >"$work/mine/file"
	! make O="$work/mine" clean || return 1
	same "$(cat "$work/mine/file")" dear
}

no_compiler() {
	! make CC=no-such-cc O="$work/none" lib >"$work/said" 2>&1 || return 1
	cat "$work/said"
	grep -q "no compiler 'no-such-cc'" "$work/said"
	make O="$work/none" clean
}

no_bpf_tools() {
	mkdir bpf
	: >bpf/gmprt.bpf.c
	make CC="$CC" O="$work/nobpf" BPF_CLANG=no-such-clang BPFTOOL=no-such-bpftool lib >"$work/said" 2>&1
	cat "$work/said"
	[ -e "$work/nobpf/libgmprt.so.0" ]
	grep -q '^gmprt: built without the bpf backend: it needs no-such-clang no-such-bpftool' "$work/said"
	rm -r bpf
}

compile_error_fails() {
	later
	echo 'int rt_broken(void) { return nonsense; }' >libgmp/core/broken.c
	! make CC="$CC" lib || return 1
	rm libgmp/core/broken.c
}

in_parallel() {
	rm -rf build
	make -j8 CC="$CC" lib examples
	build/examples/hello
	nothing_twice
}

t "a first make builds the library and an example that runs" first_build
t "a second make does nothing" nothing_twice
t "a changed header rebuilds what includes it, and only that" after_header
t "other flags rebuild everything once" after_flags
t "a removed source file leaves the library" after_removal
t "a removed header does not stop the build" header_removed
t "O= builds elsewhere" other_folder
t "a compile error fails make" compile_error_fails
t "make -j8 builds the same" in_parallel
t "make clean removes what make made, twice in a row too" clean_own
t "make clean spares a folder that make did not make" clean_spares_others
t "a missing compiler gets one line that says what to do, and make clean works" no_compiler
t "without clang and bpftool the bpf backend is left out, aloud" no_bpf_tools
finish
