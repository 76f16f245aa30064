/* SPDX-License-Identifier: MIT */
/*
 * entry_aarch64.S - the root frame of every goroutine's stack; the M's TLS word
 *
 * In: sp 16-aligned, x29 = the function to call (see rt_ctx_init). x30 is
 * undefined in CFI and x29 is 0, so unwinders stop here.
 */
	.text
	.globl	rt_ctx_entry
	.hidden	rt_ctx_entry
	.type	rt_ctx_entry, %function
	.p2align 4
rt_ctx_entry:
	.cfi_startproc
	.cfi_undefined x30
	mov	x9, x29
	mov	x29, xzr
	mov	x30, xzr
	blr	x9
	brk	#1
	.cfi_endproc
	.size	rt_ctx_entry, .-rt_ctx_entry

/*
 * The M of this thread (struct rt_m *). Defined here and read by assembly only
 * (core/tls.h), so that no compiler can keep its address over a switch.
 */
	.section .tbss, "awT", %nobits
	.globl	rt_tls_m
	.hidden	rt_tls_m
	.type	rt_tls_m, %object
	.size	rt_tls_m, 8
	.p2align 3
rt_tls_m:
	.zero	8

	.section .note.GNU-stack, "", %progbits
