/* SPDX-License-Identifier: Apache-2.0 */
/* Building and editing: values know their readers, so that replacing costs only the readers. */
#include <string.h>
#include "graph/op.h"

pi_graph *pi_graph_new(pi_heap *heap, pi_error *err)
{
    pi_graph *g = pi_calloc(heap, 1, sizeof *g, err);
    if (!g) return NULL;
    g->heap = pi_heap_ref(heap);
    pi_arena_init(&g->arena, heap);
    return g;
}

static void node_release(pi_node *node)
{
    for (uint32_t i = 0; i < node->n_attrs; i++)
        if (node->attr[i].kind == PI_ATTR_TENSOR) pi_const_unref(node->attr[i].tensor);
    node->n_attrs = 0;
}

/* Subgraphs hang in a tree of children; it is taken apart without recursion. */
void pi_graph_free(pi_graph *g)
{
    if (g) g->sibling = NULL;
    while (g) {
        pi_graph *next = g->sibling;
        if (g->child) { /* children go to the front of the list */
            pi_graph *last = g->child;
            while (last->sibling) last = last->sibling;
            last->sibling = next;
            next = g->child;
        }
        for (uint32_t i = 0; i < g->n_nodes; i++) node_release(g->node[i]);
        for (uint32_t i = 0; i < g->n_values; i++) pi_const_unref(g->value[i]->constant);
        pi_free(g->node);
        pi_free(g->value);
        pi_free(g->input);
        pi_free(g->output);
        pi_arena_deinit(&g->arena);
        pi_heap *heap = g->heap;
        pi_free(g);
        pi_heap_unref(heap);
        g = next;
    }
}

/* Room for n pointers in a list of the heap. */
static pi_status list_grow(pi_heap *heap, void *list_ptr, uint32_t n, uint32_t *room, pi_error *err)
{
    if (n <= *room) return PI_E_OK;
    uint32_t more = *room ? *room * 2 : 16;
    while (more < n) more *= 2;
    if (more > PI_MAX_NODES * 8u) return pi_fail(err, PI_E_LIMIT, "the graph has more than %d entries", PI_MAX_NODES * 8);
    void *old, *grown;
    memcpy(&old, list_ptr, sizeof old);
    grown = pi_realloc(heap, old, more * sizeof(void *), err);
    if (!grown) return pi_alloc_status(err);
    memcpy(list_ptr, &grown, sizeof grown);
    *room = more;
    return PI_E_OK;
}

pi_value *pi_graph_value(pi_graph *g, const char *name, pi_error *err)
{
    if (list_grow(g->heap, &g->value, g->n_values + 1, &g->room_values, err) != PI_E_OK) return NULL;
    pi_value *v = pi_arena_alloc(&g->arena, sizeof *v, err);
    if (!v) return NULL;
    v->name = pi_arena_strndup(&g->arena, name ? name : "", name ? strlen(name) : 0, err);
    if (!v->name) return NULL;
    v->t.rank = -1;
    v->id = g->n_values;
    g->value[g->n_values++] = v;
    return v;
}

pi_value *pi_graph_constant(pi_graph *g, const char *name, pi_const *c, pi_error *err)
{
    pi_value *v = pi_graph_value(g, name, err);
    if (!v) {
        pi_const_unref(c);
        return NULL;
    }
    v->constant = c;
    v->t = c->t;
    return v;
}

pi_value *pi_graph_ints(pi_graph *g, const int64_t *ints, int64_t n, int rank, pi_error *err)
{
    pi_const *c = pi_const_new(g->heap, PI_DTYPE_I64, rank, &n, err);
    if (!c) return NULL;
    if (n) memcpy(c->t.data, ints, (rank ? (size_t)n : 1) * sizeof *ints);
    return pi_graph_constant(g, NULL, c, err);
}

pi_status pi_graph_add_input(pi_graph *g, pi_value *v, pi_error *err)
{
    PI_TRY(list_grow(g->heap, &g->input, g->n_inputs + 1, &g->room_inputs, err));
    g->input[g->n_inputs++] = v;
    return PI_E_OK;
}

pi_status pi_graph_add_output(pi_graph *g, pi_value *v, pi_error *err)
{
    PI_TRY(list_grow(g->heap, &g->output, g->n_outputs + 1, &g->room_outputs, err));
    g->output[g->n_outputs++] = v;
    v->n_outputs++;
    return PI_E_OK;
}

pi_node *pi_graph_node(pi_graph *g, const pi_op *op, const char *name, uint32_t n_in, uint32_t n_out, pi_error *err)
{
    if (n_in > PI_MAX_ARITY || n_out > PI_MAX_ARITY || g->n_nodes >= PI_MAX_NODES) {
        (void)pi_fail(err, PI_E_LIMIT, "more than %d nodes, or %d inputs of one node", PI_MAX_NODES, PI_MAX_ARITY);
        return NULL;
    }
    if (list_grow(g->heap, &g->node, g->n_nodes + 1, &g->room_nodes, err) != PI_E_OK) return NULL;
    pi_node *node = pi_arena_alloc(&g->arena, sizeof *node, err);
    if (!node) return NULL;
    node->op = op;
    node->name = pi_arena_strndup(&g->arena, name ? name : "", name ? strlen(name) : 0, err);
    node->in = pi_arena_calloc(&g->arena, n_in + 1u, sizeof *node->in, err);
    node->out = pi_arena_calloc(&g->arena, n_out + 1u, sizeof *node->out, err);
    if (!node->name || !node->in || !node->out) return NULL;
    node->n_in = node->n_explicit = n_in;
    node->n_out = n_out;
    node->number = g->n_nodes;
    g->node[g->n_nodes++] = node;
    return node;
}

static pi_status use_add(pi_graph *g, pi_value *v, pi_node *node, uint32_t index, pi_error *err)
{
    if (v->n_uses == v->room_uses) {
        uint32_t room = v->room_uses ? v->room_uses * 2 : 2;
        pi_use *list = pi_arena_calloc(&g->arena, room, sizeof *list, err);
        if (!list) return pi_alloc_status(err);
        if (v->n_uses) memcpy(list, v->use, v->n_uses * sizeof *list);
        v->use = list;
        v->room_uses = room;
    }
    v->use[v->n_uses++] = (pi_use){node, index};
    return PI_E_OK;
}

static void use_drop(pi_value *v, const pi_node *node, uint32_t index)
{
    for (uint32_t i = v->n_uses; i-- > 0;) /* who replaces all uses takes the last first */
        if (v->use[i].node == node && v->use[i].index == index) {
            v->use[i] = v->use[--v->n_uses];
            return;
        }
}

pi_status pi_node_set_in(pi_graph *g, pi_node *node, uint32_t i, pi_value *v, pi_error *err)
{
    if (node->in[i] == v) return PI_E_OK;
    if (v) PI_TRY(use_add(g, v, node, i, err));
    if (node->in[i]) use_drop(node->in[i], node, i);
    node->in[i] = v;
    return PI_E_OK;
}

void pi_node_set_out(pi_node *node, uint32_t i, pi_value *v)
{
    if (node->out[i] && node->out[i]->producer == node) node->out[i]->producer = NULL;
    node->out[i] = v;
    if (v) v->producer = node;
}

pi_status pi_graph_replace(pi_graph *g, pi_value *old, pi_value *with, pi_error *err)
{
    if (old == with) return PI_E_OK;
    while (old->n_uses) {
        pi_use use = old->use[old->n_uses - 1];
        PI_TRY(pi_node_set_in(g, use.node, use.index, with, err));
    }
    for (uint32_t i = 0; old->n_outputs && i < g->n_outputs; i++)
        if (g->output[i] == old) {
            g->output[i] = with;
            old->n_outputs--;
            with->n_outputs++;
        }
    return PI_E_OK;
}

void pi_graph_remove(pi_graph *g, pi_node *node)
{
    (void)g;
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i]) use_drop(node->in[i], node, i);
        node->in[i] = NULL;
    }
    for (uint32_t i = 0; i < node->n_out; i++) pi_node_set_out(node, i, NULL);
    node_release(node);
    node->op = NULL;
}

/* ---- a subgraph in the place of its node ---- */

static bool owns(const pi_graph *g, const pi_value *v) { return v->id < g->n_values && g->value[v->id] == v; }

/* Who reads output i of the node reads what the body makes; that takes the output's name where a node of the body makes it. */
static pi_status splice_output(pi_graph *g, pi_node *node, pi_graph *body, uint32_t i, pi_error *err)
{
    pi_value *y = node->out[i], *made = body->output[i];
    pi_node *maker = owns(body, made) ? made->producer : NULL;
    if (!y) return PI_E_OK;
    if (!maker) return pi_graph_replace(g, y, made, err);
    PI_TRY(pi_graph_replace(body, made, y, err));
    for (uint32_t k = 0; k < maker->n_out; k++)
        if (maker->out[k] == made) {
            pi_node_set_out(node, i, NULL);
            pi_node_set_out(maker, k, y);
        }
    return PI_E_OK;
}

pi_status pi_graph_splice(pi_graph *g, pi_node *node, pi_graph *body, pi_error *err)
{
    pi_graph *last = body->child;
    PI_TRY(pi_graph_sort(body, err));
    if (g->n_nodes + body->n_nodes > PI_MAX_NODES) return pi_fail(err, PI_E_LIMIT, "more than %d nodes", PI_MAX_NODES);
    PI_TRY(list_grow(g->heap, &g->node, g->n_nodes + body->n_nodes, &g->room_nodes, err));
    PI_TRY(list_grow(g->heap, &g->value, g->n_values + body->n_values, &g->room_values, err));
    for (uint32_t i = 0; i < body->n_inputs; i++)
        PI_TRY(pi_graph_replace(body, body->input[i], node->in[node->n_explicit + i], err));
    for (uint32_t i = 0; i < node->n_out; i++) PI_TRY(splice_output(g, node, body, i, err));
    for (uint32_t i = 0; i < body->n_outputs; i++) body->output[i]->n_outputs--;
    for (uint32_t i = 0; i < body->n_values; i++) {
        body->value[i]->id = g->n_values;
        g->value[g->n_values++] = body->value[i];
    }
    for (uint32_t i = 0; i < body->n_nodes; i++) {
        body->node[i]->number = node->number;
        if (!body->node[i]->source) body->node[i]->source = node->source;
        g->node[g->n_nodes++] = body->node[i];
    }
    for (pi_graph *c = body->child; c; c = c->sibling) {
        c->parent = g;
        last = c;
    }
    if (last) {
        last->sibling = g->child;
        g->child = body->child;
    }
    body->child = NULL;
    body->n_nodes = body->n_values = body->n_inputs = body->n_outputs = 0;
    pi_graph_remove(g, node);
    return PI_E_OK;
}

void pi_graph_drop_input(pi_graph *g, uint32_t i)
{
    memmove(&g->input[i], &g->input[i + 1], (g->n_inputs - i - 1) * sizeof *g->input);
    g->n_inputs--;
}

/* Captured value i of the node, a constant, becomes one of each subgraph. */
static pi_status share_constant(pi_graph *g, pi_node *node, uint32_t i, pi_error *err)
{
    pi_value *v = node->in[i];
    for (uint32_t a = 0; a < node->n_attrs; a++) {
        pi_graph *body = node->attr[a].kind == PI_ATTR_GRAPH ? node->attr[a].graph : NULL;
        if (!body) continue;
        uint32_t at = body->n_inputs - (node->n_in - i);
        pi_value *c = pi_graph_constant(body, body->input[at]->name, pi_const_ref(v->constant), err);
        if (!c) return pi_alloc_status(err);
        PI_TRY(pi_graph_replace(body, body->input[at], c, err));
        pi_graph_drop_input(body, at);
    }
    for (; i + 1 < node->n_in; i++) PI_TRY(pi_node_set_in(g, node, i, node->in[i + 1], err));
    PI_TRY(pi_node_set_in(g, node, i, NULL, err));
    node->n_in--;
    return PI_E_OK;
}

pi_status pi_graph_share_constants(pi_graph *g, pi_node *node, pi_error *err)
{
    for (uint32_t a = 0; a < node->n_attrs; a++)
        if (node->attr[a].kind == PI_ATTR_GRAPH && node->attr[a].graph->n_inputs < node->n_in - node->n_explicit) return PI_E_OK;
    for (uint32_t i = node->n_in; i > node->n_explicit; i--)
        if (node->in[i - 1] && node->in[i - 1]->constant) PI_TRY(share_constant(g, node, i - 1, err));
    return PI_E_OK;
}

bool pi_value_only_use(const pi_value *v, const pi_node *node)
{
    return v->n_outputs == 0 && v->n_uses == 1 && v->use[0].node == node;
}

void pi_graph_sweep(pi_graph *g)
{
    for (uint32_t k = g->n_nodes; k-- > 0;) { /* readers stand behind, so one walk backwards finds all */
        pi_node *node = g->node[k];
        bool needed = !node->op;
        for (uint32_t i = 0; i < node->n_out && !needed; i++) {
            pi_value *v = node->out[i];
            if (v && v->n_uses == 0 && v->n_outputs == 0 && i > 0)
                pi_node_set_out(node, i, NULL); /* an optional output that nobody reads */
            needed = node->out[i] && (node->out[i]->n_uses || node->out[i]->n_outputs);
        }
        for (uint32_t i = 1; i < node->n_out; i++) {
            pi_value *v = node->out[i];
            if (v && v->n_uses == 0 && v->n_outputs == 0) pi_node_set_out(node, i, NULL);
        }
        if (!needed) pi_graph_remove(g, node);
    }
}

/* Depth first from the first node on, inputs before readers: a list that is in order stays as it is. */
pi_status pi_graph_sort(pi_graph *g, pi_error *err)
{
    pi_status st = PI_E_OK;
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++)
        if (g->node[i]->op) g->node[n++] = g->node[i];
    g->n_nodes = n;
    typedef struct {
        pi_node *node;
        uint32_t next;
    } frame;
    /* state by position in the list; positions are found through a mark kept in a side array by value id of out[0] */
    frame *stack = pi_calloc(g->heap, n + 1u, sizeof *stack, err);
    pi_node **sorted = pi_calloc(g->heap, n + 1u, sizeof *sorted, err);
    uint8_t *state = pi_calloc(g->heap, n + 1u, 1, err);
    uint32_t *place = pi_calloc(g->heap, g->n_values + 1u, sizeof *place, err);
    if (!stack || !sorted || !state || !place) {
        st = pi_alloc_status(err);
        goto done;
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t o = 0; o < g->node[i]->n_out; o++)
            if (g->node[i]->out[o]) place[g->node[i]->out[o]->id] = i;
    uint32_t n_sorted = 0;
    for (uint32_t root = 0; root < n; root++) {
        if (state[root]) continue;
        uint32_t depth = 0;
        stack[depth++] = (frame){g->node[root], 0};
        state[root] = 1;
        uint32_t at = root;
        while (depth) {
            frame *top = &stack[depth - 1];
            if (top->next < top->node->n_in) {
                pi_value *v = top->node->in[top->next++];
                if (!v || !v->producer) continue;
                at = place[v->id];
                if (state[at] == 1) {
                    char text[400];
                    st = pi_fail(err, PI_E_MODEL, "%s depends on its own output: the graph has a cycle",
                                 pi_node_text(v->producer, text, sizeof text));
                    goto done;
                }
                if (state[at] == 0) {
                    state[at] = 1;
                    stack[depth++] = (frame){g->node[at], 0};
                }
            } else {
                for (uint32_t o = 0; o < top->node->n_out; o++)
                    if (top->node->out[o]) {
                        state[place[top->node->out[o]->id]] = 2;
                        break;
                    }
                sorted[n_sorted++] = top->node;
                depth--;
            }
        }
        state[root] = 2;
    }
    if (n_sorted) memcpy(g->node, sorted, n_sorted * sizeof *sorted);
done:
    pi_free(stack);
    pi_free(sorted);
    pi_free(state);
    pi_free(place);
    return st;
}
