/* SPDX-License-Identifier: Apache-2.0 */
/* Passes of a discrete Fourier transform in double, after Stockham (self-sorting: Cochran et al., "What is the fast
 * Fourier transform?", 1967; Van Loan, "Computational Frameworks for the FFT", 1992, 1.7).
 *
 * Real and imaginary parts are separate arrays, and `s` transforms lie interleaved: element j of transform q is at
 * x[j * s + q]. A pass splits each transform of `radix * m` points into `radix` of m:
 *
 *     y[q + s * (radix * i + k)] = w(radix * m, i * k) * sum over j of x[q + s * (i + m * j)] * w(radix, j * k)
 *
 * for i < m, k < radix, q < s, with w(n, t) = exp(-2 pi i t / n). After it there are s * radix transforms of m points.
 * x and y do not overlap; no alignment needed. */
#ifndef PI_KERNELS_FFT_H
#define PI_KERNELS_FFT_H
#include <stddef.h>
#include "base/cpu.h"

enum { PI_FFT_RADIX = 13 }; /* the largest */

typedef struct {
    size_t radix, m;
    const double *re, *im;           /* w(radix * m, i * k) at [(k - 1) * m + i], k from 1 on */
    const double *root_re, *root_im; /* w(radix, k), k < radix */
} pi_fft_pass;

typedef void (*pi_fft_fn)(const pi_fft_pass *pass, size_t s, const double *x_re, const double *x_im, double *y_re,
                          double *y_im);

#define X(isa, name) \
    void name(const pi_fft_pass *pass, size_t s, const double *x_re, const double *x_im, double *y_re, double *y_im);
#include "kernels/fft/kernels.inc"
#undef X

/* The best for this CPU. */
pi_fft_fn pi_fft(void);
#endif
