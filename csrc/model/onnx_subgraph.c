/* SPDX-License-Identifier: Apache-2.0 */
/* Subgraphs of If, Loop and Scan, and the outer values that they read. Such a value becomes an input of the node and of
 * each of its subgraphs, behind the explicit ones and in one order; an outer constant is simply shared. */
#include <string.h>
#include "model/reader.h"

/* Room for `want` pointers in the list. */
static pi_status list_room(pi_reader *r, pi_value ***list, uint32_t *room, uint32_t want, pi_error *err)
{
    if (want <= *room) return PI_E_OK;
    uint32_t more = *room ? 2 * *room : 8;
    while (more < want) more *= 2;
    pi_value **grown = pi_realloc(r->heap, *list, more * sizeof *grown, err);
    if (!grown) return pi_alloc_status(err);
    memset(grown + *room, 0, (more - *room) * sizeof *grown);
    *list = grown;
    *room = more;
    return PI_E_OK;
}

pi_status read_capture(pi_reader *r, pi_scope *scope, pi_span name, pi_value *outer, pi_value **v, pi_error *err)
{
    read_captures *c = scope->captures;
    const char *key = (const char *)name.p;
    if (++r->n_captures > PI_MAX_NODES)
        return pi_fail(err, PI_E_LIMIT, "subgraphs read more than %d outer values", PI_MAX_NODES);
    if (outer->constant) {
        *v = pi_graph_constant(scope->g, outer->name, pi_const_ref(outer->constant), err);
        if (!*v) return pi_alloc_status(err);
        return pi_map_set(&scope->names, key, name.n, (*v)->id, err);
    }
    uint32_t k = pi_map_get(&c->names, key, name.n);
    if (k == UINT32_MAX) {
        if (c->n == PI_MAX_ARITY / 2) return pi_fail(err, PI_E_LIMIT, "a subgraph reads more than %u outer values", c->n);
        k = c->n;
        PI_TRY(list_room(r, &c->outer, &c->room, k + 1, err));
        PI_TRY(pi_map_set(&c->names, key, name.n, k, err));
        c->outer[c->n++] = outer;
    }
    PI_TRY(list_room(r, &scope->local, &scope->n_local, k + 1, err));
    *v = pi_graph_value(scope->g, outer->name, err);
    if (!*v) return pi_alloc_status(err);
    (*v)->t.dtype = outer->t.dtype;
    scope->local[k] = *v;
    return pi_map_set(&scope->names, key, name.n, (*v)->id, err);
}

pi_status read_lookup(pi_reader *r, pi_scope *scope, pi_span name, pi_value **v, pi_error *err)
{
    pi_scope *chain[PI_MAX_DEPTH + 2];
    int n = 0;
    uint32_t id = UINT32_MAX;
    *v = NULL;
    for (pi_scope *s = scope; s && n < PI_MAX_DEPTH + 2; s = s->parent) {
        chain[n++] = s;
        id = pi_map_get(&s->names, (const char *)name.p, name.n);
        if (id != UINT32_MAX) break;
    }
    if (id == UINT32_MAX)
        return pi_fail(err, PI_E_MODEL, "'%s' is not an input, an initializer or an output of any node here: is it misspelt?",
                       read_text(r, name));
    if (id == READ_ABSENT) return PI_E_OK;
    *v = chain[n - 1]->g->value[id & READ_ABSENT];
    while (--n > 0) PI_TRY(read_capture(r, chain[n - 1], name, *v, v, err));
    return PI_E_OK;
}

static pi_status read_one(pi_reader *r, pi_scope *outer, read_subgraphs *sub, pi_span message, pi_error *err)
{
    pi_scope scope = {.parent = outer, .captures = &sub->captures, .opsets = outer->opsets, .in_function = outer->in_function,
                      .binding = outer->binding, .n_bindings = outer->n_bindings, .prefix = outer->prefix,
                      .source = outer->source};
    if (r->depth >= PI_MAX_DEPTH)
        return pi_fail(err, PI_E_LIMIT, "subgraphs and functions are nested more than %d deep", PI_MAX_DEPTH);
    pi_graph *g = pi_graph_new(r->heap, err);
    if (!g) return pi_alloc_status(err);
    g->parent = outer->g;
    g->sibling = outer->g->child;
    outer->g->child = g; /* owned from here on */
    scope.g = sub->graph[sub->n].g = g;
    pi_map_init(&scope.names, r->heap);
    pi_map_init(&scope.results, r->heap);
    r->depth++;
    pi_status st = read_graph(r, &scope, message, err);
    r->depth--;
    pi_map_deinit(&scope.names);
    pi_map_deinit(&scope.results);
    sub->graph[sub->n].local = scope.local;
    sub->graph[sub->n].n_local = scope.n_local;
    sub->n++;
    return st;
}

/* The outer values become inputs of subgraph k. */
static pi_status add_inputs(const read_subgraphs *sub, uint32_t k, pi_error *err)
{
    pi_graph *g = sub->graph[k].g;
    for (uint32_t i = 0; i < sub->captures.n; i++) {
        pi_value *v = i < sub->graph[k].n_local ? sub->graph[k].local[i] : NULL;
        if (!v && !(v = pi_graph_value(g, sub->captures.outer[i]->name, err))) return pi_alloc_status(err);
        PI_TRY(pi_graph_add_input(g, v, err));
    }
    return PI_E_OK;
}

pi_status read_node_subgraphs(pi_reader *r, pi_scope *scope, const read_node_head *node, read_subgraphs *sub, pi_error *err)
{
    pi_wire w = pi_wire_over(node->message, r->base);
    pi_field f;
    bool more;
    pi_map_init(&sub->captures.names, r->heap);
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number != 5) continue;
        pi_wire attr = pi_wire_over(f.bytes, r->base);
        pi_span message = f.bytes, graph = {0};
        int64_t kind = PI_ATTR_GRAPH;
        for (;;) {
            PI_TRY(pi_wire_next(&attr, &f, &more, err));
            if (!more) break;
            if (f.number == 6) PI_TRY(pi_field_bytes(&f, &graph, err));
            if (f.number == 20) PI_TRY(pi_field_int(&f, &kind, err));
        }
        if (!graph.p || kind != PI_ATTR_GRAPH) continue;
        if (sub->n == READ_SUBGRAPHS) return pi_fail(err, PI_E_LIMIT, "more than %d subgraphs", READ_SUBGRAPHS);
        sub->graph[sub->n].attr = message;
        PI_TRY(read_one(r, scope, sub, graph, err));
    }
    for (uint32_t k = 0; k < sub->n && !r->n_unsupported; k++) PI_TRY(add_inputs(sub, k, err));
    return PI_E_OK;
}

void read_subgraphs_deinit(read_subgraphs *sub)
{
    pi_map_deinit(&sub->captures.names);
    pi_free(sub->captures.outer);
    for (uint32_t k = 0; k < sub->n; k++) pi_free(sub->graph[k].local);
}
