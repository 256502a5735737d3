/* SPDX-License-Identifier: Apache-2.0 */
/* What a model comes to when its functions are expanded, counted on the calls alone: each function once, whatever its
 * number of callers, so a model that doubles sixty times is refused at once. */
#include <string.h>
#include "model/reader.h"

/* Walks all nodes of a graph or function, subgraphs included, with a stack of walks. */
typedef enum { OF_GRAPH, OF_FUNCTION, OF_NODE, OF_ATTR } walk_kind;
typedef struct {
    pi_wire wire;
    walk_kind kind;
} walk;
enum { WALKS = 3 * PI_MAX_DEPTH + 4 };

typedef struct {
    walk *stack;
    uint32_t *edge; /* functions that are called, one entry a call */
    uint32_t n_edges, room_edges;
    uint64_t nodes, bytes; /* of the graph or function being walked */
} counter;

static pi_status add_edge(pi_reader *r, counter *c, uint32_t to, pi_error *err)
{
    if (c->n_edges == c->room_edges) {
        uint32_t room = c->room_edges ? 2 * c->room_edges : 256;
        if (room > 64u * PI_MAX_NODES) return pi_fail(err, PI_E_LIMIT, "more than %d calls of functions", 64 * PI_MAX_NODES);
        uint32_t *list = pi_realloc(r->heap, c->edge, room * sizeof *list, err);
        if (!list) return pi_alloc_status(err);
        c->edge = list;
        c->room_edges = room;
    }
    c->edge[c->n_edges++] = to;
    return PI_E_OK;
}

static pi_status count_node(pi_reader *r, counter *c, pi_span message, pi_error *err)
{
    read_node_head node;
    PI_TRY(read_node(r, message, (uint32_t)c->nodes, &node, err));
    c->nodes++;
    c->bytes += message.n < (1u << 20) ? message.n : 1u << 20; /* a tensor in it is not read again and again */
    const read_function *f = read_find_function(r, &node);
    return f ? add_edge(r, c, (uint32_t)(f - r->function), err) : PI_E_OK;
}

static pi_status count(pi_reader *r, counter *c, pi_span message, walk_kind kind, pi_error *err)
{
    uint32_t depth = 0;
    pi_field f;
    bool more;
    c->nodes = c->bytes = 0;
    c->stack[depth++] = (walk){pi_wire_over(message, r->base), kind};
    while (depth) {
        walk *top = &c->stack[depth - 1];
        PI_TRY(pi_wire_next(&top->wire, &f, &more, err));
        if (!more) {
            depth--;
            continue;
        }
        if (f.type != PI_WIRE_BYTES) continue;
        walk_kind inner;
        if ((top->kind == OF_GRAPH && f.number == 1) || (top->kind == OF_FUNCTION && f.number == 7)) {
            PI_TRY(count_node(r, c, f.bytes, err));
            inner = OF_NODE;
        } else if (top->kind == OF_NODE && f.number == 5) {
            inner = OF_ATTR;
        } else if (top->kind == OF_ATTR && f.number == 6) {
            inner = OF_GRAPH;
        } else {
            continue;
        }
        if (depth == WALKS)
            return pi_fail(err, PI_E_LIMIT, "subgraphs and functions are nested more than %d deep", PI_MAX_DEPTH);
        c->stack[depth++] = (walk){pi_wire_over(f.bytes, r->base), inner};
    }
    return PI_E_OK;
}

static void add(uint64_t *to, uint64_t n)
{
    if (__builtin_add_overflow(*to, n, to)) *to = UINT64_MAX;
}

/* Functions in the order of the calls, callees first; cycles are found. Then each is counted once. */
static pi_status total(pi_reader *r, const counter *c, pi_error *err)
{
    pi_status st = PI_E_OK;
    typedef struct {
        uint32_t function, next;
    } frame;
    enum { NEW, OPEN, DONE };
    frame *stack = pi_calloc(r->heap, r->n_functions, sizeof *stack, err);
    uint8_t *state = pi_calloc(r->heap, r->n_functions, 1, err);
    if (!stack || !state) {
        st = pi_alloc_status(err);
        goto done;
    }
    for (uint32_t root = 0; root < r->n_functions; root++) {
        uint32_t depth = 0;
        if (state[root] != NEW) continue;
        state[root] = OPEN;
        stack[depth++] = (frame){root, 0};
        while (depth) {
            frame *top = &stack[depth - 1];
            read_function *f = &r->function[top->function];
            if (top->next == f->n_edges) {
                state[top->function] = DONE;
                depth--;
                continue;
            }
            uint32_t to = c->edge[f->first_edge + top->next];
            if (state[to] == DONE) {
                add(&f->nodes, r->function[to].nodes);
                add(&f->bytes, r->function[to].bytes);
                top->next++;
            } else if (state[to] == OPEN) {
                st = pi_fail(err, PI_E_MODEL, "function '%s' calls itself, directly or through others",
                             read_text(r, r->function[to].name));
                goto done;
            } else {
                state[to] = OPEN;
                stack[depth++] = (frame){to, 0};
            }
        }
    }
done:
    pi_free(stack);
    pi_free(state);
    return st;
}

pi_status read_budget(pi_reader *r, pi_span graph, pi_error *err)
{
    pi_status st = PI_E_OK;
    counter c = {0};
    c.stack = pi_calloc(r->heap, WALKS, sizeof *c.stack, err);
    if (!c.stack) return pi_alloc_status(err);
    for (uint32_t i = 0; i < r->n_functions; i++) {
        read_function *f = &r->function[i];
        f->first_edge = c.n_edges;
        PI_TRY_DONE(count(r, &c, f->message, OF_FUNCTION, err));
        f->nodes = c.nodes;
        f->bytes = c.bytes;
        f->n_edges = c.n_edges - f->first_edge;
    }
    PI_TRY_DONE(total(r, &c, err));
    uint32_t first = c.n_edges;
    PI_TRY_DONE(count(r, &c, graph, OF_GRAPH, err));
    uint64_t nodes = c.nodes, bytes = 0;
    for (uint32_t k = first; k < c.n_edges; k++) {
        add(&nodes, r->function[c.edge[k]].nodes);
        add(&bytes, r->function[c.edge[k]].bytes);
    }
    if (nodes > PI_MAX_NODES)
        st = pi_fail(err, PI_E_LIMIT, "the model has %llu nodes when its functions are expanded, at most %d are allowed",
                     (unsigned long long)nodes, PI_MAX_NODES);
    else if (bytes > READ_EXPANDED)
        st = pi_fail(err, PI_E_LIMIT, "the model has %llu bytes of functions when they are expanded, at most %d are allowed",
                     (unsigned long long)bytes, READ_EXPANDED);
done:
    pi_free(c.stack);
    pi_free(c.edge);
    return st;
}
