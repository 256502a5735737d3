/* SPDX-License-Identifier: Apache-2.0 */
/* Inference: each node is checked against its row, then its infer gives shapes; what is constant is folded.
 * The driver adds the node's name and line to every error; infer functions say only what is wrong. */
#include <stdio.h>
#include <string.h>
#include "graph/op.h"

static const char *kind_name(pi_attr_kind kind)
{
    static const char *const names[] = {"nothing", "a float", "an int", "a string", "a tensor", "a graph", "floats",
                                        "ints", "strings", "tensors", "graphs", "a sparse tensor", "sparse tensors",
                                        "a type"};
    return (unsigned)kind < PI_COUNT(names) ? names[kind] : "an unknown kind";
}

pi_status pi_node_check_attrs(const pi_node *node, pi_error *err)
{
    const pi_attr_def *defs = node->op->attrs;
    for (uint32_t i = 0; i < node->n_attrs; i++) {
        const pi_attr *a = &node->attr[i];
        const pi_attr_def *d = defs;
        while (d && d->name && strcmp(d->name, a->name) != 0) d++;
        if (!d || !d->name)
            return pi_fail(err, PI_E_MODEL, "%s since opset %d has no attribute '%.80s'", node->op->name,
                           node->op->since, a->name);
        if (d->kind != a->kind)
            return pi_fail(err, PI_E_MODEL, "attribute '%s' is %s, expected %s", a->name, kind_name(a->kind),
                           kind_name(d->kind));
    }
    for (const pi_attr_def *d = defs; d && d->name; d++)
        if (d->required && !pi_attr_find(node, d->name))
            return pi_fail(err, PI_E_MODEL, "attribute '%s' (%s) is missing", d->name, kind_name(d->kind));
    return PI_E_OK;
}

static void types_text(pi_dtypes types, char *text, size_t size)
{
    size_t n = 0;
    text[0] = '\0';
    for (int d = 1; d < 32 && n + 16 < size; d++)
        if (pi_dtype_in((pi_dtype)d, types))
            n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", pi_dtype_name((pi_dtype)d));
}

typedef struct {
    pi_dtype T, U, V;
} bound_types;

static pi_dtype *bound_var(bound_types *bound, char var)
{
    return var == 'T' ? &bound->T : var == 'U' ? &bound->U : &bound->V;
}

static pi_status check_input(const pi_node *node, uint32_t i, const pi_tensor *in, bound_types *bound, pi_error *err)
{
    pi_param p;
    char text[200];
    if (!pi_op_input(node->op, i, &p)) {
        uint32_t most = i;
        while (most > 0 && !pi_op_input(node->op, most - 1, &p)) most--;
        return pi_fail(err, PI_E_MODEL, "%u inputs, expected at most %u", node->n_explicit, most);
    }
    if (!in) {
        if (p.optional || p.variadic) return PI_E_OK;
        return pi_fail(err, PI_E_MODEL, "input %u '%.*s' is missing", i, (int)p.n, p.name);
    }
    if (in->dtype == PI_DTYPE_NONE) return PI_E_OK;
    if (!pi_dtype_in(in->dtype, p.types)) {
        types_text(p.types, text, sizeof text);
        return pi_fail(err, PI_E_MODEL, "input %u '%.*s' is %s, expected one of %s", i, (int)p.n, p.name,
                       pi_dtype_name(in->dtype), text);
    }
    if (!p.var) return PI_E_OK;
    pi_dtype *have = bound_var(bound, p.var);
    if (*have == PI_DTYPE_NONE)
        *have = in->dtype;
    else if (*have != in->dtype)
        return pi_fail(err, PI_E_MODEL, "input %u '%.*s' is %s, but an input before it is %s: both must be the same", i,
                       (int)p.n, p.name, pi_dtype_name(in->dtype), pi_dtype_name(*have));
    return PI_E_OK;
}

/* Arity, attributes and types of a node; dtypes of the outputs as far as the signature gives them. */
static pi_status check_node(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    bound_types bound = {0};
    pi_param p;
    PI_TRY(pi_node_check_attrs(node, err));
    for (uint32_t i = 0; i < node->n_explicit; i++) PI_TRY(check_input(node, i, in[i], &bound, err));
    for (uint32_t i = node->n_explicit; pi_op_input(node->op, i, &p) && !p.variadic; i++)
        if (!p.optional)
            return pi_fail(err, PI_E_MODEL, "%u inputs, input %u '%.*s' is missing", node->n_explicit, i, (int)p.n, p.name);
    for (uint32_t i = 0; i < node->n_out; i++) {
        out[i] = (pi_tensor){.rank = -1};
        if (!pi_op_output(node->op, i, &p))
            return pi_fail(err, PI_E_MODEL, "%u outputs, expected at most %u", node->n_out, i);
        if (p.var)
            out[i].dtype = *bound_var(&bound, p.var);
        else if ((p.types & (p.types - 1)) == 0)
            out[i].dtype = (pi_dtype)__builtin_ctz(p.types);
    }
    return PI_E_OK;
}

pi_status pi_node_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    PI_TRY(check_node(node, in, out, err));
    for (uint32_t i = 0; i < node->n_in; i++)
        if (in[i] && (!pi_tensor_known(in[i]) || in[i]->dtype == PI_DTYPE_NONE)) return PI_E_OK;
    PI_TRY(node->op->infer(node, in, out, err));
    for (uint32_t i = 0; i < node->n_out; i++) {
        int64_t n;
        if (out[i].rank > PI_MAX_RANK)
            return pi_fail(err, PI_E_LIMIT, "output %u has rank %d, at most %d is supported", i, out[i].rank, PI_MAX_RANK);
        if (out[i].rank >= 0 && pi_tensor_known(&out[i])) PI_TRY(pi_tensor_count(&out[i], &n, err));
    }
    return PI_E_OK;
}

/* ---- the driver ---- */

/* Worth folding: constant inputs, and a result that does not blow the model up. */
static bool foldable(const pi_node *node, const pi_tensor *const *in, const pi_tensor *out)
{
    if (node->op->flags & (PI_OP_RANDOM | PI_OP_NO_FOLD)) return false;
    bool shape_only = node->op->flags & PI_OP_SHAPE_ONLY;
    size_t in_bytes = 0, out_bytes = 0, most = PI_FOLD_BYTES, b;
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (!node->in[i]) continue;
        if (shape_only && i == 0 && pi_tensor_known(in[0])) continue;
        if (!node->in[i]->constant) return false;
        in_bytes += node->in[i]->constant->bytes;
    }
    for (uint32_t i = 0; i < node->n_out; i++) {
        if (!node->out[i]) continue;
        if (out[i].rank < 0) continue; /* depends on data: eval finds out */
        if (pi_tensor_bytes(&out[i], &b, NULL) != PI_E_OK) return false;
        out_bytes += b;
        if (shape_only && node->out[i]->n_outputs) most = PI_FOLD_BYTES / 32; /* made faster than copied out (EyeLike) */
    }
    return out_bytes <= in_bytes || out_bytes <= most;
}

static pi_status fold(pi_graph *g, pi_node *node, const pi_tensor **in, pi_eval_fn eval, pi_error *err)
{
    pi_status st = PI_E_OK;
    pi_const **out = pi_calloc(g->heap, node->n_out, sizeof *out, err);
    if (!out) return pi_alloc_status(err);
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] && node->in[i]->constant) {
            PI_TRY_DONE(pi_const_load(node->in[i]->constant, err));
            node->in[i]->t.data = node->in[i]->constant->t.data;
        }
    PI_TRY_DONE(eval(node, in, g->heap, out, err));
    bool made = false;
    for (uint32_t i = 0; i < node->n_out; i++) made |= out[i] != NULL;
    for (uint32_t i = 0; i < node->n_out; i++) {
        pi_value *v = node->out[i];
        if (!v || !out[i]) continue;
        pi_node_set_out(node, i, NULL);
        v->constant = out[i];
        v->t = out[i]->t;
        out[i] = NULL;
    }
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] && node->in[i]->constant) {
            pi_const_drop(node->in[i]->constant);
            node->in[i]->t.data = node->in[i]->constant->t.data;
        }
    if (made) pi_graph_remove(g, node);
done:
    for (uint32_t i = 0; i < node->n_out; i++) pi_const_unref(out[i]);
    pi_free(out);
    return st;
}

typedef struct {
    pi_graph *g;
    pi_eval_fn eval;
    const pi_tensor **in;
    pi_tensor *out;
    uint32_t room_in, room_out;
} driver;

static pi_status room_for(driver *d, const pi_node *node, pi_error *err)
{
    if (node->n_in > d->room_in || !d->in) {
        uint32_t room = node->n_in + 32;
        pi_free((void *)d->in);
        if (!(d->in = pi_calloc(d->g->heap, room, sizeof *d->in, err))) return pi_alloc_status(err);
        d->room_in = room;
    }
    if (node->n_out > d->room_out || !d->out) {
        uint32_t room = node->n_out + 8;
        pi_free(d->out);
        if (!(d->out = pi_calloc(d->g->heap, room, sizeof *d->out, err))) return pi_alloc_status(err);
        d->room_out = room;
    }
    return PI_E_OK;
}

static pi_status infer_one(driver *d, pi_node *node, pi_error *err)
{
    PI_TRY(room_for(d, node, err));
    if (d->eval) PI_TRY(pi_graph_share_constants(d->g, node, err));
    const pi_tensor **in = d->in;
    pi_tensor *out = d->out;
    for (uint32_t i = 0; i < node->n_in; i++) {
        in[i] = node->in[i] ? &node->in[i]->t : NULL;
        if (node->in[i] && node->in[i]->constant) node->in[i]->t.data = node->in[i]->constant->t.data;
    }
    PI_TRY(pi_node_infer(node, in, out, err));
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i]) {
            out[i].data = NULL;
            node->out[i]->t = out[i];
        }
    for (uint32_t i = 0; d->eval && i < node->n_in; i++)
        if (in[i] && !pi_tensor_known(in[i])) return PI_E_OK;
    if (d->eval && foldable(node, in, out)) PI_TRY(fold(d->g, node, in, d->eval, err));
    return PI_E_OK;
}

typedef struct {
    uint32_t at, end; /* of the list of nodes */
} range;

pi_status pi_graph_infer(pi_graph *g, pi_eval_fn eval, pi_error *err)
{
    pi_status st = PI_E_OK;
    driver d = {.g = g, .eval = eval};
    range open[PI_MAX_DEPTH + 2] = {{0, g->n_nodes}}; /* what a spliced body left behind comes before what follows its node */
    uint32_t n_open = 1;
    bool spliced = false;
    while (n_open) {
        range *r = &open[n_open - 1];
        pi_node *node = r->at < r->end ? g->node[r->at++] : NULL;
        if (!node) n_open--;
        if (!node || !node->op) continue;
        const bool may = eval && node->op->taken && n_open < PI_COUNT(open);
        st = infer_one(&d, node, err);
        pi_graph *body = st == PI_E_OK && may ? node->op->taken(node) : NULL;
        if (body) {
            const uint32_t from = g->n_nodes;
            st = pi_graph_splice(g, node, body, err);
            open[n_open++] = (range){from, g->n_nodes};
            spliced = true;
        }
        if (st != PI_E_OK) {
            if (node->op) pi_node_error(node, err);
            goto done;
        }
    }
    if (spliced) st = pi_graph_sort(g, err);
done:
    pi_free((void *)d.in);
    pi_free(d.out);
    return st;
}
