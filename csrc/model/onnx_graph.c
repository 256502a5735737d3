/* SPDX-License-Identifier: Apache-2.0 */
/* GraphProto. Names are declared first (constants, inputs, outputs of nodes), then nodes are read: the order of nodes in
 * the file does not matter, and pi_graph_sort puts them right and finds cycles. */
#include <string.h>
#include "model/reader.h"

static pi_status declare(pi_reader *r, pi_scope *scope, pi_span name, uint32_t number, const char *what, pi_error *err)
{
    if (!name.n) return pi_fail(err, PI_E_MODEL, "%s has no name", what);
    if (pi_map_get(&scope->names, (const char *)name.p, name.n) != UINT32_MAX)
        return pi_fail(err, PI_E_MODEL, "the name '%s' of %s is taken by another value of the same graph", read_text(r, name),
                       what);
    return pi_map_set(&scope->names, (const char *)name.p, name.n, number, err);
}

/* ---- initialisers ---- */

static pi_status add_constant(pi_reader *r, pi_scope *scope, pi_span name, pi_const *c, pi_error *err)
{
    const char *text = read_name(r, scope->prefix, name, err);
    if (!text) {
        pi_const_unref(c);
        return pi_alloc_status(err);
    }
    pi_value *v = pi_graph_constant(scope->g, text, c, err);
    if (!v) return pi_alloc_status(err);
    return declare(r, scope, name, v->id, "an initializer", err);
}

static pi_status read_initializers(pi_reader *r, pi_scope *scope, pi_span message, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    for (;;) {
        pi_span s, name = {message.p, 0};
        pi_const *c;
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) return PI_E_OK;
        if (f.number != 5 && f.number != 15) continue;
        PI_TRY(pi_field_bytes(&f, &s, err));
        if (f.number == 5)
            PI_TRY(read_tensor(r, s, &name, &c, err));
        else
            PI_TRY(read_sparse(r, s, &name, &c, err));
        PI_TRY(add_constant(r, scope, name, c, err));
    }
}

/* ---- inputs and outputs ---- */

/* Whether a symbol stands for one size wherever it is written: exporters also write "?", "-1" or "None" for any size. */
static bool names_a_size(pi_span symbol)
{
    bool letter = false;
    for (size_t i = 0; i < symbol.n; i++) {
        uint8_t c = symbol.p[i];
        letter = letter || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
    }
    return letter && !pi_span_is(symbol, "None") && !pi_span_is(symbol, "unknown");
}

/* A TensorShapeProto.Dimension. */
static pi_status read_dim(pi_reader *r, pi_arena *arena, pi_port *port, pi_span message, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    int64_t dim = -1;
    pi_span symbol = {0};
    if (port->t.rank == PI_MAX_RANK) return pi_fail(err, PI_E_LIMIT, "more than %d dimensions", PI_MAX_RANK);
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number == 1) PI_TRY(pi_field_int(&f, &dim, err));
        if (f.number == 2) PI_TRY(pi_field_bytes(&f, &symbol, err));
    }
    if (dim < -1) return pi_fail(err, PI_E_MODEL, "dimension %d is %lld", port->t.rank, (long long)dim);
    if (dim < 0 && names_a_size(symbol)) {
        const char *name = read_name(r, NULL, symbol, err);
        if (!name || !(port->dim_name[port->t.rank] = pi_arena_strndup(arena, name, strlen(name), err)))
            return pi_alloc_status(err);
    }
    port->t.dim[port->t.rank++] = dim;
    return PI_E_OK;
}

/* A TypeProto.Tensor. */
static pi_status read_tensor_type(pi_reader *r, pi_arena *arena, pi_port *port, pi_span message, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base), dims;
    pi_field f;
    bool more;
    pi_span shape = {0}, s;
    int64_t type = 0, n;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number == 1) PI_TRY(pi_field_int(&f, &type, err));
        if (f.number == 2) PI_TRY(pi_field_bytes(&f, &shape, err));
    }
    port->t.dtype = pi_dtype_from_id(type);
    if (type != 0 && port->t.dtype == PI_DTYPE_NONE)
        return pi_fail(err, type > 0 && type < 64 ? PI_E_UNSUPPORTED : PI_E_MODEL, "element type %lld is not known", (long long)type);
    if (!shape.p) return PI_E_OK;
    port->t.rank = 0;
    dims = pi_wire_over(shape, r->base);
    for (;;) {
        PI_TRY(pi_wire_next(&dims, &f, &more, err));
        if (!more) break;
        if (f.number != 1) continue;
        PI_TRY(pi_field_bytes(&f, &s, err));
        PI_TRY(read_dim(r, arena, port, s, err));
    }
    return pi_tensor_known(&port->t) ? pi_tensor_count(&port->t, &n, err) : PI_E_OK;
}

/* The type inside of a TypeProto.Sequence or TypeProto.Optional (field 1), or TypeProto.Map (field 2). */
static pi_status read_elem_type(pi_reader *r, pi_span message, uint32_t number, pi_span *elem, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    *elem = (pi_span){message.p, 0};
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) return PI_E_OK;
        if (f.number == number) PI_TRY(pi_field_bytes(&f, elem, err));
    }
}

static pi_status refuse_type(const char *kind, const char *where, pi_error *err)
{
    return pi_fail(err, PI_E_UNSUPPORTED, "it is %s%s: only tensors, sequences of tensors and optionals of these are supported",
                   kind, where);
}

/* A TypeProto: a tensor, a sequence of tensors or of maps, or an optional of tensor or sequence of tensors. */
static pi_status read_type(pi_reader *r, pi_arena *arena, pi_port *port, pi_span message, pi_error *err)
{
    static const char *const kinds[] = {[4] = "a sequence", [5] = "a map", [7] = "opaque", [8] = "a sparse tensor",
                                        [9] = "an optional"};
    for (;;) {
        pi_wire w = pi_wire_over(message, r->base);
        pi_field f;
        bool more, inner = false;
        pi_span s;
        for (;;) {
            PI_TRY(pi_wire_next(&w, &f, &more, err));
            if (!more) break;
            if (f.number == 1) {
                PI_TRY(pi_field_bytes(&f, &s, err));
                PI_TRY(read_tensor_type(r, arena, port, s, err));
            }
            if (f.number >= PI_COUNT(kinds) || !kinds[f.number]) continue;
            bool sequence = f.number == 4, optional = f.number == 9, maps = f.number == 5 && port->sequence && !port->optional;
            if (maps) {
                port->maps = true;
                port->sequence = false;
            } else if ((!sequence && !optional) || port->sequence || port->maps || (optional && port->optional))
                return refuse_type(kinds[f.number], port->sequence   ? " in a sequence"
                                                    : port->optional ? " in an optional"
                                                    : port->maps     ? " in a map"
                                                                     : "", err);
            port->sequence |= sequence;
            port->optional |= optional;
            PI_TRY(pi_field_bytes(&f, &s, err));
            PI_TRY(read_elem_type(r, s, maps ? 2 : 1, &message, err));
            inner = true;
            break;
        }
        if (!inner) break;
    }
    if (port->maps) port->t.rank = -1; /* what was read is the type of a map's value */
    return PI_E_OK;
}

/* What a value of this port is to the graph. */
static pi_tensor port_tensor(const pi_port *port)
{
    if (port->optional || port->sequence) return (pi_tensor){.dtype = port->optional ? PI_DTYPE_OPT : PI_DTYPE_SEQ};
    return port->t;
}

/* A ValueInfoProto; texts go to the arena. */
static pi_status read_port(pi_reader *r, pi_arena *arena, pi_span message, pi_span *name, pi_port *port, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    pi_span type = {0};
    *name = (pi_span){message.p, 0};
    *port = (pi_port){.t.rank = -1};
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number == 1) PI_TRY(pi_field_bytes(&f, name, err));
        if (f.number == 2) PI_TRY(pi_field_bytes(&f, &type, err));
    }
    return type.p ? read_type(r, arena, port, type, err) : PI_E_OK;
}

static pi_status set_dim_names(pi_graph *g, pi_value *v, const pi_port *port, pi_error *err)
{
    const char **names = pi_arena_calloc(&g->arena, PI_MAX_RANK, sizeof *names, err);
    if (!names) return pi_alloc_status(err);
    for (int i = 0; i < PI_MAX_RANK; i++)
        if (port->dim_name[i] && !(names[i] = pi_arena_strndup(&g->arena, port->dim_name[i], strlen(port->dim_name[i]), err)))
            return pi_alloc_status(err);
    v->dim_name = names;
    return PI_E_OK;
}

static pi_status add_input(pi_reader *r, pi_scope *scope, pi_span name, const pi_port *port, pi_error *err)
{
    const char *text = read_name(r, scope->prefix, name, err);
    pi_value *v = text ? pi_graph_value(scope->g, text, err) : NULL;
    if (!v) return pi_alloc_status(err);
    PI_TRY(declare(r, scope, name, v->id, "an input", err));
    if (port->maps) return refuse_type("a map", " in a sequence", err);
    v->t = port_tensor(port); /* of a body: each run says what it is, see pi_session_new_body */
    if (scope->g->parent == NULL) {
        if (port->t.dtype == PI_DTYPE_NONE) return pi_fail(err, PI_E_MODEL, "it has no element type");
        PI_TRY(set_dim_names(scope->g, v, port, err));
    }
    return pi_graph_add_input(scope->g, v, err);
}

static pi_status add_output(pi_reader *r, pi_scope *scope, pi_span name, const pi_port *port, pi_error *err)
{
    pi_value *v;
    if (!name.n) return pi_fail(err, PI_E_MODEL, "it has no name");
    PI_TRY(read_lookup(r, scope, name, &v, err));
    if (!v) return pi_fail(err, PI_E_MODEL, "it is an input that the caller of the function left out");
    if (port->maps && !(v->producer && v->producer->op && strcmp(v->producer->op->name, "ZipMap") == 0))
        return refuse_type("a map", " in a sequence", err);
    if (v->producer && v->t.rank < 0) {
        v->t = port_tensor(port); /* inference overwrites it */
        if (scope->g->parent == NULL) PI_TRY(set_dim_names(scope->g, v, port, err));
    }
    return pi_graph_add_output(scope->g, v, err);
}

/* All inputs (field 11) or outputs (12). Of the main graph they become ports of the model too. */
static pi_status read_ports(pi_reader *r, pi_scope *scope, pi_span message, uint32_t number, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more, main = scope->g->parent == NULL, input = number == 11;
    pi_arena *arena = main ? &r->model->arena : &scope->g->arena;
    pi_port *list = NULL, port;
    uint32_t n = 0, room = 0;
    pi_span s, name;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number != number) continue;
        PI_TRY(pi_field_bytes(&f, &s, err));
        if (n == PI_MAX_ARITY) return pi_fail(err, PI_E_LIMIT, "more than %d inputs or outputs", PI_MAX_ARITY);
        pi_status st = read_port(r, arena, s, &name, &port, err);
        if (st == PI_E_OK && input) { /* a constant that is listed as an input too, as old files must, is a constant */
            uint32_t id = name.n ? pi_map_get(&scope->names, (const char *)name.p, name.n) : UINT32_MAX;
            if (id != UINT32_MAX && scope->g->value[id]->constant) continue;
        }
        if (st == PI_E_OK) st = input ? add_input(r, scope, name, &port, err) : add_output(r, scope, name, &port, err);
        if (st != PI_E_OK) {
            pi_error_prefix(err, "%s '%s': ", input ? "input" : "output", read_text(r, name));
            return st;
        }
        if (!main) continue;
        if (n == room) {
            room = room ? 2 * room : 8;
            pi_port *grown = pi_arena_calloc(arena, room, sizeof *grown, err);
            if (!grown) return pi_alloc_status(err);
            if (n) memcpy(grown, list, n * sizeof *list);
            list = grown;
        }
        port.name = read_copy(arena, name, err);
        if (!port.name) return pi_alloc_status(err);
        list[n++] = port;
    }
    if (main && input) r->model->input = list, r->model->n_inputs = n;
    if (main && !input) r->model->output = list, r->model->n_outputs = n;
    return PI_E_OK;
}

static pi_status read_graph_name(pi_reader *r, pi_scope *scope, pi_span message, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    pi_span name = {message.p, 0};
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number == 2) PI_TRY(pi_field_bytes(&f, &name, err));
    }
    scope->g->name = read_copy(&scope->g->arena, name, err);
    return scope->g->name ? PI_E_OK : pi_alloc_status(err);
}

pi_status read_graph(pi_reader *r, pi_scope *scope, pi_span message, pi_error *err)
{
    PI_TRY(read_graph_name(r, scope, message, err));
    PI_TRY(read_initializers(r, scope, message, err));
    PI_TRY(read_ports(r, scope, message, 11, err));
    PI_TRY(read_nodes(r, scope, message, 1, err));
    if (r->n_unsupported) return PI_E_OK; /* some values have no maker, and the error is known */
    PI_TRY(read_ports(r, scope, message, 12, err));
    if (scope->g->parent == NULL && scope->g->n_outputs == 0) return pi_fail(err, PI_E_MODEL, "the graph has no outputs");
    return pi_graph_sort(scope->g, err);
}
