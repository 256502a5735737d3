/* SPDX-License-Identifier: Apache-2.0 */
/* Conv on channels-last f32 data with our own kernels: an indirect GEMM (kernels/igemm), or kernels/dwconv where each
 * group has one channel in and one out. Rows of the product are output pixels; a tap is a pointer to an input pixel. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/dwconv/dwconv.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/igemm/igemm.h"
#include "kernels/layout/layout.h"
#include "ops/conv.h"
#include "ops/fip_product.h"
#include "ops/ops.h"

enum {
    BLOCK = 32,          /* tiles that share a pass over the weights, which come from far for each block: see matmul_own.c */
    FEW_CHANNELS = 8,    /* of the input: a place of the window would be too short for a loop, so a row of it is a tap */
    CHANNEL_BLOCK = 128, /* depthwise */
    DOTS = 4,            /* output channels: so few lanes of a tile would be used that vectors go along the window */
    DOTS_ROW = 32,       /* numbers of a row of the window; half of it for one channel of several */
};

typedef struct {
    pi_conv c;
    const pi_igemm_kernels *gemm;
    const float *weights; /* [group][panel][tap][in][nr]; depthwise [tap][channel] */
    const float *zeros;   /* a pixel of padding */
    int64_t taps, k;     /* of a window, and numbers of each */
    int64_t *offset;     /* of each place of a window from its first one */
    int64_t in, out, nr, panels, pixels; /* in, out: channels of a group; nr: of a panel, 1: dot products along the window */
    int64_t blocks, block, tile;           /* pixels of a block, and of a tile: alike, so that none is left with few */
    size_t scratch;                        /* bytes for one thread: pointers, then copied rows */
    float low, high;
    pi_act late;
    bool depthwise, by_row;  /* by_row: a tap is a row of the window */
    bool pixelwise;          /* 1x1, each pixel: no window to look for */
} own_state;

const char *pi_conv_own_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_conv_init(&c, node, in, NULL) != PI_E_OK || !c.w.nhwc) return "only channels-last";
    if (c.w.pad[2] < 0 && c.w.channels == c.group) return "only padding that adds";
    if (!node->in[1] || !node->in[1]->constant) return "only constant weights";
    if (pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[0]) == 0 || pi_tensor_n(in[1]) == 0) return "no elements";
    return NULL;
}

/* A panel from w, [out, in, taps]: n of its columns, zeros in the rest. */
static void pack_panel(const pi_conv_pack_shape *s, const float *w, int64_t n, float *to)
{
    const int64_t row = s->in * s->taps, step = (int64_t)sizeof *to;
    if (n < s->nr) memset(to, 0, (size_t)(s->nr * row) * sizeof *to);
    if (s->taps == 1) {
        pi_transpose_select(sizeof *to)((const char *)w, row * step, (char *)to, s->nr * step, n, s->in);
        return;
    }
    for (int64_t t = 0; t < s->taps; t++)
        for (int64_t l = 0; l < s->in; l++, to += s->nr)
            for (int64_t j = 0; j < n; j++) to[j] = w[j * row + l * s->taps + t];
}

/* From [groups * out, in, taps], ONNX's order. */
static pi_status pack_panels(void *arg, const pi_tensor *source, void *packed, pi_error *err)
{
    (void)err;
    const pi_conv_pack_shape *s = arg;
    const int64_t row = s->in * s->taps, panels = (s->out + s->nr - 1) / s->nr;
    for (int64_t g = 0; g < s->groups; g++)
        for (int64_t panel = 0; panel < panels; panel++) {
            const float *w = (const float *)source->data + (g * s->out + panel * s->nr) * row;
            pack_panel(s, w, pi_min_i64(s->nr, s->out - panel * s->nr), (float *)packed + (g * panels + panel) * row * s->nr);
            if (s->nr > 1) pi_fip_fill(s->groups, panels, row, s->nr, g, panel, packed);
        }
    return PI_E_OK;
}

static pi_status pack_depthwise(void *arg, const pi_tensor *source, void *packed, pi_error *err)
{
    (void)err;
    const pi_conv_pack_shape *s = arg;
    const float *w = source->data;
    float *to = packed;
    for (int64_t t = 0; t < s->taps; t++)
        for (int64_t g = 0; g < s->groups; g++) to[t * s->groups + g] = w[g * s->taps + t];
    return PI_E_OK;
}

pi_status pi_conv_pack(pi_prep *prep, uint32_t input, const pi_conv_pack_shape *shape, const float **out, pi_error *err)
{
    struct {
        char name[8];
        pi_conv_pack_shape shape;
    } key;
    bool depthwise = shape->nr == 0;
    memset(&key, 0, sizeof key);
    memcpy(key.name, depthwise ? "dwconv" : "panels", 6);
    key.shape = *shape;
    size_t n = (size_t)shape->groups;
    bool ok = pi_mul(n, (size_t)shape->taps, &n);
    if (!depthwise) {
        int64_t panels = (shape->out + shape->nr - 1) / shape->nr;
        ok = ok && pi_mul(n, (size_t)(panels * shape->nr), &n) && pi_mul(n, (size_t)shape->in, &n);
        if (ok && shape->nr > 1) ok = pi_add(n, pi_fip_tail(shape->groups, panels, shape->taps * shape->in, shape->nr), &n);
    }
    if (!ok || !pi_mul(n, sizeof(float), &n)) return pi_fail(err, PI_E_LIMIT, "the packed weights have more bytes than can be addressed");
    const void *packed;
    PI_TRY(pi_prep_pack(prep, input, &key, sizeof key, n, depthwise ? pack_depthwise : pack_panels, &key.shape, &packed, err));
    *out = packed;
    pi_prep_drop(prep, input);
    return PI_E_OK;
}

int64_t pi_conv_pixels(const pi_conv *c) { return c->w.batch * c->w.out[0] * c->w.out[1] * c->w.out[2]; }

bool pi_conv_pixelwise(const pi_conv *c)
{
    const pi_window *w = &c->w;
    for (int i = 0; i < 3; i++)
        if (w->kernel[i] != 1 || w->stride[i] != 1 || w->pad[i] != 0 || w->in[i] != w->out[i]) return false;
    return true;
}

bool pi_conv_dots(const pi_conv *c)
{
    const pi_window *w = &c->w;
    int64_t least = c->out_channels == 1 && w->channels > 1 ? DOTS_ROW / 2 : DOTS_ROW;
    return c->group == 1 && c->out_channels <= DOTS && w->dilation[2] == 1 && w->kernel[2] * w->channels >= least;
}

pi_status pi_conv_own_prepare(pi_prep *prep, pi_error *err)
{
    own_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_init(&s->c, prep->node, prep->in, err));
    const pi_window *w = &s->c.w;
    s->gemm = pi_igemm();
    const int64_t places = w->kernel[0] * w->kernel[1] * w->kernel[2];
    s->in = w->channels / s->c.group;
    s->out = s->c.out_channels / s->c.group;
    s->nr = pi_conv_dots(&s->c) ? 1 : (int64_t)s->gemm->nr;
    s->depthwise = s->in == 1 && s->out == 1 && s->nr > 1;
    s->by_row = !s->depthwise && places > 1 && (s->in < FEW_CHANNELS || s->nr == 1);
    s->taps = s->by_row ? w->kernel[0] * w->kernel[1] : places;
    s->k = s->by_row ? w->kernel[2] * s->in : s->in;
    s->panels = (s->out + s->nr - 1) / s->nr;
    s->pixels = pi_conv_pixels(&s->c);
    s->late = pi_act_bounds(s->c.act, &s->low, &s->high);
    s->pixelwise = pi_conv_pixelwise(&s->c);
    int64_t mr = s->nr == 1 ? PI_IGEMM_DOTS : (int64_t)s->gemm->mr;
    s->blocks = (s->pixels + BLOCK * mr - 1) / (BLOCK * mr);
    s->blocks = pi_parallel_blocks(prep->threads, s->blocks, s->c.group * s->panels, s->pixels, 2 * mr);
    s->block = (s->pixels + s->blocks - 1) / s->blocks;
    s->tile = (s->block + mr - 1) / mr;
    s->tile = (s->block + s->tile - 1) / s->tile;
    s->zeros = pi_prep_alloc(prep, (size_t)(w->channels + s->k) * sizeof(float), err);
    s->offset = pi_prep_alloc(prep, (size_t)places * sizeof *s->offset, err);
    if (!s->zeros || !s->offset) return pi_alloc_status(err);
    for (int64_t t = 0; t < places; t++)
        s->offset[t] = t / w->kernel[2] / w->kernel[1] * w->dilation[0] * s->c.x.space[0] +
                       t / w->kernel[2] % w->kernel[1] * w->dilation[1] * s->c.x.space[1] +
                       t % w->kernel[2] * w->dilation[2] * s->c.x.space[2];
    size_t floats = s->by_row ? (size_t)s->block : 0;
    bool ok = pi_mul(s->depthwise ? 1 : (size_t)s->block, (size_t)s->taps, &s->scratch) && pi_mul(floats, (size_t)places, &floats) &&
              pi_mul(floats, (size_t)s->in * sizeof(float), &floats) && pi_mul(s->scratch, sizeof(float *), &s->scratch) &&
              pi_add(s->scratch, floats, &s->scratch) && pi_add(s->scratch, 63, &s->scratch);
    s->scratch &= ~(size_t)63;
    if (!ok || !pi_mul(s->scratch, (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the window has %lld places", (long long)places);
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)s->in * (double)places;
    pi_conv_pack_shape shape = {s->c.group, s->out, s->in, places, s->depthwise ? 0 : s->nr};
    return pi_conv_pack(prep, 1, &shape, &s->weights, err);
}

const float *pi_conv_optional(const pi_call *call, uint32_t i)
{
    return call->node->n_explicit > i && call->in[i] ? call->in[i]->data : NULL;
}

/* ---- depthwise ---- */

/* A chunk is a range of (block of channels, row of Y), neighbours of one block together. */
static void depthwise_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const own_state *s = call->state;
    const pi_window *w = &s->c.w;
    const float *bias = pi_conv_optional(call, 2), *z = pi_conv_optional(call, 3);
    const float **row = (const float **)(void *)((char *)call->scratch + (size_t)thread * s->scratch);
    int64_t rows = w->batch * w->out[0] * w->out[1], n = w->channels;
    pi_dwconv_row d = {.x_step = (size_t)n, .y_step = (size_t)n, .w_step = (size_t)n, .kh = (size_t)(w->kernel[0] * w->kernel[1]),
                       .kw = (size_t)w->kernel[2], .stride = (size_t)w->stride[2], .dilation = (size_t)w->dilation[2],
                       .pad = (size_t)w->pad[2], .in = (size_t)w->in[2], .out = (size_t)w->out[2], .low = s->low, .high = s->high};
    if (z) d.low = -INFINITY, d.high = INFINITY;
    for (int64_t u = begin; u < end && !pi_cancelled(call); u++) {
        int64_t first = u / rows * CHANNEL_BLOCK, r = u % rows, oh = r % w->out[1], od = r / w->out[1] % w->out[0];
        const float *x = (const float *)call->in[0]->data + r / w->out[1] / w->out[0] * s->c.x.batch + first;
        for (int64_t t = 0; t < w->kernel[0] * w->kernel[1]; t++) {
            int64_t id = od * w->stride[0] - w->pad[0] + t / w->kernel[1] * w->dilation[0];
            int64_t ih = oh * w->stride[1] - w->pad[1] + t % w->kernel[1] * w->dilation[1];
            bool out = id < 0 || id >= w->in[0] || ih < 0 || ih >= w->in[1];
            row[t] = out ? NULL : x + id * s->c.x.space[0] + ih * s->c.x.space[1];
        }
        d.n = (size_t)pi_min_i64(CHANNEL_BLOCK, n - first);
        d.w = s->weights + first;
        d.bias = bias ? bias + first : NULL;
        int64_t to = r * w->out[2] * n + first;
        float *y = (float *)call->out[0]->data + to;
        pi_dwconv()->row(&d, row, y);
        /* the rest of the epilogue, pixel by pixel where other channels lie between */
        int64_t together = (int64_t)d.n == n ? w->out[2] : 1;
        pi_affine f = {.act = s->c.act};
        for (int64_t o = 0; (z || s->late.kind != PI_ACT_NONE) && o < w->out[2]; o += together) {
            f.residual = z ? z + to + o * n : NULL;
            pi_eltwise()->affine_f32(&f, 1, d.n * (size_t)together, y + o * n, y + o * n);
        }
    }
}

/* ---- products ---- */

/* An output pixel: where, the first input place under its window, which may lie in the padding, the image, and the row of it
 * at which the window begins: NULL if a row of the window is padding. */
typedef struct {
    int64_t out[3], at[3];
    const float *x, *row;
} place;

static const float *row_at(const own_state *s, const place *q)
{
    const pi_window *w = &s->c.w;
    for (int i = 0; i < 2; i++)
        if (q->at[i] < 0 || q->at[i] + (w->kernel[i] - 1) * w->dilation[i] >= w->in[i]) return NULL;
    return q->x + q->at[0] * s->c.x.space[0] + q->at[1] * s->c.x.space[1];
}

static place place_of(const own_state *s, const float *x, int64_t p)
{
    const pi_window *w = &s->c.w;
    place q;
    for (int i = 2; i >= 0; i--) {
        q.out[i] = p % w->out[i];
        q.at[i] = q.out[i] * w->stride[i] - w->pad[i];
        p /= w->out[i];
    }
    q.x = x + p * s->c.x.batch;
    q.row = row_at(s, &q);
    return q;
}

static void next_place(const own_state *s, place *q)
{
    const pi_window *w = &s->c.w;
    for (int i = 2; i >= 0; i--) {
        q->at[i] += w->stride[i];
        if (++q->out[i] < w->out[i]) {
            if (i < 2) q->row = row_at(s, q);
            return;
        }
        q->out[i] = 0;
        q->at[i] = -w->pad[i];
    }
    q->x += s->c.x.batch;
    q->row = row_at(s, q);
}

/* The first place of a window that lies in the image, NULL: some of it is padding. */
static const float *corner(const own_state *s, const place *q, int64_t group)
{
    const pi_window *w = &s->c.w;
    bool inside = q->row && q->at[2] >= 0 && q->at[2] + (w->kernel[2] - 1) * w->dilation[2] < w->in[2];
    return inside ? q->row + q->at[2] * s->c.x.space[2] + group * s->in : NULL;
}

/* The input pixels under the window. */
static void window_of(const own_state *s, const place *q, int64_t group, const float **tap, size_t step)
{
    const pi_window *w = &s->c.w;
    const float *x = corner(s, q, group);
    if (x) {
        for (int64_t t = 0; t < s->taps; t++, tap += step) *tap = x + s->offset[t];
        return;
    }
    x = q->x + group * s->in;
    for (int64_t d = q->at[0], i = 0; i < w->kernel[0]; i++, d += w->dilation[0])
        for (int64_t h = q->at[1], j = 0; j < w->kernel[1]; j++, h += w->dilation[1]) {
            bool out = d < 0 || d >= w->in[0] || h < 0 || h >= w->in[1];
            const float *row = x + d * s->c.x.space[0] + h * s->c.x.space[1];
            for (int64_t v = q->at[2], k = 0; k < w->kernel[2]; k++, v += w->dilation[2], tap += step)
                *tap = out || v < 0 || v >= w->in[2] ? s->zeros : row + v * s->c.x.space[2];
        }
}

/* The same by rows: each where it lies, or, if some of it is padding or it has gaps, copied to `copy`. */
static void rows_of(const own_state *s, const place *q, int64_t group, float *copy, const float **tap, size_t step)
{
    const pi_window *w = &s->c.w;
    bool gaps = s->c.group > 1 || w->dilation[2] > 1;
    const float *x = gaps ? NULL : corner(s, q, group);
    if (x) {
        for (int64_t t = 0; t < s->taps; t++, tap += step) *tap = x + s->offset[t * w->kernel[2]];
        return;
    }
    x = q->x + group * s->in;
    bool whole = !gaps && q->at[2] >= 0 && q->at[2] + w->kernel[2] <= w->in[2];
    for (int64_t d = q->at[0], i = 0; i < w->kernel[0]; i++, d += w->dilation[0])
        for (int64_t h = q->at[1], j = 0; j < w->kernel[1]; j++, h += w->dilation[1], tap += step) {
            const float *row = x + d * s->c.x.space[0] + h * s->c.x.space[1];
            bool out = d < 0 || d >= w->in[0] || h < 0 || h >= w->in[1];
            *tap = out ? s->zeros : whole ? row + q->at[2] * s->c.x.space[2] : copy;
            for (int64_t v = q->at[2], k = 0; !out && !whole && k < w->kernel[2]; k++, v += w->dilation[2], copy += s->in)
                memcpy(copy, v < 0 || v >= w->in[2] ? s->zeros : row + v * s->c.x.space[2], (size_t)s->in * sizeof *copy);
        }
}

/* Pointers of `rows` pixels from `first` on, for one group: tile after tile, each [tap][row]. */
static void point(const own_state *s, const float *x, int64_t first, int64_t rows, int64_t group, const float **tap)
{
    float *copy = (float *)(void *)(tap + s->block * s->taps);
    for (int64_t r = 0; s->pixelwise && r < rows; r++) tap[r] = x + (first + r) * s->c.w.channels + group * s->in;
    place at = place_of(s, x, first);
    for (int64_t r = 0; !s->pixelwise && r < rows; r += s->tile, tap += s->tile * s->taps) {
        int64_t m = pi_min_i64(s->tile, rows - r);
        for (int64_t i = 0; i < m; i++, next_place(s, &at))
            if (s->by_row)
                rows_of(s, &at, group, copy + (r + i) * s->taps * s->k, tap + i, (size_t)m);
            else
                window_of(s, &at, group, tap + i, (size_t)m);
    }
}

/* The activation of n channels of `rows` pixels, while they are in the first-level cache. */
static void finish(pi_act act, int64_t rows, int64_t n, int64_t channels, float *y)
{
    if (n == channels) n *= rows, rows = 1;
    for (; rows > 0; rows--, y += channels) pi_eltwise()->act_f32(act, (size_t)n, y, y);
}

/* Panels [begin, end) of one group for a block of pixels, at which `tap` points. */
static void gemm_block(const own_state *s, const pi_call *call, int64_t first, int64_t rows, int64_t group, int64_t begin,
                       int64_t end, const float **tap)
{
    const float *bias = pi_conv_optional(call, 2), *z = pi_conv_optional(call, 3);
    int64_t nr = s->nr, channels = s->c.out_channels, depth = s->taps * s->k;
    float *out = (float *)call->out[0]->data + first * channels + group * s->out;
    int64_t most = pi_igemm_group(s->gemm, (size_t)depth);
    size_t tiles = (size_t)((rows + s->tile - 1) / s->tile);
    for (int64_t from = begin, to; from < end; from = to) {
        to = pi_min_i64(end, from + most);
        for (int64_t r = 0; r < rows; r += s->tile) {
            int64_t m = pi_min_i64(s->tile, rows - r);
            for (int64_t panel = from; panel < to; panel++) {
                int64_t n = pi_min_i64(nr, s->out - panel * nr), at = r * channels + panel * nr;
                int64_t channel = group * s->out + panel * nr;
                const float *b = s->weights + (group * s->panels + panel) * depth * nr;
                pi_igemm_end ends = {bias ? bias + channel : NULL, NULL, s->low, s->high};
                if (z) ends.residual = z + first * channels + group * s->out + at;
                if (nr == 1) {
                    s->gemm->dots((size_t)m, (size_t)s->taps, (size_t)s->k, tap + r * s->taps, b, &ends, out + at, (size_t)channels);
                    continue;
                }
                const float *next = m > 1 && panel + most < s->panels ? b + most * depth * nr : NULL;
                pi_igemm_ahead ahead = pi_igemm_share(next, (size_t)(depth * nr), (size_t)depth, (size_t)(r / s->tile), tiles);
                s->gemm->tile_ahead((size_t)m, (size_t)n, (size_t)s->taps, (size_t)s->k, tap + r * s->taps, b, &ends, out + at,
                                    (size_t)channels, ahead.at, ahead.lines);
            }
            if (s->late.kind != PI_ACT_NONE)
                finish(s->late, m, pi_min_i64(to * nr, s->out) - from * nr, channels, out + r * channels + from * nr);
        }
    }
}

/* A chunk is a range of (block of pixels, group, panel); neighbours of one block and group go together. */
static void gemm_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const own_state *s = call->state;
    const float **tap = (const float **)(void *)((char *)call->scratch + (size_t)thread * s->scratch);
    int64_t pointed = -1, last = 0; /* the block and the group at which tap points */
    for (int64_t u = begin, n; u < end && !pi_cancelled(call); u += n) {
        int64_t panel = u % s->panels, group = u / s->panels % s->c.group, first = u / s->panels / s->c.group * s->block;
        int64_t rows = pi_min_i64(s->block, s->pixels - first);
        n = pi_min_i64(end - u, s->panels - panel);
        if (first == pointed && !s->by_row) /* one group further, zeros too: a pixel of padding has all channels */
            for (int64_t i = 0; i < rows * s->taps; i++) tap[i] += (group - last) * s->in;
        else
            point(s, call->in[0]->data, first, rows, group, tap);
        pointed = first, last = group;
        gemm_block(s, call, first, rows, group, panel, panel + n, tap);
    }
}

pi_status pi_conv_own_run(const pi_call *call, pi_error *err)
{
    const own_state *s = call->state;
    const pi_window *w = &s->c.w;
    pi_call copied = *call;
    if (s->depthwise) {
        int64_t n = pi_min_i64(CHANNEL_BLOCK, s->c.group), grain = 65536 / (n * s->taps * w->out[2]) + 1;
        int64_t rows = w->batch * w->out[0] * w->out[1];
        pi_parallel(call->run->threads, (s->c.group + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK * rows, grain, depthwise_chunk, &copied);
    } else {
        double work = (double)s->block * (double)s->taps * (double)s->k * (double)s->nr;
        int64_t grain = work > 262144 ? 1 : (int64_t)(262144 / work) + 1;
        pi_parallel(call->run->threads, s->blocks * s->c.group * s->panels, grain, gemm_chunk, &copied);
    }
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
