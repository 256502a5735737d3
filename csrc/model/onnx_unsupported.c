/* SPDX-License-Identifier: Apache-2.0 */
/* All operators that the engine lacks, in one message: what a user can act on without loading the model ten times. */
#include <stdio.h>
#include <string.h>
#include "model/reader.h"
#include "ops/ops.h"

enum { LISTED = 64 };

pi_status read_add_unsupported(pi_reader *r, const pi_scope *scope, const read_node_head *node, int64_t version, pi_error *err)
{
    for (uint32_t i = 0; i < r->n_unsupported; i++) {
        read_unsupported *u = &r->unsupported[i];
        if (u->version != version || !pi_span_same(u->op, node->op) || !pi_span_same(u->domain, node->domain)) continue;
        u->count++;
        return PI_E_OK;
    }
    if (r->n_unsupported == LISTED) return PI_E_OK;
    if (!r->unsupported && !(r->unsupported = pi_arena_calloc(&r->arena, LISTED, sizeof *r->unsupported, err)))
        return pi_alloc_status(err);
    read_unsupported *u = &r->unsupported[r->n_unsupported++];
    *u = (read_unsupported){.domain = node->domain, .op = node->op, .version = version, .count = 1};
    pi_span trace;
    PI_TRY(read_trace(r, node, &trace, err));
    read_source_line(trace, u->source, sizeof u->source);
    if (!u->source[0] && scope->source) (void)snprintf(u->source, sizeof u->source, "%s", scope->source);
    (void)snprintf(u->node, sizeof u->node, "%s", read_text(r, node->name));
    return PI_E_OK;
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
        pi_error_append(err, "%s%s%s%s (opset %lld%s, %u node%s", i ? "; " : "", u->domain.n ? read_text(r, u->domain) : "",
                        u->domain.n ? "." : "", read_text(r, u->op), (long long)u->version,
                        newer ? ", too old: convert the model to a newer opset" : "", u->count, u->count > 1 ? "s" : "");
        if (u->node[0]) pi_error_append(err, ", %s'%s'", u->count > 1 ? "first " : "", u->node);
        if (u->source[0]) pi_error_append(err, ", from %s", u->source);
        pi_error_append(err, ")");
    }
    return st;
}
