/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax kernels: each row of kernels.inc against libm in double, on ugly sizes and up to a forbidden page. */
#include "check.h"
#include "kernel_check.h"
#include "kernels/softmax/softmax.h"

#include "base/cpu.h"

static const struct {
    pi_isa isa;
    const pi_softmax_kernels *k;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, &name},
#include "kernels/softmax/kernels.inc"
#undef X
};

/* The softmax (or its logarithm) of n values `step` apart, in place. */
static void exact(size_t n, size_t step, double *v, int log_)
{
    double m = -INFINITY, s = 0;
    for (size_t j = 0; j < n; j++) m = isnan(v[j * step]) || v[j * step] > m ? v[j * step] : m;
    for (size_t j = 0; j < n; j++) s += exp(v[j * step] - m);
    for (size_t j = 0; j < n; j++) v[j * step] = log_ ? v[j * step] - m - log(s) : exp(v[j * step] - m) / s;
}

/* x - max is rounded: an error of 2^-24 of the size of x is one of the result, relative. */
static int near(float got, double want, float scale)
{
    if (isnan(want) || isinf(want)) return same(got, (float)want);
    return fabs((double)got - want) <= 2e-7 * (4 + (double)scale) * fabs(want) + 2e-38;
}
static int near_log(float got, double want, float scale)
{
    if (isnan(want) || isinf(want)) return same(got, (float)want);
    return fabs((double)got - want) <= 5e-7 * (fabs(want) + (double)scale);
}

static void fill(float *x, size_t n, float scale, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) x[i] = random_float(&seed, scale);
}

static void rows_of(const pi_softmax_kernels *k, size_t rows, size_t n, float scale)
{
    size_t all = rows * n;
    float *x = guarded(all * 4), *y = guarded(all * 4), *mask = guarded(all * 4);
    double *v = guarded(all * 8);
    fill(x, all, scale, 7 + (uint32_t)n);
    for (size_t i = 0; i < all; i++) mask[i] = i % 5 == 2 && n > 1 ? -INFINITY : (float)(i % 3), v[i] = (double)x[i];

    int bad = 0;
    k->softmax_f32(rows, n, x, y);
    for (size_t r = 0; r < rows; r++) exact(n, 1, v + r * n, 0);
    for (size_t i = 0; i < all; i++) bad += !near(y[i], v[i], scale);
    CHECK(bad == 0);
    k->log_softmax_f32(rows, n, x, y);
    for (size_t i = 0; i < all; i++) v[i] = (double)x[i];
    for (size_t r = 0; r < rows; r++) exact(n, 1, v + r * n, 1);
    for (size_t i = 0; i < all; i++) bad += !near_log(y[i], v[i], scale);
    CHECK(bad == 0);
    for (int form = 0; form < 4; form++) {
        float s = form & 1 ? -0.125f : 0.125f;
        size_t mask_row = form & 2 ? n : 0;
        const float *m = form & 2 ? mask : mask + (all - n);
        if (!rows) m = mask;
        for (size_t i = 0; i < all; i++) v[i] = (double)(x[i] * s) + (double)m[i / n * mask_row + i % n];
        for (size_t r = 0; r < rows; r++) exact(n, 1, v + r * n, 0);
        k->softmax_mask_f32(rows, n, n, s, x, m, mask_row, y);
        for (size_t i = 0; i < all; i++) {
            bad += !near(y[i], v[i], scale);
            bad += m[i / n * mask_row + i % n] == -INFINITY && y[i] != 0 && !isnan(v[i]);
        }
        CHECK(bad == 0);
        for (size_t i = 0; i < all; i++) v[i] = (double)(x[i] * s) + (double)m[i / n * mask_row + i % n], y[i] = 77;
        for (size_t r = 0; r < rows; r++) exact(n / 2, 1, v + r * n, 0);
        k->softmax_mask_f32(rows, n / 2, n, s, x, m, mask_row, y);
        for (size_t i = 0; i < all; i++) bad += i % n < n / 2 ? !near(y[i], v[i], scale) : y[i] != 77;
        CHECK(bad == 0);
    }
    k->softmax_f32(rows, n, x, y);
    k->softmax_f32(rows, n, x, x);
    CHECK(!all || memcmp(x, y, all * 4) == 0);
}

static void axis_of(const pi_softmax_kernels *k, size_t axis, size_t n, size_t inner)
{
    size_t all = axis ? (axis - 1) * inner + n : 0;
    float *x = guarded(all * 4), *y = guarded(all * 4);
    double *v = guarded(all * 8);
    fill(x, all, 5, 3 + (uint32_t)n);
    for (int log_ = 0; log_ < 2; log_++) {
        int bad = 0;
        memset(y, 0x55, all * 4);
        k->softmax_axis_f32(log_, axis, inner, n, x, y);
        for (size_t i = 0; i < all; i++) v[i] = (double)x[i];
        for (size_t i = 0; i < n; i++) exact(axis, inner, v + i, log_);
        for (size_t i = 0; i < all; i++) {
            if (i % inner >= n)
                bad += to_bits(y[i]) != 0x55555555u; /* not ours */
            else
                bad += log_ ? !near_log(y[i], v[i], 5) : !near(y[i], v[i], 5);
        }
        CHECK(bad == 0);
    }
    k->softmax_axis_f32(false, axis, inner, n, x, y);
    k->softmax_axis_f32(false, axis, inner, n, x, x);
    int bad = 0;
    for (size_t i = 0; i < all; i++) bad += i % inner < n && !same(x[i], y[i]);
    CHECK(bad == 0);
}

/* NaN and infinities, at each place of a row. */
static void extremes(const pi_softmax_kernels *k)
{
    enum { N = 37 };
    static const float bad_ones[] = {NAN, INFINITY, -INFINITY, -3e38f, 3e38f};
    float x[N], y[N], z[2 * N];
    for (size_t b = 0; b < sizeof bad_ones / sizeof *bad_ones; b++)
        for (size_t at = 0; at < N; at++) {
            int bad = 0;
            double v[N];
            for (size_t i = 0; i < N; i++) x[i] = i == at ? bad_ones[b] : (float)(i % 7), v[i] = (double)x[i];
            exact(N, 1, v, 0);
            k->softmax_f32(1, N, x, y);
            for (size_t i = 0; i < N; i++) bad += !near(y[i], v[i], 8);
            for (size_t i = 0; i < N; i++) z[2 * i] = x[i], z[2 * i + 1] = 0;
            k->softmax_axis_f32(false, N, 2, 2, z, z);
            for (size_t i = 0; i < N; i++) bad += !near(z[2 * i], v[i], 8) + !near(z[2 * i + 1], 1.0 / N, 1);
            CHECK(bad == 0);
        }
    int bad = 0;
    for (size_t i = 0; i < N; i++) x[i] = -INFINITY;
    k->softmax_f32(1, N, x, y);
    for (size_t i = 0; i < N; i++) bad += !isnan(y[i]);
    k->log_softmax_f32(1, N, x, y);
    for (size_t i = 0; i < N; i++) bad += !isnan(y[i]);
    CHECK(bad == 0);
}

int main(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        const pi_softmax_kernels *k = tables[t].k;
        for (size_t s = 0; s < UGLY_COUNT; s++) {
            for (size_t rows = 0; rows <= 3; rows++) rows_of(k, rows, ugly[s], 8);
            rows_of(k, 2, ugly[s], 90);
            for (size_t axis = 0; axis <= 5; axis++) axis_of(k, axis, ugly[s], ugly[s] + 1 + (s & 1) * 3);
        }
        rows_of(k, 1, 20011, 5);
        axis_of(k, 1000, 3, 3);
        axis_of(k, 21, 1000, 1000);
        extremes(k);
    }
    CHECK(pi_softmax() != NULL);
    return CHECK_DONE();
}
