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

/* A program works on one value, the accumulator, a tile of a row at a time; it begins with a load, and ends with what is
 * stored. Kinds of operations: bool is loaded as 1 and 0, which is also what comparisons leave. */
enum {
    PI_TILE_LOAD,                                        /* x */
    PI_TILE_LOAD_BOOL,                                   /* x, bytes */
    PI_TILE_WHERE,                                       /* value != 0 ? x : z */
    PI_TILE_UNARY,                                       /* + pi_unary */
    PI_TILE_ACT = PI_TILE_UNARY + PI_UNARY_COUNT,        /* + pi_act_kind; with the numbers p and q */
    PI_TILE_BINARY = PI_TILE_ACT + PI_ACT_COUNT,         /* + pi_binary, of the value and x */
    PI_TILE_SWAPPED = PI_TILE_BINARY + PI_BINARY_COUNT,  /* of x and the value */
    PI_TILE_COMPARE = PI_TILE_SWAPPED + PI_BINARY_COUNT, /* + pi_compare, of the value and x */
    PI_TILE_FLOATS = 128,                                /* room for a tile */
    PI_TILE_NO_UNARY = PI_UNARY_TAN,                     /* what libm computes gains nothing: not from this kind on */
    PI_TILE_NO_BINARY = PI_BINARY_FMOD,
};

typedef struct {
    const void *p;
    ptrdiff_t row; /* from a row to the next */
    int step;      /* 1: element i of a row is i further; 0: the same place for all of it, which holds a tile or one number */
    int one;       /* it is one number */
} pi_tile_in;

typedef struct {
    int kind;
    float p, q;
    pi_tile_in x, z;
    float *keep; /* the value is stored there too, for later operations (step 0); NULL: not. PI_TILE_FLOATS of room */
} pi_tile_op;

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
    /* Runs the program for each tile: memory is read and written once. Bits are those of the single operations; y may be
     * exactly any of the dense operands. */
    void (*tiles_f32)(const pi_tile_op *op, size_t count, size_t rows, size_t n, float *y);
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
