/* SPDX-License-Identifier: Apache-2.0 */
/* Four doubles a register: more would leave the passes with few interleaved transforms without vectors. */
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define W 4
#define NAME(x) x##_4
#include "kernels/fft/fft_body.inc"
#undef W
#undef NAME
#define W 1
#define NAME(x) x##_1
#include "kernels/fft/fft_body.inc"

void pi_fft_avx2(const pi_fft_pass *pass, size_t s, const double *x_re, const double *x_im, double *y_re, double *y_im)
{
    fft_all(pass, s, x_re, x_im, y_re, y_im);
}
#endif
