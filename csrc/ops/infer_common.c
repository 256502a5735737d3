/* SPDX-License-Identifier: Apache-2.0 */
/* Infer functions that many families share. */
#include "ops/ops.h"

pi_status pi_infer_same(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    (void)err;
    pi_tensor_set_shape(&out[0], in[0]->rank, in[0]->dim);
    if (out[0].dtype == PI_DTYPE_NONE) out[0].dtype = in[0]->dtype;
    return PI_E_OK;
}

pi_status pi_infer_broadcast(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    PI_TRY(pi_infer_same(node, in, out, err));
    for (uint32_t i = 1; i < node->n_explicit; i++)
        if (in[i]) {
            pi_tensor so_far = out[0];
            PI_TRY(pi_broadcast(&so_far, in[i], &out[0], err));
        }
    return PI_E_OK;
}
