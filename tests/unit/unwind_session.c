/* SPDX-License-Identifier: MIT */
/*
 * A session finds names with libdw and without, in this process and in
 * another, in files that were deleted, and asks nobody on the network; and
 * whatever it can't get, something comes out.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "unit/unwind_fiber.h"

/* ---- without libdw ------------------------------------------------- */

TEST(without_libdw_frame_pointers_lead_to_exported_names_and_a_note_says_what_to_do)
{
	struct rt_unwind_opts opts = { .no_libdw = true };
	uintptr_t in_first = (uintptr_t)dlsym(RTLD_DEFAULT, "gnu_get_libc_version") + 4;
	uintptr_t in_second = (uintptr_t)dlsym(RTLD_DEFAULT, "hdestroy") + 4;
	/* two frames: each the caller's frame pointer, then the return address */
	uintptr_t stack[8] = { 0, 0, 0, in_second, 0, 0, 0, 0 };
	struct rt_unwind_regs r = {
		.pc = in_first,
		.sp = (uintptr_t)&stack[0],
		.fp = (uintptr_t)&stack[2],
		.stack_hi = (uintptr_t)&stack[8],
	};
	struct rt_unwind *u = rt_unwind_open(&opts);
	const char *at = out;

	ASSERT_NE(NULL, u);
	ASSERT_NE(NULL, rt_unwind_note(u));
	EXPECT_NE(NULL, strstr(rt_unwind_note(u), "apt install libdw1"));
	stack[2] = (uintptr_t)&stack[5];
	EXPECT_EQ(2, unwind(u, &r));
	EXPECT_NEXT(at, "gnu_get_libc_version(...)\n");
	EXPECT_NEXT(at, "libc.so");
	EXPECT_NEXT(at, " +0x4\n");
	EXPECT_NEXT(at, "hdestroy(...)\n");
	EXPECT_NEXT(at, " +0x4\n");
	rt_unwind_close(u);
}

/* ---- sessions ------------------------------------------------------ */

TEST(two_sessions_at_once_do_not_disturb_each_other_and_errno_is_kept)
{
	struct rt_unwind_opts plain = { .no_libdw = true };
	struct rt_unwind *u[3];
	struct rt_unwind_regs r;
	struct fiber f;

	errno = 4711;
	u[0] = rt_unwind_open(NULL);
	u[1] = rt_unwind_open(NULL);
	u[2] = rt_unwind_open(&plain);
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	for (int i = 0; i < 3; i++) {
		ASSERT_NE(NULL, u[i]);
		EXPECT_LE(1, unwind(u[i], &r));
		if (i < 2)
			expect_whole(_metadata);
		rt_unwind_close(u[i]);
	}
	EXPECT_EQ(4711, errno);
}

TEST(whichever_call_fails_there_is_a_frame_or_no_session)
{
	struct rt_unwind_regs r;
	struct fiber f;

	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	for (unsigned long nth = 1; nth < 100; nth++) {
		struct rt_unwind *u;

		rt_fault_arm(nth);
		u = rt_unwind_open(NULL);
		if (u) {
			EXPECT_LE(1, unwind(u, &r));
			EXPECT_NE(0, out_len);
			EXPECT_LE(1, unwind(u, &r));
		}
		rt_unwind_close(u);
		if (rt_fault_arm(0) < nth) { /* none was left to fail */
			EXPECT_LT(5, nth);
			return;
		}
	}
	EXPECT_TRUE(false);
}

static ssize_t read_child(void *arg, uintptr_t addr, void *buf, size_t len)
{
	ssize_t n = pread(*(int *)arg, buf, len, (off_t)addr);

	return n < 0 ? -errno : n;
}

TEST(another_process_is_read_by_pid_or_by_the_callers_reader)
{
	struct rt_unwind_opts opts = { 0 };
	struct rt_unwind_regs r;
	struct fiber f;
	char path[64];
	int to_us[2], mem;
	pid_t pid;

	ASSERT_EQ(0, pipe(to_us));
	fiber_make(&f, 0);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		fiber_run(&f); /* on the child's copy of the stack only */
		r = fiber_regs(&f);
		if (write(to_us[1], &r, sizeof(r)) == sizeof(r) &&
		    write(to_us[1], &line_park, sizeof(int)) == sizeof(int))
			pause();
		_exit(1);
	}
	ASSERT_EQ(sizeof(r), read(to_us[0], &r, sizeof(r)));
	ASSERT_EQ(sizeof(int), read(to_us[0], &line_park, sizeof(int)));
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = open(path, O_RDONLY);
	ASSERT_LE(0, mem);
	opts.pid = pid;
	for (int i = 0; i < 2; i++) {
		struct rt_unwind *u = rt_unwind_open(&opts);
		const char *at = out;

		ASSERT_NE(NULL, u);
		EXPECT_LE(4, unwind(u, &r));
		EXPECT_NEXT(at, "park(...)\n");
		EXPECT_NEXT(at, "unwind_fiber.h:%d +0x", line_park);
		EXPECT_NEXT(at, "middle_global(...)\n");
		EXPECT_NEXT(at, "fiber_main(...)\n");
		rt_unwind_close(u);
		opts.read = read_child;
		opts.read_arg = &mem;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- files --------------------------------------------------------- */

TEST(no_debug_info_server_is_asked)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	struct pollfd caller = { .events = POLLIN };
	uintptr_t words[16] = { 0 };
	struct rt_unwind_regs r = { .stack_hi = (uintptr_t)&words[16], .sp = (uintptr_t)words };
	char cache[] = "/tmp/gmprt-unwind.XXXXXX", url[64];
	socklen_t len = sizeof(addr);
	struct rt_unwind *u;

	caller.fd = socket(AF_INET, SOCK_STREAM, 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ASSERT_EQ(0, bind(caller.fd, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, listen(caller.fd, 8));
	ASSERT_EQ(0, getsockname(caller.fd, (struct sockaddr *)&addr, &len));
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(addr.sin_port));
	setenv("DEBUGINFOD_URLS", url, 1);
	setenv("DEBUGINFOD_TIMEOUT", "1", 1);
	ASSERT_NE(NULL, mkdtemp(cache)); /* without one it would not even try */
	setenv("DEBUGINFOD_CACHE_PATH", cache, 1);
	u = rt_unwind_open(NULL);
	ASSERT_NE(NULL, u);
	ASSERT_EQ(NULL, rt_unwind_note(u));
	r.pc = (uintptr_t)dlsym(dlopen("libdw.so.1", RTLD_LAZY), "dwfl_version") + 4;
	EXPECT_LE(1, unwind(u, &r));
	EXPECT_TRUE(first_is("dwfl_version"));
	EXPECT_EQ(0, poll(&caller, 1, 0));
	EXPECT_EQ(0, rmdir(cache)); /* empty: nothing was begun */
	if (!strstr(out, " (0x"))
		SKIP(return, "debug information of libdw is installed: nobody would be asked");
	rt_unwind_close(u);
}

/* Runs instead of main() in the copy that the test below makes. */
static void __attribute__((constructor)) deleted_program(void)
{
	struct rt_unwind_regs r;
	struct rt_unwind *u;
	struct fiber f;

	if (!getenv("GMPRT_TEST_DELETED"))
		return;
	unlink(getenv("GMPRT_TEST_DELETED"));
	u = rt_unwind_open(NULL);
	fiber_make(&f, 0);
	fiber_run(&f);
	r = fiber_regs(&f);
	unwind(u, &r);
	rt_unwind_close(u);
	if (write(STDOUT_FILENO, out, out_len) < 0)
		_exit(1);
	_exit(0);
}

TEST(a_program_whose_file_was_deleted_is_still_named)
{
	char copy[] = "/tmp/gmprt-unwind.XXXXXX", line[256];
	int from_copy[2], fd = mkstemp(copy), self = open("/proc/self/exe", O_RDONLY), status;
	const char *at = out;
	ssize_t n;
	pid_t pid;

	ASSERT_LE(0, fd);
	while ((n = read(self, out, sizeof(out))) > 0)
		ASSERT_EQ(n, write(fd, out, (size_t)n));
	ASSERT_EQ(0, fchmod(fd, 0700));
	close(fd);
	ASSERT_EQ(0, pipe(from_copy));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		dup2(from_copy[1], STDOUT_FILENO);
		close(from_copy[0]);
		close(from_copy[1]);
		setenv("GMPRT_TEST_DELETED", copy, 1);
		execl(copy, copy, NULL);
		_exit(127);
	}
	close(from_copy[1]);
	for (out_len = 0; (n = read(from_copy[0], line, sizeof(line))) > 0;)
		out_add(NULL, line, (size_t)n);
	waitpid(pid, &status, 0);
	unlink(copy);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		SKIP(return, "a copy of this program can't be run here (an emulator?)");
	ASSERT_EQ(0, status);
	EXPECT_NEXT(at, "park(...)\n");
	EXPECT_NEXT(at, "unwind_fiber.h:");
	EXPECT_NEXT(at, "worker(...)\n");
	EXPECT_NEXT(at, "unwind_fiber.h:");
}

TEST_HARNESS_MAIN
