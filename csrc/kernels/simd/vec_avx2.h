/* SPDX-License-Identifier: Apache-2.0 */
/* The v_* names for AVX2, FMA and F16C; vec_ref.h says what they mean. The file that includes this begins with
 *   #pragma GCC target("avx2,fma,f16c")
 * Masked stores are slow on AMD (tens of cycles): tails only. */
#ifndef PI_KERNELS_VEC_H
#define PI_KERNELS_VEC_H
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { VF = 8 };
typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm; /* all bits or none */

/* memory */
static inline vf v_set1(float a) { return _mm256_set1_ps(a); }
static inline vf v_zero(void) { return _mm256_setzero_ps(); }
static inline vf v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
static inline vi vi_set1(int32_t a) { return _mm256_set1_epi32(a); }
static inline vi vi_iota(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
static inline vi first_avx2(size_t n) { return _mm256_cmpgt_epi32(vi_set1((int32_t)(n < VF ? n : VF)), vi_iota()); }
static inline vf v_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, first_avx2(n)); }
static inline vf v_load_n_or(const float *p, size_t n, vf fill)
{
    return _mm256_blendv_ps(fill, v_load_n(p, n), _mm256_castsi256_ps(first_avx2(n)));
}
static inline void v_store_n(float *p, size_t n, vf v) /* in parts: vmaskmovps takes some 20 cycles on AMD */
{
    __m128 part = _mm256_castps256_ps128(v);
    if (n >= VF) {
        _mm256_storeu_ps(p, v);
        return;
    }
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, part);
}

/* arithmetic */
static inline vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
static inline vf v_add_bcast(vf a, const float *p) { return v_add(a, v_set1(*p)); }
static inline vf v_sub_bcast(vf a, const float *p) { return v_sub(a, v_set1(*p)); }
static inline vf v_fma_bcast(vf a, const float *p, vf c) { return v_fma(a, v_set1(*p), c); }

/* int32 */
static inline vi vi_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i_u *)p); }
static inline void vi_store(int32_t *p, vi v) { _mm256_storeu_si256((__m256i_u *)p, v); }
static inline vi vi_load_n(const int32_t *p, size_t n) { return _mm256_maskload_epi32(p, first_avx2(n)); }
static inline void vi_store_n(int32_t *p, size_t n, vi v) { _mm256_maskstore_epi32(p, first_avx2(n), v); }
static inline vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
static inline vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
static inline vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
static inline vi vi_shl(vi a, int by) { return _mm256_slli_epi32(a, by); }
static inline vi vi_shr(vi a, int by) { return _mm256_srli_epi32(a, by); }
static inline vi vi_sar(vi a, int by) { return _mm256_srai_epi32(a, by); }
static inline vm vi_gt(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b)); }
static inline vm vi_eq(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)); }

/* float and int */
static inline vi v_as_i(vf a) { return _mm256_castps_si256(a); }
static inline vf v_as_f(vi a) { return _mm256_castsi256_ps(a); }
static inline vf v_from_i(vi a) { return _mm256_cvtepi32_ps(a); }
static inline vi v_to_i(vf a) { return _mm256_cvttps_epi32(a); }
static inline vi v_round_i(vf a) { return _mm256_cvtps_epi32(a); }

/* masks */
static inline vm vm_and(vm a, vm b) { return _mm256_and_ps(a, b); }
static inline vm vm_or(vm a, vm b) { return _mm256_or_ps(a, b); }
static inline vm vm_not(vm a) { return _mm256_xor_ps(a, v_as_f(vi_set1(-1))); }
static inline vm vm_none(void) { return v_zero(); }
static inline uint32_t vm_bits(vm m) { return (uint32_t)_mm256_movemask_ps(m); }
static inline int vm_any(vm m) { return vm_bits(m) != 0; }
static inline int vm_all(vm m) { return vm_bits(m) == 255; }
static inline vm vm_first(size_t n) { return v_as_f(first_avx2(n)); }

/* compare */
static inline vm v_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline vm v_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
static inline vm v_gt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
static inline vm v_ge(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
static inline vm v_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
static inline vm v_ne(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
static inline vm v_isnan(vf a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
static inline vm v_unord(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_UNORD_Q); }
static inline vf v_select(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
static inline vi vi_select(vm m, vi a, vi b) { return v_as_i(v_select(m, v_as_f(a), v_as_f(b))); }
static inline vf v_max_quick(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf v_min_quick(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf v_max(vf a, vf b) { return v_select(v_isnan(a), a, v_max_quick(a, b)); }
static inline vf v_min(vf a, vf b) { return v_select(v_isnan(a), a, v_min_quick(a, b)); }

/* bits and rounding */
static inline vf v_abs(vf a) { return _mm256_andnot_ps(v_set1(-0.0f), a); }
static inline vf v_neg(vf a) { return _mm256_xor_ps(v_set1(-0.0f), a); }
static inline vf v_copysign(vf a, vf s) { return _mm256_or_ps(v_abs(a), _mm256_and_ps(v_set1(-0.0f), s)); }
static inline vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
static inline vf v_round_even(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vf v_floor(vf a) { return _mm256_floor_ps(a); }
static inline vf v_ceil(vf a) { return _mm256_ceil_ps(a); }
static inline vf v_trunc(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
static inline vf v_scale2(vf a, vf n)
{
    vi whole = v_to_i(n), half = vi_sar(whole, 1), rest = vi_sub(whole, half), one = vi_set1(127);
    a = v_mul(a, v_as_f(vi_shl(vi_add(half, one), 23)));
    return v_mul(a, v_as_f(vi_shl(vi_add(rest, one), 23)));
}
static inline vf v_scale2_normal(vf a, vf n) { return v_as_f(vi_add(v_as_i(a), vi_shl(v_to_i(n), 23))); }

/* across lanes */
static inline vf swap_halves_avx2(vf a) { return _mm256_permute2f128_ps(a, a, 1); }
static inline vf swap_pairs_avx2(vf a) { return _mm256_permute_ps(a, 0x4e); }
static inline vf swap_ones_avx2(vf a) { return _mm256_permute_ps(a, 0xb1); }
static inline float v_hsum(vf a)
{
    a = v_add(a, swap_halves_avx2(a));
    a = v_add(a, swap_pairs_avx2(a));
    return _mm256_cvtss_f32(v_add(a, swap_ones_avx2(a)));
}
static inline void v_hsum_4(const vf a[4], float to[4])
{
    vf all = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3])); /* four sums in each 128 bits */
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}
static inline float v_hmax(vf a)
{
    a = v_max(a, swap_halves_avx2(a));
    a = v_max(a, swap_pairs_avx2(a));
    return _mm256_cvtss_f32(v_max(a, swap_ones_avx2(a)));
}
static inline float v_hmin(vf a)
{
    a = v_min(a, swap_halves_avx2(a));
    a = v_min(a, swap_pairs_avx2(a));
    return _mm256_cvtss_f32(v_min(a, swap_ones_avx2(a)));
}

/* narrow types in memory */
static inline vf v_load_u8(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i_u *)p)));
}
static inline vf v_load_s8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i_u *)p)));
}
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
static inline vm v_load_bool(const uint8_t *p)
{
    vi b = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i_u *)p));
    return vi_gt(b, vi_set1(0));
}
static inline __m128i narrow_avx2(vi a) /* to 16 bits, values must fit */
{
    return _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
}
static inline void v_store_bool(uint8_t *p, vm m)
{
    __m128i w = narrow_avx2(v_as_i(m));
    _mm_storel_epi64((__m128i_u *)p, _mm_and_si128(_mm_packs_epi16(w, w), _mm_set1_epi8(1)));
}
static inline vf v_load_bf16(const uint16_t *p)
{
    return v_as_f(vi_shl(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i_u *)p)), 16));
}
static inline void v_store_bf16(uint16_t *p, vf a)
{
    vi b = v_as_i(a), even = vi_and(vi_shr(b, 16), vi_set1(1));
    vi r = vi_sar(vi_add(b, vi_add(even, vi_set1(0x7fff))), 16), q = vi_or(vi_sar(b, 16), vi_set1(0x40));
    _mm_storeu_si128((__m128i_u *)p, narrow_avx2(vi_select(v_isnan(a), q, r)));
}
static inline vf v_load_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)p)); }
static inline void v_store_f16(uint16_t *p, vf a)
{
    _mm_storeu_si128((__m128i_u *)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
/* Numbers of 32 bits have instructions, others go one by one. */
static inline vf v_load_i64(const int64_t *p)
{
    vf a = _mm256_loadu_ps((const float *)(const void *)p), b = _mm256_loadu_ps((const float *)(const void *)(p + 4));
    vi low = v_as_i(_mm256_shuffle_ps(a, b, 0x88)), high = v_as_i(_mm256_shuffle_ps(a, b, 0xdd)); /* 0 1 4 5 2 3 6 7 */
    if (!vm_all(vi_eq(vi_sar(low, 31), high))) {
        int64_t v[VF];
        memcpy(v, p, sizeof v);
        return _mm256_setr_ps((float)v[0], (float)v[1], (float)v[2], (float)v[3], (float)v[4], (float)v[5], (float)v[6], (float)v[7]);
    }
    return v_from_i(_mm256_permute4x64_epi64(low, 0xd8));
}
static inline int64_t to_i64_avx2(float a) { return a >= 0x1p63f ? INT64_MAX : a != a ? 0 : a < -0x1p63f ? INT64_MIN : (int64_t)a; }
static inline void v_store_i64(int64_t *p, vf a)
{
    if (vm_all(v_lt(v_abs(a), v_set1(0x1p31f)))) {
        vi i = v_to_i(a);
        _mm256_storeu_si256((__m256i_u *)p, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(i)));
        _mm256_storeu_si256((__m256i_u *)(p + 4), _mm256_cvtepi32_epi64(_mm256_extracti128_si256(i, 1)));
        return;
    }
    float f[VF];
    int64_t v[VF];
    v_store(f, a);
    for (int i = 0; i < VF; i++) v[i] = to_i64_avx2(f[i]);
    memcpy(p, v, sizeof v);
}
#endif
