/* SPDX-License-Identifier: Apache-2.0 */
/* Conv and ConvTranspose through oneDNN: constant weights are packed once for the model, the epilogue is fused. */
#include <string.h>
#include "base/cpu.h"
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "onednn/onednn.h"
#include "ops/conv.h"
#include "ops/ops.h"

typedef struct {
    pi_dnnl *object;
    pi_act late; /* or NONE */
    const void *weights; /* packed; NULL: in[1] as it is */
    const void *bias;    /* or NULL: in[2] as it is */
    size_t pack_bytes;   /* not 0: weights that vary are packed in each run, into the front of the scratch */
} dnnl_state;

static bool is_transpose(const pi_node *node) { return strcmp(node->op->name, "ConvTranspose") == 0; }

static pi_status init(pi_conv *c, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    return is_transpose(node) ? pi_conv_transpose_init(c, node, in, err) : pi_conv_init(c, node, in, err);
}

/* A column, [H, 1], is a row, [1, H], in the same memory; oneDNN works along rows: 56 GFLOP/s became 233 (64 taps of 128 channels). */
static bool is_column(const pi_window *w)
{
    return w->spatial == 2 && w->in[1] > 1 && w->in[2] == 1 && w->out[2] == 1 && w->kernel[2] == 1;
}

/* The problem as oneDNN has it. */
static void describe(const pi_conv *c, const pi_node *node, const pi_tensor *const *in, bool weights_vary, pi_dnnl_conv *d)
{
    const pi_window *w = &c->w;
    *d = (pi_dnnl_conv){.spatial = w->spatial, .transposed = is_transpose(node), .src_type = in[0]->dtype,
                        .weights_type = in[1]->dtype, .dst_type = in[0]->dtype, .src_last = w->nhwc, .dst_last = w->nhwc,
                        .n = w->batch, .ic = w->channels, .oc = c->out_channels, .groups = c->group,
                        .bias = node->n_explicit > 2 && in[2], .weights_vary = weights_vary};
    for (int i = 0; i < w->spatial; i++) {
        int j = 3 - w->spatial + (is_column(w) ? 1 - i : i);
        d->in[i] = w->in[j];
        d->out[i] = w->out[j];
        d->kernel[i] = w->kernel[j];
        d->stride[i] = w->stride[j];
        d->dilation[i] = w->dilation[j];
        d->pad_begin[i] = w->pad[j];
        d->pad_end[i] = w->pad_end[j];
        if (d->transposed) /* what makes `out` right, output_padding included */
            d->pad_end[i] = w->stride[j] * (w->in[j] - 1) + (w->kernel[j] - 1) * w->dilation[j] + 1 - w->out[j] - w->pad[j];
    }
    d->end.act = c->act;
    d->end.residual = node->n_explicit > 3 && in[3] ? PI_DNNL_SUM : PI_DNNL_NO_RESIDUAL;
}

enum { FEW = 8, FEW_PIXELS = 63 }; /* output channels of a group: our own tiles are wider; all pixels of Y */

/* Of oneDNN's time, Zen 4: lines a tenth, 7x7 0.7, 3x3 0.75 to 0.95, where a pass for the activation does not follow on a small image. */
static bool own_depthwise(const pi_conv *c, const pi_tensor *weights)
{
    const pi_window *w = &c->w;
    if (weights->dim[1] != 1 || weights->dim[0] != w->channels) return false;
    return w->spatial == 1 || (w->spatial == 2 && (!pi_act_is_late(c->act) || w->in[1] * w->in[2] > 10000));
}

const char *pi_conv_dnnl_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    const char *why;
    if (!pi_dnnl_available(&why)) return why;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[0]) == 0 || pi_tensor_n(in[1]) == 0) return "no elements";
    if (init(&c, node, in, NULL) != PI_E_OK) return "attributes";
    if (!is_transpose(node) && own_depthwise(&c, in[1]) && !pi_conv_own_refuse(node, in, out))
        return PI_SLOWER "rows of our own kernel are quicker";
    if (!is_transpose(node) && c.group == 1 && c.w.batch * c.w.out[0] * c.w.out[1] * c.w.out[2] <= FEW_PIXELS &&
        !pi_conv_own_refuse(node, in, out))
        return PI_SLOWER "few pixels: packed panels come from memory faster"; /* squeeze-and-excite, EfficientNet-B0: see matmul_onednn.c */
    if (!is_transpose(node) && pi_conv_dots(&c) && !pi_conv_own_refuse(node, in, out))
        return PI_SLOWER "few channels: our own vectors go along the window";
    bool wide = in[1]->dim[0] / c.group >= FEW || (c.group == c.w.channels && c.group == c.out_channels);
    if (!is_transpose(node) && !pi_cpu_has(PI_CPU_AVX512) && wide && !pi_conv_own_refuse(node, in, out))
        return PI_SLOWER "our own kernel is quicker without AVX-512";
    return NULL; /* what oneDNN itself says shows in prepare: asking it twice would cost a quarter more */
}

static void residual_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    char *const *p = arg;
    memcpy(p[0] + begin, p[1] + begin, (size_t)(end - begin));
}

/* Measured on Zen 4 for each element: SiLU 0.53 ns in oneDNN's epilogue, 0.25 ns here; GELU 0.73 and 0.38. */
bool pi_act_is_late(pi_act act)
{
    return act.kind == PI_ACT_SILU || act.kind == PI_ACT_GELU_ERF || act.kind == PI_ACT_GELU_TANH ||
           act.kind == PI_ACT_MISH || act.kind == PI_ACT_SIGMOID || act.kind == PI_ACT_TANH || act.kind == PI_ACT_ELU ||
           act.kind == PI_ACT_SELU;
}

typedef struct {
    pi_act act;
    float *y;
} late_task;

static void late_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const late_task *t = arg;
    pi_eltwise()->act_f32(t->act, (size_t)(end - begin), t->y + begin, t->y + begin);
}

void pi_late_act(const pi_call *call, pi_act act)
{
    late_task t = {act, call->out[0]->data};
    pi_parallel(call->run->threads, pi_tensor_n(call->out[0]), 1 << 14, late_chunk, &t);
}

void pi_residual_into(const pi_call *call, const pi_tensor *residual)
{
    char *p[] = {call->out[0]->data, residual->data};
    int64_t bytes = pi_tensor_n(residual) * (int64_t)pi_dtype_size(residual->dtype);
    if (p[0] != p[1]) pi_parallel(call->run->threads, bytes, 1 << 18, residual_chunk, p);
}

static pi_status pack(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    return pi_dnnl_pack(arg, source->data, out, err);
}

/* ---- neighbours: few channels of several pixels side by side are the channels of one ---- */

enum { LANES = 16 }; /* a register: fewer output channels leave some of it idle */

/* Pixels whose channels fill a register. The window grows by a stride for each, so that it must be wide enough. */
static int64_t neighbours(const pi_conv *c)
{
    const pi_window *w = &c->w;
    int64_t n = LANES / c->out_channels;
    while (n > 1 && (w->out[2] % n || 4 * (w->kernel[2] + (n - 1) * w->stride[2]) > 3 * n * w->kernel[2])) n--;
    return n;
}

const char *pi_conv_neighbours_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    if (!pi_cpu_has(PI_CPU_AVX512)) return "only registers of 16";
    if (pi_conv_init(&c, node, in, NULL) != PI_E_OK || !c.w.nhwc) return "only channels-last";
    if (c.group != 1 || c.w.dilation[2] != 1) return "only one group, without dilation";
    for (uint32_t i = 1; i < 3 && i < node->n_explicit; i++)
        if (in[i] && (!node->in[i] || !node->in[i]->constant)) return "only constant weights";
    if (c.out_channels < LANES / 4 || c.out_channels > LANES / 2) return "only 4 to 8 output channels";
    if (neighbours(&c) < 2) return "the window is too narrow, or pixels do not come in pairs";
    return pi_conv_dnnl_refuse(node, in, out); /* last: what it calls slower may be tried all the same */
}

typedef struct {
    pi_dnnl *object;
    float *wide;
    int64_t n, stride, kernel; /* of the last axis */
} widened;

/* Output channel j * oc + o has the window of o, j strides further. */
static pi_status pack_wide(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    const widened *p = arg;
    int64_t oc = source->dim[0], rows = pi_tensor_n(source) / p->kernel, each = rows / oc, width = p->kernel + (p->n - 1) * p->stride;
    const float *from = source->data;
    memset(p->wide, 0, (size_t)(p->n * rows * width) * sizeof *p->wide);
    for (int64_t j = 0; j < p->n; j++)
        for (int64_t r = 0; r < rows; r++)
            memcpy(p->wide + (j * oc * each + r) * width + j * p->stride, from + r * p->kernel, (size_t)p->kernel * sizeof *from);
    return pi_dnnl_pack(p->object, p->wide, out, err);
}

static pi_status repeat(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    const int64_t *n = arg;
    size_t bytes = (size_t)pi_tensor_n(source) * sizeof(float);
    (void)err;
    for (int64_t j = 0; j < *n; j++) memcpy((char *)out + (size_t)j * bytes, source->data, bytes);
    return PI_E_OK;
}

pi_status pi_conv_neighbours_prepare(pi_prep *prep, pi_error *err)
{
    pi_conv c;
    pi_dnnl_conv d;
    dnnl_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_init(&c, prep->node, prep->in, err));
    describe(&c, prep->node, prep->in, false, &d);
    int last = d.spatial - 1;
    widened p = {.n = neighbours(&c), .stride = d.stride[last], .kernel = d.kernel[last]};
    d.oc *= p.n;
    d.out[last] /= p.n;
    d.kernel[last] += (p.n - 1) * p.stride;
    d.stride[last] *= p.n;
    s->late = pi_act_is_late(c.act) ? c.act : (pi_act){PI_ACT_NONE, 0, 0};
    if (s->late.kind != PI_ACT_NONE) d.end.act = (pi_act){PI_ACT_NONE, 0, 0};
    double flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)d.ic * (double)(c.w.kernel[0] * c.w.kernel[1] * c.w.kernel[2]);
    PI_TRY(pi_dnnl_conv_new(&s->object, &d, pi_prep_threads(prep, flops), err));
    PI_TRY(pi_prep_own(prep, pi_dnnl_free, s->object, err));
    prep->isa = pi_dnnl_impl_name(s->object);
    pi_dnnl_weights_info info;
    pi_dnnl_weights(s->object, &info);
    if (info.as_is) return pi_fail(err, PI_E_UNSUPPORTED, "oneDNN does not pack the weights");
    size_t bytes = (size_t)pi_tensor_n(prep->in[1]) / (size_t)p.kernel * (size_t)(p.n * d.kernel[last]) * sizeof(float);
    if (!(p.wide = pi_prep_buffer(prep, bytes, err))) return pi_alloc_status(err);
    p.object = s->object;
    PI_TRY(pi_prep_pack(prep, 1, info.key, info.key_bytes, info.bytes, pack_wide, &p, &s->weights, err));
    pi_prep_drop(prep, 1);
    if (d.bias) {
        int64_t key[] = {'b', p.n};
        bytes = (size_t)d.oc * sizeof(float);
        PI_TRY(pi_prep_pack(prep, 2, key, sizeof key, bytes, repeat, &p.n, &s->bias, err));
    }
    prep->scratch = pi_dnnl_scratch(s->object);
    return PI_E_OK;
}

/* ---- as it stands ---- */

pi_status pi_conv_dnnl_prepare(pi_prep *prep, pi_error *err)
{
    pi_conv c;
    pi_dnnl_conv d;
    dnnl_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(init(&c, prep->node, prep->in, err));
    bool constant = pi_prep_is_const(prep, 1);
    describe(&c, prep->node, prep->in, !constant, &d);
    double flops = 2.0 * (double)pi_tensor_n(d.transposed ? prep->in[0] : prep->out[0]) *
                  (double)((d.transposed ? d.oc : d.ic) / d.groups) * (double)c.w.kernel[0] * (double)c.w.kernel[1] *
                  (double)c.w.kernel[2];
    int threads = pi_prep_threads(prep, flops);
    s->late = pi_act_is_late(c.act) ? c.act : (pi_act){PI_ACT_NONE, 0, 0};
    if (s->late.kind != PI_ACT_NONE) d.end.act = (pi_act){PI_ACT_NONE, 0, 0};
    pi_status st = pi_dnnl_conv_new(&s->object, &d, threads, err);
    if (st == PI_E_UNSUPPORTED && d.weights_vary) { /* plain weights leave oneDNN little choice */
        d.weights_vary = false;
        st = pi_dnnl_conv_new(&s->object, &d, threads, err);
    }
    if (st != PI_E_OK) return st;
    PI_TRY(pi_prep_own(prep, pi_dnnl_free, s->object, err));
    prep->isa = pi_dnnl_impl_name(s->object);
    pi_dnnl_weights_info info;
    pi_dnnl_weights(s->object, &info);
    if (constant && !info.as_is) {
        PI_TRY(pi_prep_pack(prep, 1, info.key, info.key_bytes, info.bytes, pack, s->object, &s->weights, err));
        pi_prep_drop(prep, 1);
    }
    if (!constant && !info.as_is && !d.weights_vary) s->pack_bytes = (info.bytes + 63) / 64 * 64;
    if (!pi_add(s->pack_bytes, pi_dnnl_scratch(s->object), &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the scratch is too large");
    return PI_E_OK;
}

pi_status pi_conv_dnnl_run(const pi_call *call, pi_error *err)
{
    const dnnl_state *s = call->state;
    const pi_node *node = call->node;
    pi_dnnl_args args = {.src = call->in[0]->data, .weights = s->weights ? s->weights : call->in[1]->data,
                         .dst = call->out[0]->data, .scratch = call->scratch};
    if (node->n_explicit > 2 && call->in[2]) args.bias = s->bias ? s->bias : call->in[2]->data;
    if (node->n_explicit > 3 && call->in[3]) pi_residual_into(call, call->in[3]);
    if (s->pack_bytes) {
        PI_TRY(pi_dnnl_pack(s->object, call->in[1]->data, call->scratch, err));
        args.weights = call->scratch;
        args.scratch = (char *)call->scratch + s->pack_bytes;
    }
    PI_TRY(pi_dnnl_run(s->object, &args, err));
    if (s->late.kind != PI_ACT_NONE) pi_late_act(call, s->late);
    return PI_E_OK;
}
