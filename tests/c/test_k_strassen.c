/* SPDX-License-Identifier: Apache-2.0 */
/* Strassen's sums of each instruction set, with the products of kernels/igemm between them, against a product in double. */
#include "check.h"
#include "kernel_check.h"
#include "kernels/igemm/igemm.h"
#include "kernels/strassen/strassen.h"

static const struct {
    pi_isa isa;
    const pi_strassen_kernels *k;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, &name},
#include "kernels/strassen/kernels.inc"
#undef X
};

static void a_sums(const pi_strassen_kernels *k, size_t n)
{
    uint32_t seed = (uint32_t)n + 3;
    float *a[4], *s[4];
    for (int i = 0; i < 4; i++) {
        a[i] = guarded(n * sizeof(float)), s[i] = guarded(n * sizeof(float));
        for (size_t j = 0; j < n; j++) a[i][j] = random_float(&seed, 1);
    }
    k->a_sums(n, (const float *const *)a, s);
    int bad = 0;
    for (size_t j = 0; j < n; j++) {
        float one = a[2][j] + a[3][j], two = one - a[0][j];
        bad += s[0][j] != one || s[1][j] != two || s[2][j] != a[0][j] - a[2][j] || s[3][j] != a[1][j] - two;
    }
    CHECK(bad == 0);
}

/* Columns j of the blocks' rows l: b[block][l * nr + j]. */
static void tile_sum(const pi_igemm_kernels *g, size_t depth)
{
    uint32_t seed = (uint32_t)depth;
    size_t size = depth * g->nr;
    const float *rows[16];
    float *a = guarded(g->mr * depth * sizeof(float)), *t = guarded(size * sizeof(float)), *b[4];
    float *c = guarded(g->mr * g->nr * sizeof(float));
    for (size_t i = 0; i < g->mr * depth; i++) a[i] = random_float(&seed, 1);
    for (size_t i = 0; i < g->mr; i++) rows[i] = a + i * depth;
    for (int i = 0; i < 4; i++) {
        b[i] = guarded(size * sizeof(float));
        for (size_t j = 0; j < size; j++) b[i][j] = random_float(&seed, 1);
    }
    for (int which = 1; which <= 4; which++) {
        for (size_t i = 0; i < g->mr * g->nr; i++) c[i] = 0.5f;
        const pi_igemm_end end = {NULL, c, -INFINITY, INFINITY};
        g->tile_sum(which, depth, rows, (const float *const *)b, t, &end, c, g->nr, b[0], 1);
        double worst = 0;
        for (size_t i = 0; i < size; i++) {
            double one = (double)b[1][i] - (double)b[0][i], two = (double)b[3][i] - one, three = (double)b[3][i] - (double)b[1][i];
            worst = fmax(worst, fabs((double)t[i] - (which == 1 ? one : which == 2 ? two : which == 3 ? three : (double)b[2][i] - two)));
        }
        for (size_t i = 0; i < g->mr; i++)
            for (size_t j = 0; j < g->nr; j++) {
                double sum = 0.5;
                for (size_t l = 0; l < depth; l++) sum += (double)rows[i][l] * (double)t[l * g->nr + j];
                worst = fmax(worst, fabs((double)c[i * g->nr + j] - sum) / (1 + (double)depth));
            }
        CHECK(worst < 1e-6);
    }
}

/* m rows, n of nr columns on the right; `lower`: of the lower blocks too; `end`: bias, residual in the place of C, bounds. */
static void combine(const pi_strassen_kernels *k, size_t m, size_t nr, size_t n, int lower, int end)
{
    uint32_t seed = (uint32_t)(m * 100 + n);
    size_t step = m * nr + 5, c_row = nr + n + 3;
    float *p = guarded((6 * step + m * nr) * sizeof(float)), *bias = guarded((nr + n) * sizeof(float));
    float *upper = guarded((m * c_row - 3) * sizeof(float)), *below = guarded((m * c_row - 3) * sizeof(float));
    float *before = malloc(2 * m * c_row * sizeof(float));
    for (size_t i = 0; i < 6 * step + m * nr; i++) p[i] = random_float(&seed, 1);
    for (size_t i = 0; i < nr + n; i++) bias[i] = random_float(&seed, 1);
    for (size_t i = 0; i < m * c_row - 3; i++) upper[i] = random_float(&seed, 1), below[i] = random_float(&seed, 1);
    memcpy(before, upper, (m * c_row - 3) * sizeof(float));
    memcpy(before + m * c_row, below, (m * c_row - 3) * sizeof(float));
    float *const c[4] = {upper, upper + nr, lower ? below : NULL, lower ? below + nr : NULL};
    pi_strassen_end ends = {.low = end ? -1 : -INFINITY, .high = end ? 1.5f : INFINITY};
    if (end) ends.bias[0] = bias, ends.bias[1] = bias + nr;
    for (int i = 0; end && i < 4; i++) ends.residual[i] = c[i];
    k->combine(m, nr, n, p, step, &ends, c, c_row);
    int bad = 0;
    for (size_t block = 0; block < 2; block++)
        for (size_t i = 0; i < m * c_row - 3; i++) {
            size_t r = i / c_row, j = i % c_row, at = r * nr + (j < nr ? j : j - nr);
            const float old = before[block * m * c_row + i], got = (block ? below : upper)[i];
            if (j >= nr + n || (block && !lower)) {
                bad += got != old;
                continue;
            }
            double q[7], want;
            for (int x = 0; x < 7; x++) q[x] = (double)p[(size_t)x * step + at];
            want = block == 0 ? (j < nr ? q[0] + q[1] : q[0] + q[5] + q[4] + q[2]) : q[0] + q[5] + q[6] + (j < nr ? q[3] : q[4]);
            if (end) want += (double)bias[j] + (double)old, want = want < -1 ? -1 : want > 1.5 ? 1.5 : want;
            bad += fabs(want - (double)got) > 2e-6;
        }
    CHECK(bad == 0);
    free(before);
}

static void keeps_nan(const pi_strassen_kernels *k)
{
    float p[7 * 16] = {NAN}, c[4][16];
    float *const to[4] = {c[0], c[1], c[2], c[3]};
    k->combine(1, 16, 16, p, 16, &(pi_strassen_end){.low = 0, .high = 1}, to, 16);
    for (int i = 0; i < 4; i++) CHECK(isnan(c[i][0]) && c[i][1] == 0);
}

int main(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        const pi_strassen_kernels *k = tables[t].k;
        for (size_t i = 0; i < UGLY_COUNT; i++) a_sums(k, ugly[i]);
        for (size_t nr = 16; nr <= 32; nr += 16)
            for (size_t n = 1; n <= nr; n++) combine(k, 1 + n % 3, nr, n, (int)(n / 2 % 2), (int)(n % 2));
        keeps_nan(k);
    }
#define X(isa, name) \
    for (size_t i = 1; i < UGLY_COUNT && pi_cpu_has(PI_CPU_##isa); i++) tile_sum(&name, ugly[i]);
#include "kernels/igemm/kernels.inc"
#undef X
    return CHECK_DONE();
}
