/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisation of f32: pi_norm()->layer_norm_f32(&args, rows, n).
 * Everywhere: float alignment is enough; sizes may be 0; y and sum may each be x or residual (in place),
 * but not the same. Variances are those of the population, in two passes. */
#ifndef PI_KERNELS_NORM_H
#define PI_KERNELS_NORM_H
#include <stddef.h>

/* Rows of n floats: v = x + residual + bias, then y = norm(v) * gamma + beta. Dense; pointers from `residual` on may be
 * NULL. */
typedef struct {
    const float *x;
    float *y;
    float eps;
    const float *residual;     /* rows x n */
    const float *bias;         /* n */
    const float *gamma, *beta; /* n */
    float *sum;                /* rows x n: gets v */
    float *mean, *inv_std;     /* rows */
} pi_norm_args;

/* How many values, their mean and the sum of the squares of their distances to it. */
typedef struct {
    double n, mean, m2;
} pi_moments;

typedef struct {
    /* (v - mean) / sqrt(var + eps). */
    void (*layer_norm_f32)(const pi_norm_args *a, size_t rows, size_t n);
    /* v / sqrt(mean of v^2 + eps); the mean is not taken away, args.mean gets nothing. */
    void (*rms_norm_f32)(const pi_norm_args *a, size_t rows, size_t n);

    /* Channels-first group norm, one group of one image: channels x plane floats in one piece, gamma and beta (or NULL)
     * have one value for each channel. Instance norm: channels = 1. */
    void (*group_norm_f32)(size_t channels, size_t plane, float eps, const float *x, const float *gamma,
                           const float *beta, float *y);
    /* Channels-last group norm, one image: rows x channels; groups divides channels; scratch: 2 * channels
     * values each in sums and scales. */
    void (*group_norm_last_f32)(size_t rows, size_t channels, size_t groups, float eps, const float *x,
                                const float *gamma, const float *beta, double *sums, float *scales, float *y);

    /* The pieces, for callers that share one image out: parts of a fixed size, then pi_moments_add in order. */
    void (*moments_f32)(size_t n, const float *x, pi_moments *out);
    /* For each of n columns (rows `row` floats apart) the sum of x - shift and of its square; shift, sum and square may
     * be NULL (shift: 0). */
    void (*column_sums_f32)(size_t rows, size_t row, size_t n, const float *x, const float *shift, double *sum,
                            double *square);
} pi_norm_kernels;

/* a and b together. */
pi_moments pi_moments_add(pi_moments a, pi_moments b);

#define X(isa, name) extern const pi_norm_kernels name;
#include "kernels/norm/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_norm_kernels *pi_norm(void);
#endif
