/* SPDX-License-Identifier: Apache-2.0 */
/* Concat and Split: both move, for each step of the axes before `axis`, one row of bytes. */
#include "ops/element.h"
#include "ops/move.h"

/* Version 1 of Concat has no default in its schema; its text says 1. */
static pi_status concat_axis(const pi_node *node, int rank, int *axis, pi_error *err)
{
    const pi_attr *a = pi_attr_find(node, "axis");
    if (rank == 0) return pi_fail(err, PI_E_MODEL, "scalars have no axis to join or split");
    return pi_axis(a ? a->i : node->op->since == 1 ? 1 : 0, rank, axis, err);
}

static pi_status concat_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis;
    int64_t dim[PI_MAX_RANK], total = 0;
    char a[160], b[160];
    for (uint32_t k = 0; k < node->n_in; k++)
        if (!in[k]) return pi_fail(err, PI_E_MODEL, "input %u is missing", k);
    if (node->n_in == 0) return pi_fail(err, PI_E_MODEL, "there are no inputs");
    PI_TRY(concat_axis(node, in[0]->rank, &axis, err));
    for (int i = 0; i < in[0]->rank; i++) dim[i] = in[0]->dim[i];
    for (uint32_t k = 0; k < node->n_in; k++) {
        int same = in[k]->rank == in[0]->rank;
        for (int i = 0; same && i < in[0]->rank; i++) same = i == axis || in[k]->dim[i] == dim[i];
        if (!same)
            return pi_fail(err, PI_E_MODEL, "%s does not fit %s (input %u) on axis %d",
                           pi_tensor_text(in[0], a, sizeof a), pi_tensor_text(in[k], b, sizeof b), k, axis);
        if (!pi_add_i64(total, in[k]->dim[axis], &total)) return pi_fail(err, PI_E_LIMIT, "the output is too large");
    }
    dim[axis] = total;
    return pi_move_shape(out, in[0]->rank, dim, err);
}

/* Rows of `n` elements, `rows` of them, between places `from` and `to` elements apart. */
static void concat_rows(const pi_call *call, size_t elem, int64_t rows, int64_t n, const void *src, int64_t from,
                        void *dst, int64_t to)
{
    pi_copy copy;
    int64_t dim[2] = {rows, n}, s[2] = {from, 1}, d[2] = {to, 1};
    if (src == dst) return; /* the plan has placed it there */
    pi_copy_plan(&copy, elem, 2, dim, s, d);
    pi_move(call, &copy, src, dst);
}

static pi_status concat_run(const pi_call *call, pi_error *err)
{
    int axis;
    PI_TRY(pi_move_outputs(call, err));
    pi_tensor *out = call->out[0];
    PI_TRY(concat_axis(call->node, out->rank, &axis, err));
    size_t elem = pi_dtype_size(out->dtype);
    int64_t rows = pi_dims_product(out, 0, axis), inner = pi_dims_product(out, axis + 1, out->rank);
    int64_t whole = inner * out->dim[axis], at = 0;
    for (uint32_t k = 0; k < call->node->n_in; k++) {
        int64_t n = inner * call->in[k]->dim[axis];
        concat_rows(call, elem, rows, n, call->in[k]->data, n, (char *)out->data + (size_t)at * elem, whole);
        at += n;
    }
    return PI_E_OK;
}

/* Length of part i on the axis; the lengths come from an attribute, an input, or equal division. */
typedef struct {
    const int64_t *attr;
    const pi_tensor *input;
    int64_t each, total, parts;
} split_rule;

static int64_t split_length(const split_rule *r, int64_t i)
{
    if (r->attr) return r->attr[i];
    if (r->input && pi_dtype_in(r->input->dtype, PI_FLOATS)) { /* version 1: of the type of the data */
        double v = pi_element_get(r->input->dtype, r->input->data, i);
        return v >= 0 && v < 9e18 ? (int64_t)v : -1;
    }
    if (r->input) return pi_tensor_int(r->input, i);
    int64_t from = i * r->each;
    return from >= r->total ? 0 : pi_min_i64(r->each, r->total - from);
}

static pi_status split_open(const pi_node *node, const pi_tensor *const *in, int *axis, split_rule *r, pi_error *err)
{
    uint32_t n = 0;
    int64_t given = node->n_out, sum = 0;
    PI_TRY(concat_axis(node, in[0]->rank, axis, err));
    *r = (split_rule){.total = in[0]->dim[*axis], .parts = node->n_out, .input = pi_move_in(node, in, 1)};
    if (node->op->since < 13 && pi_attr_find(node, "split")) {
        r->attr = pi_attr_ints(node, "split", &n);
        r->input = NULL;
        given = n;
    }
    if (r->input && !r->input->data) return PI_E_OK; /* not yet */
    if (r->input) {
        if (r->input->rank != 1 && r->input->rank != 0)
            return pi_fail(err, PI_E_MODEL, "split has rank %d, expected 1", r->input->rank);
        PI_TRY(pi_tensor_count(r->input, &given, err));
    }
    if (given != r->parts)
        return pi_fail(err, PI_E_MODEL, "split has %lld entries for %lld outputs", (long long)given, (long long)r->parts);
    if (!r->attr && !r->input) {
        const pi_attr *num = pi_attr_find(node, "num_outputs");
        if (num && num->i != r->parts)
            return pi_fail(err, PI_E_MODEL, "num_outputs is %lld, but there are %lld outputs", (long long)num->i,
                           (long long)r->parts);
        r->each = r->total / r->parts + (r->total % r->parts != 0);
        if (node->op->since < 18 && r->total % r->parts != 0)
            return pi_fail(err, PI_E_MODEL, "axis %d of length %lld does not divide into %lld equal parts", *axis,
                           (long long)r->total, (long long)r->parts);
    }
    for (int64_t i = 0; i < r->parts; i++) {
        int64_t len = split_length(r, i);
        if (len < 0 || !pi_add_i64(sum, len, &sum))
            return pi_fail(err, PI_E_MODEL, "split has an entry %lld", (long long)len);
    }
    if (sum != r->total)
        return pi_fail(err, PI_E_MODEL, "the parts of split sum to %lld, axis %d has length %lld", (long long)sum, *axis,
                       (long long)r->total);
    return PI_E_OK;
}

static pi_status split_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis;
    split_rule rule;
    if (node->n_out == 0) return pi_fail(err, PI_E_MODEL, "there are no outputs");
    PI_TRY(split_open(node, in, &axis, &rule, err));
    if (rule.input && !rule.input->data) return PI_E_OK;
    int64_t dim[PI_MAX_RANK];
    for (int i = 0; i < in[0]->rank; i++) dim[i] = in[0]->dim[i];
    for (uint32_t k = 0; k < node->n_out; k++) {
        dim[axis] = split_length(&rule, k);
        PI_TRY(pi_move_shape(&out[k], in[0]->rank, dim, err));
    }
    return PI_E_OK;
}

static pi_status split_run(const pi_call *call, pi_error *err)
{
    int axis;
    split_rule rule;
    const pi_tensor *in = call->in[0];
    PI_TRY(split_open(call->node, call->in, &axis, &rule, err));
    size_t elem = pi_dtype_size(in->dtype);
    int64_t rows = pi_dims_product(in, 0, axis), inner = pi_dims_product(in, axis + 1, in->rank);
    int64_t whole = inner * in->dim[axis], at = 0, dim[PI_MAX_RANK];
    for (int i = 0; i < in->rank; i++) dim[i] = in->dim[i];
    for (uint32_t k = 0; k < call->node->n_out; k++) {
        dim[axis] = split_length(&rule, k);
        int64_t n = inner * dim[axis];
        if (call->out[k]) {
            if (!call->out[k]->data) PI_TRY(pi_call_output(call, k, in->rank, dim, err));
            if (call->out[k]->dim[axis] != dim[axis])
                return pi_fail(err, PI_E_INTERNAL, "output %u was planned for another split", k);
            concat_rows(call, elem, rows, n, (const char *)in->data + (size_t)at * elem, whole, call->out[k]->data, n);
        }
        at += n;
    }
    return PI_E_OK;
}

static const pi_impl concat_impls[] = {{.name = "ref", .run = concat_run}, {0}};
static const pi_impl split_impls[] = {{.name = "ref", .run = split_run}, {0}};

static const pi_attr_def concat_attrs_v1[] = {{.name = "axis", .kind = PI_ATTR_INT}, {0}};
static const pi_attr_def concat_attrs[] = {{.name = "axis", .kind = PI_ATTR_INT, .required = true}, {0}};
static const pi_attr_def split_attrs_v1[] = {
    {.name = "axis", .kind = PI_ATTR_INT, .i = 0}, {.name = "split", .kind = PI_ATTR_INTS}, {0}};
static const pi_attr_def split_attrs_v13[] = {{.name = "axis", .kind = PI_ATTR_INT, .i = 0}, {0}};
static const pi_attr_def split_attrs[] = {
    {.name = "axis", .kind = PI_ATTR_INT, .i = 0}, {.name = "num_outputs", .kind = PI_ATTR_INT}, {0}};

static const pi_op rows[] = {
    {.name = "Concat", .since = 1, .signature = "inputs*:T -> concat_result:T", .T = PI_ANY, .attrs = concat_attrs_v1,
     .infer = concat_infer, .impls = concat_impls},
    {.name = "Concat", .since = 4, .signature = "inputs*:T -> concat_result:T", .T = PI_ANY, .attrs = concat_attrs,
     .infer = concat_infer, .impls = concat_impls},
    {.name = "Split", .since = 1, .signature = "input:T split?:T -> outputs*:T", .T = PI_ANY, .attrs = split_attrs_v1,
     .infer = split_infer, .impls = split_impls},
    {.name = "Split", .since = 2, .signature = "input:T -> outputs*:T", .T = PI_ANY, .attrs = split_attrs_v1,
     .infer = split_infer, .impls = split_impls},
    {.name = "Split", .since = 13, .signature = "input:T split?:i64 -> outputs*:T", .T = PI_ANY, .attrs = split_attrs_v13,
     .infer = split_infer, .impls = split_impls},
    {.name = "Split", .since = 18, .signature = "input:T split?:i64 -> outputs*:T", .T = PI_ANY, .attrs = split_attrs,
     .infer = split_infer, .impls = split_impls},
};
const pi_op_family pi_ops_concat = {rows, PI_COUNT(rows)};
