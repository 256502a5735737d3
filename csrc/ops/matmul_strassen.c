/* SPDX-License-Identifier: Apache-2.0 */
/* MatMul and Gemm with a constant B by one level of Strassen's product. */
#include "ops/matmul.h"
#include "ops/conv.h"
#include "ops/strassen_product.h"

const char *pi_matmul_strassen_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_matmul p;
    const char *why = pi_matmul_own_refuse(node, in, out);
    if (why) return why;
    if (!node->in[1] || !node->in[1]->constant) return "only a constant B";
    if (pi_matmul_live(node, in)) return "it cannot skip rows";
    if (pi_matmul_init(&p, node, in, NULL, NULL) != PI_E_OK) return "attributes";
    pi_matmul_merge_batch(&p);
    if (p.batch_rank > 0 || p.a.col != 1) return "only one matrix A, with dense rows";
    return pi_strassen_refuse(p.m, p.n, p.k);
}

typedef struct {
    pi_matmul p;
    pi_strassen_plan product;
} strassen_state;

pi_status pi_matmul_strassen_prepare(pi_prep *prep, pi_error *err)
{
    strassen_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_matmul_init(&s->p, prep->node, prep->in, NULL, err));
    pi_matmul_merge_batch(&s->p);
    s->product = (pi_strassen_plan){.m = s->p.m, .n = s->p.n, .k = s->p.k, .row = s->p.a.row};
    s->product.late = pi_act_bounds(s->p.act, &s->product.low, &s->product.high);
    PI_TRY(pi_strassen_prepare(prep, &s->product, err));
    return pi_matmul_pack(prep, &s->p, &s->product.b, err);
}

pi_status pi_matmul_strassen_run(const pi_call *call, pi_error *err)
{
    const strassen_state *s = call->state;
    const pi_tensor *bias = pi_matmul_bias(call->node, call->in), *z = pi_matmul_residual(call->node, call->in);
    const pi_strassen_data data = {call->in[0]->data, bias ? bias->data : NULL, z ? z->data : NULL, call->out[0]->data,
                                   s->p.a.row, s->p.y.row};
    return pi_strassen_run(&s->product, call, &data, err);
}
