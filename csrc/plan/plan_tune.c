/* SPDX-License-Identifier: Apache-2.0 */
/* Which steps are measured, what names one, and how long. */
#include "plan/plan_tune.h"

#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "base/sum.h"

bool pi_tune_is_reference(const pi_impl *impl) { return strcmp(impl->name, "ref") == 0; }

/* ---- which step it is ---- */

static void mix(uint64_t *sum, const void *bytes, size_t n)
{
    const uint64_t both[2] = {*sum, pi_sum64(bytes, n)};
    *sum = pi_sum64(both, sizeof both);
}

static bool mix_attr(uint64_t *sum, const pi_attr *a)
{
    mix(sum, a->name, strlen(a->name));
    switch (a->kind) {
    case PI_ATTR_INT: mix(sum, &a->i, sizeof a->i); return true;
    case PI_ATTR_FLOAT: mix(sum, &a->f, sizeof a->f); return true;
    case PI_ATTR_STRING: mix(sum, a->s.bytes, a->s.n); return true;
    case PI_ATTR_INTS: mix(sum, a->ints, a->n * sizeof *a->ints); return true;
    case PI_ATTR_FLOATS: mix(sum, a->floats, a->n * sizeof *a->floats); return true;
    default: return false; /* a subgraph, say: nothing that has several candidates */
    }
}

/* As plan_memory.c will find, but for values that views show too: those are left alone here. */
bool pi_tune_last_reader(const pi_plan *plan, uint32_t step, uint32_t i)
{
    const pi_value *v = plan->step[step].node->in[i];
    if (v->constant || !v->producer || v->n_outputs || pi_plan_is_view(v->producer)) return false;
    for (uint32_t k = 0; k < v->n_uses; k++)
        if (pi_plan_is_view(v->use[k].node)) return false;
    for (uint32_t k = step + 1; k < plan->n_steps && v->n_uses > 1; k++)
        for (uint32_t j = 0; j < plan->step[k].node->n_in; j++)
            if (plan->step[k].node->in[j] == v) return false;
    return true;
}

static bool can_be_made_up(pi_dtype d)
{
    return d == PI_DTYPE_F32 || d == PI_DTYPE_F16 || d == PI_DTYPE_BF16 || d == PI_DTYPE_F64 || d == PI_DTYPE_U8 ||
           d == PI_DTYPE_I8;
}

/* false: no such step is tuned. */
static bool key_of(const pi_plan *plan, uint32_t step, uint64_t *key)
{
    const pi_node *node = plan->step[step].node;
    const pi_plan_options *o = &plan->options;
    const int how[] = {node->op->since, o->threads, o->onednn, o->exact, o->limited};
    *key = 0;
    mix(key, node->op->name, strlen(node->op->name));
    mix(key, node->op->domain, node->op->domain ? strlen(node->op->domain) : 0);
    mix(key, how, sizeof how);
    for (uint32_t i = 0; i < node->n_attrs; i++)
        if (!mix_attr(key, &node->attr[i])) return false;
    for (uint32_t i = 0; i < node->n_in + node->n_out; i++) {
        const pi_value *v = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
        int64_t type[3 + PI_MAX_RANK] = {-1};
        if (v && i < node->n_in && !v->constant && !can_be_made_up(v->t.dtype)) return false;
        if (v) {
            type[0] = v->t.dtype;
            type[1] = i >= node->n_in ? 0 : v->constant ? 1 : pi_tune_last_reader(plan, step, i) ? 2 : 3;
            type[2] = v->t.rank;
            memcpy(type + 3, v->t.dim, (size_t)v->t.rank * sizeof *type);
        }
        mix(key, type, sizeof type);
    }
    return true;
}

/* ---- all steps ---- */

typedef struct {
    uint64_t key;
    uint32_t step;
} wish;

static int by_key(const void *a, const void *b)
{
    const wish *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->step < y->step ? -1 : 1;
}

static bool has_candidates(const pi_step *step)
{
    int n = 0;
    for (const pi_impl *i = step->node->op->impls; i->name; i++) n += !pi_tune_is_reference(i);
    return step->known && n > 1;
}

static bool find_choice(const pi_plan *plan, const wish *w)
{
    pi_step *step = &plan->step[w->step];
    const char *text, *name = pi_choices_find(plan->options.choices, w->key, &text);
    for (const pi_impl *i = step->node->op->impls; name && i->name; i++)
        if (strcmp(i->name, name) == 0 && !pi_tune_is_reference(i)) {
            step->choice = i;
            step->tuned = text;
        }
    return name != NULL;
}

static size_t bytes_of_constants(const pi_graph *g)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < g->n_values; i++)
        if (g->value[i]->constant && !pi_add(bytes, g->value[i]->constant->bytes, &bytes)) return SIZE_MAX;
    return bytes;
}

/* Each may take twice its share of the time that is left: most need less. Steps with the same key are measured once. */
static void measure_all(pi_plan *plan, wish *list, uint32_t n)
{
    pi_tuning t = {.plan = plan, .n_others = bytes_of_constants(plan->graph)};
    const uint64_t most = (uint64_t)plan->options.tune * 1000000u, spent = pi_choices_spend(plan->options.choices, 0);
    const uint64_t begin = pi_clock_ns(), room = most * PI_TUNE_PLANS > spent ? most * PI_TUNE_PLANS - spent : 0;
    const uint64_t end = begin + (room < most ? room : most);
    uint32_t left = 0;
    if (!room) return;
    qsort(list, n, sizeof *list, by_key);
    for (uint32_t i = 0; i < n; i++) left += i == 0 || list[i].key != list[i - 1].key;
    if (t.n_others > pi_cpu_cache(3)) t.n_others = pi_cpu_cache(3);
    if (!(t.others = pi_alloc(plan->heap, t.n_others, NULL))) t.n_others = 0;
    if (t.others) memset(t.others, 1, t.n_others); /* pages that nobody wrote would all be the same one */
    for (uint32_t i = 0; i < n; i++) {
        uint64_t now = pi_clock_ns();
        if ((i == 0 || list[i].key != list[i - 1].key) && now < end) {
            uint64_t share = (end - now) / left-- * 2;
            pi_tune_step(&t, list[i].step, list[i].key, share < end - now ? now + share : end);
        }
        (void)find_choice(plan, &list[i]);
    }
    pi_free(t.others);
    (void)pi_choices_spend(plan->options.choices, pi_clock_ns() - begin);
}

void pi_plan_tune(pi_plan *plan)
{
    uint32_t n = 0;
    if (!plan->options.choices || (!plan->options.tune && !pi_choices_any(plan->options.choices))) return;
    wish *list = pi_calloc(plan->heap, plan->n_steps + 1u, sizeof *list, NULL);
    for (uint32_t i = 0; list && i < plan->n_steps; i++) {
        wish *w = &list[n];
        w->step = i;
        if (has_candidates(&plan->step[i]) && key_of(plan, i, &w->key) && !find_choice(plan, w)) n++;
    }
    if (n > 0 && plan->options.tune) measure_all(plan, list, n);
    pi_free(list);
}
