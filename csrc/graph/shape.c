/* SPDX-License-Identifier: Apache-2.0 */
/* Shape arithmetic: every product and sum of dimensions is checked here. */
#include <stdio.h>
#include <string.h>
#include "graph/graph.h"

bool pi_tensor_known(const pi_tensor *t)
{
    if (t->rank < 0) return false;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] < 0) return false;
    return true;
}

pi_status pi_tensor_count(const pi_tensor *t, int64_t *count, pi_error *err)
{
    int64_t n = 1;
    bool zero = false;
    for (int i = 0; i < t->rank; i++) {
        if (t->dim[i] < 0) return pi_fail(err, PI_E_MODEL, "dimension %d is %lld", i, (long long)t->dim[i]);
        if (t->dim[i] == 0)
            zero = true;
        else if (!pi_mul_i64(n, t->dim[i], &n)) {
            char text[256];
            return pi_fail(err, PI_E_LIMIT, "%s has more elements than can be counted",
                           pi_tensor_text(t, text, sizeof text));
        }
    }
    *count = zero ? 0 : n;
    return PI_E_OK;
}

pi_status pi_tensor_bytes(const pi_tensor *t, size_t *bytes, pi_error *err)
{
    int64_t n;
    PI_TRY(pi_tensor_count(t, &n, err));
    if (!pi_mul((size_t)n, pi_dtype_size(t->dtype), bytes) || *bytes > INT64_MAX) {
        char text[256];
        return pi_fail(err, PI_E_LIMIT, "%s has more bytes than can be addressed", pi_tensor_text(t, text, sizeof text));
    }
    return PI_E_OK;
}

int64_t pi_tensor_n(const pi_tensor *t) { return pi_dims_product(t, 0, t->rank); }

bool pi_tensor_same_shape(const pi_tensor *a, const pi_tensor *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

char *pi_tensor_text(const pi_tensor *t, char *text, size_t size)
{
    size_t n = 0;
#define PUT(...)                                                                  \
    do {                                                                          \
        int put_ = snprintf(text + n, size - n, __VA_ARGS__);                     \
        n = put_ < 0 || (size_t)put_ >= size - n ? size - 1 : n + (size_t)put_;   \
    } while (0)
    PUT("%s", pi_dtype_name(t->dtype));
    if (t->rank < 0) {
        PUT("[...]");
        return text;
    }
    PUT("[");
    for (int i = 0; i < t->rank; i++) {
        const char *comma = i ? ", " : "";
        if (t->dim[i] < 0)
            PUT("%s?", comma);
        else
            PUT("%s%lld", comma, (long long)t->dim[i]);
    }
    PUT("]");
#undef PUT
    return text;
}

pi_status pi_axis(int64_t axis, int rank, int *out, pi_error *err)
{
    if (axis < -rank || axis >= rank)
        return pi_fail(err, PI_E_MODEL, "axis %lld is out of range for rank %d", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return PI_E_OK;
}

pi_status pi_broadcast(const pi_tensor *a, const pi_tensor *b, pi_tensor *out, pi_error *err)
{
    int rank = a->rank > b->rank ? a->rank : b->rank;
    int64_t dim[PI_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1) {
            char ta[200], tb[200];
            return pi_fail(err, PI_E_MODEL, "%s and %s do not broadcast: %lld against %lld",
                           pi_tensor_text(a, ta, sizeof ta), pi_tensor_text(b, tb, sizeof tb), (long long)da,
                           (long long)db);
        }
        dim[i] = da == 1 ? db : da;
    }
    pi_tensor_set_shape(out, rank, dim);
    return PI_E_OK;
}

int64_t pi_dims_product(const pi_tensor *t, int from, int to)
{
    int64_t n = 1;
    for (int i = from; i < to; i++) n *= t->dim[i];
    return n;
}

int64_t pi_tensor_int(const pi_tensor *t, int64_t i)
{
#define CASE(name, type)                                                     \
    case PI_DTYPE_##name: {                                                  \
        type v;                                                              \
        memcpy(&v, (const char *)t->data + (size_t)i * sizeof v, sizeof v);  \
        return (int64_t)v;                                                   \
    }
    switch (t->dtype) {
        CASE(I64, int64_t)
        CASE(I32, int32_t)
        CASE(I16, int16_t)
        CASE(I8, int8_t)
        CASE(U64, uint64_t)
        CASE(U32, uint32_t)
        CASE(U16, uint16_t)
        CASE(U8, uint8_t)
        CASE(BOOL, uint8_t)
    default: return 0;
    }
#undef CASE
}

void pi_tensor_set_shape(pi_tensor *t, int rank, const int64_t *dim)
{
    t->rank = rank;
    if (rank > 0) memmove(t->dim, dim, (size_t)rank * sizeof *dim);
}
