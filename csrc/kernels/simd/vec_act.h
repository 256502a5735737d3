/* SPDX-License-Identifier: Apache-2.0 */
/* base/act.h in the v_* names, for epilogues: include after one vec_*.h. */
#ifndef PI_KERNELS_VEC_ACT_H
#define PI_KERNELS_VEC_ACT_H
#include "base/act.h"
#include "kernels/simd/vec_math.h"

/* f(x; a, b). With a constant kind only its own code is left: switch outside the loop. NaN gives NaN. */
static inline __attribute__((always_inline)) vf v_act(pi_act_kind kind, vf a, vf b, vf x)
{
    const vf zero = v_zero(), one = v_set1(1.0f), half = v_set1(0.5f);
    vf t;
    switch (kind) {
    case PI_ACT_NONE:
    case PI_ACT_COUNT: return x;
    case PI_ACT_RELU: return v_max_quick(zero, x);
    case PI_ACT_LEAKY_RELU: return v_select(v_lt(x, zero), v_mul(a, x), x);
    case PI_ACT_CLIP: return v_min_quick(b, v_max_quick(a, x)); /* b wins where a > b */
    case PI_ACT_SIGMOID: return v_sigmoid(x);
    case PI_ACT_TANH: return v_tanh(x);
    case PI_ACT_SILU: return v_div(x, v_add(one, v_exp(v_neg(v_mul(a, x)))));
    case PI_ACT_HARD_SIGMOID: return v_min_quick(one, v_max_quick(zero, v_fma(a, x, b)));
    case PI_ACT_HARD_SWISH:
        t = v_min_quick(one, v_max_quick(zero, v_fma(x, v_set1(1.0f / 6.0f), half)));
        return v_mul(x, t);
    case PI_ACT_ELU: return v_select(v_lt(x, zero), v_mul(a, v_expm1_neg(v_min_quick(zero, x))), x);
    case PI_ACT_GELU_ERF: t = v_add(one, v_erf(v_mul(x, v_set1(0x1.6a09e6p-1f)))); return v_mul(v_mul(x, half), t);
    case PI_ACT_GELU_TANH: /* (1 + tanh u) / 2 is sigmoid(2u) */
        t = v_fma(v_mul(v_mul(x, x), v_set1(0.044715f)), x, x);
        return v_div(x, v_add(one, v_exp(v_mul(t, v_set1(-2 * 0.7978845608f)))));
    case PI_ACT_MISH: /* tanh(log(1 + e)) = m / (m + 2), m = e (e + 2); at 20 it rounds to 1 */
        t = v_exp(v_min_quick(v_set1(20.0f), x));
        t = v_mul(t, v_add(t, v_set1(2.0f)));
        return v_mul(x, v_div(t, v_add(t, v_set1(2.0f))));
    }
    return x;
}
#endif
