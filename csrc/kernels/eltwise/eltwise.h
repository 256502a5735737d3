/* SPDX-License-Identifier: Apache-2.0 */
/* Element-wise kernels, f32 but for one: pi_eltwise()->binary_f32(PI_BINARY_ADD, ...).
 * Everywhere: pointers need float alignment only; n and rows may be 0; outputs are dense (rows x n); an output may be
 * exactly an input that is dense too (in place) and may not overlap inputs in another way. Nothing outside is touched.
 */
#ifndef PI_KERNELS_ELTWISE_H
#define PI_KERNELS_ELTWISE_H
#include <stddef.h>
#include <stdint.h>

#include "base/act.h"
#include "base/cpu.h"

typedef enum {
#define X(name, vector, scalar) PI_UNARY_##name,
#include "kernels/eltwise/unary.inc"
#undef X
    PI_UNARY_COUNT
} pi_unary;

typedef enum {
#define X(name, vector, scalar) PI_BINARY_##name,
#include "kernels/eltwise/binary.inc"
#undef X
    PI_BINARY_COUNT
} pi_binary;

typedef enum {
#define X(name, vector, scalar) PI_COMPARE_##name,
#include "kernels/eltwise/compare.inc"
#undef X
    PI_COMPARE_COUNT
} pi_compare;

/* One input of a two-level loop: element (r, i) is at p[r * row + i * elem], in elements of its type; elem is 0 or 1.
 * Dense: {p, n, 1}; one row for all: {p, 0, 1}; one value for each row: {p, 1, 0}; one value: {p, 0, 0}. */
typedef struct {
    const void *p;
    ptrdiff_t row;
    int elem;
} pi_in;

/* act(x * scale + bias + residual): scale and bias have one value for each column (elem 1) or one at all (elem 0);
 * residual is dense; all three may be NULL. */
typedef struct {
    const float *scale, *bias, *residual;
    int elem;
    pi_act act;
} pi_affine;

typedef struct {
    void (*act_f32)(pi_act act, size_t n, const float *x, float *y);
    void (*unary_f32)(pi_unary kind, size_t n, const float *x, float *y);
    void (*binary_f32)(pi_binary kind, size_t rows, size_t n, pi_in a, pi_in b, float *y);
    /* y: bytes 0 or 1. */
    void (*compare_f32)(pi_compare kind, size_t rows, size_t n, pi_in a, pi_in b, uint8_t *y);
    /* cond ? a : b for any type of 4 bytes; cond: bytes, anything but 0 is true. */
    void (*where_32)(size_t rows, size_t n, pi_in cond, pi_in a, pi_in b, void *y);
    /* Channels-last batch norm, bias, residual, activation in one pass over rows x n. */
    void (*affine_f32)(const pi_affine *f, size_t rows, size_t n, const float *x, float *y);
    /* e^x, relative error at most 1.5 * 2^-52; results that are denormal are rounded more than once. */
    void (*exp_f64)(size_t n, const double *x, double *y);
} pi_eltwise_kernels;

#define X(isa, name) extern const pi_eltwise_kernels name;
#include "kernels/eltwise/kernels.inc"
#undef X

/* The best for this CPU. */
const pi_eltwise_kernels *pi_eltwise(void);
#endif
