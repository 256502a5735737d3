/* SPDX-License-Identifier: Apache-2.0 */
/* Optionals as values, see graph/seq.h, and SequenceMap, which runs its body once for each place of its sequences. */
#include "ops/move.h"

/* ---- optionals ---- */

static pi_status optional_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    (void)in;
    (void)err;
    pi_tensor_set_shape(out, 0, NULL);
    return PI_E_OK;
}

static pi_status optional_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *in = pi_move_in(call->node, call->in, 0);
    if (!in && !pi_attr_find(call->node, "type")) return pi_fail(err, PI_E_MODEL, "neither an input nor the attribute type is there");
    pi_seq *s = pi_seq_new(call->run->heap, PI_DTYPE_NONE, in ? 1 : 0, err);
    if (s && in && !(s->item[0] = pi_const_copy(call->run->heap, in, err))) {
        pi_seq_unref(s);
        s = NULL;
    }
    return pi_call_seq(call, 0, PI_DTYPE_OPT, s, err);
}

static pi_status has_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *in = pi_move_in(call->node, call->in, 0);
    (void)err;
    *(uint8_t *)call->out[0]->data = in && (in->dtype != PI_DTYPE_OPT || pi_seq_of(in)->n > 0);
    return PI_E_OK;
}

static pi_status get_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    if (in[0]->dtype == PI_DTYPE_OPT) return PI_E_OK;
    out->dtype = in[0]->dtype;
    return pi_infer_same(node, in, out, err);
}

static pi_status get_run(const pi_call *call, pi_error *err)
{
    if (call->in[0]->dtype != PI_DTYPE_OPT) return pi_move_view_run(call, err);
    const pi_seq *s = pi_seq_of(call->in[0]);
    if (s->n == 0) return pi_fail(err, PI_E_INPUT, "the optional is absent: it has no element");
    *call->out[0] = s->item[0]->t; /* shared, as it is with SequenceAt */
    return PI_E_OK;
}

/* ---- SequenceMap ---- */

typedef struct {
    const pi_graph *g;
    const pi_tensor **in;
    pi_const **made; /* outputs of one run of the body */
    pi_seq **out;
    int64_t n;
} map;

static pi_status map_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_graph *g = pi_attr_find(node, "body")->graph;
    if (g->n_inputs != node->n_in || g->n_outputs < node->n_out)
        return pi_fail(err, PI_E_MODEL, "the body has %u inputs and %u outputs, expected %u and at least %u", g->n_inputs,
                       g->n_outputs, node->n_in, node->n_out);
    for (uint32_t i = 0; i < node->n_in; i++)
        if (!in[i]) return pi_fail(err, PI_E_MODEL, "input %u is missing", i);
    for (uint32_t i = 0; i < node->n_out; i++) {
        out[i].dtype = PI_DTYPE_SEQ;
        pi_tensor_set_shape(&out[i], 0, NULL);
    }
    return PI_E_OK;
}

static pi_status map_step(const pi_call *call, map *m, int64_t k, pi_error *err)
{
    const pi_node *node = call->node;
    for (uint32_t i = 0; i < node->n_in; i++) {
        bool mapped = i < node->n_explicit && call->in[i]->dtype == PI_DTYPE_SEQ;
        m->in[i] = mapped ? &pi_seq_of(call->in[i])->item[k]->t : call->in[i];
    }
    if (pi_cancelled(call)) return pi_fail(err, PI_E_CANCELLED, "cancelled");
    PI_TRY(call->run->graph(call, m->g, m->in, m->made, err));
    for (uint32_t i = 0; i < m->g->n_outputs; i++) {
        pi_const *c = m->made[i];
        pi_seq *s = m->out[i];
        m->made[i] = NULL;
        if (c->t.dtype == PI_DTYPE_STRING) { /* the strings are the run's, a sequence has its own */
            pi_const *own = pi_const_copy(call->run->heap, &c->t, err);
            pi_const_unref(c);
            if (!(c = own)) return pi_alloc_status(err);
        }
        s->item[k] = c;
        if (k == 0) s->dtype = c->t.dtype;
        if (pi_dtype_is_seq(c->t.dtype) || s->dtype != c->t.dtype)
            return pi_fail(err, PI_E_MODEL, "output %u of the body is %s, expected a tensor of one type", i, pi_dtype_name(c->t.dtype));
    }
    return PI_E_OK;
}

static pi_status map_lengths(const pi_call *call, int64_t *n, pi_error *err)
{
    *n = pi_seq_of(call->in[0])->n;
    for (uint32_t i = 1; i < call->node->n_explicit; i++) {
        if (call->in[i]->dtype != PI_DTYPE_SEQ) continue;
        int64_t other = pi_seq_of(call->in[i])->n;
        if (other != *n)
            return pi_fail(err, PI_E_INPUT, "the sequences differ in length: %lld and %lld", (long long)*n, (long long)other);
    }
    return PI_E_OK;
}

static pi_status map_run(const pi_call *call, pi_error *err)
{
    pi_heap *heap = call->run->heap;
    pi_status st = PI_E_OK;
    map m = {.g = pi_attr_find(call->node, "body")->graph};
    if (!call->run->graph) return pi_fail(err, PI_E_UNSUPPORTED, "subgraphs run only in a model");
    PI_TRY(map_lengths(call, &m.n, err));
    m.in = pi_calloc(heap, m.g->n_inputs + 1u, sizeof *m.in, err);
    m.made = m.in ? pi_calloc(heap, m.g->n_outputs + 1u, sizeof *m.made, err) : NULL;
    m.out = m.made ? pi_calloc(heap, m.g->n_outputs + 1u, sizeof *m.out, err) : NULL;
    bool ok = m.out != NULL;
    for (uint32_t i = 0; ok && i < m.g->n_outputs; i++)
        ok = (m.out[i] = pi_seq_new(heap, m.g->output[i]->t.dtype, m.n, err)) != NULL;
    if (!ok) st = pi_alloc_status(err);
    for (int64_t k = 0; st == PI_E_OK && k < m.n; k++) st = map_step(call, &m, k, err);
    for (uint32_t i = 0; st == PI_E_OK && i < call->node->n_out; i++) {
        pi_seq *s = m.out[i];
        m.out[i] = NULL;
        st = pi_call_seq(call, i, PI_DTYPE_SEQ, s, err);
    }
    for (uint32_t i = 0; m.out && i < m.g->n_outputs; i++) {
        pi_const_unref(m.made[i]);
        pi_seq_unref(m.out[i]);
    }
    pi_free(m.out);
    pi_free(m.made);
    pi_free((void *)m.in);
    return st;
}

/* ---- rows ---- */

#define TENSOR_OR_SEQ (PI_ANY | PI_BIT(SEQ))
static const pi_impl optional_impls[] = {{.name = "ref", .run = optional_run}, {0}};
static const pi_impl has_impls[] = {{.name = "ref", .run = has_run}, {0}};
static const pi_impl get_impls[] = {{.name = "ref", .run = get_run}, {0}};
static const pi_impl map_impls[] = {{.name = "ref", .run = map_run}, {0}};
static const pi_attr_def optional_attrs[] = {{.name = "type", .kind = PI_ATTR_TYPE}, {0}};
static const pi_attr_def map_attrs[] = {{.name = "body", .kind = PI_ATTR_GRAPH, .required = true}, {0}};
static const pi_op rows[] = {
    {.name = "Optional", .since = 15, .signature = "input?:T -> output:opt", .T = TENSOR_OR_SEQ, .flags = PI_OP_NO_FOLD,
     .attrs = optional_attrs, .infer = optional_infer, .impls = optional_impls},
    /* 15 knows optionals only; but what a Loop carries may be a sequence after its first step (test_loop16_seq_none) */
    {.name = "OptionalHasElement", .since = 15, .signature = "input:value -> output:bool", .infer = optional_infer,
     .impls = has_impls},
    {.name = "OptionalHasElement", .since = 18, .signature = "input?:value -> output:bool", .infer = optional_infer,
     .impls = has_impls},
    {.name = "OptionalGetElement", .since = 15, .signature = "input:value -> output:any", .flags = PI_OP_VIEW,
     .infer = get_infer, .impls = get_impls},
    {.name = "SequenceMap", .since = 17, .signature = "input_sequence:seq additional_inputs*:value -> out_sequence*:any",
     .flags = PI_OP_NO_FOLD, .attrs = map_attrs, .infer = map_infer, .impls = map_impls},
};
const pi_op_family pi_ops_optional = {rows, PI_COUNT(rows)};
