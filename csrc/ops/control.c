/* SPDX-License-Identifier: Apache-2.0 */
/* If and Loop: subgraphs run as models of their own, with the outer values that they read behind their own inputs.
 * Outputs are known when they are there. An If whose condition is a constant becomes its branch when shapes are inferred. */
#include "ops/control.h"
#include <string.h>
#include "ops/move.h"
#include "ops/ops.h"

/* ---- shared with Scan ---- */

const pi_graph *pi_control_graph(const pi_node *node, const char *name)
{
    const pi_attr *a = pi_attr_find(node, name);
    return a && a->kind == PI_ATTR_GRAPH ? a->graph : NULL;
}

pi_status pi_control_run(const pi_call *call, const pi_graph *g, const pi_tensor *const *in, pi_const **out, pi_error *err)
{
    if (!call->run->graph) return pi_fail(err, PI_E_UNSUPPORTED, "subgraphs run only in a model");
    if (pi_cancelled(call)) return pi_fail(err, PI_E_CANCELLED, "cancelled");
    return call->run->graph(call, g, in, out, err);
}

pi_status pi_control_place(const pi_call *call, uint32_t i, const pi_tensor *t, pi_error *err)
{
    char got[160], want[160];
    pi_tensor *out = call->out[i];
    if (out->dtype != PI_DTYPE_NONE && out->dtype != PI_DTYPE_OPT && out->dtype != t->dtype)
        return pi_fail(err, PI_E_MODEL, "output %u is %s, but %s was declared", i, pi_dtype_name(t->dtype), pi_dtype_name(out->dtype));
    if (!out->data) {
        out->dtype = t->dtype;
        return pi_call_output(call, i, t->rank, t->dim, err);
    }
    if (!pi_tensor_same_shape(out, t))
        return pi_fail(err, PI_E_MODEL, "output %u is %s, expected %s", i, pi_tensor_text(t, got, sizeof got),
                       pi_tensor_text(out, want, sizeof want));
    return PI_E_OK;
}

pi_status pi_control_give(const pi_call *call, uint32_t i, const pi_tensor *t, pi_error *err)
{
    size_t bytes;
    if (!pi_move_wants(call, i)) return PI_E_OK;
    if (pi_dtype_is_seq(t->dtype)) return pi_call_seq(call, i, t->dtype, pi_seq_ref(pi_seq_of(t)), err);
    PI_TRY(pi_tensor_bytes(t, &bytes, err));
    PI_TRY(pi_control_place(call, i, t, err));
    if (bytes) memcpy(call->out[i]->data, t->data, bytes);
    return PI_E_OK;
}

void pi_control_unref(pi_const **c, uint32_t n)
{
    for (uint32_t i = 0; c && i < n; i++) {
        pi_const_unref(c[i]);
        c[i] = NULL;
    }
}

/* What the file declares stands where inference finds nothing. */
static void types_merge(pi_tensor *out, const pi_tensor *declared)
{
    if (out->dtype == PI_DTYPE_NONE) out->dtype = declared->dtype;
    if (out->rank < 0) pi_tensor_set_shape(out, declared->rank, declared->dim);
    for (int k = 0; out->rank == declared->rank && k < out->rank; k++)
        if (out->dim[k] < 0) out->dim[k] = declared->dim[k];
    out->data = NULL;
}

pi_status pi_control_types(const pi_graph *g, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_graph *copy = NULL;
    int depth = 0;
    for (const pi_graph *p = g->parent; p; p = p->parent) depth++;
    for (uint32_t i = 0; i < g->n_outputs; i++) out[i] = (pi_tensor){.rank = -1};
    if (depth <= CONTROL_INFER_DEPTH) {
        PI_TRY(pi_graph_clone(g, g->heap, &copy, err));
        copy->parent = g->parent;
        for (uint32_t i = 0; i < g->n_inputs; i++)
            if (in[i]) {
                copy->input[i]->t = *in[i];
                copy->input[i]->t.data = NULL;
            }
        if (pi_graph_infer(copy, pi_op_fold, NULL) == PI_E_OK) /* else running the body says it better, if it ever runs */
            for (uint32_t i = 0; i < g->n_outputs; i++) out[i] = copy->output[i]->t;
    }
    for (uint32_t i = 0; i < g->n_outputs; i++) types_merge(&out[i], &g->output[i]->t);
    pi_graph_free(copy);
    return PI_E_OK;
}

static pi_status read_bool(const pi_tensor *t, bool *value, pi_error *err)
{
    if (t->dtype != PI_DTYPE_BOOL || pi_tensor_n(t) != 1) return pi_fail(err, PI_E_MODEL, "the condition is not one bool");
    *value = *(const uint8_t *)t->data != 0;
    return PI_E_OK;
}

/* ---- If ---- */

static pi_status if_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_graph *branch[2] = {pi_control_graph(node, "then_branch"), pi_control_graph(node, "else_branch")};
    (void)in;
    for (int k = 0; k < 2; k++)
        if (branch[k]->n_outputs < node->n_out)
            return pi_fail(err, PI_E_MODEL, "a branch has %u outputs, expected %u", branch[k]->n_outputs, node->n_out);
    for (uint32_t i = 0; i < node->n_out; i++) {
        pi_dtype type = branch[0]->output[i]->t.dtype;
        out[i].dtype = type == branch[1]->output[i]->t.dtype ? type : PI_DTYPE_NONE;
    }
    return PI_E_OK;
}

static pi_graph *if_taken(const pi_node *node)
{
    pi_graph *branch[2] = {pi_attr_find(node, "else_branch")->graph, pi_attr_find(node, "then_branch")->graph};
    pi_const *c = node->in[0]->constant;
    bool condition = false;
    for (int k = 0; k < 2; k++)
        if (branch[k]->n_outputs < node->n_out || branch[k]->n_inputs != node->n_in - node->n_explicit) return NULL;
    if (!c || pi_const_load(c, NULL) != PI_E_OK || read_bool(&c->t, &condition, NULL) != PI_E_OK) return NULL;
    return branch[condition];
}

static pi_status if_run(const pi_call *call, pi_error *err)
{
    bool condition = false;
    pi_status st = PI_E_OK;
    PI_TRY(read_bool(call->in[0], &condition, err));
    const pi_graph *g = pi_control_graph(call->node, condition ? "then_branch" : "else_branch");
    if (g->n_inputs != call->node->n_in - call->node->n_explicit) return pi_fail(err, PI_E_MODEL, "a branch has inputs");
    pi_const **out = pi_calloc(call->run->heap, g->n_outputs + 1u, sizeof *out, err);
    if (!out) return pi_alloc_status(err);
    PI_TRY_DONE(pi_control_run(call, g, call->in + call->node->n_explicit, out, err));
    for (uint32_t i = 0; i < call->node->n_out; i++) PI_TRY_DONE(pi_control_give(call, i, &out[i]->t, err));
done:
    pi_control_unref(out, g->n_outputs);
    pi_free(out);
    return st;
}

/* ---- Loop ---- */

typedef struct {
    char *data;
    size_t bytes, room;
    pi_tensor type; /* of one step */
} stack;

static pi_status loop_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_graph *g = pi_control_graph(node, "body");
    uint32_t carried = node->n_explicit > 2 ? node->n_explicit - 2 : 0, implicit = node->n_in - node->n_explicit;
    if (g->n_inputs != 2 + carried + implicit || g->n_outputs < 1 + carried || g->n_outputs - 1 < node->n_out)
        return pi_fail(err, PI_E_MODEL, "the body has %u inputs and %u outputs, expected %u and at least %u", g->n_inputs,
                       g->n_outputs, 2 + carried + implicit, 1 + carried);
    for (uint32_t i = 0; i < carried; i++)
        if (!in[2 + i]) return pi_fail(err, PI_E_MODEL, "input %u is missing", 2 + i);
    for (uint32_t i = 0; i < node->n_out; i++) out[i].dtype = i < carried ? in[2 + i]->dtype : g->output[1 + i]->t.dtype;
    for (uint32_t i = 0; i < node->n_out; i++)
        if (out[i].dtype == PI_DTYPE_OPT) out[i].dtype = PI_DTYPE_NONE; /* may be a sequence or tensor after a step */
    return PI_E_OK;
}

static pi_status push(stack *s, pi_heap *heap, int64_t step, const pi_const *c, pi_error *err)
{
    size_t want;
    if (pi_dtype_is_seq(c->t.dtype)) return pi_fail(err, PI_E_MODEL, "a scan output is no tensor");
    if (step == 0) s->type = c->t;
    if (!pi_tensor_same_shape(&s->type, &c->t) || s->type.dtype != c->t.dtype)
        return pi_fail(err, PI_E_MODEL, "a scan output changes its shape or type at step %lld", (long long)step);
    if (s->type.rank >= PI_MAX_RANK) return pi_fail(err, PI_E_LIMIT, "a scan output has too many dimensions");
    if (!pi_add(s->bytes, c->bytes, &want)) return pi_fail(err, PI_E_LIMIT, "a scan output is too large");
    if (want > s->room) {
        size_t room = want > SIZE_MAX / 2 ? want : 2 * want;
        char *data = pi_realloc(heap, s->data, room, err);
        if (!data) return pi_alloc_status(err);
        s->data = data;
        s->room = room;
    }
    if (c->bytes) memcpy(s->data + s->bytes, c->t.data, c->bytes);
    s->bytes = want;
    return PI_E_OK;
}

/* type: of one step, also if there was none. */
static pi_status give_stack(const pi_call *call, uint32_t i, const stack *s, int64_t steps, const pi_tensor *type, pi_error *err)
{
    pi_tensor t = {.data = s->data, .dtype = type->dtype, .rank = 1 + (type->rank > 0 ? type->rank : 0)};
    if (t.rank > PI_MAX_RANK) return pi_fail(err, PI_E_LIMIT, "a scan output has too many dimensions");
    t.dim[0] = steps;
    for (int k = 1; k < t.rank; k++) t.dim[k] = pi_max_i64(type->dim[k - 1], 0);
    if (pi_dtype_is_seq(t.dtype)) return pi_fail(err, PI_E_MODEL, "a scan output is no tensor");
    if (t.dtype == PI_DTYPE_NONE)
        return pi_fail(err, PI_E_UNSUPPORTED, "output %u is of no steps, and the body does not say its type", i);
    return pi_control_give(call, i, &t, err);
}

typedef struct {
    const pi_graph *g;
    uint32_t carried, scans;
    const pi_tensor **in;
    pi_const **state, **out; /* carried values that a step made; outputs of this step */
    stack *scan;
    pi_tensor *type; /* of the body's outputs, where it does not run */
} loop;

/* An optional may become what it holds. */
static pi_status next_state(loop *l, uint32_t i, int64_t step, pi_error *err)
{
    pi_dtype before = l->in[2 + i]->dtype, after = l->out[1 + i]->t.dtype;
    if (before != after && before != PI_DTYPE_OPT && after != PI_DTYPE_OPT)
        return pi_fail(err, PI_E_MODEL, "carried value %u is %s before step %lld and %s after it", i, pi_dtype_name(before),
                       (long long)step, pi_dtype_name(after));
    pi_const_unref(l->state[i]);
    l->state[i] = l->out[1 + i];
    l->out[1 + i] = NULL;
    l->in[2 + i] = &l->state[i]->t;
    return PI_E_OK;
}

static pi_status loop_steps(const pi_call *call, loop *l, int64_t limit, bool go, pi_error *err)
{
    int64_t step = 0;
    uint8_t flag = 1;
    pi_tensor number = {.data = &step, .dtype = PI_DTYPE_I64}, condition = {.data = &flag, .dtype = PI_DTYPE_BOOL};
    l->in[0] = &number;
    l->in[1] = &condition;
    for (; go && step < limit; step++) {
        PI_TRY(pi_control_run(call, l->g, l->in, l->out, err));
        PI_TRY(read_bool(&l->out[0]->t, &go, err));
        for (uint32_t i = 0; i < l->carried; i++) PI_TRY(next_state(l, i, step, err));
        for (uint32_t i = 0; i < l->scans; i++)
            if (pi_move_wants(call, l->carried + i))
                PI_TRY(push(&l->scan[i], call->run->heap, step, l->out[1 + l->carried + i], err));
        pi_control_unref(l->out, l->g->n_outputs);
    }
    if (!step && l->scans) PI_TRY(pi_control_types(l->g, l->in, l->type, err));
    for (uint32_t i = 0; i < call->node->n_out; i++) {
        uint32_t k = i - l->carried;
        if (i < l->carried)
            PI_TRY(pi_control_give(call, i, l->in[2 + i], err));
        else if (pi_move_wants(call, i))
            PI_TRY(give_stack(call, i, &l->scan[k], step, step ? &l->scan[k].type : &l->type[1 + i], err));
    }
    return PI_E_OK;
}

static pi_status loop_run(const pi_call *call, pi_error *err)
{
    const pi_node *node = call->node;
    const pi_tensor *trips = node->n_explicit > 0 ? call->in[0] : NULL, *start = node->n_explicit > 1 ? call->in[1] : NULL;
    pi_status st = PI_E_OK;
    int64_t limit = INT64_MAX;
    bool go = true;
    loop l = {.g = pi_control_graph(node, "body")};
    if (trips) PI_TRY(pi_move_scalar(trips, "M", &limit, err));
    if (start) PI_TRY(read_bool(start, &go, err));
    l.carried = node->n_explicit > 2 ? node->n_explicit - 2 : 0;
    l.scans = l.g->n_outputs - 1 - l.carried;
    l.in = pi_calloc(call->run->heap, l.g->n_inputs + 1u, sizeof *l.in, err);
    l.state = l.in ? pi_calloc(call->run->heap, l.carried + 1u, sizeof *l.state, err) : NULL;
    l.out = l.state ? pi_calloc(call->run->heap, l.g->n_outputs + 1u, sizeof *l.out, err) : NULL;
    l.scan = l.out ? pi_calloc(call->run->heap, l.scans + 1u, sizeof *l.scan, err) : NULL;
    l.type = l.scan ? pi_calloc(call->run->heap, l.g->n_outputs, sizeof *l.type, err) : NULL;
    if (!l.type) {
        st = pi_alloc_status(err);
        goto done;
    }
    for (uint32_t i = 0; i < l.carried; i++) l.in[2 + i] = call->in[2 + i];
    for (uint32_t i = node->n_explicit; i < node->n_in; i++) l.in[2 + l.carried + i - node->n_explicit] = call->in[i];
    st = loop_steps(call, &l, limit, go, err);
done:
    pi_control_unref(l.state, l.carried);
    pi_control_unref(l.out, l.g->n_outputs);
    for (uint32_t i = 0; l.scan && i < l.scans; i++) pi_free(l.scan[i].data);
    pi_free(l.type);
    pi_free(l.scan);
    pi_free(l.out);
    pi_free(l.state);
    pi_free((void *)l.in);
    return st;
}

/* ---- rows ---- */

static const pi_impl if_impls[] = {{.name = "ref", .run = if_run}, {0}};
static const pi_impl loop_impls[] = {{.name = "ref", .run = loop_run}, {0}};
static const pi_attr_def if_attrs[] = {{.name = "then_branch", .kind = PI_ATTR_GRAPH, .required = true},
                                       {.name = "else_branch", .kind = PI_ATTR_GRAPH, .required = true},
                                       {0}};
static const pi_attr_def loop_attrs[] = {{.name = "body", .kind = PI_ATTR_GRAPH, .required = true}, {0}};
static const pi_op rows[] = {
    {.name = "If", .since = 1, .signature = "cond:bool -> outputs*:any", .flags = PI_OP_NO_FOLD, .attrs = if_attrs,
     .infer = if_infer, .taken = if_taken, .impls = if_impls},
    {.name = "Loop", .since = 1, .signature = "M?:i64 cond?:bool v_initial*:value -> outputs*:any", .flags = PI_OP_NO_FOLD,
     .attrs = loop_attrs, .infer = loop_infer, .impls = loop_impls},
};
const pi_op_family pi_ops_control = {rows, PI_COUNT(rows)};
