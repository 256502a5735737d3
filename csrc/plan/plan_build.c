/* SPDX-License-Identifier: Apache-2.0 */
/* From a graph with concrete shapes to steps: for each node the candidate of its row that was measured as the fastest, or
 * the first that accepts, is prepared. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/cpu.h"
#include "base/threads.h"
#include "plan/plan_tune.h"

enum { PI_MAKERS = 16 };

bool pi_plan_only_slower(const char *refusal) { return refusal && strncmp(refusal, PI_SLOWER, sizeof PI_SLOWER - 1) == 0; }

const char *pi_plan_refusal(const pi_node *node, const pi_impl *impl, const pi_tensor *const *in, const pi_tensor *const *out,
                            const pi_plan_options *options)
{
    bool reference = !impl[1].name, forced = options->force && strcmp(impl->name, options->force) == 0;
    if (!options->onednn && strcmp(impl->name, "onednn") == 0) return "switched off by the option onednn=0";
    if (options->exact && impl->inplace & PI_INEXACT) return "switched off by the option exact=1";
    if (options->force && !reference && !forced) {
        for (const pi_impl *i = node->op->impls; i->name; i++)
            if (strcmp(i->name, options->force) == 0) return "another one is forced";
    }
    const char *why = impl->refuse ? impl->refuse(node, in, out) : NULL;
    return forced && pi_plan_only_slower(why) ? NULL : why;
}

static size_t add_reason(char *refused, size_t n, size_t size, const pi_impl *impl, const char *why)
{
    return n < size ? n + (size_t)snprintf(refused + n, size - n, "%s%s: %s", n ? "; " : "", impl->name, why) : n;
}

/* false: it refuses, or, with more memory to be had, could be prepared. */
static bool prepare_choice(pi_prep *prep, const pi_plan_options *options, const pi_impl *choice, char *refused, size_t size)
{
    size_t n = 0;
    pi_error err;
    const char *why;
    for (const pi_impl *i = prep->node->op->impls; i != choice; i++) {
        why = pi_plan_refusal(prep->node, i, prep->in, prep->out, options);
        if (why && !pi_plan_only_slower(why)) n = add_reason(refused, n, size, i, why);
    }
    why = pi_plan_refusal(prep->node, choice, prep->in, prep->out, options);
    if (why && !pi_plan_only_slower(why)) return false;
    return !choice->prepare || choice->prepare(prep, &err) == PI_E_OK;
}

/* With the option strict: the plain reference, where others could not, for much work. `why` they could not. */
static pi_status refuse_slow(const pi_prep *prep, const char *why, pi_error *err)
{
    enum { MUCH = 1 << 20 };
    double work = prep->flops;
    for (uint32_t i = 0; i < prep->node->n_in; i++) work += prep->in[i] ? (double)pi_tensor_n(prep->in[i]) : 0;
    if (work < MUCH) return PI_E_OK;
    return pi_fail(err, PI_E_UNSUPPORTED,
                   "only the slow reference kernel can do this, which the option strict refuses (%s); "
                   "load without strict=1, or change the types or attributes", why);
}

pi_status pi_plan_prepare(pi_prep *prep, const pi_plan_options *options, const pi_impl *choice, const pi_impl **impl,
                          char *refused, size_t size, pi_error *err)
{
    const pi_prep before = *prep;
    const uint64_t drop = prep->services->drop;
    pi_error late;
    size_t n = 0;
    bool able = true; /* no candidate so far that could not */
    refused[0] = '\0';
    *impl = choice;
    if (choice && prepare_choice(prep, options, choice, refused, size)) return PI_E_OK;
    *prep = before;
    prep->services->drop = drop;
    refused[0] = '\0';
    for (const pi_impl *i = prep->node->op->impls; i->name; i++) {
        const char *why = pi_plan_refusal(prep->node, i, prep->in, prep->out, options);
        if (!why) {
            bool last = !i[1].name;
            pi_status st = i->prepare ? i->prepare(prep, last ? err : &late) : PI_E_OK;
            if (st == PI_E_OK) {
                *impl = i;
                return options->strict && !options->force && last && !able ? refuse_slow(prep, refused, err) : PI_E_OK;
            }
            if (last || st != PI_E_UNSUPPORTED) {
                if (!last && err) *err = late;
                return st;
            }
            why = late.text;
            *prep = before;
            prep->services->drop = drop;
        }
        able &= pi_plan_only_slower(why);
        n = add_reason(refused, n, size, i, why);
    }
    /* a row whose last candidate refuses: only for types that nothing here computes */
    return pi_fail(err, PI_E_UNSUPPORTED, "no implementation takes these types (%s)", refused);
}

/* ---- steps ---- */

/* false: some shape is not known; then, as far as this graph goes, no shape of the outputs is. */
static pi_status find_known(const pi_node *node, bool *known, pi_error *err)
{
    size_t bytes;
    *known = true;
    for (uint32_t i = 0; i < node->n_in; i++) {
        pi_value *v = node->in[i];
        if (!v) continue;
        if (v->constant) v->t.data = v->constant->t.data;
        if (!pi_tensor_known(&v->t) || v->t.dtype == PI_DTYPE_NONE) *known = false;
    }
    for (uint32_t i = 0; i < node->n_out; i++) {
        pi_value *v = node->out[i];
        if (v && (!pi_tensor_known(&v->t) || v->t.dtype == PI_DTYPE_NONE)) *known = false;
        if (v && *known) PI_TRY(pi_tensor_bytes(&v->t, &bytes, err));
    }
    for (uint32_t i = 0; i < node->n_out && !*known; i++)
        if (node->out[i]) node->out[i]->t.rank = -1;
    return PI_E_OK;
}

typedef struct {
    pi_plan *plan;
    uint64_t *drop; /* by step: the services' when it was prepared */
    const pi_tensor **list; /* for each maker: inputs, then outputs of the node at hand */
    uint32_t most_in, most_out;
    pthread_mutex_t lock; /* of what follows */
    uint32_t failed;      /* the first step that failed; n_steps: none */
    pi_status st;
    pi_error *err;
} making;

/* What kernels of floats have here. */
static pi_isa best_isa(void)
{
    return pi_cpu_has(PI_CPU_AVX512) ? PI_CPU_AVX512 : pi_cpu_has(PI_CPU_AVX2) ? PI_CPU_AVX2 : PI_CPU_ANY;
}

static pi_status make_step(making *m, uint32_t i, int maker, pi_error *err)
{
    char refused[600];
    pi_plan *plan = m->plan;
    pi_step *step = &plan->step[i];
    const pi_node *node = step->node;
    pi_services *services = &plan->maker[maker];
    const pi_tensor **in = m->list + (size_t)maker * (m->most_in + m->most_out), **out = in + m->most_in;
    for (uint32_t k = 0; k < node->n_in; k++) in[k] = node->in[k] ? &node->in[k]->t : NULL;
    for (uint32_t k = 0; k < node->n_out; k++) out[k] = node->out[k] ? &node->out[k]->t : NULL;
    services->drop = 0;
    pi_prep prep = {.node = node, .in = in, .out = out, .threads = plan->options.threads, .services = services};
    PI_TRY(pi_plan_prepare(&prep, &plan->options, step->choice, &step->impl, refused, sizeof refused, err));
    if (step->impl != step->choice) step->tuned = "";
    if (refused[0] && !(step->refused = pi_arena_strndup(&services->arena, refused, strlen(refused), err)))
        return pi_alloc_status(err);
    step->state = prep.state;
    step->scratch = prep.scratch;
    step->flops = prep.flops;
    step->isa = strcmp(step->impl->name, "ref") == 0 ? "" : prep.isa ? prep.isa : pi_isa_name(best_isa());
    m->drop[i] = services->drop;
    return PI_E_OK;
}

/* Steps begin in their order: all before the first that fails have been begun, so it is the same each time. */
static bool make_one(void *arg, int64_t i, int maker)
{
    making *m = arg;
    pi_error err = {0};
    if (!m->plan->step[i].known) return true;
    pi_status st = make_step(m, (uint32_t)i, maker, &err);
    if (st == PI_E_OK) return true;
    pi_node_error(m->plan->step[i].node, &err);
    (void)pthread_mutex_lock(&m->lock);
    if ((uint32_t)i < m->failed) {
        m->failed = (uint32_t)i;
        m->st = st;
        if (m->err) *m->err = err;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return false;
}

/* Prepares on as many threads as the plan has: primitives are created, weights read and packed side by side. */
static pi_status make_steps(pi_plan *plan, uint64_t *drop, pi_error *err)
{
    making m = {.plan = plan, .drop = drop, .most_in = 1, .most_out = 1, .failed = plan->n_steps, .err = err};
    int threads = plan->options.threads > 1 ? plan->options.threads : 1;
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        const pi_node *node = plan->step[i].node;
        if (node->n_in > m.most_in) m.most_in = node->n_in;
        if (node->n_out > m.most_out) m.most_out = node->n_out;
    }
    if (threads > PI_MAKERS) threads = PI_MAKERS;
    plan->maker = pi_arena_calloc(&plan->services.arena, (size_t)threads, sizeof *plan->maker, err);
    if (!plan->maker) return pi_alloc_status(err);
    m.list = pi_calloc(plan->heap, (size_t)threads, (m.most_in + (size_t)m.most_out) * sizeof *m.list, err);
    if (!m.list) return pi_alloc_status(err);
    for (int i = 0; i < threads; i++) pi_services_init(&plan->maker[i], plan->heap, plan->services.packs);
    plan->n_makers = (uint32_t)threads;
    (void)pthread_mutex_init(&m.lock, NULL);
    pi_apart(threads, plan->options.threads, plan->n_steps, make_one, &m);
    (void)pthread_mutex_destroy(&m.lock);
    pi_free(m.list);
    for (int i = 0; i < threads; i++) pi_services_settle(&plan->maker[i]);
    return m.st;
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
    uint64_t *drop = pi_calloc(plan->heap, g->n_nodes + 1u, sizeof *drop, err);
    bool *read = pi_calloc(plan->heap, g->n_values + 1u, sizeof *read, err);
    plan->step = pi_arena_calloc(&plan->services.arena, g->n_nodes + 1u, sizeof *plan->step, err);
    plan->place = pi_arena_calloc(&plan->services.arena, g->n_values + 1u, sizeof *plan->place, err);
    plan->output_copied = pi_arena_calloc(&plan->services.arena, g->n_outputs + 1u, sizeof *plan->output_copied, err);
    if (!drop || !read || !plan->step || !plan->place || !plan->output_copied) {
        st = pi_alloc_status(err);
        goto done;
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        pi_node *node = g->node[i];
        if (pi_plan_is_view(node)) {
            if (node->in[0]->constant) read[node->in[0]->id] = true;
            continue;
        }
        pi_step *step = &plan->step[plan->n_steps++];
        *step = (pi_step){.node = node, .isa = "", .refused = "", .tuned = ""};
        st = find_known(node, &step->known, err);
        if (st != PI_E_OK) {
            pi_node_error(node, err);
            goto done;
        }
    }
    pi_plan_tune(plan);
    PI_TRY_DONE(make_steps(plan, drop, err));
    for (uint32_t i = 0; i < plan->n_steps; i++)
        for (uint32_t k = 0; k < plan->step[i].node->n_in; k++) {
            const pi_value *v = plan->step[i].node->in[k];
            if (v && (k >= 64 || !(drop[i] >> k & 1))) read[v->id] = true;
        }
    for (uint32_t i = 0; i < g->n_outputs; i++) read[g->output[i]->id] = true;
    PI_TRY_DONE(settle_constants(plan, read, err));
done:
    pi_free(drop);
    pi_free(read);
    return st;
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
    for (uint32_t i = 0; i < plan->n_makers; i++) pi_services_deinit(&plan->maker[i]);
    pi_services_deinit(&plan->services);
    pi_graph_free(plan->graph);
    pi_heap *heap = plan->heap;
    pi_free(plan);
    pi_heap_unref(heap);
}
