/* SPDX-License-Identifier: Apache-2.0 */
/* See index.h. */
#include "ops/index.h"

static pi_status index_fail(int64_t value, int64_t at, int64_t length, int axis, pi_error *err)
{
    return pi_fail(err, PI_E_INPUT, "index %lld (element %lld) is out of range for axis %d of length %lld, expected %lld to %lld",
                   (long long)value, (long long)at, axis, (long long)length, (long long)-length, (long long)length - 1);
}

pi_status pi_index_check(const pi_tensor *t, int64_t length, int axis, pi_error *err)
{
    int64_t bad = pi_gather_check(t->data, t->dtype == PI_DTYPE_I64, pi_tensor_n(t), length);
    return bad < 0 ? PI_E_OK : index_fail(pi_tensor_int(t, bad), bad, length, axis, err);
}

pi_status pi_index_check_tuples(const pi_tensor *t, int k, const int64_t *dim, int axis0, pi_error *err)
{
    int64_t n = pi_tensor_n(t);
    for (int64_t i = 0, j = 0; i < n; i++) {
        int64_t v = pi_tensor_int(t, i);
        if (v < -dim[j] || v >= dim[j]) return index_fail(v, i, dim[j], axis0 + (int)j, err);
        if (++j == k) j = 0;
    }
    return PI_E_OK;
}
