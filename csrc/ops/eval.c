/* SPDX-License-Identifier: Apache-2.0 */
/* Computes one node on bound tensors, with everything that a plan would give it for one run only. */
#include <string.h>
#include "base/threads.h"
#include "ops/prep.h"

typedef struct {
    const pi_node *node;
    pi_heap *heap;
    pi_const **out;      /* the caller's */
    pi_tensor *shape;    /* of each output */
    pi_tensor **bound;   /* what the implementation sees */
    pi_arena *strings;   /* made while running; outputs get copies */
} eval;

bool pi_cancelled(const pi_call *call)
{
    if (!call->run) return false;
    return pi_threads_stopped() || (call->run->cancel && __atomic_load_n(call->run->cancel, __ATOMIC_RELAXED) != 0);
}

pi_status pi_call_output(const pi_call *call, uint32_t i, int rank, const int64_t *dim, pi_error *err)
{
    return call->run->output(call, i, rank, dim, err);
}

pi_status pi_call_seq(const pi_call *call, uint32_t i, pi_dtype dtype, pi_seq *s, pi_error *err)
{
    pi_tensor *out = i < call->node->n_out ? call->out[i] : NULL;
    if (!s) return pi_alloc_status(err);
    if (!out || !call->run->keep) {
        pi_seq_unref(s);
        return out ? pi_fail(err, PI_E_UNSUPPORTED, "sequences exist only in a running model") : PI_E_OK;
    }
    PI_TRY(call->run->keep(call, s, err));
    if (!out->data) {
        *out = pi_seq_tensor(s, dtype);
        return PI_E_OK;
    }
    memcpy(out->data, &s->self, sizeof s->self);
    return PI_E_OK;
}

/* ---- outputs ---- */

static pi_status eval_output(eval *e, uint32_t i, int rank, const int64_t *dim, pi_error *err)
{
    pi_const *c = pi_const_new(e->heap, e->shape[i].dtype, rank, dim, err);
    if (!c) return pi_alloc_status(err);
    pi_const_unref(e->out[i]);
    e->out[i] = c;
    e->shape[i] = c->t;
    e->bound[i] = &e->shape[i];
    if (c->t.dtype == PI_DTYPE_STRING && c->bytes) memset(c->t.data, 0, c->bytes);
    return PI_E_OK;
}

static pi_status output_later(const pi_call *call, uint32_t i, int rank, const int64_t *dim, pi_error *err)
{
    eval *e = call->run->runtime;
    if (i >= e->node->n_out) return pi_fail(err, PI_E_INTERNAL, "there is no output %u", i);
    return eval_output(e, i, rank, dim, err);
}

/* Strings may belong to an input or to this call's pool: a constant that outlives both needs its own copies. */
static pi_status own_strings(eval *e, uint32_t i, pi_error *err)
{
    pi_const *c = pi_const_copy(e->heap, &e->out[i]->t, err);
    if (!c) return pi_alloc_status(err);
    pi_const_unref(e->out[i]);
    e->out[i] = c;
    return PI_E_OK;
}

/* ---- one call ---- */

/* Prepares the first implementation (of this name) that neither refuses at once nor, with UNSUPPORTED, in prepare. */
static pi_status prepare(pi_prep *prep, const char *name, const pi_impl **chosen, pi_error *err)
{
    const pi_prep before = *prep;
    const char *why = "there is none of this name";
    pi_error late;
    for (const pi_impl *impl = prep->node->op->impls; impl && impl->name; impl++) {
        if (name && strcmp(name, impl->name) != 0) continue;
        why = impl->refuse ? impl->refuse(prep->node, prep->in, prep->out) : NULL;
        if (why) continue;
        pi_status st = impl->prepare ? impl->prepare(prep, &late) : PI_E_OK;
        *chosen = impl;
        if (st == PI_E_OK) return PI_E_OK;
        if (st != PI_E_UNSUPPORTED) {
            if (err) *err = late;
            return st;
        }
        why = late.text;
        *prep = before;
    }
    return pi_fail(err, name ? PI_E_INPUT : PI_E_UNSUPPORTED, "no implementation %s%s%s: %s", name ? "'" : "",
                   name ? name : "", name ? "'" : "fits", why);
}

static pi_status run_impl(eval *e, const char *name, const pi_tensor *const *in, int threads, pi_error *err)
{
    const pi_impl *impl = NULL;
    pi_status st = PI_E_OK;
    void *scratch = NULL;
    pi_services services;
    pi_threads_state threads_before;
    pi_threads_enter(threads, &threads_before);
    pi_services_init(&services, e->heap, NULL);
    services.once = true;
    pi_prep prep = {.node = e->node, .in = in, .out = (const pi_tensor *const *)e->bound, .threads = threads,
                    .services = &services};
    pi_run run = {.threads = threads, .heap = e->heap, .strings = e->strings, .runtime = e, .output = output_later};
    PI_TRY_DONE(prepare(&prep, name, &impl, err));
    if (prep.scratch && !(scratch = pi_alloc(e->heap, prep.scratch, err))) {
        st = pi_alloc_status(err);
        goto done;
    }
    pi_call call = {.node = e->node, .state = prep.state, .in = in, .out = e->bound, .scratch = scratch, .run = &run};
    st = impl->run(&call, err);
done:
    pi_free(scratch);
    pi_services_deinit(&services);
    pi_threads_leave(&threads_before);
    return st;
}

/* A view has the bytes of its input; an implementation is not needed. */
static pi_status copy_view(const eval *e, const pi_tensor *in)
{
    if (e->out[0]->bytes) memcpy(e->out[0]->t.data, in->data, e->out[0]->bytes);
    return PI_E_OK;
}

static pi_status eval_run(eval *e, const char *name, const pi_tensor *const *in, int threads, pi_error *err)
{
    const pi_node *node = e->node;
    bool wanted = false;
    PI_TRY(pi_node_infer(node, in, e->shape, err));
    for (uint32_t i = 0; i < node->n_out; i++) {
        wanted = wanted || node->out[i];
        e->bound[i] = node->out[i] ? &e->shape[i] : NULL;
        if (node->out[i] && pi_tensor_known(&e->shape[i]))
            PI_TRY(eval_output(e, i, e->shape[i].rank, e->shape[i].dim, err));
    }
    if (!wanted) return PI_E_OK; /* a file may have such a node: implementations need not expect it */
    if ((node->op->flags & PI_OP_VIEW) && e->out[0]) {
        PI_TRY(copy_view(e, in[0]));
    } else {
        PI_TRY(run_impl(e, name, in, threads, err));
    }
    for (uint32_t i = 0; i < node->n_out; i++) {
        if (!e->bound[i]) continue;
        if (!e->out[i]) return pi_fail(err, PI_E_INTERNAL, "output %u was not made", i);
        if (e->out[i]->t.dtype == PI_DTYPE_STRING) PI_TRY(own_strings(e, i, err));
    }
    return PI_E_OK;
}

pi_status pi_op_eval_threads(const pi_node *node, const char *impl, int threads, const pi_tensor *const *in,
                             pi_heap *heap, pi_const **out, pi_error *err)
{
    pi_status st = PI_E_OK;
    pi_arena strings;
    pi_arena_init(&strings, heap);
    eval e = {.node = node, .heap = heap, .out = out, .strings = &strings};
    for (uint32_t i = 0; i < node->n_out; i++) out[i] = NULL;
    e.shape = pi_calloc(heap, node->n_out + 1u, sizeof *e.shape, err);
    e.bound = pi_calloc(heap, node->n_out + 1u, sizeof *e.bound, err);
    st = e.shape && e.bound ? eval_run(&e, impl, in, threads, err) : pi_alloc_status(err);
    if (st != PI_E_OK)
        for (uint32_t i = 0; i < node->n_out; i++) {
            pi_const_unref(out[i]);
            out[i] = NULL;
        }
    pi_free(e.shape);
    pi_free(e.bound);
    pi_arena_deinit(&strings);
    return st;
}

pi_status pi_op_eval(const pi_node *node, const char *impl, const pi_tensor *const *in, pi_heap *heap, pi_const **out,
                     pi_error *err)
{
    return pi_op_eval_threads(node, impl, 1, in, heap, out, err);
}

pi_status pi_op_fold(const pi_node *node, const pi_tensor *const *in, pi_heap *heap, pi_const **out, pi_error *err)
{
    return pi_op_eval_threads(node, NULL, 1, in, heap, out, err);
}
