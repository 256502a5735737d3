/* SPDX-License-Identifier: Apache-2.0 */
/* Gather, GatherElements, GatherND. */
#include <string.h>

#include "base/threads.h"
#include "ops/gather_file.h"
#include "ops/index.h"

enum { GRAIN = 64 << 10 };

typedef struct {
    const pi_tensor *index;
    const char *src;
    char *dst;
    size_t row;          /* bytes */
    int64_t limit, n;    /* rows of src, indices, for one step of the outer axes */
    /* the element-wise forms */
    int rank, axis;
    int64_t dim[PI_MAX_RANK], stride[PI_MAX_RANK];
    bool bad; /* some index was out of range (and read as 0): set by any thread */
} gather_job;

/* ---- Gather: rows ---- */

static pi_status gather_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis, rank = 0;
    int64_t dim[2 * PI_MAX_RANK];
    PI_TRY(pi_axis(pi_attr_int(node, "axis"), in[0]->rank, &axis, err));
    for (int i = 0; i < axis; i++) dim[rank++] = in[0]->dim[i];
    for (int i = 0; i < in[1]->rank; i++) dim[rank++] = in[1]->dim[i];
    for (int i = axis + 1; i < in[0]->rank; i++) dim[rank++] = in[0]->dim[i];
    return pi_move_shape(out, rank, dim, err);
}

static void gather_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const gather_job *job = arg;
    while (begin < end) {
        int64_t outer = begin / job->n, from = begin % job->n, n = pi_min_i64(job->n - from, end - begin);
        pi_gather_rows(job->src + (size_t)outer * (size_t)job->limit * job->row, job->row, job->limit, job->index->data,
                       job->index->dtype == PI_DTYPE_I64, from, n, job->dst + (size_t)begin * job->row);
        begin += n;
    }
}

static pi_status gather_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *data = call->in[0], *index = call->in[1];
    int axis;
    PI_TRY(pi_axis(pi_attr_int(call->node, "axis"), data->rank, &axis, err));
    PI_TRY(pi_move_outputs(call, err));
    PI_TRY(pi_index_check(index, data->dim[axis], axis, err));
    gather_job job = {.index = index, .src = data->data, .dst = call->out[0]->data, .limit = data->dim[axis],
                      .n = pi_tensor_n(index)};
    job.row = pi_dtype_size(data->dtype) * (size_t)pi_dims_product(data, axis + 1, data->rank);
    int64_t rows = pi_dims_product(data, 0, axis) * job.n;
    if (rows == 0 || job.row == 0) return PI_E_OK;
    pi_parallel(call->run->threads, rows, pi_max_i64(1, GRAIN / (int64_t)job.row), gather_task, &job);
    return PI_E_OK;
}

/* ---- GatherElements: out[i, j, k] = data[index[i, j, k], j, k] ---- */

static pi_status elements_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis;
    if (in[0]->rank != in[1]->rank)
        return pi_fail(err, PI_E_MODEL, "data has rank %d and indices %d, expected the same", in[0]->rank, in[1]->rank);
    if (in[0]->rank == 0) return pi_fail(err, PI_E_MODEL, "scalars cannot be gathered from");
    PI_TRY(pi_axis(pi_attr_int(node, "axis"), in[0]->rank, &axis, err));
    for (int i = 0; i < in[0]->rank; i++)
        if (i != axis && in[1]->dim[i] > in[0]->dim[i])
            return pi_fail(err, PI_E_MODEL, "indices have length %lld on axis %d, data only %lld",
                           (long long)in[1]->dim[i], i, (long long)in[0]->dim[i]);
    return pi_move_shape(out, in[1]->rank, in[1]->dim, err);
}

/* Whether all indices were in range. */
static inline __attribute__((always_inline)) bool elements_row(const gather_job *job, const void *index, bool wide, const char *src,
                                                               char *dst, int64_t n, size_t elem, bool last)
{
    int64_t along = last ? 1 : job->stride[job->axis], step = !last, limit = job->limit;
    bool bad = false;
    for (int64_t j = 0; j < n; j++) {
        int64_t k = wide ? ((const int64_t *)index)[j] : ((const int32_t *)index)[j];
        if ((uint64_t)k >= (uint64_t)limit) { /* seldom, so that predicting it costs less than a mask */
            k = (int64_t)((uint64_t)k + (uint64_t)limit);
            if ((uint64_t)k >= (uint64_t)limit) {
                bad = true;
                k = 0;
            }
        }
        memcpy(dst + (size_t)j * elem, src + (size_t)(k * along + j * step) * elem, elem);
    }
    return !bad;
}

static void elements_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    gather_job *job = arg;
    int64_t n = job->dim[job->rank - 1];
    bool wide = job->index->dtype == PI_DTYPE_I64, last = job->axis == job->rank - 1, good = true;
    for (int64_t row = begin; row < end; row++) {
        int64_t rest = row, at = 0;
        for (int i = job->rank - 2; i >= 0; i--) {
            if (i != job->axis) at += rest % job->dim[i] * job->stride[i];
            rest /= job->dim[i];
        }
        const char *src = job->src + (size_t)at * job->row;
        const void *index = (const char *)job->index->data + (size_t)(row * n) * pi_dtype_size(job->index->dtype);
        char *dst = job->dst + (size_t)(row * n) * job->row;
        if (wide && last && job->row == 4) /* the usual ones, with constants for the compiler */
            good &= elements_row(job, index, true, src, dst, n, 4, true);
        else if (wide && job->row == 4)
            good &= elements_row(job, index, true, src, dst, n, 4, false);
        else if (wide && job->row == 8)
            good &= elements_row(job, index, true, src, dst, n, 8, last);
        else
            good &= elements_row(job, index, wide, src, dst, n, job->row, last);
    }
    if (!good) __atomic_store_n(&job->bad, true, __ATOMIC_RELAXED);
}

static pi_status elements_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *data = call->in[0], *index = call->in[1];
    gather_job job = {.index = index, .src = data->data, .rank = data->rank, .row = pi_dtype_size(data->dtype)};
    PI_TRY(pi_axis(pi_attr_int(call->node, "axis"), data->rank, &job.axis, err));
    PI_TRY(pi_move_outputs(call, err));
    if (pi_tensor_n(index) == 0) return PI_E_OK;
    if (data->dim[job.axis] == 0) return pi_index_check(index, 0, job.axis, err);
    job.dst = call->out[0]->data;
    job.limit = data->dim[job.axis];
    memcpy(job.dim, index->dim, sizeof job.dim);
    pi_move_strides(job.rank, data->dim, job.stride);
    int64_t n = job.dim[job.rank - 1];
    pi_parallel(call->run->threads, pi_dims_product(index, 0, job.rank - 1), pi_max_i64(1, GRAIN / 8 / n), elements_task,
                &job);
    return job.bad ? pi_index_check(index, job.limit, job.axis, err) : PI_E_OK;
}

/* ---- GatherND: out[b, i] = data[b, index[b, i]], a row of what the tuple leaves ---- */

static pi_status nd_batch(const pi_node *node, const pi_tensor *const *in, int *batch, int *tuple, pi_error *err)
{
    const pi_tensor *data = in[0], *index = in[1];
    int64_t b = node->op->since >= 12 ? pi_attr_int(node, "batch_dims") : 0;
    if (index->rank < 1 || data->rank < 1)
        return pi_fail(err, PI_E_MODEL, "data has rank %d and indices %d, expected at least 1", data->rank, index->rank);
    int most = data->rank < index->rank ? data->rank : index->rank;
    if (b < 0 || b >= most)
        return pi_fail(err, PI_E_MODEL, "batch_dims is %lld, expected 0 to %d", (long long)b, most - 1);
    int64_t k = index->dim[index->rank - 1];
    if (k < 1 || k > data->rank - b)
        return pi_fail(err, PI_E_MODEL, "the last axis of indices has length %lld, expected 1 to %d", (long long)k,
                       data->rank - (int)b);
    for (int i = 0; i < b; i++)
        if (data->dim[i] != index->dim[i])
            return pi_fail(err, PI_E_MODEL, "batch axis %d has length %lld in data and %lld in indices", i,
                           (long long)data->dim[i], (long long)index->dim[i]);
    *batch = (int)b;
    *tuple = (int)k;
    return PI_E_OK;
}

static pi_status nd_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int batch, tuple, rank = 0;
    int64_t dim[2 * PI_MAX_RANK];
    PI_TRY(nd_batch(node, in, &batch, &tuple, err));
    for (int i = 0; i < in[1]->rank - 1; i++) dim[rank++] = in[1]->dim[i];
    for (int i = batch + tuple; i < in[0]->rank; i++) dim[rank++] = in[0]->dim[i];
    return pi_move_shape(out, rank, dim, err);
}

static void nd_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const gather_job *job = arg;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i / job->n * job->limit; /* the batch */
        for (int k = 0; k < job->rank; k++) at += pi_index_at(job->index, i * job->rank + k, job->dim[k]) * job->stride[k];
        memcpy(job->dst + (size_t)i * job->row, job->src + (size_t)at * job->row, job->row);
    }
}

static pi_status nd_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *data = call->in[0], *index = call->in[1];
    int batch, tuple;
    PI_TRY(nd_batch(call->node, call->in, &batch, &tuple, err));
    PI_TRY(pi_move_outputs(call, err));
    PI_TRY(pi_index_check_tuples(index, tuple, data->dim + batch, batch, err));
    gather_job job = {.index = index, .src = data->data, .dst = call->out[0]->data, .rank = tuple};
    int64_t tuples = pi_dims_product(index, 0, index->rank - 1);
    job.row = pi_dtype_size(data->dtype) * (size_t)pi_dims_product(data, batch + tuple, data->rank);
    if (tuples == 0 || job.row == 0) return PI_E_OK;
    job.n = pi_dims_product(index, batch, index->rank - 1); /* tuples of a batch */
    job.limit = pi_dims_product(data, batch, batch + tuple); /* rows of a batch */
    memcpy(job.dim, data->dim + batch, (size_t)tuple * sizeof *job.dim);
    pi_move_strides(tuple, job.dim, job.stride);
    pi_parallel(call->run->threads, tuples, pi_max_i64(1, GRAIN / ((int64_t)job.row + 16)), nd_task, &job);
    return PI_E_OK;
}

static const pi_impl gather_impls[] = {
    {.name = "file", .refuse = pi_gather_file_refuse, .prepare = pi_gather_file_prepare, .run = pi_gather_file_run},
    {.name = "ref", .run = gather_run},
    {0},
};
static const pi_impl elements_impls[] = {{.name = "ref", .run = elements_run}, {0}};
static const pi_impl nd_impls[] = {{.name = "ref", .run = nd_run}, {0}};

static const pi_attr_def axis_attrs[] = {{.name = "axis", .kind = PI_ATTR_INT, .i = 0}, {0}};
static const pi_attr_def nd_attrs[] = {{.name = "batch_dims", .kind = PI_ATTR_INT, .i = 0}, {0}};

static const pi_op rows[] = {
    {.name = "Gather", .since = 1, .signature = "data:T indices:U -> output:T", .T = PI_ANY, .U = PI_INDEX,
     .flags = PI_OP_PICKS, .attrs = axis_attrs, .infer = gather_infer, .impls = gather_impls},
    {.name = "GatherElements", .since = 11, .signature = "data:T indices:U -> output:T", .T = PI_ANY, .U = PI_INDEX,
     .flags = PI_OP_PICKS, .attrs = axis_attrs, .infer = elements_infer, .impls = elements_impls},
    {.name = "GatherND", .since = 11, .signature = "data:T indices:i64 -> output:T", .T = PI_ANY, .flags = PI_OP_PICKS,
     .infer = nd_infer, .impls = nd_impls},
    {.name = "GatherND", .since = 12, .signature = "data:T indices:i64 -> output:T", .T = PI_ANY, .attrs = nd_attrs,
     .flags = PI_OP_PICKS, .infer = nd_infer, .impls = nd_impls},
};
const pi_op_family pi_ops_gather = {rows, PI_COUNT(rows)};
