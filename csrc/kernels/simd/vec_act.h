/* SPDX-License-Identifier: Apache-2.0 */
/* base/act.h in the v_* names, for epilogues: include after one vec_*.h. */
#ifndef PI_KERNELS_VEC_ACT_H
#define PI_KERNELS_VEC_ACT_H
#include "base/act.h"
#include "kernels/simd/vec_math.h"

/* x / (1 + e^z), as v_sigmoid in fewer steps: 3e-7 of the result, 7e-7 where e^z is large, 0 from 2^127.5 on. On Zen 4 its other steps
 * take no longer than the division. */
static inline vf act_logistic(vf x, vf z)
{
    const vf whole = v_set1(0x1.8p23f + 127.0f), one = v_set1(1.0f);
    z = v_max_quick(v_set1(-87.0f), v_min_quick(v_set1(88.8f), z));
    vf t = v_fma(z, v_set1(0x1.715476p+0f), whole), scale = v_as_f(vi_shl(v_as_i(t), 23)); /* 2^128: infinity */
    vf r = v_fnma(v_sub(t, whole), v_set1(0x1.62e43p-1f), z), p = v_set1(0x1.0fa7d8p-7f);
    p = v_fma(p, r, v_set1(0x1.573adp-5f));
    p = v_fma(p, r, v_set1(0x1.555a6ep-3f));
    p = v_fma(p, r, v_set1(0x1.fffdc4p-2f));
    p = v_fma(p, r, v_set1(0x1.fffff6p-1f));
    p = v_fma(p, r, one);
    return v_div(x, v_fma(p, scale, one));
}

/* x/2 (1 + erf(x/sqrt(2))) = max(x, 0) - |x| D(|x|)^4, D^4 = erfc(|x|/sqrt(2))/2 but for 5e-8, and 0 from 5.7 on: 5e-7 in all. */
static inline vf act_gelu(vf x)
{
    const vf end = v_set1(5.7f);
    vf a = v_min_quick(end, v_abs(x)), d = v_set1(-0x1.e260f6p-26f);
    d = v_fma(d, a, v_set1(0x1.f00bf0p-19f));
    d = v_fma(d, a, v_set1(-0x1.52e630p-15f));
    d = v_fma(d, a, v_set1(0x1.714b26p-14f));
    d = v_fma(d, a, v_set1(0x1.0dcc52p-11f));
    d = v_fma(d, a, v_set1(-0x1.b5fa58p-11f));
    d = v_fma(d, a, v_set1(-0x1.34fe20p-7f));
    d = v_fma(d, a, v_set1(-0x1.d0aba8p-9f));
    d = v_fma(d, a, v_set1(0x1.2e21f2p-3f));
    d = v_mul(d, v_sub(end, a));
    d = v_mul(d, d);
    return v_fnma(v_max_quick(v_neg(x), a), v_mul(d, d), v_max_quick(v_zero(), x)); /* -inf: NaN, as x/2 * 0 */
}

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
    case PI_ACT_SILU: return act_logistic(x, v_mul(v_neg(a), x));
    case PI_ACT_HARD_SIGMOID: return v_min_quick(one, v_max_quick(zero, v_fma(a, x, b)));
    case PI_ACT_HARD_SWISH:
        t = v_min_quick(one, v_max_quick(zero, v_fma(x, v_set1(1.0f / 6.0f), half)));
        return v_mul(x, t);
    case PI_ACT_ELU: return v_select(v_lt(x, zero), v_mul(a, v_expm1_neg(v_min_quick(zero, x))), x);
    case PI_ACT_SELU: return v_mul(b, v_select(v_lt(x, zero), v_mul(a, v_expm1_neg(v_min_quick(zero, x))), x));
    case PI_ACT_GELU_ERF: return act_gelu(x);
    case PI_ACT_GELU_TANH: /* (1 + tanh u) / 2 is sigmoid(2u) */
        t = v_fma(v_mul(v_mul(x, x), v_set1(0.044715f)), x, x);
        return act_logistic(x, v_mul(t, v_set1(-2 * 0.7978845608f)));
    case PI_ACT_MISH: /* tanh(log(1 + e)) = m / (m + 2), m = e (e + 2); at 20 it rounds to 1 */
        t = v_exp(v_min_quick(v_set1(20.0f), x));
        t = v_mul(t, v_add(t, v_set1(2.0f)));
        return v_mul(x, v_div(t, v_add(t, v_set1(2.0f))));
    }
    return x;
}
#endif
