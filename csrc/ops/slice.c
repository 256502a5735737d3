/* SPDX-License-Identifier: Apache-2.0 */
/* Slice: starts, ends and steps with the rules of Python; attributes up to opset 9, inputs since. */
#include "ops/move.h"

typedef struct {
    int64_t start[PI_MAX_RANK], step[PI_MAX_RANK], count[PI_MAX_RANK];
} slice_box;

/* One axis: Python's slice(start, end, step).indices(n), and the number of elements. */
static void slice_axis(int64_t n, int64_t start, int64_t end, int64_t step, int64_t *first, int64_t *count)
{
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    if (start < 0) start = start < -n ? low : start + n;
    if (end < 0) end = end < -n ? low : end + n;
    start = pi_max_i64(low, pi_min_i64(start, high));
    end = pi_max_i64(low, pi_min_i64(end, high));
    *first = start;
    if (step > 0)
        *count = start < end ? (end - start - 1) / step + 1 : 0;
    else
        *count = end < start ? (start - end - 1) / -step + 1 : 0;
}

/* The four lists of the node; *known is 0 where a value is not there yet. */
static pi_status slice_open(const pi_node *node, const pi_tensor *const *in, slice_box *box, int *known, pi_error *err)
{
    pi_list starts, ends, axes = {.n = -1}, steps = {.n = -1};
    *known = 1;
    if (node->op->since < 10) {
        PI_TRY(pi_move_attr(node, "starts", &starts, err));
        PI_TRY(pi_move_attr(node, "ends", &ends, err));
        PI_TRY(pi_move_attr(node, "axes", &axes, err));
    } else {
        const pi_tensor *a = pi_move_in(node, in, 3), *s = pi_move_in(node, in, 4);
        if (!in[1]->data || !in[2]->data || (a && !a->data) || (s && !s->data)) {
            *known = 0;
            return PI_E_OK;
        }
        PI_TRY(pi_move_list(in[1], "starts", &starts, err));
        PI_TRY(pi_move_list(in[2], "ends", &ends, err));
        if (a) PI_TRY(pi_move_list(a, "axes", &axes, err));
        if (s) PI_TRY(pi_move_list(s, "steps", &steps, err));
    }
    int n = starts.n, rank = in[0]->rank;
    if (ends.n != n || (axes.n >= 0 && axes.n != n) || (steps.n >= 0 && steps.n != n))
        return pi_fail(err, PI_E_MODEL, "starts, ends, axes and steps differ in length: %d, %d, %d, %d", n, ends.n,
                       axes.n < 0 ? n : axes.n, steps.n < 0 ? n : steps.n);
    if (axes.n < 0) {
        axes.n = n;
        for (int i = 0; i < n; i++) axes.v[i] = i;
    }
    PI_TRY(pi_move_axes(&axes, rank, err));
    for (int i = 0; i < rank; i++) {
        box->start[i] = 0;
        box->step[i] = 1;
        box->count[i] = in[0]->dim[i];
    }
    for (int i = 0; i < n; i++) {
        int64_t axis = axes.v[i], step = steps.n < 0 ? 1 : steps.v[i];
        if (step == 0) return pi_fail(err, PI_E_MODEL, "step of axis %lld is 0", (long long)axis);
        if (step == INT64_MIN) step++;
        slice_axis(in[0]->dim[axis], starts.v[i], ends.v[i], step, &box->start[axis], &box->count[axis]);
        box->step[axis] = step;
    }
    return PI_E_OK;
}

static pi_status slice_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    slice_box box;
    int known;
    PI_TRY(slice_open(node, in, &box, &known, err));
    return known ? pi_move_shape(out, in[0]->rank, box.count, err) : PI_E_OK;
}

static pi_status slice_run(const pi_call *call, pi_error *err)
{
    slice_box box;
    int known, rank = call->in[0]->rank;
    int64_t stride[PI_MAX_RANK], from[PI_MAX_RANK], to[PI_MAX_RANK], at = 0;
    PI_TRY(slice_open(call->node, call->in, &box, &known, err));
    if (!known) return pi_fail(err, PI_E_INTERNAL, "starts or ends have no data");
    PI_TRY(pi_move_outputs(call, err));
    pi_move_strides(rank, call->in[0]->dim, stride);
    pi_move_strides(rank, box.count, to);
    for (int i = 0; i < rank; i++) {
        if (box.count[i] != call->out[0]->dim[i]) return pi_fail(err, PI_E_INTERNAL, "planned for another slice");
        if (box.count[i] == 0) return PI_E_OK;
        at += box.start[i] * stride[i];
        /* a step larger than the axis is used once at most, and must not overflow */
        from[i] = box.count[i] == 1 ? 0 : box.step[i] * stride[i];
    }
    size_t elem = pi_dtype_size(call->in[0]->dtype);
    pi_copy copy;
    pi_copy_plan(&copy, elem, rank, box.count, from, to);
    pi_move(call, &copy, (const char *)call->in[0]->data + (size_t)at * elem, call->out[0]->data);
    return PI_E_OK;
}

static const pi_impl slice_impls[] = {{.name = "ref", .run = slice_run}, {0}};

static const pi_attr_def slice_attrs_v1[] = {{.name = "axes", .kind = PI_ATTR_INTS},
                                             {.name = "ends", .kind = PI_ATTR_INTS, .required = true},
                                             {.name = "starts", .kind = PI_ATTR_INTS, .required = true},
                                             {0}};

static const pi_op rows[] = {
    {.name = "Slice", .since = 1, .signature = "data:T -> output:T", .T = PI_ANY, .attrs = slice_attrs_v1,
     .flags = PI_OP_PICKS, .infer = slice_infer, .impls = slice_impls},
    {.name = "Slice", .since = 10, .signature = "data:T starts:U ends:U axes?:U steps?:U -> output:T", .T = PI_ANY,
     .U = PI_BIT(I32) | PI_BIT(I64), .flags = PI_OP_PICKS, .infer = slice_infer, .impls = slice_impls},
};
const pi_op_family pi_ops_slice = {rows, PI_COUNT(rows)};
