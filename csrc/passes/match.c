/* SPDX-License-Identifier: Apache-2.0 */
#include "passes/match.h"

#include <math.h>
#include <string.h>

bool pi_is(const pi_node *node, const char *name) { return node && node->op && !node->op->domain && pi_same_name(node->op->name, name); }

bool pi_is_internal(const pi_node *node, const char *name)
{
    return node && node->op && node->op->domain && pi_same_name(node->op->name, name) && pi_same_name(node->op->domain, "pyinfer");
}

pi_node *pi_made_by(const pi_value *v, const char *name)
{
    return v && v->producer && pi_is(v->producer, name) && v->producer->out[0] == v ? v->producer : NULL;
}

pi_node *pi_only_reader(const pi_value *v)
{
    return v && v->n_outputs == 0 && v->n_uses == 1 ? v->use[0].node : NULL;
}

pi_value *pi_other(const pi_node *node, const pi_value *one)
{
    if (node->n_in != 2) return NULL;
    return node->in[0] == one ? node->in[1] : node->in[1] == one ? node->in[0] : NULL;
}

bool pi_scalar(const pi_value *v, double *number)
{
    if (!v || !v->constant || pi_tensor_n(&v->constant->t) != 1 || pi_const_load(v->constant, NULL) != PI_E_OK) return false;
    const pi_tensor *t = &v->constant->t;
    if (t->dtype == PI_DTYPE_F32) {
        float f;
        memcpy(&f, t->data, sizeof f);
        *number = (double)f;
    } else if (t->dtype == PI_DTYPE_F64) {
        memcpy(number, t->data, sizeof *number);
    } else if (pi_dtype_in(t->dtype, PI_INTS)) {
        *number = (double)pi_tensor_int(t, 0);
    } else {
        return false;
    }
    return true;
}

bool pi_is_number(const pi_value *v, double number)
{
    double have;
    return pi_scalar(v, &have) && fabs(have - number) <= 1e-6 * fabs(number);
}

bool pi_floats(const pi_value *v)
{
    return v && v->constant && v->constant->t.dtype == PI_DTYPE_F32 && pi_const_load(v->constant, NULL) == PI_E_OK;
}

pi_value *pi_with_number(const pi_node *node, double number)
{
    if (!node || node->n_in != 2) return NULL;
    if (pi_is_number(node->in[1], number)) return node->in[0];
    return pi_is_number(node->in[0], number) ? node->in[1] : NULL;
}

bool pi_eltwise_of(const pi_node *node, pi_eltwise_kernel *k)
{
    if (!node->op) return false;
    *k = pi_eltwise_find(node);
    for (uint32_t i = 1; pi_is(node, "Clip") && i < node->n_explicit; i++) {
        double bound;
        if (!node->in[i]) continue;
        if (!pi_scalar(node->in[i], &bound)) return false;
        if (bound == bound) *(i == 1 ? &k->a : &k->b) = (float)bound;
    }
    return k->form != PI_FORM_NONE;
}

static pi_node *new_node(pi_graph *g, const pi_node *like, const pi_op *op, pi_value *const *in, uint32_t n_in,
                         pi_error *err)
{
    pi_node *node = pi_graph_node(g, op, like->name, n_in, 1, err);
    if (!node) return NULL;
    node->number = like->number;
    node->source = like->source;
    for (uint32_t i = 0; i < n_in; i++)
        if (in[i] && pi_node_set_in(g, node, i, in[i], err) != PI_E_OK) return NULL;
    return node;
}

pi_node *pi_rewrite(pi_graph *g, pi_node *old, const pi_op *op, pi_value *const *in, uint32_t n_in, pi_error *err)
{
    pi_node *node = new_node(g, old, op, in, n_in, err);
    if (!node) return NULL;
    pi_value *v = old->out[0];
    pi_node_set_out(old, 0, NULL);
    pi_node_set_out(node, 0, v);
    pi_graph_remove(g, old);
    return node;
}

pi_node *pi_insert(pi_graph *g, const pi_node *like, const pi_op *op, pi_value *const *in, uint32_t n_in, pi_error *err)
{
    pi_node *node = new_node(g, like, op, in, n_in, err);
    pi_value *v = node ? pi_graph_value(g, NULL, err) : NULL;
    if (!v) return NULL;
    pi_node_set_out(node, 0, v);
    return node;
}

pi_value *pi_reshaped(pi_graph *g, const pi_node *like, pi_value *x, int rank, const int64_t *dim, pi_error *err)
{
    pi_value *shape = pi_graph_ints(g, dim, rank, 1, err);
    pi_node *node = shape ? pi_insert(g, like, pi_op_find(NULL, "Reshape", 13), (pi_value *[]){x, shape}, 2, err) : NULL;
    if (!node) return NULL;
    if (!pi_tensor_known(&x->t)) return node->out[0];
    node->out[0]->t = x->t;
    node->out[0]->t.data = NULL;
    pi_tensor_set_shape(&node->out[0]->t, rank, dim);
    for (int i = 0; i < rank && i < x->t.rank; i++)
        if (dim[i] == 0) node->out[0]->t.dim[i] = x->t.dim[i];
    return node->out[0];
}

pi_status pi_retype(pi_node *node, pi_error *err)
{
    enum { MANY = 64 };
    const pi_tensor *in[MANY];
    pi_tensor out[MANY];
    if (node->n_in > MANY || node->n_out > MANY) return pi_fail(err, PI_E_LIMIT, "a rewritten node has more than %d inputs", MANY);
    for (uint32_t i = 0; i < node->n_in; i++) {
        in[i] = node->in[i] ? &node->in[i]->t : NULL;
        if (node->in[i] && node->in[i]->constant) node->in[i]->t.data = node->in[i]->constant->t.data;
    }
    PI_TRY(pi_node_infer(node, in, out, err));
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i]) node->out[i]->t = out[i];
    return PI_E_OK;
}

bool pi_is_f32(const pi_value *v) { return v && v->t.dtype == PI_DTYPE_F32; }

pi_value *pi_as_bias(pi_graph *g, pi_value *c, const pi_tensor *y, int axis, pi_error *err)
{
    int64_t n = y->dim[axis], count;
    if (!pi_is_f32(c) || !c->constant || pi_tensor_count(&c->t, &count, NULL) != PI_E_OK || count != n || c->t.rank > y->rank)
        return NULL;
    int at = axis - (y->rank - c->t.rank);
    if (at < 0 || c->t.dim[at] != n) return NULL;
    if (c->t.rank == 1) return c;
    if (pi_const_load(c->constant, err) != PI_E_OK) return NULL;
    pi_const *flat = pi_const_new(g->heap, PI_DTYPE_F32, 1, &n, err);
    if (!flat) return NULL;
    memcpy(flat->t.data, c->constant->t.data, flat->bytes);
    return pi_graph_constant(g, c->name, flat, err);
}
