/* SPDX-License-Identifier: Apache-2.0 */
/* FlexAttention: prob_mod(softmax(score_mod(scale * Q K^T))) V for each batch and head, where score_mod and prob_mod
 * are subgraphs that see all scores at once, [batch, heads, queries, keys] of type softmax_precision. Arithmetic of the
 * reference is in double (where all is f32, kernels do it in float); only what a subgraph gets is rounded to that type.
 * A query whose scores are all -inf gives NaN, as Softmax does. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/reduce/reduce.h"
#include "kernels/softmax/softmax.h"
#include "ops/element.h"
#include "ops/move.h"
#include "ops/ops.h"

enum { Q, K, V, ALIGN = 64 };

typedef struct {
    pi_tensor scores;                                  /* shape and type of what the subgraphs take and give; no data */
    int64_t rows;                                      /* batch * heads * queries */
    int64_t heads, queries, keys, size, v_size, group; /* group: query heads for one head of K and V */
    double scale;
    const pi_graph *score_mod, *prob_mod; /* NULL: none */
    int threads;
    size_t row_bytes,
        scores_at; /* in scratch: a row of double for each thread, then the scores if there are subgraphs */
    bool fast; /* all is f32, and the kernels do it */
} flex_state;

/* ---- shapes ---- */

static pi_status mod_of(const pi_node *node, const char *name, const pi_graph **out, pi_error *err)
{
    const pi_attr *a = pi_attr_find(node, name);
    uint32_t captured = node->n_in - node->n_explicit;
    *out = a ? a->graph : NULL;
    if (*out && ((*out)->n_inputs != 1 + captured || (*out)->n_outputs != 1))
        return pi_fail(err, PI_E_MODEL, "%s has %lld inputs and %u outputs, expected one of each", name,
                       (long long)(*out)->n_inputs - captured, (*out)->n_outputs);
    return PI_E_OK;
}

static pi_status precision_of(const pi_node *node, pi_dtype type, pi_dtype *out, pi_error *err)
{
    const pi_attr *a = pi_attr_find(node, "softmax_precision");
    *out = a ? pi_dtype_from_id(a->i) : type == PI_DTYPE_F64 ? PI_DTYPE_F64 : PI_DTYPE_F32;
    if (!pi_dtype_in(*out, PI_FLOATS))
        return pi_fail(err, PI_E_MODEL, "softmax_precision %lld is no float type", (long long)a->i);
    return PI_E_OK;
}

static pi_status flex_init(flex_state *s, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *q = in[Q], *k = in[K], *v = in[V];
    const pi_attr *scale = pi_attr_find(node, "scale");
    char tq[160], tk[160], tv[160];
    if (q->rank != 4 || k->rank != 4 || v->rank != 4 || k->dim[0] != q->dim[0] || v->dim[0] != q->dim[0] ||
        v->dim[1] != k->dim[1] || v->dim[2] != k->dim[2] || k->dim[3] != q->dim[3])
        return pi_fail(err, PI_E_MODEL, "Q %s, K %s and V %s do not fit together", pi_tensor_text(q, tq, sizeof tq),
                       pi_tensor_text(k, tk, sizeof tk), pi_tensor_text(v, tv, sizeof tv));
    if (k->dim[1] ? q->dim[1] % k->dim[1] != 0 : q->dim[1] != 0)
        return pi_fail(err, PI_E_MODEL, "Q has %lld heads, expected a multiple of the %lld of K and V",
                       (long long)q->dim[1], (long long)k->dim[1]);
    s->heads = q->dim[1];
    s->queries = q->dim[2];
    s->keys = k->dim[2];
    s->size = q->dim[3];
    s->v_size = v->dim[3];
    s->group = k->dim[1] ? q->dim[1] / k->dim[1] : 1;
    s->scale = scale ? (double)scale->f : 1 / sqrt((double)pi_max_i64(s->size, 1));
    if (!pi_mul_i64(q->dim[0], s->heads, &s->rows) || !pi_mul_i64(s->rows, s->queries, &s->rows))
        return pi_fail(err, PI_E_LIMIT, "too many queries");
    PI_TRY(mod_of(node, "score_mod", &s->score_mod, err));
    PI_TRY(mod_of(node, "prob_mod", &s->prob_mod, err));
    PI_TRY(precision_of(node, q->dtype, &s->scores.dtype, err));
    return pi_move_shape(&s->scores, 4, (int64_t[]){q->dim[0], s->heads, s->queries, s->keys}, err);
}

static pi_status flex_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    flex_state s = {0};
    PI_TRY(flex_init(&s, node, in, err));
    return pi_move_shape(&out[0], 4, (int64_t[]){in[Q]->dim[0], s.heads, s.queries, s.v_size}, err);
}

static pi_status flex_prepare(pi_prep *prep, pi_error *err)
{
    size_t rows, scores = 0;
    flex_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(flex_init(s, prep->node, prep->in, err));
    s->threads = pi_prep_threads(prep, 2 * (double)s->rows * (double)s->keys * (double)(s->size + s->v_size));
    if (s->score_mod || s->prob_mod) PI_TRY(pi_tensor_bytes(&s->scores, &scores, err));
    if (!pi_mul((size_t)s->keys, sizeof(double), &s->row_bytes) || !pi_add(s->row_bytes, ALIGN - 1, &s->row_bytes))
        return pi_fail(err, PI_E_LIMIT, "too many keys");
    s->row_bytes = s->row_bytes / ALIGN * ALIGN;
    if (!pi_mul(s->row_bytes, (size_t)s->threads, &rows) || !pi_add(rows, scores, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "too many scores");
    s->scores_at = rows;
    return PI_E_OK;
}

static const char *fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    flex_state s = {0};
    (void)out;
    if (in[Q]->dtype != PI_DTYPE_F32 || in[K]->dtype != PI_DTYPE_F32 || in[V]->dtype != PI_DTYPE_F32) return "only f32";
    if (flex_init(&s, node, in, NULL) != PI_E_OK) return "attributes";
    return s.scores.dtype == PI_DTYPE_F32 && s.keys > 0 && s.size > 0 && s.v_size > 0 ? NULL : "scores of another type, or no elements";
}

static pi_status fast_prepare(pi_prep *prep, pi_error *err)
{
    PI_TRY(flex_prepare(prep, err));
    ((flex_state *)prep->state)->fast = true;
    return PI_E_OK;
}

/* ---- run ---- */

/* What is done for each query between two subgraphs. */
typedef struct {
    const pi_call *call;
    const pi_tensor *from; /* scores or probabilities that a subgraph gave; NULL: scale * Q K^T */
    bool softmax;
    pi_tensor *to; /* for the next subgraph; NULL: the sums of V into Y */
} flex_stage;

/* The head of K and V that row r of the queries uses, counted through all batches: heads is a multiple of group. */
static int64_t kv_head(const flex_state *s, int64_t r) { return r / s->queries / s->group; }

static void score_row(const flex_state *s, const pi_call *call, int64_t r, double *x)
{
    pi_dtype type = call->in[Q]->dtype;
    int64_t q = r * s->size, k = kv_head(s, r) * s->keys * s->size;
    for (int64_t j = 0; j < s->keys; j++, k += s->size) {
        double sum = 0;
        for (int64_t l = 0; l < s->size; l++)
            sum += pi_element_get(type, call->in[Q]->data, q + l) * pi_element_get(type, call->in[K]->data, k + l);
        x[j] = sum * s->scale;
    }
}

static void softmax_row(double *x, int64_t n)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++)
        if (x[j] > largest || x[j] != x[j]) largest = x[j];
    for (int64_t j = 0; j < n; j++) sum += x[j] = exp(x[j] - largest);
    for (int64_t j = 0; j < n; j++) x[j] /= sum;
}

static void value_row(const flex_state *s, const pi_call *call, int64_t r, const double *x)
{
    pi_dtype type = call->in[V]->dtype;
    int64_t v = kv_head(s, r) * s->keys * s->v_size;
    for (int64_t l = 0; l < s->v_size; l++) {
        double sum = 0;
        for (int64_t j = 0; j < s->keys; j++)
            sum += x[j] * pi_element_get(type, call->in[V]->data, v + j * s->v_size + l);
        pi_element_put(type, call->out[0]->data, r * s->v_size + l, sum);
    }
}

static void stage_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const flex_stage *g = arg;
    const flex_state *s = g->call->state;
    double *x = (void *)((char *)g->call->scratch + (size_t)thread * s->row_bytes);
    for (int64_t r = begin; r < end && !pi_cancelled(g->call); r++) {
        if (!g->from) score_row(s, g->call, r, x);
        for (int64_t j = 0; g->from && j < s->keys; j++)
            x[j] = pi_element_get(g->from->dtype, g->from->data, r * s->keys + j);
        if (g->softmax) softmax_row(x, s->keys);
        if (!g->to) value_row(s, g->call, r, x);
        for (int64_t j = 0; g->to && j < s->keys; j++) pi_element_put(g->to->dtype, g->to->data, r * s->keys + j, x[j]);
    }
}

/* The same on f32. */
static void stage_chunk_f32(void *arg, int64_t begin, int64_t end, int thread)
{
    const flex_stage *g = arg;
    const flex_state *s = g->call->state;
    const pi_tensor *const *in = g->call->in;
    float *x = (void *)((char *)g->call->scratch + (size_t)thread * s->row_bytes), scale = (float)s->scale;
    size_t keys = (size_t)s->keys, size = (size_t)s->size, v_size = (size_t)s->v_size;
    for (int64_t r = begin; r < end && !pi_cancelled(g->call); r++) {
        int64_t first = kv_head(s, r) * s->keys;
        if (g->from) {
            memcpy(x, (const float *)g->from->data + r * s->keys, keys * sizeof *x);
        } else {
            const float *q = (const float *)in[Q]->data + r * s->size, *k = (const float *)in[K]->data + first * s->size;
            pi_reduce()->dot_rows_f32(keys, size, size, k, q, x);
            for (size_t j = 0; j < keys; j++) x[j] *= scale;
        }
        if (g->softmax) pi_softmax()->softmax_f32(1, keys, x, x);
        if (g->to) {
            memcpy((float *)g->to->data + r * s->keys, x, keys * sizeof *x);
            continue;
        }
        float *y = (float *)g->call->out[0]->data + r * s->v_size;
        memset(y, 0, v_size * sizeof *y);
        pi_reduce()->add_rows_f32(keys, v_size, v_size, (const float *)in[V]->data + first * s->v_size, x, y);
    }
}

static pi_status run_stage(flex_stage g, pi_error *err)
{
    const flex_state *s = g.call->state;
    if (pi_tensor_n(g.to ? g.to : g.call->out[0]) > 0)
        pi_parallel((int)pi_min_i64(s->threads, g.call->run->threads), s->rows, 1,
                    s->fast ? stage_chunk_f32 : stage_chunk, &g);
    return pi_cancelled(g.call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* *out, new and the caller's: what subgraph g makes of t. */
static pi_status run_mod(const pi_call *call, const char *name, const pi_graph *g, const pi_tensor *t, pi_const **out,
                         pi_error *err)
{
    const pi_node *node = call->node;
    char got[160], want[160];
    if (!call->run->graph) return pi_fail(err, PI_E_UNSUPPORTED, "subgraphs run only in a model");
    const pi_tensor **in = pi_calloc(call->run->heap, g->n_inputs, sizeof *in, err);
    if (!in) return pi_alloc_status(err);
    in[0] = t;
    for (uint32_t i = node->n_explicit; i < node->n_in; i++) in[1 + i - node->n_explicit] = call->in[i];
    pi_status st = call->run->graph(call, g, in, out, err);
    pi_free((void *)in);
    PI_TRY(st);
    if ((*out)->t.dtype == t->dtype && pi_tensor_same_shape(&(*out)->t, t)) return PI_E_OK;
    st = pi_fail(err, PI_E_MODEL, "%s gives %s, expected %s", name, pi_tensor_text(&(*out)->t, got, sizeof got),
                 pi_tensor_text(t, want, sizeof want));
    pi_const_unref(*out);
    *out = NULL;
    return st;
}

static pi_status flex_run(const pi_call *call, pi_error *err)
{
    const flex_state *s = call->state;
    pi_const *scores = NULL, *probs = NULL;
    pi_tensor t = s->scores;
    pi_status st = PI_E_OK;
    if (!pi_move_wants(call, 0)) return PI_E_OK;
    if (s->score_mod || s->prob_mod) t.data = (char *)call->scratch + s->scores_at;
    if (s->score_mod) {
        PI_TRY(run_stage((flex_stage){.call = call, .to = &t}, err));
        PI_TRY(run_mod(call, "score_mod", s->score_mod, &t, &scores, err));
    }
    if (s->prob_mod) {
        PI_TRY_DONE(run_stage((flex_stage){call, scores ? &scores->t : NULL, true, &t}, err));
        PI_TRY_DONE(run_mod(call, "prob_mod", s->prob_mod, &t, &probs, err));
    }
    st = run_stage((flex_stage){call, probs ? &probs->t : scores ? &scores->t : NULL, !probs, NULL}, err);
done:
    pi_const_unref(scores);
    pi_const_unref(probs);
    return st;
}

/* ---- row ---- */

static const pi_impl flex_impls[] = {{.name = "simd", .refuse = fast_refuse, .prepare = fast_prepare, .run = flex_run},
                                     {.name = "ref", .prepare = flex_prepare, .run = flex_run}, {0}};
static const pi_attr_def flex_attrs[] = {{.name = "prob_mod", .kind = PI_ATTR_GRAPH},
                                         {.name = "scale", .kind = PI_ATTR_FLOAT},
                                         {.name = "score_mod", .kind = PI_ATTR_GRAPH},
                                         {.name = "softmax_precision", .kind = PI_ATTR_INT},
                                         {0}};
static const pi_op rows[] = {
    {.domain = "ai.onnx.preview",
     .name = "FlexAttention",
     .since = 1,
     .signature = "Q:T K:T V:T -> Y:T",
     .T = PI_FLOATS,
     .flags = PI_OP_NO_FOLD,
     .attrs = flex_attrs,
     .infer = flex_infer,
     .impls = flex_impls},
};
const pi_op_family pi_ops_flex_attention = {rows, PI_COUNT(rows)};
