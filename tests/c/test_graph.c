/* SPDX-License-Identifier: Apache-2.0 */
/* The graph by itself: building, uses, replacing, sorting, cycles, cloning, folding; and every failing allocation. */
#include <math.h>
#include <string.h>
#include "check.h"
#include "ops/ops.h"

static pi_error err;

static pi_node *unary(pi_graph *g, const char *op, pi_value *x)
{
    pi_node *n = pi_graph_node(g, pi_op_find(NULL, op, 20), op, 1, 1, &err);
    pi_value *y = n ? pi_graph_value(g, op, &err) : NULL;
    if (!y || pi_node_set_in(g, n, 0, x, &err) != PI_E_OK) return NULL;
    pi_node_set_out(n, 0, y);
    return n;
}

static pi_value *input(pi_graph *g, int64_t n)
{
    pi_value *x = pi_graph_value(g, "x", &err);
    if (!x || pi_graph_add_input(g, x, &err) != PI_E_OK) return NULL;
    x->t.dtype = PI_DTYPE_F32;
    pi_tensor_set_shape(&x->t, 1, &n);
    return x;
}

/* Rows times factors, made when they are read; factors of factors are one; in double, rounded once. */
static void test_scaled(pi_heap *heap)
{
    const int64_t dim[] = {3, 2};
    const double first[] = {2, 0, 1.0 / 3}, second[] = {0.5, 1, 3};
    pi_const *base = pi_const_new(heap, PI_DTYPE_F32, 2, dim, &err);
    float *x = base->t.data, y[6];
    for (int i = 0; i < 6; i++) x[i] = (float)i + 0.1f;
    pi_const *once = pi_const_scaled(heap, base, 0, first, &err), *twice = pi_const_scaled(heap, once, 0, second, &err);
    CHECK(pi_const_scalable(once, 0) && !pi_const_scalable(once, 1));
    pi_const_unref(base);
    pi_const_unref(once);
    CHECK(!twice->t.data && pi_const_read(twice, y, &err) == PI_E_OK && !twice->t.data);
    CHECK(y[0] == 0.1f && y[1] == 1.1f && y[2] == 0 && y[3] == 0 && y[4] == 4.1f && y[5] == 5.1f);
    CHECK(pi_const_load(twice, &err) == PI_E_OK && memcmp(twice->t.data, y, sizeof y) == 0);
    CHECK(pi_const_read(twice, y, &err) == PI_E_OK && y[1] == 1.1f);
    pi_const_drop(twice);
    CHECK(!twice->t.data);
    pi_const_unref(twice);
}

/* Narrow elements as f32, from memory, into the place where they are read. */
static void test_widened(pi_heap *heap)
{
    const int64_t dim[] = {2, 3}, wide[] = {5};
    const double factor[] = {1, 0.5, -3};
    pi_const *bytes = pi_const_new(heap, PI_DTYPE_I8, 2, dim, &err), *halves = pi_const_new(heap, PI_DTYPE_F16, 1, wide, &err);
    float y[6];
    memcpy(bytes->t.data, (const int8_t[]){-128, 1, 2, 127, -5, 0}, 6);
    memcpy(halves->t.data, (const uint16_t[]){0x3c00, 0x0001, 0xfbff, 0x7c00, 0x8000}, 10);
    pi_const *columns = pi_const_scaled(heap, bytes, 1, factor, &err), *plain = pi_const_scaled(heap, halves, 0, NULL, &err);
    CHECK(columns->t.dtype == PI_DTYPE_F32 && columns->bytes == 24 && pi_const_read(columns, y, &err) == PI_E_OK);
    CHECK(memcmp(y, (const float[]){-128, 0.5f, -6, 127, -2.5f, 0}, 20) == 0 && y[5] == 0);
    CHECK(pi_const_load(plain, &err) == PI_E_OK);
    CHECK(memcmp(plain->t.data, (const float[]){1, 0x1p-24f, -65504, INFINITY, -0.f}, 20) == 0);
    const pi_tensor other = {.dtype = PI_DTYPE_I32, .rank = 1, .dim = {5}};
    CHECK(!pi_const_scalable(&(const pi_const){.t = other}, 0));
    pi_const_unref(bytes);
    pi_const_unref(halves);
    pi_const_unref(columns);
    pi_const_unref(plain);
}

static void test_uses(pi_heap *heap)
{
    pi_graph *g = pi_graph_new(heap, &err);
    pi_value *x = input(g, 4);
    pi_node *a = unary(g, "Relu", x), *b = unary(g, "Exp", a->out[0]), *c = unary(g, "Neg", a->out[0]);
    CHECK(pi_graph_add_output(g, c->out[0], &err) == PI_E_OK);
    CHECK(a->out[0]->n_uses == 2 && x->n_uses == 1 && c->out[0]->n_outputs == 1);
    CHECK(pi_graph_verify(g, &err) == PI_E_OK);
    CHECK(pi_graph_replace(g, a->out[0], x, &err) == PI_E_OK);
    CHECK(x->n_uses == 3 && a->out[0]->n_uses == 0 && b->in[0] == x);
    CHECK(pi_graph_sort(g, &err) == PI_E_OK);
    pi_graph_sweep(g);
    CHECK(pi_graph_sort(g, &err) == PI_E_OK && g->n_nodes == 1 && g->node[0] == c);
    CHECK(pi_graph_verify(g, &err) == PI_E_OK);
    pi_graph_free(g);
}

static void test_order(pi_heap *heap)
{
    pi_graph *g = pi_graph_new(heap, &err);
    pi_value *x = input(g, 4);
    pi_node *a = unary(g, "Relu", x), *b = unary(g, "Exp", x), *c = unary(g, "Neg", x);
    CHECK(pi_node_set_in(g, a, 0, c->out[0], &err) == PI_E_OK); /* c -> a, b free */
    CHECK(pi_graph_sort(g, &err) == PI_E_OK);
    CHECK(g->node[0] == c && g->node[1] == a && g->node[2] == b);
    CHECK(pi_node_set_in(g, c, 0, a->out[0], &err) == PI_E_OK);
    CHECK(pi_graph_sort(g, &err) == PI_E_MODEL && strstr(err.text, "cycle"));
    pi_graph_free(g);
}

static void test_fold(pi_heap *heap)
{
    pi_graph *g = pi_graph_new(heap, &err), *copy = NULL;
    int64_t n = 3;
    pi_const *k = pi_const_new(heap, PI_DTYPE_F32, 1, &n, &err);
    memcpy(k->t.data, (float[]){-1, 0, 2}, 12);
    pi_node *a = unary(g, "Relu", pi_graph_constant(g, "k", k, &err));
    CHECK(pi_graph_add_output(g, a->out[0], &err) == PI_E_OK);
    CHECK(pi_graph_clone(g, heap, &copy, &err) == PI_E_OK);
    CHECK(pi_graph_infer(copy, pi_op_fold, &err) == PI_E_OK);
    const pi_const *y = copy->output[0]->constant;
    CHECK(y && ((float *)y->t.data)[0] == 0 && ((float *)y->t.data)[2] == 2);
    CHECK(!g->output[0]->constant); /* the original is as it was */
    pi_graph_free(copy);
    pi_graph_free(g);
}

static void test_errors(pi_heap *heap)
{
    pi_graph *g = pi_graph_new(heap, &err);
    pi_value *x = input(g, 4);
    pi_node *n = pi_graph_node(g, pi_op_find(NULL, "Add", 14), "sum", 1, 1, &err);
    n->source = "net.py:7";
    CHECK(pi_node_set_in(g, n, 0, x, &err) == PI_E_OK);
    pi_node_set_out(n, 0, pi_graph_value(g, "y", &err));
    CHECK(pi_graph_infer(g, NULL, &err) == PI_E_MODEL);
    CHECK(strstr(err.text, "Add 'sum' (#0), from net.py:7: ") == err.text && strstr(err.text, "input 1 'B' is missing"));
    pi_graph_free(g);
}

/* Each allocation fails once: an error comes back, nothing stays. */
static void test_torture(void)
{
    for (long nth = 1; nth < 200; nth++) {
        pi_heap *heap = pi_heap_new(0);
        long before = pi_alloc_alive();
        pi_graph *copy = NULL;
        pi_alloc_fail_at(nth);
        pi_graph *g = pi_graph_new(heap, &err);
        pi_value *x = g ? input(g, 4) : NULL;
        pi_node *a = x ? unary(g, "Relu", x) : NULL;
        if (a && pi_graph_add_output(g, a->out[0], &err) == PI_E_OK && pi_graph_sort(g, &err) == PI_E_OK)
            (void)!pi_graph_clone(g, heap, &copy, &err);
        pi_alloc_fail_at(0);
        bool done = copy != NULL;
        pi_graph_free(copy);
        pi_graph_free(g);
        CHECK(pi_alloc_alive() == before);
        pi_heap_unref(heap);
        if (done) return;
    }
    CHECK(!"the graph is never built");
}

int main(void)
{
    pi_heap *heap = pi_heap_new(0);
    test_scaled(heap);
    test_widened(heap);
    test_uses(heap);
    test_order(heap);
    test_fold(heap);
    test_errors(heap);
    test_torture();
    CHECK(pi_heap_used(heap) == 0);
    pi_heap_unref(heap);
    return CHECK_DONE();
}
