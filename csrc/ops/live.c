/* SPDX-License-Identifier: Apache-2.0 */
/* pyinfer.LiveTokens: false for the tokens of a batch that are padding, as all masks say. It is made once in a run, and read
 * by each step that computes tokens (passes/skip_padding.c says when that changes no output). A sequence in which a query
 * that is no padding sees no key at all is live as a whole: a softmax over nothing but -1e9 gives every key a share. */
#include "ops/live.h"
#include <string.h>
#include "base/threads.h"
#include "ops/block.h"
#include "ops/move.h"

pi_live_range pi_live_span(const bool *live, int64_t n)
{
    enum { STEP = 16 };
    int64_t first = 0, end = n;
    while (end > 0 && !live[end - 1]) end--;
    while (first < end && !live[first]) first++;
    return (pi_live_range){first / STEP * STEP, pi_min_i64((end + STEP - 1) / STEP * STEP, n)};
}

int64_t pi_live_ranges(const bool *live, int64_t m, int64_t most, pi_live_range *range)
{
    int64_t n = 0;
    for (int64_t r = 0; r < m;) {
        if (!live[r]) {
            r++;
            continue;
        }
        int64_t end = pi_min_i64(r + most, m);
        while (!live[end - 1]) end--;
        range[n++] = (pi_live_range){r, end};
        r = end;
    }
    return n;
}

static const pi_tensor *live_input(const pi_node *node, const pi_tensor *const *in)
{
    pi_param p;
    for (uint32_t i = 0; node->op->domain && i < node->n_explicit && pi_op_input(node->op, i, &p); i++)
        if (in[i] && in[i]->data && p.n == 4 && memcmp(p.name, "live", 4) == 0) return in[i];
    return NULL;
}

double pi_live_share(const pi_node *node, const pi_tensor *const *in)
{
    const pi_tensor *t = live_input(node, in);
    if (!t || t->rank != 2 || pi_tensor_n(t) == 0) return 1;
    const int64_t tokens = t->dim[1];
    const bool keys = pi_attr_int(node, "keys") != PI_LIVE_NO_KEYS;
    double sum = 0;
    for (int64_t b = 0; b < t->dim[0]; b++) {
        const bool *live = (const bool *)t->data + b * tokens;
        const pi_live_range span = keys ? pi_live_span(live, tokens) : (pi_live_range){0, tokens};
        int64_t rows = 0;
        for (int64_t i = 0; i < tokens; i++) rows += live[i];
        sum += (double)rows * (double)(span.end - span.first);
    }
    return sum / ((double)t->dim[0] * (double)tokens * (double)tokens);
}

typedef struct {
    int64_t batch, tokens;
    const int64_t *kind, *always;
    uint32_t n_always;
} live;

static pi_status live_init(live *s, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    uint32_t n_kinds;
    char text[200];
    s->batch = pi_attr_int(node, "batch");
    s->tokens = pi_attr_int(node, "tokens");
    s->kind = pi_attr_ints(node, "kinds", &n_kinds);
    s->always = pi_attr_ints(node, "always", &s->n_always);
    if (s->batch < 1 || s->tokens < 1 || n_kinds != node->n_in) return pi_fail(err, PI_E_MODEL, "batch, tokens or kinds");
    for (uint32_t i = 0; i < s->n_always; i++)
        if (s->always[i] < 0 || s->always[i] >= s->tokens) return pi_fail(err, PI_E_MODEL, "a token in 'always'");
    for (uint32_t i = 0; i < node->n_in; i++) {
        int64_t n = pi_tensor_n(in[i]);
        bool fits = n > 0 && in[i]->rank > 1 && in[i]->dim[0] == s->batch;
        fits &= s->kind[i] == PI_LIVE_FACTOR ? n == s->batch * s->tokens : in[i]->rank > 2 && in[i]->dim[in[i]->rank - 1] == s->tokens;
        if (!fits) return pi_fail(err, PI_E_MODEL, "mask %u is %s", i, pi_tensor_text(in[i], text, sizeof text));
    }
    return PI_E_OK;
}

static pi_status live_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    live s;
    PI_TRY(live_init(&s, node, in, err));
    return pi_move_shape(&out[0], 2, (int64_t[]){s.batch, s.tokens}, err);
}

static pi_status live_prepare(pi_prep *prep, pi_error *err)
{
    live *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(live_init(s, prep->node, prep->in, err));
    prep->scratch = (size_t)pi_tensor_n(prep->out[0]);
    return PI_E_OK;
}

/* Adds to `out` what one row of a mask lets live; false: it shows no key. */
static bool add_row(const live *s, pi_dtype dtype, const void *row, bool addend, bool *out)
{
    const double hidden = -1e9, shown = -5e8; /* far enough apart for e^(score + mask) to be 0 beside one that is shown */
    double v[PI_BLOCK];
    bool any = false;
    for (int64_t at = 0; at < s->tokens; at += PI_BLOCK) {
        int64_t n = pi_min_i64(PI_BLOCK, s->tokens - at);
        pi_read_f64(dtype, pi_at(row, dtype, at), 1, n, v);
        for (int64_t i = 0; i < n; i++) {
            out[at + i] |= addend ? !(v[i] <= hidden) : v[i] != 0;
            any |= addend ? v[i] >= shown : v[i] != 0;
        }
    }
    return any;
}

/* Adds what mask i lets live in sequence b, and to `blind` the queries that see no key; false if it is every query. */
static bool add_mask(const live *s, const pi_tensor *t, pi_live_kind kind, int64_t b, bool *out, bool *blind)
{
    int64_t rows = pi_tensor_n(t) / s->batch / s->tokens;
    bool by_query = kind == PI_LIVE_SELF && t->dim[t->rank - 2] == s->tokens;
    for (int64_t r = 0; r < rows; r++) {
        const void *row = pi_at(t->data, t->dtype, (b * rows + r) * s->tokens);
        bool addend = kind != PI_LIVE_FACTOR && t->dtype != PI_DTYPE_BOOL;
        if (add_row(s, t->dtype, row, addend, out) || kind == PI_LIVE_FACTOR) continue;
        if (!by_query) return false;
        blind[r % s->tokens] = true;
    }
    return true;
}

static void live_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const live *s = call->state;
    size_t n = (size_t)s->tokens;
    for (int64_t b = begin; b < end; b++) {
        bool *out = (bool *)call->out[0]->data + b * s->tokens, *blind = (bool *)call->scratch + b * s->tokens, sound = true;
        memset(out, 0, n);
        memset(blind, 0, n);
        for (uint32_t i = 0; i < call->node->n_in && sound; i++)
            sound = add_mask(s, call->in[i], (pi_live_kind)s->kind[i], b, out, blind);
        for (uint32_t i = 0; i < s->n_always; i++) out[s->always[i]] = true;
        for (size_t i = 0; i < n; i++) sound &= !(blind[i] && out[i]);
        if (!sound) memset(out, 1, n);
    }
}

static pi_status live_run(const pi_call *call, pi_error *err)
{
    (void)err;
    pi_call copy = *call;
    const live *s = call->state;
    int64_t n = 0;
    for (uint32_t i = 0; i < call->node->n_in; i++) n += pi_tensor_n(call->in[i]);
    pi_parallel(call->run->threads, s->batch, 1 + 32768 / (n / s->batch + 1), live_chunk, &copy);
    return PI_E_OK;
}

static const pi_attr_def live_attrs[] = {{"batch", PI_ATTR_INT, true, 0, 0, NULL}, {"tokens", PI_ATTR_INT, true, 0, 0, NULL},
                                         {"kinds", PI_ATTR_INTS, true, 0, 0, NULL}, {"always", PI_ATTR_INTS, false, 0, 0, NULL},
                                         {0}};
static const pi_impl live_impls[] = {{"ref", NULL, live_prepare, live_run, 0}, {0}};
static const pi_op rows[] = {
    {.domain = "pyinfer", .name = "LiveTokens", .since = 1, .signature = "masks*:any -> live:bool", .attrs = live_attrs,
     .infer = live_infer, .impls = live_impls},
};
const pi_op_family pi_ops_live = {rows, PI_COUNT(rows)};
