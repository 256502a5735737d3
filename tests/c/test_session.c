/* SPDX-License-Identifier: Apache-2.0 */
/* One session, many threads, more shapes than the cache of plans holds: results are right, and a context whose plan left
 * the cache while it was out is given back safely. Worth most under the thread sanitizer. */
#include <pthread.h>
#include <string.h>
#include "check.h"
#include "ops/ops.h"
#include "passes/passes.h"
#include "runtime/runtime.h"

enum { THREADS = 4, ROUNDS = 60, MOST = 2 * PI_PLAN_CACHE };
static pi_error err;

static pi_value *add_node(pi_graph *g, const char *op, pi_value *a, pi_value *b)
{
    pi_node *n = pi_graph_node(g, pi_op_find(NULL, op, 14), op, b ? 2 : 1, 1, &err);
    pi_value *y = pi_graph_value(g, op, &err);
    CHECK(pi_node_set_in(g, n, 0, a, &err) == PI_E_OK);
    if (b) CHECK(pi_node_set_in(g, n, 1, b, &err) == PI_E_OK);
    pi_node_set_out(n, 0, y);
    return y;
}

/* y = relu(x) + (x + 3), and where x is not zero: a size that only the run knows. */
static pi_graph *make_graph(pi_heap *heap)
{
    static const int64_t unknown = -1;
    pi_graph *g = pi_graph_new(heap, &err);
    pi_value *x = pi_graph_value(g, "x", &err);
    CHECK(pi_graph_add_input(g, x, &err) == PI_E_OK);
    x->t.dtype = PI_DTYPE_F32;
    pi_tensor_set_shape(&x->t, 1, &unknown);
    pi_const *three = pi_const_new(heap, PI_DTYPE_F32, 0, NULL, &err);
    *(float *)three->t.data = 3;
    pi_value *sum = add_node(g, "Add", x, pi_graph_constant(g, "three", three, &err));
    CHECK(pi_graph_add_output(g, add_node(g, "Add", add_node(g, "Relu", x, NULL), sum), &err) == PI_E_OK);
    CHECK(pi_graph_add_output(g, add_node(g, "NonZero", x, NULL), &err) == PI_E_OK);
    return g;
}

static pi_status specialise(pi_graph *g, void *arg, pi_error *e)
{
    (void)arg;
    return pi_passes_run(g, &(pi_pass_options){.level = 2, .planning = true}, e);
}

typedef struct {
    pi_session *session;
    uint32_t number;
    int wrong;
} worker;

static void one_run(worker *w, int64_t n, int64_t zeros)
{
    float x[MOST + 1];
    pi_error e;
    pi_context *c = NULL;
    pi_tensor in = {.data = x, .dtype = PI_DTYPE_F32};
    pi_tensor_set_shape(&in, 1, &n);
    for (int64_t i = 0; i < n; i++) x[i] = i < zeros ? 0 : (float)(i - 5) + 0.5f;
    if (pi_context_take(w->session, &in, &c, &e) != PI_E_OK || pi_context_run(c, &in, NULL, &e) != PI_E_OK) {
        w->wrong++;
    } else {
        const pi_tensor *y = pi_context_output(c, 0), *places = pi_context_output(c, 1);
        for (int64_t i = 0; i < n; i++)
            w->wrong += ((float *)y->data)[i] != (x[i] > 0 ? x[i] : 0) + (x[i] + 3);
        w->wrong += places->rank != 2 || places->dim[1] != n - zeros;
        for (int64_t i = zeros; i < n; i++) w->wrong += ((int64_t *)places->data)[i - zeros] != i;
    }
    if (c) pi_context_give(c);
}

static void *work(void *arg)
{
    worker *w = arg;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        int64_t n = (i * (w->number + 1)) % MOST;
        one_run(w, n, n ? i % n : 0);
    }
    return NULL;
}

/* A context stays out while its plan is pushed out of the cache. */
static void test_evicted(pi_session *session)
{
    worker w = {.session = session};
    float x[3] = {1, 0, 2};
    int64_t n = 3;
    pi_context *out[2] = {NULL, NULL};
    pi_tensor in = {.data = x, .dtype = PI_DTYPE_F32};
    pi_tensor_set_shape(&in, 1, &n);
    for (int i = 0; i < 2; i++) CHECK(pi_context_take(session, &in, &out[i], &err) == PI_E_OK);
    for (int64_t k = 4; k < MOST; k++) one_run(&w, k, 1);
    CHECK(pi_context_run(out[0], &in, NULL, &err) == PI_E_OK);
    CHECK(pi_context_output(out[0], 1)->dim[1] == 2);
    pi_context_give(out[1]);
    CHECK(((float *)pi_context_output(out[0], 0)->data)[2] == 7);
    pi_context_give(out[0]);
    one_run(&w, 3, 2);
    CHECK(w.wrong == 0);
}

int main(void)
{
    pthread_t thread[THREADS];
    worker w[THREADS];
    pi_heap *heap = pi_heap_new(0);
    pi_graph *g = make_graph(heap);
    pi_packs *packs = pi_packs_new(heap, &err);
    pi_session_options options = {.plan = {.threads = 1}, .specialise = specialise};
    pi_session *session = NULL;
    CHECK(pi_graph_sort(g, &err) == PI_E_OK);
    CHECK(pi_session_new(g, heap, packs, &options, &session, &err) == PI_E_OK);
    test_evicted(session);
    for (uint32_t i = 0; i < THREADS; i++) {
        w[i] = (worker){session, i, 0};
        CHECK(pthread_create(&thread[i], NULL, work, &w[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        (void)pthread_join(thread[i], NULL);
        CHECK(w[i].wrong == 0);
    }
    pi_session_free(session);
    pi_packs_free(packs);
    pi_graph_free(g);
    CHECK(pi_heap_used(heap) == 0);
    pi_heap_unref(heap);
    return CHECK_DONE();
}
