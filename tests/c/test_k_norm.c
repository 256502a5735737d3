/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisation kernels: each row of kernels.inc against the definitions in double, on ugly sizes, with every choice of
 * optional inputs, in place, and up to a forbidden page. */
#include "check.h"
#include "kernel_check.h"
#include "kernels/norm/norm.h"

#include "base/cpu.h"

static const struct {
    pi_isa isa;
    const pi_norm_kernels *k;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, &name},
#include "kernels/norm/kernels.inc"
#undef X
};

static float *numbers(size_t n, float scale, float offset, uint32_t seed)
{
    float *x = guarded(n * 4);
    for (size_t i = 0; i < n; i++) x[i] = random_float(&seed, scale) + offset;
    return x;
}

/* Mean and variance of rows x n values, rows `row` apart. */
static void moments(size_t rows, size_t row, size_t n, const float *x, double *mean, double *var)
{
    double s = 0, q = 0, count = (double)(rows * n);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++) s += (double)x[r * row + i];
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++) q += ((double)x[r * row + i] - s / count) * ((double)x[r * row + i] - s / count);
    *mean = s / count;
    *var = q / count;
}

static int near(double got, double want, double scale) { return fabs(got - want) <= 3e-6 * (fabs(want) + scale); }

static void rows_of(const pi_norm_kernels *k, size_t rows, size_t n, unsigned form, float offset)
{
    size_t all = rows * n;
    float *x = numbers(all, 2, offset, 5), *residual = numbers(all, 2, 0.5f, 6), *bias = numbers(n, 1, 0, 7);
    float *gamma = numbers(n, 2, 0, 8), *beta = numbers(n, 2, 0, 9), *y = guarded(all * 4), *sum = guarded(all * 4);
    float *mean = guarded(rows * 4), *inv = guarded(rows * 4), *v = guarded(all * 4);
    pi_norm_args a = {.x = x, .y = y, .eps = 1e-5f};
    if (form & 1) a.residual = residual;
    if (form & 2) a.bias = bias;
    if (form & 4) a.gamma = gamma;
    if (form & 8) a.beta = beta;
    if (form & 16) a.sum = sum;
    if (form & 32) a.mean = mean, a.inv_std = inv;
    for (size_t i = 0; i < all; i++) {
        v[i] = x[i];
        if (a.residual) v[i] += residual[i];
        if (a.bias) v[i] += bias[i % n];
    }
    for (int rms = 0; rms < 2; rms++) {
        int bad = 0;
        (rms ? k->rms_norm_f32 : k->layer_norm_f32)(&a, rows, n);
        for (size_t r = 0; r < rows && n; r++) {
            double m, var;
            moments(1, n, n, v + r * n, &m, &var);
            if (rms) var += m * m, m = 0;
            double s = 1 / sqrt(var + (double)a.eps), rough = (fabs((double)offset) + 1) * s * 0.2;
            for (size_t i = 0; i < n; i++) {
                double want = ((double)v[r * n + i] - m) * s;
                if (a.gamma) want *= (double)gamma[i];
                if (a.beta) want += (double)beta[i];
                bad += !near((double)y[r * n + i], want, 1 + rough);
            }
            if (a.mean && !rms) bad += !near((double)mean[r], m, 0.1);
            if (a.inv_std) bad += !near((double)inv[r], s, 0);
        }
        if (a.sum) bad += all && memcmp(sum, v, all * 4) != 0;
        if (bad) fprintf(stderr, "rms %d, %zux%zu, form %u: %d bad\n", rms, rows, n, form, bad);
        CHECK(bad == 0);
    }
    /* in place: y over x, the sum over the residual */
    pi_norm_args b = a;
    k->layer_norm_f32(&a, rows, n);
    b.y = x;
    if (a.sum && a.residual) b.sum = residual;
    k->layer_norm_f32(&b, rows, n);
    CHECK(!all || memcmp(x, y, all * 4) == 0);
    if (b.sum == residual) CHECK(!all || memcmp(residual, v, all * 4) == 0);
}

static void groups(const pi_norm_kernels *k, size_t channels, size_t count, size_t plane)
{
    size_t all = channels * plane, each = channels / count;
    float *x = numbers(all, 3, 1, 11), *gamma = numbers(channels, 2, 0, 12), *beta = numbers(channels, 2, 0, 13);
    float *y = guarded(all * 4), *t = guarded(all * 4), *z = guarded(all * 4), *scales = guarded(channels * 8);
    double *sums = guarded(channels * 16);
    for (int form = 0; form < 4; form++) {
        const float *ga = form & 1 ? gamma : NULL, *be = form & 2 ? beta : NULL;
        int bad = 0;
        for (size_t g = 0; g < count; g++) {
            const float *in = x + g * each * plane;
            double m, var;
            moments(1, 0, each * plane, in, &m, &var);
            k->group_norm_f32(each, plane, 1e-5f, in, ga ? ga + g * each : NULL, be ? be + g * each : NULL,
                              y + g * each * plane);
            for (size_t i = 0; i < each * plane; i++) {
                size_t c = g * each + i / plane;
                double want =
                    ((double)in[i] - m) / sqrt(var + 1e-5) * (ga ? (double)gamma[c] : 1) + (be ? (double)beta[c] : 0);
                bad += !near((double)y[g * each * plane + i], want, 1);
            }
        }
        CHECK(bad == 0);
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < plane; p++) t[p * channels + c] = x[c * plane + p];
        k->group_norm_last_f32(plane, channels, count, 1e-5f, t, ga, be, sums, scales, z);
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < plane; p++) bad += !near((double)z[p * channels + c], (double)y[c * plane + p], 1);
        k->group_norm_last_f32(plane, channels, count, 1e-5f, t, ga, be, sums, scales, t);
        CHECK(bad == 0 && memcmp(t, z, all * 4) == 0);
    }
}

static void pieces(const pi_norm_kernels *k)
{
    enum { N = 30011, PART = 4096 };
    float *x = numbers(N, 1, 1000, 21); /* mean 1000, deviation 0.58: E[x^2] - E[x]^2 in floats would give rubbish */
    double mean, var;
    moments(1, 0, N, x, &mean, &var);
    pi_moments total = {0, 0, 0};
    for (size_t i = 0; i < N; i += PART) {
        pi_moments part;
        k->moments_f32(N - i < PART ? N - i : PART, x + i, &part);
        total = pi_moments_add(total, part);
    }
    CHECK(total.n == N && fabs(total.mean - mean) < 1e-3 && fabs(total.m2 / N - var) < 1e-5 * var);
    pi_moments none;
    k->moments_f32(0, x, &none);
    CHECK(none.n == 0 && none.mean == 0 && none.m2 == 0);
    none = pi_moments_add(none, none);
    CHECK(none.n == 0 && none.mean == 0);

    for (size_t s = 0; s < UGLY_COUNT; s++) {
        size_t n = ugly[s], rows = 600, row = n + 2;
        float *t = numbers((rows - 1) * row + n, 1, 3, 4), *shift = numbers(n, 3, 0, 5);
        double *sum = guarded(n * 8), *square = guarded(n * 8);
        k->column_sums_f32(rows, row, n, t, shift, sum, square);
        int bad = 0;
        for (size_t i = 0; i < n; i++) {
            double a = 0, q = 0;
            for (size_t r = 0; r < rows; r++) {
                double d = (double)t[r * row + i] - (double)shift[i];
                a += d;
                q += d * d;
            }
            bad += !near(sum[i], a, 100) + !near(square[i], q, 0);
        }
        CHECK(bad == 0);
        k->column_sums_f32(rows, row, n, t, NULL, sum, NULL);
        k->column_sums_f32(0, row, n, t, NULL, NULL, square);
        for (size_t i = 0; i < n; i++) bad += square[i] != 0 || !(fabs(sum[i] - 1800) < 100);
        CHECK(bad == 0);
    }
}

int main(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        const pi_norm_kernels *k = tables[t].k;
        for (size_t s = 0; s < UGLY_COUNT; s++)
            for (unsigned form = 0; form < 64; form++) rows_of(k, form % 3, ugly[s], form, 0);
        for (size_t rows = 1; rows < 4; rows++) rows_of(k, rows, 768, 63, 0);
        rows_of(k, 2, 768, 12, 300);
        rows_of(k, 1, 10007, 63, 0);
        for (size_t s = 1; s < UGLY_COUNT; s++) {
            groups(k, 6, 2, ugly[s]);
            groups(k, 32, 8, ugly[s]);
            groups(k, ugly[s], 1, 9);
            groups(k, ugly[s], ugly[s], 17);
        }
        pieces(k);
    }
    CHECK(pi_norm() != NULL);
    return CHECK_DONE();
}
