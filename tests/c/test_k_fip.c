/* SPDX-License-Identifier: Apache-2.0 */
/* The fast inner product of each instruction set against a product in double. */
#include "check.h"
#include "kernel_check.h"
#include "kernels/fip/fip.h"

static const struct {
    pi_isa isa;
    const pi_fip_kernels *k;
} tables[] = {
#define X(isa, name) {PI_CPU_##isa, &name},
#include "kernels/fip/kernels.inc"
#undef X
};

typedef struct {
    size_t m, n, k;
    float left, right; /* the magnitude of A and of B */
    int end;           /* bias, residual in the place of C, bounds */
} problem;

static float *numbers(size_t n, float scale, uint32_t *seed)
{
    float *p = guarded(n * sizeof(float));
    for (size_t i = 0; i < n; i++) p[i] = random_float(seed, scale);
    return p;
}

static float *copies(size_t k) { return guarded((k + PI_FIP_BLOCK - 1) / PI_FIP_BLOCK * PI_FIP_BLOCK * PI_FIP_ROWS * sizeof(float)); }

static void product(const pi_fip_kernels *f, problem p)
{
    uint32_t seed = (uint32_t)(p.m * 1000 + p.n * 10 + p.k);
    const size_t c_row = p.n + 3, size = (p.m - 1) * c_row + p.n;
    float *a = numbers(p.m * p.k, p.left, &seed), *b = numbers(p.k * f->nr, p.right, &seed), *minus = guarded(f->nr * sizeof(float));
    float *c = numbers(size, 1, &seed), *bias = numbers(p.n, 1, &seed), *to = copies(p.k), *before = malloc(size * sizeof(float));
    const float *rows[PI_FIP_ROWS];
    pi_fip_rows table;
    for (size_t i = 0; i < p.m; i++) rows[i] = a + i * p.k;
    memcpy(before, c, size * sizeof(float));
    double squares = 0;
    for (size_t i = 0; i < p.k * f->nr; i++) squares += (double)b[i] * (double)b[i];
    float found = f->columns(p.k, b, minus);
    CHECK(fabs((double)found - squares) <= 1e-5 * squares);
    f->rows(p.m, p.k, rows, found / (float)(p.k * f->nr), to, &table);
    pi_igemm_end end = {p.end ? bias : NULL, p.end ? c : NULL, p.end ? -2 : -INFINITY, p.end ? 2.5f : INFINITY};
    f->tile(p.m, p.n, p.k, to, &table, b, minus, p.end ? &end : NULL, c, c_row, b, 1);
    double worst = 0;
    int outside = 0;
    for (size_t i = 0; i < size; i++) {
        size_t r = i / c_row, j = i % c_row;
        if (j >= p.n) {
            outside += memcmp(&c[i], &before[i], sizeof *c) != 0;
            continue;
        }
        double sum = 0;
        for (size_t l = 0; l < p.k; l++) sum += (double)rows[r][l] * (double)b[l * f->nr + j];
        if (p.end) sum += (double)bias[j] + (double)before[i], sum = sum < -2 ? -2 : sum > 2.5 ? 2.5 : sum;
        worst = fmax(worst, fabs(sum - (double)c[i]));
    }
    CHECK(outside == 0);
    CHECK(worst <= 4e-7 * ((double)p.left * (double)p.right * sqrt((double)p.k) * 4 + (p.end ? 4 : 0)));
    free(before);
}

/* Rows that are written one by one into several tiles are those of whole tiles. */
static void row_by_row(const pi_fip_kernels *f, size_t k)
{
    enum { TILES = 11 };
    uint32_t seed = (uint32_t)k;
    const size_t a_step = k + 5, size = (k + PI_FIP_BLOCK - 1) / PI_FIP_BLOCK * PI_FIP_BLOCK * PI_FIP_ROWS, step = size + 16;
    float *to = guarded(TILES * step * sizeof(float)), *whole = copies(k), square[TILES], *a[PI_FIP_ROWS];
    pi_fip_rows made[TILES * 2], table;
    for (size_t i = 0; i < PI_FIP_ROWS; i++) a[i] = numbers((TILES - 1) * a_step + k, 1, &seed);
    for (size_t t = 0; t < TILES; t++) square[t] = (float)(t + 1);
    for (size_t i = 0; i < TILES * step; i++) to[i] = 7;
    for (size_t i = 0; i < PI_FIP_ROWS; i++) f->row(TILES, k, a[i], a_step, square, i, to, step, made, 2);
    for (size_t t = 0; t < TILES; t++) {
        const float *rows[PI_FIP_ROWS];
        for (size_t i = 0; i < PI_FIP_ROWS; i++) rows[i] = a[i] + t * a_step;
        for (size_t i = 0; i < size; i++) whole[i] = 7;
        f->rows(PI_FIP_ROWS, k, rows, square[t], whole, &table);
        CHECK(memcmp(whole, to + t * step, size * sizeof(float)) == 0);
        CHECK(memcmp(table.start, made[2 * t].start, sizeof table.start) == 0);
        CHECK(memcmp(table.back, made[2 * t].back, sizeof table.back) == 0);
        for (size_t i = 0; i < PI_FIP_ROWS; i++) CHECK(fabsf(made[2 * t].least[i] * 3 - table.least[i] * 8) <= 1e-5f * made[2 * t].least[i]);
    }
}

/* Rows of zeros, of one number, with infinities and NaN: no other row knows of them. */
static void ugly_rows(const pi_fip_kernels *f)
{
    enum { K = 100 };
    uint32_t seed = 5;
    const float first[] = {0, 3e38f, 2e-38f, INFINITY, NAN};
    float *b = numbers(K * f->nr, 1, &seed), *a = numbers(6 * K, 1, &seed), *to = copies(K), minus[32], c[6 * 32], clean[32];
    const float *rows[6];
    pi_fip_rows table;
    float square = f->columns(K, b, minus) / (float)(K * f->nr);
    for (int i = 0; i < 6; i++) rows[i] = a + i * K;
    f->rows(1, K, rows + 5, square, to, &table);
    f->tile(1, f->nr, K, to, &table, b, minus, NULL, clean, f->nr, NULL, 0);
    for (int i = 0; i < 5; i++)
        for (int l = 0; l < K; l++) a[i * K + l] = l == 2 ? first[i] : 0;
    f->rows(6, K, rows, square, to, &table);
    f->tile(6, f->nr, K, to, &table, b, minus, NULL, c, f->nr, NULL, 0);
    int bad = 0;
    for (size_t j = 0; j < f->nr; j++) {
        float infinite = INFINITY * b[2 * f->nr + j];
        bad += c[3 * f->nr + j] != infinite;
        for (size_t i = 0; i < 3; i++) {
            double want = (double)first[i] * (double)b[2 * f->nr + j];
            bad += fabs(want - (double)c[i * f->nr + j]) > 4e-6 * fabs((double)first[i]);
        }
        bad += isfinite(c[3 * f->nr + j]) || !isnan(c[4 * f->nr + j]) || c[5 * f->nr + j] != clean[j];
    }
    CHECK(bad == 0);
}

int main(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        if (!pi_cpu_has(tables[t].isa)) continue;
        const pi_fip_kernels *k = tables[t].k;
        const float magnitudes[][2] = {{1, 1}, {1000, 0.01f}, {1e-3f, 1}, {1e25f, 1}, {1e-25f, 1}};
        for (size_t m = 1; m <= PI_FIP_ROWS; m++)
            for (size_t n = 1; n <= k->nr; n += n < 3 ? 1 : 5) product(k, (problem){m, n, 23, 1, 1, (int)(n % 2)});
        for (size_t i = 1; i < UGLY_COUNT; i++) product(k, (problem){1 + i % PI_FIP_ROWS, k->nr, ugly[i], 1, 1, (int)(i % 2)});
        for (size_t i = 0; i < sizeof magnitudes / sizeof *magnitudes; i++)
            for (size_t depth = 1; depth <= 200; depth += 13)
                product(k, (problem){7, k->nr - 1, depth, magnitudes[i][0], magnitudes[i][1], 0});
        for (size_t i = 1; i < UGLY_COUNT; i++) row_by_row(k, ugly[i]);
        ugly_rows(k);
    }
    return CHECK_DONE();
}
