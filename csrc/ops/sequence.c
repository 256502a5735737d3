/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of tensors as values, see graph/seq.h. Where it can be told what is in a sequence, passes/sequences.c takes it apart
 * before it comes to this. Parts are copied in, for the arena is used again, and shared from there on. */
#include <string.h>
#include "ops/move.h"

/* A sequence is a scalar to the plan. */
static pi_status sequence_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    (void)in;
    (void)err;
    pi_tensor_set_shape(out, 0, NULL);
    return PI_E_OK;
}

/* Only the run knows what is in it. */
static pi_status later_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    (void)in;
    (void)out;
    (void)err;
    return PI_E_OK;
}

/* Input i as a place in [0, end), counted from n where it is negative; `standard` where it is left out. */
static pi_status position(const pi_call *call, uint32_t i, int64_t n, int64_t end, int64_t standard, int64_t *out, pi_error *err)
{
    const pi_tensor *t = pi_move_in(call->node, call->in, i);
    int64_t p = standard;
    if (t) PI_TRY(pi_move_scalar(t, "position", &p, err));
    *out = p < 0 ? p + n : p;
    if (p < -n || *out >= end || *out < 0)
        return pi_fail(err, PI_E_INPUT, "position %lld is out of range for a sequence of %lld", (long long)p, (long long)n);
    return PI_E_OK;
}

/* ---- made from nothing, from tensors, from another sequence ---- */

static pi_status empty_run(const pi_call *call, pi_error *err)
{
    pi_dtype dtype = pi_dtype_from_id(pi_attr_int(call->node, "dtype"));
    if (dtype == PI_DTYPE_NONE) return pi_fail(err, PI_E_MODEL, "dtype is no element type");
    return pi_call_seq(call, 0, PI_DTYPE_SEQ, pi_seq_new(call->run->heap, dtype, 0, err), err);
}

static pi_status construct_run(const pi_call *call, pi_error *err)
{
    uint32_t n = call->node->n_explicit;
    for (uint32_t i = 0; i < n; i++)
        if (!call->in[i]) return pi_fail(err, PI_E_MODEL, "input %u is missing", i);
    pi_seq *s = pi_seq_new(call->run->heap, n ? call->in[0]->dtype : PI_DTYPE_NONE, n, err);
    for (uint32_t i = 0; s && i < n; i++)
        if (!(s->item[i] = pi_const_copy(call->run->heap, call->in[i], err))) {
            pi_seq_unref(s);
            s = NULL;
        }
    return pi_call_seq(call, 0, PI_DTYPE_SEQ, s, err);
}

static pi_status insert_run(const pi_call *call, pi_error *err)
{
    const pi_seq *from = pi_seq_of(call->in[0]);
    const pi_tensor *t = call->in[1];
    int64_t at, n = from->n;
    if (from->dtype != PI_DTYPE_NONE && from->dtype != t->dtype)
        return pi_fail(err, PI_E_INPUT, "a tensor of %s cannot be inserted into a sequence of %s", pi_dtype_name(t->dtype),
                       pi_dtype_name(from->dtype));
    PI_TRY(position(call, 2, n, n + 1, n, &at, err));
    pi_seq *s = pi_seq_new(call->run->heap, t->dtype, n + 1, err);
    if (!s) return pi_alloc_status(err);
    for (int64_t i = 0; i < n; i++) s->item[i < at ? i : i + 1] = pi_const_ref(from->item[i]);
    if (!(s->item[at] = pi_const_copy(call->run->heap, t, err))) {
        pi_seq_unref(s);
        return pi_alloc_status(err);
    }
    return pi_call_seq(call, 0, PI_DTYPE_SEQ, s, err);
}

static pi_status erase_run(const pi_call *call, pi_error *err)
{
    const pi_seq *from = pi_seq_of(call->in[0]);
    int64_t at, n = from->n;
    PI_TRY(position(call, 1, n, n, n - 1, &at, err));
    pi_seq *s = pi_seq_new(call->run->heap, from->dtype, n - 1, err);
    for (int64_t i = 0; s && i < n - 1; i++) s->item[i] = pi_const_ref(from->item[i < at ? i : i + 1]);
    return pi_call_seq(call, 0, PI_DTYPE_SEQ, s, err);
}

/* ---- SplitToSequence ---- */

/* Entries [from, from + n) of an axis; `keep` or the axis goes. */
static pi_const *slice(pi_heap *heap, const pi_tensor *t, int axis, int64_t from, int64_t n, bool keep, pi_error *err)
{
    int64_t dim[PI_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < t->rank; i++)
        if (keep || i != axis) dim[rank++] = i == axis ? n : t->dim[i];
    pi_const *c = pi_const_new(heap, t->dtype, rank, dim, err);
    if (!c || !c->bytes) return c;
    size_t inner = (size_t)pi_dims_product(t, axis + 1, t->rank) * pi_dtype_size(t->dtype), part = inner * (size_t)n;
    size_t whole = inner * (size_t)t->dim[axis];
    for (int64_t i = 0, outer = pi_dims_product(t, 0, axis); i < outer; i++)
        memcpy((char *)c->t.data + (size_t)i * part, (const char *)t->data + (size_t)i * whole + (size_t)from * inner, part);
    if (t->dtype != PI_DTYPE_STRING) return c;
    pi_const *own = pi_const_copy(heap, &c->t, err);
    pi_const_unref(c);
    return own;
}

static pi_status split_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis;
    PI_TRY(pi_axis(pi_attr_int(node, "axis"), in[0]->rank, &axis, err));
    return sequence_infer(node, in, out, err);
}

/* The number of parts, and whether their lengths fit. */
static pi_status count_parts(const pi_tensor *split, int64_t whole, int64_t *n, pi_error *err)
{
    int64_t sum = 0, each = 1;
    *n = whole;
    if (!split) return PI_E_OK;
    if (split->rank == 0) {
        each = pi_tensor_int(split, 0);
        if (each < 1) return pi_fail(err, PI_E_INPUT, "split is %lld, expected a positive length", (long long)each);
        *n = whole / each + (whole % each != 0);
        return PI_E_OK;
    }
    if (split->rank != 1) return pi_fail(err, PI_E_INPUT, "split has rank %d, expected 0 or 1", split->rank);
    *n = split->dim[0];
    for (int64_t i = 0; i < *n; i++) {
        int64_t length = pi_tensor_int(split, i);
        if (length < 0 || length > whole - sum)
            return pi_fail(err, PI_E_INPUT, "split[%lld] is %lld, but %lld of %lld are left", (long long)i, (long long)length,
                           (long long)(whole - sum), (long long)whole);
        sum += length;
    }
    return sum == whole ? PI_E_OK : pi_fail(err, PI_E_INPUT, "split sums to %lld, the axis has %lld", (long long)sum, (long long)whole);
}

static pi_status split_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *t = call->in[0], *split = pi_move_in(call->node, call->in, 1);
    /* keepdims is ignored beside split, says the standard; but PyTorch writes unbind with a scalar split of 1 and keepdims 0 */
    bool ones = !split || (split->rank == 0 && pi_tensor_int(split, 0) == 1);
    bool keep = !ones || pi_attr_int(call->node, "keepdims") != 0;
    int axis;
    int64_t n, at = 0;
    PI_TRY(pi_axis(pi_attr_int(call->node, "axis"), t->rank, &axis, err));
    int64_t whole = t->dim[axis];
    PI_TRY(count_parts(split, whole, &n, err));
    pi_seq *s = pi_seq_new(call->run->heap, t->dtype, n, err);
    for (int64_t i = 0; s && i < n; i++) {
        int64_t length = !split ? 1 : pi_tensor_int(split, split->rank ? i : 0);
        if (length > whole - at) length = whole - at;
        s->item[i] = slice(call->run->heap, t, axis, at, length, keep, err);
        at += length;
        if (s->item[i]) continue;
        pi_seq_unref(s);
        s = NULL;
    }
    return pi_call_seq(call, 0, PI_DTYPE_SEQ, s, err);
}

/* ---- read ---- */

static pi_status at_run(const pi_call *call, pi_error *err)
{
    const pi_seq *s = pi_seq_of(call->in[0]);
    int64_t at;
    PI_TRY(position(call, 1, s->n, s->n, 0, &at, err));
    *call->out[0] = s->item[at]->t; /* shared: whoever holds the sequence holds it for the whole run */
    return PI_E_OK;
}

static pi_status length_run(const pi_call *call, pi_error *err)
{
    (void)err;
    *(int64_t *)call->out[0]->data = pi_seq_of(call->in[0])->n;
    return PI_E_OK;
}

/* Shape of the result of ConcatFromSequence into dim; all parts agree but for the axis. */
static pi_status concat_shape(const pi_seq *s, bool stack, int64_t attr, int *axis, int *rank, int64_t *dim, pi_error *err)
{
    char got[120], want[120];
    const pi_tensor *first = &s->item[0]->t;
    *rank = first->rank + stack;
    if (*rank > PI_MAX_RANK) return pi_fail(err, PI_E_LIMIT, "rank %d is above the limit of %d", *rank, PI_MAX_RANK);
    if (*rank == 0) return pi_fail(err, PI_E_INPUT, "scalars can only be put together along a new axis");
    PI_TRY(pi_axis(attr, *rank, axis, err));
    for (int k = 0, from = 0; k < *rank; k++) dim[k] = stack && k == *axis ? 0 : first->dim[from++];
    dim[*axis] = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const pi_tensor *t = &s->item[i]->t;
        bool fits = t->rank == first->rank && t->dtype == first->dtype;
        for (int k = 0; fits && k < t->rank; k++) fits = t->dim[k] == first->dim[k] || (!stack && k == *axis);
        if (!fits)
            return pi_fail(err, PI_E_INPUT, "tensor %u of the sequence is %s, the first is %s: they cannot be put together on axis %d", i,
                           pi_tensor_text(t, got, sizeof got), pi_tensor_text(first, want, sizeof want), *axis);
        if (__builtin_add_overflow(dim[*axis], stack ? 1 : t->dim[*axis], &dim[*axis]))
            return pi_fail(err, PI_E_LIMIT, "the axis is too long");
    }
    return PI_E_OK;
}

static pi_status concat_run(const pi_call *call, pi_error *err)
{
    const pi_seq *s = pi_seq_of(call->in[0]);
    int64_t dim[PI_MAX_RANK] = {0};
    int axis, rank;
    bool stack = pi_attr_int(call->node, "new_axis") != 0;
    if (s->n == 0) return pi_fail(err, PI_E_INPUT, "the sequence is empty: there is nothing to put together");
    PI_TRY(concat_shape(s, stack, pi_attr_int(call->node, "axis"), &axis, &rank, dim, err));
    pi_tensor *out = call->out[0];
    out->dtype = s->item[0]->t.dtype;
    PI_TRY(pi_call_output(call, 0, rank, dim, err));
    int64_t outer = pi_dims_product(out, 0, axis);
    size_t elem = pi_dtype_size(out->dtype), row = (size_t)pi_dims_product(out, axis, rank) * elem, at = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const pi_tensor *t = &s->item[i]->t;
        size_t part = (size_t)pi_dims_product(t, axis, t->rank) * elem;
        for (int64_t k = 0; part && k < outer; k++)
            memcpy((char *)out->data + (size_t)k * row + at, (const char *)t->data + (size_t)k * part, part);
        at += part;
    }
    return PI_E_OK;
}

/* ---- rows ---- */

#define IMPL(op) static const pi_impl op##_impls[] = {{.name = "ref", .run = op##_run}, {0}}
IMPL(empty);
IMPL(construct);
IMPL(insert);
IMPL(erase);
IMPL(split);
IMPL(at);
IMPL(length);
IMPL(concat);

static const pi_attr_def empty_attrs[] = {{.name = "dtype", .kind = PI_ATTR_INT, .i = PI_DTYPE_F32}, {0}};
static const pi_attr_def split_attrs[] = {
    {.name = "axis", .kind = PI_ATTR_INT, .i = 0}, {.name = "keepdims", .kind = PI_ATTR_INT, .i = 1}, {0}};
static const pi_attr_def concat_attrs[] = {{.name = "axis", .kind = PI_ATTR_INT, .required = true},
                                           {.name = "new_axis", .kind = PI_ATTR_INT, .i = 0},
                                           {0}};

#define INDEX (PI_BIT(I32) | PI_BIT(I64))
static const pi_op rows[] = {
    {.name = "SequenceEmpty", .since = 11, .signature = "-> output:seq", .flags = PI_OP_NO_FOLD, .attrs = empty_attrs,
     .infer = sequence_infer, .impls = empty_impls},
    {.name = "SequenceConstruct", .since = 11, .signature = "inputs*:T -> output_sequence:seq", .T = PI_ANY,
     .flags = PI_OP_NO_FOLD, .infer = sequence_infer, .impls = construct_impls},
    {.name = "SequenceInsert", .since = 11, .signature = "input_sequence:seq tensor:T position?:U -> output_sequence:seq",
     .T = PI_ANY, .U = INDEX, .flags = PI_OP_NO_FOLD, .infer = sequence_infer, .impls = insert_impls},
    {.name = "SequenceErase", .since = 11, .signature = "input_sequence:seq position?:U -> output_sequence:seq", .U = INDEX,
     .flags = PI_OP_NO_FOLD, .infer = sequence_infer, .impls = erase_impls},
    {.name = "SplitToSequence", .since = 11, .signature = "input:T split?:U -> output_sequence:seq", .T = PI_ANY, .U = INDEX,
     .flags = PI_OP_NO_FOLD, .attrs = split_attrs, .infer = split_infer, .impls = split_impls},
    {.name = "SequenceAt", .since = 11, .signature = "input_sequence:seq position:U -> tensor:any", .U = INDEX,
     .flags = PI_OP_NO_FOLD, .infer = later_infer, .impls = at_impls},
    {.name = "SequenceLength", .since = 11, .signature = "input_sequence:seq -> length:i64", .flags = PI_OP_NO_FOLD,
     .infer = sequence_infer, .impls = length_impls},
    {.name = "ConcatFromSequence", .since = 11, .signature = "input_sequence:seq -> concat_result:any",
     .flags = PI_OP_NO_FOLD, .attrs = concat_attrs, .infer = later_infer, .impls = concat_impls},
};
const pi_op_family pi_ops_sequence = {rows, PI_COUNT(rows)};
