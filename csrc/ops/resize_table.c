/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinates and weights of Resize and Upsample, as the standard and its reference evaluator define them. */
#include <math.h>
#include <string.h>

#include "ops/element.h"
#include "ops/resize_spec.h"

enum { HALF_PIXEL, HALF_PIXEL_SYMMETRIC, PYTORCH_HALF_PIXEL, ALIGN_CORNERS, ASYMMETRIC, TF_HALF_PIXEL_NN, TF_CROP };
static const char *const coordinates[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
                                          "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize", NULL};
enum { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL };
static const char *const nearests[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
static const char *const modes[] = {"nearest", "linear", "cubic", "bilinear", "trilinear", NULL};
enum { STRETCH, NOT_LARGER, NOT_SMALLER };
static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};

static pi_status find(const pi_node *node, const char *attr, const char *const *names, int *out, pi_error *err)
{
    const char *text = pi_attr_string(node, attr);
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return PI_E_OK;
        }
    return pi_fail(err, PI_E_MODEL, "%s '%.60s' is unknown", attr, text);
}

/* ---- sizes ---- */

static pi_status axis_by_scale(resize_axis *a, int i, float scale, pi_error *err)
{
    float out = (float)a->in * scale; /* in float, as the standard's shape inference has it */
    if (!(scale > 0)) return pi_fail(err, PI_E_MODEL, "the scale of axis %d is %g, expected more than 0", i, (double)scale);
    if (!(out < 9e15f))
        return pi_fail(err, PI_E_LIMIT, "axis %d of length %lld times %g is too large", i, (long long)a->in, (double)scale);
    a->out = (int64_t)floorf(out);
    a->num = 1;
    a->den = (double)scale;
    /* 0.33333334 for a third means in / out: the exact ratio keeps pixel borders where they belong */
    if (fabs((double)a->in * (double)scale - (double)a->out) < 1e-6 * (double)a->out) {
        a->num = (double)a->in;
        a->den = (double)a->out;
    }
    return PI_E_OK;
}

static pi_status axes_by_size(resize_spec *spec, const pi_list *axes, const pi_tensor *sizes, int policy, pi_error *err)
{
    double scale = 0;
    for (int i = 0; i < axes->n; i++) {
        resize_axis *a = &spec->axis[axes->v[i]];
        a->out = pi_tensor_int(sizes, i);
        if (a->out < 0) return pi_fail(err, PI_E_MODEL, "sizes has an entry %lld", (long long)a->out);
        double s = a->in ? (double)a->out / (double)a->in : 1;
        if (i == 0 || (policy == NOT_LARGER ? s < scale : s > scale)) scale = s;
    }
    for (int i = 0; i < axes->n; i++) {
        resize_axis *a = &spec->axis[axes->v[i]];
        a->num = (double)a->in;
        a->den = (double)a->out;
        if (policy == STRETCH) continue;
        double out = floor(scale * (double)a->in + 0.5);
        if (!(out < 9e15)) return pi_fail(err, PI_E_LIMIT, "axis %d becomes too large", (int)axes->v[i]);
        a->out = (int64_t)out;
        a->num = 1;
        a->den = scale;
    }
    return PI_E_OK;
}

/* ---- the node ---- */

static pi_status upsample_v1(const pi_node *node, resize_spec *spec, pi_error *err)
{
    if (spec->rank != 4) return pi_fail(err, PI_E_MODEL, "input has rank %d, expected 4", spec->rank);
    PI_TRY(axis_by_scale(&spec->axis[2], 2, pi_attr_float(node, "height_scale"), err));
    return axis_by_scale(&spec->axis[3], 3, pi_attr_float(node, "width_scale"), err);
}

static pi_status scales_of(const pi_tensor *t, const float *list, int64_t n, const pi_list *axes, resize_spec *spec, pi_error *err)
{
    if (t) PI_TRY(pi_tensor_count(t, &n, err));
    if (n != axes->n) return pi_fail(err, PI_E_MODEL, "scales has %lld entries for %d axes", (long long)n, axes->n);
    for (int i = 0; i < axes->n; i++) {
        float s;
        memcpy(&s, t ? (const float *)t->data + i : list + i, sizeof s);
        PI_TRY(axis_by_scale(&spec->axis[axes->v[i]], (int)axes->v[i], s, err));
    }
    return PI_E_OK;
}

static pi_status roi_of(const pi_node *node, const pi_tensor *roi, const pi_list *axes, resize_spec *spec, pi_error *err)
{
    int64_t n = 0;
    (void)node;
    if (roi) PI_TRY(pi_tensor_count(roi, &n, err));
    if (n != 2 * axes->n || !roi->data)
        return pi_fail(err, PI_E_MODEL, "roi has %lld entries, tf_crop_and_resize wants %d", (long long)n, 2 * axes->n);
    for (int i = 0; i < axes->n; i++)
        for (int k = 0; k < 2; k++)
            spec->axis[axes->v[i]].roi[k] = pi_element_get(roi->dtype, roi->data, i + k * axes->n);
    return PI_E_OK;
}

static const pi_tensor *filled(const pi_tensor *t) { return t && pi_tensor_n(t) > 0 ? t : NULL; }

static void axis_finish(const resize_spec *spec, resize_axis *a)
{
    double down = spec->antialias ? fmin(1.0, a->den / a->num) : 1.0;
    a->identity = a->in == a->out && a->num == a->den && !spec->crop && spec->coordinate != TF_HALF_PIXEL_NN;
    if (spec->mode == RESIZE_NEAREST)
        a->taps = 1;
    else {
        double reach = (spec->mode == RESIZE_CUBIC ? 2 : 1) / down;
        int64_t most = 4 * a->in + 8; /* further taps fall on the border */
        int64_t taps = reach < (double)most ? 2 - 2 * (int64_t)(floor(-reach) + 1) : most;
        a->taps = (int)pi_min_i64(taps, INT32_MAX / 2);
    }
}

pi_status pi_resize_open(const pi_node *node, const pi_tensor *const *in, bool with_roi, resize_spec *spec, int *known,
                         pi_error *err)
{
    int since = node->op->since, mode, policy = STRETCH;
    bool upsample = strcmp(node->op->name, "Upsample") == 0, old = upsample || since < 11;
    pi_list axes = {.n = -1};
    memset(spec, 0, sizeof *spec);
    *known = 1;
    spec->rank = in[0]->rank;
    for (int i = 0; i < spec->rank; i++)
        spec->axis[i] = (resize_axis){.in = in[0]->dim[i], .out = in[0]->dim[i], .num = 1, .den = 1, .roi = {0, 1}};
    PI_TRY(find(node, "mode", modes, &mode, err));
    spec->mode = mode > RESIZE_CUBIC ? RESIZE_LINEAR : (resize_mode)mode;
    spec->coordinate = ASYMMETRIC;
    spec->nearest = FLOOR;
    if (!old) {
        PI_TRY(find(node, "coordinate_transformation_mode", coordinates, &spec->coordinate, err));
        PI_TRY(find(node, "nearest_mode", nearests, &spec->nearest, err));
        spec->cubic_a = pi_attr_float(node, "cubic_coeff_a");
        spec->exclude_outside = pi_attr_int(node, "exclude_outside") != 0;
        spec->extrapolation = pi_attr_float(node, "extrapolation_value");
        spec->crop = spec->coordinate == TF_CROP;
        if (since >= 18) {
            spec->antialias = pi_attr_int(node, "antialias") != 0;
            PI_TRY(find(node, "keep_aspect_ratio_policy", policies, &policy, err));
            PI_TRY(pi_move_attr(node, "axes", &axes, err));
        }
    }
    if (axes.n < 0) {
        axes.n = spec->rank;
        for (int i = 0; i < axes.n; i++) axes.v[i] = i;
    }
    PI_TRY(pi_move_axes(&axes, spec->rank, err));
    if (upsample && since < 7) {
        PI_TRY(upsample_v1(node, spec, err));
    } else if (upsample && since < 9) {
        uint32_t n;
        const float *scales = pi_attr_floats(node, "scales", &n);
        PI_TRY(scales_of(NULL, scales, n, &axes, spec, err));
    } else {
        const pi_tensor *scales = filled(pi_move_in(node, in, old ? 1 : 2)), *sizes = old ? NULL : filled(pi_move_in(node, in, 3));
        int64_t n;
        if (!scales && !sizes) return pi_fail(err, PI_E_MODEL, "neither scales nor sizes are given");
        if (sizes ? !sizes->data : !scales->data) {
            *known = 0;
            return PI_E_OK;
        }
        if (sizes) {
            PI_TRY(pi_tensor_count(sizes, &n, err));
            if (n != axes.n) return pi_fail(err, PI_E_MODEL, "sizes has %lld entries for %d axes", (long long)n, axes.n);
            PI_TRY(axes_by_size(spec, &axes, sizes, policy, err));
        } else {
            PI_TRY(scales_of(scales, NULL, 0, &axes, spec, err));
        }
        if (spec->crop && with_roi) PI_TRY(roi_of(node, filled(pi_move_in(node, in, 1)), &axes, spec, err));
    }
    for (int i = 0; i < spec->rank; i++) {
        resize_axis *a = &spec->axis[i];
        if (a->in == 0 && a->out > 0) return pi_fail(err, PI_E_MODEL, "axis %d is empty and cannot be enlarged", i);
        if (a->in > 0 && a->out > 0) axis_finish(spec, a);
    }
    return PI_E_OK;
}

void pi_resize_guess(resize_spec *spec, const pi_tensor *out)
{
    for (int i = 0; i < spec->rank; i++) {
        resize_axis *a = &spec->axis[i];
        a->out = out->dim[i];
        a->num = (double)a->in;
        a->den = (double)a->out - 0.5; /* a length is rounded from a little less at most */
        if (a->in > 0 && a->out > 0) axis_finish(spec, a);
        a->identity = false;
    }
}

/* ---- tables ---- */

/* In floats, as TensorFlow and ONNX Runtime have it: a box that ends on the last pixel does not end behind it. */
static double crop_source(const resize_axis *a, float x, float in, float length)
{
    float from = (float)a->roi[0], to = (float)a->roi[1];
    return (double)(a->out == 1 ? (from + to) * in / 2 : from * in + x * (to - from) * in / length);
}

/* Where output index j lies among the input's indices. */
static double source(const resize_spec *spec, const resize_axis *a, int64_t j)
{
    double x = (double)j, in = (double)a->in, length = in * a->den / a->num; /* of the output, with its fraction */
    switch (spec->coordinate) {
    case HALF_PIXEL_SYMMETRIC:
        return in / 2 * (1 - (double)a->out / length) + (x + 0.5) * a->num / a->den - 0.5;
    case PYTORCH_HALF_PIXEL: return a->out == 1 ? -0.5 : (x + 0.5) * a->num / a->den - 0.5;
    case ALIGN_CORNERS: return a->out == 1 || length == 1 ? 0 : x * (in - 1) / (length - 1);
    case ASYMMETRIC: return x * a->num / a->den;
    case TF_HALF_PIXEL_NN: return (x + 0.5) * a->num / a->den;
    case TF_CROP: return crop_source(a, (float)j, (float)in - 1, (float)length - 1);
    default: return (x + 0.5) * a->num / a->den - 0.5;
    }
}

static double cubic(double x, double A)
{
    x = fabs(x);
    if (x <= 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
    return x < 2 ? ((A * x - 5 * A) * x + 8 * A) * x - 4 * A : 0;
}

static int64_t nearest(double x, int rule)
{
    switch (rule) {
    case ROUND_PREFER_FLOOR: return (int64_t)ceil(x - 0.5);
    case ROUND_PREFER_CEIL: return (int64_t)floor(x + 0.5);
    case FLOOR: return (int64_t)floor(x);
    default: return (int64_t)ceil(x);
    }
}

static void axis_table(const resize_spec *spec, resize_axis *a)
{
    double down = spec->antialias ? fmin(1.0, a->den / a->num) : 1.0;
    for (int64_t j = 0; j < a->out; j++) {
        double x = source(spec, a, j), sum = 0;
        int64_t *index = a->index + j * a->taps;
        double *weight = a->weight + j * a->taps;
        if (!(x > -1e15 && x < 1e15)) x = 0;
        if (a->outside) a->outside[j] = x < 0 || x > (double)(a->in - 1);
        if (spec->mode == RESIZE_NEAREST) {
            index[0] = pi_max_i64(0, pi_min_i64(nearest(x, spec->nearest), a->in - 1));
            weight[0] = 1;
            continue;
        }
        int64_t left = (int64_t)ceil(x) - 1, first = left - a->taps / 2 + 1; /* x lies in (left, left + 1] */
        for (int k = 0; k < a->taps; k++) {
            double d = ((double)(first + k) - x) * down;
            weight[k] = spec->mode == RESIZE_CUBIC ? cubic(d, (double)spec->cubic_a) : fmax(0, 1 - fabs(d));
            if (spec->exclude_outside && (first + k < 0 || first + k >= a->in)) weight[k] = 0;
            index[k] = pi_max_i64(0, pi_min_i64(first + k, a->in - 1));
            sum += weight[k];
        }
        if (sum != 0 && (spec->antialias || spec->exclude_outside))
            for (int k = 0; k < a->taps; k++) weight[k] /= sum;
    }
}

static bool axis_bytes(const resize_axis *a, size_t *bytes)
{
    size_t n, b;
    return pi_mul((size_t)a->out, (size_t)a->taps, &n) && pi_mul(n, 16, &b) && pi_add(b, (size_t)a->out + 16, &b) &&
           pi_add(*bytes, b / 16 * 16, bytes);
}

pi_status pi_resize_bytes(const resize_spec *spec, size_t *bytes, pi_error *err)
{
    *bytes = 0;
    for (int i = 0; i < spec->rank; i++)
        if (!axis_bytes(&spec->axis[i], bytes)) return pi_fail(err, PI_E_LIMIT, "the tables of axis %d are too large", i);
    return PI_E_OK;
}

void pi_resize_tables(resize_spec *spec, void *memory)
{
    char *at = memory;
    for (int i = 0; i < spec->rank; i++) {
        resize_axis *a = &spec->axis[i];
        size_t n = (size_t)a->out * (size_t)a->taps;
        a->index = (int64_t *)(void *)at;
        a->weight = (double *)(void *)(at + 8 * n);
        a->outside = spec->crop ? (uint8_t *)at + 16 * n : NULL;
        at += (16 * n + (size_t)a->out + 16) / 16 * 16;
        axis_table(spec, a);
    }
}
