/* SPDX-License-Identifier: Apache-2.0 */
/* Compute families through pi_op_eval: values that can be checked by hand, and attributes from a hostile file. */
#include <math.h>
#include "check.h"
#include "one_op.h"

#define SHAPE(...) (int64_t[]){__VA_ARGS__}

static void broadcasting(void)
{
    float a[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20, 30};
    one_op o;
    one_op_init(&o, NULL, "Add", 14, 2, 1);
    one_op_in(&o, 0, PI_DTYPE_F32, 2, SHAPE(2, 3), a);
    one_op_in(&o, 1, PI_DTYPE_F32, 1, SHAPE(3), b);
    CHECK(one_op_eval(&o, NULL) == PI_E_OK);
    CHECK(one_op_f32(&o, 0)[0] == 11 && one_op_f32(&o, 0)[5] == 36);
    one_op_free(&o);

    one_op_init(&o, NULL, "Add", 14, 2, 1);
    one_op_in(&o, 0, PI_DTYPE_F32, 2, SHAPE(3, 2), a);
    one_op_in(&o, 1, PI_DTYPE_F32, 1, SHAPE(3), b);
    CHECK(one_op_eval(&o, NULL) == PI_E_MODEL);
    CHECK(strstr(o.err.text, "do not broadcast") != NULL);
    one_op_free(&o);

    one_op_init(&o, NULL, "Mul", 6, 2, 1); /* the old rule: B's dimension is A's first */
    one_op_in(&o, 0, PI_DTYPE_F32, 2, SHAPE(3, 2), a);
    one_op_in(&o, 1, PI_DTYPE_F32, 1, SHAPE(3), b);
    one_op_int(&o, "axis", 0);
    one_op_int(&o, "broadcast", 1);
    CHECK(one_op_eval(&o, NULL) == PI_E_OK);
    CHECK(one_op_f32(&o, 0)[1] == 20 && one_op_f32(&o, 0)[2] == 60 && one_op_f32(&o, 0)[5] == 180);
    one_op_free(&o);
}

static void integer_division(void)
{
    int32_t a[] = {INT32_MIN, 7, -7}, b[] = {-1, 2, 2}, zero[] = {1, 0, 1};
    one_op o;
    one_op_init(&o, NULL, "Div", 14, 2, 1);
    one_op_in(&o, 0, PI_DTYPE_I32, 1, SHAPE(3), a);
    one_op_in(&o, 1, PI_DTYPE_I32, 1, SHAPE(3), b);
    CHECK(one_op_eval(&o, NULL) == PI_E_OK);
    const int32_t *y = o.out[0]->t.data;
    CHECK(y[0] == INT32_MIN && y[1] == 3 && y[2] == -3);
    one_op_in(&o, 1, PI_DTYPE_I32, 1, SHAPE(3), zero);
    pi_const_unref(o.out[0]);
    CHECK(one_op_eval(&o, NULL) == PI_E_INPUT);
    CHECK(strstr(o.err.text, "division by zero") != NULL);
    one_op_free(&o);
}

static void casting(void)
{
    float x[] = {NAN, INFINITY, -1e30f, 2.9f, -2.9f, 3e9f};
    one_op o;
    one_op_init(&o, NULL, "Cast", 13, 1, 1);
    one_op_in(&o, 0, PI_DTYPE_F32, 1, SHAPE(6), x);
    one_op_int(&o, "to", PI_DTYPE_I32);
    CHECK(one_op_eval(&o, NULL) == PI_E_OK);
    const int32_t *y = o.out[0]->t.data;
    CHECK(y[0] == 0 && y[1] == INT32_MAX && y[2] == INT32_MIN && y[3] == 2 && y[4] == -2 && y[5] == INT32_MAX);
    one_op_free(&o);
}

/* A 1x1x3x3 image, a 2x2 kernel of ones: NCHW, and NHWC through the internal operator with bias, residual and ReLU. */
static void convolution(void)
{
    float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[] = {1, 1, 1, 1}, b[] = {-20}, z[] = {0, 0, 0, 1};
    one_op o;
    one_op_init(&o, NULL, "Conv", 11, 2, 1);
    one_op_in(&o, 0, PI_DTYPE_F32, 4, SHAPE(1, 1, 3, 3), x);
    one_op_in(&o, 1, PI_DTYPE_F32, 4, SHAPE(1, 1, 2, 2), w);
    CHECK(one_op_eval(&o, NULL) == PI_E_OK);
    CHECK(o.out[0]->t.dim[2] == 2 && one_op_f32(&o, 0)[0] == 12 && one_op_f32(&o, 0)[3] == 28);
    one_op_free(&o);

    one_op_init(&o, "pyinfer", "Conv", 1, 4, 1);
    one_op_in(&o, 0, PI_DTYPE_F32, 4, SHAPE(1, 3, 3, 1), x);
    one_op_in(&o, 1, PI_DTYPE_F32, 4, SHAPE(1, 1, 2, 2), w);
    one_op_in(&o, 2, PI_DTYPE_F32, 1, SHAPE(1), b);
    one_op_in(&o, 3, PI_DTYPE_F32, 4, SHAPE(1, 2, 2, 1), z);
    one_op_int(&o, "nhwc", 1);
    one_op_int(&o, "act", 1);
    CHECK(one_op_eval(&o, NULL) == PI_E_OK);
    CHECK(o.out[0]->t.dim[1] == 2 && o.out[0]->t.dim[3] == 1);
    CHECK(one_op_f32(&o, 0)[0] == 0 && one_op_f32(&o, 0)[2] == 4 && one_op_f32(&o, 0)[3] == 9);
    one_op_free(&o);
}

static void hostile_windows(void)
{
    static const char *const names[] = {"strides", "dilations", "pads", "kernel_shape"};
    static const int64_t values[] = {0, -1, INT64_MIN, INT64_MAX, (int64_t)1 << 31, (int64_t)1 << 62};
    float x[9] = {0}, w[4] = {0};
    for (size_t n = 0; n < PI_COUNT(names); n++)
        for (size_t v = 0; v < PI_COUNT(values); v++)
            for (uint32_t length = 0; length < 6; length++) {
                int64_t list[6];
                for (uint32_t i = 0; i < 6; i++) list[i] = values[v];
                one_op o;
    one_op_init(&o, NULL, "Conv", 11, 2, 1);
                one_op_in(&o, 0, PI_DTYPE_F32, 4, SHAPE(1, 1, 3, 3), x);
                one_op_in(&o, 1, PI_DTYPE_F32, 4, SHAPE(1, 1, 2, 2), w);
                one_op_ints(&o, names[n], length, list);
                bool harmless = length == 0 || (n == 2 && length == 4 && values[v] == 0);
                CHECK((one_op_eval(&o, NULL) == PI_E_OK) == harmless);
                one_op_free(&o);
                one_op_init(&o, NULL, "MaxPool", 12, 1, 1);
                one_op_in(&o, 0, PI_DTYPE_F32, 4, SHAPE(1, 1, 3, 3), x);
                if (n != 3) one_op_ints(&o, "kernel_shape", 2, SHAPE(2, 2));
                one_op_ints(&o, names[n], length, list);
                pi_status st = one_op_eval(&o, NULL);
                CHECK(n == 3 || (st == PI_E_OK) == harmless);
                CHECK(n != 3 || st != PI_E_OK);
                one_op_free(&o);
            }
}

static void products(void)
{
    float a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8}, c[] = {1, 1};
    one_op o;
    one_op_init(&o, NULL, "Gemm", 13, 3, 1);
    one_op_in(&o, 0, PI_DTYPE_F32, 2, SHAPE(2, 2), a);
    one_op_in(&o, 1, PI_DTYPE_F32, 2, SHAPE(2, 2), b);
    one_op_in(&o, 2, PI_DTYPE_F32, 1, SHAPE(2), c);
    one_op_int(&o, "transB", 1);
    CHECK(one_op_eval(&o, NULL) == PI_E_OK);
    CHECK(one_op_f32(&o, 0)[0] == 18 && one_op_f32(&o, 0)[3] == 54);
    one_op_free(&o);

    one_op_init(&o, NULL, "MatMul", 13, 2, 1); /* nothing to sum: zeros */
    one_op_in(&o, 0, PI_DTYPE_F32, 2, SHAPE(2, 0), a);
    one_op_in(&o, 1, PI_DTYPE_F32, 2, SHAPE(0, 2), b);
    CHECK(one_op_eval(&o, NULL) == PI_E_OK);
    CHECK(one_op_f32(&o, 0)[0] == 0 && one_op_f32(&o, 0)[3] == 0);
    one_op_free(&o);
}

static void reductions(void)
{
    float x[] = {1, 2, 3, 4, 5, 6};
    int64_t axes[] = {-1};
    one_op o;
    one_op_init(&o, NULL, "ReduceMean", 18, 2, 1);
    one_op_in(&o, 0, PI_DTYPE_F32, 2, SHAPE(2, 3), x);
    one_op_in(&o, 1, PI_DTYPE_I64, 1, SHAPE(1), axes);
    CHECK(one_op_eval(&o, NULL) == PI_E_OK);
    CHECK(o.out[0]->t.rank == 2 && one_op_f32(&o, 0)[0] == 2 && one_op_f32(&o, 0)[1] == 5);
    one_op_free(&o);
    axes[0] = 5;
    one_op_init(&o, NULL, "ReduceMean", 18, 2, 1);
    one_op_in(&o, 0, PI_DTYPE_F32, 2, SHAPE(2, 3), x);
    one_op_in(&o, 1, PI_DTYPE_I64, 1, SHAPE(1), axes);
    CHECK(one_op_eval(&o, NULL) == PI_E_MODEL);
    one_op_free(&o);

    int32_t none[1] = {0};
    one_op_init(&o, NULL, "ReduceMax", 13, 1, 1); /* the largest of nothing is the smallest number */
    one_op_in(&o, 0, PI_DTYPE_I32, 1, SHAPE(0), none);
    CHECK(one_op_eval(&o, NULL) == PI_E_OK);
    CHECK(*(const int32_t *)o.out[0]->t.data == INT32_MIN);
    one_op_free(&o);
}

int main(void)
{
    long alive = pi_alloc_alive();
    broadcasting();
    integer_division();
    casting();
    convolution();
    hostile_windows();
    products();
    reductions();
    CHECK(pi_alloc_alive() == alive);
    return CHECK_DONE();
}
