/* SPDX-License-Identifier: Apache-2.0 */
/* OneHot and ReverseSequence. */
#include <string.h>

#include "ops/element.h"
#include "ops/move.h"

static int64_t whole(const pi_tensor *t, int64_t i)
{
    int64_t v;
    if (pi_dtype_in(t->dtype, PI_INTS)) return pi_tensor_int(t, i);
    pi_element_put(PI_DTYPE_I64, &v, 0, pi_element_get(t->dtype, t->data, i));
    return v;
}

static pi_status onehot_axis(const pi_node *node, const pi_tensor *const *in, int *axis, pi_error *err)
{
    int64_t n;
    PI_TRY(pi_tensor_count(in[2], &n, err));
    if (in[2]->rank != 1 || n != 2) return pi_fail(err, PI_E_MODEL, "values want rank 1 and 2 elements, off and on");
    PI_TRY(pi_tensor_count(in[1], &n, err));
    if (n != 1) return pi_fail(err, PI_E_MODEL, "depth has %lld elements, expected 1", (long long)n);
    return pi_axis(pi_attr_int(node, "axis"), in[0]->rank + 1, axis, err);
}

static pi_status onehot_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis;
    int64_t dim[PI_MAX_RANK + 1];
    PI_TRY(onehot_axis(node, in, &axis, err));
    if (!in[1]->data) return PI_E_OK;
    for (int i = 0; i <= in[0]->rank; i++) dim[i] = i < axis ? in[0]->dim[i] : i == axis ? whole(in[1], 0) : in[0]->dim[i - 1];
    if (dim[axis] < 0) return pi_fail(err, PI_E_MODEL, "depth is %lld", (long long)dim[axis]);
    return pi_move_shape(out, in[0]->rank + 1, dim, err);
}

static pi_status onehot_run(const pi_call *call, pi_error *err)
{
    int axis;
    const pi_tensor *index = call->in[0], *values = call->in[2];
    PI_TRY(onehot_axis(call->node, call->in, &axis, err));
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *out = call->out[0];
    size_t elem = pi_dtype_size(values->dtype);
    const char *on = (const char *)values->data + elem;
    int64_t depth = out->dim[axis], inner = pi_dims_product(out, axis + 1, out->rank), n = pi_tensor_n(index);
    pi_move_fill(call, out->data, values->data, elem, pi_tensor_n(out));
    for (int64_t i = 0; i < n; i++) {
        int64_t k = whole(index, i);
        if (k < 0 && k >= -depth) k += depth;
        if (k < 0 || k >= depth) continue; /* all off, as the standard says */
        memcpy((char *)out->data + (size_t)((i / inner * depth + k) * inner + i % inner) * elem, on, elem);
    }
    return PI_E_OK;
}

/* ---- ReverseSequence: the first sequence_lens[b] steps of time turn around ---- */

static pi_status reverse_axes(const pi_node *node, const pi_tensor *const *in, int *batch, int *time, pi_error *err)
{
    int64_t b = pi_attr_int(node, "batch_axis"), t = pi_attr_int(node, "time_axis");
    if (in[0]->rank < 2) return pi_fail(err, PI_E_MODEL, "input has rank %d, expected at least 2", in[0]->rank);
    if (!(b == 0 && t == 1) && !(b == 1 && t == 0))
        return pi_fail(err, PI_E_MODEL, "batch_axis %lld and time_axis %lld are not 0 and 1", (long long)b, (long long)t);
    *batch = (int)b;
    *time = (int)t;
    if (in[1]->rank != 1 || in[1]->dim[0] != in[0]->dim[*batch])
        return pi_fail(err, PI_E_MODEL, "sequence_lens want one entry for each of %lld batch entries",
                       (long long)in[0]->dim[*batch]);
    return PI_E_OK;
}

static pi_status reverse_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int batch, time;
    PI_TRY(reverse_axes(node, in, &batch, &time, err));
    return pi_infer_same(node, in, out, err);
}

static pi_status reverse_run(const pi_call *call, pi_error *err)
{
    int batch, time;
    const pi_tensor *in = call->in[0];
    PI_TRY(reverse_axes(call->node, call->in, &batch, &time, err));
    PI_TRY(pi_move_outputs(call, err));
    int64_t n = in->dim[batch], steps = in->dim[time];
    size_t row = pi_dtype_size(in->dtype) * (size_t)pi_dims_product(in, 2, in->rank);
    for (int64_t b = 0; b < n; b++) {
        int64_t length = pi_tensor_int(call->in[1], b);
        if (length < 0 || length > steps)
            return pi_fail(err, PI_E_INPUT, "sequence_lens[%lld] is %lld, expected 0 to %lld", (long long)b, (long long)length,
                           (long long)steps);
        for (int64_t t = 0; t < steps; t++) {
            int64_t from = t < length ? length - 1 - t : t;
            size_t to_at = (size_t)(batch == 0 ? b * steps + t : t * n + b);
            size_t from_at = (size_t)(batch == 0 ? b * steps + from : from * n + b);
            memcpy((char *)call->out[0]->data + to_at * row, (const char *)in->data + from_at * row, row);
        }
    }
    return PI_E_OK;
}

static const pi_impl onehot_impls[] = {{.name = "ref", .run = onehot_run}, {0}};
static const pi_impl reverse_impls[] = {{.name = "ref", .run = reverse_run}, {0}};

static const pi_attr_def onehot_attrs[] = {{.name = "axis", .kind = PI_ATTR_INT, .i = -1}, {0}};
static const pi_attr_def reverse_attrs[] = {
    {.name = "batch_axis", .kind = PI_ATTR_INT, .i = 1}, {.name = "time_axis", .kind = PI_ATTR_INT, .i = 0}, {0}};

static const pi_op rows[] = {
    {.name = "OneHot", .since = 9, .signature = "indices:T depth:U values:V -> output:V", .T = PI_NUMBERS, .U = PI_NUMBERS,
     .V = PI_ANY, .attrs = onehot_attrs, .infer = onehot_infer, .impls = onehot_impls},
    {.name = "ReverseSequence", .since = 10, .signature = "input:T sequence_lens:i64 -> Y:T", .T = PI_ANY,
     .attrs = reverse_attrs, .infer = reverse_infer, .impls = reverse_impls},
};
const pi_op_family pi_ops_onehot = {rows, PI_COUNT(rows)};
