#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The module builds for each kernel of tests/vm/kernels with not one line from the
# compiler (W=1) or sparse (C=1), and checkpatch --strict has nothing to say.
#
# Left out of checkpatch: that one should not ask for versions (compat.h does, and
# is there for that), and kzalloc_obj(), which kernels before 7.0 do not have.

cd "$(dirname "$0")/../.." || exit 1
out=${O_ABS:-$PWD/build}/kmod-lint
kernels=$(awk '/^[0-9]/ { print $1 }' tests/vm/kernels)
n=0 failed=0
mkdir -p "$out"

result() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		failed=$((failed + 1))
		sed 's/^/# /' "$out/said"
		echo "not ok $n $2"
	fi
}

echo "TAP version 13"
for k in $kernels; do
	rm -rf "${out:?}/$k"
	tools/build/kmod "$out/$k" -k "$k" W=1 C=1 modules >"$out/all" 2>&1
	rc=$?
	# What concerns the machine, not the source.
	grep -vE '^(perl: warning|[[:space:]]+(LANGUAGE|LC_|LANG|are supported)|Skipping BTF)' "$out/all" >"$out/said"
	[ ! -s "$out/said" ] || rc=1
	result $rc "$k: no warning"
done

source=$(tools/build/vm-source)
for f in kmod/*.[ch]; do
	perl "$source/checkpatch.pl" --no-tree --strict --terse --show-types --no-summary \
		--ignore LINUX_VERSION_CODE,CONSTANT_COMPARISON,ALLOC_WITH_SIZEOF -f "$f"
done >"$out/said" 2>&1
[ ! -s "$out/said" ]
result $? "checkpatch --strict has nothing to say"
echo "1..$n"
[ $failed -eq 0 ]
