/* SPDX-License-Identifier: Apache-2.0 */
/* What the implementations of MatMulInteger and QLinearMatMul share. */
#ifndef PI_OPS_QUANT_PRODUCT_H
#define PI_OPS_QUANT_PRODUCT_H
#include "ops/matmul.h"
#include "ops/quant.h"

/* Scales are NULL for MatMulInteger, zero points may be. */
typedef struct {
    const pi_tensor *a, *b, *a_zero, *b_zero, *a_scale, *b_scale, *y_scale, *y_zero;
} pi_quant_operands;
pi_quant_operands pi_quant_operands_of(const pi_node *node, const pi_tensor *const *in);

typedef struct {
    pi_matmul p;
    int64_t pairs, panels, a_mats, b_mats, y_mats; /* pairs of k, panels of n, matrices */
    size_t a_bytes, b_bytes;                       /* in 16 bits, in rows and panels */
    const int16_t *packed;                         /* or NULL: B is packed in each run */
} pi_quant_product;
/* From the shapes, checked; y gets its shape if it is not NULL. */
pi_status pi_quant_product_open(const pi_node *node, const pi_tensor *const *in, pi_quant_product *p, pi_tensor *y,
                                pi_error *err) PI_MUST_USE;
/* Matrices of A and B that make matrix `mat` of Y. */
void pi_quant_product_mats(const pi_quant_product *p, int64_t mat, int64_t *a, int64_t *b);

/* Where row (column) i of matrix `mat`, of `each` rows, has its scale or zero point in t; its value (t NULL: 0). */
int64_t pi_quant_place(const pi_tensor *t, int64_t mat, int64_t i, int64_t each);
int32_t pi_quant_zero(const pi_tensor *t, int64_t mat, int64_t i, int64_t each);
float pi_quant_scale(const pi_tensor *t, int64_t mat, int64_t i, int64_t each);

/* oneDNN's. */
const char *pi_quant_sums_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_quant_sums_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_quant_sums_run(const pi_call *call, pi_error *err) PI_MUST_USE;
#endif
