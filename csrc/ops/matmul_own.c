/* SPDX-License-Identifier: Apache-2.0 */
/* f32 products with our own kernel (kernels/igemm): a constant B is packed once, any other in each run. alpha goes into B.
 * Of rows that nobody needs (`live`) only those are multiplied that share a tile with others; all of them come out as 0. */
#include <string.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "kernels/igemm/igemm.h"
#include "kernels/layout/layout.h"
#include "ops/conv.h"
#include "ops/fip_product.h"
#include "ops/live.h"
#include "ops/matmul.h"
#include "ops/ops.h"

/* Tiles that share a pass over a panel. B comes from memory or the last cache once for each block of rows, so these are many: 128
 * rows of 768 by 768 x 3072 on Zen 3, B not in a cache: 60 GFLOP/s with 8 tiles a block, 72 with all 22. */
enum { BLOCK = 32, TURN = 64 }; /* TURN: rows of A that are transposed together */

typedef struct {
    pi_matmul p;
    const pi_igemm_kernels *gemm;
    const float *b; /* packed; NULL: packed in each run */
    int64_t panels, batches, packed; /* packed: floats of one packed matrix B */
    bool one_b;     /* B is the same for all batches */
    int64_t tiles, groups; /* tiles of a batch; groups of batches whose rows are skipped alike, 0: none is skipped */
    pi_live_keys keys;
    bool turned;           /* rows of A are not dense: they are made so in each run */
    size_t turned_at;      /* in the scratch: A of each batch */
    size_t tiles_at;       /* in the scratch, of the tiles that have a live row: count[groups], span[groups],
                            * range[groups][tiles] */
} own_state;

/* The rows of a batch in tiles. */
typedef struct {
    int64_t n, m, mr;
    const pi_live_range *range; /* or NULL: mr rows each */
    const bool *live;
} tiling;

typedef struct {
    int64_t k, n, nr, row, col;
    double alpha;
} pack_shape;

const char *pi_matmul_own_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_matmul p;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_matmul_init(&p, node, in, NULL, NULL) != PI_E_OK) return "attributes";
    if (p.y.col != 1 || in[0]->rank < 2 || in[1]->rank < 2) return "only rows of Y that are dense";
    if (p.k == 0 || pi_tensor_n(out[0]) == 0) return "no elements";
    const pi_tensor *residual = pi_matmul_residual(node, in);
    if (residual && !pi_tensor_same_shape(residual, out[0])) return "the shape of the residual";
    if (p.bias.rank >= 0 && (p.beta != 1 || pi_tensor_n(&p.bias) != p.n || p.bias.dim[p.bias.rank - 1] != p.n))
        return "the shape of the bias, or beta";
    return NULL;
}

int64_t pi_matmul_batches(const pi_matmul *p, bool *one_b)
{
    int64_t n = 1;
    *one_b = true;
    for (int i = 0; i < p->batch_rank; i++) {
        *one_b &= p->b.batch[i] == 0;
        n *= p->batch[i];
    }
    return n;
}

static void pack_panel(const pack_shape *s, const float *b, int64_t panel, float *to)
{
    int64_t first = panel * s->nr, n = pi_min_i64(s->nr, s->n - first);
    b += first * s->col;
    if (s->row == 1 || s->col == 1) { /* what is left of a panel is 0 */
        if (n < s->nr) memset(to, 0, (size_t)(s->k * s->nr) * sizeof *to);
        if (s->col == 1)
            for (int64_t l = 0; l < s->k; l++) memcpy(to + l * s->nr, b + l * s->row, (size_t)n * sizeof *to);
        else
            pi_transpose_select(sizeof *to)((const char *)b, s->col * (ptrdiff_t)sizeof *to, (char *)to,
                                            s->nr * (ptrdiff_t)sizeof *to, n, s->k);
        for (int64_t i = 0; s->alpha != 1 && i < s->k * s->nr; i++) to[i] *= (float)s->alpha;
        return;
    }
    for (int64_t l = 0; l < s->k; l++, to += s->nr) {
        const float *row = b + l * s->row;
        for (int64_t j = 0; j < n; j++) to[j] = (float)s->alpha * row[j * s->col];
        for (int64_t j = n; j < s->nr; j++) to[j] = 0.0f;
    }
}

static pi_status pack_constant(void *arg, const pi_tensor *source, void *packed, pi_error *err)
{
    (void)err;
    const pack_shape *s = arg;
    int64_t panels = (s->n + s->nr - 1) / s->nr;
    for (int64_t panel = 0; panel < panels; panel++) {
        pack_panel(s, source->data, panel, (float *)packed + panel * s->k * s->nr);
        pi_fip_fill(1, panels, s->k, s->nr, 0, panel, packed);
    }
    return PI_E_OK;
}

static pack_shape shape_of(const pi_matmul *p)
{
    return (pack_shape){p->k, p->n, (int64_t)pi_igemm()->nr, p->b.row, p->b.col, (double)p->alpha};
}

pi_status pi_matmul_pack(pi_prep *prep, const pi_matmul *p, const float **out, pi_error *err)
{
    struct {
        char name[8];
        pack_shape shape;
    } key;
    size_t bytes;
    memset(&key, 0, sizeof key);
    memcpy(key.name, "igemm_c", 7);
    key.shape = shape_of(p);
    int64_t panels = (p->n + key.shape.nr - 1) / key.shape.nr;
    if (!pi_mul((size_t)(panels * key.shape.nr), (size_t)p->k, &bytes) ||
        !pi_add(bytes, pi_fip_tail(1, panels, p->k, key.shape.nr), &bytes) || !pi_mul(bytes, sizeof(float), &bytes))
        return pi_fail(err, PI_E_LIMIT, "B has more bytes than can be addressed");
    const void *packed;
    PI_TRY(pi_prep_pack(prep, 1, &key, sizeof key, bytes, pack_constant, &key.shape, &packed, err));
    *out = packed;
    pi_prep_drop(prep, 1);
    return PI_E_OK;
}

void pi_matmul_pack_panel(const pi_matmul *p, const float *b, int64_t panel, float *to)
{
    const pack_shape shape = shape_of(p);
    pack_panel(&shape, b, panel, to);
}

static pi_status prepare_live(pi_prep *prep, own_state *s, pi_error *err)
{
    const pi_tensor *live = pi_matmul_live(prep->node, prep->in);
    size_t each, bytes;
    if (!live) return PI_E_OK;
    s->groups = pi_tensor_n(live) / s->p.m;
    s->keys = s->one_b ? PI_LIVE_NO_KEYS : (pi_live_keys)pi_attr_int(prep->node, "keys");
    if (!pi_add(prep->scratch, 63, &s->tiles_at) || !pi_mul((size_t)s->tiles, sizeof(pi_live_range), &each) ||
        !pi_add(each, sizeof(int64_t) + sizeof(pi_live_range), &each) || !pi_mul(each, (size_t)s->groups, &bytes) ||
        !pi_add(s->tiles_at &= ~(size_t)63, bytes, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "more rows than can be addressed");
    return PI_E_OK;
}

static pi_status prepare_a(pi_prep *prep, own_state *s, pi_error *err)
{
    size_t bytes;
    s->turned = s->p.a.col != 1;
    if (!s->turned) return PI_E_OK;
    if (!pi_add(prep->scratch, 63, &s->turned_at) || !pi_mul((size_t)s->batches, (size_t)s->p.m, &bytes) ||
        !pi_mul(bytes, (size_t)s->p.k, &bytes) || !pi_mul(bytes, sizeof(float), &bytes) ||
        !pi_add(s->turned_at &= ~(size_t)63, bytes, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "A has more bytes than can be addressed");
    return PI_E_OK;
}

pi_status pi_matmul_own_prepare(pi_prep *prep, pi_error *err)
{
    own_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_matmul_init(&s->p, prep->node, prep->in, NULL, err));
    pi_matmul_merge_batch(&s->p);
    s->gemm = pi_igemm();
    s->batches = pi_matmul_batches(&s->p, &s->one_b);
    int64_t nr = (int64_t)s->gemm->nr, mr = (int64_t)s->gemm->mr;
    size_t bytes;
    s->tiles = (s->p.m + mr - 1) / mr;
    s->panels = (s->p.n + nr - 1) / nr;
    if (!pi_mul_i64(s->panels * nr, s->p.k, &s->packed) || !pi_mul((size_t)s->packed, sizeof(float), &bytes))
        return pi_fail(err, PI_E_LIMIT, "B has more bytes than can be addressed");
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)s->p.k;
    bool once = s->one_b && pi_prep_is_const(prep, 1);
    if (!once && !pi_mul(bytes, s->one_b ? 1 : (size_t)s->batches, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "B has more bytes than can be addressed");
    PI_TRY(prepare_a(prep, s, err));
    PI_TRY(prepare_live(prep, s, err));
    return once ? pi_matmul_pack(prep, &s->p, &s->b, err) : PI_E_OK;
}

/* ---- what is needed for the keys ---- */

typedef struct {
    pi_live_range panel, inner;
} needed;

static int64_t *tile_counts(const own_state *s, const pi_call *call)
{
    return (int64_t *)(void *)((char *)call->scratch + s->tiles_at);
}

static needed needed_of(const own_state *s, const pi_call *call, int64_t batch)
{
    needed part = {{0, s->panels}, {0, s->p.k}};
    if (s->keys == PI_LIVE_NO_KEYS) return part;
    int64_t nr = (int64_t)s->gemm->nr;
    pi_live_range span = ((const pi_live_range *)(tile_counts(s, call) + s->groups))[batch / (s->batches / s->groups)];
    if (s->keys == PI_LIVE_INNER)
        part.inner = span;
    else
        part.panel = (pi_live_range){span.first / nr, (span.end + nr - 1) / nr};
    return part;
}

/* A chunk is a range of (batch, panel) of B. */
static void pack_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const own_state *s = call->state;
    pack_shape shape = shape_of(&s->p);
    for (int64_t u = begin; u < end; u++) {
        int64_t a, b, y, panel = u % s->panels;
        const needed part = needed_of(s, call, u / s->panels);
        if (panel < part.panel.first || panel >= part.panel.end) continue;
        shape.k = part.inner.end - part.inner.first;
        pi_matmul_offsets(&s->p, u / s->panels, &a, &b, &y);
        pack_panel(&shape, (const float *)call->in[1]->data + b + part.inner.first * shape.row, panel,
                   (float *)call->scratch + (u * s->p.k + part.inner.first) * shape.nr);
    }
}

/* A chunk is a range of (batch, block of rows of A). */
static void turn_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const own_state *s = call->state;
    const pi_matmul *p = &s->p;
    int64_t blocks = (p->m + TURN - 1) / TURN, step = (int64_t)sizeof(float);
    for (int64_t u = begin; u < end; u++) {
        int64_t batch = u / blocks, first = u % blocks * TURN, a, b, y;
        pi_matmul_offsets(p, batch, &a, &b, &y);
        const float *from = (const float *)call->in[0]->data + a + first * p->a.row;
        float *to = (float *)(void *)((char *)call->scratch + s->turned_at) + (batch * p->m + first) * p->k;
        int64_t rows = pi_min_i64(TURN, p->m - first);
        if (p->a.row == 1)
            pi_transpose_select(sizeof(float))((const char *)from, p->a.col * step, (char *)to, p->k * step, p->k, rows);
        for (int64_t r = 0; p->a.row != 1 && r < rows; r++, from += p->a.row)
            for (int64_t l = 0; l < p->k; l++) to[r * p->k + l] = from[l * p->a.col];
    }
}

/* ---- tiles of rows ---- */

/* Finds the tiles of each group; the most that a batch has. */
static int64_t find_tiles(const own_state *s, const pi_call *call)
{
    if (!s->groups) return s->tiles;
    int64_t *count = tile_counts(s, call), most = 1; /* a batch without a tile is cleared */
    pi_live_range *span = (pi_live_range *)(count + s->groups), *range = span + s->groups;
    const bool *live = pi_matmul_live(call->node, call->in)->data;
    for (int64_t g = 0; g < s->groups; g++) {
        span[g] = pi_live_span(live + g * s->p.m, s->p.m);
        count[g] = pi_live_ranges(live + g * s->p.m, s->p.m, (int64_t)s->gemm->mr, range + g * s->tiles);
        most = pi_max_i64(most, count[g]);
    }
    return most;
}

static tiling tiles_of(const own_state *s, const pi_call *call, int64_t batch)
{
    tiling t = {.n = s->tiles, .m = s->p.m, .mr = (int64_t)s->gemm->mr};
    if (!s->groups) return t;
    const int64_t *count = tile_counts(s, call), group = batch / (s->batches / s->groups);
    t.n = count[group];
    t.range = (const pi_live_range *)(count + s->groups) + s->groups + group * s->tiles;
    t.live = (const bool *)pi_matmul_live(call->node, call->in)->data + group * t.m;
    return t;
}

static pi_live_range rows_of(const tiling *t, int64_t i)
{
    if (t->range) return t->range[i];
    return (pi_live_range){i * t->mr, pi_min_i64((i + 1) * t->mr, t->m)};
}

/* Zeros in the rows between tiles from tile `from` on, and before tile 0, up to tile `to`. */
static void clear_between(const tiling *t, int64_t from, int64_t to, int64_t n, float *y, int64_t row)
{
    for (int64_t i = from ? from : -1; i < pi_min_i64(to, t->n); i++) {
        int64_t r = i < 0 ? 0 : rows_of(t, i).end, end = i + 1 < t->n ? rows_of(t, i + 1).first : t->m;
        for (; r < end; r++) memset(y + r * row, 0, (size_t)n * sizeof *y);
    }
}

/* ---- run ---- */

/* n values in each row of these tiles, after the last product: the activation, zeros in rows that are not live. */
static void finish(const tiling *t, int64_t first, int64_t last, pi_act act, int64_t n, float *y, int64_t row)
{
    for (int64_t i = first; (t->live || act.kind != PI_ACT_NONE) && i < last; i++)
        for (int64_t r = rows_of(t, i).first; r < rows_of(t, i).end; r++) {
            float *at = y + r * row;
            if (t->live && !t->live[r])
                memset(at, 0, (size_t)n * sizeof *at);
            else if (act.kind != PI_ACT_NONE)
                pi_eltwise()->act_f32(act, (size_t)n, at, at);
        }
}

/* Tiles [first, last) of one batch, as far as there are, against panels [begin, end). */
static void block(const own_state *s, const pi_call *call, int64_t batch, int64_t first, int64_t last, int64_t begin,
                  int64_t end)
{
    enum { MOST = 16 };
    const pi_matmul *p = &s->p;
    const tiling tiles = tiles_of(s, call, batch);
    const needed part = needed_of(s, call, batch);
    int64_t nr = (int64_t)s->gemm->nr, oa, ob, oy;
    const pi_tensor *bt = pi_matmul_bias(call->node, call->in), *zt = pi_matmul_residual(call->node, call->in);
    const float *bias = bt ? bt->data : NULL, *z = zt ? zt->data : NULL, *a_row[MOST];
    pi_matmul_offsets(&s->p, batch, &oa, &ob, &oy);
    const float *a = s->turned ? (const float *)(void *)((char *)call->scratch + s->turned_at) + batch * p->m * p->k
                               : (const float *)call->in[0]->data + oa;
    int64_t a_step = s->turned ? p->k : p->a.row;
    const float *b = s->b ? s->b : (const float *)call->scratch + (s->one_b ? 0 : batch * s->packed);
    float low, high, *y = call->out[0]->data;
    pi_act late = pi_act_bounds(p->act, &low, &high);
    int64_t group = pi_igemm_group(s->gemm, (size_t)p->k), size = nr * p->k;
    if (tiles.live && begin == 0 && s->keys != PI_LIVE_COLUMNS) clear_between(&tiles, first, last, p->n, y + oy, p->y.row);
    last = pi_min_i64(last, tiles.n);
    begin = pi_max_i64(begin, part.panel.first);
    end = pi_min_i64(end, part.panel.end);
    if (begin >= end) return;
    for (int64_t from = begin, to; from < end; from = to) {
        to = pi_min_i64(end, from + group);
        for (int64_t t = first; t < last; t++) {
            const pi_live_range rows = rows_of(&tiles, t);
            int64_t m = rows.end - rows.first;
            for (int64_t i = 0; i < m; i++) a_row[i] = a + (rows.first + i) * a_step + part.inner.first;
            for (int64_t panel = from; panel < to; panel++) {
                int64_t at = oy + rows.first * p->y.row + panel * nr, n = pi_min_i64(nr, p->n - panel * nr);
                pi_igemm_end ends = {bias ? bias + panel * nr : NULL, z ? z + at : NULL, low, high};
                const float *mine = b + panel * size, *next = m > 1 && panel + group < s->panels ? mine + group * size : NULL;
                pi_igemm_ahead ahead = pi_igemm_share(next, (size_t)size, (size_t)p->k, (size_t)(t - first), (size_t)(last - first));
                s->gemm->tile_ahead((size_t)m, (size_t)n, 1, (size_t)(part.inner.end - part.inner.first), a_row,
                                    mine + part.inner.first * nr, &ends, y + at, (size_t)p->y.row, ahead.at, ahead.lines);
            }
        }
    }
    finish(&tiles, first, last, late, pi_min_i64(end * nr, p->n) - begin * nr, y + oy + begin * nr, p->y.row);
}

typedef struct {
    const pi_call *call;
    int64_t blocks, tiles; /* of a batch; of a block */
} gemm_work;

/* A chunk is a range of (batch, block of tiles, panel). */
static void gemm_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const gemm_work *work = arg;
    const own_state *s = work->call->state;
    for (int64_t u = begin, n; u < end && !pi_cancelled(work->call); u += n) {
        int64_t panel = u % s->panels, first = u / s->panels % work->blocks * work->tiles, batch = u / s->panels / work->blocks;
        n = pi_min_i64(end - u, s->panels - panel);
        block(s, work->call, batch, first, first + work->tiles, panel, panel + n);
    }
}

pi_status pi_matmul_own_run(const pi_call *call, pi_error *err)
{
    const own_state *s = call->state;
    pi_call copy = *call;
    int64_t tiles = find_tiles(s, call), nr = (int64_t)s->gemm->nr, blocks = (tiles + BLOCK - 1) / BLOCK;
    blocks = pi_parallel_blocks(call->run->threads, blocks, s->batches * s->panels, tiles, 2);
    gemm_work work = {call, blocks, (tiles + blocks - 1) / blocks};
    int64_t rows = pi_min_i64(work.tiles * (int64_t)s->gemm->mr, s->p.m);
    if (s->turned)
        pi_parallel(call->run->threads, s->batches * ((s->p.m + TURN - 1) / TURN), 65536 / (s->p.k * TURN) + 1, turn_chunk, &copy);
    if (!s->b) pi_parallel(call->run->threads, (s->one_b ? 1 : s->batches) * s->panels, 65536 / (s->p.k * nr) + 1, pack_chunk, &copy);
    pi_parallel(call->run->threads, s->batches * work.blocks * s->panels, 262144 / (rows * s->p.k * nr) + 1, gemm_chunk, &work);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
