/* SPDX-License-Identifier: Apache-2.0 */
/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: y = saturate(round(x / scale) + zero), and back. Computed in
 * float. */
#include "ops/quant.h"

#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "kernels/quant/quant_linear.h"
#include "ops/block.h"

enum { GRAIN = 16384 };

/* ---- shared ---- */

bool pi_quant_range(pi_dtype dtype, double *low, double *high)
{
    switch (dtype) {
        case PI_DTYPE_U8:
            *low = 0, *high = 255;
            return true;
        case PI_DTYPE_I8:
            *low = -128, *high = 127;
            return true;
        case PI_DTYPE_U16:
            *low = 0, *high = 65535;
            return true;
        case PI_DTYPE_I16:
            *low = -32768, *high = 32767;
            return true;
        case PI_DTYPE_U4:
            *low = 0, *high = 15;
            return true;
        case PI_DTYPE_I4:
            *low = -8, *high = 7;
            return true;
        case PI_DTYPE_U2:
            *low = 0, *high = 3;
            return true;
        case PI_DTYPE_I2:
            *low = -2, *high = 1;
            return true;
        default:
            return false;
    }
}

static bool is_one(const pi_tensor *t) { return t->rank == 0 || (t->rank == 1 && t->dim[0] == 1); }

pi_status pi_quant_open(const pi_node *node, const pi_tensor *x, const pi_tensor *scale, const pi_tensor *zero,
                        pi_quant_grid *grid, pi_error *err)
{
    char a[160], b[160];
    int axis;
    if (zero && !pi_tensor_same_shape(scale, zero) && !(is_one(scale) && is_one(zero)))
        return pi_fail(err, PI_E_MODEL, "scale is %s and zero point %s, expected the same shape",
                       pi_tensor_text(scale, a, sizeof a), pi_tensor_text(zero, b, sizeof b));
    *grid = (pi_quant_grid){.outer = 1, .n = 1, .inner = pi_tensor_n(x), .blocks = 1};
    if (is_one(scale)) return PI_E_OK;
    int64_t block = node->op->since >= 21 ? pi_attr_int(node, "block_size") : 0;
    if (node->op->since < 13)
        return pi_fail(err, PI_E_MODEL, "scale is %s, expected a scalar", pi_tensor_text(scale, a, sizeof a));
    PI_TRY(pi_axis(pi_attr_int(node, "axis"), x->rank, &axis, err));
    grid->outer = pi_dims_product(x, 0, axis);
    grid->n = grid->blocks = x->dim[axis];
    grid->inner = pi_dims_product(x, axis + 1, x->rank);
    if (block == 0) {
        if (scale->rank != 1 || scale->dim[0] != grid->n)
            return pi_fail(err, PI_E_MODEL, "scale is %s, axis %d has length %lld", pi_tensor_text(scale, a, sizeof a),
                           axis, (long long)grid->n);
        return PI_E_OK;
    }
    bool fits = block > 0 && scale->rank == x->rank;
    for (int i = 0; fits && i < x->rank; i++)
        fits = scale->dim[i] == (i == axis ? x->dim[i] / block + (x->dim[i] % block != 0) : x->dim[i]);
    if (!fits)
        return pi_fail(err, PI_E_MODEL, "scale is %s, which does not fit %s with blocks of %lld on axis %d",
                       pi_tensor_text(scale, a, sizeof a), pi_tensor_text(x, b, sizeof b), (long long)block, axis);
    grid->block = block;
    grid->blocks = scale->dim[axis];
    return PI_E_OK;
}

int64_t pi_quant_span(const pi_quant_grid *g, int64_t at, int64_t *index, int64_t *step)
{
    int64_t i = at % g->inner, a = at / g->inner % g->n, o = at / g->inner / g->n;
    *step = 0;
    if (g->block == 0) { /* one scale for each a (n is 1: for all) */
        *index = a;
        if (g->inner > 1 || g->n == 1) return g->inner - i;
        *step = 1;
        return g->n - a;
    }
    *index = (o * g->blocks + a / g->block) * g->inner + i;
    if (g->inner == 1) return pi_min_i64(g->block - a % g->block, g->n - a);
    *step = 1;
    return g->inner - i;
}

/* Rounds |v| < 2^22 to the nearest integer, ties to even: what the addition does to the last bit. */
static inline float nearest(float v) { return (v + 12582912.0f) - 12582912.0f; }

static inline float within(float v, float low, float high)
{
    v = v > low ? v : low; /* NaN becomes low */
    return v < high ? v : high;
}

void pi_quant_store(pi_dtype dtype, void *data, int64_t at, int64_t n, const float *x, float zero)
{
    double dl, dh;
    if (!pi_quant_range(dtype, &dl, &dh)) return;
    if (dtype == PI_DTYPE_U8 || dtype == PI_DTYPE_I8) {
        pi_quant_linear_select()->to_bytes((char *)data + at, x, n, 1, zero, dtype == PI_DTYPE_I8);
        return;
    }
    float low = (float)dl - zero, high = (float)dh - zero; /* exact: small integers */
    if (dtype == PI_DTYPE_U16 || dtype == PI_DTYPE_I16) {
        uint16_t *y = (uint16_t *)data + at;
        for (int64_t i = 0; i < n; i++) y[i] = (uint16_t)(int32_t)(nearest(within(x[i], low, high)) + zero);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t v = (int64_t)(nearest(within(x[i], low, high)) + zero);
        pi_write_i64(dtype, pi_at_mut(data, dtype, at + i), 1, 1, &v);
    }
}

uint64_t pi_quant_zeros_hash(const pi_tensor *t)
{
    uint64_t h = 14695981039346656037u;
    int64_t n = t ? pi_tensor_n(t) : 0;
    for (int64_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)t->data)[i]) * 1099511628211u;
    return h;
}

static bool is_byte(pi_dtype dtype) { return dtype == PI_DTYPE_U8 || dtype == PI_DTYPE_I8; }

static float one_f32(const pi_tensor *t, int64_t i)
{
    float v;
    pi_read_f32(t->dtype, pi_at(t->data, t->dtype, i), 0, 1, &v);
    return v;
}

typedef struct {
    const pi_tensor *x, *scale, *zero;
    pi_tensor *y;
    pi_quant_grid grid;
    unsigned rounding;
    pi_dtype divide; /* x / scale is rounded to it: F16, BF16, or else F32 */
} quant_job;

/* ---- QuantizeLinear ---- */

static pi_dtype quantize_dtype(const pi_node *node, const pi_tensor *zero)
{
    int64_t given = node->op->since >= 21 ? pi_attr_int(node, "output_dtype") : 0;
    return zero ? zero->dtype : given ? pi_dtype_from_id(given) : PI_DTYPE_U8;
}

#define F8 (PI_BIT(F8E4M3FN) | PI_BIT(F8E4M3FNUZ) | PI_BIT(F8E5M2) | PI_BIT(F8E5M2FNUZ))
#define SMALL (PI_BIT(U4) | PI_BIT(I4) | PI_BIT(U2) | PI_BIT(I2) | PI_BIT(F4E2M1) | PI_BIT(F6E2M3) | PI_BIT(F6E3M2))
#define QUANTISED (PI_BIT(U8) | PI_BIT(I8) | PI_BIT(U16) | PI_BIT(I16) | F8 | SMALL)

static pi_status quantize_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_quant_grid grid;
    const pi_tensor *zero = pi_move_in(node, in, 2);
    out->dtype = quantize_dtype(node, zero);
    if (!pi_dtype_in(out->dtype, QUANTISED))
        return pi_fail(err, PI_E_MODEL, "%s cannot be quantised to", pi_dtype_name(out->dtype));
    PI_TRY(pi_quant_open(node, in[0], in[1], zero, &grid, err));
    return pi_move_shape(out, in[0]->rank, in[0]->dim, err);
}

/* The standard divides in the type of `precision`, without it in that of x and scale. */
static pi_dtype quantize_division(const pi_node *node, const pi_tensor *x, const pi_tensor *scale)
{
    int64_t given = node->op->since >= 23 ? pi_attr_int(node, "precision") : 0;
    pi_dtype type = given ? pi_dtype_from_id(given) : x->dtype == scale->dtype ? x->dtype : PI_DTYPE_F32;
    return type == PI_DTYPE_F16 || type == PI_DTYPE_BF16 ? type : PI_DTYPE_F32;
}

static void round_to(pi_dtype dtype, float *x, int64_t n)
{
    if (dtype == PI_DTYPE_F16)
        for (int64_t i = 0; i < n; i++) x[i] = pi_f16_to_float(pi_float_to_f16(x[i]));
    if (dtype == PI_DTYPE_BF16)
        for (int64_t i = 0; i < n; i++) x[i] = pi_bf16_to_float(pi_float_to_bf16(x[i]));
}

static void quantize_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const quant_job *job = arg;
    float x[PI_BLOCK], scale[PI_BLOCK];
    pi_dtype dtype = job->y->dtype;
    double low, high;
    bool integer = pi_quant_range(dtype, &low, &high);
    for (int64_t at = begin, n; at < end; at += n) {
        int64_t index, step, zero = 0;
        n = pi_min_i64(pi_quant_span(&job->grid, at, &index, &step), end - at);
        if (step == 0 && job->x->dtype == PI_DTYPE_F32 && job->divide == PI_DTYPE_F32 && is_byte(dtype)) {
            pi_quant_linear_select()->to_bytes((char *)job->y->data + at, (const float *)job->x->data + at, n,
                                               one_f32(job->scale, index), job->zero ? one_f32(job->zero, index) : 0,
                                               dtype == PI_DTYPE_I8);
            continue;
        }
        n = pi_min_i64(n, PI_BLOCK);
        pi_read_f32(job->x->dtype, pi_at(job->x->data, job->x->dtype, at), 1, n, x);
        pi_read_f32(job->scale->dtype, pi_at(job->scale->data, job->scale->dtype, index), step, n, scale);
        round_to(job->divide, x, n);
        round_to(job->divide, scale, n);
        for (int64_t i = 0; i < n; i++) x[i] /= scale[i];
        round_to(job->divide, x, n);
        if (!integer) {
            double wide[PI_BLOCK];
            for (int64_t i = 0; i < n; i++) wide[i] = (double)x[i];
            pi_write_f64_as(dtype, pi_at_mut(job->y->data, dtype, at), 1, n, wide, job->rounding);
            continue;
        }
        for (int64_t i = 0, m; i < n; i += m) { /* elements with the same zero point */
            m = step && job->zero ? 1 : n - i;
            if (job->zero) pi_read_i64(dtype, pi_at(job->zero->data, dtype, index + i * step), 1, 1, &zero);
            pi_quant_store(dtype, job->y->data, at + i, m, x + i, (float)zero);
        }
    }
}

static pi_status quantize_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    quant_job job = {
        .x = call->in[0], .scale = call->in[1], .zero = pi_move_in(call->node, call->in, 2), .y = call->out[0]};
    PI_TRY(pi_quant_open(call->node, job.x, job.scale, job.zero, &job.grid, err));
    job.divide = quantize_division(call->node, job.x, job.scale);
    job.rounding =
        call->node->op->since >= 19 && pi_attr_int(call->node, "saturate") == 0 ? PI_ROUND_PLAIN : PI_ROUND_SATURATE;
    pi_parallel(call->run->threads, pi_tensor_n(job.x), GRAIN, quantize_task, &job);
    return PI_E_OK;
}

/* ---- DequantizeLinear ---- */

static pi_status dequantize_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    pi_quant_grid grid;
    int64_t given = node->op->since >= 23 ? pi_attr_int(node, "output_dtype") : 0;
    out->dtype = given ? pi_dtype_from_id(given) : in[1]->dtype;
    if (!pi_dtype_in(out->dtype, PI_BIT(F32) | PI_BIT(F16) | PI_BIT(BF16)))
        return pi_fail(err, PI_E_MODEL, "output_dtype %s is no f32, f16 or bf16", pi_dtype_name(out->dtype));
    PI_TRY(pi_quant_open(node, in[0], in[1], pi_move_in(node, in, 2), &grid, err));
    return pi_move_shape(out, in[0]->rank, in[0]->dim, err);
}

/* Small integers, a byte each in memory. */
static bool is_small(pi_dtype d)
{
    return pi_dtype_in(d, PI_BIT(I8) | PI_BIT(U8) | PI_BIT(I4) | PI_BIT(U4) | PI_BIT(I2) | PI_BIT(U2));
}

static bool is_signed(pi_dtype d) { return d == PI_DTYPE_I8 || d == PI_DTYPE_I4 || d == PI_DTYPE_I2; }

/* n numbers as bytes, in `room` if they have fewer bits: what is in the rest of their bytes says nothing. */
static const char *as_bytes(pi_dtype dtype, const char *x, int64_t n, char *room)
{
    int bits = dtype == PI_DTYPE_I4 || dtype == PI_DTYPE_U4 ? 4 : dtype == PI_DTYPE_I2 || dtype == PI_DTYPE_U2 ? 2 : 8;
    int mask = (1 << bits) - 1, sign = is_signed(dtype) ? 1 << (bits - 1) : 0;
    if (bits == 8) return x;
    for (int64_t i = 0; i < n; i++) room[i] = (char)(((x[i] & mask) ^ sign) - sign);
    return room;
}

/* n of them, at most PI_BLOCK, to f32, with one scale (step 0) or as many. */
static void dequantize_small(const quant_job *job, int64_t at, int64_t n, int64_t index, int64_t step)
{
    const pi_quant_linear *k = pi_quant_linear_select();
    pi_dtype dtype = job->x->dtype;
    char x_room[PI_BLOCK], z_room[PI_BLOCK];
    const char *x = as_bytes(dtype, (const char *)job->x->data + at, n, x_room);
    const char *z = job->zero && step ? as_bytes(dtype, (const char *)job->zero->data + index, n, z_room) : NULL;
    float *y = (float *)job->y->data + at;
    if (step == 0)
        k->to_floats(y, x, n, one_f32(job->scale, index), job->zero ? one_f32(job->zero, index) : 0, is_signed(dtype));
    else
        k->to_floats_each(y, x, n, (const float *)job->scale->data + index, z, is_signed(dtype));
}

static void dequantize_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const quant_job *job = arg;
    float y[PI_BLOCK], scale[PI_BLOCK];
    double x[PI_BLOCK], zero[PI_BLOCK];
    float less[PI_BLOCK];
    bool quick = is_small(job->x->dtype) && job->y->dtype == PI_DTYPE_F32 && (!job->zero || job->zero->dtype == job->x->dtype);
    for (int64_t at = begin, n; at < end; at += n) {
        int64_t index, step;
        n = pi_min_i64(pi_quant_span(&job->grid, at, &index, &step), end - at);
        n = pi_min_i64(n, PI_BLOCK);
        if (quick && (step == 0 || job->scale->dtype == PI_DTYPE_F32)) {
            dequantize_small(job, at, n, index, step);
            continue;
        }
        pi_read_f32(job->scale->dtype, pi_at(job->scale->data, job->scale->dtype, index), step, n, scale);
        if (!job->zero || job->x->dtype != PI_DTYPE_I32) {
            pi_read_f32(job->x->dtype, pi_at(job->x->data, job->x->dtype, at), 1, n, y);
            if (job->zero) pi_read_f32(job->zero->dtype, pi_at(job->zero->data, job->zero->dtype, index), step, n, less);
            for (int64_t i = 0; job->zero && i < n; i++) y[i] -= less[i];
        } else { /* the difference of two i32 does not fit in a float */
            pi_read_f64(job->x->dtype, pi_at(job->x->data, job->x->dtype, at), 1, n, x);
            pi_read_f64(job->zero->dtype, pi_at(job->zero->data, job->zero->dtype, index), step, n, zero);
            for (int64_t i = 0; i < n; i++) y[i] = (float)(x[i] - zero[i]);
        }
        for (int64_t i = 0; i < n; i++) y[i] *= scale[i];
        pi_write_f32(job->y->dtype, pi_at_mut(job->y->data, job->y->dtype, at), 1, n, y);
    }
}

static pi_status dequantize_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    quant_job job = {
        .x = call->in[0], .scale = call->in[1], .zero = pi_move_in(call->node, call->in, 2), .y = call->out[0]};
    PI_TRY(pi_quant_open(call->node, job.x, job.scale, job.zero, &job.grid, err));
    pi_parallel(call->run->threads, pi_tensor_n(job.x), GRAIN, dequantize_task, &job);
    return PI_E_OK;
}

/* ---- DynamicQuantizeLinear: the scale comes from the data's range, which always has 0 in it ---- */

void pi_quant_dynamic(float low, float high, float *scale, float *zero)
{
    *scale = high > low ? (high - low) / 255 : 1;
    if (!(*scale > 0)) *scale = 1; /* a range of denormals */
    *zero = nearest(within(-low / *scale, 0, 255));
}

static pi_status dynamic_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    PI_TRY(pi_move_shape(&out[0], in[0]->rank, in[0]->dim, err));
    for (uint32_t i = 1; i < node->n_out; i++) PI_TRY(pi_move_shape(&out[i], 0, in[0]->dim, err));
    return PI_E_OK;
}

enum { PARTS = 32 };

typedef struct {
    const float *x;
    uint8_t *y;
    int64_t n, part; /* elements of all, of a part */
    float low[PARTS], high[PARTS];
    float scale, zero;
} dynamic_job;

/* Units: parts. */
static void range_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    dynamic_job *job = arg;
    for (int64_t i = begin; i < end; i++) {
        int64_t first = i * job->part;
        pi_quant_linear_select()->range(job->x + first, pi_min_i64(job->part, job->n - first), &job->low[i],
                                        &job->high[i]);
    }
}

static void dynamic_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const dynamic_job *job = arg;
    pi_quant_linear_select()->to_bytes(job->y + begin, job->x + begin, end - begin, job->scale, job->zero, false);
}

static pi_status dynamic_run(const pi_call *call, pi_error *err)
{
    PI_TRY(pi_move_outputs(call, err));
    int64_t n = pi_tensor_n(call->in[0]);
    dynamic_job job = {.x = call->in[0]->data, .n = n, .part = pi_max_i64(GRAIN, (n + PARTS - 1) / PARTS)};
    int64_t parts = (n + job.part - 1) / job.part;
    pi_parallel(call->run->threads, parts, 1, range_task, &job);
    float low = 0, high = 0;
    for (int64_t i = 0; i < parts; i++) {
        low = job.low[i] < low ? job.low[i] : low;
        high = job.high[i] > high ? job.high[i] : high;
    }
    float scale, zero;
    pi_quant_dynamic(low, high, &scale, &zero);
    if (pi_move_wants(call, 1)) *(float *)call->out[1]->data = scale;
    if (pi_move_wants(call, 2)) *(uint8_t *)call->out[2]->data = (uint8_t)zero;
    if (!call->out[0]) return PI_E_OK;
    job.y = call->out[0]->data, job.scale = scale, job.zero = zero;
    pi_parallel(call->run->threads, n, GRAIN, dynamic_task, &job);
    return PI_E_OK;
}

static const pi_impl quantize_impls[] = {{.name = "ref", .run = quantize_run}, {0}};
static const pi_impl dequantize_impls[] = {{.name = "ref", .run = dequantize_run}, {0}};
static const pi_impl dynamic_impls[] = {{.name = "ref", .run = dynamic_run}, {0}};

#define AXIS {.name = "axis", .kind = PI_ATTR_INT, .i = 1}
#define SATURATE {.name = "saturate", .kind = PI_ATTR_INT, .i = 1}
#define BLOCK {.name = "block_size", .kind = PI_ATTR_INT, .i = 0}
#define DTYPE {.name = "output_dtype", .kind = PI_ATTR_INT, .i = 0}
static const pi_attr_def attrs_v13[] = {AXIS, {0}};
static const pi_attr_def quantize_attrs_v19[] = {AXIS, SATURATE, {0}};
static const pi_attr_def quantize_attrs_v21[] = {AXIS, SATURATE, BLOCK, DTYPE, {0}};
static const pi_attr_def quantize_attrs_v23[] = {
    AXIS, SATURATE, BLOCK, DTYPE, {.name = "precision", .kind = PI_ATTR_INT, .i = 0}, {0}};
static const pi_attr_def dequantize_attrs_v21[] = {AXIS, BLOCK, {0}};
static const pi_attr_def dequantize_attrs_v23[] = {AXIS, BLOCK, DTYPE, {0}};

#define FLOATS (PI_BIT(F32) | PI_BIT(F16) | PI_BIT(BF16))
#define SCALES (FLOATS | PI_BIT(I32) | PI_BIT(F8E8M0))
static const pi_op rows[] = {
    {.name = "QuantizeLinear",
     .since = 10,
     .signature = "x:T y_scale:f32 y_zero_point?:V -> y:any",
     .T = PI_BIT(F32) | PI_BIT(I32),
     .V = QUANTISED,
     .infer = quantize_infer,
     .impls = quantize_impls},
    {.name = "QuantizeLinear",
     .since = 13,
     .signature = "x:T y_scale:f32 y_zero_point?:V -> y:any",
     .T = PI_BIT(F32) | PI_BIT(I32),
     .V = QUANTISED,
     .attrs = attrs_v13,
     .infer = quantize_infer,
     .impls = quantize_impls},
    {.name = "QuantizeLinear",
     .since = 19,
     .signature = "x:T y_scale:U y_zero_point?:V -> y:any",
     .T = FLOATS | PI_BIT(I32),
     .U = SCALES,
     .V = QUANTISED,
     .attrs = quantize_attrs_v19,
     .infer = quantize_infer,
     .impls = quantize_impls},
    {.name = "QuantizeLinear",
     .since = 21,
     .signature = "x:T y_scale:U y_zero_point?:V -> y:any",
     .T = FLOATS | PI_BIT(I32),
     .U = SCALES,
     .V = QUANTISED,
     .attrs = quantize_attrs_v21,
     .infer = quantize_infer,
     .impls = quantize_impls},
    {.name = "QuantizeLinear",
     .since = 23,
     .signature = "x:T y_scale:U y_zero_point?:V -> y:any",
     .T = FLOATS | PI_BIT(I32),
     .U = SCALES,
     .V = QUANTISED,
     .attrs = quantize_attrs_v23,
     .infer = quantize_infer,
     .impls = quantize_impls},
    {.name = "DequantizeLinear",
     .since = 10,
     .signature = "x:T x_scale:f32 x_zero_point?:T -> y:any",
     .T = QUANTISED | PI_BIT(I32),
     .infer = dequantize_infer,
     .impls = dequantize_impls},
    {.name = "DequantizeLinear",
     .since = 13,
     .signature = "x:T x_scale:f32 x_zero_point?:T -> y:any",
     .T = QUANTISED | PI_BIT(I32),
     .attrs = attrs_v13,
     .infer = dequantize_infer,
     .impls = dequantize_impls},
    {.name = "DequantizeLinear",
     .since = 19,
     .signature = "x:T x_scale:U x_zero_point?:T -> y:any",
     .T = QUANTISED | PI_BIT(I32),
     .U = SCALES,
     .attrs = attrs_v13,
     .infer = dequantize_infer,
     .impls = dequantize_impls},
    {.name = "DequantizeLinear",
     .since = 21,
     .signature = "x:T x_scale:U x_zero_point?:T -> y:any",
     .T = QUANTISED | PI_BIT(I32),
     .U = SCALES,
     .attrs = dequantize_attrs_v21,
     .infer = dequantize_infer,
     .impls = dequantize_impls},
    {.name = "DequantizeLinear",
     .since = 23,
     .signature = "x:T x_scale:U x_zero_point?:T -> y:any",
     .T = QUANTISED | PI_BIT(I32),
     .U = SCALES,
     .attrs = dequantize_attrs_v23,
     .infer = dequantize_infer,
     .impls = dequantize_impls},
    {.name = "DynamicQuantizeLinear",
     .since = 11,
     .signature = "x:f32 -> y:u8 y_scale:f32 y_zero_point:u8",
     .infer = dynamic_infer,
     .impls = dynamic_impls},
};
const pi_op_family pi_ops_quant = {rows, PI_COUNT(rows)};
