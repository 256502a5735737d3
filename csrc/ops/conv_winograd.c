/* SPDX-License-Identifier: Apache-2.0 */
/* 3x3 convolution of stride 1 on channels-last images as 36 matrix products (kernels/winograd), for blocks of tiles that stay
 * in the caches: transform the inputs of a block, multiply, transform back with bias, residual and activation. The products are
 * plain (kernels/igemm) or those of the fast inner product (kernels/fip), for which rows of V are copied, each with a power of two
 * of its own: points differ by a hundredfold, and smooth images have nearly nothing in most of them.
 *
 * Error against the direct sum: some 1e-5 of the largest output: values grow up to a hundredfold in between and
 * cancel. Infinities in the input become NaN around them. The option exact=1 turns it off. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/fip/fip.h"
#include "kernels/igemm/igemm.h"
#include "kernels/winograd/winograd.h"
#include "ops/conv.h"
#include "ops/ops.h"

typedef struct {
    pi_conv c;
    const pi_winograd_kernels *k;
    const pi_igemm_kernels *gemm;
    const pi_fip_kernels *fip; /* or NULL */
    int64_t high, wide;    /* tiles of an image, down and across */
    int64_t tiles, block;  /* of all images; of one block */
    int64_t panels;        /* of nr columns of each of the products [block, C] x [C, K] */
    const float *weights;  /* [point][panel][C][nr]; then, for fip, of each panel of a point minus[nr] and the sum of its squares */
    float square[PI_WINOGRAD_MOST]; /* for fip: the mean of the squares of the weights of a point */
    const float *zeros;    /* C: what lies in the padding */
    pi_act late;
    float low, high_bound;
    bool apart;            /* each thread has blocks of its own, from input to output, in its second-level cache */
    /* In the scratch of a block: V [point][tile][C], for fip in its copied tiles, M [point][tile][K], pi_fip_rows [point][copied tile].
     * Bytes of a block, of all; behind them, for each thread, a row of V of all points before it is copied. */
    size_t m_at, rows_at, bytes, all;
    int64_t v_step, m_step, row_step; /* floats from a point to the next: of V, of M, of what is to be copied */
} winograd;

/* Rows of a tile of a product. */
static int64_t rows_of(const winograd *s) { return s->fip ? PI_FIP_ROWS : (int64_t)s->gemm->mr; }

/* Floats of a row of V. */
static int64_t v_row(const winograd *s)
{
    return s->fip ? pi_divide_up(s->c.w.channels, PI_FIP_BLOCK) * PI_FIP_BLOCK : s->c.w.channels;
}

static int64_t tiles_of(const pi_winograd_kernels *k, int64_t n) { return (n + k->out - 1) / k->out; }

/* ---- whether it pays ---- */

/* Seconds of one core at the rates of Zen 4, for comparison with each other only: products at 117 GFLOP/s, 165 by the fast inner
 * product, which copies rows; transforms that read and write at 40 GB/s; weights that come from memory, mostly while others are
 * multiplied; starting threads three times. Measured with 16, 32, 64, 128 channels in the caches, F(4,3), nanoseconds of a point
 * of a tile: 11, 29, 92, 325, by the fast inner product 21, 36, 83, 261. */
static double seconds(const pi_conv *c, const pi_winograd_kernels *k, bool fip)
{
    const pi_window *w = &c->w;
    double tiles = (double)w->batch * (double)tiles_of(k, w->out[1]) * (double)tiles_of(k, w->out[2]);
    double product = (double)w->channels * (double)c->out_channels, sum = (double)(w->channels + c->out_channels);
    double multiply = tiles * product * 2 / (fip ? 165e9 : 117e9), fetch = product * 4 / 20e9;
    double both = multiply > fetch ? multiply + 0.3 * fetch : fetch + 0.3 * multiply;
    double copy = fip ? 9e-9 + 0.08e-9 * (double)w->channels : 0;
    return k->points * (both + tiles * (sum * 8 / 40e9 + copy)) + 6e-6;
}

/* The form that takes less. */
static const pi_winograd_kernels *best_form(const pi_conv *c, bool fip)
{
    const pi_winograd_kernels *k = pi_winograd();
    return seconds(c, k + 1, fip) < seconds(c, k, fip) ? k + 1 : k;
}

/* Of a direct convolution: plain, or by the fast inner product, which gathers and copies windows. */
static double direct_seconds(const pi_conv *c)
{
    const pi_window *w = &c->w;
    double windows = 9 * (double)w->batch * (double)w->out[1] * (double)w->out[2] * (double)w->channels, outs = (double)c->out_channels;
    double plain = windows * outs * 2 / 110e9, fip = windows * (outs * 2 / 165e9 + 0.2e-9);
    return pi_fip_pays() && fip < plain ? fip : plain;
}

static const char *slower(const pi_conv *c, bool fip)
{
    double mine = seconds(c, best_form(c, fip), fip);
    if (fip && !pi_fip_pays()) return PI_SLOWER "this CPU does not add beside its multiply-adds";
    if (fip && mine > seconds(c, best_form(c, false), false)) return PI_SLOWER "rows are copied for too few columns";
    return mine < 0.95 * direct_seconds(c) ? NULL : PI_SLOWER "a direct convolution is quicker";
}

static const char *refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out, bool fip)
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
    return slower(&c, fip);
}

const char *pi_conv_winograd_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    return refuse(node, in, out, false);
}

const char *pi_conv_winograd_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    return refuse(node, in, out, true);
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

/* Of panel u of all points: what lies behind the weights. */
static int64_t minus_at(const winograd *s, int64_t u)
{
    int64_t nr = (int64_t)s->gemm->nr;
    return s->k->points * s->panels * s->c.w.channels * nr + u * (nr + 1);
}

static void minus_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const weights_task *t = arg;
    const winograd *s = t->s;
    int64_t channels = s->c.w.channels, nr = (int64_t)s->gemm->nr;
    for (int64_t u = begin; u < end; u++) {
        float *minus = t->u + minus_at(s, u);
        minus[nr] = s->fip->columns((size_t)channels, t->u + u * channels * nr, minus);
    }
}

static void find_squares(winograd *s)
{
    const double n = (double)s->c.w.channels * (double)s->c.out_channels;
    for (int64_t p = 0; p < s->k->points; p++) {
        double sum = 0;
        for (int64_t i = 0; i < s->panels; i++) sum += (double)s->weights[minus_at(s, p * s->panels + i) + (int64_t)s->gemm->nr];
        s->square[p] = (float)(sum / n);
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
    if (p->s->fip) pi_parallel(p->prep->threads, p->s->panels * p->s->k->points, 1, minus_chunk, &t);
    return PI_E_OK;
}

static pi_status pack_weights(winograd *s, pi_prep *prep, pi_error *err)
{
    struct {
        char name[12];
        int32_t points;
        int64_t nr;
    } key;
    size_t units = (size_t)(s->k->points * s->panels), nr = s->gemm->nr, n;
    size_t tail = s->fip ? units * (nr + 1) * sizeof(float) : 0;
    if (!pi_mul(units * nr * sizeof(float), (size_t)s->c.w.channels, &n) || !pi_add(n, tail, &n))
        return pi_fail(err, PI_E_LIMIT, "the packed weights have more bytes than can be addressed");
    memset(&key, 0, sizeof key);
    memcpy(key.name, s->fip ? "winogradfip" : "winograd", s->fip ? 11 : 8);
    key.points = s->k->points;
    key.nr = (int64_t)s->gemm->nr;
    const void *packed;
    pack_task p = {s, prep};
    PI_TRY(pi_prep_pack(prep, 1, &key, sizeof key, n, pack, &p, &packed, err));
    s->weights = packed;
    if (s->fip) find_squares(s);
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
    int64_t mr = rows_of(s), sum = w->channels + s->c.out_channels, product = w->channels * s->c.out_channels;
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

/* Floats of n rows of a point: an odd number of cache lines, so that the points of a row lie in different sets of the cache. */
static bool step_of(int64_t n, int64_t row, int64_t *step)
{
    enum { LINE = 16 };
    size_t floats;
    if (!pi_mul((size_t)n, (size_t)row, &floats) || !pi_add(floats, 2 * LINE, &floats)) return false;
    *step = (int64_t)((floats / LINE - 1) | 1) * LINE;
    return true;
}

/* Bytes of V, M, the tables of rows and what is to be copied, each from a multiple of 64 on. */
static bool lay_out(winograd *s, int threads, size_t *bytes)
{
    size_t m, row, point = (size_t)s->k->points * sizeof(float);
    int64_t copied = s->fip ? pi_divide_up(s->block, PI_FIP_ROWS) : 0;
    if (!step_of(s->fip ? copied * PI_FIP_ROWS : s->block, v_row(s), &s->v_step) || !step_of(s->block, s->c.out_channels, &s->m_step) ||
        !step_of(1, s->c.w.channels, &s->row_step))
        return false;
    return pi_mul(point, (size_t)s->v_step, &s->m_at) && pi_mul(point, (size_t)s->m_step, &m) && pi_add(s->m_at, m, &s->rows_at) &&
           pi_add(s->rows_at, (size_t)(copied * s->k->points) * sizeof(pi_fip_rows), &s->bytes) &&
           pi_mul(s->bytes, s->apart ? (size_t)threads : 1, &s->all) && pi_mul(point, (size_t)s->row_step, &row) &&
           pi_mul(row, s->fip ? (size_t)threads : 0, &row) && pi_add(s->all, row, bytes);
}

static pi_status prepare(pi_prep *prep, const pi_fip_kernels *fip, pi_error *err)
{
    winograd *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    s->fip = fip;
    PI_TRY(pi_conv_init(&s->c, prep->node, prep->in, err));
    s->k = best_form(&s->c, fip);
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

pi_status pi_conv_winograd_prepare(pi_prep *prep, pi_error *err) { return prepare(prep, NULL, err); }
pi_status pi_conv_winograd_fip_prepare(pi_prep *prep, pi_error *err) { return prepare(prep, pi_fip(), err); }

/* ---- run ---- */

typedef struct {
    const pi_call *call;
    const winograd *s;
    const float *x, *bias, *z;
    float *y, *v, *m;
    pi_fip_rows *tables;
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

/* Rows of the tiles of a product: all about alike. */
static int64_t height(const block_task *t)
{
    return pi_divide_up(t->rows, pi_divide_up(t->rows, rows_of(t->s)));
}

/* Row i of V for fip, of the pixels d. */
static void copied_row(const block_task *t, int64_t i, const float *const *d, int thread)
{
    const winograd *s = t->s;
    size_t channels = (size_t)s->c.w.channels, row = (size_t)s->row_step, copied = (size_t)pi_divide_up(s->block, PI_FIP_ROWS);
    int64_t points = s->k->points, tile = i / height(t);
    float *v = (float *)(void *)((char *)t->call->scratch + s->all) + thread * points * s->row_step;
    s->k->input(channels, d, v, row);
    s->fip->row((size_t)points, channels, v, row, s->square, (size_t)(i % height(t)), t->v + tile * PI_FIP_ROWS * v_row(s),
                (size_t)s->v_step, t->tables + tile, copied);
}

/* V of tiles [begin, end) of the block. */
static void input_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
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
        if (s->fip)
            copied_row(t, i, d, thread);
        else
            s->k->input(channels, d, t->v + i * w->channels, (size_t)s->v_step);
    }
}

/* M = V times the weights: units are (point, panel). */
static void product_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const block_task *t = arg;
    const winograd *s = t->s;
    int64_t channels = s->c.w.channels, outs = s->c.out_channels, nr = (int64_t)s->gemm->nr, high = height(t);
    int64_t size = channels * nr, tiles = pi_divide_up(t->rows, high); /* of a panel of weights */
    const float *row[MOST_NR];
    for (int64_t u = begin; u < end && !pi_cancelled(t->call); u++) {
        int64_t point = u / s->panels, panel = u % s->panels, wide = pi_min_i64(nr, outs - panel * nr);
        const float *v = t->v + point * s->v_step, *b = s->weights + u * size, *next = u + 1 < end ? b + size : NULL;
        const pi_fip_rows *tables = t->tables + point * pi_divide_up(s->block, PI_FIP_ROWS);
        float *m = t->m + point * s->m_step + panel * nr;
        for (int64_t i = 0, r = 0; i < tiles; i++, r += high, m += high * outs) {
            int64_t n = pi_min_i64(high, t->rows - r);
            pi_igemm_ahead ahead = pi_igemm_share(next, (size_t)size, (size_t)channels, (size_t)i, (size_t)tiles);
            if (s->fip) {
                s->fip->tile((size_t)n, (size_t)wide, (size_t)channels, v + i * PI_FIP_ROWS * v_row(s), tables + i, b,
                             s->weights + minus_at(s, u), NULL, m, (size_t)outs, ahead.at, ahead.lines);
                continue;
            }
            for (int64_t j = 0; j < n; j++) row[j] = v + (r + j) * channels;
            s->gemm->tile_ahead((size_t)n, (size_t)wide, 1, (size_t)channels, row, b, NULL, m, (size_t)outs, ahead.at, ahead.lines);
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
        s->k->output((size_t)outs, t->m + i * outs, (size_t)s->m_step, &ends, y);
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
    t.tables += (size_t)thread * s->bytes / sizeof *t.tables;
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
                    .v = (float *)(void *)scratch, .m = (float *)(void *)(scratch + s->m_at),
                    .tables = (pi_fip_rows *)(void *)(scratch + s->rows_at)};
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
