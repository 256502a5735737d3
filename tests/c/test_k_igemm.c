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
static float a[TAPS * M][K], b[TAPS * K * N], bias[N + 1], c[M * (N + 3)], more[M * (N + 3)];

static void check_tile(const pi_igemm_kernels *g, size_t m, size_t n, size_t taps, size_t k, int biased, int residual)
{
    const float *rows[TAPS * M];
    size_t c_row = N + 3;
    for (size_t i = 0; i < taps * m; i++) rows[i] = a[i];
    for (size_t i = 0; i < M * c_row; i++) c[i] = 77;
    pi_igemm_end end = {biased ? bias : NULL, residual ? more : NULL, -0.5f, 3};
    if (n & 1)
        g->tile(m, n, taps, k, rows, b, biased || residual ? &end : NULL, c, c_row);
    else /* what is fetched ahead may lie behind the array */
        g->tile_ahead(m, n, taps, k, rows, b, biased || residual ? &end : NULL, c, c_row, b + TAPS * K * N, m % 3);
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
            if (residual) want += (double)more[i * c_row + j];
            if (biased || residual) want = want < -0.5 ? -0.5 : want > 3 ? 3 : want;
            if (i >= m || j >= n)
                bad += c[i * c_row + j] != 77; /* nothing else is touched */
            else
                bad += fabs((double)c[i * c_row + j] - want) > 1e-6 * size;
        }
    CHECK(bad == 0);
}

/* The shares of all tiles that read a panel are together the whole of the next one, and a tile has steps enough for its share. */
/* One column, written every third float. */
static void check_dots(const pi_igemm_kernels *g, size_t m, size_t taps, size_t k, int biased, int residual)
{
    const float *rows[TAPS * M];
    int bad = 0;
    for (size_t i = 0; i < taps * m; i++) rows[i] = a[i];
    for (size_t i = 0; i < 3 * M; i++) c[i] = 77;
    g->dots(m, taps, k, rows, b, &(const pi_igemm_end){biased ? bias : NULL, residual ? more : NULL, -0.5f, 3}, c, 3);
    for (size_t i = 0; i < 3 * M; i++) {
        double want = (biased ? (double)bias[0] : 0) + (residual ? (double)more[i] : 0), size = 1;
        for (size_t t = 0; i < 3 * m && t < taps; t++)
            for (size_t l = 0; l < k; l++) {
                double term = (double)a[t * m + i / 3][l] * (double)b[t * k + l];
                want += term;
                size += fabs(term);
            }
        want = want < -0.5 ? -0.5 : want > 3 ? 3 : want;
        bad += i % 3 || i >= 3 * m ? c[i] != 77 : !(fabs((double)c[i] - want) <= 1e-6 * size);
    }
    CHECK(bad == 0);
}

static void check_share(const pi_igemm_kernels *g, size_t depth, size_t tiles)
{
    size_t size = depth * g->nr, lines = 0, steps = size / g->nr / PI_IGEMM_STEP;
    for (size_t tile = 0; tile < tiles; tile++) {
        pi_igemm_ahead ahead = pi_igemm_share(b, size, depth, tile, tiles);
        if (ahead.lines) CHECK(ahead.at == b + lines * 16);
        lines += steps * ahead.lines;
    }
    CHECK(steps == 0 ? lines == 0 : lines >= size / 16);
    CHECK(pi_igemm_share(NULL, size, depth, 0, tiles).lines == 0);
}

static void check_igemm(const pi_igemm_kernels *g)
{
    for (size_t m = 1; m <= g->mr; m++)
        for (size_t n = 1; n <= g->nr; n += n < 3 || n > g->nr - 3 ? 1 : 5)
            for (size_t k = 1; k <= K; k += 16) check_tile(g, m, n, 1 + k % TAPS, k, (int)(m & 1), (int)(n & 2));
    for (size_t m = 1; m <= PI_IGEMM_DOTS; m++)
        for (size_t k = 1; k <= K; k++) check_dots(g, m, 1 + k % TAPS, k, (int)(m & 1), (int)(k & 2));
    for (size_t depth = 1; depth < 2000; depth = depth * 3 + 1)
        for (size_t tiles = 1; tiles < 40; tiles += 6) check_share(g, depth, tiles);
}

/* A row of 21 pixels or fewer against sums in double: every window that has a version of its own, and others. */
static void check_dwconv(const pi_dwconv_kernels *kernels)
{
    static const size_t windows[][5] = {{3, 3, 1, 1, 1}, {3, 3, 2, 1, 1}, {5, 5, 1, 1, 2}, {5, 5, 2, 1, 2}, {7, 7, 1, 1, 3},
                                        {2, 4, 3, 1, 0}, {1, 3, 1, 2, 2}, {3, 2, 1, 1, 5}, {1, 31, 1, 1, 15}}; /* kh kw stride dilation pad */
    static const size_t sizes[] = {1, 7, 8, 9, 16, 17, 31, 33};
    enum { PIXELS = 21, MOST = 33, STEP = 35 };
    static float x[7][PIXELS * STEP], w[49 * STEP], y[60 * STEP];
    for (int r = 0; r < 7; r++)
        for (int i = 0; i < PIXELS * STEP; i++) x[r][i] = number();
    for (int i = 0; i < 49 * STEP; i++) w[i] = number();
    for (size_t v = 0; v < sizeof windows / sizeof *windows; v++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (size_t in = 1; in <= PIXELS; in += in < 4 ? 1 : 4) {
                const size_t *k = windows[v];
                size_t span = (k[1] - 1) * k[3] + 1;
                if (in + 2 * k[4] < span) continue;
                pi_dwconv_row d = {.n = sizes[s], .x_step = STEP, .y_step = STEP, .w_step = STEP, .kh = k[0], .kw = k[1],
                                   .stride = k[2], .dilation = k[3], .pad = k[4], .in = in,
                                   .out = (in + 2 * k[4] - span) / k[2] + 1, .w = w, .bias = s & 1 ? bias : NULL,
                                   .low = -1, .high = 2};
                const float *rows[7];
                int bad = 0;
                for (size_t r = 0; r < 7; r++) rows[r] = r == in % 3 ? NULL : x[r];
                for (size_t i = 0; i < 60 * STEP; i++) y[i] = 77;
                kernels->row(&d, rows, y);
                for (size_t o = 0; o < 60; o++)
                    for (size_t j = 0; j < STEP; j++) {
                        if (o >= d.out || j >= d.n) {
                            bad += y[o * STEP + j] != 77;
                            continue;
                        }
                        double want = d.bias ? (double)bias[j] : 0;
                        for (size_t r = 0; r < d.kh; r++)
                            for (size_t t = 0; rows[r] && t < d.kw; t++) {
                                size_t at = o * d.stride + t * d.dilation;
                                if (at >= d.pad && at - d.pad < in)
                                    want += (double)x[r][(at - d.pad) * STEP + j] * (double)w[(r * d.kw + t) * STEP + j];
                            }
                        want = want < -1 ? -1 : want > 2 ? 2 : want;
                        bad += fabs((double)y[o * STEP + j] - want) > 1e-5;
                    }
                CHECK(bad == 0);
            }
}

/* Rows of all lengths around whole registers and all numbers of rows, with columns of 1 to 7 taps; nothing else is written. */
static void check_plane(const pi_dwconv_kernels *kernels)
{
    enum { STEP = 170, ROWS = 19, COLUMNS = 7, Y_STEP = STEP + 3 };
    static float x[STEP * (ROWS + COLUMNS)], w[COLUMNS * (COLUMNS + 1)], y[ROWS * Y_STEP];
    pi_dwconv_column column[COLUMNS];
    for (int i = 0; i < STEP * (ROWS + COLUMNS); i++) x[i] = number();
    for (int i = 0; i < COLUMNS * (COLUMNS + 1); i++) w[i] = number();
    for (size_t j = 0; j < COLUMNS; j++) column[j] = (pi_dwconv_column){(ptrdiff_t)j - 3, j, (j * 3 + 1) % COLUMNS + 1};
    for (size_t n = 1; n < STEP - 10; n += n < 40 ? 1 : 17)
        for (size_t rows = 1; rows < ROWS; rows++) {
            pi_dwconv_plane p = {rows, n, STEP, Y_STEP, COLUMNS + 1, 1 + (n + rows) % COLUMNS, column, x + 3, w, 0.25f, -1, 2};
            int bad = 0;
            for (size_t i = 0; i < ROWS * Y_STEP; i++) y[i] = 77;
            kernels->plane(&p, y);
            for (size_t at = 0; at < ROWS * Y_STEP; at++) {
                size_t r = at / Y_STEP, i = at % Y_STEP;
                double want = 0.25;
                for (size_t j = 0; r < rows && i < n && j < p.columns; j++)
                    for (size_t k = 0; k < column[j].taps; k++)
                        want += (double)(p.x + column[j].x)[(r + k) * STEP + i] * (double)w[column[j].w + k * p.w_step];
                want = want < -1 ? -1 : want > 2 ? 2 : want;
                bad += r < rows && i < n ? fabs((double)y[at] - want) > 1e-5 : y[at] != 77;
            }
            CHECK(bad == 0);
        }
}

static void check_split(const pi_dwconv_kernels *kernels)
{
    float x[90], to[2][46];
    for (int i = 0; i < 90; i++) x[i] = (float)i;
    for (size_t n = 0; n <= 90; n++) {
        int bad = 0;
        for (int i = 0; i < 46; i++) to[0][i] = to[1][i] = 77;
        kernels->split(n, x, (float *const[]){to[0], to[1]});
        for (size_t i = 0; i < 92; i++) bad += to[i % 2][i / 2] != (i < n ? (float)i : 77);
        CHECK(bad == 0);
    }
}

int main(void)
{
    for (int i = 0; i < TAPS * M; i++)
        for (int l = 0; l < K; l++) a[i][l] = number();
    for (int i = 0; i < TAPS * K * N; i++) b[i] = number();
    for (int j = 0; j <= N; j++) bias[j] = number();
    for (size_t i = 0; i < M * (N + 3); i++) more[i] = number();
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) check_igemm(&name);
#include "kernels/igemm/kernels.inc"
#undef X
#define X(isa, name) \
    if (pi_cpu_has(PI_CPU_##isa)) check_dwconv(&name), check_plane(&name), check_split(&name);
#include "kernels/dwconv/kernels.inc"
#undef X
    return CHECK_DONE();
}
