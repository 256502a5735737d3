/* SPDX-License-Identifier: Apache-2.0 */
/* Choices of tuning: kept, found again, and never believed: names that are unknown, refuse the step, or are the reference's. */
#include <stdio.h>
#include <string.h>
#include "check.h"
#include "ops/ops.h"
#include "passes/passes.h"
#include "plan/plan_tune.h"
#include "runtime/runtime.h"

enum { M = 9, N = 40, K = 24, MOST = 16 };
static pi_error err;
static float x[M * K], w[K * N], want[M * N];

static pi_status specialise(pi_graph *g, void *arg, pi_error *e)
{
    (void)arg;
    return pi_passes_run(g, &(pi_pass_options){.level = 2, .planning = true, .verify = true}, e);
}

/* y = x w, whole numbers: every sum is exact, whoever adds. */
static pi_graph *product_graph(pi_heap *heap)
{
    const int64_t xd[] = {M, K}, wd[] = {K, N};
    pi_graph *g = pi_graph_new(heap, &err);
    pi_const *c = pi_const_new(heap, PI_DTYPE_F32, 2, wd, &err);
    CHECK(g && c);
    memcpy(c->t.data, w, sizeof w);
    pi_value *v = pi_graph_value(g, "x", &err), *b = pi_graph_constant(g, "w", c, &err), *y = pi_graph_value(g, "y", &err);
    v->t.dtype = PI_DTYPE_F32;
    pi_tensor_set_shape(&v->t, 2, xd);
    pi_node *node = pi_graph_node(g, pi_op_find(NULL, "MatMul", 13), "product", 2, 1, &err);
    CHECK(pi_node_set_in(g, node, 0, v, &err) == PI_E_OK && pi_node_set_in(g, node, 1, b, &err) == PI_E_OK);
    pi_node_set_out(node, 0, y);
    CHECK(pi_graph_add_input(g, v, &err) == PI_E_OK && pi_graph_add_output(g, y, &err) == PI_E_OK);
    CHECK(pi_graph_sort(g, &err) == PI_E_OK);
    return g;
}

/* Plans and runs; the names of the implementation and, if there is one, of the tuned choice. */
static void run(pi_heap *heap, pi_choices *choices, int tune, char *impl, char *tuned)
{
    pi_packs *packs = pi_packs_new(heap, &err);
    pi_graph *g = product_graph(heap);
    pi_session *session = NULL;
    pi_context *c = NULL;
    pi_session_options options = {.plan = {.threads = 2, .onednn = true, .tune = tune, .choices = choices},
                                  .specialise = specialise};
    CHECK(pi_session_new(g, heap, packs, &options, &session, &err) == PI_E_OK);
    pi_tensor in = g->input[0]->t;
    in.data = x;
    CHECK(pi_context_take(session, &in, &c, &err) == PI_E_OK);
    if (c) {
        CHECK(pi_context_run(c, &in, NULL, &err) == PI_E_OK);
        CHECK(memcmp(pi_context_output(c, 0)->data, want, sizeof want) == 0);
        const pi_step *step = &pi_context_plan(c)->step[0];
        (void)snprintf(impl, PI_CHOICE_NAME, "%s", step->impl->name);
        (void)snprintf(tuned, PI_CHOICE_NAME, "%s", step->tuned);
        pi_context_give(c);
    }
    pi_session_free(session);
    pi_packs_free(packs);
    pi_graph_free(g);
}

typedef struct {
    pi_choice list[MOST];
    int n;
} gathered;

static pi_status gather(void *arg, const pi_choice *choice, pi_error *e)
{
    (void)e;
    gathered *all = arg;
    if (all->n < MOST) all->list[all->n++] = *choice;
    return PI_E_OK;
}

/* What a plan does with this name under the product's key. */
static void check_name(pi_heap *heap, uint64_t key, const char *name, const char *expect)
{
    char impl[PI_CHOICE_NAME], tuned[PI_CHOICE_NAME];
    pi_choices *choices = pi_choices_new(heap, &err);
    pi_choice choice = {.key = key};
    memcpy(choice.impl, name, strlen(name));
    CHECK(pi_choices_add(choices, &choice, name, false, &err) == PI_E_OK);
    run(heap, choices, 0, impl, tuned);
    CHECK(strcmp(impl, expect) == 0);
    CHECK(strcmp(tuned, strcmp(name, expect) == 0 ? name : "") == 0);
    run(heap, choices, 5000, impl, tuned); /* it is there: nothing is measured */
    CHECK(strcmp(impl, expect) == 0 && pi_choices_made(choices) == 0);
    pi_choices_free(choices);
}

static void test_choices(pi_heap *heap)
{
    const char *text = NULL;
    gathered all = {.n = 0};
    pi_choices *c = pi_choices_new(heap, &err);
    CHECK(pi_choices_find(c, 7, &text) == NULL && pi_choices_made(c) == 0);
    for (uint64_t key = 1; key < 2000; key += 256) { /* one chain */
        pi_choice choice = {.key = key};
        (void)snprintf(choice.impl, sizeof choice.impl, "n%d", (int)key);
        CHECK(pi_choices_add(c, &choice, "first", key % 512 == 1, &err) == PI_E_OK);
        choice.impl[0] = 'm';
        CHECK(pi_choices_add(c, &choice, "second", true, &err) == PI_E_OK); /* the first stays */
    }
    const char *name = pi_choices_find(c, 257, &text);
    CHECK(name && strcmp(name, "n257") == 0 && strcmp(text, "first") == 0);
    CHECK(pi_choices_made(c) == 4);
    CHECK(pi_choices_each(c, gather, &all, &err) == PI_E_OK && all.n == 8);
    pi_choices_free(c);
    pi_choices_free(NULL);
}

/* With a millisecond the result is right whatever was chosen; with none left for the model, nothing is measured. */
static void test_time(pi_heap *heap, const char *usual)
{
    char impl[PI_CHOICE_NAME], tuned[PI_CHOICE_NAME];
    pi_choices *choices = pi_choices_new(heap, &err);
    run(heap, choices, 1, impl, tuned);
    CHECK(pi_choices_spend(choices, 0) < 5000000000u);
    pi_choices_free(choices);
    choices = pi_choices_new(heap, &err);
    CHECK(pi_choices_spend(choices, PI_TUNE_PLANS * 5000000000u) == PI_TUNE_PLANS * 5000000000u);
    run(heap, choices, 5000, impl, tuned);
    CHECK(strcmp(impl, usual) == 0 && tuned[0] == '\0' && pi_choices_made(choices) == 0);
    pi_choices_free(choices);
}

int main(void)
{
    char impl[PI_CHOICE_NAME] = "", tuned[PI_CHOICE_NAME] = "", usual[PI_CHOICE_NAME] = "";
    pi_heap *heap = pi_heap_new(0);
    for (int i = 0; i < M * K; i++) x[i] = (float)(i % 13 - 6);
    for (int i = 0; i < K * N; i++) w[i] = (float)(i % 7 - 3);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++)
            for (int l = 0; l < K; l++) want[i * N + j] += x[i * K + l] * w[l * N + j];
    test_choices(heap);
    run(heap, NULL, 5000, usual, tuned); /* nowhere to keep a choice: none is made */
    CHECK(tuned[0] == '\0');
    pi_choices *choices = pi_choices_new(heap, &err);
    run(heap, choices, 5000, impl, tuned);
    gathered all = {.n = 0};
    CHECK(pi_choices_each(choices, gather, &all, &err) == PI_E_OK);
    if (strcmp(usual, "onednn") == 0) { /* a build without it has one candidate */
        CHECK(all.n == 1 && pi_choices_made(choices) == 1 && strcmp(all.list[0].impl, impl) == 0);
        CHECK(strncmp(tuned, impl, strlen(impl)) == 0);
        check_name(heap, all.list[0].key, "own", "own");
        check_name(heap, all.list[0].key, "onednn", "onednn");
        for (const char *const *bad = (const char *const[]){"", "nonsense", "typed", "ref", "winograd", "f32", NULL}; *bad; bad++)
            check_name(heap, all.list[0].key, *bad, usual);
    }
    pi_choices_free(choices);
    test_time(heap, usual);
    CHECK(pi_heap_used(heap) == 0);
    pi_heap_unref(heap);
    return CHECK_DONE();
}
