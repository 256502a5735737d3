/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/eltwise_find.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    pi_form form;
    int kind;
    const char *a, *b; /* attributes of the two parameters of an activation */
} list[] = {
    {"Neg", PI_FORM_UNARY, PI_UNARY_NEG, NULL, NULL},
    {"Abs", PI_FORM_UNARY, PI_UNARY_ABS, NULL, NULL},
    {"Sign", PI_FORM_UNARY, PI_UNARY_SIGN, NULL, NULL},
    {"Floor", PI_FORM_UNARY, PI_UNARY_FLOOR, NULL, NULL},
    {"Ceil", PI_FORM_UNARY, PI_UNARY_CEIL, NULL, NULL},
    {"Round", PI_FORM_UNARY, PI_UNARY_ROUND, NULL, NULL},
    {"Reciprocal", PI_FORM_UNARY, PI_UNARY_RECIPROCAL, NULL, NULL},
    {"Sqrt", PI_FORM_UNARY, PI_UNARY_SQRT, NULL, NULL},
    {"Exp", PI_FORM_UNARY, PI_UNARY_EXP, NULL, NULL},
    {"Log", PI_FORM_UNARY, PI_UNARY_LOG, NULL, NULL},
    {"Erf", PI_FORM_UNARY, PI_UNARY_ERF, NULL, NULL},
    {"Softplus", PI_FORM_UNARY, PI_UNARY_SOFTPLUS, NULL, NULL},
    {"Softsign", PI_FORM_UNARY, PI_UNARY_SOFTSIGN, NULL, NULL},
    {"Sin", PI_FORM_UNARY, PI_UNARY_SIN, NULL, NULL},
    {"Cos", PI_FORM_UNARY, PI_UNARY_COS, NULL, NULL},
    {"Relu", PI_FORM_ACT, PI_ACT_RELU, NULL, NULL},
    {"LeakyRelu", PI_FORM_ACT, PI_ACT_LEAKY_RELU, "alpha", NULL},
    {"Clip", PI_FORM_ACT, PI_ACT_CLIP, "min", "max"},
    {"Sigmoid", PI_FORM_ACT, PI_ACT_SIGMOID, NULL, NULL},
    {"Tanh", PI_FORM_ACT, PI_ACT_TANH, NULL, NULL},
    {"Swish", PI_FORM_ACT, PI_ACT_SILU, "alpha", NULL},
    {"HardSigmoid", PI_FORM_ACT, PI_ACT_HARD_SIGMOID, "alpha", "beta"},
    {"HardSwish", PI_FORM_ACT, PI_ACT_HARD_SWISH, NULL, NULL},
    {"Elu", PI_FORM_ACT, PI_ACT_ELU, "alpha", NULL},
    {"Selu", PI_FORM_ACT, PI_ACT_SELU, "alpha", "gamma"},
    {"Gelu", PI_FORM_ACT, PI_ACT_GELU_ERF, NULL, NULL},
    {"Mish", PI_FORM_ACT, PI_ACT_MISH, NULL, NULL},
    {"Add", PI_FORM_BINARY, PI_BINARY_ADD, NULL, NULL},
    {"Sub", PI_FORM_BINARY, PI_BINARY_SUB, NULL, NULL},
    {"Mul", PI_FORM_BINARY, PI_BINARY_MUL, NULL, NULL},
    {"Div", PI_FORM_BINARY, PI_BINARY_DIV, NULL, NULL},
    {"Pow", PI_FORM_BINARY, PI_BINARY_POW, NULL, NULL},
    {"PRelu", PI_FORM_BINARY, PI_BINARY_PRELU, NULL, NULL},
    {"Min", PI_FORM_BINARY, PI_BINARY_MIN, NULL, NULL},
    {"Max", PI_FORM_BINARY, PI_BINARY_MAX, NULL, NULL},
    {"Sum", PI_FORM_BINARY, PI_BINARY_ADD, NULL, NULL},
    {"Mean", PI_FORM_BINARY, PI_BINARY_ADD, NULL, NULL}, /* and a division at the end */
    {"Equal", PI_FORM_COMPARE, PI_COMPARE_EQ, NULL, NULL},
    {"Less", PI_FORM_COMPARE, PI_COMPARE_LT, NULL, NULL},
    {"Greater", PI_FORM_COMPARE, PI_COMPARE_GT, NULL, NULL},
    {"LessOrEqual", PI_FORM_COMPARE, PI_COMPARE_LE, NULL, NULL},
    {"GreaterOrEqual", PI_FORM_COMPARE, PI_COMPARE_GE, NULL, NULL},
    {"IsNaN", PI_FORM_COMPARE, PI_COMPARE_NE, NULL, NULL},
    {"Where", PI_FORM_WHERE, 0, NULL, NULL},
};

pi_eltwise_kernel pi_eltwise_find(const pi_node *node)
{
    pi_eltwise_kernel k = {PI_FORM_NONE, 0, 0, 0};
    for (size_t i = 0; !node->op->domain && i < PI_COUNT(list); i++) {
        if (!pi_same_name(list[i].name, node->op->name)) continue;
        k.form = list[i].form;
        k.kind = list[i].kind;
        if (k.form == PI_FORM_ACT && k.kind == PI_ACT_CLIP && !node->op->attrs) {
            k.a = -INFINITY;
            k.b = INFINITY;
            break;
        }
        if (list[i].a) k.a = pi_attr_float(node, list[i].a);
        if (list[i].b) k.b = pi_attr_float(node, list[i].b);
        if (k.form == PI_FORM_ACT && k.kind == PI_ACT_GELU_ERF && strcmp(pi_attr_string(node, "approximate"), "tanh") == 0)
            k.kind = PI_ACT_GELU_TANH;
        break;
    }
    return k;
}
