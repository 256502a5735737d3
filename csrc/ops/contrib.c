/* SPDX-License-Identifier: Apache-2.0 */
/* Operators of com.microsoft that ONNX Runtime's optimiser and quantiser write into files. Each is put into the graph as
 * the operators of ONNX that it is made of, so that passes know them; QLinear... are what is dequantised, computed and
 * quantised. */
#include <string.h>
#include "ops/move.h"
#include "ops/ops.h"

enum { NEWEST = 24, MOST_ATTRS = 8 };

/* A node of these inputs (NULL: absent) with new outputs; NULL on failure. ".MatMul" is that of the engine. */
static pi_node *put(pi_graph *g, const pi_node *old, const char *name, uint32_t n_out, uint32_t n_in, pi_value *const *in,
                    pi_error *err)
{
    bool internal = name[0] == '.';
    const pi_op *op = internal ? pi_op_internal(name + 1) : pi_op_find(NULL, name, NEWEST);
    pi_node *node = pi_graph_node(g, op, old->name, n_in, n_out, err);
    if (!node) return NULL;
    node->number = old->number;
    node->source = old->source;
    for (uint32_t i = 0; i < n_in; i++)
        if (pi_node_set_in(g, node, i, in[i], err) != PI_E_OK) return NULL;
    for (uint32_t i = 0; i < n_out; i++) {
        pi_value *v = pi_graph_value(g, NULL, err);
        if (!v) return NULL;
        pi_node_set_out(node, i, v);
    }
    return node;
}

#define PUT(name, n_out, ...)                                                                                       \
    put(g, old, name, n_out, sizeof((pi_value *[]){__VA_ARGS__}) / sizeof(pi_value *), (pi_value *[]){__VA_ARGS__}, err)

/* Its first output, or NULL. */
static pi_value *made(const pi_node *node) { return node ? node->out[0] : NULL; }

/* Output i of `old` is from now on output k of `node`. */
static pi_status give(pi_node *old, uint32_t i, pi_node *node, uint32_t k, pi_error *err)
{
    if (!node) return pi_alloc_status(err);
    if (i >= old->n_out || !old->out[i]) return PI_E_OK;
    pi_value *v = old->out[i];
    pi_node_set_out(old, i, NULL);
    pi_node_set_out(node, k, v);
    return PI_E_OK;
}

static pi_value *input(const pi_node *node, uint32_t i) { return i < node->n_in ? node->in[i] : NULL; }

/* The attributes of `old` with these names, ended by NULL. */
static pi_status take_attrs(pi_graph *g, pi_node *node, const pi_node *old, const char *const *names, pi_error *err)
{
    for (; node && *names; names++) {
        const pi_attr *a = pi_attr_find(old, *names);
        if (a) PI_TRY(pi_attr_set(g, node, a, err));
    }
    return node ? PI_E_OK : pi_alloc_status(err);
}

static pi_status set_string(pi_graph *g, pi_node *node, const char *name, const char *text, pi_error *err)
{
    pi_attr a = {.name = name, .kind = PI_ATTR_STRING, .n = 1, .s = {text, strlen(text)}};
    return pi_attr_set(g, node, &a, err);
}

/* ---- activations ---- */

static pi_status gelu(pi_graph *g, pi_node *old, pi_error *err)
{
    pi_value *x = old->in[0], *bias = input(old, 1);
    if (bias && !(x = made(PUT("Add", 1, x, bias)))) return pi_alloc_status(err);
    pi_node *node = PUT("Gelu", 1, x);
    if (node && strcmp(old->op->name, "FastGelu") == 0) PI_TRY(set_string(g, node, "approximate", "tanh", err));
    return give(old, 0, node, 0, err);
}

static pi_status quick_gelu(pi_graph *g, pi_node *old, pi_error *err)
{
    pi_node *node = PUT("Swish", 1, old->in[0]);
    if (node) PI_TRY(pi_attr_set_float(g, node, "alpha", pi_attr_float(old, "alpha"), err));
    return give(old, 0, node, 0, err);
}

/* ---- normalisation after a residual ---- */

static pi_status skip_norm(pi_graph *g, pi_node *old, pi_error *err)
{
    bool simple = strcmp(old->op->name, "SkipSimplifiedLayerNormalization") == 0;
    pi_value *gamma = old->in[2], *beta = simple ? NULL : input(old, 3), *bias = input(old, simple ? 3 : 4);
    pi_node *sum = PUT("Add", 1, old->in[0], old->in[1]);
    if (bias && sum) sum = PUT("Add", 1, sum->out[0], bias);
    if (!sum) return pi_alloc_status(err);
    if (simple && ((old->n_out > 1 && old->out[1]) || (old->n_out > 2 && old->out[2])))
        return pi_fail(err, PI_E_UNSUPPORTED, "the outputs mean and inv_std_var are not supported");
    PI_TRY(give(old, 3, sum, 0, err)); /* read below under the name that the file gives it */
    pi_node *norm = simple ? PUT("RMSNormalization", 1, sum->out[0], gamma)
                           : PUT("LayerNormalization", 3, sum->out[0], gamma, beta);
    if (norm) PI_TRY(pi_attr_set_float(g, norm, "epsilon", pi_attr_float(old, "epsilon"), err));
    for (uint32_t i = 1; norm && i < norm->n_out; i++) PI_TRY(give(old, i, norm, i, err));
    return give(old, 0, norm, 0, err);
}

/* ---- products ---- */

static pi_status fused_matmul(pi_graph *g, pi_node *old, pi_error *err)
{
    if (pi_attr_int(old, "transBatchA") || pi_attr_int(old, "transBatchB"))
        return pi_fail(err, PI_E_UNSUPPORTED, "transBatchA and transBatchB are not supported");
    pi_node *node = PUT(".MatMul", 1, old->in[0], old->in[1]);
    if (node) {
        PI_TRY(pi_attr_set_int(g, node, "trans_a", pi_attr_int(old, "transA"), err));
        PI_TRY(pi_attr_set_int(g, node, "trans_b", pi_attr_int(old, "transB"), err));
        PI_TRY(pi_attr_set_float(g, node, "alpha", pi_attr_float(old, "alpha"), err));
    }
    return give(old, 0, node, 0, err);
}

/* The sums of a MatMulInteger in floats. */
static pi_status scale_sums(pi_graph *g, pi_node *old, pi_value *sums, pi_value *a_scale, pi_value *b_scale, pi_value *bias,
                            pi_error *err)
{
    pi_node *cast = PUT("Cast", 1, sums), *scale = PUT("Mul", 1, a_scale, b_scale);
    if (!cast || !scale) return pi_alloc_status(err);
    PI_TRY(pi_attr_set_int(g, cast, "to", 1, err));
    pi_node *y = PUT("Mul", 1, cast->out[0], scale->out[0]);
    if (bias && y) y = PUT("Add", 1, y->out[0], bias);
    return give(old, 0, y, 0, err);
}

static pi_status dynamic_matmul(pi_graph *g, pi_node *old, pi_error *err)
{
    pi_node *a = PUT("DynamicQuantizeLinear", 3, old->in[0]);
    pi_value *sums = a ? made(PUT("MatMulInteger", 1, a->out[0], old->in[1], a->out[2], input(old, 3))) : NULL;
    return sums ? scale_sums(g, old, sums, a->out[1], old->in[2], input(old, 4), err) : pi_alloc_status(err);
}

static pi_status matmul_to_float(pi_graph *g, pi_node *old, pi_error *err)
{
    pi_value *sums = made(PUT("MatMulInteger", 1, old->in[0], old->in[1], input(old, 4), input(old, 5)));
    return sums ? scale_sums(g, old, sums, old->in[2], old->in[3], input(old, 6), err) : pi_alloc_status(err);
}

/* ---- on bytes ---- */

/* Inputs i, i + 1, i + 2: bytes, scale, zero point. */
static pi_value *dequantized(pi_graph *g, const pi_node *old, uint32_t i, pi_error *err)
{
    return made(PUT("DequantizeLinear", 1, old->in[i], old->in[i + 1], input(old, i + 2)));
}

/* y as bytes of the scale and zero point in inputs i and i + 1. */
static pi_status quantize(pi_graph *g, pi_node *old, pi_value *y, uint32_t i, pi_error *err)
{
    pi_node *node = y ? PUT("QuantizeLinear", 1, y, old->in[i], input(old, i + 1)) : NULL;
    return give(old, 0, node, 0, err);
}

static pi_status linear_binary(pi_graph *g, pi_node *old, pi_error *err)
{
    pi_value *a = dequantized(g, old, 0, err), *b = a ? dequantized(g, old, 3, err) : NULL;
    return quantize(g, old, b ? made(PUT(old->op->name + strlen("QLinear"), 1, a, b)) : NULL, 6, err);
}

/* One input; the operator's own attributes are those of the row, but `channels_last` and `opset`. */
static pi_status linear_unary(pi_graph *g, pi_node *old, pi_error *err)
{
    const char *names[MOST_ATTRS + 1] = {0};
    uint32_t n = 0;
    for (const pi_attr_def *d = old->op->attrs; d && d->name; d++)
        if (strcmp(d->name, "channels_last") == 0 && pi_attr_int(old, d->name))
            return pi_fail(err, PI_E_UNSUPPORTED, "channels_last is not supported");
        else if (strcmp(d->name, "channels_last") != 0 && strcmp(d->name, "opset") != 0)
            names[n++] = d->name;
    const pi_attr *opset = pi_attr_find(old, "opset");
    if (opset && opset->i < 13 && pi_attr_int(old, "axis") != -1) /* flattened then; the last axis is the same */
        return pi_fail(err, PI_E_UNSUPPORTED, "an operator of opset %lld, expected 13 or newer", (long long)opset->i);
    pi_value *x = dequantized(g, old, 0, err);
    pi_node *node = x ? PUT(old->op->name + strlen("QLinear"), 1, x) : NULL;
    PI_TRY(take_attrs(g, node, old, names, err));
    return quantize(g, old, node->out[0], 3, err);
}

static pi_status linear_concat(pi_graph *g, pi_node *old, pi_error *err)
{
    uint32_t n = (old->n_in - 2) / 3;
    if (old->n_in < 5 || old->n_in != 2 + 3 * n) return pi_fail(err, PI_E_MODEL, "%u inputs, expected 2 and 3 of each part", old->n_in);
    pi_value **part = pi_arena_calloc(&g->arena, n, sizeof(pi_value *), err);
    if (!part) return pi_alloc_status(err);
    for (uint32_t i = 0; i < n; i++) {
        if (!old->in[2 + 3 * i] || !old->in[3 + 3 * i]) return pi_fail(err, PI_E_MODEL, "input %u is missing", 2 + 3 * i);
        if (!(part[i] = dequantized(g, old, 2 + 3 * i, err))) return pi_alloc_status(err);
    }
    pi_node *node = put(g, old, "Concat", 1, n, part, err);
    PI_TRY(take_attrs(g, node, old, (const char *const[]){"axis", NULL}, err));
    return quantize(g, old, node->out[0], 0, err);
}

static pi_status quantized_gemm(pi_graph *g, pi_node *old, pi_error *err)
{
    pi_value *a = dequantized(g, old, 0, err), *c = input(old, 6);
    pi_node *b = PUT("DequantizeLinear", 1, old->in[3], old->in[4], input(old, 5));
    if (!a || !b) return pi_alloc_status(err);
    PI_TRY(pi_attr_set_int(g, b, "axis", !pi_attr_int(old, "transB"), err)); /* of many scales: that of the columns */
    if (c) { /* integers in steps of both scales */
        pi_value *step = made(PUT("Mul", 1, old->in[1], old->in[4]));
        pi_node *cast = step ? PUT("Cast", 1, c) : NULL;
        if (!cast) return pi_alloc_status(err);
        PI_TRY(pi_attr_set_int(g, cast, "to", 1, err));
        if (!(c = made(PUT("Mul", 1, cast->out[0], step)))) return pi_alloc_status(err);
    }
    pi_node *y = PUT("Gemm", 1, a, b->out[0], c);
    PI_TRY(take_attrs(g, y, old, (const char *const[]){"alpha", "transA", "transB", NULL}, err));
    return input(old, 7) ? quantize(g, old, y->out[0], 7, err) : give(old, 0, y, 0, err);
}

/* ---- rows ---- */

#define INT(attr) {.name = attr, .kind = PI_ATTR_INT}
#define FLOAT(attr, value) {.name = attr, .kind = PI_ATTR_FLOAT, .f = value}
#define INTS(attr) {.name = attr, .kind = PI_ATTR_INTS}
static const pi_attr_def quick[] = {FLOAT("alpha", 1.702f), {0}};
static const pi_attr_def epsilon[] = {FLOAT("epsilon", 1e-12f), {0}};
static const pi_attr_def product[] = {INT("transA"), INT("transB"), INT("transBatchA"), INT("transBatchB"), FLOAT("alpha", 1), {0}};
static const pi_attr_def leaky[] = {FLOAT("alpha", 0.01f), {0}};
static const pi_attr_def softmax[] = {{.name = "axis", .kind = PI_ATTR_INT, .i = -1}, INT("opset"), {0}};
static const pi_attr_def axis[] = {{.name = "axis", .kind = PI_ATTR_INT, .required = true}, {0}};
static const pi_attr_def channels[] = {INT("channels_last"), {0}};
static const pi_attr_def pool[] = {INT("channels_last"), {.name = "auto_pad", .kind = PI_ATTR_STRING}, INT("ceil_mode"),
                                   INT("count_include_pad"), INTS("kernel_shape"), INTS("pads"), INTS("strides"), {0}};
static const pi_attr_def gemm[] = {FLOAT("alpha", 1), INT("transA"), INT("transB"), {0}};

#define ROW(op, text, attributes, function)                                                                         \
    {.domain = "com.microsoft", .name = op, .since = 1, .signature = text, .T = PI_FLOATS, .U = PI_BIT(U8) | PI_BIT(I8), \
     .V = PI_BIT(U8) | PI_BIT(I8), .attrs = attributes, .expand = function}
#define BYTES_UNARY "X:U X_scale:T X_zero_point?:U Y_scale:T Y_zero_point?:U -> Y:U"
#define BYTES_BINARY "A:U A_scale:T A_zero_point?:U B:U B_scale:T B_zero_point?:U C_scale:T C_zero_point?:U -> C:U"
static const pi_op rows[] = {
    ROW("Gelu", "X:T -> Y:T", NULL, gelu),
    ROW("BiasGelu", "A:T B:T -> C:T", NULL, gelu),
    ROW("FastGelu", "X:T bias?:T -> Y:T", NULL, gelu),
    ROW("QuickGelu", "X:T -> Y:T", quick, quick_gelu),
    ROW("SkipLayerNormalization", "input:T skip:T gamma:T beta?:T bias?:T -> output:T mean?:T inv_std_var?:T sum?:T",
        epsilon, skip_norm),
    ROW("SkipSimplifiedLayerNormalization", "input:T skip:T gamma:T bias?:T -> output:T mean?:T inv_std_var?:T sum?:T",
        epsilon, skip_norm),
    ROW("FusedMatMul", "A:T B:T -> Y:T", product, fused_matmul),
    ROW("DynamicQuantizeMatMul", "A:T B:U b_scale:T b_zero_point?:U bias?:T -> Y:T", NULL, dynamic_matmul),
    ROW("MatMulIntegerToFloat", "A:U B:V a_scale:T b_scale:T a_zero_point?:U b_zero_point?:V bias?:T -> Y:T", NULL, matmul_to_float),
    ROW("QLinearAdd", BYTES_BINARY, NULL, linear_binary),
    ROW("QLinearMul", BYTES_BINARY, NULL, linear_binary),
    ROW("QLinearSigmoid", BYTES_UNARY, NULL, linear_unary),
    ROW("QLinearLeakyRelu", BYTES_UNARY, leaky, linear_unary),
    ROW("QLinearSoftmax", BYTES_UNARY, softmax, linear_unary),
    ROW("QLinearGlobalAveragePool", BYTES_UNARY, channels, linear_unary),
    ROW("QLinearAveragePool", BYTES_UNARY, pool, linear_unary),
    ROW("QLinearConcat", "Y_scale:T Y_zero_point:U inputs*:any -> Y:U", axis, linear_concat),
    ROW("QGemm", "A:U a_scale:T a_zero_point:U B:V b_scale:T b_zero_point:V C?:i32 y_scale?:T y_zero_point?:U -> Y:any",
        gemm, quantized_gemm),
};
const pi_op_family pi_ops_contrib = {rows, PI_COUNT(rows)};
