/* SPDX-License-Identifier: MIT */
/*
 * unwind_own.c - which code is this library's own
 *
 * In a program linked with libgmprt.a: what lies between two marks that the
 * archive's one object has (gmprt.ld). In libgmprt.so: all code of that file.
 * Objects linked one by one (our unit tests) have neither: then nothing is known,
 * and nothing is hidden, for a user's frame must never be taken for ours.
 *
 * Rejected. Function names: ours are static for the most part. Source files:
 * not known without debug information. From the lowest to the highest of our
 * functions: the linker keeps cold ones elsewhere.
 */
#include <link.h>
#include <string.h>

#include "base/unwind_int.h"

extern const char rt_code_begin[] __attribute__((weak, visibility("hidden")));
extern const char rt_code_end[] __attribute__((weak, visibility("hidden")));

static bool named_as_ours(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strncmp(slash ? slash + 1 : path, "libgmprt.so", strlen("libgmprt.so")) == 0;
}

/* Is it the file that this function is in? Then 1, which ends the walk. */
static int find_self(struct dl_phdr_info *file, size_t size, void *range)
{
	uintptr_t self = (uintptr_t)find_self, lo = UINTPTR_MAX, hi = 0;
	struct rt_unwind_range *own = range;

	(void)size;
	for (int i = 0; i < file->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &file->dlpi_phdr[i];
		uintptr_t at = file->dlpi_addr + ph->p_vaddr;

		if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
			continue;
		lo = at < lo ? at : lo;
		hi = at + ph->p_memsz > hi ? at + ph->p_memsz : hi;
	}
	if (self < lo || self >= hi)
		return 0;
	if (named_as_ours(file->dlpi_name))
		*own = (struct rt_unwind_range){ lo, hi };
	return 1;
}

struct rt_unwind_range rt_unwind_own(void)
{
	struct rt_unwind_range own = { (uintptr_t)rt_code_begin, (uintptr_t)rt_code_end };

	if (!own.lo)
		dl_iterate_phdr(find_self, &own);
	return own;
}
