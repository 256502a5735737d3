/* SPDX-License-Identifier: Apache-2.0 */
/* One level of Strassen's product (kernels/strassen) for f32: Y[m, n] = act(A[m, k] B[k, n] + bias[n] + residual[m, n]) with a
 * constant B, packed in the panels of kernels/igemm. Seven multiplications for eight, so at most an eighth of the time is saved,
 * less what the sums take. Sums of A are made once for some rows, those of B while they are needed, so weights are stored once.
 *
 * Error against the direct sum: some 1e-6 of the largest output in the two rows that are paired, half of A away from each other. A
 * NaN or an infinity in one spoils the other too. The option exact=1 turns it off. */
#ifndef PI_OPS_STRASSEN_PRODUCT_H
#define PI_OPS_STRASSEN_PRODUCT_H
#include "base/act.h"
#include "kernels/igemm/igemm.h"
#include "kernels/strassen/strassen.h"
#include "ops/ops.h"

typedef struct {
    int64_t m, n, k, row; /* row: floats between rows of A */
    const float *b;
    float low, high;
    pi_act late;
    /* what pi_strassen_prepare chose */
    const pi_igemm_kernels *gemm;
    const pi_strassen_kernels *sums;
    int64_t panels, halves;   /* panel j goes with panel j + halves; one may be left */
    int64_t pairs;            /* row r goes with row r + pairs, if there is one */
    int64_t blocks, block;    /* so many, of so many pairs at most */
    int made;                 /* left factors that are made: the sums, or all */
    int64_t part, stride;     /* rows of B whose sums are made at once; floats of a row of a sum of A */
    const float *zeros;       /* in place of the last row's partner */
    size_t room;              /* floats of a thread's scratch: left factors, products, sums of B */
} pi_strassen_plan;

/* Why not; NULL: it takes less time than the direct product. */
const char *pi_strassen_refuse(int64_t m, int64_t n, int64_t k);
/* From m, n, k. Sets prep->scratch and prep->flops. */
pi_status pi_strassen_prepare(pi_prep *prep, pi_strassen_plan *s, pi_error *err) PI_MUST_USE;

/* Rows of A and Y are that many floats apart; those of z, the residual or NULL, as Y's; z may be y. */
typedef struct {
    const float *a, *bias, *z;
    float *y;
    int64_t a_row, y_row;
} pi_strassen_data;
pi_status pi_strassen_run(const pi_strassen_plan *s, const pi_call *call, const pi_strassen_data *data, pi_error *err) PI_MUST_USE;
#endif
