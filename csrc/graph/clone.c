/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of a graph that shares its constants. Subgraphs are copied through a list of pairs, not by recursion. */
#include <string.h>
#include "graph/op.h"

typedef struct {
    const pi_graph *from;
    pi_graph *to;
} pair;

typedef struct {
    pair *list;
    uint32_t n, room;
    pi_heap *heap;
} pairs;

static pi_status pairs_add(pairs *p, const pi_graph *from, pi_graph *to, pi_error *err)
{
    if (p->n == p->room) {
        uint32_t room = p->room ? p->room * 2 : 8;
        pair *list = pi_realloc(p->heap, p->list, room * sizeof *list, err);
        if (!list) return pi_alloc_status(err);
        p->list = list;
        p->room = room;
    }
    p->list[p->n++] = (pair){from, to};
    return PI_E_OK;
}

static pi_status clone_value(pi_graph *to, const pi_value *v, pi_error *err)
{
    pi_value *c = pi_graph_value(to, v->name, err);
    if (!c) return pi_alloc_status(err);
    c->t = v->t;
    c->constant = pi_const_ref(v->constant);
    if (v->dim_name && v->t.rank > 0) {
        const char **names = pi_arena_calloc(&to->arena, (size_t)v->t.rank, sizeof *names, err);
        if (!names) return pi_alloc_status(err);
        for (int i = 0; i < v->t.rank; i++)
            if (v->dim_name[i] &&
                !(names[i] = pi_arena_strndup(&to->arena, v->dim_name[i], strlen(v->dim_name[i]), err)))
                return pi_alloc_status(err);
        c->dim_name = names;
    }
    return PI_E_OK;
}

static pi_status clone_node(pi_graph *to, const pi_node *n, pairs *todo, pi_error *err)
{
    pi_node *c = pi_graph_node(to, n->op, n->name, n->n_in, n->n_out, err);
    if (!c) return pi_alloc_status(err);
    c->n_explicit = n->n_explicit;
    c->number = n->number;
    if (n->source && !(c->source = pi_arena_strndup(&to->arena, n->source, strlen(n->source), err)))
        return pi_alloc_status(err);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i]) PI_TRY(pi_node_set_in(to, c, i, to->value[n->in[i]->id], err));
    for (uint32_t i = 0; i < n->n_out; i++)
        if (n->out[i]) pi_node_set_out(c, i, to->value[n->out[i]->id]);
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        pi_attr a = n->attr[i];
        if (a.kind == PI_ATTR_GRAPH) {
            const pi_graph *body = a.graph;
            if (!(a.graph = pi_graph_new(to->heap, err))) return pi_alloc_status(err);
            a.graph->sibling = to->child;
            a.graph->parent = to;
            to->child = a.graph;
            PI_TRY(pairs_add(todo, body, a.graph, err));
        }
        PI_TRY(pi_attr_set(to, c, &a, err));
    }
    return PI_E_OK;
}

pi_status pi_graph_clone(const pi_graph *g, pi_heap *heap, pi_graph **out, pi_error *err)
{
    pi_status st = PI_E_OK;
    pairs todo = {.heap = heap};
    pi_graph *copy = pi_graph_new(heap, err);
    if (!copy) return pi_alloc_status(err);
    PI_TRY_DONE(pairs_add(&todo, g, copy, err));
    for (uint32_t k = 0; k < todo.n; k++) { /* the list grows while it is walked */
        const pi_graph *from = todo.list[k].from;
        pi_graph *to = todo.list[k].to;
        if (from->name && !(to->name = pi_arena_strndup(&to->arena, from->name, strlen(from->name), err))) {
            st = pi_alloc_status(err);
            goto done;
        }
        for (uint32_t i = 0; i < from->n_values; i++) PI_TRY_DONE(clone_value(to, from->value[i], err));
        for (uint32_t i = 0; i < from->n_nodes; i++)
            if (from->node[i]->op) PI_TRY_DONE(clone_node(to, from->node[i], &todo, err));
        for (uint32_t i = 0; i < from->n_inputs; i++)
            PI_TRY_DONE(pi_graph_add_input(to, to->value[from->input[i]->id], err));
        for (uint32_t i = 0; i < from->n_outputs; i++)
            PI_TRY_DONE(pi_graph_add_output(to, to->value[from->output[i]->id], err));
    }
    *out = copy;
    copy = NULL;
done:
    pi_graph_free(copy);
    pi_free(todo.list);
    return st;
}
