/* SPDX-License-Identifier: Apache-2.0 */
/* The v_* names in portable C: VF floats a vector, by GCC's vector extension. vec_avx2.h and vec_avx512.h give the same
 * names; a kernel body is written in them once. This file says what each name means.
 *   vf: VF floats; vi: VF int32; vm: one truth value for each of the VF lanes.
 *   Pointers need no alignment. *_n touches the first n elements of memory and no others, 0 <= n <= VF.
 *   No name raises a trap; flags of the floating-point environment may be set. */
#ifndef PI_KERNELS_VEC_H
#define PI_KERNELS_VEC_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { VF = 4 };
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef vi vm; /* all bits or none */

/* memory */
static inline vf v_set1(float a) { return (vf){a, a, a, a}; }
static inline vf v_zero(void) { return v_set1(0.0f); }
static inline vf v_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void v_store(float *p, vf v) { memcpy(p, &v, sizeof v); }
/* Lanes from n on: those of `fill`. */
static inline vf v_load_n_or(const float *p, size_t n, vf fill)
{
    for (size_t i = 0; i < n && i < VF; i++) fill[i] = p[i];
    return fill;
}
/* Lanes from n on: 0. */
static inline vf v_load_n(const float *p, size_t n) { return v_load_n_or(p, n, v_zero()); }
static inline void v_store_n(float *p, size_t n, vf v)
{
    for (size_t i = 0; i < n && i < VF; i++) p[i] = v[i];
}

/* arithmetic; v_fma is a*b + c, v_fnma is c - a*b: rounded once where the machine can, twice here */
static inline vf v_add(vf a, vf b) { return a + b; }
static inline vf v_sub(vf a, vf b) { return a - b; }
static inline vf v_mul(vf a, vf b) { return a * b; }
static inline vf v_div(vf a, vf b) { return a / b; }
static inline vf v_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf v_fnma(vf a, vf b, vf c) { return c - a * b; }
/* with the number at p in all lanes: a + *p, a - *p, a * *p + c */
static inline vf v_add_bcast(vf a, const float *p) { return v_add(a, v_set1(*p)); }
static inline vf v_sub_bcast(vf a, const float *p) { return v_sub(a, v_set1(*p)); }
static inline vf v_fma_bcast(vf a, const float *p, vf c) { return v_fma(a, v_set1(*p), c); }

/* int32, wrapping; shifts by 0..31 */
static inline vi vi_set1(int32_t a) { return (vi){a, a, a, a}; }
static inline vi vi_iota(void) { return (vi){0, 1, 2, 3}; }
static inline vi vi_load(const int32_t *p)
{
    vi v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void vi_store(int32_t *p, vi v) { memcpy(p, &v, sizeof v); }
static inline vi vi_load_n(const int32_t *p, size_t n)
{
    vi v = vi_set1(0);
    for (size_t i = 0; i < n && i < VF; i++) v[i] = p[i];
    return v;
}
static inline void vi_store_n(int32_t *p, size_t n, vi v)
{
    for (size_t i = 0; i < n && i < VF; i++) p[i] = v[i];
}
typedef uint32_t vu_ref __attribute__((vector_size(16)));
static inline vi vi_add(vi a, vi b) { return (vi)((vu_ref)a + (vu_ref)b); }
static inline vi vi_sub(vi a, vi b) { return (vi)((vu_ref)a - (vu_ref)b); }
static inline vi vi_and(vi a, vi b) { return a & b; }
static inline vi vi_or(vi a, vi b) { return a | b; }
static inline vi vi_xor(vi a, vi b) { return a ^ b; }
static inline vi vi_shl(vi a, int by) { return (vi)((vu_ref)a << by); }
static inline vi vi_shr(vi a, int by) { return (vi)((vu_ref)a >> by); } /* zeros come in */
static inline vi vi_sar(vi a, int by) { return a >> by; }               /* the sign comes in */
static inline vm vi_gt(vi a, vi b) { return a > b; }
static inline vm vi_eq(vi a, vi b) { return a == b; }

/* float and int: v_as_* keeps the bits. v_to_i cuts towards 0, v_round_i goes to the nearest, halves to even;
 * what does not fit in int32, and NaN, gives INT32_MIN. v_from_i rounds to nearest. */
static inline vi v_as_i(vf a) { return (vi)a; }
static inline vf v_as_f(vi a) { return (vf)a; }
static inline vf v_from_i(vi a) { return __builtin_convertvector(a, vf); }
static inline vi v_to_i(vf a)
{
    vi fits = (a >= v_set1(-0x1p31f)) & (a < v_set1(0x1p31f)); /* what does not is undefined to C */
    vi v = __builtin_convertvector((vf)((vi)a & fits), vi);
    return (v & fits) | (vi_set1(INT32_MIN) & ~fits);
}

/* masks */
static inline vm vm_and(vm a, vm b) { return a & b; }
static inline vm vm_or(vm a, vm b) { return a | b; }
static inline vm vm_not(vm a) { return ~a; }
static inline vm vm_none(void) { return vi_set1(0); }
/* Bit i is lane i. */
static inline uint32_t vm_bits(vm m) { return (uint32_t)((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8)); }
static inline int vm_any(vm m) { return vm_bits(m) != 0; }
static inline int vm_all(vm m) { return vm_bits(m) == 15; }
/* True in the first n lanes. */
static inline vm vm_first(size_t n) { return vi_gt(vi_set1((int32_t)(n < VF ? n : VF)), vi_iota()); }

/* compare: as in C, NaN makes all false but v_ne; v_select is m ? a : b */
static inline vm v_lt(vf a, vf b) { return a < b; }
static inline vm v_le(vf a, vf b) { return a <= b; }
static inline vm v_gt(vf a, vf b) { return a > b; }
static inline vm v_ge(vf a, vf b) { return a >= b; }
static inline vm v_eq(vf a, vf b) { return a == b; }
static inline vm v_ne(vf a, vf b) { return a != b; }
static inline vm v_isnan(vf a) { return a != a; }
static inline vm v_unord(vf a, vf b) { return (a != a) | (b != b); } /* one of them is NaN */
static inline vf v_select(vm m, vf a, vf b) { return (vf)((m & (vi)a) | (~m & (vi)b)); }
static inline vi vi_select(vm m, vi a, vi b) { return (m & a) | (~m & b); }

/* v_max, v_min: NaN if one of the two is. v_max_quick(a, b) is a > b ? a : b, one instruction: NaN in b comes through,
 * NaN in a does not; v_min_quick is a < b ? a : b. */
static inline vf v_max_quick(vf a, vf b) { return v_select(a > b, a, b); }
static inline vf v_min_quick(vf a, vf b) { return v_select(a < b, a, b); }
static inline vf v_max(vf a, vf b) { return v_select(v_isnan(a), a, v_max_quick(a, b)); }
static inline vf v_min(vf a, vf b) { return v_select(v_isnan(a), a, v_min_quick(a, b)); }

/* bits and rounding */
static inline vf v_abs(vf a) { return (vf)((vi)a & INT32_MAX); }
static inline vf v_neg(vf a) { return (vf)((vi)a ^ INT32_MIN); }
/* |a| with the sign of s. */
static inline vf v_copysign(vf a, vf s) { return (vf)(((vi)a & INT32_MAX) | ((vi)s & INT32_MIN)); }
static inline vf v_sqrt(vf a)
{
    for (int i = 0; i < VF; i++) a[i] = sqrtf(a[i]);
    return a;
}
/* 2^23 and above have no fraction; below, adding and taking away 2^23 rounds it off. */
static inline vf v_round_even(vf a)
{
    vf big = v_copysign(v_set1(0x1p23f), a), r = (a + big) - big;
    return v_select(v_abs(a) < v_set1(0x1p23f), v_copysign(r, a), a + v_zero());
}
static inline vf v_floor(vf a)
{
    vf r = v_round_even(a);
    return v_copysign(r - v_select(r > a, v_set1(1.0f), v_zero()), a);
}
static inline vf v_ceil(vf a) { return v_neg(v_floor(v_neg(a))); }
static inline vf v_trunc(vf a) { return v_copysign(v_floor(v_abs(a)), a); }
static inline vi v_round_i(vf a) { return v_to_i(v_round_even(a)); }
/* a * 2^n for whole n in [-252, 254] (rounded more than once where the result is denormal). */
static inline vf v_scale2(vf a, vf n)
{
    vi whole = v_to_i(n), half = vi_sar(whole, 1), rest = vi_sub(whole, half), one = vi_set1(127);
    return a * v_as_f(vi_shl(vi_add(half, one), 23)) * v_as_f(vi_shl(vi_add(rest, one), 23));
}
/* a * 2^n where a and the result are normal: n is added to the exponent's bits; NaN in a and n stays NaN. */
static inline vf v_scale2_normal(vf a, vf n) { return v_as_f(vi_add(v_as_i(a), vi_shl(v_to_i(n), 23))); }

/* across lanes; the order of adding is free, v_hmax and v_hmin give NaN if there is one */
static inline float v_hsum(vf a) { return (a[0] + a[2]) + (a[1] + a[3]); }
/* Of four at once. */
static inline void v_hsum_4(const vf a[4], float to[4])
{
    for (int i = 0; i < 4; i++) to[i] = v_hsum(a[i]);
}
static inline float v_hmax(vf a)
{
    vf b = v_max(a, (vf){a[2], a[3], a[0], a[1]});
    return v_max(b, (vf){b[1], b[0], b[3], b[2]})[0];
}
static inline float v_hmin(vf a) { return -v_hmax(v_neg(a)); }

/* narrow types in memory: integers become floats exactly; truth values are bytes, written as 0 or 1, read as != 0 */
static inline vf v_load_u8(const uint8_t *p) { return (vf){p[0], p[1], p[2], p[3]}; }
static inline vf v_load_s8(const int8_t *p) { return (vf){p[0], p[1], p[2], p[3]}; }
static inline vf v_load_u8_n(const uint8_t *p, size_t n)
{
    uint8_t b[VF] = {0};
    memcpy(b, p, n);
    return v_load_u8(b);
}
static inline vf v_load_s8_n(const int8_t *p, size_t n)
{
    int8_t b[VF] = {0};
    memcpy(b, p, n);
    return v_load_s8(b);
}
static inline vm v_load_bool(const uint8_t *p) { return (vi){-(p[0] != 0), -(p[1] != 0), -(p[2] != 0), -(p[3] != 0)}; }
static inline void v_store_bool(uint8_t *p, vm m)
{
    for (int i = 0; i < VF; i++) p[i] = (uint8_t)(m[i] & 1);
}
/* float16 (IEEE half, nearest even, NaN stays NaN) and bfloat16, as their bits */
static inline vf v_load_bf16(const uint16_t *p) { return (vf)vi_shl((vi){p[0], p[1], p[2], p[3]}, 16); }
static inline void v_store_bf16(uint16_t *p, vf a)
{
    vi b = (vi)a, even = vi_and(vi_shr(b, 16), vi_set1(1));
    vi r = vi_shr(vi_add(b, vi_add(even, vi_set1(0x7fff))), 16), q = vi_or(vi_shr(b, 16), vi_set1(0x40));
    r = vi_select(v_isnan(a), q, r);
    for (int i = 0; i < VF; i++) p[i] = (uint16_t)r[i];
}
static inline float f16_one_ref(uint16_t h)
{
    uint32_t mag = h & 0x7fff, bits = (mag << 13) + 0x38000000u;
    float f = (float)mag * 0x1p-24f; /* denormal halves */
    if (mag >= 0x7c00) bits = 0x7f800000u | (mag & 0x3ff ? 0x400000u | (mag & 0x3ff) << 13 : 0);
    if (mag < 0x400) memcpy(&bits, &f, sizeof bits);
    bits |= (uint32_t)(h & 0x8000) << 16;
    memcpy(&f, &bits, sizeof f);
    return f;
}
static inline vf v_load_f16(const uint16_t *p)
{
    return (vf){f16_one_ref(p[0]), f16_one_ref(p[1]), f16_one_ref(p[2]), f16_one_ref(p[3])};
}
static inline uint16_t f16_bits_ref(float f)
{
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    uint32_t sign = b >> 16 & 0x8000, mag = b & 0x7fffffffu;
    if (mag > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (mag >> 13 & 0x1ff));
    if (mag >= 0x477ff000u) return (uint16_t)(sign | 0x7c00); /* 65520 and above */
    if (mag < 0x38800000u) { /* a half's denormals: 1/2 has their unit in its last bit */
        float r = fabsf(f) + 0.5f;
        memcpy(&b, &r, sizeof b);
        return (uint16_t)(sign | (b - 0x3f000000u));
    }
    return (uint16_t)(sign | ((mag - 0x38000000u + 0xfff + (mag >> 13 & 1)) >> 13));
}
static inline void v_store_f16(uint16_t *p, vf a)
{
    for (int i = 0; i < VF; i++) p[i] = f16_bits_ref(a[i]);
}
/* int64; to it towards zero, saturated, NaN is 0 */
static inline vf v_load_i64(const int64_t *p)
{
    int64_t v[VF];
    memcpy(v, p, sizeof v);
    return (vf){(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
}
static inline void v_store_i64(int64_t *p, vf a)
{
    int64_t v[VF];
    for (int i = 0; i < VF; i++)
        v[i] = a[i] >= 0x1p63f ? INT64_MAX : a[i] != a[i] ? 0 : a[i] < -0x1p63f ? INT64_MIN : (int64_t)a[i];
    memcpy(p, v, sizeof v);
}
#endif
