/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix and depthwise kernels of each instruction set against a sum in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "check.h"
#include "kernels/dwconv/dwconv.h"
#include "kernels/igemm/igemm.h"

static unsigned seed = 1;
static float number(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int)(seed >> 8) / (float)(1 << 23) - 1.0f;
}

enum { M = 12, N = 32, TAPS = 3, K = 33 };
static float a[TAPS * M][K], b[TAPS * K * N], bias[N], c[M * (N + 3)];

static void check_tile(const pi_igemm_kernels *g, size_t m, size_t n, size_t taps, size_t k, int biased)
{
    const float *rows[TAPS * M];
    size_t c_row = N + 3;
    for (size_t i = 0; i < taps * m; i++) rows[i] = a[i];
    for (size_t i = 0; i < M * c_row; i++) c[i] = 77;
    g->tile(m, n, taps, k, rows, b, biased ? bias : NULL, c, c_row);
    int bad = 0;
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < c_row; j++) {
            double want = biased && j < N ? (double)bias[j] : 0, size = 1;
            for (size_t t = 0; i < m && j < n && t < taps; t++)
                for (size_t l = 0; l < k; l++) {
                    double term = (double)a[t * m + i][l] * (double)b[(t * k + l) * g->nr + j];
                    want += term;
                    size += fabs(term);
                }
            if (i >= m || j >= n)
                bad += c[i * c_row + j] != 77; /* nothing else is touched */
            else
                bad += fabs((double)c[i * c_row + j] - want) > 1e-6 * size;
        }
    CHECK(bad == 0);
}

static void check_igemm(const pi_igemm_kernels *g)
{
    for (size_t m = 1; m <= g->mr; m++)
        for (size_t n = 1; n <= g->nr; n += n < 3 || n > g->nr - 3 ? 1 : 5)
            for (size_t k = 1; k <= K; k += 16) check_tile(g, m, n, 1 + k % TAPS, k, (int)(m & 1));
}

static void check_dwconv(pi_dwconv_fn fn)
{
    static const size_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129};
    static float x[9][129], w[9 * 129], y[132], more[129];
    const float *rows[9];
    for (int t = 0; t < 9; t++)
        for (int j = 0; j < 129; j++) x[t][j] = number(), w[t * 129 + j] = number(), more[j] = number();
    for (int t = 0; t < 9; t++) rows[t] = x[t];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s];
        int bad = 0;
        for (size_t j = 0; j < 132; j++) y[j] = 77;
        fn(n, 9, rows, w, s & 1 ? more : NULL, y);
        for (size_t j = 0; j < 132; j++) {
            double want = s & 1 && j < n ? (double)more[j] : 0;
            for (int t = 0; j < n && t < 9; t++) want += (double)x[t][j] * (double)w[(size_t)t * n + j];
            bad += j < n ? fabs((double)y[j] - want) > 1e-5 : y[j] != 77;
        }
        CHECK(bad == 0);
    }
}

int main(void)
{
    for (int i = 0; i < TAPS * M; i++)
        for (int l = 0; l < K; l++) a[i][l] = number();
    for (int i = 0; i < TAPS * K * N; i++) b[i] = number();
    for (int j = 0; j < N; j++) bias[j] = number();
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) check_igemm(&name);
#include "kernels/igemm/kernels.inc"
#undef X
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) check_dwconv(name);
#include "kernels/dwconv/kernels.inc"
#undef X
    return CHECK_DONE();
}
