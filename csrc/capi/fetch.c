/* SPDX-License-Identifier: Apache-2.0 */
/* Values within the graph: what they are called in the file, and those, or weights, that become outputs too. Done before any
 * pass, so that every pass sees them as outputs and keeps them. */
#include <string.h>
#include "base/map.h"
#include "capi/capi.h"

static bool listed(const pi_value *v) { return v && v->name[0]; }

pi_status pi_capi_list_inner(pyinfer_model *m, pi_error *err)
{
    const pi_graph *g = m->graph;
    size_t n = 0, n_in = 0;
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        for (uint32_t i = 0; i < g->node[k]->n_out; i++) n += listed(g->node[k]->out[i]);
        n_in += g->node[k]->n_in;
    }
    const char **in = pi_arena_calloc(&m->arena, n_in + 1, sizeof *in, err);
    if (!in) return pi_alloc_status(err);
    if (!(m->inner = pi_arena_calloc(&m->arena, n + 1, sizeof *m->inner, err))) return pi_alloc_status(err);
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        const pi_node *node = g->node[k];
        for (uint32_t i = 0; i < node->n_in; i++) in[i] = node->in[i] ? node->in[i]->name : "";
        for (uint32_t i = 0; i < node->n_out; i++)
            if (listed(node->out[i]))
                m->inner[m->n_inner++] = (pyinfer_inner){.name = node->out[i]->name, .node = node->name, .op = node->op->name,
                                                         .domain = node->op->domain ? node->op->domain : "", .source = node->source,
                                                         .index = (int)k, .n_in = (int)node->n_in, .in = in};
        in += node->n_in;
    }
    return PI_E_OK;
}

int pyinfer_inner_at(const pyinfer_model *m, int i, pyinfer_inner *inner)
{
    if (i < 0 || i >= m->n_inner) return 0;
    *inner = m->inner[i];
    return 1;
}

static pi_status map_values(const pi_graph *g, pi_map *names, pi_error *err)
{
    for (uint32_t k = 0; k < g->n_nodes; k++)
        for (uint32_t i = 0; i < g->node[k]->n_in; i++) {
            const pi_value *v = g->node[k]->in[i];
            if (listed(v) && v->constant) PI_TRY(pi_map_set(names, v->name, strlen(v->name), v->id, err));
        }
    for (uint32_t k = g->n_nodes; k-- > 0;) /* of two with one name the first counts */
        for (uint32_t i = g->node[k]->n_out; i-- > 0;) {
            const pi_value *v = g->node[k]->out[i];
            if (listed(v)) PI_TRY(pi_map_set(names, v->name, strlen(v->name), v->id, err));
        }
    return PI_E_OK;
}

/* One more output of the graph, and its port; what it is, is known after inference. */
static pi_status add_output(pyinfer_model *m, const pi_map *names, const char *name, pi_port *port, pi_error *err)
{
    uint32_t id = pi_map_get(names, name, strlen(name));
    if (id == UINT32_MAX) return pi_fail(err, PI_E_INPUT, "the graph has no value '%.200s'", name);
    pi_value *v = m->graph->value[id];
    *port = (pi_port){.name = v->name, .t.rank = -1};
    return pi_graph_add_output(m->graph, v, err);
}

pi_status pi_capi_fetch(pyinfer_model *m, const pyinfer_options *options, pi_error *err)
{
    pi_map names;
    pi_status st = PI_E_OK;
    const uint32_t own = m->file->n_outputs;
    if (options->n_fetch <= 0) return PI_E_OK;
    if (options->n_fetch > PI_MAX_ARITY - (int)own)
        return pi_fail(err, PI_E_LIMIT, "%d values to fetch, at most %u are possible", options->n_fetch, PI_MAX_ARITY - own);
    pi_port *port = pi_arena_calloc(&m->arena, own + (size_t)options->n_fetch, sizeof *port, err);
    if (!port) return pi_alloc_status(err);
    if (own) memcpy(port, m->file->output, own * sizeof *port);
    pi_map_init(&names, m->heap);
    PI_TRY_DONE(map_values(m->graph, &names, err));
    for (int i = 0; i < options->n_fetch; i++)
        PI_TRY_DONE(add_output(m, &names, options->fetch[i], &port[own + (uint32_t)i], err));
    m->file->output = port;
    m->file->n_outputs = own + (uint32_t)options->n_fetch;
done:
    pi_map_deinit(&names);
    return st;
}
