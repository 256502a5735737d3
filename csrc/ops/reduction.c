/* SPDX-License-Identifier: Apache-2.0 */
/* Two lists of dimensions for a reduction. */
#include "ops/reduction.h"

void pi_reduction_init(pi_reduction *r, const pi_tensor *x, unsigned axes)
{
    *r = (pi_reduction){.outputs = 1, .count = 1};
    uint64_t strides[PI_MAX_RANK], stride = 1, outputs = 1, count = 1;
    for (int i = x->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= (uint64_t)x->dim[i];
    }
    int last = -1; /* which list the dimension before belongs to */
    for (int i = 0; i < x->rank; i++) {
        int is_reduced = (int)(axes >> i & 1);
        int64_t *dims = is_reduced ? r->dim : r->kept_dim, *steps = is_reduced ? r->stride : r->kept_stride;
        int *n = is_reduced ? &r->reduced : &r->kept;
        if (is_reduced)
            count *= (uint64_t)x->dim[i];
        else
            outputs *= (uint64_t)x->dim[i];
        if (x->dim[i] == 1) continue;
        if (last == is_reduced)
            dims[*n - 1] = (int64_t)((uint64_t)dims[*n - 1] * (uint64_t)x->dim[i]);
        else
            dims[(*n)++] = x->dim[i];
        steps[*n - 1] = (int64_t)strides[i];
        last = is_reduced;
    }
    r->outputs = (int64_t)outputs;
    r->count = (int64_t)count;
}

int64_t pi_reduction_start(const pi_reduction *r, int64_t i)
{
    int64_t offset = 0;
    for (int k = r->kept - 1; k >= 0; k--) {
        offset += i % r->kept_dim[k] * r->kept_stride[k];
        i /= r->kept_dim[k];
    }
    return offset;
}

int64_t pi_reduction_at(const pi_reduction *r, int64_t i)
{
    int64_t offset = 0;
    for (int k = r->reduced - 2; k >= 0; k--) {
        offset += i % r->dim[k] * r->stride[k];
        i /= r->dim[k];
    }
    return offset;
}

pi_status pi_reduction_axes(const int64_t *list, int64_t n, int rank, unsigned *axes, pi_error *err)
{
    *axes = 0;
    for (int64_t i = 0; i < n; i++) {
        int axis;
        PI_TRY(pi_axis(list[i], rank, &axis, err));
        if (*axes >> axis & 1) return pi_fail(err, PI_E_MODEL, "axis %d is given twice", axis);
        *axes |= 1u << axis;
    }
    return PI_E_OK;
}
