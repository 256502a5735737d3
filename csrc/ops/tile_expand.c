/* SPDX-License-Identifier: Apache-2.0 */
/* Tile and Expand: strided copies with steps of 0 in the source. */
#include "ops/move.h"

static pi_status expand_shape(const pi_tensor *in, const pi_tensor *shape, pi_tensor *out, pi_error *err)
{
    pi_list list;
    PI_TRY(pi_move_list(shape, "shape", &list, err));
    for (int i = 0; i < list.n; i++)
        if (list.v[i] < 0) return pi_fail(err, PI_E_MODEL, "shape has an entry %lld", (long long)list.v[i]);
    pi_tensor wanted = {.dtype = in->dtype, .rank = list.n}, both = {.dtype = in->dtype};
    pi_tensor_set_shape(&wanted, list.n, list.v);
    PI_TRY(pi_broadcast(in, &wanted, &both, err));
    return pi_move_shape(out, both.rank, both.dim, err);
}

static pi_status expand_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    return in[1]->data ? expand_shape(in[0], in[1], out, err) : PI_E_OK;
}

static pi_status expand_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *in = call->in[0], *out = call->out[0];
    int64_t stride[PI_MAX_RANK], from[PI_MAX_RANK], to[PI_MAX_RANK];
    int skip = out->rank - in->rank;
    pi_move_strides(in->rank, in->dim, stride);
    pi_move_strides(out->rank, out->dim, to);
    for (int i = 0; i < out->rank; i++) from[i] = i < skip || in->dim[i - skip] == 1 ? 0 : stride[i - skip];
    pi_copy copy;
    pi_copy_plan(&copy, pi_dtype_size(in->dtype), out->rank, out->dim, from, to);
    pi_move(call, &copy, in->data, out->data);
    return PI_E_OK;
}

/* Times that each axis is repeated. Version 1 names one axis and its count, as tensors of the input's type. */
static pi_status tile_repeats(const pi_node *node, const pi_tensor *const *in, pi_list *repeats, pi_error *err)
{
    if (node->op->since >= 6) {
        PI_TRY(pi_move_list(in[1], "repeats", repeats, err));
        if (repeats->n != in[0]->rank)
            return pi_fail(err, PI_E_MODEL, "repeats has %d entries for an input of rank %d", repeats->n, in[0]->rank);
    } else {
        int64_t v[2], n;
        int axis;
        for (int k = 0; k < 2; k++) {
            PI_TRY(pi_tensor_count(in[1 + k], &n, err));
            if (n != 1) return pi_fail(err, PI_E_MODEL, "input %d has %lld elements, expected 1", 1 + k, (long long)n);
            float f = in[1 + k]->dtype == PI_DTYPE_F32 ? *(const float *)in[1 + k]->data : 0;
            double d = in[1 + k]->dtype == PI_DTYPE_F64 ? *(const double *)in[1 + k]->data : (double)f;
            v[k] = pi_dtype_in(in[1 + k]->dtype, PI_INTS) ? pi_tensor_int(in[1 + k], 0)
                   : d > -1e15 && d < 1e15                ? (int64_t)d
                                                          : -1;
        }
        PI_TRY(pi_axis(v[1], in[0]->rank, &axis, err));
        repeats->n = in[0]->rank;
        for (int i = 0; i < repeats->n; i++) repeats->v[i] = i == axis ? v[0] : 1;
    }
    for (int i = 0; i < repeats->n; i++)
        if (repeats->v[i] < 0) return pi_fail(err, PI_E_MODEL, "repeats has an entry %lld", (long long)repeats->v[i]);
    return PI_E_OK;
}

static pi_status tile_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_list repeats;
    int64_t dim[PI_MAX_RANK];
    if (!in[1]->data || (node->op->since < 6 && !in[2]->data)) return PI_E_OK;
    PI_TRY(tile_repeats(node, in, &repeats, err));
    for (int i = 0; i < repeats.n; i++)
        if (!pi_mul_i64(in[0]->dim[i], repeats.v[i], &dim[i])) return pi_fail(err, PI_E_LIMIT, "the output is too large");
    return pi_move_shape(out, repeats.n, dim, err);
}

static pi_status tile_run(const pi_call *call, pi_error *err)
{
    pi_list repeats;
    const pi_tensor *in = call->in[0];
    int64_t stride[PI_MAX_RANK], to[PI_MAX_RANK];
    int64_t dim2[2 * PI_MAX_RANK], from2[2 * PI_MAX_RANK], to2[2 * PI_MAX_RANK];
    PI_TRY(tile_repeats(call->node, call->in, &repeats, err));
    PI_TRY(pi_move_outputs(call, err));
    pi_move_strides(in->rank, in->dim, stride);
    pi_move_strides(in->rank, call->out[0]->dim, to);
    for (int i = 0; i < in->rank; i++) { /* axis i of the output is (repeat, place) */
        if (in->dim[i] * repeats.v[i] != call->out[0]->dim[i])
            return pi_fail(err, PI_E_INTERNAL, "planned for other repeats");
        dim2[2 * i] = repeats.v[i];
        from2[2 * i] = 0;
        to2[2 * i] = to[i] * in->dim[i];
        dim2[2 * i + 1] = in->dim[i];
        from2[2 * i + 1] = stride[i];
        to2[2 * i + 1] = to[i];
    }
    pi_copy copy;
    pi_copy_plan(&copy, pi_dtype_size(in->dtype), 2 * in->rank, dim2, from2, to2);
    pi_move(call, &copy, in->data, call->out[0]->data);
    return PI_E_OK;
}

static const pi_impl expand_impls[] = {{.name = "ref", .run = expand_run}, {0}};
static const pi_impl tile_impls[] = {{.name = "ref", .run = tile_run}, {0}};

static const pi_op rows[] = {
    {.name = "Expand", .since = 8, .signature = "input:T shape:i64 -> output:T", .T = PI_ANY, .infer = expand_infer,
     .impls = expand_impls},
    {.name = "Tile", .since = 1, .signature = "input:T tiles:T axis:T -> output:T", .T = PI_NUMBERS, .infer = tile_infer,
     .impls = tile_impls},
    {.name = "Tile", .since = 6, .signature = "input:T repeats:i64 -> output:T", .T = PI_ANY, .infer = tile_infer,
     .impls = tile_impls},
};
const pi_op_family pi_ops_tile_expand = {rows, PI_COUNT(rows)};
