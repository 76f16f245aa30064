/* SPDX-License-Identifier: MIT */
/*
 * go_powser1.c - re-expresses what Go's test/chan/powser1.go shows:
 * power series as streams of rational coefficients, each operator a
 * goroutine, after M. D. McIlroy, "Squinting at Power Series". A stream is a
 * pair of channels, one that asks for a term and one that brings it, so
 * nothing is computed that nobody wants. Products start new goroutines with
 * each term, exponentials feed a stream back into itself: hundreds of
 * goroutines that all wait for one another in one way only.
 *
 * The formulas are the paper's; a stream is doubled here by one goroutine
 * that selects among all it might do next, with NULL channels for what it
 * can't do now.
 */
#include "lib/gtest.h"

#define TERMS 10
#define LONGEST 64

/* num/den in lowest terms, den > 0; den == 0: the series has ended. */
struct rat {
	int64_t num, den;
};

struct series {
	gmprt_chan *ask, *term;
};

/* What an operator's goroutine works on. */
struct op {
	struct series z, u, v;
	struct rat c;
	const struct rat *list;
	int n;
};

static const struct rat zero = { 0, 1 }, one = { 1, 1 }, finis = { 0, 0 };

/* ---- rational numbers ---- */

static int64_t gcd(int64_t a, int64_t b)
{
	while (b) {
		int64_t r = a % b;

		a = b;
		b = r;
	}
	return a < 0 ? -a : a;
}

static struct rat ratio(int64_t num, int64_t den)
{
	int64_t g = gcd(num, den);

	if (den < 0)
		g = -g;
	return (struct rat){ num / g, den / g };
}

static struct rat add(struct rat a, struct rat b)
{
	int64_t g = gcd(a.den, b.den);

	return ratio(a.num * (b.den / g) + b.num * (a.den / g), a.den / g * b.den);
}

static struct rat mul(struct rat a, struct rat b)
{
	struct rat x = ratio(a.num, b.den), y = ratio(b.num, a.den);

	return (struct rat){ x.num * y.num, x.den * y.den };
}

static struct rat neg(struct rat a)
{
	return (struct rat){ -a.num, a.den };
}

static bool ended(struct rat a)
{
	return a.den == 0;
}

/* ---- streams ---- */

static struct series series_new(void)
{
	return (struct series){ g_chan(0, 0), g_chan(sizeof(struct rat), 0) };
}

static struct rat get(struct series s)
{
	struct rat r;

	G_OK(gmprt_chan_send(s.ask, NULL));
	G_OK(gmprt_chan_recv(s.term, &r));
	return r;
}

static void wait_asked(struct series s)
{
	G_OK(gmprt_chan_recv(s.ask, NULL));
}

static void answer(struct series s, struct rat r)
{
	G_OK(gmprt_chan_send(s.term, &r));
}

static void put(struct series s, struct rat r)
{
	wait_asked(s);
	answer(s, r);
}

/* The rest of u becomes the rest of z. */
static void pass_on(struct series u, struct series z)
{
	for (;;) {
		wait_asked(z);
		answer(z, get(u));
	}
}

/*
 * A term of each of two streams, asked for and received in whichever order
 * they are willing: waiting for one while the other waits for us would lock
 * up where both stem from one stream.
 */
static void get_both(struct series u, struct series v, struct rat r[2])
{
	struct gmprt_case cases[4] = {
		{ .op = GMPRT_SEND, .chan = u.ask },
		{ .op = GMPRT_SEND, .chan = v.ask },
		{ .op = GMPRT_RECV, .elem = &r[0] },
		{ .op = GMPRT_RECV, .elem = &r[1] },
	};

	for (int left = 4; left > 0; left--) {
		int k = gmprt_select(cases, 4);

		G_TRUE(k >= 0 && k < 4);
		cases[k].chan = NULL;
		if (k < 2)
			cases[k + 2].chan = k == 0 ? u.term : v.term;
	}
}

/* Starts an operator on a copy of op that it may keep. */
static struct series start(void (*fn)(void *), struct op op)
{
	struct op *kept = g_keep(sizeof(*kept));

	op.z = series_new();
	*kept = op;
	g_go(fn, kept);
	return op.z;
}

/* ---- doubling ---- */

struct split {
	struct series in, out[2];
};

/* What the splitter can do next; absent: not now. */
enum { ASKED_0, ASKED_1, GIVE_0, GIVE_1, ASK, RECEIVE, DEEDS };

static void split_run(void *arg)
{
	struct split s = *(struct split *)arg;
	struct rat terms[LONGEST];
	int count = 0, given[2] = { 0, 0 };
	bool asked[2] = { false, false };
	bool waiting = false; /* for the term asked of s.in */

	for (;;) {
		bool more = (asked[0] && given[0] == count) || (asked[1] && given[1] == count);
		struct gmprt_case can[DEEDS] = {
			[ASK] = { GMPRT_SEND, more && !waiting ? s.in.ask : NULL, NULL, 0 },
			[RECEIVE] = { GMPRT_RECV, waiting ? s.in.term : NULL, &terms[count], 0 },
		};
		int k;

		G_LT(count, LONGEST);
		for (int i = 0; i < 2; i++) {
			bool have = asked[i] && given[i] < count;

			can[ASKED_0 + i] = (struct gmprt_case){
				GMPRT_RECV, asked[i] ? NULL : s.out[i].ask, NULL, 0 };
			can[GIVE_0 + i] = (struct gmprt_case){
				GMPRT_SEND, have ? s.out[i].term : NULL, &terms[given[i]], 0 };
		}
		k = gmprt_select(can, DEEDS);
		G_TRUE(k >= 0 && k < DEEDS);
		if (k <= ASKED_1) {
			asked[k] = true;
		} else if (k <= GIVE_1) {
			asked[k - GIVE_0] = false;
			given[k - GIVE_0]++;
		} else if (k == ASK) {
			waiting = true;
		} else {
			waiting = false;
			count++;
		}
	}
}

static void split_into(struct series in, struct series out0, struct series out1)
{
	struct split *s = g_keep(sizeof(*s));

	*s = (struct split){ in, { out0, out1 } };
	g_go(split_run, s);
}

/* ---- operators ---- */

static void repeat_run(void *arg)
{
	struct op op = *(struct op *)arg;

	for (;;)
		put(op.z, op.c);
}

static struct series repeat(struct rat c)
{
	return start(repeat_run, (struct op){ .c = c });
}

static void poly_run(void *arg)
{
	struct op op = *(struct op *)arg;

	for (int i = 0; i < op.n; i++)
		put(op.z, op.list[i]);
	for (;;)
		put(op.z, finis);
}

static struct series poly(const struct rat *list, int n)
{
	return start(poly_run, (struct op){ .list = list, .n = n });
}

static void sum_run(void *arg)
{
	struct op op = *(struct op *)arg;
	struct rat r[2];

	for (;;) {
		wait_asked(op.z);
		get_both(op.u, op.v, r);
		if (!ended(r[0]) && !ended(r[1])) {
			answer(op.z, add(r[0], r[1]));
			continue;
		}
		answer(op.z, ended(r[0]) ? r[1] : r[0]);
		pass_on(ended(r[0]) ? op.v : op.u, op.z);
	}
}

static struct series sum(struct series u, struct series v)
{
	return start(sum_run, (struct op){ .u = u, .v = v });
}

static void scale_run(void *arg)
{
	struct op op = *(struct op *)arg;

	for (;;) {
		struct rat r;

		wait_asked(op.z);
		r = get(op.u);
		answer(op.z, ended(r) ? finis : mul(op.c, r));
	}
}

static struct series scale(struct rat c, struct series u)
{
	return start(scale_run, (struct op){ .c = c, .u = u });
}

static struct series difference(struct series u, struct series v)
{
	return sum(u, scale(neg(one), v));
}

/* c + x * u */
static void shift_run(void *arg)
{
	struct op op = *(struct op *)arg;

	put(op.z, op.c);
	pass_on(op.u, op.z);
}

static struct series shift(struct rat c, struct series u)
{
	return start(shift_run, (struct op){ .c = c, .u = u });
}

static void derivative_run(void *arg)
{
	struct op op = *(struct op *)arg;

	wait_asked(op.z);
	(void)get(op.u); /* if that was the end, so is all that follows */
	for (int i = 1;; i++) {
		struct rat r = get(op.u);

		answer(op.z, ended(r) ? finis : mul(ratio(i, 1), r));
		wait_asked(op.z);
	}
}

static struct series derivative(struct series u)
{
	return start(derivative_run, (struct op){ .u = u });
}

static void integral_run(void *arg)
{
	struct op op = *(struct op *)arg;

	put(op.z, op.c);
	for (int i = 1;; i++) {
		struct rat r;

		wait_asked(op.z);
		r = get(op.u);
		answer(op.z, ended(r) ? finis : mul(ratio(1, i), r));
	}
}

static struct series integral(struct rat c, struct series u)
{
	return start(integral_run, (struct op){ .c = c, .u = u });
}

static struct series product(struct series u, struct series v);

/* (u + xU)(v + xV) = uv + x(uV + vU) + x(xUV) */
static void product_run(void *arg)
{
	struct op op = *(struct op *)arg;
	struct series u[2] = { series_new(), series_new() };
	struct series v[2] = { series_new(), series_new() };
	struct series w;
	struct rat r[2];

	wait_asked(op.z);
	get_both(op.u, op.v, r);
	if (ended(r[0]) || ended(r[1])) {
		answer(op.z, finis);
		for (;;)
			put(op.z, finis);
	}
	answer(op.z, mul(r[0], r[1]));
	split_into(op.u, u[0], u[1]);
	split_into(op.v, v[0], v[1]);
	w = sum(scale(r[0], v[0]), scale(r[1], u[0]));
	put(op.z, get(w));
	pass_on(sum(w, product(u[1], v[1])), op.z);
}

static struct series product(struct series u, struct series v)
{
	return start(product_run, (struct op){ .u = u, .v = v });
}

/* u(c x^n): the i-th term times c^i, n - 1 zeros between two */
static void substitute_run(void *arg)
{
	struct op op = *(struct op *)arg;

	for (struct rat c = one;; c = mul(c, op.c)) {
		put(op.z, mul(get(op.u), c));
		for (int i = 1; i < op.n; i++)
			put(op.z, zero);
	}
}

static struct series substitute(struct series u, struct rat c, int n)
{
	return start(substitute_run, (struct op){ .u = u, .c = c, .n = n });
}

/* z' = z u', z(0) = 1; u's constant term is taken for 0 */
static struct series exponential(struct series u)
{
	struct series back = series_new(), z = series_new();

	split_into(integral(one, product(back, derivative(u))), back, z);
	return z;
}

/* z = 1/u: with u = u0 + xU, z = z0 - z0 x U z, z0 = 1/u0 */
static void reciprocal_run(void *arg)
{
	struct op op = *(struct op *)arg;
	struct series back = series_new(), z = series_new();
	struct rat u0, z0;

	wait_asked(op.z);
	u0 = get(op.u);
	z0 = ratio(u0.den, u0.num);
	split_into(shift(z0, product(scale(neg(z0), op.u), back)), back, z);
	answer(op.z, get(z));
	pass_on(z, op.z);
}

static struct series reciprocal(struct series u)
{
	return start(reciprocal_run, (struct op){ .u = u });
}

/* ---- checks ---- */

static void expect(const char *what, struct series s, int i, struct rat want)
{
	struct rat r = get(s);

	if (r.num != want.num || r.den != want.den)
		G_FAIL("%s: term %d is %jd/%jd, not %jd/%jd", what, i, (intmax_t)r.num,
		       (intmax_t)r.den, (intmax_t)want.num, (intmax_t)want.den);
}

static struct series ones(void)
{
	return repeat(one);
}

G_TEST(sums_and_multiples_go_term_by_term)
{
	struct series threes = sum(ones(), repeat(ratio(2, 1)));
	struct series minus = difference(ones(), repeat(ratio(2, 1)));
	struct series scaled = scale(neg(one), repeat(ratio(2, 1)));

	for (int i = 0; i < TERMS; i++) {
		expect("1 + 2", threes, i, ratio(3, 1));
		expect("1 - 2", minus, i, ratio(-1, 1));
		expect("-1 * 2", scaled, i, ratio(-2, 1));
	}
}

G_TEST(finite_series_end)
{
	static const struct rat a[] = { { 1, 1 }, { 1, 1 } }, b[] = { { 1, 1 }, { -1, 1 } };
	struct series p = product(poly(a, 2), poly(b, 2));
	struct series s = sum(poly(a, 2), ones());

	expect("(1+x)(1-x)", p, 0, one);
	expect("(1+x)(1-x)", p, 1, zero);
	expect("(1+x)(1-x)", p, 2, neg(one));
	for (int i = 0; i < TERMS; i++)
		expect("1+x + ones", s, i, ratio(i < 2 ? 2 : 1, 1));
}

G_TEST(derivative_and_integral_are_right)
{
	struct series d = derivative(ones()), in = integral(zero, ones());
	struct series atan = integral(zero, substitute(ones(), neg(one), 2));

	for (int i = 0; i < TERMS; i++) {
		expect("1/(1-x)'", d, i, ratio(i + 1, 1));
		expect("-log(1-x)", in, i, i ? ratio(1, i) : zero);
		expect("atan", atan, i, i % 2 ? ratio(i % 4 == 1 ? 1 : -1, i) : zero);
	}
}

G_TEST(a_product_starts_goroutines_with_each_term)
{
	struct series p = product(ones(), ones());

	for (int i = 0; i < TERMS; i++)
		expect("1/(1-x)^2", p, i, ratio(i + 1, 1));
	G_GT(gmprt_num_goroutine(), 3 * TERMS);
}

G_TEST(a_series_may_be_fed_back_into_itself)
{
	struct series e = exponential(ones()), r = reciprocal(ones());
	struct rat want[TERMS] = { { 1, 1 } };

	/* From z' = z u' with all terms of u 1: n z(n) = sum of k z(n-k). */
	for (int n = 1; n < TERMS; n++) {
		want[n] = zero;
		for (int k = 1; k <= n; k++)
			want[n] = add(want[n], mul(ratio(k, n), want[n - k]));
	}
	for (int i = 0; i < TERMS; i++) {
		expect("exp(1/(1-x) - 1)", e, i, want[i]);
		expect("1 - x", r, i, i < 2 ? ratio(i ? -1 : 1, 1) : zero);
	}
}

TEST_HARNESS_MAIN
