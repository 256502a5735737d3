/* SPDX-License-Identifier: Apache-2.0 */
/* MaxUnpool and Col2Im: values go back to the places that a pooling or an unfolding took them from. */
#include <string.h>

#include "ops/block.h"
#include "ops/element.h"
#include "ops/move.h"

/* `count` ints of an attribute, or `otherwise` for each; MODEL on another count or a value below `low`. */
static pi_status window_ints(const pi_node *node, const char *name, int count, int64_t otherwise, int64_t low, int64_t *out,
                             pi_error *err)
{
    uint32_t n;
    const int64_t *v = pi_attr_ints(node, name, &n);
    for (int i = 0; i < count; i++) out[i] = otherwise;
    if (n == 0) return PI_E_OK;
    if (n != (uint32_t)count) return pi_fail(err, PI_E_MODEL, "%s has %u entries, expected %d", name, n, count);
    for (int i = 0; i < count; i++) {
        if (v[i] < low || v[i] > INT32_MAX) return pi_fail(err, PI_E_MODEL, "%s has an entry %lld", name, (long long)v[i]);
        out[i] = v[i];
    }
    return PI_E_OK;
}

/* ---- MaxUnpool ---- */

/* Shape that the window gives: the indices count in it. */
static pi_status unpool_shape(const pi_node *node, const pi_tensor *in, int64_t *dim, pi_error *err)
{
    int64_t kernel[PI_MAX_RANK], stride[PI_MAX_RANK], pad[2 * PI_MAX_RANK];
    int axes = in->rank - 2;
    if (axes < 1) return pi_fail(err, PI_E_MODEL, "X has rank %d, expected at least 3", in->rank);
    PI_TRY(window_ints(node, "kernel_shape", axes, 0, 1, kernel, err));
    PI_TRY(window_ints(node, "strides", axes, 1, 1, stride, err));
    PI_TRY(window_ints(node, "pads", 2 * axes, 0, 0, pad, err));
    dim[0] = in->dim[0];
    dim[1] = in->dim[1];
    for (int i = 0; i < axes; i++) {
        int64_t d;
        if (!pi_mul_i64(in->dim[2 + i] - 1, stride[i], &d) || !pi_add_i64(d, kernel[i] - pad[i] - pad[axes + i], &d))
            return pi_fail(err, PI_E_LIMIT, "axis %d becomes too large", 2 + i);
        if (d < 0) return pi_fail(err, PI_E_MODEL, "axis %d becomes %lld", 2 + i, (long long)d);
        dim[2 + i] = d;
    }
    return PI_E_OK;
}

static pi_status unpool_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const pi_tensor *given = pi_move_in(node, in, 2);
    int64_t dim[PI_MAX_RANK];
    pi_list shape;
    if (!pi_tensor_same_shape(in[0], in[1])) return pi_fail(err, PI_E_MODEL, "X and I differ in shape");
    PI_TRY(unpool_shape(node, in[0], dim, err));
    if (!given) return pi_move_shape(out, in[0]->rank, dim, err);
    if (!given->data) return PI_E_OK;
    PI_TRY(pi_move_list(given, "output_shape", &shape, err));
    if (shape.n != in[0]->rank)
        return pi_fail(err, PI_E_MODEL, "output_shape has %d entries for an input of rank %d", shape.n, in[0]->rank);
    for (int i = 0; i < shape.n; i++)
        if (shape.v[i] < dim[i])
            return pi_fail(err, PI_E_MODEL, "output_shape has length %lld on axis %d, the window gives %lld", (long long)shape.v[i],
                           i, (long long)dim[i]);
    return pi_move_shape(out, shape.n, shape.v, err);
}

static pi_status unpool_run(const pi_call *call, pi_error *err)
{
    static const char zero[16];
    const pi_tensor *x = call->in[0], *index = call->in[1];
    int64_t dim[PI_MAX_RANK], stride[PI_MAX_RANK], n = pi_tensor_n(x), room = 1;
    PI_TRY(unpool_shape(call->node, x, dim, err));
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *y = call->out[0];
    for (int i = 0; i < x->rank; i++) {
        if (y->dim[i] < dim[i]) return pi_fail(err, PI_E_INTERNAL, "planned for another shape");
        room *= dim[i];
    }
    size_t elem = pi_dtype_size(x->dtype);
    pi_move_strides(y->rank, y->dim, stride);
    pi_move_fill(call, y->data, zero, elem, pi_tensor_n(y));
    for (int64_t i = 0; i < n; i++) {
        int64_t at = pi_tensor_int(index, i), to = 0;
        if (at < 0 || at >= room)
            return pi_fail(err, PI_E_INPUT, "index %lld (element %lld) is out of range for %lld elements", (long long)at,
                           (long long)i, (long long)room);
        for (int k = x->rank - 1; k >= 0; k--) {
            to += at % dim[k] * stride[k];
            at /= dim[k];
        }
        memcpy((char *)y->data + (size_t)to * elem, (const char *)x->data + (size_t)i * elem, elem);
    }
    return PI_E_OK;
}

/* ---- Col2Im: [N, C * block, L] -> [N, C, image], columns that overlap add up ---- */

typedef struct {
    pi_list image, block;
    int64_t dilation[PI_MAX_RANK], stride[PI_MAX_RANK], pad[2 * PI_MAX_RANK], steps[PI_MAX_RANK];
    int64_t block_size, columns;
} col_job;

static pi_status col_open(const pi_node *node, const pi_tensor *const *in, col_job *job, pi_error *err)
{
    PI_TRY(pi_move_list(in[1], "image_shape", &job->image, err));
    PI_TRY(pi_move_list(in[2], "block_shape", &job->block, err));
    int axes = job->image.n;
    if (axes < 1 || axes > PI_MAX_RANK - 2 || job->block.n != axes)
        return pi_fail(err, PI_E_MODEL, "image_shape has %d entries and block_shape %d", axes, job->block.n);
    PI_TRY(window_ints(node, "dilations", axes, 1, 1, job->dilation, err));
    PI_TRY(window_ints(node, "strides", axes, 1, 1, job->stride, err));
    PI_TRY(window_ints(node, "pads", 2 * axes, 0, 0, job->pad, err));
    if (in[0]->rank != 3) return pi_fail(err, PI_E_MODEL, "input has rank %d, expected 3", in[0]->rank);
    job->block_size = job->columns = 1;
    for (int i = 0; i < axes; i++) {
        int64_t reach, room, image = job->image.v[i], block = job->block.v[i];
        if (image < 1 || block < 1) return pi_fail(err, PI_E_MODEL, "image and block lengths must be at least 1");
        if (!pi_mul_i64(job->dilation[i], block - 1, &reach) || !pi_add_i64(image, job->pad[i] + job->pad[axes + i] - 1, &room))
            return pi_fail(err, PI_E_LIMIT, "axis %d is too large", i);
        if (reach > room) return pi_fail(err, PI_E_MODEL, "the block is longer than the image on axis %d", i);
        job->steps[i] = (room - reach) / job->stride[i] + 1;
        if (!pi_mul_i64(job->block_size, block, &job->block_size) || !pi_mul_i64(job->columns, job->steps[i], &job->columns))
            return pi_fail(err, PI_E_LIMIT, "the blocks are too many");
    }
    if (in[0]->dim[1] % job->block_size != 0 || in[0]->dim[2] != job->columns)
        return pi_fail(err, PI_E_MODEL, "input wants a multiple of %lld channels and %lld columns", (long long)job->block_size,
                       (long long)job->columns);
    return PI_E_OK;
}

static pi_status col_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    col_job job;
    int64_t dim[PI_MAX_RANK];
    if (!in[1]->data || !in[2]->data) return PI_E_OK;
    PI_TRY(col_open(node, in, &job, err));
    dim[0] = in[0]->dim[0];
    dim[1] = in[0]->dim[1] / job.block_size;
    for (int i = 0; i < job.image.n; i++) dim[2 + i] = job.image.v[i];
    return pi_move_shape(out, job.image.n + 2, dim, err);
}

/* Integers wrap; truth values are joined by or. */
static void add(pi_dtype dtype, void *y, int64_t at, const void *x, int64_t from)
{
    int64_t a, b, parts = pi_dtype_parts(dtype);
    pi_dtype part = pi_dtype_part(dtype);
    if (pi_dtype_in(dtype, PI_INTS)) {
        pi_read_i64(dtype, pi_at(y, dtype, at), 1, 1, &a);
        pi_read_i64(dtype, pi_at(x, dtype, from), 1, 1, &b);
        a = (int64_t)((uint64_t)a + (uint64_t)b);
        pi_write_i64(dtype, pi_at_mut(y, dtype, at), 1, 1, &a);
        return;
    }
    for (int64_t k = 0; k < parts; k++)
        pi_element_put(part, y, at * parts + k, pi_element_get(part, y, at * parts + k) + pi_element_get(part, x, from * parts + k));
}

static pi_status col_run(const pi_call *call, pi_error *err)
{
    static const char zero[16];
    const pi_tensor *in = call->in[0];
    col_job job;
    PI_TRY(col_open(call->node, call->in, &job, err));
    PI_TRY(pi_move_outputs(call, err));
    pi_tensor *out = call->out[0];
    int axes = job.image.n;
    int64_t plane = pi_dims_product(out, 2, out->rank), rows = in->dim[0] * in->dim[1];
    for (int i = 0; i < axes; i++)
        if (out->dim[2 + i] != job.image.v[i]) return pi_fail(err, PI_E_INTERNAL, "planned for another image");
    pi_move_fill(call, out->data, zero, pi_dtype_size(out->dtype), pi_tensor_n(out));
    for (int64_t row = 0; row < rows; row++) /* (batch, channel, place in the block) */
        for (int64_t col = 0; col < job.columns; col++) {
            int64_t b = row % job.block_size, c = col, at = 0, scale = 1;
            bool inside = true;
            for (int i = axes - 1; i >= 0; i--) {
                int64_t p = c % job.steps[i] * job.stride[i] + b % job.block.v[i] * job.dilation[i] - job.pad[i];
                inside = inside && p >= 0 && p < job.image.v[i];
                at += p * scale;
                scale *= job.image.v[i];
                b /= job.block.v[i];
                c /= job.steps[i];
            }
            if (!inside) continue;
            at += row / job.block_size * plane;
            add(in->dtype, out->data, at, in->data, row * job.columns + col);
        }
    return PI_E_OK;
}

static const pi_impl unpool_impls[] = {{.name = "ref", .run = unpool_run}, {0}};
static const pi_impl col_impls[] = {{.name = "ref", .run = col_run}, {0}};

static const pi_attr_def unpool_attrs[] = {{.name = "kernel_shape", .kind = PI_ATTR_INTS, .required = true},
                                           {.name = "pads", .kind = PI_ATTR_INTS},
                                           {.name = "strides", .kind = PI_ATTR_INTS},
                                           {0}};
static const pi_attr_def col_attrs[] = {{.name = "dilations", .kind = PI_ATTR_INTS},
                                        {.name = "pads", .kind = PI_ATTR_INTS},
                                        {.name = "strides", .kind = PI_ATTR_INTS},
                                        {0}};

static const pi_op rows[] = {
    {.name = "MaxUnpool", .since = 9, .signature = "X:T I:i64 output_shape?:i64 -> output:T", .T = PI_FLOATS,
     .attrs = unpool_attrs, .infer = unpool_infer, .impls = unpool_impls},
    {.name = "Col2Im", .since = 18, .signature = "input:T image_shape:i64 block_shape:i64 -> output:T",
     .T = PI_NUMBERS | PI_BIT(BOOL) | PI_BIT(C64) | PI_BIT(C128), .attrs = col_attrs, .infer = col_infer, .impls = col_impls},
};
const pi_op_family pi_ops_unpool = {rows, PI_COUNT(rows)};
