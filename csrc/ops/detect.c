/* SPDX-License-Identifier: Apache-2.0 */
/* Detection: NonMaxSuppression, RoiAlign, MaxRoiPool. Boxes are data: each index is checked, each loop is bounded by the
 * shapes and not by the boxes' values. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "kernels/resize/resize.h"
#include "ops/element.h"
#include "ops/index.h"
#include "ops/order.h"

/* ---- NonMaxSuppression: boxes [B, N, 4], scores [B, C, N] -> [found, 3] of (batch, class, box) ---- */

typedef struct {
    const float *boxes, *scores;
    int64_t batches, classes, n, most;
    float iou, score;
    bool center, by_score;
    int64_t *order; /* [B * C][N]; the chosen ones end up at the front */
    int64_t *count; /* [B * C] */
    float *corners; /* of the chosen ones: [threads][N][4] */
} nms_job;

typedef struct {
    const float *score;
} nms_scores;

/* The order in which boxes come out of a heap is from its end: the best last. */
static bool nms_after(const void *arg, int64_t a, int64_t b)
{
    const float *s = ((const nms_scores *)arg)->score;
    return s[a] < s[b] || (!(s[b] < s[a]) && a > b);
}

/* Corners low and high of a box, whichever way it was given. */
static void nms_corners(const float *box, bool center, float *c)
{
    for (int k = 0; k < 2; k++) {
        float a = box[k], b = box[k + 2];
        if (center) {
            c[k] = a - b / 2;
            c[k + 2] = a + b / 2;
        } else {
            c[k] = a < b ? a : b;
            c[k + 2] = a < b ? b : a;
        }
    }
}

static float nms_iou(const float *a, const float *b)
{
    float side0 = (b[2] < a[2] ? b[2] : a[2]) - (b[0] > a[0] ? b[0] : a[0]);
    float side1 = (b[3] < a[3] ? b[3] : a[3]) - (b[1] > a[1] ? b[1] : a[1]);
    if (!(side0 > 0) || !(side1 > 0)) return 0;
    float both = side0 * side1;
    float all = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both;
    return all > 0 ? both / all : 0;
}

static void nms_task(void *arg, int64_t begin, int64_t end, int thread)
{
    const nms_job *job = arg;
    float *corners = job->corners + thread * job->n * 4;
    for (int64_t bc = begin; bc < end; bc++) {
        const float *boxes = job->boxes + bc / job->classes * job->n * 4;
        nms_scores scores = {job->scores + bc * job->n};
        int64_t *order = job->order + bc * job->n, candidates = 0, chosen = 0;
        for (int64_t i = 0; i < job->n; i++) /* NaN is no candidate */
            order[candidates] = i, candidates += job->by_score ? scores.score[i] > job->score : scores.score[i] == scores.score[i];
        pi_order_heap(order, candidates, nms_after, &scores); /* only as many are sorted as are looked at */
        int64_t *best = order + candidates - 1;                /* the chosen ones, growing down from the end */
        for (int64_t left = candidates; left > 0 && chosen < job->most; left--) {
            bool keep = true;
            int64_t box = pi_order_pop(order, left, nms_after, &scores);
            float *mine = corners + 4 * chosen;
            nms_corners(boxes + 4 * box, job->center, mine);
            for (int64_t k = 0; keep && k < chosen; k++) keep = !(nms_iou(mine, corners + 4 * k) > job->iou);
            if (keep) best[-chosen++] = box;
        }
        for (int64_t i = 0; i < candidates / 2; i++) { /* to the front */
            int64_t v = order[i];
            order[i] = best[-i];
            best[-i] = v;
        }
        job->count[bc] = chosen;
    }
}

static pi_status nms_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    (void)out;
    const int64_t *b = in[0]->dim, *s = in[1]->dim;
    if (in[0]->rank != 3 || in[1]->rank != 3 || b[0] != s[0] || b[1] != s[2] || b[2] != 4) {
        char x[160], y[160];
        return pi_fail(err, PI_E_MODEL, "boxes %s and scores %s are not [B, N, 4] and [B, C, N]",
                       pi_tensor_text(in[0], x, sizeof x), pi_tensor_text(in[1], y, sizeof y));
    }
    return PI_E_OK;
}

static pi_status nms_prepare(pi_prep *prep, pi_error *err)
{
    const int64_t *s = prep->in[1]->dim;
    size_t lanes, cells, corners;
    if (!pi_mul((size_t)s[0], (size_t)s[1], &lanes) || !pi_mul(lanes, (size_t)s[2] + 1, &cells) ||
        !pi_mul(cells, sizeof(int64_t), &cells) || !pi_mul((size_t)s[2], 4 * sizeof(float) * (size_t)prep->threads, &corners) ||
        !pi_add(cells, corners, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "too many scores");
    return PI_E_OK;
}

static pi_status nms_number(const pi_tensor *t, const char *name, double *out, pi_error *err)
{
    int64_t n;
    PI_TRY(pi_tensor_count(t, &n, err));
    if (n != 1) return pi_fail(err, PI_E_MODEL, "%s has %lld elements, expected 1", name, (long long)n);
    *out = pi_element_get(t->dtype, t->data, 0);
    return PI_E_OK;
}

static pi_status nms_run(const pi_call *call, pi_error *err)
{
    const int64_t *s = call->in[1]->dim;
    nms_job job = {.boxes = call->in[0]->data, .scores = call->in[1]->data, .batches = s[0], .classes = s[1], .n = s[2]};
    const pi_tensor *most = pi_move_in(call->node, call->in, 2), *iou = pi_move_in(call->node, call->in, 3);
    const pi_tensor *score = pi_move_in(call->node, call->in, 4);
    double v = 0;
    if (most) PI_TRY(pi_move_scalar(most, "max_output_boxes_per_class", &job.most, err));
    if (iou) PI_TRY(nms_number(iou, "iou_threshold", &v, err));
    if (!(v >= 0 && v <= 1)) return pi_fail(err, PI_E_INPUT, "iou_threshold is %g, expected 0 to 1", v);
    job.iou = (float)v;
    if (score) PI_TRY(nms_number(score, "score_threshold", &v, err));
    job.score = (float)v;
    job.by_score = score != NULL;
    job.center = pi_attr_int(call->node, "center_point_box") != 0;
    int64_t lanes = job.batches * job.classes, total = 0;
    job.count = call->scratch;
    job.order = job.count + lanes;
    job.corners = (float *)(void *)(job.order + lanes * job.n);
    pi_parallel(call->run->threads, lanes, pi_max_i64(1, 2048 / (job.n + 1)), nms_task, &job);
    for (int64_t l = 0; l < lanes; l++) total += job.count[l];
    if (!call->out[0]) return PI_E_OK;
    int64_t dim[2] = {total, 3};
    PI_TRY(pi_call_output(call, 0, 2, dim, err));
    int64_t *y = call->out[0]->data;
    for (int64_t l = 0; l < lanes; l++)
        for (int64_t k = 0; k < job.count[l]; k++, y += 3) {
            y[0] = l / job.classes;
            y[1] = l % job.classes;
            y[2] = job.order[l * job.n + k];
        }
    return PI_E_OK;
}

/* ---- RoiAlign ---- */

typedef struct {
    const pi_tensor *x, *rois, *batch;
    pi_tensor *y;
    int64_t ph, pw, sampling;
    double scale, offset;
    bool max;
    void (*mix)(float *out, const float *const *row, const float *weight, int taps, int64_t n);
    char *scratch; /* `room` bytes for each thread */
    size_t room;
} roi_job;

static pi_status roi_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const char *mode = pi_attr_string(node, "mode");
    if (strcmp(mode, "avg") != 0 && strcmp(mode, "max") != 0)
        return pi_fail(err, PI_E_MODEL, "mode '%.40s' is neither avg nor max", mode);
    if (in[0]->rank != 4 || in[1]->rank != 2 || in[1]->dim[1] != 4)
        return pi_fail(err, PI_E_MODEL, "X wants rank 4 and rois the shape [R, 4]");
    if (in[2]->rank != 1 || in[2]->dim[0] != in[1]->dim[0])
        return pi_fail(err, PI_E_MODEL, "batch_indices want one entry for each of %lld rois", (long long)in[1]->dim[0]);
    int64_t dim[4] = {in[1]->dim[0], in[0]->dim[1], pi_attr_int(node, "output_height"), pi_attr_int(node, "output_width")};
    if (dim[2] < 1 || dim[3] < 1) return pi_fail(err, PI_E_MODEL, "output_height and output_width must be at least 1");
    if (in[0]->dim[2] < 1 || in[0]->dim[3] < 1) return pi_fail(err, PI_E_MODEL, "X has an empty plane");
    return pi_move_shape(out, 4, dim, err);
}

/* The two pixels beside place p of an axis, and their weights: 0 outside of the plane. */
static void roi_between(double p, int64_t length, int64_t *at, double *weight)
{
    at[0] = at[1] = 0;
    weight[0] = weight[1] = 0;
    if (!(p >= -1 && p <= (double)length)) return;
    p = fmax(p, 0);
    at[0] = pi_min_i64((int64_t)p, length - 1);
    at[1] = pi_min_i64(at[0] + 1, length - 1);
    weight[1] = at[0] == at[1] ? 0 : p - (double)at[0];
    weight[0] = 1 - weight[1];
}

/* Start, size and samples of roi r along axis k (0: x, 1: y). */
static void roi_span(const roi_job *job, int64_t r, int k, double *start, double *bin, int64_t *grid)
{
    int64_t parts = k ? job->ph : job->pw;
    double a = pi_element_get(job->rois->dtype, job->rois->data, 4 * r + k) * job->scale - job->offset;
    double b = pi_element_get(job->rois->dtype, job->rois->data, 4 * r + k + 2) * job->scale - job->offset;
    double size = job->offset > 0 ? b - a : fmax(b - a, 1);
    *start = a;
    *bin = size / (double)parts;
    double samples = job->sampling > 0 ? (double)job->sampling : ceil(size / (double)parts);
    *grid = samples > 0 ? samples < 1e6 ? (int64_t)samples : 1000000 : 0;
}

/* Some samples of a bin along one axis: their pixels and weights. The corners of all samples are each of the rows with each of
 * the columns, and the weight of a corner is the product. */
enum { ROI_CHANNELS = 64, ROI_SAMPLES = 32 };
typedef struct {
    int64_t n, at[2 * ROI_SAMPLES];
    double weight[2 * ROI_SAMPLES];
} roi_axis;

/* Samples [from, to) at start + i * step. join: pixels that neighbouring samples share come once, with the sum of weights. */
static void roi_axis_init(roi_axis *axis, double start, double step, int64_t from, int64_t to, int64_t length, bool join)
{
    axis->n = 0;
    for (int64_t i = from; i < to; i++) {
        int64_t at[2];
        double weight[2];
        roi_between(start + (double)i * step, length, at, weight);
        for (int k = 0; k < 2; k++) {
            int64_t j = axis->n - 1;
            if (j > 0 && axis->at[j] != at[k]) j--;
            if (!join || j < 0 || axis->at[j] != at[k]) {
                j = axis->n++;
                axis->at[j] = at[k];
                axis->weight[j] = 0;
            }
            axis->weight[j] += weight[k];
        }
    }
}

/* Sum (largest) of the weighted corners of one channel, after what `sum` has. */
static double roi_reduce(const roi_job *job, int64_t plane, const roi_axis *rows, const roi_axis *columns, double sum)
{
    const float *x = job->x->dtype == PI_DTYPE_F32 ? (const float *)job->x->data + plane : NULL;
    for (int64_t i = 0; i < rows->n; i++) {
        int64_t row = rows->at[i] * job->x->dim[3];
        double part = 0;
        if (x && !job->max) {
            for (int64_t k = 0; k < columns->n; k++) part += columns->weight[k] * (double)x[row + columns->at[k]];
            sum += rows->weight[i] * part;
            continue;
        }
        for (int64_t k = 0; k < columns->n; k++) {
            double v = pi_element_get(job->x->dtype, job->x->data, plane + row + columns->at[k]);
            v *= rows->weight[i] * columns->weight[k];
            sum = job->max ? fmax(sum, v) : sum + v;
        }
    }
    return sum;
}

/* Bin `bin` of roi r: sum or maximum of `many` channels from `plane` on, and how many samples there are. */
static int64_t roi_bin(const roi_job *job, int64_t r, int64_t bin, int64_t plane, int64_t many, double *sum)
{
    int64_t h = job->x->dim[2], w = job->x->dim[3], grid_x, grid_y;
    double x0, y0, bin_x, bin_y;
    roi_axis rows, columns;
    roi_span(job, r, 0, &x0, &bin_x, &grid_x);
    roi_span(job, r, 1, &y0, &bin_y, &grid_y);
    double step_y = bin_y / (double)grid_y, step_x = bin_x / (double)grid_x;
    y0 += (double)(bin / job->pw) * bin_y + 0.5 * step_y;
    x0 += (double)(bin % job->pw) * bin_x + 0.5 * step_x;
    for (int64_t c = 0; c < many; c++) sum[c] = job->max && grid_x * grid_y > 0 ? -INFINITY : 0;
    for (int64_t i = 0; i < grid_y; i += ROI_SAMPLES) {
        roi_axis_init(&rows, y0, step_y, i, pi_min_i64(i + ROI_SAMPLES, grid_y), h, !job->max);
        for (int64_t k = 0; k < grid_x; k += ROI_SAMPLES) {
            roi_axis_init(&columns, x0, step_x, k, pi_min_i64(k + ROI_SAMPLES, grid_x), w, !job->max);
            for (int64_t c = 0; c < many; c++) sum[c] = roi_reduce(job, plane + c * h * w, &rows, &columns, sum[c]);
        }
    }
    return grid_x * grid_y;
}

/* The corners of a whole roi: rows[ph] and columns[pw], and the columns [low, low + wide) in which they all are. */
typedef struct {
    roi_axis *rows, *columns;
    float *mixed;
    int64_t low, wide;
    double samples;
} roi_corners;

/* false: not averages of f32, or samples that do not fit, or bins that are wide beside their samples. */
static bool roi_corners_init(const roi_job *job, int64_t r, roi_corners *c)
{
    int64_t w = job->x->dim[3], grid_x, grid_y, taps = 0, high = 0;
    double x0, y0, bin_x, bin_y;
    roi_span(job, r, 0, &x0, &bin_x, &grid_x);
    roi_span(job, r, 1, &y0, &bin_y, &grid_y);
    if (job->max || job->x->dtype != PI_DTYPE_F32 || grid_x > ROI_SAMPLES || grid_y > ROI_SAMPLES || grid_x * grid_y == 0)
        return false;
    double step_y = bin_y / (double)grid_y, step_x = bin_x / (double)grid_x;
    for (int64_t i = 0; i < job->ph; i++)
        roi_axis_init(&c->rows[i], y0 + (double)i * bin_y + 0.5 * step_y, step_y, 0, grid_y, job->x->dim[2], true);
    c->low = w;
    for (int64_t i = 0; i < job->pw; i++) {
        roi_axis_init(&c->columns[i], x0 + (double)i * bin_x + 0.5 * step_x, step_x, 0, grid_x, w, true);
        taps += c->columns[i].n;
        for (int64_t k = 0; k < c->columns[i].n; k++) {
            c->low = pi_min_i64(c->low, c->columns[i].at[k]);
            high = pi_max_i64(high, c->columns[i].at[k]);
        }
    }
    c->wide = high + 1 - c->low;
    c->samples = (double)(grid_x * grid_y);
    return c->wide <= 4 * taps;
}

/* All bins of one channel: the rows under a row of bins become one, which its bins share. */
static void roi_plane(const roi_job *job, const roi_corners *c, const float *x, float *y)
{
    const float *row[2 * ROI_SAMPLES];
    float weight[2 * ROI_SAMPLES];
    for (int64_t i = 0; i < job->ph; i++) {
        const roi_axis *rows = &c->rows[i];
        for (int64_t k = 0; k < rows->n; k++) {
            row[k] = x + rows->at[k] * job->x->dim[3] + c->low;
            weight[k] = (float)rows->weight[k];
        }
        job->mix(c->mixed, row, weight, (int)rows->n, c->wide);
        for (int64_t j = 0; j < job->pw; j++) {
            const roi_axis *columns = &c->columns[j];
            double sum = 0;
            for (int64_t k = 0; k < columns->n; k++) sum += columns->weight[k] * (double)c->mixed[columns->at[k] - c->low];
            y[i * job->pw + j] = (float)(sum / c->samples);
        }
    }
}

/* Units: (roi, block of channels), all bins; the corners are found once for the block. */
static void roi_task(void *arg, int64_t begin, int64_t end, int thread)
{
    const roi_job *job = arg;
    roi_corners corners = {.rows = (roi_axis *)(void *)(job->scratch + (size_t)thread * job->room)};
    corners.columns = corners.rows + job->ph;
    corners.mixed = (float *)(void *)(corners.columns + job->pw);
    int64_t channels = job->x->dim[1], plane = job->x->dim[2] * job->x->dim[3], bins = job->ph * job->pw;
    int64_t blocks = (channels + ROI_CHANNELS - 1) / ROI_CHANNELS;
    for (int64_t unit = begin; unit < end; unit++) {
        int64_t r = unit / blocks, first = unit % blocks * ROI_CHANNELS, many = pi_min_i64(ROI_CHANNELS, channels - first);
        int64_t image = pi_index_at(job->batch, r, job->x->dim[0]) * channels + first;
        if (roi_corners_init(job, r, &corners)) {
            for (int64_t c = 0; c < many; c++)
                roi_plane(job, &corners, (const float *)job->x->data + (image + c) * plane,
                          (float *)job->y->data + (r * channels + first + c) * bins);
            continue;
        }
        for (int64_t bin = 0; bin < bins; bin++) {
            double sum[ROI_CHANNELS];
            int64_t samples = roi_bin(job, r, bin, image * plane, many, sum);
            double count = job->max ? 1 : (double)pi_max_i64(1, samples);
            for (int64_t c = 0; c < many; c++)
                pi_element_put(job->y->dtype, job->y->data, (r * channels + first + c) * bins + bin, sum[c] / count);
        }
    }
}

/* Bytes of scratch for each thread, in *room. */
static pi_status roi_room(const pi_node *node, const pi_tensor *x, size_t *room, pi_error *err)
{
    size_t axes = (size_t)pi_attr_int(node, "output_height"), row;
    if (!pi_add(axes, (size_t)pi_attr_int(node, "output_width"), &axes) || !pi_mul(axes, sizeof(roi_axis), room) ||
        !pi_mul((size_t)x->dim[3], sizeof(double), &row) || !pi_add(*room, row, room))
        return pi_fail(err, PI_E_LIMIT, "too many bins");
    return PI_E_OK;
}

static pi_status roi_prepare(pi_prep *prep, pi_error *err)
{
    size_t room;
    PI_TRY(roi_room(prep->node, prep->in[0], &room, err));
    if (!pi_mul(room, (size_t)prep->threads, &prep->scratch)) return pi_fail(err, PI_E_LIMIT, "too many bins");
    return PI_E_OK;
}

static pi_status roi_run(const pi_call *call, pi_error *err)
{
    const pi_node *node = call->node;
    PI_TRY(pi_move_outputs(call, err));
    roi_job job = {.x = call->in[0], .rois = call->in[1], .batch = call->in[2], .y = call->out[0]};
    job.mix = pi_resize_select()->mix;
    job.scratch = call->scratch;
    PI_TRY(roi_room(node, job.x, &job.room, err));
    job.ph = job.y->dim[2];
    job.pw = job.y->dim[3];
    job.sampling = pi_attr_int(node, "sampling_ratio");
    job.scale = (double)pi_attr_float(node, "spatial_scale");
    job.max = strcmp(pi_attr_string(node, "mode"), "max") == 0;
    if (node->op->since >= 16) {
        const char *how = pi_attr_string(node, "coordinate_transformation_mode");
        if (strcmp(how, "half_pixel") == 0)
            job.offset = 0.5;
        else if (strcmp(how, "output_half_pixel") != 0)
            return pi_fail(err, PI_E_MODEL, "coordinate_transformation_mode '%.40s' is unknown", how);
    }
    PI_TRY(pi_index_check(job.batch, job.x->dim[0], 0, err));
    int64_t n = pi_tensor_n(job.batch);
    for (int64_t r = 0; r < n; r++)
        for (int k = 0; k < 2; k++) {
            double start, bin;
            int64_t grid, side = job.x->dim[3 - k];
            roi_span(&job, r, k, &start, &bin, &grid);
            if (!(fabs(start) < 1e15) || !(fabs(bin) < 1e15))
                return pi_fail(err, PI_E_INPUT, "roi %lld is not finite", (long long)r);
            if (grid > 16 * side + 4096) /* each sample would be a thirtieth of a pixel, or lie far outside */
                return pi_fail(err, PI_E_INPUT, "roi %lld asks for %lld samples on an axis of %lld", (long long)r,
                               (long long)grid, (long long)side);
        }
    pi_parallel(call->run->threads, n * ((job.x->dim[1] + ROI_CHANNELS - 1) / ROI_CHANNELS), 1, roi_task, &job);
    return PI_E_OK;
}

/* ---- MaxRoiPool: rois [R, 5] of (batch, x1, y1, x2, y2) ---- */

static pi_status pool_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_list shape;
    PI_TRY(pi_move_attr(node, "pooled_shape", &shape, err));
    if (shape.n != 2 || shape.v[0] < 1 || shape.v[1] < 1)
        return pi_fail(err, PI_E_MODEL, "pooled_shape wants a height and a width of at least 1");
    if (in[0]->rank != 4 || in[1]->rank != 2 || in[1]->dim[1] != 5)
        return pi_fail(err, PI_E_MODEL, "X wants rank 4 and rois the shape [R, 5]");
    int64_t dim[4] = {in[1]->dim[0], in[0]->dim[1], shape.v[0], shape.v[1]};
    return pi_move_shape(out, 4, dim, err);
}

/* Pixels [from, to) of bin p along one axis, cut to the plane. */
static void pool_span(double low, double high, double scale, int64_t parts, int64_t p, int64_t length, int64_t *from, int64_t *to)
{
    double a = round(low * scale), b = round(high * scale), size = fmax(b - a + 1, 1) / (double)parts;
    *from = (int64_t)fmin(fmax(floor((double)p * size) + a, 0), (double)length);
    *to = (int64_t)fmin(fmax(ceil((double)(p + 1) * size) + a, 0), (double)length);
}

static pi_status pool_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *x = call->in[0], *rois = call->in[1];
    pi_tensor *y = call->out[0];
    double scale = (double)pi_attr_float(call->node, "spatial_scale"), roi[5];
    int64_t h = x->dim[2], w = x->dim[3], o = 0;
    for (int64_t r = 0; r < rois->dim[0]; r++) {
        for (int k = 0; k < 5; k++) {
            roi[k] = pi_element_get(rois->dtype, rois->data, 5 * r + k);
            if (!(fabs(roi[k]) < 1e15)) return pi_fail(err, PI_E_INPUT, "roi %lld is not finite", (long long)r);
        }
        if (!(roi[0] >= 0 && roi[0] < (double)x->dim[0]))
            return pi_fail(err, PI_E_INPUT, "batch index %g of roi %lld is out of range for %lld", roi[0], (long long)r,
                           (long long)x->dim[0]);
        for (int64_t c = 0; c < x->dim[1]; c++)
            for (int64_t bin = 0; bin < y->dim[2] * y->dim[3]; bin++, o++) {
                int64_t y0, y1, x0, x1, plane = ((int64_t)roi[0] * x->dim[1] + c) * h * w;
                pool_span(roi[2], roi[4], scale, y->dim[2], bin / y->dim[3], h, &y0, &y1);
                pool_span(roi[1], roi[3], scale, y->dim[3], bin % y->dim[3], w, &x0, &x1);
                double top = y0 < y1 && x0 < x1 ? -INFINITY : 0;
                for (int64_t i = y0; i < y1; i++)
                    for (int64_t j = x0; j < x1; j++) top = fmax(top, pi_element_get(x->dtype, x->data, plane + i * w + j));
                pi_element_put(y->dtype, y->data, o, top);
            }
    }
    return PI_E_OK;
}

static const pi_impl nms_impls[] = {{.name = "ref", .prepare = nms_prepare, .run = nms_run}, {0}};
static const pi_impl roi_impls[] = {{.name = "ref", .prepare = roi_prepare, .run = roi_run}, {0}};
static const pi_impl pool_impls[] = {{.name = "ref", .run = pool_run}, {0}};

static const pi_attr_def nms_attrs[] = {{.name = "center_point_box", .kind = PI_ATTR_INT, .i = 0}, {0}};
#define ROI_ATTRS                                                        \
    {.name = "mode", .kind = PI_ATTR_STRING, .s = "avg"},                \
    {.name = "output_height", .kind = PI_ATTR_INT, .i = 1},              \
    {.name = "output_width", .kind = PI_ATTR_INT, .i = 1},               \
    {.name = "sampling_ratio", .kind = PI_ATTR_INT, .i = 0},             \
    {.name = "spatial_scale", .kind = PI_ATTR_FLOAT, .f = 1}
static const pi_attr_def roi_attrs_v10[] = {ROI_ATTRS, {0}};
static const pi_attr_def roi_attrs[] = {
    ROI_ATTRS, {.name = "coordinate_transformation_mode", .kind = PI_ATTR_STRING, .s = "half_pixel"}, {0}};
static const pi_attr_def pool_attrs[] = {{.name = "pooled_shape", .kind = PI_ATTR_INTS, .required = true},
                                         {.name = "spatial_scale", .kind = PI_ATTR_FLOAT, .f = 1},
                                         {0}};

static const pi_op rows[] = {
    {.name = "NonMaxSuppression", .since = 10,
     .signature = "boxes:f32 scores:f32 max_output_boxes_per_class?:i64 iou_threshold?:f32 score_threshold?:f32 "
                  "-> selected_indices:i64",
     .attrs = nms_attrs, .infer = nms_infer, .impls = nms_impls},
    {.name = "RoiAlign", .since = 10, .signature = "X:T rois:T batch_indices:i64 -> Y:T", .T = PI_FLOATS,
     .attrs = roi_attrs_v10, .infer = roi_infer, .impls = roi_impls},
    {.name = "RoiAlign", .since = 16, .signature = "X:T rois:T batch_indices:i64 -> Y:T", .T = PI_FLOATS,
     .attrs = roi_attrs, .infer = roi_infer, .impls = roi_impls},
    {.name = "MaxRoiPool", .since = 1, .signature = "X:T rois:T -> Y:T", .T = PI_FLOATS, .attrs = pool_attrs,
     .infer = pool_infer, .impls = pool_impls},
};
const pi_op_family pi_ops_detect = {rows, PI_COUNT(rows)};
