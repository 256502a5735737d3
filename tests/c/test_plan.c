/* SPDX-License-Identifier: Apache-2.0 */
/* Plans and contexts on random graphs: each result equals that of evaluating node by node, no two storages that are alive
 * at the same time overlap, and memory that is refused at any point leaves nothing behind. */
#include <string.h>
#include "check.h"
#include "ops/ops.h"
#include "passes/passes.h"
#include "runtime/runtime.h"

enum { MOST_VALUES = 64 };
static pi_error err;
static uint32_t seed;

static uint32_t draw(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* ---- random graphs ---- */

static pi_value *add_node(pi_graph *g, const char *op, int opset, pi_value *const *in, uint32_t n)
{
    pi_node *node = pi_graph_node(g, pi_op_find(NULL, op, opset), op, n, 1, &err);
    pi_value *y = node ? pi_graph_value(g, op, &err) : NULL;
    if (!y) return NULL;
    for (uint32_t i = 0; i < n; i++)
        if (pi_node_set_in(g, node, i, in[i], &err) != PI_E_OK) return NULL;
    pi_node_set_out(node, 0, y);
    if (strcmp(op, "Concat") == 0 && pi_attr_set_int(g, node, "axis", 0, &err) != PI_E_OK) return NULL;
    return y;
}

/* Vectors of 4 k elements; values of the same length may be added. length[] by place in the list. */
static pi_status random_graph(pi_heap *heap, pi_graph **out)
{
    pi_value *value[MOST_VALUES];
    int64_t length[MOST_VALUES];
    uint32_t n = 0, n_nodes = 1 + draw(20);
    pi_graph *g = *out = pi_graph_new(heap, &err);
    if (!g) return pi_alloc_status(&err);
    for (uint32_t i = 0; i < 2; i++) {
        length[n] = 4 * (int64_t)(i + draw(3));
        if (!(value[n] = pi_graph_value(g, "x", &err))) return pi_alloc_status(&err);
        value[n]->t.dtype = PI_DTYPE_F32;
        pi_tensor_set_shape(&value[n]->t, 1, &length[n]);
        PI_TRY(pi_graph_add_input(g, value[n++], &err));
    }
    for (uint32_t k = 0; k < n_nodes; k++) {
        uint32_t a = draw(n), b = draw(n);
        pi_value *in[2] = {value[a], value[b]};
        int64_t shape[2] = {length[a] / 4, 4};
        length[n] = length[a];
        switch (draw(5)) {
        case 0: value[n] = add_node(g, "Relu", 14, in, 1); break;
        case 1: /* a view, and back to a vector */
            if (length[a] && !(in[1] = pi_graph_ints(g, shape, 2, 1, &err))) return pi_alloc_status(&err);
            if (length[a] && !(in[0] = add_node(g, "Reshape", 14, in, 2))) return pi_alloc_status(&err);
            shape[0] = -1;
            if (length[a] && !(in[1] = pi_graph_ints(g, shape, 1, 1, &err))) return pi_alloc_status(&err);
            value[n] = length[a] ? add_node(g, "Reshape", 14, in, 2) : add_node(g, "Neg", 14, in, 1);
            break;
        case 2:
            value[n] = add_node(g, "Concat", 13, in, 2);
            length[n] = length[a] + length[b];
            if (length[n] > 4000) length[n] = -1;
            break;
        default:
            for (uint32_t i = 0; i < n && length[b] != length[a]; i++) b = (b + 1) % n;
            in[1] = value[b];
            value[n] = add_node(g, "Add", 14, in, 2);
        }
        if (!value[n]) return pi_alloc_status(&err);
        if (length[n] < 0) break;
        n++;
    }
    for (uint32_t i = 1 + draw(3); i > 0; i--) PI_TRY(pi_graph_add_output(g, value[draw(n)], &err));
    PI_TRY(pi_graph_add_output(g, value[n - 1], &err));
    return pi_graph_sort(g, &err);
}

/* ---- node by node ---- */

/* Tensors by value id; what was made is in made[], to be released. */
static pi_status evaluate(pi_graph *g, const pi_tensor *input, pi_tensor *t, pi_const **made)
{
    for (uint32_t i = 0; i < g->n_values; i++)
        if (g->value[i]->constant) t[i] = g->value[i]->constant->t;
    for (uint32_t i = 0; i < g->n_inputs; i++) t[g->input[i]->id] = input[i];
    for (uint32_t k = 0; k < g->n_nodes; k++) {
        const pi_node *node = g->node[k];
        const pi_tensor *in[2] = {&t[node->in[0]->id], node->n_in > 1 ? &t[node->in[1]->id] : NULL};
        uint32_t id = node->out[0]->id;
        PI_TRY(pi_op_eval(node, "ref", in, g->heap, &made[id], &err));
        t[id] = made[id]->t;
    }
    return PI_E_OK;
}

static pi_status specialise(pi_graph *g, void *arg, pi_error *e)
{
    return pi_passes_run(g, &(pi_pass_options){.level = *(int *)arg, .planning = true, .verify = true}, e);
}

/* ---- what a plan must be ---- */

typedef struct {
    uint32_t first, last;
    size_t from, to;
    bool used;
} span;

static void check_arena(const pi_plan *plan)
{
    static span s[4 * MOST_VALUES];
    const pi_graph *g = plan->graph;
    memset(s, 0, sizeof s);
    CHECK(g->n_values <= 4 * MOST_VALUES);
    for (uint32_t k = 0; k < plan->n_steps; k++) {
        const pi_node *node = plan->step[k].node;
        for (uint32_t i = 0; i < node->n_in + node->n_out; i++) {
            const pi_value *v = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
            size_t bytes;
            if (!v || plan->place[v->id].kind != PI_PLACE_ARENA) continue;
            CHECK(pi_tensor_bytes(&v->t, &bytes, &err) == PI_E_OK);
            const pi_place *place = &plan->place[v->id];
            span *one = &s[place->storage];
            CHECK(place->offset % 64 == 0 && place->offset + bytes <= plan->arena_bytes);
            if (!one->used) *one = (span){k, k, place->offset, place->offset + bytes, true};
            CHECK(one->from == place->offset && one->to == place->offset + bytes);
            one->last = k;
        }
    }
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        const pi_place *place = &plan->place[g->output[i]->id];
        if (place->kind == PI_PLACE_ARENA) s[place->storage].last = plan->n_steps;
    }
    for (uint32_t i = 0; i < g->n_values; i++)
        for (uint32_t j = 0; j < i; j++)
            if (s[i].used && s[j].used && s[i].first <= s[j].last && s[j].first <= s[i].last)
                CHECK(s[i].to <= s[j].from || s[j].to <= s[i].from);
    for (uint32_t k = 0; k < plan->n_steps; k++) { /* scratch is in nobody's way */
        size_t from = plan->step[k].scratch_at, to = from + plan->step[k].scratch;
        CHECK(from % 64 == 0 && to <= plan->arena_bytes);
        for (uint32_t i = 0; i < g->n_values && to > from; i++)
            if (s[i].used && s[i].first <= k && k <= s[i].last) CHECK(s[i].to <= from || to <= s[i].from);
    }
}

static void compare(const pi_graph *g, const pi_context *c, const pi_tensor *t)
{
    for (uint32_t i = 0; i < g->n_outputs; i++) {
        const pi_tensor *got = pi_context_output(c, i), *want = &t[g->output[i]->id];
        CHECK(got->dtype == want->dtype && pi_tensor_same_shape(got, want));
        size_t bytes = (size_t)pi_tensor_n(want) * sizeof(float);
        CHECK(bytes == 0 || memcmp(got->data, want->data, bytes) == 0);
    }
}

static void fill(pi_graph *g, float (*data)[16], pi_tensor *input)
{
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        for (int k = 0; k < 16; k++) data[i][k] = (float)((int)draw(9) - 4);
        input[i] = g->input[i]->t;
        input[i].data = data[i];
    }
}

static void check_one(pi_heap *heap, int level, int threads)
{
    static pi_tensor t[4 * MOST_VALUES];
    static pi_const *made[4 * MOST_VALUES];
    static float memory[8][1024];
    float data[2][16];
    pi_tensor input[2];
    pi_graph *g = NULL;
    pi_session *session = NULL;
    pi_packs *packs = pi_packs_new(heap, &err);
    pi_session_options options = {
        .plan = {.threads = threads, .onednn = true}, .specialise = specialise, .arg = &level};
    CHECK(random_graph(heap, &g) == PI_E_OK);
    CHECK(pi_session_new(g, heap, packs, &options, &session, &err) == PI_E_OK);
    for (int run = 0; run < 3; run++) {
        pi_context *c = NULL;
        memset(made, 0, sizeof made);
        fill(g, data, input);
        CHECK(evaluate(g, input, t, made) == PI_E_OK);
        CHECK(pi_context_take(session, input, &c, &err) == PI_E_OK);
        if (c) {
            check_arena(pi_context_plan(c));
            for (uint32_t i = 0; i < g->n_outputs; i++)
                if (run == 1 && pi_tensor_n(&t[g->output[i]->id]) <= 1024) pi_context_set_output(c, i, memory[i]);
            CHECK(pi_context_run(c, input, NULL, &err) == PI_E_OK);
            compare(g, c, t);
            pi_context_give(c);
        }
        for (uint32_t i = 0; i < g->n_values; i++) pi_const_unref(made[i]);
    }
    pi_session_free(session);
    pi_packs_free(packs);
    pi_graph_free(g);
}

/* ---- memory that is refused ---- */

static pi_status everything(pi_heap *heap, int level)
{
    float data[2][16];
    pi_tensor input[2];
    pi_status st;
    pi_graph *g = NULL;
    pi_session *session = NULL;
    pi_context *c = NULL;
    pi_packs *packs = pi_packs_new(heap, &err);
    pi_session_options options = {.plan = {.threads = 1}, .specialise = specialise, .arg = &level};
    if (!packs) return pi_alloc_status(&err);
    PI_TRY_DONE(random_graph(heap, &g));
    PI_TRY_DONE(pi_session_new(g, heap, packs, &options, &session, &err));
    fill(g, data, input);
    PI_TRY_DONE(pi_context_take(session, input, &c, &err));
    PI_TRY_DONE(pi_context_run(c, input, NULL, &err));
done:
    if (c) pi_context_give(c);
    pi_session_free(session);
    pi_packs_free(packs);
    pi_graph_free(g);
    return st;
}

static void check_failures(pi_heap *heap, uint32_t start, int level)
{
    long before = pi_alloc_alive();
    pi_status st = PI_E_NOMEM;
    for (long nth = 1; st != PI_E_OK && nth < 5000; nth++) {
        seed = start;
        pi_alloc_fail_at(nth);
        st = everything(heap, level);
        pi_alloc_fail_at(0);
        CHECK(st == PI_E_OK || st == PI_E_NOMEM);
        CHECK(pi_alloc_alive() == before);
    }
    CHECK(st == PI_E_OK);
}

int main(void)
{
    pi_heap *heap = pi_heap_new(0);
    for (uint32_t i = 0; i < 300; i++) {
        int failed = check_failed;
        seed = i;
        check_one(heap, (int)(i % 3), 1 + (int)(i & 1));
        if (check_failed != failed) fprintf(stderr, "seed %u\n", i);
    }
    for (uint32_t i = 0; i < 6; i++) check_failures(heap, 7 * i, (int)(i % 3));
    CHECK(pi_heap_used(heap) == 0);
    pi_heap_unref(heap);
    return CHECK_DONE();
}
