/* SPDX-License-Identifier: Apache-2.0 */
/* Looking inside a request: the steps of its plan, the nodes and values of the plan's graph, where each value lies. */
#include <stdio.h>
#include "capi/capi.h"

enum { TEXT_SIZE = 2048 };

/* The request's text buffer; NULL: no memory for it. */
static char *text_of(pyinfer_request *r)
{
    if (!r->text) r->text = pi_alloc(r->model->heap, TEXT_SIZE, NULL);
    return r->text;
}

/* ---- steps ---- */

int pyinfer_step_count(const pyinfer_request *r) { return (int)pi_context_plan(r->context)->n_steps; }
size_t pyinfer_arena_bytes(const pyinfer_request *r) { return pi_context_plan(r->context)->arena_bytes; }
size_t pyinfer_packed_bytes(const pyinfer_request *r) { return pi_packs_bytes(r->model->packs); }

void pyinfer_profile(pyinfer_request *r, int on)
{
    pi_error err;
    (void)!pi_context_profile(r->context, on != 0, &err); /* without memory for it there is no profile */
}

static double bytes_of(const pyinfer_request *r, const pi_value *v)
{
    const pi_tensor *t = pi_context_tensor(r->context, v->id);
    return pi_tensor_known(t) ? (double)pi_tensor_n(t) * (double)pi_dtype_size(t->dtype) : 0;
}

static const char *first_value(const pi_node *node)
{
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i]) return node->out[i]->name;
    return "";
}

/* What of it a step moves that computes such a share of its rows: weights are read whole. */
static double moved(const pyinfer_request *r, const pi_value *v, double computed)
{
    return bytes_of(r, v) * (v->constant ? 1 : computed);
}

static double append_shapes(const pyinfer_request *r, pi_value *const *list, uint32_t n, double computed, char *text, size_t *at)
{
    double bytes = 0;
    char one[300];
    for (uint32_t i = 0; i < n; i++) {
        if (!list[i]) continue;
        const pi_tensor *t = pi_context_tensor(r->context, list[i]->id);
        int put = snprintf(text + *at, TEXT_SIZE - *at, "%s%s", i ? ", " : "", pi_tensor_text(t, one, sizeof one));
        *at += put < 0 || (size_t)put >= TEXT_SIZE - *at ? TEXT_SIZE - 1 - *at : (size_t)put;
        bytes += moved(r, list[i], computed);
    }
    return bytes;
}

/* Where the pass `layout` wrote channels: only operators that name their axes are told apart. */
static const char *layout_of(const pi_node *node)
{
    const pi_attr *nhwc = node->op->domain ? pi_attr_find(node, "nhwc") : NULL;
    return !nhwc ? "" : nhwc->i ? "channels-last" : "channels-first";
}

int pyinfer_step_at(const pyinfer_request *request, int i, pyinfer_step *out)
{
    pyinfer_request *r = (pyinfer_request *)request; /* only its text buffer changes */
    const pi_plan *plan = pi_context_plan(r->context);
    if (i < 0 || (uint32_t)i >= plan->n_steps) return 0;
    const pi_step *step = &plan->step[i];
    const pi_node *node = step->node;
    const pi_attr *parts = node->op->domain ? pi_attr_find(node, "parts") : NULL;
    const pi_span *span = pi_context_spans(r->context);
    (void)text_of(r);
    *out = (pyinfer_step){.name = node->name, .op = node->op->name, .domain = node->op->domain ? node->op->domain : "",
                          .parts = parts ? parts->s.bytes : "", .source = node->source, .value = first_value(node),
                          .impl = pi_context_impl(r->context, (uint32_t)i), .isa = step->isa, .layout = layout_of(node),
                          .refused = step->refused, .tuned = step->tuned, .shapes = "", .flops = step->flops, .computed = 1,
                          .scratch = step->scratch, .scratch_offset = step->scratch_at};
    if (span) {
        out->ns = span[i].ns;
        out->start_ns = span[i].start_ns;
        out->computed = span[i].computed;
        out->flops *= span[i].computed;
    }
    if (!r->text) return 1;
    size_t at = 0;
    r->text[0] = '\0';
    out->bytes = append_shapes(r, node->in, node->n_in, out->computed, r->text, &at);
    at += (size_t)snprintf(r->text + at, TEXT_SIZE - at, " -> ");
    if (at >= TEXT_SIZE) at = TEXT_SIZE - 1;
    out->bytes += append_shapes(r, node->out, node->n_out, out->computed, r->text, &at);
    if (node->op->flags & PI_OP_PICKS) {
        double unread = moved(r, node->in[0], out->computed) - moved(r, node->out[0], out->computed);
        if (unread > 0) out->bytes -= unread;
    }
    out->shapes = r->text;
    return 1;
}

/* ---- the graph of the plan ---- */

int pyinfer_node_at(const pyinfer_request *r, int i, pyinfer_node *out)
{
    const pi_graph *g = pi_context_plan(r->context)->graph;
    if (i < 0 || (uint32_t)i >= g->n_nodes) return 0;
    const pi_node *node = g->node[i];
    const pi_attr *parts = node->op->domain ? pi_attr_find(node, "parts") : NULL;
    *out = (pyinfer_node){.name = node->name, .op = node->op->name, .domain = node->op->domain ? node->op->domain : "",
                          .parts = parts ? parts->s.bytes : "", .source = node->source, .view = pi_plan_is_view(node),
                          .n_in = (int)node->n_in, .n_out = (int)node->n_out};
    return 1;
}

int pyinfer_node_value(const pyinfer_request *r, int i, int k)
{
    const pi_graph *g = pi_context_plan(r->context)->graph;
    if (i < 0 || k < 0 || (uint32_t)i >= g->n_nodes) return -1;
    const pi_node *node = g->node[i];
    const pi_value *v = (uint32_t)k < node->n_in                  ? node->in[k]
                        : (uint32_t)k - node->n_in < node->n_out ? node->out[(uint32_t)k - node->n_in]
                                                                 : NULL;
    return v ? (int)v->id : -1;
}

int pyinfer_place_at(const pyinfer_request *request, int i, pyinfer_place *out)
{
    pyinfer_request *r = (pyinfer_request *)request; /* only its text buffer changes */
    const pi_plan *plan = pi_context_plan(r->context);
    if (i < 0 || (uint32_t)i >= plan->graph->n_values) return 0;
    const pi_value *v = plan->graph->value[i];
    const pi_place *place = &plan->place[i];
    char *text = text_of(r);
    *out = (pyinfer_place){.name = v->name, .type = text ? pi_tensor_text(&v->t, text, TEXT_SIZE) : "", .kind = (int)place->kind,
                           .storage = -1, .bytes = (size_t)bytes_of(r, v)};
    /* pinned by a plan: its plain form stays in memory; else the packed one does, or nothing */
    if (v->constant) out->kind = __atomic_load_n(&v->constant->pins, __ATOMIC_RELAXED) > 0 ? PYINFER_PLACE_CONSTANT : PYINFER_PLACE_PACKED;
    if (out->kind == PYINFER_PLACE_NONE || out->kind == PYINFER_PLACE_PACKED) return 1;
    out->storage = (int)place->storage;
    out->first = (int)place->first;
    out->last = (int)place->last;
    if (out->kind == PYINFER_PLACE_ARENA) out->offset = place->offset;
    return 1;
}
