/* SPDX-License-Identifier: Apache-2.0 */
/* Indices that come from data: checked by value, once, before anything is moved. */
#ifndef PI_OPS_INDEX_H
#define PI_OPS_INDEX_H
#include "kernels/gather/gather.h"
#include "ops/move.h"

#define PI_INDEX (PI_BIT(I32) | PI_BIT(I64))

/* All of t (I32 or I64, bound) lie in [-length, length), else INPUT with the value, its place, the axis and the range. */
pi_status pi_index_check(const pi_tensor *t, int64_t length, int axis, pi_error *err) PI_MUST_USE;
/* The same for tuples: t is [..., k], column j indexes an axis of length dim[j], which is axis0 + j. */
pi_status pi_index_check_tuples(const pi_tensor *t, int k, const int64_t *dim, int axis0, pi_error *err) PI_MUST_USE;
/* Index i, counted from the front. */
static inline int64_t pi_index_at(const pi_tensor *t, int64_t i, int64_t length)
{
    return pi_gather_index(t->data, t->dtype == PI_DTYPE_I64, i, length);
}
#endif
