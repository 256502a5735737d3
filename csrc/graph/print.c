/* SPDX-License-Identifier: Apache-2.0 */
/* Text of nodes and graphs: for messages, tests and explain. */
#include <stdio.h>
#include <string.h>
#include "graph/op.h"

char *pi_node_text(const pi_node *node, char *text, size_t size)
{
    const char *op = node->op ? node->op->name : "(removed)";
    const pi_attr *fused = node->op && node->op->domain ? pi_attr_find(node, "parts") : NULL;
    const char *open = fused ? "(" : "", *parts = fused ? fused->s.bytes : "", *close = fused ? ")" : "";
    if (node->name[0])
        (void)snprintf(text, size, "%s%s%.100s%s '%.200s' (#%u)", op, open, parts, close, node->name, node->number);
    else
        (void)snprintf(text, size, "%s%s%.100s%s (#%u)", op, open, parts, close, node->number);
    return text;
}

void pi_node_error(const pi_node *node, pi_error *err)
{
    char text[400];
    (void)pi_node_text(node, text, sizeof text);
    if (node->source)
        pi_error_prefix(err, "%s, from %.180s: ", text, node->source);
    else
        pi_error_prefix(err, "%s: ", text);
}

static void value_text(const pi_value *v, char *text, size_t size)
{
    char type[200];
    if (!v)
        (void)snprintf(text, size, "-");
    else if (v->name[0])
        (void)snprintf(text, size, "%%%u:%.60s %s", v->id, v->name, pi_tensor_text(&v->t, type, sizeof type));
    else
        (void)snprintf(text, size, "%%%u %s", v->id, pi_tensor_text(&v->t, type, sizeof type));
}

static void attr_text(const pi_attr *a, char *text, size_t size)
{
    int n = snprintf(text, size, " %s=", a->name);
    if (n < 0 || (size_t)n >= size) return;
    text += n;
    size -= (size_t)n;
    switch (a->kind) {
    case PI_ATTR_INT: (void)snprintf(text, size, "%lld", (long long)a->i); break;
    case PI_ATTR_FLOAT: (void)snprintf(text, size, "%g", (double)a->f); break;
    case PI_ATTR_STRING: (void)snprintf(text, size, "\"%.60s\"", a->s.bytes); break;
    case PI_ATTR_INTS:
    case PI_ATTR_FLOATS:
        for (uint32_t i = 0; i < a->n && i < 8 && size > 24; i++) {
            n = a->kind == PI_ATTR_INTS ? snprintf(text, size, "%s%lld", i ? "," : "[", (long long)a->ints[i])
                                        : snprintf(text, size, "%s%g", i ? "," : "[", (double)a->floats[i]);
            text += n;
            size -= (size_t)n;
        }
        (void)snprintf(text, size, a->n > 8 ? ",...]" : a->n ? "]" : "[]");
        break;
    default: (void)snprintf(text, size, "(%d)", (int)a->kind); break;
    }
}

void pi_graph_print(const pi_graph *g, void (*write)(void *arg, const char *text), void *arg)
{
    char text[400];
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const pi_node *node = g->node[i];
        if (!node->op) continue;
        for (uint32_t k = 0; k < node->n_out; k++) {
            value_text(node->out[k], text, sizeof text);
            write(arg, k ? ", " : "");
            write(arg, text);
        }
        write(arg, " = ");
        if (node->op->domain) {
            write(arg, node->op->domain);
            write(arg, ".");
        }
        write(arg, node->op->name);
        for (uint32_t k = 0; k < node->n_attrs; k++) {
            attr_text(&node->attr[k], text, sizeof text);
            write(arg, text);
        }
        write(arg, "(");
        for (uint32_t k = 0; k < node->n_in; k++) {
            value_text(node->in[k], text, sizeof text);
            write(arg, k ? ", " : "");
            write(arg, text);
            if (node->in[k] && node->in[k]->constant) write(arg, " const");
        }
        write(arg, ")\n");
    }
}
