/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of padding: what pyinfer.LiveTokens reads off masks, and products and softmaxes that leave their rows out. */
#include <math.h>
#include <stdlib.h>
#include "base/act.h"
#include "check.h"
#include "one_op.h"
#include "ops/live.h"

enum { MOST = 2 * 4 * 61 * 61 };
static float noise[5][MOST];

static void make_noise(void)
{
    unsigned r = 1;
    for (int k = 0; k < 5; k++)
        for (int i = 0; i < MOST; i++) {
            r = r * 1664525u + 1013904223u;
            noise[k][i] = (float)(r >> 16) / 32768 - 1;
        }
}

/* ---- steps that leave rows out ---- */

typedef struct {
    const char *name;
    uint32_t n_in; /* the last one is `live` */
    struct {
        int rank; /* 0: absent */
        int64_t dim[4];
    } in[5];
    int act;
    struct {
        const char *name;
        uint32_t n;
        int64_t v[4];
    } perm[3];
    /* Row r of the result, n values wide, is the query `row(r)` of `live`. */
    int64_t rows, n, heads, queries;
    bool queries_first; /* the result is [batch, queries, heads, n] */
    int keys;           /* pi_live_keys */
} step;

static const step steps[] = {
    {.name = "MatMul", .n_in = 5, .in = {{3, {2, 61, 29}}, {2, {29, 37}}, {0, {0}}, {0, {0}}, {2, {2, 61}}},
     .rows = 122, .n = 37, .heads = 1, .queries = 61},
    {.name = "MatMul", .n_in = 5, .in = {{3, {2, 61, 29}}, {2, {29, 37}}, {1, {37}}, {3, {2, 61, 37}}, {2, {2, 61}}},
     .act = PI_ACT_RELU, .rows = 122, .n = 37, .heads = 1, .queries = 61},
    {.name = "MatMul", .n_in = 5, .in = {{2, {122, 29}}, {2, {29, 64}}, {1, {64}}, {0, {0}}, {2, {2, 61}}},
     .act = PI_ACT_GELU_ERF, .rows = 122, .n = 64, .heads = 1, .queries = 61},
    {.name = "MatMul", .n_in = 5, .in = {{4, {2, 61, 4, 8}}, {4, {2, 61, 4, 8}}, {0, {0}}, {0, {0}}, {2, {2, 61}}},
     .perm = {{"perm_a", 4, {0, 2, 1, 3}}, {"perm_b", 4, {0, 2, 3, 1}}}, .rows = 488, .n = 61, .heads = 4, .queries = 61},
    {.name = "MatMul", .n_in = 5, .in = {{4, {2, 4, 61, 61}}, {4, {2, 61, 4, 8}}, {0, {0}}, {0, {0}}, {2, {2, 61}}},
     .perm = {{"perm_b", 4, {0, 2, 1, 3}}, {"perm_y", 4, {0, 2, 1, 3}}},
     .rows = 488, .n = 8, .heads = 4, .queries = 61, .queries_first = true},
    {.name = "Softmax", .n_in = 3, .in = {{4, {2, 4, 61, 61}}, {4, {2, 1, 61, 61}}, {2, {2, 61}}},
     .rows = 488, .n = 61, .heads = 4, .queries = 61},
    {.name = "MatMul", .n_in = 5, .in = {{4, {2, 61, 4, 8}}, {4, {2, 61, 4, 8}}, {0, {0}}, {0, {0}}, {2, {2, 61}}},
     .perm = {{"perm_a", 4, {0, 2, 1, 3}}, {"perm_b", 4, {0, 2, 3, 1}}}, .rows = 488, .n = 61, .heads = 4, .queries = 61,
     .keys = PI_LIVE_COLUMNS},
    {.name = "Softmax", .n_in = 3, .in = {{4, {2, 4, 61, 61}}, {4, {2, 1, 61, 61}}, {2, {2, 61}}},
     .rows = 488, .n = 61, .heads = 4, .queries = 61, .keys = PI_LIVE_COLUMNS},
    {.name = "Softmax", .n_in = 3, .in = {{4, {2, 4, 61, 61}}, {4, {2, 1, 1, 61}}, {2, {2, 61}}},
     .rows = 488, .n = 61, .heads = 4, .queries = 61, .keys = PI_LIVE_COLUMNS},
    {.name = "Softmax", .n_in = 3, .in = {{2, {122, 33}}, {0, {0}}, {2, {2, 61}}}, .rows = 122, .n = 33, .heads = 1, .queries = 61},
};

static void evaluate(one_op *o, const step *s, const char *impl, bool *live)
{
    one_op_init(o, "pyinfer", s->name, 1, s->n_in, 1);
    for (uint32_t i = 0; i < s->n_in; i++) {
        bool last = i + 1 == s->n_in;
        if (s->in[i].rank && !(last && !live))
            one_op_in(o, i, last ? PI_DTYPE_BOOL : PI_DTYPE_F32, s->in[i].rank, s->in[i].dim, last ? (void *)live : noise[i]);
    }
    for (int i = 0; i < 3 && s->perm[i].name; i++) one_op_ints(o, s->perm[i].name, s->perm[i].n, s->perm[i].v);
    if (s->act) one_op_int(o, "act", s->act);
    if (s->keys) one_op_int(o, "keys", live ? s->keys : 0);
    CHECK(one_op_eval(o, impl) == PI_E_OK);
}

/* Column j of row r of a softmax over the keys of a span. */
static float weight(const step *s, int64_t r, int64_t j, pi_live_range span)
{
    int64_t mask_rows = s->in[1].dim[2], mask = (r / (s->heads * s->queries) * mask_rows + r % s->queries % mask_rows) * s->n;
    double sum = 0;
    for (int64_t i = span.first; i < span.end; i++) sum += exp((double)noise[0][r * s->n + i] + (double)noise[1][mask + i]);
    return (float)(exp((double)noise[0][r * s->n + j] + (double)noise[1][mask + j]) / sum);
}

/* Live rows as without `live`, others 0, by each implementation; of keys the span counts. */
static void leave_out(const step *s, bool *live)
{
    static one_op all, ref, fast; /* too large for a frame */
    evaluate(&all, s, "ref", NULL);
    evaluate(&ref, s, "ref", live);
    evaluate(&fast, s, NULL, live);
    bool scores = s->keys && s->n_in == 5;
    int bad = 0;
    for (int64_t r = 0; r < s->rows; r++) {
        int64_t query = s->queries_first ? r / s->heads % s->queries : r % s->queries;
        const bool *mine = live + r / (s->heads * s->queries) * s->queries;
        const pi_live_range span = s->keys ? pi_live_span(mine, s->n) : (pi_live_range){0, s->n};
        for (int64_t j = 0; j < s->n; j++) {
            bool here = mine[query] && j >= span.first && j < span.end;
            if (scores && !here) continue;
            float want = !here ? 0 : s->keys && !scores ? weight(s, r, j, span) : one_op_f32(&all, 0)[r * s->n + j];
            float allowed = here ? 1e-5f : 0;
            bad += !(fabsf(one_op_f32(&ref, 0)[r * s->n + j] - want) <= (s->keys ? allowed : 0));
            bad += !(fabsf(one_op_f32(&fast, 0)[r * s->n + j] - want) <= allowed);
        }
    }
    CHECK(bad == 0);
    one_op_free(&all);
    one_op_free(&ref);
    one_op_free(&fast);
}

static void patterns(void)
{
    bool live[122];
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++)
        for (int pattern = 0; pattern < 8; pattern++) {
            for (int i = 0; i < 122; i++) {
                int q = i % 61, length = i < 61 ? 20 : 47;
                const bool is[] = {true, false,      q < length,         q >= length,
                                   q % 2 == 1, q % 7 == 3, i >= 61, noise[4][i] > 0.2f};
                live[i] = is[pattern];
            }
            leave_out(&steps[k], live);
        }
}

static void wrong_sizes(void)
{
    static const int64_t dims[][2] = {{2, 60}, {3, 61}, {1, 1}, {0, 61}};
    bool live[183] = {0};
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++)
        for (int i = 0; i < 4; i++) {
            step s = steps[k];
            memcpy(s.in[s.n_in - 1].dim, dims[i], sizeof dims[i]);
            one_op o;
            one_op_init(&o, "pyinfer", s.name, 1, s.n_in, 1);
            for (uint32_t n = 0; n < s.n_in; n++)
                if (s.in[n].rank)
                    one_op_in(&o, n, n + 1 == s.n_in ? PI_DTYPE_BOOL : PI_DTYPE_F32, s.in[n].rank, s.in[n].dim,
                              n + 1 == s.n_in ? (void *)live : noise[n]);
            for (int n = 0; n < 3 && s.perm[n].name; n++) one_op_ints(&o, s.perm[n].name, s.perm[n].n, s.perm[n].v);
            CHECK(one_op_eval(&o, NULL) == PI_E_MODEL);
            one_op_free(&o);
        }
}

/* ---- masks ---- */

enum { B = 2, S = 3 };

/* live of two masks; the second one may be absent. Expected: a digit a token. */
static void masks_give(const char *want, pi_dtype dtype, int rank, const int64_t *dim, void *mask, pi_live_kind kind,
                       int64_t *factor, const int64_t *always, uint32_t n_always)
{
    one_op o;
    int64_t kinds[2] = {(int64_t)kind, PI_LIVE_FACTOR};
    one_op_init(&o, "pyinfer", "LiveTokens", 1, factor ? 2 : 1, 1);
    one_op_in(&o, 0, dtype, rank, dim, mask);
    if (factor) one_op_in(&o, 1, PI_DTYPE_I64, 3, (int64_t[]){B, S, 1}, factor);
    one_op_int(&o, "batch", B);
    one_op_int(&o, "tokens", S);
    one_op_ints(&o, "kinds", factor ? 2 : 1, kinds);
    one_op_ints(&o, "always", n_always, always);
    pi_status st = one_op_eval(&o, NULL);
    CHECK(st == (want ? PI_E_OK : PI_E_MODEL));
    for (int i = 0; st == PI_E_OK && i < B * S; i++) CHECK(((const bool *)o.out[0]->t.data)[i] == (want[i] == '1'));
    one_op_free(&o);
}

static void masks(void)
{
    const float inf = INFINITY;
    static const int64_t keys[] = {B, 1, 1, S}, rows[] = {B, 1, S, S}, first[] = {0};
    float low[B * S] = {0, 0, -1e9f, 0.5f, -inf, -3e38f}, almost[B * S] = {0, 0, -1e4f, NAN, -inf, -inf};
    masks_give("110100", PI_DTYPE_F32, 4, keys, low, PI_LIVE_KEYS, NULL, NULL, 0);
    masks_give("111111", PI_DTYPE_F32, 4, keys, almost, PI_LIVE_KEYS, NULL, NULL, 0); /* NaN shows no key */
    float nothing[B * S] = {0, -inf, -inf, -inf, -inf, -inf};
    masks_give("100111", PI_DTYPE_F32, 4, keys, nothing, PI_LIVE_KEYS, NULL, NULL, 0);
    bool shown[B * S] = {true, false, true, false, false, true};
    masks_give("101001", PI_DTYPE_BOOL, 4, keys, shown, PI_LIVE_KEYS, NULL, NULL, 0);
    int64_t factor[B * S] = {0, 0, 0, 0, -1, 0};
    masks_give("101011", PI_DTYPE_BOOL, 4, keys, shown, PI_LIVE_KEYS, factor, NULL, 0);
    masks_give("101101", PI_DTYPE_BOOL, 4, keys, shown, PI_LIVE_KEYS, NULL, first, 1);
    /* queries that see nothing: harmless if they are padding themselves */
    bool causal[B * S * S] = {false, false, false, false, true, false, false, true, true,
                              true,  false, false, true,  true, false, true,  true, false};
    masks_give("011110", PI_DTYPE_BOOL, 4, rows, causal, PI_LIVE_SELF, NULL, NULL, 0);
    masks_give("111110", PI_DTYPE_BOOL, 4, rows, causal, PI_LIVE_KEYS, NULL, NULL, 0);
    masks_give("111110", PI_DTYPE_BOOL, 4, rows, causal, PI_LIVE_SELF, NULL, first, 1);
    float factors[B * S] = {0, -0.0f, 1e-30f, NAN, 1, 0};
    masks_give("001110", PI_DTYPE_F32, 2, (int64_t[]){B, S}, factors, PI_LIVE_FACTOR, NULL, NULL, 0);
    masks_give(NULL, PI_DTYPE_F32, 2, (int64_t[]){S, B}, factors, PI_LIVE_FACTOR, NULL, NULL, 0);
    masks_give(NULL, PI_DTYPE_F32, 1, (int64_t[]){B * S}, factors, PI_LIVE_FACTOR, NULL, NULL, 0);
    masks_give(NULL, PI_DTYPE_F32, 4, (int64_t[]){B, S, 1, 1}, factors, PI_LIVE_KEYS, NULL, NULL, 0);
    masks_give(NULL, PI_DTYPE_F32, 4, keys, low, PI_LIVE_KEYS, NULL, (int64_t[]){S}, 1);
}

int main(void)
{
    make_noise();
    patterns();
    wrong_sizes();
    masks();
    return CHECK_DONE();
}
