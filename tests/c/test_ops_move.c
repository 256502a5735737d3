/* SPDX-License-Identifier: Apache-2.0 */
/* The data movement families through pi_op_eval: shapes, values, every error that a model or its data can cause. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "check.h"
#include "ops/ops.h"

static pi_heap *heap;
static pi_error err;

/* One node and its inputs. */
typedef struct {
    pi_graph *g;
    pi_node *node;
    pi_const *in[8];
    pi_const *out[8];
    pi_status st;
} one;

static one begin(const char *name, int64_t opset, uint32_t n_in, uint32_t n_out)
{
    one o = {.g = pi_graph_new(heap, &err)};
    const pi_op *op = pi_op_find(NULL, name, opset);
    CHECK(op != NULL);
    o.node = pi_graph_node(o.g, op, name, n_in, n_out, &err);
    for (uint32_t i = 0; i < n_out; i++) pi_node_set_out(o.node, i, pi_graph_value(o.g, NULL, &err));
    return o;
}

/* Input i: a rank, its dims, then the data from `bytes`. */
static void give(one *o, uint32_t i, pi_dtype dtype, const void *bytes, int rank, ...)
{
    int64_t dim[PI_MAX_RANK];
    va_list ap;
    va_start(ap, rank);
    for (int k = 0; k < rank; k++) dim[k] = va_arg(ap, int);
    va_end(ap);
    o->in[i] = pi_const_new(heap, dtype, rank, dim, &err);
    if (bytes) memcpy(o->in[i]->t.data, bytes, o->in[i]->bytes);
}

static void ints(one *o, uint32_t i, int n, ...)
{
    int64_t v[16];
    va_list ap;
    va_start(ap, n);
    for (int k = 0; k < n; k++) v[k] = va_arg(ap, long long);
    va_end(ap);
    give(o, i, PI_DTYPE_I64, v, 1, n);
}

static void go(one *o)
{
    const pi_tensor *in[8] = {0};
    for (int i = 0; i < 8; i++) in[i] = o->in[i] ? &o->in[i]->t : NULL;
    o->st = pi_op_eval(o->node, NULL, in, heap, o->out, &err);
}

static void end(one *o)
{
    for (int i = 0; i < 8; i++) {
        pi_const_unref(o->in[i]);
        pi_const_unref(o->out[i]);
    }
    pi_graph_free(o->g);
}

static int shape_is(const one *o, int i, int rank, ...)
{
    va_list ap;
    int same = o->st == PI_E_OK && o->out[i] && o->out[i]->t.rank == rank;
    va_start(ap, rank);
    for (int k = 0; k < rank; k++) {
        int d = va_arg(ap, int);
        same = same && o->out[i]->t.dim[k] == d;
    }
    va_end(ap);
    return same;
}

static int floats_are(const one *o, int i, const float *want)
{
    return o->st == PI_E_OK && memcmp(o->out[i]->t.data, want, o->out[i]->bytes) == 0;
}

static int failed(const one *o, pi_status st, const char *text) { return o->st == st && strstr(err.text, text) != NULL; }

static float ramp[4096];

static void reshapes(void)
{
    one o = begin("Reshape", 14, 2, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 3, 2, 3, 4);
    ints(&o, 1, 3, 0LL, -1LL, 2LL);
    go(&o);
    CHECK(shape_is(&o, 0, 3, 2, 6, 2) && floats_are(&o, 0, ramp));
    end(&o);
    static const struct {
        long long a, b;
        const char *text;
    } bad[] = {{-1, -1, "more than one -1"},
               {5, -1, "does not divide"},
               {7, 7, "24 elements"},
               {-2, 12, "entry -2"},
               {0, 0, "24 elements"}};
    for (size_t i = 0; i < PI_COUNT(bad); i++) {
        o = begin("Reshape", 14, 2, 1);
        give(&o, 0, PI_DTYPE_F32, ramp, 3, 2, 3, 4);
        ints(&o, 1, 2, bad[i].a, bad[i].b);
        go(&o);
        CHECK(failed(&o, PI_E_MODEL, bad[i].text));
        end(&o);
    }
    o = begin("Reshape", 14, 2, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 2, 0, 3);
    ints(&o, 1, 2, 3LL, 0LL);
    CHECK(pi_attr_set_int(o.g, o.node, "allowzero", 1, &err) == PI_E_OK);
    go(&o);
    CHECK(shape_is(&o, 0, 2, 3, 0));
    end(&o);
    o = begin("Squeeze", 13, 1, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 4, 1, 3, 1, 2);
    go(&o);
    CHECK(shape_is(&o, 0, 2, 3, 2));
    end(&o);
    o = begin("Squeeze", 13, 2, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 3, 1, 3, 1);
    ints(&o, 1, 1, 1LL);
    go(&o);
    CHECK(failed(&o, PI_E_MODEL, "length 3"));
    end(&o);
    o = begin("Unsqueeze", 13, 2, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 1, 3);
    ints(&o, 1, 2, 0LL, -1LL);
    go(&o);
    CHECK(shape_is(&o, 0, 3, 1, 3, 1));
    end(&o);
    o = begin("Unsqueeze", 13, 2, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 1, 3);
    ints(&o, 1, 2, 0LL, 0LL);
    go(&o);
    CHECK(failed(&o, PI_E_MODEL, "twice"));
    end(&o);
}

static void slices(void)
{
    one o = begin("Slice", 13, 5, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 2, 3, 4);
    ints(&o, 1, 2, -1LL, (long long)INT64_MAX);
    ints(&o, 2, 2, (long long)INT64_MIN, (long long)INT64_MIN);
    ints(&o, 3, 2, 0LL, 1LL);
    ints(&o, 4, 2, -2LL, -3LL);
    go(&o);
    CHECK(shape_is(&o, 0, 2, 2, 2) && floats_are(&o, 0, (const float[]){11, 8, 3, 0}));
    end(&o);
    o = begin("Slice", 13, 5, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 1, 4);
    ints(&o, 1, 1, 3LL);
    ints(&o, 2, 1, -100LL);
    ints(&o, 3, 1, 0LL);
    ints(&o, 4, 1, (long long)INT64_MIN);
    go(&o);
    CHECK(shape_is(&o, 0, 1, 1) && floats_are(&o, 0, (const float[]){3}));
    end(&o);
    o = begin("Slice", 13, 5, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 1, 4);
    ints(&o, 1, 1, 0LL);
    ints(&o, 2, 1, 4LL);
    ints(&o, 3, 1, 0LL);
    ints(&o, 4, 1, 0LL);
    go(&o);
    CHECK(failed(&o, PI_E_MODEL, "is 0"));
    end(&o);
    o = begin("Split", 18, 1, 3);
    give(&o, 0, PI_DTYPE_F32, ramp, 1, 7);
    CHECK(pi_attr_set_int(o.g, o.node, "num_outputs", 3, &err) == PI_E_OK);
    go(&o);
    CHECK(shape_is(&o, 0, 1, 3) && shape_is(&o, 1, 1, 3) && shape_is(&o, 2, 1, 1) && floats_are(&o, 2, (const float[]){6}));
    end(&o);
    o = begin("Split", 13, 1, 3);
    give(&o, 0, PI_DTYPE_F32, ramp, 1, 7);
    go(&o);
    CHECK(failed(&o, PI_E_MODEL, "equal parts"));
    end(&o);
}

static void indices(void)
{
    one o = begin("Gather", 13, 2, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 2, 3, 2);
    ints(&o, 1, 2, -1LL, 0LL);
    go(&o);
    CHECK(shape_is(&o, 0, 2, 2, 2) && floats_are(&o, 0, (const float[]){4, 5, 0, 1}));
    end(&o);
    static const char *const names[] = {"Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"};
    static const long long values[] = {3, -4, (long long)INT64_MAX, (long long)INT64_MIN};
    for (size_t k = 0; k < PI_COUNT(names); k++)
        for (size_t v = 0; v < PI_COUNT(values); v++) {
            o = begin(names[k], 13, k < 3 ? 2 : 3, 1);
            int64_t at[1] = {values[v]};
            give(&o, 0, PI_DTYPE_F32, ramp, 1, 3);
            if (k == 2 || k == 4)
                give(&o, 1, PI_DTYPE_I64, at, 2, 1, 1);
            else
                give(&o, 1, PI_DTYPE_I64, at, 1, 1);
            if (k >= 3) give(&o, 2, PI_DTYPE_F32, ramp, 1, 1);
            go(&o);
            CHECK(failed(&o, PI_E_INPUT, "out of range for axis 0 of length 3"));
            end(&o);
        }
}

/* Outputs that nobody could hold: LIMIT, and no memory is taken. */
static void bombs(void)
{
    static const long long big[] = {1LL << 31, 1LL << 40, 1LL << 62, INT64_MAX};
    for (size_t i = 0; i < PI_COUNT(big); i++) {
        one o = begin("ConstantOfShape", 9, 1, 1);
        ints(&o, 0, 3, big[i], big[i], 4LL);
        go(&o);
        CHECK(o.st == PI_E_LIMIT);
        end(&o);
        o = begin("Expand", 13, 2, 1);
        give(&o, 0, PI_DTYPE_F32, ramp, 1, 1);
        ints(&o, 1, 3, big[i], big[i], 4LL);
        go(&o);
        CHECK(o.st == PI_E_LIMIT);
        end(&o);
        o = begin("Tile", 13, 2, 1);
        give(&o, 0, PI_DTYPE_F32, ramp, 2, 3, 3);
        ints(&o, 1, 2, big[i], big[i]);
        go(&o);
        CHECK(o.st == PI_E_LIMIT);
        end(&o);
        o = begin("Pad", 13, 2, 1);
        give(&o, 0, PI_DTYPE_F32, ramp, 2, 3, 3);
        ints(&o, 1, 4, big[i], big[i], big[i], big[i]);
        go(&o);
        CHECK(o.st == PI_E_LIMIT);
        end(&o);
        o = begin("Resize", 13, 4, 1);
        give(&o, 0, PI_DTYPE_F32, ramp, 2, 3, 3);
        ints(&o, 3, 2, big[i], big[i]);
        go(&o);
        CHECK(o.st == PI_E_LIMIT);
        end(&o);
        o = begin("Range", 11, 3, 1);
        int64_t from = 0, to = big[i], step = i < 2 ? 1 : -1;
        give(&o, 0, PI_DTYPE_I64, &from, 0);
        give(&o, 1, PI_DTYPE_I64, &to, 0);
        give(&o, 2, PI_DTYPE_I64, &step, 0);
        if (i > 1) {
            go(&o);
            CHECK(shape_is(&o, 0, 1, 0));
        }
        end(&o);
    }
}

static pi_status rank_of(const char *name, int64_t opset, uint32_t n_in, const int64_t *second, int n)
{
    one o = begin(name, opset, n_in, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 0);
    if (n_in > 1) give(&o, 1, PI_DTYPE_I64, second, 1, n);
    go(&o);
    pi_status st = o.st;
    end(&o);
    return st;
}

/* Scalars and empty tensors are legal, or a clear error. */
static void corners(void)
{
    CHECK(rank_of("Transpose", 13, 1, NULL, 0) == PI_E_OK);
    CHECK(rank_of("Identity", 13, 1, NULL, 0) == PI_E_OK);
    CHECK(rank_of("Flatten", 13, 1, NULL, 0) == PI_E_MODEL); /* axis 1 of rank 0 */
    CHECK(rank_of("Concat", 13, 1, NULL, 0) == PI_E_MODEL);
    CHECK(rank_of("Tile", 13, 2, NULL, 0) == PI_E_OK);
    CHECK(rank_of("Expand", 13, 2, NULL, 0) == PI_E_OK);
    CHECK(rank_of("Pad", 13, 2, NULL, 0) == PI_E_OK);
    CHECK(rank_of("NonZero", 13, 1, NULL, 0) == PI_E_OK);
    CHECK(rank_of("Unique", 11, 1, NULL, 0) == PI_E_OK);
    CHECK(rank_of("TopK", 11, 2, (const int64_t[]){1}, 1) == PI_E_MODEL);
    one o = begin("Transpose", 13, 1, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 3, 2, 0, 3);
    go(&o);
    CHECK(shape_is(&o, 0, 3, 3, 0, 2));
    end(&o);
    o = begin("Gather", 13, 2, 1);
    give(&o, 0, PI_DTYPE_F32, ramp, 2, 0, 2);
    ints(&o, 1, 0);
    go(&o);
    CHECK(shape_is(&o, 0, 2, 0, 2));
    end(&o);
    o = begin("Unique", 11, 1, 4);
    give(&o, 0, PI_DTYPE_F32, (const float[]){2, 1, 2, 3, 1}, 1, 5);
    go(&o);
    CHECK(shape_is(&o, 0, 1, 3) && floats_are(&o, 0, (const float[]){1, 2, 3}));
    CHECK(shape_is(&o, 2, 1, 5) && ((const int64_t *)o.out[2]->t.data)[3] == 2);
    end(&o);
}

/* A case with memory that fails at every possible place: a status, and nothing leaks. */
static void no_memory(void)
{
    for (long nth = 1; nth < 200; nth++) {
        const pi_tensor *in[8] = {0};
        one o = begin("Resize", 13, 4, 1);
        give(&o, 0, PI_DTYPE_F32, ramp, 4, 1, 1, 3, 3);
        ints(&o, 3, 4, 1LL, 1LL, 7LL, 7LL);
        for (int i = 0; i < 4; i++) in[i] = o.in[i] ? &o.in[i]->t : NULL;
        pi_alloc_fail_at(nth);
        o.st = pi_op_eval(o.node, NULL, in, heap, o.out, &err);
        pi_alloc_fail_at(0);
        CHECK(o.st == PI_E_OK || o.st == PI_E_NOMEM || o.st == PI_E_LIMIT);
        bool done = o.st == PI_E_OK;
        end(&o);
        if (done) break;
    }
}

int main(void)
{
    heap = pi_heap_new((size_t)1 << 28);
    for (int i = 0; i < 4096; i++) ramp[i] = (float)i;
    long alive = pi_alloc_alive();
    reshapes();
    slices();
    indices();
    bombs();
    corners();
    no_memory();
    CHECK(pi_alloc_alive() == alive);
    pi_heap_unref(heap);
    return CHECK_DONE();
}
