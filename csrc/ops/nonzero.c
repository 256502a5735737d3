/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs whose size depends on data: NonZero, Compress, Unique. */
#include <string.h>

#include "base/str.h"
#include "ops/block.h"
#include "ops/element.h"
#include "ops/move.h"
#include "ops/order.h"

static bool is_set(const pi_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case PI_DTYPE_STRING: {
        const pi_str *s = ((const pi_str *const *)t->data)[i];
        return s && s->n > 0;
    }
    case PI_DTYPE_C64: return ((const float *)t->data)[2 * i] != 0 || ((const float *)t->data)[2 * i + 1] != 0;
    case PI_DTYPE_C128: return ((const double *)t->data)[2 * i] != 0 || ((const double *)t->data)[2 * i + 1] != 0;
    case PI_DTYPE_I64:
    case PI_DTYPE_U64: return ((const int64_t *)t->data)[i] != 0;
    default: return pi_element_get(t->dtype, t->data, i) != 0;
    }
}

static pi_status later_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    (void)in;
    (void)out;
    (void)err;
    return PI_E_OK;
}

static pi_status nonzero_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *in = call->in[0];
    int64_t n = pi_tensor_n(in), found = 0, to = 0;
    int rank = in->rank ? in->rank : 1; /* a scalar counts as one element on one axis */
    if (!call->out[0]) return PI_E_OK;
    const uint8_t *bytes = in->dtype == PI_DTYPE_BOOL ? in->data : NULL;
    for (int64_t i = 0; bytes && i < n; i++) found += bytes[i] != 0;
    for (int64_t i = 0; !bytes && i < n; i++) found += is_set(in, i);
    int64_t dim[2] = {rank, found};
    PI_TRY(pi_call_output(call, 0, 2, dim, err));
    int64_t *y = call->out[0]->data;
    int64_t last = in->rank ? in->dim[in->rank - 1] : 1;
    for (int64_t row = 0; row * last < n && to < found; row++) { /* what it finds in a row differs on the last axis only */
        int64_t from = to, *columns = y + (rank - 1) * found, rest = row;
        for (int64_t j = 0; j < last && to < found; j++)
            if (bytes ? bytes[row * last + j] != 0 : is_set(in, row * last + j)) columns[to++] = j;
        for (int k = rank - 2; k >= 0; k--) {
            for (int64_t i = from; i < to; i++) y[k * found + i] = rest % in->dim[k];
            rest /= in->dim[k];
        }
    }
    return PI_E_OK;
}

/* ---- Compress ---- */

/* Input as [outer, n, inner]; without axis it is flat. */
static pi_status compress_open(const pi_node *node, const pi_tensor *const *in, int *axis, int64_t *n, pi_error *err)
{
    const pi_attr *a = pi_attr_find(node, "axis");
    *axis = -1;
    PI_TRY(pi_tensor_count(in[0], n, err));
    if (a) {
        PI_TRY(pi_axis(a->i, in[0]->rank, axis, err));
        *n = in[0]->dim[*axis];
    }
    if (in[1]->rank != 1) return pi_fail(err, PI_E_MODEL, "condition has rank %d, expected 1", in[1]->rank);
    return PI_E_OK;
}

static int64_t compress_count(const pi_tensor *condition, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n && i < condition->dim[0]; i++) count += pi_tensor_int(condition, i) != 0;
    return count;
}

static pi_status compress_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis;
    int64_t n, dim[PI_MAX_RANK];
    PI_TRY(compress_open(node, in, &axis, &n, err));
    if (!in[1]->data) return PI_E_OK;
    int64_t count = compress_count(in[1], n);
    if (axis < 0) return pi_move_shape(out, 1, &count, err);
    for (int i = 0; i < in[0]->rank; i++) dim[i] = i == axis ? count : in[0]->dim[i];
    return pi_move_shape(out, in[0]->rank, dim, err);
}

static pi_status compress_run(const pi_call *call, pi_error *err)
{
    const pi_tensor *in = call->in[0], *condition = call->in[1];
    int axis;
    int64_t n;
    PI_TRY(compress_open(call->node, call->in, &axis, &n, err));
    PI_TRY(pi_move_outputs(call, err));
    int64_t room = axis < 0 ? call->out[0]->dim[0] : call->out[0]->dim[axis];
    int64_t outer = axis < 0 ? 1 : pi_dims_product(in, 0, axis);
    size_t row = pi_dtype_size(in->dtype) * (size_t)(axis < 0 ? 1 : pi_dims_product(in, axis + 1, in->rank));
    char *dst = call->out[0]->data;
    for (int64_t o = 0; o < outer; o++) {
        const char *src = (const char *)in->data + (size_t)(o * n) * row;
        int64_t taken = 0;
        for (int64_t i = 0; i < n && i < condition->dim[0] && taken < room; i++) {
            if (!pi_tensor_int(condition, i)) continue;
            memcpy(dst, src + (size_t)i * row, row);
            dst += row;
            taken++;
        }
    }
    return PI_E_OK;
}

/* ---- Unique ---- */

/* Items along the axis (or elements, without one): item i has `outer` runs of `inner` elements. */
typedef struct {
    const pi_tensor *in;
    int64_t n, outer, inner;
    const int64_t *first; /* first item of each group */
} unique_items;

static int element_compare(const pi_tensor *t, int64_t a, int64_t b)
{
    if (t->dtype == PI_DTYPE_STRING) {
        const pi_str *x = ((const pi_str *const *)t->data)[a], *y = ((const pi_str *const *)t->data)[b];
        size_t nx = x ? x->n : 0, ny = y ? y->n : 0, n = nx < ny ? nx : ny;
        int c = n ? memcmp(x->bytes, y->bytes, n) : 0;
        return c ? c : (nx > ny) - (nx < ny);
    }
    int64_t parts = pi_dtype_parts(t->dtype); /* complex ones by their real part, then the other */
    for (int64_t k = 0; k < parts; k++) {
        uint64_t x = pi_order_key(pi_dtype_part(t->dtype), t->data, a * parts + k);
        uint64_t y = pi_order_key(pi_dtype_part(t->dtype), t->data, b * parts + k);
        if (x != y) return x > y ? 1 : -1;
    }
    return 0;
}

static int unique_compare(const unique_items *u, int64_t a, int64_t b)
{
    for (int64_t o = 0; o < u->outer; o++)
        for (int64_t j = 0; j < u->inner; j++) {
            int c = element_compare(u->in, (o * u->n + a) * u->inner + j, (o * u->n + b) * u->inner + j);
            if (c) return c;
        }
    return 0;
}

static bool unique_before(const void *arg, int64_t a, int64_t b)
{
    int c = unique_compare(arg, a, b);
    return c ? c < 0 : a < b;
}

/* order[] = the items as pi_order_sort would have them; items are single numbers. Shares scratch with what comes later. */
static void unique_sort_numbers(const unique_items *u, int64_t *order, pi_order_item *item)
{
    for (int64_t i = 0; i < u->n; i++) item[i] = (pi_order_item){pi_order_key(u->in->dtype, u->in->data, i), i};
    pi_order_radix(item, item + u->n, u->n);
    for (int64_t i = 0; i < u->n; i++) order[i] = item[i].index;
}

static bool unique_first_before(const void *arg, int64_t a, int64_t b)
{
    const unique_items *u = arg;
    return u->first[a] < u->first[b];
}

static pi_status unique_open(const pi_node *node, const pi_tensor *in, int *axis, unique_items *u, pi_error *err)
{
    const pi_attr *a = pi_attr_find(node, "axis");
    *axis = -1;
    *u = (unique_items){.in = in, .outer = 1, .inner = 1};
    PI_TRY(pi_tensor_count(in, &u->n, err));
    if (!a) return PI_E_OK;
    PI_TRY(pi_axis(a->i, in->rank, axis, err));
    u->n = in->dim[*axis];
    u->outer = pi_dims_product(in, 0, *axis);
    u->inner = pi_dims_product(in, *axis + 1, in->rank);
    return PI_E_OK;
}

static pi_status unique_prepare(pi_prep *prep, pi_error *err)
{
    unique_items u;
    int axis;
    PI_TRY(unique_open(prep->node, prep->in[0], &axis, &u, err));
    if (!pi_mul((size_t)u.n, 5 * sizeof(int64_t), &prep->scratch)) return pi_fail(err, PI_E_LIMIT, "too many items");
    return PI_E_OK;
}

static pi_status unique_run(const pi_call *call, pi_error *err)
{
    unique_items u;
    int axis;
    PI_TRY(unique_open(call->node, call->in[0], &axis, &u, err));
    int64_t *order = call->scratch, *first = order + u.n, *group = first + u.n, *count = group + u.n, *rank = count + u.n;
    int64_t groups = 0;
    for (int64_t i = 0; i < u.n; i++) order[i] = i;
    if (u.outer * u.inner == 1 && pi_dtype_in(call->in[0]->dtype, PI_NUMBERS | PI_BIT(BOOL)))
        unique_sort_numbers(&u, order, (pi_order_item *)(void *)(order + u.n)); /* 4 n words: first, group, count, rank */
    else
        pi_order_sort(order, u.n, unique_before, &u);
    for (int64_t i = 0; i < u.n; i++) { /* equal items are neighbours, the first of them leads */
        if (i == 0 || unique_compare(&u, order[i - 1], order[i]) != 0) {
            first[groups] = order[i];
            count[groups++] = 0;
        }
        group[order[i]] = groups - 1;
        count[groups - 1]++;
    }
    for (int64_t g = 0; g < groups; g++) order[g] = g; /* order[] now lists the groups as they are put out */
    u.first = first;
    if (pi_attr_int(call->node, "sorted") == 0) pi_order_sort(order, groups, unique_first_before, &u);
    for (int64_t g = 0; g < groups; g++) rank[order[g]] = g;

    const pi_tensor *in = call->in[0];
    int64_t dim[PI_MAX_RANK];
    for (int i = 0; i < in->rank; i++) dim[i] = i == axis ? groups : in->dim[i];
    if (axis < 0) dim[0] = groups;
    if (call->out[0]) {
        PI_TRY(pi_call_output(call, 0, axis < 0 ? 1 : in->rank, dim, err));
        size_t row = pi_dtype_size(in->dtype) * (size_t)u.inner;
        for (int64_t o = 0; o < u.outer; o++)
            for (int64_t g = 0; g < groups; g++)
                memcpy((char *)call->out[0]->data + (size_t)(o * groups + g) * row,
                       (const char *)in->data + (size_t)(o * u.n + first[order[g]]) * row, row);
    }
    for (uint32_t k = 1; k < 4; k++) {
        if (!pi_move_wants(call, k)) continue;
        int64_t n = k == 2 ? u.n : groups;
        PI_TRY(pi_call_output(call, k, 1, &n, err));
        int64_t *y = call->out[k]->data;
        for (int64_t i = 0; i < n; i++) y[i] = k == 1 ? first[order[i]] : k == 2 ? rank[group[i]] : count[order[i]];
    }
    return PI_E_OK;
}

static const pi_impl nonzero_impls[] = {{.name = "ref", .run = nonzero_run}, {0}};
static const pi_impl compress_impls[] = {{.name = "ref", .run = compress_run}, {0}};
static const pi_impl unique_impls[] = {{.name = "ref", .prepare = unique_prepare, .run = unique_run}, {0}};

static const pi_attr_def compress_attrs[] = {{.name = "axis", .kind = PI_ATTR_INT}, {0}};
static const pi_attr_def unique_attrs[] = {
    {.name = "axis", .kind = PI_ATTR_INT}, {.name = "sorted", .kind = PI_ATTR_INT, .i = 1}, {0}};

static const pi_op rows[] = {
    {.name = "NonZero", .since = 9, .signature = "X:T -> Y:i64",
     .T = PI_NUMBERS | PI_BIT(BOOL) | PI_BIT(STRING) | PI_BIT(C64) | PI_BIT(C128), .infer = later_infer, .impls = nonzero_impls},
    {.name = "Compress", .since = 9, .signature = "input:T condition:bool -> output:T", .T = PI_ANY,
     .attrs = compress_attrs, .infer = compress_infer, .impls = compress_impls},
    {.name = "Unique", .since = 11, .signature = "X:T -> Y:T indices?:i64 inverse_indices?:i64 counts?:i64",
     .T = PI_NUMBERS | PI_BIT(BOOL) | PI_BIT(STRING) | PI_BIT(C64) | PI_BIT(C128), .attrs = unique_attrs,
     .infer = later_infer, .impls = unique_impls},
};
const pi_op_family pi_ops_nonzero = {rows, PI_COUNT(rows)};
