/* SPDX-License-Identifier: Apache-2.0 */
/* Attention on f32 with kernels/igemm: keys and values of a head are packed once, then each block of queries makes its tile
 * of scores, turns it into weights in place, and multiplies it with the values. Scores live in a block of each thread.
 * Few queries of a head, as in generation: packing would cost more than it saves, keys and values are read where they lie.
 * The same by the fast inner product (kernels/fip): a block makes what is to be subtracted for each column, as it may see a part of
 * the keys alone. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/igemm/igemm.h"
#include "kernels/layout/layout.h"
#include "kernels/reduce/reduce.h"
#include "kernels/softmax/softmax.h"
#include "ops/attention.h"
#include "ops/fip_product.h"
#include "ops/move.h"
#include "ops/ops.h"

enum { MASK = 3, TILES = 4, FIP_TILES = 16, MOST_ROWS = 16, FEW = 6, PART = 10 * PI_FIP_BLOCK };

typedef struct {
    pi_attention a;
    const pi_igemm_kernels *gemm;
    const pi_fip_kernels *fip; /* or NULL */
    int threads;
    bool few;    /* queries: nothing is packed, a block is one query */
    bool by_head; /* a thread packs the keys and values of a head for itself */
    int64_t nr, rows, blocks; /* queries in a block, blocks of a head */
    int64_t kept; /* packed heads at one time */
    int64_t k_panels, v_panels;
    int64_t k_floats, v_floats, score_row, score_floats; /* packed keys, values of a head; scores of a thread */
    int64_t minus_at, copy_at; /* of fip, behind a thread's scores: of each column; eight rows */
} fast_state;

const char *pi_attention_fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_attention a;
    if (in[0]->dtype != PI_DTYPE_F32 || in[2]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_attention_init(&a, node, in, NULL) != PI_E_OK) return "attributes";
    if (a.mask && a.mask->dtype != PI_DTYPE_F32 && a.mask->dtype != PI_DTYPE_BOOL) return "the type of the mask";
    if (node->n_out > 3 && out[3]) return "qk_matmul_output";
    if (!a.batch || !a.heads || !a.queries || !a.total || !a.size || !a.v_size) return "no elements";
    return NULL;
}

/* Products are two thirds of the time. What is to be subtracted for each column takes the time of some 1.5 rows of the product. */
const char *pi_attention_fip_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    pi_attention a;
    const char *why = pi_attention_fast_refuse(node, in, out);
    if (why) return why;
    if (pi_attention_init(&a, node, in, NULL) != PI_E_OK) return "attributes";
    if (a.queries * (a.heads / a.kv_heads) <= FEW) return "few queries";
    const int64_t m = pi_min_i64(a.queries, FIP_TILES * PI_FIP_ROWS);
    if ((why = pi_fip_refuse(m, a.total, a.size, false)) || (why = pi_fip_refuse(m, a.v_size, a.total, false))) return why;
    double share = (pi_fip_share(m, a.total, a.size, false) + pi_fip_share(m, a.v_size, a.total, false)) / 2 + 1.5 / (double)m;
    return share < 0.88 ? NULL : PI_SLOWER "rows are copied for too few columns";
}

/* Room behind the scores; false: too many bytes. */
static bool add_fip(fast_state *s)
{
    s->copy_at = s->score_floats = s->minus_at;
    return !s->fip || (pi_add_i64(s->minus_at, pi_max_i64(s->k_panels, s->v_panels) * s->nr, &s->copy_at) &&
                       pi_add_i64(s->copy_at, PI_FIP_ROWS * PART, &s->score_floats));
}

static pi_status prepare(pi_prep *prep, const pi_fip_kernels *fip, pi_error *err)
{
    fast_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    int64_t all_k, all_v, all_scores, floats;
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_attention_init(&s->a, prep->node, prep->in, err));
    const pi_attention *a = &s->a;
    s->gemm = pi_igemm();
    s->fip = fip;
    s->threads = prep->threads;
    s->nr = (int64_t)s->gemm->nr;
    s->few = a->queries * (a->heads / a->kv_heads) <= FEW;
    const int64_t tile = fip ? PI_FIP_ROWS : (int64_t)s->gemm->mr, most = tile * (fip ? FIP_TILES : TILES);
    s->blocks = pi_parallel_blocks(s->threads, (a->queries - 1) / most + 1, a->batch * a->heads, a->queries, 2 * tile);
    s->rows = s->few ? 1 : ((a->queries - 1) / s->blocks / tile + 1) * tile;
    s->blocks = (a->queries - 1) / s->rows + 1;
    s->k_panels = s->few ? 0 : a->total / s->nr + (a->total % s->nr != 0);
    s->v_panels = s->few ? 0 : a->v_size / s->nr + (a->v_size % s->nr != 0);
    s->by_head = !s->few && a->batch * a->kv_heads >= 4 * (int64_t)s->threads;
    int64_t kept = s->kept = s->by_head ? s->threads : a->batch * a->kv_heads;
    int64_t wide = s->few ? a->total / s->nr + 1 : s->k_panels;
    if (!pi_mul_i64(wide, s->nr, &s->score_row) || !pi_mul_i64(s->k_panels * s->nr, a->size, &s->k_floats) ||
        !pi_mul_i64(s->v_panels * s->nr, a->total, &s->v_floats) || !pi_mul_i64(s->score_row, s->rows, &s->minus_at) || !add_fip(s) ||
        !pi_mul_i64(s->k_floats, kept, &all_k) || !pi_mul_i64(s->v_floats, kept, &all_v) ||
        !pi_mul_i64(s->score_floats, s->threads, &all_scores) || !pi_add_i64(all_k, all_v, &floats) ||
        !pi_add_i64(floats, all_scores, &floats) || !pi_mul((size_t)floats, sizeof(float), &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "keys and values have more bytes than can be addressed");
    prep->flops = 2.0 * (double)(a->batch * a->heads * a->queries) * (double)a->total * (double)(a->size + a->v_size);
    return PI_E_OK;
}

pi_status pi_attention_fast_prepare(pi_prep *prep, pi_error *err) { return prepare(prep, NULL, err); }

pi_status pi_attention_fip_prepare(pi_prep *prep, pi_error *err) { return prepare(prep, pi_fip(), err); }

/* Packed keys and values: of head `slot` of all batches, or what thread `slot` works on. */
static float *packed_k(const fast_state *s, const pi_call *call, int64_t slot)
{
    return (float *)call->scratch + slot * s->k_floats;
}

static float *packed_v(const fast_state *s, const pi_call *call, int64_t slot)
{
    return (float *)call->scratch + s->kept * s->k_floats + slot * s->v_floats;
}

static float *scores_of(const fast_state *s, const pi_call *call, int thread)
{
    return (float *)call->scratch + s->kept * (s->k_floats + s->v_floats) + thread * s->score_floats;
}

/* Keys (values) [from, *to) of a head that lie in one piece, *to at most `end`: the past ones, or this call's. */
static const float *stretch(const pi_attention *a, const pi_call *call, bool values, int64_t b, int64_t kv, int64_t from, int64_t end,
                            int64_t *to, size_t *row)
{
    bool past = from < a->past;
    *to = past ? pi_min_i64(a->past, end) : end;
    *row = (size_t)(past ? values ? &a->past_v : &a->past_k : values ? &a->v : &a->k)->row;
    return pi_attention_row(a, call, values, b, kv, from);
}

/* Columns of a panel are keys. */
static void pack_k(const fast_state *s, const pi_call *call, int64_t head, int64_t panel, int64_t slot)
{
    const pi_attention *a = &s->a;
    int64_t first = panel * s->nr, last = pi_min_i64(first + s->nr, a->total);
    ptrdiff_t step = (ptrdiff_t)sizeof(float);
    float *to = packed_k(s, call, slot) + first * a->size;
    if (last < first + s->nr) memset(to, 0, (size_t)(s->nr * a->size) * sizeof *to);
    for (int64_t j = first, end; j < last; j = end) {
        size_t row;
        const float *k = stretch(a, call, false, head / a->kv_heads, head % a->kv_heads, j, last, &end, &row);
        pi_transpose_select(sizeof *to)((const char *)k, (ptrdiff_t)row * step, (char *)(to + (j - first)), s->nr * step, end - j, a->size);
    }
}

/* Rows of a panel are keys. */
static void pack_v(const fast_state *s, const pi_call *call, int64_t head, int64_t panel, int64_t slot)
{
    enum { PIECE = 16 }; /* of a row, copied without a call */
    const pi_attention *a = &s->a;
    int64_t n = pi_min_i64(s->nr, a->v_size - panel * s->nr), pieces = n / PIECE * PIECE;
    float *to = packed_v(s, call, slot) + panel * s->nr * a->total;
    for (int64_t j = 0, end; j < a->total; j = end) {
        size_t row;
        const float *v = stretch(a, call, true, head / a->kv_heads, head % a->kv_heads, j, a->total, &end, &row) + panel * s->nr;
        for (int64_t i = j; i < end; i++, v += row, to += s->nr) {
            for (int64_t l = 0; l < pieces; l += PIECE) memcpy(to + l, v + l, PIECE * sizeof *to);
            for (int64_t l = pieces; l < s->nr; l++) to[l] = l < n ? v[l] : 0;
        }
    }
}

static void pack_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const fast_state *s = call->state;
    int64_t panels = s->k_panels + s->v_panels;
    for (int64_t u = begin; u < end; u++) {
        if (u % panels < s->k_panels)
            pack_k(s, call, u / panels, u % panels, u / panels);
        else
            pack_v(s, call, u / panels, u % panels - s->k_panels, u / panels);
    }
}

/* One product of a block: `rows` rows and panels [first, last) of n columns in all. */
typedef struct {
    int64_t rows, n, first, last, k;
    const float *a, *b;
    float *c;
    int64_t a_row, c_row, panel; /* floats from a row, a panel to the next */
} block_product;

static size_t columns_of(const fast_state *s, const block_product *t, int64_t p) { return (size_t)pi_min_i64(s->nr, t->n - p * s->nr); }

static void product(const fast_state *s, const block_product *t)
{
    int64_t mr = (int64_t)s->gemm->mr;
    const float *row[MOST_ROWS];
    for (int64_t p = t->first; p < t->last; p++)
        for (int64_t r = 0; r < t->rows; r += mr) {
            int64_t m = pi_min_i64(mr, t->rows - r);
            for (int64_t i = 0; i < m; i++) row[i] = t->a + (r + i) * t->a_row;
            s->gemm->tile((size_t)m, columns_of(s, t, p), 1, (size_t)t->k, row, t->b + p * t->panel, NULL,
                          t->c + r * t->c_row + p * s->nr, (size_t)t->c_row);
        }
}

/* The same for a part of the sums, terms from `at` on; x: a thread's scores. false: some of b is not finite, or nearly so, and would
 * spoil what it meets with a weight of 0. */
static bool fip_part(const fast_state *s, const block_product *t, int64_t at, float *x)
{
    float *minus = x + s->minus_at, *copy = x + s->copy_at, square = 0;
    const float *row[PI_FIP_ROWS], *b = t->b + at * s->nr;
    const size_t k = (size_t)pi_min_i64(PART, t->k - at);
    pi_fip_rows table;
    for (int64_t p = t->first; p < t->last; p++) square += s->fip->columns(k, b + p * t->panel, minus + p * s->nr);
    square /= (float)k * (float)(pi_min_i64(t->n, t->last * s->nr) - t->first * s->nr);
    if (!isfinite(square)) return false;
    for (int64_t r = 0; r < t->rows; r += PI_FIP_ROWS) {
        int64_t m = pi_min_i64(PI_FIP_ROWS, t->rows - r);
        for (int64_t i = 0; i < m; i++) row[i] = t->a + (r + i) * t->a_row + at;
        s->fip->rows((size_t)m, k, row, square, copy, &table);
        for (int64_t p = t->first; p < t->last; p++) {
            float *c = t->c + r * t->c_row + p * s->nr;
            const pi_igemm_end add = {NULL, c, -INFINITY, INFINITY};
            s->fip->tile((size_t)m, columns_of(s, t, p), k, copy, &table, b + p * t->panel, minus + p * s->nr, at ? &add : NULL, c,
                         (size_t)t->c_row, NULL, 0);
        }
    }
    return true;
}

static void multiply(const fast_state *s, const block_product *t, float *x)
{
    bool fits = s->fip != NULL;
    for (int64_t at = 0; fits && at < t->k; at += PART) fits = fip_part(s, t, at, x);
    if (!fits) product(s, t);
}

/* Row of the mask for query i of a head; NULL: there is none. */
static const void *mask_row(const pi_attention *a, const pi_call *call, int64_t b, int64_t h, int64_t i)
{
    int64_t at = b * a->mask_at[0] + h * a->mask_at[1] + i * a->mask_at[2];
    if (!a->mask) return NULL;
    return (const char *)call->in[MASK]->data + at * (int64_t)pi_dtype_size(call->in[MASK]->dtype);
}

/* Scores of a query to weights, in place; keys outside [from, to) are not read and get 0 within [low, high). */
static void weigh(const pi_attention *a, const pi_call *call, int64_t b, int64_t h, int64_t i, int64_t from, int64_t to,
                  int64_t low, int64_t high, float *x)
{
    float scale = (float)a->scale, cap = (float)a->softcap;
    const void *mask = mask_row(a, call, b, h, i);
    const uint8_t *yes = mask && call->in[MASK]->dtype == PI_DTYPE_BOOL ? mask : NULL;
    const float *bias = mask && !yes ? mask : NULL;
    if (cap > 0 || yes) {
        for (int64_t j = from; j < to; j++) x[j] *= scale;
        for (int64_t j = from; cap > 0 && j < to; j++) x[j] = cap * tanhf(x[j] / cap);
        for (int64_t j = from; yes && j < to; j++) x[j] = yes[j] ? x[j] : -INFINITY;
        scale = 1;
    }
    bool any = to > from;
    if (any) pi_softmax()->softmax_mask_f32(1, (size_t)(to - from), 0, scale, x + from, bias ? bias + from : NULL, 0, x + from);
    if (any && isnan(x[from]) && a->rows_of_nan != PI_NAN_STAYS) {
        any = a->rows_of_nan == PI_NAN_UNLESS_HIDDEN && !mask;
        for (int64_t j = from; mask && a->rows_of_nan == PI_NAN_UNLESS_HIDDEN && j < to; j++)
            any |= yes ? yes[j] : !(bias[j] == -INFINITY);
    }
    if (!any) from = to = high;
    for (int64_t j = low; j < from; j++) x[j] = 0;
    for (int64_t j = to; j < high; j++) x[j] = 0;
}

static void one_query(const fast_state *s, const pi_call *call, int64_t b, int64_t h, int64_t i, float *x)
{
    const pi_attention *a = &s->a;
    int64_t from, to, end, kv = h / (a->heads / a->kv_heads);
    size_t row;
    const float *q = (const float *)call->in[0]->data + b * a->q.batch + h * a->q.head + i * a->q.row;
    float *y = (float *)call->out[0]->data + b * a->y.batch + h * a->y.head + i * a->y.row;
    pi_attention_range(a, call, b, i, &from, &to);
    for (int64_t j = from; j < to; j = end) {
        const float *k = stretch(a, call, false, b, kv, j, to, &end, &row);
        pi_reduce()->dot_rows_f32((size_t)(end - j), row, (size_t)a->size, k, q, x + j);
    }
    weigh(a, call, b, h, i, from, to, from, to, x);
    memset(y, 0, (size_t)a->v_size * sizeof *y);
    for (int64_t j = from; j < to; j = end) {
        const float *v = stretch(a, call, true, b, kv, j, to, &end, &row);
        pi_reduce()->add_rows_f32((size_t)(end - j), row, (size_t)a->v_size, v, x + j, y);
    }
}

/* `rows` queries from i on of head h, whose keys and values are packed in `slot`. */
static void some_queries(const fast_state *s, const pi_call *call, int64_t b, int64_t h, int64_t i, int64_t rows, int64_t slot, float *x)
{
    const pi_attention *a = &s->a;
    int64_t low, high, from, to;
    pi_attention_range(a, call, b, i, &low, &to);            /* both ends only grow with the query */
    pi_attention_range(a, call, b, i + rows - 1, &from, &high);
    low = low / s->nr * s->nr;
    const float *q = (const float *)call->in[0]->data + b * a->q.batch + h * a->q.head + i * a->q.row;
    float *y = (float *)call->out[0]->data + b * a->y.batch + h * a->y.head + i * a->y.row;
    const block_product scores = {rows, high, low / s->nr, (high + s->nr - 1) / s->nr, a->size, q, packed_k(s, call, slot), x,
                                  a->q.row, s->score_row, s->nr * a->size};
    const block_product sums = {rows, a->v_size, 0, s->v_panels, high - low, x + low, packed_v(s, call, slot) + low * s->nr, y,
                                s->score_row, a->y.row, s->nr * a->total};
    multiply(s, &scores, x);
    for (int64_t r = 0; r < rows; r++) {
        pi_attention_range(a, call, b, i + r, &from, &to);
        weigh(a, call, b, h, i + r, from, to, low, high, x + r * s->score_row);
    }
    if (high > low)
        multiply(s, &sums, x);
    else
        for (int64_t r = 0; r < rows; r++) memset(y + r * a->y.row, 0, (size_t)a->v_size * sizeof *y);
}

/* A piece is a block of queries of one head. */
static void block_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const fast_state *s = call->state;
    const pi_attention *a = &s->a;
    float *x = scores_of(s, call, thread);
    for (int64_t u = begin; u < end && !pi_cancelled(call); u++) {
        int64_t b = u / s->blocks / a->heads, h = u / s->blocks % a->heads, i = u % s->blocks * s->rows;
        if (s->few)
            one_query(s, call, b, h, i, x);
        else
            some_queries(s, call, b, h, i, pi_min_i64(s->rows, a->queries - i), b * a->kv_heads + h / (a->heads / a->kv_heads), x);
    }
}

/* A piece is a head of the keys, with all that ask it. */
static void head_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const fast_state *s = call->state;
    const pi_attention *a = &s->a;
    int64_t group = a->heads / a->kv_heads;
    for (int64_t u = begin; u < end && !pi_cancelled(call); u++) {
        for (int64_t p = 0; p < s->k_panels; p++) pack_k(s, call, u, p, thread);
        for (int64_t p = 0; p < s->v_panels; p++) pack_v(s, call, u, p, thread);
        for (int64_t h = u % a->kv_heads * group, last = h + group; h < last; h++)
            for (int64_t i = 0; i < a->queries && !pi_cancelled(call); i += s->rows)
                some_queries(s, call, u / a->kv_heads, h, i, pi_min_i64(s->rows, a->queries - i), thread, scores_of(s, call, thread));
    }
}

pi_status pi_attention_fast_run(const pi_call *call, pi_error *err)
{
    const fast_state *s = call->state;
    const pi_attention *a = &s->a;
    pi_call copy = *call;
    int threads = (int)pi_min_i64(s->threads, call->run->threads);
    pi_attention_present(a, call);
    if (!pi_move_wants(call, 0)) return PI_E_OK;
    int64_t head = a->queries * (a->heads / a->kv_heads) * a->total * (a->size + a->v_size);
    if (s->by_head) {
        pi_parallel(threads, a->batch * a->kv_heads, 1 + 32768 / head, head_chunk, &copy);
        return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
    }
    if (!s->few)
        pi_parallel(threads, a->batch * a->kv_heads * (s->k_panels + s->v_panels), 1 + 65536 / (s->nr * (a->size + a->total)),
                pack_chunk, &copy);
    int64_t work = pi_min_i64(s->rows, a->queries) * a->total * (a->size + a->v_size);
    pi_parallel(threads, a->batch * a->heads * s->blocks, 1 + 131072 / work, block_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
