/* SPDX-License-Identifier: Apache-2.0 */
/* From a graph with concrete shapes to steps: for each node the first candidate of its row that accepts is prepared. */
#include <stdio.h>
#include <string.h>
#include "plan/plan.h"

static const char *refusal(const pi_node *node, const pi_impl *impl, const pi_tensor *const *in,
                           const pi_tensor *const *out, const pi_plan_options *options)
{
    bool reference = !impl[1].name;
    if (!options->onednn && strcmp(impl->name, "onednn") == 0) return "switched off by the option onednn=0";
    if (options->exact && strcmp(impl->name, "winograd") == 0) return "switched off by the option exact=1";
    if (options->force && !reference && strcmp(impl->name, options->force) != 0) {
        for (const pi_impl *i = node->op->impls; i->name; i++)
            if (strcmp(i->name, options->force) == 0) return "another one is forced";
    }
    return impl->refuse ? impl->refuse(node, in, out) : NULL;
}

pi_status pi_plan_prepare(pi_prep *prep, const pi_plan_options *options, const pi_impl **impl, char *refused, size_t size,
                          pi_error *err)
{
    const pi_prep before = *prep;
    const uint64_t drop = prep->services->drop;
    pi_error late;
    size_t n = 0;
    refused[0] = '\0';
    for (const pi_impl *i = prep->node->op->impls; i->name; i++) {
        const char *why = refusal(prep->node, i, prep->in, prep->out, options);
        if (!why) {
            bool last = !i[1].name;
            pi_status st = i->prepare ? i->prepare(prep, last ? err : &late) : PI_E_OK;
            if (st == PI_E_OK) {
                *impl = i;
                return PI_E_OK;
            }
            if (last || st != PI_E_UNSUPPORTED) {
                if (!last && err) *err = late;
                return st;
            }
            why = late.text;
            *prep = before;
            prep->services->drop = drop;
        }
        if (n < size) n += (size_t)snprintf(refused + n, size - n, "%s%s: %s", n ? "; " : "", i->name, why);
    }
    /* a row whose last candidate refuses: only for types that nothing here computes */
    return pi_fail(err, PI_E_UNSUPPORTED, "no implementation takes these types (%s)", refused);
}

/* Tensors of a node's inputs and outputs, constants loaded; false in *known: some shape is not known. */
static pi_status gather(const pi_node *node, const pi_tensor **in, const pi_tensor **out, bool *known, pi_error *err)
{
    *known = true;
    for (uint32_t i = 0; i < node->n_in; i++) {
        pi_value *v = node->in[i];
        in[i] = v ? &v->t : NULL;
        if (!v) continue;
        if (v->constant) v->t.data = v->constant->t.data;
        if (!pi_tensor_known(&v->t) || v->t.dtype == PI_DTYPE_NONE) *known = false;
    }
    for (uint32_t i = 0; i < node->n_out; i++) {
        pi_value *v = node->out[i];
        out[i] = v ? &v->t : NULL;
        if (v && (!pi_tensor_known(&v->t) || v->t.dtype == PI_DTYPE_NONE)) *known = false;
        size_t bytes;
        if (v && *known) PI_TRY(pi_tensor_bytes(&v->t, &bytes, err));
    }
    return PI_E_OK;
}

static pi_status build_step(pi_plan *plan, pi_node *node, const pi_tensor **in, const pi_tensor **out, pi_error *err)
{
    char refused[600];
    bool known;
    pi_step *step = &plan->step[plan->n_steps++];
    step->node = node;
    step->refused = "";
    PI_TRY(gather(node, in, out, &known, err));
    plan->services.drop = 0;
    if (known) {
        pi_prep prep = {.node = node, .in = in, .out = out, .threads = plan->options.threads, .services = &plan->services};
        PI_TRY(pi_plan_prepare(&prep, &plan->options, &step->impl, refused, sizeof refused, err));
        if (refused[0] && !(step->refused = pi_arena_strndup(&plan->services.arena, refused, strlen(refused), err)))
            return pi_alloc_status(err);
        step->state = prep.state;
        step->scratch = prep.scratch;
        step->flops = prep.flops;
    } else { /* dynamic, and with it all that reads its results */
        for (uint32_t i = 0; i < node->n_out; i++)
            if (node->out[i]) node->out[i]->t.rank = -1;
    }
    return PI_E_OK;
}

/* Constants that steps (or views, or outputs) read stay in memory, pinned; the bytes of the others may go: they were
 * packed, and can be read again from the file. */
static pi_status settle_constants(pi_plan *plan, const bool *read, pi_error *err)
{
    const pi_graph *g = plan->graph;
    plan->pinned = pi_arena_calloc(&plan->services.arena, g->n_values + 1u, sizeof *plan->pinned, err);
    if (!plan->pinned) return pi_alloc_status(err);
    for (uint32_t i = 0; i < g->n_values; i++) {
        pi_value *v = g->value[i];
        if (!v->constant) continue;
        if (read[i]) {
            PI_TRY(pi_const_load(v->constant, err));
            plan->pinned[plan->n_pinned++] = v->constant;
            __atomic_add_fetch(&v->constant->pins, 1, __ATOMIC_ACQ_REL);
        } else {
            pi_const_drop(v->constant);
        }
        v->t.data = v->constant->t.data;
    }
    return PI_E_OK;
}

static pi_status build_steps(pi_plan *plan, pi_error *err)
{
    pi_status st = PI_E_OK;
    pi_graph *g = plan->graph;
    uint32_t most_in = 1, most_out = 1;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        if (g->node[i]->n_in > most_in) most_in = g->node[i]->n_in;
        if (g->node[i]->n_out > most_out) most_out = g->node[i]->n_out;
    }
    const pi_tensor **in = pi_calloc(plan->heap, most_in, sizeof *in, err);
    const pi_tensor **out = pi_calloc(plan->heap, most_out, sizeof *out, err);
    bool *read = pi_calloc(plan->heap, g->n_values + 1u, sizeof *read, err);
    plan->step = pi_arena_calloc(&plan->services.arena, g->n_nodes + 1u, sizeof *plan->step, err);
    plan->place = pi_arena_calloc(&plan->services.arena, g->n_values + 1u, sizeof *plan->place, err);
    plan->output_copied = pi_arena_calloc(&plan->services.arena, g->n_outputs + 1u, sizeof *plan->output_copied, err);
    if (!in || !out || !read || !plan->step || !plan->place || !plan->output_copied) {
        st = pi_alloc_status(err);
        goto done;
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        pi_node *node = g->node[i];
        if (pi_plan_is_view(node)) {
            if (node->in[0]->constant) read[node->in[0]->id] = true;
            continue;
        }
        st = build_step(plan, node, in, out, err);
        if (st != PI_E_OK) {
            pi_node_error(node, err);
            goto done;
        }
        for (uint32_t k = 0; k < node->n_in; k++) {
            if (!node->in[k]) continue;
            if (k >= 64 || !(plan->services.drop >> k & 1))
                read[node->in[k]->id] = true;
            else if (node->in[k]->n_uses == 1 && node->in[k]->constant)
                pi_const_drop(node->in[k]->constant); /* early: two copies of few weights at a time */
        }
    }
    for (uint32_t i = 0; i < g->n_outputs; i++) read[g->output[i]->id] = true;
    PI_TRY_DONE(settle_constants(plan, read, err));
done:
    pi_free(in);
    pi_free(out);
    pi_free(read);
    return st;
}

static pi_status add_scratch(pi_plan *plan, pi_error *err)
{
    size_t most = 0;
    for (uint32_t i = 0; i < plan->n_steps; i++)
        if (plan->step[i].scratch > most) most = plan->step[i].scratch;
    plan->scratch_offset = plan->arena_bytes;
    if (!pi_add(plan->arena_bytes, most, &plan->arena_bytes))
        return pi_fail(err, PI_E_LIMIT, "the scratch memory is larger than can be addressed");
    return PI_E_OK;
}

pi_status pi_plan_new(pi_graph *g, pi_packs *packs, const pi_plan_options *options, pi_plan **out, pi_error *err)
{
    pi_status st;
    pi_plan *plan = pi_calloc(g->heap, 1, sizeof *plan, err);
    if (!plan) {
        pi_graph_free(g);
        return pi_alloc_status(err);
    }
    plan->graph = g;
    plan->heap = pi_heap_ref(g->heap);
    plan->options = *options;
    pi_services_init(&plan->services, g->heap, packs);
    PI_TRY_DONE(build_steps(plan, err));
    PI_TRY_DONE(pi_plan_memory(plan, err));
    PI_TRY_DONE(add_scratch(plan, err));
    *out = plan;
    return PI_E_OK;
done:
    for (uint32_t i = 0; i < g->n_values; i++) /* what was read for this plan would count against the limit for ever */
        if (g->value[i]->constant) pi_const_drop(g->value[i]->constant);
    pi_plan_free(plan);
    return st;
}

void pi_plan_free(pi_plan *plan)
{
    if (!plan) return;
    for (uint32_t i = 0; i < plan->n_pinned; i++) __atomic_sub_fetch(&plan->pinned[i]->pins, 1, __ATOMIC_ACQ_REL);
    pi_services_deinit(&plan->services);
    pi_graph_free(plan->graph);
    pi_heap *heap = plan->heap;
    pi_free(plan);
    pi_heap_unref(heap);
}
