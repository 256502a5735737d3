/* SPDX-License-Identifier: Apache-2.0 */
/* An equation taken apart: einsum.c reads it and has the reference, einsum_product.c turns it into a matrix product. */
#ifndef PI_OPS_EINSUM_H
#define PI_OPS_EINSUM_H
#include "ops/move.h"

enum { PI_EINSUM_LABELS = 52 + PI_MAX_RANK }; /* letters, then the axes of "..." from the right */

typedef struct {
    int64_t dim[PI_EINSUM_LABELS]; /* -1: the label is not used */
    int out[PI_MAX_RANK], sum[PI_EINSUM_LABELS];
    int n_out, n_sum;
} pi_einsum;

/* stride: [n_in][PI_EINSUM_LABELS], cleared; gets each input's stride along each label, in elements (0: it has none). May be NULL. */
pi_status pi_einsum_open(const pi_node *node, const pi_tensor *const *in, pi_einsum *spec, int64_t *stride, pi_error *err) PI_MUST_USE;

/* Two inputs of f32, each summed label in both. */
const char *pi_einsum_product_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out);
pi_status pi_einsum_product_prepare(pi_prep *prep, pi_error *err);
pi_status pi_einsum_product_run(const pi_call *call, pi_error *err);
#endif
