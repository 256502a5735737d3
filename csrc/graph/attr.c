/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of nodes: looked up by name, with the defaults of the operator's row. */
#include <string.h>
#include "graph/op.h"

const pi_attr *pi_attr_find(const pi_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->n_attrs; i++)
        if (pi_same_name(node->attr[i].name, name)) return &node->attr[i];
    return NULL;
}

static const pi_attr_def *attr_def(const pi_node *node, const char *name)
{
    static const pi_attr_def none = {0};
    for (const pi_attr_def *d = node->op->attrs; d && d->name; d++)
        if (pi_same_name(d->name, name)) return d;
    return &none;
}

int64_t pi_attr_int(const pi_node *node, const char *name)
{
    const pi_attr *a = pi_attr_find(node, name);
    return a && a->kind == PI_ATTR_INT ? a->i : attr_def(node, name)->i;
}

float pi_attr_float(const pi_node *node, const char *name)
{
    const pi_attr *a = pi_attr_find(node, name);
    return a && a->kind == PI_ATTR_FLOAT ? a->f : attr_def(node, name)->f;
}

const char *pi_attr_string(const pi_node *node, const char *name)
{
    const pi_attr *a = pi_attr_find(node, name);
    return a && a->kind == PI_ATTR_STRING ? a->s.bytes : attr_def(node, name)->s;
}

const int64_t *pi_attr_ints(const pi_node *node, const char *name, uint32_t *n)
{
    const pi_attr *a = pi_attr_find(node, name);
    bool present = a && a->kind == PI_ATTR_INTS;
    *n = present ? a->n : 0;
    return present ? a->ints : NULL;
}

const float *pi_attr_floats(const pi_node *node, const char *name, uint32_t *n)
{
    const pi_attr *a = pi_attr_find(node, name);
    bool present = a && a->kind == PI_ATTR_FLOATS;
    *n = present ? a->n : 0;
    return present ? a->floats : NULL;
}

static void *arena_copy(pi_graph *g, const void *bytes, size_t count, size_t size, pi_error *err)
{
    void *p = pi_arena_calloc(&g->arena, count ? count : 1, size, err);
    if (p && count) memcpy(p, bytes, count * size);
    return p;
}

pi_status pi_attr_set(pi_graph *g, pi_node *node, const pi_attr *attr, pi_error *err)
{
    pi_attr a = *attr;
    bool ok = (a.name = pi_arena_strndup(&g->arena, attr->name, strlen(attr->name), err)) != NULL;
    if (ok && a.kind == PI_ATTR_INTS) ok = (a.ints = arena_copy(g, a.ints, a.n, sizeof *a.ints, err)) != NULL;
    if (ok && a.kind == PI_ATTR_FLOATS) ok = (a.floats = arena_copy(g, a.floats, a.n, sizeof *a.floats, err)) != NULL;
    if (ok && a.kind == PI_ATTR_STRING) ok = (a.s.bytes = pi_arena_strndup(&g->arena, a.s.bytes, a.s.n, err)) != NULL;
    if (ok && a.kind == PI_ATTR_STRINGS) {
        pi_text *list = arena_copy(g, a.strings, a.n, sizeof *list, err);
        ok = list != NULL;
        for (uint32_t i = 0; ok && i < a.n; i++)
            ok = (list[i].bytes = pi_arena_strndup(&g->arena, list[i].bytes, list[i].n, err)) != NULL;
        a.strings = list;
    }
    if (!ok) return pi_alloc_status(err);
    for (uint32_t i = 0; i < node->n_attrs; i++)
        if (strcmp(node->attr[i].name, a.name) == 0) {
            if (node->attr[i].kind == PI_ATTR_TENSOR) pi_const_unref(node->attr[i].tensor);
            if (a.kind == PI_ATTR_TENSOR) pi_const_ref(a.tensor);
            node->attr[i] = a;
            return PI_E_OK;
        }
    pi_attr *list = pi_arena_calloc(&g->arena, node->n_attrs + 1u, sizeof *list, err);
    if (!list) return pi_alloc_status(err);
    if (node->n_attrs) memcpy(list, node->attr, node->n_attrs * sizeof *list);
    if (a.kind == PI_ATTR_TENSOR) pi_const_ref(a.tensor);
    list[node->n_attrs++] = a;
    node->attr = list;
    return PI_E_OK;
}

pi_status pi_attr_set_int(pi_graph *g, pi_node *node, const char *name, int64_t i, pi_error *err)
{
    return pi_attr_set(g, node, &(pi_attr){.name = name, .kind = PI_ATTR_INT, .n = 1, .i = i}, err);
}

pi_status pi_attr_set_float(pi_graph *g, pi_node *node, const char *name, float f, pi_error *err)
{
    return pi_attr_set(g, node, &(pi_attr){.name = name, .kind = PI_ATTR_FLOAT, .n = 1, .f = f}, err);
}

pi_status pi_attr_set_ints(pi_graph *g, pi_node *node, const char *name, const int64_t *ints, uint32_t n, pi_error *err)
{
    return pi_attr_set(g, node, &(pi_attr){.name = name, .kind = PI_ATTR_INTS, .n = n, .ints = ints}, err);
}
