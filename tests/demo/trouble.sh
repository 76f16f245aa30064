#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What can't be read costs dirsum one clear line and exit status 1; the rest is
# done all the same, whatever happens to the tree meanwhile.

# shellcheck disable=SC2317 # the functions are called by their claims, below
# shellcheck source-path=SCRIPTDIR source=demo.bash
. "${0%/*}/demo.bash"

# Root reads everything: be nobody.
as_nobody() {
	[ "$(id -u)" = 0 ] || return 0
	command -v setpriv >/dev/null || skip "root reads everything, and there is no setpriv"
	printf '#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups %s "$@"\n' \
		"$bin/dirsum" >"$bin/nobody"
	chmod 755 "$bin/nobody"
	dirsum=$bin/nobody
	"$dirsum" -q . >/dev/null || skip "root reads everything, and setpriv can't change that"
}
unreadable() {
	as_nobody
	echo 1 >yes
	echo 2 >no
	mkdir locked open
	echo 3 >locked/in
	echo 4 >open/in
	chmod 0 no locked
	run 1 -q .
	sha256sum ./yes ./open/in | sort >"$dir/want"
	cmp "$dir/out" "$dir/want"
	sort "$dir/err" >sorted
	printf 'dirsum: ./%s: Permission denied\n' locked no | cmp - sorted
	chmod 755 locked
}
listed_not_entered() {
	as_nobody
	mkdir d
	echo 1 >d/in
	chmod 744 d
	run 1 -q .
	says "dirsum: ./d/in: Permission denied" 1
	none "$dir/out"
	chmod 755 d
}
missing() {
	echo x >x
	run 1 -q nowhere . ''
	reference . | cmp - "$dir/out"
	says "dirsum: nowhere: No such file or directory" 2
	matches '^dirsum: : No such file or directory$' "$dir/err"
	run 1 -q x/y
	says "dirsum: x/y: Not a directory" 1
}
link_as_dir() {
	mkdir d
	echo x >d/x
	ln -s d l
	lists 1 l
	says "dirsum: l: symbolic link, left out; append a / to follow it" 1
}
special_as_dir() {
	mkfifo fifo
	"$mktree" socket socket
	lists 1 fifo socket /dev/zero
	says "dirsum: fifo: neither a directory nor a regular file, left out" 3
}
read_error() {
	echo x >x
	[ -f /proc/self/mem ] || skip "there is no /proc"
	run 1 -q . /proc/self/mem
	says "dirsum: /proc/self/mem: Input/output error" 1
	reference . | cmp - "$dir/out"
}
one_line_each() {
	as_nobody
	local n
	for n in $'a\nb' $'\e[31m' $'\r' $'\x7f'; do
		: >"$n"
		chmod 0 "$n"
	done
	run 1 -q .
	[ "$(wc -l <"$dir/err")" = 4 ]
	sort "$dir/err" >sorted
	printf 'dirsum: ./%s: Permission denied\n' '\015' '\033[31m' '\177' 'a\012b' | cmp - sorted
}
counted() {
	run 1 nowhere /nowhere
	matches '^files +0, and 2 left out$' "$dir/err"
}
deep() {
	local path digest
	path=$("$mktree" deep top 60)
	[ ${#path} -gt 12000 ]
	echo x >top/x
	run 0 -q "$PWD/top" top
	digest=$(printf deep | sha256sum | cut -c1-64)
	{ sha256sum top/x "$PWD/top/x"; printf '%s  %s\n' "$digest" "$path" "$digest" "$PWD/$path"; } |
		sort | cmp - "$dir/out"
	none "$dir/err"
}
long_argument() {
	local name
	name=$(printf '%05000d' 0)
	run 1 -q "$name"
	says "dirsum: $name: File name too long" 1
}
changing() {
	local reason='No such file or directory|Too many levels of symbolic links|'
	local end hits=0 rounds=0 status never
	reason+='neither a directory nor a regular file, left out'
	mkdir still wild
	echo secret >secret
	never="$(sha256sum <secret | cut -c1-64)|$(sha256sum </dev/null | cut -c1-64)"
	for i in $(seq 300); do echo "$i" >"still/$i"; done
	reference still >"$dir/want"
	"$mktree" churn wild 300 ../secret &
	# shellcheck disable=SC2064 # this one
	trap "kill $!" EXIT
	end=$((SECONDS + 2))
	while [ "$SECONDS" -lt "$end" ]; do
		status=0
		timeout -k 5 30 "$dirsum" -q still wild >"$dir/out" 2>"$dir/err" || status=$?
		[ "$status" -le 1 ]
		[ "$status" = 1 ] || none "$dir/err"
		grep -F '  still/' "$dir/out" | cmp - "$dir/want"
		! grep -Ev '^[0-9a-f]{64}  (still|wild)/[0-9]+$' "$dir/out" || return 1
		# What a link leads to, and what a FIFO would read as.
		! grep -E "^($never)" "$dir/out" || return 1
		! grep -Ev "^dirsum: wild/[0-9]+: ($reason)$" "$dir/err" || return 1
		hits=$((hits + $(wc -l <"$dir/err")))
		rounds=$((rounds + 1))
	done
	echo "$rounds rounds, $hits files changed between readdir and open"
}
few_descriptors() {
	"$mktree" many many 3000
	reference many >"$dir/want"
	local n
	for n in 1024 256 64 32; do
		(ulimit -n "$n" && run 0 -q many)
		cmp "$dir/out" "$dir/want"
	done
}
# leased SECONDS FILE...: opens of these block for as long.
leased() {
	"$mktree" lease "$1" "$dir/ready.$nr" "${@:2}" 2>err &
	until [ -e "$dir/ready.$nr" ]; do
		kill -0 $! 2>/dev/null || skip "no leases here: $(cat err)"
		sleep 0.02
	done
}
blocked() {
	"$mktree" many many 600
	reference many >"$dir/want"
	leased 6 many/000/1??
	on_terminal "'$dirsum' -j 1 many >out" </dev/null >shown
	cmp out "$dir/want"
	# Seen while the 100 were blocked, with a single P. By sysmon each costs 10 ms.
	matches '[^0-9]500 of 600 files' shown
	[ "$(awk '/^Ms/ { print $4 }' shown)" -gt 100 ]
	[ "$(awk '/^Ps/ { print $4 }' shown)" -ge 100 ]
}
blocked_few_descriptors() {
	"$mktree" many many 300
	reference many >"$dir/want"
	leased 1 many/000/1??
	(ulimit -n 64 && run 0 -q many)
	cmp "$dir/out" "$dir/want"
}

claim "Unreadable files and directories are reported, the rest is summed" unreadable
claim "A directory that may be listed but not entered costs a line for each file" listed_not_entered
claim "A DIR that does not exist is reported, the others are summed" missing
claim "A symbolic link as DIR is left out as by find, and that is said" link_as_dir
claim "A FIFO, socket or device as DIR is left out, and that is said" special_as_dir
claim "A file that fails while it is read is not listed" read_error
claim "A complaint is one line whatever the name is made of" one_line_each
claim "The table counts what was left out" counted
claim "Paths of more than PATH_MAX bytes are summed" deep
claim "A name longer than any file system's is reported" long_argument
claim "A tree that changes meanwhile hurts nothing but what changes" changing
claim "32 file descriptors are enough" few_descriptors
claim "While 100 files block in open(), one P sums all others" blocked
claim "64 file descriptors are enough while 100 files block in open()" blocked_few_descriptors
finish
