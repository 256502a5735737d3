/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products through oneDNN: a constant B is packed once for the model, the epilogue is fused. */
#include <string.h>
#include "base/cpu.h"
#include "onednn/onednn.h"
#include "ops/block.h"
#include "ops/conv.h"
#include "ops/matmul.h"
#include "ops/ops.h"

typedef struct {
    pi_dnnl *object;
    pi_act late; /* or NONE */
    const void *b;    /* packed; NULL: in[1] as it is */
    const void *bias; /* made f32[n] in prepare; NULL: in[2] as it is, if it is a bias */
    bool has_bias, bias_is_residual;
} dnnl_state;

enum { MOST_HEAD = 64, FEW_ROWS = 63 };

/* Does the bias differ along the last dimension only? */
static bool bias_by_column(const pi_matmul *p)
{
    for (int i = 0; i + 1 < p->bias.rank; i++)
        if (p->bias.dim[i] != 1) return false;
    return true;
}

static const char *describe(const pi_node *node, const pi_tensor *const *in, const pi_tensor *y, bool b_const,
                            bool bias_const, pi_dnnl_matmul *d, dnnl_state *s)
{
    pi_matmul p;
    if (pi_matmul_init(&p, node, in, NULL, NULL) != PI_E_OK) return "attributes";
    const pi_tensor *residual = pi_matmul_residual(node, in);
    if (p.bias.rank >= 0) {
        bool plain = p.beta == 1 && p.bias.rank > 0 && p.bias.dim[p.bias.rank - 1] == p.n;
        s->has_bias = bias_by_column(&p) && (plain || bias_const);
        s->bias_is_residual = !s->has_bias && p.beta == 1 && !residual && pi_tensor_same_shape(&p.bias, y) && !p.y_permuted;
        if (!s->has_bias && !s->bias_is_residual) return "the shape of the bias, or beta";
    }
    if (residual && !pi_tensor_same_shape(residual, y)) return "the shape of the residual";
    pi_matmul_merge_batch(&p);
    if (p.batch_rank > PI_DNNL_MAX_RANK) return "the rank";
    *d = (pi_dnnl_matmul){.batch_rank = p.batch_rank, .m = p.m, .n = p.n, .k = p.k, .a_type = in[0]->dtype,
                          .b_type = in[1]->dtype, .c_type = y->dtype, .b_const = b_const, .bias = s->has_bias,
                          .alpha = p.alpha};
    memcpy(d->batch, p.batch, sizeof d->batch);
    memcpy(d->c.batch, p.y.batch, sizeof d->b.batch);
    d->c.row = p.y.row;
    d->c.col = p.y.col;
    memcpy(d->a.batch, p.a.batch, sizeof d->a.batch);
    memcpy(d->b.batch, p.b.batch, sizeof d->b.batch);
    d->a.row = p.a.row;
    d->a.col = p.a.col;
    d->b.row = p.b.row;
    d->b.col = p.b.col;
    s->late = pi_act_is_late(p.act) ? p.act : (pi_act){PI_ACT_NONE, 0, 0};
    if (s->late.kind == PI_ACT_NONE) d->end.act = p.act;
    d->end.residual = residual ? PI_DNNL_SUM : s->bias_is_residual ? PI_DNNL_ADD : PI_DNNL_NO_RESIDUAL;
    return NULL;
}

static bool known_constant(const pi_node *node, const pi_tensor *const *in, uint32_t i)
{
    return i < node->n_in && in[i] && node->in[i] && node->in[i]->constant;
}

const char *pi_matmul_dnnl_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    const char *why;
    pi_dnnl_matmul d;
    dnnl_state s = {0};
    if (!pi_dnnl_available(&why)) return why;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_matmul_live(node, in)) return "it cannot skip rows";
    if (pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[0]) == 0) return "no elements";
    if (pi_attr_find(node, "alpha") && pi_attr_float(node, "alpha") == 0) return "alpha is 0";
    why = describe(node, in, out[0], known_constant(node, in, 1), known_constant(node, in, 2), &d, &s);
    if (!why && d.m <= FEW_ROWS && d.batch_rank == 0 && known_constant(node, in, 1) && !pi_matmul_own_refuse(node, in, out))
        return PI_SLOWER "few rows: packed panels come from memory faster"; /* 1280 x 1000 on Zen 4: 0.17 ms, oneDNN 0.35 */
    if (!why && d.batch_rank > 0 && d.k <= MOST_HEAD && d.b.row == 1 && d.b.col != 1 && !known_constant(node, in, 1) &&
        !pi_matmul_own_refuse(node, in, out))
        return PI_SLOWER "queries by keys: our own kernel is quicker";
    if (!why && !pi_cpu_has(PI_CPU_AVX512) && !pi_matmul_own_refuse(node, in, out))
        return PI_SLOWER "our own kernel is quicker without AVX-512"; /* BERT-base on Zen 3: 0.75 of oneDNN's time */
    return why;
}

static pi_status pack_b(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    return pi_dnnl_pack(arg, source->data, out, err);
}

typedef struct {
    char name[8];
    int64_t n;
    float beta;
    int zero;
} bias_key;

/* beta * bias, spread to n columns. */
static pi_status pack_bias(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    (void)err;
    const bias_key *key = arg;
    float *y = out;
    pi_read_f32(source->dtype, source->data, pi_tensor_n(source) == 1 ? 0 : 1, key->n, y);
    for (int64_t j = 0; j < key->n; j++) y[j] *= key->beta;
    return PI_E_OK;
}

static pi_status prepare_bias(pi_prep *prep, const pi_dnnl_matmul *d, dnnl_state *s, pi_error *err)
{
    float beta = pi_attr_find(prep->node, "beta") ? pi_attr_float(prep->node, "beta") : 1;
    if (pi_tensor_n(prep->in[2]) == d->n && beta == 1) return PI_E_OK;
    bias_key key = {.name = "bias", .n = d->n, .beta = beta};
    PI_TRY(pi_prep_pack(prep, 2, &key, sizeof key, (size_t)d->n * sizeof(float), pack_bias, &key, &s->bias, err));
    pi_prep_drop(prep, 2);
    return PI_E_OK;
}

pi_status pi_matmul_dnnl_prepare(pi_prep *prep, pi_error *err)
{
    pi_dnnl_matmul d;
    dnnl_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    bool b_const = pi_prep_is_const(prep, 1);
    const char *why = describe(prep->node, prep->in, prep->out[0], b_const, pi_prep_is_const(prep, 2), &d, s);
    if (why) return pi_fail(err, PI_E_UNSUPPORTED, "oneDNN: %s", why);
    double flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)d.k;
    PI_TRY(pi_dnnl_matmul_new(&s->object, &d, pi_prep_threads(prep, flops), err));
    PI_TRY(pi_prep_own(prep, pi_dnnl_free, s->object, err));
    prep->isa = pi_dnnl_impl_name(s->object);
    if (b_const) {
        pi_dnnl_weights_info info;
        pi_dnnl_weights(s->object, &info);
        if (!info.as_is) {
            PI_TRY(pi_prep_pack(prep, 1, info.key, info.key_bytes, info.bytes, pack_b, s->object, &s->b, err));
            pi_prep_drop(prep, 1);
        }
    }
    if (s->has_bias) PI_TRY(prepare_bias(prep, &d, s, err));
    prep->scratch = pi_dnnl_scratch(s->object);
    return PI_E_OK;
}

pi_status pi_matmul_dnnl_run(const pi_call *call, pi_error *err)
{
    const dnnl_state *s = call->state;
    const pi_tensor *bias = pi_matmul_bias(call->node, call->in), *residual = pi_matmul_residual(call->node, call->in);
    pi_dnnl_args args = {.src = call->in[0]->data, .weights = s->b ? s->b : call->in[1]->data,
                         .dst = call->out[0]->data, .scratch = call->scratch};
    if (s->has_bias) args.bias = s->bias ? s->bias : bias->data;
    if (s->bias_is_residual) args.residual = bias->data;
    if (residual) pi_residual_into(call, residual);
    PI_TRY(pi_dnnl_run(s->object, &args, err));
    if (s->late.kind != PI_ACT_NONE) pi_late_act(call, s->late);
    return PI_E_OK;
}
