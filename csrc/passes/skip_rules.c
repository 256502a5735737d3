/* SPDX-License-Identifier: Apache-2.0 */
/* What each operator needs of its inputs at places of padding. An operator is here only if it gives finite numbers for finite
 * ones: skipped rows are zeros, and what is made of them meets a factor or weight of 0, which must not meet NaN. */
#include <math.h>
#include <string.h>
#include "ops/live.h"
#include "passes/skip_padding.h"

enum { BIAS = 2, RESIDUAL = 3 };

static unsigned bit(int axis) { return axis < 0 ? 0 : 1u << axis; }

/* ---- axes ---- */

/* Elements before an axis of tokens, in steps of one token: the batch if the axis has the tokens of all sequences. */
static int64_t before(const pi_skip *s, const pi_tensor *t, int axis)
{
    if (axis == 0 && t->dim[0] == s->batch * s->tokens) return s->batch;
    return t->dim[axis] == s->tokens ? pi_dims_product(t, 0, axis) : -1;
}

/* The axis of `to`, a view of the same elements, that has the tokens of this axis of `from`; or -1. */
static int same_axis(const pi_skip *s, const pi_tensor *from, int axis, const pi_tensor *to)
{
    for (int a = 0; a < to->rank; a++)
        if (before(s, to, a) > 0 && before(s, to, a) == before(s, from, axis)) return a;
    return -1;
}

static unsigned through_view(const pi_skip *s, const pi_tensor *y, unsigned spare, const pi_tensor *x)
{
    unsigned out = 0;
    for (int a = 0; a < y->rank; a++)
        if (spare & bit(a)) out |= bit(same_axis(s, y, a, x));
    return out;
}

/* The axes of x that are those of y, and not broadcast: of an element-wise operator, or one that cuts other axes. */
static unsigned aligned(const pi_tensor *y, unsigned spare, const pi_tensor *x)
{
    if (x->rank != y->rank || x->rank < 1 || x->dim[0] != y->dim[0]) return 0;
    for (int a = 0; a < y->rank; a++)
        if (x->dim[a] != y->dim[a]) spare &= ~bit(a);
    return spare;
}

/* Axis `to` of y comes from axis `from` of x: the batch stays in front. */
static unsigned moved(const pi_tensor *y, int to, unsigned spare, const pi_tensor *x, int from)
{
    bool whole = (to == 0) == (from == 0) && y->dim[to] == x->dim[from];
    return whole && spare & bit(to) ? bit(from) : 0;
}

static unsigned through_transpose(const pi_node *node, unsigned spare)
{
    uint32_t n;
    const int64_t *perm = pi_attr_ints(node, "perm", &n);
    const pi_tensor *x = &node->in[0]->t, *y = &node->out[0]->t;
    unsigned out = 0;
    if (!perm || perm[0] != 0) return 0;
    for (int a = 0; a < y->rank; a++) out |= moved(y, a, spare, x, (int)perm[a]);
    return out;
}

/* ---- masks ---- */

static bool add_mask(pi_skip *s, pi_value *mask, pi_live_kind kind)
{
    uint32_t i = 0;
    while (i < s->n_masks && s->mask[i] != mask) i++;
    if (i == PI_SKIP_MASKS) return false;
    if (i == s->n_masks) s->mask[s->n_masks++] = mask, s->kind[i] = kind;
    return s->kind[i] == (int64_t)kind;
}

/* A constant of moderate numbers, or absent. */
static bool moderate(const pi_value *v)
{
    if (!v) return true;
    if (!pi_floats(v)) return false;
    const float *x = v->constant->t.data;
    for (int64_t i = 0, n = pi_tensor_n(&v->constant->t); i < n; i++)
        if (!(fabsf(x[i]) < 1e6f)) return false;
    return true;
}

/* Products, perhaps with a bias for each place: nothing that hides keys. */
static bool plain_scores(const pi_value *x)
{
    const pi_node *add = pi_made_by(x, "Add");
    if (add) x = moderate(add->in[1]) ? add->in[0] : moderate(add->in[0]) ? add->in[1] : NULL;
    const pi_node *node = x ? x->producer : NULL;
    return pi_is_internal(node, "MatMul") && moderate(node->in[BIAS]) && moderate(node->in[RESIDUAL]);
}

pi_value *pi_skip_mask(pi_skip *s, const pi_node *node)
{
    bool softmax = pi_is_internal(node, "Softmax"), attention = pi_is(node, "Attention");
    uint32_t place = softmax ? 1 : 3;
    pi_value *mask = (softmax || attention) && node->n_explicit > place ? node->in[place] : NULL;
    if (!mask || mask->constant || s->late[mask->id] || !pi_tensor_known(&mask->t) || mask->t.rank < 3) return NULL;
    const pi_tensor *m = &mask->t, *x = &node->in[0]->t;
    int64_t batch = m->dim[0], tokens = m->dim[m->rank - 1];
    if (softmax && (m->rank != x->rank || !plain_scores(node->in[0]))) return NULL;
    if (attention) {
        bool more = pi_attr_int(node, "is_causal") != 0 || node->n_explicit > 4 || node->n_out > 1; /* caches, other masks */
        if (more || m->rank != 4 || node->in[1]->t.dim[node->in[1]->t.rank - 2] != tokens) return NULL;
    }
    if (x->dim[0] != batch || batch < 2 || tokens < 2) return NULL;
    if (!s->batch) s->batch = batch, s->tokens = tokens;
    return s->batch == batch && s->tokens == tokens ? mask : NULL;
}

static bool hides_keys(pi_skip *s, const pi_node *node)
{
    pi_value *mask = pi_skip_mask(s, node);
    return mask && add_mask(s, mask, PI_LIVE_KEYS);
}

/* A value of one number for each token, of which v, with tokens along `axis`, is a copy or a cast; or NULL. */
static pi_value *token_factor(const pi_skip *s, pi_value *v, int axis)
{
    for (const pi_node *node = v->producer; node && node->out[0] == v; node = v->producer) {
        pi_value *x = node->n_in ? node->in[0] : NULL;
        int from = -1;
        if (!x || x->t.rank < 1 || !pi_dtype_in(x->t.dtype, PI_FLOATS | PI_INTS | PI_BIT(BOOL))) break;
        if (pi_is(node, "Cast") || pi_is(node, "Expand"))
            from = aligned(&v->t, bit(axis), &x->t) ? axis : -1;
        else if (node->op->flags & PI_OP_VIEW)
            from = same_axis(s, &v->t, axis, &x->t);
        if (from < 0) break;
        v = x, axis = from;
    }
    bool fits = v->t.rank > 1 && v->t.dim[0] == s->batch && pi_tensor_n(&v->t) == s->batch * s->tokens;
    return fits && !v->constant && !s->late[v->id] ? v : NULL;
}

/* x * factor, and the factor of padding is 0. An x that is not late is no use: each mask makes fewer tokens spare. */
static unsigned through_factor(pi_skip *s, const pi_node *mul, uint32_t i, unsigned spare)
{
    const pi_tensor *y = &mul->out[0]->t;
    pi_value *factor = mul->in[1 - i];
    for (int a = 0; a < y->rank && s->late[mul->in[i]->id]; a++) {
        if (before(s, y, a) != s->batch || factor->constant || !aligned(y, bit(a), &factor->t)) continue;
        pi_value *root = token_factor(s, factor, a);
        if (root && add_mask(s, root, PI_LIVE_FACTOR)) spare |= bit(a);
    }
    return aligned(y, spare, &mul->in[i]->t);
}

/* ---- products ---- */

/* The axis of an operand's tensor, or of the result's, that is this axis of the product. */
static int stored_axis(const pi_node *node, const char *perm, const char *trans, int rank, int axis)
{
    uint32_t n;
    const int64_t *p = pi_attr_ints(node, perm, &n);
    if (trans && pi_attr_int(node, trans) && axis >= rank - 2) axis = 2 * rank - 3 - axis;
    if (trans) return p ? (int)p[axis] : axis;
    for (int a = 0; p && a < rank; a++)
        if (p[a] == axis) return a;
    return axis;
}

static unsigned through_product(pi_skip *s, const pi_node *node, uint32_t i, unsigned spare)
{
    const pi_tensor *x = &node->in[i]->t, *y = &node->out[0]->t;
    const char *perm = i ? "perm_b" : "perm_a", *trans = i ? "trans_b" : "trans_a";
    int rank = y->rank, lost = i ? rank - 2 : rank - 1; /* the axis of the result that is not this operand's */
    unsigned out = 0;
    if (i == RESIDUAL) return aligned(y, spare, x);
    if (i > 1 || x->rank != rank || rank < 2) return 0;
    if (rank > 2 && (stored_axis(node, perm, trans, rank, 0) || stored_axis(node, "perm_y", NULL, rank, 0) || x->dim[0] != y->dim[0]))
        return 0;
    for (int a = 0; a < rank; a++)
        if (a != lost) out |= moved(y, stored_axis(node, "perm_y", NULL, rank, a), spare, x, stored_axis(node, perm, trans, rank, a));
    const pi_node *softmax = node->in[0]->producer; /* the weight of a key that is padding is 0 */
    bool keys = i == 1 && pi_is_internal(softmax, "Softmax") && stored_axis(node, "perm_a", "trans_a", rank, rank - 1) == rank - 1;
    if (keys && node->in[0]->t.rank == rank && hides_keys(s, softmax)) out |= bit(stored_axis(node, perm, trans, rank, rank - 2));
    return out;
}

static unsigned through_attention(pi_skip *s, const pi_node *node, uint32_t i, unsigned spare)
{
    const pi_tensor *x = &node->in[i]->t, *y = &node->out[0]->t;
    if (i == 0) return aligned(y, spare & bit(y->rank - 2), x);
    return i < 3 && hides_keys(s, node) ? bit(x->rank - 2) : 0;
}

/* ---- all ---- */

/* The elements of one place along the axis of tokens. */
static unsigned through_gather(pi_skip *s, const pi_node *node)
{
    const pi_tensor *x = &node->in[0]->t;
    const pi_value *index = node->in[1];
    int axis;
    if (!s->late[node->in[0]->id] || pi_axis(pi_attr_int(node, "axis"), x->rank, &axis, NULL) != PI_E_OK || axis == 0) return 0;
    if (before(s, x, axis) != s->batch || !index->constant || pi_const_load(index->constant, NULL) != PI_E_OK) return 0;
    int64_t n = pi_tensor_n(&index->constant->t);
    if (n + s->n_always > PI_SKIP_ALWAYS) return 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t token = pi_tensor_int(&index->constant->t, k);
        if (token < -s->tokens || token >= s->tokens) return 0;
        s->always[s->n_always++] = token < 0 ? token + s->tokens : token;
    }
    return bit(axis);
}

/* Along the axes from `axis` on all elements of a row are needed. */
static unsigned through_rows(const pi_node *node, unsigned spare)
{
    int axis, rank = node->in[0]->t.rank;
    for (uint32_t k = 1; k < node->n_out; k++)
        if (node->out[k]) return 0;
    if (pi_axis(pi_attr_int(node, "axis"), rank, &axis, NULL) != PI_E_OK) return 0;
    return spare & (bit(axis) - 1);
}

static unsigned through_split(const pi_skip *s, const pi_node *split)
{
    unsigned out = ~0u;
    for (uint32_t k = 0; k < split->n_out; k++)
        if (split->out[k]) out &= aligned(&split->out[k]->t, s->spare[split->out[k]->id], &split->in[0]->t);
    return out;
}

/* Steps along all axes are forward: an axis that keeps its length keeps its order. */
static bool forward(const pi_node *slice)
{
    const pi_value *steps = slice->n_in > 4 ? slice->in[4] : NULL;
    if (!steps) return true;
    if (!steps->constant || pi_const_load(steps->constant, NULL) != PI_E_OK) return false;
    for (int64_t k = 0; k < pi_tensor_n(&steps->constant->t); k++)
        if (pi_tensor_int(&steps->constant->t, k) < 1) return false;
    return true;
}

static bool is_one_of(const pi_node *node, const char *const *names)
{
    while (*names && !pi_is(node, *names)) names++;
    return *names != NULL;
}

unsigned pi_skip_input(pi_skip *s, const pi_node *node, uint32_t i)
{
    static const char *const each[] = {"Add", "Sub", "Neg", "Abs", "Relu", "LeakyRelu", "Gelu", "Tanh", "Sigmoid", "Swish",
                                       "HardSwish", "HardSigmoid", "Elu", "Softplus", "Erf", "Clip", "Where", "Max", "Min", NULL};
    const pi_value *x = node->in[i], *y = node->out[0];
    if (!y || i >= node->n_explicit || !pi_tensor_known(&x->t) || !pi_tensor_known(&y->t)) return 0;
    unsigned spare = s->spare[y->id];
    if (pi_is_internal(node, "MatMul")) return through_product(s, node, i, spare);
    if (pi_is(node, "Mul")) return through_factor(s, node, i, spare);
    if (is_one_of(node, each) || (pi_is(node, "Div") && i == 0 && node->in[1]->constant)) return aligned(&y->t, spare, &x->t);
    if (pi_is(node, "Attention")) return through_attention(s, node, i, spare);
    if (i > 0) return pi_is(node, "Concat") ? aligned(&y->t, spare, &x->t) : 0;
    if (pi_is_internal(node, "Softmax")) {
        unsigned keys = bit(x->t.rank - 1);
        return (spare & ~keys) | (hides_keys(s, node) ? keys : 0);
    }
    if (node->op->flags & PI_OP_VIEW) return through_view(s, &y->t, spare, &x->t);
    if (pi_is(node, "Transpose")) return through_transpose(node, spare);
    if (pi_is(node, "Gather")) return through_gather(s, node);
    if (pi_is(node, "Split")) return through_split(s, node);
    if (pi_is(node, "Concat") || pi_is(node, "Cast") || (pi_is(node, "Slice") && forward(node))) return aligned(&y->t, spare, &x->t);
    bool norm = pi_is(node, "LayerNormalization") || pi_is(node, "RMSNormalization");
    if ((norm && pi_attr_float(node, "epsilon") > 1e-30f) || (pi_is(node, "Softmax") && node->op->since >= 13))
        return through_rows(node, spare);
    return 0;
}

bool pi_skip_rows(const pi_skip *s, const pi_node *node)
{
    const pi_tensor *y = &node->out[0]->t;
    int axis = y->rank - 2;
    if (axis < 0 || !pi_tensor_known(y)) return false;
    if (pi_is_internal(node, "MatMul")) {
        if (axis > 0 && stored_axis(node, "perm_y", NULL, y->rank, 0) != 0) return false;
        axis = stored_axis(node, "perm_y", NULL, y->rank, axis);
    }
    return s->spare[node->out[0]->id] & bit(axis);
}

/* The weights of a softmax whose mask counts. */
static bool is_masked(const pi_skip *s, const pi_node *softmax)
{
    pi_skip copy = *s; /* sizes are known: nothing is added to it */
    const pi_value *mask = pi_skip_mask(&copy, softmax);
    uint32_t i = 0;
    while (i < s->n_masks && s->mask[i] != mask) i++;
    int last = softmax ? softmax->out[0]->t.rank - 1 : 0;
    return mask && i < s->n_masks && last > 0 && softmax->out[0]->t.dim[last - 1] == s->tokens;
}

/* Sequences come first, queries and keys last. */
static bool in_order(const pi_node *node, const char *perm, const char *trans, int rank)
{
    for (int axis = 0; axis < rank; axis = axis ? axis + 1 : rank - 2)
        if (stored_axis(node, perm, trans, rank, axis) != axis) return false;
    return true;
}

pi_live_keys pi_skip_keys(const pi_skip *s, const pi_node *node)
{
    if (pi_is_internal(node, "Softmax")) return is_masked(s, node) ? PI_LIVE_COLUMNS : PI_LIVE_NO_KEYS;
    if (!pi_is_internal(node, "MatMul")) return PI_LIVE_NO_KEYS;
    const pi_node *reader = pi_only_reader(node->out[0]), *softmax = node->in[0]->producer;
    int rank = node->out[0]->t.rank;
    bool scores = reader && pi_is_internal(reader, "Softmax") && reader->in[0] == node->out[0] && is_masked(s, reader);
    if (scores && !node->in[RESIDUAL] && in_order(node, "perm_y", NULL, rank)) return PI_LIVE_COLUMNS;
    bool context = pi_is_internal(softmax, "Softmax") && is_masked(s, softmax) && node->in[0]->t.rank == rank;
    context = context && stored_axis(node, "perm_y", NULL, rank, 0) == 0 && in_order(node, "perm_a", "trans_a", rank);
    return context ? PI_LIVE_INNER : PI_LIVE_NO_KEYS;
}
