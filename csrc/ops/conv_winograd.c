/* SPDX-License-Identifier: Apache-2.0 */
/* 3x3 convolution of stride 1 on channels-last images as 36 matrix products (kernels/winograd), for blocks of tiles that stay
 * in the caches: transform the inputs of a block, multiply, transform back with bias, residual and activation.
 *
 * Error against the direct sum: some 1e-5 of the largest output: values grow up to a hundredfold in between and
 * cancel. Infinities in the input become NaN around them. The option exact=1 turns it off. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/igemm/igemm.h"
#include "kernels/winograd/winograd.h"
#include "ops/conv.h"
#include "ops/ops.h"

typedef struct {
    pi_conv c;
    const pi_winograd_kernels *k;
    const pi_igemm_kernels *gemm;
    int64_t high, wide;    /* tiles of an image, down and across */
    int64_t tiles, block;  /* of all images; of one block */
    int64_t panels;        /* of nr columns of each of the products [block, C] x [C, K] */
    const float *weights;  /* [point][panel][C][nr] */
    const float *zeros;    /* C: what lies in the padding */
    pi_act late;
    float low, high_bound;
    bool apart;            /* each thread has blocks of its own, from input to output, in its second-level cache */
    size_t m_at, bytes;    /* in the scratch of a block: V [point][tile][C] first, then M [point][tile][K]; of one block */
} winograd;

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

enum { MOST_NR = 32 };

typedef struct {
    const winograd *s;
    const float *w;
    float *u;
} weights_task;

/* Units are (panel, input channel): a row of nr numbers for each point. */
static void weights_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const weights_task *t = arg;
    const winograd *s = t->s;
    int64_t channels = s->c.w.channels, nr = (int64_t)s->gemm->nr;
    float row[PI_WINOGRAD_MOST * MOST_NR] = {0};
    for (int64_t i = begin; i < end; i++) {
        int64_t panel = i / channels, c = i % channels, n = pi_min_i64(nr, s->c.out_channels - panel * nr);
        if (n < nr) memset(row, 0, sizeof row);
        s->k->weights((size_t)n, t->w + (panel * nr * channels + c) * 9, (size_t)channels * 9, row, (size_t)nr);
        for (int64_t p = 0; p < s->k->points; p++)
            memcpy(t->u + ((p * s->panels + panel) * channels + c) * nr, row + p * nr, (size_t)nr * sizeof *row);
    }
}

typedef struct {
    const winograd *s;
    const pi_prep *prep;
} pack_task;

static pi_status pack(void *arg, const pi_tensor *source, void *out, pi_error *err)
{
    (void)err;
    const pack_task *p = arg;
    weights_task t = {p->s, source->data, out};
    pi_parallel(p->prep->threads, p->s->panels * p->s->c.w.channels, 16, weights_chunk, &t);
    return PI_E_OK;
}

static pi_status pack_weights(winograd *s, pi_prep *prep, pi_error *err)
{
    struct {
        char name[12];
        int32_t points;
        int64_t nr;
    } key;
    size_t n = (size_t)s->k->points * sizeof(float);
    if (!pi_mul(n, (size_t)(s->panels * (int64_t)s->gemm->nr), &n) || !pi_mul(n, (size_t)s->c.w.channels, &n))
        return pi_fail(err, PI_E_LIMIT, "the packed weights have more bytes than can be addressed");
    memset(&key, 0, sizeof key);
    memcpy(key.name, "winograd", 8);
    key.points = s->k->points;
    key.nr = (int64_t)s->gemm->nr;
    const void *packed;
    pack_task p = {s, prep};
    PI_TRY(pi_prep_pack(prep, 1, &key, sizeof key, n, pack, &p, &packed, err));
    s->weights = packed;
    pi_prep_drop(prep, 1);
    return PI_E_OK;
}

/* ---- prepare ---- */

/* Tiles of a block. A block in the second-level cache fetches the weights, points * C * K numbers, for few tiles; one that
 * leaves it writes and reads points * (C + K) numbers a tile once more. */
static void choose_block(winograd *s, int threads)
{
    enum { LARGE = 4 << 20, ROOM = 3 }; /* bytes of V and M that the last cache holds; ROOM / 4 of the second-level cache */
    const pi_window *w = &s->c.w;
    int64_t mr = (int64_t)s->gemm->mr, sum = w->channels + s->c.out_channels, product = w->channels * s->c.out_channels;
    int64_t tile = s->k->points * (int64_t)sizeof(float) * sum;
    s->high = tiles_of(s->k, w->out[1]);
    s->wide = tiles_of(s->k, w->out[2]);
    s->tiles = w->batch * s->high * s->wide; /* fewer than pixels, which were counted */
    int64_t small = (int64_t)pi_cpu_cache(2) * ROOM / 4 / tile / mr * mr, large = LARGE / tile;
    if (large < 2 * mr) large = 2 * mr;
    s->apart = small >= mr && s->tiles >= 2 * small * threads && product / small < product / large + 2 * sum;
    int64_t most = s->apart ? small : large, blocks = (s->tiles + most - 1) / most;
    s->block = (s->tiles + blocks - 1) / blocks;
}

/* Bytes of V, then M, each from a multiple of 64 on. */
static bool lay_out(winograd *s, int threads, size_t *bytes)
{
    size_t v, m, step = (size_t)s->block * (size_t)s->k->points * sizeof(float);
    if (!pi_mul(step, (size_t)s->c.w.channels, &v) || !pi_mul(step, (size_t)s->c.out_channels, &m)) return false;
    if (!pi_add(v, 63, &v) || !pi_add(m, 63, &m)) return false;
    s->m_at = v / 64 * 64;
    return pi_add(s->m_at, m / 64 * 64, &s->bytes) && pi_mul(s->bytes, s->apart ? (size_t)threads : 1, bytes);
}

pi_status pi_conv_winograd_prepare(pi_prep *prep, pi_error *err)
{
    winograd *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_conv_init(&s->c, prep->node, prep->in, err));
    s->k = best_form(&s->c);
    s->gemm = pi_igemm();
    s->panels = (s->c.out_channels + (int64_t)s->gemm->nr - 1) / (int64_t)s->gemm->nr;
    s->late = pi_act_bounds(s->c.act, &s->low, &s->high_bound);
    int64_t channels = s->c.w.channels;
    prep->flops = 18.0 * (double)pi_tensor_n(prep->out[0]) * (double)channels;
    choose_block(s, prep->threads);
    s->zeros = pi_prep_alloc(prep, (size_t)channels * sizeof(float), err);
    if (!s->zeros) return pi_alloc_status(err);
    PI_TRY(pack_weights(s, prep, err));
    if (!lay_out(s, prep->threads, &prep->scratch)) return pi_fail(err, PI_E_LIMIT, "the scratch is too large");
    return PI_E_OK;
}

/* ---- run ---- */

typedef struct {
    const pi_call *call;
    const winograd *s;
    const float *x, *bias, *z;
    float *y, *v, *m;
    int64_t first, rows; /* tiles of the block */
} block_task;

typedef struct {
    int64_t image, row, col; /* first output pixel */
} place;

static place place_of(const winograd *s, int64_t tile)
{
    int64_t across = tile % s->wide, rest = tile / s->wide;
    return (place){rest / s->high, rest % s->high * s->k->out, across * s->k->out};
}

/* V of tiles [begin, end) of the block. */
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

/* M = V times the weights: units are (point, panel). */
static void product_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const block_task *t = arg;
    const winograd *s = t->s;
    int64_t channels = s->c.w.channels, outs = s->c.out_channels, nr = (int64_t)s->gemm->nr, mr = (int64_t)s->gemm->mr;
    int64_t size = channels * nr; /* of a panel of weights */
    int64_t tiles = (t->rows + mr - 1) / mr, high = (t->rows + tiles - 1) / tiles; /* all about alike */
    const float *row[MOST_NR];
    for (int64_t u = begin; u < end && !pi_cancelled(t->call); u++) {
        int64_t point = u / s->panels, panel = u % s->panels;
        const float *v = t->v + point * s->block * channels, *b = s->weights + u * size;
        float *m = t->m + point * s->block * outs + panel * nr;
        for (int64_t r = 0; r < t->rows; r += high) {
            int64_t n = pi_min_i64(high, t->rows - r);
            for (int64_t i = 0; i < n; i++) row[i] = v + (r + i) * channels;
            const float *next = u + 1 < end ? b + size : NULL;
            pi_igemm_ahead ahead = pi_igemm_share(next, (size_t)size, (size_t)channels, (size_t)(r / high), (size_t)tiles);
            s->gemm->tile_ahead((size_t)n, (size_t)pi_min_i64(nr, outs - panel * nr), 1, (size_t)channels, row, b, NULL,
                                m + r * outs, (size_t)outs, ahead.at, ahead.lines);
        }
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

/* Whole blocks, one after the other. */
static void block_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const block_task *all = arg;
    const winograd *s = all->s;
    block_task t = *all;
    t.v += (size_t)thread * s->bytes / sizeof *t.v;
    t.m += (size_t)thread * s->bytes / sizeof *t.m;
    for (int64_t i = begin; i < end && !pi_cancelled(t.call); i++) {
        t.first = i * s->block;
        t.rows = pi_min_i64(s->block, s->tiles - t.first);
        input_chunk(&t, 0, t.rows, thread);
        product_chunk(&t, 0, s->k->points * s->panels, thread);
        output_chunk(&t, 0, t.rows, thread);
    }
}

pi_status pi_conv_winograd_run(const pi_call *call, pi_error *err)
{
    const winograd *s = call->state;
    const pi_node *node = call->node;
    char *scratch = call->scratch;
    pi_call copied = *call;
    block_task t = {.call = &copied, .s = s, .x = call->in[0]->data, .y = call->out[0]->data,
                    .v = (float *)(void *)scratch, .m = (float *)(void *)(scratch + s->m_at)};
    if (node->n_explicit > 2 && call->in[2]) t.bias = call->in[2]->data;
    if (node->n_explicit > 3 && call->in[3]) t.z = call->in[3]->data;
    int threads = call->run->threads;
    if (s->apart) pi_parallel(threads, (s->tiles + s->block - 1) / s->block, 1, block_chunk, &t);
    for (; !s->apart && t.first < s->tiles && !pi_cancelled(call); t.first += s->block) {
        t.rows = pi_min_i64(s->block, s->tiles - t.first);
        pi_parallel(threads, t.rows, 1, input_chunk, &t);
        pi_parallel(threads, s->k->points * s->panels, 1, product_chunk, &t);
        pi_parallel(threads, t.rows, 1, output_chunk, &t);
    }
    if (pi_cancelled(call)) return pi_fail(err, PI_E_CANCELLED, "cancelled");
    if (s->late.kind != PI_ACT_NONE) pi_late_act(call, s->late);
    return PI_E_OK;
}
