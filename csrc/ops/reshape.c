/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that change the shape and no byte: Reshape, Flatten, Squeeze, Unsqueeze, Identity, BitCast. */
#include "ops/move.h"

static const pi_impl view_impls[] = {{.name = "ref", .run = pi_move_view_run, .inplace = 1}, {0}};

/* Dims of `shape`, with 0 taken from the input (unless allowzero) and one -1 from what is left. */
static pi_status reshape_to(const pi_tensor *in, const pi_list *shape, bool allowzero, pi_tensor *out, pi_error *err)
{
    int64_t dim[PI_MAX_RANK], count, product = 1;
    int open = -1, zeros = 0;
    PI_TRY(pi_tensor_count(in, &count, err));
    for (int i = 0; i < shape->n; i++) {
        dim[i] = shape->v[i];
        if (dim[i] == -1) {
            if (open >= 0) return pi_fail(err, PI_E_MODEL, "shape has more than one -1");
            open = i;
            continue;
        }
        if (dim[i] < -1) return pi_fail(err, PI_E_MODEL, "shape has an entry %lld", (long long)dim[i]);
        if (dim[i] == 0) {
            zeros++;
            if (!allowzero) {
                if (i >= in->rank)
                    return pi_fail(err, PI_E_MODEL, "entry %d of shape is 0, but the input has rank %d", i, in->rank);
                dim[i] = in->dim[i];
            }
        }
        if (!pi_mul_i64(product, dim[i], &product)) return pi_fail(err, PI_E_LIMIT, "shape is too large");
    }
    if (allowzero && zeros && open >= 0) return pi_fail(err, PI_E_MODEL, "shape has a 0 and a -1, which allowzero forbids");
    char text[200];
    if (open >= 0) {
        if (product == 0 || count % product != 0)
            return pi_fail(err, PI_E_MODEL, "%s does not divide by the %lld elements of the other entries of shape",
                           pi_tensor_text(in, text, sizeof text), (long long)product);
        dim[open] = count / product;
    } else if (product != count) {
        return pi_fail(err, PI_E_MODEL, "%s has %lld elements, shape asks for %lld", pi_tensor_text(in, text, sizeof text),
                       (long long)count, (long long)product);
    }
    return pi_move_shape(out, shape->n, dim, err);
}

static pi_status reshape_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_list shape;
    if (!in[1]->data) return PI_E_OK;
    PI_TRY(pi_move_list(in[1], "shape", &shape, err));
    return reshape_to(in[0], &shape, node->op->since >= 14 && pi_attr_int(node, "allowzero") != 0, out, err);
}

static pi_status reshape_infer_v1(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_list shape;
    PI_TRY(pi_move_attr(node, "shape", &shape, err));
    if (shape.n < 0) return pi_fail(err, PI_E_MODEL, "attribute shape is missing");
    return reshape_to(in[0], &shape, false, out, err);
}

static pi_status flatten_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int64_t axis = pi_attr_int(node, "axis"), rank = in[0]->rank;
    if (axis < -rank || axis > rank)
        return pi_fail(err, PI_E_MODEL, "axis %lld is out of range for rank %d", (long long)axis, in[0]->rank);
    if (axis < 0) axis += rank;
    int64_t dim[2] = {pi_dims_product(in[0], 0, (int)axis), pi_dims_product(in[0], (int)axis, in[0]->rank)};
    return pi_move_shape(out, 2, dim, err);
}

/* axes: n is -1 where all dimensions of length 1 go. */
static pi_status squeeze_to(const pi_tensor *in, pi_list *axes, pi_tensor *out, pi_error *err)
{
    unsigned drop = 0;
    int64_t dim[PI_MAX_RANK];
    int rank = 0;
    PI_TRY(pi_move_axes(axes, in->rank, err));
    for (int i = 0; i < axes->n; i++) {
        if (in->dim[axes->v[i]] != 1)
            return pi_fail(err, PI_E_MODEL, "axis %d has length %lld, only 1 can be squeezed", (int)axes->v[i],
                           (long long)in->dim[axes->v[i]]);
        drop |= 1u << axes->v[i];
    }
    for (int i = 0; i < in->rank; i++) {
        if (axes->n < 0 ? in->dim[i] == 1 : drop >> i & 1) continue;
        dim[rank++] = in->dim[i];
    }
    return pi_move_shape(out, rank, dim, err);
}

static pi_status squeeze_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_list axes = {.n = -1};
    const pi_tensor *given = pi_move_in(node, in, 1);
    if (given && !given->data) return PI_E_OK;
    if (given) PI_TRY(pi_move_list(given, "axes", &axes, err));
    return squeeze_to(in[0], &axes, out, err);
}

static pi_status squeeze_infer_v1(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_list axes;
    PI_TRY(pi_move_attr(node, "axes", &axes, err));
    return squeeze_to(in[0], &axes, out, err);
}

static pi_status unsqueeze_to(const pi_tensor *in, pi_list *axes, pi_tensor *out, pi_error *err)
{
    int rank = in->rank + axes->n, from = 0;
    int64_t dim[PI_MAX_RANK] = {0};
    if (rank > PI_MAX_RANK) return pi_fail(err, PI_E_LIMIT, "rank %d is above the limit of %d", rank, PI_MAX_RANK);
    PI_TRY(pi_move_axes(axes, rank, err));
    for (int i = 0; i < axes->n; i++) dim[axes->v[i]] = -1;
    for (int i = 0; i < rank; i++) dim[i] = dim[i] == -1 ? 1 : in->dim[from++];
    return pi_move_shape(out, rank, dim, err);
}

static pi_status unsqueeze_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    pi_list axes;
    if (!in[1]->data) return PI_E_OK;
    PI_TRY(pi_move_list(in[1], "axes", &axes, err));
    return unsqueeze_to(in[0], &axes, out, err);
}

static pi_status unsqueeze_infer_v1(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_list axes;
    PI_TRY(pi_move_attr(node, "axes", &axes, err));
    return unsqueeze_to(in[0], &axes, out, err);
}

/* ---- BitCast: the same bits by another name; types narrower than a byte are unpacked, with or without a sign ---- */

static pi_status bitcast_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    out->dtype = pi_dtype_from_id(pi_attr_int(node, "to"));
    if (out->dtype == PI_DTYPE_STRING || in[0]->dtype == PI_DTYPE_STRING || out->dtype == PI_DTYPE_NONE ||
        pi_dtype_bits(out->dtype) != pi_dtype_bits(in[0]->dtype))
        return pi_fail(err, PI_E_MODEL, "%s cannot be read as %s", pi_dtype_name(in[0]->dtype), pi_dtype_name(out->dtype));
    return pi_move_shape(out, in[0]->rank, in[0]->dim, err);
}

static pi_status bitcast_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_view_run(call, err));
    pi_dtype to = call->out[0]->dtype;
    size_t bits = pi_dtype_bits(to);
    if (bits >= 8) return PI_E_OK;
    int sign = to == PI_DTYPE_I4 || to == PI_DTYPE_I2 ? 1 << (bits - 1) : 0;
    uint8_t *y = call->out[0]->data;
    int64_t n = pi_tensor_n(call->out[0]);
    for (int64_t i = 0; i < n; i++) y[i] = (uint8_t)(((y[i] & ((1 << bits) - 1)) ^ sign) - sign);
    return PI_E_OK;
}

static const pi_impl bitcast_impls[] = {{.name = "ref", .run = bitcast_run}, {0}};

static const pi_attr_def reshape_attrs_v1[] = {
    {.name = "shape", .kind = PI_ATTR_INTS}, {.name = "consumed_inputs", .kind = PI_ATTR_INTS}, {0}};
static const pi_attr_def reshape_attrs[] = {{.name = "allowzero", .kind = PI_ATTR_INT, .i = 0}, {0}};
static const pi_attr_def flatten_attrs[] = {{.name = "axis", .kind = PI_ATTR_INT, .i = 1}, {0}};
static const pi_attr_def squeeze_attrs_v1[] = {{.name = "axes", .kind = PI_ATTR_INTS}, {0}};
static const pi_attr_def unsqueeze_attrs_v1[] = {{.name = "axes", .kind = PI_ATTR_INTS, .required = true}, {0}};

static const pi_attr_def bitcast_attrs[] = {{.name = "to", .kind = PI_ATTR_INT, .required = true}, {0}};

static const pi_op rows[] = {
    {.name = "Reshape", .since = 1, .signature = "data:T -> reshaped:T", .T = PI_ANY, .flags = PI_OP_VIEW,
     .attrs = reshape_attrs_v1, .infer = reshape_infer_v1, .impls = view_impls},
    {.name = "Reshape", .since = 5, .signature = "data:T shape:i64 -> reshaped:T", .T = PI_ANY, .flags = PI_OP_VIEW,
     .infer = reshape_infer, .impls = view_impls},
    {.name = "Reshape", .since = 14, .signature = "data:T shape:i64 -> reshaped:T", .T = PI_ANY, .flags = PI_OP_VIEW,
     .attrs = reshape_attrs, .infer = reshape_infer, .impls = view_impls},
    {.name = "Flatten", .since = 1, .signature = "input:T -> output:T", .T = PI_ANY, .flags = PI_OP_VIEW,
     .attrs = flatten_attrs, .infer = flatten_infer, .impls = view_impls},
    {.name = "Squeeze", .since = 1, .signature = "data:T -> squeezed:T", .T = PI_ANY, .flags = PI_OP_VIEW,
     .attrs = squeeze_attrs_v1, .infer = squeeze_infer_v1, .impls = view_impls},
    {.name = "Squeeze", .since = 13, .signature = "data:T axes?:i64 -> squeezed:T", .T = PI_ANY, .flags = PI_OP_VIEW,
     .infer = squeeze_infer, .impls = view_impls},
    {.name = "Unsqueeze", .since = 1, .signature = "data:T -> expanded:T", .T = PI_ANY, .flags = PI_OP_VIEW,
     .attrs = unsqueeze_attrs_v1, .infer = unsqueeze_infer_v1, .impls = view_impls},
    {.name = "Unsqueeze", .since = 13, .signature = "data:T axes:i64 -> expanded:T", .T = PI_ANY, .flags = PI_OP_VIEW,
     .infer = unsqueeze_infer, .impls = view_impls},
    {.name = "BitCast", .since = 26, .signature = "input:T -> output:any", .T = PI_ANY, .attrs = bitcast_attrs,
     .infer = bitcast_infer, .impls = bitcast_impls},
    {.name = "Identity", .since = 1, .signature = "input:T -> output:T", .T = PI_VALUES, .flags = PI_OP_VIEW,
     .infer = pi_infer_same, .impls = view_impls},
};
const pi_op_family pi_ops_reshape = {rows, PI_COUNT(rows)};
