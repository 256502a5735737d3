/* SPDX-License-Identifier: Apache-2.0 */
/* AttributeProto, and Constant nodes, which are nothing but one attribute. */
#include <string.h>
#include "model/reader.h"

static const uint8_t kind_of_field[] = {
    [2] = PI_ATTR_FLOAT,   [3] = PI_ATTR_INT,      [4] = PI_ATTR_STRING, [5] = PI_ATTR_TENSOR, [6] = PI_ATTR_GRAPH,
    [7] = PI_ATTR_FLOATS,  [8] = PI_ATTR_INTS,     [9] = PI_ATTR_STRINGS, [10] = PI_ATTR_TENSORS, [11] = PI_ATTR_GRAPHS,
    [14] = PI_ATTR_TYPE,   [22] = PI_ATTR_SPARSE,
};

static pi_status read_head(pi_reader *r, pi_span message, read_attr_head *a, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    size_t n;
    int64_t seen = 0;
    *a = (read_attr_head){.message = message, .name = {message.p, 0}, .s = {message.p, 0}};
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        switch (f.number) {
        case 1: PI_TRY(pi_field_bytes(&f, &a->name, err)); break;
        case 2: PI_TRY(pi_field_f32(&f, &a->f, err)); break;
        case 3: PI_TRY(pi_field_int(&f, &a->i, err)); break;
        case 4: PI_TRY(pi_field_bytes(&f, &a->s, err)); break;
        case 5: PI_TRY(pi_field_bytes(&f, &a->t, err)); break;
        case 6: PI_TRY(pi_field_bytes(&f, &a->g, err)); break;
        case 7:
            PI_TRY(pi_field_count(&f, PI_WIRE_FIXED32, &n, err));
            a->n_floats += n;
            break;
        case 8:
            PI_TRY(pi_field_count(&f, PI_WIRE_VARINT, &n, err));
            a->n_ints += n;
            break;
        case 9:
            if (f.type != PI_WIRE_BYTES) return pi_fail(err, PI_E_MODEL, "its strings have the wrong wire type");
            a->n_strings++;
            break;
        case 20: PI_TRY(pi_field_int(&f, &a->kind, err)); break;
        case 21: PI_TRY(pi_field_bytes(&f, &a->ref, err)); break;
        case 22: PI_TRY(pi_field_bytes(&f, &a->sparse, err)); break;
        default: break;
        }
        if (f.number < PI_COUNT(kind_of_field) && kind_of_field[f.number]) seen = kind_of_field[f.number];
    }
    if (a->kind == PI_ATTR_NONE && !a->ref.n) a->kind = seen; /* files of 2017 leave the kind out */
    if (!a->name.n) return pi_fail(err, PI_E_MODEL, "an attribute has no name");
    if (a->kind < 0 || a->kind > 14) return pi_fail(err, PI_E_MODEL, "its kind %lld does not exist", (long long)a->kind);
    return PI_E_OK;
}

pi_status read_attr(pi_reader *r, const pi_scope *scope, pi_span message, read_attr_head *a, bool *present, pi_error *err)
{
    *present = true;
    PI_TRY(read_head(r, message, a, err));
    if (!a->ref.n) return PI_E_OK;
    if (!scope->in_function)
        return pi_fail(err, PI_E_MODEL, "attribute '%s' refers to '%s', but is not inside a function", read_text(r, a->name),
                       read_text(r, a->ref));
    *present = false;
    for (uint32_t i = 0; i < scope->n_bindings; i++) {
        if (!pi_span_same(scope->binding[i].name, a->ref)) continue;
        read_attr_head given;
        PI_TRY(read_head(r, scope->binding[i].value, &given, err)); /* resolved when the function was called */
        if (a->kind != PI_ATTR_NONE && given.kind != a->kind)
            return pi_fail(err, PI_E_MODEL, "attribute '%s' wants kind %lld, but '%s' of the call has kind %lld",
                           read_text(r, a->name), (long long)a->kind, read_text(r, given.name), (long long)given.kind);
        if (given.kind == PI_ATTR_GRAPH || given.kind == PI_ATTR_GRAPHS)
            return pi_fail(err, PI_E_UNSUPPORTED, "attribute '%s': graphs as arguments of functions are not supported",
                           read_text(r, a->name));
        given.name = a->name;
        *a = given;
        *present = true;
        break;
    }
    return PI_E_OK;
}

static pi_status strings_value(pi_reader *r, pi_graph *g, const read_attr_head *a, pi_attr *out, pi_error *err)
{
    pi_wire w = pi_wire_over(a->message, r->base);
    pi_field f;
    bool more;
    uint32_t n = 0;
    pi_text *list = pi_arena_calloc(&g->arena, a->n_strings ? a->n_strings : 1, sizeof *list, err);
    if (!list) return pi_alloc_status(err);
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number != 9 || n >= a->n_strings) continue;
        list[n].n = f.bytes.n;
        list[n].bytes = pi_arena_strndup(&g->arena, (const char *)f.bytes.p, f.bytes.n, err);
        if (!list[n++].bytes) return pi_alloc_status(err);
    }
    out->n = n;
    out->strings = list;
    return PI_E_OK;
}

pi_status read_attr_value(pi_reader *r, pi_graph *g, const read_attr_head *a, pi_attr *out, pi_error *err)
{
    pi_wire w = pi_wire_over(a->message, r->base);
    const char *name = read_name(r, NULL, a->name, err);
    if (!name || !(name = pi_arena_strndup(&g->arena, name, strlen(name), err))) return pi_alloc_status(err);
    *out = (pi_attr){.name = name, .kind = (pi_attr_kind)a->kind, .n = 1};
    if (a->n_floats > PI_MAX_NODES * 64u || a->n_ints > PI_MAX_NODES * 64u || a->n_strings > PI_MAX_NODES * 64u)
        return pi_fail(err, PI_E_LIMIT, "attribute '%s' has too many elements", read_text(r, a->name));
    switch (a->kind) {
    case PI_ATTR_FLOAT: out->f = a->f; return PI_E_OK;
    case PI_ATTR_INT: out->i = a->i; return PI_E_OK;
    case PI_ATTR_STRING:
        out->s.n = a->s.n;
        out->s.bytes = pi_arena_strndup(&g->arena, (const char *)a->s.p, a->s.n, err);
        return out->s.bytes ? PI_E_OK : pi_alloc_status(err);
    case PI_ATTR_TENSOR:
        if (!a->t.p) return pi_fail(err, PI_E_MODEL, "attribute '%s' is a tensor without data", read_text(r, a->name));
        return read_tensor(r, a->t, NULL, &out->tensor, err);
    case PI_ATTR_FLOATS: {
        float *list = pi_arena_calloc(&g->arena, a->n_floats ? a->n_floats : 1, sizeof *list, err);
        if (!list) return pi_alloc_status(err);
        out->floats = list;
        out->n = (uint32_t)a->n_floats;
        return read_numbers(w, 7, PI_WIRE_FIXED32, sizeof *list, list, a->n_floats, err);
    }
    case PI_ATTR_INTS: {
        int64_t *list = pi_arena_calloc(&g->arena, a->n_ints ? a->n_ints : 1, sizeof *list, err);
        if (!list) return pi_alloc_status(err);
        out->ints = list;
        out->n = (uint32_t)a->n_ints;
        return read_numbers(w, 8, PI_WIRE_VARINT, sizeof *list, list, a->n_ints, err);
    }
    case PI_ATTR_STRINGS: return strings_value(r, g, a, out, err);
    default: out->n = 0; return PI_E_OK; /* a kind that no operator here takes: the check of attributes says so */
    }
}

/* ---- Constant ---- */

static pi_status constant_numbers(pi_reader *r, const read_attr_head *a, pi_dtype dtype, int rank, size_t n, pi_const **out,
                                  pi_error *err)
{
    int64_t dim = (int64_t)n;
    pi_const *c = pi_const_new(r->heap, dtype, rank, &dim, err);
    if (!c) return pi_alloc_status(err);
    pi_status st = PI_E_OK;
    pi_wire w = pi_wire_over(a->message, r->base);
    if (a->kind == PI_ATTR_INT) memcpy(c->t.data, &a->i, sizeof a->i);
    if (a->kind == PI_ATTR_FLOAT) memcpy(c->t.data, &a->f, sizeof a->f);
    if (a->kind == PI_ATTR_INTS) st = read_numbers(w, 8, PI_WIRE_VARINT, 8, c->t.data, n, err);
    if (a->kind == PI_ATTR_FLOATS) st = read_numbers(w, 7, PI_WIRE_FIXED32, 4, c->t.data, n, err);
    if (st != PI_E_OK)
        pi_const_unref(c);
    else
        *out = c;
    return st;
}

static pi_status constant_strings(pi_reader *r, const read_attr_head *a, int rank, size_t n, pi_const **out, pi_error *err)
{
    int64_t dim = (int64_t)n;
    pi_wire w = pi_wire_over(a->message, r->base);
    return read_strings(r, rank, &dim, n, &w, rank ? 9 : 4, out, err);
}

static pi_status constant_value(pi_reader *r, const read_attr_head *a, pi_const **out, pi_error *err)
{
    static const struct {
        const char *name;
        pi_attr_kind kind;
    } values[] = {{"value", PI_ATTR_TENSOR},        {"value_int", PI_ATTR_INT},        {"value_ints", PI_ATTR_INTS},
                  {"value_float", PI_ATTR_FLOAT},   {"value_floats", PI_ATTR_FLOATS},  {"value_string", PI_ATTR_STRING},
                  {"value_strings", PI_ATTR_STRINGS}, {"sparse_value", PI_ATTR_SPARSE}};
    for (size_t i = 0; i < PI_COUNT(values); i++) {
        if (!pi_span_is(a->name, values[i].name)) continue;
        if (a->kind != (int64_t)values[i].kind)
            return pi_fail(err, PI_E_MODEL, "attribute '%s' has kind %lld, expected %d", values[i].name, (long long)a->kind,
                           (int)values[i].kind);
        switch (values[i].kind) {
        case PI_ATTR_TENSOR:
            if (!a->t.p) break;
            return read_tensor(r, a->t, NULL, out, err);
        case PI_ATTR_SPARSE:
            if (!a->sparse.p) break;
            return read_sparse(r, a->sparse, NULL, out, err);
        case PI_ATTR_INT: return constant_numbers(r, a, PI_DTYPE_I64, 0, 1, out, err);
        case PI_ATTR_FLOAT: return constant_numbers(r, a, PI_DTYPE_F32, 0, 1, out, err);
        case PI_ATTR_INTS: return constant_numbers(r, a, PI_DTYPE_I64, 1, a->n_ints, out, err);
        case PI_ATTR_FLOATS: return constant_numbers(r, a, PI_DTYPE_F32, 1, a->n_floats, out, err);
        case PI_ATTR_STRING: return constant_strings(r, a, 0, 1, out, err);
        default: return constant_strings(r, a, 1, a->n_strings, out, err);
        }
    }
    return pi_fail(err, PI_E_MODEL, "attribute '%s' is no value", read_text(r, a->name));
}

pi_status read_constant(pi_reader *r, const pi_scope *scope, pi_wire fields, pi_const **out, pi_error *err)
{
    pi_field f;
    bool more, present;
    pi_span message;
    read_attr_head a;
    *out = NULL;
    for (;;) {
        PI_TRY(pi_wire_next(&fields, &f, &more, err));
        if (!more) break;
        if (f.number != 5) continue;
        PI_TRY(pi_field_bytes(&f, &message, err));
        PI_TRY(read_attr(r, scope, message, &a, &present, err));
        if (present) return constant_value(r, &a, out, err);
    }
    return pi_fail(err, PI_E_MODEL, "no value");
}
