/* SPDX-License-Identifier: Apache-2.0 */
/* ConvInteger and QLinearConv, as products of the weights' rows with panels of 16 output places: a thread gathers the input of a
 * panel (im2col, 16-bit, less the zero point, 0 where the window hangs over the border), then all channels of the group meet it. */
#include <string.h>

#include "base/threads.h"
#include "kernels/quant/quant_panel.h"
#include "ops/block.h"
#include "ops/conv.h"
#include "ops/quant.h"

enum { TILE = 32, COLUMNS = PI_QUANT_COLUMNS };

typedef struct {
    const pi_tensor *x, *w, *x_zero, *w_zero, *x_scale, *w_scale, *y_scale, *y_zero, *bias;
} operands;

typedef struct {
    pi_conv c;
    int64_t k, pairs, places, panels; /* elements of a window, of an output plane */
    size_t weights_bytes, panel_bytes;
} problem;

typedef struct {
    const problem *p;
    const operands *o;
    pi_quant_panel_fn panel;
    int16_t *weights;
    char *panel_of; /* each thread's */
    pi_tensor *y;
    int32_t x_zero;
} work;

static operands get(const pi_node *node, const pi_tensor *const *in)
{
    operands o = {.x = in[0]};
    if (node->op->name[0] == 'C') {
        o.w = in[1];
        o.x_zero = pi_move_in(node, in, 2);
        o.w_zero = pi_move_in(node, in, 3);
    } else {
        o.x_scale = in[1], o.x_zero = in[2], o.w = in[3], o.w_scale = in[4], o.w_zero = in[5];
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

static pi_status problem_open(const pi_node *node, const pi_tensor *const *in, problem *p, pi_error *err)
{
    operands o = get(node, in);
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
    p->pairs = p->k / 2 + p->k % 2;
    p->places = w->out[0] * w->out[1] * w->out[2];
    p->panels = (p->places + COLUMNS - 1) / COLUMNS;
    size_t bytes;
    if (!pi_mul((size_t)oc, (size_t)p->pairs * 4, &bytes) || bytes > INT64_MAX / 2)
        return pi_fail(err, PI_E_LIMIT, "the weights are too large");
    p->weights_bytes = (bytes + 63) / 64 * 64;
    p->panel_bytes = (size_t)p->pairs * 4 * COLUMNS;
    return PI_E_OK;
}

static pi_status conv_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    problem p;
    PI_TRY(problem_open(node, in, &p, err));
    pi_window_output(&p.c.w, p.c.out_channels, out);
    return PI_E_OK;
}

static pi_status conv_prepare(pi_prep *prep, pi_error *err)
{
    problem *p = prep->state = pi_prep_alloc(prep, sizeof *p, err);
    size_t panels;
    if (!p) return pi_alloc_status(err);
    PI_TRY(problem_open(prep->node, prep->in, p, err));
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)p->k;
    if (!pi_mul(p->panel_bytes, (size_t)prep->threads, &panels) || !pi_add(panels, p->weights_bytes, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the window is too large");
    return PI_E_OK;
}

static void weights_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const problem *p = w->p;
    const pi_tensor *zero = w->o->w_zero;
    for (int64_t oc = begin; oc < end; oc++) {
        int16_t *to = w->weights + oc * 2 * p->pairs;
        int32_t z = zero ? (int32_t)pi_tensor_int(zero, pi_tensor_n(zero) == 1 ? 0 : oc) : 0;
        pi_quant_widen((const char *)w->o->w->data + oc * p->k, w->o->w->dtype == PI_DTYPE_I8, 1, z, to, 1, p->k);
        if (p->k % 2) to[p->k] = 0;
    }
}

/* Column j of the panel: the window of output place `place` over the channels of a group. */
static void gather_column(const work *w, int64_t b, int64_t group, int64_t place, int16_t *out)
{
    const pi_window *g = &w->p->c.w;
    const pi_strides *s = &w->p->c.x;
    int is_signed = w->o->x->dtype == PI_DTYPE_I8;
    int64_t channels = g->channels / w->p->c.group, k = 0, start[3], rest = place;
    for (int i = 2; i >= 0; i--) {
        start[i] = rest % g->out[i] * g->stride[i] - g->pad[i];
        rest /= g->out[i];
    }
    const char *x = (const char *)w->o->x->data + b * s->batch + group * channels * s->channel;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t d = 0; d < g->kernel[0]; d++)
            for (int64_t h = 0; h < g->kernel[1]; h++)
                for (int64_t v = 0; v < g->kernel[2]; v++, k++) {
                    int64_t at[3] = {start[0] + d * g->dilation[0], start[1] + h * g->dilation[1], start[2] + v * g->dilation[2]};
                    int16_t *to = out + k / 2 * 2 * COLUMNS + k % 2;
                    *to = 0;
                    if (at[0] < 0 || at[0] >= g->in[0] || at[1] < 0 || at[1] >= g->in[1] || at[2] < 0 || at[2] >= g->in[2])
                        continue;
                    pi_quant_widen(x + c * s->channel + at[0] * s->space[0] + at[1] * s->space[1] + at[2] * s->space[2], is_signed,
                                   1, w->x_zero, to, 1, 1);
                }
}

/* Rows of channels from c0 on, one panel wide, scaled and stored. */
static void store_tile(const work *w, int64_t b, int64_t c0, int64_t rows, int64_t first, int32_t (*acc)[COLUMNS])
{
    const problem *p = w->p;
    const operands *o = w->o;
    int64_t columns = pi_min_i64(COLUMNS, p->places - first);
    for (int64_t i = 0; i < rows; i++) {
        int64_t oc = c0 + i, at = (b * p->c.out_channels + oc) * p->places + first;
        if (!o->y_scale) {
            memcpy((int32_t *)w->y->data + at, acc[i], (size_t)columns * sizeof(int32_t));
            continue;
        }
        float x[COLUMNS], of_w = ((const float *)o->w_scale->data)[pi_tensor_n(o->w_scale) == 1 ? 0 : oc];
        float scale = *(const float *)o->x_scale->data * of_w / *(const float *)o->y_scale->data;
        uint32_t bias = o->bias ? (uint32_t)pi_tensor_int(o->bias, oc) : 0;
        for (int64_t j = 0; j < columns; j++) x[j] = (float)(int32_t)((uint32_t)acc[i][j] + bias) * scale;
        pi_quant_store(w->y->dtype, w->y->data, at, columns, x, (float)pi_tensor_int(o->y_zero, 0));
    }
}

static void conv_task(void *arg, int64_t begin, int64_t end, int thread)
{
    const work *w = arg;
    const problem *p = w->p;
    int16_t *panel = (int16_t *)(void *)(w->panel_of + (size_t)thread * p->panel_bytes);
    int64_t per_group = p->c.out_channels / p->c.group;
    for (int64_t u = begin; u < end; u++) { /* (batch, group, panel) */
        int64_t first = u % p->panels * COLUMNS, group = u / p->panels % p->c.group, b = u / p->panels / p->c.group;
        memset(panel, 0, p->panel_bytes);
        for (int64_t j = 0; j < COLUMNS && first + j < p->places; j++) gather_column(w, b, group, first + j, panel + 2 * j);
        for (int64_t c0 = 0; c0 < per_group; c0 += TILE) {
            int32_t acc[TILE][COLUMNS];
            int64_t rows = pi_min_i64(TILE, per_group - c0), oc = group * per_group + c0;
            w->panel(w->weights + oc * 2 * p->pairs, 2 * p->pairs, panel, p->pairs, acc[0], COLUMNS, rows);
            store_tile(w, b, oc, rows, first, acc);
        }
    }
}

static pi_status conv_run(const pi_call *call, pi_error *err)
{
    const problem *p = call->state;
    operands o = get(call->node, call->in);
    PI_TRY(pi_move_outputs(call, err));
    work w = {.p = p, .o = &o, .panel = pi_quant_panel_select(), .weights = call->scratch, .y = call->out[0]};
    w.panel_of = (char *)call->scratch + p->weights_bytes;
    w.x_zero = o.x_zero ? (int32_t)pi_tensor_int(o.x_zero, 0) : 0;
    if (pi_tensor_n(w.y) == 0) return PI_E_OK;
    pi_parallel(call->run->threads, p->c.out_channels, pi_max_i64(1, 16384 / (p->k + 1)), weights_task, &w);
    pi_parallel(call->run->threads, p->c.w.batch * p->c.group * p->panels, 1, conv_task, &w);
    return PI_E_OK;
}

static const pi_impl impls[] = {{.name = "ref", .prepare = conv_prepare, .run = conv_run}, {0}};

static const pi_attr_def attrs[] = {{.name = "auto_pad", .kind = PI_ATTR_STRING, .s = "NOTSET"},
                                    {.name = "dilations", .kind = PI_ATTR_INTS},
                                    {.name = "group", .kind = PI_ATTR_INT, .i = 1},
                                    {.name = "kernel_shape", .kind = PI_ATTR_INTS},
                                    {.name = "pads", .kind = PI_ATTR_INTS},
                                    {.name = "strides", .kind = PI_ATTR_INTS},
                                    {0}};

#define BYTES (PI_BIT(U8) | PI_BIT(I8))
static const pi_op rows[] = {
    {.name = "ConvInteger", .since = 10, .signature = "x:T w:U x_zero_point?:T w_zero_point?:U -> y:i32", .T = BYTES,
     .U = BYTES, .attrs = attrs, .infer = conv_infer, .impls = impls},
    {.name = "QLinearConv", .since = 10,
     .signature = "x:T x_scale:f32 x_zero_point:T w:U w_scale:f32 w_zero_point:U y_scale:f32 y_zero_point:V B?:i32 -> y:V",
     .T = BYTES, .U = BYTES, .V = BYTES, .attrs = attrs, .infer = conv_infer, .impls = impls},
};
const pi_op_family pi_ops_quant_conv = {rows, PI_COUNT(rows)};
