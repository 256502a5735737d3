/* SPDX-License-Identifier: Apache-2.0 */
/* TfIdfVectorizer: counts the n-grams of its pool in each row, with up to max_skip_count tokens left out between their
 * parts. As in ONNX's own evaluator, `weights` belong to the columns of the output. */
#include <string.h>

#include "base/str.h"
#include "base/threads.h"
#include "ops/element.h"
#include "ops/lookup.h"
#include "ops/move.h"
#include "ops/order.h"

enum { MOST_COLUMNS = 1 << 26 };

/* The n-grams of one length, sorted: the tokens of number `place[i]` are token[start + place[i] * length] and on. */
typedef struct {
    int64_t length, start, n, first; /* first: number of its first n-gram among all */
    int64_t *place;
    const int64_t *token;
} grams;

typedef struct {
    pi_lookup pool;
    int64_t *token; /* of each place of the pool: the place that stands for all that are equal */
    grams *grams;
    int64_t n_grams, skips, columns;
    const int64_t *column;
    const float *weight; /* or NULL */
    bool frequency;
} tfidf_state;

typedef struct {
    const pi_call *call;
    const tfidf_state *state;
    int64_t length;
} tfidf_job;

static pi_status columns_of(const pi_node *node, int64_t *columns, pi_error *err)
{
    uint32_t n;
    const int64_t *index = pi_attr_ints(node, "ngram_indexes", &n);
    *columns = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (index[i] < 0 || index[i] >= MOST_COLUMNS)
            return pi_fail(err, PI_E_MODEL, "ngram_indexes has %lld, expected 0 to %d", (long long)index[i],
                           MOST_COLUMNS - 1);
        *columns = pi_max_i64(*columns, index[i] + 1);
    }
    return PI_E_OK;
}

static pi_status tfidf_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int64_t columns, dim[2] = {in[0]->rank == 2 ? in[0]->dim[0] : 1};
    const char *mode = pi_attr_string(node, "mode");
    const pi_attr *texts = pi_attr_find(node, "pool_strings"), *ints = pi_attr_find(node, "pool_int64s");
    if (in[0]->rank != 1 && in[0]->rank != 2)
        return pi_fail(err, PI_E_MODEL, "X has rank %d, expected 1 or 2", in[0]->rank);
    if (strcmp(mode, "TF") != 0 && strcmp(mode, "IDF") != 0 && strcmp(mode, "TFIDF") != 0)
        return pi_fail(err, PI_E_MODEL, "mode is '%.40s', expected TF, IDF or TFIDF", mode);
    if (!texts == !ints) return pi_fail(err, PI_E_MODEL, "expected one of pool_strings and pool_int64s");
    if (!texts != (in[0]->dtype != PI_DTYPE_STRING))
        return pi_fail(err, PI_E_MODEL, "X is %s, but the pool has %s", pi_dtype_name(in[0]->dtype),
                       texts ? "strings" : "integers");
    PI_TRY(columns_of(node, &columns, err));
    dim[1] = columns;
    return pi_move_shape(out, in[0]->rank, dim + 2 - in[0]->rank, err);
}

static int gram_compare(const int64_t *a, const int64_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
}

static bool gram_before(const void *arg, int64_t a, int64_t b)
{
    const grams *g = arg;
    int c = gram_compare(g->token + g->start + a * g->length, g->token + g->start + b * g->length, g->length);
    return c ? c < 0 : a < b;
}

/* The number of an n-gram; of equal ones the last; -1: it is not in the pool. */
static int64_t gram_find(const grams *g, const int64_t *tokens, int64_t skip)
{
    int64_t low = 0, high = g->n;
    while (low < high) { /* the first that is above */
        int64_t middle = (low + high) / 2, c = 0;
        const int64_t *have = g->token + g->start + g->place[middle] * g->length;
        for (int64_t i = 0; i < g->length && c == 0; i++)
            c = (have[i] > tokens[i * skip]) - (have[i] < tokens[i * skip]);
        if (c <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return -1;
    const int64_t *have = g->token + g->start + g->place[low - 1] * g->length;
    for (int64_t i = 0; i < g->length; i++)
        if (have[i] != tokens[i * skip]) return -1;
    return g->first + g->place[low - 1];
}

static pi_status prepare_grams(pi_prep *prep, tfidf_state *s, pi_error *err)
{
    uint32_t n, n_columns;
    const int64_t *counts = pi_attr_ints(prep->node, "ngram_counts", &n);
    int64_t least = pi_attr_int(prep->node, "min_gram_length"), most = pi_attr_int(prep->node, "max_gram_length"),
            number = 0;
    s->column = pi_attr_ints(prep->node, "ngram_indexes", &n_columns);
    if (least < 1 || most < least)
        return pi_fail(err, PI_E_MODEL, "n-grams of %lld to %lld tokens", (long long)least, (long long)most);
    if (!(s->grams = pi_prep_alloc(prep, n * sizeof *s->grams, err))) return pi_alloc_status(err);
    for (uint32_t k = 0; k < n; k++) {
        int64_t start = counts[k], end = k + 1 < n ? counts[k + 1] : s->pool.n, length = (int64_t)k + 1;
        if (start < 0 || start > end || end > s->pool.n || (end - start) % length)
            return pi_fail(err, PI_E_MODEL, "ngram_counts[%u]: tokens %lld to %lld of %lld are no %u-grams", k,
                           (long long)start, (long long)end, (long long)s->pool.n, k + 1);
        grams g = {.length = length, .start = start, .n = (end - start) / length, .first = number, .token = s->token};
        number += g.n;
        if (length < least || length > most || g.n == 0) continue;
        if (!(g.place = pi_prep_alloc(prep, (size_t)g.n * sizeof *g.place, err))) return pi_alloc_status(err);
        for (int64_t i = 0; i < g.n; i++) g.place[i] = i;
        pi_order_sort(g.place, g.n, gram_before, &g);
        s->grams[s->n_grams++] = g;
    }
    if (number > n_columns)
        return pi_fail(err, PI_E_MODEL, "the pool has %lld n-grams, ngram_indexes only %u", (long long)number,
                       n_columns);
    return PI_E_OK;
}

static pi_status tfidf_prepare(pi_prep *prep, pi_error *err)
{
    tfidf_state *s = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    uint32_t n_weights;
    const pi_attr *texts = pi_attr_find(prep->node, "pool_strings"), *ints = pi_attr_find(prep->node, "pool_int64s");
    const char *mode = pi_attr_string(prep->node, "mode");
    s->pool =
        texts ? (pi_lookup){.n = texts->n, .texts = texts->strings} : (pi_lookup){.n = ints->n, .ints = ints->ints};
    PI_TRY(pi_lookup_sort(&s->pool, prep, err));
    if (!(s->token = pi_prep_alloc(prep, (size_t)s->pool.n * sizeof *s->token, err))) return pi_alloc_status(err);
    for (int64_t i = 0; i < s->pool.n; i++)
        s->token[i] = texts ? pi_lookup_text(&s->pool, texts->strings[i].bytes, texts->strings[i].n)
                            : pi_lookup_int(&s->pool, ints->ints[i]);
    PI_TRY(prepare_grams(prep, s, err));
    PI_TRY(columns_of(prep->node, &s->columns, err));
    s->skips = pi_attr_int(prep->node, "max_skip_count");
    if (s->skips < 0) return pi_fail(err, PI_E_MODEL, "max_skip_count is %lld", (long long)s->skips);
    s->frequency = mode[0] == 'T';
    s->weight = strcmp(mode, "TF") == 0 ? NULL : pi_attr_floats(prep->node, "weights", &n_weights);
    if (s->weight && n_weights < s->columns)
        return pi_fail(err, PI_E_MODEL, "%u weights for %lld columns", n_weights, (long long)s->columns);
    size_t length = (size_t)prep->in[0]->dim[prep->in[0]->rank - 1], bytes;
    if (!pi_mul(length, sizeof(int64_t), &bytes) ||
        !pi_mul(bytes, (size_t)pi_max_i64(prep->threads, 1), &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "rows of %zu tokens", length);
    prep->state = s;
    return PI_E_OK;
}

static void count_row(const tfidf_job *job, const int64_t *token, float *y)
{
    const tfidf_state *s = job->state;
    int64_t n = job->length;
    for (int64_t g = 0; g < s->n_grams; g++) {
        const grams *list = &s->grams[g];
        int64_t last = list->length - 1; /* one token alone is the same for each skip */
        int64_t skips = last == 0 ? 1 : pi_min_i64(s->skips, (n - 1) / last) + 1;
        for (int64_t skip = 1; skip <= skips && !pi_cancelled(job->call); skip++)
            for (int64_t at = 0; at + last * skip < n; at++) {
                int64_t number = token[at] < 0 ? -1 : gram_find(list, token + at, skip);
                if (number >= 0) y[s->column[number]] += 1;
            }
    }
}

static void tfidf_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const tfidf_job *job = arg;
    const tfidf_state *s = job->state;
    const pi_tensor *x = job->call->in[0];
    int64_t n = job->length, *token = (int64_t *)job->call->scratch + thread * n;
    for (int64_t r = begin; r < end && !pi_cancelled(job->call); r++) {
        float *y = (float *)job->call->out[0]->data + r * s->columns;
        for (int64_t i = 0; i < n; i++) {
            if (x->dtype == PI_DTYPE_STRING) {
                const pi_str *t = ((const pi_str *const *)x->data)[r * n + i];
                token[i] = pi_lookup_text(&s->pool, t ? t->bytes : "", t ? t->n : 0);
            } else {
                token[i] = pi_lookup_int(&s->pool, pi_tensor_int(x, r * n + i));
            }
        }
        memset(y, 0, (size_t)s->columns * sizeof *y);
        count_row(job, token, y);
        for (int64_t i = 0; i < s->columns; i++) {
            if (!s->frequency) y[i] = y[i] > 0;
            if (s->weight) y[i] *= s->weight[i];
        }
    }
}

static pi_status tfidf_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *x = call->in[0];
    tfidf_job job = {call, call->state, x->dim[x->rank - 1]};
    pi_parallel(call->run->threads, x->rank == 2 ? x->dim[0] : 1, 1, tfidf_chunk, &job);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

static const pi_impl tfidf_impls[] = {{.name = "ref", .prepare = tfidf_prepare, .run = tfidf_run}, {0}};

static const pi_attr_def tfidf_attrs[] = {{.name = "max_gram_length", .kind = PI_ATTR_INT, .required = true},
                                          {.name = "max_skip_count", .kind = PI_ATTR_INT, .required = true},
                                          {.name = "min_gram_length", .kind = PI_ATTR_INT, .required = true},
                                          {.name = "mode", .kind = PI_ATTR_STRING, .required = true},
                                          {.name = "ngram_counts", .kind = PI_ATTR_INTS, .required = true},
                                          {.name = "ngram_indexes", .kind = PI_ATTR_INTS, .required = true},
                                          {.name = "pool_int64s", .kind = PI_ATTR_INTS},
                                          {.name = "pool_strings", .kind = PI_ATTR_STRINGS},
                                          {.name = "weights", .kind = PI_ATTR_FLOATS},
                                          {0}};

static const pi_op rows[] = {
    {.name = "TfIdfVectorizer",
     .since = 9,
     .signature = "X:T -> Y:f32",
     .T = PI_BIT(STRING) | PI_BIT(I32) | PI_BIT(I64),
     .attrs = tfidf_attrs,
     .infer = tfidf_infer,
     .impls = tfidf_impls},
};
const pi_op_family pi_ops_tfidf = {rows, PI_COUNT(rows)};
