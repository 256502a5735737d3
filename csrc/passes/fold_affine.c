/* SPDX-License-Identifier: Apache-2.0 */
/* BatchNormalization with constant statistics is y = x*scale[c] + shift[c]. Behind a convolution with constant weights
 * that, and Mul, Add, Sub, Div by a constant per channel, go into the weights and the bias. Elsewhere
 * BatchNormalization becomes Mul and Add. Computed in double, rounded once. */
#include <math.h>
#include <string.h>
#include "passes/match.h"
#include "passes/passes.h"

typedef struct {
    double *scale, *shift; /* of n channels */
    int64_t n;
} affine;

static pi_status affine_new(pi_heap *heap, int64_t n, affine *a, pi_error *err)
{
    a->n = n;
    a->scale = pi_calloc(heap, 2 * (size_t)n + 1, sizeof *a->scale, err);
    a->shift = a->scale ? a->scale + n : NULL;
    for (int64_t i = 0; a->scale && i < n; i++) a->scale[i] = 1;
    return a->scale ? PI_E_OK : pi_alloc_status(err);
}

static float at(const pi_value *v, int64_t i)
{
    float f;
    memcpy(&f, (const float *)v->constant->t.data + (pi_tensor_n(&v->constant->t) == 1 ? 0 : i), sizeof f);
    return f;
}

/* f32, known; its bytes may still be in the file. */
static bool is_floats(const pi_value *v) { return v && v->constant && v->constant->t.dtype == PI_DTYPE_F32; }

/* A constant f32 that, against a tensor of `rank` dims with n channels on axis 1, is one number or one a channel. */
static bool per_channel(const pi_value *v, int rank, int64_t n)
{
    if (!is_floats(v)) return false;
    const pi_tensor *t = &v->constant->t;
    if (t->rank > rank) return false;
    int channel = t->rank - (rank - 1);
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] != 1 && !(i == channel && t->dim[i] == n)) return false;
    return pi_floats(v);
}

static bool is_batch_norm(const pi_node *bn)
{
    if (!pi_is(bn, "BatchNormalization") || bn->n_in != 5) return false;
    for (uint32_t i = 1; i < bn->n_out; i++)
        if (bn->out[i]) return false;
    for (uint32_t i = 1; i < 5; i++)
        if (!pi_floats(bn->in[i]) || bn->in[i]->t.rank != 1 || bn->in[i]->t.dim[0] != bn->in[1]->t.dim[0]) return false;
    for (uint32_t i = 0; i < bn->n_attrs; i++)
        if (strcmp(bn->attr[i].name, "training_mode") == 0 && bn->attr[i].i) return false;
    return true;
}

/* What `node` does to input `x` as an affine map per channel, of a tensor with `rank` dims; false if it is none. */
static bool read_affine(const pi_node *node, const pi_value *x, int rank, affine *a)
{
    if (is_batch_norm(node) && node->in[0] == x && node->in[1]->t.dim[0] == a->n) {
        double eps = (double)pi_attr_float(node, "epsilon");
        for (int64_t i = 0; i < a->n; i++) {
            a->scale[i] = (double)at(node->in[1], i) / sqrt((double)at(node->in[4], i) + eps);
            a->shift[i] = (double)at(node->in[2], i) - (double)at(node->in[3], i) * a->scale[i];
        }
        return true;
    }
    bool mul = pi_is(node, "Mul"), add = pi_is(node, "Add"), sub = pi_is(node, "Sub"), div = pi_is(node, "Div");
    if (!(mul || add || sub || div) || node->n_in != 2 || node->n_attrs) return false;
    const pi_value *c = node->in[0] == x ? node->in[1] : node->in[0];
    if (((sub || div) && node->in[0] != x) || !per_channel(c, rank, a->n)) return false;
    for (int64_t i = 0; i < a->n; i++) {
        double v = (double)at(c, i);
        if (mul) a->scale[i] = v;
        if (div) a->scale[i] = 1 / v;
        if (add) a->shift[i] = v;
        if (sub) a->shift[i] = -v;
    }
    return true;
}

static pi_const *new_floats(pi_heap *heap, int rank, const int64_t *dim, pi_error *err)
{
    return pi_const_new(heap, PI_DTYPE_F32, rank, dim, err);
}

/* The weights of a Conv, [O, I/g, ...], are multiplied when they are read; those of ConvTranspose, [I, O/g, ...], now. */
static pi_status scaled(pi_heap *heap, pi_const *w, const affine *a, bool transposed, int64_t group, pi_const **out,
                        pi_error *err)
{
    const pi_tensor *t = &w->t;
    if (!transposed && pi_const_scalable(w, 0))
        return (*out = pi_const_scaled(heap, w, 0, a->scale, err)) ? PI_E_OK : pi_alloc_status(err);
    PI_TRY(pi_const_load(w, err));
    if (!(*out = new_floats(heap, t->rank, t->dim, err))) return pi_alloc_status(err);
    const float *from = t->data;
    float *to = (*out)->t.data;
    int64_t inner = pi_dims_product(t, 2, t->rank), rows = pi_tensor_n(t) / (inner ? inner : 1);
    for (int64_t r = 0; r < rows; r++) {
        int64_t o = transposed ? r / t->dim[1] / (t->dim[0] / group) * t->dim[1] + r % t->dim[1] : r / t->dim[1];
        for (int64_t k = 0; k < inner; k++) to[r * inner + k] = (float)((double)from[r * inner + k] * a->scale[o]);
    }
    return PI_E_OK;
}

static pi_status apply_to_conv(pi_graph *g, pi_node *conv, const affine *a, bool transposed, pi_error *err)
{
    pi_const *w = conv->in[1]->constant, *weights, *bias;
    bool scales = false;
    for (int64_t i = 0; i < a->n; i++) scales |= a->scale[i] != 1;
    if (scales) {
        PI_TRY(scaled(g->heap, w, a, transposed, pi_attr_int(conv, "group"), &weights, err));
        pi_value *v = pi_graph_constant(g, conv->in[1]->name, weights, err);
        if (!v) return pi_alloc_status(err);
        PI_TRY(pi_node_set_in(g, conv, 1, v, err));
    }
    if (!(bias = new_floats(g->heap, 1, &a->n, err))) return pi_alloc_status(err);
    const pi_value *old = conv->in[2];
    for (int64_t i = 0; i < a->n; i++)
        ((float *)bias->t.data)[i] = (float)((old ? (double)at(old, i) : 0) * a->scale[i] + a->shift[i]);
    pi_value *b = pi_graph_constant(g, old ? old->name : conv->name, bias, err);
    return b ? pi_node_set_in(g, conv, 2, b, err) : pi_alloc_status(err);
}

/* Conv of the file may have two inputs only: give it three. */
static pi_status with_bias_input(pi_graph *g, pi_node **conv, pi_error *err)
{
    if ((*conv)->n_in == 3) return PI_E_OK;
    pi_value *in[3] = {(*conv)->in[0], (*conv)->in[1], NULL};
    pi_node *old = *conv, *wide = pi_graph_node(g, old->op, old->name, 3, 1, err);
    if (!wide) return pi_alloc_status(err);
    wide->number = old->number;
    wide->source = old->source;
    for (uint32_t i = 0; i < 2; i++) PI_TRY(pi_node_set_in(g, wide, i, in[i], err));
    for (uint32_t i = 0; i < old->n_attrs; i++) PI_TRY(pi_attr_set(g, wide, &old->attr[i], err));
    pi_value *v = old->out[0];
    pi_node_set_out(old, 0, NULL);
    pi_node_set_out(wide, 0, v);
    pi_graph_remove(g, old);
    *conv = wide;
    return PI_E_OK;
}

static pi_status fold_into_conv(pi_graph *g, pi_node *conv, bool transposed, pi_error *err)
{
    const pi_value *w = conv->in[1];
    if (!is_floats(w) || w->t.rank < 3 || (conv->n_in > 2 && conv->in[2] && !pi_floats(conv->in[2]))) return PI_E_OK;
    int64_t group = pi_attr_int(conv, "group"), channels;
    if (group < 1 || w->t.dim[0] % group || !pi_mul_i64(w->t.dim[1], group, &channels)) return PI_E_OK;
    if (!transposed) channels = w->t.dim[0];
    if (conv->n_in > 2 && conv->in[2] && pi_tensor_n(&conv->in[2]->constant->t) != channels) return PI_E_OK; /* not checked yet */
    for (;;) {
        pi_value *y = conv->out[0];
        pi_node *next = pi_only_reader(y);
        affine a = {0};
        if (!next) return PI_E_OK;
        PI_TRY(affine_new(g->heap, channels, &a, err));
        pi_status st = PI_E_OK;
        bool fits = read_affine(next, y, w->t.rank, &a);
        if (fits) st = with_bias_input(g, &conv, err);
        if (fits && st == PI_E_OK) st = apply_to_conv(g, conv, &a, transposed, err);
        pi_free(a.scale);
        if (!fits || st != PI_E_OK) return st;
        pi_value *out = next->out[0];
        pi_node_set_out(next, 0, NULL);
        pi_node_set_out(conv, 0, out);
        pi_graph_remove(g, next);
    }
}

/* Mul and Add with constants [C, 1, 1 ...]; the rank must be known. */
static pi_status spell_out(pi_graph *g, pi_node *bn, pi_error *err)
{
    int rank = bn->in[0]->t.rank;
    if (rank < 2 || bn->in[0]->t.dtype != PI_DTYPE_F32) return PI_E_OK; /* Mul takes one type */
    int64_t dim[PI_MAX_RANK], n = bn->in[1]->t.dim[0];
    for (int i = 0; i < rank - 1; i++) dim[i] = i ? 1 : n;
    affine a;
    PI_TRY(affine_new(g->heap, n, &a, err));
    bool fits = read_affine(bn, bn->in[0], rank, &a);
    pi_const *scale = fits ? new_floats(g->heap, rank - 1, dim, err) : NULL;
    pi_const *shift = scale ? new_floats(g->heap, rank - 1, dim, err) : NULL;
    for (int64_t i = 0; shift && i < n; i++) {
        ((float *)scale->t.data)[i] = (float)a.scale[i];
        ((float *)shift->t.data)[i] = (float)a.shift[i];
    }
    pi_free(a.scale);
    if (!fits) return PI_E_OK;
    if (!shift) {
        pi_const_unref(scale);
        return pi_alloc_status(err);
    }
    pi_value *vs = pi_graph_constant(g, bn->in[1]->name, scale, err), *vb = pi_graph_constant(g, bn->in[2]->name, shift, err);
    if (!vs || !vb) return pi_alloc_status(err);
    pi_node *mul = pi_insert(g, bn, pi_op_find(NULL, "Mul", 14), (pi_value *[]){bn->in[0], vs}, 2, err);
    if (!mul) return pi_alloc_status(err);
    mul->out[0]->t = bn->out[0]->t;
    return pi_rewrite(g, bn, pi_op_find(NULL, "Add", 14), (pi_value *[]){mul->out[0], vb}, 2, err) ? PI_E_OK
                                                                                                   : pi_alloc_status(err);
}

pi_status pi_pass_fold_affine(pi_graph *g, pi_error *err)
{
    uint32_t n = g->n_nodes;
    for (uint32_t i = 0; i < n; i++) {
        pi_node *node = g->node[i];
        if (pi_is(node, "Conv") || pi_is(node, "ConvTranspose"))
            PI_TRY(fold_into_conv(g, node, pi_is(node, "ConvTranspose"), err));
    }
    for (uint32_t i = 0; i < n; i++)
        if (g->node[i]->op && is_batch_norm(g->node[i])) PI_TRY(spell_out(g, g->node[i], err));
    return PI_E_OK;
}
