/* SPDX-License-Identifier: Apache-2.0 */
/* The v_* names for AVX-512 F, BW, VL and DQ; vec_ref.h says what they mean. The file that includes this begins with
 *   #pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c") */
#ifndef PI_KERNELS_VEC_H
#define PI_KERNELS_VEC_H
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { VF = 16 };
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

/* memory */
static inline vf v_set1(float a) { return _mm512_set1_ps(a); }
static inline vf v_zero(void) { return _mm512_setzero_ps(); }
static inline vf v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
static inline vm vm_first(size_t n) { return (vm)((1u << (n < VF ? n : VF)) - 1); }
static inline vf v_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(vm_first(n), p); }
static inline vf v_load_n_or(const float *p, size_t n, vf fill) { return _mm512_mask_loadu_ps(fill, vm_first(n), p); }
static inline void v_store_n(float *p, size_t n, vf v) { _mm512_mask_storeu_ps(p, vm_first(n), v); }

/* arithmetic */
static inline vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }

/* arithmetic with a broadcast: as part of the instruction it needs none of Zen 4's vector units, which it does as one of its own,
 * and compilers make it one of its own where a number is used twice */
static inline vf v_add_bcast(vf a, const float *p)
{
    vf v;
    __asm__("vaddps %2%{1to16%}, %1, %0" : "=v"(v) : "v"(a), "m"(*p));
    return v;
}
static inline vf v_sub_bcast(vf a, const float *p)
{
    vf v;
    __asm__("vsubps %2%{1to16%}, %1, %0" : "=v"(v) : "v"(a), "m"(*p));
    return v;
}
static inline vf v_fma_bcast(vf a, const float *p, vf c)
{
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(c) : "v"(a), "m"(*p));
    return c;
}

/* int32 */
static inline vi vi_set1(int32_t a) { return _mm512_set1_epi32(a); }
static inline vi vi_iota(void) { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
static inline vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline void vi_store(int32_t *p, vi v) { _mm512_storeu_si512(p, v); }
static inline vi vi_load_n(const int32_t *p, size_t n) { return _mm512_maskz_loadu_epi32(vm_first(n), p); }
static inline void vi_store_n(int32_t *p, size_t n, vi v) { _mm512_mask_storeu_epi32(p, vm_first(n), v); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
static inline vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
static inline vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
static inline vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
static inline vi vi_shl(vi a, int by) { return _mm512_slli_epi32(a, (unsigned)by); }
static inline vi vi_shr(vi a, int by) { return _mm512_srli_epi32(a, (unsigned)by); }
static inline vi vi_sar(vi a, int by) { return _mm512_srai_epi32(a, (unsigned)by); }
static inline vm vi_gt(vi a, vi b) { return _mm512_cmpgt_epi32_mask(a, b); }
static inline vm vi_eq(vi a, vi b) { return _mm512_cmpeq_epi32_mask(a, b); }

/* float and int */
static inline vi v_as_i(vf a) { return _mm512_castps_si512(a); }
static inline vf v_as_f(vi a) { return _mm512_castsi512_ps(a); }
static inline vf v_from_i(vi a) { return _mm512_cvtepi32_ps(a); }
static inline vi v_to_i(vf a) { return _mm512_cvttps_epi32(a); }
static inline vi v_round_i(vf a) { return _mm512_cvtps_epi32(a); }

/* masks */
static inline vm vm_and(vm a, vm b) { return (vm)(a & b); }
static inline vm vm_or(vm a, vm b) { return _kor_mask16(a, b); }
static inline vm vm_not(vm a) { return (vm)~a; }
static inline vm vm_none(void) { return 0; }
static inline uint32_t vm_bits(vm m) { return m; }
static inline int vm_any(vm m) { return m != 0; }
static inline int vm_all(vm m) { return m == 0xffff; }

/* compare */
static inline vm v_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline vm v_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
static inline vm v_gt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline vm v_ge(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
static inline vm v_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline vm v_ne(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
static inline vm v_isnan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
static inline vm v_unord(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
static inline vf v_select(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
static inline vi vi_select(vm m, vi a, vi b) { return _mm512_mask_blend_epi32(m, b, a); }
static inline vf v_max_quick(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf v_min_quick(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf v_max(vf a, vf b) { return v_select(v_isnan(a), a, v_max_quick(a, b)); }
static inline vf v_min(vf a, vf b) { return v_select(v_isnan(a), a, v_min_quick(a, b)); }

/* bits and rounding */
static inline vf v_abs(vf a) { return _mm512_andnot_ps(v_set1(-0.0f), a); }
static inline vf v_neg(vf a) { return _mm512_xor_ps(v_set1(-0.0f), a); }
static inline vf v_copysign(vf a, vf s) { return _mm512_or_ps(v_abs(a), _mm512_and_ps(v_set1(-0.0f), s)); }
static inline vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
static inline vf v_round_even(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vf v_floor(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
static inline vf v_ceil(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
static inline vf v_trunc(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
static inline vf v_scale2(vf a, vf n) { return _mm512_scalef_ps(a, n); }
static inline vf v_scale2_normal(vf a, vf n) { return _mm512_scalef_ps(a, n); }

/* across lanes */
static inline vf swap_halves_avx512(vf a) { return _mm512_shuffle_f32x4(a, a, 0x4e); }
static inline vf swap_quads_avx512(vf a) { return _mm512_shuffle_f32x4(a, a, 0xb1); }
static inline vf swap_pairs_avx512(vf a) { return _mm512_permute_ps(a, 0x4e); }
static inline vf swap_ones_avx512(vf a) { return _mm512_permute_ps(a, 0xb1); }
static inline float v_hsum(vf a)
{
    a = v_add(a, swap_halves_avx512(a));
    a = v_add(a, swap_quads_avx512(a));
    a = v_add(a, swap_pairs_avx512(a));
    return _mm512_cvtss_f32(v_add(a, swap_ones_avx512(a)));
}
static inline vf v_hsum_pair(vf a, vf b) /* in each 128 bits: a0 + a2, b0 + b2, a1 + a3, b1 + b3 */
{
    return _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
}
static inline vf v_hsum_four(vf a, vf b) /* of two pairs: four sums in each 128 bits */
{
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}
static inline void v_hsum_4(const vf a[4], float to[4])
{
    vf all = v_hsum_four(v_hsum_pair(a[0], a[1]), v_hsum_pair(a[2], a[3]));
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}
static inline float v_hmax(vf a)
{
    a = v_max(a, swap_halves_avx512(a));
    a = v_max(a, swap_quads_avx512(a));
    a = v_max(a, swap_pairs_avx512(a));
    return _mm512_cvtss_f32(v_max(a, swap_ones_avx512(a)));
}
static inline float v_hmin(vf a)
{
    a = v_min(a, swap_halves_avx512(a));
    a = v_min(a, swap_quads_avx512(a));
    a = v_min(a, swap_pairs_avx512(a));
    return _mm512_cvtss_f32(v_min(a, swap_ones_avx512(a)));
}

/* narrow types in memory */
static inline vf v_load_u8(const uint8_t *p)
{
    return v_from_i(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i_u *)p)));
}
static inline vf v_load_s8(const int8_t *p)
{
    return v_from_i(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i_u *)p)));
}
static inline vf v_load_u8_n(const uint8_t *p, size_t n)
{
    return v_from_i(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(vm_first(n), p)));
}
static inline vf v_load_s8_n(const int8_t *p, size_t n)
{
    return v_from_i(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(vm_first(n), p)));
}
static inline vm v_load_bool(const uint8_t *p)
{
    __m128i b = _mm_loadu_si128((const __m128i_u *)p);
    return _mm_test_epi8_mask(b, b);
}
static inline void v_store_bool(uint8_t *p, vm m) { _mm_storeu_si128((__m128i_u *)p, _mm_maskz_set1_epi8(m, 1)); }
static inline vf v_load_bf16(const uint16_t *p)
{
    return v_as_f(vi_shl(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i_u *)p)), 16));
}
static inline void v_store_bf16(uint16_t *p, vf a)
{
    vi b = v_as_i(a), even = vi_and(vi_shr(b, 16), vi_set1(1));
    vi r = vi_shr(vi_add(b, vi_add(even, vi_set1(0x7fff))), 16), q = vi_or(vi_shr(b, 16), vi_set1(0x40));
    _mm256_storeu_si256((__m256i_u *)p, _mm512_cvtepi32_epi16(vi_select(v_isnan(a), q, r)));
}
static inline vf v_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)p)); }
static inline void v_store_f16(uint16_t *p, vf a)
{
    _mm256_storeu_si256((__m256i_u *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf v_load_i64(const int64_t *p)
{
    __m256 low = _mm512_cvtepi64_ps(_mm512_loadu_si512(p)), high = _mm512_cvtepi64_ps(_mm512_loadu_si512(p + 8));
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}
static inline __m512i to_i64_avx512(__m256 a)
{
    __mmask8 above = _mm256_cmp_ps_mask(a, _mm256_set1_ps(0x1p63f), _CMP_GE_OQ), number = _mm256_cmp_ps_mask(a, a, _CMP_ORD_Q);
    __m512i v = _mm512_maskz_cvttps_epi64(number, a); /* what lies below is INT64_MIN already */
    return _mm512_mask_set1_epi64(v, above, INT64_MAX);
}
static inline void v_store_i64(int64_t *p, vf a)
{
    _mm512_storeu_si512(p, to_i64_avx512(_mm512_castps512_ps256(a)));
    _mm512_storeu_si512(p + 8, to_i64_avx512(_mm512_extractf32x8_ps(a, 1)));
}
#endif
