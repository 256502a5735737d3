/* SPDX-License-Identifier: Apache-2.0 */
/* Resize and Upsample. The tables of resize_table.c say which input elements make an output element, axis by axis; axes of
 * scale 1 cost nothing, so any order of axes (NCHW, NHWC) takes the same path:
 *   nearest    rows of indices, a row that repeats is copied
 *   separable  an output row mixes the input rows that reach it, then the mixture is resized along its last axis
 *   ref        each element from the definition, in double */
#include <string.h>

#include "base/cpu.h"
#include "base/threads.h"
#include "kernels/gather/gather.h"
#include "kernels/resize/resize.h"
#include "ops/element.h"
#include "ops/resize_spec.h"

enum { ROWS = 8 }; /* rows mixed at once */

typedef struct {
    resize_spec spec;
    const pi_resize_kernel *kernel;
    const char *src;
    char *dst;
    pi_dtype dtype;
    size_t elem;
    int last;          /* the last axis that is not identity */
    int64_t inner;     /* elements behind it */
    int64_t in_stride[PI_MAX_RANK]; /* elements */
    bool outer_identity, doubles;
    float *weight;     /* of the last axis */
    float *buffer;     /* of each thread */
    size_t buffer_floats;
    char fill[16];     /* extrapolation value as an element */
} resize_job;

static pi_status resize_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    resize_spec spec;
    int known;
    int64_t dim[PI_MAX_RANK];
    PI_TRY(pi_resize_open(node, in, false, &spec, &known, err));
    if (!known) return PI_E_OK;
    pi_dtype dtype = in[0]->dtype;
    if (spec.mode != RESIZE_NEAREST && (dtype == PI_DTYPE_STRING || dtype == PI_DTYPE_C64 || dtype == PI_DTYPE_C128))
        return pi_fail(err, PI_E_MODEL, "mode is not nearest, and elements of type %s have no mean", pi_dtype_name(dtype));
    for (int i = 0; i < spec.rank; i++) dim[i] = spec.axis[i].out;
    return pi_move_shape(out, spec.rank, dim, err);
}

static void job_shape(resize_job *job, const pi_tensor *in)
{
    job->last = -1;
    job->outer_identity = true;
    for (int i = 0; i < job->spec.rank; i++)
        if (!job->spec.axis[i].identity) {
            job->outer_identity = job->last < 0;
            job->last = i;
        }
    job->inner = job->last < 0 ? 1 : pi_dims_product(in, job->last + 1, in->rank);
    job->elem = pi_dtype_size(in->dtype);
    job->dtype = in->dtype;
}

/* Scratch: tables, float weights of the last axis, rows of each thread. */
static pi_status job_scratch(resize_job *job, int threads, size_t *bytes, pi_error *err)
{
    size_t floats = 0, w = 0, rows;
    PI_TRY(pi_resize_bytes(&job->spec, bytes, err));
    if (job->last >= 0 && job->spec.mode != RESIZE_NEAREST) {
        const resize_axis *a = &job->spec.axis[job->last];
        size_t in = (size_t)(a->in * job->inner), out = (size_t)(a->out * job->inner), many;
        w = ((size_t)a->out * (size_t)a->taps + 15) / 16 * 16;
        if (!pi_mul(in, job->dtype == PI_DTYPE_F32 ? 1 : ROWS + 1, &many) || !pi_add(many, out + 64, &floats))
            return pi_fail(err, PI_E_LIMIT, "rows of %zu elements are too long", in);
        floats = floats / 16 * 16;
    }
    job->buffer_floats = floats;
    if (!pi_mul(floats, (size_t)threads, &rows) || !pi_add(rows, w, &rows) || !pi_mul(rows, sizeof(float), &rows) ||
        !pi_add(*bytes, rows + 64, bytes))
        return pi_fail(err, PI_E_LIMIT, "the rows of %d threads are too large", threads);
    return PI_E_OK;
}

static pi_status resize_prepare(pi_prep *prep, pi_error *err)
{
    resize_job job = {0};
    int known;
    const pi_tensor *in = prep->in[0];
    prep->isa = pi_isa_name(pi_cpu_has(PI_CPU_AVX2) ? PI_CPU_AVX2 : PI_CPU_ANY);
    PI_TRY(pi_resize_open(prep->node, prep->in, false, &job.spec, &known, err));
    if (!prep->out[0] || pi_tensor_n(prep->out[0]) == 0) return PI_E_OK;
    if (known) {
        job_shape(&job, in);
        PI_TRY(job_scratch(&job, prep->threads, &prep->scratch, err));
    } else { /* the values come with the run: room for whatever axis turns out to be the last */
        pi_resize_guess(&job.spec, prep->out[0]);
        job_shape(&job, in);
        for (int i = 0; i < in->rank; i++) {
            size_t bytes;
            job.last = i;
            job.inner = pi_dims_product(in, i + 1, in->rank);
            PI_TRY(job_scratch(&job, prep->threads, &bytes, err));
            if (bytes > prep->scratch) prep->scratch = bytes;
        }
    }
    size_t *size = prep->state = pi_prep_alloc(prep, sizeof *size, err);
    if (!size) return pi_alloc_status(err);
    *size = prep->scratch;
    return PI_E_OK;
}

/* Everything that run needs; *empty where there is nothing to do. */
static pi_status job_open(const pi_call *call, resize_job *job, bool *empty, pi_error *err)
{
    int known;
    size_t bytes, tables;
    memset(job, 0, sizeof *job);
    PI_TRY(pi_resize_open(call->node, call->in, true, &job->spec, &known, err));
    if (!known) return pi_fail(err, PI_E_INTERNAL, "scales and sizes have no data");
    PI_TRY(pi_move_outputs(call, err));
    for (int i = 0; i < job->spec.rank; i++)
        if (job->spec.axis[i].out != call->out[0]->dim[i]) return pi_fail(err, PI_E_INTERNAL, "planned for another size");
    *empty = pi_tensor_n(call->out[0]) == 0;
    if (*empty) return PI_E_OK;
    job_shape(job, call->in[0]);
    PI_TRY(job_scratch(job, call->run->threads, &bytes, err));
    if (!call->state || bytes > *(const size_t *)call->state) return pi_fail(err, PI_E_INTERNAL, "planned for other scales");
    PI_TRY(pi_resize_bytes(&job->spec, &tables, err));
    pi_resize_tables(&job->spec, call->scratch);
    job->weight = (float *)(void *)((char *)call->scratch + (tables + 63) / 64 * 64);
    job->src = call->in[0]->data;
    job->dst = call->out[0]->data;
    job->kernel = pi_resize_select();
    pi_move_strides(job->spec.rank, call->in[0]->dim, job->in_stride);
    pi_element_put(job->dtype, job->fill, 0, (double)job->spec.extrapolation);
    return PI_E_OK;
}

/* Coordinates of a row: on all axes before the last resized one. */
static void row_place(const resize_job *job, int64_t row, int64_t *at)
{
    for (int i = job->last - 1; i >= 0; i--) {
        at[i] = row % job->spec.axis[i].out;
        row /= job->spec.axis[i].out;
    }
}

/* Those of the next row: a division an axis and row would cost more than short rows do. */
static void row_next(const resize_job *job, int64_t *at)
{
    for (int i = job->last - 1; i >= 0 && ++at[i] == job->spec.axis[i].out; i--) at[i] = 0;
}

/* The row lies outside of the region. */
static bool is_outside(const resize_job *job, const int64_t *at)
{
    for (int i = 0; i < job->last; i++)
        if (job->spec.axis[i].outside && job->spec.axis[i].outside[at[i]]) return true;
    return false;
}

static void row_outside(const resize_job *job, char *dst)
{
    const resize_axis *a = &job->spec.axis[job->last];
    size_t block = (size_t)job->inner * job->elem;
    for (int64_t j = 0; j < a->out; j++)
        if (a->outside[j]) pi_fill(dst + (size_t)j * block, job->fill, job->elem, job->inner);
}

static void run_rows(const pi_call *call, resize_job *job, pi_task task)
{
    int64_t rows = 1, bytes = job->spec.axis[job->last].out * job->inner * (int64_t)job->elem;
    for (int i = 0; i < job->last; i++) rows *= job->spec.axis[i].out;
    pi_parallel(call->run->threads, rows, pi_max_i64(1, (32 << 10) / bytes), task, job);
}

/* ---- nearest ---- */

#define PICK(bytes) \
    for (int64_t j = 0; j < a->out; j++) memcpy(dst + (bytes) * (size_t)j, src + (bytes) * a->index[j], bytes); \
    return

static void nearest_row(const resize_axis *a, const char *src, size_t block, char *dst)
{
    switch (block) { /* the indices are ours, and inside */
    case 1: PICK(1);
    case 2: PICK(2);
    case 4: PICK(4);
    case 8: PICK(8);
    default: pi_gather_rows(src, block, a->in, a->index, true, 0, a->out, dst);
    }
}
#undef PICK

static void nearest_task(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const resize_job *job = arg;
    const resize_axis *a = &job->spec.axis[job->last];
    size_t block = (size_t)job->inner * job->elem, row_bytes = (size_t)a->out * block;
    bool bounded = false; /* places may lie outside */
    for (int i = 0; i < job->last; i++) bounded = bounded || job->spec.axis[i].outside;
    int64_t before = -1, at[PI_MAX_RANK], base = 0, none = 0, k = 0, n = job->last > 0 ? a[-1].out : 1;
    const int64_t *index = job->last > 0 ? a[-1].index : &none; /* of the axis before the last */
    int64_t stride = job->last > 0 ? job->in_stride[job->last - 1] : 0;
    row_place(job, begin, at);
    for (int64_t row = begin; row < end; row++, k++) {
        char *dst = job->dst + (size_t)row * row_bytes;
        if (k == n || row == begin) { /* other axes have moved */
            if (row > begin) row_next(job, at);
            k = job->last > 0 ? at[job->last - 1] : 0;
            base = 0;
            for (int i = 0; i < job->last - 1; i++) base += job->spec.axis[i].index[at[i]] * job->in_stride[i];
        }
        if (job->last > 0) at[job->last - 1] = k;
        if (bounded && is_outside(job, at)) {
            pi_fill(dst, job->fill, job->elem, a->out * job->inner);
            before = -1;
            continue;
        }
        int64_t from = base + index[k] * stride;
        const char *src = job->src + (size_t)from * job->elem;
        if (job->doubles) /* the row before may be the same, but a copy would wait for its stores */
            job->kernel->twice(dst, src, a->in);
        else if (a->identity)
            memcpy(dst, src, row_bytes);
        else if (from == before) {
            memcpy(dst, dst - row_bytes, row_bytes);
            continue;
        } else
            nearest_row(a, src, block, dst);
        before = from;
        if (a->outside) row_outside(job, dst);
    }
}

static pi_status nearest_run(const pi_call *call, pi_error *err)
{
    resize_job job;
    bool empty;
    size_t bytes;
    PI_TRY(job_open(call, &job, &empty, err));
    if (empty) return PI_E_OK;
    if (job.last < 0) {
        PI_TRY(pi_tensor_bytes(call->in[0], &bytes, err));
        pi_move_bytes(call, job.src, job.dst, bytes);
        return PI_E_OK;
    }
    const resize_axis *a = &job.spec.axis[job.last];
    job.doubles = a->out == 2 * a->in && (size_t)job.inner * job.elem == 4;
    for (int64_t j = 0; job.doubles && j < a->out; j++) job.doubles = a->index[j] == j / 2;
    run_rows(call, &job, nearest_task);
    return PI_E_OK;
}

static const char *nearest_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)in;
    (void)out;
    return strcmp(pi_attr_string(node, "mode"), "nearest") == 0 ? NULL : "the mode is not nearest";
}

/* ---- separable ---- */

/* Adds the rows that wait to the mixture. */
static void mix_rows(const resize_job *job, float *mixed, const float **row, float *weight, int *waiting, bool *started, int64_t n)
{
    if (*started) { /* the sum so far is one more row */
        row[*waiting] = mixed;
        weight[(*waiting)++] = 1;
    }
    job->kernel->mix(mixed, row, weight, *waiting, n);
    *started = true;
    *waiting = 0;
}

/* The input rows that reach a place, mixed. Returns the row, which is the input's own where one row has the weight 1. */
static const float *mixed_row(const resize_job *job, const int64_t *at, float *buffer)
{
    int64_t n = job->spec.axis[job->last].in * job->inner;
    float *mixed = buffer, *copies = buffer + n, weight[ROWS + 1];
    const float *row[ROWS + 1];
    int tap[PI_MAX_RANK] = {0}, waiting = 0, i;
    bool started = false;
    for (;;) {
        double w = 1;
        int64_t from = 0;
        for (i = 0; i < job->last; i++) {
            const resize_axis *a = &job->spec.axis[i];
            int64_t k = at[i] * a->taps + tap[i];
            from += (a->identity ? at[i] : a->index[k]) * job->in_stride[i];
            if (!a->identity) w *= a->weight[k];
        }
        for (i = job->last - 1; i >= 0; i--) { /* the next combination of taps */
            if (!job->spec.axis[i].identity && ++tap[i] < job->spec.axis[i].taps) break;
            tap[i] = 0;
        }
        bool final = i < 0;
        if (w != 0 || (final && !started && waiting == 0)) {
            if (job->dtype == PI_DTYPE_F32) {
                row[waiting] = (const float *)(const void *)job->src + from;
            } else {
                pi_element_to_f32(job->dtype, job->src, from, n, copies + waiting * n);
                row[waiting] = copies + waiting * n;
            }
            weight[waiting++] = (float)w;
        }
        if (final && !started && waiting == 1 && w == 1) return row[0];
        if ((final && waiting) || waiting == ROWS - 1) mix_rows(job, mixed, row, weight, &waiting, &started, n);
        if (final) return mixed;
    }
}

static void separable_task(void *arg, int64_t begin, int64_t end, int thread)
{
    const resize_job *job = arg;
    const resize_axis *a = &job->spec.axis[job->last];
    float *buffer = job->buffer + (size_t)thread * job->buffer_floats;
    int64_t n = a->out * job->inner;
    float *result = buffer + (size_t)(a->in * job->inner) * (job->dtype == PI_DTYPE_F32 ? 1 : ROWS + 1);
    int64_t at[PI_MAX_RANK];
    row_place(job, begin, at);
    for (int64_t row = begin; row < end; row++, row_next(job, at)) {
        char *dst = job->dst + (size_t)(row * n) * job->elem;
        if (is_outside(job, at)) {
            pi_fill(dst, job->fill, job->elem, n);
            continue;
        }
        float *out = job->dtype == PI_DTYPE_F32 ? (float *)(void *)dst : result;
        job->kernel->line(out, mixed_row(job, at, buffer), a->index, job->weight, a->taps, a->out, job->inner);
        if (job->dtype != PI_DTYPE_F32) pi_element_from_f32(job->dtype, dst, 0, n, out);
        if (a->outside) row_outside(job, dst);
    }
}

static pi_status separable_run(const pi_call *call, pi_error *err)
{
    resize_job job;
    bool empty;
    PI_TRY(job_open(call, &job, &empty, err));
    if (empty) return PI_E_OK;
    if (job.last < 0) return nearest_run(call, err); /* a copy */
    const resize_axis *a = &job.spec.axis[job.last];
    size_t n = (size_t)a->out * (size_t)a->taps;
    for (size_t i = 0; i < n; i++) job.weight[i] = (float)a->weight[i];
    job.buffer = job.weight + (n + 15) / 16 * 16;
    run_rows(call, &job, separable_task);
    return PI_E_OK;
}

static const char *separable_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)out;
    if (strcmp(pi_attr_string(node, "mode"), "nearest") == 0) return "the mode is nearest";
    if (in[0]->dtype == PI_DTYPE_F64) return "f64 is computed in double";
    return pi_dtype_in(in[0]->dtype, PI_NUMBERS | PI_BIT(BOOL)) ? NULL : "the dtype is no number";
}

/* ---- reference ---- */

static pi_status ref_run(const pi_call *call, pi_error *err)
{
    resize_job job;
    bool empty;
    PI_TRY(job_open(call, &job, &empty, err));
    if (empty) return PI_E_OK;
    const resize_spec *s = &job.spec;
    int64_t total = pi_tensor_n(call->out[0]);
    for (int64_t o = 0; o < total; o++) {
        int64_t at[PI_MAX_RANK], rest = o;
        int tap[PI_MAX_RANK] = {0}, i;
        bool outside = false;
        double sum = 0;
        for (i = s->rank - 1; i >= 0; i--) {
            at[i] = rest % s->axis[i].out;
            rest /= s->axis[i].out;
            if (s->axis[i].outside && s->axis[i].outside[at[i]]) outside = true;
        }
        do {
            double w = 1;
            int64_t from = 0;
            for (i = 0; i < s->rank; i++) {
                int64_t k = at[i] * s->axis[i].taps + tap[i];
                from += s->axis[i].index[k] * job.in_stride[i];
                w *= s->axis[i].weight[k];
            }
            if (s->mode == RESIZE_NEAREST)
                memcpy(job.dst + (size_t)o * job.elem, job.src + (size_t)from * job.elem, job.elem);
            else if (w != 0)
                sum += w * pi_element_get(job.dtype, job.src, from);
            for (i = s->rank - 1; i >= 0 && ++tap[i] == s->axis[i].taps; i--) tap[i] = 0;
        } while (i >= 0);
        if (s->mode != RESIZE_NEAREST) pi_element_put(job.dtype, job.dst, o, sum);
        if (outside) memcpy(job.dst + (size_t)o * job.elem, job.fill, job.elem);
    }
    return PI_E_OK;
}

static const pi_impl impls[] = {
    {.name = "nearest", .refuse = nearest_refuse, .prepare = resize_prepare, .run = nearest_run},
    {.name = "separable", .refuse = separable_refuse, .prepare = resize_prepare, .run = separable_run},
    {.name = "ref", .prepare = resize_prepare, .run = ref_run},
    {0},
};

static const pi_attr_def mode_attrs[] = {{.name = "mode", .kind = PI_ATTR_STRING, .s = "nearest"}, {0}};
static const pi_attr_def upsample_attrs_v1[] = {{.name = "mode", .kind = PI_ATTR_STRING, .s = "nearest"},
                                                {.name = "height_scale", .kind = PI_ATTR_FLOAT, .required = true},
                                                {.name = "width_scale", .kind = PI_ATTR_FLOAT, .required = true},
                                                {0}};
static const pi_attr_def upsample_attrs_v7[] = {{.name = "mode", .kind = PI_ATTR_STRING, .s = "nearest"},
                                                {.name = "scales", .kind = PI_ATTR_FLOATS, .required = true},
                                                {0}};
static const pi_attr_def attrs_v11[] = {
    {.name = "coordinate_transformation_mode", .kind = PI_ATTR_STRING, .s = "half_pixel"},
    {.name = "cubic_coeff_a", .kind = PI_ATTR_FLOAT, .f = -0.75f},
    {.name = "exclude_outside", .kind = PI_ATTR_INT, .i = 0},
    {.name = "extrapolation_value", .kind = PI_ATTR_FLOAT, .f = 0},
    {.name = "mode", .kind = PI_ATTR_STRING, .s = "nearest"},
    {.name = "nearest_mode", .kind = PI_ATTR_STRING, .s = "round_prefer_floor"},
    {0}};
static const pi_attr_def attrs_v18[] = {
    {.name = "antialias", .kind = PI_ATTR_INT, .i = 0},
    {.name = "axes", .kind = PI_ATTR_INTS},
    {.name = "coordinate_transformation_mode", .kind = PI_ATTR_STRING, .s = "half_pixel"},
    {.name = "cubic_coeff_a", .kind = PI_ATTR_FLOAT, .f = -0.75f},
    {.name = "exclude_outside", .kind = PI_ATTR_INT, .i = 0},
    {.name = "extrapolation_value", .kind = PI_ATTR_FLOAT, .f = 0},
    {.name = "keep_aspect_ratio_policy", .kind = PI_ATTR_STRING, .s = "stretch"},
    {.name = "mode", .kind = PI_ATTR_STRING, .s = "nearest"},
    {.name = "nearest_mode", .kind = PI_ATTR_STRING, .s = "round_prefer_floor"},
    {0}};

/* Exporters leave roi and scales out in version 11 too, where the schema wants them. */
static const pi_op rows[] = {
    {.name = "Upsample", .since = 1, .signature = "X:T -> Y:T", .T = PI_ANY, .attrs = upsample_attrs_v1,
     .infer = resize_infer, .impls = impls},
    {.name = "Upsample", .since = 7, .signature = "X:T -> Y:T", .T = PI_ANY, .attrs = upsample_attrs_v7,
     .infer = resize_infer, .impls = impls},
    {.name = "Upsample", .since = 9, .signature = "X:T scales:f32 -> Y:T", .T = PI_ANY, .attrs = mode_attrs,
     .infer = resize_infer, .impls = impls},
    {.name = "Resize", .since = 10, .signature = "X:T scales:f32 -> Y:T", .T = PI_ANY, .attrs = mode_attrs,
     .infer = resize_infer, .impls = impls},
    {.name = "Resize", .since = 11, .signature = "X:T roi?:U scales?:f32 sizes?:i64 -> Y:T", .T = PI_ANY, .U = PI_FLOATS,
     .attrs = attrs_v11, .infer = resize_infer, .impls = impls},
    {.name = "Resize", .since = 18, .signature = "X:T roi?:U scales?:f32 sizes?:i64 -> Y:T", .T = PI_ANY, .U = PI_FLOATS,
     .attrs = attrs_v18, .infer = resize_infer, .impls = impls},
};
const pi_op_family pi_ops_resize = {rows, PI_COUNT(rows)};
