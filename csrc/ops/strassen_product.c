/* SPDX-License-Identifier: Apache-2.0 */
/* See strassen_product.h. For a block of pairs of rows and a pair of panels: sums of B, the seven products over all tiles, and the four
 * blocks of C of them. Long sums go in parts, so that all factors of a part stay in the second-level cache. */
#include "ops/strassen_product.h"
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"

enum { S1, S2, S3, S4, A11, A12, A22, LEFT }; /* left factors */
enum { B11, B21, B22, T1, T2, T3, T4 }; /* right factors */

static const struct {
    int left, right;
} products[PI_STRASSEN_PRODUCTS] = {{A11, B11}, {A12, B21}, {S4, B22}, {A22, T4}, {S1, T1}, {S2, T2}, {S3, T3}};

/* ---- whether it pays ---- */

/* The part of a direct product's time that is saved: an eighth, less what beginning and ending tiles of half the depth, sums of A
 * and sums of B take; measured on Zen 4 from 49 to 3136 rows, 64 to 3072 columns and sums. each: columns for which a thread makes
 * sums of A. */
static double saving(int64_t m, int64_t n, int64_t k, int64_t each)
{
    int64_t nr = (int64_t)pi_igemm()->nr, panels = pi_divide_up(n, nr);
    double both = (double)(panels / 2 * 2) / (double)panels; /* of the columns */
    double most = nr >= 32 ? 0.11 : 0.08; /* small tiles begin and end more often */
    return both * (most - 448.0 / (double)(nr * k) - 224.0 / (double)(nr * each) - 0.8 / (double)m);
}

static const double WORTH = 0.02;

const char *pi_strassen_refuse(int64_t m, int64_t n, int64_t k)
{
    const pi_igemm_kernels *gemm = pi_igemm();
    if (k % 2) return "only an even number of products in a sum";
    if (m < 2 * (int64_t)gemm->mr || n <= (int64_t)gemm->nr) return "too few rows or columns";
    return saving(m, n, k, n) > WORTH ? NULL : PI_SLOWER "sums of blocks take longer than what they save";
}

/* ---- prepare ---- */

static int64_t units(const pi_strassen_plan *s) { return s->blocks * (s->panels - s->halves); }

/* Still, with these threads, of which several may make the sums of a block, or some wait. */
static bool pays(const pi_strassen_plan *s, int threads)
{
    double wait = pi_parallel_waiting(threads, units(s));
    bool shared = threads > 2 && s->blocks < threads;
    if (pi_parallel_even(threads, units(s)) && !shared) return true;
    return (1 - saving(s->m, s->n, s->k, shared ? s->n * s->blocks / threads + 1 : s->n)) * wait < 1 - WORTH;
}

pi_status pi_strassen_prepare(pi_prep *prep, pi_strassen_plan *s, pi_error *err)
{
    enum { LINE = 16, WAY = 4096 / sizeof(float), BLOCK = 64, PART = 512 };
    s->gemm = pi_igemm();
    s->sums = pi_strassen();
    int64_t half = s->k / 2, nr = (int64_t)s->gemm->nr;
    s->panels = pi_divide_up(s->n, nr);
    s->halves = s->panels / 2;
    s->pairs = pi_divide_up(s->m, 2);
    s->stride = pi_divide_up(half, LINE) * LINE + LINE; /* no two rows in one set of the cache */
    s->made = s->row % WAY == 0 ? LEFT : 4; /* rows that far apart meet in one set */
    s->blocks = pi_parallel_blocks(prep->threads, pi_divide_up(s->pairs, BLOCK), s->panels - s->halves, s->pairs,
                                   2 * (int64_t)s->gemm->mr);
    s->block = pi_divide_up(s->pairs, s->blocks);
    if (!pays(s, prep->threads)) return pi_fail(err, PI_E_UNSUPPORTED, "so many threads have too little to do");
    /* All left factors of a part, and half as much again of B, in the second-level cache. */
    int64_t fits = (int64_t)pi_cpu_cache(2) * 2 / 3 / (LEFT * BLOCK * (int64_t)sizeof(float));
    s->part = pi_divide_up(half, pi_divide_up(half, fits < LINE ? LINE : pi_min_i64(fits, PART)));
    s->zeros = pi_prep_alloc(prep, (size_t)half * sizeof(float), err);
    if (!s->zeros) return pi_alloc_status(err);
    size_t made, threads = (size_t)pi_min_i64(pi_min_i64(prep->threads, PI_MAX_THREADS), units(s));
    if (!pi_mul((size_t)(s->made * s->block), (size_t)s->stride, &made) ||
        !pi_add(made, (size_t)((PI_STRASSEN_PRODUCTS * s->block + 4 * s->part) * nr), &s->room) ||
        !pi_mul(s->room * sizeof(float), threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the sums have more bytes than can be addressed");
    prep->flops = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    return PI_E_OK;
}

/* ---- run ---- */

/* Pairs of rows, [first, first + rows). */
typedef struct {
    int64_t first, rows;
} range;

typedef struct {
    const pi_strassen_plan *s;
    const pi_call *call;
    const pi_strassen_data *d;
    int64_t made[PI_MAX_THREADS]; /* 1 + the block of which a thread has the left factors */
} product_task;

/* What a thread does for a block of pairs. */
typedef struct {
    const pi_strassen_plan *s;
    const pi_strassen_data *d;
    range pairs;
    float *left, *room; /* factors; then products and sums of B */
} block_task;

/* Begins to fetch n floats: rows of A that another core wrote come one cache line after the other otherwise, 50 ns each. */
static void fetch(const float *row, int64_t n)
{
    enum { LINE = 16, SECOND_LEVEL = 2 };
    for (int64_t i = 0; i < n; i += LINE) __builtin_prefetch(row + i, 0, SECOND_LEVEL);
}

/* The sums of A, or all left factors. */
static void make_left(const block_task *t)
{
    const pi_strassen_plan *s = t->s;
    int64_t half = s->k / 2;
    for (int64_t i = 0; i < t->pairs.rows; i++) {
        int64_t pair = t->pairs.first + i;
        bool two = pair + s->pairs < s->m;
        const float *top = t->d->a + pair * t->d->a_row, *low = two ? top + s->pairs * t->d->a_row : s->zeros;
        const float *a[4] = {top, top + half, low, two ? low + half : s->zeros};
        float *to[LEFT];
        if (i + 1 < t->pairs.rows) fetch(top + t->d->a_row, s->k);
        if (i + 1 < t->pairs.rows && pair + 1 + s->pairs < s->m) fetch(low + t->d->a_row, s->k);
        for (int j = 0; j < s->made; j++) to[j] = t->left + (j * s->block + i) * s->stride;
        s->sums->a_sums((size_t)half, a, to);
        for (int j = A11; j < s->made; j++) memcpy(to[j], a[j == A11 ? 0 : j == A12 ? 1 : 3], (size_t)half * sizeof(float));
    }
}

/* Where the rows from `at` on of the blocks of B lie, for panels j and j + halves. */
static void blocks_of_b(const pi_strassen_plan *s, int64_t j, int64_t at, const float *b[4])
{
    int64_t nr = (int64_t)s->gemm->nr, panel = s->k * nr;
    b[0] = s->b + j * panel + at * nr;
    b[1] = b[0] + s->halves * panel;
    b[2] = b[0] + s->k / 2 * nr;
    b[3] = b[1] + s->k / 2 * nr;
}

/* What call number `call` of `calls`, of k rows each, fetches of the part of B behind the one at (j, at). */
static pi_igemm_ahead ahead_of(const pi_strassen_plan *s, int64_t j, int64_t at, int64_t k, int64_t call, int64_t calls)
{
    const float *b[4];
    at += s->part;
    if (at >= s->k / 2) at = 0, j++;
    if (j >= s->halves) return (pi_igemm_ahead){0};
    blocks_of_b(s, j, at, b);
    size_t rows = (size_t)pi_min_i64(s->part, s->k / 2 - at);
    return pi_igemm_share(b[call % 4], rows * s->gemm->nr, (size_t)k, (size_t)(call / 4), (size_t)pi_divide_up(calls, 4));
}

/* The rows of a left factor, from pair `first` on. */
typedef struct {
    const float *row;
    int64_t step;
} left_rows;

static left_rows left_of(const block_task *t, int left, int64_t first)
{
    const pi_strassen_plan *s = t->s;
    const float *a = t->d->a + first * t->d->a_row;
    if (left < s->made) return (left_rows){t->left + (left * s->block + first - t->pairs.first) * s->stride, s->stride};
    return (left_rows){left == A11 ? a : left == A12 ? a + s->k / 2 : a + s->pairs * t->d->a_row + s->k / 2, t->d->a_row};
}

/* Rows [at, at + k) of the right factors of panels j and j + halves. Sums are in `sums` when the first tile has made them. */
typedef struct {
    int64_t j, at, k;
    const float *b[4];
    float *sums[4];
} right_part;

/* The seven products of a part for a tile of pairs, added to p, or, of the first part, set. The first tile, of mr pairs, makes the
 * sums of B. */
static void multiply(const block_task *t, const right_part *b, range pairs, bool first, int64_t call, int64_t calls, float *p)
{
    enum { MOST = 16 };
    const pi_strassen_plan *s = t->s;
    const pi_igemm_kernels *gemm = s->gemm;
    size_t nr = gemm->nr;
    const float *const right[] = {b->b[0], b->b[2], b->b[3], b->sums[0], b->sums[1], b->sums[2], b->sums[3]}, *a[MOST];
    for (int i = 0; i < PI_STRASSEN_PRODUCTS; i++, call++, p += s->block * (int64_t)nr) {
        const left_rows left = left_of(t, products[i].left, pairs.first);
        int64_t there = products[i].left == A22 ? s->m - s->pairs - pairs.first : pairs.rows; /* the last pair may be one row */
        for (int64_t l = 0; l < pairs.rows; l++) a[l] = (l < there ? left.row + l * left.step : s->zeros) + b->at;
        const pi_igemm_end add = {.residual = p, .low = -INFINITY, .high = INFINITY}, *end = b->at ? &add : NULL;
        const pi_igemm_ahead next = ahead_of(s, b->j, b->at, b->k, call, calls);
        int which = products[i].right - T1;
        if (first && which >= 0)
            gemm->tile_sum(which + 1, (size_t)b->k, a, b->b, b->sums[which], end, p, nr, next.at, next.lines);
        else
            gemm->tile_ahead((size_t)pairs.rows, nr, 1, (size_t)b->k, a, right[products[i].right], end, p, nr, next.at, next.lines);
    }
}

/* The blocks of C of a tile from its products. */
static void combine(const block_task *t, range pairs, int64_t j, const float *p)
{
    const pi_strassen_plan *s = t->s;
    const pi_strassen_data *d = t->d;
    int64_t nr = (int64_t)s->gemm->nr, right = j + s->halves, n = pi_min_i64(nr, s->n - right * nr);
    int64_t whole = pi_min_i64(pairs.rows, s->m - s->pairs - pairs.first); /* pairs of which there are both rows */
    pi_strassen_end end = {.low = s->low, .high = s->high};
    float *c[4];
    for (int i = 0; i < 4; i++) {
        int64_t panel = i % 2 ? right : j, at = (pairs.first + i / 2 * s->pairs) * d->y_row + panel * nr;
        c[i] = d->y + at;
        end.residual[i] = d->z ? d->z + at : NULL;
        if (i < 2) end.bias[i] = d->bias ? d->bias + panel * nr : NULL;
    }
    s->sums->combine((size_t)whole, (size_t)nr, (size_t)n, p, (size_t)(s->block * nr), &end, c, (size_t)d->y_row);
    if (whole == pairs.rows) return;
    float *const last[4] = {c[0] + whole * d->y_row, c[1] + whole * d->y_row};
    for (int i = 0; i < 2; i++) end.residual[i] = d->z ? end.residual[i] + whole * d->y_row : NULL;
    s->sums->combine(1, (size_t)nr, (size_t)n, p + whole * nr, (size_t)(s->block * nr), &end, last, (size_t)d->y_row);
}

/* Panels j and j + halves. */
static void both_panels(const block_task *t, int64_t j)
{
    const pi_strassen_plan *s = t->s;
    const range pairs = t->pairs;
    float *room = t->room;
    int64_t nr = (int64_t)s->gemm->nr, mr = (int64_t)s->gemm->mr, half = s->k / 2;
    int64_t rest = pairs.rows - mr, tiles = pi_divide_up(rest, mr), tile = pi_divide_up(rest, tiles ? tiles : 1);
    right_part b = {.j = j, .sums[0] = room + PI_STRASSEN_PRODUCTS * s->block * nr};
    for (int i = 1; i < 4; i++) b.sums[i] = b.sums[i - 1] + s->part * nr;
    for (; b.at < half; b.at += b.k) {
        b.k = pi_min_i64(s->part, half - b.at);
        blocks_of_b(s, j, b.at, b.b);
        int64_t call = 0;
        for (int64_t r = 0, m = mr; r < pairs.rows; r += m, m = pi_min_i64(tile, pairs.rows - r), call += PI_STRASSEN_PRODUCTS) {
            const range rows = {pairs.first + r, m};
            multiply(t, &b, rows, r == 0, call, PI_STRASSEN_PRODUCTS * (1 + tiles), room + r * nr);
            if (b.at + b.k == half) combine(t, rows, j, room + r * nr);
        }
    }
}

/* The panel that is left, without Strassen, for these rows. */
static void direct(const block_task *t, range rows)
{
    enum { MOST = 16 };
    const pi_strassen_plan *s = t->s;
    const pi_strassen_data *d = t->d;
    int64_t nr = (int64_t)s->gemm->nr, column = (s->panels - 1) * nr;
    const float *a[MOST];
    int64_t tiles = pi_divide_up(rows.rows, (int64_t)s->gemm->mr);
    for (int64_t i = 0; i < tiles; i++) {
        int64_t r = i * rows.rows / tiles, m = (i + 1) * rows.rows / tiles - r, at = (rows.first + r) * d->y_row + column;
        for (int64_t l = 0; l < m; l++) a[l] = d->a + (rows.first + r + l) * d->a_row;
        const pi_igemm_end end = {d->bias ? d->bias + column : NULL, d->z ? d->z + at : NULL, s->low, s->high};
        s->gemm->tile((size_t)m, (size_t)(s->n - column), 1, (size_t)s->k, a, s->b + column * s->k, &end, d->y + at, (size_t)d->y_row);
    }
}

/* The activation of columns [from, to) of these rows. */
static void finish(const block_task *t, range rows, int64_t from, int64_t to)
{
    for (int64_t r = 0; t->s->late.kind != PI_ACT_NONE && r < rows.rows; r++) {
        float *y = t->d->y + (rows.first + r) * t->d->y_row + from;
        pi_eltwise()->act_f32(t->s->late, (size_t)(to - from), y, y);
    }
}

/* Panels [begin, end) with their partners, or the one that is left. */
static void columns(const block_task *t, const pi_call *call, int64_t begin, int64_t end)
{
    const pi_strassen_plan *s = t->s;
    int64_t nr = (int64_t)s->gemm->nr, both = pi_min_i64(end, s->halves), more = s->halves * nr, last = (s->panels - 1) * nr;
    const range rows[] = {t->pairs, {t->pairs.first + s->pairs, pi_min_i64(t->pairs.rows, s->m - s->pairs - t->pairs.first)}};
    for (int64_t j = begin; j < both && !pi_cancelled(call); j++) both_panels(t, j);
    for (int i = 0; i < 2; i++) {
        if (end > s->halves) direct(t, rows[i]);
        if (begin < both) finish(t, rows[i], begin * nr, both * nr);
        if (begin < both) finish(t, rows[i], more + begin * nr, pi_min_i64(more + both * nr, s->n));
        if (end > s->halves) finish(t, rows[i], last, s->n);
    }
}

/* A chunk is a range of (block of pairs, pair of panels or the one that is left). */
static void product_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    product_task *task = arg;
    const pi_strassen_plan *s = task->s;
    float *left = (float *)task->call->scratch + (size_t)thread * s->room;
    int64_t each = s->panels - s->halves;
    for (int64_t u = begin, n; u < end && !pi_cancelled(task->call); u += n) {
        int64_t j = u % each, i = u / each, first = i * s->pairs / s->blocks;
        n = pi_min_i64(end - u, each - j);
        const block_task t = {s, task->d, {first, (i + 1) * s->pairs / s->blocks - first}, left, left + s->made * s->block * s->stride};
        if (task->made[thread] != i + 1) make_left(&t);
        task->made[thread] = i + 1;
        columns(&t, task->call, j, j + n);
    }
}

pi_status pi_strassen_run(const pi_strassen_plan *s, const pi_call *call, const pi_strassen_data *data, pi_error *err)
{
    product_task task = {.s = s, .call = call, .d = data};
    pi_parallel(call->run->threads, units(s), 1, product_chunk, &task);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
