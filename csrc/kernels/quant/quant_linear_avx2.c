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

static inline __m256i eight(const void *x, int64_t i, bool is_signed)
{
    __m128i b = _mm_loadl_epi64((const __m128i *)(const void *)((const char *)x + i));
    return is_signed ? _mm256_cvtepi8_epi32(b) : _mm256_cvtepu8_epi32(b);
}

static void to_floats(float *y, const void *x, int64_t n, float scale, float zero, bool is_signed)
{
    __m256 s = _mm256_set1_ps(scale), z = _mm256_set1_ps(zero);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_cvtepi32_ps(eight(x, i, is_signed));
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_sub_ps(v, z), s));
    }
    if (i < n) pi_quant_linear_ref.to_floats(y + i, (const char *)x + i, n - i, scale, zero, is_signed);
}

static void to_floats_each(float *y, const void *x, int64_t n, const float *scale, const void *zero, bool is_signed)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i v = eight(x, i, is_signed);
        if (zero) v = _mm256_sub_epi32(v, eight(zero, i, is_signed));
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_cvtepi32_ps(v), _mm256_loadu_ps(scale + i)));
    }
    if (i == n) return;
    const char *z = zero;
    pi_quant_linear_ref.to_floats_each(y + i, (const char *)x + i, n - i, scale + i, z ? z + i : NULL, is_signed);
}

/* Eight sums as rounded integers, without the zero point. */
static inline __m256i scaled(const int32_t *c, __m256i add, __m256 scale, __m256 low, __m256 high)
{
    __m256 v = _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_loadu_si256((const __m256i *)(const void *)c), add));
    v = _mm256_min_ps(_mm256_max_ps(_mm256_mul_ps(v, scale), low), high);
    return _mm256_cvtps_epi32(v);
}

/* Columns by 16: their scales stay in registers for all rows. */
static void requantize(void *y, int64_t y_row, const int32_t *c, int64_t c_row, int64_t rows, int64_t n,
                       const int32_t *add, const float *scale, float zero, bool is_signed)
{
    __m256 low = _mm256_set1_ps((is_signed ? -128.0f : 0.0f) - zero),
           high = _mm256_set1_ps((is_signed ? 127.0f : 255.0f) - zero);
    __m256i z = _mm256_set1_epi16((short)zero), a0 = _mm256_setzero_si256(), a1 = a0;
    int64_t j = 0;
    for (; j + 16 <= n; j += 16) {
        __m256 s0 = _mm256_loadu_ps(scale + j), s1 = _mm256_loadu_ps(scale + j + 8);
        if (add) {
            a0 = _mm256_loadu_si256((const __m256i *)(const void *)(add + j));
            a1 = _mm256_loadu_si256((const __m256i *)(const void *)(add + j + 8));
        }
        for (int64_t i = 0; i < rows; i++) {
            const int32_t *from = c + i * c_row + j;
            __m256i q = _mm256_packs_epi32(scaled(from, a0, s0, low, high), scaled(from + 8, a1, s1, low, high));
            q = _mm256_add_epi16(_mm256_permute4x64_epi64(q, 0xD8), z);
            q = is_signed ? _mm256_packs_epi16(q, q) : _mm256_packus_epi16(q, q);
            q = _mm256_permute4x64_epi64(q, 0x08);
            _mm_storeu_si128((__m128i *)(void *)((char *)y + i * y_row + j), _mm256_castsi256_si128(q));
        }
    }
    if (j < n)
        pi_quant_linear_ref.requantize((char *)y + j, y_row, c + j, c_row, rows, n - j, add ? add + j : NULL, scale + j,
                                       zero, is_signed);
}

/* Eight bytes as floats. */
static inline __m256 floats(const char *x, __m256 zero, __m256 scale, bool is_signed)
{
    __m128i b = _mm_loadl_epi64((const __m128i *)(const void *)x);
    __m256 v = _mm256_cvtepi32_ps(is_signed ? _mm256_cvtepi8_epi32(b) : _mm256_cvtepu8_epi32(b));
    return _mm256_mul_ps(_mm256_sub_ps(v, zero), scale);
}

/* The flags are constants at each call. Returns how many are done. Bound by the division. */
static inline __attribute__((always_inline)) int64_t pairs(char *y, const char *a, const char *b, int64_t n,
                                                           const pi_quant_pair *p, bool a_signed, bool b_signed,
                                                           bool y_signed, bool product)
{
    __m256 sa = _mm256_set1_ps(p->a_scale), za = _mm256_set1_ps(p->a_zero), sb = _mm256_set1_ps(p->b_scale);
    __m256 zb = _mm256_set1_ps(p->b_zero), sy = _mm256_set1_ps(p->y_scale);
    __m256 low = _mm256_set1_ps((y_signed ? -128.0f : 0.0f) - p->y_zero);
    __m256 high = _mm256_set1_ps((y_signed ? 127.0f : 255.0f) - p->y_zero);
    __m256i z = _mm256_set1_epi16((short)p->y_zero);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i q[2];
        for (int half = 0; half < 2; half++) {
            __m256 u = floats(a + i + 8 * half, za, sa, a_signed);
            __m256 v = floats(b + i + 8 * half, zb, sb, b_signed);
            u = _mm256_div_ps(product ? _mm256_mul_ps(u, v) : _mm256_add_ps(u, v), sy);
            q[half] = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(u, low), high));
        }
        __m256i r = _mm256_add_epi16(_mm256_permute4x64_epi64(_mm256_packs_epi32(q[0], q[1]), 0xD8), z);
        r = y_signed ? _mm256_packs_epi16(r, r) : _mm256_packus_epi16(r, r);
        _mm_storeu_si128((__m128i *)(void *)(y + i), _mm256_castsi256_si128(_mm256_permute4x64_epi64(r, 0x08)));
    }
    return i;
}

static void pair(void *y, const void *a, const void *b, int64_t n, const pi_quant_pair *p)
{
    bool plain = !p->a_signed && !p->b_signed && !p->y_signed && !p->product;
    int64_t i = plain ? pairs(y, a, b, n, p, false, false, false, false)
                      : pairs(y, a, b, n, p, p->a_signed, p->b_signed, p->y_signed, p->product);
    if (i < n) pi_quant_linear_ref.pair((char *)y + i, (const char *)a + i, (const char *)b + i, n - i, p);
}

static void range(const float *x, int64_t n, float *low, float *high)
{
    __m256 l[4], h[4];
    int64_t i = 0;
    for (int v = 0; v < 4; v++) l[v] = _mm256_set1_ps(*low), h[v] = _mm256_set1_ps(*high);
    for (; i + 32 <= n; i += 32)
        for (int v = 0; v < 4; v++) { /* minps and maxps give their second operand for a NaN */
            __m256 a = _mm256_loadu_ps(x + i + 8 * v);
            l[v] = _mm256_min_ps(a, l[v]);
            h[v] = _mm256_max_ps(a, h[v]);
        }
    float each[16];
    _mm256_storeu_ps(each, _mm256_min_ps(_mm256_min_ps(l[0], l[1]), _mm256_min_ps(l[2], l[3])));
    _mm256_storeu_ps(each + 8, _mm256_max_ps(_mm256_max_ps(h[0], h[1]), _mm256_max_ps(h[2], h[3])));
    pi_quant_linear_ref.range(each, 16, low, high);
    if (i < n) pi_quant_linear_ref.range(x + i, n - i, low, high);
}

static int64_t sum(const void *x, int64_t n, bool is_signed)
{
    __m256i total = _mm256_setzero_si256(), flip = _mm256_set1_epi8(is_signed ? -128 : 0);
    int64_t i = 0, each[4];
    for (; i + 32 <= n; i += 32) {
        __m256i v = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)((const char *)x + i)), flip);
        total = _mm256_add_epi64(total, _mm256_sad_epu8(v, _mm256_setzero_si256()));
    }
    _mm256_storeu_si256((__m256i *)(void *)each, total);
    int64_t bytes = each[0] + each[1] + each[2] + each[3] - (is_signed ? 128 * i : 0);
    return i < n ? bytes + pi_quant_linear_ref.sum((const char *)x + i, n - i, is_signed) : bytes;
}

const pi_quant_linear pi_quant_linear_avx2 = {to_bytes, to_floats, to_floats_each, requantize, pair, range, sum};
#else
typedef int quant_linear_avx2_empty;
#endif
