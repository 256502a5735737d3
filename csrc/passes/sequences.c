/* SPDX-License-Identifier: Apache-2.0 */
/* Takes sequences apart: one that SplitToSequence or SequenceConstruct makes is a list of values, known when the length of
 * the axis is; SequenceAt, SequenceLength and ConcatFromSequence then read the list. What exporters make of unbind and chunk.
 * Lists that are built step by step (SequenceEmpty, SequenceInsert, SequenceErase) become one SequenceConstruct before that. */
#include "passes/match.h"
#include "passes/passes.h"

enum {
    MOST = 4096, /* parts of a sequence */
    GROWN = 256, /* of one that is built step by step: each step lists all parts anew */
};

/* The split sizes of a SplitToSequence as a list of *n lengths in the graph's arena; NULL (and no error) if they are not
 * known yet. */
static int64_t *lengths(pi_graph *g, const pi_node *node, int axis, int64_t *n, pi_error *err)
{
    const pi_value *split = node->n_in > 1 ? node->in[1] : NULL;
    int64_t whole = node->in[0]->t.dim[axis], each = 1;
    *n = whole;
    if (split) {
        if (!split->constant || pi_const_load(split->constant, NULL) != PI_E_OK) return NULL;
        const pi_tensor *t = &split->constant->t;
        if (t->rank == 0) {
            each = pi_tensor_int(t, 0);
            if (each < 1) return NULL;
            *n = whole / each + (whole % each != 0);
        } else if (t->rank == 1) {
            each = 0;
            *n = t->dim[0];
        } else {
            return NULL;
        }
    }
    if (*n < 1 || *n > MOST) return NULL;
    int64_t *list = pi_arena_calloc(&g->arena, (size_t)*n, sizeof *list, err);
    for (int64_t i = 0; list && i < *n; i++)
        list[i] = each == 0 ? pi_tensor_int(&split->constant->t, i) : i < *n - 1 ? each : whole - i * each;
    return list;
}

/* A Split in the place of a SplitToSequence; each of its outputs is a new value. NULL without an error: not yet. */
static pi_node *make_split(pi_graph *g, const pi_node *node, pi_error *err)
{
    int axis;
    int64_t n;
    const pi_tensor *x = node->in[0] ? &node->in[0]->t : NULL;
    if (!x || x->rank < 1 || x->dtype == PI_DTYPE_NONE) return NULL;
    if (pi_axis(pi_attr_int(node, "axis"), x->rank, &axis, err) != PI_E_OK || x->dim[axis] < 0) return NULL;
    int64_t *list = lengths(g, node, axis, &n, err);
    if (!list) return NULL;
    pi_value *sizes = pi_graph_ints(g, list, n, 1, err);
    pi_node *split = sizes ? pi_graph_node(g, pi_op_find(NULL, "Split", 18), node->name, 2, (uint32_t)n, err) : NULL;
    if (!split) return NULL;
    split->source = node->source;
    split->number = node->number;
    if (pi_attr_set_int(g, split, "axis", axis, err) != PI_E_OK || pi_node_set_in(g, split, 0, node->in[0], err) != PI_E_OK ||
        pi_node_set_in(g, split, 1, sizes, err) != PI_E_OK)
        return NULL;
    for (uint32_t i = 0; i < split->n_out; i++) {
        pi_value *v = pi_graph_value(g, NULL, err);
        if (!v) return NULL;
        pi_node_set_out(split, i, v);
    }
    return split;
}

/* A part loses the axis (Squeeze), or gets it (Unsqueeze). */
static pi_value *with_axis(pi_graph *g, const pi_node *like, const char *op, pi_value *v, int64_t axis, pi_error *err)
{
    pi_value *axes = pi_graph_ints(g, &axis, 1, 1, err);
    pi_node *node = axes ? pi_insert(g, like, pi_op_find(NULL, op, 13), (pi_value *[]){v, axes}, 2, err) : NULL;
    return node ? node->out[0] : NULL;
}

static bool readable(const pi_node *reader)
{
    if (reader->n_out != 1 || !reader->out[0]) return false;
    if (pi_is(reader, "SequenceAt")) return reader->n_in == 2 && reader->in[1] && reader->in[1]->constant;
    return pi_is(reader, "SequenceLength") || pi_is(reader, "ConcatFromSequence");
}

/* A readable reader of the sequence gets the values. */
static pi_status read_list(pi_graph *g, pi_node *reader, pi_value *const *part, uint32_t n, pi_error *err)
{
    if (pi_is(reader, "SequenceAt")) {
        pi_value *at = reader->in[1];
        PI_TRY(pi_const_load(at->constant, err));
        if (pi_tensor_n(&at->constant->t) != 1) return pi_fail(err, PI_E_MODEL, "position is no scalar");
        int64_t p = pi_tensor_int(&at->constant->t, 0);
        if (p < -(int64_t)n || p >= (int64_t)n)
            return pi_fail(err, PI_E_MODEL, "position %lld is out of range for a sequence of %u", (long long)p, n);
        PI_TRY(pi_graph_replace(g, reader->out[0], part[p < 0 ? p + (int64_t)n : p], err));
    } else if (pi_is(reader, "SequenceLength")) {
        int64_t length = n;
        pi_value *v = pi_graph_ints(g, &length, 1, 0, err);
        if (!v) return pi_alloc_status(err);
        PI_TRY(pi_graph_replace(g, reader->out[0], v, err));
    } else {
        pi_node *concat = pi_graph_node(g, pi_op_find(NULL, "Concat", 13), reader->name, n, 1, err);
        if (!concat) return pi_alloc_status(err);
        concat->source = reader->source;
        concat->number = reader->number;
        int64_t axis = pi_attr_int(reader, "axis");
        bool stack = pi_attr_int(reader, "new_axis") != 0;
        PI_TRY(pi_attr_set_int(g, concat, "axis", axis, err));
        for (uint32_t i = 0; i < n; i++) {
            pi_value *v = part[i];
            if (stack && !(v = with_axis(g, reader, "Unsqueeze", v, axis, err))) return pi_alloc_status(err);
            PI_TRY(pi_node_set_in(g, concat, i, v, err));
        }
        pi_value *y = pi_graph_value(g, NULL, err);
        if (!y) return pi_alloc_status(err);
        pi_node_set_out(concat, 0, y);
        PI_TRY(pi_graph_replace(g, reader->out[0], y, err));
    }
    return PI_E_OK;
}

static pi_status take_apart(pi_graph *g, pi_node *node, bool *changed, pi_error *err)
{
    pi_value *sequence = node->out[0], **part = node->in;
    uint32_t n = node->n_in;
    pi_error why = {0};
    if (!sequence || sequence->n_outputs || sequence->n_uses == 0) return PI_E_OK;
    for (uint32_t u = 0; u < sequence->n_uses; u++)
        if (!readable(sequence->use[u].node)) return PI_E_OK;
    if (pi_is(node, "SplitToSequence")) {
        pi_node *split = make_split(g, node, &why);
        if (!split) {
            if (why.code == PI_E_OK) return PI_E_OK;
            if (err) *err = why;
            pi_node_error(node, err);
            return why.code;
        }
        n = split->n_out;
        part = split->out;
        const pi_tensor *sizes = node->n_in > 1 && node->in[1] ? &node->in[1]->constant->t : NULL; /* see ops/sequence.c */
        bool ones = !sizes || (sizes->rank == 0 && pi_tensor_int(sizes, 0) == 1);
        if (ones && pi_attr_int(node, "keepdims") == 0) {
            part = pi_arena_calloc(&g->arena, n, sizeof *part, err);
            for (uint32_t i = 0; part && i < n; i++)
                if (!(part[i] = with_axis(g, node, "Squeeze", split->out[i], pi_attr_int(split, "axis"), err))) return pi_alloc_status(err);
            if (!part) return pi_alloc_status(err);
        }
        *changed = true;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!part[i]) return PI_E_OK;
    for (uint32_t u = sequence->n_uses; u-- > 0;) {
        pi_node *reader = sequence->use[u].node;
        pi_status st = read_list(g, reader, part, n, err);
        if (st != PI_E_OK) {
            pi_node_error(reader, err);
            return st;
        }
        *changed = true;
        pi_graph_remove(g, reader);
    }
    return PI_E_OK;
}

/* Where a SequenceInsert or SequenceErase works, in [0, n]; false: the run has to tell, or it is out of range. */
static bool constant_place(const pi_node *node, uint32_t input, uint32_t n, uint32_t standard, uint32_t *at)
{
    const pi_value *v = input < node->n_in ? node->in[input] : NULL;
    int64_t p = standard;
    if (v) {
        if (!v->constant || pi_const_load(v->constant, NULL) != PI_E_OK || pi_tensor_n(&v->constant->t) != 1) return false;
        p = pi_tensor_int(&v->constant->t, 0);
        if (p < 0) p += n;
    }
    *at = (uint32_t)p;
    return p >= 0 && p <= n;
}

/* An insertion into (or erasure from) a list that is known becomes a list itself; *changed if so. */
static pi_status grow(pi_graph *g, pi_node *node, bool *changed, pi_error *err)
{
    pi_node *from = node->in[0]->producer;
    bool insert = pi_is(node, "SequenceInsert"), empty = from && pi_is(from, "SequenceEmpty");
    uint32_t at, n = empty || !from ? 0 : from->n_in;
    if (!from || (!empty && !pi_is(from, "SequenceConstruct")) || n >= GROWN || !node->out[0]) return PI_E_OK;
    pi_dtype dtype = empty ? (pi_dtype)pi_attr_int(from, "dtype") : from->in[0] ? from->in[0]->t.dtype : PI_DTYPE_NONE;
    if (insert && (node->in[1]->t.dtype == PI_DTYPE_NONE || node->in[1]->t.dtype != dtype)) return PI_E_OK;
    if (!insert && n < 2) return PI_E_OK; /* no SequenceConstruct is empty */
    if (!constant_place(node, insert ? 2 : 1, n, insert ? n : n - 1, &at) || (!insert && at == n)) return PI_E_OK;
    pi_value *part[GROWN + 1];
    uint32_t k = 0;
    for (uint32_t i = 0; i <= n; i++) {
        if (insert && i == at) part[k++] = node->in[1];
        if (i < n && (insert || i != at)) part[k++] = from->in[i];
    }
    if (!pi_rewrite(g, node, pi_op_find(NULL, "SequenceConstruct", 11), part, k, err)) return pi_alloc_status(err);
    if (from->out[0]->n_uses == 0 && from->out[0]->n_outputs == 0) pi_graph_remove(g, from);
    *changed = true;
    return PI_E_OK;
}

/* One round; a sequence may be made from what another one holds, whose shape is then known in the next round. */
static pi_status round_of(pi_graph *g, bool *changed, pi_error *err)
{
    uint32_t n = g->n_nodes;
    *changed = false;
    for (uint32_t i = 0; i < n; i++) {
        pi_node *node = g->node[i];
        if (!node->op || node->n_out != 1) continue;
        if (pi_is(node, "SequenceInsert") || pi_is(node, "SequenceErase")) PI_TRY(grow(g, node, changed, err));
        if (!node->op) continue;
        if (pi_is(node, "SplitToSequence") || pi_is(node, "SequenceConstruct")) PI_TRY(take_apart(g, node, changed, err));
    }
    if (!*changed) return PI_E_OK;
    PI_TRY(pi_graph_sort(g, err));
    pi_graph_sweep(g);
    return pi_graph_infer(g, pi_op_fold, err);
}

pi_status pi_pass_sequences(pi_graph *g, pi_error *err)
{
    bool changed = true;
    while (changed) PI_TRY(round_of(g, &changed, err)); /* each round removes a node that made a sequence, or a step of one */
    return PI_E_OK;
}
