/* SPDX-License-Identifier: Apache-2.0 */
/* A product of queries by keys, a softmax (with its mask) along the keys, and the product of that by values become
 * pyinfer.Attention: scores stay in the cache, and one step is waited for instead of three. Transposes around them are
 * permutations of the products by now (fuse_matmul). */
#include <string.h>
#include "passes/match.h"
#include "passes/passes.h"

enum { RANK = 4 };

/* A product of four dims each; what is added to it, if anything, is *added. */
static bool product_of(const pi_node *node, pi_value **added)
{
    if (!pi_is_internal(node, "MatMul") || pi_attr_int(node, "act")) return false;
    *added = NULL;
    if (node->n_in > 4 && node->in[4]) return false; /* it leaves out padding: that saves more */
    for (uint32_t i = 2; i < node->n_in; i++) {
        if (node->in[i] && *added) return false;
        if (node->in[i]) *added = node->in[i];
    }
    return node->in[0]->t.rank == RANK && node->in[1]->t.rank == RANK && node->out[0]->t.rank == RANK;
}

/* The axes of the operand in the order in which the product has them: batch, heads, and the two of the matrix. */
static void axes_of(const pi_node *node, uint32_t i, int64_t axes[RANK])
{
    uint32_t n;
    const int64_t *perm = pi_attr_ints(node, i ? "perm_b" : "perm_a", &n);
    bool turned = pi_attr_int(node, i ? "trans_b" : "trans_a") != 0;
    for (int k = 0; k < RANK; k++) {
        int from = turned && k >= RANK - 2 ? 2 * RANK - 3 - k : k;
        axes[k] = perm && n == RANK ? perm[from] : from;
    }
}

/* The product of queries by keys whose only reader is a softmax that is read only by `values`; that, and the mask or NULL. */
static pi_node *scores(const pi_node *values, pi_node **softmax, pi_value **mask)
{
    pi_value *x = values->in[0];
    pi_node *s = x->producer, *product;
    uint32_t n;
    int axis;
    if (!s || pi_only_reader(x) != values || (!pi_is(s, "Softmax") && !pi_is_internal(s, "Softmax"))) return NULL;
    if (pi_is(s, "Softmax") &&
        (s->op->since < 13 || pi_axis(pi_attr_int(s, "axis"), RANK, &axis, NULL) != PI_E_OK || axis != RANK - 1))
        return NULL;
    product = s->in[0]->producer;
    if (!product || !product_of(product, mask) || pi_only_reader(s->in[0]) != s || pi_attr_ints(product, "perm_y", &n)) return NULL;
    if (s->n_in > 1 && s->in[1]) {
        if (*mask) return NULL;
        *mask = s->in[1];
    }
    if (*mask && ((*mask)->t.rank < 1 || (*mask)->t.dim[(*mask)->t.rank - 1] != x->t.dim[RANK - 1])) return NULL;
    *softmax = s;
    return product;
}

/* Keys or values [batch, heads, total, size] of which each head was repeated for a group of queries' heads, as Expand and Reshape
 * do it: what was repeated, and how often. NULL on failure; v itself if it was not repeated. */
static pi_value *shared_heads(pi_graph *g, const pi_node *like, pi_value *v, int64_t *group, pi_error *err)
{
    const pi_node *merge = pi_made_by(v, "Reshape"), *expand = merge ? pi_made_by(merge->in[0], "Expand") : NULL;
    *group = 1;
    if (!expand) return v;
    const pi_tensor *x = &expand->in[0]->t, *y = &expand->out[0]->t;
    if (!pi_tensor_known(x) || !pi_tensor_known(y) || x->rank != RANK + 1 || y->rank != RANK + 1 || x->dim[2] != 1) return v;
    const int64_t dim[RANK] = {x->dim[0], x->dim[1], x->dim[3], x->dim[4]};
    for (int i = 0; i < RANK; i++)
        if (dim[i] == 0 || dim[i] != y->dim[i < 2 ? i : i + 1]) return v;
    for (int i = 0; i < RANK; i++)
        if (v->t.dim[i] != (i == 1 ? dim[1] * y->dim[2] : dim[i])) return v;
    *group = y->dim[2];
    const pi_node *apart = expand->in[0]->producer;
    bool view = pi_is(apart, "Unsqueeze") || pi_is(apart, "Reshape");
    if (view && apart->in[0]->t.rank == RANK && memcmp(apart->in[0]->t.dim, dim, sizeof dim) == 0) return apart->in[0];
    return pi_reshaped(g, like, expand->in[0], RANK, dim, err);
}

static pi_status fuse(pi_graph *g, pi_node *values, pi_error *err)
{
    pi_value *mask, *added;
    pi_node *softmax, *product = product_of(values, &added) && !added ? scores(values, &softmax, &mask) : NULL;
    int64_t p[RANK], q[RANK], k[RANK], v[RANK], last;
    uint32_t n_y;
    const int64_t *perm_y = product ? pi_attr_ints(values, "perm_y", &n_y) : NULL;
    if (!product || (perm_y && (n_y != RANK || perm_y[RANK - 1] != RANK - 1))) return PI_E_OK;
    axes_of(values, 0, p);
    axes_of(product, 0, q);
    axes_of(product, 1, k);
    axes_of(values, 1, v);
    last = k[3], k[3] = k[2], k[2] = last; /* keys are rows */
    for (int i = 0; i < RANK; i++)
        if (p[i] != i) return PI_E_OK;
    if (q[3] != 3 || k[3] != 3 || v[3] != 3) return PI_E_OK;
    const pi_tensor *qt = &product->in[0]->t, *kt = &product->in[1]->t, *vt = &values->in[1]->t;
    if (qt->dtype != PI_DTYPE_F32 || pi_attr_float(values, "alpha") != 1) return PI_E_OK;
    for (int i = 0; i < 2; i++) /* none of them repeats */
        if (kt->dim[k[i]] != qt->dim[q[i]] || vt->dim[v[i]] != qt->dim[q[i]]) return PI_E_OK;
    pi_value *keys = product->in[1], *vals = values->in[1];
    if (k[1] == 1 && v[1] == 1) {
        int64_t of_keys, of_vals;
        keys = shared_heads(g, values, keys, &of_keys, err);
        vals = keys ? shared_heads(g, values, vals, &of_vals, err) : NULL;
        if (!vals) return pi_alloc_status(err);
        if (of_keys != of_vals) keys = product->in[1], vals = values->in[1];
    }
    int64_t y[RANK] = {0, 1, 2, 3};
    for (int i = 0; perm_y && i < RANK; i++) y[i] = perm_y[i];
    bool guarded = pi_is_internal(softmax, "Softmax") && pi_attr_int(softmax, "nan_to_zero");
    float scale = pi_attr_float(product, "alpha");
    pi_value *in[4] = {product->in[0], keys, vals, mask};
    pi_node *node = pi_rewrite(g, values, pi_op_internal("Attention"), in, 4, err);
    if (!node) return pi_alloc_status(err);
    PI_TRY(pi_attr_set_float(g, node, "scale", scale, err));
    PI_TRY(pi_attr_set_int(g, node, "nan_to_zero", guarded, err));
    PI_TRY(pi_attr_set_ints(g, node, "perm_q", q, RANK, err));
    PI_TRY(pi_attr_set_ints(g, node, "perm_k", k, RANK, err));
    PI_TRY(pi_attr_set_ints(g, node, "perm_v", v, RANK, err));
    return pi_attr_set_ints(g, node, "perm_y", y, RANK, err);
}

pi_status pi_pass_fuse_attention(pi_graph *g, pi_error *err)
{
    for (uint32_t i = 0, n = g->n_nodes; i < n; i++) PI_TRY(fuse(g, g->node[i], err));
    PI_TRY(pi_graph_sort(g, err));
    pi_graph_sweep(g);
    return PI_E_OK;
}
