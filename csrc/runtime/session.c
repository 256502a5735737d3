/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: plans by input shapes, a bounded number, least recently used out; idle contexts hang at their plan. One lock
 * guards the cache, planning and packing; runs do not take it. */
#include <pthread.h>
#include <string.h>
#include "base/threads.h"
#include "runtime/context.h"

struct pi_session {
    const pi_graph *graph;
    pi_heap *heap;
    pi_packs *packs;
    pi_session_options options;
    pthread_mutex_t *lock, own_lock; /* bodies share the lock of the outermost session */
    pi_slot *slot[PI_PLAN_CACHE];
    uint32_t n_slots;
    uint64_t clock;
};

pi_status pi_session_new(const pi_graph *g, pi_heap *heap, pi_packs *packs, const pi_session_options *options,
                         pi_session **out, pi_error *err)
{
    pi_session *s = pi_calloc(heap, 1, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    s->graph = g;
    s->heap = heap;
    s->packs = packs;
    s->options = *options;
    (void)pthread_mutex_init(&s->own_lock, NULL);
    s->lock = &s->own_lock;
    *out = s;
    return PI_E_OK;
}

pi_status pi_session_new_body(pi_session *outer, const pi_graph *g, pi_session **out, pi_error *err)
{
    pi_session_options options = outer->options;
    options.plan.tune = 0; /* its plans are made in the middle of a run, of a loop perhaps with new shapes each time */
    PI_TRY(pi_session_new(g, outer->heap, outer->packs, &options, out, err));
    (*out)->lock = outer->lock;
    return PI_E_OK;
}

/* Under the lock, or when nobody else can see it. */
static void slot_unref(pi_slot *slot)
{
    if (--slot->refs > 0) return;
    while (slot->idle) {
        pi_context *c = slot->idle;
        slot->idle = c->next_idle;
        pi_context_free(c);
    }
    pi_plan_free(slot->plan);
    pi_free(slot->input);
    pi_free(slot);
}

void pi_session_free(pi_session *s)
{
    if (!s) return;
    for (uint32_t i = 0; i < s->n_slots; i++) slot_unref(s->slot[i]);
    (void)pthread_mutex_destroy(&s->own_lock);
    pi_free(s);
}

static bool slot_fits(const pi_slot *slot, const pi_tensor *input, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (slot->input[i].dtype != input[i].dtype || !pi_tensor_same_shape(&slot->input[i], &input[i])) return false;
    return true;
}

/* A copy of the graph for these input shapes: inferred, folded, rewritten, sorted. */
static pi_status specialise(pi_session *s, const pi_tensor *input, pi_graph **out, pi_error *err)
{
    pi_graph *g = NULL;
    pi_status st = PI_E_OK;
    PI_TRY_DONE(pi_graph_clone(s->graph, s->heap, &g, err));
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        g->input[i]->t = input[i];
        g->input[i]->t.data = NULL;
    }
    PI_TRY_DONE(s->options.specialise(g, s->options.arg, err));
    *out = g;
    g = NULL;
done:
    pi_graph_free(g);
    return st;
}

static pi_status slot_new(pi_session *s, const pi_tensor *input, pi_slot **out, pi_error *err)
{
    pi_graph *g = NULL;
    pi_status st = PI_E_OK;
    pi_slot *slot = pi_calloc(s->heap, 1, sizeof *slot, err);
    if (!slot) return pi_alloc_status(err);
    slot->input = pi_calloc(s->heap, s->graph->n_inputs + 1u, sizeof *slot->input, err);
    if (!slot->input) {
        st = pi_alloc_status(err);
        goto done;
    }
    if (s->graph->n_inputs) memcpy(slot->input, input, s->graph->n_inputs * sizeof *input);
    PI_TRY_DONE(specialise(s, input, &g, err));
    PI_TRY_DONE(pi_plan_new(g, s->packs, &s->options.plan, &slot->plan, err));
    slot->refs = 1;
    *out = slot;
    slot = NULL;
done:
    if (slot) {
        pi_free(slot->input);
        pi_free(slot);
    }
    return st;
}

static void cache_add(pi_session *s, pi_slot *slot)
{
    uint32_t at = s->n_slots;
    if (at == PI_PLAN_CACHE) {
        at = 0;
        for (uint32_t i = 1; i < PI_PLAN_CACHE; i++)
            if (s->slot[i]->used < s->slot[at]->used) at = i;
        s->slot[at]->cached = false;
        slot_unref(s->slot[at]);
    } else {
        s->n_slots++;
    }
    slot->cached = true;
    s->slot[at] = slot;
}

static pi_status find_slot(pi_session *s, const pi_tensor *input, pi_slot **out, pi_error *err)
{
    pi_threads_state saved;
    for (uint32_t i = 0; i < s->n_slots; i++)
        if (slot_fits(s->slot[i], input, s->graph->n_inputs)) {
            *out = s->slot[i];
            return PI_E_OK;
        }
    pi_threads_enter(s->options.plan.threads, &saved); /* oneDNN freezes the count when it creates */
    pi_status st = slot_new(s, input, out, err);
    pi_threads_leave(&saved);
    if (st == PI_E_OK) cache_add(s, *out);
    return st;
}

pi_status pi_context_take(pi_session *s, const pi_tensor *input, pi_context **out, pi_error *err)
{
    pi_slot *slot = NULL;
    pi_status st;
    (void)pthread_mutex_lock(s->lock);
    PI_TRY_DONE(find_slot(s, input, &slot, err));
    slot->used = ++s->clock;
    if (slot->idle) {
        *out = slot->idle;
        slot->idle = (*out)->next_idle;
    } else {
        PI_TRY_DONE(pi_context_new(s, slot, out, err));
    }
    slot->refs++;
done:
    (void)pthread_mutex_unlock(s->lock);
    return st;
}

void pi_context_give(pi_context *c)
{
    pi_session *s = c->session;
    pi_context_release_blocks(c);
    for (uint32_t i = 0; i < c->plan->graph->n_outputs; i++) c->user_output[i] = NULL;
    (void)pthread_mutex_lock(s->lock);
    pi_slot *slot = c->slot;
    if (slot->cached) {
        c->next_idle = slot->idle;
        slot->idle = c;
    } else {
        pi_context_free(c);
    }
    slot_unref(slot);
    (void)pthread_mutex_unlock(s->lock);
}
