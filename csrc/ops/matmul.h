/* SPDX-License-Identifier: Apache-2.0 */
/* A matrix product in numbers: what MatMul, Gemm and pyinfer.MatMul have in common.
 * Y[.., i, j] = act(alpha * sum_l A[.., i, l] B[.., l, j] + beta * bias + residual).
 * pyinfer.MatMul reads A and B through the permutations perm_a and perm_b, and stores the product through perm_y, as
 * Transpose nodes with these perms would: attention needs no transposed copies. Its input `live` (see ops/live.h) has a place
 * for each row of the product; where the first batch dim is its first, the batch dims behind it share its rows. */
#ifndef PI_OPS_MATMUL_H
#define PI_OPS_MATMUL_H
#include "base/act.h"
#include "graph/op.h"
#include "ops/bcast.h"

typedef struct {
    int batch_rank;
    int64_t batch[PI_MAX_RANK], m, n, k;
    struct pi_matmul_operand {
        int64_t batch[PI_MAX_RANK], row, col; /* strides in elements; 0 along a batch dim that is repeated */
    } a, b, y;
    bool y_permuted; /* Y is not stored in the order of the product */
    float alpha, beta;
    pi_act act;
    pi_tensor bias; /* its dims as they broadcast to Y; rank -1: none */
} pi_matmul;

/* Adjacent batch dims whose strides allow it become one; where B is the same for all of them, they become rows. */
void pi_matmul_merge_batch(pi_matmul *p);
/* From a node and the shapes of its inputs, checked; y gets its shape if it is not NULL. */
pi_status pi_matmul_init(pi_matmul *p, const pi_node *node, const pi_tensor *const *in, pi_tensor *y, pi_error *err) PI_MUST_USE;
/* Where a batch begins in A, B and Y, in elements. */
void pi_matmul_offsets(const pi_matmul *p, int64_t batch, int64_t *a, int64_t *b, int64_t *y);
/* oneDNN's. */
const char *pi_matmul_dnnl_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_matmul_dnnl_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_matmul_dnnl_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* Inputs beside A and B: bias is in[2], the residual in[3], `live` in[4]; NULL if absent. */
const pi_tensor *pi_matmul_bias(const pi_node *node, const pi_tensor *const *in);
const pi_tensor *pi_matmul_residual(const pi_node *node, const pi_tensor *const *in);
const pi_tensor *pi_matmul_live(const pi_node *node, const pi_tensor *const *in);
/* Our own kernels. */
const char *pi_matmul_own_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_matmul_own_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_matmul_own_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* A constant B in panels for kernels/igemm, alpha in it, with what ops/fip_product.h needs behind them; the constant itself is not
 * needed any more. */
pi_status pi_matmul_pack(pi_prep *prep, const pi_matmul *p, const float **packed, pi_error *err) PI_MUST_USE;
/* A panel of any matrix B, at `b`. */
void pi_matmul_pack_panel(const pi_matmul *p, const float *b, int64_t panel, float *to);
/* Products in all; one_b: they have the same B. */
int64_t pi_matmul_batches(const pi_matmul *p, bool *one_b);
/* The same with fewer multiplications, see ops/fip_product.h and ops/strassen_product.h. */
const char *pi_matmul_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_matmul_fip_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_matmul_fip_run(const pi_call *call, pi_error *err) PI_MUST_USE;
const char *pi_matmul_strassen_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_matmul_strassen_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_matmul_strassen_run(const pi_call *call, pi_error *err) PI_MUST_USE;
/* Our own for f64 and integers. */
const char *pi_matmul_typed_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_matmul_typed_prepare(pi_prep *prep, pi_error *err) PI_MUST_USE;
pi_status pi_matmul_typed_run(const pi_call *call, pi_error *err) PI_MUST_USE;
#endif
