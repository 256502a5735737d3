/* SPDX-License-Identifier: Apache-2.0 */
/* Scan: a subgraph run for each element of its scan inputs along an axis. Version 8 does that for each sequence of a batch:
 * all tensors have one dimension more in front, the axis behind it is the one, and the first input tells the lengths. */
#include <string.h>
#include "ops/control.h"
#include "ops/move.h"

typedef struct {
    const pi_graph *g;
    uint32_t first, states, inputs, outputs; /* place of the first state among the node's inputs; scan inputs, scan outputs */
    bool batched;
    int64_t batch, steps;
} scan;

/* Element (b, i) of a tensor [batch, outer, steps, inner] is outer pieces of inner elements. */
typedef struct {
    int64_t outer, steps, inner;
    bool reverse;
    size_t elem;   /* bytes of an element */
    char *gathered; /* room for one, if its pieces do not lie together */
} slices;

/* ---- shapes ---- */

static int64_t flag_of(const pi_node *node, const char *name, uint32_t i)
{
    uint32_t n;
    const int64_t *list = pi_attr_ints(node, name, &n);
    return i < n ? list[i] : 0;
}

static pi_status check_list(const pi_node *node, const char *name, uint32_t want, pi_error *err)
{
    uint32_t n;
    const int64_t *list = pi_attr_ints(node, name, &n);
    if (list && n != want) return pi_fail(err, PI_E_MODEL, "%s has %u entries, expected %u", name, n, want);
    return PI_E_OK;
}

/* The axis of scan input or output i, of an element's rank + 1 dimensions. */
static pi_status axis_of(const scan *s, const pi_node *node, bool input, uint32_t i, int rank, int *axis, pi_error *err)
{
    if (s->batched) return pi_axis(0, rank, axis, err);
    return pi_axis(flag_of(node, input ? "scan_input_axes" : "scan_output_axes", i), rank, axis, err);
}

static bool reverse_of(const scan *s, const pi_node *node, bool input, uint32_t i)
{
    if (s->batched) return input && flag_of(node, "directions", i) == 1;
    return flag_of(node, input ? "scan_input_directions" : "scan_output_directions", i) == 1;
}

static pi_status check_inputs(scan *s, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    char text[160];
    for (uint32_t i = 0; i < s->states + s->inputs; i++) {
        const pi_tensor *t = in[s->first + i];
        bool scanned = i >= s->states;
        int axis = 0;
        if (!t) return pi_fail(err, PI_E_MODEL, "input %u is missing", s->first + i);
        if (t->rank < s->batched + scanned)
            return pi_fail(err, PI_E_MODEL, "input %u is %s, expected at least %d dimensions", s->first + i,
                           pi_tensor_text(t, text, sizeof text), s->batched + scanned);
        if (scanned) PI_TRY(axis_of(s, node, true, i - s->states, t->rank - s->batched, &axis, err));
        if (s->batched && s->batch < 0) s->batch = t->dim[0];
        if (scanned && s->steps < 0) s->steps = t->dim[s->batched + axis];
        if ((s->batched && t->dim[0] != s->batch) || (scanned && t->dim[s->batched + axis] != s->steps))
            return pi_fail(err, PI_E_MODEL, "input %u is %s, which does not fit %lld sequences of %lld steps", s->first + i,
                           pi_tensor_text(t, text, sizeof text), (long long)s->batch, (long long)s->steps);
    }
    return PI_E_OK;
}

static pi_status scan_init(scan *s, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_graph *g = pi_control_graph(node, "body");
    int64_t inputs = pi_attr_int(node, "num_scan_inputs");
    bool batched = node->op->since < 9;
    uint32_t given = node->n_explicit - (batched && node->n_explicit), implicit = node->n_in - node->n_explicit;
    if (inputs < 1 || inputs > (int64_t)given)
        return pi_fail(err, PI_E_MODEL, "num_scan_inputs is %lld, but there are %u inputs", (long long)inputs, given);
    *s = (scan){.g = g, .first = batched, .inputs = (uint32_t)inputs, .states = given - (uint32_t)inputs, .batched = batched,
                .batch = batched ? -1 : 1, .steps = -1};
    if (g->n_inputs != given + implicit || g->n_outputs < s->states)
        return pi_fail(err, PI_E_MODEL, "the body has %u inputs and %u outputs, expected %u and at least %u", g->n_inputs,
                       g->n_outputs, given + implicit, s->states);
    s->outputs = g->n_outputs - s->states;
    if (node->n_out > g->n_outputs)
        return pi_fail(err, PI_E_MODEL, "%u outputs, but the body has %u", node->n_out, g->n_outputs);
    PI_TRY(check_list(node, batched ? "directions" : "scan_input_directions", s->inputs, err));
    if (!batched) {
        PI_TRY(check_list(node, "scan_input_axes", s->inputs, err));
        PI_TRY(check_list(node, "scan_output_axes", s->outputs, err));
        PI_TRY(check_list(node, "scan_output_directions", s->outputs, err));
    }
    return check_inputs(s, node, in, err);
}

/* What the body gets: t without its batch dimension, and (axis >= 0) without its axis. */
static pi_tensor element_of(const scan *s, const pi_tensor *t, int axis)
{
    pi_tensor e = {.data = t->data, .dtype = t->dtype};
    for (int i = s->batched; i < t->rank; i++)
        if (axis < 0 || i != s->batched + axis) e.dim[e.rank++] = t->dim[i];
    return e;
}

/* Output i of the node from one of the body; rank -1 where that is not known. */
static pi_status result_of(const scan *s, const pi_node *node, uint32_t i, const pi_tensor *e, pi_tensor *out, pi_error *err)
{
    int axis = -1;
    int64_t n;
    *out = (pi_tensor){.dtype = e->dtype, .rank = -1};
    if (!pi_tensor_known(e)) return PI_E_OK;
    if (e->rank + 2 > PI_MAX_RANK) return pi_fail(err, PI_E_LIMIT, "output %u has too many dimensions", i);
    if (i >= s->states) PI_TRY(axis_of(s, node, false, i - s->states, e->rank + 1, &axis, err));
    out->rank = 0;
    if (s->batched) out->dim[out->rank++] = s->batch;
    for (int k = 0; k <= e->rank; k++) {
        if (k == axis) out->dim[out->rank++] = s->steps;
        if (k < e->rank) out->dim[out->rank++] = e->dim[k];
    }
    return pi_tensor_count(out, &n, err);
}

/* Tensors that the body gets: views of the first element of each input. */
static pi_status body_inputs(const scan *s, const pi_node *node, const pi_tensor *const *in, pi_tensor *view,
                             const pi_tensor **to, pi_error *err)
{
    uint32_t n = s->states + s->inputs;
    for (uint32_t i = 0; i < n; i++) {
        const pi_tensor *t = in[s->first + i];
        int axis = -1;
        if (i >= s->states) PI_TRY(axis_of(s, node, true, i - s->states, t->rank - s->batched, &axis, err));
        view[i] = element_of(s, t, axis);
        to[i] = &view[i];
    }
    for (uint32_t i = node->n_explicit; i < node->n_in; i++) to[n++] = in[i];
    return PI_E_OK;
}

static pi_status scan_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    scan s;
    pi_status st = PI_E_OK;
    PI_TRY(scan_init(&s, node, in, err));
    pi_tensor *view = pi_calloc(s.g->heap, s.g->n_inputs + s.g->n_outputs + 1u, sizeof *view, err);
    const pi_tensor **to = view ? pi_calloc(s.g->heap, s.g->n_inputs + 1u, sizeof *to, err) : NULL;
    if (!to) {
        st = pi_alloc_status(err);
        goto done;
    }
    pi_tensor *type = view + s.g->n_inputs;
    PI_TRY_DONE(body_inputs(&s, node, in, view, to, err));
    PI_TRY_DONE(pi_control_types(s.g, to, type, err));
    for (uint32_t i = 0; i < node->n_out; i++)
        PI_TRY_DONE(result_of(&s, node, i, i < s.states ? &view[i] : &type[i], &out[i], err));
done:
    pi_free((void *)to);
    pi_free(view);
    return st;
}

/* ---- run ---- */

typedef struct {
    scan s;
    const pi_call *call;
    const pi_tensor **in; /* of the body */
    pi_tensor *view;      /* what stands behind in */
    pi_tensor *type;      /* of the body's outputs; rank -1: not yet known */
    pi_const **state, **out;
    slices *input, *output;
} scan_run_state;

static void slices_init(slices *x, const pi_tensor *t, int first, int axis, bool reverse)
{
    *x = (slices){.outer = pi_dims_product(t, first, first + axis), .steps = t->dim[first + axis],
                  .inner = pi_dims_product(t, first + axis + 1, t->rank), .reverse = reverse, .elem = pi_dtype_size(t->dtype)};
}

static char *slice_at(const slices *x, void *data, int64_t b, int64_t o, int64_t i)
{
    return (char *)data + (size_t)(((b * x->outer + o) * x->steps + i) * x->inner) * x->elem;
}

static void take_element(const slices *x, const pi_tensor *t, int64_t b, int64_t i, pi_tensor *view)
{
    size_t piece = (size_t)x->inner * x->elem;
    view->data = x->gathered ? (void *)x->gathered : (void *)slice_at(x, t->data, b, 0, i);
    for (int64_t o = 0; piece && x->gathered && o < x->outer; o++)
        memcpy(x->gathered + (size_t)o * piece, slice_at(x, t->data, b, o, i), piece);
}

/* Memory of output i, when the shape of an element is known for the first time. */
static pi_status place_output(scan_run_state *r, uint32_t i, bool clear, pi_error *err)
{
    const scan *s = &r->s;
    const pi_call *call = r->call;
    pi_tensor want;
    size_t bytes;
    if (!pi_move_wants(call, i)) return PI_E_OK;
    PI_TRY(result_of(s, call->node, i, &r->type[i], &want, err));
    if (want.rank < 0 || want.dtype == PI_DTYPE_NONE)
        return pi_fail(err, PI_E_UNSUPPORTED, "output %u is of no steps, and the body does not say its shape", i);
    if (pi_dtype_is_seq(want.dtype)) return pi_fail(err, PI_E_MODEL, "output %u of the body is no tensor", i);
    PI_TRY(pi_control_place(call, i, &want, err));
    PI_TRY(pi_tensor_bytes(&want, &bytes, err));
    if (clear && bytes) memset(call->out[i]->data, 0, bytes);
    if (i < s->states) return PI_E_OK;
    int axis = 0;
    PI_TRY(axis_of(s, call->node, false, i - s->states, r->type[i].rank + 1, &axis, err));
    slices_init(&r->output[i - s->states], &want, s->batched, axis, reverse_of(s, call->node, false, i - s->states));
    return PI_E_OK;
}

/* The body's output i against the one that was seen first. */
static pi_status check_output(scan_run_state *r, uint32_t i, bool clear, pi_error *err)
{
    char got[160], want[160];
    const pi_tensor *t = &r->out[i]->t;
    if (pi_dtype_is_seq(t->dtype)) return pi_fail(err, PI_E_MODEL, "output %u of the body is no tensor", i);
    if (r->type[i].rank < 0) {
        r->type[i] = *t;
        if (i >= r->s.states) PI_TRY(place_output(r, i, clear, err));
    } else if (t->dtype != r->type[i].dtype || !pi_tensor_same_shape(t, &r->type[i])) {
        return pi_fail(err, PI_E_MODEL, "output %u of the body is %s, but was %s before: it may not change", i,
                       pi_tensor_text(t, got, sizeof got), pi_tensor_text(&r->type[i], want, sizeof want));
    }
    return PI_E_OK;
}

static pi_status scan_step(scan_run_state *r, int64_t b, int64_t step, int64_t steps, bool clear, pi_error *err)
{
    const scan *s = &r->s;
    const pi_call *call = r->call;
    for (uint32_t i = 0; i < s->inputs; i++)
        take_element(&r->input[i], call->in[s->first + s->states + i], b, r->input[i].reverse ? steps - 1 - step : step,
                     &r->view[s->states + i]);
    PI_TRY(pi_control_run(call, s->g, r->in, r->out, err));
    for (uint32_t i = 0; i < s->g->n_outputs; i++) PI_TRY(check_output(r, i, clear, err));
    for (uint32_t i = 0; i < s->states; i++) {
        pi_const_unref(r->state[i]);
        r->state[i] = r->out[i];
        r->out[i] = NULL;
        r->in[i] = &r->state[i]->t;
    }
    for (uint32_t i = 0; i < s->outputs; i++) {
        const slices *x = &r->output[i];
        const char *from = r->out[s->states + i]->t.data;
        size_t piece = (size_t)x->inner * x->elem;
        if (!piece || !pi_move_wants(call, s->states + i)) continue;
        for (int64_t o = 0; o < x->outer; o++)
            memcpy(slice_at(x, call->out[s->states + i]->data, b, o, x->reverse ? steps - 1 - step : step),
                   from + (size_t)o * piece, piece);
    }
    pi_control_unref(r->out, s->g->n_outputs);
    return PI_E_OK;
}

static pi_status scan_sequence(scan_run_state *r, int64_t b, const pi_tensor *lengths, pi_error *err)
{
    const scan *s = &r->s;
    const pi_call *call = r->call;
    int64_t steps = lengths ? pi_tensor_int(lengths, b) : s->steps;
    if (steps < 0 || steps > s->steps)
        return pi_fail(err, PI_E_INPUT, "sequence length %lld is not in 0 to %lld", (long long)steps, (long long)s->steps);
    for (uint32_t i = 0; i < s->states; i++) {
        r->in[i] = &r->view[i];
        size_t bytes = (size_t)pi_tensor_n(&r->view[i]) * pi_dtype_size(r->view[i].dtype);
        r->view[i].data = (char *)call->in[s->first + i]->data + (size_t)b * bytes;
    }
    for (int64_t step = 0; step < steps; step++) PI_TRY(scan_step(r, b, step, steps, lengths != NULL, err));
    for (uint32_t i = 0; i < s->states; i++) {
        const pi_tensor *t = r->in[i];
        size_t bytes = (size_t)pi_tensor_n(t) * pi_dtype_size(t->dtype);
        if (pi_move_wants(call, i) && bytes) memcpy((char *)call->out[i]->data + (size_t)b * bytes, t->data, bytes);
    }
    return PI_E_OK;
}

static pi_status scan_sequences(scan_run_state *r, pi_error *err)
{
    const scan *s = &r->s;
    const pi_call *call = r->call;
    const pi_tensor *lengths = s->batched ? call->in[0] : NULL;
    if (lengths && (lengths->rank > 1 || pi_tensor_n(lengths) != s->batch))
        return pi_fail(err, PI_E_MODEL, "sequence_lens has %lld entries for %lld sequences", (long long)pi_tensor_n(lengths),
                       (long long)s->batch);
    for (uint32_t i = 0; i < s->states; i++) { /* they keep their shape */
        r->type[i] = r->view[i];
        PI_TRY(place_output(r, i, false, err));
    }
    for (uint32_t i = 0; i < s->inputs; i++) {
        const pi_tensor *t = call->in[s->first + s->states + i];
        slices *x = &r->input[i];
        int axis = 0;
        PI_TRY(axis_of(s, call->node, true, i, t->rank - s->batched, &axis, err));
        slices_init(x, t, s->batched, axis, reverse_of(s, call->node, true, i));
        if (x->outer != 1 && !(x->gathered = pi_alloc(call->run->heap, (size_t)(x->outer * x->inner) * x->elem, err)))
            return pi_alloc_status(err);
    }
    for (int64_t b = 0; b < s->batch; b++) PI_TRY(scan_sequence(r, b, lengths, err));
    bool ran = true;
    for (uint32_t i = s->states; i < s->g->n_outputs; i++) ran = ran && r->type[i].rank >= 0;
    if (ran) return PI_E_OK;
    PI_TRY(pi_control_types(s->g, r->in, r->type, err));
    for (uint32_t i = s->states; i < s->g->n_outputs; i++) {
        for (int k = 0; k < r->type[i].rank; k++) r->type[i].dim[k] = pi_max_i64(r->type[i].dim[k], 0);
        PI_TRY(place_output(r, i, true, err));
    }
    return PI_E_OK;
}

static pi_status scan_run(const pi_call *call, pi_error *err)
{
    pi_heap *heap = call->run->heap;
    scan_run_state r = {.call = call};
    pi_status st = PI_E_OK;
    PI_TRY(scan_init(&r.s, call->node, call->in, err));
    uint32_t n_in = r.s.g->n_inputs, n_out = r.s.g->n_outputs;
    r.in = pi_calloc(heap, n_in + 1u, sizeof *r.in, err);
    r.view = r.in ? pi_calloc(heap, n_in + n_out + 1u, sizeof *r.view, err) : NULL;
    r.state = r.view ? pi_calloc(heap, r.s.states + n_out + 1u, sizeof *r.state, err) : NULL;
    r.input = r.state ? pi_calloc(heap, r.s.inputs + r.s.outputs + 1u, sizeof *r.input, err) : NULL;
    if (!r.input) {
        st = pi_alloc_status(err);
        goto done;
    }
    r.type = r.view + n_in;
    r.out = r.state + r.s.states;
    r.output = r.input + r.s.inputs;
    for (uint32_t i = 0; i < n_out; i++) r.type[i].rank = -1;
    PI_TRY_DONE(body_inputs(&r.s, call->node, call->in, r.view, r.in, err));
    PI_TRY_DONE(scan_sequences(&r, err));
done:
    if (r.state) pi_control_unref(r.state, r.s.states + n_out);
    for (uint32_t i = 0; r.input && i < r.s.inputs; i++) pi_free(r.input[i].gathered);
    pi_free(r.input);
    pi_free(r.state);
    pi_free(r.view);
    pi_free((void *)r.in);
    return st;
}

/* ---- rows ---- */

static const pi_impl scan_impls[] = {{.name = "ref", .run = scan_run}, {0}};
static const pi_attr_def scan8_attrs[] = {{.name = "body", .kind = PI_ATTR_GRAPH, .required = true},
                                          {.name = "num_scan_inputs", .kind = PI_ATTR_INT, .required = true},
                                          {.name = "directions", .kind = PI_ATTR_INTS},
                                          {0}};
static const pi_attr_def scan_attrs[] = {{.name = "body", .kind = PI_ATTR_GRAPH, .required = true},
                                         {.name = "num_scan_inputs", .kind = PI_ATTR_INT, .required = true},
                                         {.name = "scan_input_axes", .kind = PI_ATTR_INTS},
                                         {.name = "scan_output_axes", .kind = PI_ATTR_INTS},
                                         {.name = "scan_input_directions", .kind = PI_ATTR_INTS},
                                         {.name = "scan_output_directions", .kind = PI_ATTR_INTS},
                                         {0}};
#define VALUES "initial_state_and_scan_inputs*:any -> final_state_and_scan_outputs*:any"
static const pi_op rows[] = {
    {.name = "Scan", .since = 8, .signature = "sequence_lens?:i64 " VALUES, .flags = PI_OP_NO_FOLD, .attrs = scan8_attrs,
     .infer = scan_infer, .impls = scan_impls},
    {.name = "Scan", .since = 9, .signature = VALUES, .flags = PI_OP_NO_FOLD, .attrs = scan_attrs, .infer = scan_infer,
     .impls = scan_impls},
};
const pi_op_family pi_ops_scan = {rows, PI_COUNT(rows)};
