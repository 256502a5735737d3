/* SPDX-License-Identifier: Apache-2.0 */
/* NodeProto: names of outputs are declared in a first walk; the second makes the nodes and connects them. */
#include <string.h>
#include "model/reader.h"
#include "ops/ops.h"

/* Operators of ONNX under the domain of ONNX Runtime: its quantiser writes them so for 16 and 4 bits into models older than opset
 * 21, which brought them, tf2onnx a Range of any type. */
static void take_as_standard(read_node_head *node)
{
    static const struct {
        const char *name;
        int version;
    } same[] = {{"QuantizeLinear", 21}, {"DequantizeLinear", 21}, {"Range", 11}};
    for (size_t i = 0; i < PI_COUNT(same); i++)
        if (pi_span_is(node->op, same[i].name)) node->domain.n = 0, node->version = same[i].version;
}

pi_status read_node(pi_reader *r, pi_span message, uint32_t number, read_node_head *node, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    pi_span none = {message.p, 0}, s;
    *node = (read_node_head){.message = message, .name = none, .op = none, .domain = none, .overload = none};
    node->number = number;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number == 0 || f.number > 9) continue;
        PI_TRY(pi_field_bytes(&f, &s, err)); /* all of them are texts or messages */
        switch (f.number) {
        case 1: node->n_in++; break;
        case 2: node->n_out++; break;
        case 3: node->name = s; break;
        case 4: node->op = s; break;
        case 5: node->n_attrs++; break;
        case 7: node->domain = s; break;
        case 8: node->overload = s; break;
        case 9: node->has_metadata = true; break;
        default: break;
        }
    }
    if (pi_span_is(node->domain, "ai.onnx")) node->domain.n = 0;
    if (pi_span_is(node->domain, "com.microsoft")) take_as_standard(node);
    if (!node->op.n) return pi_fail(err, PI_E_MODEL, "node #%u has no operator", number);
    if (node->n_in > PI_MAX_ARITY || node->n_out > PI_MAX_ARITY)
        return pi_fail(err, PI_E_LIMIT, "node #%u has more than %d inputs or outputs", number, PI_MAX_ARITY);
    if (node->n_attrs > READ_ATTRS)
        return pi_fail(err, PI_E_LIMIT, "node #%u has more than %d attributes", number, READ_ATTRS);
    return PI_E_OK;
}

pi_status read_trace(pi_reader *r, const read_node_head *node, pi_span *trace, pi_error *err)
{
    pi_wire w = pi_wire_over(node->message, r->base);
    pi_field f;
    bool more;
    *trace = (pi_span){node->message.p, 0};
    if (!node->has_metadata) return PI_E_OK;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) return PI_E_OK;
        if (f.number != 9) continue;
        pi_wire entry = pi_wire_over(f.bytes, r->base);
        pi_span key = {f.bytes.p, 0}, value = key;
        for (;;) {
            PI_TRY(pi_wire_next(&entry, &f, &more, err));
            if (!more) break;
            if (f.number == 1) PI_TRY(pi_field_bytes(&f, &key, err));
            if (f.number == 2) PI_TRY(pi_field_bytes(&f, &value, err));
        }
        if (pi_span_is(key, "pkg.torch.onnx.stack_trace")) *trace = value;
    }
}

__attribute__((noinline)) static pi_status set_source(pi_reader *r, const pi_scope *scope, const read_node_head *node,
                                                      pi_graph *g, const char **source, pi_error *err)
{
    char line[240];
    pi_span trace;
    PI_TRY(read_trace(r, node, &trace, err));
    read_source_line(trace, line, sizeof line);
    *source = scope->source;
    if (!line[0]) return PI_E_OK;
    *source = pi_arena_strndup(&g->arena, line, strlen(line), err);
    return *source ? PI_E_OK : pi_alloc_status(err);
}

/* "Conv 'layer1' (#12), from net.py:7, in forward: " in front of an error that was found in a node. */
__attribute__((noinline, cold)) static void node_error(pi_reader *r, const pi_scope *scope, const read_node_head *node,
                                                       pi_error *err)
{
    char line[200] = "";
    pi_span trace;
    if (read_trace(r, node, &trace, NULL) == PI_E_OK) read_source_line(trace, line, sizeof line);
    const char *source = line[0] ? line : scope->source ? scope->source : "";
    const char *name = read_text(r, node->name), *mark = node->name.n ? "'" : "";
    pi_error_prefix(err, "%s%s%s%s%s (#%u)%s%s: ", read_text(r, node->op), node->name.n ? " " : "", mark, name, mark, node->number,
                    source[0] ? ", from " : "", source);
}

bool read_is_constant(const pi_reader *r, const read_node_head *node)
{
    return !node->domain.n && pi_span_is(node->op, "Constant") && !read_find_function(r, node);
}

/* ---- first walk: the names ---- */

/* A name of an inner graph must not be one that an outer graph has already made. */
static pi_status check_shadow(pi_reader *r, const pi_scope *scope, pi_span name, pi_error *err)
{
    for (const pi_scope *s = scope->parent; s; s = s->parent) {
        uint32_t id = pi_map_get(&s->names, (const char *)name.p, name.n);
        if (id == UINT32_MAX) continue;
        if (id == READ_ABSENT) return PI_E_OK;
        const pi_value *v = s->g->value[id & READ_ABSENT];
        bool pending = (id & (uint32_t)READ_DECLARED) && !v->producer && !v->constant;
        if (pending) return PI_E_OK;
        return pi_fail(err, PI_E_MODEL, "output '%s' hides a value with that name of the graph around", read_text(r, name));
    }
    return PI_E_OK;
}

static pi_status declare_output(pi_reader *r, pi_scope *scope, pi_span name, pi_value **out, pi_error *err)
{
    const char *key = (const char *)name.p;
    if (pi_map_get(&scope->names, key, name.n) != UINT32_MAX)
        return pi_fail(err, PI_E_MODEL, "output '%s' has the name of another value", read_text(r, name));
    PI_TRY(check_shadow(r, scope, name, err));
    uint32_t id = pi_map_get(&scope->results, key, name.n);
    if (id == UINT32_MAX) {
        const char *text = read_name(r, scope->prefix, name, err);
        pi_value *v = text ? pi_graph_value(scope->g, text, err) : NULL;
        if (!v) return pi_alloc_status(err);
        id = v->id;
    }
    *out = scope->g->value[id];
    return pi_map_set(&scope->names, key, name.n, id | (uint32_t)READ_DECLARED, err);
}

__attribute__((noinline)) static pi_status declare_node(pi_reader *r, pi_scope *scope, const read_node_head *node,
                                                        pi_error *err)
{
    pi_wire w = pi_wire_over(node->message, r->base);
    pi_field f;
    bool more;
    pi_value *v = NULL;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number == 2 && f.bytes.n) PI_TRY(declare_output(r, scope, f.bytes, &v, err));
    }
    if (!read_is_constant(r, node) || !v) return PI_E_OK;
    if (node->n_out != 1 || node->n_in) return pi_fail(err, PI_E_MODEL, "expected one output and no input");
    PI_TRY(read_constant(r, scope, pi_wire_over(node->message, r->base), &v->constant, err));
    v->t = v->constant->t;
    return PI_E_OK;
}

/* ---- second walk: the nodes ---- */

/* Arity against the row: passes may then look at required inputs without asking. */
static pi_status check_arity(const pi_op *op, const pi_node *node, pi_error *err)
{
    pi_param p;
    if (node->n_explicit && !pi_op_input(op, node->n_explicit - 1, &p))
        return pi_fail(err, PI_E_MODEL, "%u inputs are more than it can have", node->n_explicit);
    for (uint32_t i = 0; pi_op_input(op, i, &p) && !p.variadic; i++)
        if (!p.optional && (i >= node->n_explicit || !node->in[i]))
            return pi_fail(err, PI_E_MODEL, "input %u '%.*s' is missing", i, (int)p.n, p.name);
    return PI_E_OK;
}

/* Outputs that the row always has, whether the file names them or not: infer may fill them in. */
static uint32_t outputs_of(const pi_op *op, uint32_t n)
{
    pi_param p;
    for (uint32_t i = n; pi_op_output(op, i, &p) && !p.optional && !p.variadic; i++) n = i + 1;
    return n ? n : 1;
}

static pi_status connect(pi_reader *r, pi_scope *scope, const read_node_head *head, pi_node *node, pi_error *err)
{
    pi_wire w = pi_wire_over(head->message, r->base);
    pi_field f;
    bool more;
    uint32_t in = 0, out = 0;
    for (;;) {
        pi_value *v;
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) return PI_E_OK;
        if (f.number == 1) {
            if (f.bytes.n && in < node->n_explicit) {
                PI_TRY(read_lookup(r, scope, f.bytes, &v, err));
                PI_TRY(pi_node_set_in(scope->g, node, in, v, err));
            }
            in++;
        }
        if (f.number == 2) {
            if (f.bytes.n && out < node->n_out) {
                uint32_t id = pi_map_get(&scope->names, (const char *)f.bytes.p, f.bytes.n);
                if (id == UINT32_MAX) return pi_fail(err, PI_E_MODEL, "the model's bytes change while they are read");
                pi_node_set_out(node, out, scope->g->value[id & READ_ABSENT]);
            }
            out++;
        }
    }
}

static pi_status set_attrs(pi_reader *r, pi_scope *scope, const read_node_head *head, const read_subgraphs *sub, pi_node *node,
                           pi_error *err)
{
    pi_wire w = pi_wire_over(head->message, r->base);
    pi_field f;
    bool more, present;
    if (!head->n_attrs) return PI_E_OK;
    pi_attr *list = pi_arena_calloc(&scope->g->arena, head->n_attrs, sizeof *list, err);
    if (!list) return pi_alloc_status(err);
    node->attr = list;
    for (;;) {
        read_attr_head a;
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) return PI_E_OK;
        if (f.number != 5 || node->n_attrs == head->n_attrs) continue;
        PI_TRY(read_attr(r, scope, f.bytes, &a, &present, err));
        if (!present) continue;
        pi_attr *to = &list[node->n_attrs];
        PI_TRY(read_attr_value(r, scope->g, &a, to, err));
        for (uint32_t k = 0; k < sub->n; k++)
            if (a.kind == PI_ATTR_GRAPH && sub->graph[k].attr.p == f.bytes.p) to->graph = sub->graph[k].g, to->n = 1;
        if (a.kind == PI_ATTR_GRAPH && !to->graph)
            return pi_fail(err, PI_E_MODEL, "attribute '%s' is a graph without content", read_text(r, a.name));
        node->n_attrs++; /* from here on the node frees it */
        for (uint32_t k = 0; k + 1 < node->n_attrs; k++)
            if (strcmp(list[k].name, to->name) == 0)
                return pi_fail(err, PI_E_MODEL, "attribute '%s' is given twice", read_text(r, a.name));
    }
}

/* Inputs without the empty names at the end. */
static pi_status count_inputs(pi_reader *r, const read_node_head *head, uint32_t *n, pi_error *err)
{
    pi_wire w = pi_wire_over(head->message, r->base);
    pi_field f;
    bool more;
    uint32_t i = 0;
    *n = 0;
    for (;;) {
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) return PI_E_OK;
        if (f.number != 1) continue;
        i++;
        if (f.bytes.n) *n = i;
    }
}

/* Not inlined: its frame must not count in the nesting of subgraphs and functions. */
__attribute__((noinline)) static pi_status make_node(pi_reader *r, pi_scope *scope, const read_node_head *head,
                                                     const pi_op *op, const read_subgraphs *sub, pi_error *err)
{
    uint32_t n_in;
    PI_TRY(count_inputs(r, head, &n_in, err));
    const char *name = read_name(r, scope->prefix, head->name, err);
    if (!name) return pi_alloc_status(err);
    pi_node *node = pi_graph_node(scope->g, op, name, n_in + sub->captures.n, outputs_of(op, head->n_out), err);
    if (!node) return pi_alloc_status(err);
    node->n_explicit = n_in;
    node->number = head->number;
    PI_TRY(set_source(r, scope, head, scope->g, &node->source, err));
    PI_TRY(set_attrs(r, scope, head, sub, node, err));
    PI_TRY(connect(r, scope, head, node, err));
    for (uint32_t i = 0; i < sub->captures.n; i++)
        PI_TRY(pi_node_set_in(scope->g, node, n_in + i, sub->captures.outer[i], err));
    PI_TRY(check_arity(op, node, err));
    if (!op->expand) return PI_E_OK;
    PI_TRY(pi_node_check_attrs(node, err));
    PI_TRY(op->expand(scope->g, node, err));
    pi_graph_remove(scope->g, node);
    return PI_E_OK;
}

static void copy_name(char *to, size_t room, pi_span s)
{
    size_t n = s.n < room ? s.n : room - 1; /* a longer name is no operator's */
    if (n) memcpy(to, s.p, n);
    to[n] = '\0';
}

static pi_status find_op(pi_reader *r, const pi_scope *scope, const read_node_head *node, const pi_op **op, int64_t *version,
                         pi_error *err)
{
    *version = node->version ? node->version : read_opset_version(scope->opsets, node->domain);
    if (*version == 0) {
        if (!node->domain.n) return pi_fail(err, PI_E_MODEL, "the model does not say which opset of ONNX it uses: set its opset_import");
        *version = 1;
    }
    copy_name(r->op, sizeof r->op, node->op);
    copy_name(r->domain, sizeof r->domain, node->domain);
    *op = pi_op_find(r->domain, r->op, *version);
    return PI_E_OK;
}

static pi_status add_node(pi_reader *r, pi_scope *scope, const read_node_head *node, pi_error *err)
{
    if (pi_span_is(node->domain, "pyinfer"))
        return pi_fail(err, PI_E_MODEL, "the domain 'pyinfer' is internal to the engine and cannot stand in a file");
    if (++r->n_nodes > PI_MAX_NODES) return pi_fail(err, PI_E_LIMIT, "the model has more than %d nodes", PI_MAX_NODES);
    if (read_is_constant(r, node)) return PI_E_OK;
    const read_function *f = read_find_function(r, node);
    if (f) return read_expand(r, scope, node, f, err);
    const pi_op *op = NULL;
    int64_t version;
    read_subgraphs sub = {.captures.names.heap = r->heap};
    pi_status st = PI_E_OK;
    PI_TRY_DONE(find_op(r, scope, node, &op, &version, err));
    PI_TRY_DONE(read_node_subgraphs(r, scope, node, &sub, err));
    PI_TRY_DONE(op ? make_node(r, scope, node, op, &sub, err) : read_add_unsupported(r, scope, node, version, err));
done:
    read_subgraphs_deinit(&sub);
    return st;
}

pi_status read_nodes(pi_reader *r, pi_scope *scope, pi_span message, uint32_t number, pi_error *err)
{
    for (int second = 0; second < 2; second++) {
        pi_wire w = pi_wire_over(message, r->base);
        pi_field f;
        bool more;
        uint32_t i = 0;
        for (;;) {
            read_node_head node;
            pi_span s;
            PI_TRY(pi_wire_next(&w, &f, &more, err));
            if (!more) break;
            if (f.number != number) continue;
            PI_TRY(pi_field_bytes(&f, &s, err));
            PI_TRY(read_node(r, s, i++, &node, err));
            pi_status st = second ? add_node(r, scope, &node, err) : declare_node(r, scope, &node, err);
            if (st != PI_E_OK) {
                node_error(r, scope, &node, err);
                return st;
            }
        }
    }
    return PI_E_OK;
}
