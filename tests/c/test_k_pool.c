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

static void rows(const pi_pool_kernels *k, size_t n, ptrdiff_t stride)
{
    float *x = guarded(((n - 1) * (size_t)stride + 1) * sizeof *x), *y = guarded(n * sizeof *y);
    bool good = true;
    for (size_t i = 0; i < (n - 1) * (size_t)stride + 1; i++) x[i] = (float)((i * 29) % 53) - 20;
    for (size_t i = 0; i < n; i++) y[i] = 3;
    k->row_max_f32(n, x, stride, y);
    for (size_t i = 0; i < n; i++) good = good && y[i] == (x[i * (size_t)stride] > 3 ? x[i * (size_t)stride] : 3);
    k->row_add_f32(n, x, stride, y);
    for (size_t i = 0; i < n; i++)
        good = good && y[i] == (x[i * (size_t)stride] > 3 ? x[i * (size_t)stride] : 3) + x[i * (size_t)stride];
    CHECK(good);
}

int main(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        for (size_t u = 1; u < UGLY_COUNT; u++) {
            windows(tables[t].k, ugly[u]);
            rows(tables[t].k, ugly[u], 1);
            rows(tables[t].k, ugly[u], 2);
            rows(tables[t].k, ugly[u], 3);
        }
    }
    return CHECK_DONE();
}
