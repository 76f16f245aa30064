# SPDX-License-Identifier: MIT
#
# gmprt: `make help` says what there is to make.
#
# Everything made lands under $(O). Sources are found by wildcard: a new file
# in libgmp/<layer>/, examples/ or tests/<kind>/ needs no line here. Each
# object depends on $(O)/flags, which holds the compiler and its flags, so
# that another CC=, LTO= or CFLAGS= rebuilds what it must and nothing else.
# Variants (sanitizers, aarch64, LTO) are this same file run with another O=.

# gmprt.h says it too: GMPRT_VERSION.
VERSION := 0.1.0
SONAME  := libgmprt.so.0

O      ?= build
V      ?= 0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
INCDIR ?= $(PREFIX)/include
WERROR ?= $(if $(CI),1,0)
LTO    ?= 0
OPT    ?= -O2
SAN    ?=
T      ?= *

MAKEFLAGS += -r --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

ifneq ($(filter default undefined,$(origin CC)),)
CC := $(CROSS_COMPILE)$(if $(CROSS_COMPILE),gcc,cc)
endif
ifneq ($(filter default undefined,$(origin CXX)),)
CXX := $(CROSS_COMPILE)g++
endif
OBJCOPY ?= $(CROSS_COMPILE)objcopy

# ---------------------------------------------------------------- the tools

# One look at the compiler for each run of make. Without a compiler (before
# `make deps`) the answers are empty, and only building needs them.
CC_MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
CC_VERSION := $(shell $(CC) --version 2>/dev/null | head -n 1)
CC_IS_CLANG := $(findstring clang,$(CC_VERSION))
ARCH := $(firstword $(subst -, ,$(or $(CC_MACHINE),$(shell uname -m))))

ifeq ($(LTO)$(CC_IS_CLANG),1clang)
AR := $(shell $(CC) -print-prog-name=llvm-ar)
else
AR := $(CROSS_COMPILE)ar
endif

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
endif

# ---------------------------------------------------------------- flags

LAYERS := base core sched sync api

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
ifeq ($(WERROR),1)
WARN += -Werror
endif

# The stack switch knows nothing of shadow stacks: -fcf-protection=none keeps
# the mark "I am compatible" off our objects, so that the loader switches them
# off for the whole process.
CODEGEN := -fvisibility=hidden -ftls-model=initial-exec -fPIC -fno-semantic-interposition
ifeq ($(ARCH),x86_64)
CODEGEN += -fcf-protection=none
endif
ifeq ($(ARCH),aarch64)
CODEGEN += -mbranch-protection=none
endif

ifeq ($(LTO),1)
CODEGEN += -flto$(if $(CC_IS_CLANG),,=auto -ffat-lto-objects)
LTO_LD := $(if $(CC_IS_CLANG),-fuse-ld=lld)
LTO_RELOC := -flto $(if $(CC_IS_CLANG),-fuse-ld=lld,-flinker-output=nolto-rel)
endif
ifneq ($(SAN),)
CODEGEN += -fsanitize=$(SAN) -fno-omit-frame-pointer -DRT_DEBUG
ifneq ($(findstring undefined,$(SAN)),)
CODEGEN += -fno-sanitize-recover=undefined
endif
endif

STD := -std=gnu11 $(OPT) -g $(WARN) -pthread
LIB_CPPFLAGS := -D_GNU_SOURCE= -Ilibgmp -Ilibgmp/include

# Headers of other packages that our sources include, and what they link.
DEP_HEADERS := $(sort $(shell grep -hoE '<(urcu|elfutils)[^>]*>' $(wildcard libgmp/*/*.[ch]) /dev/null))
DEP_LIBS := $(if $(findstring <urcu,$(DEP_HEADERS)),-lurcu-bp) \
	$(if $(findstring rculfhash,$(DEP_HEADERS)),-lurcu-cds)
LIBS := -pthread $(strip $(DEP_LIBS)) -ldl
LINK := $(CODEGEN) $(OPT) -g $(LTO_LD) $(LDFLAGS)

# The bpf backend's programs. What is missing for them; nothing: they are built
# and go into the library. BPF=0 leaves them out.
BPF ?= 1
BPF_CLANG ?= clang
BPFTOOL ?= $(firstword $(shell command -v bpftool) $(wildcard /usr/sbin/bpftool) bpftool)
BPF_SRC := bpf/gmprt.bpf.c
BPF_LACKS := $(if $(filter 1,$(BPF)),$(if $(CROSS_COMPILE),a native build,$(shell \
	for t in '$(BPF_CLANG)' '$(BPFTOOL)'; do command -v "$$t" >/dev/null || echo "$$t"; done; \
	echo '\#include <bpf/libbpf.h>' | $(CC) $(CPPFLAGS) -E -xc - >/dev/null 2>&1 || echo libbpf-dev)),BPF=1)
BPF_SKEL := $(if $(BPF_LACKS),,$(patsubst %,$(O)/bpf/gmprt.skel.h,$(wildcard $(BPF_SRC))))
LIB_CPPFLAGS += $(if $(BPF_SKEL),-DRT_WITH_BPF -isystem $(O)/bpf)

# A cross build finds liburcu here; see tools/build/cross-sysroot.
ifneq ($(SYSROOT_OVERLAY),)
LIB_CPPFLAGS += -isystem $(SYSROOT_OVERLAY)/usr/include/$(ARCH)-linux-gnu -isystem $(SYSROOT_OVERLAY)/usr/include
LINK += -L$(SYSROOT_OVERLAY)/usr/lib/$(ARCH)-linux-gnu
LINK += -Wl,-rpath-link,$(SYSROOT_OVERLAY)/usr/lib/$(ARCH)-linux-gnu
endif

# ---------------------------------------------------------------- files

other_arch = $(filter-out %_$(ARCH).$(1),$(foreach a,x86_64 aarch64,$(filter %_$(a).$(1),$(2))))
layer_c := $(foreach l,$(LAYERS),$(wildcard libgmp/$(l)/*.c))
SRC_C := $(filter-out $(call other_arch,c,$(layer_c)),$(layer_c))
SRC_S := $(foreach l,$(LAYERS),$(wildcard libgmp/$(l)/*_$(ARCH).S))
OBJS := $(SRC_C:libgmp/%.c=$(O)/obj/%.o) $(SRC_S:libgmp/%.S=$(O)/obj/%.o)

SO := $(O)/$(SONAME)
A  := $(O)/libgmprt.a
INTERNAL := $(O)/libgmprt-internal.a

# An example is examples/NAME.c, or all of examples/NAME/*.c.
EXAMPLE_NAMES := $(sort $(patsubst examples/%.c,%,$(wildcard examples/*.c)) \
	$(patsubst examples/%/,%,$(dir $(wildcard examples/*/*.c))))
# Packages an example needs of its own; without them it is left out, aloud.
NEEDS_dirsum := libcrypto
needs_met = $(if $(NEEDS_$(1)),$(shell pkg-config --exists $(NEEDS_$(1)) 2>/dev/null && echo yes),yes)
has_pkg = $(shell pkg-config --exists $(1) 2>/dev/null && echo yes)
EXAMPLES := $(foreach e,$(EXAMPLE_NAMES),$(if $(call needs_met,$(e)),$(O)/examples/$(e)))
EXAMPLES_LEFT_OUT := $(filter-out $(EXAMPLES:$(O)/examples/%=%),$(EXAMPLE_NAMES))
# The commands: tools/NAME/*.c and what they share. All of them are about the
# programs in the kernel; without these they are left out, aloud.
TOOL_NAMES := $(patsubst tools/%/main.c,%,$(wildcard tools/*/main.c))
TOOLS_LACK := $(if $(TOOL_NAMES),$(if $(BPF_SKEL),$(if $(SAN),an ordinary build,$(if $(call has_pkg,libbpf json-c),,libbpf-dev libjson-c-dev)),$(BPF_LACKS)))
TOOLS := $(if $(TOOLS_LACK),,$(TOOL_NAMES:%=$(O)/bin/%))
TEST_LIB_OBJS := $(patsubst %.c,$(O)/%.o,$(wildcard tests/lib/*.c))
TEST_LIB := $(if $(TEST_LIB_OBJS),$(O)/tests/libtest.a)
UNIT := $(patsubst %.c,$(O)/%,$(wildcard tests/unit/$(T).c))
API  := $(patsubst %.c,$(O)/%,$(wildcard tests/api/$(T).c))
KMOD := $(patsubst %.c,$(O)/%,$(wildcard tests/kmod/$(T).c))
SCRIPTS := $(foreach k,unit api install model demo,$(wildcard tests/$(k)/$(T).sh))
# About 10 s each or more, mostly asleep; `make check` leaves them to `make test`.
# Of the models it runs those that hold, `make test` the mutations too.
SLOW_NAMES := deadlock dump go_preempt go_spin idle idle_threads io_run maxprocs million preempt process sigquit stack_overflow threads \
	upcall upcall_load upcall_events upcall_threads
SLOW_UNIT_NAMES := faults upcall_daemon upcall_hostile upcall_loss
SLOW := $(filter tests/demo/% tests/install/lint.sh,$(SCRIPTS)) \
	$(filter $(SLOW_NAMES:%=$(O)/tests/api/%),$(API)) \
	$(filter $(SLOW_UNIT_NAMES:%=$(O)/tests/unit/%),$(UNIT))
ifeq ($(T),*)
FAST_UNIT := $(filter-out $(SLOW),$(UNIT))
FAST_API := $(filter-out $(SLOW),$(API))
FAST_SCRIPTS := $(filter-out $(SLOW),$(SCRIPTS))
else
FAST_UNIT := $(UNIT)
FAST_API := $(API)
FAST_SCRIPTS := $(SCRIPTS)
endif
# unit/procs needs the run time's own structures, so it can't be in tests/stress.
STRESS := $(patsubst %.c,$(O)/%,$(wildcard tests/stress/$(T).c)) $(filter %/tests/unit/procs,$(UNIT))

# kselftest_harness.h: see tools/build/kselftest.
CACHE := $(or $(XDG_CACHE_HOME),$(if $(HOME),$(HOME)/.cache),$(abspath $(O))/cache)/gmprt
KSELFTEST ?= $(CACHE)/kselftest
HARNESS := $(KSELFTEST)/kselftest_harness.h

define newline


endef

# ---------------------------------------------------------------- building

.PHONY: all lib examples tools tests stress-tests
all: lib examples tools $(if $(wildcard $(HARNESS)),tests)
lib: $(SO) $(O)/libgmprt.so $(A)
	@$(if $(and $(wildcard $(BPF_SRC)),$(BPF_LACKS)),echo "gmprt: built without the bpf backend: it needs $(strip $(BPF_LACKS)) (make deps)",:)
examples: $(EXAMPLES)
	@:
	$(foreach e,$(EXAMPLES_LEFT_OUT),@echo "gmprt: examples/$(e) is left out: pkg-config finds no $(NEEDS_$(e)) (make deps)"$(newline))
tools: $(TOOLS)
	@$(if $(TOOLS_LACK),echo "gmprt: $(TOOL_NAMES) left out: they need $(strip $(TOOLS_LACK)) (make deps)",:)
tests: $(UNIT) $(API) $(KMOD)
stress-tests: $(STRESS)

# Rewritten only when what it says has changed.
define FLAGS_TEXT
$(CC) [$(CC_VERSION)] $(STD) $(CODEGEN) $(CFLAGS) $(LIB_CPPFLAGS) $(CPPFLAGS)
$(LINK) $(LIBS) $(KSELFTEST)
endef
export FLAGS_TEXT

$(O)/flags: FORCE
	@mkdir -p $(@D); printf '%s\n' "$$FLAGS_TEXT" | cmp -s - $@ || { \
		if [ -z '$(CC_VERSION)' ]; then \
			echo "gmprt: no compiler '$(CC)': run 'make deps', or give CC=" >&2; exit 1; fi; \
		printf '%s\n' "$$FLAGS_TEXT" > $@; }

# The list of objects, so that removing a source file relinks too.
$(O)/objects: FORCE
	@mkdir -p $(@D); printf '%s\n' '$(OBJS)' | cmp -s - $@ || printf '%s\n' '$(OBJS)' > $@

.PHONY: FORCE

compile = $(CC) $(STD) $(CODEGEN) -MMD -MP -MF $(@:.o=.d) $(1) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# Dumps begin with the function that the user called: it must be on the stack,
# not left by a jump.
$(O)/obj/api/%.o $(O)/obj/sync/%.o: CODEGEN += -fno-optimize-sibling-calls

$(O)/obj/%.o: libgmp/%.c $(O)/flags | $(O)/headers
	$(call say,CC,$*.o)
	@mkdir -p $(@D)
	$(Q)$(call compile,$(LIB_CPPFLAGS))

$(O)/obj/%.o: libgmp/%.S $(O)/flags
	$(call say,AS,$*.o)
	@mkdir -p $(@D)
	$(Q)$(call compile,$(LIB_CPPFLAGS))

# For any kernel (CO-RE), so it takes nothing from the one that runs here.
$(O)/bpf/gmprt.bpf.o: $(BPF_SRC) $(O)/flags
	$(call say,BPF,gmprt.bpf.o)
	@mkdir -p $(@D)
	$(Q)$(BPF_CLANG) -target bpf -mcpu=v3 -O2 -g -Wall -Wextra $(if $(filter 1,$(WERROR)),-Werror) -MMD -MP -MF $(@:.o=.d) \
		-Ilibgmp -idirafter /usr/include/$(ARCH)-linux-gnu -c -o $@ $<

$(O)/bpf/gmprt.skel.h: $(O)/bpf/gmprt.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name gmprt_bpf >$@.tmp && mv $@.tmp $@

$(O)/obj/core/upcall_load.o: $(BPF_SKEL)

# A missing header is the commonest failure of a first build.
$(O)/headers: $(O)/flags
	@for h in $(DEP_HEADERS:%='%'); do \
		echo "#include $$h" | $(CC) $(LIB_CPPFLAGS) $(CPPFLAGS) -E -xc - >/dev/null 2>&1 || { \
			echo "gmprt: no header $$h: run 'make deps' (Debian: liburcu-dev, libdw-dev)" >&2; \
			exit 1; }; \
	done
	@touch $@

$(SO): $(OBJS) $(O)/objects libgmp/gmprt.map
	$(call say,LD,$(@F))
	$(Q)$(CC) -shared $(LINK) -Wl,-soname,$(SONAME) -Wl,--version-script=libgmp/gmprt.map \
		-Wl,-z,relro,-z,now,-z,noexecstack $(if $(SAN),,-Wl,-z,defs) -o $@ $(OBJS) $(LIBS)

$(O)/libgmprt.so: $(SO)
	@ln -sf $(SONAME) $@

# One object, its hidden symbols made local: a user's own function called
# like one of ours can then not take its place.
$(O)/gmprt.o: $(OBJS) $(O)/objects libgmp/gmprt.ld
	$(call say,LD -r,$(@F))
	$(Q)$(CC) -r -nostdlib $(filter-out -fsanitize=%,$(CODEGEN)) $(OPT) $(LTO_RELOC) \
		-Wl,-T,libgmp/gmprt.ld -o $@.tmp $(OBJS)
	$(Q)$(OBJCOPY) --localize-hidden $@.tmp $@
	@rm -f $@.tmp

$(A): $(O)/gmprt.o
	$(call say,AR,$(@F))
	@rm -f $@
	$(Q)$(AR) rcsD $@ $<

$(INTERNAL): $(OBJS) $(O)/objects
	$(call say,AR,$(@F))
	@rm -f $@
	$(Q)$(AR) rcsD $@ $(OBJS)

# Examples see what a user sees: the public header and the static library.
EX := $(O)/obj/examples
$(EX)/%.o: examples/%.c $(O)/flags
	$(call say,CC,examples/$*.o)
	@mkdir -p $(@D)
	$(Q)$(call compile,-D_GNU_SOURCE= -Ilibgmp/include $(foreach p,$(NEEDS_$(firstword $(subst /, ,$*))),$$(pkg-config --cflags $(p))))

define example
$(O)/examples/$(1): $(patsubst examples/%.c,$(EX)/%.o,$(wildcard examples/$(1).c examples/$(1)/*.c)) $(A)
	$$(call say,LD,examples/$(1))
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LINK) -o $$@ $$^ $(foreach p,$(NEEDS_$(1)),$$$$(pkg-config --libs $(p))) $$(LIBS)
endef
$(foreach e,$(EXAMPLE_NAMES),$(eval $(call example,$(e))))

$(O)/obj/tools/%.o: tools/%.c $(O)/flags $(BPF_SKEL)
	$(call say,CC,tools/$*.o)
	@mkdir -p $(@D)
	$(Q)$(call compile,$(LIB_CPPFLAGS) -Itools)

define tool
$(O)/bin/$(1): $(patsubst %.c,$(O)/obj/%.o,$(wildcard tools/$(1)/*.c tools/lib/*.c))
	$$(call say,LD,bin/$(1))
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LINK) -o $$@ $$^ $$$$(pkg-config --libs libbpf json-c)
endef
$(foreach t,$(TOOL_NAMES),$(eval $(call tool,$(t))))

# Tests. The harness is a system header here: its warnings aren't ours, and its
# macros give each test global functions with parameters that few use.
TEST_CPPFLAGS = -Wno-unused-parameter -Wno-missing-prototypes -D_GNU_SOURCE= -Itests -isystem $(KSELFTEST)

$(HARNESS):
	@tools/build/kselftest $(KSELFTEST)

$(O)/tests/lib/%.o $(O)/tests/api/%.o $(O)/tests/stress/%.o: TEST_INC = -Ilibgmp/include
$(O)/tests/unit/%.o $(O)/tests/kmod/%.o: TEST_INC = $(LIB_CPPFLAGS)

$(O)/tests/%.o: tests/%.c $(O)/flags | $(HARNESS)
	$(call say,CC,tests/$*.o)
	@mkdir -p $(@D)
	$(Q)$(call compile,$(TEST_CPPFLAGS) $(TEST_INC))

$(TEST_LIB): $(TEST_LIB_OBJS)
	$(call say,AR,tests/libtest.a)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $^

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(TEST_LIB) $(INTERNAL)
	$(call say,LD,tests/unit/$*)
	$(Q)$(CC) $(LINK) $(TEST_LINK) -o $@ $^ $(LIBS)

$(O)/tests/kmod/%: $(O)/tests/kmod/%.o $(TEST_LIB) $(INTERNAL)
	$(call say,LD,tests/kmod/$*)
	$(Q)$(CC) $(LINK) $(TEST_LINK) -o $@ $^ $(LIBS)

# API tests use the shared library as a user does; with LTO the objects, so that
# the optimizer sees across the border too.
API_LIB := $(if $(filter 1,$(LTO)),$(INTERNAL),$(SO))
$(O)/tests/api/%: $(O)/tests/api/%.o $(TEST_LIB) $(API_LIB)
	$(call say,LD,tests/api/$*)
	$(Q)$(CC) $(LINK) $(TEST_LINK) -Wl,-rpath,'$$ORIGIN/../..' -o $@ $(filter %.o,$^) $(TEST_LIB) $(API_LIB) $(LIBS)

$(O)/tests/stress/%: $(O)/tests/stress/%.o $(TEST_LIB) $(SO)
	$(call say,LD,tests/stress/$*)
	$(Q)$(CC) $(LINK) $(TEST_LINK) -Wl,-rpath,'$$ORIGIN/../..' -o $@ $(filter %.o,$^) $(TEST_LIB) $(SO) $(LIBS)

# In an ASan build a test process that ends well must have leaked nothing. The
# harness leaves by _exit(), which LeakSanitizer does not see.
ifneq ($(findstring address,$(SAN)),)
LEAK_EXIT := $(O)/obj/leak-exit.o
TEST_LINK := -Wl,--wrap=_exit
$(sort $(UNIT) $(API) $(KMOD) $(STRESS)): $(LEAK_EXIT)
$(LEAK_EXIT): tools/build/leak-exit.c $(O)/flags
	$(call say,CC,leak-exit.o)
	$(Q)$(call compile,)
endif

# ---------------------------------------------------------------- testing

RUN := tools/build/run-tests -d $(O)/log
# The backend that can be had everywhere, unless a test asks for another; those in
# the kernel have parts of their own (check-bpf).
export GMPRT_UPCALL ?= sysmon
export CC CXX V
export O_ABS := $(abspath $(O))
export ASAN_OPTIONS ?= detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS ?= halt_on_error=1:second_deadlock_stack=1

.PHONY: check check-slow check-bpf run-bpf check-asan check-tsan check-aarch64 check-variant run-check run-programs run-stress \
	stress vm-check vm-check-debug vm-ready vm-modules vm-selftest vm-some run-vm check-vm run-vm-some vm-shell \
	bench bench-upcall lint fmt test demo harness

# Without the harness (no network, no apt) the scripts still run, and the
# programs that could not be built are counted as one skip.
check: lib examples tools
	@tools/build/kselftest $(KSELFTEST) || :
	@$(MAKE) run-check

run-check: $(if $(wildcard $(HARNESS)),$(FAST_UNIT) $(FAST_API))
	@MODELS=$(if $(filter *,$(T)),holds,all) $(RUN) -j $$(nproc) $(if $(wildcard $(HARNESS)),$(sort $(FAST_UNIT)) $(sort $(FAST_API)),\
		-S 'tests/unit and tests/api: no kselftest_harness.h in $(KSELFTEST), its reason stands above') \
		$(FAST_SCRIPTS)

check-slow: lib examples tools $(filter $(SLOW),$(UNIT) $(API))
	@$(RUN) -j $$(nproc) -l slow -t 600 $(or $(SLOW) $(filter tests/model/%,$(SCRIPTS)),-S "no slow test is called $(T)")

# NOT: names of API tests that are left out, WHY: the reason.
NOT_API := $(filter $(NOT:%=$(O)/tests/api/%),$(API))
run-programs: $(UNIT) $(filter-out $(NOT_API),$(API))
	@$(if $(UNIT)$(API),,echo "gmprt: no test is called '$(T)'" >&2; exit 1;) \
		$(RUN) -j $$(nproc) -l '$(LABEL)' -t 300 -w '$(WRAPPER)' \
		$(foreach t,$(NOT_API),-S '$(t:$(O)/tests/%=%): $(WHY)') \
		$(sort $(UNIT)) $(sort $(filter-out $(NOT_API),$(API)))

# All API tests once more, with the backend that root gets. BPF_SAYS: what it says.
BPF_SAYS = $(shell GMPRT_UPCALL=auto GMPRT_DEBUG=upcall $(O)/examples/hello 2>&1 >/dev/null)
check-bpf: lib examples $(HARNESS)
	@$(if $(findstring upcalls by bpf,$(BPF_SAYS)),$(MAKE) GMPRT_UPCALL=auto run-bpf, \
		$(RUN) -l bpf -S "all API tests with the bpf backend: $(BPF_SAYS)")

# Those called upcall* ask for it anyway.
BPF_API := $(filter-out %/upcall $(O)/tests/api/upcall_%,$(API))
run-bpf: $(BPF_API)
	@$(RUN) -j $$(nproc) -l bpf -t 600 $(BPF_API)

check-asan: $(HARNESS)
	@$(MAKE) O=$(O)/asan SAN=address,undefined LABEL=asan run-programs

# gcc 12's ThreadSanitizer does not start where more than 28 bits of an address
# are random, and with 28 it has failed to find room for its own in the middle of
# a test: so addresses are not random for it, where we may say so.
TSAN_WRAPPER = $(shell setarch -R true 2>/dev/null && echo setarch -R)
check-tsan: $(HARNESS)
	@$(MAKE) O=$(O)/tsan SAN=thread LABEL=tsan WRAPPER='$(TSAN_WRAPPER)' run-programs

# Cross-compiled, run by qemu's user mode emulation.
SYSROOT_ARM64 := $(CACHE)/sysroot-arm64
QEMU := $(shell command -v qemu-aarch64 || command -v qemu-aarch64-static)
check-aarch64: $(HARNESS)
	@[ -n '$(QEMU)' ] || { echo "gmprt: no qemu-aarch64: run 'make deps' (Debian: qemu-user)" >&2; exit 1; }
	@tools/build/cross-sysroot $(SYSROOT_ARM64) arm64
	@$(MAKE) O=$(O)/aarch64 CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc SYSROOT_OVERLAY=$(SYSROOT_ARM64) \
		NOT='idle io_run io_stream limits process signals sigquit timer_fork' \
		WHY='qemu-user has its own ways with fork, signals, epoll and limits' LABEL=aarch64 WRAPPER='$(QEMU) -L $(SYSROOT_ARM64)' run-programs

# What a compiler might do to thread-local accesses shows at -O3 and with LTO.
VARIANT_T ?= tls*
check-variant: $(HARNESS)
	@$(MAKE) O=$(O)/$(VARIANT) LABEL='$(VARIANT)' T='$(VARIANT_T)' lib run-programs

# With delays at the marked places and the invariants checked; see base/point.h.
stress: $(HARNESS)
	@$(MAKE) O=$(O)/stress CPPFLAGS='$(CPPFLAGS) -DRT_POINTS' run-stress

run-stress: stress-tests
	@seed='$(or $(SEED),$(shell od -An -N4 -tu4 /dev/urandom | tr -d ' '))'; time='$(or $(TIME),60)'; \
	echo "stress: SEED=$$seed TIME=$$time (seconds for each test)"; \
	GMPRT_POINTS=$$seed SEED=$$seed TIME=$$time $(RUN) -l "stress SEED=$$seed" -t $$((time * 20 + 300)) $(sort $(STRESS))

# In the guest of a virtual machine, on other kernels than this machine's: see
# tests/vm. VM_NAMES and VM_FEW are for `make check-vm`: what asks most of the kernel, and
# doesn't take long where each instruction is emulated; bpf can be had without. Left out
# of all: what measures time that is not an emulator's to give.
VM_KERNELS := $(shell awk '/^[0-9]/ { print $$1 }' tests/vm/kernels)
KERNEL ?= $(firstword $(VM_KERNELS))
VM_TIME ?= 300
VM_UPCALL ?= sysmon bpf $(if $(wildcard Kbuild),kmod)
VM_NAMES := ctx netpoll tls timers block go io_wait mutex
VM_FEW := sysmon $(if $(wildcard Kbuild),kmod)
VM_NOT := go_spin million
VM_ALL = $(KMOD) $(UNIT) $(filter-out $(VM_NOT:%=$(O)/tests/api/%),$(API))
VM_SOME = $(filter $(KMOD) $(foreach n,$(VM_NAMES),$(O)/tests/unit/$(n) $(O)/tests/api/$(n)),$(VM_ALL))
VM_MAKE = $(MAKE) O=$(O)/vm CPPFLAGS='$(CPPFLAGS) -DG_SLOW=4'
VM_CHECK = tools/build/vm-check -t $(VM_TIME) -k

vm-check: $(HARNESS)
	@$(VM_MAKE) KERNEL='$(KERNEL)' run-vm

run-vm: lib examples tools $(VM_ALL) vm-modules
	@$(VM_CHECK) '$(KERNEL)' -u '$(VM_UPCALL)' $(O) $(VM_ALL)

# A module that can't be built is vm-check's to tell of: there may be no root at all.
vm-modules:
	@$(if $(wildcard Kbuild),for k in $(KERNEL); do rm -f $(O)/kmod/$$k/gmprt.ko; \
		$(MAKE) kmod KERNEL="$$k" || :; done,:)

# With -j the two run at the same time, each emulated by one thread.
check-vm: vm-selftest vm-some
vm-selftest: vm-ready
	@KERNEL='$(KERNEL)' $(RUN) -l vm-harness -t 1800 tests/vm/selftest.sh

vm-some: $(HARNESS) vm-ready
	@$(VM_MAKE) KERNEL='$(KERNEL)' run-vm-some

vm-ready:
	@tools/build/vm-root $(firstword $(KERNEL)) >/dev/null || :

run-vm-some: lib examples tools $(VM_SOME) vm-modules
	@$(VM_CHECK) '$(KERNEL)' -u '$(VM_FEW)' $(O) $(VM_SOME)

# The debug kernel needs a multiple of the time; its selftest is that it finds what
# only it can find.
VM_DEBUG := $(firstword $(VM_KERNELS))-debug
vm-check-debug: $(HARNESS)
	@tools/build/vm-root $(VM_DEBUG) >/dev/null
	@KERNEL=$(VM_DEBUG) $(RUN) -l vm-harness -t 1800 tests/vm/selftest.sh
	@$(VM_MAKE) KERNEL=$(VM_DEBUG) VM_TIME=1200 run-vm

# The kernel module: for the kernel that runs, or the headers in KDIR; with KERNEL= for
# one of tests/vm/kernels, with all that the compiler and sparse have to say.
KDIR ?= /lib/modules/$(shell uname -r)/build
KMOD_KERNEL := $(if $(filter file default undefined,$(origin KERNEL)),,$(firstword $(KERNEL)))

.PHONY: kmod kmod-lint dkms-install dkms-uninstall
kmod:
	@$(if $(KMOD_KERNEL),tools/build/kmod $(O)/kmod/$(KMOD_KERNEL) -k $(KMOD_KERNEL) W=1 C=1, \
		tools/build/kmod $(O)/kmod/$(notdir $(KDIR:/build=)) $(KDIR)) modules

kmod-lint:
	@$(RUN) -l kmod-lint -t 1800 tests/kmod/lint.sh

vm-shell: lib examples tools $(VM_ALL) vm-modules
	@tools/build/vm-check -s -k '$(firstword $(KERNEL))' $(O) $(VM_ALL)

bench: lib
	@O='$(O)' tests/bench/run $(BENCH)

bench-upcall: lib
	@O='$(O)' tests/bench/upcall $(if $(SECONDS),-t $(SECONDS)) $(BENCH)

lint:
	@tools/build/lint

fmt:
	@command -v clang-format >/dev/null || { echo "gmprt: no clang-format: run 'make deps'" >&2; exit 1; }
	clang-format -i $(or $(F),$(shell find libgmp bpf kmod examples tests tools -name '*.[ch]' ! -path 'tests/model/*'))

demo:
	@tools/build/deps build
	@$(MAKE) $(if $(findstring j,$(filter-out --%,$(MAKEFLAGS))),,-j$(shell nproc)) lib examples
	@echo '  RUN     $(O)/examples/dirsum --forget $(or $(DIR),/usr/share/doc)'
	@tools/build/demo $(O)/examples/dirsum $(O)/dirsum.out $(or $(DIR),/usr/share/doc)

harness: $(HARNESS)
	@:

test:
	@MAKE='$(MAKE)' tools/build/test-all $(O)

# ---------------------------------------------------------------- installing

.PHONY: install uninstall deps clean help

$(O)/gmprt.pc: libgmp/gmprt.pc.in Makefile FORCE
	@mkdir -p $(@D)
	@sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCDIR@|$(INCDIR)|' \
		-e 's|@VERSION@|$(VERSION)|; s|@LIBS@|$(LIBS)|' $< >$@.tmp
	@cmp -s $@.tmp $@ && rm $@.tmp || mv $@.tmp $@

# gmpd's, for systemd.
UNITS_IN := $(if $(TOOLS),gmpd.socket gmpd.service)
$(O)/units/gmpd.%: tools/gmpd/gmpd.% Makefile
	@mkdir -p $(@D)
	@cp $< $@
$(O)/units/gmpd.%: tools/gmpd/gmpd.%.in Makefile FORCE
	@mkdir -p $(@D)
	@sed -e 's|@BINDIR@|$(BINDIR)|; s|@SBINDIR@|$(SBINDIR)|' $< >$@

HEADERS := $(patsubst libgmp/include/%,%,$(wildcard libgmp/include/*.h libgmp/include/*/*.h))

# Each command with its page: NAME in section 8 is the administrator's.
man_of = $(notdir $(wildcard docs/man/$(1).[18]))
tool_dir = $(if $(filter %.8,$(call man_of,$(1))),$(SBINDIR),$(BINDIR))
tool_man = $(MANDIR)/man$(patsubst .%,%,$(suffix $(call man_of,$(1))))
TOOLS_IN := $(notdir $(TOOLS))

# A library for this machine is of no use until the loader's cache knows it.
install: lib tools $(O)/gmprt.pc $(UNITS_IN:%=$(O)/units/%)
	$(Q)install -d '$(DESTDIR)$(LIBDIR)/pkgconfig' $(patsubst %,'$(DESTDIR)$(INCDIR)/%',$(sort $(dir $(HEADERS))))
	$(Q)install -m 755 $(SO) '$(DESTDIR)$(LIBDIR)/'
	$(Q)ln -sf $(SONAME) '$(DESTDIR)$(LIBDIR)/libgmprt.so'
	$(Q)install -m 644 $(A) '$(DESTDIR)$(LIBDIR)/'
	$(Q)install -m 644 $(O)/gmprt.pc '$(DESTDIR)$(LIBDIR)/pkgconfig/'
	$(Q)$(foreach h,$(HEADERS),install -m 644 libgmp/include/$(h) '$(DESTDIR)$(INCDIR)/$(h)' &&) :
	$(Q)$(foreach t,$(TOOLS_IN),install -D -m 755 $(O)/bin/$(t) '$(DESTDIR)$(call tool_dir,$(t))/$(t)' && \
		install -D -m 644 docs/man/$(call man_of,$(t)) '$(DESTDIR)$(call tool_man,$(t))/$(call man_of,$(t))' &&) :
	$(Q)$(foreach u,$(UNITS_IN),install -D -m 644 $(O)/units/$(u) '$(DESTDIR)$(UNITDIR)/$(u)' &&) :
	$(Q)[ -n '$(DESTDIR)' ] || [ "$$(id -u)" != 0 ] || ldconfig
	@echo "  INSTALL $(DESTDIR)$(LIBDIR)/$(SONAME), libgmprt.a, gmprt.pc; $(DESTDIR)$(INCDIR)/gmprt.h"

uninstall:
	$(Q)rm -f $(patsubst %,'$(DESTDIR)$(LIBDIR)/%',$(SONAME) libgmprt.so libgmprt.a pkgconfig/gmprt.pc) \
		$(patsubst %,'$(DESTDIR)$(INCDIR)/%',$(HEADERS)) \
		'$(DESTDIR)$(UNITDIR)/gmpd.socket' '$(DESTDIR)$(UNITDIR)/gmpd.service' \
		$(foreach t,$(TOOL_NAMES),'$(DESTDIR)$(call tool_dir,$(t))/$(t)' '$(DESTDIR)$(call tool_man,$(t))/$(call man_of,$(t))')
	$(Q)rmdir '$(DESTDIR)$(INCDIR)/gmprt' 2>/dev/null || :
	$(Q)[ -n '$(DESTDIR)' ] || [ "$$(id -u)" != 0 ] || ldconfig

# The module's sources for DKMS, which builds it for each kernel that is installed;
# with DESTDIR the files only.
DKMS_SRC := $(DESTDIR)/usr/src/gmprt-$(VERSION)
dkms-install:
	$(Q)[ -n '$(DESTDIR)' ] || command -v dkms >/dev/null || \
		{ echo "gmprt: no dkms (Debian: apt install dkms linux-headers-$$(uname -r))" >&2; exit 1; }
	$(Q)install -d '$(DKMS_SRC)/kmod' '$(DKMS_SRC)/libgmp/abi' '$(DESTDIR)/usr/lib/udev/rules.d'
	$(Q)install -m 644 Kbuild '$(DKMS_SRC)/'
	$(Q)install -m 644 kmod/*.[ch] '$(DKMS_SRC)/kmod/'
	$(Q)install -m 644 libgmp/abi/gmprt_abi.h libgmp/abi/gmprt_kmod.h '$(DKMS_SRC)/libgmp/abi/'
	$(Q)sed 's/@VERSION@/$(VERSION)/' kmod/dkms.conf >'$(DKMS_SRC)/dkms.conf'
	$(Q)install -m 644 kmod/60-gmprt.rules '$(DESTDIR)/usr/lib/udev/rules.d/'
	$(Q)[ -n '$(DESTDIR)' ] || { dkms install --force gmprt/$(VERSION) && { udevadm control --reload || :; } && \
		echo "  INSTALL gmprt.ko (dkms): modprobe gmprt"; }

dkms-uninstall:
	$(Q)[ -n '$(DESTDIR)' ] || dkms remove gmprt/$(VERSION) --all || :
	$(Q)rm -rf '$(DKMS_SRC)'
	$(Q)rm -f '$(DESTDIR)/usr/lib/udev/rules.d/60-gmprt.rules'

deps:
	@tools/build/deps all

# Only what a build of ours wrote is removed, whatever O= says. One that found no
# compiler has left an empty folder.
clean:
	$(Q)[ ! -e '$(O)' ] || [ -e '$(O)/flags' ] || [ -e '$(O)/log' ] || rmdir '$(O)' 2>/dev/null || \
		{ echo "gmprt: '$(O)' was not made by this Makefile: not removed" >&2; exit 1; }
	$(Q)rm -rf '$(O)'

help:
	@cat tools/build/help.txt

.SECONDARY: $(addsuffix .o,$(UNIT) $(API) $(KMOD) $(STRESS))

-include $(wildcard $(O)/bpf/*.d $(O)/obj/*/*.d $(O)/obj/tools/*/*.d $(O)/obj/examples/*.d $(O)/obj/examples/*/*.d $(O)/tests/*/*.d)
