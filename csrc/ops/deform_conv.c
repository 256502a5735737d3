/* SPDX-License-Identifier: Apache-2.0 */
/* DeformConv (Dai et al., arXiv 1703.06211; with mask: Zhu et al., arXiv 1811.11168): a convolution whose samples are
 * moved by offsets that come with the data, and taken by linear interpolation; outside of X are zeros. In f32 the
 * samples of a few output pixels are written as a packed matrix, which kernels/igemm multiplies with the weights. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "kernels/igemm/igemm.h"
#include "ops/conv.h"
#include "ops/element.h"
#include "ops/move.h"
#include "ops/ops.h"
#include "ops/widen.h"

enum { CORNERS = 8, SPATIAL = 3, MOST_COLUMNS = 32, MOST_ROWS = 16 };

typedef struct {
    pi_window w;
    int64_t groups, offset_groups;
    int64_t out_channels, in, out; /* in, out: channels of a group */
    int64_t taps, plane, pixels;   /* of X and Y */
} deform;

/* ---- the problem ---- */

static pi_status check_shape(const char *name, const pi_tensor *t, const pi_tensor *expected, pi_error *err)
{
    char text[200], other[200];
    pi_tensor e = *expected;
    e.dtype = t->dtype;
    if (pi_tensor_same_shape(t, &e)) return PI_E_OK;
    return pi_fail(err, PI_E_MODEL, "%s is %s, expected %s", name, pi_tensor_text(t, text, sizeof text),
                   pi_tensor_text(&e, other, sizeof other));
}

static pi_status deform_init(deform *d, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *x = in[0], *wt = in[1], *bias = pi_move_in(node, in, 3), *mask = pi_move_in(node, in, 4);
    char tx[200], tw[200];
    *d = (deform){.groups = pi_attr_int(node, "group"), .offset_groups = pi_attr_int(node, "offset_group")};
    if (wt->rank != x->rank || wt->rank < 3)
        return pi_fail(err, PI_E_MODEL, "X is %s and W is %s, expected the same rank of at least 3",
                       pi_tensor_text(x, tx, sizeof tx), pi_tensor_text(wt, tw, sizeof tw));
    PI_TRY(pi_window_init(&d->w, node, x, false, wt->dim + 2, err));
    if (d->groups < 1 || d->offset_groups < 1 || d->w.channels % d->groups != 0 ||
        d->w.channels % d->offset_groups != 0 || wt->dim[0] % d->groups != 0 || wt->dim[1] != d->w.channels / d->groups)
        return pi_fail(err, PI_E_MODEL, "X is %s and W is %s, which do not go with group %lld and offset_group %lld",
                       pi_tensor_text(x, tx, sizeof tx), pi_tensor_text(wt, tw, sizeof tw), (long long)d->groups,
                       (long long)d->offset_groups);
    const pi_window *w = &d->w;
    d->out_channels = wt->dim[0];
    d->in = wt->dim[1];
    d->out = d->out_channels / d->groups;
    d->taps = w->kernel[0] * w->kernel[1] * w->kernel[2];
    pi_tensor shape = {0};
    int64_t channels;
    if (!pi_mul_i64(d->taps, d->offset_groups, &channels) || !pi_mul_i64(channels, w->spatial, &shape.dim[1]))
        return pi_fail(err, PI_E_LIMIT, "offset_group %lld is too large", (long long)d->offset_groups);
    int64_t offsets = shape.dim[1];
    pi_window_output(w, offsets, &shape);
    PI_TRY(check_shape("offset", in[2], &shape, err));
    pi_window_output(w, channels, &shape);
    if (mask) PI_TRY(check_shape("mask", mask, &shape, err));
    shape = (pi_tensor){.rank = 1, .dim = {d->out_channels}};
    return bias ? check_shape("B", bias, &shape, err) : PI_E_OK;
}

static pi_status deform_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    deform d;
    PI_TRY(deform_init(&d, node, in, err));
    pi_window_output(&d.w, d.out_channels, out);
    return PI_E_OK;
}

static pi_status prepare(pi_prep *prep, size_t columns, size_t elem, deform **out, pi_error *err)
{
    deform *d = pi_prep_alloc(prep, sizeof *d, err);
    if (!d) return pi_alloc_status(err);
    prep->state = d;
    *out = d;
    PI_TRY(deform_init(d, prep->node, prep->in, err));
    if (pi_tensor_n(prep->out[0]) == 0) return PI_E_OK;
    d->plane = pi_dims_product(prep->in[0], 2, prep->in[0]->rank);
    d->pixels = pi_dims_product(prep->out[0], 2, prep->out[0]->rank);
    size_t bytes;
    if (!pi_mul((size_t)d->in, (size_t)d->taps, &bytes) || !pi_mul(bytes, columns * elem, &bytes) ||
        !pi_mul(bytes, (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "the window has %lld places", (long long)d->taps);
    prep->flops = 2.0 * (double)pi_tensor_n(prep->out[0]) * (double)d->in * (double)d->taps;
    return PI_E_OK;
}

/* ---- samples ---- */

/* Where a sample is taken: places in a plane of X, -1 outside, and their weights. */
typedef struct {
    int corners;
    int64_t at[CORNERS];
    double weight[CORNERS];
} sample;

/* The sample of one tap for output pixel p of image n. */
static void sample_place(const deform *d, const pi_call *call, int64_t n, int64_t offset_group, int64_t tap, int64_t p,
                         sample *s)
{
    const pi_window *w = &d->w;
    const pi_tensor *offset = call->in[2], *mask = pi_move_in(call->node, call->in, 4);
    int64_t channel = (n * d->offset_groups + offset_group) * d->taps + tap, first = SPATIAL - w->spatial, pixel = p;
    double scale = mask ? pi_element_get(mask->dtype, mask->data, channel * d->pixels + p) : 1;
    int64_t step = 1;
    *s = (sample){.corners = 1, .weight = {scale}};
    for (int64_t i = SPATIAL - 1; i >= first; i--) {
        int64_t o = pixel % w->out[i], k = tap % w->kernel[i];
        pixel /= w->out[i];
        tap /= w->kernel[i];
        double moved = pi_element_get(offset->dtype, offset->data, (channel * w->spatial + i - first) * d->pixels + p);
        double at = (double)(o * w->stride[i] - w->pad[i] + k * w->dilation[i]) + moved;
        bool near = at > -1 && at < (double)w->in[i]; /* not so: NaN, or all corners are outside */
        int64_t low = near ? (int64_t)floor(at) : -1;
        double share = near ? at - (double)low : 0;
        for (int c = 0; c < s->corners; c++) {
            int64_t base = s->at[c];
            s->at[c + s->corners] = near && base >= 0 && low + 1 < w->in[i] ? base + (low + 1) * step : -1;
            s->at[c] = near && base >= 0 && low >= 0 ? base + low * step : -1;
            s->weight[c + s->corners] = s->weight[c] * share;
            s->weight[c] *= 1 - share;
        }
        s->corners *= 2;
        step *= w->in[i];
    }
}

/* ---- reference: a pixel after the other, in double ---- */

static void ref_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const deform *d = call->state;
    const pi_tensor *x = call->in[0], *wt = call->in[1], *bias = pi_move_in(call->node, call->in, 3);
    int64_t depth = d->in * d->taps, per_offset = d->w.channels / d->offset_groups;
    double *column = (double *)call->scratch + (int64_t)thread * depth;
    for (int64_t u = begin; u < end && !pi_cancelled(call); u++) {
        int64_t p = u % d->pixels, g = u / d->pixels % d->groups, n = u / d->pixels / d->groups;
        for (int64_t l = 0; l < depth; l++) {
            int64_t channel = g * d->in + l / d->taps;
            sample s;
            sample_place(d, call, n, channel / per_offset, l % d->taps, p, &s);
            column[l] = 0;
            for (int c = 0; c < s.corners; c++)
                if (s.at[c] >= 0)
                    column[l] += s.weight[c] *
                                 pi_element_get(x->dtype, x->data, (n * d->w.channels + channel) * d->plane + s.at[c]);
        }
        for (int64_t o = g * d->out; o < (g + 1) * d->out; o++) {
            double sum = bias ? pi_element_get(bias->dtype, bias->data, o) : 0;
            for (int64_t l = 0; l < depth; l++) sum += pi_element_get(wt->dtype, wt->data, o * depth + l) * column[l];
            pi_element_put(x->dtype, call->out[0]->data, (n * d->out_channels + o) * d->pixels + p, sum);
        }
    }
}

static pi_status ref_prepare(pi_prep *prep, pi_error *err)
{
    deform *d;
    return prepare(prep, 1, sizeof(double), &d, err);
}

static pi_status ref_run(const pi_call *call, pi_error *err)
{
    const deform *d = call->state;
    pi_call copy = *call;
    if (pi_tensor_n(call->out[0]) == 0) return PI_E_OK;
    pi_parallel(call->run->threads, d->w.batch * d->groups * d->pixels, 16, ref_chunk, &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

/* ---- f32 ---- */

static const char *fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)node;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    if (pi_igemm()->nr > MOST_COLUMNS || pi_igemm()->mr > MOST_ROWS) return "the tile";
    return pi_tensor_n(out[0]) == 0 || in[1]->dim[1] == 0 ? "no elements" : NULL;
}

static pi_status fast_prepare(pi_prep *prep, pi_error *err)
{
    deform *d;
    return prepare(prep, pi_igemm()->nr, sizeof(float), &d, err);
}

/* Places and weights of a row of samples, corner by corner; `corners` is a constant at each call. */
typedef struct {
    int64_t at[CORNERS][MOST_COLUMNS];
    float weight[CORNERS][MOST_COLUMNS];
} sample_row;

static inline __attribute__((always_inline)) void sample_sums(int corners, bool inside, const sample_row *s,
                                                              int64_t count, const float *plane, float *row)
{
    for (int64_t j = 0; j < count; j++) {
        float sum = 0;
#pragma GCC unroll 8
        for (int k = 0; k < corners; k++)
            if (inside || s->at[k][j] >= 0) sum += s->weight[k][j] * plane[s->at[k][j]];
        row[j] = sum;
    }
}

/* Samples of channels [from, to) of X at one tap for `count` pixels, whose places are given: rows of the packed matrix.
 */
static void take_samples(const deform *d, const sample *s, int64_t count, const float *x, int64_t from, int64_t to,
                         float *row)
{
    int64_t nr = (int64_t)pi_igemm()->nr;
    int corners = s->corners;
    bool inside = true; /* all of them: nearly always */
    sample_row r;
    for (int64_t j = 0; j < count; j++)
        for (int k = 0; k < corners; k++) {
            r.at[k][j] = s[j].at[k];
            r.weight[k][j] = (float)s[j].weight[k];
            inside = inside && s[j].at[k] >= 0;
        }
    for (int64_t c = from; c < to; c++, row += d->taps * nr) {
        const float *plane = x + c * d->plane;
        if (corners == 4 && inside)
            sample_sums(4, true, &r, count, plane, row);
        else if (corners == 8 && inside)
            sample_sums(8, true, &r, count, plane, row);
        else
            sample_sums(corners, false, &r, count, plane, row);
        for (int64_t j = count; j < nr; j++) row[j] = 0;
    }
}

/* The packed matrix of group g: a row for each channel and tap. */
static void fill_panel(const deform *d, const pi_call *call, int64_t n, int64_t g, int64_t first, int64_t count,
                       float *panel)
{
    int64_t nr = (int64_t)pi_igemm()->nr, per_offset = d->w.channels / d->offset_groups;
    const float *x = (const float *)call->in[0]->data + n * d->w.channels * d->plane;
    sample s[MOST_COLUMNS];
    for (int64_t c = g * d->in, end; c < (g + 1) * d->in; c = end) {
        int64_t og = c / per_offset;
        end = pi_min_i64((g + 1) * d->in, (og + 1) * per_offset);
        for (int64_t t = 0; t < d->taps; t++) {
            for (int64_t j = 0; j < count; j++) sample_place(d, call, n, og, t, first + j, &s[j]);
            take_samples(d, s, count, x, c, end, panel + ((c - g * d->in) * d->taps + t) * nr);
        }
    }
}

/* A chunk is a range of (image, group, panel of pixels). */
static void fast_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    const deform *d = call->state;
    const pi_igemm_kernels *gemm = pi_igemm();
    const pi_tensor *bias = pi_move_in(call->node, call->in, 3);
    int64_t nr = (int64_t)gemm->nr, mr = (int64_t)gemm->mr, depth = d->in * d->taps, panels = (d->pixels + nr - 1) / nr;
    float *panel = (float *)call->scratch + (int64_t)thread * depth * nr;
    for (int64_t u = begin; u < end && !pi_cancelled(call); u++) {
        int64_t first = u % panels * nr, g = u / panels % d->groups, n = u / panels / d->groups;
        int64_t count = pi_min_i64(nr, d->pixels - first), last = (g + 1) * d->out;
        fill_panel(d, call, n, g, first, count, panel);
        for (int64_t o = g * d->out; o < last; o += mr) {
            int64_t m = pi_min_i64(mr, last - o);
            const float *row[MOST_ROWS];
            float *y = (float *)call->out[0]->data + (n * d->out_channels + o) * d->pixels + first;
            for (int64_t i = 0; i < m; i++) row[i] = (const float *)call->in[1]->data + (o + i) * depth;
            gemm->tile((size_t)m, (size_t)count, 1, (size_t)depth, row, panel, NULL, y, (size_t)d->pixels);
            for (int64_t i = 0; bias && i < m; i++)
                for (int64_t j = 0; j < count; j++) y[i * d->pixels + j] += ((const float *)bias->data)[o + i];
        }
    }
}

static pi_status fast_run(const pi_call *call, pi_error *err)
{
    const deform *d = call->state;
    pi_call copy = *call;
    int64_t nr = (int64_t)pi_igemm()->nr, panels = (d->pixels + nr - 1) / nr;
    pi_parallel(call->run->threads, d->w.batch * d->groups * panels, 1 + 4096 / (d->in * d->taps * nr), fast_chunk,
                &copy);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

static const pi_impl impls[] = {
    {"igemm", fast_refuse, fast_prepare, fast_run, 0},
    {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
    {"ref", NULL, ref_prepare, ref_run, 0},
    {0},
};

#define INTS(name) {name, PI_ATTR_INTS, false, 0, 0, NULL}
#define INT(name, value) {name, PI_ATTR_INT, false, value, 0, NULL}
static const pi_attr_def attrs[] = {INTS("dilations"),
                                    INT("group", 1),
                                    INTS("kernel_shape"),
                                    INT("offset_group", 1),
                                    INTS("pads"),
                                    INTS("strides"),
                                    {0}};

static const pi_op rows[] = {
    {.name = "DeformConv",
     .since = 19,
     .signature = "X:T W:T offset:T B?:T mask?:T -> Y:T",
     .T = PI_FLOATS,
     .attrs = attrs,
     .infer = deform_infer,
     .impls = impls},
};
const pi_op_family pi_ops_deform_conv = {rows, PI_COUNT(rows)};
