/* SPDX-License-Identifier: Apache-2.0 */
/* See fip_product.h. A thread copies the rows of a block of A once, in tiles; then, for some panels that stay in the second-level cache,
 * tile after tile. Long sums go in parts, so that the copied rows of a part stay there too. Rows that are not live are left out: tiles
 * are full wherever the live ones lie. */
#include "ops/fip_product.h"
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"

enum { PART = 1024, BLOCK = 256, ENOUGH = 64, LINE = 64 }; /* rows: of a block at most, for each thread at least */

/* ---- what packed panels carry ---- */

static int64_t parts_of(int64_t k) { return pi_divide_up(k, PART); }

static int64_t part_of(int64_t k)
{
    return parts_of(k) == 1 ? k : pi_divide_up(pi_divide_up(k, parts_of(k)), PI_FIP_BLOCK) * PI_FIP_BLOCK;
}

/* Of a group: minus[part][column], then the sum of the squares of each panel. */
static int64_t tail_of(int64_t panels, int64_t k, int64_t nr) { return parts_of(k) * panels * nr + panels; }

size_t pi_fip_tail(int64_t groups, int64_t panels, int64_t k, int64_t nr)
{
    return (size_t)(groups * tail_of(panels, k, nr));
}

const float *pi_fip_minus(int64_t groups, int64_t panels, int64_t k, int64_t nr, int64_t group, const float *packed)
{
    return packed + groups * panels * k * nr + group * tail_of(panels, k, nr);
}

/* Of the numbers of a panel but those that are not finite or so large that their squares are not: they shall not decide for the rest. */
static float usual_squares(const float *b, int64_t n)
{
    float sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (fabsf(b[i]) < 1e12f) sum += b[i] * b[i];
    return sum;
}

void pi_fip_fill(int64_t groups, int64_t panels, int64_t k, int64_t nr, int64_t group, int64_t panel, float *packed)
{
    const float *b = packed + (group * panels + panel) * k * nr;
    float *minus = packed + groups * panels * k * nr + group * tail_of(panels, k, nr), *square = minus + parts_of(k) * panels * nr + panel;
    int64_t part = part_of(k);
    *square = 0;
    for (int64_t p = 0, at = 0; at < k; p++, at += part)
        *square += pi_fip()->columns((size_t)pi_min_i64(part, k - at), b + at * nr, minus + (p * panels + panel) * nr);
    if (!(*square < 1e24f)) *square = usual_squares(b, k * nr);
}

float pi_fip_square(int64_t panels, int64_t k, int64_t nr, int64_t n, const float *minus)
{
    const float *squares = minus + parts_of(k) * panels * nr;
    float sum = 0;
    for (int64_t j = 0; j < panels; j++) sum += squares[j];
    return sum / ((float)k * (float)n);
}

/* ---- whether it pays ---- */

/* Both times for one row, in cycles of Zen 4, where a vector's multiply-add takes one. A row is copied
 * in 25 and 0.45 for each number, 0.7 where A comes from behind the second-level cache, 0.35 more if it is gathered; a last vector that
 * is alone gains nothing. Direct products take some 6 % more than their multiply-adds. */
double pi_fip_share(int64_t m, int64_t n, int64_t k, bool gathered)
{
    double vectors = (double)pi_divide_up(n, 16), pairs = (double)(pi_divide_up(n, 16) / 2 * 2);
    double near = (double)m * (double)k * sizeof(float) < (double)pi_cpu_cache(2) ? 0.45 : 0.7;
    double copying = (near + (gathered ? 0.35 : 0)) * (double)k + 25 * (double)parts_of(k);
    return ((double)k * vectors - (double)(k / PI_FIP_TERMS * PI_FIP_TERMS) / 3 * pairs + copying) / (1.06 * (double)k * vectors);
}

const char *pi_fip_refuse(int64_t m, int64_t n, int64_t k, bool gathered)
{
    if (k < PI_FIP_TERMS || n <= 16) return "too short a sum, or too few columns";
    if (!pi_fip_pays()) return PI_SLOWER "this CPU does not add beside its multiply-adds";
    if (m < PI_FIP_ROWS) return PI_SLOWER "few rows: the time is that of fetching B";
    return pi_fip_share(m, n, k, gathered) < 0.97 ? NULL : PI_SLOWER "rows are copied for too few columns";
}

/* ---- prepare ---- */

static int64_t blocks_of(const pi_fip_plan *s, int64_t m)
{
    int64_t least = m > 0 ? pi_divide_up(m, s->tiles * PI_FIP_ROWS) : 1;
    return pi_parallel_blocks(s->threads, least, s->batches * s->pieces, m, 2 * PI_FIP_ROWS);
}

/* Floats of a copied row of all parts. */
static int64_t copied(const pi_fip_plan *s) { return s->parts * pi_divide_up(s->part, PI_FIP_BLOCK) * PI_FIP_BLOCK; }

/* A small B stays in the second-level cache of each thread, and a few rows meet all of it while they are in the first. Of a large one
 * each thread has some panels, for as many rows as stay in the second. Returns the blocks of rows: with fewer live ones there are no
 * more. */
static int64_t cut(pi_fip_plan *s)
{
    const int64_t row = copied(s) * (int64_t)sizeof(float), second = (int64_t)pi_cpu_cache(2) / 2;
    bool enough = s->threads == 1 || s->batches * s->m >= s->threads * ENOUGH;
    bool small = enough && s->parts == 1 && s->panels * (int64_t)s->fip->nr * row <= second;
    int64_t fits = (small ? (int64_t)pi_cpu_cache(1) / 2 : second * s->parts) / row;
    int64_t most = fits < PI_FIP_ROWS ? PI_FIP_ROWS : small ? fits / PI_FIP_ROWS * PI_FIP_ROWS : pi_min_i64(fits, BLOCK);
    s->pieces = small ? 1 : s->panels;
    s->tiles = pi_divide_up(pi_min_i64(most, s->m), PI_FIP_ROWS);
    const int64_t blocks = blocks_of(s, s->m);
    s->tiles = pi_divide_up(pi_divide_up(s->m, blocks), PI_FIP_ROWS);
    return blocks;
}

pi_status pi_fip_prepare(pi_prep *prep, pi_fip_plan *s, pi_error *err)
{
    s->fip = pi_fip();
    s->panels = pi_divide_up(s->n, (int64_t)s->fip->nr);
    s->parts = parts_of(s->k);
    s->part = part_of(s->k);
    s->threads = (int)pi_min_i64(prep->threads, PI_MAX_THREADS);
    s->batches = pi_max_i64(s->batches, 1);
    const int64_t blocks = cut(s);
    size_t floats, numbers, threads = (size_t)pi_min_i64(s->threads, s->batches * blocks * s->pieces);
    size_t gathered = PI_FIP_ROWS * sizeof(float) * (size_t)(s->gather ? s->k : s->live ? (int64_t)s->fip->nr : 0);
    if (!pi_mul((size_t)(s->tiles * PI_FIP_ROWS), (size_t)copied(s), &floats) || !pi_mul(floats, sizeof(float), &s->rows_at) ||
        !pi_add(s->rows_at, (size_t)(s->tiles * s->parts) * sizeof(pi_fip_rows), &s->gathered_at) ||
        !pi_add(s->gathered_at, gathered + LINE, &s->each) || !pi_mul(s->each &= ~(size_t)(LINE - 1), threads, &s->live_at) ||
        !pi_mul(s->live ? (size_t)s->m + 2 : 0, sizeof(int64_t), &numbers) || !pi_add(s->live_at, numbers, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the copied rows have more bytes than can be addressed");
    prep->flops = 2.0 * (double)(s->batches * s->m) * (double)s->n * (double)s->k;
    return PI_E_OK;
}

/* ---- run ---- */

typedef struct {
    const pi_fip_plan *s;
    const pi_call *call;
    const pi_fip_data *d;
    const int64_t *live; /* numbers of the m rows that are live, between -1 and their end; NULL: all are */
    int64_t m, blocks;
    int64_t made[PI_MAX_THREADS]; /* 1 + the block of which a thread has the rows */
} product_task;

/* Rows [first, first + rows) of those of a product that are live, and a thread's copies of them: [part][tile]. */
typedef struct {
    const pi_fip_plan *s;
    const pi_fip_data *d;  /* of this product */
    const float *b, *minus;
    const int64_t *live;
    int64_t m, batch, first, rows, tiles;
    float *copies, *gathered;
    pi_fip_rows *tables;
} block_task;

/* The rows of a tile, counted in the block: alike, so that none is left with few. */
static int64_t tile_begin(const block_task *t, int64_t tile) { return tile * t->rows / t->tiles; }

/* Row i of the block, of all of A. */
static int64_t row_of(const block_task *t, int64_t i) { return t->live ? t->live[t->first + i] : t->first + i; }

static float *copy_of(const block_task *t, int64_t part, int64_t tile)
{
    return t->copies + (part * t->s->tiles + tile) * PI_FIP_ROWS * (copied(t->s) / t->s->parts);
}

/* Begins to fetch the row of the next block that is in the place of row i: no step behind it would, so that copies would wait. */
static void fetch_next(const block_task *t, int64_t i)
{
    enum { FLOATS = LINE / sizeof(float), SECOND_LEVEL = 2 };
    if (t->s->pieces > 1 || t->first + i + t->rows >= t->m) return;
    const float *row = t->d->a + row_of(t, i + t->rows) * t->d->a_row;
    for (int64_t l = 0; l < t->s->k; l += FLOATS) __builtin_prefetch(row + l, 0, SECOND_LEVEL);
}

static void copy_rows(const block_task *t, const pi_call *call)
{
    const pi_fip_plan *s = t->s;
    const float square = pi_fip_square(s->panels, s->k, (int64_t)s->fip->nr, s->n, t->minus);
    for (int64_t tile = 0; tile < t->tiles; tile++) {
        int64_t from = tile_begin(t, tile), m = tile_begin(t, tile + 1) - from;
        const float *a[PI_FIP_ROWS];
        if (s->gather) s->gather(call, t->d->arg, t->batch * s->m + t->first + from, m, t->gathered);
        for (int64_t i = 0; i < m; i++) {
            a[i] = s->gather ? t->gathered + i * s->k : t->d->a + row_of(t, from + i) * t->d->a_row;
            if (!s->gather) fetch_next(t, from + i);
        }
        for (int64_t p = 0, at = 0; at < s->k; p++, at += s->part) {
            size_t k = (size_t)pi_min_i64(s->part, s->k - at);
            s->fip->rows((size_t)m, k, a, square, copy_of(t, p, tile), &t->tables[p * s->tiles + tile]);
            for (int64_t i = 0; i < m; i++) a[i] += s->part;
        }
    }
}

/* A part of the sums of a tile for panels [from, to); group: panels that share a pass over the tiles. Rows of Y that lie apart are
 * written to one place first, where what is to be added to them is put before. */
static void multiply(const block_task *t, int64_t p, int64_t tile, int64_t from, int64_t to, int64_t group)
{
    const pi_fip_plan *s = t->s;
    const pi_fip_data *d = t->d;
    int64_t nr = (int64_t)s->fip->nr, at = p * s->part, k = pi_min_i64(s->part, s->k - at);
    int64_t first = tile_begin(t, tile), m = tile_begin(t, tile + 1) - first, place[PI_FIP_ROWS];
    for (int64_t i = 0; i < m; i++) place[i] = row_of(t, first + i) * d->y_row;
    bool last = p + 1 == s->parts, apart = place[m - 1] - place[0] != (m - 1) * d->y_row;
    for (int64_t j = from; j < to; j++) {
        size_t n = (size_t)pi_min_i64(nr, s->n - j * nr);
        float *y = d->y + j * nr, *c = apart ? t->gathered : y + place[0];
        const float *z = p > 0 ? y : d->z ? d->z + j * nr : NULL, *b = t->b + (j * s->k + at) * nr;
        for (int64_t i = 0; apart && z && i < m; i++) memcpy(c + i * nr, z + place[i], n * sizeof *c);
        const pi_igemm_end end = {last && d->bias ? d->bias + j * nr : NULL, !z ? NULL : apart ? c : z + place[0],
                                  last ? s->low : -INFINITY, last ? s->high : INFINITY};
        const float *next = j + group < s->panels ? b + group * s->k * nr : last ? NULL : t->b + (from * s->k + at + s->part) * nr;
        pi_igemm_ahead ahead = pi_igemm_share(next, (size_t)(k * nr), (size_t)k, (size_t)tile, (size_t)t->tiles);
        s->fip->tile((size_t)m, n, (size_t)k, copy_of(t, p, tile), &t->tables[p * s->tiles + tile], b, t->minus + (p * s->panels + j) * nr,
                     &end, c, (size_t)(apart ? nr : d->y_row), ahead.at, ahead.lines);
        for (int64_t i = 0; apart && i < m; i++) memcpy(y + place[i], c + i * nr, n * sizeof *c);
    }
}

/* The activation of a tile's panels [from, to), while they are in the first-level cache. */
static void finish(const block_task *t, int64_t tile, int64_t from, int64_t to)
{
    const pi_fip_plan *s = t->s;
    int64_t nr = (int64_t)s->fip->nr, n = pi_min_i64(to * nr, s->n) - from * nr, row = t->d->y_row;
    int64_t first = tile_begin(t, tile), rows = tile_begin(t, tile + 1) - first;
    int64_t together = n == row && row_of(t, first + rows - 1) - row_of(t, first) == rows - 1 ? rows : 1;
    for (int64_t i = first; i < first + rows; i += together) {
        float *y = t->d->y + row_of(t, i) * row + from * nr;
        pi_eltwise()->act_f32(s->late, (size_t)(n * together), y, y);
    }
}

/* Zeros in panels [from, to) of the rows behind those of the block, up to the next live one; and before the first. */
static void clear_others(const block_task *t, int64_t from, int64_t to)
{
    int64_t nr = (int64_t)t->s->fip->nr, n = pi_min_i64(to * nr, t->s->n) - from * nr;
    for (int64_t i = t->first ? 0 : -1; t->live && i < t->rows; i++)
        for (int64_t r = row_of(t, i) + 1; r < row_of(t, i + 1); r++)
            memset(t->d->y + r * t->d->y_row + from * nr, 0, (size_t)n * sizeof(float));
}

/* Panels [begin, end) of the rows of a block. */
static void columns(const block_task *t, const pi_call *call, int64_t begin, int64_t end)
{
    const pi_fip_plan *s = t->s;
    int64_t group = pi_igemm_group(pi_igemm(), (size_t)s->part);
    for (int64_t from = begin, to; from < end && !pi_cancelled(call); from = to) {
        to = pi_min_i64(end, from + group);
        for (int64_t p = 0; p < s->parts; p++)
            for (int64_t tile = 0; tile < t->tiles; tile++) {
                multiply(t, p, tile, from, to, group);
                if (p + 1 == s->parts && s->late.kind != PI_ACT_NONE) finish(t, tile, from, to);
            }
    }
}

/* What is its own of a product. */
static pi_fip_data data_of(const pi_fip_plan *s, const pi_fip_data *all, int64_t batch)
{
    pi_fip_data d = *all;
    int64_t a = 0, y = 0;
    if (s->place) s->place(all->arg, batch, &a, &y);
    d.a += s->gather ? 0 : a;
    d.y += y;
    if (d.z) d.z += y;
    return d;
}

/* A chunk is a range of (product, block of rows, piece of the panels). */
static void product_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    product_task *task = arg;
    const pi_fip_plan *s = task->s;
    char *mine = (char *)task->call->scratch + (size_t)thread * s->each;
    for (int64_t u = begin, n; u < end && !pi_cancelled(task->call); u += n) {
        int64_t piece = u % s->pieces, id = u / s->pieces, batch = id / task->blocks, block = id % task->blocks;
        int64_t first = block * task->m / task->blocks, rows = (block + 1) * task->m / task->blocks - first;
        int64_t own = s->each_b ? batch : 0, tail = tail_of(s->panels, s->k, (int64_t)s->fip->nr);
        const pi_fip_data d = data_of(s, task->d, batch);
        const block_task t = {s, &d, s->b + own * s->panels * s->k * (int64_t)s->fip->nr, s->minus + own * tail, task->live, task->m,
                              batch, first, rows, pi_divide_up(rows, PI_FIP_ROWS), (float *)(void *)mine,
                              (float *)(void *)(mine + s->gathered_at), (pi_fip_rows *)(void *)(mine + s->rows_at)};
        n = pi_min_i64(end - u, s->pieces - piece);
        if (task->made[thread] != id + 1) copy_rows(&t, task->call);
        task->made[thread] = id + 1;
        const int64_t from = piece * s->panels / s->pieces, to = (piece + n) * s->panels / s->pieces;
        columns(&t, task->call, from, to);
        clear_others(&t, from, to);
    }
}

static void find_live(product_task *task)
{
    const pi_fip_plan *s = task->s;
    const bool *live = task->call->in[s->live]->data;
    int64_t *to = (int64_t *)(void *)((char *)task->call->scratch + s->live_at), m = 0;
    *to++ = -1;
    for (int64_t i = 0; i < s->m; i++)
        if (live[i]) to[m++] = i;
    to[m] = s->m;
    task->live = to;
    task->m = m;
}

pi_status pi_fip_run(const pi_fip_plan *s, const pi_call *call, const pi_fip_data *data, pi_error *err)
{
    enum { GRAIN = 1 << 18 };
    product_task task = {.s = s, .call = call, .d = data, .m = s->m};
    if (s->live) find_live(&task);
    task.blocks = blocks_of(s, task.m);
    int64_t work = (pi_divide_up(task.m, task.blocks) + 1) * s->k * (int64_t)s->fip->nr * (s->panels / s->pieces);
    int threads = (int)pi_min_i64(call->run->threads, s->threads);
    pi_parallel(threads, s->batches * task.blocks * s->pieces, GRAIN / work + 1, product_chunk, &task);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}
