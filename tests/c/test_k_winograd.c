/* SPDX-License-Identifier: Apache-2.0 */
/* Winograd transforms of each instruction set: input, product and output of one tile against the convolution in double. */
#include "check.h"
#include "kernel_check.h"
#include "kernels/winograd/winograd.h"

static const struct {
    pi_isa isa;
    const pi_winograd_kernels *k;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, name},
#include "kernels/winograd/kernels.inc"
#undef X
};

enum { IN = 36, OUT = 16 }; /* of the larger form */

/* n channels, each convolved with weights of its own. `end`: with bias, residual and bounds; one output left out. */
static void tile(const pi_winograd_kernels *k, size_t n, bool end)
{
    uint32_t seed = (uint32_t)n + 77;
    size_t side = (size_t)k->out, in = (size_t)k->in, points = (size_t)k->points, pixels = side * side;
    const float *d[IN];
    float *y[OUT];
    const float *z[OUT];
    float *x = guarded(IN * n * sizeof *x), *w = guarded(9 * n * sizeof *w), *bias = guarded(n * sizeof *bias);
    float *v = guarded(IN * n * sizeof *v), *u = guarded(IN * n * sizeof *u), *out = guarded(OUT * n * sizeof *out);
    for (size_t i = 0; i < IN * n; i++) x[i] = random_float(&seed, 1);
    for (size_t i = 0; i < 9 * n; i++) w[i] = random_float(&seed, 1);
    for (size_t i = 0; i < n; i++) bias[i] = random_float(&seed, 1);
    for (size_t i = 0; i < OUT * n; i++) out[i] = end ? random_float(&seed, 1) : 5;
    for (size_t i = 0; i < IN; i++) d[i] = x + i * n;
    for (size_t i = 0; i < OUT; i++) z[i] = y[i] = out + i * n;
    float *before = guarded(OUT * n * sizeof *before);
    memcpy(before, out, OUT * n * sizeof *before);
    if (end) y[3] = NULL;
    const pi_winograd_end ends = {end ? bias : NULL, end ? z : NULL, end ? -1.5f : -INFINITY, end ? 2 : INFINITY};
    k->input(n, d, v, n);
    k->weights(n, w, 9, u, n);
    for (size_t i = 0; i < points * n; i++) v[i] *= u[i];
    k->output(n, v, n, &ends, y);
    double worst = 0;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < n; c++) {
            double sum = end ? (double)bias[c] + (double)before[p * n + c] : 0;
            for (size_t i = 0; i < 9; i++)
                sum += (double)w[c * 9 + i] * (double)x[((p / side + i / 3) * in + p % side + i % 3) * n + c];
            if (end) sum = sum < -1.5 ? -1.5 : sum > 2 ? 2 : sum;
            if (end && p == 3) sum = (double)before[p * n + c];
            worst = fmax(worst, fabs(sum - (double)out[p * n + c]));
        }
    CHECK(worst < 1e-4); /* inputs and weights up to 1; the transforms reach some 100 */
}

static void keeps_nan(const pi_winograd_kernels *k)
{
    float x[IN], v[IN], out[OUT];
    const float *d[IN];
    float *y[OUT];
    for (size_t i = 0; i < IN; i++) x[i] = 1, d[i] = x + i;
    for (size_t i = 0; i < OUT; i++) y[i] = out + i;
    x[k->in + 1] = NAN;
    k->input(1, d, v, 1);
    k->output(1, v, 1, &(pi_winograd_end){NULL, NULL, 0, INFINITY}, y);
    CHECK(isnan(out[0]));
}

int main(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        for (size_t i = 1; i < UGLY_COUNT; i++) {
            for (int form = 0; form < 2; form++) {
                tile(tables[t].k + form, ugly[i], false);
                tile(tables[t].k + form, ugly[i], true);
            }
        }
        keeps_nan(tables[t].k);
        keeps_nan(tables[t].k + 1);
    }
    return CHECK_DONE();
}
