/* SPDX-License-Identifier: Apache-2.0 */
/* Steps whose shapes depend on data: inferred, prepared and given memory while running. What was prepared is kept for the
 * next run with the same shapes. Also subgraphs: each has a session of its own, with plans by shape. */
#include <string.h>
#include "base/str.h"
#include "runtime/context.h"

static pi_status block_new(pi_context *c, size_t bytes, void **out, pi_error *err)
{
    pi_block *b = pi_calloc(c->plan->heap, 1, sizeof *b, err);
    if (!b) return pi_alloc_status(err);
    b->data = pi_alloc(c->plan->heap, bytes, err);
    if (!b->data) {
        pi_free(b);
        return pi_alloc_status(err);
    }
    b->bytes = bytes;
    b->next = c->block;
    c->block = b;
    *out = b->data;
    return PI_E_OK;
}

void pi_context_release_blocks(pi_context *c)
{
    while (c->block) {
        pi_block *b = c->block;
        c->block = b->next;
        pi_free(b->data);
        pi_seq_unref(b->seq);
        pi_free(b);
    }
    for (uint32_t i = 0; c->result && i < c->plan->graph->n_outputs; i++) {
        c->result[i] = c->plan->graph->output[i]->t; /* a size that depended on data may be another one next time */
        c->result[i].data = NULL;
    }
    pi_arena_deinit(&c->strings);
    pi_arena_init(&c->strings, c->plan->heap);
}

pi_status pi_context_output_alloc(const pi_call *call, uint32_t i, int rank, const int64_t *dim, pi_error *err)
{
    pi_context *c = call->run->runtime;
    pi_tensor *t = call->out[i];
    size_t bytes;
    pi_tensor_set_shape(t, rank, dim);
    PI_TRY(pi_tensor_bytes(t, &bytes, err));
    return block_new(c, bytes, &t->data, err);
}

void *pi_context_take_output(pi_context *c, uint32_t i)
{
    const pi_tensor *t = &c->result[i];
    size_t bytes;
    pi_block **at = &c->block;
    while (*at && (!(*at)->data || (*at)->data != t->data)) at = &(*at)->next;
    pi_block *b = *at;
    if (!b || pi_tensor_bytes(t, &bytes, NULL) != PI_E_OK || bytes != b->bytes) return NULL;
    *at = b->next;
    pi_free(b);
    pi_disown(t->data);
    return t->data;
}

pi_status pi_context_keep(const pi_call *call, pi_seq *s, pi_error *err)
{
    pi_context *c = call->run->runtime;
    pi_block *b = pi_calloc(c->plan->heap, 1, sizeof *b, err);
    if (!b) {
        pi_seq_unref(s);
        return pi_alloc_status(err);
    }
    *b = (pi_block){.next = c->block, .seq = s};
    c->block = b;
    return PI_E_OK;
}

/* Bytes of an input that is no constant and yet shows its values to prepare (scales, sizes, axes): a copy is kept, and
 * other values mean preparing anew. 0: it does not. */
static size_t shown_bytes(const pi_node *node, uint32_t i, const pi_tensor *t)
{
    if (i >= node->n_in || node->in[i]->constant || !t->data || t->rank > 1) return 0;
    if (t->dtype == PI_DTYPE_STRING || pi_dtype_is_seq(t->dtype)) return 0; /* pointers, which this run alone may follow */
    int64_t n = pi_tensor_n(t);
    return n <= 32 ? (size_t)n * pi_dtype_size(t->dtype) : 0;
}

static bool same_types(const pi_dynamic *d, const pi_node *node, const pi_call *call)
{
    for (uint32_t i = 0; i < node->n_in + node->n_out; i++) {
        const pi_tensor *t = i < node->n_in ? call->in[i] : call->out[i - node->n_in];
        if (!t) continue;
        if (t->dtype != d->type[i].dtype || !pi_tensor_same_shape(t, &d->type[i])) return false;
        size_t shown = shown_bytes(node, i, t);
        if (shown && memcmp(t->data, d->type[i].data, shown) != 0) return false;
    }
    return true;
}

static void dynamic_reset(pi_dynamic *d)
{
    if (d->ready) pi_services_deinit(&d->services);
    d->ready = false;
}

static pi_status prepare(pi_context *c, uint32_t k, pi_dynamic *d, const pi_call *call, pi_error *err)
{
    const pi_node *node = call->node;
    char refused[600];
    if (!d->type && !(d->type = pi_calloc(c->plan->heap, node->n_in + node->n_out + 1u, sizeof *d->type, err)))
        return pi_alloc_status(err);
    if (d->ready && same_types(d, node, call)) return PI_E_OK;
    dynamic_reset(d);
    const pi_tensor *const *out = (const pi_tensor *const *)call->out;
    const pi_tensor **bare = pi_calloc(c->plan->heap, node->n_in + 1u, sizeof *bare, err);
    if (!bare) return pi_alloc_status(err);
    pi_services_init(&d->services, c->plan->heap, NULL);
    d->ready = true;
    for (uint32_t i = 0; i < node->n_in; i++) { /* what is prepared outlives this run and its data */
        if (!call->in[i]) continue;
        d->type[i] = *call->in[i];
        bare[i] = &d->type[i];
        if (node->in[i]->constant) continue;
        size_t shown = shown_bytes(node, i, call->in[i]);
        d->type[i].data = shown ? pi_arena_alloc(&d->services.arena, shown, err) : NULL;
        if (shown && !d->type[i].data) {
            pi_free(bare);
            dynamic_reset(d);
            return pi_alloc_status(err);
        }
        if (shown) memcpy(d->type[i].data, call->in[i]->data, shown);
    }
    pi_prep prep = {.node = node, .in = bare, .out = out, .threads = c->run.threads, .services = &d->services};
    pi_status st = pi_plan_prepare(&prep, &c->plan->options, NULL, &d->impl, refused, sizeof refused, err);
    pi_free(bare);
    pi_services_settle(&d->services);
    if (st != PI_E_OK) {
        dynamic_reset(d);
        return st;
    }
    d->state = prep.state;
    d->scratch = prep.scratch;
    for (uint32_t i = 0; i < node->n_out; i++)
        if (out[i]) d->type[node->n_in + i] = *out[i];
    (void)k;
    return PI_E_OK;
}

static pi_status infer_outputs(pi_context *c, pi_call *call, pi_error *err)
{
    const pi_node *node = call->node;
    pi_status st = PI_E_OK;
    pi_tensor *type = pi_calloc(c->plan->heap, node->n_out + 1u, sizeof *type, err);
    if (!type) return pi_alloc_status(err);
    PI_TRY_DONE(pi_node_infer(node, call->in, type, err));
    for (uint32_t i = 0; i < node->n_out; i++) {
        pi_tensor *t = call->out[i];
        size_t bytes;
        if (!t) continue;
        *t = type[i];
        t->data = NULL;
        if (!pi_tensor_known(t)) continue;
        PI_TRY_DONE(pi_tensor_bytes(t, &bytes, err));
        PI_TRY_DONE(block_new(c, bytes, &t->data, err));
    }
done:
    pi_free(type);
    return st;
}

pi_status pi_context_run_dynamic(pi_context *c, uint32_t k, pi_error *err)
{
    pi_call *call = &c->call[k];
    pi_dynamic *d = &c->dynamic[k];
    for (uint32_t i = 0; i < call->node->n_in; i++)
        if (call->in[i] && !pi_tensor_known(call->in[i]))
            return pi_fail(err, PI_E_INTERNAL, "input %u has no shape when it is needed", i);
    PI_TRY(infer_outputs(c, call, err));
    PI_TRY(prepare(c, k, d, call, err));
    if (d->scratch > c->scratch_bytes) {
        void *grown = pi_alloc(c->plan->heap, d->scratch, err);
        if (!grown) return pi_alloc_status(err);
        pi_free(c->scratch);
        c->scratch = grown;
        c->scratch_bytes = d->scratch;
    }
    pi_call now = *call;
    now.state = d->state;
    now.scratch = c->scratch;
    return d->impl->run(&now, err);
}

/* ---- subgraphs ---- */

static pi_status body_session(pi_context *c, const pi_graph *g, pi_session **out, pi_error *err)
{
    for (pi_body *b = c->body; b; b = b->next)
        if (b->graph == g) {
            *out = b->session;
            return PI_E_OK;
        }
    pi_body *b = pi_calloc(c->plan->heap, 1, sizeof *b, err);
    if (!b) return pi_alloc_status(err);
    pi_status st = pi_session_new_body(c->session, g, &b->session, err);
    if (st != PI_E_OK) {
        pi_free(b);
        return st;
    }
    b->graph = g;
    b->next = c->body;
    c->body = b;
    *out = b->session;
    return PI_E_OK;
}

void pi_context_free_dynamic(pi_context *c)
{
    while (c->body) {
        pi_body *b = c->body;
        c->body = b->next;
        pi_session_free(b->session);
        pi_free(b);
    }
    for (uint32_t k = 0; c->dynamic && k < c->plan->n_steps; k++) {
        dynamic_reset(&c->dynamic[k]);
        pi_free(c->dynamic[k].type);
    }
}

/* The strings themselves are in the pool of the inner run, which ends first. */
static pi_status copy_strings(pi_context *c, const pi_tensor *t, const pi_str **to, pi_error *err)
{
    const pi_str *const *from = t->data;
    for (int64_t i = 0, n = pi_tensor_n(t); i < n; i++) {
        to[i] = from[i] ? pi_str_new(&c->strings, from[i]->bytes, from[i]->n, err) : NULL;
        if (from[i] && !to[i]) return pi_alloc_status(err);
    }
    return PI_E_OK;
}

static pi_status copy_results(pi_context *c, pi_context *inner, uint32_t n, pi_const **out, pi_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        const pi_tensor *t = pi_context_output(inner, i);
        bool strings = t->dtype == PI_DTYPE_STRING;
        out[i] = strings ? pi_const_new(c->plan->heap, t->dtype, t->rank, t->dim, err) : pi_const_copy(c->plan->heap, t, err);
        if (!out[i]) return pi_alloc_status(err);
        if (strings) PI_TRY(copy_strings(c, t, out[i]->t.data, err));
    }
    return PI_E_OK;
}

pi_status pi_context_run_graph(const pi_call *call, const pi_graph *g, const pi_tensor *const *in, pi_const **out,
                               pi_error *err)
{
    pi_context *c = call->run->runtime, *inner = NULL;
    pi_session *session = NULL;
    pi_status st = PI_E_OK;
    memset(out, 0, g->n_outputs * sizeof *out);
    PI_TRY(body_session(c, g, &session, err));
    pi_tensor *input = pi_calloc(c->plan->heap, g->n_inputs + 1u, sizeof *input, err);
    if (!input) return pi_alloc_status(err);
    for (uint32_t i = 0; i < g->n_inputs; i++) input[i] = *in[i];
    PI_TRY_DONE(pi_context_take(session, input, &inner, err));
    PI_TRY_DONE(pi_context_run(inner, input, c->run.cancel, err));
    PI_TRY_DONE(copy_results(c, inner, g->n_outputs, out, err));
done:
    if (st != PI_E_OK)
        for (uint32_t i = 0; i < g->n_outputs; i++) {
            pi_const_unref(out[i]);
            out[i] = NULL;
        }
    if (inner) pi_context_give(inner);
    pi_free(input);
    return st;
}
