/* SPDX-License-Identifier: MIT */
/*
 * leak-exit.c - a test that ends well by _exit() is looked through for leaks
 *
 * Linked into the tests of an ASan build with --wrap=_exit. kselftest_harness.h
 * ends each test's process by _exit(), so LeakSanitizer, which works at exit(),
 * would never look. A test that failed says why already.
 */
#include <sanitizer/lsan_interface.h>
#include <unistd.h>

_Noreturn void __real__exit(int status);
__attribute__((visibility("default"))) _Noreturn void __wrap__exit(int status);

void __wrap__exit(int status)
{
	/* 23 is LeakSanitizer's own exit status; to the harness, a failure. */
	if (status == 0 && __lsan_do_recoverable_leak_check())
		__real__exit(23);
	__real__exit(status);
}
