/* SPDX-License-Identifier: Apache-2.0 */
/* What stays the same in each round of a Loop is no carried value: TensorFlow's exporter carries the weights of a recurrent
 * cell, which would be copied in each round and never packed. An outer value that is a constant is one in the subgraph. */
#include <string.h>
#include "passes/match.h"
#include "passes/passes.h"

static void drop_out(pi_graph *body, uint32_t i)
{
    body->output[i]->n_outputs--;
    memmove(&body->output[i], &body->output[i + 1], (body->n_outputs - i - 1) * sizeof *body->output);
    body->n_outputs--;
}

/* Input i becomes the last one: of the node, and of the body, where it is `at`. */
static pi_status move_last(pi_graph *g, pi_node *node, uint32_t i, pi_graph *body, uint32_t at, pi_error *err)
{
    pi_value *v = node->in[i], *inner = body->input[at];
    for (; i + 1 < node->n_in; i++) PI_TRY(pi_node_set_in(g, node, i, node->in[i + 1], err));
    PI_TRY(pi_node_set_in(g, node, i, v, err));
    pi_graph_drop_input(body, at);
    body->input[body->n_inputs++] = inner;
    return PI_E_OK;
}

/* Carried value i comes out of the body as it went in. */
static bool invariant(const pi_graph *body, uint32_t i)
{
    const pi_value *v = body->output[1 + i];
    for (int hops = 0; hops < 8 && pi_made_by(v, "Identity"); hops++) v = v->producer->in[0];
    return v == body->input[2 + i];
}

static pi_status free_carried(pi_graph *g, pi_node *node, pi_graph *body, pi_error *err)
{
    for (uint32_t i = 0; node->n_explicit > 2 + i;) {
        if (!node->in[2 + i] || 2 + i >= body->n_inputs || 1 + i >= body->n_outputs || !invariant(body, i)) {
            i++;
            continue;
        }
        if (i < node->n_out) {
            if (node->out[i]) PI_TRY(pi_graph_replace(g, node->out[i], node->in[2 + i], err));
            pi_node_set_out(node, i, NULL);
            for (uint32_t k = i; k + 1 < node->n_out; k++) {
                pi_value *v = node->out[k + 1];
                pi_node_set_out(node, k + 1, NULL);
                pi_node_set_out(node, k, v);
            }
            node->n_out--;
        }
        drop_out(body, 1 + i);
        PI_TRY(move_last(g, node, 2 + i, body, 2 + i, err));
        node->n_explicit--;
    }
    return PI_E_OK;
}

pi_status pi_pass_loops(pi_graph *g, pi_error *err)
{
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        pi_node *node = g->node[k];
        const pi_attr *body = node->op && pi_is(node, "Loop") ? pi_attr_find(node, "body") : NULL;
        if (body && body->kind == PI_ATTR_GRAPH) PI_TRY(free_carried(g, node, body->graph, err));
        if (node->op) PI_TRY(pi_graph_share_constants(g, node, err));
    }
    pi_graph_sweep(g);
    return PI_E_OK;
}
