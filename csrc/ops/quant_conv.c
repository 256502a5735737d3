/* SPDX-License-Identifier: Apache-2.0 */
/* ConvInteger and QLinearConv. X becomes channels-last 16-bit numbers less their zero point, so the padding is 0; a
 * thread gathers the windows of some places as rows (im2col), which meet the weights in panels of 16 output channels.
 */
#include "ops/quant_conv.h"

#include <string.h>

#include "base/threads.h"
#include "kernels/layout/layout.h"
#include "kernels/quant/quant_linear.h"
#include "kernels/quant/quant_panel.h"
#include "ops/block.h"

enum { PLACES = 32, COLUMNS = PI_QUANT_COLUMNS, WIDEN = 256 };

typedef pi_quant_conv_operands operands;

typedef struct {
    pi_quant_conv q;
    bool depthwise;             /* each output channel has one of X: weights are packed as taps x channels */
    int64_t panels_all;         /* of all groups; depthwise: output channels */
    int64_t pairs, panels, row; /* of a window; of the output channels of a group; elements of a row of sums */
    const int16_t *packed;      /* or NULL: packed in each run, in the scratch */
    size_t x_at, weights_at, scales_at, own_at; /* in the scratch */
    size_t sums_off, bytes_off, own_bytes;      /* in the scratch of one thread, behind its windows; of all of it */
} problem;

typedef struct {
    const problem *p;
    const operands *o;
    pi_quant_panel_fn panel;
    const int16_t *weights;
    int16_t *x, *weights_out;
    float *scales;
    char *own;
    pi_tensor *y;
} work;

/* ---- shared ---- */

operands pi_quant_conv_of(const pi_node *node, const pi_tensor *const *in)
{
    operands o = {.x = in[0]};
    if (node->op->name[0] == 'C') {
        o.w = in[1], o.w_index = 1;
        o.x_zero = pi_move_in(node, in, 2);
        o.w_zero = pi_move_in(node, in, 3);
    } else {
        o.x_scale = in[1], o.x_zero = in[2], o.w = in[3], o.w_index = 3, o.w_scale = in[4], o.w_zero = in[5];
        o.y_scale = in[6], o.y_zero = in[7], o.bias = pi_move_in(node, in, 8);
    }
    return o;
}

static pi_status check_each(const pi_tensor *t, const char *name, int64_t each, pi_error *err)
{
    char text[160];
    if (!t || pi_tensor_n(t) == 1 || (t->rank == 1 && t->dim[0] == each)) return PI_E_OK;
    return pi_fail(err, PI_E_MODEL, "%s is %s, expected 1 or %lld elements", name, pi_tensor_text(t, text, sizeof text),
                   (long long)each);
}

pi_status pi_quant_conv_open(const pi_node *node, const pi_tensor *const *in, pi_quant_conv *p, pi_error *err)
{
    operands o = pi_quant_conv_of(node, in);
    const pi_tensor *pair[4] = {o.x, o.w, NULL, NULL};
    memset(p, 0, sizeof *p);
    PI_TRY(pi_conv_init(&p->c, node, pair, err));
    const pi_window *w = &p->c.w;
    int64_t oc = p->c.out_channels;
    PI_TRY(check_each(o.x_zero, "the zero point of x", 1, err));
    PI_TRY(check_each(o.x_scale, "the scale of x", 1, err));
    PI_TRY(check_each(o.y_zero, "the zero point of y", 1, err));
    PI_TRY(check_each(o.y_scale, "the scale of y", 1, err));
    PI_TRY(check_each(o.w_zero, "the zero point of w", oc, err));
    PI_TRY(check_each(o.w_scale, "the scale of w", oc, err));
    if (o.bias && (o.bias->rank != 1 || o.bias->dim[0] != oc))
        return pi_fail(err, PI_E_MODEL, "B has another length than the %lld output channels", (long long)oc);
    p->k = pi_dims_product(o.w, 1, o.w->rank);
    p->places = w->out[0] * w->out[1] * w->out[2];
    p->in_places = w->in[0] * w->in[1] * w->in[2];
    return PI_E_OK;
}

void pi_quant_conv_scales(const pi_quant_conv *p, const operands *o, float *scale)
{
    float of_x = *(const float *)o->x_scale->data, of_y = *(const float *)o->y_scale->data;
    for (int64_t oc = 0; oc < p->c.out_channels; oc++)
        scale[oc] = of_x * ((const float *)o->w_scale->data)[pi_tensor_n(o->w_scale) == 1 ? 0 : oc] / of_y;
}

int32_t pi_quant_conv_zero(const operands *o, int64_t oc)
{
    return o->w_zero ? (int32_t)pi_tensor_int(o->w_zero, pi_tensor_n(o->w_zero) == 1 ? 0 : oc) : 0;
}

void pi_quant_conv_store(const pi_quant_conv *p, const operands *o, pi_tensor *y, int64_t b, int64_t first, int64_t n,
                         const int32_t *sums, int64_t sums_row, const float *scale, void *bytes)
{
    int64_t oc = p->c.out_channels, elem = o->y_scale ? 1 : (int64_t)sizeof(int32_t), row = o->y_scale ? oc : sums_row;
    char *to = (char *)y->data + (b * oc * p->places + first) * elem;
    if (p->c.w.nhwc) bytes = (char *)y->data + (b * p->places + first) * oc;
    if (o->y_scale)
        pi_quant_linear_select()->requantize(bytes, oc, sums, sums_row, n, oc, o->bias ? o->bias->data : NULL, scale,
                                             (float)pi_tensor_int(o->y_zero, 0), y->dtype == PI_DTYPE_I8);
    if (!p->c.w.nhwc)
        pi_transpose_select((size_t)elem)(o->y_scale ? bytes : (const void *)sums, row * elem, to, p->places * elem, n,
                                          oc);
}

static pi_status conv_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_quant_conv p;
    PI_TRY(pi_quant_conv_open(node, in, &p, err));
    pi_window_output(&p.c.w, p.c.out_channels, out);
    return PI_E_OK;
}

/* ---- panels ---- */

/* Panel `unit`, counted through all groups: k goes over places of the window, then channels. */
static void pack_panel(const problem *p, const operands *o, int64_t unit, const void *weights, int16_t *out)
{
    if (p->depthwise) {
        pi_quant_widen((const char *)weights + unit * p->q.k, o->w->dtype == PI_DTYPE_I8, 1,
                       pi_quant_conv_zero(o, unit), out + unit, p->q.c.out_channels, p->q.k);
        return;
    }
    int64_t per_group = p->q.c.out_channels / p->q.c.group, first = unit % p->panels * COLUMNS;
    int64_t channels = p->q.c.w.channels / p->q.c.group, taps = p->q.k / channels;
    int16_t *to = out + unit * p->pairs * 2 * COLUMNS;
    memset(to, 0, (size_t)p->pairs * 4 * COLUMNS);
    for (int64_t j = 0; j < COLUMNS && first + j < per_group; j++) {
        int64_t oc = unit / p->panels * per_group + first + j;
        int32_t zero = pi_quant_conv_zero(o, oc);
        const char *w = (const char *)weights + oc * p->q.k;
        for (int64_t t = 0, k = 0; t < taps; t++)
            for (int64_t c = 0; c < channels; c++, k++)
                pi_quant_widen(w + c * taps + t, o->w->dtype == PI_DTYPE_I8, 1, zero,
                               to + k / 2 * 2 * COLUMNS + 2 * j + k % 2, 1, 1);
    }
}

typedef struct {
    const problem *p;
    const operands *o;
} pack_arg;

static pi_status pack_all(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    (void)err;
    const pack_arg *a = arg;
    for (int64_t u = 0; u < a->p->panels_all; u++) pack_panel(a->p, a->o, u, source->data, out);
    return PI_E_OK;
}

static void panels_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    for (int64_t u = begin; u < end; u++) pack_panel(w->p, w->o, u, w->o->w->data, w->weights_out);
}

static bool put(size_t *total, size_t bytes, size_t *at)
{
    *at = *total;
    return bytes <= SIZE_MAX / 2 && pi_add(*total, (bytes + 63) / 64 * 64, total);
}

static pi_status conv_prepare(pi_prep *prep, pi_error *err)
{
    problem *p = prep->state = pi_prep_alloc(prep, sizeof *p, err);
    if (!p) return pi_alloc_status(err);
    PI_TRY(pi_quant_conv_open(prep->node, prep->in, &p->q, err));
    operands o = pi_quant_conv_of(prep->node, prep->in);
    int64_t oc = p->q.c.out_channels, group = p->q.c.group;
    p->pairs = p->q.k / 2 + p->q.k % 2;
    p->panels = (oc / group + COLUMNS - 1) / COLUMNS;
    p->depthwise = group == oc && group == p->q.c.w.channels;
    p->panels_all = p->depthwise ? oc : group * p->panels;
    p->row = oc + COLUMNS; /* a panel's last columns may hang over */
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)p->q.k;
    size_t weights, x, own, total = 0, windows, rows;
    bool fits = pi_mul((size_t)(group * p->panels), COLUMNS * 4, &weights) &&
                pi_mul(weights, (size_t)p->pairs, &weights) && pi_mul((size_t)pi_tensor_n(o.x), sizeof(int16_t), &x) &&
                put(&total, x, &p->x_at) && pi_mul((size_t)p->pairs, 4 * PLACES, &windows) &&
                put(&p->own_bytes, windows, &own) && pi_mul((size_t)p->row, 4 * PLACES, &rows) &&
                put(&p->own_bytes, rows, &p->sums_off) && put(&p->own_bytes, (size_t)oc * PLACES, &p->bytes_off);
    struct {
        char name[16];
        int64_t group, k, taps; /* and so depthwise */
        uint64_t zeros;         /* the packed form depends on them */
    } key = {.name = "quant_conv_b16",
             .group = group,
             .k = p->q.k,
             .taps = p->q.k * group / pi_max_i64(1, p->q.c.w.channels)};
    bool constant = fits && weights > 0 && pi_prep_is_const(prep, o.w_index) && (!o.w_zero || o.w_zero->data);
    if (constant) {
        pack_arg arg = {p, &o};
        const void *packed;
        key.zeros = pi_quant_zeros_hash(o.w_zero);
        PI_TRY(pi_prep_pack(prep, o.w_index, &key, sizeof key, weights, pack_all, &arg, &packed, err));
        p->packed = packed;
        pi_prep_drop(prep, o.w_index);
    }
    fits = fits && put(&total, constant ? 0 : weights, &p->weights_at) &&
           put(&total, (size_t)oc * sizeof(float), &p->scales_at) &&
           pi_mul(p->own_bytes, (size_t)prep->threads, &own) && put(&total, own, &p->own_at);
    prep->scratch = total;
    return fits ? PI_E_OK : pi_fail(err, PI_E_LIMIT, "the window is too large");
}

/* Units: pieces of WIDEN places of an image of X, which become channels-last and 16-bit. */
static void widen_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const pi_quant_conv *q = &w->p->q;
    int64_t channels = q->c.w.channels, pieces = (q->in_places + WIDEN - 1) / WIDEN;
    int32_t zero = w->o->x_zero ? (int32_t)pi_tensor_int(w->o->x_zero, 0) : 0;
    int is_signed = w->o->x->dtype == PI_DTYPE_I8;
    pi_transpose_fn transpose = pi_transpose_select(2);
    for (int64_t u = begin; u < end; u++) {
        int64_t b = u / pieces, first = u % pieces * WIDEN, n = pi_min_i64(WIDEN, q->in_places - first);
        if (q->c.w.nhwc) {
            int64_t at = (b * q->in_places + first) * channels;
            pi_quant_widen((const char *)w->o->x->data + at, is_signed, 1, zero, w->x + at, 1, n * channels);
            continue;
        }
        int16_t wide[8 * WIDEN];
        for (int64_t c = 0, some; c < channels; c += some) {
            some = pi_min_i64(8, channels - c);
            for (int64_t i = 0; i < some; i++)
                pi_quant_widen((const char *)w->o->x->data + (b * channels + c + i) * q->in_places + first, is_signed,
                               1, zero, wide + i * WIDEN, 1, n);
            transpose((const char *)wide, WIDEN * 2, (char *)(w->x + (b * q->in_places + first) * channels + c),
                      channels * 2, some, n);
        }
    }
}

/* Where the window of an output place begins. */
static void window_start(const pi_window *g, int64_t place, int64_t start[3])
{
    for (int i = 2; i >= 0; i--) {
        start[i] = place % g->out[i] * g->stride[i] - g->pad[i];
        place /= g->out[i];
    }
}

/* The place of X under place t of the window, or -1: it hangs over. */
static int64_t window_place(const pi_window *g, const int64_t start[3], int64_t t)
{
    int64_t x = start[2] + t % g->kernel[2] * g->dilation[2],
            y = start[1] + t / g->kernel[2] % g->kernel[1] * g->dilation[1];
    int64_t z = start[0] + t / g->kernel[2] / g->kernel[1] * g->dilation[0];
    if (z < 0 || z >= g->in[0] || y < 0 || y >= g->in[1] || x < 0 || x >= g->in[2]) return -1;
    return (z * g->in[1] + y) * g->in[2] + x;
}

/* The window of an output place over the channels of a group, as a row. */
static void gather_row(const work *w, int64_t b, int64_t group, int64_t place, int16_t *to)
{
    const pi_quant_conv *q = &w->p->q;
    const pi_window *g = &q->c.w;
    int64_t channels = g->channels / q->c.group, taps = q->k / channels, start[3];
    size_t bytes = (size_t)channels * sizeof(int16_t);
    const int16_t *x = w->x + b * q->in_places * g->channels + group * channels;
    window_start(g, place, start);
    for (int64_t t = 0; t < taps; t++, to += channels) {
        int64_t at = window_place(g, start, t);
        if (at < 0)
            memset(to, 0, bytes);
        else
            memcpy(to, x + at * g->channels, bytes);
    }
}

/* The sums of all channels of one output place. */
static void depthwise_row(const work *w, int64_t b, int64_t place, int32_t *sums)
{
    const pi_quant_conv *q = &w->p->q;
    const pi_window *g = &q->c.w;
    int64_t channels = g->channels, start[3];
    const int16_t *x = w->x + b * q->in_places * channels, *weights = w->weights;
    window_start(g, place, start);
    memset(sums, 0, (size_t)channels * sizeof *sums);
    for (int64_t t = 0; t < q->k; t++, weights += channels) {
        int64_t at = window_place(g, start, t);
        const int16_t *from = x + (at < 0 ? 0 : at) * channels;
        for (int64_t c = 0; at >= 0 && c < channels; c++)
            sums[c] = (int32_t)((uint32_t)sums[c] + (uint32_t)((int32_t)from[c] * weights[c]));
    }
}

/* Units: blocks of PLACES of an image. */
static void conv_task(void *arg, int64_t begin, int64_t end, int thread)
{
    const work *w = arg;
    const problem *p = w->p;
    char *own = w->own + (size_t)thread * p->own_bytes;
    int16_t *rows = (int16_t *)(void *)own;
    int32_t *sums = (int32_t *)(void *)(own + p->sums_off);
    int64_t per_group = p->q.c.out_channels / p->q.c.group, blocks = (p->q.places + PLACES - 1) / PLACES,
            size = 2 * p->pairs;
    for (int64_t u = begin; u < end; u++) {
        int64_t b = u / blocks, first = u % blocks * PLACES, n = pi_min_i64(PLACES, p->q.places - first);
        for (int64_t i = 0; p->depthwise && i < n; i++) depthwise_row(w, b, first + i, sums + i * p->row);
        for (int64_t g = 0; !p->depthwise && g < p->q.c.group; g++) {
            for (int64_t i = 0; i < n; i++) {
                rows[i * size + size - 1] = 0;
                gather_row(w, b, g, first + i, rows + i * size);
            }
            for (int64_t j = 0; j < p->panels; j++)
                w->panel(rows, size, w->weights + (g * p->panels + j) * size * COLUMNS, p->pairs,
                         sums + g * per_group + j * COLUMNS, p->row, n);
        }
        pi_quant_conv_store(&p->q, w->o, w->y, b, first, n, sums, p->row, w->scales, own + p->bytes_off);
    }
}

static pi_status conv_run(const pi_call *call, pi_error *err)
{
    const problem *p = call->state;
    const pi_quant_conv *q = &p->q;
    operands o = pi_quant_conv_of(call->node, call->in);
    char *scratch = call->scratch;
    PI_TRY(pi_move_outputs(call, err));
    if (pi_tensor_n(call->out[0]) == 0) return PI_E_OK;
    work w = {.p = p, .o = &o, .panel = pi_quant_panel_select(), .weights = p->packed, .y = call->out[0]};
    int threads = call->run->threads;
    w.x = (int16_t *)(void *)(scratch + p->x_at);
    w.scales = (float *)(void *)(scratch + p->scales_at);
    w.own = scratch + p->own_at;
    if (o.y_scale) pi_quant_conv_scales(q, &o, w.scales);
    if (!w.weights) {
        w.weights = w.weights_out = (int16_t *)(void *)(scratch + p->weights_at);
        pi_parallel(threads, p->panels_all, 1024 / (p->pairs + 1) + 1, panels_task, &w);
    }
    pi_parallel(threads, q->c.w.batch * ((q->in_places + WIDEN - 1) / WIDEN), 64 / (q->c.w.channels + 1) + 1,
                widen_task, &w);
    pi_parallel(threads, q->c.w.batch * ((q->places + PLACES - 1) / PLACES), 1, conv_task, &w);
    return PI_E_OK;
}

static const pi_impl impls[] = {
    {"onednn", pi_quant_conv_dnnl_refuse, pi_quant_conv_dnnl_prepare, pi_quant_conv_dnnl_run, 0},
    {.name = "panels", .prepare = conv_prepare, .run = conv_run},
    {0},
};

#define CONV_ATTRS                                                                                            \
    {.name = "auto_pad", .kind = PI_ATTR_STRING, .s = "NOTSET"}, {.name = "dilations", .kind = PI_ATTR_INTS}, \
        {.name = "group", .kind = PI_ATTR_INT, .i = 1}, {.name = "kernel_shape", .kind = PI_ATTR_INTS},       \
        {.name = "pads", .kind = PI_ATTR_INTS},                                                               \
    {                                                                                                         \
        .name = "strides", .kind = PI_ATTR_INTS                                                               \
    }
static const pi_attr_def attrs[] = {CONV_ATTRS, {0}};
static const pi_attr_def last_attrs[] = {CONV_ATTRS, {.name = "nhwc", .kind = PI_ATTR_INT}, {0}};

#define BYTES (PI_BIT(U8) | PI_BIT(I8))
#define SCALED "x:T x_scale:f32 x_zero_point:T w:U w_scale:f32 w_zero_point:U y_scale:f32 y_zero_point:V B?:i32 -> y:V"
static const pi_op rows[] = {
    {.name = "ConvInteger",
     .since = 10,
     .signature = "x:T w:U x_zero_point?:T w_zero_point?:U -> y:i32",
     .T = BYTES,
     .U = BYTES,
     .attrs = attrs,
     .infer = conv_infer,
     .impls = impls},
    {.name = "QLinearConv",
     .since = 10,
     .signature = SCALED,
     .T = BYTES,
     .U = BYTES,
     .V = BYTES,
     .attrs = attrs,
     .infer = conv_infer,
     .impls = impls},
    {.domain = "pyinfer",
     .name = "QLinearConv",
     .since = 1,
     .signature = SCALED,
     .T = BYTES,
     .U = BYTES,
     .V = BYTES,
     .attrs = last_attrs,
     .infer = conv_infer,
     .impls = impls},
};
const pi_op_family pi_ops_quant_conv = {rows, PI_COUNT(rows)};
