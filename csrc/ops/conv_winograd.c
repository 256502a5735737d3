/* SPDX-License-Identifier: Apache-2.0 */
/* 3x3 convolution of stride 1 on channels-last images as 36 matrix products (kernels/winograd), for blocks of tiles that stay
 * in the caches: transform the inputs of a block, multiply, transform back with bias, residual and activation.
 *
 * Error against the direct sum: some 1e-5 of the largest output: values grow up to a hundredfold in between and
 * cancel. Infinities in the input become NaN around them. The option exact=1 turns it off. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/winograd/winograd.h"
#include "onednn/onednn.h"
#include "ops/conv.h"
#include "ops/ops.h"
#include "ops/prep.h"

typedef struct {
    pi_conv c;
    const pi_winograd_kernels *k;
    int64_t high, wide;   /* tiles of an image, down and across */
    int64_t tiles, block; /* of all images; of one block */
    pi_dnnl *product;     /* 36 times [block, C] x [C, K] */
    const void *weights;  /* packed for it */
    const float *zeros;   /* C: what lies in the padding */
    pi_act late;
    float low, high_bound;
    size_t m_at, scratch_at; /* in the scratch of a run: V first, then M, then oneDNN's */
} winograd;

enum { BLOCK_BYTES = 4 << 20 }; /* of V and M: they are written and read once by each core, and should not leave the L3 */

static int64_t tiles_of(const pi_winograd_kernels *k, int64_t n) { return (n + k->out - 1) / k->out; }

/* ---- whether it pays ---- */

/* Seconds of one core at the rates of Zen 4, for comparison with each other only: products at 105 GFLOP/s of 110; transforms
 * that read and write at 25 GB/s; weights that come from memory, mostly while others are multiplied; starting threads three
 * times. Measured, of the direct time: F(4,3) with 64 to 256 channels 0.2 to 0.5, with 16 to 32 some 0.4 to 0.9; images of
 * 7x7 with 256, 512, 1024 channels 1.2, 1.15, 1.06, and F(2,3) 0.8, 1.0, 0.7. */
static double seconds(const pi_conv *c, const pi_winograd_kernels *k)
{
    const pi_window *w = &c->w;
    double tiles = (double)w->batch * (double)tiles_of(k, w->out[1]) * (double)tiles_of(k, w->out[2]);
    double product = (double)w->channels * (double)c->out_channels, sum = (double)(w->channels + c->out_channels);
    double multiply = tiles * product * 2 / 105e9, fetch = product * 4 / 20e9;
    double both = multiply > fetch ? multiply + 0.3 * fetch : fetch + 0.3 * multiply;
    return k->points * (both + tiles * sum * 8 / 25e9) + 6e-6;
}

/* The form that takes less. */
static const pi_winograd_kernels *best_form(const pi_conv *c)
{
    const pi_winograd_kernels *k = pi_winograd();
    return seconds(c, k + 1) < seconds(c, k) ? k + 1 : k;
}

/* It takes less than a direct convolution. */
static bool pays(const pi_conv *c)
{
    const pi_window *w = &c->w;
    double pixels = (double)w->batch * (double)w->out[1] * (double)w->out[2];
    return seconds(c, best_form(c)) < 0.95 * pixels * 9 * (double)w->channels * (double)c->out_channels * 2 / 110e9;
}

const char *pi_conv_winograd_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_conv c;
    const char *why;
    if (!pi_dnnl_available(&why)) return why;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_conv_init(&c, node, in, NULL) != PI_E_OK) return "attributes";
    const pi_window *w = &c.w;
    if (!w->nhwc || w->spatial != 2) return "only channels-last images";
    if (w->kernel[1] != 3 || w->kernel[2] != 3 || w->stride[1] != 1 || w->stride[2] != 1 || w->dilation[1] != 1 ||
        w->dilation[2] != 1 || c.group != 1)
        return "only 3x3 with stride 1, no dilation, one group";
    if (w->pad[1] < 0 || w->pad[2] < 0) return "only padding that adds";
    if (!node->in[1] || !node->in[1]->constant) return "only constant weights";
    if (pi_tensor_n(out[0]) == 0 || pi_tensor_n(in[0]) == 0) return "no elements";
    if (w->channels < 16 || c.out_channels < 16) return "too few channels";
    return pays(&c) ? NULL : PI_SLOWER "a direct convolution is quicker";
}

/* ---- weights ---- */

typedef struct {
    const winograd *s;
    const float *w;
    float *u;
} weights_task;

/* Input channels: of each a row of U for all 36 points. */
static void weights_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const weights_task *t = arg;
    size_t channels = (size_t)t->s->c.w.channels, outs = (size_t)t->s->c.out_channels;
    for (size_t c = (size_t)begin; c < (size_t)end; c++)
        t->s->k->weights(outs, t->w + c * 9, channels * 9, t->u + c * outs, channels * outs);
}

typedef struct {
    const winograd *s;
    pi_prep *prep;
} pack_task;

static pi_status pack(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    const pack_task *p = arg;
    size_t floats = (size_t)p->s->k->points * (size_t)p->s->c.w.channels * (size_t)p->s->c.out_channels;
    weights_task t = {p->s, source->data, pi_prep_buffer(p->prep, floats * sizeof(float), err)};
    if (!t.u) return pi_alloc_status(err);
    pi_parallel(p->prep->threads, p->s->c.w.channels, 1, weights_chunk, &t);
    return pi_dnnl_pack(p->s->product, t.u, out, err);
}

/* ---- prepare ---- */

static pi_status make_product(winograd *s, int threads, pi_error *err)
{
    int64_t channels = s->c.w.channels, outs = s->c.out_channels;
    pi_dnnl_matmul d = {.batch_rank = 1, .batch = {s->k->points}, .m = s->block, .n = outs, .k = channels,
                        .a_type = PI_DTYPE_F32, .b_type = PI_DTYPE_F32, .c_type = PI_DTYPE_F32, .b_const = true, .alpha = 1};
    pi_dnnl_dense(&d.a, 1, d.batch, s->block, channels);
    pi_dnnl_dense(&d.b, 1, d.batch, channels, outs);
    pi_dnnl_dense(&d.c, 1, d.batch, s->block, outs);
    return pi_dnnl_matmul_new(&s->product, &d, threads, err);
}

/* Bytes of V, then M, then the product's scratch, each from a multiple of 64 on. */
static bool lay_out(winograd *s, size_t *bytes)
{
    size_t v, m, step = (size_t)s->block * (size_t)s->k->points * sizeof(float);
    if (!pi_mul(step, (size_t)s->c.w.channels, &v) || !pi_mul(step, (size_t)s->c.out_channels, &m)) return false;
    if (!pi_add(v, 63, &v) || !pi_add(m, 63, &m)) return false;
    s->m_at = v / 64 * 64;
    return pi_add(s->m_at, m / 64 * 64, &s->scratch_at) && pi_add(s->scratch_at, pi_dnnl_scratch(s->product), bytes);
}

static void choose_block(winograd *s)
{
    const pi_window *w = &s->c.w;
    s->high = tiles_of(s->k, w->out[1]);
    s->wide = tiles_of(s->k, w->out[2]);
    s->tiles = w->batch * s->high * s->wide; /* fewer than pixels, which were counted */
    int64_t most = BLOCK_BYTES / (s->k->points * (int64_t)sizeof(float)) / (w->channels + s->c.out_channels);
    if (most < 16) most = 16;
    int64_t blocks = (s->tiles + most - 1) / most;
    s->block = (s->tiles + blocks - 1) / blocks;
}

pi_status pi_conv_winograd_prepare(pi_prep *prep, pi_error *err)
{
    winograd *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    memset(s, 0, sizeof *s);
    PI_TRY(pi_conv_init(&s->c, prep->node, prep->in, err));
    s->k = best_form(&s->c);
    choose_block(s);
    s->late = pi_act_bounds(s->c.act, &s->low, &s->high_bound);
    int64_t channels = s->c.w.channels;
    int threads = pi_prep_threads(prep, 18.0 * (double)pi_tensor_n(prep->out[0]) * (double)channels);
    PI_TRY(make_product(s, threads, err));
    PI_TRY(pi_prep_own(prep, pi_dnnl_free, s->product, err));
    float *zeros = pi_prep_alloc(prep, (size_t)channels * sizeof *zeros, err);
    if (!zeros) return pi_alloc_status(err);
    for (int64_t i = 0; i < channels; i++) zeros[i] = 0;
    s->zeros = zeros;

    pi_dnnl_weights_info info;
    pi_dnnl_weights(s->product, &info);
    pack_task p = {s, prep};
    PI_TRY(pi_prep_pack(prep, 1, info.key, info.key_bytes, info.bytes, pack, &p, &s->weights, err));
    pi_prep_drop(prep, 1);
    if (!lay_out(s, &prep->scratch)) return pi_fail(err, PI_E_LIMIT, "the scratch is too large");
    return PI_E_OK;
}

/* ---- run ---- */

typedef struct {
    const winograd *s;
    const float *x, *bias, *z;
    float *y, *v, *m;
    int64_t first; /* tile of the block */
} block_task;

typedef struct {
    int64_t image, row, col; /* first output pixel */
} place;

static place place_of(const winograd *s, int64_t tile)
{
    int64_t across = tile % s->wide, rest = tile / s->wide;
    return (place){rest / s->high, rest % s->high * s->k->out, across * s->k->out};
}

static void input_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const block_task *t = arg;
    const winograd *s = t->s;
    const pi_window *w = &s->c.w;
    size_t channels = (size_t)w->channels;
    for (int64_t i = begin; i < end; i++) {
        place at = place_of(s, t->first + i);
        const float *image = t->x + at.image * s->c.x.batch, *d[PI_WINOGRAD_MOST];
        for (int64_t r = 0; r < s->k->in; r++)
            for (int64_t c = 0; c < s->k->in; c++) {
                int64_t row = at.row - w->pad[1] + r, col = at.col - w->pad[2] + c;
                bool inside = row >= 0 && row < w->in[1] && col >= 0 && col < w->in[2];
                d[r * s->k->in + c] = inside ? image + (row * w->in[2] + col) * w->channels : s->zeros;
            }
        s->k->input(channels, d, t->v + i * w->channels, (size_t)s->block * channels);
    }
}

static void output_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const block_task *t = arg;
    const winograd *s = t->s;
    const pi_window *w = &s->c.w;
    int64_t outs = s->c.out_channels;
    for (int64_t i = begin; i < end; i++) {
        place at = place_of(s, t->first + i);
        const float *z[PI_WINOGRAD_MOST] = {NULL};
        float *y[PI_WINOGRAD_MOST] = {NULL};
        for (int64_t p = 0; p < s->k->out * s->k->out; p++) {
            int64_t row = at.row + p / s->k->out, col = at.col + p % s->k->out;
            if (row >= w->out[1] || col >= w->out[2]) continue;
            int64_t offset = at.image * s->c.y.batch + (row * w->out[2] + col) * outs;
            y[p] = t->y + offset;
            if (t->z) z[p] = t->z + offset;
        }
        const pi_winograd_end ends = {t->bias, t->z ? z : NULL, s->low, s->high_bound};
        s->k->output((size_t)outs, t->m + i * outs, (size_t)(s->block * outs), &ends, y);
    }
}

pi_status pi_conv_winograd_run(const pi_call *call, pi_error *err)
{
    const winograd *s = call->state;
    const pi_node *node = call->node;
    char *scratch = call->scratch;
    block_task t = {.s = s, .x = call->in[0]->data, .y = call->out[0]->data,
                    .v = (float *)(void *)scratch, .m = (float *)(void *)(scratch + s->m_at)};
    if (node->n_explicit > 2 && call->in[2]) t.bias = call->in[2]->data;
    if (node->n_explicit > 3 && call->in[3]) t.z = call->in[3]->data;
    const pi_dnnl_args args = {.src = t.v, .weights = s->weights, .dst = t.m, .scratch = scratch + s->scratch_at};
    int threads = call->run->threads;
    for (; t.first < s->tiles; t.first += s->block) {
        int64_t n = pi_min_i64(s->block, s->tiles - t.first); /* rows of V beyond are multiplied, and not looked at */
        if (pi_cancelled(call)) return pi_fail(err, PI_E_CANCELLED, "cancelled");
        pi_parallel(threads, n, 1, input_chunk, &t);
        PI_TRY(pi_dnnl_run(s->product, &args, err));
        pi_parallel(threads, n, 1, output_chunk, &t);
    }
    if (s->late.kind != PI_ACT_NONE) pi_late_act(call, s->late);
    return PI_E_OK;
}
