/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling kernels of each instruction set against plain loops: ends of vectors, NaN, nothing read or written outside. */
#include "check.h"
#include "kernel_check.h"
#include "kernels/pool/pool.h"

static const struct {
    pi_isa isa;
    const pi_pool_kernels *k;
    const char *name;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, &name, #name},
#include "kernels/pool/kernels.inc"
#undef X
};

static void windows(const pi_pool_kernels *k, size_t c)
{
    const size_t taps[3] = {2, 2, 3};
    const size_t places = 2 * 3 * 4;
    const ptrdiff_t step[3] = {(ptrdiff_t)(12 * c), (ptrdiff_t)(4 * c), (ptrdiff_t)c};
    float *x = guarded(places * c * sizeof *x), *y = guarded(c * sizeof *y);
    for (size_t i = 0; i < places * c; i++) x[i] = (float)((i * 37) % 101) - 50;
    x[c / 2] = NAN;
    k->max_f32(c, taps, step, x, y);
    bool good = true;
    for (size_t i = 0; i < c; i++) {
        float best = -INFINITY;
        for (size_t t = 0; t < 12; t++) {
            float v = x[i + t / 6 * 12 * c + t / 3 % 2 * 4 * c + t % 3 * c];
            if (v > best || v != v) best = v;
        }
        good = good && same(y[i], best);
    }
    CHECK(good);
    k->sum_f32(c, taps, step, x, 0.5f, y);
    good = true;
    for (size_t i = 0; i < c; i++) {
        float sum = 0;
        for (size_t t = 0; t < 12; t++) sum += x[i + t / 6 * 12 * c + t / 3 % 2 * 4 * c + t % 3 * c];
        good = good && same(y[i], sum * 0.5f);
    }
    CHECK(good);
}

static float join(bool max, float a, float b) { return !max ? a + b : a != a || a > b ? a : b; }

static void stack(const pi_pool_kernels *k, size_t m, size_t n, size_t taps)
{
    const float *rows[5];
    size_t x_step = n + 2, y_step = n + 1;
    float *y = guarded(((m - 1) * y_step + n) * sizeof *y);
    bool good = true;
    for (size_t t = 0; t < taps; t++) {
        float *row = guarded(((m - 1) * x_step + n) * sizeof *row);
        for (size_t i = 0; i < (m - 1) * x_step + n; i++) row[i] = (float)((i * 29 + t * 17) % 53) - 20;
        row[(m - 1) * x_step + (n / 2 + t) % n] = NAN;
        rows[t] = row;
    }
    for (int max = 0; max < 2; max++) {
        for (size_t i = 0; i + 1 < m; i++) y[i * y_step + n] = 77;
        k->stack_f32(max, m, n, taps, rows, x_step, y, y_step);
        for (size_t i = 0; i < m * n; i++) {
            size_t at = i / n * x_step + i % n;
            float want = rows[0][at];
            for (size_t t = 1; t < taps; t++) want = join(max, want, rows[t][at]);
            good = good && same(y[i / n * y_step + i % n], want);
        }
        for (size_t i = 0; i + 1 < m; i++) good = good && y[i * y_step + n] == 77;
    }
    CHECK(good);
}

static void slide(const pi_pool_kernels *k, size_t n, size_t taps, size_t apart, size_t stride)
{
    size_t m = (n - 1) * stride + (taps - 1) * apart + 1;
    float *x = guarded(m * sizeof *x), *y = guarded(n * sizeof *y);
    bool good = true;
    for (size_t i = 0; i < m; i++) x[i] = (float)((i * 29) % 53) - 20;
    x[m / 2] = NAN;
    for (int max = 0; max < 2; max++) {
        k->slide_f32(max, n, taps, x, apart, stride, 0.5f, y);
        for (size_t i = 0; i < n; i++) {
            float want = x[i * stride];
            for (size_t t = 1; t < taps; t++) want = join(max, want, x[i * stride + t * apart]);
            good = good && same(y[i], max ? want : want * 0.5f);
        }
    }
    CHECK(good);
}

int main(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        for (size_t u = 1; u < UGLY_COUNT; u++) {
            windows(tables[t].k, ugly[u]);
            for (size_t taps = 1; taps <= 5; taps++) {
                stack(tables[t].k, 1 + u % 3, ugly[u], taps);
                for (size_t stride = 1; stride <= 3; stride++) slide(tables[t].k, ugly[u], taps, 1 + u % 3, stride);
            }
        }
    }
    return CHECK_DONE();
}
