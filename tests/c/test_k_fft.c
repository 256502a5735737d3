/* SPDX-License-Identifier: Apache-2.0 */
/* A Fourier pass of each instruction set against its definition: all radices, lengths and counts of transforms. */
#include <math.h>
#include "check.h"
#include "kernel_check.h"
#include "kernels/fft/fft.h"

enum { MOST_M = 9, MOST_S = 13, ROOM = PI_FFT_RADIX * MOST_M * MOST_S };

static void root(size_t t, size_t n, double *re, double *im)
{
    double angle = -6.283185307179586 * (double)(t % n) / (double)n;
    *re = cos(angle);
    *im = sin(angle);
}

static void check_pass(pi_fft_fn fn, size_t r, size_t m, size_t s, double **x, double **y)
{
    static double tw[2][PI_FFT_RADIX * MOST_M], one[2][PI_FFT_RADIX];
    size_t n = r * m;
    double worst = 0;
    for (size_t k = 1; k < r; k++)
        for (size_t i = 0; i < m; i++) root(i * k, n, &tw[0][(k - 1) * m + i], &tw[1][(k - 1) * m + i]);
    for (size_t k = 0; k < r; k++) root(k, r, &one[0][k], &one[1][k]);
    pi_fft_pass pass = {r, m, tw[0], tw[1], one[0], one[1]};
    size_t skip = ROOM - n * s; /* ends at the forbidden page */
    fn(&pass, s, x[0] + skip, x[1] + skip, y[0] + skip, y[1] + skip);
    for (size_t i = 0; i < m; i++)
        for (size_t k = 0; k < r; k++)
            for (size_t q = 0; q < s; q++) {
                double re = 0, im = 0, wr, wi;
                for (size_t j = 0; j < r; j++) {
                    size_t at = skip + q + s * (i + m * j);
                    root(i * k + j * k * m, n, &wr, &wi);
                    re += x[0][at] * wr - x[1][at] * wi;
                    im += x[0][at] * wi + x[1][at] * wr;
                }
                size_t at = skip + q + s * (r * i + k);
                worst = fmax(worst, fmax(fabs(y[0][at] - re), fabs(y[1][at] - im)));
            }
    CHECK(worst < 1e-13);
}

int main(void)
{
    static const size_t radices[] = {2, 3, 4, 5, 7, 11, 13};
    double *x[2], *y[2];
    uint32_t seed = 7;
    for (int i = 0; i < 2; i++) {
        x[i] = guarded(ROOM * sizeof(double));
        y[i] = guarded(ROOM * sizeof(double));
        for (int j = 0; j < ROOM; j++) x[i][j] = (double)random_float(&seed, 1);
    }
#define X(isa, name)                                                       \
    if (pi_cpu_has(PI_CPU_##isa))                                          \
        for (size_t r = 0; r < sizeof radices / sizeof *radices; r++)      \
            for (size_t m = 1; m <= MOST_M; m++)                           \
                for (size_t s = 1; s <= MOST_S; s++) check_pass(name, radices[r], m, s, x, y);
#include "kernels/fft/kernels.inc"
#undef X
    return CHECK_DONE();
}
