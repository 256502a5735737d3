/* SPDX-License-Identifier: Apache-2.0 */
/* Activations, one value at a time, in double. NaN stays NaN: comparisons are written so that it falls through. */
#include "base/act.h"

#include <math.h>

static const char *const names[] = {
#define X(name, text, formula) text,
#include "base/act.inc"
#undef X
};

const char *pi_act_name(pi_act_kind kind) { return (unsigned)kind < PI_ACT_COUNT ? names[kind] : "?"; }

/* min(max(x, low), high); fmin and fmax would swallow a NaN. */
static double clip(double x, double low, double high)
{
    double at_least = x < low ? low : x;
    return at_least > high ? high : at_least;
}

/* 1 / (1 + exp(-x)); no digit is lost on either side, exp(-x) may overflow to infinity. */
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double apply(pi_act_kind kind, double x, double a, double b)
{
    switch (kind) {
    case PI_ACT_RELU: return x < 0 ? 0 : x;
    case PI_ACT_LEAKY_RELU: return x < 0 ? a * x : x;
    case PI_ACT_CLIP: return clip(x, a, b);
    case PI_ACT_SIGMOID: return sigmoid(x);
    case PI_ACT_TANH: return tanh(x);
    case PI_ACT_SILU: return x * sigmoid(a * x);
    case PI_ACT_HARD_SIGMOID: return clip(a * x + b, 0, 1);
    case PI_ACT_HARD_SWISH: return x * clip(x / 6 + 0.5, 0, 1);
    case PI_ACT_ELU: return x < 0 ? a * expm1(x) : x;
    case PI_ACT_SELU: return b * (x < 0 ? a * expm1(x) : x);
    case PI_ACT_GELU_ERF: return 0.5 * x * erfc(-x * 0.70710678118654752440); /* 1 + erf(x) loses digits for x < 0 */
    case PI_ACT_GELU_TANH: /* (1 + tanh(u)) / 2 = sigmoid(2u) */
        return x * sigmoid(2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x));
    case PI_ACT_MISH: return x * tanh(log1p(exp(x)));
    case PI_ACT_NONE:
    case PI_ACT_COUNT: break;
    }
    return x;
}

float pi_act_apply(pi_act act, float x)
{
    return (float)apply(act.kind, (double)x, (double)act.a, (double)act.b);
}
