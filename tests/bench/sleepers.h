/* SPDX-License-Identifier: MIT */
/*
 * sleepers.h - B9 and B9m: goroutines that do nothing but sleep
 *
 * Part of bodies.h, which includes it. Each sleeps for a random time of 1 to
 * 100 ms, over and over, so N of them wake N / 50.5 ms times: 5,000 about
 * 100,000 times a second, 100,000 as often as the peer can.
 *
 * Two things count. What a wake-up costs: all CPU time of the process, its
 * helper threads' too, over the wake-ups. And how late it comes: from the time
 * asked for to the goroutine's next instruction. A peer can trade one for the
 * other by firing late and many at a time, so neither says anything without the
 * other: B9.p50 and B9.p99 are rows of their own, from the same two seconds.
 *
 * Lateness is counted in buckets that are a sixteenth of their value wide.
 */
#ifndef BENCH_SLEEPERS_H
#define BENCH_SLEEPERS_H

#include <sys/resource.h>

static double cpu_ns(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return ((double)r.ru_utime.tv_sec + (double)r.ru_stime.tv_sec) * 1e9 +
	       ((double)r.ru_utime.tv_usec + (double)r.ru_stime.tv_usec) * 1e3;
}

#ifdef G_NO_SLEEP
static void sleepers(long n)
{
	(void)n;
	not_available("no sleep");
}
#else

enum {
	SLEEP_MIN_US = 1000,
	SLEEP_MAX_US = 100000,
	WARM_UP_US = 500000,
	MEASURED_US = 2000000,
	LATE_EXACT = 16, /* us; from here on a sixteenth */
	LATE_BUCKETS = 1024,
};

static uint64_t late_us[LATE_BUCKETS];

static int late_bucket(int64_t us)
{
	int log;

	if (us < LATE_EXACT)
		return us < 0 ? 0 : (int)us;
	log = 63 - __builtin_clzll((unsigned long long)us);
	return log * LATE_EXACT + (int)(us >> (log - 4)) % LATE_EXACT;
}

/* The least time that is counted in bucket i. */
static double late_of(int i)
{
	int64_t mantissa = LATE_EXACT + i % LATE_EXACT;

	return i < LATE_EXACT ? i : (double)(mantissa << (i / LATE_EXACT - 4));
}

static uint64_t nr_woken(void)
{
	uint64_t n = 0;

	for (int i = 0; i < LATE_BUCKETS; i++)
		n += __atomic_load_n(&late_us[i], __ATOMIC_RELAXED);
	return n;
}

static double late_quantile(const uint64_t *count, double q)
{
	uint64_t all_of_them = 0, seen = 0;
	int i;

	for (i = 0; i < LATE_BUCKETS; i++)
		all_of_them += count[i];
	for (i = 0; i < LATE_BUCKETS - 1; i++) {
		seen += count[i];
		if ((double)seen >= q * (double)all_of_them)
			break;
	}
	return late_of(i);
}

static void sleep_fn(void *arg)
{
	uint64_t x = (uint64_t)(uintptr_t)arg * 0x9E3779B97F4A7C15u + 1;

	for (;;) {
		int64_t us, late;
		double t;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		us = SLEEP_MIN_US + (int64_t)(x % (SLEEP_MAX_US - SLEEP_MIN_US + 1));
		t = now_ns();
		g_sleep_us(us);
		late = (int64_t)(now_ns() - t) / 1000 - us;
		__atomic_fetch_add(&late_us[late_bucket(late)], 1, __ATOMIC_RELAXED);
	}
}

static void sleepers(long n)
{
	static uint64_t before[LATE_BUCKETS], count[LATE_BUCKETS];
	double cpu, t;
	char remark[128];
	uint64_t woken;

	for (long i = 1; i <= n; i++)
		g_spawn(sleep_fn, (void *)(uintptr_t)i);
	g_sleep_us(WARM_UP_US);
	memcpy(before, late_us, sizeof(before));
	woken = nr_woken();
	cpu = cpu_ns();
	t = now_ns();
	g_sleep_us(MEASURED_US);
	t = now_ns() - t;
	cpu = cpu_ns() - cpu;
	woken = nr_woken() - woken;
	for (int i = 0; i < LATE_BUCKETS; i++)
		count[i] = __atomic_load_n(&late_us[i], __ATOMIC_RELAXED) - before[i];
	check(woken > 0, "nobody woke");
	snprintf(remark, sizeof(remark), "n=%ld %.0f/s cpu/wall=%.2f", n, (double)woken / t * 1e9,
		 cpu / t);
	report(cpu / (double)woken, "cpu-ns/wake", remark);
	report_more("p50", late_quantile(count, 0.5), "us-late");
	report_more("p99", late_quantile(count, 0.99), "us-late");
}
#endif

static void b9(void)
{
	sleepers(size_of_work("N", 5000));
}

static void b9m(void)
{
	sleepers(size_of_work("N", 100000));
}

#endif /* BENCH_SLEEPERS_H */
