/* SPDX-License-Identifier: Apache-2.0 */
/* 1x1 convolution on channels-last data by one level of Strassen's product: rows are pixels. */
#include "ops/conv.h"
#include "ops/strassen_product.h"

typedef struct {
    pi_conv c;
    pi_strassen_plan product;
} strassen_state;

const char *pi_conv_strassen_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    const char *why = pi_conv_own_refuse(node, in, out);
    if (why) return why;
    if (pi_conv_init(&c, node, in, NULL) != PI_E_OK || c.group != 1 || !pi_conv_pixelwise(&c)) return "only 1x1 with stride 1, one group";
    return pi_strassen_refuse(pi_conv_pixels(&c), c.out_channels, c.w.channels);
}

pi_status pi_conv_strassen_prepare(pi_prep *prep, pi_error *err)
{
    strassen_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_init(&s->c, prep->node, prep->in, err));
    s->product = (pi_strassen_plan){.m = pi_conv_pixels(&s->c), .n = s->c.out_channels, .k = s->c.w.channels, .row = s->c.w.channels};
    s->product.late = pi_act_bounds(s->c.act, &s->product.low, &s->product.high);
    PI_TRY(pi_strassen_prepare(prep, &s->product, err));
    const pi_conv_pack_shape shape = {1, s->product.n, s->product.k, 1, (int64_t)s->product.gemm->nr};
    return pi_conv_pack(prep, 1, &shape, &s->product.b, err);
}

pi_status pi_conv_strassen_run(const pi_call *call, pi_error *err)
{
    const strassen_state *s = call->state;
    const pi_strassen_data data = {call->in[0]->data, pi_conv_optional(call, 2), pi_conv_optional(call, 3), call->out[0]->data,
                                   s->product.k, s->product.n};
    return pi_strassen_run(&s->product, call, &data, err);
}
