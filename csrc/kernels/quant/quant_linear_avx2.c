/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#pragma GCC target("avx2")
/* 8-bit conversions, 32 at a time: bound by the division (8 floats in 5 cycles), or by the stores. */
#include <immintrin.h>

#include "kernels/quant/quant_linear.h"

/* Eight rounded integers, still without the zero point added. */
static inline __m256i rounded(const float *x, __m256 scale, __m256 low, __m256 high)
{
    __m256 v = _mm256_div_ps(_mm256_loadu_ps(x), scale);
    v = _mm256_min_ps(_mm256_max_ps(v, low), high); /* maxps gives its second operand for a NaN */
    return _mm256_cvtps_epi32(v);
}

static void to_bytes(void *y, const float *x, int64_t n, float scale, float zero, bool is_signed)
{
    __m256 s = _mm256_set1_ps(scale), low = _mm256_set1_ps((is_signed ? -128.0f : 0.0f) - zero);
    __m256 high = _mm256_set1_ps((is_signed ? 127.0f : 255.0f) - zero);
    __m256i z = _mm256_set1_epi16((short)zero), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i a = _mm256_packs_epi32(rounded(x + i, s, low, high), rounded(x + i + 8, s, low, high));
        __m256i b = _mm256_packs_epi32(rounded(x + i + 16, s, low, high), rounded(x + i + 24, s, low, high));
        a = _mm256_add_epi16(a, z);
        b = _mm256_add_epi16(b, z);
        __m256i q = is_signed ? _mm256_packs_epi16(a, b) : _mm256_packus_epi16(a, b);
        _mm256_storeu_si256((__m256i *)(void *)((char *)y + i), _mm256_permutevar8x32_epi32(q, order));
    }
    if (i < n) pi_quant_linear_ref.to_bytes((char *)y + i, x + i, n - i, scale, zero, is_signed);
}

static void to_floats(float *y, const void *x, int64_t n, float scale, float zero, bool is_signed)
{
    __m256 s = _mm256_set1_ps(scale), z = _mm256_set1_ps(zero);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i b = _mm_loadl_epi64((const __m128i *)(const void *)((const char *)x + i));
        __m256 v = _mm256_cvtepi32_ps(is_signed ? _mm256_cvtepi8_epi32(b) : _mm256_cvtepu8_epi32(b));
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_sub_ps(v, z), s));
    }
    if (i < n) pi_quant_linear_ref.to_floats(y + i, (const char *)x + i, n - i, scale, zero, is_signed);
}

const pi_quant_linear pi_quant_linear_avx2 = {to_bytes, to_floats};
#else
typedef int quant_linear_avx2_empty;
#endif
