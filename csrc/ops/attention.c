/* SPDX-License-Identifier: Apache-2.0 */
/* Attention: softmax(softcap(scale * Q K^T) + mask) V for each batch and head. A query that may see no key gives zeros.
 * pyinfer.Attention, which passes/fuse_attention.c makes of products around a softmax, reads Q, K and V and writes Y in any
 * order of batch, heads and rows (perm_q, perm_k, perm_v, perm_y, as Transpose nodes have them).
 * The reference computes in double, which is at least the precision that softmax_precision can ask for. */
#include "ops/attention.h"
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "ops/element.h"
#include "ops/move.h"
#include "ops/ops.h"
#include "ops/widen.h"

enum { Q, K, V, MASK, PAST_K, PAST_V, VALID };

/* ---- shapes ---- */

/* A permutation of four axes that leaves the last one where it is; the identity if the node has none. */
static pi_status perm_of(const pi_node *node, const char *attribute, int64_t perm[4], pi_error *err)
{
    uint32_t n = 0;
    const int64_t *given = node->op->domain ? pi_attr_ints(node, attribute, &n) : NULL;
    bool seen[3] = {false, false, false};
    for (int i = 0; i < 4; i++) perm[i] = i;
    if (!given) return PI_E_OK;
    bool fits = n == 4 && given[3] == 3;
    for (int i = 0; fits && i < 3; i++) {
        fits = given[i] >= 0 && given[i] < 3 && !seen[given[i]];
        if (fits) seen[given[i]] = true, perm[i] = given[i];
    }
    return fits ? PI_E_OK : pi_fail(err, PI_E_MODEL, "attribute '%s' is no permutation of rows", attribute);
}

/* Heads and their size: [b, heads, t, size], perhaps permuted, or [b, t, heads * size] where `attribute` says how many heads. */
static pi_status heads_of(const pi_node *node, const pi_tensor *t, const char *attribute, const char *permuted, int64_t *heads,
                          int64_t *length, int64_t *size, pi_heads *at, pi_error *err)
{
    if (t->rank == 4) {
        int64_t perm[4], step[4] = {0, 0, t->dim[3], 1};
        step[1] = step[2] * t->dim[2];
        step[0] = step[1] * t->dim[1];
        PI_TRY(perm_of(node, permuted, perm, err));
        *heads = t->dim[perm[1]];
        *length = t->dim[perm[2]];
        *size = t->dim[3];
        *at = (pi_heads){step[perm[0]], step[perm[1]], step[perm[2]]};
        return PI_E_OK;
    }
    *heads = pi_attr_int(node, attribute);
    *length = t->dim[1];
    if (*heads < 1 || t->dim[2] % *heads != 0)
        return pi_fail(err, PI_E_MODEL, "%s is %lld, expected a divisor of %lld", attribute, (long long)*heads,
                       (long long)t->dim[2]);
    *size = t->dim[2] / *heads;
    *at = (pi_heads){*length * t->dim[2], *size, t->dim[2]};
    return PI_E_OK;
}

static pi_status past_init(pi_attention *a, const pi_tensor *k, const pi_tensor *v, pi_error *err)
{
    char tk[160], tv[160];
    if (!k && !v) return PI_E_OK;
    if (!k || !v) return pi_fail(err, PI_E_MODEL, "past_key and past_value go together");
    if (k->rank != 4 || v->rank != 4 || k->dim[0] != a->batch || v->dim[0] != a->batch || k->dim[1] != a->kv_heads ||
        v->dim[1] != a->kv_heads || k->dim[2] != v->dim[2] || k->dim[3] != a->size || v->dim[3] != a->v_size)
        return pi_fail(err, PI_E_MODEL, "past_key %s and past_value %s do not fit the keys and values",
                       pi_tensor_text(k, tk, sizeof tk), pi_tensor_text(v, tv, sizeof tv));
    a->past = k->dim[2];
    a->past_k = (pi_heads){a->kv_heads * a->past * a->size, a->past * a->size, a->size};
    a->past_v = (pi_heads){a->kv_heads * a->past * a->v_size, a->past * a->v_size, a->v_size};
    return PI_E_OK;
}

static pi_status mask_init(pi_attention *a, const pi_tensor *m, pi_error *err)
{
    char text[160];
    const int64_t want[4] = {a->batch, a->heads, a->queries, a->total};
    int64_t stride = 1;
    if (!m) return PI_E_OK;
    bool fits = m->rank >= 1 && m->rank <= 4 && m->dim[m->rank - 1] <= a->total;
    for (int i = m->rank - 1, to = 3; fits && i >= 0; i--, to--) {
        if (to < 3) {
            fits = m->dim[i] == 1 || m->dim[i] == want[to];
            a->mask_at[to] = m->dim[i] == 1 ? 0 : stride;
        }
        stride *= m->dim[i];
    }
    if (!fits)
        return pi_fail(err, PI_E_MODEL, "attn_mask %s does not fit [%lld, %lld, %lld, %lld]",
                       pi_tensor_text(m, text, sizeof text), (long long)want[0], (long long)want[1], (long long)want[2],
                       (long long)want[3]);
    a->mask = m;
    a->mask_n = m->dim[m->rank - 1];
    return PI_E_OK;
}

static pi_status options_init(pi_attention *a, const pi_node *node, pi_error *err)
{
    const pi_attr *scale = pi_attr_find(node, "scale");
    int64_t precision = pi_attr_int(node, "softmax_precision"), mode = pi_attr_int(node, "qk_matmul_output_mode");
    a->scale = scale ? (double)scale->f : 1 / sqrt((double)a->size);
    a->softcap = (double)pi_attr_float(node, "softcap");
    a->causal = pi_attr_int(node, "is_causal") != 0;
    a->left = node->op->since < 25 ? -1 : pi_attr_int(node, "left_window_size");
    a->right = node->op->since < 25 ? -1 : pi_attr_int(node, "right_window_size");
    if (a->left < -1 || a->right < -1)
        return pi_fail(err, PI_E_MODEL, "window sizes %lld and %lld are below -1", (long long)a->left, (long long)a->right);
    if (mode < 0 || mode > 3)
        return pi_fail(err, PI_E_MODEL, "qk_matmul_output_mode %lld is not in 0 to 3", (long long)mode);
    if (precision && !pi_dtype_in(pi_dtype_from_id(precision), PI_FLOATS))
        return pi_fail(err, PI_E_MODEL, "softmax_precision %lld is no float type", (long long)precision);
    a->mode = (int)mode;
    a->rows_of_nan = !node->op->domain ? PI_NAN_UNLESS_HIDDEN : pi_attr_int(node, "nan_to_zero") ? PI_NAN_IS_ZERO : PI_NAN_STAYS;
    return PI_E_OK;
}

static pi_status output_init(pi_attention *a, const pi_node *node, int rank, pi_error *err)
{
    const int64_t product[4] = {a->batch, a->heads, a->queries, a->v_size};
    int64_t width, perm[4], step[4], at = 1;
    if (!pi_mul_i64(a->heads, a->v_size, &width)) return pi_fail(err, PI_E_LIMIT, "too many elements");
    if (rank == 3) {
        PI_TRY(pi_move_shape(&a->y_shape, 3, (int64_t[]){a->batch, a->queries, width}, err));
        a->y = (pi_heads){a->queries * width, a->v_size, width};
        return PI_E_OK;
    }
    PI_TRY(perm_of(node, "perm_y", perm, err));
    for (int i = 3; i >= 0; at *= product[perm[i--]]) step[perm[i]] = at;
    a->y = (pi_heads){step[0], step[1], step[2]};
    return pi_move_shape(&a->y_shape, 4, (int64_t[]){product[perm[0]], product[perm[1]], product[perm[2]], product[3]}, err);
}

pi_status pi_attention_init(pi_attention *a, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *q = in[Q], *k = in[K], *v = in[V], *valid = pi_move_in(node, in, VALID);
    int64_t size, length, v_heads;
    char tq[160], tk[160], tv[160];
    memset(a, 0, sizeof *a);
    bool fits = (q->rank == 3 || q->rank == 4) && k->rank == q->rank && v->rank == q->rank && k->dim[0] == q->dim[0] &&
                v->dim[0] == q->dim[0];
    if (fits) {
        a->batch = q->dim[0];
        PI_TRY(heads_of(node, q, "q_num_heads", "perm_q", &a->heads, &a->queries, &a->size, &a->q, err));
        PI_TRY(heads_of(node, k, "kv_num_heads", "perm_k", &a->kv_heads, &length, &size, &a->k, err));
        PI_TRY(heads_of(node, v, "kv_num_heads", "perm_v", &v_heads, &a->total, &a->v_size, &a->v, err));
        fits = size == a->size && v_heads == a->kv_heads && length == a->total &&
               (a->kv_heads ? a->heads % a->kv_heads == 0 : a->heads == 0);
    }
    if (!fits)
        return pi_fail(err, PI_E_MODEL, "Q %s, K %s and V %s do not fit together", pi_tensor_text(q, tq, sizeof tq),
                       pi_tensor_text(k, tk, sizeof tk), pi_tensor_text(v, tv, sizeof tv));
    PI_TRY(output_init(a, node, q->rank, err));
    PI_TRY(past_init(a, pi_move_in(node, in, PAST_K), pi_move_in(node, in, PAST_V), err));
    if (!pi_add_i64(a->total, a->past, &a->total)) return pi_fail(err, PI_E_LIMIT, "too many keys");
    if (valid && a->past_k.row) return pi_fail(err, PI_E_MODEL, "nonpad_kv_seqlen and past_key exclude each other");
    if (valid && (valid->rank != 1 || valid->dim[0] != a->batch))
        return pi_fail(err, PI_E_MODEL, "nonpad_kv_seqlen is %s, expected a length for each of %lld batches",
                       pi_tensor_text(valid, tq, sizeof tq), (long long)a->batch);
    PI_TRY(mask_init(a, pi_move_in(node, in, MASK), err));
    return options_init(a, node, err);
}

static pi_status attention_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_attention a;
    PI_TRY(pi_attention_init(&a, node, in, err));
    PI_TRY(pi_move_shape(&out[0], a.y_shape.rank, a.y_shape.dim, err));
    if (node->n_out > 1) PI_TRY(pi_move_shape(&out[1], 4, (int64_t[]){a.batch, a.kv_heads, a.total, a.size}, err));
    if (node->n_out > 2) PI_TRY(pi_move_shape(&out[2], 4, (int64_t[]){a.batch, a.kv_heads, a.total, a.v_size}, err));
    if (node->n_out > 3) PI_TRY(pi_move_shape(&out[3], 4, (int64_t[]){a.batch, a.heads, a.queries, a.total}, err));
    return PI_E_OK;
}

/* ---- shared by the implementations ---- */

void pi_attention_range(const pi_attention *a, const pi_call *call, int64_t b, int64_t i, int64_t *from, int64_t *to)
{
    const pi_tensor *valid = pi_move_in(call->node, call->in, VALID);
    int64_t n = a->mask ? a->mask_n : a->total, before = a->past; /* keys before the queries */
    int64_t first = 0;
    if (valid) {
        int64_t known = pi_max_i64(0, pi_min_i64(pi_tensor_int(valid, b), a->total));
        n = pi_min_i64(n, known);
        before = known - a->queries;
    }
    if (a->causal) n = pi_min_i64(n, i + before + 1);
    if (a->right >= 0 && a->right < a->total) n = pi_min_i64(n, i + before + a->right + 1);
    if (a->left >= 0 && a->left <= i + before) first = i + before - a->left;
    *to = pi_max_i64(n, 0);
    *from = pi_min_i64(first, *to);
}

const void *pi_attention_row(const pi_attention *a, const pi_call *call, bool values, int64_t b, int64_t h, int64_t j)
{
    bool past = j < a->past;
    const pi_tensor *t = call->in[past ? values ? PAST_V : PAST_K : values ? V : K];
    const pi_heads *at = past ? values ? &a->past_v : &a->past_k : values ? &a->v : &a->k;
    int64_t offset = b * at->batch + h * at->head + (past ? j : j - a->past) * at->row;
    return (const char *)t->data + (size_t)offset * pi_dtype_size(t->dtype);
}

void pi_attention_present(const pi_attention *a, const pi_call *call)
{
    for (uint32_t o = 1; o < 3; o++) {
        if (!pi_move_wants(call, o)) continue;
        char *to = call->out[o]->data;
        size_t bytes = (size_t)(o == 1 ? a->size : a->v_size) * pi_dtype_size(call->out[o]->dtype);
        if (!bytes) continue;
        for (int64_t b = 0; b < a->batch; b++)
            for (int64_t h = 0; h < a->kv_heads; h++)
                for (int64_t j = 0; j < a->total; j++, to += bytes)
                    memcpy(to, pi_attention_row(a, call, o == 2, b, h, j), bytes);
    }
}

/* ---- reference ---- */

typedef struct {
    pi_attention a;
    int threads;
    size_t row; /* bytes of a row of scores */
} attention_state;

static pi_status attention_prepare(pi_prep *prep, pi_error *err)
{
    attention_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    PI_TRY(pi_attention_init(&s->a, prep->node, prep->in, err));
    s->threads = prep->threads;
    if (!pi_mul((size_t)s->a.total, sizeof(double), &s->row) || !pi_add(s->row, 64, &s->row) ||
        !pi_mul(s->row, (size_t)s->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "too many keys");
    return PI_E_OK;
}

static double mask_value(const pi_tensor *mask, int64_t at)
{
    double v = pi_element_get(mask->dtype, mask->data, at);
    return mask->dtype == PI_DTYPE_BOOL ? (v != 0 ? 0 : -INFINITY) : v;
}

static void softmax_row(double *x, int64_t n)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++)
        if (x[j] > largest || x[j] != x[j]) largest = x[j];
    for (int64_t j = 0; j < n; j++) sum += x[j] = exp(x[j] - largest);
    for (int64_t j = 0; j < n; j++) x[j] /= sum;
}

/* One query: x has room for a score of each key. */
static void query_run(const pi_attention *a, const pi_call *call, int64_t b, int64_t h, int64_t i, double *x)
{
    pi_dtype type = call->in[Q]->dtype, v_type = call->in[V]->dtype;
    const pi_tensor *mask = pi_move_in(call->node, call->in, MASK);
    int64_t from, to, group = h / (a->heads / a->kv_heads), at = ((b * a->heads + h) * a->queries + i) * a->total;
    int64_t q = b * a->q.batch + h * a->q.head + i * a->q.row, y = b * a->y.batch + h * a->y.head + i * a->y.row;
    void *shown = pi_move_wants(call, 3) ? call->out[3]->data : NULL;
    bool any = false;
    pi_attention_range(a, call, b, i, &from, &to);
    for (int64_t j = 0; j < a->total; j++) {
        const void *k = pi_attention_row(a, call, false, b, group, j);
        double sum = 0;
        for (int64_t l = 0; l < a->size; l++) sum += pi_element_get(type, call->in[Q]->data, q + l) * pi_element_get(type, k, l);
        sum *= a->scale;
        if (shown && a->mode == 0) pi_element_put(type, shown, at + j, sum);
        if (a->softcap > 0) sum = a->softcap * tanh(sum / a->softcap);
        if (shown && a->mode == 1) pi_element_put(type, shown, at + j, sum);
        double bias = j < from || j >= to ? -INFINITY : 0;
        if (mask && bias == 0)
            bias = mask_value(mask, b * a->mask_at[0] + h * a->mask_at[1] + i * a->mask_at[2] + j);
        any = any || !(bias == -INFINITY);
        x[j] = sum + bias;
        if (shown && a->mode == 2) pi_element_put(type, shown, at + j, x[j]);
    }
    if (any || a->rows_of_nan == PI_NAN_STAYS) softmax_row(x, a->total);
    if ((!any && a->rows_of_nan != PI_NAN_STAYS) || (a->rows_of_nan == PI_NAN_IS_ZERO && a->total > 0 && isnan(x[0])))
        for (int64_t j = 0; j < a->total; j++) x[j] = 0;
    for (int64_t j = 0; shown && a->mode == 3 && j < a->total; j++) pi_element_put(type, shown, at + j, x[j]);
    for (int64_t l = 0; l < a->v_size; l++) {
        double sum = 0;
        for (int64_t j = 0; j < a->total; j++)
            sum += x[j] * pi_element_get(v_type, pi_attention_row(a, call, true, b, group, j), l);
        pi_element_put(type, call->out[0]->data, y + l, sum);
    }
}

static void query_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const attention_state *s = call->state;
    double *x = (void *)((char *)call->scratch + (size_t)thread * s->row);
    for (int64_t u = begin; u < end && !pi_cancelled(call); u++)
        query_run(&s->a, call, u / s->a.queries / s->a.heads, u / s->a.queries % s->a.heads, u % s->a.queries, x);
}

static pi_status attention_run(const pi_call *call, pi_error *err)
{
    const attention_state *s = call->state;
    pi_call copy = *call;
    pi_attention_present(&s->a, call);
    if (pi_move_wants(call, 0) || pi_move_wants(call, 3))
        pi_parallel((int)pi_min_i64(s->threads, call->run->threads), s->a.batch * s->a.heads * s->a.queries, 1, query_chunk,
                    &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl attention_impls[] = {
    {"fip", pi_attention_fip_refuse, pi_attention_fip_prepare, pi_attention_fast_run, PI_INEXACT},
    {"simd", pi_attention_fast_refuse, pi_attention_fast_prepare, pi_attention_fast_run, 0},
    {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
    {"ref", NULL, attention_prepare, attention_run, 0},
    {0},
};
#define OPTIONS                                                                                                  \
    {.name = "is_causal", .kind = PI_ATTR_INT}, {.name = "kv_num_heads", .kind = PI_ATTR_INT},                   \
        {.name = "q_num_heads", .kind = PI_ATTR_INT}, {.name = "qk_matmul_output_mode", .kind = PI_ATTR_INT},    \
        {.name = "scale", .kind = PI_ATTR_FLOAT}, {.name = "softcap", .kind = PI_ATTR_FLOAT},                    \
    {                                                                                                            \
        .name = "softmax_precision", .kind = PI_ATTR_INT                                                         \
    }
static const pi_attr_def attention_attrs[] = {OPTIONS, {0}};
static const pi_attr_def attention_25_attrs[] = {OPTIONS,
                                                 {.name = "left_window_size", .kind = PI_ATTR_INT, .i = -1},
                                                 {.name = "right_window_size", .kind = PI_ATTR_INT, .i = -1},
                                                 {0}};
static const pi_attr_def fused_attrs[] = {OPTIONS,
                                          {.name = "nan_to_zero", .kind = PI_ATTR_INT},
                                          {.name = "perm_q", .kind = PI_ATTR_INTS},
                                          {.name = "perm_k", .kind = PI_ATTR_INTS},
                                          {.name = "perm_v", .kind = PI_ATTR_INTS},
                                          {.name = "perm_y", .kind = PI_ATTR_INTS},
                                          {0}};

#define ATTENTION(version, valid, attributes)                                                                      \
    {.name = "Attention", .since = version,                                                                        \
     .signature = "Q:T K:T V:U attn_mask?:V past_key?:T past_value?:U" valid                                       \
                  " -> Y:T present_key?:T present_value?:U qk_matmul_output?:T",                                   \
     .T = PI_FLOATS, .U = PI_FLOATS, .V = PI_NUMBERS | PI_BIT(BOOL), .attrs = attributes, .infer = attention_infer, \
     .impls = attention_impls}
static const pi_op rows[] = {
    ATTENTION(23, "", attention_attrs),
    ATTENTION(24, " nonpad_kv_seqlen?:i64", attention_attrs),
    ATTENTION(25, " nonpad_kv_seqlen?:i64", attention_25_attrs),
    {.domain = "pyinfer", .name = "Attention", .since = 1, .signature = "Q:T K:T V:T attn_mask?:T -> Y:T", .T = PI_BIT(F32),
     .attrs = fused_attrs, .infer = attention_infer, .impls = attention_impls},
};
const pi_op_family pi_ops_attention = {rows, PI_COUNT(rows)};
