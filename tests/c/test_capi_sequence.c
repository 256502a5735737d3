/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences and optionals through the public C interface: in, out, and what does not fit. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "capi/pyinfer.h"
#include "check.h"
#include "pb.h"

static pyinfer_error error;

/* A ValueInfoProto of float tensors inside of a sequence (4) or an optional (9). */
static void add_port(pb *graph, uint32_t number, const char *name, uint32_t kind)
{
    pb v = {0}, outer = {0}, wrap = {0}, type = {0}, tensor = {0};
    pb_int(&tensor, 1, 1);
    pb_message(&type, 1, &tensor);
    pb_message(&wrap, 1, &type);
    pb_message(&outer, kind, &wrap);
    pb_text(&v, 1, name);
    pb_message(&v, 2, &outer);
    pb_message(graph, number, &v);
}

static pyinfer_model *load(void)
{
    pb graph = {0};
    pyinfer_model *model = NULL;
    pb_add_node(&graph, "SequenceInsert", "s x", "t");
    pb_add_node(&graph, "Identity", "o", "p");
    pb_add_node(&graph, "SequenceLength", "s", "n");
    add_port(&graph, 11, "s", 4);
    add_port(&graph, 11, "o", 9);
    pb_port(&graph, 11, "x", 1, (int64_t[]){2});
    add_port(&graph, 12, "t", 4);
    add_port(&graph, 12, "p", 9);
    pb_port(&graph, 12, "n", 0, NULL);
    pb m = pb_model(&graph);
    CHECK(pyinfer_load_bytes(m.p, m.n, free, m.p, NULL, NULL, &model, &error) == PYINFER_OK);
    return model;
}

static float a[2] = {1, 2}, b[3] = {3, 4, 5}, x[2] = {6, 7};
static const pyinfer_tensor items[2] = {{.data = a, .dtype = PYINFER_F32, .rank = 1, .shape = {2}},
                                        {.data = b, .dtype = PYINFER_F32, .rank = 1, .shape = {3}}};

static void fill(pyinfer_tensor in[3])
{
    in[0] = (pyinfer_tensor){.data = (void *)items, .rank = 1, .shape = {2}, .kind = PYINFER_SEQUENCE};
    in[1] = (pyinfer_tensor){.kind = PYINFER_ABSENT};
    in[2] = (pyinfer_tensor){.data = x, .dtype = PYINFER_F32, .rank = 1, .shape = {2}};
}

static void check_run(pyinfer_model *model, bool absent)
{
    pyinfer_tensor in[3], out;
    pyinfer_request *r = NULL;
    fill(in);
    if (!absent) in[1] = items[1];
    CHECK(pyinfer_begin(model, in, 3, &r, &error) == PYINFER_OK);
    if (!r) return;
    pyinfer_output_type(r, 0, &out);
    CHECK(out.rank == -1 && out.data == NULL);
    pyinfer_set_output(r, 0, a); /* ignored */
    for (int again = 0; again < 2; again++) {
        CHECK(pyinfer_execute(r, NULL, &error) == PYINFER_OK);
        pyinfer_output_type(r, 0, &out);
        CHECK(out.kind == PYINFER_SEQUENCE && out.rank == 1 && out.shape[0] == 3 && out.dtype == PYINFER_F32);
        const pyinfer_tensor *got = out.data;
        CHECK(got[1].rank == 1 && got[1].shape[0] == 3 && memcmp(got[1].data, b, sizeof b) == 0);
        CHECK(got[2].kind == PYINFER_TENSOR && got[2].shape[0] == 2 && memcmp(got[2].data, x, sizeof x) == 0);
        pyinfer_output_type(r, 1, &out);
        CHECK(out.kind == (absent ? PYINFER_ABSENT : PYINFER_TENSOR));
        if (!absent) CHECK(out.rank == 1 && out.shape[0] == 3 && memcmp(out.data, b, sizeof b) == 0);
        pyinfer_output_type(r, 2, &out);
        CHECK(out.kind == PYINFER_TENSOR && *(int64_t *)out.data == 2);
    }
    pyinfer_end(r);
}

static void check_refused(pyinfer_model *model, const pyinfer_tensor *in, const char *text)
{
    pyinfer_request *r = NULL;
    CHECK(pyinfer_begin(model, in, 3, &r, &error) == PYINFER_E_INPUT || error.code == PYINFER_E_LIMIT);
    CHECK(r == NULL && strstr(error.text, text) != NULL);
    if (!strstr(error.text, text)) fprintf(stderr, "'%s' is not in '%s'\n", text, error.text);
}

static void check_mistakes(pyinfer_model *model)
{
    pyinfer_tensor in[3], two[2] = {items[0], items[1]};
    fill(in);
    in[0].kind = PYINFER_TENSOR;
    check_refused(model, in, "input 's': expected a sequence, got a tensor");
    in[0].kind = PYINFER_ABSENT;
    check_refused(model, in, "input 's': expected a sequence, got an absent optional");
    fill(in);
    in[1] = in[0];
    check_refused(model, in, "input 'o': expected a tensor or an absent optional, got a sequence");
    fill(in);
    in[2] = in[0];
    check_refused(model, in, "input 'x': expected a tensor, got a sequence");
    fill(in);
    in[0].rank = 0;
    check_refused(model, in, "a sequence has rank 1, a length and data");
    fill(in);
    in[0].data = NULL;
    check_refused(model, in, "a sequence has rank 1, a length and data");
    fill(in);
    in[0].shape[0] = -1;
    check_refused(model, in, "a sequence has rank 1, a length and data");
    in[0].shape[0] = INT64_MAX;
    check_refused(model, in, "a sequence of 9223372036854775807 tensors");
    fill(in);
    in[0].data = two;
    two[1].kind = PYINFER_SEQUENCE;
    check_refused(model, in, "element 1 of sequence 's': it is no tensor");
    two[1] = items[1];
    two[1].dtype = PYINFER_I32;
    check_refused(model, in, "element 1 of sequence 's': input 's': expected float32[...], got int32[3]");
    two[1] = items[1];
    two[1].data = NULL;
    check_refused(model, in, "has no data");
}

static void check_run_at_once(pyinfer_model *model)
{
    pyinfer_tensor in[3], out[3] = {0};
    fill(in);
    CHECK(pyinfer_run(model, in, 3, out, 3, &error) == PYINFER_E_UNSUPPORTED);
    CHECK(strstr(error.text, "output 0 is a sequence: use pyinfer_begin") != NULL);
}

int main(void)
{
    pyinfer_model *model = load();
    if (model) {
        const pyinfer_value *v = pyinfer_input(model, 0);
        CHECK(v->kind == PYINFER_SEQUENCE && v->dtype == PYINFER_F32 && v->rank == -1);
        CHECK(pyinfer_input(model, 1)->kind == PYINFER_OPTIONAL && pyinfer_output(model, 1)->kind == PYINFER_OPTIONAL);
        CHECK(pyinfer_input(model, 2)->kind == PYINFER_TENSOR);
        check_run(model, true);
        check_run(model, false);
        check_mistakes(model);
        check_run(model, true);
        check_run_at_once(model);
        pyinfer_free(model);
    }
    CHECK(pyinfer_test_alive_blocks() == 0);
    return CHECK_DONE();
}
