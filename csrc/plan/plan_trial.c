/* SPDX-License-Identifier: Apache-2.0 */
/* Times the candidates of a step side by side: one run of each, round by round, and compares within rounds, for machines
 * change their speed. The first round does not count: in it oneDNN still makes code (30 ms for a product). Between two runs of
 * a step a model reads all its other weights, so a round begins by reading as much; otherwise each candidate would find
 * its weights in the caches, and those that need more of them would look better than they are. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/threads.h"
#include "ops/block.h"
#include "plan/plan_tune.h"

enum {
    MOST = 8,      /* candidates */
    ROUNDS = 24,   /* that count, at most; FEW once a step has had its SHAREth part of the time */
    FEW = 4,       /* with less nothing is told: another program may have had the cores */
    SHARE = 40,
    PATTERN = 251, /* made-up values before they repeat */
};
static const double MARGIN = 0.95; /* less than that is noise: where memory lay in the caches, say */

typedef struct {
    const pi_impl *impl;
    pi_services services;
    pi_prep prep;
    pi_tensor *out0; /* of this candidate: it may be in the memory of an input */
    double ms[ROUNDS];
    int rounds; /* that it ran */
    bool out;   /* failed, or is a quarter slower than another */
} candidate;

typedef struct {
    const pi_tuning *tuning;
    const pi_node *node;
    uint32_t step; /* its number */
    pi_arena arena; /* of all that follows, made-up tensors too */
    const pi_tensor **type; /* inputs, then outputs, as prepare sees them */
    pi_tensor *tensor;      /* the same, with data */
    const pi_tensor **in;
    pi_tensor **out;
    void *scratch;
    size_t n_scratch;
    candidate list[MOST], *first; /* first: that the row's order would take */
    int n;
} trial;

/* ---- candidates ---- */

static void drop_candidates(trial *t)
{
    for (int i = 0; i < t->n; i++) pi_services_deinit(&t->list[i].services);
    t->n = 0;
}

/* One that cannot be prepared, for want of memory perhaps, is no candidate. */
static void add_candidate(trial *t, const pi_impl *impl, bool slower)
{
    pi_error err;
    candidate *c = &t->list[t->n];
    *c = (candidate){.impl = impl};
    pi_services_init(&c->services, t->tuning->plan->heap, NULL); /* its packed weights are its own */
    c->prep = (pi_prep){.node = t->node, .in = t->type, .out = t->type + t->node->n_in, .threads = t->tuning->plan->options.threads,
                        .services = &c->services};
    bool fits = !impl->prepare || impl->prepare(&c->prep, &err) == PI_E_OK;
    pi_services_settle(&c->services);
    if (!fits) {
        pi_services_deinit(&c->services);
        return;
    }
    t->n++;
    if (!t->first && !slower) t->first = c;
}

static bool add_candidates(trial *t, uint64_t end)
{
    const pi_node *node = t->node;
    uint32_t n = node->n_in + node->n_out;
    if (!(t->type = pi_arena_calloc(&t->arena, n, sizeof *t->type, NULL))) return false;
    for (uint32_t i = 0; i < n; i++) {
        pi_value *v = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
        t->type[i] = v ? &v->t : NULL;
    }
    const pi_impl *able[MOST];
    bool slower[MOST];
    int n_able = 0;
    for (const pi_impl *i = node->op->impls; i->name && n_able < MOST; i++) {
        const char *why = pi_tune_is_reference(i) ? "never measured" :
                          pi_plan_refusal(node, i, t->type, t->type + node->n_in, &t->tuning->plan->options);
        if (why && !pi_plan_only_slower(why)) continue;
        able[n_able] = i;
        slower[n_able++] = why != NULL;
    }
    for (int i = 0; n_able > 1 && i < n_able && pi_clock_ns() < end; i++) add_candidate(t, able[i], slower[i]);
    return t->n > 1 && t->first;
}

/* ---- tensors ---- */

/* Small numbers, none of them denormal, one in 251 of them 0. */
static void make_up(pi_tensor *t, int64_t n)
{
    float pattern[PATTERN];
    for (int i = 0; i < PATTERN; i++)
        pattern[i] = pi_dtype_is_float(t->dtype) ? (float)(i * 89 % PATTERN - PATTERN / 2) / 128 : (float)(i * 89 % 128);
    for (int64_t i = 0; i < n; i += PATTERN)
        pi_write_f32(t->dtype, pi_at_mut(t->data, t->dtype, i), 1, n - i < PATTERN ? n - i : PATTERN, pattern);
}

/* Does a candidate read input i as it is? */
static bool is_read(const trial *t, uint32_t i)
{
    bool read = false;
    for (int k = 0; k < t->n; k++) read |= i >= 64 || !(t->list[k].services.drop >> i & 1);
    return read;
}

static bool bind_input(trial *t, uint32_t i)
{
    const pi_value *v = t->node->in[i];
    pi_const *c = v->constant;
    pi_tensor *to = &t->tensor[i];
    size_t bytes;
    pi_error err;
    *to = v->t;
    to->data = c ? c->t.data : NULL;
    if (to->data || !is_read(t, i)) return true;
    if (c) bytes = c->bytes;
    else if (pi_tensor_bytes(to, &bytes, &err) != PI_E_OK) return false;
    to->data = pi_arena_alloc(&t->arena, bytes, &err);
    if (!to->data) return false;
    if (c) return pi_const_read(c, to->data, &err) == PI_E_OK;
    make_up(to, pi_tensor_n(to));
    return true;
}

/* The input that the plan would put the result of this candidate over, or -1. */
static int in_place(const trial *t, const pi_impl *impl)
{
    const pi_node *node = t->node;
    for (uint32_t i = 0; i < node->n_in; i++)
        if (pi_impl_inplace(impl, i) && node->in[i] && node->out[0] && pi_tune_last_reader(t->tuning->plan, t->step, i) &&
            node->in[i]->t.dtype == node->out[0]->t.dtype && pi_tensor_same_shape(&node->in[i]->t, &node->out[0]->t))
            return (int)i;
    return -1;
}

static bool bind(trial *t)
{
    const pi_node *node = t->node;
    size_t bytes;
    pi_error err;
    t->tensor = pi_arena_calloc(&t->arena, node->n_in + (size_t)node->n_out, sizeof *t->tensor, &err);
    t->in = pi_arena_calloc(&t->arena, node->n_in + 1u, sizeof *t->in, &err);
    t->out = pi_arena_calloc(&t->arena, node->n_out + 1u, sizeof *t->out, &err);
    if (!t->tensor || !t->in || !t->out) return false;
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (!node->in[i]) continue;
        if (!bind_input(t, i)) return false;
        t->in[i] = &t->tensor[i];
    }
    for (uint32_t i = 0; i < node->n_out; i++) {
        if (!node->out[i]) continue;
        pi_tensor *to = t->out[i] = &t->tensor[node->n_in + i];
        *to = node->out[i]->t;
        if (pi_tensor_bytes(to, &bytes, &err) != PI_E_OK || !(to->data = pi_arena_alloc(&t->arena, bytes, &err))) return false;
    }
    for (int k = 0; k < t->n; k++) {
        int i = in_place(t, t->list[k].impl);
        t->list[k].out0 = i < 0 ? t->out[0] : &t->tensor[i];
        if (t->list[k].prep.scratch > t->n_scratch) t->n_scratch = t->list[k].prep.scratch;
    }
    return (t->scratch = pi_arena_alloc(&t->arena, t->n_scratch, &err)) != NULL;
}

/* ---- measuring ---- */

static void read_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const char *p = arg;
    (void)thread;
    for (int64_t i = begin; i < end; i++) (void)*(const volatile char *)(p + i * 64);
}

static void read_all(const trial *t, const void *p, size_t bytes)
{
    pi_parallel(t->tuning->plan->options.threads, (int64_t)(bytes / 64), 1024, read_chunk, (void *)(uintptr_t)p);
}

/* The steps before leave in the caches what all steps share, scratch and activations, at last the inputs. */
static void warm(const trial *t)
{
    const pi_node *node = t->node;
    read_all(t, t->scratch, t->n_scratch);
    for (uint32_t i = node->n_in + node->n_out; i-- > 0;) {
        const pi_tensor *x = &t->tensor[i];
        if (x->data && (i >= node->n_in || !node->in[i]->constant))
            read_all(t, x->data, (size_t)pi_tensor_n(x) * pi_dtype_size(x->dtype));
    }
}

static void run_one(trial *t, candidate *c, bool counts)
{
    pi_error err;
    pi_run run = {.threads = t->tuning->plan->options.threads, .heap = t->tuning->plan->heap, .strings = &t->arena};
    pi_tensor *usual = t->out[0];
    pi_call call = {.node = t->node, .state = c->prep.state, .in = t->in, .out = t->out, .scratch = t->scratch, .run = &run};
    t->out[0] = c->out0;
    warm(t);
    uint64_t start = pi_clock_ns();
    c->out = c->impl->run(&call, &err) != PI_E_OK;
    if (counts) c->ms[c->rounds++] = (double)(pi_clock_ns() - start) / 1e6;
    if (c->out) c->rounds = 0;
    t->out[0] = usual;
}

static double least(const candidate *c)
{
    double ms = INFINITY;
    for (int i = 0; i < c->rounds; i++) ms = c->ms[i] < ms ? c->ms[i] : ms;
    return ms;
}

/* Those that are a quarter slower need not run on; how many are left. */
static int drop_slow(trial *t)
{
    double best = INFINITY;
    int left = 0;
    for (int i = 0; i < t->n; i++)
        if (!t->list[i].out && least(&t->list[i]) < best) best = least(&t->list[i]);
    for (int i = 0; i < t->n; i++) {
        t->list[i].out |= least(&t->list[i]) > 1.25 * best;
        left += !t->list[i].out;
    }
    return left;
}

static void measure(trial *t, uint64_t end)
{
    const uint64_t enough = pi_clock_ns() + (uint64_t)t->tuning->plan->options.tune * 1000000u / SHARE;
    int left = t->n;
    for (int round = 0; round <= ROUNDS && left > 1; round++) {
        if (round > FEW && pi_clock_ns() > enough) break;
        read_all(t, t->tuning->others, t->tuning->n_others);
        for (int i = 0; i < t->n; i++) {
            candidate *c = &t->list[(round + i) % t->n];
            if (pi_clock_ns() >= end || pi_threads_stopped()) return;
            if (!c->out) run_one(t, c, round > 0);
        }
        if (round >= FEW) left = drop_slow(t);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value that a share of n values is below. */
static double quantile(const double *v, int n, double share)
{
    double sorted[ROUNDS];
    memcpy(sorted, v, (size_t)n * sizeof *v);
    qsort(sorted, (size_t)n, sizeof *v, by_value);
    return sorted[(int)(share * (n - 1) + 0.5)];
}

/* Packed weights, scratch, and results that may be where an input is. */
static bool needs_more(const candidate *c, const candidate *than)
{
    return c->services.packed > than->services.packed || c->prep.scratch > than->prep.scratch ||
           (than->impl->inplace & ~c->impl->inplace & PI_INPLACE_ALL);
}

/* The fastest against the one that the row's order would take, whose place another one gets if it was quicker in three rounds
 * of four, by 5 % in half of them, and by as much in its best: on a busy machine most rounds tell of the others' work. NULL: too
 * few rounds to tell. */
static const candidate *choose(const trial *t)
{
    const candidate *best = t->first;
    double ratio[ROUNDS], lowest = MARGIN;
    if (t->first->rounds < FEW) return NULL;
    for (int k = 0; k < t->n; k++) {
        const candidate *c = &t->list[k];
        int n = c->rounds < t->first->rounds ? c->rounds : t->first->rounds;
        for (int i = 0; i < n; i++) ratio[i] = c->ms[i] / t->first->ms[i];
        if (n < FEW || quantile(ratio, n, 0.75) >= 1 || quantile(ratio, n, 0.5) >= lowest) continue;
        if (least(c) >= MARGIN * least(t->first) || (t->tuning->plan->options.limited && needs_more(c, t->first))) continue;
        lowest = quantile(ratio, n, 0.5);
        best = c;
    }
    return best;
}

static void remember(const trial *t, uint64_t key, const candidate *chosen)
{
    pi_error err;
    char text[MOST * 40];
    pi_choice choice = {.key = key};
    size_t n = 0;
    if (strlen(chosen->impl->name) >= sizeof choice.impl) return;
    memcpy(choice.impl, chosen->impl->name, strlen(chosen->impl->name));
    for (int k = -1; k < t->n; k++) { /* the chosen one first */
        const candidate *c = k < 0 ? chosen : &t->list[k];
        if ((k >= 0 && c == chosen) || !c->rounds || n >= sizeof text) continue;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %.3f ms", n ? ", " : "", c->impl->name, least(c));
    }
    (void)!pi_choices_add(t->tuning->plan->options.choices, &choice, text, true, &err);
}

void pi_tune_step(const pi_tuning *tuning, uint32_t step, uint64_t key, uint64_t end)
{
    trial *t = pi_calloc(tuning->plan->heap, 1, sizeof *t, NULL);
    if (!t) return;
    t->tuning = tuning;
    t->node = tuning->plan->step[step].node;
    t->step = step;
    pi_arena_init(&t->arena, tuning->plan->heap);
    if (add_candidates(t, end) && bind(t)) {
        measure(t, end);
        const candidate *chosen = choose(t);
        if (chosen) remember(t, key, chosen);
    }
    drop_candidates(t);
    pi_arena_deinit(&t->arena);
    pi_free(t);
}
