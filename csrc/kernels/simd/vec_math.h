/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of floats in the v_* names: include after one vec_*.h. At most 4 ULP from the exact result over all floats
 * (test_k_simd, test_k_eltwise), right at 0, infinities and NaN; where a result is denormal, or an argument of v_log
 * is, a thread that flushes denormals gets 0 (or -inf). Coefficients: weighted minimax fits (Lawson's iteration) made
 * for this file; errors are relative. */
#ifndef PI_KERNELS_VEC_MATH_H
#define PI_KERNELS_VEC_MATH_H

/* x = n ln2 + r, |r| <= ln2 / 2. ln2 is in two parts: n times the first is exact, with or without FMA. */
static inline vf exp_reduce(vf x, vf *n)
{
    *n = v_round_even(v_mul(x, v_set1(0x1.715476p+0f)));
    vf r = v_fnma(*n, v_set1(0x1.62e4p-1f), x);
    return v_fnma(*n, v_set1(0x1.7f7d1cp-20f), r);
}

/* The same, and *scale = 2^(n + shift), for n + shift in [-126, 127]; at -127 it is 0, at 128 infinity. In fewer steps, and few
 * that wait: what 1.5 * 2^23 is added to becomes whole, and its last bits are the exponent. NaN gives any scale. */
static inline vf exp_reduce_scale(vf x, int shift, vf *scale)
{
    const vf whole = v_set1(0x1.8p23f + 127.0f + (float)shift);
    vf t = v_fma(x, v_set1(0x1.715476p+0f), whole), n = v_sub(t, whole);
    *scale = v_as_f(vi_shl(v_as_i(t), 23));
    vf r = v_fnma(n, v_set1(0x1.62e4p-1f), x);
    return v_fnma(n, v_set1(0x1.7f7d1cp-20f), r);
}

/* e^r - 1 for |r| <= ln2 / 2: r + r^2 P(r), 3e-9. */
static inline vf expm1_poly(vf r)
{
    vf p = v_set1(0x1.6a2360p-10f);
    p = v_fma(p, r, v_set1(0x1.123a2cp-7f));
    p = v_fma(p, r, v_set1(0x1.5558f4p-5f));
    p = v_fma(p, r, v_set1(0x1.555490p-3f));
    p = v_fma(p, r, v_set1(0x1.fffffcp-2f));
    return v_fma(p, v_mul(r, r), r);
}

static inline vf v_exp(vf x)
{
    vf n, r;
    x = v_min_quick(v_set1(89.0f), x); /* NaN stays: it is the second */
    x = v_max_quick(v_set1(-104.0f), x);
    r = exp_reduce(x, &n);
    return v_scale2(v_add(v_set1(1.0f), expm1_poly(r)), n);
}

/* e^x for x <= 0 (and NaN): below -87.7, where the result is nearly denormal, 0. */
static inline vf v_exp_neg(vf x)
{
    vf scale, r = exp_reduce_scale(v_max_quick(v_set1(-88.2f), x), 0, &scale);
    return v_fma(scale, expm1_poly(r), scale);
}

/* e^x - 1 for x <= 0 (and NaN), without cancellation near 0. */
static inline vf v_expm1_neg(vf x)
{
    vf n, r, s;
    x = v_max_quick(v_set1(-87.0f), x);
    r = exp_reduce(x, &n);
    s = v_scale2_normal(v_set1(1.0f), n);
    return v_fma(s, expm1_poly(r), v_sub(s, v_set1(1.0f)));
}

/* log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)], without its first term f: -f^2/2 + f^3 P(f), 6e-9. */
static inline vf log1p_rest(vf f)
{
    vf p = v_set1(-0x1.38b366p-4f), s = v_mul(f, f);
    p = v_fma(p, f, v_set1(0x1.056f6ep-3f));
    p = v_fma(p, f, v_set1(-0x1.0d8ee4p-3f));
    p = v_fma(p, f, v_set1(0x1.22d81ap-3f));
    p = v_fma(p, f, v_set1(-0x1.547126p-3f));
    p = v_fma(p, f, v_set1(0x1.99a014p-3f));
    p = v_fma(p, f, v_set1(-0x1.00022ap-2f));
    p = v_fma(p, f, v_set1(0x1.555554p-2f));
    return v_fma(v_mul(p, f), s, v_mul(s, v_set1(-0.5f)));
}

static inline vf v_log(vf x)
{
    const vf inf = v_set1(INFINITY);
    vm tiny = v_lt(x, v_set1(0x1p-126f));
    vf m = v_select(tiny, v_mul(x, v_set1(0x1p23f)), x), e, f, y;
    vi bits = v_as_i(m), k = vi_sar(vi_sub(bits, vi_set1(0x3f3504f3)), 23); /* sqrt(1/2) */
    f = v_sub(v_as_f(vi_sub(bits, vi_shl(k, 23))), v_set1(1.0f));
    e = v_sub(v_from_i(k), v_select(tiny, v_set1(23.0f), v_zero()));
    y = v_fma(e, v_set1(0x1.7f7d1cp-20f), log1p_rest(f));
    y = v_fma(e, v_set1(0x1.62e4p-1f), v_add(f, y));
    y = v_select(v_lt(x, inf), y, x); /* inf and NaN */
    y = v_select(v_eq(x, v_zero()), v_neg(inf), y);
    return v_select(v_lt(x, v_zero()), v_set1(NAN), y);
}

/* log(1 + x) for x in [0, 2^24]: log(u) and what the rounding of u = 1 + x lost, to first order. */
static inline vf v_log1p_pos(vf x)
{
    vf u = v_add(v_set1(1.0f), x);
    return v_add(v_log(u), v_div(v_sub(x, v_sub(u, v_set1(1.0f))), u));
}

/* |x| < 1.125: x P(x^2), 6e-9; above: 1 - D(x)^8, D near erfc(x)^(1/8), 1e-8 of the result; from 4 on it rounds to 1.
 */
static inline vf v_erf(vf x)
{
    const vf one = v_set1(1.0f);
    vf a = v_abs(x), t = v_mul(x, x), p, d;
    p = v_set1(0x1.26354ap-14f);
    p = v_fma(p, t, v_set1(-0x1.961bdap-11f));
    p = v_fma(p, t, v_set1(0x1.51fab8p-8f));
    p = v_fma(p, t, v_set1(-0x1.b7b21cp-6f));
    p = v_fma(p, t, v_set1(0x1.ce28a0p-4f));
    p = v_fma(p, t, v_set1(-0x1.812726p-2f));
    p = v_fma(p, t, v_set1(0x1.20dd74p+0f));
    p = v_mul(p, x);
    a = v_min_quick(v_set1(4.0f), a);
    d = v_set1(0x1.61188ap-13f);
    d = v_fma(d, a, v_set1(-0x1.5d8816p-9f));
    d = v_fma(d, a, v_set1(0x1.c395f0p-7f));
    d = v_fma(d, a, v_set1(-0x1.b456bcp-7f));
    d = v_fma(d, a, v_set1(-0x1.e34430p-5f));
    d = v_fma(d, a, v_set1(-0x1.2c5aa6p-3f));
    d = v_fma(d, a, v_set1(0x1.0052cep+0f));
    d = v_mul(d, d);
    d = v_mul(d, d);
    d = v_fnma(d, d, one);
    return v_select(v_lt(a, v_set1(1.125f)), p, v_copysign(d, x));
}

/* m / (m + 2) with m = e^2|x| - 1; from 9.02 on it rounds to 1, and at 10 to the same as m + 2. */
static inline vf v_tanh(vf x)
{
    vf a = v_abs(x), scale, r = exp_reduce_scale(v_min_quick(v_set1(20.0f), v_add(a, a)), 0, &scale);
    vf m = v_fma(scale, expm1_poly(r), v_sub(scale, v_set1(1.0f)));
    return v_copysign(v_div(m, v_add(m, v_set1(2.0f))), x);
}

/* 1 / (1 + e^-x): 2^-6 above and below, so that e^93 can be part of it; from 93.2 on it counts as infinity, which gives 0. */
static inline vf v_sigmoid(vf x)
{
    const vf one = v_set1(0x1p-6f);
    vf z = v_max_quick(v_set1(-80.0f), v_min_quick(v_set1(93.2f), v_neg(x)));
    vf scale, r = exp_reduce_scale(z, -6, &scale);
    return v_div(one, v_fma(v_add(v_set1(1.0f), expm1_poly(r)), scale, one));
}

/* log(1 + e^x). */
static inline vf v_softplus(vf x) { return v_add(v_max_quick(v_zero(), x), v_log1p_pos(v_exp(v_neg(v_abs(x))))); }

/* Lane by lane through libm. */
static inline vf v_libm(float (*f)(float), vf x)
{
    float t[VF];
    v_store(t, x);
    for (int i = 0; i < VF; i++) t[i] = f(t[i]);
    return v_load(t);
}

/* sin(x + quarter * pi/2) for |x| <= 8192: x = n pi/2 + r, pi/2 in four parts of which n times the first three are
 * exact. */
static inline vf sin_quarter(vf x, int quarter)
{
    vf n = v_round_even(v_mul(x, v_set1(0x1.45f306p-1f))), r, t, s, c;
    vi k = vi_add(v_to_i(n), vi_set1(quarter));
    r = v_fnma(n, v_set1(0x1.92p+0f), x);
    r = v_fnma(n, v_set1(0x1.fb4p-12f), r);
    r = v_fnma(n, v_set1(0x1.444p-24f), r);
    r = v_fnma(n, v_set1(0x1.68c234p-39f), r);
    t = v_mul(r, r);
    s = v_fma(v_set1(0x1.6ccf5cp-19f), t, v_set1(-0x1.a00f74p-13f));
    s = v_fma(s, t, v_set1(0x1.111108p-7f));
    s = v_fma(s, t, v_set1(-0x1.555556p-3f));
    s = v_fma(v_mul(s, t), r, r);
    c = v_fma(v_set1(0x1.99e84ap-16f), t, v_set1(-0x1.6c0c28p-10f));
    c = v_fma(c, t, v_set1(0x1.55554ap-5f));
    c = v_fma(v_mul(c, t), t, v_fma(t, v_set1(-0.5f), v_set1(1.0f)));
    s = v_select(vi_eq(vi_and(k, vi_set1(1)), vi_set1(0)), s, c);
    return v_as_f(vi_xor(v_as_i(s), vi_shl(vi_and(k, vi_set1(2)), 30)));
}
static inline vf v_sin(vf x) { return vm_all(v_le(v_abs(x), v_set1(8192.0f))) ? sin_quarter(x, 0) : v_libm(sinf, x); }
static inline vf v_cos(vf x) { return vm_all(v_le(v_abs(x), v_set1(8192.0f))) ? sin_quarter(x, 1) : v_libm(cosf, x); }
#endif
