/* SPDX-License-Identifier: Apache-2.0 */
/* ConvTranspose, and pyinfer.ConvTranspose: each input element adds its weights to a window of the output.
 * In the window, `in` belongs to X and `out` to Y; W is C, M/group, k... */
#include <string.h>
#include "ops/block.h"
#include "ops/conv.h"
#include "ops/ops.h"
#include "ops/widen.h"

enum { SPATIAL = 3 };

/* ---- the problem ---- */

static pi_status output_sizes(pi_window *w, const pi_node *node, pi_error *err)
{
    uint32_t n_shape, n_more;
    const int64_t *shape = pi_attr_ints(node, "output_shape", &n_shape);
    const int64_t *more = pi_attr_ints(node, "output_padding", &n_more);
    const char *auto_pad = pi_attr_string(node, "auto_pad");
    bool same = strncmp(auto_pad, "SAME", 4) == 0;
    uint32_t spatial = (uint32_t)w->spatial;
    if (n_more && n_more != spatial)
        return pi_fail(err, PI_E_MODEL, "attribute 'output_padding' has %u numbers, expected %u", n_more, spatial);
    if (n_shape && n_shape != spatial && n_shape != spatial + 2)
        return pi_fail(err, PI_E_MODEL, "attribute 'output_shape' has %u numbers, expected %u", n_shape, spatial);
    for (uint32_t k = 0; k < spatial; k++) {
        int i = SPATIAL - w->spatial + (int)k;
        int64_t padding = n_more ? more[k] : 0, natural, total;
        if (padding < 0 || padding > INT32_MAX)
            return pi_fail(err, PI_E_MODEL, "attribute 'output_padding' has %lld", (long long)padding);
        natural = w->stride[i] * (w->in[i] - 1) + padding + (w->kernel[i] - 1) * w->dilation[i] + 1;
        if (auto_pad[0] == 'V') w->pad[i] = w->pad_end[i] = 0;
        if (n_shape || same) {
            int64_t wanted = n_shape ? shape[k + (n_shape - spatial)] : w->in[i] * w->stride[i];
            if (wanted < 0 || wanted > INT32_MAX)
                return pi_fail(err, PI_E_MODEL, "attribute 'output_shape' has %lld", (long long)wanted);
            total = pi_max_i64(natural - wanted, 0);
            w->pad[i] = strcmp(auto_pad, "SAME_UPPER") == 0 ? total / 2 : total - total / 2;
            w->pad_end[i] = total - w->pad[i];
            w->out[i] = wanted;
        } else {
            w->out[i] = natural - w->pad[i] - w->pad_end[i];
        }
        if (w->out[i] < 0 || w->out[i] > INT32_MAX)
            return pi_fail(err, PI_E_MODEL, "spatial dimension %u of Y would be %lld", k, (long long)w->out[i]);
    }
    return PI_E_OK;
}

pi_status pi_conv_transpose_init(pi_conv *c, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *x = in[0], *wt = in[1];
    char tx[200], tw[200];
    PI_TRY(pi_conv_common(c, node, err));
    if (wt->rank != x->rank || wt->rank < 3)
        return pi_fail(err, PI_E_MODEL, "X is %s and W is %s, expected the same rank of at least 3",
                       pi_tensor_text(x, tx, sizeof tx), pi_tensor_text(wt, tw, sizeof tw));
    PI_TRY(pi_window_attrs(&c->w, node, x, c->w.nhwc, wt->dim + 2, err));
    if (wt->dim[0] != c->w.channels || c->w.channels % c->group != 0 || !pi_mul_i64(wt->dim[1], c->group, &c->out_channels))
        return pi_fail(err, PI_E_MODEL, "X is %s and W is %s, which do not fit with group %lld",
                       pi_tensor_text(x, tx, sizeof tx), pi_tensor_text(wt, tw, sizeof tw), (long long)c->group);
    PI_TRY(output_sizes(&c->w, node, err));
    PI_TRY(pi_conv_check_epilogue(c, node, in, err));
    int64_t n;
    pi_tensor y = {0};
    pi_window_output(&c->w, c->out_channels, &y);
    PI_TRY(pi_tensor_count(&y, &n, err));
    c->x = pi_window_strides(c->w.nhwc, c->w.channels, c->w.in);
    c->y = pi_window_strides(c->w.nhwc, c->out_channels, c->w.out);
    return PI_E_OK;
}

static pi_status transpose_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_conv c;
    PI_TRY(pi_conv_transpose_init(&c, node, in, err));
    pi_window_output(&c.w, c.out_channels, &out[0]);
    return PI_E_OK;
}

/* ---- reference ---- */

static pi_status transpose_prepare(pi_prep *prep, pi_error *err)
{
    pi_conv *c = prep->state = pi_prep_alloc(prep, sizeof *c, err);
    if (!c) return pi_alloc_status(err);
    PI_TRY(pi_conv_transpose_init(c, prep->node, prep->in, err));
    prep->flops = 2.0 * (double)pi_tensor_n(prep->in[0]) * (double)(c->out_channels / c->group) *
                  (double)c->w.kernel[0] * (double)c->w.kernel[1] * (double)c->w.kernel[2];
    return PI_E_OK;
}

/* The input place that reaches output place `o` through tap k, or -1. */
static int64_t source(const pi_window *w, int i, int64_t o, int64_t k)
{
    int64_t t = o + w->pad[i] - k * w->dilation[i];
    return t >= 0 && t % w->stride[i] == 0 && t / w->stride[i] < w->in[i] ? t / w->stride[i] : -1;
}

/* One row (b, oc, od, oh) of Y, places [from, from + n): rows of X are spread with the stride. */
static void transpose_row(const pi_conv *c, const pi_call *call, int64_t b, int64_t oc, int64_t od, int64_t oh,
                          int64_t from, int64_t n, double *acc)
{
    const pi_window *w = &c->w;
    const pi_tensor *x = call->in[0], *wt = call->in[1];
    int64_t per_group = w->channels / c->group, out_group = c->out_channels / c->group;
    int64_t first = oc / out_group * per_group, taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    double row[PI_BLOCK], weight;
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t kw = tap % w->kernel[2], kh = tap / w->kernel[2] % w->kernel[1], kd = tap / w->kernel[2] / w->kernel[1];
        int64_t id = source(w, 0, od, kd), ih = source(w, 1, oh, kh);
        if (id < 0 || ih < 0) continue;
        /* iw * stride + shift is the place in acc */
        int64_t shift = kw * w->dilation[2] - w->pad[2] - from, s = w->stride[2];
        int64_t lo = shift >= 0 ? 0 : (-shift + s - 1) / s;
        int64_t hi = shift >= n ? 0 : pi_min_i64(w->in[2], (n - 1 - shift) / s + 1);
        if (lo >= hi) continue;
        for (int64_t ic = first; ic < first + per_group; ic++) {
            int64_t at = b * c->x.batch + ic * c->x.channel + id * c->x.space[0] + ih * c->x.space[1] + lo * c->x.space[2];
            pi_read_f64(x->dtype, pi_at(x->data, x->dtype, at), c->x.space[2], hi - lo, row);
            pi_read_f64(wt->dtype, pi_at(wt->data, wt->dtype, (ic * out_group + oc % out_group) * taps + tap), 1, 1, &weight);
            for (int64_t i = lo; i < hi; i++) acc[i * s + shift] += weight * row[i - lo];
        }
    }
}

static pi_status transpose_run(const pi_call *call, pi_error *err) { return pi_conv_rows(call, transpose_row, err); }

/* ---- rows ---- */

static const pi_impl transpose_impls[] = {{"few", pi_conv_few_refuse, pi_conv_few_prepare, pi_conv_few_run, 0},
                                          {"fip", pi_conv_transpose_fip_refuse, pi_conv_transpose_fip_prepare,
                                           pi_conv_transpose_own_run, 8 | PI_INEXACT},
                                          {"onednn", pi_conv_dnnl_refuse, pi_conv_dnnl_prepare, pi_conv_dnnl_run, 8},
                                          {"own", pi_conv_transpose_own_refuse, pi_conv_transpose_own_prepare,
                                           pi_conv_transpose_own_run, 8},
                                          {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
                                          {"ref", NULL, transpose_prepare, transpose_run, 0}, {0}};

#define TRANSPOSE_ATTRS                                                                                             \
    {"auto_pad", PI_ATTR_STRING, false, 0, 0, "NOTSET"}, {"dilations", PI_ATTR_INTS, false, 0, 0, NULL},               \
        {"group", PI_ATTR_INT, false, 1, 0, NULL}, {"kernel_shape", PI_ATTR_INTS, false, 0, 0, NULL},                  \
        {"output_padding", PI_ATTR_INTS, false, 0, 0, NULL}, {"output_shape", PI_ATTR_INTS, false, 0, 0, NULL},        \
        {"pads", PI_ATTR_INTS, false, 0, 0, NULL}, {"strides", PI_ATTR_INTS, false, 0, 0, NULL}
static const pi_attr_def transpose_attrs[] = {TRANSPOSE_ATTRS, {0}};
static const pi_attr_def fused_attrs[] = {TRANSPOSE_ATTRS,
                                          {"nhwc", PI_ATTR_INT, false, 0, 0, NULL},
                                          {"act", PI_ATTR_INT, false, 0, 0, NULL},
                                          {"act_a", PI_ATTR_FLOAT, false, 0, 0, NULL},
                                          {"act_b", PI_ATTR_FLOAT, false, 0, 0, NULL},
                                          {0}};

static const pi_op rows[] = {
    {.name = "ConvTranspose", .since = 1, .signature = "X:T W:T B?:T -> Y:T", .T = PI_FLOATS,
     .attrs = transpose_attrs, .infer = transpose_infer, .impls = transpose_impls},
    {.domain = "pyinfer", .name = "ConvTranspose", .since = 1, .signature = "X:T W:T B?:T Z?:T -> Y:T", .T = PI_FLOATS,
     .attrs = fused_attrs, .infer = transpose_infer, .impls = transpose_impls},
};
const pi_op_family pi_ops_conv_transpose = {rows, PI_COUNT(rows)};
