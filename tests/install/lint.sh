#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each check of `make lint` can fail: a violation planted in a small clean tree
# is reported with its file and line, by the check it is meant for.

. "$(dirname "$0")/tap.inc"

tree=$work/tree
lint=$src/tools/build/lint

clean_tree() {
	rm -rf "$tree"
	mkdir -p "$tree/libgmp/base" "$tree/libgmp/core" "$tree/libgmp/sched" "$tree/tests/api" "$tree/tools"
	cd "$tree"
	cp "$src/.clang-format" .
	echo '# SPDX-License-Identifier: MIT' >Makefile
	printf '/* SPDX-License-Identifier: MIT */\nint rt_one(void);\n' >libgmp/base/one.h
	printf '/* SPDX-License-Identifier: MIT */\n#include "base/one.h"\n\nint rt_one(void)\n{\n\treturn 1;\n}\n' >libgmp/base/one.c
	printf '/* SPDX-License-Identifier: MIT */\n#include "base/one.h"\nint rt_two(void);\n' >libgmp/core/two.h
	printf '/* SPDX-License-Identifier: MIT */\nextern _Thread_local int rt_tls;\n' >libgmp/core/tls.h
	printf '#!/bin/sh\n# SPDX-License-Identifier: MIT\necho one\n' >tools/one
}

clean_passes() {
	clean_tree
	"$lint"
}

# caught CHECK WHERE: lint fails, says WHERE, and CHECK alone is not ok.
caught() {
	if "$lint" >"$work/said" 2>&1; then
		cat "$work/said"
		return 1
	fi
	cat "$work/said"
	grep -q "^$2:" "$work/said"
	same "$(grep '^not ok' "$work/said" | sed 's/^not ok [0-9]* //')" "$1"
}

layer() {
	clean_tree
	sed -i '2i #include "core/two.h"' libgmp/base/one.c
	caught "each layer includes only itself and the layers below" "libgmp/base/one.c:2"
}

relative() {
	clean_tree
	sed -i '2i #include "../core/two.h"' libgmp/base/one.c
	caught "each layer includes only itself and the layers below" "libgmp/base/one.c:2"
}

internal_in_api_test() {
	clean_tree
	printf '/* SPDX-License-Identifier: MIT */\n#include "../../libgmp/base/one.h"\n' >tests/api/one.c
	caught "API tests and examples include no internal header" "tests/api/one.c:2"
}

length() {
	clean_tree
	yes '/* */' | head -n 594 >>libgmp/base/one.c
	caught "no C file is longer than 600 lines, tests and public headers 800" "libgmp/base/one.c:600"
}

no_licence() {
	clean_tree
	echo 'int rt_one(void);' >libgmp/base/one.h
	caught "each file says its licence once, in its place" "libgmp/base/one.h:1"
}

two_licences() {
	clean_tree
	echo '/* SPDX-License-Identifier: MIT */' >>libgmp/base/one.h
	caught "each file says its licence once, in its place" "libgmp/base/one.h:1"
}

script_licence() {
	clean_tree
	printf '#!/bin/sh\necho one\n' >tools/one
	caught "each file says its licence once, in its place" "tools/one:2"
}

whitespace() {
	clean_tree
	printf '/* %096d */\n' 0 >>libgmp/base/one.h
	caught "tabs, no blanks at line ends, at most 100 columns" "libgmp/base/one.h:3"
	clean_tree
	echo '# end ' >>tools/one
	caught "tabs, no blanks at line ends, at most 100 columns" "tools/one:4"
	clean_tree
	printf '/* no end */' >>libgmp/base/one.h
	caught "tabs, no blanks at line ends, at most 100 columns" "libgmp/base/one.h"
}

thread_local() {
	clean_tree
	sed -i '3i static __thread int mine;' libgmp/base/one.c
	caught "thread-local data only in libgmp/core/tls.[ch]" "libgmp/base/one.c:3"
}

format() {
	clean_tree
	sed -i 's/\treturn 1;/\t\treturn 1;/' libgmp/base/one.c
	caught "indentation and spacing are clang-format's" "libgmp/base/one.c:6"
}

shell() {
	clean_tree
	# shellcheck disable=SC2016
	echo 'rm -r $1/*' >>tools/one
	caught "shellcheck has nothing to say" "tools/one:4"
}

cpp() {
	clean_tree
	sed -i 's/return 1;/int a[2];\n\n\ta[2] = 1;\n\treturn a[2];/' libgmp/base/one.c
	caught "cppcheck has nothing to say" "libgmp/base/one.c:8"
}

t "a clean tree passes" clean_passes
t "an include of a higher layer is caught" layer
t "an include by a relative path is caught" relative
t "an internal header in an API test is caught" internal_in_api_test
t "a file of 601 lines is caught" length
t "a header without a licence is caught" no_licence
t "a second licence line is caught" two_licences
t "a script without a licence is caught" script_licence
t "a long line, a trailing blank and a missing newline are caught" whitespace
t "thread-local data outside its file is caught" thread_local
for tool in clang-format:format shellcheck:shell cppcheck:cpp; do
	if have "${tool%:*}"; then
		t "what ${tool%:*} finds is caught" "${tool#*:}"
	else
		skip "what ${tool%:*} finds is caught" "${tool%:*} is not installed (make deps)"
	fi
done
finish
