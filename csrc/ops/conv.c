/* SPDX-License-Identifier: Apache-2.0 */
/* Conv, and pyinfer.Conv with residual, activation and channels-last data. Y = act(X * W + B + Z). */
#include "ops/conv.h"
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "ops/block.h"
#include "ops/ops.h"
#include "ops/widen.h"

/* ---- the problem ---- */

pi_act pi_node_act(const pi_node *node)
{
    if (!pi_row_has_attr(node, "act")) return (pi_act){PI_ACT_NONE, 0, 0};
    return (pi_act){(pi_act_kind)pi_attr_int(node, "act"), pi_attr_float(node, "act_a"), pi_attr_float(node, "act_b")};
}

pi_act pi_act_bounds(pi_act act, float *low, float *high)
{
    *low = act.kind == PI_ACT_RELU ? 0 : act.kind == PI_ACT_CLIP ? act.a : -INFINITY;
    *high = act.kind == PI_ACT_CLIP ? act.b : INFINITY;
    return act.kind == PI_ACT_RELU || act.kind == PI_ACT_CLIP ? (pi_act){PI_ACT_NONE, 0, 0} : act;
}

pi_status pi_node_check_act(const pi_node *node, pi_error *err)
{
    int64_t act = pi_row_has_attr(node, "act") ? pi_attr_int(node, "act") : 0;
    if (act >= 0 && act < PI_ACT_COUNT) return PI_E_OK;
    return pi_fail(err, PI_E_MODEL, "attribute 'act' is %lld, expected 0 to %d", (long long)act, PI_ACT_COUNT - 1);
}

pi_status pi_conv_common(pi_conv *c, const pi_node *node, pi_error *err)
{
    *c = (pi_conv){.group = pi_attr_int(node, "group")};
    c->w.nhwc = pi_row_has_attr(node, "nhwc") && pi_attr_int(node, "nhwc") != 0;
    PI_TRY(pi_node_check_act(node, err));
    c->act = pi_node_act(node);
    if (c->group < 1) return pi_fail(err, PI_E_MODEL, "attribute 'group' is %lld, expected at least 1", (long long)c->group);
    return PI_E_OK;
}

pi_status pi_conv_check_epilogue(const pi_conv *c, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    char text[200], expected[200];
    if (node->n_explicit > 2 && in[2] && (in[2]->rank != 1 || in[2]->dim[0] != c->out_channels))
        return pi_fail(err, PI_E_MODEL, "B is %s, expected [%lld]", pi_tensor_text(in[2], text, sizeof text),
                       (long long)c->out_channels);
    if (node->n_explicit > 3 && in[3]) {
        pi_tensor y = {.dtype = in[3]->dtype};
        pi_window_output(&c->w, c->out_channels, &y);
        if (!pi_tensor_same_shape(&y, in[3]))
            return pi_fail(err, PI_E_MODEL, "Z is %s, expected %s", pi_tensor_text(in[3], text, sizeof text),
                           pi_tensor_text(&y, expected, sizeof expected));
    }
    return PI_E_OK;
}

pi_status pi_conv_init(pi_conv *c, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *x = in[0], *wt = in[1];
    char tx[200], tw[200];
    PI_TRY(pi_conv_common(c, node, err));
    if (wt->rank != x->rank || wt->rank < 3)
        return pi_fail(err, PI_E_MODEL, "X is %s and W is %s, expected the same rank of at least 3",
                       pi_tensor_text(x, tx, sizeof tx), pi_tensor_text(wt, tw, sizeof tw));
    PI_TRY(pi_window_init(&c->w, node, x, c->w.nhwc, wt->dim + 2, err));
    int64_t channels;
    if (!pi_mul_i64(wt->dim[1], c->group, &channels) || channels != c->w.channels || wt->dim[0] % c->group != 0)
        return pi_fail(err, PI_E_MODEL, "X is %s and W is %s, which do not fit with group %lld",
                       pi_tensor_text(x, tx, sizeof tx), pi_tensor_text(wt, tw, sizeof tw), (long long)c->group);
    c->out_channels = wt->dim[0];
    PI_TRY(pi_conv_check_epilogue(c, node, in, err));
    int64_t n;
    pi_tensor y = {0};
    pi_window_output(&c->w, c->out_channels, &y);
    PI_TRY(pi_tensor_count(&y, &n, err));
    c->x = pi_window_strides(c->w.nhwc, c->w.channels, c->w.in);
    c->y = pi_window_strides(c->w.nhwc, c->out_channels, c->w.out);
    return PI_E_OK;
}

static pi_status conv_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_conv c;
    PI_TRY(pi_conv_init(&c, node, in, err));
    pi_window_output(&c.w, c.out_channels, &out[0]);
    return PI_E_OK;
}

/* ---- reference: rows of Y, one output channel at a time ---- */

static pi_status conv_prepare(pi_prep *prep, pi_error *err)
{
    pi_conv *c = prep->state = pi_prep_alloc(prep, sizeof *c, err);
    if (!c) return pi_alloc_status(err);
    PI_TRY(pi_conv_init(c, prep->node, prep->in, err));
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)(c->w.channels / c->group) *
                  (double)c->w.kernel[0] * (double)c->w.kernel[1] * (double)c->w.kernel[2];
    return PI_E_OK;
}

/* n results of channel `channel` of Y from place `at` on, `stride` apart: + B + Z, activation, stored. */
static void finish(const pi_conv *c, const pi_call *call, int64_t channel, int64_t at, int64_t stride, int64_t n, double *acc)
{
    const pi_tensor *b = call->node->n_explicit > 2 ? call->in[2] : NULL;
    const pi_tensor *z = call->node->n_explicit > 3 ? call->in[3] : NULL;
    pi_dtype dtype = call->out[0]->dtype;
    double more[PI_BLOCK];
    if (b) {
        pi_read_f64(b->dtype, pi_at(b->data, b->dtype, channel), 0, n, more);
        for (int64_t i = 0; i < n; i++) acc[i] += more[i];
    }
    if (z) {
        pi_read_f64(z->dtype, pi_at(z->data, z->dtype, at), stride, n, more);
        for (int64_t i = 0; i < n; i++) acc[i] += more[i];
    }
    if (c->act.kind != PI_ACT_NONE)
        for (int64_t i = 0; i < n; i++) acc[i] = (double)pi_act_apply(c->act, (float)acc[i]);
    pi_write_f64(dtype, pi_at_mut(call->out[0]->data, dtype, at), stride, n, acc);
}

/* acc[i] += sum over the window of X * W for the output places from + i of a row. */
static void conv_row(const pi_conv *c, const pi_call *call, int64_t b, int64_t oc, int64_t od, int64_t oh, int64_t from,
                     int64_t n, double *acc)
{
    const pi_window *w = &c->w;
    const pi_tensor *x = call->in[0], *wt = call->in[1];
    int64_t per_group = w->channels / c->group, first = oc / (c->out_channels / c->group) * per_group;
    int64_t taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    double row[PI_BLOCK], weight;
    for (int64_t ic = 0; ic < per_group; ic++)
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t kw = tap % w->kernel[2], kh = tap / w->kernel[2] % w->kernel[1], kd = tap / w->kernel[2] / w->kernel[1];
            int64_t id = od * w->stride[0] - w->pad[0] + kd * w->dilation[0];
            int64_t ih = oh * w->stride[1] - w->pad[1] + kh * w->dilation[1];
            if (id < 0 || id >= w->in[0] || ih < 0 || ih >= w->in[1]) continue;
            int64_t offset = from * w->stride[2] - w->pad[2] + kw * w->dilation[2], lo, hi;
            pi_window_range(offset, w->stride[2], w->in[2], n, &lo, &hi);
            if (lo >= hi) continue;
            int64_t at = b * c->x.batch + (first + ic) * c->x.channel + id * c->x.space[0] + ih * c->x.space[1] +
                         (offset + lo * w->stride[2]) * c->x.space[2];
            pi_read_f64(x->dtype, pi_at(x->data, x->dtype, at), w->stride[2] * c->x.space[2], hi - lo, row);
            pi_read_f64(wt->dtype, pi_at(wt->data, wt->dtype, (oc * per_group + ic) * taps + tap), 1, 1, &weight);
            for (int64_t i = lo; i < hi; i++) acc[i] += weight * row[i - lo];
        }
}

typedef struct {
    const pi_call *call;
    pi_conv_row row;
} rows_task;

/* A chunk is a range of (batch, output channel, depth, height). */
static void rows_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const rows_task *t = arg;
    const pi_call *call = t->call;
    const pi_conv *c = call->state;
    const int64_t *out = c->w.out;
    for (int64_t r = begin; r < end && !pi_cancelled(call); r++) {
        int64_t oh = r % out[1], od = r / out[1] % out[0], oc = r / out[1] / out[0] % c->out_channels;
        int64_t b = r / out[1] / out[0] / c->out_channels;
        for (int64_t ow = 0; ow < out[2]; ow += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, out[2] - ow);
            double acc[PI_BLOCK] = {0};
            t->row(c, call, b, oc, od, oh, ow, n, acc);
            int64_t at = b * c->y.batch + oc * c->y.channel + od * c->y.space[0] + oh * c->y.space[1] + ow * c->y.space[2];
            finish(c, call, oc, at, c->y.space[2], n, acc);
        }
    }
}

pi_status pi_conv_rows(const pi_call *call, pi_conv_row row, pi_error *err)
{
    const pi_conv *c = call->state;
    rows_task t = {call, row};
    pi_parallel(call->run->threads, c->w.batch * c->out_channels * c->w.out[0] * c->w.out[1], 1, rows_chunk, &t);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

static pi_status conv_run(const pi_call *call, pi_error *err) { return pi_conv_rows(call, conv_row, err); }

/* ---- rows ---- */

static const pi_impl conv_impls[] = {{"planes", pi_conv_planes_refuse, pi_conv_planes_prepare, pi_conv_planes_run, 0},
                                     {"winograd_fip", pi_conv_winograd_fip_refuse, pi_conv_winograd_fip_prepare, pi_conv_winograd_run,
                                      8 | PI_INEXACT},
                                     {"winograd", pi_conv_winograd_refuse, pi_conv_winograd_prepare, pi_conv_winograd_run, 8 | PI_INEXACT},
                                     {"fip", pi_conv_fip_refuse, pi_conv_fip_prepare, pi_conv_fip_run, 8 | PI_INEXACT},
                                     {"strassen", pi_conv_strassen_refuse, pi_conv_strassen_prepare, pi_conv_strassen_run, 8 | PI_INEXACT},
                                     {"neighbours", pi_conv_neighbours_refuse, pi_conv_neighbours_prepare, pi_conv_dnnl_run, 8},
                                     {"onednn", pi_conv_dnnl_refuse, pi_conv_dnnl_prepare, pi_conv_dnnl_run, 8},
                                     {"own", pi_conv_own_refuse, pi_conv_own_prepare, pi_conv_own_run, 0},
                                     {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
                                     {"ref", NULL, conv_prepare, conv_run, 0}, {0}};

#define CONV_ATTRS                                                                                               \
    {"auto_pad", PI_ATTR_STRING, false, 0, 0, "NOTSET"}, {"dilations", PI_ATTR_INTS, false, 0, 0, NULL},            \
        {"group", PI_ATTR_INT, false, 1, 0, NULL}, {"kernel_shape", PI_ATTR_INTS, false, 0, 0, NULL},               \
        {"pads", PI_ATTR_INTS, false, 0, 0, NULL}, {"strides", PI_ATTR_INTS, false, 0, 0, NULL}
#define FUSED_ATTRS                                                                                              \
    {"nhwc", PI_ATTR_INT, false, 0, 0, NULL}, {"act", PI_ATTR_INT, false, 0, 0, NULL},                              \
        {"act_a", PI_ATTR_FLOAT, false, 0, 0, NULL}, {"act_b", PI_ATTR_FLOAT, false, 0, 0, NULL}
static const pi_attr_def conv_attrs[] = {CONV_ATTRS, {0}};
static const pi_attr_def fused_attrs[] = {CONV_ATTRS, FUSED_ATTRS, {0}};

static const pi_op rows[] = {
    {.name = "Conv", .since = 1, .signature = "X:T W:T B?:T -> Y:T", .T = PI_FLOATS, .attrs = conv_attrs,
     .infer = conv_infer, .impls = conv_impls},
    {.domain = "pyinfer", .name = "Conv", .since = 1, .signature = "X:T W:T B?:T Z?:T -> Y:T", .T = PI_FLOATS,
     .attrs = fused_attrs, .infer = conv_infer, .impls = conv_impls},
};
const pi_op_family pi_ops_conv = {rows, PI_COUNT(rows)};
