/* SPDX-License-Identifier: Apache-2.0 */
/* All operators that the engine lacks, in one message: what a user can act on without loading the model ten times. */
#include <stdio.h>
#include <string.h>
#include "model/reader.h"
#include "ops/ops.h"

enum {
    LISTED = 64, /* operators */
    FEW = 3,     /* so many are told with several nodes each, and the code of the first line */
    SOME = 16,   /* so many with one node each; more have to do with their names */
};

static pi_status add_place(pi_reader *r, const pi_scope *scope, const read_node_head *node, read_unsupported *u, pi_error *err)
{
    if (u->count++ >= READ_PLACES) return PI_E_OK;
    read_place *place = &u->place[u->count - 1];
    pi_span trace;
    PI_TRY(read_trace(r, node, &trace, err));
    read_source_line(trace, place->source, sizeof place->source);
    if (!place->source[0] && scope->source) (void)snprintf(place->source, sizeof place->source, "%s", scope->source);
    (void)snprintf(place->node, sizeof place->node, "%s", read_text(r, node->name));
    return PI_E_OK;
}

pi_status read_add_unsupported(pi_reader *r, const pi_scope *scope, const read_node_head *node, int64_t version, pi_error *err)
{
    for (uint32_t i = 0; i < r->n_unsupported; i++) {
        read_unsupported *u = &r->unsupported[i];
        if (u->version != version || !pi_span_same(u->op, node->op) || !pi_span_same(u->domain, node->domain)) continue;
        return add_place(r, scope, node, u, err);
    }
    if (r->n_unsupported == LISTED) return PI_E_OK;
    if (!r->unsupported && !(r->unsupported = pi_arena_calloc(&r->arena, LISTED, sizeof *r->unsupported, err)))
        return pi_alloc_status(err);
    read_unsupported *u = &r->unsupported[r->n_unsupported++];
    *u = (read_unsupported){.domain = node->domain, .op = node->op, .version = version};
    return add_place(r, scope, node, u, err);
}

/* ": 'fc' from net.py:7, in forward: y = fc(x); 'fc2' from net.py:8, in forward; and 5 more" */
static void tell_places(const read_unsupported *u, uint32_t n_operators, pi_error *err)
{
    uint32_t most = n_operators <= FEW ? READ_PLACES : n_operators <= SOME ? 1 : 0, told = 0;
    for (uint32_t i = 0; i < u->count && i < most; i++) {
        const read_place *place = &u->place[i];
        if (!place->node[0] && !place->source[0]) continue;
        const char *code = strstr(place->source, ": ");
        int n = (i || n_operators > FEW) && code ? (int)(code - place->source) : (int)strlen(place->source);
        const char *mark = place->node[0] ? "'" : "";
        pi_error_append(err, "%s%s%s%s%s%s%.*s", told ? "; " : ": ", mark, place->node, mark, place->node[0] && n ? " " : "",
                        n ? "from " : "", n, place->source);
        told++;
    }
    if (told && u->count > told) pi_error_append(err, "; and %u more", u->count - told);
}

/* What to do about operators of maps from keys to values, which are no tensors. */
static const char *hint(const read_unsupported *u, const char *op)
{
    if (u->domain.n != 10 || memcmp(u->domain.p, "ai.onnx.ml", 10) != 0) return "";
    if (strcmp(op, "ZipMap") == 0) return ", maps are not supported: export with options={'zipmap': False}";
    return strcmp(op, "DictVectorizer") == 0 || strcmp(op, "CastMap") == 0 ? ", maps are not supported" : "";
}

pi_status read_unsupported_error(pi_reader *r, pi_error *err)
{
    if (!r->n_unsupported) return PI_E_OK;
    pi_status st = pi_fail(err, PI_E_UNSUPPORTED, "%s%u operator%s of this model %s not supported: ",
                           r->n_unsupported == LISTED ? "at least " : "", r->n_unsupported, r->n_unsupported > 1 ? "s" : "",
                           r->n_unsupported > 1 ? "are" : "is");
    for (uint32_t i = 0; i < r->n_unsupported; i++) {
        const read_unsupported *u = &r->unsupported[i];
        char op[128];
        (void)snprintf(op, sizeof op, "%.*s", (int)(u->op.n < 100 ? u->op.n : 100), (const char *)u->op.p);
        const pi_op *newer = u->domain.n ? NULL : pi_op_find(NULL, op, INT64_MAX);
        pi_error_append(err, "%s%s%s%s (opset %lld%s%s, %u node%s", i ? "; " : "", u->domain.n ? read_text(r, u->domain) : "",
                        u->domain.n ? "." : "", read_text(r, u->op), (long long)u->version,
                        newer ? ", too old: convert the model to a newer opset" : "", hint(u, op), u->count, u->count > 1 ? "s" : "");
        tell_places(u, r->n_unsupported, err);
        pi_error_append(err, ")");
    }
    return st;
}
