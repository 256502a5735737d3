/* SPDX-License-Identifier: Apache-2.0 */
/* BatchNormalization: Y = (X - mean) / sqrt(var + epsilon) * scale + B for each channel; with training_mode the mean and
 * the variance are those of X, and the running ones move towards them. */
#include <math.h>
#include "base/threads.h"
#include "kernels/eltwise/eltwise.h"
#include "ops/block.h"
#include "ops/ops.h"
#include "ops/widen.h"
#include "ops/window.h"

typedef struct {
    int64_t batch, channels, space; /* X as [batch, channels, space] */
    double epsilon, momentum;
    bool training;
} batch_norm;

static pi_status batch_init(batch_norm *s, const pi_node *node, const pi_tensor *const *in, pi_error *err)
{
    const pi_tensor *x = in[0];
    char text[200];
    bool spatial = !pi_row_has_attr(node, "spatial") || pi_attr_int(node, "spatial") != 0;
    if (x->rank < 1) return pi_fail(err, PI_E_MODEL, "X is %s, expected a rank of at least 1", pi_tensor_text(x, text, sizeof text));
    s->batch = x->dim[0];
    s->channels = x->rank < 2 ? 1 : spatial ? x->dim[1] : pi_dims_product(x, 1, x->rank);
    s->space = spatial && x->rank > 2 ? pi_dims_product(x, 2, x->rank) : 1;
    for (int i = 1; i <= 4; i++) {
        int64_t n;
        PI_TRY(pi_tensor_count(in[i], &n, err));
        if (n != s->channels || (spatial && in[i]->rank != 1))
            return pi_fail(err, PI_E_MODEL, "input %d is %s, expected [%lld]", i, pi_tensor_text(in[i], text, sizeof text),
                           (long long)s->channels);
    }
    s->epsilon = (double)pi_attr_float(node, "epsilon");
    s->momentum = (double)pi_attr_float(node, "momentum");
    s->training = pi_row_has_attr(node, "training_mode") && pi_attr_int(node, "training_mode") != 0;
    return PI_E_OK;
}

static pi_status batch_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    batch_norm s;
    PI_TRY(batch_init(&s, node, in, err));
    for (uint32_t i = 1; i < node->n_out; i++) {
        if (node->out[i] && node->op->since < 14)
            return pi_fail(err, PI_E_UNSUPPORTED, "training (more outputs than Y) before opset 14");
        pi_tensor_set_shape(&out[i], in[3]->rank, in[3]->dim);
    }
    return pi_infer_same(node, in, out, err);
}

static pi_status batch_prepare(pi_prep *prep, pi_error *err)
{
    batch_norm *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    return batch_init(s, prep->node, prep->in, err);
}

/* ---- reference: one channel after the other ---- */

static double parameter(const pi_call *call, uint32_t i, int64_t channel)
{
    double v;
    pi_read_f64(call->in[i]->dtype, pi_at(call->in[i]->data, call->in[i]->dtype, channel), 1, 1, &v);
    return v;
}

static void channel_moments(const batch_norm *s, const pi_tensor *x, int64_t c, double *mean, double *variance)
{
    double v[PI_BLOCK], count = (double)s->batch * (double)s->space;
    *mean = 0;
    for (int pass = 0; pass < 2; pass++) {
        double sum = 0;
        for (int64_t b = 0; b < s->batch; b++)
            for (int64_t at = 0; at < s->space; at += PI_BLOCK) {
                int64_t n = pi_min_i64(PI_BLOCK, s->space - at);
                pi_read_f64(x->dtype, pi_at(x->data, x->dtype, (b * s->channels + c) * s->space + at), 1, n, v);
                for (int64_t i = 0; i < n; i++) sum += pass ? (v[i] - *mean) * (v[i] - *mean) : v[i];
            }
        if (pass == 0) *mean = sum / count;
        else *variance = sum / count;
    }
}

static void store(const pi_call *call, uint32_t i, int64_t channel, double v)
{
    pi_tensor *t = i < call->node->n_out ? call->out[i] : NULL;
    if (t) pi_write_f64(t->dtype, pi_at_mut(t->data, t->dtype, channel), 1, 1, &v);
}

static void batch_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const batch_norm *s = call->state;
    const pi_tensor *x = call->in[0];
    pi_tensor *y = call->out[0];
    for (int64_t c = begin; c < end; c++) {
        double mean = parameter(call, 3, c), variance = parameter(call, 4, c), v[PI_BLOCK];
        if (s->training) {
            double m, var;
            channel_moments(s, x, c, &m, &var);
            store(call, 1, c, mean * s->momentum + m * (1 - s->momentum));
            store(call, 2, c, variance * s->momentum + var * (1 - s->momentum));
            mean = m;
            variance = var;
        } else {
            store(call, 1, c, mean);
            store(call, 2, c, variance);
        }
        double a = parameter(call, 1, c) / sqrt(variance + s->epsilon), b = parameter(call, 2, c);
        for (int64_t n = 0; y && n < s->batch; n++)
            for (int64_t i = 0; i < s->space; i += PI_BLOCK) {
                int64_t at = (n * s->channels + c) * s->space + i, m = pi_min_i64(PI_BLOCK, s->space - i);
                pi_read_f64(x->dtype, pi_at(x->data, x->dtype, at), 1, m, v);
                for (int64_t k = 0; k < m; k++) v[k] = (v[k] - mean) * a + b;
                pi_write_f64(y->dtype, pi_at_mut(y->data, y->dtype, at), 1, m, v);
            }
    }
}

static pi_status batch_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const batch_norm *s = call->state;
    pi_call copy = *call;
    pi_parallel(call->run->threads, s->channels, 1, batch_chunk, &copy);
    return PI_E_OK;
}

/* ---- f32: each plane is scaled and shifted ---- */

static const char *fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    batch_norm s;
    (void)out;
    for (int i = 0; i < 5; i++)
        if (in[i]->dtype != PI_DTYPE_F32) return "only f32";
    if (batch_init(&s, node, in, NULL) != PI_E_OK) return "attributes";
    if (s.training || node->n_out > 1 || !node->out[0]) return "training";
    return s.space < 16 ? "planes are small" : NULL;
}

static void fast_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const pi_call *call = arg;
    const batch_norm *s = call->state;
    for (int64_t r = begin; r < end; r++) {
        int64_t c = r % s->channels;
        double scale = parameter(call, 1, c) / sqrt(parameter(call, 4, c) + s->epsilon);
        float a = (float)scale, b = (float)(parameter(call, 2, c) - parameter(call, 3, c) * scale);
        const pi_affine f = {.scale = &a, .bias = &b};
        pi_eltwise()->affine_f32(&f, 1, (size_t)s->space, (const float *)call->in[0]->data + r * s->space,
                                 (float *)call->out[0]->data + r * s->space);
    }
}

static pi_status fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    const batch_norm *s = call->state;
    pi_call copy = *call;
    pi_parallel(call->run->threads, s->batch * s->channels, 1 + 32768 / s->space, fast_chunk, &copy);
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl batch_impls[] = {
    {"simd", fast_refuse, batch_prepare, fast_run, 1},
    {"f32", pi_widen_refuse, pi_widen_prepare, pi_widen_run, 0},
    {"ref", NULL, batch_prepare, batch_run, 1},
    {0},
};

#define INT(name, value) {name, PI_ATTR_INT, false, value, 0, NULL}
#define COMMON {"epsilon", PI_ATTR_FLOAT, false, 0, 1e-5f, NULL}, {"momentum", PI_ATTR_FLOAT, false, 0, 0.9f, NULL}
static const pi_attr_def batch_v1[] = {COMMON, INT("is_test", 0), INT("spatial", 1),
                                       {"consumed_inputs", PI_ATTR_INTS, true, 0, 0, NULL}, {0}};
static const pi_attr_def batch_v6[] = {COMMON, INT("is_test", 0), INT("spatial", 1), {0}};
static const pi_attr_def batch_v7[] = {COMMON, INT("spatial", 1), {0}};
static const pi_attr_def batch_v9[] = {COMMON, {0}};
static const pi_attr_def batch_v14[] = {COMMON, INT("training_mode", 0), {0}};

#define OLD "X:T scale:T B:T mean:T var:T -> Y:T mean?:T var?:T saved_mean?:T saved_var?:T"
#define BATCH(version, text, attributes)                                                                          \
    {.name = "BatchNormalization", .since = version, .signature = text, .T = PI_FLOATS, .U = PI_FLOATS,             \
     .V = PI_FLOATS, .attrs = attributes, .infer = batch_infer, .impls = batch_impls}
static const pi_op rows[] = {
    BATCH(1, OLD, batch_v1),
    BATCH(6, OLD, batch_v6),
    BATCH(7, OLD, batch_v7),
    BATCH(9, OLD, batch_v9),
    BATCH(14, "X:T scale:T B:T input_mean:U input_var:U -> Y:T running_mean?:U running_var?:U", batch_v14),
    BATCH(15, "X:T scale:U B:U input_mean:V input_var:V -> Y:T running_mean?:V running_var?:V", batch_v14),
};
const pi_op_family pi_ops_batch_norm = {rows, PI_COUNT(rows)};
