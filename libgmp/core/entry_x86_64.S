/* SPDX-License-Identifier: MIT */
/*
 * entry_x86_64.S - the root frame of every goroutine's stack; the M's TLS word
 *
 * In: rsp 16-aligned, rbp = the function to call (see rt_ctx_init). The
 * return address is undefined in CFI and rbp is 0, so gdb, perf and
 * backtrace() stop here whichever way they walk.
 */
	.text
	.globl	rt_ctx_entry
	.hidden	rt_ctx_entry
	.type	rt_ctx_entry, @function
	.p2align 4
rt_ctx_entry:
	.cfi_startproc
	.cfi_undefined rip
	movq	%rbp, %rax
	xorl	%ebp, %ebp
	callq	*%rax
	ud2
	.cfi_endproc
	.size	rt_ctx_entry, .-rt_ctx_entry

/*
 * The M of this thread (struct rt_m *). Defined here and read by assembly only
 * (core/tls.h), so that no compiler can keep its address over a switch.
 */
	.section .tbss, "awT", @nobits
	.globl	rt_tls_m
	.hidden	rt_tls_m
	.type	rt_tls_m, @object
	.size	rt_tls_m, 8
	.p2align 3
rt_tls_m:
	.zero	8

	.section .note.GNU-stack, "", @progbits
