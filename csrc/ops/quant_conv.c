/* SPDX-License-Identifier: Apache-2.0 */
/* ConvInteger and QLinearConv. X becomes channels-last 16-bit numbers less their zero point, with the padding, which is 0,
 * around them. So a window is lines at the same distances wherever it lies, and nothing is gathered: some places of a
 * window's begin meet the weights in panels of 16 output channels. */
#include "ops/quant_conv.h"

#include <string.h>

#include "base/threads.h"
#include "kernels/layout/layout.h"
#include "kernels/quant/quant_linear.h"
#include "kernels/quant/quant_panel.h"
#include "ops/block.h"

enum { PLACES = 48, FEW_PLACES = 12, COLUMNS = PI_QUANT_COLUMNS, WIDEN = 256 };

typedef pi_quant_conv_operands operands;

typedef struct {
    pi_quant_conv q;
    bool depthwise;             /* each output channel has one of X: weights are packed as taps x channels */
    bool lines;                 /* a tap is a line of the window, else one place of it */
    int64_t padded[3], image;   /* X with its padding, as far as windows reach; elements of an image of it */
    pi_quant_taps taps;
    int64_t values;             /* elements of a tap */
    int64_t block;              /* places of Y that meet the weights together */
    int64_t panels_all;         /* of all groups; depthwise: output channels */
    int64_t panels, row;        /* of the output channels of a group; elements of a row of sums */
    const int16_t *packed;      /* or NULL: packed in each run, in the scratch */
    size_t x_at, weights_at, scales_at, own_at; /* in the scratch */
    size_t bytes_off, own_bytes;                /* in the scratch of one thread, behind its sums; of all of it */
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

static int64_t panel_size(const problem *p) { return p->taps.n * p->taps.pairs * 2 * COLUMNS; }

/* Panel `unit`, counted through all groups: k goes over places of the window, then channels. */
static void pack_panel(const problem *p, const operands *o, int64_t unit, const void *weights, int16_t *out)
{
    if (p->depthwise) {
        pi_quant_widen((const char *)weights + unit * p->q.k, o->w->dtype == PI_DTYPE_I8, 1,
                       pi_quant_conv_zero(o, unit), out + unit, p->q.c.out_channels, p->q.k);
        return;
    }
    int64_t per_group = p->q.c.out_channels / p->q.c.group, first = unit % p->panels * COLUMNS;
    int64_t channels = p->q.c.w.channels / p->q.c.group, places = p->q.k / channels;
    int16_t *to = out + unit * panel_size(p);
    memset(to, 0, (size_t)panel_size(p) * sizeof *to);
    for (int64_t j = 0; j < COLUMNS && first + j < per_group; j++) {
        int64_t oc = unit / p->panels * per_group + first + j;
        int32_t zero = pi_quant_conv_zero(o, oc);
        const char *w = (const char *)weights + oc * p->q.k;
        for (int64_t t = 0; t < p->taps.n; t++)
            for (int64_t v = 0; v < p->values; v++) {
                int64_t place = t * (p->values / channels) + v / channels, l = t * p->taps.pairs + v / 2;
                pi_quant_widen(w + v % channels * places + place, o->w->dtype == PI_DTYPE_I8, 1, zero,
                               to + l * 2 * COLUMNS + 2 * j + v % 2, 1, 1);
            }
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

/* X with its padding, and where the taps of a window lie in it. */
static pi_status make_taps(pi_prep *prep, problem *p, pi_error *err)
{
    const pi_window *w = &p->q.c.w;
    int64_t per_group = w->channels / p->q.c.group, line, plane, *offset;
    bool fits;
    p->depthwise = p->q.c.group == p->q.c.out_channels && p->q.c.group == w->channels;
    for (int i = 0; i < 3; i++)
        p->padded[i] = w->out[i] > 0 ? (w->out[i] - 1) * w->stride[i] + (w->kernel[i] - 1) * w->dilation[i] + 1 : 0;
    fits = pi_mul_i64(p->padded[2], w->channels, &line) && pi_mul_i64(line, p->padded[1], &plane) &&
           pi_mul_i64(plane, p->padded[0], &p->image);
    if (!fits) return pi_fail(err, PI_E_LIMIT, "x with its padding is too large");
    p->lines = p->q.c.group == 1 && w->dilation[2] == 1 && !p->depthwise;
    p->values = p->lines ? w->kernel[2] * w->channels : per_group;
    int64_t across = p->lines ? 1 : w->kernel[2];
    p->taps.n = w->kernel[0] * w->kernel[1] * across;
    p->taps.pairs = p->values / 2 + p->values % 2;
    size_t bytes;
    if (!pi_mul((size_t)p->taps.n, sizeof *offset, &bytes)) return pi_fail(err, PI_E_LIMIT, "the window is too large");
    p->taps.offset = offset = pi_prep_alloc(prep, bytes, err);
    if (!offset) return pi_alloc_status(err);
    for (int64_t t = 0; t < p->taps.n; t++)
        offset[t] = t / across / w->kernel[1] * w->dilation[0] * plane +
                    t / across % w->kernel[1] * w->dilation[1] * line + t % across * w->dilation[2] * w->channels;
    return PI_E_OK;
}

static pi_status conv_prepare(pi_prep *prep, pi_error *err)
{
    problem *p = prep->state = pi_prep_alloc(prep, sizeof *p, err);
    if (!p) return pi_alloc_status(err);
    PI_TRY(pi_quant_conv_open(prep->node, prep->in, &p->q, err));
    PI_TRY(make_taps(prep, p, err));
    operands o = pi_quant_conv_of(prep->node, prep->in);
    int64_t oc = p->q.c.out_channels, group = p->q.c.group, batch = p->q.c.w.batch;
    p->panels = (oc / group + COLUMNS - 1) / COLUMNS;
    p->panels_all = p->depthwise ? oc : group * p->panels;
    p->row = oc + COLUMNS; /* a panel's last columns may hang over */
    p->block = pi_min_i64(PLACES, pi_max_i64(FEW_PLACES, batch * p->q.places / 8)); /* a few units at least */
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)p->q.k;
    size_t weights, x, own, total = 0, rows;
    bool fits = pi_mul((size_t)(group * p->panels), COLUMNS * 4, &weights) &&
                pi_mul(weights, (size_t)(p->taps.n * p->taps.pairs), &weights) && pi_mul((size_t)p->image, (size_t)batch, &x) &&
                pi_mul(x, sizeof(int16_t), &x) && pi_add(x, sizeof(int16_t), &x) && put(&total, x, &p->x_at) &&
                pi_mul((size_t)p->row, 4 * PLACES, &rows) && put(&p->own_bytes, rows, &own) &&
                put(&p->own_bytes, (size_t)oc * PLACES, &p->bytes_off);
    struct {
        char name[16];
        int64_t group, k, taps, values; /* and so depthwise */
        uint64_t zeros;         /* the packed form depends on them */
    } key = {.name = "quant_conv_taps",
             .group = group,
             .k = p->q.k,
             .taps = p->q.k * group / pi_max_i64(1, p->q.c.w.channels),
             .values = p->values};
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

/* n places of X of image b from `first` on as 16-bit numbers, channels last. */
static void widen_places(const work *w, int64_t b, int64_t first, int64_t n, int32_t zero, int16_t *to)
{
    const pi_quant_conv *q = &w->p->q;
    int64_t channels = q->c.w.channels;
    int is_signed = w->o->x->dtype == PI_DTYPE_I8;
    const char *x = w->o->x->data;
    if (q->c.w.nhwc || channels == 1) {
        pi_quant_widen(x + (b * q->in_places + first) * channels, is_signed, 1, zero, to, 1, n * channels);
        return;
    }
    pi_transpose_fn transpose = pi_transpose_select(2);
    int16_t wide[8 * WIDEN];
    for (int64_t i0 = 0, some; i0 < n; i0 += some) {
        some = pi_min_i64(WIDEN, n - i0);
        for (int64_t c = 0, lines; c < channels; c += lines) {
            lines = pi_min_i64(8, channels - c);
            for (int64_t i = 0; i < lines; i++)
                pi_quant_widen(x + (b * channels + c + i) * q->in_places + first + i0, is_signed, 1, zero,
                               wide + i * WIDEN, 1, some);
            transpose((const char *)wide, WIDEN * 2, (char *)(to + i0 * channels + c), channels * 2, lines, some);
        }
    }
}

/* Units: lines of X with its padding. */
static void widen_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const problem *p = w->p;
    const pi_window *g = &p->q.c.w;
    int64_t channels = g->channels, left = pi_min_i64(pi_max_i64(0, g->pad[2]), p->padded[2]);
    int64_t stop = pi_max_i64(left, pi_min_i64(p->padded[2], g->in[2] + g->pad[2]));
    int32_t zero = w->o->x_zero ? (int32_t)pi_tensor_int(w->o->x_zero, 0) : 0;
    for (int64_t u = begin; u < end; u++) {
        int16_t *to = w->x + u * p->padded[2] * channels;
        int64_t y = u % p->padded[1] - g->pad[1], z = u / p->padded[1] % p->padded[0] - g->pad[0];
        bool inside = z >= 0 && z < g->in[0] && y >= 0 && y < g->in[1];
        int64_t from = inside ? left : p->padded[2], until = inside ? stop : p->padded[2];
        memset(to, 0, (size_t)(from * channels) * sizeof *to);
        if (from < until)
            widen_places(w, u / p->padded[1] / p->padded[0], (z * g->in[1] + y) * g->in[2] + from - g->pad[2],
                         until - from, zero, to + from * channels);
        memset(to + until * channels, 0, (size_t)((p->padded[2] - until) * channels) * sizeof *to);
    }
}

/* Where the window of an output place begins. */
static const int16_t *window_start(const work *w, int64_t b, int64_t place)
{
    const problem *p = w->p;
    const pi_window *g = &p->q.c.w;
    int64_t x = place % g->out[2] * g->stride[2], y = place / g->out[2] % g->out[1] * g->stride[1];
    int64_t z = place / g->out[2] / g->out[1] * g->stride[0];
    return w->x + b * p->image + ((z * p->padded[1] + y) * p->padded[2] + x) * g->channels;
}

/* The sums of all channels of one output place. */
static void depthwise_row(const work *w, const int16_t *x, int32_t *restrict sums)
{
    const problem *p = w->p;
    int64_t channels = p->q.c.w.channels;
    const int16_t *weights = w->weights;
    memset(sums, 0, (size_t)channels * sizeof *sums);
    for (int64_t t = 0; t < p->q.k; t++, weights += channels) {
        const int16_t *from = x + p->taps.offset[t];
        for (int64_t c = 0; c < channels; c++)
            sums[c] = (int32_t)((uint32_t)sums[c] + (uint32_t)((int32_t)from[c] * weights[c]));
    }
}

/* Units: blocks of places of an image. */
static void conv_task(void *arg, int64_t begin, int64_t end, int thread)
{
    const work *w = arg;
    const problem *p = w->p;
    char *own = w->own + (size_t)thread * p->own_bytes;
    int32_t *sums = (int32_t *)(void *)own;
    const int16_t *start[PLACES];
    int64_t per_group = p->q.c.out_channels / p->q.c.group, channels = p->q.c.w.channels / p->q.c.group;
    int64_t blocks = (p->q.places + p->block - 1) / p->block;
    for (int64_t u = begin; u < end; u++) {
        int64_t b = u / blocks, first = u % blocks * p->block, n = pi_min_i64(p->block, p->q.places - first);
        for (int64_t i = 0; i < n; i++) start[i] = window_start(w, b, first + i);
        for (int64_t i = 0; p->depthwise && i < n; i++) depthwise_row(w, start[i], sums + i * p->row);
        for (int64_t g = 0; !p->depthwise && g < p->q.c.group; g++) {
            for (int64_t j = 0; j < p->panels; j++)
                w->panel(start, n, &p->taps, w->weights + (g * p->panels + j) * panel_size(p),
                         sums + g * per_group + j * COLUMNS, p->row);
            for (int64_t i = 0; i < n; i++) start[i] += channels;
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
        pi_parallel(threads, p->panels_all, 1024 / (p->q.k + 1) + 1, panels_task, &w);
    }
    int64_t batch = q->c.w.batch, line = p->padded[2] * q->c.w.channels;
    w.x[batch * p->image] = 0; /* read where the last window has odd lines */
    pi_parallel(threads, batch * p->padded[0] * p->padded[1], 32768 / (line + 1) + 1, widen_task, &w);
    pi_parallel(threads, batch * ((q->places + p->block - 1) / p->block), 1, conv_task, &w);
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
