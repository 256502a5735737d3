/* SPDX-License-Identifier: Apache-2.0 */
/* The same passes for any CPU, in pairs of doubles. */
#define W 2
#define NAME(x) x##_2
#include "kernels/fft/fft_body.inc"
#undef W
#undef NAME
#define W 1
#define NAME(x) x##_1
#include "kernels/fft/fft_body.inc"

void pi_fft_ref(const pi_fft_pass *pass, size_t s, const double *x_re, const double *x_im, double *y_re, double *y_im)
{
    fft_all(pass, s, x_re, x_im, y_re, y_im);
}
