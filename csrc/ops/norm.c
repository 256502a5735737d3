/* SPDX-License-Identifier: Apache-2.0 */
/* LayerNormalization, RMSNormalization, InstanceNormalization, GroupNormalization: each row of X is brought to mean 0
 * and variance 1 (RMS: mean square 1), then scaled and shifted. A row is a run of contiguous elements. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "kernels/norm/norm.h"
#include "ops/bcast.h"
#include "ops/block.h"
#include "ops/ops.h"
#include "ops/widen.h"

typedef struct {
    int64_t rows, n;   /* rows of n elements */
    double epsilon;
    bool centre;       /* subtract the mean: all but RMS */
    int64_t per_scale; /* > 0: a row has n / per_scale scales, each for so many elements */
    int64_t scales;    /* length of the scale then; rows take theirs in turn */
    pi_bcast bcast;    /* else: (scale, bias) over X */
} norm;

/* ---- LayerNormalization, RMSNormalization ---- */

static pi_status fits(const char *name, const pi_tensor *t, const pi_tensor *x, pi_error *err)
{
    pi_tensor y = {.rank = -1};
    char tt[200], tx[200];
    if (pi_broadcast(x, t, &y, NULL) == PI_E_OK && pi_tensor_same_shape(&y, x)) return PI_E_OK;
    return pi_fail(err, PI_E_MODEL, "%s is %s, which does not broadcast to %s", name, pi_tensor_text(t, tt, sizeof tt),
                   pi_tensor_text(x, tx, sizeof tx));
}

static pi_status layer_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    int axis;
    const pi_tensor *x = in[0];
    PI_TRY(pi_axis(pi_attr_int(node, "axis"), x->rank, &axis, err));
    PI_TRY(fits("the scale", in[1], x, err));
    if (node->n_explicit > 2 && in[2]) PI_TRY(fits("the bias", in[2], x, err));
    int64_t stash = pi_attr_int(node, "stash_type");
    if (stash != PI_DTYPE_F32 && stash != PI_DTYPE_BF16 && stash != PI_DTYPE_F16 && stash != PI_DTYPE_F64)
        return pi_fail(err, PI_E_MODEL, "attribute 'stash_type' is %lld, expected 1 or 16", (long long)stash);
    pi_tensor_set_shape(&out[0], x->rank, x->dim);
    for (uint32_t i = 1; i < node->n_out; i++) {
        pi_tensor_set_shape(&out[i], x->rank, x->dim);
        for (int d = axis; d < x->rank; d++) out[i].dim[d] = 1;
        out[i].dtype = (pi_dtype)stash;
    }
    return PI_E_OK;
}

static pi_status layer_prepare(pi_prep *prep, pi_error *err)
{
    norm *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    const pi_tensor *x = prep->in[0];
    int axis;
    PI_TRY(pi_axis(pi_attr_int(prep->node, "axis"), x->rank, &axis, err));
    const pi_tensor *bias = prep->node->n_explicit > 2 && prep->in[2] ? prep->in[2] : prep->in[1];
    pi_bcast_init(&s->bcast, x, (const pi_tensor *[]){prep->in[1], bias}, 2);
    s->rows = pi_dims_product(x, 0, axis);
    s->n = pi_dims_product(x, axis, x->rank);
    s->epsilon = (double)pi_attr_float(prep->node, "epsilon");
    s->centre = prep->node->op->name[0] == 'L';
    return PI_E_OK;
}

/* ---- InstanceNormalization, GroupNormalization ---- */

static pi_status group_init(norm *s, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *x = in[0];
    char text[200];
    if (x->rank < 2)
        return pi_fail(err, PI_E_MODEL, "X is %s, expected a rank of at least 2", pi_tensor_text(x, text, sizeof text));
    bool instance = node->op->name[0] == 'I';
    int64_t channels = x->dim[1], groups = instance ? channels : pi_attr_int(node, "num_groups");
    if (groups < (instance ? 0 : 1) || (groups > 0 && channels % groups != 0))
        return pi_fail(err, PI_E_MODEL, "%lld channels do not divide into %lld groups", (long long)channels, (long long)groups);
    s->scales = node->op->since == 18 ? groups : channels; /* GroupNormalization-18 had a scale for each group */
    for (int i = 1; i <= 2; i++)
        if (in[i]->rank != 1 || in[i]->dim[0] != s->scales)
            return pi_fail(err, PI_E_MODEL, "the %s is %s, expected [%lld]", i == 1 ? "scale" : "bias",
                           pi_tensor_text(in[i], text, sizeof text), (long long)s->scales);
    int64_t space = pi_dims_product(x, 2, x->rank);
    s->n = groups ? channels / groups * space : 0;
    s->rows = x->dim[0] * groups;
    s->per_scale = s->scales == groups ? s->n : space;
    s->epsilon = (double)pi_attr_float(node, "epsilon");
    s->centre = true;
    return PI_E_OK;
}

static pi_status group_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    norm s;
    PI_TRY(group_init(&s, node, in, err));
    return pi_infer_same(node, in, out, err);
}

static pi_status group_prepare(pi_prep *prep, pi_error *err)
{
    norm *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    return group_init(s, prep->node, prep->in, err);
}

/* ---- reference ---- */

static void row_moments(pi_dtype dtype, const void *x, int64_t n, bool centre, double *mean, double *variance)
{
    double v[PI_BLOCK], sum = 0;
    *mean = 0;
    for (int pass = centre ? 0 : 1; pass < 2; pass++) {
        sum = 0;
        for (int64_t at = 0; at < n; at += PI_BLOCK) {
            int64_t m = pi_min_i64(PI_BLOCK, n - at);
            pi_read_f64(dtype, pi_at(x, dtype, at), 1, m, v);
            for (int64_t i = 0; i < m; i++) sum += pass ? (v[i] - *mean) * (v[i] - *mean) : v[i];
        }
        if (pass == 0) *mean = sum / (double)n;
    }
    *variance = sum / (double)n;
}

/* Scales and biases for up to n elements from place `at` of X on; returns for how many they are. */
static int64_t affine(const norm *s, const pi_call *call, int64_t at, int64_t n, double *scale, double *bias)
{
    const pi_tensor *ts = call->in[1], *tb = call->node->n_explicit > 2 ? call->in[2] : NULL;
    int64_t offset[PI_BCAST_INPUTS], ss = 0, sb = 0;
    if (s->per_scale) {
        offset[0] = offset[1] = at / s->per_scale % s->scales;
        n = pi_min_i64(n, s->per_scale - at % s->per_scale);
    } else {
        n = pi_min_i64(n, pi_bcast_at(&s->bcast, at, offset));
        ss = pi_bcast_step(&s->bcast, 0);
        sb = pi_bcast_step(&s->bcast, 1);
    }
    pi_read_f64(ts->dtype, pi_at(ts->data, ts->dtype, offset[0]), ss, n, scale);
    if (tb)
        pi_read_f64(tb->dtype, pi_at(tb->data, tb->dtype, offset[1]), sb, n, bias);
    else
        memset(bias, 0, (size_t)n * sizeof *bias);
    return n;
}

static void norm_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const norm *s = call->state;
    const pi_tensor *x = call->in[0];
    pi_tensor *y = call->out[0];
    for (int64_t r = begin; r < end; r++) {
        double mean, variance, v[PI_BLOCK], scale[PI_BLOCK], bias[PI_BLOCK];
        row_moments(x->dtype, pi_at(x->data, x->dtype, r * s->n), s->n, s->centre, &mean, &variance);
        double inverse = 1 / sqrt(variance + s->epsilon);
        for (int64_t at = r * s->n, n; y && at < (r + 1) * s->n; at += n) {
            n = affine(s, call, at, pi_min_i64(PI_BLOCK, (r + 1) * s->n - at), scale, bias);
            pi_read_f64(x->dtype, pi_at(x->data, x->dtype, at), 1, n, v);
            for (int64_t i = 0; i < n; i++) v[i] = (v[i] - mean) * inverse * scale[i] + bias[i];
            pi_write_f64(y->dtype, pi_at_mut(y->data, y->dtype, at), 1, n, v);
        }
        const double facts[] = {mean, inverse};
        for (uint32_t i = 1; i < call->node->n_out; i++)
            if (call->out[i])
                pi_write_f64(call->out[i]->dtype, pi_at_mut(call->out[i]->data, call->out[i]->dtype, r), 1, 1, &facts[i - 1]);
    }
}

static pi_status norm_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const norm *s = call->state;
    pi_call copy = *call;
    pi_parallel(call->run->threads, s->rows, 1 + (s->n ? 1000 / s->n : 0), norm_chunk, &copy);
    return PI_E_OK;
}

/* ---- f32 kernels ---- */

/* Is t the same for each row: as many elements as a row has, in its order? */
static bool one_row(const pi_tensor *t, const pi_tensor *x, int axis)
{
    for (int i = 0; i < x->rank; i++) {
        int j = i - (x->rank - t->rank);
        int64_t d = j < 0 ? 1 : t->dim[j];
        if (d != (i < axis ? 1 : x->dim[i])) return false;
    }
    return true;
}

static const char *layer_fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    int axis;
    if (pi_axis(pi_attr_int(node, "axis"), in[0]->rank, &axis, NULL) != PI_E_OK) return "attributes";
    for (uint32_t i = 0; i < node->n_explicit; i++)
        if (in[i] && in[i]->dtype != PI_DTYPE_F32) return "only f32";
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] && out[i]->dtype != PI_DTYPE_F32) return "only f32";
    if (!node->out[0]) return "no Y";
    if (node->n_out > 1 && node->op->name[0] == 'R') return "no more outputs";
    for (uint32_t i = 1; i < node->n_explicit; i++)
        if (in[i] && !one_row(in[i], in[0], axis)) return "scale or bias differs from row to row";
    return NULL;
}

static void layer_fast_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const norm *s = call->state;
    const pi_node *node = call->node;
    pi_norm_args a = {.x = (const float *)call->in[0]->data + begin * s->n, .y = (float *)call->out[0]->data + begin * s->n,
                      .eps = (float)s->epsilon, .gamma = call->in[1]->data};
    if (node->n_explicit > 2 && call->in[2]) a.beta = call->in[2]->data;
    if (node->n_out > 1 && call->out[1]) a.mean = (float *)call->out[1]->data + begin;
    if (node->n_out > 2 && call->out[2]) a.inv_std = (float *)call->out[2]->data + begin;
    (s->centre ? pi_norm()->layer_norm_f32 : pi_norm()->rms_norm_f32)(&a, (size_t)(end - begin), (size_t)s->n);
}

static pi_status layer_fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const norm *s = call->state;
    pi_call copy = *call;
    pi_parallel(call->run->threads, s->rows, 1 + (s->n ? 16384 / s->n : 0), layer_fast_chunk, &copy);
    return PI_E_OK;
}

static const char *group_fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)out;
    if (in[0]->dtype != PI_DTYPE_F32) return "only f32";
    return node->op->since == 18 && in[0]->dim[1] != pi_attr_int(node, "num_groups") ? "a scale for each group" : NULL;
}

static void group_fast_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const norm *s = call->state;
    int64_t channels = s->n / s->per_scale;
    for (int64_t r = begin; r < end; r++) {
        int64_t first = r * channels % s->scales;
        pi_norm()->group_norm_f32((size_t)channels, (size_t)s->per_scale, (float)s->epsilon,
                                  (const float *)call->in[0]->data + r * s->n, (const float *)call->in[1]->data + first,
                                  (const float *)call->in[2]->data + first, (float *)call->out[0]->data + r * s->n);
    }
}

static pi_status group_fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const norm *s = call->state;
    pi_call copy = *call;
    if (s->n == 0) return PI_E_OK;
    pi_parallel(call->run->threads, s->rows, 1 + 16384 / s->n, group_fast_chunk, &copy);
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl layer_impls[] = {
    {"simd", layer_fast_refuse, layer_prepare, layer_fast_run, 1},
    {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
    {"ref", NULL, layer_prepare, norm_run, 1},
    {0},
};
static const pi_impl group_impls[] = {
    {"simd", group_fast_refuse, group_prepare, group_fast_run, 1},
    {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
    {"ref", NULL, group_prepare, norm_run, 1},
    {0},
};

#define EPSILON {"epsilon", PI_ATTR_FLOAT, false, 0, 1e-5f, NULL}
#define GROUPS {"num_groups", PI_ATTR_INT, true, 0, 0, NULL}
#define STASH {"stash_type", PI_ATTR_INT, false, 1, 0, NULL}
static const pi_attr_def layer_attrs[] = {{"axis", PI_ATTR_INT, false, -1, 0, NULL}, EPSILON, STASH, {0}};
static const pi_attr_def instance_v1[] = {EPSILON, {"consumed_inputs", PI_ATTR_INTS, false, 0, 0, NULL}, {0}};
static const pi_attr_def instance_v6[] = {EPSILON, {0}};
static const pi_attr_def group_v18[] = {EPSILON, GROUPS, {0}};
static const pi_attr_def group_v21[] = {EPSILON, GROUPS, STASH, {0}};

#define GROUP(op_name, version, attributes)                                                                          \
    {.name = op_name, .since = version, .signature = "X:T scale:T B:T -> Y:T", .T = PI_FLOATS, .attrs = attributes, \
     .infer = group_infer, .impls = group_impls}
static const pi_op rows[] = {
    {.name = "LayerNormalization", .since = 17, .signature = "X:T Scale:T B?:T -> Y:T Mean?:any InvStdDev?:any",
     .T = PI_FLOATS, .attrs = layer_attrs, .infer = layer_infer, .impls = layer_impls},
    {.name = "RMSNormalization", .since = 23, .signature = "X:T scale:V -> Y:V", .T = PI_FLOATS, .V = PI_FLOATS,
     .attrs = layer_attrs, .infer = layer_infer, .impls = layer_impls},
    GROUP("InstanceNormalization", 1, instance_v1),
    GROUP("InstanceNormalization", 6, instance_v6),
    GROUP("GroupNormalization", 18, group_v18),
    GROUP("GroupNormalization", 21, group_v21),
};
const pi_op_family pi_ops_norm = {rows, PI_COUNT(rows)};
