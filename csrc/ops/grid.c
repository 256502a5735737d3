/* SPDX-License-Identifier: Apache-2.0 */
/* GridSample and AffineGrid. A place of the grid gives up to 4 taps on each axis; their products are the weights of up to 64
 * elements, the same for all channels. */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "base/str.h"
#include "ops/block.h"
#include "ops/element.h"
#include "ops/move.h"

enum { AXES = 3, TAPS = 4, PLACES = 64, ROOM = 256 }; /* places done at once at most, and elements that make them up */
typedef enum { GRID_LINEAR, GRID_NEAREST, GRID_CUBIC } grid_mode;
typedef enum { GRID_ZEROS, GRID_BORDER, GRID_REFLECTION } grid_padding;

typedef struct {
    const pi_tensor *x, *grid;
    pi_tensor *y;
    grid_mode mode;
    grid_padding padding;
    bool align;
    int axes;
    int64_t dim[AXES], places, plane; /* of x; places of the grid in a batch entry, elements of a channel */
} grid_job;

static pi_status grid_open(const pi_node *node, const pi_tensor *const *in, grid_job *job, pi_error *err)
{
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    static const struct {
        const char *name;
        grid_mode mode;
    } modes[] = {{"linear", GRID_LINEAR}, {"bilinear", GRID_LINEAR}, {"nearest", GRID_NEAREST}, {"cubic", GRID_CUBIC},
                 {"bicubic", GRID_CUBIC}};
    const char *mode = pi_attr_string(node, "mode"), *padding = pi_attr_string(node, "padding_mode");
    size_t m = 0, p = 0;
    *job = (grid_job){.x = in[0], .grid = in[1], .align = pi_attr_int(node, "align_corners") != 0};
    while (m < PI_COUNT(modes) && strcmp(mode, modes[m].name) != 0) m++;
    while (p < PI_COUNT(paddings) && strcmp(padding, paddings[p]) != 0) p++;
    if (m == PI_COUNT(modes)) return pi_fail(err, PI_E_MODEL, "mode '%.40s' is unknown", mode);
    if (p == PI_COUNT(paddings)) return pi_fail(err, PI_E_MODEL, "padding_mode '%.40s' is unknown", padding);
    job->mode = modes[m].mode;
    if (in[0]->dtype == PI_DTYPE_STRING && job->mode != GRID_NEAREST)
        return pi_fail(err, PI_E_UNSUPPORTED, "mode '%.40s' of strings", mode);
    job->padding = (grid_padding)p;
    job->axes = in[0]->rank - 2;
    if (job->axes < 1 || job->axes > AXES || in[1]->rank != in[0]->rank)
        return pi_fail(err, job->axes > AXES ? PI_E_UNSUPPORTED : PI_E_MODEL,
                       "X has rank %d and grid %d, expected the same, 3 to 5", in[0]->rank, in[1]->rank);
    if (in[0]->dim[0] != in[1]->dim[0] || in[1]->dim[in[1]->rank - 1] != job->axes)
        return pi_fail(err, PI_E_MODEL, "the grid wants the batch of X and a last axis of %d", job->axes);
    job->places = pi_dims_product(in[1], 1, in[1]->rank - 1);
    job->plane = pi_dims_product(in[0], 2, in[0]->rank);
    for (int i = 0; i < job->axes; i++) job->dim[i] = in[0]->dim[2 + i];
    return PI_E_OK;
}

static pi_status grid_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    grid_job job;
    int64_t dim[PI_MAX_RANK];
    PI_TRY(grid_open(node, in, &job, err));
    dim[0] = in[0]->dim[0];
    dim[1] = in[0]->dim[1];
    for (int i = 0; i < job.axes; i++) dim[2 + i] = in[1]->dim[1 + i];
    if (job.plane == 0 && job.places > 0 && dim[0] > 0) return pi_fail(err, PI_E_MODEL, "X has an empty plane");
    return pi_move_shape(out, in[0]->rank, dim, err);
}

/* x turned around at the borders until it is inside. */
static double reflect(double x, double low, double high)
{
    double span = high - low;
    if (x >= low && x <= high) return x;
    if (!(span > 0)) return low;
    double beyond = x < low ? low - x : x - high, turns = floor(beyond / span), rest = beyond - turns * span;
    bool from_low = (x < low) == (fmod(turns, 2) == 0);
    return from_low ? low + rest : high - rest;
}

/* Taps of one axis: indices (-1: a zero) and weights; returns their number. */
static int axis_taps(const grid_job *job, int axis, float at, int64_t *index, double *weight)
{
    int64_t n = job->dim[axis];
    double low = job->align ? 0 : -0.5, high = job->align ? (double)n - 1 : (double)n - 0.5;
    float length = (float)n, x = job->align ? (at + 1) / 2 * (length - 1) : ((at + 1) * length - 1) / 2;
    if (!(x > -1e9f && x < 1e9f)) x = x > 0 ? 1e9f : -1e9f; /* NaN too: some place outside */
    if (job->mode == GRID_NEAREST) x = nearbyintf(x);
    /* Cubic: each tap is bounded by itself, below, as PyTorch and ONNX Runtime do; the reference evaluator moves the place. */
    if (job->mode != GRID_CUBIC && ((double)x < low || (double)x > high)) {
        if (job->padding == GRID_BORDER) x = x < 0 ? 0 : length - 1;
        if (job->padding == GRID_REFLECTION) x = (float)reflect((double)x, low, high);
    }
    int taps = job->mode == GRID_NEAREST ? 1 : job->mode == GRID_LINEAR ? 2 : 4;
    int64_t whole = (int64_t)x; /* without SSE 4.1 floor is a call */
    whole -= (float)whole > x;
    int64_t first = whole - (taps == 4);
    double t = (double)x - (double)whole;
    if (taps == 1) weight[0] = 1;
    if (taps == 2) {
        weight[0] = 1 - t;
        weight[1] = t;
    }
    if (taps == 4) {
        const double A = -0.75;
        for (int k = 0; k < 4; k++) {
            double d = fabs(t + 1 - k);
            weight[k] = d <= 1 ? ((A + 2) * d - (A + 3)) * d * d + 1 : ((A * d - 5 * A) * d + 8 * A) * d - 4 * A;
        }
    }
    for (int k = 0; k < taps; k++) {
        int64_t i = first + k;
        if (i < 0 || i >= n) {
            if (job->padding == GRID_ZEROS)
                i = -1;
            else if (job->padding == GRID_BORDER)
                i = i < 0 ? 0 : n - 1;
            else
                i = pi_max_i64(0, pi_min_i64((int64_t)reflect((double)i, low, high), n - 1));
        }
        index[k] = i;
    }
    return taps;
}

/* What makes up a place: n elements, where they stand in a channel, and their weights. */
typedef float grid_four __attribute__((vector_size(16)));
typedef double grid_two __attribute__((vector_size(16)));
typedef struct {
    int n;
    bool square;     /* n is 4, and elements 0, 1 and 2, 3 are neighbours */
    grid_four four;  /* then the weights once more */
    int64_t *offset; /* both with room for all corners */
    double *weight;
} grid_place;

static void add_corner(grid_place *p, bool inside, int64_t offset, double weight)
{
    if (!inside || weight == 0) return;
    p->offset[p->n] = offset;
    p->weight[p->n++] = weight;
}

static void corners(const grid_job *job, int64_t place, grid_place *p)
{
    int64_t index[AXES][TAPS];
    double w[AXES][TAPS];
    int taps[AXES], k[AXES] = {0}, a;
    p->n = 0;
    p->square = false;
    for (a = 0; a < job->axes; a++) /* the grid lists x before y before z */
        taps[a] = axis_taps(job, a, (float)pi_element_get(job->grid->dtype, job->grid->data, (place + 1) * job->axes - 1 - a),
                            index[a], w[a]);
    if (job->axes == 2) { /* the same as below, quicker */
        for (int i = 0; i < taps[0]; i++)
            for (int j = 0; j < taps[1]; j++)
                add_corner(p, index[0][i] >= 0 && index[1][j] >= 0, index[0][i] * job->dim[1] + index[1][j], w[0][i] * w[1][j]);
        p->square = p->n == 4 && p->offset[1] == p->offset[0] + 1 && p->offset[3] == p->offset[2] + 1;
        for (int i = 0; p->square && i < 4; i++) p->four[i] = (float)p->weight[i];
        return;
    }
    do {
        int64_t at = 0;
        double product = 1;
        bool inside = true;
        for (a = 0; a < job->axes; a++) {
            inside = inside && index[a][k[a]] >= 0;
            at = at * job->dim[a] + index[a][k[a]];
            product *= w[a][k[a]];
        }
        add_corner(p, inside, at, product);
        for (a = job->axes - 1; a >= 0 && ++k[a] == taps[a]; a--) k[a] = 0;
    } while (a >= 0);
}

/* One channel of f32 at n places. */
static void sample_f32(const float *x, const grid_place *at, int64_t n, float *y)
{
    for (int64_t p = 0; p < n; p++, at++) {
        if (at->square) {
            double a, b; /* their bits are two floats: put together in a register, not in memory */
            memcpy(&a, x + at->offset[0], sizeof a);
            memcpy(&b, x + at->offset[2], sizeof b);
            grid_four v = (grid_four)(grid_two){a, b} * at->four;
            y[p] = (v[0] + v[1]) + (v[2] + v[3]);
            continue;
        }
        double sum = 0;
        for (int i = 0; i < at->n; i++) sum += (double)x[at->offset[i]] * at->weight[i];
        y[p] = (float)sum;
    }
}

/* The same for any type: `from` and `to` are the channel's first elements. */
static void sample(const grid_job *job, int64_t from, const grid_place *at, int64_t n, int64_t to)
{
    int64_t parts = pi_dtype_parts(job->x->dtype);
    pi_dtype part = pi_dtype_part(job->x->dtype);
    for (int64_t p = 0; p < n; p++, at++, to++) {
        if (job->x->dtype == PI_DTYPE_STRING) { /* nearest: one or none */
            ((const pi_str **)job->y->data)[to] = at->n ? ((const pi_str *const *)job->x->data)[from + at->offset[0]] : NULL;
            continue;
        }
        for (int64_t k = 0; k < parts; k++) {
            double sum = 0;
            for (int i = 0; i < at->n; i++)
                sum += pi_element_get(part, job->x->data, (from + at->offset[i]) * parts + k) * at->weight[i];
            pi_element_put(part, job->y->data, to * parts + k, sum);
        }
    }
}

/* Places [begin, end), a few at once: channel after channel, so that a plane stays in the cache. */
static void grid_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const grid_job *job = arg;
    int64_t channels = job->x->dim[1], offset[ROOM];
    double weight[ROOM];
    grid_place at[PLACES];
    int each = 1, most;
    for (int a = 0; a < job->axes; a++) each *= job->mode == GRID_NEAREST ? 1 : job->mode == GRID_LINEAR ? 2 : TAPS;
    most = ROOM / each < PLACES ? ROOM / each : PLACES;
    for (int i = 0; i < most; i++) at[i] = (grid_place){.offset = offset + i * each, .weight = weight + i * each};
    for (int64_t first = begin, n; first < end; first += n) {
        int64_t b = first / job->places, p = first % job->places;
        n = pi_min_i64(pi_min_i64(end - first, job->places - p), most);
        for (int64_t i = 0; i < n; i++) corners(job, first + i, &at[i]);
        for (int64_t c = b * channels; c < (b + 1) * channels; c++) {
            int64_t from = c * job->plane, to = c * job->places + p;
            if (job->x->dtype == PI_DTYPE_F32)
                sample_f32((const float *)job->x->data + from, at, n, (float *)job->y->data + to);
            else
                sample(job, from, at, n, to);
        }
    }
}

static pi_status grid_run(const pi_call *call, pi_error *err)
{
    grid_job job;
    PI_TRY(grid_open(call->node, call->in, &job, err));
    PI_TRY(pi_move_outputs(call, err));
    job.y = call->out[0];
    if (pi_tensor_n(job.y) == 0) return PI_E_OK;
    pi_parallel(call->run->threads, job.x->dim[0] * job.places, 64, grid_task, &job);
    return PI_E_OK;
}

/* ---- AffineGrid: theta [N, D, D + 1], size [N, C, (depth,) height, width] -> [N, (depth,) height, width, D] ---- */

static pi_status affine_size(const pi_tensor *const *in, pi_list *size, pi_error *err)
{
    PI_TRY(pi_move_list(in[1], "size", size, err));
    int axes = size->n - 2;
    if (axes != 2 && axes != 3) return pi_fail(err, PI_E_MODEL, "size has %d entries, expected 4 or 5", size->n);
    if (in[0]->rank != 3 || in[0]->dim[0] != size->v[0] || in[0]->dim[1] != axes || in[0]->dim[2] != axes + 1)
        return pi_fail(err, PI_E_MODEL, "theta wants the shape [%lld, %d, %d]", (long long)size->v[0], axes, axes + 1);
    return PI_E_OK;
}

static pi_status affine_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    (void)node;
    pi_list size;
    int64_t dim[PI_MAX_RANK];
    if (!in[1]->data) return PI_E_OK;
    PI_TRY(affine_size(in, &size, err));
    dim[0] = size.v[0];
    for (int i = 2; i < size.n; i++) dim[i - 1] = size.v[i];
    dim[size.n - 1] = size.n - 2;
    return pi_move_shape(out, size.n, dim, err);
}

static pi_status affine_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    const pi_tensor *theta = call->in[0], *y = call->out[0];
    bool align = pi_attr_int(call->node, "align_corners") != 0;
    int axes = y->rank - 2;
    int64_t places = pi_dims_product(y, 1, y->rank - 1), total = y->dim[0] * places;
    if (theta->dim[1] != axes || theta->dim[2] != axes + 1 || theta->dim[0] < y->dim[0])
        return pi_fail(err, PI_E_INTERNAL, "planned for another size");
    for (int64_t i = 0; i < total; i++) {
        double at[4] = {0};
        int64_t rest = i % places;
        for (int a = 0; a < axes; a++) { /* x is the last axis of y's places */
            int64_t n = y->dim[axes - a], k = rest % n;
            rest /= n;
            at[a] = align ? n > 1 ? -1 + 2.0 * (double)k / (double)(n - 1) : -1 : -1 + (2.0 * (double)k + 1) / (double)n;
        }
        at[axes] = 1;
        for (int r = 0; r < axes; r++) {
            double sum = 0;
            for (int k = 0; k <= axes; k++)
                sum += at[k] * pi_element_get(theta->dtype, theta->data, ((i / places) * axes + r) * (axes + 1) + k);
            pi_element_put(y->dtype, y->data, i * axes + r, sum);
        }
    }
    return PI_E_OK;
}

static const pi_impl grid_impls[] = {{.name = "ref", .run = grid_run}, {0}};
static const pi_impl affine_impls[] = {{.name = "ref", .run = affine_run}, {0}};

#define GRID_ATTRS                                                       \
    {.name = "align_corners", .kind = PI_ATTR_INT, .i = 0},              \
    {.name = "padding_mode", .kind = PI_ATTR_STRING, .s = "zeros"}
static const pi_attr_def grid_attrs_v16[] = {GRID_ATTRS, {.name = "mode", .kind = PI_ATTR_STRING, .s = "bilinear"}, {0}};
static const pi_attr_def grid_attrs[] = {GRID_ATTRS, {.name = "mode", .kind = PI_ATTR_STRING, .s = "linear"}, {0}};
static const pi_attr_def affine_attrs[] = {{.name = "align_corners", .kind = PI_ATTR_INT, .i = 0}, {0}};

#define VALUES (PI_NUMBERS | PI_BIT(BOOL) | PI_BIT(STRING) | PI_BIT(C64) | PI_BIT(C128))
static const pi_op rows[] = {
    {.name = "GridSample", .since = 16, .signature = "X:T grid:U -> Y:T", .T = VALUES, .U = PI_FLOATS,
     .attrs = grid_attrs_v16, .infer = grid_infer, .impls = grid_impls},
    {.name = "GridSample", .since = 20, .signature = "X:T grid:U -> Y:T", .T = VALUES, .U = PI_FLOATS, .attrs = grid_attrs,
     .infer = grid_infer, .impls = grid_impls},
    {.name = "AffineGrid", .since = 20, .signature = "theta:T size:i64 -> grid:T", .T = PI_FLOATS, .attrs = affine_attrs,
     .infer = affine_infer, .impls = affine_impls},
};
const pi_op_family pi_ops_grid = {rows, PI_COUNT(rows)};
