/* SPDX-License-Identifier: Apache-2.0 */
#include "base/act.h"
#include <math.h>
static const char *const names[] = {
#define X(name, text, formula) text,
#include "base/act.inc"
#undef X
};
const char *pi_act_name(pi_act_kind kind) { return names[kind]; }
float pi_act_apply(pi_act act, float xf)
{
    double x = (double)xf, a = (double)act.a, b = (double)act.b;
    switch (act.kind) {
        case PI_ACT_RELU:
            return xf < 0.0f ? 0.0f : xf;
        case PI_ACT_LEAKY_RELU:
            return (float)(x < 0 ? a * x : x);
        case PI_ACT_CLIP:
            return xf < act.a ? act.a : xf > act.b ? act.b : xf;
        case PI_ACT_SIGMOID:
            return (float)(1 / (1 + exp(-x)));
        case PI_ACT_TANH:
            return (float)tanh(x);
        case PI_ACT_SILU:
            return (float)(x / (1 + exp(-a * x)));
        case PI_ACT_HARD_SIGMOID:
            return (float)fmin(fmax(a * x + b, 0), 1);
        case PI_ACT_HARD_SWISH:
            return (float)(x * fmin(fmax(x / 6 + 0.5, 0), 1));
        case PI_ACT_ELU:
            return (float)(x < 0 ? a * expm1(x) : x);
        case PI_ACT_GELU_ERF:
            return (float)(0.5 * x * (1 + erf(x * 0.70710678118654752440)));
        case PI_ACT_GELU_TANH:
            return (float)(0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))));
        case PI_ACT_MISH:
            return (float)(x * tanh(log1p(exp(x))));
        default:
            return xf;
    }
}
