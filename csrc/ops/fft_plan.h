/* SPDX-License-Identifier: Apache-2.0 */
/* Fourier transforms of any length, in double: passes of the radices 2 to 13, or Bluestein's algorithm where a larger
 * prime divides the length, so that the work is n log n always. */
#ifndef PI_OPS_FFT_PLAN_H
#define PI_OPS_FFT_PLAN_H
#include "kernels/fft/fft.h"
#include "ops/ops.h"

enum { PI_FFT_PASSES = 40, PI_FFT_MOST = 1 << 27 }; /* MOST: points */

typedef struct pi_fft_plan {
    size_t n;
    size_t room; /* points that each of the four buffers needs, for each transform */
    int passes;
    pi_fft_pass pass[PI_FFT_PASSES];
    /* Bluestein: n points by a convolution of inner->n */
    const struct pi_fft_plan *inner;
    const double *chirp_re, *chirp_im; /* exp(-pi i k^2 / n), k < n */
    const double *wave_re, *wave_im;   /* transform of the chirp's inverse, divided by inner->n */
} pi_fft_plan;

/* Buffers of `lanes` interleaved transforms: real and imaginary parts in data[0] and [1], the other two are scratch. */
typedef struct {
    size_t lanes;
    double *data[4];
} pi_fft_buffer;

/* Tables for n points, 1 to PI_FFT_MOST, in memory of the plan; MODEL or LIMIT if n is another number (pi_fft_check).
 */
pi_status pi_fft_check(int64_t n, pi_error *err) PI_MUST_USE;
pi_status pi_fft_new(const pi_fft_plan **out, pi_prep *prep, int64_t n, pi_error *err) PI_MUST_USE;
/* Forward transform of buffer->data[0] and [1]; the order of the four pointers changes. For the inverse, exchange real
 * and imaginary parts before and after (not divided by n). */
void pi_fft_run(const pi_fft_plan *plan, pi_fft_buffer *buffer);
/* exp(-2 pi i t / n), 0 <= t < n. */
void pi_fft_root(int64_t t, int64_t n, double *re, double *im);
#endif
