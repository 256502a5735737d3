/* SPDX-License-Identifier: Apache-2.0 */
/* What a legal graph is, spelled out. Run after each pass in tests and paranoid builds. */
#include "graph/op.h"

static pi_status broken(const pi_node *node, const char *rule, pi_error *err)
{
    pi_status st = pi_fail(err, PI_E_INTERNAL, "illegal graph: %s", rule);
    if (node) pi_node_error(node, err);
    return st;
}

static bool listed(const pi_value *v, const pi_node *node, uint32_t index)
{
    for (uint32_t i = 0; i < v->n_uses; i++)
        if (v->use[i].node == node && v->use[i].index == index) return true;
    return false;
}

pi_status pi_graph_verify(const pi_graph *g, pi_error *err)
{
    uint64_t uses = 0, known = 0;
    for (uint32_t i = 0; i < g->n_values; i++) {
        const pi_value *v = g->value[i];
        uses += v->n_uses;
        if (v->id != i) return broken(NULL, "a value's id is not its place", err);
        if (v->constant && v->producer) return broken(v->producer, "a constant has a producer", err);
        if (v->producer && !v->producer->op) return broken(v->producer, "a removed node produces a value", err);
    }
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        const pi_node *node = g->node[k];
        if (!node->op) continue;
        for (uint32_t i = 0; i < node->n_in; i++) {
            const pi_value *v = node->in[i];
            if (!v) continue;
            known++;
            if (v->id >= g->n_values || g->value[v->id] != v) return broken(node, "an input is of another graph", err);
            if (!listed(v, node, i)) return broken(node, "an input does not list this use", err);
        }
        for (uint32_t i = 0; i < node->n_out; i++)
            if (node->out[i] && node->out[i]->producer != node) return broken(node, "an output has another producer", err);
        for (uint32_t i = 0; i < node->n_attrs; i++)
            if (node->attr[i].kind == PI_ATTR_GRAPH && node->attr[i].graph->n_inputs < node->n_in - node->n_explicit)
                return broken(node, "a subgraph has fewer inputs than outer values", err);
    }
    if (uses != known) return broken(NULL, "a value lists a use that is none", err);
    for (uint32_t i = 0; i < g->n_outputs; i++)
        if (g->output[i]->n_outputs == 0) return broken(NULL, "an output is not counted as one", err);
    return PI_E_OK;
}
