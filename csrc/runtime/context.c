/* SPDX-License-Identifier: Apache-2.0 */
/* A context: the arena of one run and its calls with every pointer in place, so that running looks nothing up.
 * Only what belongs to the caller (inputs, outputs) is bound again in each run. */
#include <string.h>
#include "runtime/context.h"

static void *new_list(pi_context *c, size_t n, size_t size, bool *ok, pi_error *err)
{
    void *p = *ok ? pi_calloc(c->plan->heap, n + 1, size, err) : NULL;
    if (!p) *ok = false;
    return p;
}

static void place_values(pi_context *c)
{
    const pi_graph *g = c->plan->graph;
    for (uint32_t i = 0; i < g->n_values; i++) {
        const pi_place *place = &c->plan->place[i];
        pi_tensor *t = &c->tensor[i];
        *t = g->value[i]->t;
        t->data = NULL;
        if (place->kind == PI_PLACE_ARENA) t->data = c->arena + place->offset;
        if (place->kind == PI_PLACE_CONSTANT && g->value[i]->constant) t->data = g->value[i]->constant->t.data;
        if (place->kind == PI_PLACE_INPUT) c->input[c->n_input_binds++] = (pi_bind){i, place->index};
        if (place->kind == PI_PLACE_OUTPUT) c->output[c->n_output_binds++] = (pi_bind){i, place->index};
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) { /* views of constants follow their source */
        const pi_node *node = g->node[i];
        if (pi_plan_is_view(node) && !c->tensor[node->out[0]->id].data)
            c->tensor[node->out[0]->id].data = c->tensor[node->in[0]->id].data;
    }
}

static void wire_calls(pi_context *c)
{
    uint32_t at_in = 0, at_out = 0;
    for (uint32_t k = 0; k < c->plan->n_steps; k++) {
        const pi_step *step = &c->plan->step[k];
        const pi_node *node = step->node;
        c->call[k] = (pi_call){.node = node,
                               .state = step->state,
                               .in = c->in + at_in,
                               .out = c->out + at_out,
                               .scratch = c->arena + step->scratch_at,
                               .run = &c->run};
        for (uint32_t i = 0; i < node->n_in; i++) c->in[at_in++] = node->in[i] ? &c->tensor[node->in[i]->id] : NULL;
        for (uint32_t i = 0; i < node->n_out; i++) c->out[at_out++] = node->out[i] ? &c->tensor[node->out[i]->id] : NULL;
    }
}

pi_status pi_context_new(pi_session *session, pi_slot *slot, pi_context **out, pi_error *err)
{
    const pi_plan *plan = slot->plan;
    const pi_graph *g = plan->graph;
    size_t n_in = 0, n_out = 0;
    bool dynamic = false, ok = true;
    for (uint32_t k = 0; k < plan->n_steps; k++) {
        n_in += plan->step[k].node->n_in;
        n_out += plan->step[k].node->n_out;
        dynamic |= !plan->step[k].impl;
    }
    pi_context *c = pi_calloc(plan->heap, 1, sizeof *c, err);
    if (!c) return pi_alloc_status(err);
    c->session = session;
    c->slot = slot;
    c->plan = plan;
    pi_arena_init(&c->strings, plan->heap);
    c->tensor = new_list(c, g->n_values, sizeof *c->tensor, &ok, err);
    c->call = new_list(c, plan->n_steps, sizeof *c->call, &ok, err);
    c->in = new_list(c, n_in, sizeof *c->in, &ok, err);
    c->out = new_list(c, n_out, sizeof *c->out, &ok, err);
    c->input = new_list(c, g->n_values, sizeof *c->input, &ok, err);
    c->output = new_list(c, g->n_values, sizeof *c->output, &ok, err);
    c->own_output = new_list(c, g->n_outputs, sizeof *c->own_output, &ok, err);
    c->user_output = new_list(c, g->n_outputs, sizeof *c->user_output, &ok, err);
    c->result = new_list(c, g->n_outputs, sizeof *c->result, &ok, err);
    if (plan->options.check_numbers) c->odd = new_list(c, g->n_values, sizeof *c->odd, &ok, err);
    if (dynamic) c->dynamic = new_list(c, plan->n_steps, sizeof *c->dynamic, &ok, err);
    c->arena = ok ? pi_alloc(plan->heap, plan->arena_bytes, err) : NULL;
    if (!c->arena) {
        pi_context_free(c);
        return pi_alloc_status(err);
    }
    c->run = (pi_run){.threads = plan->options.threads,
                      .heap = plan->heap,
                      .strings = &c->strings,
                      .runtime = c,
                      .output = pi_context_output_alloc,
                      .keep = pi_context_keep,
                      .graph = pi_context_run_graph};
    place_values(c);
    wire_calls(c);
    pi_context_release_blocks(c); /* nothing yet: sets the results' types */
    *out = c;
    return PI_E_OK;
}

void pi_context_free(pi_context *c)
{
    if (!c) return;
    pi_context_release_blocks(c);
    pi_context_free_dynamic(c);
    pi_arena_deinit(&c->strings);
    for (uint32_t i = 0; c->own_output && i < c->plan->graph->n_outputs; i++) pi_free(c->own_output[i]);
    pi_free(c->tensor);
    pi_free(c->call);
    pi_free(c->in);
    pi_free(c->out);
    pi_free(c->input);
    pi_free(c->output);
    pi_free(c->own_output);
    pi_free(c->user_output);
    pi_free(c->result);
    pi_free(c->dynamic);
    pi_free(c->span);
    pi_free(c->odd);
    pi_free(c->scratch);
    pi_free(c->arena);
    pi_free(c);
}

const pi_tensor *pi_context_output(const pi_context *c, uint32_t i) { return &c->result[i]; }
const pi_plan *pi_context_plan(const pi_context *c) { return c->plan; }
const pi_span *pi_context_spans(const pi_context *c) { return c->span; }
const pi_tensor *pi_context_tensor(const pi_context *c, uint32_t value_id) { return &c->tensor[value_id]; }
void pi_context_set_output(pi_context *c, uint32_t i, void *data) { c->user_output[i] = data; }

const char *pi_context_impl(const pi_context *c, uint32_t i)
{
    const pi_impl *impl = c->plan->step[i].impl;
    if (!impl && c->dynamic) impl = c->dynamic[i].impl;
    return impl ? impl->name : "chosen while running";
}

pi_status pi_context_profile(pi_context *c, bool on, pi_error *err)
{
    if (!on) {
        pi_free(c->span);
        c->span = NULL;
        return PI_E_OK;
    }
    if (!c->span) c->span = pi_calloc(c->plan->heap, c->plan->n_steps + 1u, sizeof *c->span, err);
    return c->span ? PI_E_OK : pi_alloc_status(err);
}
