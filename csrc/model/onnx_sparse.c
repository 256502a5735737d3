/* SPDX-License-Identifier: Apache-2.0 */
/* SparseTensorProto: coordinates and values, made dense. */
#include <string.h>
#include "model/reader.h"

enum { SPARSE_DENSE = 256 << 20 }; /* bytes that a sparse tensor may have when it is dense */

typedef struct {
    pi_span values, indices;
    pi_tensor t; /* dims; the dtype comes from the values */
} sparse_head;

static pi_status read_head(pi_reader *r, pi_span message, sparse_head *h, pi_error *err)
{
    pi_wire w = pi_wire_over(message, r->base);
    pi_field f;
    bool more;
    *h = (sparse_head){0};
    for (;;) {
        size_t n;
        PI_TRY(pi_wire_next(&w, &f, &more, err));
        if (!more) break;
        if (f.number == 1) PI_TRY(pi_field_bytes(&f, &h->values, err));
        if (f.number == 2) PI_TRY(pi_field_bytes(&f, &h->indices, err));
        if (f.number != 3) continue;
        PI_TRY(pi_field_count(&f, PI_WIRE_VARINT, &n, err));
        if (n > PI_MAX_RANK - (size_t)h->t.rank) return pi_fail(err, PI_E_LIMIT, "more than %d dimensions", PI_MAX_RANK);
        h->t.rank += (int)n;
    }
    if (!h->values.p || !h->indices.p) return pi_fail(err, PI_E_MODEL, "a sparse tensor without values or indices");
    PI_TRY(read_numbers(pi_wire_over(message, r->base), 3, PI_WIRE_VARINT, 8, h->t.dim, (size_t)h->t.rank, err));
    return PI_E_OK;
}

/* Place of non-zero k in the dense tensor; indices are [nnz], or [nnz, rank]. */
static pi_status place(const pi_tensor *dense, int64_t count, const pi_const *indices, int64_t k, int64_t *out, pi_error *err)
{
    const int64_t *index = indices->t.data;
    bool linear = indices->t.rank == 1;
    int64_t at = linear ? index[k] : 0;
    for (int d = 0; !linear && d < dense->rank; d++) {
        int64_t i = index[k * dense->rank + d];
        if (i < 0 || i >= dense->dim[d])
            return pi_fail(err, PI_E_MODEL, "index %lld of a sparse tensor is out of range for %lld", (long long)i,
                           (long long)dense->dim[d]);
        at = at * dense->dim[d] + i;
    }
    if (at < 0 || at >= count)
        return pi_fail(err, PI_E_MODEL, "index %lld of a sparse tensor is out of range for %lld", (long long)at, (long long)count);
    *out = at;
    return PI_E_OK;
}

static pi_status make_dense(pi_reader *r, sparse_head *h, pi_const *values, pi_const *indices, pi_const **out, pi_error *err)
{
    size_t bytes, size = pi_dtype_size(values->t.dtype);
    int64_t count, at = 0, nnz = values->t.rank == 1 ? values->t.dim[0] : -1;
    h->t.dtype = values->t.dtype;
    if (h->t.dtype == PI_DTYPE_STRING) return pi_fail(err, PI_E_UNSUPPORTED, "sparse tensors of strings are not supported");
    PI_TRY(pi_tensor_count(&h->t, &count, err));
    PI_TRY(pi_tensor_bytes(&h->t, &bytes, err));
    if (bytes > SPARSE_DENSE)
        return pi_fail(err, PI_E_LIMIT, "a sparse tensor that is %zu bytes when dense; at most %d are allowed", bytes, SPARSE_DENSE);
    const pi_tensor *i = &indices->t;
    bool fits = i->rank == 1 || (i->rank == 2 && i->dim[1] == h->t.rank);
    if (nnz < 0 || i->dtype != PI_DTYPE_I64 || !fits || i->dim[0] != nnz)
        return pi_fail(err, PI_E_MODEL, "a sparse tensor whose values and indices do not fit each other");
    PI_TRY(pi_const_load(values, err));
    PI_TRY(pi_const_load(indices, err));
    pi_const *c = pi_const_new(r->heap, h->t.dtype, h->t.rank, h->t.dim, err);
    if (!c) return pi_alloc_status(err);
    if (bytes) memset(c->t.data, 0, bytes);
    for (int64_t k = 0; k < nnz; k++) {
        pi_status st = place(&h->t, count, indices, k, &at, err);
        if (st != PI_E_OK) {
            pi_const_unref(c);
            return st;
        }
        memcpy((char *)c->t.data + (size_t)at * size, (const char *)values->t.data + (size_t)k * size, size);
    }
    *out = c;
    return PI_E_OK;
}

pi_status read_sparse(pi_reader *r, pi_span message, pi_span *name, pi_const **out, pi_error *err)
{
    pi_status st = PI_E_OK;
    sparse_head h;
    pi_const *values = NULL, *indices = NULL;
    *out = NULL;
    PI_TRY(read_head(r, message, &h, err));
    PI_TRY_DONE(read_tensor(r, h.values, name, &values, err));
    PI_TRY_DONE(read_tensor(r, h.indices, NULL, &indices, err));
    PI_TRY_DONE(make_dense(r, &h, values, indices, out, err));
done:
    pi_const_unref(values);
    pi_const_unref(indices);
    return st;
}
