/* SPDX-License-Identifier: Apache-2.0 */
/* Windows: attributes, checks, output sizes. What comes from a file is bounded before it is multiplied. */
#include "ops/window.h"
#include <string.h>

enum { SPATIAL = 3 };
static const int64_t most = INT32_MAX;

bool pi_row_has_attr(const pi_node *node, const char *name)
{
    for (const pi_attr_def *d = node->op->attrs; d && d->name; d++)
        if (strcmp(d->name, name) == 0) return true;
    return false;
}

/* A list of one number for each spatial dimension into the last places of out; `otherwise` where it was left out. */
static pi_status read_list(const pi_node *node, const char *name, int spatial, uint32_t from, uint32_t length,
                           int64_t least, int64_t otherwise, int64_t out[SPATIAL], pi_error *err)
{
    uint32_t n = 0;
    const int64_t *list = pi_row_has_attr(node, name) ? pi_attr_ints(node, name, &n) : NULL;
    if (list && n && n != length)
        return pi_fail(err, PI_E_MODEL, "attribute '%s' has %u numbers, expected %u", name, n, length);
    for (int i = 0; i < spatial; i++) {
        int64_t v = list && n ? list[from + (uint32_t)i] : otherwise;
        if (v < least || v > most)
            return pi_fail(err, PI_E_MODEL, "attribute '%s' has %lld, expected at least %lld", name, (long long)v,
                           (long long)least);
        out[SPATIAL - spatial + i] = v;
    }
    return PI_E_OK;
}

static const char *auto_pad_of(const pi_node *node)
{
    return pi_row_has_attr(node, "auto_pad") ? pi_attr_string(node, "auto_pad") : "NOTSET";
}

/* Dimensions of x; spatial ones into the last places. */
static pi_status read_input(pi_window *w, const pi_tensor *x, bool nhwc, pi_error *err)
{
    char text[200];
    if (x->rank < 3 || x->rank > 2 + SPATIAL)
        return pi_fail(err, x->rank < 3 ? PI_E_MODEL : PI_E_UNSUPPORTED, "X is %s, expected a rank of 3 to 5",
                       pi_tensor_text(x, text, sizeof text));
    *w = (pi_window){.spatial = x->rank - 2, .nhwc = nhwc, .batch = x->dim[0],
                     .channels = x->dim[nhwc ? x->rank - 1 : 1]};
    for (int i = 0; i < SPATIAL; i++) w->in[i] = w->out[i] = w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
    for (int i = 0; i < w->spatial; i++) {
        int64_t d = x->dim[(nhwc ? 1 : 2) + i];
        if (d > most) return pi_fail(err, PI_E_LIMIT, "X is %s, too large", pi_tensor_text(x, text, sizeof text));
        w->in[SPATIAL - w->spatial + i] = d;
    }
    return PI_E_OK;
}

pi_status pi_window_attrs(pi_window *w, const pi_node *node, const pi_tensor *x, bool nhwc, const int64_t *kernel,
                          pi_error *err)
{
    PI_TRY(read_input(w, x, nhwc, err));
    uint32_t n = (uint32_t)w->spatial;
    uint32_t given;
    (void)pi_attr_ints(node, "kernel_shape", &given);
    if (!kernel && !given)
        return pi_fail(err, PI_E_MODEL, "attribute 'kernel_shape' is missing");
    PI_TRY(read_list(node, "kernel_shape", w->spatial, 0, n, 1, 1, w->kernel, err));
    if (kernel) {
        for (int i = 0; i < w->spatial; i++) {
            int64_t *k = &w->kernel[SPATIAL - w->spatial + i];
            if (kernel[i] < 1 || kernel[i] > most)
                return pi_fail(err, PI_E_MODEL, "spatial dimension %d of W is %lld", i, (long long)kernel[i]);
            if (given && *k != kernel[i])
                return pi_fail(err, PI_E_MODEL, "attribute 'kernel_shape' has %lld where W has %lld", (long long)*k,
                               (long long)kernel[i]);
            *k = kernel[i];
        }
    }
    PI_TRY(read_list(node, "strides", w->spatial, 0, n, 1, 1, w->stride, err));
    PI_TRY(read_list(node, "dilations", w->spatial, 0, n, 1, 1, w->dilation, err));
    PI_TRY(read_list(node, "pads", w->spatial, 0, 2 * n, 0, 0, w->pad, err));
    PI_TRY(read_list(node, "pads", w->spatial, n, 2 * n, 0, 0, w->pad_end, err));
    int64_t taps;
    if (!pi_mul_i64(w->kernel[0], w->kernel[1], &taps) || !pi_mul_i64(taps, w->kernel[2], &taps))
        return pi_fail(err, PI_E_LIMIT, "the kernel has more elements than can be counted");
    const char *a = auto_pad_of(node);
    if (strcmp(a, "NOTSET") != 0 && strcmp(a, "VALID") != 0 && strcmp(a, "SAME_UPPER") != 0 && strcmp(a, "SAME_LOWER") != 0)
        return pi_fail(err, PI_E_MODEL, "attribute 'auto_pad' is '%.40s', expected NOTSET, VALID, SAME_UPPER or SAME_LOWER", a);
    return PI_E_OK;
}

/* Output size along one dimension, and the pads where auto_pad chooses them. */
static pi_status slide(pi_window *w, int i, const char *auto_pad, bool ceil_mode, pi_error *err)
{
    int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1, s = w->stride[i];
    if (strncmp(auto_pad, "SAME", 4) == 0) {
        w->out[i] = (w->in[i] + s - 1) / s;
        int64_t total = w->out[i] > 0 ? pi_max_i64((w->out[i] - 1) * s + reach - w->in[i], 0) : 0;
        w->pad[i] = auto_pad[5] == 'U' ? total / 2 : total - total / 2;
        w->pad_end[i] = total - w->pad[i];
        return PI_E_OK;
    }
    if (auto_pad[0] == 'V') w->pad[i] = w->pad_end[i] = 0;
    int64_t span = w->in[i] + w->pad[i] + w->pad_end[i] - reach;
    if (span < 0 && !(ceil_mode && span > -s)) /* rounded up, a part of a window is one too */
        return pi_fail(err, PI_E_MODEL, "a window of %lld (kernel %lld, dilation %lld) does not fit into %lld padded to %lld",
                       (long long)reach, (long long)w->kernel[i], (long long)w->dilation[i], (long long)w->in[i],
                       (long long)(span + reach));
    w->out[i] = (ceil_mode ? span + s - 1 : span) / s + 1;
    if (ceil_mode && (w->out[i] - 1) * s >= w->in[i] + w->pad[i]) w->out[i]--; /* it would start behind the input */
    return PI_E_OK;
}

pi_status pi_window_init(pi_window *w, const pi_node *node, const pi_tensor *x, bool nhwc, const int64_t *kernel,
                         pi_error *err)
{
    PI_TRY(pi_window_attrs(w, node, x, nhwc, kernel, err));
    bool ceil_mode = pi_row_has_attr(node, "ceil_mode") && pi_attr_int(node, "ceil_mode") != 0;
    for (int i = SPATIAL - w->spatial; i < SPATIAL; i++)
        PI_TRY(slide(w, i, auto_pad_of(node), ceil_mode, err));
    return PI_E_OK;
}

pi_status pi_window_global(pi_window *w, const pi_tensor *x, bool nhwc, pi_error *err)
{
    char text[200];
    if (x->rank < 2) return pi_fail(err, PI_E_MODEL, "X is %s, expected a rank of at least 2", pi_tensor_text(x, text, sizeof text));
    int from = nhwc ? 1 : 2;
    *w = (pi_window){.spatial = 1, .nhwc = nhwc, .batch = x->dim[0], .channels = x->dim[nhwc ? x->rank - 1 : 1]};
    for (int i = 0; i < SPATIAL; i++) w->in[i] = w->out[i] = w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
    for (int i = from; i < (nhwc ? x->rank - 1 : x->rank); i++)
        if (!pi_mul_i64(w->in[2], x->dim[i], &w->in[2]))
            return pi_fail(err, PI_E_LIMIT, "X is %s, too large", pi_tensor_text(x, text, sizeof text));
    w->kernel[2] = w->in[2];
    return PI_E_OK;
}

void pi_window_output(const pi_window *w, int64_t channels, pi_tensor *y)
{
    y->rank = w->spatial + 2;
    y->dim[0] = w->batch;
    y->dim[w->nhwc ? y->rank - 1 : 1] = channels;
    for (int i = 0; i < w->spatial; i++) y->dim[(w->nhwc ? 1 : 2) + i] = w->out[SPATIAL - w->spatial + i];
}

pi_strides pi_window_strides(bool nhwc, int64_t channels, const int64_t space[3])
{
    /* unsigned: a tensor without elements may have large dimensions, its strides are not used then */
    uint64_t w = nhwc ? (uint64_t)channels : 1, h = w * (uint64_t)space[2], d = h * (uint64_t)space[1];
    uint64_t all = d * (uint64_t)space[0];
    return (pi_strides){(int64_t)(nhwc ? all : all * (uint64_t)channels), (int64_t)(nhwc ? 1 : all),
                        {(int64_t)d, (int64_t)h, (int64_t)w}};
}

void pi_window_range(int64_t offset, int64_t stride, int64_t size, int64_t out, int64_t *from, int64_t *to)
{
    *from = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    *to = offset >= size ? 0 : pi_min_i64(out, (size - 1 - offset) / stride + 1);
    if (*from > *to) *from = *to;
}
