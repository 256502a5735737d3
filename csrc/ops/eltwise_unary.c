/* SPDX-License-Identifier: Apache-2.0 */
/* y[i] = f(x[i]): mathematical functions, activations and tests of one number.
 * The reference computes in double (integers in int64_t, wrapping) and rounds once. */
#include <math.h>
#include <string.h>
#include "base/threads.h"
#include "ops/block.h"
#include "ops/eltwise_find.h"
#include "ops/ops.h"

enum { GRAIN = 1 << 13 }; /* elements worth a thread: libm's functions take some 20 ns */

/* ---- the functions; p: the two parameters of the operator ---- */

static double f_abs(double x, const double *p) { (void)p; return fabs(x); }
static double f_neg(double x, const double *p) { (void)p; return -x; }
static double f_exp(double x, const double *p) { (void)p; return exp(x); }
static double f_log(double x, const double *p) { (void)p; return log(x); }
static double f_sqrt(double x, const double *p) { (void)p; return sqrt(x); }
static double f_reciprocal(double x, const double *p) { (void)p; return 1 / x; }
static double f_floor(double x, const double *p) { (void)p; return floor(x); }
static double f_ceil(double x, const double *p) { (void)p; return ceil(x); }
static double f_round(double x, const double *p) { (void)p; return rint(x); } /* half to even */
static double f_sign(double x, const double *p) { (void)p; return x > 0 ? 1 : x < 0 ? -1 : x; }
static double f_erf(double x, const double *p) { (void)p; return erf(x); }
static double f_sin(double x, const double *p) { (void)p; return sin(x); }
static double f_cos(double x, const double *p) { (void)p; return cos(x); }
static double f_tan(double x, const double *p) { (void)p; return tan(x); }
static double f_asin(double x, const double *p) { (void)p; return asin(x); }
static double f_acos(double x, const double *p) { (void)p; return acos(x); }
static double f_atan(double x, const double *p) { (void)p; return atan(x); }
static double f_sinh(double x, const double *p) { (void)p; return sinh(x); }
static double f_cosh(double x, const double *p) { (void)p; return cosh(x); }
static double f_tanh(double x, const double *p) { (void)p; return tanh(x); }
static double f_asinh(double x, const double *p) { (void)p; return asinh(x); }
static double f_acosh(double x, const double *p) { (void)p; return acosh(x); }
static double f_atanh(double x, const double *p) { (void)p; return atanh(x); }
static double f_sigmoid(double x, const double *p) { (void)p; return 1 / (1 + exp(-x)); }
static double f_hard_sigmoid(double x, const double *p)
{
    double y = p[0] * x + p[1];
    return y > 1 ? 1 : y < 0 ? 0 : y;
}
static double f_hard_swish(double x, const double *p)
{
    (void)p;
    double y = x / 6 + 0.5;
    return x * (y > 1 ? 1 : y < 0 ? 0 : y);
}
static double f_relu(double x, const double *p) { (void)p; return x < 0 ? 0 : x; }
static double f_leaky_relu(double x, const double *p) { return x < 0 ? p[0] * x : x; }
static double f_elu(double x, const double *p) { return x < 0 ? p[0] * expm1(x) : x; }
static double f_selu(double x, const double *p) { return p[1] * (x > 0 ? x : p[0] * expm1(x)); }
static double f_celu(double x, const double *p) { return x < 0 ? p[0] * expm1(x / p[0]) : x; }
static double f_softplus(double x, const double *p) { (void)p; return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double f_softsign(double x, const double *p) { (void)p; return x / (1 + fabs(x)); }
static double f_swish(double x, const double *p) { return x / (1 + exp(-p[0] * x)); }
static double f_gelu(double x, const double *p) { (void)p; return 0.5 * x * erfc(-x * 0.70710678118654752440); }
static double f_gelu_tanh(double x, const double *p)
{
    (void)p;
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
static double f_mish(double x, const double *p) { return x * tanh(f_softplus(x, p)); }
static double f_thresholded_relu(double x, const double *p) { return x > p[0] ? x : 0; }
static double f_shrink(double x, const double *p) { return x < -p[0] ? x + p[1] : x > p[0] ? x - p[1] : 0; }
static double f_is_nan(double x, const double *p) { (void)p; return x != x; }
static double f_is_inf(double x, const double *p) { return isinf(x) && (x < 0 ? p[0] : p[1]) != 0; }
static double f_clip(double x, const double *p) { return x != x ? x : fmin(fmax(x, p[0]), p[1]); }

static int64_t i_abs(int64_t x, bool u) { return x < 0 && !u ? (int64_t)-(uint64_t)x : x; }
static int64_t i_neg(int64_t x, bool u) { (void)u; return (int64_t)-(uint64_t)x; }
static int64_t i_sign(int64_t x, bool u) { return x == 0 ? 0 : x < 0 && !u ? -1 : 1; }
static int64_t i_relu(int64_t x, bool u) { return x < 0 && !u ? 0 : x; }
static int64_t i_not(int64_t x, bool u) { (void)u; return !x; }
static int64_t i_bitwise_not(int64_t x, bool u) { (void)u; return ~x; }

typedef struct {
    const char *name;
    double (*f)(double x, const double *p);
    int64_t (*i)(int64_t x, bool is_unsigned); /* NULL: integers go through f */
    const char *a, *b;                         /* attributes that are the parameters */
} unary;

static const unary table[] = {
    {"Abs", f_abs, i_abs, NULL, NULL},
    {"Neg", f_neg, i_neg, NULL, NULL},
    {"Exp", f_exp, NULL, NULL, NULL},
    {"Log", f_log, NULL, NULL, NULL},
    {"Sqrt", f_sqrt, NULL, NULL, NULL},
    {"Reciprocal", f_reciprocal, NULL, NULL, NULL},
    {"Floor", f_floor, NULL, NULL, NULL},
    {"Ceil", f_ceil, NULL, NULL, NULL},
    {"Round", f_round, NULL, NULL, NULL},
    {"Sign", f_sign, i_sign, NULL, NULL},
    {"Erf", f_erf, NULL, NULL, NULL},
    {"Sin", f_sin, NULL, NULL, NULL},
    {"Cos", f_cos, NULL, NULL, NULL},
    {"Tan", f_tan, NULL, NULL, NULL},
    {"Asin", f_asin, NULL, NULL, NULL},
    {"Acos", f_acos, NULL, NULL, NULL},
    {"Atan", f_atan, NULL, NULL, NULL},
    {"Sinh", f_sinh, NULL, NULL, NULL},
    {"Cosh", f_cosh, NULL, NULL, NULL},
    {"Tanh", f_tanh, NULL, NULL, NULL},
    {"Asinh", f_asinh, NULL, NULL, NULL},
    {"Acosh", f_acosh, NULL, NULL, NULL},
    {"Atanh", f_atanh, NULL, NULL, NULL},
    {"Sigmoid", f_sigmoid, NULL, NULL, NULL},
    {"HardSigmoid", f_hard_sigmoid, NULL, "alpha", "beta"},
    {"HardSwish", f_hard_swish, NULL, NULL, NULL},
    {"Relu", f_relu, i_relu, NULL, NULL},
    {"LeakyRelu", f_leaky_relu, NULL, "alpha", NULL},
    {"Elu", f_elu, NULL, "alpha", NULL},
    {"Selu", f_selu, NULL, "alpha", "gamma"},
    {"Celu", f_celu, NULL, "alpha", NULL},
    {"Softplus", f_softplus, NULL, NULL, NULL},
    {"Softsign", f_softsign, NULL, NULL, NULL},
    {"Swish", f_swish, NULL, "alpha", NULL},
    {"Gelu", f_gelu, NULL, NULL, NULL},
    {"Mish", f_mish, NULL, NULL, NULL},
    {"ThresholdedRelu", f_thresholded_relu, NULL, "alpha", NULL},
    {"Shrink", f_shrink, NULL, "lambd", "bias"},
    {"IsNaN", f_is_nan, NULL, NULL, NULL},
    {"IsInf", f_is_inf, NULL, "detect_negative", "detect_positive"},
    {"Not", NULL, i_not, NULL, NULL},
    {"BitwiseNot", NULL, i_bitwise_not, NULL, NULL},
    {"Clip", f_clip, NULL, "min", "max"}, /* versions 1 and 6; later ones are below */
};
static const unary gelu_tanh = {"Gelu", f_gelu_tanh, NULL, NULL, NULL};

/* ---- prepare and run ---- */

typedef struct {
    const unary *u;
    double p[2];
} unary_state;

static double parameter(const pi_node *node, const char *name)
{
    if (!name) return 0;
    for (const pi_attr_def *d = node->op->attrs; d && d->name; d++)
        if (strcmp(d->name, name) == 0 && d->kind == PI_ATTR_INT) return (double)pi_attr_int(node, name);
    return (double)pi_attr_float(node, name);
}

static pi_status unary_prepare(pi_prep *prep, pi_error *err)
{
    unary_state *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    for (size_t i = 0; i < PI_COUNT(table); i++)
        if (strcmp(table[i].name, prep->node->op->name) == 0) s->u = &table[i];
    if (!s->u) return pi_fail(err, PI_E_INTERNAL, "no such unary function");
    if (s->u->f == f_gelu && strcmp(pi_attr_string(prep->node, "approximate"), "tanh") == 0) s->u = &gelu_tanh;
    s->p[0] = parameter(prep->node, s->u->a);
    s->p[1] = parameter(prep->node, s->u->b);
    return PI_E_OK;
}

typedef struct {
    const unary_state *state;
    const pi_tensor *x;
    pi_tensor *y;
} unary_task;

static void unary_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const unary_task *t = arg;
    const unary *u = t->state->u;
    bool integers = u->i && !pi_dtype_is_float(t->x->dtype), is_unsigned = t->x->dtype == PI_DTYPE_U64;
    for (int64_t at = begin; at < end; at += PI_BLOCK) {
        int64_t n = pi_min_i64(PI_BLOCK, end - at);
        const void *x = pi_at(t->x->data, t->x->dtype, at);
        void *y = pi_at_mut(t->y->data, t->y->dtype, at);
        if (integers) {
            int64_t v[PI_BLOCK];
            pi_read_i64(t->x->dtype, x, 1, n, v);
            for (int64_t i = 0; i < n; i++) v[i] = u->i(v[i], is_unsigned);
            pi_write_i64(t->y->dtype, y, 1, n, v);
        } else {
            double v[PI_BLOCK];
            pi_read_f64(t->x->dtype, x, 1, n, v);
            for (int64_t i = 0; i < n; i++) v[i] = u->f(v[i], t->state->p);
            pi_write_f64(t->y->dtype, y, 1, n, v);
        }
    }
}

static pi_status unary_run(const pi_call *call, pi_error *err)
{
    (void)err;
    unary_task t = {call->state, call->in[0], call->out[0]};
    pi_parallel(call->run->threads, pi_tensor_n(t.x), GRAIN, unary_chunk, &t);
    return PI_E_OK;
}

/* ---- vectors: f32, f16 and bf16 through blocks of f32, and Exp of f64 ---- */

enum { FAST_GRAIN = 1 << 15 };

static const char *fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)out;
    if (in[0]->dtype == PI_DTYPE_F64) return strcmp(node->op->name, "Exp") == 0 ? NULL : "f64 only of Exp";
    if (in[0]->dtype != PI_DTYPE_F32 && in[0]->dtype != PI_DTYPE_F16 && in[0]->dtype != PI_DTYPE_BF16) return "only f32, f16, bf16";
    return pi_eltwise_find(node).form != PI_FORM_NONE ? NULL : "no kernel";
}

static pi_status fast_prepare(pi_prep *prep, pi_error *err)
{
    pi_eltwise_kernel *s = prep->state = pi_prep_alloc(prep, sizeof *s, err);
    if (!s) return pi_alloc_status(err);
    *s = pi_eltwise_find(prep->node);
    return PI_E_OK;
}

static void fast_apply(const pi_eltwise_kernel *s, int64_t n, const float *x, void *y)
{
    const pi_eltwise_kernels *k = pi_eltwise();
    const pi_in in = {x, 0, 1};
    if (s->form == PI_FORM_ACT)
        k->act_f32((pi_act){(pi_act_kind)s->kind, s->a, s->b}, (size_t)n, x, y);
    else if (s->form == PI_FORM_UNARY)
        k->unary_f32((pi_unary)s->kind, (size_t)n, x, y);
    else
        k->compare_f32((pi_compare)s->kind, 1, (size_t)n, in, in, y);
}

typedef struct {
    const pi_eltwise_kernel *state;
    const pi_tensor *x;
    pi_tensor *y;
} fast_task;

static void fast_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    (void)thread;
    const fast_task *t = arg;
    if (t->x->dtype == PI_DTYPE_F64) {
        pi_eltwise()->exp_f64((size_t)(end - begin), (const double *)t->x->data + begin, (double *)t->y->data + begin);
        return;
    }
    if (t->x->dtype == PI_DTYPE_F32) {
        fast_apply(t->state, end - begin, (const float *)t->x->data + begin, pi_at_mut(t->y->data, t->y->dtype, begin));
        return;
    }
    for (int64_t at = begin; at < end; at += PI_BLOCK) {
        int64_t n = pi_min_i64(PI_BLOCK, end - at);
        float v[PI_BLOCK];
        void *y = pi_at_mut(t->y->data, t->y->dtype, at);
        pi_read_f32(t->x->dtype, pi_at(t->x->data, t->x->dtype, at), 1, n, v);
        fast_apply(t->state, n, v, t->y->dtype == PI_DTYPE_BOOL ? y : v);
        if (t->y->dtype != PI_DTYPE_BOOL) pi_write_f32(t->y->dtype, y, 1, n, v);
    }
}

static pi_status fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    fast_task t = {call->state, call->in[0], call->out[0]};
    pi_parallel(call->run->threads, pi_tensor_n(t.x), FAST_GRAIN, fast_chunk, &t);
    return PI_E_OK;
}

static pi_status gelu_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    const char *a = pi_attr_string(node, "approximate");
    if (strcmp(a, "none") != 0 && strcmp(a, "tanh") != 0)
        return pi_fail(err, PI_E_MODEL, "attribute 'approximate' is '%.40s', expected 'none' or 'tanh'", a);
    return pi_infer_same(node, in, out, err);
}

/* ---- Clip since 11: the bounds are inputs ---- */

static pi_status clip_infer(const pi_node *node, const pi_tensor *const *in, pi_tensor *out, pi_error *err)
{
    for (uint32_t i = 1; i < node->n_explicit; i++) {
        int64_t n;
        if (!in[i]) continue;
        PI_TRY(pi_tensor_count(in[i], &n, err));
        if (n != 1) {
            char text[200];
            return pi_fail(err, PI_E_MODEL, "bound %u is %s, expected a scalar", i, pi_tensor_text(in[i], text, sizeof text));
        }
    }
    return pi_infer_same(node, in, out, err);
}

static void clip_integers(const pi_call *call, int64_t begin, int64_t end)
{
    const pi_tensor *x = call->in[0], *low = call->node->n_in > 1 ? call->in[1] : NULL;
    const pi_tensor *high = call->node->n_in > 2 ? call->in[2] : NULL;
    int64_t v[PI_BLOCK], lo = 0, hi = 0;
    if (low) pi_read_i64(low->dtype, low->data, 1, 1, &lo);
    if (high) pi_read_i64(high->dtype, high->data, 1, 1, &hi);
    uint64_t flip = x->dtype == PI_DTYPE_U64 ? 0 : 1ull << 63; /* orders signed numbers as unsigned ones */
    for (int64_t at = begin; at < end; at += PI_BLOCK) {
        int64_t n = pi_min_i64(PI_BLOCK, end - at);
        pi_read_i64(x->dtype, pi_at(x->data, x->dtype, at), 1, n, v);
        for (int64_t i = 0; i < n; i++) {
            if (low && ((uint64_t)v[i] ^ flip) < ((uint64_t)lo ^ flip)) v[i] = lo;
            if (high && ((uint64_t)v[i] ^ flip) > ((uint64_t)hi ^ flip)) v[i] = hi;
        }
        pi_write_i64(x->dtype, pi_at_mut(call->out[0]->data, x->dtype, at), 1, n, v);
    }
}

static void clip_chunk(void *arg, int64_t begin, int64_t end, int thread)
{
    const pi_call *call = arg;
    if (!pi_dtype_is_float(call->in[0]->dtype)) {
        clip_integers(call, begin, end);
        return;
    }
    static const unary clip = {"Clip", f_clip, NULL, NULL, NULL};
    unary_state s = {&clip, {-INFINITY, INFINITY}};
    for (uint32_t i = 1; i < call->node->n_explicit; i++)
        if (call->in[i]) pi_read_f64(call->in[i]->dtype, call->in[i]->data, 1, 1, &s.p[i - 1]);
    if (s.p[0] != s.p[0]) s.p[0] = -INFINITY;
    if (s.p[1] != s.p[1]) s.p[1] = INFINITY;
    unary_task t = {&s, call->in[0], call->out[0]};
    unary_chunk(&t, begin, end, thread);
}

static const char *clip_fast_refuse(const pi_node *node, const pi_tensor *const *in, const pi_tensor *const *out)
{
    (void)node;
    (void)out;
    return in[0]->dtype == PI_DTYPE_F32 ? NULL : "only f32";
}

static pi_status clip_fast_run(const pi_call *call, pi_error *err)
{
    (void)err;
    pi_eltwise_kernel s = pi_eltwise_find(call->node);
    const pi_tensor *low = call->node->n_explicit > 1 ? call->in[1] : NULL, *high = call->node->n_explicit > 2 ? call->in[2] : NULL;
    if (low && *(const float *)low->data > -INFINITY) s.a = *(const float *)low->data;
    if (high && *(const float *)high->data < INFINITY) s.b = *(const float *)high->data;
    fast_task t = {&s, call->in[0], call->out[0]};
    pi_parallel(call->run->threads, pi_tensor_n(t.x), FAST_GRAIN, fast_chunk, &t);
    return PI_E_OK;
}

static pi_status clip_run(const pi_call *call, pi_error *err)
{
    (void)err;
    pi_call copy = *call;
    pi_parallel(call->run->threads, pi_tensor_n(call->in[0]), GRAIN, clip_chunk, &copy);
    return PI_E_OK;
}

/* ---- rows ---- */

static const pi_impl unary_impls[] = {{"simd", fast_refuse, fast_prepare, fast_run, 1}, {"ref", NULL, unary_prepare, unary_run, 1}, {0}};
static const pi_impl clip_impls[] = {{"simd", clip_fast_refuse, NULL, clip_fast_run, 1}, {"ref", NULL, NULL, clip_run, 1}, {0}};

#define CONSUMED {"consumed_inputs", PI_ATTR_INTS, false, 0, 0, NULL}
#define FLOAT(name, value) {name, PI_ATTR_FLOAT, false, 0, value, NULL}
static const pi_attr_def v1_attrs[] = {CONSUMED, {0}};
static const pi_attr_def hard_sigmoid_v1[] = {FLOAT("alpha", 0.2f), FLOAT("beta", 0.5f), CONSUMED, {0}};
static const pi_attr_def hard_sigmoid_v6[] = {FLOAT("alpha", 0.2f), FLOAT("beta", 0.5f), {0}};
static const pi_attr_def leaky_relu_v1[] = {FLOAT("alpha", 0.01f), CONSUMED, {0}};
static const pi_attr_def leaky_relu_v6[] = {FLOAT("alpha", 0.01f), {0}};
static const pi_attr_def elu_v1[] = {FLOAT("alpha", 1), CONSUMED, {0}};
static const pi_attr_def alpha_one[] = {FLOAT("alpha", 1), {0}};
static const pi_attr_def selu_v1[] = {FLOAT("alpha", 1.6732f), FLOAT("gamma", 1.0507f), CONSUMED, {0}};
static const pi_attr_def selu_v6[] = {FLOAT("alpha", 1.67326319217681884765625f),
                                      FLOAT("gamma", 1.05070102214813232421875f), {0}};
static const pi_attr_def shrink_attrs[] = {FLOAT("bias", 0), FLOAT("lambd", 0.5f), {0}};
static const pi_attr_def gelu_attrs[] = {{"approximate", PI_ATTR_STRING, false, 0, 0, "none"}, {0}};
static const pi_attr_def is_inf_attrs[] = {{"detect_negative", PI_ATTR_INT, false, 1, 0, NULL},
                                           {"detect_positive", PI_ATTR_INT, false, 1, 0, NULL}, {0}};
static const pi_attr_def clip_v1[] = {FLOAT("min", -3.4028234663852886e38f), FLOAT("max", 3.4028234663852886e38f), CONSUMED, {0}};
static const pi_attr_def clip_v6[] = {FLOAT("min", -3.4028234663852886e38f), FLOAT("max", 3.4028234663852886e38f), {0}};

#define TESTABLE                                                                                                  \
    (PI_FLOATS | PI_BIT(F8E4M3FN) | PI_BIT(F8E4M3FNUZ) | PI_BIT(F8E5M2) | PI_BIT(F8E5M2FNUZ))
/* Versions that differ only in the types that they allow share a row with all of them. */
#define ROW(op_name, version, types, attributes)                                                        \
    {.name = op_name, .since = version, .signature = "X:T -> Y:T", .T = types, .flags = PI_OP_ELEMENTWISE, \
     .attrs = attributes, .infer = pi_infer_same, .impls = unary_impls}
#define TEST(op_name, version, types, attributes)                                                          \
    {.name = op_name, .since = version, .signature = "X:T -> Y:bool", .T = types, .flags = PI_OP_ELEMENTWISE, \
     .attrs = attributes, .infer = pi_infer_same, .impls = unary_impls}

static const pi_op rows[] = {
    ROW("Abs", 1, PI_FLOATS, v1_attrs),
    ROW("Abs", 6, PI_NUMBERS, NULL),
    ROW("Neg", 1, PI_FLOATS, v1_attrs),
    ROW("Neg", 6, PI_FLOATS | PI_SIGNED_INTS, NULL),
    ROW("Exp", 1, PI_FLOATS, v1_attrs),
    ROW("Exp", 6, PI_FLOATS, NULL),
    ROW("Log", 1, PI_FLOATS, v1_attrs),
    ROW("Log", 6, PI_FLOATS, NULL),
    ROW("Sqrt", 1, PI_FLOATS, v1_attrs),
    ROW("Sqrt", 6, PI_FLOATS, NULL),
    ROW("Reciprocal", 1, PI_FLOATS, v1_attrs),
    ROW("Reciprocal", 6, PI_FLOATS, NULL),
    ROW("Floor", 1, PI_FLOATS, v1_attrs),
    ROW("Floor", 6, PI_FLOATS, NULL),
    ROW("Ceil", 1, PI_FLOATS, v1_attrs),
    ROW("Ceil", 6, PI_FLOATS, NULL),
    ROW("Round", 11, PI_FLOATS, NULL),
    ROW("Sign", 9, PI_NUMBERS, NULL),
    ROW("Erf", 9, PI_NUMBERS, NULL),
    ROW("Sin", 7, PI_FLOATS, NULL),
    ROW("Cos", 7, PI_FLOATS, NULL),
    ROW("Tan", 7, PI_FLOATS, NULL),
    ROW("Asin", 7, PI_FLOATS, NULL),
    ROW("Acos", 7, PI_FLOATS, NULL),
    ROW("Atan", 7, PI_FLOATS, NULL),
    ROW("Sinh", 9, PI_FLOATS, NULL),
    ROW("Cosh", 9, PI_FLOATS, NULL),
    ROW("Tanh", 1, PI_FLOATS, v1_attrs),
    ROW("Tanh", 6, PI_FLOATS, NULL),
    ROW("Asinh", 9, PI_FLOATS, NULL),
    ROW("Acosh", 9, PI_FLOATS, NULL),
    ROW("Atanh", 9, PI_FLOATS, NULL),
    ROW("Sigmoid", 1, PI_FLOATS, v1_attrs),
    ROW("Sigmoid", 6, PI_FLOATS, NULL),
    ROW("HardSigmoid", 1, PI_FLOATS, hard_sigmoid_v1),
    ROW("HardSigmoid", 6, PI_FLOATS, hard_sigmoid_v6),
    ROW("HardSwish", 14, PI_FLOATS, NULL),
    ROW("Relu", 1, PI_FLOATS, v1_attrs),
    ROW("Relu", 6, PI_FLOATS | PI_SIGNED_INTS, NULL),
    ROW("LeakyRelu", 1, PI_FLOATS, leaky_relu_v1),
    ROW("LeakyRelu", 6, PI_FLOATS, leaky_relu_v6),
    ROW("Elu", 1, PI_FLOATS, elu_v1),
    ROW("Elu", 6, PI_FLOATS, alpha_one),
    ROW("Selu", 1, PI_FLOATS, selu_v1),
    ROW("Selu", 6, PI_FLOATS, selu_v6),
    ROW("Celu", 12, PI_FLOATS, alpha_one),
    ROW("Softplus", 1, PI_FLOATS, NULL),
    ROW("Softsign", 1, PI_FLOATS, NULL),
    ROW("Swish", 24, PI_FLOATS, alpha_one),
    {.name = "Gelu", .since = 20, .signature = "X:T -> Y:T", .T = PI_FLOATS, .flags = PI_OP_ELEMENTWISE,
     .attrs = gelu_attrs, .infer = gelu_infer, .impls = unary_impls},
    ROW("Mish", 18, PI_FLOATS, NULL),
    ROW("ThresholdedRelu", 10, PI_FLOATS, alpha_one),
    ROW("Shrink", 9, PI_NUMBERS, shrink_attrs),
    TEST("IsNaN", 9, TESTABLE, NULL),
    TEST("IsInf", 10, TESTABLE, is_inf_attrs),
    ROW("Not", 1, PI_BIT(BOOL), NULL),
    ROW("BitwiseNot", 18, PI_INTS, NULL),
    ROW("Clip", 1, PI_FLOATS, clip_v1),
    ROW("Clip", 6, PI_FLOATS, clip_v6),
    {.name = "Clip", .since = 11, .signature = "input:T min?:T max?:T -> output:T", .T = PI_NUMBERS,
     .flags = PI_OP_ELEMENTWISE, .infer = clip_infer, .impls = clip_impls},
};
const pi_op_family pi_ops_eltwise_unary = {rows, PI_COUNT(rows)};
