/* SPDX-License-Identifier: Apache-2.0 */
/* The reader on models made by hand. */
#define _GNU_SOURCE
#include <unistd.h>
#include "check.h"
#include "model/model.h"
#include "pb.h"

static pi_error error;

/* Reads an exact copy of the bytes; frees `m`. NULL with the text in `error`. */
static pi_model *read_model(pb *m)
{
    pi_model *model = NULL;
    pi_heap *heap = pi_heap_new(0);
    memset(&error, 0, sizeof error);
    pi_status st = pi_model_read(&(pi_model_source){.bytes = m->p, .n = m->n, .release = free, .owner = m->p}, heap, &model, &error);
    CHECK((st == PI_E_OK) == (model != NULL));
    if (model) CHECK(pi_graph_verify(model->graph, &error) == PI_E_OK);
    pi_heap_unref(heap);
    *m = (pb){0};
    return model;
}

static bool refused(pb *m, pi_status code, const char *part)
{
    pi_model *model = read_model(m);
    bool ok = !model && error.code == code && strstr(error.text, part);
    if (!ok) fprintf(stderr, "expected %s, got: %s\n", part, model ? "a model" : error.text);
    pi_model_free(model);
    return ok;
}

static void ports(pb *g)
{
    pb_port(g, 11, "x", 2, (const int64_t[]){-1, 3});
    pb_port(g, 12, "y", 2, (const int64_t[]){-1, 2});
}

static pb *add(pb *g, const char *op, const char *in, const char *out)
{
    pb_add_node(g, op, in, out);
    return g;
}

static void test_small(void)
{
    pb g = {0};
    ports(&g);
    add(&g, "Identity", "t", "y"); /* not in order */
    add(&g, "Identity", "x", "t");
    pb m = pb_model(&g);
    pb_text(&m, 2, "hand\xff\x01");
    pi_model *model = read_model(&m);
    CHECK(model);
    if (!model) return;
    CHECK(model->ir_version == 8 && strcmp(model->producer_name, "hand\?\?") == 0 && strcmp(model->doc, "") == 0);
    CHECK(model->n_opsets == 1 && model->opset[0].version == 17 && model->n_meta == 0);
    CHECK(model->n_inputs == 1 && strcmp(model->input[0].name, "x") == 0 && model->input[0].t.dtype == PI_DTYPE_F32);
    CHECK(model->input[0].t.rank == 2 && model->input[0].t.dim[0] == -1 && model->input[0].t.dim[1] == 3);
    CHECK(strcmp(model->input[0].dim_name[0], "N") == 0 && !model->input[0].dim_name[1]);
    const pi_graph *graph = model->graph;
    CHECK(graph->n_nodes == 2 && graph->node[0]->number == 1 && graph->node[1]->number == 0);
    CHECK(graph->node[0]->in[0] == graph->input[0] && graph->node[1]->out[0] == graph->output[0]);
    CHECK(strcmp(graph->input[0]->dim_name[0], "N") == 0);
    pi_model_free(model);
}

/* A model whose graph has these nodes: "op in out" in groups of three. */
static pb nodes(const char *const *list)
{
    pb g = {0};
    ports(&g);
    for (; *list; list += 3) add(&g, list[0], list[1], list[2]);
    return pb_model(&g);
}
#define NODES(...) nodes((const char *const[]){__VA_ARGS__, NULL})

static void test_names(void)
{
    pb m = NODES("Identity", "z", "y");
    CHECK(refused(&m, PI_E_MODEL, "Identity (#0): 'z' is not an input"));
    m = NODES("Identity", "x", "t");
    CHECK(refused(&m, PI_E_MODEL, "output 'y': 'y' is not an input"));
    m = NODES("Identity", "x", "y", "Identity", "x", "y");
    CHECK(refused(&m, PI_E_MODEL, "Identity (#1): output 'y' has the name of another value"));
    m = NODES("Identity", "y", "x");
    CHECK(refused(&m, PI_E_MODEL, "output 'x' has the name"));
    m = NODES("Add", "x y", "t", "Identity", "t", "y");
    CHECK(refused(&m, PI_E_MODEL, "cycle"));
    m = NODES("Identity", "-", "y");
    CHECK(refused(&m, PI_E_MODEL, "Identity (#0): input 0 'input' is missing"));
    m = NODES("Identity", "x x", "y");
    CHECK(refused(&m, PI_E_MODEL, "2 inputs are more than it can have"));
    m = NODES("Foo", "x", "t", "Bar", "t", "u", "Foo", "u", "y");
    CHECK(refused(&m, PI_E_UNSUPPORTED,
                  "2 operators of this model are not supported: Foo (opset 17, 2 nodes); Bar (opset 17, 1 node)"));
    pb n = pb_node("Relu", "x", "y");
    pb_text(&n, 7, "pyinfer");
    pb g = {0};
    ports(&g);
    pb_message(&g, 1, &n);
    m = pb_model(&g);
    CHECK(refused(&m, PI_E_MODEL, "'pyinfer' is internal"));
    g = (pb){0};
    ports(&g);
    ports(&g);
    m = pb_model(add(&g, "Identity", "x", "y"));
    CHECK(refused(&m, PI_E_MODEL, "input 'x': the name 'x' of an input is taken"));
    g = (pb){0};
    pb_port(&g, 11, "x", 0, NULL);
    m = pb_model(add(&g, "Identity", "x", "y"));
    CHECK(refused(&m, PI_E_MODEL, "the graph has no outputs"));
}

/* ---- functions ---- */

/* FunctionProto f.NAME(a) -> b with nodes in groups of three; a '+' in front of the op makes it a call in domain f. */
static void function(pb *model, const char *name, const char *const *list)
{
    pb f = {0}, opset = {0};
    pb_text(&f, 1, name);
    pb_text(&f, 4, "a");
    pb_text(&f, 5, "b");
    pb_text(&f, 10, "f");
    for (; *list; list += 3) {
        bool call = list[0][0] == '+';
        pb n = pb_node(list[0] + call, list[1], list[2]);
        if (call) pb_text(&n, 7, "f");
        pb_message(&f, 7, &n);
    }
    pb_int(&opset, 2, 17);
    pb_message(&f, 9, &opset);
    pb_message(model, 25, &f);
}
#define FUNCTION(model, name, ...) function(model, name, (const char *const[]){__VA_ARGS__, NULL})

static pb calls(const char *name)
{
    pb g = {0}, n = pb_node(name, "x", "y");
    pb_text(&n, 7, "f");
    ports(&g);
    pb_message(&g, 1, &n);
    return pb_model(&g);
}

static void test_functions(void)
{
    pb m = calls("F");
    FUNCTION(&m, "F", "+G", "a", "t", "+G", "t", "b");
    FUNCTION(&m, "G", "Identity", "a", "b");
    pi_model *model = read_model(&m);
    CHECK(model && model->graph->n_nodes == 2 && strcmp(model->graph->node[0]->out[0]->name, "F_0/t") == 0);
    pi_model_free(model);
    m = calls("F"); /* an output that is the input */
    pb f = {0};
    pb_text(&f, 1, "F"), pb_text(&f, 10, "f"), pb_text(&f, 4, "a"), pb_text(&f, 5, "a");
    pb_message(&m, 25, &f);
    model = read_model(&m);
    CHECK(model && model->graph->n_nodes == 1 && model->graph->node[0]->in[0] == model->graph->input[0]);
    pi_model_free(model);
    m = calls("F");
    FUNCTION(&m, "F", "+F", "a", "b");
    CHECK(refused(&m, PI_E_MODEL, "function 'F' calls itself"));
    m = calls("F");
    FUNCTION(&m, "F", "+G", "a", "b");
    FUNCTION(&m, "G", "+F", "a", "b");
    CHECK(refused(&m, PI_E_MODEL, "calls itself"));
    m = calls("F");
    FUNCTION(&m, "F", "Identity", "a", "t");
    CHECK(refused(&m, PI_E_MODEL, "no node of the function makes its output 'b'"));
    m = calls("F");
    FUNCTION(&m, "F", "Identity", "x", "b"); /* functions do not see the graph */
    CHECK(refused(&m, PI_E_MODEL, "'x' is not an input"));
    m = calls("F");
    FUNCTION(&m, "F", "Identity", "a", "b");
    FUNCTION(&m, "F", "Identity", "a", "b");
    CHECK(refused(&m, PI_E_MODEL, "function 'F' is defined twice"));
}

static void test_bombs(void)
{
    char name[3][16];
    for (int k = 10; k <= 60; k += 10) { /* each calls the next one twice */
        pb m = calls("F0");
        for (int i = 0; i <= k; i++) {
            (void)snprintf(name[0], sizeof name[0], "F%d", i);
            (void)snprintf(name[1], sizeof name[1], "+F%d", i + 1);
            if (i == k)
                FUNCTION(&m, name[0], "Identity", "a", "b");
            else
                FUNCTION(&m, name[0], name[1], "a", "t", name[1], "t", "b");
        }
        if (k > 10) {
            CHECK(refused(&m, PI_E_LIMIT, "nodes when its functions are expanded"));
            continue;
        }
        pi_model *model = read_model(&m);
        CHECK(model && model->graph->n_nodes == 1024);
        pi_model_free(model);
    }
    for (int k = 50; k <= 3000; k *= 8) { /* a chain */
        pb m = calls("F0");
        for (int i = 0; i <= k; i++) {
            (void)snprintf(name[0], sizeof name[0], "F%d", i);
            (void)snprintf(name[1], sizeof name[1], "+F%d", i + 1);
            FUNCTION(&m, name[0], i == k ? "Identity" : name[1], "a", "b");
        }
        if (k > 50) {
            CHECK(refused(&m, PI_E_LIMIT, "nested more than"));
            continue;
        }
        pi_model *model = read_model(&m);
        CHECK(model && model->graph->n_nodes == 1);
        pi_model_free(model);
    }
}

/* ---- subgraphs ---- */

/* `depth` operators with a subgraph around a node that reads the outermost input. */
static pb nested(int depth)
{
    pb g = {0};
    add(&g, "Identity", "x", "i");
    pb_port(&g, 12, "i", 0, NULL);
    for (int k = 0; k < depth; k++) {
        pb attr = {0}, n = pb_node("Nest", "", "o"), outer = {0};
        pb_text(&attr, 1, "body");
        pb_message(&attr, 6, &g);
        pb_int(&attr, 20, 5);
        pb_message(&n, 5, &attr);
        pb_message(&outer, 1, &n);
        pb_port(&outer, 12, k == depth - 1 ? "y" : "o", 0, NULL);
        g = outer;
    }
    pb_port(&g, 11, "x", 0, NULL);
    return pb_model(&g);
}

static void test_depth(void)
{
    pb m = nested(20);
    CHECK(refused(&m, PI_E_UNSUPPORTED, "Nest (opset 17, 20 nodes)"));
    for (int depth = 100; depth <= 1600; depth *= 4) {
        m = nested(depth);
        CHECK(refused(&m, PI_E_LIMIT, "nested more than"));
    }
}

/* ---- wrong files ---- */

static void test_hints(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *part;
    } files[] = {
        {"", 0, "empty"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "Git LFS"},
        {"PK\3\4\x14\0\0\0", 8, "zip archive"},
        {"\n\n <!DOCTYPE HTML><html>", 24, "web page"},
        {"\x10\0\0\0\0\0\0\0{\"a\":[1, 2, 3]} ", 24, "safetensors"},
        {"\x80\2}q", 4, "pickle"},
        {"\x1f\x8b\x08\0", 4, "gzip"},
        {"    TFL3", 8, "TensorFlow Lite"},
        {"ir_version: 8\n", 14, "textproto"},
        {"hello world, how are you", 24, "a text: give the model's .onnx file"},
        {"hello\1world, how are you", 24, "damaged, or no ONNX model: byte 2: "},
        {"\x0a\x01x\x12\x05" "Const", 10, "tf2onnx"},
        {"\x08\x03\x10\x01\x22\x00", 6, "onnx.load_tensor"},
        {"\x08\x08", 2, "no graph"},
    };
    for (size_t i = 0; i < PI_COUNT(files); i++) {
        pb m = {0};
        pb_raw(&m, files[i].bytes, files[i].n);
        CHECK(refused(&m, PI_E_MODEL, files[i].part));
    }
}

/* Large raw data is not read before it is needed: neither from a file, nor from memory. */
static void test_large(void)
{
    enum { FLOATS = 4 << 20 };
    static float data[FLOATS];
    data[FLOATS - 1] = 7;
    pb g = {0}, t = {0};
    ports(&g);
    add(&g, "Add", "x w", "y");
    pb_int(&t, 1, FLOATS), pb_int(&t, 2, 1), pb_text(&t, 8, "w"), pb_bytes(&t, 9, data, sizeof data);
    pb_message(&g, 5, &t);
    pb m = pb_model(&g);
    char path[] = "model_read_XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, m.p, m.n) == (ssize_t)m.n && close(fd) == 0);
    for (int memory = 0; memory < 2; memory++) {
        pi_heap *heap = pi_heap_new(0);
        pi_model *model = NULL;
        pi_model_source source = {.path = memory ? NULL : path, .bytes = m.p, .n = m.n};
        CHECK(pi_model_read(&source, heap, &model, &error) == PI_E_OK);
        CHECK(pi_heap_peak(heap) < 2 << 20);
        pi_const *w = model ? model->graph->node[0]->in[1]->constant : NULL;
        CHECK(w && w->bytes == sizeof data && pi_const_load(w, &error) == PI_E_OK);
        CHECK(w && ((const float *)w->t.data)[FLOATS - 1] == 7 && ((const float *)w->t.data)[0] == 0);
        pi_model_free(model);
        pi_heap_unref(heap);
    }
    CHECK(unlink(path) == 0);
    free(m.p);
}

/* Every allocation fails once: the error is told, nothing is left. */
static void test_no_memory(void)
{
    for (long nth = 1;; nth++) {
        pb m = calls("F");
        FUNCTION(&m, "F", "+G", "a", "t", "+G", "t", "b");
        FUNCTION(&m, "G", "Identity", "a", "b");
        pi_heap *heap = pi_heap_new(0);
        pi_model *model = NULL;
        pi_error err = {0};
        pi_alloc_fail_at(nth);
        pi_status st = pi_model_read(&(pi_model_source){.bytes = m.p, .n = m.n, .release = free, .owner = m.p}, heap, &model, &err);
        pi_alloc_fail_at(0);
        CHECK(st == PI_E_OK || (st == PI_E_NOMEM && !model));
        pi_model_free(model);
        pi_heap_unref(heap);
        CHECK(pi_alloc_alive() == 0);
        if (st == PI_E_OK) break;
    }
}

int main(void)
{
    test_small();
    test_names();
    test_functions();
    test_bombs();
    test_depth();
    test_hints();
    test_large();
    test_no_memory();
    CHECK(pi_alloc_alive() == 0);
    return CHECK_DONE();
}
