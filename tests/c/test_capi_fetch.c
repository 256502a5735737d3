/* SPDX-License-Identifier: Apache-2.0 */
/* Values within the graph through the public C interface: their list, and as outputs; and check_numbers. */
#include <stdlib.h>
#include <string.h>
#include "capi/pyinfer.h"
#include "check.h"
#include "pb.h"

static pyinfer_error error;

/* y = relu(-x), squared; each step has a name for its value. */
static pyinfer_status load(const pyinfer_options *options, pyinfer_model **model)
{
    pb graph = {0};
    pb_add_node(&graph, "Neg", "x", "n");
    pb_add_node(&graph, "Relu", "n", "r");
    pb_add_node(&graph, "Mul", "r r", "y");
    pb_port(&graph, 11, "x", 1, (int64_t[]){3});
    pb_port(&graph, 12, "y", 1, (int64_t[]){3});
    pb m = pb_model(&graph);
    return pyinfer_load_bytes(m.p, m.n, free, m.p, NULL, options, model, &error);
}

static void check_values(const char *const *names, int n)
{
    float x[3] = {-1, 2, -3}, out[4][3] = {{0}};
    pyinfer_model *model = NULL;
    pyinfer_options options;
    pyinfer_tensor in = {.data = x, .dtype = PYINFER_F32, .rank = 1, .shape = {3}}, got[4] = {{0}};
    pyinfer_options_init(&options);
    options.fetch = names;
    options.n_fetch = n;
    CHECK(load(&options, &model) == PYINFER_OK && pyinfer_output_count(model) == 1 + n);
    if (!model) return;
    for (int i = 0; i <= n; i++) got[i] = (pyinfer_tensor){.data = out[i], .capacity = sizeof out[i]};
    CHECK(pyinfer_run(model, &in, 1, got, 1 + n, &error) == PYINFER_OK);
    CHECK(out[0][0] == 1 && out[0][1] == 0 && out[0][2] == 9);
    for (int i = 0; i < n; i++) {
        const pyinfer_value *v = pyinfer_output(model, 1 + i);
        CHECK(strcmp(v->name, names[i]) == 0 && v->dtype == PYINFER_F32 && v->rank == 1 && v->shape[0] == 3);
        CHECK(out[1 + i][1] == (names[i][0] == 'n' ? -2.0f : 0) && out[1 + i][0] == 1);
    }
    pyinfer_free(model);
}

static void check_list(void)
{
    pyinfer_model *model = NULL;
    pyinfer_inner inner;
    CHECK(load(NULL, &model) == PYINFER_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(pyinfer_inner_at(model, i, &inner) == 1 && inner.name[0] == "nry"[i] && inner.source == NULL);
        CHECK(strcmp(inner.op, i == 0 ? "Neg" : i == 1 ? "Relu" : "Mul") == 0 && inner.domain[0] == '\0');
    }
    CHECK(pyinfer_inner_at(model, 3, &inner) == 0 && pyinfer_inner_at(model, -1, &inner) == 0);
    pyinfer_free(model);
}

static void check_refused(const char *name, int n, pyinfer_status code)
{
    pyinfer_model *model = NULL;
    pyinfer_options options;
    pyinfer_options_init(&options);
    options.fetch = &name;
    options.n_fetch = n;
    CHECK(load(&options, &model) == code && model == NULL);
}

static void check_numbers(void)
{
    float x[3] = {1, 2, 3}, y[3];
    pyinfer_model *model = NULL;
    pyinfer_options options;
    pyinfer_tensor in = {.data = x, .dtype = PYINFER_F32, .rank = 1, .shape = {3}}, out = {.data = y, .capacity = sizeof y};
    pyinfer_options_init(&options);
    CHECK(pyinfer_option_set(&options, "check_numbers", 1, &error) == PYINFER_OK && load(&options, &model) == PYINFER_OK);
    if (!model) return;
    CHECK(pyinfer_run(model, &in, 1, &out, 1, &error) == PYINFER_OK);
    x[1] = -1e30f;
    CHECK(pyinfer_run(model, &in, 1, &out, 1, &error) == PYINFER_E_NUMBER && strstr(error.text, "an infinity at [1]"));
    CHECK(strncmp(error.text, "Eltwise(Neg, Relu, Mul)", 23) == 0);
    CHECK(strcmp(pyinfer_status_exception(PYINFER_E_NUMBER), "NumberError") == 0);
    pyinfer_free(model);
}

int main(void)
{
    check_list();
    check_values(NULL, 0);
    check_values((const char *[]){"n"}, 1);
    check_values((const char *[]){"r", "n", "r"}, 3);
    check_refused("x", 1, PYINFER_E_INPUT);
    check_refused("nothing", 1, PYINFER_E_INPUT);
    check_refused("n", 1 << 20, PYINFER_E_LIMIT);
    check_numbers();
    CHECK(pyinfer_test_alive_blocks() == 0);
    return CHECK_DONE();
}
