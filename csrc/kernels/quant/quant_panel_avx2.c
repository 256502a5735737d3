/* SPDX-License-Identifier: Apache-2.0 */
#if defined(__x86_64__)
#pragma GCC target("avx2")
/* Four rows by 16 columns: vpmaddwd multiplies and adds pairs, two a cycle; the loads of the panel serve four rows. */
#include <immintrin.h>
#include <string.h>

#include "kernels/quant/quant_panel.h"

static inline __m256i pair_of(const int16_t *a)
{
    int32_t both;
    memcpy(&both, a, sizeof both);
    return _mm256_set1_epi32(both);
}

static inline void store(int32_t *c, __m256i low, __m256i high)
{
    _mm256_storeu_si256((__m256i *)(void *)c, low);
    _mm256_storeu_si256((__m256i *)(void *)(c + 8), high);
}

void pi_quant_panel_avx2(const int16_t *a, int64_t lda, const int16_t *panel, int64_t pairs, int32_t *c, int64_t ldc,
                         int64_t m)
{
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) {
        __m256i sum[8];
        for (int r = 0; r < 8; r++) sum[r] = _mm256_setzero_si256();
        for (int64_t p = 0; p < pairs; p++) {
            __m256i b0 = _mm256_loadu_si256((const __m256i *)(const void *)(panel + 32 * p));
            __m256i b1 = _mm256_loadu_si256((const __m256i *)(const void *)(panel + 32 * p + 16));
            for (int r = 0; r < 4; r++) {
                __m256i x = pair_of(a + (i + r) * lda + 2 * p);
                sum[2 * r] = _mm256_add_epi32(sum[2 * r], _mm256_madd_epi16(b0, x));
                sum[2 * r + 1] = _mm256_add_epi32(sum[2 * r + 1], _mm256_madd_epi16(b1, x));
            }
        }
        for (int r = 0; r < 4; r++) store(c + (i + r) * ldc, sum[2 * r], sum[2 * r + 1]);
    }
    for (; i < m; i++) {
        __m256i low = _mm256_setzero_si256(), high = low;
        for (int64_t p = 0; p < pairs; p++) {
            __m256i x = pair_of(a + i * lda + 2 * p);
            low = _mm256_add_epi32(
                low, _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(panel + 32 * p)), x));
            high = _mm256_add_epi32(
                high, _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(panel + 32 * p + 16)), x));
        }
        store(c + i * ldc, low, high);
    }
}
#else
typedef int quant_panel_avx2_empty;
#endif
