/* SPDX-License-Identifier: Apache-2.0 */
/* Where each value lives. Views join the storage of what they look at; a result joins the storage of an input that is
 * read for the last time, if its implementation allows it. Then storages get offsets in the arena, each in
 * the lowest gap that is free during its life, in two orders, of which the one that needs less is taken: largest first, and
 * those of the steps that need most first (arXiv 2001.03288, greedy by size and by breadth). The scratch of a step is a storage
 * that lives for that step. */
#include <stdlib.h>
#include <string.h>
#include "plan/plan.h"

enum { ALIGN = 64 };

typedef struct {
    uint32_t first, last; /* steps that write and read it */
    size_t bytes, offset;
    size_t breadth; /* the most bytes that are alive at one time of its life */
    pi_place_kind kind;
    uint32_t index;
    uint32_t id, into; /* into != id: joined, its values live there */
} storage;

typedef struct {
    pi_plan *plan;
    uint32_t *owner;   /* by value id: index of its storage, UINT32_MAX: none */
    storage *list;     /* one for each value at first; joined ones are empty; then the scratch of steps */
    uint32_t n;
} planner;

static bool wanted(const pi_value *v) { return v && (v->n_uses || v->n_outputs); }

bool pi_plan_is_view(const pi_node *node)
{
    const pi_value *in = node->n_in ? node->in[0] : NULL, *out = node->out[0];
    return (node->op->flags & PI_OP_VIEW) && in && out && pi_tensor_known(&in->t) && pi_tensor_known(&out->t);
}

static storage *storage_of(planner *p, const pi_value *v)
{
    if (!v || p->owner[v->id] == UINT32_MAX) return NULL;
    storage *s = &p->list[p->owner[v->id]];
    while (s->into != s->id) s = &p->list[s->into];
    p->owner[v->id] = s->id;
    return s;
}

static pi_status add_storage(planner *p, const pi_value *v, pi_place_kind kind, uint32_t index, uint32_t step, pi_error *err)
{
    storage *s = &p->list[p->n];
    *s = (storage){.first = step, .last = step, .kind = kind, .index = index, .id = p->n, .into = p->n};
    if (kind == PI_PLACE_ARENA) PI_TRY(pi_tensor_bytes(&v->t, &s->bytes, err));
    p->owner[v->id] = p->n++;
    return PI_E_OK;
}

/* Last step that reads each storage; graph outputs are read at the end. */
static void find_lives(planner *p)
{
    pi_plan *plan = p->plan;
    for (uint32_t k = 0; k < plan->n_steps; k++) {
        const pi_node *node = plan->step[k].node;
        for (uint32_t i = 0; i < node->n_in; i++) {
            storage *s = storage_of(p, node->in[i]);
            if (s && k > s->last) s->last = k;
        }
    }
    for (uint32_t i = 0; i < plan->graph->n_outputs; i++) {
        storage *s = storage_of(p, plan->graph->output[i]);
        if (s) s->last = plan->n_steps;
    }
}

/* An output of the graph whose storage is made by a step is written straight into the caller's memory. */
static void place_outputs(planner *p)
{
    const pi_graph *g = p->plan->graph;
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        storage *s = storage_of(p, g->output[i]);
        pi_dtype dtype = g->output[i]->t.dtype;
        bool direct = s && s->kind == PI_PLACE_ARENA && dtype != PI_DTYPE_STRING && !pi_dtype_is_seq(dtype);
        if (direct) {
            s->kind = PI_PLACE_OUTPUT;
            s->index = i;
        }
        p->plan->output_copied[i] = !direct;
    }
}

/* May out[0] of step k take over the storage of input i? */
static bool can_join(planner *p, uint32_t k, uint32_t i)
{
    const pi_step *step = &p->plan->step[k];
    const pi_node *node = step->node;
    const pi_value *in = node->in[i], *out = node->out[0];
    storage *from = storage_of(p, in), *to = storage_of(p, out);
    if (!from || !to || from == to || from->last != k || from->kind != PI_PLACE_ARENA) return false;
    if (to->kind != PI_PLACE_ARENA && to->kind != PI_PLACE_OUTPUT) return false;
    if (from->bytes != to->bytes || pi_tensor_n(&in->t) != pi_tensor_n(&out->t)) return false; /* f32[1] is no bool[4] */
    for (uint32_t j = 0; j < node->n_in; j++) { /* another input in the same memory: allowed too, and the same elements */
        if (j == i || storage_of(p, node->in[j]) != from) continue;
        if (!pi_impl_inplace(step->impl, j) || !pi_tensor_same_shape(&node->in[j]->t, &in->t)) return false;
    }
    return true;
}

/* Backwards, so that a chain of in-place steps ends in the storage of its last result. */
static void join_in_place(planner *p)
{
    pi_plan *plan = p->plan;
    for (uint32_t k = plan->n_steps; k-- > 0;) {
        const pi_step *step = &plan->step[k];
        if (!step->impl || !step->node->out[0]) continue;
        for (uint32_t i = 0; i < step->node->n_in; i++) {
            if (!pi_impl_inplace(step->impl, i) || !can_join(p, k, i)) continue;
            storage *from = storage_of(p, step->node->in[i]), *to = storage_of(p, step->node->out[0]);
            to->first = from->first;
            from->kind = PI_PLACE_NONE;
            from->into = to->id;
            break;
        }
    }
}

static int by_size(const void *a, const void *b)
{
    const storage *x = *(storage *const *)a, *y = *(storage *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

static int by_breadth(const void *a, const void *b)
{
    const storage *x = *(storage *const *)a, *y = *(storage *const *)b;
    if (x->breadth != y->breadth) return x->breadth < y->breadth ? 1 : -1;
    return by_size(a, b);
}

static int by_offset(const void *a, const void *b)
{
    const storage *x = *(storage *const *)a, *y = *(storage *const *)b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return 0;
}

/* Offsets in this order; *end: the bytes of the arena. busy: room for n. */
static pi_status assign_offsets(storage *const *order, storage **busy, uint32_t n, size_t *end, pi_error *err)
{
    *end = 0;
    for (uint32_t i = 0; i < n; i++) {
        storage *s = order[i];
        size_t at = 0, size;
        uint32_t n_busy = 0;
        if (!pi_add(s->bytes, ALIGN - 1, &size)) size = SIZE_MAX;
        size &= ~(size_t)(ALIGN - 1);
        for (uint32_t j = 0; j < i; j++)
            if (order[j]->first <= s->last && s->first <= order[j]->last) busy[n_busy++] = order[j];
        qsort(busy, n_busy, sizeof *busy, by_offset);
        for (uint32_t j = 0; j < n_busy; j++) {
            if (busy[j]->offset >= at && busy[j]->offset - at >= size) break;
            size_t after = (busy[j]->offset + busy[j]->bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
            if (after > at) at = after;
        }
        s->offset = at;
        if (!pi_add(at, size, &size)) return pi_fail(err, PI_E_LIMIT, "the activations need more memory than can be addressed");
        if (size > *end) *end = size;
    }
    return PI_E_OK;
}

/* alive: zeros, one for each step and one more. The least that any order needs. */
static size_t find_breadths(storage *const *order, uint32_t n, size_t *alive, uint32_t n_steps)
{
    size_t most = 0;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = order[i]->first; k <= order[i]->last; k++)
            if (!pi_add(alive[k], order[i]->bytes, &alive[k])) alive[k] = SIZE_MAX;
    for (uint32_t i = 0; i < n; i++) {
        order[i]->breadth = 0;
        for (uint32_t k = order[i]->first; k <= order[i]->last; k++)
            if (alive[k] > order[i]->breadth) order[i]->breadth = alive[k];
    }
    for (uint32_t k = 0; k <= n_steps; k++)
        if (alive[k] > most) most = alive[k];
    return most;
}

static pi_status place_in_arena(planner *p, pi_error *err)
{
    pi_status st = PI_E_OK;
    uint32_t n = 0;
    size_t sized, broad;
    storage **order = pi_calloc(p->plan->heap, p->n + 1u, sizeof *order, err);
    storage **busy = pi_calloc(p->plan->heap, p->n + 1u, sizeof *busy, err);
    size_t *alive = pi_calloc(p->plan->heap, p->plan->n_steps + 1u, sizeof *alive, err);
    if (!order || !busy || !alive) {
        st = pi_alloc_status(err);
        goto done;
    }
    for (uint32_t i = 0; i < p->n; i++)
        if (p->list[i].kind == PI_PLACE_ARENA) order[n++] = &p->list[i];
    size_t least = find_breadths(order, n, alive, p->plan->n_steps);
    qsort(order, n, sizeof *order, by_size);
    PI_TRY_DONE(assign_offsets(order, busy, n, &sized, err));
    if (sized - least >= sized / 64) { /* not as good as it may be */
        qsort(order, n, sizeof *order, by_breadth);
        PI_TRY_DONE(assign_offsets(order, busy, n, &broad, err));
        if (broad >= sized) {
            qsort(order, n, sizeof *order, by_size);
            PI_TRY_DONE(assign_offsets(order, busy, n, &broad, err));
        }
        sized = broad;
    }
    p->plan->arena_bytes = sized;
done:
    pi_free(order);
    pi_free(busy);
    pi_free(alive);
    return st;
}

/* One storage for each value that is no view, one owner for each value. */
static pi_status make_storages(planner *p, pi_error *err)
{
    const pi_graph *g = p->plan->graph;
    uint32_t k = 0; /* index of the next step */
    for (uint32_t i = 0; i < g->n_inputs; i++)
        PI_TRY(add_storage(p, g->input[i], PI_PLACE_INPUT, i, 0, err));
    for (uint32_t i = 0; i < g->n_values; i++)
        if (g->value[i]->constant) PI_TRY(add_storage(p, g->value[i], PI_PLACE_CONSTANT, 0, 0, err));
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const pi_node *node = g->node[i];
        if (pi_plan_is_view(node)) {
            p->owner[node->out[0]->id] = p->owner[node->in[0]->id];
            continue;
        }
        for (uint32_t o = 0; o < node->n_out; o++) {
            if (!node->out[o] || (o && !wanted(node->out[o]))) continue; /* the first is written also where nobody reads it */
            bool heap = !p->plan->step[k].impl;
            PI_TRY(add_storage(p, node->out[o], heap ? PI_PLACE_HEAP : PI_PLACE_ARENA, 0, k, err));
        }
        k++;
    }
    return PI_E_OK;
}

static void add_scratch(planner *p)
{
    for (uint32_t k = 0; k < p->plan->n_steps; k++) {
        if (!p->plan->step[k].scratch) continue;
        p->list[p->n] = (storage){.first = k, .last = k, .bytes = p->plan->step[k].scratch, .kind = PI_PLACE_ARENA};
        p->list[p->n].id = p->list[p->n].into = p->n;
        p->n++;
    }
}

pi_status pi_plan_memory(pi_plan *plan, pi_error *err)
{
    pi_status st = PI_E_OK;
    uint32_t n = plan->graph->n_values;
    planner p = {.plan = plan};
    p.owner = pi_alloc(plan->heap, (n + 1u) * sizeof *p.owner, err);
    p.list = pi_calloc(plan->heap, (size_t)n + plan->n_steps + 1, sizeof *p.list, err);
    if (!p.owner || !p.list) {
        st = pi_alloc_status(err);
        goto done;
    }
    memset(p.owner, 0xff, (n + 1u) * sizeof *p.owner);
    PI_TRY_DONE(make_storages(&p, err));
    find_lives(&p);
    place_outputs(&p);
    join_in_place(&p);
    const uint32_t first_scratch = p.n;
    add_scratch(&p);
    PI_TRY_DONE(place_in_arena(&p, err));
    for (uint32_t i = first_scratch; i < p.n; i++) plan->step[p.list[i].first].scratch_at = p.list[i].offset;
    for (uint32_t i = 0; i < n; i++) {
        const storage *s = storage_of(&p, plan->graph->value[i]);
        if (s) plan->place[i] = (pi_place){s->kind, s->index, s->id, s->offset, s->first, s->last};
    }
done:
    pi_free(p.owner);
    pi_free(p.list);
    return st;
}
