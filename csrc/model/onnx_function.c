/* SPDX-License-Identifier: Apache-2.0 */
/* Local functions: found by domain, name and overload, and expanded where they are called. The body's nodes go into the
 * caller's graph, with the names of a scope of their own: inputs and outputs are the caller's values, attributes are
 * bound to what the call gives. What all this comes to is counted before (onnx_budget.c). */
#include <stdio.h>
#include <string.h>
#include "model/reader.h"
#include "ops/ops.h"

/* ---- the index ---- */

/* "domain\0name\0overload" in the reader's arena. */
static char *function_key(pi_reader *r, pi_span domain, pi_span name, pi_span overload, size_t *n, pi_error *err)
{
    *n = domain.n + name.n + overload.n + 2;
    char *key = pi_arena_alloc(&r->arena, *n, err);
    if (!key) return NULL;
    if (domain.n) memcpy(key, domain.p, domain.n);
    if (name.n) memcpy(key + domain.n + 1, name.p, name.n);
    if (overload.n) memcpy(key + domain.n + name.n + 2, overload.p, overload.n);
    return key;
}

const read_function *read_find_function(const pi_reader *r, const read_node_head *node)
{
    char key[512];
    size_t n = node->domain.n + node->op.n + node->overload.n + 2;
    if (!r->n_functions || n > sizeof key) return NULL;
    memset(key, 0, n);
    if (node->domain.n) memcpy(key, node->domain.p, node->domain.n);
    memcpy(key + node->domain.n + 1, node->op.p, node->op.n);
    if (node->overload.n) memcpy(key + node->domain.n + node->op.n + 2, node->overload.p, node->overload.n);
    uint32_t i = pi_map_get(&r->function_key, key, n);
    return i == UINT32_MAX ? NULL : &r->function[i];
}

static pi_status read_function_head(pi_reader *r, pi_span message, read_function *f, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field field;
    bool more;
    pi_span none = {message.p, 0};
    *f = (read_function){.message = message, .domain = none, .name = none, .overload = none};
    for (;;) {
        PI_TRY(pi_wire_next(&w, &field, &more, err));
        if (!more) break;
        if (field.number == 1) PI_TRY(pi_field_bytes(&field, &f->name, err));
        if (field.number == 10) PI_TRY(pi_field_bytes(&field, &f->domain, err));
        if (field.number == 13) PI_TRY(pi_field_bytes(&field, &f->overload, err));
    }
    if (!f->name.n) return pi_fail(err, PI_E_MODEL, "a local function has no name");
    if (f->domain.n + f->name.n + f->overload.n + 2 > 512)
        return pi_fail(err, PI_E_LIMIT, "the name of function '%s' is too long", read_text(r, f->name));
    if (pi_span_is(f->domain, "ai.onnx")) f->domain.n = 0;
    if (pi_span_is(f->domain, "pyinfer"))
        return pi_fail(err, PI_E_MODEL, "the domain 'pyinfer' is internal to the engine and cannot stand in a file");
    return read_opset_imports(r, message, 9, &f->opsets, err);
}

pi_status read_functions(pi_reader *r, pi_span model, pi_span graph, pi_error *err)
{
    pi_field field;
    bool more;
    uint32_t n = 0;
    for (int second = 0; second < 2; second++) { /* count, then fill */
        pi_wire w = pi_wire_over(model, r->base);
        for (;;) {
            pi_span s;
            PI_TRY(pi_wire_next(&w, &field, &more, err));
            if (!more) break;
            if (field.number != 25) continue;
            PI_TRY(pi_field_bytes(&field, &s, err));
            if (!second) {
                n++;
                continue;
            }
            if (r->n_functions == n) break;
            read_function *f = &r->function[r->n_functions];
            PI_TRY(read_function_head(r, s, f, err));
            size_t k;
            const char *key = function_key(r, f->domain, f->name, f->overload, &k, err);
            if (!key) return pi_alloc_status(err);
            if (pi_map_get(&r->function_key, key, k) != UINT32_MAX)
                return pi_fail(err, PI_E_MODEL, "function '%s' is defined twice", read_text(r, f->name));
            PI_TRY(pi_map_set(&r->function_key, key, k, r->n_functions++, err));
        }
        if (n == 0) return PI_E_OK;
        if (n > PI_MAX_NODES / 4) return pi_fail(err, PI_E_LIMIT, "the model has %u functions", n);
        if (!second && !(r->function = pi_arena_calloc(&r->arena, n, sizeof *r->function, err))) return pi_alloc_status(err);
    }
    return read_budget(r, graph, err);
}

/* ---- expansion ---- */

typedef struct {
    pi_scope scope;
    pi_value **in; /* of the call; NULL entries are absent */
    read_binding *binding;
    uint32_t n_in, n_formal, room_bindings;
    char prefix[256], source[240];
} expansion;

/* The call's inputs, in the caller's scope. */
static pi_status call_inputs(pi_reader *r, pi_scope *caller, const read_node_head *call, expansion *x, pi_error *err)
{
    pi_wire w = pi_wire_over(call->message, r->base);
    pi_field f;
    bool more;
    x->in = pi_calloc(r->heap, call->n_in + 1u, sizeof *x->in, err);
    if (!x->in) return pi_alloc_status(err);
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) return PI_E_OK;
        if (f.number != 1 || x->n_in == call->n_in) continue;
        if (f.bytes.n) PI_TRY(read_lookup(r, caller, f.bytes, &x->in[x->n_in], err));
        x->n_in++;
    }
}

static pi_status bind_inputs(pi_reader *r, const read_function *fn, expansion *x, pi_error *err)
{
    pi_wire w = pi_wire_over(fn->message, r->base);
    pi_field f;
    bool more;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number != 4) continue;
        PI_TRY(pi_field_bytes(&f, &f.bytes, err));
        const pi_value *v = x->n_formal < x->n_in ? x->in[x->n_formal] : NULL;
        x->n_formal++;
        if (!f.bytes.n) continue;
        const char *key = (const char *)f.bytes.p;
        if (pi_map_get(&x->scope.names, key, f.bytes.n) != UINT32_MAX)
            return pi_fail(err, PI_E_MODEL, "two inputs of the function are named '%s'", read_text(r, f.bytes));
        PI_TRY(pi_map_set(&x->scope.names, key, f.bytes.n, v ? v->id : (uint32_t)READ_ABSENT, err));
    }
    if (x->n_in > x->n_formal)
        return pi_fail(err, PI_E_MODEL, "%u inputs, but the function has %u", x->n_in, x->n_formal);
    return PI_E_OK;
}

/* Output i of the call, NULL if it is not wanted or there is none. */
static pi_value *next_output(const pi_scope *caller, pi_wire *w, bool *more)
{
    pi_field f;
    for (;;) {
        if (pi_wire_next(w, &f, more, NULL) != PI_E_OK || !*more) return NULL; /* walked before: no error */
        if (f.number != 2) continue;
        if (!f.bytes.n) return NULL;
        uint32_t id = pi_map_get(&caller->names, (const char *)f.bytes.p, f.bytes.n);
        return id == UINT32_MAX ? NULL : caller->g->value[id & READ_ABSENT];
    }
}

static pi_status bind_outputs(pi_reader *r, const pi_scope *caller, const read_node_head *call, const read_function *fn,
                              expansion *x, pi_error *err)
{
    pi_wire w = pi_wire_over(fn->message, r->base), calls = pi_wire_over(call->message, r->base);
    pi_field f;
    bool more, wanted = true;
    uint32_t n = 0;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number != 5) continue;
        PI_TRY(pi_field_bytes(&f, &f.bytes, err));
        n++;
        const pi_value *v = wanted ? next_output(caller, &calls, &wanted) : NULL;
        if (v && f.bytes.n) PI_TRY(pi_map_set(&x->scope.results, (const char *)f.bytes.p, f.bytes.n, v->id, err));
    }
    return call->n_out > n ? pi_fail(err, PI_E_MODEL, "%u outputs, but the function has %u", call->n_out, n) : PI_E_OK;
}

static pi_status add_binding(pi_reader *r, expansion *x, pi_span name, pi_span value, pi_error *err)
{
    for (uint32_t i = 0; i < x->scope.n_bindings; i++)
        if (pi_span_same(x->binding[i].name, name)) return PI_E_OK;
    if (x->scope.n_bindings == 2 * READ_ATTRS)
        return pi_fail(err, PI_E_LIMIT, "a function with more than %d attributes", 2 * READ_ATTRS);
    if (x->scope.n_bindings == x->room_bindings) {
        uint32_t room = x->room_bindings ? 2 * x->room_bindings : 8;
        read_binding *list = pi_realloc(r->heap, x->binding, room * sizeof *list, err);
        if (!list) return pi_alloc_status(err);
        x->binding = list;
        x->room_bindings = room;
    }
    x->binding[x->scope.n_bindings++] = (read_binding){name, value};
    return PI_E_OK;
}

/* Attributes of the call (field 5), then the function's defaults (field 11). */
static pi_status bind_attrs(pi_reader *r, const pi_scope *caller, pi_span message, uint32_t number, expansion *x, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more, present;
    for (;;) {
        read_attr_head a;
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) return PI_E_OK;
        if (f.number != number) continue;
        PI_TRY(pi_field_bytes(&f, &f.bytes, err));
        PI_TRY(read_attr(r, caller, f.bytes, &a, &present, err));
        if (present) PI_TRY(add_binding(r, x, a.name, a.message, err));
    }
}

/* Outputs that are inputs of the function, or one value under two names, get an Identity. */
static pi_status finish_outputs(pi_reader *r, const pi_scope *caller, const read_node_head *call, const read_function *fn,
                                expansion *x, pi_error *err)
{
    pi_wire w = pi_wire_over(fn->message, r->base), calls = pi_wire_over(call->message, r->base);
    pi_field f;
    bool more, wanted = true;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) return PI_E_OK;
        if (f.number != 5) continue;
        pi_value *to = wanted ? next_output(caller, &calls, &wanted) : NULL;
        if (!to) continue;
        uint32_t id = pi_map_get(&x->scope.names, (const char *)f.bytes.p, f.bytes.n);
        if (!f.bytes.n || id == UINT32_MAX || id == READ_ABSENT)
            return pi_fail(err, PI_E_MODEL, "no node of the function makes its output '%s'", read_text(r, f.bytes));
        pi_value *from = x->scope.g->value[id & READ_ABSENT];
        if (from == to) continue;
        const pi_op *identity = pi_op_find(NULL, "Identity", INT64_MAX);
        if (!identity) return pi_fail(err, PI_E_UNSUPPORTED, "Identity is not supported");
        pi_node *node = pi_graph_node(x->scope.g, identity, x->prefix, 1, 1, err);
        if (!node) return pi_alloc_status(err);
        node->number = call->number;
        node->source = x->scope.source;
        PI_TRY(pi_node_set_in(x->scope.g, node, 0, from, err));
        pi_node_set_out(node, 0, to);
    }
}

/* Names inside are "caller/call/name", cut if that gets long. */
static void set_prefix(pi_reader *r, const pi_scope *caller, const read_node_head *call, expansion *x)
{
    const char *outer = caller->prefix ? caller->prefix : "";
    if (call->name.n)
        (void)snprintf(x->prefix, sizeof x->prefix, "%.140s%s/", outer, read_text(r, call->name));
    else
        (void)snprintf(x->prefix, sizeof x->prefix, "%.140s%s_%u/", outer, read_text(r, call->op), call->number);
    x->scope.prefix = x->prefix;
}

static pi_status set_source(pi_reader *r, const pi_scope *caller, const read_node_head *call, expansion *x, pi_error *err)
{
    pi_span trace;
    x->scope.source = caller->source;
    PI_TRY(read_trace(r, call, &trace, err));
    read_source_line(trace, x->source, sizeof x->source);
    if (!x->source[0]) return PI_E_OK;
    x->scope.source = pi_arena_strndup(&caller->g->arena, x->source, strlen(x->source), err);
    return x->scope.source ? PI_E_OK : pi_alloc_status(err);
}

pi_status read_expand(pi_reader *r, pi_scope *caller, const read_node_head *call, const read_function *fn, pi_error *err)
{
    pi_status st = PI_E_OK;
    if (r->depth >= PI_MAX_DEPTH)
        return pi_fail(err, PI_E_LIMIT, "subgraphs and functions are nested more than %d deep", PI_MAX_DEPTH);
    expansion *x = pi_calloc(r->heap, 1, sizeof *x, err); /* off the stack: this nests */
    if (!x) return pi_alloc_status(err);
    x->scope = (pi_scope){.g = caller->g, .opsets = fn->opsets.n ? fn->opsets : caller->opsets, .in_function = true};
    pi_map_init(&x->scope.names, r->heap);
    pi_map_init(&x->scope.results, r->heap);
    set_prefix(r, caller, call, x);
    r->depth++;
    PI_TRY_DONE(set_source(r, caller, call, x, err));
    PI_TRY_DONE(call_inputs(r, caller, call, x, err));
    PI_TRY_DONE(bind_inputs(r, fn, x, err));
    PI_TRY_DONE(bind_outputs(r, caller, call, fn, x, err));
    PI_TRY_DONE(bind_attrs(r, caller, call->message, 5, x, err));
    PI_TRY_DONE(bind_attrs(r, caller, fn->message, 11, x, err));
    x->scope.binding = x->binding;
    PI_TRY_DONE(read_nodes(r, &x->scope, fn->message, 7, err));
    PI_TRY_DONE(finish_outputs(r, caller, call, fn, x, err));
done:
    r->depth--;
    pi_map_deinit(&x->scope.names);
    pi_map_deinit(&x->scope.results);
    pi_free(x->in);
    pi_free(x->binding);
    pi_free(x);
    return st;
}
