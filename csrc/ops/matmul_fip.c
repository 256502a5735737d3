/* SPDX-License-Identifier: Apache-2.0 */
/* MatMul and Gemm with a constant B by the fast inner product. */
#include "ops/conv.h"
#include "ops/fip_product.h"
#include "ops/matmul.h"

const char *pi_matmul_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_matmul p;
    const char *why = pi_matmul_constant_refuse(&p, node, in, out);
    if (why) return why;
    const pi_tensor *live = pi_matmul_live(node, in);
    return live && pi_tensor_n(live) != p.m ? "rows that share a place of 'live'" : pi_fip_refuse(p.m, p.n, p.k, false);
}

enum { LIVE = 4 };

typedef struct {
    pi_matmul p;
    pi_fip_plan product;
} fip_state;

pi_status pi_matmul_fip_prepare(pi_prep *prep, pi_error *err)
{
    fip_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    pi_fip_plan *f = &s->product;
    PI_TRY(pi_matmul_init(&s->p, prep->node, prep->in, NULL, err));
    pi_matmul_merge_batch(&s->p);
    *f = (pi_fip_plan){.m = s->p.m, .n = s->p.n, .k = s->p.k};
    if (pi_matmul_live(prep->node, prep->in)) f->live = LIVE;
    f->late = pi_act_bounds(s->p.act, &f->low, &f->high);
    PI_TRY(pi_fip_prepare(prep, f, err));
    PI_TRY(pi_matmul_pack(prep, &s->p, &f->b, err));
    f->minus = pi_fip_minus(1, f->panels, f->k, (int64_t)f->fip->nr, 0, f->b);
    return PI_E_OK;
}

pi_status pi_matmul_fip_run(const pi_call *call, pi_error *err)
{
    const fip_state *s = call->state;
    const pi_tensor *bias = pi_matmul_bias(call->node, call->in), *z = pi_matmul_residual(call->node, call->in);
    const pi_fip_data data = {NULL, call->in[0]->data, bias ? bias->data : NULL, z ? z->data : NULL, call->out[0]->data,
                              s->p.a.row, s->p.y.row};
    return pi_fip_run(&s->product, call, &data, err);
}
