/* SPDX-License-Identifier: Apache-2.0 */
/* LinearAttention: each head of the keys has a state S [d_k, d_v] that goes through the steps in order:
 *     S <- exp(g) S;  u = v, or beta (v - S^T k);  S <- S + k u^T;  y = scale S^T q for each query head of its group.
 * Column j of S meets only element j of v and y, so a piece of work is COLUMNS columns of one state, from the first
 * step to the last: heads as well as columns are split among the threads. In float, as ONNX asks. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/reduce/reduce.h"
#include "ops/block.h"
#include "ops/move.h"
#include "ops/ops.h"

enum { Q, K, V, PAST, DECAY, BETA };
enum { Y, PRESENT };
enum { COLUMNS = 32 };

typedef struct {
    int64_t batch, steps, heads, kv_heads, d_k, d_v;
    int64_t decays; /* of a head: 1, d_k, or 0: no decay */
    int64_t betas;  /* of a step: 1, kv_heads, or 0: no correction of the values */
    int64_t blocks; /* of columns */
    float scale;
    int threads;
    size_t room; /* bytes of scratch of a thread */
} linear;

/* ---- shapes ---- */

static pi_status mode_init(linear *s, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    static const struct {
        const char *name;
        bool decay, beta;
    } rules[] = {{"linear", 0, 0}, {"gated", 1, 0}, {"delta", 0, 1}, {"gated_delta", 1, 1}};
    const char *rule = pi_attr_string(node, "update_rule");
    const pi_tensor *decay = pi_move_in(node, in, DECAY), *beta = pi_move_in(node, in, BETA);
    char text[160];
    size_t i = 0;
    while (i < PI_COUNT(rules) && strcmp(rules[i].name, rule) != 0) i++;
    if (i == PI_COUNT(rules))
        return pi_fail(err, PI_E_MODEL, "update_rule '%.40s' is not one of linear, gated, delta, gated_delta", rule);
    if (rules[i].decay != !!decay)
        return pi_fail(err, PI_E_MODEL, "update_rule %s %s decay", rule, decay ? "takes no" : "needs");
    if (rules[i].beta != !!beta)
        return pi_fail(err, PI_E_MODEL, "update_rule %s %s beta", rule, beta ? "takes no" : "needs");
    if (decay && (decay->rank != 3 || decay->dim[0] != s->batch || decay->dim[1] != s->steps ||
                  (decay->dim[2] != s->kv_heads && decay->dim[2] != in[K]->dim[2])))
        return pi_fail(err, PI_E_MODEL, "decay is %s, expected [%lld, %lld, %lld or %lld]",
                       pi_tensor_text(decay, text, sizeof text), (long long)s->batch, (long long)s->steps,
                       (long long)s->kv_heads, (long long)in[K]->dim[2]);
    if (beta && (beta->rank != 3 || beta->dim[0] != s->batch || beta->dim[1] != s->steps ||
                 (beta->dim[2] != s->kv_heads && beta->dim[2] != 1)))
        return pi_fail(err, PI_E_MODEL, "beta is %s, expected [%lld, %lld, %lld or 1]",
                       pi_tensor_text(beta, text, sizeof text), (long long)s->batch, (long long)s->steps,
                       (long long)s->kv_heads);
    s->decays = !decay ? 0 : decay->dim[2] == s->kv_heads ? 1 : s->d_k;
    s->betas = beta ? beta->dim[2] : 0;
    return PI_E_OK;
}

static pi_status linear_init(linear *s, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *q = in[Q], *k = in[K], *v = in[V], *past = pi_move_in(node, in, PAST);
    char tq[160], tk[160], tv[160];
    memset(s, 0, sizeof *s);
    s->heads = pi_attr_int(node, "q_num_heads");
    s->kv_heads = pi_attr_int(node, "kv_num_heads");
    if (s->kv_heads < 1 || s->heads < 1 || s->heads % s->kv_heads != 0)
        return pi_fail(err, PI_E_MODEL, "q_num_heads is %lld, expected a multiple of kv_num_heads, which is %lld",
                       (long long)s->heads, (long long)s->kv_heads);
    if (q->rank != 3 || k->rank != 3 || v->rank != 3 || k->dim[0] != q->dim[0] || v->dim[0] != q->dim[0] ||
        k->dim[1] != q->dim[1] || v->dim[1] != q->dim[1] || q->dim[2] % s->heads != 0 || k->dim[2] % s->kv_heads != 0 ||
        v->dim[2] % s->kv_heads != 0 || q->dim[2] / s->heads != k->dim[2] / s->kv_heads)
        return pi_fail(err, PI_E_MODEL,
                       "query %s, key %s and value %s do not fit together as [batch, steps, heads * size] with "
                       "%lld query and %lld key heads",
                       pi_tensor_text(q, tq, sizeof tq), pi_tensor_text(k, tk, sizeof tk),
                       pi_tensor_text(v, tv, sizeof tv), (long long)s->heads, (long long)s->kv_heads);
    s->batch = q->dim[0];
    s->steps = q->dim[1];
    s->d_k = q->dim[2] / s->heads;
    s->d_v = v->dim[2] / s->kv_heads;
    s->blocks = s->d_v / COLUMNS + (s->d_v % COLUMNS != 0);
    s->scale = pi_attr_float(node, "scale");
    if (s->scale == 0) s->scale = (float)(1 / sqrt((double)pi_max_i64(s->d_k, 1)));
    if (past && (past->rank != 4 || past->dim[0] != s->batch || past->dim[1] != s->kv_heads || past->dim[2] != s->d_k ||
                 past->dim[3] != s->d_v))
        return pi_fail(err, PI_E_MODEL, "past_state is %s, expected [%lld, %lld, %lld, %lld]",
                       pi_tensor_text(past, tq, sizeof tq), (long long)s->batch, (long long)s->kv_heads,
                       (long long)s->d_k, (long long)s->d_v);
    return mode_init(s, node, in, err);
}

static pi_status linear_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_tensor *past = pi_move_in(node, in, PAST);
    linear s;
    int64_t width;
    PI_TRY(linear_init(&s, node, in, err));
    if (!pi_mul_i64(s.heads, s.d_v, &width)) return pi_fail(err, PI_E_LIMIT, "too many elements");
    PI_TRY(pi_move_shape(&out[Y], 3, (int64_t[]){s.batch, s.steps, width}, err));
    if (node->n_out <= PRESENT) return PI_E_OK;
    out[PRESENT].dtype = past ? past->dtype : in[Q]->dtype;
    return pi_move_shape(&out[PRESENT], 4, (int64_t[]){s.batch, s.kv_heads, s.d_k, s.d_v}, err);
}

static pi_status linear_prepare(pi_prep *prep, pi_error *err)
{
    linear *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(linear_init(s, prep->node, prep->in, err));
    double each =
        (s->decays ? 1 : 0) + (s->betas ? 2 : 0) + 2 + 2 * (double)(s->heads / s->kv_heads); /* element of S */
    s->threads = pi_prep_threads(prep, (double)pi_tensor_n(prep->in[V]) * (double)s->d_k * each);
    /* S, then k, q and g, each of which is read whole */
    if (!pi_mul((size_t)s->d_k, (COLUMNS + 3) * sizeof(float), &s->room) || !pi_add(s->room, 64, &s->room) ||
        !pi_mul(s->room, (size_t)s->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "a state of %lld rows", (long long)s->d_k);
    return PI_E_OK;
}

/* ---- one block of columns ---- */

/* Of a thread: state is [d_k][COLUMNS], whatever the number of columns in use: what stands in the others is not read
 * out. */
typedef struct {
    float *state, *k, *q, *g;
    float u[COLUMNS];
} work;

static void read_f32(const pi_tensor *t, int64_t at, int64_t n, float *out)
{
    pi_read_f32(t->dtype, pi_at(t->data, t->dtype, at), 1, n, out);
}

static void write_f32(const pi_tensor *t, int64_t at, int64_t n, const float *x)
{
    pi_write_f32(t->dtype, pi_at_mut(t->data, t->dtype, at), 1, n, x);
}

/* out[j] = sum over i of x[i] state[i][j] */
static void product(const linear *s, const float *state, const float *x, float *out)
{
    memset(out, 0, COLUMNS * sizeof *out);
    pi_reduce()->add_rows_f32((size_t)s->d_k, COLUMNS, COLUMNS, state, x, out);
}

static void scale_row(float *restrict row, float g)
{
    for (int j = 0; j < COLUMNS; j++) row[j] *= g;
}

static void add_row(float *restrict row, const float *restrict u, float k)
{
    for (int j = 0; j < COLUMNS; j++) row[j] += k * u[j];
}

/* The state after one more token; row: of batch and step. */
static void update(const linear *s, const pi_call *call, work *w, int64_t row, int64_t h, int64_t column, int64_t n)
{
    read_f32(call->in[K], (row * s->kv_heads + h) * s->d_k, s->d_k, w->k);
    read_f32(call->in[V], (row * s->kv_heads + h) * s->d_v + column, n, w->u);
    if (s->decays) {
        read_f32(call->in[DECAY], (row * s->kv_heads + h) * s->decays, s->decays, w->g);
        for (int64_t i = 0; i < s->decays; i++) w->g[i] = expf(w->g[i]);
        for (int64_t i = 0; i < s->d_k; i++) scale_row(w->state + i * COLUMNS, w->g[s->decays == 1 ? 0 : i]);
    }
    if (s->betas) {
        float known[COLUMNS], beta;
        read_f32(call->in[BETA], row * s->betas + (s->betas == 1 ? 0 : h), 1, &beta);
        product(s, w->state, w->k, known);
        for (int j = 0; j < COLUMNS; j++) w->u[j] = beta * (w->u[j] - known[j]);
    }
    for (int64_t i = 0; i < s->d_k; i++) add_row(w->state + i * COLUMNS, w->u, w->k[i]);
}

static void answer(const linear *s, const pi_call *call, work *w, int64_t row, int64_t h, int64_t column, int64_t n)
{
    int64_t group = s->heads / s->kv_heads;
    for (int64_t at = h * group; at < (h + 1) * group; at++) {
        float y[COLUMNS];
        read_f32(call->in[Q], (row * s->heads + at) * s->d_k, s->d_k, w->q);
        product(s, w->state, w->q, y);
        for (int j = 0; j < COLUMNS; j++) y[j] *= s->scale;
        write_f32(call->out[Y], (row * s->heads + at) * s->d_v + column, n, y);
    }
}

static void block_run(const linear *s, const pi_call *call, work *w, int64_t b, int64_t h, int64_t column)
{
    const pi_tensor *past = pi_move_in(call->node, call->in, PAST);
    int64_t n = pi_min_i64(COLUMNS, s->d_v - column), at = (b * s->kv_heads + h) * s->d_k * s->d_v + column;
    memset(w->u, 0, sizeof w->u);
    if (s->d_k) memset(w->state, 0, (size_t)s->d_k * COLUMNS * sizeof(float));
    for (int64_t i = 0; past && i < s->d_k; i++) read_f32(past, at + i * s->d_v, n, w->state + i * COLUMNS);
    for (int64_t t = 0; t < s->steps && !pi_cancelled(call); t++) {
        update(s, call, w, b * s->steps + t, h, column, n);
        if (pi_move_wants(call, Y)) answer(s, call, w, b * s->steps + t, h, column, n);
    }
    for (int64_t i = 0; pi_move_wants(call, PRESENT) && i < s->d_k; i++)
        write_f32(call->out[PRESENT], at + i * s->d_v, n, w->state + i * COLUMNS);
}

static void block_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const linear *s = call->state;
    float *room = (void *)((char *)call->scratch + (size_t)thread * s->room);
    work w = {.state = room};
    w.k = room + s->d_k * COLUMNS;
    w.q = w.k + s->d_k;
    w.g = w.q + s->d_k; /* one value also where d_k is 0 */
    for (int64_t i = begin; i < end && !pi_cancelled(call); i++)
        block_run(s, call, &w, i / s->blocks / s->kv_heads, i / s->blocks % s->kv_heads, i % s->blocks * COLUMNS);
}

static pi_status linear_run(const pi_call *call, pi_error *err)
{
    const linear *s = call->state;
    pi_call copy = *call;
    bool some = false;
    for (uint32_t i = 0; i < call->node->n_out; i++) some = some || (call->out[i] && pi_tensor_n(call->out[i]) > 0);
    if (some) /* then the number of blocks is no larger than that of the elements of an output */
        pi_parallel((int)pi_min_i64(s->threads, call->run->threads), s->batch * s->kv_heads * s->blocks, 1, block_chunk,
                    &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- rows ---- */

#define TYPES (PI_BIT(F32) | PI_BIT(F16) | PI_BIT(BF16))
static const pi_impl impls[] = {{"ref", NULL, linear_prepare, linear_run, 0}, {0}};
static const pi_attr_def attrs[] = {
    {.name = "chunk_size", .kind = PI_ATTR_INT, .i = 64}, /* a hint that is not needed */
    {.name = "kv_num_heads", .kind = PI_ATTR_INT},
    {.name = "q_num_heads", .kind = PI_ATTR_INT},
    {.name = "scale", .kind = PI_ATTR_FLOAT},
    {.name = "update_rule", .kind = PI_ATTR_STRING, .s = "gated_delta"},
    {0}};

static const pi_op rows[] = {
    {.name = "LinearAttention",
     .since = 27,
     .signature = "query:T key:T value:T past_state?:U decay?:T beta?:T -> output:T present_state:any",
     .T = TYPES,
     .U = TYPES,
     .attrs = attrs,
     .infer = linear_infer,
     .impls = impls},
};
const pi_op_family pi_ops_linear_attention = {rows, PI_COUNT(rows)};
