/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions: each row of kernels.inc against double, on ugly sizes, NaN and infinity at each place, long sums, cuts.
 */
#include "check.h"
#include "kernel_check.h"
#include "kernels/reduce/reduce.h"

#include "base/cpu.h"

static const struct {
    pi_isa isa;
    const pi_reduce_kernels *k;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, &name},
#include "kernels/reduce/kernels.inc"
#undef X
};

/* n values `step` apart. */
static double exact(pi_reduce_kind kind, size_t n, size_t step, const float *x)
{
    double sum = 0, max = -INFINITY, min = INFINITY, prod = 1, square = 0, l1 = 0, e = 0;
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i * step];
        sum += v;
        prod *= v;
        square += v * v;
        l1 += fabs(v);
        e += exp(v);
        if (isnan(v) || v > max) max = v;
        if (isnan(v) || v < min) min = v;
        if (isnan(max)) max = min = NAN;
    }
    switch (kind) {
    case PI_REDUCE_SUM: return sum;
    case PI_REDUCE_MEAN: return sum / (double)n;
    case PI_REDUCE_MAX: return max;
    case PI_REDUCE_MIN: return min;
    case PI_REDUCE_PROD: return prod;
    case PI_REDUCE_SUMSQ: return square;
    case PI_REDUCE_L1: return l1;
    case PI_REDUCE_L2: return sqrt(square);
    case PI_REDUCE_LOGSUM: return log(sum);
    case PI_REDUCE_LOGSUMEXP: return log(e);
    case PI_REDUCE_COUNT: break;
    }
    return NAN;
}

static int near(float got, double want, double scale)
{
    if (isnan(want) || isinf(want)) return same(got, (float)want);
    return fabs((double)got - want) <= 2e-6 * (fabs(want) + scale);
}

static void fill(float *x, size_t n, float offset, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) x[i] = random_float(&seed, 1) + offset;
}

static void sizes(const pi_reduce_kernels *k, size_t rows, size_t n, float offset)
{
    size_t row = n + rows % 3, all = rows ? (rows - 1) * row + n : 0;
    float *x = guarded(all * 4), *y = guarded(rows * 4), *z = guarded(n * 4);
    fill(x, all, offset, 1 + (uint32_t)(n * 31 + rows));
    for (int kind = 0; kind < PI_REDUCE_COUNT; kind++) {
        int bad = 0;
        k->rows_f32((pi_reduce_kind)kind, rows, row, n, x, y);
        for (size_t r = 0; r < rows; r++) bad += !near(y[r], exact((pi_reduce_kind)kind, n, 1, x + r * row), 1);
        k->columns_f32((pi_reduce_kind)kind, rows, row, n, x, z);
        for (size_t i = 0; i < n; i++) bad += !near(z[i], exact((pi_reduce_kind)kind, rows, row, x + i), 1);
        if (bad) fprintf(stderr, "kind %d, %zux%zu: %d bad\n", kind, rows, n, bad);
        CHECK(bad == 0);
    }
}

static void specials(const pi_reduce_kernels *k)
{
    enum { MAX = 70 };
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    for (size_t n = 1; n <= MAX; n += n < 20 ? 1 : 7)
        for (size_t o = 0; o < 3; o++)
            for (size_t at = 0; at < n; at++) {
                float x[MAX], z[3 * MAX], y[3];
                int bad = 0;
                fill(x, n, 2, 9);
                x[at] = odd[o];
                for (size_t i = 0; i < n; i++) z[3 * i] = z[3 * i + 2] = 1, z[3 * i + 1] = x[i];
                for (int kind = 0; kind < PI_REDUCE_COUNT; kind++) {
                    k->rows_f32((pi_reduce_kind)kind, 1, n, n, x, y);
                    bad += !near(y[0], exact((pi_reduce_kind)kind, n, 1, x), 1);
                    k->columns_f32((pi_reduce_kind)kind, n, 3, 3, z, y);
                    bad += !near(y[1], exact((pi_reduce_kind)kind, n, 1, x), 1);
                    bad += !near(y[2], exact((pi_reduce_kind)kind, n, 3, z + 2), 1);
                }
                CHECK(bad == 0);
            }
}

/* NumPy's argmax and argmin: NaN is the largest and the smallest; here with the last of equals too. */
static int64_t arg_exact(pi_arg arg, size_t n, size_t step, const float *x)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++) {
        float v = x[i * step], b = x[at * step];
        int better = isnan(v) ? !isnan(b) : arg.min ? v < b : v > b, equal = v == b || (isnan(v) && isnan(b));
        if (better || (arg.last && equal)) at = i;
    }
    return (int64_t)at;
}

static void args(const pi_reduce_kernels *k, size_t rows, size_t n, int odd)
{
    size_t row = n + rows % 2, all = rows ? (rows - 1) * row + n : 0;
    float *x = guarded(all * 4);
    int64_t *y = guarded(rows * 8), *z = guarded(n * 8);
    uint32_t seed = 77 + (uint32_t)(n + rows);
    for (size_t i = 0; i < all; i++) {
        x[i] = (float)(int)(next_random(&seed) % 5) - 2;
        if (odd && next_random(&seed) % 40 == 0) x[i] = odd == 1 ? NAN : -INFINITY;
    }
    for (int form = 0; form < 4; form++) {
        pi_arg arg = {form & 1, form & 2};
        int bad = 0;
        k->arg_rows_f32(arg, rows, row, n, x, y);
        for (size_t r = 0; r < rows; r++) bad += y[r] != arg_exact(arg, n, 1, x + r * row);
        k->arg_columns_f32(arg, rows, row, n, x, z);
        for (size_t i = 0; i < n; i++) bad += z[i] != arg_exact(arg, rows, row, x + i);
        CHECK(bad == 0);
    }
}

static void products(const pi_reduce_kernels *k, size_t rows, size_t n)
{
    size_t row = n + rows % 2, all = rows ? (rows - 1) * row + n : 0;
    float *x = guarded(all * 4), *v = guarded(n * 4), *w = guarded(rows * 4), *y = guarded(rows * 4), *z = guarded(n * 4);
    fill(x, all, 1, 5);
    fill(v, n, 1, 6);
    fill(w, rows, 1, 7);
    for (size_t i = 0; i < n; i++) z[i] = 1;
    k->dot_rows_f32(rows, row, n, x, v, y);
    k->add_rows_f32(rows, row, n, x, w, z);
    int bad = 0;
    for (size_t r = 0; r < rows; r++) {
        double sum = 0, size = 0;
        for (size_t i = 0; i < n; i++) sum += (double)x[r * row + i] * (double)v[i], size += fabs((double)x[r * row + i]);
        bad += !(fabs((double)y[r] - sum) <= 1e-5 * (size + 1));
    }
    for (size_t i = 0; i < n; i++) {
        double sum = 1, size = 0;
        for (size_t r = 0; r < rows; r++) sum += (double)x[r * row + i] * (double)w[r], size += fabs((double)x[r * row + i]);
        bad += !(fabs((double)z[i] - sum) <= 1e-5 * (size + 1));
    }
    CHECK(bad == 0);
}

static void long_ones(const pi_reduce_kernels *k)
{
    enum { N = 3000017, PART = 65536 };
    float *x = guarded((size_t)N * 4), parts[N / PART + 1], y, whole;
    fill(x, N, 1, 123);
    for (int kind = 0; kind < PI_REDUCE_COUNT; kind++) {
        if (kind == PI_REDUCE_PROD) continue;
        pi_reduce_kind one = (pi_reduce_kind)kind;
        double want = exact(one, N, 1, x);
        size_t count = 0;
        k->rows_f32(one, 1, N, N, x, &whole);
        for (size_t i = 0; i < N; i += PART)
            k->rows_f32(pi_reduce_part(one), 1, 0, N - i < PART ? N - i : PART, x + i, &parts[count++]);
        k->rows_f32(pi_reduce_join(one), 1, 0, count, parts, &y);
        y = pi_reduce_finish(one, y, N);
        CHECK(near(whole, want, 0) && near(y, want, 0));
        k->columns_f32(one, N / 7, 7, 7, x, parts);
        CHECK(near(parts[6], exact(one, N / 7, 7, x + 6), 0));
    }
}

int main(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        const pi_reduce_kernels *k = tables[t].k;
        for (size_t s = 0; s < UGLY_COUNT; s++) {
            for (size_t rows = 0; rows <= 4; rows++) {
                sizes(k, rows, ugly[s], 0);
                products(k, rows, ugly[s]);
                for (int odd = 0; odd < 3; odd++) args(k, rows, ugly[s], odd);
            }
            sizes(k, 300, ugly[s], 0.5f);
            products(k, 301, ugly[s]);
            for (int odd = 0; odd < 3; odd++) args(k, 129, ugly[s], odd);
        }
        specials(k);
        long_ones(k);
    }
    CHECK(pi_reduce() != NULL);
    return CHECK_DONE();
}
