/* SPDX-License-Identifier: Apache-2.0 */
/* Pad and CenterCropPad. Negative pads cut. The axes that are padded last of all and everything inside them move as
 * rows: left border, memcpy, right border. */
#include <string.h>

#include "base/threads.h"
#include "ops/element.h"
#include "ops/move.h"

typedef enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } pad_mode;

/* Output index o of axis i reads the input at o - before[i], where that is inside; else the mode decides. from/size: the part of
 * the axis that negative pads leave. */
typedef struct {
    pad_mode mode;
    int rank;
    int64_t before[PI_MAX_RANK], from[PI_MAX_RANK], size[PI_MAX_RANK];
    int64_t in_dim[PI_MAX_RANK], out_dim[PI_MAX_RANK], in_stride[PI_MAX_RANK];
    size_t elem;       /* bytes of the block inside the last padded axis */
    size_t value_size; /* bytes of `value` */
    const char *src;
    char *dst;
    char value[16];
} pad_job;

static pi_status pad_set(pad_job *job, int axis, int64_t before, int64_t after, pi_error *err)
{
    int64_t n = job->in_dim[axis], low = before < 0 ? before : 0, high = after < 0 ? after : 0, out;
    int64_t left;
    if (before < -n || after < -n || (left = n + low + high) < 0)
        return pi_fail(err, PI_E_MODEL, "pads %lld and %lld cut more than the %lld elements of axis %d", (long long)before,
                       (long long)after, (long long)n, axis);
    job->before[axis] = before;
    job->from[axis] = -low;
    job->size[axis] = left;
    if (!pi_add_i64(n, before, &out) || !pi_add_i64(out, after, &out)) return pi_fail(err, PI_E_LIMIT, "pads are too large");
    if (left == 0 && out > 0 && job->mode != PAD_CONSTANT)
        return pi_fail(err, PI_E_MODEL, "axis %d is empty: there is nothing to repeat", axis);
    job->out_dim[axis] = out;
    return PI_E_OK;
}

static void pad_start(pad_job *job, const pi_tensor *in)
{
    memset(job, 0, sizeof *job);
    job->rank = in->rank;
    memcpy(job->in_dim, in->dim, (size_t)in->rank * sizeof *in->dim);
    memcpy(job->out_dim, in->dim, (size_t)in->rank * sizeof *in->dim);
    memcpy(job->size, in->dim, (size_t)in->rank * sizeof *in->dim);
    job->elem = job->value_size = pi_dtype_size(in->dtype);
}

/* The pads of the node. *known is 0 where they have no value yet. */
static pi_status pad_open(const pi_node *node, const pi_tensor *const *in, pad_job *job, int *known, pi_error *err)
{
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    const char *mode = pi_attr_string(node, "mode");
    pi_list axes = {.n = -1};
    const int64_t *pads = NULL;
    int64_t n_pads, list[2 * PI_MAX_RANK];
    uint32_t n_attr;
    *known = 1;
    pad_start(job, in[0]);
    int m = 0;
    while (m < 4 && strcmp(mode, modes[m]) != 0) m++;
    if (m == 4) /* wrap is of version 19, but PyTorch writes it into files of 18 too */
        return pi_fail(err, PI_E_MODEL, "mode '%.40s' is not one of constant, reflect, edge, wrap", mode);
    job->mode = (pad_mode)m;
    if (node->op->since < 11) {
        pads = pi_attr_ints(node, node->op->since == 1 ? "paddings" : "pads", &n_attr);
        n_pads = n_attr;
    } else {
        const pi_tensor *a = pi_move_in(node, in, 3);
        if (!in[1]->data || (a && !a->data)) {
            *known = 0;
            return PI_E_OK;
        }
        if (in[1]->rank > 2) return pi_fail(err, PI_E_MODEL, "pads has rank %d, expected 1", in[1]->rank);
        PI_TRY(pi_tensor_count(in[1], &n_pads, err));
        if (a) PI_TRY(pi_move_list(a, "axes", &axes, err));
    }
    if (axes.n < 0) {
        axes.n = job->rank;
        for (int i = 0; i < axes.n; i++) axes.v[i] = i;
    }
    PI_TRY(pi_move_axes(&axes, job->rank, err));
    if (n_pads != 2 * axes.n)
        return pi_fail(err, PI_E_MODEL, "pads has %lld entries for %d axes", (long long)n_pads, axes.n);
    for (int i = 0; i < n_pads; i++) list[i] = pads ? pads[i] : pi_tensor_int(in[1], i);
    for (int i = 0; i < axes.n; i++) PI_TRY(pad_set(job, (int)axes.v[i], list[i], list[i + axes.n], err));
    return PI_E_OK;
}

static pi_status pad_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pad_job job;
    int known;
    PI_TRY(pad_open(node, in, &job, &known, err));
    return known ? pi_move_shape(out, job.rank, job.out_dim, err) : PI_E_OK;
}

/* Index into the input for place o of an axis, -1 for the constant. */
static int64_t pad_index(const pad_job *job, int axis, int64_t o)
{
    int64_t n = job->size[axis], i = o - job->before[axis] - job->from[axis];
    if (i >= 0 && i < n) return i + job->from[axis];
    switch (job->mode) {
    case PAD_CONSTANT: return -1;
    case PAD_EDGE: i = i < 0 ? 0 : n - 1; break;
    case PAD_WRAP:
        i %= n;
        if (i < 0) i += n;
        break;
    case PAD_REFLECT:
        if (n == 1) {
            i = 0;
        } else {
            i %= 2 * (n - 1);
            if (i < 0) i += 2 * (n - 1);
            if (i >= n) i = 2 * (n - 1) - i;
        }
        break;
    }
    return i + job->from[axis];
}

static void pad_border(const pad_job *job, const char *src, char *dst, int64_t from, int64_t to)
{
    int last = job->rank - 1;
    if (to - from == 1 && job->elem == 4) { /* the usual border of images */
        memcpy(dst + (size_t)from * 4, job->mode == PAD_CONSTANT ? job->value : src + 4 * pad_index(job, last, from), 4);
        return;
    }
    if (job->mode == PAD_CONSTANT) {
        pi_fill(dst + (size_t)from * job->elem, job->value, job->value_size,
                (to - from) * (int64_t)(job->elem / job->value_size));
        return;
    }
    for (int64_t o = from; o < to; o++)
        memcpy(dst + (size_t)o * job->elem, src + (size_t)pad_index(job, last, o) * job->elem, job->elem);
}

static void pad_rows(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pad_job *job = arg;
    int last = job->rank - 1;
    int64_t n = job->out_dim[last], lead = job->before[last] + job->from[last];
    int64_t mid0 = lead > 0 ? lead : 0, mid1 = mid0 + job->size[last];
    int64_t place[PI_MAX_RANK], rest = begin, outer = 0, outer_inside = 1;
    bool fresh = true; /* axes before the next to last have moved */
    for (int i = last - 1; i >= 0; i--) {
        place[i] = rest % job->out_dim[i];
        rest /= job->out_dim[i];
    }
    for (int64_t row = begin; row < end; row++) {
        char *dst = job->dst + (size_t)row * (size_t)n * job->elem;
        if (fresh) {
            outer = 0, outer_inside = 1, fresh = false;
            for (int i = 0; i < last - 1; i++) {
                int64_t k = pad_index(job, i, place[i]);
                if (k < 0) outer_inside = 0;
                outer += k * job->in_stride[i];
            }
        }
        int64_t at = outer, inside = outer_inside;
        if (last > 0) {
            int64_t k = pad_index(job, last - 1, place[last - 1]);
            if (k < 0) inside = 0;
            at += k * job->in_stride[last - 1];
        }
        for (int i = last - 1; i >= 0 && ++place[i] == job->out_dim[i]; i--) {
            place[i] = 0;
            fresh = true;
        }
        if (!inside) {
            pad_border(job, NULL, dst, 0, n);
            continue;
        }
        const char *src = job->src + (size_t)at * job->elem;
        pad_border(job, src, dst, 0, mid0);
        memcpy(dst + (size_t)mid0 * job->elem, src + (size_t)job->from[last] * job->elem,
               (size_t)job->size[last] * job->elem);
        pad_border(job, src, dst, mid1, n);
    }
}

/* Joins the axes behind the last padded one into its element, then moves rows. */
static void pad_go(const pi_call *call, pad_job *job)
{
    job->src = call->in[0]->data;
    job->dst = call->out[0]->data;
    while (job->rank > 1 && job->in_dim[job->rank - 1] == job->out_dim[job->rank - 1] && job->before[job->rank - 1] == 0) {
        job->elem *= (size_t)job->in_dim[job->rank - 1];
        job->rank--;
    }
    if (job->rank == 0) {
        pi_move_bytes(call, job->src, job->dst, job->elem);
        return;
    }
    if (job->elem == 0) return;
    pi_move_strides(job->rank, job->in_dim, job->in_stride);
    int64_t rows = 1, bytes = (int64_t)job->elem * job->out_dim[job->rank - 1];
    for (int i = 0; i < job->rank - 1; i++) rows *= job->out_dim[i];
    if (bytes == 0 || rows == 0) return;
    pi_parallel(call->run->threads, rows, pi_max_i64(1, (64 << 10) / bytes), pad_rows, job);
}

static pi_status pad_run(const pi_call *call, pi_error *err)
{
    pad_job job;
    int known;
    int64_t n;
    PI_TRY(pad_open(call->node, call->in, &job, &known, err));
    if (!known) return pi_fail(err, PI_E_INTERNAL, "pads have no data");
    PI_TRY(pi_move_outputs(call, err));
    for (int i = 0; i < job.rank; i++)
        if (job.out_dim[i] != call->out[0]->dim[i]) return pi_fail(err, PI_E_INTERNAL, "planned for other pads");
    const pi_tensor *value = call->node->op->since < 11 ? NULL : pi_move_in(call->node, call->in, 2);
    if (value) {
        PI_TRY(pi_tensor_count(value, &n, err));
        if (n > 1) return pi_fail(err, PI_E_MODEL, "constant_value has %lld elements, expected 1", (long long)n);
        if (n == 1) memcpy(job.value, value->data, job.elem);
    } else if (call->node->op->since < 11) {
        pi_element_put(call->in[0]->dtype, job.value, 0, (double)pi_attr_float(call->node, "value"));
    }
    pad_go(call, &job);
    return PI_E_OK;
}

/* CenterCropPad: each named axis gets the given length, cut or padded with zeros around the middle. */
static pi_status center_open(const pi_node *node, const pi_tensor *const *in, pad_job *job, pi_error *err)
{
    pi_list axes, shape;
    PI_TRY(pi_move_attr(node, "axes", &axes, err));
    PI_TRY(pi_move_list(in[1], "shape", &shape, err));
    pad_start(job, in[0]);
    if (axes.n < 0) {
        axes.n = job->rank;
        for (int i = 0; i < axes.n; i++) axes.v[i] = i;
    }
    PI_TRY(pi_move_axes(&axes, job->rank, err));
    if (shape.n != axes.n) return pi_fail(err, PI_E_MODEL, "shape has %d entries for %d axes", shape.n, axes.n);
    for (int i = 0; i < axes.n; i++) {
        int axis = (int)axes.v[i];
        int64_t n = job->in_dim[axis], want = shape.v[i];
        if (want < 0) return pi_fail(err, PI_E_MODEL, "shape has an entry %lld", (long long)want);
        int64_t before = want < n ? -((n - want) / 2) : (want - n) / 2;
        PI_TRY(pad_set(job, axis, before, want - n - before, err));
    }
    return PI_E_OK;
}

static pi_status center_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pad_job job;
    if (!in[1]->data) return PI_E_OK;
    PI_TRY(center_open(node, in, &job, err));
    return pi_move_shape(out, job.rank, job.out_dim, err);
}

static pi_status center_run(const pi_call *call, pi_error *err)
{
    pad_job job;
    PI_TRY(center_open(call->node, call->in, &job, err));
    PI_TRY(pi_move_outputs(call, err));
    for (int i = 0; i < job.rank; i++)
        if (job.out_dim[i] != call->out[0]->dim[i]) return pi_fail(err, PI_E_INTERNAL, "planned for another shape");
    pad_go(call, &job);
    return PI_E_OK;
}

static const pi_impl pad_impls[] = {{.name = "ref", .run = pad_run}, {0}};
static const pi_impl center_impls[] = {{.name = "ref", .run = center_run}, {0}};

static const pi_attr_def pad_attrs_v1[] = {{.name = "mode", .kind = PI_ATTR_STRING, .s = "constant"},
                                           {.name = "paddings", .kind = PI_ATTR_INTS, .required = true},
                                           {.name = "value", .kind = PI_ATTR_FLOAT, .f = 0},
                                           {0}};
static const pi_attr_def pad_attrs_v2[] = {{.name = "mode", .kind = PI_ATTR_STRING, .s = "constant"},
                                           {.name = "pads", .kind = PI_ATTR_INTS, .required = true},
                                           {.name = "value", .kind = PI_ATTR_FLOAT, .f = 0},
                                           {0}};
static const pi_attr_def pad_attrs[] = {{.name = "mode", .kind = PI_ATTR_STRING, .s = "constant"}, {0}};
static const pi_attr_def center_attrs[] = {{.name = "axes", .kind = PI_ATTR_INTS}, {0}};

#define INDEX (PI_BIT(I32) | PI_BIT(I64))
static const pi_op rows[] = {
    {.name = "Pad", .since = 1, .signature = "data:T -> output:T", .T = PI_FLOATS, .attrs = pad_attrs_v1,
     .infer = pad_infer, .impls = pad_impls},
    {.name = "Pad", .since = 2, .signature = "data:T -> output:T", .T = PI_FLOATS, .attrs = pad_attrs_v2,
     .infer = pad_infer, .impls = pad_impls},
    {.name = "Pad", .since = 11, .signature = "data:T pads:i64 constant_value?:T -> output:T", .T = PI_ANY,
     .attrs = pad_attrs, .infer = pad_infer, .impls = pad_impls},
    {.name = "Pad", .since = 18, .signature = "data:T pads:i64 constant_value?:T axes?:U -> output:T", .T = PI_ANY,
     .U = INDEX, .attrs = pad_attrs, .infer = pad_infer, .impls = pad_impls},
    {.name = "Pad", .since = 19, .signature = "data:T pads:i64 constant_value?:T axes?:U -> output:T", .T = PI_ANY,
     .U = INDEX, .attrs = pad_attrs, .infer = pad_infer, .impls = pad_impls},
    {.name = "CenterCropPad", .since = 18, .signature = "input_data:T shape:U -> output_data:T", .T = PI_ANY, .U = INDEX,
     .attrs = center_attrs, .infer = center_infer, .impls = center_impls},
};
const pi_op_family pi_ops_pad = {rows, PI_COUNT(rows)};
