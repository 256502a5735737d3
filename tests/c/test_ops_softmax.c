/* SPDX-License-Identifier: Apache-2.0 */
/* pyinfer.Softmax: the kernels against the reference, for each way in which the mask may broadcast. */
#include <math.h>
#include <stdlib.h>
#include "check.h"
#include "one_op.h"

enum { B = 2, H = 3, S = 171, N = 37, ALL = B * H * S * N };

static void compare(float *x, float *mask, int rank, const int64_t *dim, bool guard)
{
    one_op ref, fast;
    one_op *both[2] = {&ref, &fast};
    for (int i = 0; i < 2; i++) {
        one_op_init(both[i], "pyinfer", "Softmax", 1, 2, 1);
        one_op_in(both[i], 0, PI_DTYPE_F32, 4, (int64_t[]){B, H, S, N}, x);
        if (rank) one_op_in(both[i], 1, PI_DTYPE_F32, rank, dim, mask);
        one_op_int(both[i], "nan_to_zero", guard);
        CHECK(one_op_eval(both[i], i ? "simd" : "ref") == PI_E_OK);
    }
    int bad = 0; /* the kernel rounds the sum of x and mask: e to its power is off by as much */
    for (int i = 0; i < ALL; i++) {
        float a = one_op_f32(&ref, 0)[i], b = one_op_f32(&fast, 0)[i];
        bad += isnan(a) ? !isnan(b) || guard : !(fabsf(a - b) <= 3e-6f * a + 1e-30f);
    }
    CHECK(bad == 0);
    one_op_free(&ref);
    one_op_free(&fast);
}

static void masks(void)
{
    float *x = malloc(ALL * sizeof *x), *mask = malloc(ALL * sizeof *mask);
    CHECK(x && mask);
    for (unsigned i = 0, r = 1; i < ALL; i++) {
        r = r * 1664525u + 1013904223u;
        x[i] = (float)(r >> 16) / 6000 - 5;
        mask[i] = r & 0x80000 ? -INFINITY : (float)(r >> 24) / 100;
    }
    for (int i = 0; i < N; i++) mask[3 * N + i] = -INFINITY; /* row 3 has nothing */
    x[5 * N + 7] = NAN;
    x[6 * N + N - 1] = INFINITY;
    static const struct {
        int rank;
        int64_t dim[4];
    } shapes[] = {{0, {0}},          {1, {N}},          {2, {1, N}},       {2, {S, N}},       {3, {H, 1, N}},   {3, {H, S, N}},
                  {4, {B, 1, 1, N}}, {4, {B, 1, S, N}}, {4, {1, 1, S, N}}, {4, {1, H, 1, N}}, {4, {B, H, S, N}}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (int guard = 0; guard < 2; guard++) compare(x, mask, shapes[k].rank, shapes[k].dim, guard);
    free(x);
    free(mask);
}

static void mistakes(void)
{
    float x[6] = {0};
    one_op o;
    static const int64_t wrong[][2] = {{2, 1}, {3, 3}, {1, 2}};
    for (int i = 0; i < 3; i++) {
        one_op_init(&o, "pyinfer", "Softmax", 1, 2, 1);
        one_op_in(&o, 0, PI_DTYPE_F32, 2, (int64_t[]){2, 3}, x);
        one_op_in(&o, 1, PI_DTYPE_F32, 2, wrong[i], x);
        CHECK(one_op_eval(&o, NULL) == PI_E_MODEL);
        one_op_free(&o);
    }
}

int main(void)
{
    masks();
    mistakes();
    return CHECK_DONE();
}
