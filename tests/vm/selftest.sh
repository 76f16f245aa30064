#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What goes wrong in a guest is counted and told: whatever a program, its kernel
# or the guest does, tools/build/vm-check says so and names the program.
#
# The programs here are scripts that misbehave; the kernel is made to by a module
# of its own (tests/vm/splat). KERNEL chooses the kernel; one that ends in -debug
# must find what only such a kernel finds.

# shellcheck source=../install/tap.inc
. "$(dirname "$0")/../install/tap.inc"

cd "$src" || exit 1
kernel=${KERNEL:-$(awk '/^[0-9]/ { print $1; exit }' tests/vm/kernels)}
kernel=${kernel%% *}
build=$work/build
mkdir -p "$build/tests/self"
here=$src/tools/build
splat=''

can_boot() {
	: >"$build/tests/self/nothing"
	TMPDIR=$work "$here/vm-check" -k "$kernel" -t 5 "$build" "$build/tests/self/nothing" >"$work/said" 2>&1
	grep '^vm-[^:]*: [0-9]* passed, 0 failed, 1 skipped' "$work/said" >/dev/null || return 0
	why=$(sed -n 's/^  vm-[^:]*: //p' "$work/said" | head -n 1)
	return 1
}

# program NAME LINE...: a script that a guest runs
program() {
	p=$build/tests/self/$1
	shift
	{
		echo '#!/bin/sh'
		printf '%s\n' "$@"
	} >"$p"
	chmod +x "$p"
	programs="$programs $p"
}

# splat WORD: what a program says that makes the module do it
now() {
	echo "echo $1 >/sys/module/splat/parameters/now"
}

# guest OPTION...: runs the programs
guest() {
	# shellcheck disable=SC2086 # lists
	TMPDIR=$work "$here/vm-check" -k "$kernel" -l self \
		${splat:+-m "$splat"} "$@" "$build" $programs >"$work/said" 2>&1 || :
	cat "$work/said"
}

# told TEXT...: each is in one line of what was said
told() {
	for text in "$@"; do
		grep -q -- "$text" "$work/said" || { echo "not told: $text"; return 1; }
	done
}

good='echo 1..1; echo ok 1 it works'

a_program_that_misbehaves() {
	programs=''
	program good "$good"
	program fails 'echo 1..2; echo ok 1 this; echo not ok 2 that; exit 1'
	program short 'echo 1..3; echo ok 1 a; echo ok 2 b'
	program silent 'exit 0'
	program status "$good; exit 3"
	program crash 'echo 1..1; kill -SEGV $$'
	program slow 'echo 1..1; sleep 1000'
	program leaves "$good; sleep 1000 & sleep 1000 &"
	guest -t 10
	told 'self sysmon: self/fails: that$' \
		'self sysmon: self/short: ran 2 of 3 planned tests' \
		'self sysmon: self/silent: printed no test result' \
		'self sysmon: self/status: exit status 3' \
		'self sysmon: self/crash: ran 0 of 1 planned tests .exit status 139' \
		'self sysmon: self/slow: ran 0 of 1 planned tests' \
		'took longer than 10 s; what its threads do:' \
		'self/slow .*1 failed' 'self/good .*1 passed' 'self/leaves .*1 passed' \
		'guest .*2 passed' '^8 passed, 6 failed, 0 skipped$'
}

a_kernel_that_warns() {
	programs=''
	program good "$good"
	program warns "$(now warn)" "$good"
	program after "$good"
	guest -t 10
	told 'self: guest: the kernel while sysmon.self.warns ran: WARNING: ' \
		'| # .*splat' '^4 passed, 1 failed, 0 skipped$'
}

a_kernel_that_dies() {
	programs=''
	program good "$good"
	program oopses "$good" "$(now oops)"
	program after "$good"
	guest -t 10
	told 'self sysmon: self/oopses: the guest: died while sysmon.self.oopses ran: Kernel panic' \
		'self sysmon: self/after: the guest ended before its turn: died' \
		'self: guest: the kernel while sysmon.self.oopses ran: BUG: ' 'self/good .*1 passed'
}

a_kernel_that_hangs() {
	programs=''
	program hangs "$good" "$(now hang)"
	program after "$good"
	guest -t 5 -p 5
	told 'self/hangs: the guest: hung: it said nothing for 10 s while sysmon.self.hangs ran' \
		'self/after: the guest ended before its turn' 'self: guest: the guest: hung' 'spin+0x'
}

a_program_that_cannot_be_killed() {
	programs=''
	program sits "$good" "$(now wait)"
	program after "$good"
	guest -t 5
	told 'self/after: the guest ended before its turn: sysmon.self.sits could not be killed' \
		'wait_for_ever' 'self: guest: the guest: sysmon.self.sits could not be killed'
}

a_guest_that_switches_itself_off() {
	programs=''
	program off "$good" 'poweroff -f' 'sleep 60'
	guest -t 10
	told 'self/off: the guest: switched itself off while sysmon.self.off ran' \
		'self: guest: the guest: switched itself off'
}

a_module_that_cannot_be_loaded() {
	programs=''
	program good "$good"
	echo nonsense >"$work/broken.ko"
	guest -t 10 -m "$work/broken.ko"
	told 'self/good: the guest ended before its turn: insmod: 01-broken.ko' \
		'self: guest: the guest: insmod: 01-broken.ko'
}

a_machine_without_qemu() {
	programs=''
	program good "$good"
	mkdir -p "$work/bin"
	for tool in /bin/* /usr/bin/*; do
		case $tool in */qemu-*) ;; *) ln -sf "$tool" "$work/bin/" ;; esac
	done
	PATH=$work/bin guest -t 10
	told 'self: no qemu-system-x86_64 (make deps)' '^0 passed, 0 failed, 1 skipped$'
}

# debug_kernel_sees WORD TEXT
debug_kernel_sees() {
	programs=''
	program does "$(now "$1")" "$good"
	guest -t 60
	told "self: guest: the kernel .*$2"
}

if ! can_boot; then
	skip "a guest's misfortunes are counted and told" "$why"
	finish
fi
mkdir -p "$out/splat-$kernel"
cp tests/vm/splat/* "$out/splat-$kernel/"
# shellcheck disable=SC2016 # expanded in the root
t "a module that provokes is built without a warning" sh -c '"$0" "$1" sh -c \
	"make -s -C \$KDIR M=$2 W=1" 2>&1 | { ! grep -E "warning|rror"; }' \
	"$here/vm-in" "$kernel" "$out/splat-$kernel"
splat=$out/splat-$kernel/splat.ko

case $kernel in
*-debug)
	t "memory that is used after it was freed" debug_kernel_sees freed KASAN
	t "two locks taken in two orders" debug_kernel_sees cross 'possible circular'
	t "sleep with a spinlock held" debug_kernel_sees sleep 'sleeping function\|scheduling while'
	t "memory that is lost" debug_kernel_sees leak kmemleak
	;;
*)
	t "a program that fails, crashes, takes too long or says nothing" a_program_that_misbehaves
	t "a kernel that warns, and the program that ran" a_kernel_that_warns
	t "a kernel that oopses, what was to come after is skipped" a_kernel_that_dies
	t "a kernel that hangs, with what its CPUs did" a_kernel_that_hangs
	t "a program that can't be killed, with its stack in the kernel" a_program_that_cannot_be_killed
	t "a guest that switches itself off" a_guest_that_switches_itself_off
	t "a module that can't be loaded" a_module_that_cannot_be_loaded
	t "a machine without qemu is a skip with its reason" a_machine_without_qemu
	;;
esac
finish
