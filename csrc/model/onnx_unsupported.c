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

/* At most two letters are wrong, missing, too many, or exchanged with their neighbour, and not a third of the word. */
static bool near(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    uint8_t cost[3][LONGEST + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST || n < 4) return false;
    for (size_t j = 0; j <= m; j++) cost[0][j] = (uint8_t)j;
    for (size_t i = 1; i <= n; i++) {
        uint8_t *now = cost[i % 3], *last = cost[(i + 2) % 3], *before = cost[(i + 1) % 3];
        now[0] = (uint8_t)i;
        for (size_t j = 1; j <= m; j++) {
            int least = last[j - 1] + ((a[i - 1] | 32) != (b[j - 1] | 32));
            if (last[j] + 1 < least) least = last[j] + 1;
            if (now[j - 1] + 1 < least) least = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < least) least = before[j - 2] + 1;
            now[j] = (uint8_t)least;
        }
    }
    return cost[n % 3][m] <= 2 && cost[n % 3][m] * 3u < n;
}

/* The same name in another domain, else one that is near; NULL if there is none. */
static const pi_op *alike(const char *name)
{
    const pi_op *found = NULL, *op;
    for (size_t i = 0; (op = pi_op_at(i)); i++) {
        if (op->domain && strcmp(op->domain, "pyinfer") == 0) continue;
        if (strcmp(op->name, name) == 0) return op;
        if (!found && near(name, op->name)) found = op;
    }
    return found;
}

/* The first opset of ONNX that has it, if the model's is too old for it; else 0. */
static int first_opset(const char *name)
{
    const pi_op *op;
    int first = 0;
    for (size_t i = 0; (op = pi_op_at(i)); i++)
        if (!op->domain && strcmp(op->name, name) == 0 && (!first || op->since < first)) first = op->since;
    return first;
}

static bool domain_is(const read_unsupported *u, const char *domain)
{
    return u->domain.n == strlen(domain) && memcmp(u->domain.p, domain, u->domain.n) == 0;
}

static bool domain_known(const read_unsupported *u)
{
    const pi_op *op;
    for (size_t i = 0; (op = pi_op_at(i)); i++)
        if (op->domain && domain_is(u, op->domain)) return true;
    return !u->domain.n;
}

/* ", what to do", as far as the name tells it. */
static void tell_hint(const read_unsupported *u, const char *op, pi_error *err)
{
    int first = u->domain.n ? 0 : first_opset(op);
    const pi_op *other = first ? NULL : alike(op);
    if (domain_is(u, "ai.onnx.ml") && (strcmp(op, "DictVectorizer") == 0 || strcmp(op, "CastMap") == 0))
        pi_error_append(err, ", maps are not supported");
    else if (domain_is(u, "aten") || domain_is(u, "org.pytorch.aten") || domain_is(u, "prim"))
        pi_error_append(err, ", which the exporter left in PyTorch's form: export with dynamo=True");
    else if (domain_is(u, "com.microsoft") && (strncmp(op, "QLinear", 7) == 0 || strcmp(op, "MatMulNBits") == 0 ||
                                               strcmp(op, "GatherBlockQuantized") == 0))
        pi_error_append(err, ", made by ONNX Runtime's quantiser: quantise with quant_format=QuantFormat.QDQ");
    else if (domain_is(u, "com.microsoft") && strcmp(op, "Tokenizer") == 0)
        pi_error_append(err, ", which only ONNX Runtime has: split texts before the model");
    else if (domain_is(u, "com.microsoft") || domain_is(u, "com.microsoft.nchwc"))
        pi_error_append(err, ", made by ONNX Runtime's optimiser: use the model as it was exported");
    else if (first)
        pi_error_append(err, ", too old: export the model with opset_version=%d or newer", first);
    else if (other)
        pi_error_append(err, ", did you mean %s%s%s?", other->domain ? other->domain : "", other->domain ? "." : "", other->name);
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
        pi_error_append(err, "%s%s%s%s (opset %lld", i ? "; " : "", u->domain.n ? read_text(r, u->domain) : "",
                        u->domain.n ? "." : "", read_text(r, u->op), (long long)u->version);
        tell_hint(u, op, err);
        pi_error_append(err, ", %u node%s", u->count, u->count > 1 ? "s" : "");
        tell_places(u, r->n_unsupported, err);
        pi_error_append(err, ")");
    }
    for (uint32_t i = 0; i < r->n_unsupported; i++) {
        if (domain_known(&r->unsupported[i])) continue;
        pi_error_append(err, ". Operators of other domains run if the model has functions for them");
        break;
    }
    return st;
}
