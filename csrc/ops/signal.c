/* SPDX-License-Identifier: Apache-2.0 */
/* DFT and STFT. Both transform rows: of a DFT the vectors along its axis, of an STFT the frames. A few rows are
 * interleaved, so that every pass of the transform runs over them in vectors. All is computed in double. Real data of
 * even length n are taken as n / 2 complex points (Sorensen et al., "Real-valued fast Fourier transform algorithms",
 * 1987). */
#include <string.h>

#include "base/cpu.h"
#include "base/threads.h"
#include "ops/block.h"
#include "ops/fft_plan.h"
#include "ops/move.h"

/* Where row r lies: in at r / per * outer + r % per * inner, its points `step` elements apart; the same for out. */
typedef struct {
    int64_t outer, inner, step;
} row_place;

typedef struct {
    int64_t n;     /* points of the transform */
    int64_t taken; /* values of a row that are read; the rest are zeros */
    int64_t bins;  /* points of a row that are written */
    int64_t rows, per;
    row_place in, out;
    bool inverse, complex_in, complex_out;
} transform;

typedef struct {
    transform t;
    const pi_fft_plan *fft; /* of n, or n / 2 points */
    bool half;
    const double *re, *im; /* exp(-2 pi i k / n), k <= n / 2, if `half` */
    int64_t lanes, stride; /* stride: doubles of one buffer */
} signal_state;

/* ---- what a node says ---- */

/* taken, bins and complex_out of a transform of `length` values in each row. */
static pi_status transform_open(transform *t, int64_t length, bool onesided, pi_error *err)
{
    bool mirrored = onesided && t->inverse; /* half a spectrum, whose inverse is real */
    PI_TRY(pi_fft_check(t->n, err));
    t->taken = pi_min_i64(length, mirrored ? t->n / 2 + 1 : t->n);
    t->bins = onesided && !t->inverse ? t->n / 2 + 1 : t->n;
    t->complex_out = !mirrored;
    return PI_E_OK;
}

static pi_status complex_dim(const pi_tensor *x, bool *is_complex, pi_error *err)
{
    char text[200];
    if (x->rank < 2 || (x->dim[x->rank - 1] != 1 && x->dim[x->rank - 1] != 2))
        return pi_fail(err, PI_E_MODEL,
                       "input is %s, expected a last dimension of 1 (real) or 2 (complex) behind others",
                       pi_tensor_text(x, text, sizeof text));
    *is_complex = x->dim[x->rank - 1] == 2;
    return PI_E_OK;
}

/* *axis is -1 where it or the length has no value yet. */
static pi_status dft_open(const pi_node *node, const pi_tensor *const *in, transform *t, int *axis, pi_error *err)
{
    const pi_tensor *x = in[0], *length = pi_move_in(node, in, 1), *where = pi_move_in(node, in, 2);
    bool onesided = pi_attr_int(node, "onesided") != 0;
    int64_t given = -2;
    *t = (transform){.inverse = pi_attr_int(node, "inverse") != 0};
    PI_TRY(complex_dim(x, &t->complex_in, err));
    *axis = -1;
    if ((length && !length->data) || (where && !where->data)) return PI_E_OK;
    if (node->op->since < 20) given = pi_attr_int(node, "axis");
    if (where) PI_TRY(pi_move_scalar(where, "axis", &given, err));
    PI_TRY(pi_axis(given, x->rank, axis, err));
    if (*axis == x->rank - 1)
        return pi_fail(err, PI_E_MODEL, "axis %lld is the one of real and imaginary parts", (long long)given);
    int64_t n = x->dim[*axis];
    t->n = n;
    if (onesided && t->inverse && !length && !pi_mul_i64(2, n - 1, &t->n))
        return pi_fail(err, PI_E_LIMIT, "axis %d has %lld values, too many", *axis, (long long)n);
    if (length) PI_TRY(pi_move_scalar(length, "dft_length", &t->n, err));
    return transform_open(t, n, onesided, err);
}

static pi_status dft_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    transform t;
    int axis;
    PI_TRY(dft_open(node, in, &t, &axis, err));
    if (axis < 0) return PI_E_OK;
    int64_t dim[PI_MAX_RANK];
    memcpy(dim, in[0]->dim, sizeof dim);
    dim[axis] = t.bins;
    dim[in[0]->rank - 1] = t.complex_out ? 2 : 1;
    return pi_move_shape(out, in[0]->rank, dim, err);
}

/* frames is -1 where a size has no value yet. */
static pi_status stft_open(const pi_node *node, const pi_tensor *const *in, transform *t, int64_t *step,
                           int64_t *frames, pi_error *err)
{
    const pi_tensor *x = in[0], *window = pi_move_in(node, in, 2), *length = pi_move_in(node, in, 3);
    char text[200];
    *t = (transform){0};
    *frames = -1;
    if (x->rank != 2 && x->rank != 3)
        return pi_fail(err, PI_E_MODEL, "signal is %s, expected a rank of 3", pi_tensor_text(x, text, sizeof text));
    if (x->rank == 3) PI_TRY(complex_dim(x, &t->complex_in, err)); /* PyTorch leaves out the 1 of a real signal */
    if (window && window->rank != 1)
        return pi_fail(err, PI_E_MODEL, "window is %s, expected a rank of 1",
                       pi_tensor_text(window, text, sizeof text));
    if (!in[1]->data || (length && !length->data)) return PI_E_OK;
    PI_TRY(pi_move_scalar(in[1], "frame_step", step, err));
    t->n = window ? window->dim[0] : x->dim[1];
    if (length) PI_TRY(pi_move_scalar(length, "frame_length", &t->n, err));
    if (*step < 1) return pi_fail(err, PI_E_MODEL, "frame_step is %lld, expected at least 1", (long long)*step);
    if (window && window->dim[0] != t->n)
        return pi_fail(err, PI_E_MODEL, "window is %s, expected a length of %lld",
                       pi_tensor_text(window, text, sizeof text), (long long)t->n);
    if (t->n < 1 || t->n > x->dim[1])
        return pi_fail(err, PI_E_MODEL, "frames of %lld in a signal of %lld", (long long)t->n, (long long)x->dim[1]);
    *frames = (x->dim[1] - t->n) / *step + 1;
    return transform_open(t, t->n, pi_attr_int(node, "onesided") != 0, err);
}

static pi_status stft_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    transform t;
    int64_t step, frames;
    PI_TRY(stft_open(node, in, &t, &step, &frames, err));
    int64_t dim[4] = {in[0]->dim[0], frames, t.bins, 2};
    return frames < 0 ? PI_E_OK : pi_move_shape(out, 4, dim, err);
}

/* ---- prepare ---- */

static pi_status signal_prepare(pi_prep *prep, const transform *t, pi_error *err)
{
    prep->isa = pi_isa_name(pi_cpu_has(PI_CPU_AVX2) ? PI_CPU_AVX2 : PI_CPU_ANY);
    enum { LANES = 8, FEW = 4, CACHED = 2048 }; /* interleaved rows stay in the second-level cache */
    signal_state *s = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    prep->state = s;
    s->t = *t;
    s->half = t->n % 2 == 0 && (t->complex_out ? !t->complex_in && !t->inverse : true);
    int64_t points = s->half ? t->n / 2 : t->n, steps = 1;
    PI_TRY(pi_fft_new(&s->fft, prep, points, err));
    if (s->half) {
        double *table = pi_prep_alloc(prep, 2 * (size_t)(points + 1) * sizeof *table, err);
        if (!table) return pi_alloc_status(err);
        for (int64_t k = 0; k <= points; k++) pi_fft_root(k, t->n, table + k, table + points + 1 + k);
        s->re = table;
        s->im = table + points + 1;
    }
    s->lanes = t->rows >= FEW && s->fft->room <= CACHED ? LANES : 1;
    s->stride = (pi_max_i64((int64_t)s->fft->room, points + 1) * s->lanes + 7) / 8 * 8;
    if (!pi_mul((size_t)s->stride * 4 * sizeof(double), (size_t)prep->threads, &prep->scratch))
        return pi_fail(err, PI_E_LIMIT, "a transform of %lld points", (long long)t->n);
    for (int64_t n = points; n > 1; n /= 2) steps++;
    prep->flops = 5.0 * (double)t->rows * (double)points * (double)steps;
    return PI_E_OK;
}

static pi_status dft_prepare(pi_prep *prep, pi_error *err)
{
    transform t;
    int axis;
    PI_TRY(dft_open(prep->node, prep->in, &t, &axis, err));
    if (axis < 0) return pi_fail(err, PI_E_INTERNAL, "the length has no value");
    const pi_tensor *x = prep->in[0], *y = prep->out[0];
    int64_t in = x->dim[x->rank - 1], out = y->dim[y->rank - 1];
    if (pi_tensor_n(y) == 0) return PI_E_OK; /* dims beside a zero may be too large to multiply */
    t.per = pi_dims_product(x, axis + 1, x->rank - 1);
    t.rows = pi_dims_product(x, 0, axis) * t.per;
    t.in = (row_place){x->dim[axis] * t.per * in, in, t.per * in};
    t.out = (row_place){t.bins * t.per * out, out, t.per * out};
    return signal_prepare(prep, &t, err);
}

static pi_status stft_prepare(pi_prep *prep, pi_error *err)
{
    transform t;
    int64_t step, frames;
    PI_TRY(stft_open(prep->node, prep->in, &t, &step, &frames, err));
    if (frames < 0) return pi_fail(err, PI_E_INTERNAL, "the frames have no length");
    const pi_tensor *x = prep->in[0];
    if (pi_tensor_n(prep->out[0]) == 0) return PI_E_OK;
    t.per = frames;
    t.rows = x->dim[0] * frames;
    int64_t parts = t.complex_in ? 2 : 1;
    t.in = (row_place){x->dim[1] * parts, frames > 1 ? step * parts : 0, parts};
    t.out = (row_place){frames * t.bins * 2, t.bins * 2, 2};
    return signal_prepare(prep, &t, err);
}

/* ---- run ---- */

typedef struct {
    const pi_call *call;
    const signal_state *s;
    const pi_tensor *window; /* or NULL */
} signal_task;

/* Values [k, k + n) of a row: real parts (part 0) or imaginary ones. */
static void read_values(const signal_task *task, int64_t at, int64_t k, int64_t n, int part, double *out)
{
    const transform *t = &task->s->t;
    const pi_tensor *x = task->call->in[0];
    double w[PI_BLOCK];
    pi_read_f64(x->dtype, pi_at(x->data, x->dtype, at + k * t->in.step + part), t->in.step, n, out);
    if (!task->window) return;
    pi_read_f64(task->window->dtype, pi_at(task->window->data, task->window->dtype, k), 1, n, w);
    for (int64_t i = 0; i < n; i++) out[i] *= w[i];
}

/* Real values as points: those with even index are real parts. */
static void load_pairs(const signal_task *task, int64_t at, double *re, double *im)
{
    const signal_state *s = task->s;
    double v[PI_BLOCK];
    for (int64_t k = 0; k < s->t.n; k += PI_BLOCK) {
        int64_t n = pi_min_i64(PI_BLOCK, s->t.n - k), given = pi_max_i64(0, pi_min_i64(n, s->t.taken - k));
        if (given) read_values(task, at, k, given, 0, v);
        for (int64_t i = given; i < n; i++) v[i] = 0;
        for (int64_t i = 0; i < n; i += 2) {
            re[(k + i) / 2 * s->lanes] = v[i];
            im[(k + i) / 2 * s->lanes] = v[i + 1];
        }
    }
}

/* `count` points as they are; behind those that are given zeros. */
static void load_points(const signal_task *task, int64_t at, int64_t count, double *re, double *im)
{
    const signal_state *s = task->s;
    double v[PI_BLOCK];
    for (int part = 0; part < 2; part++) {
        double *to = part ? im : re;
        int64_t given = part && !s->t.complex_in ? 0 : pi_min_i64(s->t.taken, count);
        for (int64_t k = 0; k < given; k += PI_BLOCK) {
            int64_t n = pi_min_i64(PI_BLOCK, given - k);
            read_values(task, at, k, n, part, v);
            for (int64_t i = 0; i < n; i++) to[(k + i) * s->lanes] = v[i];
        }
        for (int64_t k = given; k < count; k++) to[k * s->lanes] = 0;
    }
}

/* Half a spectrum in (xr, xi), of a real signal of even length, to the points of its pairs, to be transformed back. */
static void pairs_of_spectrum(const signal_state *s, const double *xr, const double *xi, double *re, double *im)
{
    int64_t h = s->t.n / 2, w = s->lanes;
    for (int64_t k = 0; k < h; k++) {
        double ar = xr[k * w], br = xr[(h - k) * w], ai = k ? xi[k * w] : 0, bi = k ? xi[(h - k) * w] : 0;
        double dr = 0.5 * (ar - br), di = 0.5 * (ai + bi);
        re[k * w] = 0.5 * (ar + br) - (di * s->re[k] - dr * s->im[k]);
        im[k * w] = 0.5 * (ai - bi) + (dr * s->re[k] + di * s->im[k]);
    }
}

static void load_row(const signal_task *task, const pi_fft_buffer *b, int64_t row, int64_t lane)
{
    const signal_state *s = task->s;
    const transform *t = &s->t;
    int64_t at = row / t->per * t->in.outer + row % t->per * t->in.inner, half = t->n / 2;
    double *re = b->data[t->inverse ? 1 : 0] + lane, *im = b->data[t->inverse ? 0 : 1] + lane;
    if (t->complex_out) {
        if (s->half)
            load_pairs(task, at, re, im);
        else
            load_points(task, at, t->n, re, im);
    } else if (s->half) {
        load_points(task, at, half + 1, b->data[2] + lane, b->data[3] + lane);
        pairs_of_spectrum(s, b->data[2] + lane, b->data[3] + lane, re, im);
    } else {
        load_points(task, at, half + 1, re, im);
        im[0] = 0;
        for (int64_t k = 1; k <= half; k++) {
            re[(t->n - k) * s->lanes] = re[k * s->lanes];
            im[(t->n - k) * s->lanes] = -im[k * s->lanes];
        }
    }
}

/* Point k <= n / 2 of the spectrum of real data from the transform of its pairs. */
static void spectrum_of_pairs(const signal_state *s, const double *re, const double *im, int64_t k, double *xr,
                              double *xi)
{
    int64_t h = s->t.n / 2, w = s->lanes, i = k < h ? k : 0, j = k ? h - k : 0;
    double ar = re[i * w], ai = im[i * w], br = re[j * w], bi = im[j * w];
    double dr = 0.5 * (ar - br), di = 0.5 * (ai + bi);
    *xr = 0.5 * (ar + br) + s->re[k] * di + s->im[k] * dr;
    *xi = 0.5 * (ai - bi) - s->re[k] * dr + s->im[k] * di;
}

static void store_row(const signal_task *task, const pi_fft_buffer *b, int64_t row, int64_t lane)
{
    const signal_state *s = task->s;
    const transform *t = &s->t;
    pi_tensor *y = task->call->out[0];
    int64_t at = row / t->per * t->out.outer + row % t->per * t->out.inner, w = s->lanes, h = t->n / 2;
    const double *re = b->data[t->inverse ? 1 : 0] + lane, *im = b->data[t->inverse ? 0 : 1] + lane;
    double scale = t->inverse ? (double)s->fft->n : 1, xr[PI_BLOCK], xi[PI_BLOCK];
    for (int64_t k = 0; k < t->bins; k += PI_BLOCK) {
        int64_t n = pi_min_i64(PI_BLOCK, t->bins - k);
        for (int64_t i = 0; i < n; i++) {
            int64_t p = k + i;
            if (!t->complex_out && s->half) {
                xr[i] = (p % 2 ? im : re)[p / 2 * w] / scale;
            } else if (s->half) {
                spectrum_of_pairs(s, re, im, p <= h ? p : t->n - p, &xr[i], &xi[i]);
                if (p > h) xi[i] = -xi[i];
            } else {
                xr[i] = re[p * w] / scale;
                xi[i] = im[p * w] / scale;
            }
        }
        void *to = pi_at_mut(y->data, y->dtype, at + k * t->out.step);
        pi_write_f64(y->dtype, to, t->out.step, n, xr);
        if (t->complex_out) pi_write_f64(y->dtype, pi_at_mut(to, y->dtype, 1), t->out.step, n, xi);
    }
}

/* A chunk is a range of groups of rows. */
static void signal_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const signal_task *task = arg;
    const signal_state *s = task->s;
    for (int64_t g = begin; g < end && !pi_cancelled(task->call); g++) {
        pi_fft_buffer b = {.lanes = (size_t)s->lanes};
        double *memory = (double *)task->call->scratch + (int64_t)thread * 4 * s->stride;
        for (int i = 0; i < 4; i++) b.data[i] = memory + i * s->stride;
        int64_t first = g * s->lanes, rows = pi_min_i64(s->lanes, s->t.rows - first);
        if (rows < s->lanes) memset(memory, 0, 4 * (size_t)s->stride * sizeof(double));
        for (int64_t l = 0; l < rows; l++) load_row(task, &b, first + l, l);
        pi_fft_run(s->fft, &b);
        for (int64_t l = 0; l < rows; l++) store_row(task, &b, first + l, l);
    }
}

static pi_status signal_run(const pi_call *call, pi_error *err)
{
    const signal_state *s = call->state;
    if (!s) return PI_E_OK; /* no rows */
    signal_task task = {call, s,
                        strcmp(call->node->op->name, "STFT") == 0 ? pi_move_in(call->node, call->in, 2) : NULL};
    int64_t work = 32 * (int64_t)s->fft->n * s->lanes;
    pi_parallel(call->run->threads, (s->t.rows + s->lanes - 1) / s->lanes, 1 + 65536 / work, signal_chunk, &task);
    return pi_cancelled(call) ? pi_fail(err, PI_E_CANCELLED, "cancelled") : PI_E_OK;
}

static const pi_impl dft_impls[] = {{"fft", NULL, dft_prepare, signal_run, 0}, {0}};
static const pi_impl stft_impls[] = {{"fft", NULL, stft_prepare, signal_run, 0}, {0}};

#define INT(name, value) {name, PI_ATTR_INT, false, value, 0, NULL}
static const pi_attr_def dft_v17[] = {INT("axis", 1), INT("inverse", 0), INT("onesided", 0), {0}};
static const pi_attr_def dft_v20[] = {INT("inverse", 0), INT("onesided", 0), {0}};
static const pi_attr_def stft_attrs[] = {INT("onesided", 1), {0}};

#define INDEX (PI_BIT(I32) | PI_BIT(I64))
static const pi_op rows[] = {
    {.name = "DFT",
     .since = 17,
     .signature = "input:T dft_length?:U -> output:T",
     .T = PI_FLOATS,
     .U = INDEX,
     .attrs = dft_v17,
     .infer = dft_infer,
     .impls = dft_impls},
    {.name = "DFT",
     .since = 20,
     .signature = "input:T dft_length?:U axis?:i64 -> output:T",
     .T = PI_FLOATS,
     .U = INDEX,
     .attrs = dft_v20,
     .infer = dft_infer,
     .impls = dft_impls},
    {.name = "STFT",
     .since = 17,
     .signature = "signal:T frame_step:U window?:T frame_length?:U -> output:T",
     .T = PI_FLOATS,
     .U = INDEX,
     .attrs = stft_attrs,
     .infer = stft_infer,
     .impls = stft_impls},
};
const pi_op_family pi_ops_signal = {rows, PI_COUNT(rows)};
