/* SPDX-License-Identifier: Apache-2.0 */
/* Looking inside through the public C interface: nodes, values and places of a plan, edges of the file, what steps tell. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "capi/pyinfer.h"
#include "check.h"
#include "pb.h"

enum { N = 1000 };
static pyinfer_error error;

/* y = w relu(abs(x)') + x, z = the places where x is not zero: a matrix, a view, a result in place, and one sized by the data. */
static pyinfer_model *load(int level)
{
    static float w[N];
    static const int64_t flat[1] = {-1};
    pb graph = {0}, weight = {0}, shape = {0};
    pyinfer_model *model = NULL;
    pyinfer_options options;
    for (int i = 0; i < N; i++) w[i] = (float)i;
    pb_int(&weight, 1, N);
    pb_int(&weight, 2, PYINFER_F32);
    pb_text(&weight, 8, "w");
    pb_bytes(&weight, 9, w, sizeof w);
    pb_int(&shape, 1, 1);
    pb_int(&shape, 2, PYINFER_I64);
    pb_text(&shape, 8, "shape");
    pb_bytes(&shape, 9, flat, sizeof flat);
    pb_add_node(&graph, "Abs", "x", "a");
    pb_add_node(&graph, "Reshape", "a shape", "v");
    pb_add_node(&graph, "Relu", "v", "r");
    pb_add_node(&graph, "Mul", "w r", "m");
    pb_add_node(&graph, "Add", "m x", "y");
    pb_add_node(&graph, "NonZero", "x", "z");
    pb_message(&graph, 5, &weight);
    pb_message(&graph, 5, &shape);
    pb_port(&graph, 11, "x", 1, (int64_t[]){N});
    pb_port(&graph, 12, "y", 1, (int64_t[]){N});
    pb_port(&graph, 12, "z", 2, (int64_t[]){1, -1});
    pb m = pb_model(&graph);
    pyinfer_options_init(&options);
    options.level = level;
    options.threads = 1;
    CHECK(pyinfer_load_bytes(m.p, m.n, free, m.p, NULL, &options, &model, &error) == PYINFER_OK);
    return model;
}

static pyinfer_request *begin(pyinfer_model *model)
{
    static float x[N];
    pyinfer_request *r = NULL;
    const pyinfer_tensor in = {.data = x, .dtype = PYINFER_F32, .rank = 1, .shape = {N}};
    for (int i = 0; i < N; i++) x[i] = (float)(i - N / 2);
    CHECK(pyinfer_begin(model, &in, 1, &r, &error) == PYINFER_OK);
    return r;
}

static int find(const pyinfer_request *r, const char *name, pyinfer_place *p)
{
    for (int i = 0; pyinfer_place_at(r, i, p); i++)
        if (strcmp(p->name, name) == 0) return i;
    CHECK(!"a value of this name");
    return -1;
}

static void check_plain(void)
{
    pyinfer_model *model = load(0);
    pyinfer_request *r = begin(model);
    pyinfer_node node;
    pyinfer_place p, q;
    pyinfer_step step;
    int nodes = 0, steps = 0;
    if (!r) return;
    for (; pyinfer_node_at(r, nodes, &node); nodes++) {
        if (node.view) {
            CHECK(strcmp(node.op, "Reshape") == 0 && node.n_in == 2 && node.n_out == 1 && node.domain[0] == '\0');
            CHECK(pyinfer_node_value(r, nodes, 0) == find(r, "a", &p) && pyinfer_node_value(r, nodes, 1) == find(r, "shape", &p));
            CHECK(pyinfer_node_value(r, nodes, 2) == find(r, "v", &p) && pyinfer_node_value(r, nodes, 3) == -1);
            CHECK(pyinfer_node_value(r, nodes, -1) == -1);
            continue;
        }
        CHECK(pyinfer_step_at(r, steps++, &step) == 1 && strcmp(step.op, node.op) == 0 && step.computed == 1);
        CHECK(strcmp(step.layout, "") == 0 && step.scratch_offset + step.scratch <= pyinfer_arena_bytes(r));
    }
    CHECK(nodes == 6 && steps == 5 && pyinfer_step_count(r) == steps);
    CHECK(!pyinfer_node_at(r, -1, &node) && !pyinfer_node_at(r, nodes, &node));
    CHECK(pyinfer_node_value(r, nodes, 0) == -1 && pyinfer_node_value(r, -1, 0) == -1);
    CHECK(!pyinfer_place_at(r, -1, &p));

    (void)find(r, "x", &p);
    CHECK(p.kind == PYINFER_PLACE_INPUT && p.bytes == N * sizeof(float) && strcmp(p.type, "f32[1000]") == 0);
    (void)find(r, "w", &p);
    CHECK(p.kind == PYINFER_PLACE_CONSTANT && p.bytes == N * sizeof(float));
    (void)find(r, "y", &p);
    CHECK(p.kind == PYINFER_PLACE_OUTPUT && p.last == steps);
    (void)find(r, "z", &p);
    CHECK(p.kind == PYINFER_PLACE_HEAP && p.bytes == 0);
    (void)find(r, "a", &p);
    (void)find(r, "v", &q);
    CHECK(p.storage == q.storage && p.offset == q.offset && p.kind == q.kind && p.bytes == q.bytes && p.first == 0);
    pyinfer_end(r);
    pyinfer_free(model);
}

/* No two storages of the arena overlap while both are alive. */
static void check_arena(int level)
{
    pyinfer_model *model = load(level);
    pyinfer_request *r = begin(model);
    pyinfer_place p, q;
    if (!r) return;
    for (int i = 0; pyinfer_place_at(r, i, &p); i++) {
        CHECK(p.first <= p.last && p.last <= pyinfer_step_count(r));
        CHECK(p.kind != PYINFER_PLACE_ARENA || p.offset + p.bytes <= pyinfer_arena_bytes(r));
        for (int j = 0; j < i && pyinfer_place_at(r, j, &q); j++) {
            if (p.kind != PYINFER_PLACE_ARENA || q.kind != PYINFER_PLACE_ARENA || p.storage == q.storage) continue;
            CHECK(p.last < q.first || q.last < p.first || p.offset + p.bytes <= q.offset || q.offset + q.bytes <= p.offset);
        }
    }
    pyinfer_end(r);
    pyinfer_free(model);
}

static void check_file(void)
{
    static const char *const reads[] = {"x", "a shape", "v", "w r", "m x", "x"};
    pyinfer_model *model = load(2);
    pyinfer_inner inner;
    int i = 0;
    for (; pyinfer_inner_at(model, i, &inner); i++) {
        char text[32] = "";
        for (int k = 0; k < inner.n_in; k++) (void)strcat(strcat(text, k ? " " : ""), inner.in[k]);
        CHECK(inner.index == i && i < 6 && strcmp(text, reads[i]) == 0);
    }
    CHECK(i == 6);
    pyinfer_free(model);
}

static void check_peak(void)
{
    for (int threads = 0; threads < 3; threads++) {
        double rate = pyinfer_peak_gbytes(threads);
        CHECK(isfinite(rate) && rate > 0);
    }
    pyinfer_test_fail_alloc(1);
    CHECK(pyinfer_peak_gbytes(1) == 0);
    pyinfer_test_fail_alloc(2);
    CHECK(pyinfer_peak_gbytes(1) == 0);
    pyinfer_test_fail_alloc(0);
}

int main(void)
{
    check_plain();
    check_arena(0);
    check_arena(2);
    check_file();
    check_peak();
    CHECK(pyinfer_test_alive_blocks() == 0);
    return CHECK_DONE();
}
