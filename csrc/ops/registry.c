/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all rows: families listed in families.inc, an index by name that is built once. */
#include <pthread.h>
#include <string.h>
#include "ops/ops.h"

#define X(family) extern const pi_op_family pi_ops_##family;
#include "ops/families.inc"
#undef X

enum { ROWS = 4096, SLOTS = 4096 }; /* a slot holds all rows of one name; names are far fewer than SLOTS */

static const pi_op_family *const families[] = {
#define X(family) &pi_ops_##family,
#include "ops/families.inc"
#undef X
    NULL,
};

/* Filled by index_build under index_once, constant afterwards. Numbers are 1 + the place in row; 0 is none. */
static struct {
    const pi_op *row[ROWS];
    uint16_t next[ROWS]; /* the same name, an older version */
    uint16_t slot[SLOTS];
    size_t count;
} all;
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static bool same_domain(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* The slot of a name: where it is, or the empty one where it belongs. */
static size_t slot_of(const char *domain, const char *name)
{
    uint32_t h = domain ? 0x9e3779b9u : 2166136261u;
    for (const char *s = name; *s; s++) h = (h ^ (uint8_t)*s) * 16777619u;
    size_t i = h % SLOTS;
    for (; all.slot[i]; i = (i + 1) % SLOTS) {
        const pi_op *op = all.row[all.slot[i] - 1];
        if (strcmp(op->name, name) == 0 && same_domain(op->domain, domain)) break;
    }
    return i;
}

static void index_add(const pi_op *op)
{
    if (all.count == ROWS) return; /* tests/c/test_ops_registry.c looks that there is room */
    all.row[all.count++] = op;
    uint16_t *link = &all.slot[slot_of(op->domain, op->name)];
    while (*link && all.row[*link - 1]->since > op->since) link = &all.next[*link - 1];
    all.next[all.count - 1] = *link;
    *link = (uint16_t)all.count;
}

static void index_build(void)
{
    for (const pi_op_family *const *f = families; *f; f++)
        for (size_t i = 0; i < (*f)->count; i++) index_add(&(*f)->row[i]);
}

const pi_op *pi_op_find(const char *domain, const char *name, int64_t opset)
{
    (void)pthread_once(&index_once, index_build);
    if (domain && (!*domain || strcmp(domain, "ai.onnx") == 0)) domain = NULL;
    for (uint16_t i = all.slot[slot_of(domain, name)]; i; i = all.next[i - 1])
        if (all.row[i - 1]->since <= opset) return all.row[i - 1];
    return NULL;
}

const pi_op *pi_op_at(size_t i)
{
    (void)pthread_once(&index_once, index_build);
    return i < all.count ? all.row[i] : NULL;
}

const pi_op *pi_op_internal(const char *name) { return pi_op_find("pyinfer", name, INT64_MAX); }
