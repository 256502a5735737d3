/* SPDX-License-Identifier: Apache-2.0 */
/* The step loop. */
#include <string.h>
#include "base/clock.h"
#include "base/threads.h"
#include "ops/live.h"
#include "runtime/context.h"

/* Memory of output i in this run: the caller's, else our own, made once. */
static pi_status output_memory(pi_context *c, uint32_t i, const pi_tensor *t, void **out, pi_error *err)
{
    *out = c->user_output[i];
    if (*out) return PI_E_OK;
    if (!c->own_output[i]) {
        size_t bytes;
        PI_TRY(pi_tensor_bytes(t, &bytes, err));
        c->own_output[i] = pi_alloc(c->plan->heap, bytes, err);
        if (!c->own_output[i]) return pi_alloc_status(err);
    }
    *out = c->own_output[i];
    return PI_E_OK;
}

static pi_status bind(pi_context *c, const pi_tensor *input, pi_error *err)
{
    const pi_graph *g = c->plan->graph;
    for (uint32_t i = 0; i < c->n_input_binds; i++)
        c->tensor[c->input[i].value].data = input[c->input[i].index].data;
    for (uint32_t i = 0; i < g->n_outputs; i++)
        if (!c->plan->output_copied[i]) PI_TRY(output_memory(c, i, &c->result[i], &c->result[i].data, err));
    for (uint32_t i = 0; i < c->n_output_binds; i++)
        c->tensor[c->output[i].value].data = c->result[c->output[i].index].data;
    return PI_E_OK;
}

/* Outputs that are inputs, constants, views of another output, or sized while running. */
static pi_status copy_outputs(pi_context *c, pi_error *err)
{
    const pi_graph *g = c->plan->graph;
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        if (!c->plan->output_copied[i]) continue;
        const pi_tensor *t = &c->tensor[g->output[i]->id];
        bool known = c->result[i].rank >= 0 && c->user_output[i];
        c->result[i] = *t;
        if (!known) continue; /* borrowed until the context is given back */
        size_t bytes;
        PI_TRY(pi_tensor_bytes(t, &bytes, err));
        if (bytes) memcpy(c->user_output[i], t->data, bytes);
        c->result[i].data = c->user_output[i];
    }
    return PI_E_OK;
}

static pi_status run_step(pi_context *c, uint32_t k, pi_error *err)
{
    const pi_step *step = &c->plan->step[k];
    pi_status st = step->impl ? step->impl->run(&c->call[k], err) : pi_context_run_dynamic(c, k, err);
    if (st == PI_E_OK && c->odd) st = pi_context_check_step(c, k, err);
    if (st != PI_E_OK && st != PI_E_CANCELLED) pi_node_error(step->node, err);
    return st;
}

static void note_span(pi_context *c, uint32_t k, uint64_t start_ns, uint64_t ns)
{
    c->span[k] = (pi_span){start_ns, ns, c->plan->step[k].impl ? pi_live_share(c->call[k].node, c->call[k].in) : 1};
}

static pi_status run_steps(pi_context *c, pi_error *err)
{
    uint64_t start = c->span ? pi_clock_ns() : 0;
    for (uint32_t k = 0; k < c->plan->n_steps; k++) {
        if (pi_threads_stopped() || (c->run.cancel && __atomic_load_n(c->run.cancel, __ATOMIC_RELAXED)))
            return pi_fail(err, PI_E_CANCELLED, "the run was cancelled at step %u of %u", k, c->plan->n_steps);
        uint64_t before = c->span ? pi_clock_ns() : 0;
        PI_TRY(run_step(c, k, err));
        if (c->span) note_span(c, k, before - start, pi_clock_ns() - before);
    }
    return PI_E_OK;
}

pi_status pi_context_run(pi_context *c, const pi_tensor *input, const int *cancel, pi_error *err)
{
    pi_threads_state saved;
    pi_context_release_blocks(c);
    PI_TRY(bind(c, input, err));
    if (c->odd) PI_TRY(pi_context_check_inputs(c, err));
    c->run.cancel = cancel;
    pi_threads_enter(c->run.threads, &saved);
    pi_status st = run_steps(c, err);
    pi_threads_leave(&saved);
    return st == PI_E_OK ? copy_outputs(c, err) : st;
}
