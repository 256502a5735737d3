/* SPDX-License-Identifier: Apache-2.0 */
/* ConvInteger and QLinearConv through oneDNN: X channels-last, u8 or i8 less its zero point, by i8 gives exact sums,
 * also channels-last. An unsigned w becomes i8 less 128. What w's zero points z take off is left to us, as the scales
 * are: sum (x - zx) (w - z) = sum (x - zx) w - z * sum (x - zx), over the places of the window that are inside. */
#include <string.h>

#include "base/threads.h"
#include "kernels/layout/layout.h"
#include "kernels/quant/quant_linear.h"
#include "onednn/onednn.h"
#include "ops/block.h"
#include "ops/quant_conv.h"

enum {
    PLACES = 64,     /* in a unit of work */
    SUMS = 1 << 16,  /* of a thread that stay in its cache */
    FEW_PLACES = 48, /* too few for a block */
};

typedef struct {
    pi_quant_conv q;
    pi_dnnl *object;
    const void *weights; /* packed; NULL: as they are, or packed in each run */
    int64_t block; /* a window is one place: the places of X are multiplied in blocks of so many; 0: all at once */
    bool flip, x_last, pack; /* w is u8; X has its channels last as it is; w is packed in each run */
    /* In the scratch, behind oneDNN's: X channels-last, sums, bytes of Y channels-last, scales, zero points, w flipped
     * and packed, X less its zero point summed over the channels of a group, and that over windows. */
    size_t x_at, sums_at, bytes_at, scales_at, zeros_at, flipped_at, packed_at, plane_at, windows_at;
} conv_state;

typedef struct {
    const conv_state *s;
    const pi_quant_conv_operands *o;
    int64_t image, first,
        places; /* whose sums are there: of this image from here on so many; or all, and of all images */
    const char *x;
    char *x_out, *bytes;
    int32_t *sums, *plane, *windows, *zeros; /* windows NULL: w has no zero point */
    float *scales;
    pi_tensor *y;
} work;

const char *pi_quant_conv_dnnl_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    const char *why;
    pi_quant_conv_operands o = pi_quant_conv_of(node, in);
    if (!pi_dnnl_available(&why)) return why;
    if (pi_quant_panels_first()) return PI_QUANT_PANELS_FIRST;
    if (pi_tensor_n(out[0]) == 0 || pi_tensor_n(o.x) == 0 || pi_tensor_n(o.w) == 0) return "no elements";
    return NULL;
}

/* The largest part of an image whose sums stay in the cache until they are scaled, where windows are single places. */
static int64_t block_of(const pi_quant_conv *q, int threads)
{
    const pi_window *w = &q->c.w;
    int64_t most = (int64_t)SUMS * threads / q->c.out_channels;
    if (q->c.group != 1 || q->k != w->channels || q->places != q->in_places || q->places <= 2 * most) return 0;
    for (int i = 0; i < 3; i++)
        if (w->stride[i] != 1 || w->pad[i] || w->pad_end[i]) return 0;
    for (int64_t n = most; n >= FEW_PLACES; n--)
        if (q->places % n == 0) return n;
    return 0;
}

static pi_status make_object(pi_prep *prep, conv_state *s, const pi_quant_conv_operands *o, bool zeros, pi_error *err)
{
    const pi_window *w = &s->q.c.w;
    double flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)s->q.k;
    int threads = pi_prep_threads(prep, flops / 4);
    prep->flops = flops;
    pi_dnnl_conv d = {.spatial = w->spatial,
                      .src_type = o->x->dtype,
                      .weights_type = PI_DTYPE_I8,
                      .dst_type = PI_DTYPE_I32,
                      .src_last = true,
                      .dst_last = true,
                      .n = w->batch,
                      .ic = w->channels,
                      .oc = s->q.c.out_channels,
                      .groups = s->q.c.group,
                      .quant = {.src_zero = !pi_quant_known_zero(o->x_zero)}};
    for (int i = 0; i < w->spatial; i++) {
        int j = 3 - w->spatial + i;
        d.in[i] = w->in[j], d.out[i] = w->out[j], d.kernel[i] = w->kernel[j], d.stride[i] = w->stride[j];
        d.dilation[i] = w->dilation[j], d.pad_begin[i] = w->pad[j], d.pad_end[i] = w->pad_end[j];
    }
    s->block = zeros ? 0 : block_of(&s->q, threads);
    if (s->block) {
        d.n = 1;
        for (int i = 0; i < w->spatial; i++) d.in[i] = d.out[i] = i + 1 == w->spatial ? s->block : 1;
    }
    PI_TRY(pi_dnnl_conv_new(&s->object, &d, threads, err));
    prep->isa = pi_dnnl_impl_name(s->object);
    return pi_prep_own(prep, pi_dnnl_free, s->object, err);
}

static bool place(size_t *total, int64_t n, size_t elem, size_t *at)
{
    size_t bytes;
    *at = *total;
    return pi_mul((size_t)n, elem, &bytes) && bytes <= SIZE_MAX / 2 && pi_add(*total, (bytes + 63) / 64 * 64, total);
}

pi_status pi_quant_conv_dnnl_prepare(pi_prep *prep, pi_error *err)
{
    pi_quant_conv_operands o = pi_quant_conv_of(prep->node, prep->in);
    conv_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_quant_conv_open(prep->node, prep->in, &s->q, err));
    const pi_quant_conv *q = &s->q;
    bool constant = pi_prep_is_const(prep, o.w_index);
    s->flip = o.w->dtype == PI_DTYPE_U8;
    s->x_last = q->c.w.nhwc || q->c.w.channels == 1 || q->in_places == 1;
    bool zeros = s->flip || !pi_quant_known_zero(o.w_zero);
    PI_TRY(make_object(prep, s, &o, zeros, err));
    pi_dnnl_weights_info info;
    pi_dnnl_weights(s->object, &info);
    if (constant) PI_TRY(pi_quant_pack(prep, o.w_index, s->object, s->flip, &s->weights, err));
    s->pack = !constant && !info.as_is;
    int64_t n = pi_tensor_n(prep->out[0]), groups = q->c.w.batch * q->c.group;
    size_t total = 0, own;
    bool fits = place(&total, 1, pi_dnnl_scratch(s->object), &own) &&
                place(&total, s->x_last ? 0 : pi_tensor_n(o.x), 1, &s->x_at) &&
                place(&total, s->block ? s->block * q->c.out_channels : n, sizeof(int32_t), &s->sums_at) &&
                place(&total, o.y_scale && !q->c.w.nhwc ? n : 0, 1, &s->bytes_at) &&
                place(&total, q->c.out_channels, sizeof(float), &s->scales_at) &&
                place(&total, q->c.out_channels, sizeof(int32_t), &s->zeros_at) &&
                place(&total, s->flip && !constant ? pi_tensor_n(o.w) : 0, 1, &s->flipped_at) &&
                place(&total, s->pack, info.bytes, &s->packed_at) &&
                place(&total, zeros ? groups * q->in_places : 0, sizeof(int32_t), &s->plane_at) &&
                place(&total, zeros ? groups * q->places : 0, sizeof(int32_t), &s->windows_at);
    prep->scratch = total;
    return fits ? PI_E_OK : pi_fail(err, PI_E_LIMIT, "the operands are too large");
}

/* Units: blocks of PLACES of an image of X. */
static void last_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    int64_t places = w->s->q.in_places, channels = w->s->q.c.w.channels, blocks = (places + PLACES - 1) / PLACES;
    pi_transpose_fn transpose = pi_transpose_select(1);
    for (int64_t u = begin; u < end; u++) {
        int64_t b = u / blocks, first = u % blocks * PLACES;
        transpose((const char *)w->o->x->data + b * channels * places + first, places,
                  w->x_out + (b * places + first) * channels, channels, channels, pi_min_i64(PLACES, places - first));
    }
}

/* Units: places of X, in channels-last order; plane[place][group]. */
static void plane_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    int64_t groups = w->s->q.c.group, channels = w->s->q.c.w.channels / groups;
    int64_t zero = w->o->x_zero ? pi_tensor_int(w->o->x_zero, 0) : 0;
    bool is_signed = w->o->x->dtype == PI_DTYPE_I8;
    int32_t flip = is_signed ? 128 : 0, less = flip + (int32_t)zero;
    for (int64_t i = begin * groups; channels == 1 && i < end * groups; i++)
        w->plane[i] = ((uint8_t)w->x[i] ^ flip) - less;
    for (int64_t i = begin * groups; channels > 1 && i < end * groups; i++)
        w->plane[i] =
            (int32_t)(pi_quant_linear_select()->sum(w->x + i * channels, channels, is_signed) - zero * channels);
}

/* to[i] += from[i * step]; wraps. */
static void add_line(int32_t *to, const int32_t *from, int64_t step, int64_t n)
{
    if (step == 1)
        for (int64_t i = 0; i < n; i++) to[i] = (int32_t)((uint32_t)to[i] + (uint32_t)from[i]);
    else
        for (int64_t i = 0; i < n; i++) to[i] = (int32_t)((uint32_t)to[i] + (uint32_t)from[i * step]);
}

/* Units: lines of Y (all but the last dimension); windows[place][group]. */
static void windows_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const pi_quant_conv *q = &w->s->q;
    const pi_window *g = &q->c.w;
    int64_t groups = q->c.group, width = g->out[2];
    for (int64_t u = begin; u < end; u++) {
        int64_t b = u / g->out[1] / g->out[0], z0 = u / g->out[1] % g->out[0] * g->stride[0] - g->pad[0];
        int64_t y0 = u % g->out[1] * g->stride[1] - g->pad[1], from, to;
        int32_t *line = w->windows + u * width * groups;
        memset(line, 0, (size_t)(width * groups) * sizeof *line);
        for (int64_t t = 0; t < g->kernel[0] * g->kernel[1] * g->kernel[2]; t++) {
            int64_t z = z0 + t / (g->kernel[1] * g->kernel[2]) * g->dilation[0];
            int64_t y = y0 + t / g->kernel[2] % g->kernel[1] * g->dilation[1];
            int64_t offset = t % g->kernel[2] * g->dilation[2] - g->pad[2];
            if (z < 0 || z >= g->in[0] || y < 0 || y >= g->in[1]) continue;
            pi_window_range(offset, g->stride[2], g->in[2], width, &from, &to);
            if (from >= to) continue;
            int64_t at = b * q->in_places + (z * g->in[1] + y) * g->in[2] + offset, step = g->stride[2];
            if (groups == 1)
                add_line(line + from, w->plane + at + from * step, step, to - from);
            else
                for (int64_t x = from; x < to; x++)
                    add_line(line + x * groups, w->plane + (at + x * step) * groups, 1, groups);
        }
    }
}

/* Takes zero * windows off n rows of sums. */
static void take_zeros(const pi_quant_conv *q, int32_t *sums, const int32_t *windows, const int32_t *zero, int64_t n)
{
    int64_t oc = q->c.out_channels, groups = q->c.group, per_group = oc / groups;
    for (int64_t i = 0; i < n; i++, sums += oc, windows += groups) {
        if (per_group == 1)
            for (int64_t c = 0; c < oc; c++)
                sums[c] = (int32_t)((uint32_t)sums[c] - (uint32_t)windows[c] * (uint32_t)zero[c]);
        for (int64_t g = 0; per_group > 1 && g < groups; g++) {
            int32_t *c = sums + g * per_group;
            const int32_t *z = zero + g * per_group;
            uint32_t window = (uint32_t)windows[g];
            for (int64_t j = 0; j < per_group; j++) c[j] = (int32_t)((uint32_t)c[j] - window * (uint32_t)z[j]);
        }
    }
}

/* Units: PLACES of an image of Y. */
static void finish_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const work *w = arg;
    const pi_quant_conv *q = &w->s->q;
    int64_t oc = q->c.out_channels, groups = q->c.group, units = (w->places + PLACES - 1) / PLACES;
    for (int64_t u = begin; u < end; u++) {
        int64_t b = w->image + u / units, offset = u % units * PLACES, n = pi_min_i64(PLACES, w->places - offset);
        int64_t first = w->first + offset, at = b * q->places + first;
        int32_t *sums = w->sums + (u / units * q->places + offset) * oc;
        if (w->windows) take_zeros(q, sums, w->windows + at * groups, w->zeros, n);
        pi_quant_conv_store(q, w->o, w->y, b, first, n, sums, oc, w->scales, q->c.w.nhwc ? NULL : w->bytes + at * oc);
    }
}

/* Where oneDNN finds the weights. */
static pi_status weights_of(const conv_state *s, const pi_quant_conv_operands *o, char *scratch, const void **weights,
                            pi_error *err)
{
    *weights = s->weights ? s->weights : o->w->data;
    if (s->weights) return PI_E_OK;
    if (s->flip) {
        pi_quant_flip(o->w->data, scratch + s->flipped_at, pi_tensor_n(o->w));
        *weights = scratch + s->flipped_at;
    }
    if (!s->pack) return PI_E_OK;
    PI_TRY(pi_dnnl_pack(s->object, *weights, scratch + s->packed_at, err));
    *weights = scratch + s->packed_at;
    return PI_E_OK;
}

pi_status pi_quant_conv_dnnl_run(const pi_call *call, pi_error *err)
{
    const conv_state *s = call->state;
    const pi_quant_conv *q = &s->q;
    pi_quant_conv_operands o = pi_quant_conv_of(call->node, call->in);
    int threads = call->run->threads;
    int64_t batch = q->c.w.batch, channels = q->c.w.channels, oc = q->c.out_channels;
    char *scratch = call->scratch;
    PI_TRY(pi_move_outputs(call, err));
    work w = {.s = s, .o = &o, .x = o.x->data, .bytes = scratch + s->bytes_at, .y = call->out[0]};
    w.sums = (int32_t *)(void *)(scratch + s->sums_at);
    w.scales = (float *)(void *)(scratch + s->scales_at);
    if (!s->x_last) {
        w.x = w.x_out = scratch + s->x_at;
        pi_parallel(threads, batch * ((q->in_places + PLACES - 1) / PLACES), 1024 / channels + 1, last_task, &w);
    }
    int32_t zero = o.x_zero ? (int32_t)pi_tensor_int(o.x_zero, 0) : 0;
    pi_dnnl_args args = {.src = w.x, .src_zero = &zero, .dst = w.sums, .scratch = scratch};
    PI_TRY(weights_of(s, &o, scratch, &args.weights, err));
    if (o.y_scale) pi_quant_conv_scales(q, &o, w.scales);
    w.places = s->block ? s->block : q->places;
    int64_t units = (w.places + PLACES - 1) / PLACES, grain = 512 / oc + 1;
    for (int64_t at = 0; s->block && at < batch * q->places; at += s->block) {
        args.src = w.x + at * channels;
        PI_TRY(pi_dnnl_run(s->object, &args, err));
        w.image = at / q->places, w.first = at % q->places;
        pi_parallel(threads, units, grain, finish_task, &w);
    }
    if (s->block) return PI_E_OK;
    PI_TRY(pi_dnnl_run(s->object, &args, err));
    if (s->flip || !pi_quant_known_zero(o.w_zero)) {
        w.plane = (int32_t *)(void *)(scratch + s->plane_at);
        w.windows = (int32_t *)(void *)(scratch + s->windows_at);
        pi_parallel(threads, batch * q->in_places, 65536 / (channels + 1) + 1, plane_task, &w);
        w.zeros = (int32_t *)(void *)(scratch + s->zeros_at);
        for (int64_t c = 0; c < oc; c++) w.zeros[c] = pi_quant_conv_zero(&o, c) - (s->flip ? 128 : 0);
        int64_t lines = batch * q->c.w.out[0] * q->c.w.out[1], taps = q->k * q->c.group / channels;
        pi_parallel(threads, lines, 65536 / (taps * q->c.w.out[2] * q->c.group) + 1, windows_task, &w);
    }
    pi_parallel(threads, batch * units, grain, finish_task, &w);
    return PI_E_OK;
}
